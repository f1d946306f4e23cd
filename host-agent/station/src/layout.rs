//! What a station consists of, worked out once from profile and config: which sensor is where and under
//! which number the guard knows it, which fans there are, how the core voltage is made, which lines go
//! on in which order, and the limits that the guard gets.

use std::time::Duration;

use board_devices::{Part, ds4432u, tps536x7, tps546};
use board_profiles::{
    BridgeFans, Control, ConverterRole, Device, DeviceKind, PinRole, Profile, RegulatorInit,
    SensorChannel, SensorKind, VoltageScope,
};
use guard::{
    CentiCelsius, FanLimits, Kilohertz, Limits, Milliamps, Millivolts, Milliwatts, Percent,
    RailLimits, Rpm, SensorLimits,
};

use crate::{
    buses::Line,
    config::{ConfigError, StationConfig},
    parts::{Place, Supply, drives_fans, temperature_step},
};

/// A temperature that is read.
#[derive(Clone, Debug)]
pub(crate) struct SensorSlot {
    pub(crate) name: String,
    pub(crate) kind: SensorKind,
    pub(crate) place: Place,
    pub(crate) channel: SensorChannel,
    pub(crate) offset_centi: i32,
    pub(crate) needs_power: bool,
    pub(crate) estimate: bool,
    /// Power is cut there, °C; none for air.
    pub(crate) limit_c: Option<f64>,
    /// Added to bring it to the scale of the cooling target's sensor, K; none for air.
    pub(crate) shift_k: Option<f64>,
}

/// A fan.
#[derive(Clone, Debug)]
pub(crate) struct FanSlot {
    pub(crate) name: String,
    pub(crate) at: FanAt,
}

/// Where a fan hangs.
#[derive(Clone, Debug)]
pub(crate) enum FanAt {
    /// On a fan controller, with its channel from 1.
    Device(Place, u8),
    /// On the board's controller or the Linux board.
    Controller(usize),
}

/// A device whose identity is checked before power.
#[derive(Clone, Debug)]
pub(crate) struct Identity {
    pub(crate) place: Place,
    pub(crate) name: String,
    /// Identities that the profile accepts, in lower-case hexadecimal digits.
    pub(crate) accepted: Vec<String>,
    pub(crate) ideality: Option<u8>,
    pub(crate) beta: Option<u8>,
}

/// A line of the way up.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct LineStep {
    pub(crate) line: Line,
    pub(crate) role: PinRole,
    pub(crate) settle: Duration,
}

/// Everything that a station consists of.
#[derive(Clone, Debug)]
pub(crate) struct Layout {
    pub(crate) sensors: Vec<SensorSlot>,
    pub(crate) fans: Vec<FanSlot>,
    pub(crate) identities: Vec<Identity>,
    pub(crate) supply: Supply,
    pub(crate) supply_at: Place,
    pub(crate) supply_name: String,
    /// Regulator output over the profile's setting: domains in series where the setting is per chip.
    pub(crate) scale: u32,
    /// Lines that go on, in this order.
    pub(crate) lines: Vec<LineStep>,
    pub(crate) monitors: Vec<Place>,
    /// ADC channels of the controller: index in the profile and what they measure.
    pub(crate) converters: Vec<(usize, ConverterRole)>,
    pub(crate) limits: Limits,
}

/// Longest time from switching a machine's supply on to its full output: a second of rise and the
/// time of its answers.
const PSU_SETTLE: Duration = Duration::from_secs(4);

impl Layout {
    pub(crate) fn new(config: &StationConfig) -> Result<Self, ConfigError> {
        let profile = &*config.profile;
        check(config, profile)?;
        let lacking = |what: &str| ConfigError::Lacking {
            model: profile.model.clone(),
            what: what.to_owned(),
        };
        let many = config.boards.len() > 1;
        let (mut sensors, mut identities, mut monitors, mut fan_parts) =
            (Vec::new(), Vec::new(), Vec::new(), Vec::new());
        let mut supplies = Vec::new();
        for (board, part_of) in config.boards.iter().enumerate() {
            for device in profile.devices_for(part_of.revision.as_deref()) {
                // The machine's supply is one for all boards.
                if device.kind == DeviceKind::Psu && board > 0 {
                    continue;
                }
                let (Some(part), Some(address)) =
                    (Part::named(&device.part), device.address_in(part_of.slot))
                else {
                    continue;
                };
                let place = Place {
                    board,
                    bus: device.bus.clone(),
                    address,
                    part,
                };
                let prefix = if many {
                    format!("{} ", part_of.name)
                } else {
                    String::new()
                };
                identities.push(Identity {
                    name: format!("{prefix}{} at {address:#04x}", device.part),
                    place: place.clone(),
                    accepted: device.id.iter().map(|id| id.to_lowercase()).collect(),
                    ideality: device.ideality,
                    beta: device.beta,
                });
                add_sensors(&mut sensors, profile, device, &place, &prefix);
                if drives_fans(part) && board == 0 {
                    fan_parts.extend(device.fans.iter().map(|&fan| (place.clone(), fan)));
                }
                if part == Part::Ina260 {
                    monitors.push(place.clone());
                }
                if let Some(supply) = supply_of(profile, device, part) {
                    supplies.push((supply, place, device.part.clone()));
                }
            }
        }
        number_names(&mut sensors);
        let (supply, supply_at, supply_name) = supplies
            .into_iter()
            .next()
            .ok_or_else(|| lacking("a part that sets the core voltage and can be reached"))?;
        let lines = lines(config, profile);
        if !matches!(supply, Supply::Tps546(_))
            && !lines.iter().any(|line| line.role != PinRole::Vddio)
        {
            return Err(lacking("the line that switches the core supply"));
        }
        let fans = fans(config, profile, fan_parts);
        let scale = match profile.voltage.scope {
            VoltageScope::Chip => u32::from(profile.chain.domains).max(1),
            VoltageScope::Board | VoltageScope::Psu => 1,
        };
        let limits = limits(config, profile, supply, scale, &sensors, &fans)?;
        let converters = match (&profile.bridge, config.control) {
            (Some(bridge), Control::Bridge) => bridge
                .adc
                .iter()
                .enumerate()
                .map(|(index, converter)| (index, converter.role))
                .collect(),
            _ => Vec::new(),
        };
        Ok(Self {
            sensors,
            fans,
            identities,
            supply,
            supply_at,
            supply_name,
            scale,
            lines,
            monitors,
            converters,
            limits,
        })
    }

    /// Voltage at the supply's output for a setting of the profile, mV.
    pub(crate) fn output_mv(&self, setting_mv: u32) -> u32 {
        setting_mv.saturating_mul(self.scale)
    }

    /// Setting of the profile for a voltage at the supply's output, mV.
    pub(crate) fn setting_mv(&self, output_mv: u32) -> f64 {
        f64::from(output_mv) / f64::from(self.scale)
    }
}

/// The same limits for a guard that runs beside one on the board: that one proves the tachs, and both
/// checks together take longer.
pub(crate) fn beside_board_guard(limits: &Limits) -> Limits {
    let mut beside = *limits;
    for fan in beside.fans.iter_mut() {
        fan.tach_proof = false;
    }
    beside.timing.check = limits.timing.check * 2;
    beside
}

fn check(config: &StationConfig, profile: &Profile) -> Result<(), ConfigError> {
    if config.boards.is_empty() {
        return Err(ConfigError::NoBoard);
    }
    if config.boards.len() > 1 && profile.voltage.scope != VoltageScope::Psu {
        return Err(ConfigError::NotShared(profile.model.clone()));
    }
    let slots = match (config.control, &profile.bridge, &profile.linux) {
        (Control::Bridge, Some(bridge), _) => usize::from(bridge.boards),
        (Control::Linux, _, Some(linux)) => linux.boards.len(),
        (control, ..) => {
            let why = profile.control_gap(control).unwrap_or_else(|| {
                format!(
                    "{} has no controller that a station could use",
                    profile.model
                )
            });
            return Err(ConfigError::Control(why));
        }
    };
    for (index, board) in config.boards.iter().enumerate() {
        let twice = config.boards[..index].iter().any(|b| b.slot == board.slot);
        if twice || usize::from(board.slot) >= slots {
            return Err(ConfigError::Slot(board.slot));
        }
    }
    if matches!(
        config.cooling.mode,
        crate::cooling::Mode::Immersion { confirmed: false }
    ) {
        return Err(ConfigError::Unconfirmed);
    }
    Ok(())
}

fn add_sensors(
    sensors: &mut Vec<SensorSlot>,
    profile: &Profile,
    device: &Device,
    place: &Place,
    prefix: &str,
) {
    let cooling_hot = profile.cooling.hot_c;
    for sensor in &device.sensors {
        let what = match sensor.kind {
            SensorKind::Chip => "chip",
            SensorKind::Board => "board",
            SensorKind::Regulator => "regulator",
            SensorKind::Inlet => "inlet air",
        };
        sensors.push(SensorSlot {
            name: format!("{prefix}{what}"),
            kind: sensor.kind,
            place: place.clone(),
            channel: sensor.channel,
            offset_centi: (sensor.offset_k * 100.0).round() as i32,
            needs_power: sensor.needs_power,
            estimate: sensor.is_estimate(),
            limit_c: profile.limit_c(sensor.kind),
            shift_k: profile.hot_c(sensor.kind).map(|hot| cooling_hot - hot),
        });
    }
}

/// Sensors of one name are counted.
fn number_names(sensors: &mut [SensorSlot]) {
    for index in 0..sensors.len() {
        let name = sensors[index].name.clone();
        let same: Vec<usize> = (index..sensors.len())
            .filter(|&other| sensors[other].name == name)
            .collect();
        if same.len() > 1 {
            for (number, other) in same.into_iter().enumerate() {
                sensors[other].name = format!("{name} {}", number + 1);
            }
        }
    }
}

fn supply_of(profile: &Profile, device: &Device, part: Part) -> Option<Supply> {
    match part {
        Part::Tps546 => {
            let config = match device.init? {
                RegulatorInit::Bitaxe5v => tps546::Config::BITAXE_5V,
                RegulatorInit::BitaxeHex => tps546::Config::BITAXE_HEX,
                RegulatorInit::BitaxeGt => tps546::Config::BITAXE_GT,
            };
            Some(Supply::Tps546(config))
        }
        Part::Tps53647 | Part::Tps53667 => {
            let base = if part == Part::Tps53647 {
                tps536x7::Config::NERDQAXE_PP
            } else {
                tps536x7::Config::NERDOCTAXE_GAMMA
            };
            let phases = device.phases.unwrap_or(base.phases);
            let iout_max_a = match profile.limits.current_a {
                Some(amperes) => (amperes.ceil() as u16)
                    .saturating_add(5)
                    .min(base.iout_max_a),
                None => base.iout_max_a,
            };
            Some(Supply::Tps536x7(tps536x7::Config {
                phases,
                iout_max_a,
                ..base
            }))
        }
        Part::Ds4432u => {
            let feedback = device.feedback?;
            let network = ds4432u::Network {
                reference_mv: feedback.reference_mv.round() as u32,
                top_ohm: feedback.upper_ohm.round() as u32,
                bottom_ohm: feedback.lower_ohm.round() as u32,
                full_scale_na: (feedback.full_scale_ua * 1000.0).round() as u32,
            };
            let output = match device.channel {
                Some(1) => ds4432u::Output::One,
                _ => ds4432u::Output::Zero,
            };
            Some(Supply::Dac(network, output))
        }
        Part::Apw => Some(Supply::Psu),
        _ => None,
    }
}

fn lines(config: &StationConfig, profile: &Profile) -> Vec<LineStep> {
    let settle = |ms: u32| Duration::from_millis(ms.into());
    let (mut own, mut shared) = (Vec::new(), Vec::new());
    match config.control {
        Control::Bridge => {
            let Some(bridge) = &profile.bridge else {
                return own;
            };
            for (board, _) in config.boards.iter().enumerate() {
                let enables = bridge
                    .enables
                    .iter()
                    .filter(|enable| enable.role != PinRole::Psu);
                own.extend(enables.enumerate().map(|(index, enable)| LineStep {
                    line: Line::Enable { board, index },
                    role: enable.role,
                    settle: settle(enable.settle_ms),
                }));
            }
            let enables = bridge
                .enables
                .iter()
                .filter(|enable| enable.role == PinRole::Psu);
            shared.extend(enables.enumerate().map(|(index, enable)| LineStep {
                line: Line::Shared { index },
                role: enable.role,
                settle: settle(enable.settle_ms),
            }));
        }
        Control::Linux => {
            let Some(linux) = &profile.linux else {
                return own;
            };
            for (board, part_of) in config.boards.iter().enumerate() {
                let Some(slot) = linux.boards.get(usize::from(part_of.slot)) else {
                    continue;
                };
                own.extend(
                    slot.enables
                        .iter()
                        .enumerate()
                        .map(|(index, enable)| LineStep {
                            line: Line::Enable { board, index },
                            role: enable.role,
                            settle: settle(enable.settle_ms),
                        }),
                );
            }
            shared.extend(
                linux
                    .enables
                    .iter()
                    .enumerate()
                    .map(|(index, enable)| LineStep {
                        line: Line::Shared { index },
                        role: enable.role,
                        settle: settle(enable.settle_ms),
                    }),
            );
        }
        Control::External => {}
    }
    // Rails of inputs and outputs before the core, in the profile's order otherwise.
    let mut all = shared;
    all.extend(own);
    all.sort_by_key(|step| step.role != PinRole::Vddio);
    all
}

fn fans(config: &StationConfig, profile: &Profile, devices: Vec<(Place, u8)>) -> Vec<FanSlot> {
    let count = usize::from(profile.cooling.fans);
    let on_device = match (config.control, &profile.bridge) {
        (Control::Bridge, Some(bridge)) => bridge.fans == BridgeFans::Device,
        _ => profile
            .linux
            .as_ref()
            .is_none_or(|linux| linux.fans.is_empty()),
    };
    let places: Vec<FanAt> = if on_device {
        devices
            .into_iter()
            .take(count)
            .map(|(place, channel)| FanAt::Device(place, channel))
            .collect()
    } else {
        (0..count).map(FanAt::Controller).collect()
    };
    let many = places.len() > 1;
    places
        .into_iter()
        .enumerate()
        .map(|(index, at)| FanSlot {
            name: if many {
                format!("fan {}", index + 1)
            } else {
                "fan".to_owned()
            },
            at,
        })
        .collect()
}

fn limits(
    config: &StationConfig,
    profile: &Profile,
    supply: Supply,
    scale: u32,
    sensors: &[SensorSlot],
    fans: &[FanSlot],
) -> Result<Limits, ConfigError> {
    let refused = |reason: String| ConfigError::Limits {
        model: profile.model.clone(),
        reason,
    };
    let boards = config.boards.len() as f64;
    let max_voltage = Millivolts(profile.voltage.max_mv.saturating_mul(scale));
    let max_frequency = Kilohertz((profile.frequency.max_mhz * 1000.0).round() as u32);
    let mut limits = Limits::new(max_frequency, max_voltage);
    for sensor in sensors {
        let mut slot = match sensor.limit_c {
            Some(limit) => SensorLimits::new(kind_of(sensor.kind), centi(limit)),
            None => SensorLimits {
                // Air has no limit of its own: far above anything that a room can be.
                required: false,
                ..SensorLimits::new(guard::SensorKind::Ambient, centi(70.0))
            },
        };
        if let Some(shift) = sensor.shift_k {
            slot.hot = centi(profile.cooling.hot_c - shift);
        }
        slot.needs_power = sensor.needs_power;
        slot.frozen_after = SensorLimits::frozen_after(CentiCelsius(temperature_step(
            sensor.place.part,
            sensor.channel,
        )));
        limits
            .sensors
            .push(slot)
            .map_err(|full| refused(format!("temperature sensors: {full}")))?;
    }
    let cooling = &profile.cooling;
    for _ in fans {
        let mut slot = FanLimits::new(Rpm(cooling.max_rpm));
        slot.dead_band = Percent::new(cooling.dead_band_percent);
        slot.tolerance = Percent::new(cooling.tolerance_percent);
        slot.spin_up = Duration::try_from_secs_f64(cooling.spin_up_s).unwrap_or(slot.spin_up);
        slot.tach_proof = cooling.tach_proof;
        limits
            .fans
            .push(slot)
            .map_err(|full| refused(format!("fans: {full}")))?;
    }
    let mut core = RailLimits::core(max_voltage);
    core.max_current = profile
        .limits
        .current_a
        .map(|amperes| Milliamps((amperes * 1000.0).round() as u32));
    if supply == Supply::Psu {
        core.settle = PSU_SETTLE;
    }
    limits
        .rails
        .push(core)
        .map_err(|full| refused(full.to_string()))?;
    limits.max_power = Some(Milliwatts(
        (profile.limits.power_w * boards * 1000.0).round() as u32,
    ));
    limits.input = match (profile.limits.input_min_mv, profile.limits.input_max_mv) {
        (Some(low), Some(high)) => Some((Millivolts(low), Millivolts(high))),
        _ => None,
    };
    limits.min_duty = Percent::new(cooling.min_percent);
    limits.check().map_err(|error| refused(error.to_string()))?;
    Ok(limits)
}

fn kind_of(kind: SensorKind) -> guard::SensorKind {
    match kind {
        SensorKind::Chip => guard::SensorKind::Chip,
        SensorKind::Board => guard::SensorKind::Board,
        SensorKind::Regulator => guard::SensorKind::Regulator,
        SensorKind::Inlet => guard::SensorKind::Ambient,
    }
}

fn centi(celsius: f64) -> CentiCelsius {
    CentiCelsius((celsius * 100.0).round() as i32)
}
