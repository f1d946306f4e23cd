//! The hardware behind a board controller that speaks the control protocol, as a profile's `[bridge]`
//! describes it.

use std::{fmt, sync::Arc, time::Duration};

use board_profiles::{BridgeFans, BridgePin, ConverterRole, PinRole, Profile, ResponseFormat};
use bridge::{
    AdcInput, Client, ClientError, Exchange, FanPage, Refusal,
    answer::Format,
    client::{ClientErrorKind, Firmware, I2cBus, I2cError},
    extension::{Brief, Capabilities},
};
use embedded_hal::i2c::{self, ErrorType, I2c, Operation};
use guard::{CoolingMode, Kilohertz, Millivolts, Percent, SetPoint};

use crate::{
    buses::{BoardGuard, BoardGuardState, Bus, BusError, Buses, Line},
    cooling::Mode,
    notice,
};

/// Buses, lines and fans of a board controller on a port.
#[derive(Debug)]
pub struct BridgeBuses<X: Exchange> {
    client: Client<X>,
    profile: Arc<Profile>,
    slots: Vec<u8>,
    capabilities: Option<Capabilities>,
}

impl<X: Exchange> BridgeBuses<X>
where
    X::Error: fmt::Debug + fmt::Display + 'static,
{
    /// Finds out what answers on the port: the format of its answers and whether it has a guard of
    /// its own. `slots` are the places of the station's boards in the machine.
    ///
    /// # Errors
    ///
    /// When the profile has no `[bridge]`, or nothing that makes sense answers.
    pub fn connect(port: X, profile: Arc<Profile>, slots: &[u8]) -> Result<Self, BusError> {
        let Some(bridge) = &profile.bridge else {
            return Err(BusError::Missing(
                "[bridge] table in its profile".to_owned(),
            ));
        };
        let firmware = Firmware {
            format: match bridge.response {
                ResponseFormat::Probe => None,
                ResponseFormat::V0 => Some(Format::V0),
                ResponseFormat::V0Total => Some(Format::V0Total),
                ResponseFormat::V1 => Some(Format::V1),
            },
            fans: match bridge.fans {
                BridgeFans::Device | BridgeFans::None => FanPage::Device,
                BridgeFans::Bonanza => FanPage::Bonanza,
                BridgeFans::Bitcrane => FanPage::Bitcrane,
            },
        };
        let i2c_hz = bridge.i2c_hz;
        let mut buses: Vec<u8> = profile
            .devices
            .iter()
            .map(|device| bridge.bus_number(&device.bus))
            .collect();
        buses.sort_unstable();
        buses.dedup();
        let mut client = Client::new(port, firmware);
        if client.format().is_none() {
            client.probe().map_err(bus_error)?;
        }
        let capabilities = client.capabilities().map_err(bus_error)?;
        if let Some(hertz) = i2c_hz {
            for bus in buses {
                // Firmware that cannot change its clock runs at 100 kHz anyway.
                match client.set_i2c_frequency(bus, hertz).map_err(bus_error) {
                    Ok(()) | Err(BusError::NotAcknowledged | BusError::Denied) => {}
                    Err(BusError::Port(_) | BusError::Missing(_)) => {}
                    Err(error @ (BusError::Timeout | BusError::Gone(_))) => return Err(error),
                }
            }
        }
        Ok(Self {
            client,
            profile,
            slots: slots.to_vec(),
            capabilities,
        })
    }

    /// What the controller's own guard can do; none if it has none.
    #[must_use]
    pub fn capabilities(&self) -> Option<&Capabilities> {
        self.capabilities.as_ref()
    }

    /// Time after which the controller's guard switches off when nobody talks to it.
    #[must_use]
    pub fn lease(&self) -> Option<Duration> {
        self.capabilities.map(|capabilities| capabilities.lease)
    }

    /// The port.
    pub fn port(&mut self) -> &mut X {
        self.client.port()
    }

    fn slot(&self, board: usize) -> Result<u8, BusError> {
        self.slots
            .get(board)
            .copied()
            .ok_or_else(|| BusError::Missing(format!("board {board}")))
    }

    /// Number of a line's pin and the level at which it is asserted.
    fn pin(&self, line: Line) -> Result<(u8, bool), BusError> {
        let missing = || BusError::Missing(format!("line {line:?}"));
        let bridge = self.profile.bridge.as_ref().ok_or_else(missing)?;
        let enable = |pin: BridgePin| (pin.pin, pin.active.level(true));
        match line {
            Line::Reset { board } => {
                let reset = bridge.reset_in(self.slot(board)?);
                Ok((reset.pin, reset.level(true)))
            }
            Line::Enable { board, index } => bridge
                .enables_in(self.slot(board)?)
                .filter(|pin| pin.role != PinRole::Psu)
                .nth(index)
                .map(enable)
                .ok_or_else(missing),
            Line::Shared { index } => bridge
                .enables
                .iter()
                .filter(|pin| pin.role == PinRole::Psu)
                .nth(index)
                .cloned()
                .map(enable)
                .ok_or_else(missing),
        }
    }
}

impl<X: Exchange> Buses for BridgeBuses<X>
where
    X::Error: fmt::Debug + fmt::Display + 'static,
{
    fn i2c(&mut self, _board: usize, bus: &str) -> Result<Bus<'_>, BusError> {
        let number = self
            .profile
            .bridge
            .as_ref()
            .map_or(0, |bridge| bridge.bus_number(bus));
        Ok(Box::new(Wire(self.client.i2c(number))))
    }

    fn set_line(&mut self, line: Line, asserted: bool) -> Result<bool, BusError> {
        let (pin, active) = self.pin(line)?;
        match self.client.set_pin(pin, asserted == active) {
            Ok(()) => Ok(asserted),
            Err(ClientError {
                kind: ClientErrorKind::Level,
                ..
            }) => Ok(!asserted),
            Err(error) => Err(bus_error(error)),
        }
    }

    fn line(&mut self, line: Line) -> Result<bool, BusError> {
        let (pin, active) = self.pin(line)?;
        Ok(self.client.pin_level(pin).map_err(bus_error)? == active)
    }

    fn set_fan(&mut self, fan: usize, percent: u8) -> Result<(), BusError> {
        let number = fan_number(fan)?;
        self.client.set_fan(number, percent).map_err(bus_error)
    }

    fn fan_rpm(&mut self, fan: usize) -> Result<u32, BusError> {
        let number = fan_number(fan)?;
        self.client.fan_rpm(number).map_err(bus_error)
    }

    fn converter_mv(&mut self, index: usize) -> Result<u32, BusError> {
        let missing = || BusError::Missing(format!("ADC channel {index}"));
        let converter = self
            .profile
            .bridge
            .as_ref()
            .and_then(|bridge| bridge.adc.get(index).cloned())
            .ok_or_else(missing)?;
        let input = match converter.role {
            ConverterRole::Core => AdcInput::Vdd,
            ConverterRole::Input => AdcInput::Vin,
        };
        let raw = u64::from(self.client.adc(input).map_err(bus_error)?);
        let full = u64::from(converter.full_scale.max(1));
        Ok(u32::try_from(raw * u64::from(converter.full_scale_mv) / full).unwrap_or(u32::MAX))
    }

    fn board_guard(&mut self) -> Option<&mut dyn BoardGuard> {
        self.capabilities?;
        Some(self)
    }
}

impl<X: Exchange> BoardGuard for BridgeBuses<X>
where
    X::Error: fmt::Debug + fmt::Display + 'static,
{
    fn heartbeat(&mut self) -> Result<BoardGuardState, BusError> {
        let brief = self.client.guard().heartbeat().map_err(bus_error)?;
        Ok(state(&brief))
    }

    fn request_power(&mut self, mv: u32, khz: u32) -> Result<(), BusError> {
        let point = point(mv, khz);
        self.client
            .guard()
            .power_on(point)
            .map(drop)
            .map_err(bus_error)
    }

    fn set_point(&mut self, mv: u32, khz: u32) -> Result<(), BusError> {
        let point = point(mv, khz);
        self.client
            .guard()
            .set_point(point)
            .map(drop)
            .map_err(bus_error)
    }

    fn release_power(&mut self) -> Result<(), BusError> {
        self.client.guard().power_off().map(drop).map_err(bus_error)
    }

    fn set_cooling(&mut self, mode: Mode) -> Result<(), BusError> {
        let mode = match mode {
            Mode::Auto => CoolingMode::Auto,
            Mode::Manual { percent } => CoolingMode::Manual(Percent::new(percent)),
            Mode::Immersion { confirmed: true } => CoolingMode::Immersion,
            Mode::Immersion { confirmed: false } => return Err(BusError::Denied),
        };
        self.client
            .guard()
            .cooling(mode)
            .map(drop)
            .map_err(bus_error)
    }

    fn clear_fault(&mut self, code: &str) -> Result<(), BusError> {
        let code = notice::code(code)
            .ok_or_else(|| BusError::Missing(format!("fault called `{code}`")))?;
        self.client.guard().clear(code).map(drop).map_err(bus_error)
    }
}

fn state(brief: &Brief) -> BoardGuardState {
    BoardGuardState {
        state: brief.state.as_str(),
        power: brief.power,
        fault: brief.fault.map(|code| code.as_str().to_owned()),
    }
}

fn point(mv: u32, khz: u32) -> SetPoint {
    SetPoint {
        voltage: Millivolts(mv),
        frequency: Kilohertz(khz),
    }
}

fn fan_number(fan: usize) -> Result<u8, BusError> {
    u8::try_from(fan).map_err(|_| BusError::Missing(format!("fan {fan}")))
}

fn bus_error<E: fmt::Display>(error: ClientError<E>) -> BusError
where
    ClientError<E>: fmt::Display,
{
    match &error.kind {
        ClientErrorKind::Refused(refusal) if refusal.is_denied() => BusError::Denied,
        ClientErrorKind::Refused(refusal) if refusal.is_i2c() => BusError::NotAcknowledged,
        ClientErrorKind::Refused(Refusal::Timeout) => BusError::Timeout,
        ClientErrorKind::Port(_) => BusError::Gone(error.to_string()),
        _ => BusError::Port(error.to_string()),
    }
}

/// An I2C bus of the controller whose errors are a station's.
struct Wire<'a, X>(I2cBus<'a, X>);

impl<X: Exchange> ErrorType for Wire<'_, X> {
    type Error = BusError;
}

impl<X: Exchange> I2c for Wire<'_, X>
where
    X::Error: fmt::Debug + fmt::Display + 'static,
{
    fn transaction(
        &mut self,
        address: u8,
        operations: &mut [Operation<'_>],
    ) -> Result<(), BusError> {
        self.0
            .transaction(address, operations)
            .map_err(|error: I2cError<X::Error>| match i2c::Error::kind(&error) {
                i2c::ErrorKind::NoAcknowledge(_) => BusError::NotAcknowledged,
                _ => bus_error(error.0),
            })
    }
}
