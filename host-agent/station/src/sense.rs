//! What the station knows of its hardware: the last good value of everything with its age, and why the
//! latest attempt failed. Every look is told to the guard as it is; nothing is smoothed or filled in.

use std::time::Duration;

use board_profiles::{ConverterRole, PinRole, SensorKind};
use guard::{
    CentiCelsius, FanReading, Guard, Milliamps, Millivolts, Milliwatts, Percent, RailReading,
    ReadFault, Rpm,
};

use crate::{
    buses::Buses,
    layout::{FanAt, FanSlot, Layout, SensorSlot},
    parts::{self, Supply, SupplyReading, Trouble},
    psu::{Progress, Psu},
};

/// A value with its age, or why there is none.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Channel {
    pub(crate) value: Option<f64>,
    pub(crate) at: Duration,
    pub(crate) trouble: Option<String>,
}

impl Channel {
    fn good(&mut self, now: Duration, value: f64) {
        self.value = Some(value);
        self.at = now;
        self.trouble = None;
    }

    fn bad(&mut self, trouble: String) {
        self.trouble = Some(trouble);
    }

    fn clear(&mut self) {
        *self = Self::default();
    }

    /// The value if it is not older than `age`.
    pub(crate) fn fresh(&self, now: Duration, age: Duration) -> Option<f64> {
        self.value
            .filter(|_| self.trouble.is_none() && now.saturating_sub(self.at) <= age)
    }
}

/// A fan as it is known.
#[derive(Clone, Debug, Default)]
pub(crate) struct FanState {
    pub(crate) rpm: Channel,
    /// Duty that it was told, %.
    pub(crate) told: Option<u8>,
    told_at: Duration,
    /// Why it could not be told.
    pub(crate) trouble: Option<String>,
}

/// A reading may be this old to count in cooling.
pub(crate) const FRESH: Duration = Duration::from_secs(3);

/// Fans are told their duty again after this long even if it is the same, for a controller that
/// forgot it.
const FAN_REFRESH: Duration = Duration::from_secs(10);

/// What comes out of a switching regulator of what goes in, for an estimate of the input power;
/// typical of the part's data sheet at these loads.
const REGULATOR_EFFICIENCY: f64 = 0.9;

/// Everything that is known of the hardware.
#[derive(Clone, Debug)]
pub(crate) struct Sense {
    pub(crate) sensors: Vec<Channel>,
    pub(crate) fans: Vec<FanState>,
    /// Core supply output, mV.
    pub(crate) output_mv: Channel,
    /// The output is measured, not a setting read back.
    pub(crate) output_measured: bool,
    /// Core supply current, A.
    pub(crate) output_a: Channel,
    /// Input voltage, mV.
    pub(crate) input_mv: Channel,
    /// Input power, W.
    pub(crate) input_w: Channel,
    pub(crate) input_measured: bool,
    /// Whether the core supply says that it is on.
    pub(crate) core_on: Option<bool>,
    pub(crate) core_seen: Duration,
    /// The port was found gone in this round: nobody else is asked before the next.
    gone: Option<Trouble>,
}

impl Sense {
    pub(crate) fn new(layout: &Layout) -> Self {
        Self {
            sensors: vec![Channel::default(); layout.sensors.len()],
            fans: vec![FanState::default(); layout.fans.len()],
            output_mv: Channel::default(),
            output_measured: false,
            output_a: Channel::default(),
            input_mv: Channel::default(),
            input_w: Channel::default(),
            input_measured: false,
            core_on: None,
            core_seen: Duration::ZERO,
            gone: None,
        }
    }

    /// Begins a round of readings.
    pub(crate) fn begin(&mut self) {
        self.gone = None;
    }

    /// Asks, unless the port was found gone in this round.
    fn ask<T>(
        gone: &mut Option<Trouble>,
        access: impl FnOnce() -> Result<T, Trouble>,
    ) -> Result<T, Trouble> {
        if let Some(trouble) = gone {
            return Err(trouble.clone());
        }
        let result = access();
        if let Err(trouble) = &result
            && trouble.gone
        {
            *gone = Some(trouble.clone());
        }
        result
    }

    /// Reads all temperatures. Sensors that mean nothing without power are left out while `powered`
    /// is false.
    pub(crate) fn temperatures(
        &mut self,
        now: Duration,
        layout: &Layout,
        buses: &mut dyn Buses,
        guard: &mut Guard,
        powered: bool,
    ) {
        let mut readings = Vec::with_capacity(layout.sensors.len());
        for slot in &layout.sensors {
            let read = powered || !slot.needs_power;
            readings.push(read.then(|| {
                Self::ask(&mut self.gone, || {
                    parts::temperature(buses, &slot.place, slot.channel)
                })
            }));
        }
        let coldest = coldest_board(layout, &readings);
        for (index, (slot, channel)) in layout.sensors.iter().zip(&mut self.sensors).enumerate() {
            match readings.get_mut(index).and_then(Option::take) {
                Some(reading) => {
                    let told = temperature(now, slot, channel, reading, coldest);
                    guard.sensor(now, index, told);
                }
                None => channel.clear(),
            }
        }
    }

    /// Reads all fans.
    pub(crate) fn fan_speeds(
        &mut self,
        now: Duration,
        layout: &Layout,
        buses: &mut dyn Buses,
        guard: &mut Guard,
    ) {
        for (index, (slot, fan)) in layout.fans.iter().zip(&mut self.fans).enumerate() {
            let told = fan.told.unwrap_or(0);
            let reading = Self::ask(&mut self.gone, || match &slot.at {
                FanAt::Device(place, channel) => parts::fan(buses, place, *channel),
                FanAt::Controller(index) => Ok((buses.fan_rpm(*index)?, told)),
            });
            let told = match reading {
                Ok((rpm, duty)) => {
                    fan.rpm.good(now, f64::from(rpm));
                    Ok(FanReading {
                        rpm: Rpm(rpm),
                        duty: Percent::new(duty),
                    })
                }
                Err(trouble) => {
                    fan.rpm.bad(trouble.text);
                    Err(trouble.fault)
                }
            };
            guard.fan(now, index, told);
        }
    }

    /// Tells fans their duty where it changed, failed before or was told long ago. Gives the fans
    /// that did not take it: which, what was read and what was written.
    pub(crate) fn tell_fans(
        &mut self,
        now: Duration,
        layout: &Layout,
        buses: &mut dyn Buses,
        percent: u8,
    ) -> Vec<(usize, Option<(u32, u32)>)> {
        let mut refused = Vec::new();
        for (index, (slot, fan)) in layout.fans.iter().zip(&mut self.fans).enumerate() {
            let known = fan.told == Some(percent) && fan.trouble.is_none();
            if known && now.saturating_sub(fan.told_at) < FAN_REFRESH {
                continue;
            }
            match Self::ask(&mut self.gone, || tell_fan(slot, buses, percent)) {
                Ok(()) => {
                    fan.told = Some(percent);
                    fan.told_at = now;
                    fan.trouble = None;
                }
                Err(trouble) => {
                    refused.push((index, trouble.mismatch));
                    fan.trouble = Some(trouble.text);
                }
            }
        }
        refused
    }

    /// Reads the core supply and what feeds it.
    pub(crate) fn rail(
        &mut self,
        now: Duration,
        layout: &Layout,
        buses: &mut dyn Buses,
        guard: &mut Guard,
    ) {
        if layout.supply == Supply::Psu {
            // It speaks when it has something to say; see `psu`.
            return;
        }
        let mut gone = self.gone.take();
        let reading = Self::ask(&mut gone, || {
            parts::supply_read(buses, &layout.supply_at, layout.supply)
        });
        self.gone = gone;
        let reading = reading
            .and_then(|reading| self.with_lines(layout, buses, reading))
            .map(|reading| with_converters(layout, buses, reading));
        self.take_rail(now, layout, buses, guard, reading);
    }

    /// Goes on with the talk with a machine's power supply. Gives what went wrong.
    pub(crate) fn psu(
        &mut self,
        now: Duration,
        layout: &Layout,
        buses: &mut dyn Buses,
        guard: &mut Guard,
        psu: &mut Psu,
    ) -> Option<Trouble> {
        match psu.step(now, buses) {
            Progress::None => None,
            Progress::Voltage(mv) => {
                let reading = SupplyReading {
                    output_mv: Some(mv),
                    ..SupplyReading::default()
                };
                let reading = self.with_lines(layout, buses, reading).map(|mut reading| {
                    if reading.on == Some(false) {
                        // What it says is a setting; its output is off.
                        reading.output_mv = Some(0);
                    }
                    reading
                });
                self.take_rail(now, layout, buses, guard, reading);
                None
            }
            Progress::Trouble(trouble) => {
                self.take_rail(now, layout, buses, guard, Err(trouble.clone()));
                Some(trouble)
            }
        }
    }

    /// Looks at the lines of a machine's supply without asking it, which takes time.
    pub(crate) fn lines_of_psu(&mut self, layout: &Layout, buses: &mut dyn Buses) {
        if layout.supply != Supply::Psu {
            return;
        }
        if let Ok(reading) = self.with_lines(layout, buses, SupplyReading::default()) {
            self.core_on = reading.on;
        }
    }

    /// A supply that is switched by lines is on if all of them are.
    fn with_lines(
        &mut self,
        layout: &Layout,
        buses: &mut dyn Buses,
        mut reading: SupplyReading,
    ) -> Result<SupplyReading, Trouble> {
        let mut lines = None;
        for step in layout.lines.iter().filter(|s| s.role != PinRole::Vddio) {
            let on = buses.line(step.line)?;
            lines = Some(lines.unwrap_or(true) && on);
        }
        if let Some(lines) = lines {
            reading.on = Some(lines && reading.on.unwrap_or(true));
        }
        Ok(reading)
    }

    fn take_rail(
        &mut self,
        now: Duration,
        layout: &Layout,
        buses: &mut dyn Buses,
        guard: &mut Guard,
        reading: Result<SupplyReading, Trouble>,
    ) {
        let reading = match reading {
            Ok(reading) => reading,
            Err(trouble) => {
                for channel in [&mut self.output_mv, &mut self.output_a, &mut self.input_mv] {
                    channel.bad(trouble.text.clone());
                }
                guard.rail(now, 0, Err(trouble.fault));
                return;
            }
        };
        self.core_on = reading.on;
        self.core_seen = now;
        self.output_measured = reading.measured;
        if let Some(mv) = reading.output_mv {
            self.output_mv.good(now, f64::from(mv));
        }
        if let Some(ma) = reading.output_ma {
            self.output_a.good(now, f64::from(ma) / 1000.0);
        }
        let mut input_mv = reading.input_mv;
        let mut input_mw = reading
            .output_mw
            .map(|mw| (f64::from(mw) / REGULATOR_EFFICIENCY).round() as u32);
        self.input_measured = false;
        let mut meters = Vec::new();
        for place in &layout.monitors {
            match parts::input_power(buses, place) {
                Ok(power) => meters.push(power),
                Err(trouble) => {
                    self.input_w.bad(trouble.text.clone());
                    guard.rail(now, 0, Err(trouble.fault));
                    return;
                }
            }
        }
        if let Some((mv, _)) = meters.first() {
            input_mv = Some(*mv);
            input_mw = Some(meters.iter().map(|(_, mw)| *mw).sum());
            self.input_measured = true;
        }
        if let Some(mv) = input_mv {
            self.input_mv.good(now, f64::from(mv));
        }
        if let Some(mw) = input_mw {
            self.input_w.good(now, f64::from(mw) / 1000.0);
        }
        guard.rail(
            now,
            0,
            Ok(RailReading {
                on: reading.on,
                voltage: reading.output_mv.map(Millivolts),
                current: reading.output_ma.map(Milliamps),
                power: input_mw.map(Milliwatts),
                input: input_mv.map(Millivolts),
                faults: reading.faults,
            }),
        );
    }

    /// The hottest temperature on the scale of the cooling target's sensor and which sensor it is.
    /// None if a sensor that has to be known is not.
    pub(crate) fn hottest(
        &self,
        now: Duration,
        layout: &Layout,
        powered: bool,
    ) -> Option<(f64, usize)> {
        let mut hottest: Option<(f64, usize)> = None;
        for (index, (slot, channel)) in layout.sensors.iter().zip(&self.sensors).enumerate() {
            let Some(shift) = slot.shift_k else {
                continue;
            };
            match channel.fresh(now, FRESH) {
                Some(celsius) => {
                    let scaled = celsius + shift;
                    if hottest.is_none_or(|(top, _)| scaled > top) {
                        hottest = Some((scaled, index));
                    }
                }
                None if slot.needs_power && !powered => {}
                None => return None,
            }
        }
        hottest
    }

    /// The core supply says that it is on, or shows a voltage.
    pub(crate) fn seems_on(&self, layout: &Layout) -> bool {
        let off_below = layout
            .limits
            .rails
            .get(0)
            .map_or(0.0, |rail| f64::from(rail.off_below.0));
        let voltage = self
            .output_mv
            .value
            .filter(|_| self.output_measured)
            .map(|mv| mv > off_below);
        // What is measured counts more than what the part says of itself.
        voltage.or(self.core_on).unwrap_or(false)
    }
}

fn tell_fan(slot: &FanSlot, buses: &mut dyn Buses, percent: u8) -> Result<(), Trouble> {
    match &slot.at {
        FanAt::Device(place, channel) => parts::set_fan(buses, place, *channel, percent),
        FanAt::Controller(index) => Ok(buses.set_fan(*index, percent)?),
    }
}

/// A chip that has power cannot be colder than the board around it by more than this, °C/100; sensors
/// are off by a few kelvins, and air is colder at one end of a board than at the other.
const COLD_CHIP: i32 = 1_500;

/// The coldest place of the boards, °C/100.
fn coldest_board(layout: &Layout, readings: &[Option<Result<i32, Trouble>>]) -> Option<i32> {
    let boards = layout.sensors.iter().zip(readings);
    boards
        .filter(|(slot, _)| slot.kind == SensorKind::Board)
        .filter_map(|(slot, reading)| match reading {
            Some(Ok(raw)) if plausible(*raw) => Some(raw.saturating_add(slot.offset_centi)),
            _ => None,
        })
        .min()
}

fn plausible(raw: i32) -> bool {
    raw != guard::IMPLAUSIBLE_EXACT.0 && raw < guard::IMPLAUSIBLE_FROM.0
}

/// Takes a temperature into its channel and gives what the guard is told. Values that no working
/// sensor gives go to the guard as they came, before any offset could hide them.
fn temperature(
    now: Duration,
    slot: &SensorSlot,
    channel: &mut Channel,
    reading: Result<i32, Trouble>,
    coldest: Option<i32>,
) -> Result<CentiCelsius, ReadFault> {
    let raw = match reading {
        Ok(raw) => raw,
        Err(trouble) => {
            channel.bad(trouble.text);
            return Err(trouble.fault);
        }
    };
    if !plausible(raw) {
        channel.bad(if raw == parts::DIODE_CODE {
            "the sensor's diode is open or shorted".to_owned()
        } else {
            format!("reads {}, which no working sensor does", CentiCelsius(raw))
        });
        return Ok(CentiCelsius(raw));
    }
    let centi = raw.saturating_add(slot.offset_centi);
    if let Some(coldest) = coldest
        && slot.needs_power
        && centi < coldest - COLD_CHIP
    {
        channel.bad(format!(
            "reads {}, while the board around it is at {}",
            CentiCelsius(centi),
            CentiCelsius(coldest)
        ));
        // What the guard knows as no reading at all.
        return Ok(guard::IMPLAUSIBLE_EXACT);
    }
    channel.good(now, f64::from(centi) / 100.0);
    Ok(CentiCelsius(centi))
}

/// Adds what the controller's ADC measures where the parts measure nothing.
fn with_converters(
    layout: &Layout,
    buses: &mut dyn Buses,
    mut reading: SupplyReading,
) -> SupplyReading {
    for &(index, role) in &layout.converters {
        let Ok(mv) = buses.converter_mv(index) else {
            continue;
        };
        match role {
            ConverterRole::Core if reading.output_mv.is_none() => {
                reading.output_mv = Some(mv);
                reading.measured = true;
            }
            ConverterRole::Input if reading.input_mv.is_none() => reading.input_mv = Some(mv),
            _ => {}
        }
    }
    reading
}
