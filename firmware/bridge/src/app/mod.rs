//! The controller's end: the application of a board controller with the guard inside.
//!
//! It reads the board's sensors, fans and rails itself, lets the guard decide, and takes power away without asking
//! anybody. The host brings the board up through the pages that it knows from other firmware, and every write on
//! them passes the guard first: without a grant no supply can be switched on and no chip leaves reset, no voltage
//! can pass its limit, no fan can fall below the floor. Old hosts that never ask for power on our page can read
//! everything and start nothing.
//!
//! It is a state machine without a clock: call [`App::start`] once, then [`App::receive`] and [`App::tick`] with the
//! time, and send what [`App::take_output`] gives.

mod devices;
mod filter;
pub mod hardware;
mod plan;

use core::time::Duration;

use board_devices::emc2101;
use embedded_hal::i2c::I2c as _;
use guard::{
    CentiCelsius, Decision, Event, FanReading, Guard, MAX_FANS, MAX_RAILS, MAX_SENSORS, Percent,
    RailFaults, RailReading, ReadFault, Report, Request as Wish, Slots, Subject,
};

use crate::answer::{MAX_ANSWER, MAX_PAYLOAD, Refusal, UNPARSED_ID};
use crate::app::filter::Verdict;
use crate::extension::{
    Ask, Brief, Capabilities, FanSeen, FaultValues, GuardState, LimitsSummary, RailSeen,
    ReadingKind, Readings, Seen, Writer,
};
use crate::frame::{Incoming, RequestDecoder};
use crate::page::Command;

pub use hardware::{Boot, Broken, Hardware, Parts};
pub use plan::{
    FanPlan, MAX_PINS, PinPlan, PinRole, Plan, PlanError, RailPlan, SensorPlan, SensorSource,
};

/// How often the application looks at the board. Well below the guard's shortest deadline.
pub const POLL: Duration = Duration::from_millis(500);

/// Answers that wait for [`App::take_output`], in bytes. Answers of a host that sends without reading are dropped.
pub const OUTPUT: usize = 4 * MAX_ANSWER;

/// A board controller.
#[derive(Debug)]
pub struct App {
    core: Core,
    decoder: RequestDecoder,
}

/// All but the decoder, so that a request can be borrowed from it while it is being done.
#[derive(Debug)]
struct Core {
    plan: Plan,
    guard: Guard,
    decision: Decision,
    next_poll: Duration,
    /// Set up and identified. Regulators forget when their input fails, so it is done anew before each start.
    prepared: bool,
    /// The host has switched the core on under the present grant.
    energised: bool,
    released: Option<Duration>,
    fans: [Fan; MAX_FANS],
    seen: SeenAll,
    output: [u8; OUTPUT],
    waiting: usize,
    denied: u32,
}

#[derive(Clone, Copy, Debug)]
struct Fan {
    /// What the host asked for last.
    wanted: Percent,
    /// What it was set to last; `None` if that failed or never happened.
    set: Option<Percent>,
}

/// The last readings, for whoever asks.
#[derive(Clone, Copy, Debug)]
struct SeenAll {
    sensors: [Last<CentiCelsius>; MAX_SENSORS],
    fans: [Last<FanReading>; MAX_FANS],
    rails: [Last<RailReading>; MAX_RAILS],
}

#[derive(Clone, Copy, Debug)]
struct Last<T> {
    good: Option<(T, Duration)>,
    failed: bool,
}

impl App {
    /// A controller for a board. It does nothing until [`App::start`].
    ///
    /// # Errors
    ///
    /// The plan makes no sense, see [`PlanError`].
    pub fn new(plan: &Plan) -> Result<Self, PlanError> {
        plan.check()?;
        let mut guard = Guard::new(&plan.limits)?;
        let decision = guard.tick(Duration::ZERO);
        Ok(Self {
            core: Core {
                plan: *plan,
                guard,
                decision,
                next_poll: Duration::ZERO,
                prepared: false,
                energised: false,
                released: None,
                fans: [Fan {
                    wanted: Percent::FULL,
                    set: None,
                }; MAX_FANS],
                seen: SeenAll {
                    sensors: [Last::NEVER; MAX_SENSORS],
                    fans: [Last::NEVER; MAX_FANS],
                    rails: [Last::NEVER; MAX_RAILS],
                },
                output: [0; OUTPUT],
                waiting: 0,
                denied: 0,
            },
            decoder: RequestDecoder::new(),
        })
    }

    /// Puts the board into its safe state: power off, chips in reset, fans at 100 %, parts set up.
    pub fn start(&mut self, now: Duration, hardware: &mut impl Hardware) {
        self.core.cut(now, hardware);
        self.core.next_poll = now;
        self.tick(now, hardware);
    }

    /// Takes bytes from the host.
    pub fn receive(&mut self, now: Duration, hardware: &mut impl Hardware, bytes: &[u8]) {
        let Self { core, decoder } = self;
        let mut input = bytes;
        while let Some(incoming) = decoder.next(now, &mut input) {
            core.incoming(now, hardware, incoming);
        }
        core.decide(now, hardware);
    }

    /// The host opened the control port. Half a request of an earlier host is forgotten.
    pub fn port_opened(&mut self, now: Duration, hardware: &mut impl Hardware) {
        self.decoder.reset();
        self.core.waiting = 0;
        self.tick(now, hardware);
    }

    /// The host closed the control port or died with it (DTR fell, USB was unplugged): power off, fans to 100 %.
    pub fn port_closed(&mut self, now: Duration, hardware: &mut impl Hardware) {
        self.decoder.reset();
        self.core.waiting = 0;
        self.core.guard.report(now, Report::SupervisorGone);
        for fan in &mut self.core.fans {
            fan.wanted = Percent::FULL;
        }
        self.core.decide(now, hardware);
    }

    /// Looks at the board when it is time, lets the guard decide and acts. Returns when to call again at the latest.
    pub fn tick(&mut self, now: Duration, hardware: &mut impl Hardware) -> Duration {
        if now >= self.core.next_poll {
            self.core.poll(now, hardware);
            self.core.next_poll = now.saturating_add(POLL);
        }
        self.core.decide(now, hardware);
        self.core.decision.next.min(self.core.next_poll)
    }

    /// Moves answers to `out` and returns how many bytes.
    pub fn take_output(&mut self, out: &mut [u8]) -> usize {
        let core = &mut self.core;
        let taken = core.waiting.min(out.len());
        if let (Some(to), Some(from)) = (out.get_mut(..taken), core.output.get(..taken)) {
            to.copy_from_slice(from);
        }
        core.output.copy_within(taken..core.waiting, 0);
        core.waiting -= taken;
        taken
    }

    /// What the guard allows since the last call with the time.
    pub fn decision(&self) -> &Decision {
        &self.core.decision
    }

    /// The guard inside, to look at.
    pub fn guard(&self) -> &Guard {
        &self.core.guard
    }

    /// The guard's oldest event that was not polled yet.
    pub fn poll_event(&mut self) -> Option<Event> {
        self.core.guard.poll_event()
    }

    /// How many writes of hosts were refused.
    pub fn denied(&self) -> u32 {
        self.core.denied
    }
}

impl Core {
    fn incoming(&mut self, now: Duration, hardware: &mut impl Hardware, incoming: Incoming<'_>) {
        let mut data = [0; MAX_PAYLOAD];
        let (id, result) = match incoming {
            Incoming::Request(request) => {
                match Command::parse(&request, self.plan.fan_page) {
                    Some(command) => {
                        let result = self.execute(now, hardware, &command, &mut data);
                        if matches!(command, Command::Reboot | Command::BootLoader)
                            && result.is_ok()
                        {
                            return;
                        }
                        (request.id, result)
                    }
                    // Under this id, as other firmware does it.
                    None => (UNPARSED_ID, Err(Refusal::Invalid)),
                }
            }
            Incoming::TooLong { id } => (id, Err(Refusal::Overflow)),
            Incoming::Malformed => (UNPARSED_ID, Err(Refusal::Invalid)),
        };
        let answer = match &result {
            Ok(len) => Ok(data.get(..*len).unwrap_or_default()),
            Err(refusal) => Err(refusal),
        };
        if result.as_ref().is_err_and(Refusal::is_denied) {
            self.denied = self.denied.saturating_add(1);
        }
        let room = self.output.get_mut(self.waiting..).unwrap_or_default();
        if let Some(len) = self.plan.format.emit(id, answer, room) {
            self.waiting += len;
        }
    }

    /// Does one thing and gives the length of its answer in `data`.
    fn execute(
        &mut self,
        now: Duration,
        hardware: &mut impl Hardware,
        command: &Command<'_>,
        data: &mut [u8; MAX_PAYLOAD],
    ) -> Result<usize, Refusal> {
        // Decisions are only as old as the request.
        self.decide(now, hardware);
        let mut writer = Writer { out: data, len: 0 };
        match *command {
            Command::I2cFrequency { bus, hertz } => {
                if !crate::page::I2C_HERTZ.contains(&hertz) {
                    return Err(Refusal::Message("I2C Set Frequency Error".into()));
                }
                hardware.set_i2c_frequency(bus, hertz).map_err(broken)?;
                writer.u32(hertz);
            }
            Command::I2cWrite { bus, address, data } => {
                self.i2c(now, hardware, bus, address, data, &mut [])?;
                writer.u8(u8::try_from(data.len()).unwrap_or(u8::MAX));
            }
            Command::I2cRead {
                bus,
                address,
                length,
            } => {
                let to = writer.room(length.into()).ok_or(Refusal::Overflow)?;
                self.i2c(now, hardware, bus, address, &[], to)?;
            }
            Command::I2cWriteRead {
                bus,
                address,
                data,
                length,
            } => {
                let to = writer.room(length.into()).ok_or(Refusal::Overflow)?;
                self.i2c(now, hardware, bus, address, data, to)?;
            }
            Command::GpioGet { pin } => {
                self.plan.pin(pin).ok_or(Refusal::Invalid)?;
                writer.u8(u8::from(hardware.pin(pin).map_err(broken)?));
            }
            Command::GpioSet { pin, level } => {
                self.set_pin(now, hardware, pin, level)?;
                writer.u8(u8::from(hardware.pin(pin).map_err(broken)?));
            }
            Command::Adc(input) => {
                let counts = hardware.adc(input).map_err(broken)?;
                writer.bytes(&counts.to_le_bytes());
            }
            Command::Led { red, green, blue } => {
                hardware.set_led(red, green, blue).map_err(broken)?;
                writer.bytes(&[red, green, blue]);
            }
            Command::FanSet { fan, percent } => {
                self.want_duty(now, hardware, fan.into(), percent)?;
                writer.u8(0);
            }
            Command::FanTach { fan } => {
                let plan = *self.plan.fans.get(fan.into()).ok_or(Refusal::Invalid)?;
                let reading =
                    devices::fan(hardware, &plan, Percent::ZERO).map_err(|_| Refusal::Fault)?;
                let rpm = reading.rpm.0;
                match self.plan.fan_page {
                    crate::page::FanPage::Duty => writer.u32(rpm),
                    _ => writer.bytes(&u16::try_from(rpm).unwrap_or(u16::MAX).to_le_bytes()),
                }
            }
            Command::Reboot => self.reboot(now, hardware, Boot::Firmware),
            Command::BootLoader => self.reboot(now, hardware, Boot::Loader),
            Command::Extension(ask) => self.ask(now, hardware, &ask, &mut writer)?,
        }
        Ok(writer.len)
    }

    fn i2c(
        &mut self,
        now: Duration,
        hardware: &mut impl Hardware,
        bus: u8,
        address: u8,
        write: &[u8],
        read: &mut [u8],
    ) -> Result<(), Refusal> {
        let mut i2c = hardware.i2c(bus).ok_or(Refusal::Invalid)?;
        let mut write = write;
        match filter::judge(&self.plan, &self.decision, &mut i2c, bus, address, write) {
            Verdict::Pass => {}
            // Not written again. Naming the register is enough to notice a part that has vanished.
            Verdict::Held => write = write.get(..1).unwrap_or_default(),
            Verdict::Duty { .. } | Verdict::Core { .. } if !read.is_empty() => {
                return Err(Refusal::denied("write and read are asked for apart"));
            }
            Verdict::Duty { fan, percent } => {
                drop(i2c);
                return self.want_duty(now, hardware, fan, percent);
            }
            Verdict::Core { on } => {
                i2c.write(address, write)
                    .map_err(|_| Refusal::Message("I2C Write Error".into()))?;
                drop(i2c);
                self.core_switched(now, on);
                return Ok(());
            }
            Verdict::Deny(reason) => return Err(Refusal::denied(reason)),
        }
        match (write.is_empty(), read.is_empty()) {
            (_, true) => i2c
                .write(address, write)
                .map_err(|_| Refusal::Message("I2C Write Error".into())),
            (true, false) => i2c
                .read(address, read)
                .map_err(|_| Refusal::Message("I2C Read Error".into())),
            (false, false) => i2c
                .write_read(address, write, read)
                .map_err(|_| Refusal::Message("I2C WriteRead Error".into())),
        }
    }

    fn set_pin(
        &mut self,
        now: Duration,
        hardware: &mut impl Hardware,
        pin: u8,
        level: bool,
    ) -> Result<(), Refusal> {
        let plan = *self.plan.pin(pin).ok_or(Refusal::Invalid)?;
        if plan.role == PinRole::Input {
            return Err(Refusal::denied("this pin is an input"));
        }
        if plan.needs_grant(level) && !self.decision.power {
            return Err(Refusal::denied("no power grant"));
        }
        if plan.role == PinRole::Core
            && plan.needs_grant(level)
            && !devices::set_within_limit(&self.plan, hardware)
        {
            // What the divider gives by itself may be more than the chips may have.
            return Err(Refusal::denied("voltage above the limit"));
        }
        if plan.role == PinRole::Reset {
            let out = level != plan.active_high;
            match (out, self.released) {
                (true, None) => self.released = Some(now),
                (true, Some(_)) => {}
                (false, _) => self.released = None,
            }
        }
        hardware.set_pin(pin, level).map_err(broken)?;
        if plan.role == PinRole::Core {
            self.core_switched(now, level == plan.active_high);
        }
        Ok(())
    }

    /// The host has switched the core. Switching off what was on gives the grant back: a regulator that is off under a
    /// grant would be a fault.
    fn core_switched(&mut self, now: Duration, on: bool) {
        if on {
            self.energised = true;
        } else if self.energised {
            // Off is never refused.
            let _ = self.guard.request(now, Wish::Off);
        }
    }

    fn want_duty(
        &mut self,
        now: Duration,
        hardware: &mut impl Hardware,
        fan: usize,
        percent: u8,
    ) -> Result<(), Refusal> {
        if self.plan.fans.get(fan).is_none() {
            return Err(Refusal::Invalid);
        }
        if let Some(fan) = self.fans.get_mut(fan) {
            fan.wanted = Percent::new(percent);
        }
        self.set_fans(now, hardware, false);
        match self.fans.get(fan) {
            Some(Fan { set: Some(_), .. }) => Ok(()),
            _ => Err(Refusal::Fault),
        }
    }

    fn ask(
        &mut self,
        now: Duration,
        hardware: &mut impl Hardware,
        ask: &Ask,
        writer: &mut Writer<'_>,
    ) -> Result<(), Refusal> {
        let wish = match *ask {
            Ask::Capabilities => {
                Capabilities::of(self.guard.limits()).emit(writer);
                return Ok(());
            }
            Ask::State => {
                self.guard_state(now).emit(writer);
                return Ok(());
            }
            Ask::Limits => {
                LimitsSummary::of(self.guard.limits()).emit(writer);
                return Ok(());
            }
            Ask::Readings(kind) => {
                self.readings(now, kind).emit(writer);
                return Ok(());
            }
            Ask::Heartbeat => {
                self.guard.heartbeat(now);
                None
            }
            Ask::Clear(code) => Some(Wish::Clear(code)),
            Ask::Power(Some(point)) => {
                if !self.decision.power {
                    self.prepare(now, hardware);
                }
                // Whoever asks for power is alive.
                self.guard.heartbeat(now);
                Some(Wish::On(point))
            }
            Ask::Power(None) => Some(Wish::Off),
            Ask::SetPoint(point) => Some(Wish::SetPoint(point)),
            Ask::Cooling(mode) => Some(Wish::Cooling {
                mode,
                confirmed: true,
            }),
        };
        if let Some(wish) = wish {
            self.guard.request(now, wish).map_err(|refusal| {
                use core::fmt::Write as _;
                let mut reason = crate::Text::EMPTY;
                // Writing to a text cuts instead of failing.
                let _ = write!(reason, "{refusal}");
                Refusal::denied(reason.as_str())
            })?;
        }
        self.decide(now, hardware);
        self.brief().emit(writer);
        Ok(())
    }

    fn brief(&self) -> Brief {
        Brief {
            state: self.decision.state,
            power: self.decision.power,
            fan_floor: self.decision.fan_floor,
            fan_ceiling: self.decision.fan_ceiling,
            fault: self.decision.fault.map(|fault| fault.code),
        }
    }

    fn guard_state(&self, now: Duration) -> GuardState {
        GuardState {
            brief: self.brief(),
            max_frequency: self.decision.max_frequency,
            max_voltage: self.decision.max_voltage,
            retry_in: self.decision.retry_at.map(|at| at.saturating_sub(now)),
            wanted: self.guard.set_point(),
            cooling: self.guard.cooling(),
            fault: self.decision.fault.map(|fault| FaultValues {
                code: fault.code,
                subject: fault.subject,
                value: fault.value,
                limit: fault.limit,
                cause: fault.cause,
                age: now.saturating_sub(fault.at),
            }),
        }
    }

    fn readings(&self, now: Duration, kind: ReadingKind) -> Readings {
        match kind {
            ReadingKind::Sensors => Readings::Sensors(seen(
                &self.seen.sensors,
                self.plan.sensors.len(),
                now,
                |value| value,
            )),
            ReadingKind::Fans => {
                Readings::Fans(seen(&self.seen.fans, self.plan.fans.len(), now, |fan| {
                    FanSeen {
                        rpm: fan.rpm,
                        duty: fan.duty,
                    }
                }))
            }
            ReadingKind::Rails => {
                Readings::Rails(seen(&self.seen.rails, self.plan.rails.len(), now, |rail| {
                    RailSeen {
                        on: rail.on,
                        voltage: rail.voltage,
                        current: rail.current,
                        power: rail.power,
                        input: rail.input,
                        faults: rail.faults,
                    }
                }))
            }
        }
    }

    /// Looks at everything once.
    fn poll(&mut self, now: Duration, hardware: &mut impl Hardware) {
        if !self.decision.power {
            self.cut(now, hardware);
            if !self.prepared {
                self.prepare(now, hardware);
            }
        }
        for (index, fan) in self.plan.fans.iter().enumerate() {
            let set = self.fans.get(index).and_then(|fan| fan.set);
            let reading = match set {
                // A fan that could not be set is not known to obey.
                None if matches!(fan, FanPlan::Pwm { .. }) => Err(ReadFault::Failed),
                set => devices::fan(hardware, fan, set.unwrap_or(Percent::ZERO)),
            };
            note(&mut self.seen.fans, index, now, reading);
            self.guard.fan(now, index, reading);
        }
        for (index, sensor) in self.plan.sensors.iter().enumerate() {
            let needs_power = self
                .plan
                .limits
                .sensors
                .get(index)
                .is_some_and(|limits| limits.needs_power);
            if needs_power && !self.chips_live(now) {
                continue;
            }
            let reading = devices::sensor(&self.plan, hardware, sensor);
            note(&mut self.seen.sensors, index, now, reading);
            self.guard.sensor(now, index, reading);
        }
        for (index, rail) in self.plan.rails.iter().enumerate() {
            let mut reading = devices::rail(&self.plan, hardware, rail);
            let lost = match &reading {
                Ok(reading) => reading.faults.contains(RailFaults::INPUT),
                Err(_) => true,
            };
            if lost && !self.decision.power {
                self.prepared = false;
            }
            // No start with a regulator that is not set up: its divider decides what a voltage means.
            if !self.prepared && !self.decision.power {
                reading = Err(ReadFault::Failed);
            }
            note(&mut self.seen.rails, index, now, reading);
            self.guard.rail(now, index, reading);
        }
    }

    /// Lets the guard decide, and does it.
    fn decide(&mut self, now: Duration, hardware: &mut impl Hardware) {
        let before = self.decision;
        self.decision = self.guard.tick(now);
        if before.power && !self.decision.power {
            self.cut(now, hardware);
            self.prepared = false;
        }
        self.set_fans(now, hardware, false);
    }

    fn cut(&mut self, now: Duration, hardware: &mut impl Hardware) {
        self.released = None;
        self.energised = false;
        devices::cut(&self.plan, hardware, &mut self.guard, now);
    }

    /// Sets regulators and fan controllers up, with power off.
    fn prepare(&mut self, now: Duration, hardware: &mut impl Hardware) {
        let mut done = true;
        for (index, rail) in self.plan.rails.iter().enumerate() {
            if let Err(found) = devices::configure(hardware, index, rail) {
                done = false;
                if let Some(report) = found {
                    self.guard.report(now, report);
                }
            }
        }
        done &= self.set_fans(now, hardware, true);
        self.prepared = done;
    }

    /// Brings every fan to what the host wants, within the guard's bounds. `true` if all obey.
    fn set_fans(&mut self, now: Duration, hardware: &mut impl Hardware, init: bool) -> bool {
        let mut all = true;
        for (index, (fan, plan)) in self.fans.iter_mut().zip(self.plan.fans.iter()).enumerate() {
            let duty = fan
                .wanted
                .max(self.decision.fan_floor)
                .min(self.decision.fan_ceiling);
            if fan.set == Some(duty) && !init {
                continue;
            }
            match devices::set_fan(hardware, plan, duty, init) {
                Ok(()) => fan.set = Some(duty),
                Err(reason) => {
                    fan.set = None;
                    all = false;
                    // Later a missing acknowledge may be noise; the guard counts how long no reading comes.
                    if init && reason == ReadFault::Absent {
                        let subject = Subject::Fan(u8::try_from(index).unwrap_or(u8::MAX));
                        self.guard.report(now, Report::Absent { subject });
                    }
                }
            }
        }
        all
    }

    /// Whether sensors inside the chips can be believed.
    fn chips_live(&self, now: Duration) -> bool {
        match self.plan.pin_of(PinRole::Reset) {
            Some(_) => self
                .released
                .is_some_and(|at| now.saturating_sub(at) >= emc2101::DIODE_SETTLE),
            None => self.decision.power,
        }
    }

    fn reboot(&mut self, now: Duration, hardware: &mut impl Hardware, boot: Boot) {
        self.guard.report(now, Report::SupervisorGone);
        self.decision = self.guard.tick(now);
        self.cut(now, hardware);
        self.set_fans(now, hardware, false);
        hardware.reboot(boot);
    }
}

impl<T> Last<T> {
    const NEVER: Self = Self {
        good: None,
        failed: false,
    };
}

fn note<T: Copy>(all: &mut [Last<T>], index: usize, now: Duration, reading: Result<T, ReadFault>) {
    if let Some(last) = all.get_mut(index) {
        last.failed = reading.is_err();
        if let Ok(value) = reading {
            last.good = Some((value, now));
        }
    }
}

fn seen<T: Copy, U: Copy, const N: usize>(
    all: &[Last<T>; N],
    count: usize,
    now: Duration,
    map: impl Fn(T) -> U,
) -> Slots<Seen<U>, N> {
    let mut slots = Slots::new();
    for last in all.iter().take(count) {
        // Both have the same capacity.
        let _ = slots.push(Seen {
            value: last
                .good
                .map(|(value, at)| (map(value), now.saturating_sub(at))),
            failed: last.failed,
        });
    }
    slots
}

fn broken(error: Broken) -> Refusal {
    match error {
        Broken::Missing => Refusal::Invalid,
        Broken::Failed => Refusal::Message("hardware error".into()),
    }
}
