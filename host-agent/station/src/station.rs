//! The station: what is wanted, what the guard grants, and the way between off and running.

use std::{collections::VecDeque, time::Duration};

use board_devices::Presence;
use board_profiles::PinRole;
use guard::{Decision, Guard, Kilohertz, Millivolts, Percent, Report, Request, State, Subject};
use thiserror::Error;

use crate::{
    buses::{BoardGuardState, Buses, Line},
    config::{BoardConfig, ConfigError, StationConfig},
    cooling::{FanControl, FanInput, Mode},
    derate::{Curve, Derate, SetPoint},
    layout::Layout,
    notice,
    parts::{self, Supply, Trouble},
    psu::Psu,
    sense::{FRESH, Sense},
    sequence::{self, RESET_SETTLE, Stage},
    status::{ChainReport, Event, Notice, Severity, Status},
};

mod chains;
mod view;

/// Something that the owner or the user wants, or reports.
#[derive(Clone, Debug, PartialEq)]
pub enum Command {
    /// Bring the boards up and run them at this set point.
    Run(SetPoint),
    /// Wind down in order and switch off.
    Stop,
    /// Run at another set point; kept for the next start if the boards are off.
    SetPoint(SetPoint),
    /// Run the fans otherwise.
    Cooling(Mode),
    /// Hold another temperature, °C.
    Target(f64),
    /// A person clears the latched fault by repeating its code.
    ClearFault(String),
    /// What the chain of a board does; sent whenever it changes.
    Chain {
        /// Board within the station, from 0.
        board: usize,
        /// What it does.
        report: ChainReport,
    },
    /// The program that mines is alive. Without it for the guard's lease power goes.
    Heartbeat,
}

/// Why a command was refused.
#[derive(Clone, Debug, PartialEq, Error)]
pub enum Refused {
    /// A value outside the profile's limits.
    #[error("{what} {value} is outside the board's {min} to {max}")]
    OutOfRange {
        /// Quantity and unit.
        what: &'static str,
        /// What was asked for.
        value: f64,
        /// Lowest.
        min: f64,
        /// Highest.
        max: f64,
    },
    /// The guard does not allow it.
    #[error("{0}")]
    Guard(String),
    /// No such board in this station.
    #[error("the station has no board {0}")]
    NoSuchBoard(usize),
}

/// Boards that are powered together, under a guard.
pub struct Station {
    config: StationConfig,
    layout: Layout,
    buses: Box<dyn Buses + Send>,
    guard: Guard,
    sense: Sense,
    psu: Option<Psu>,
    fan: FanControl,
    derate: Derate,
    curve: Curve,
    boards: Vec<BoardState>,

    now: Duration,
    stage: Stage,
    /// The user wants power.
    run: bool,
    /// What the user or the tuner asked for.
    wanted: SetPoint,
    /// The way down is under way, although power may still be wanted afterwards.
    stopping: bool,
    /// The devices of this check were identified and the supply is set up.
    prepared: bool,
    prepare_at: Duration,
    prepare_failures: u32,
    /// Why the guard refused power, and when it is asked again.
    refused: Option<(String, Duration)>,
    /// Voltage that the supply was told, as the profile counts it, mV.
    set_mv: Option<u32>,
    /// The supply has had time to follow from then on.
    settled_at: Duration,
    /// Clock that chains were told, MHz.
    sent_mhz: Option<f64>,
    released: Option<Duration>,
    /// Switching off failed in part and is tried again.
    off_failed: bool,
    off_retry_at: Duration,
    /// A first switching off was done.
    known_off: bool,
    heartbeat: Option<Duration>,
    board_guard: Option<BoardGuardLink>,
    decision: Option<Decision>,
    poll_at: Duration,
    duty: u8,
    next: Duration,
    was_throttled: bool,
    complaints: Vec<String>,
    events: VecDeque<Event>,
}

/// The link to a guard on the board.
#[derive(Clone, Debug)]
struct BoardGuardLink {
    state: Option<BoardGuardState>,
    heard: Duration,
    beat_at: Duration,
    asked: bool,
}

/// A board of the station.
#[derive(Clone, Debug, Default)]
struct BoardState {
    epoch: u64,
    /// Its owner was told that there is power.
    powered: bool,
    report: ChainReport,
    failures: u32,
    restart: Restart,
    serial: Option<String>,
}

/// How a board gets on after its chain failed.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
enum Restart {
    /// No need.
    #[default]
    None,
    /// Its chips are held in reset until then.
    Held(Duration),
    /// Its chips were let go and may be talked to then.
    Released(Duration),
}

/// How often everything is read while something is on or about to be.
const POLL: Duration = Duration::from_secs(1);

/// How often while power comes up, and while the guard doubts something.
const POLL_COMING_UP: Duration = Duration::from_millis(250);

/// How often while everything is off and nobody wants it otherwise.
const POLL_OFF: Duration = Duration::from_secs(2);

/// A chain gets this long to wind down.
const QUIET: Duration = Duration::from_secs(30);

/// How often a guard on the board is told that we are alive; leases are seconds.
const BEAT: Duration = Duration::from_millis(500);

/// Power is asked for only while the program that mines said within this time that it is alive.
const ALIVE: Duration = Duration::from_secs(2);

/// The guard is asked again this long after it refused, or at the next command.
const REFUSED_PAUSE: Duration = Duration::from_secs(60);

/// Preparations that fail are tried again after this long.
const PREPARE_PAUSE: Duration = Duration::from_secs(1);

/// After so many failed preparations the guard is told what is missing.
const PREPARE_TRIES: u32 = 2;

/// Events that nobody takes are dropped beyond this many, the oldest first.
const MAX_EVENTS: usize = 256;

impl std::fmt::Debug for Station {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Station")
            .field("profile", &self.config.profile.name)
            .field("stage", &self.stage)
            .field("guard", &self.guard.state())
            .finish_non_exhaustive()
    }
}

impl Station {
    /// A station whose boards are to be off. Nothing is accessed before the first tick, which
    /// switches everything off.
    ///
    /// # Errors
    ///
    /// When the profile does not say enough to guard the boards, or the config contradicts it.
    pub fn new(
        config: StationConfig,
        mut buses: Box<dyn Buses + Send>,
        now: Duration,
    ) -> Result<Self, ConfigError> {
        let mut layout = Layout::new(&config)?;
        let board_guard = buses.board_guard().map(|_| BoardGuardLink {
            state: None,
            heard: now,
            beat_at: now,
            asked: false,
        });
        if board_guard.is_some() {
            // The board's own guard proves the tachs, and moves the fans while it does.
            layout.limits = crate::layout::beside_board_guard(&layout.limits);
        }
        let mut guard = Guard::new(&layout.limits).map_err(|error| ConfigError::Limits {
            model: config.profile.model.clone(),
            reason: error.to_string(),
        })?;
        let mode = config.cooling.mode;
        guard
            .request(now, cooling_request(mode))
            .map_err(|refusal| ConfigError::Limits {
                model: config.profile.model.clone(),
                reason: refusal.to_string(),
            })?;
        let fan = FanControl::new(config.fan_settings(), mode);
        let psu = (layout.supply == Supply::Psu)
            .then(|| Psu::new(layout.supply_at.clone(), &layout.supply_name));
        Ok(Self {
            sense: Sense::new(&layout),
            psu,
            fan,
            derate: Derate::new(config.derate_settings()),
            curve: config.curve(),
            boards: vec![BoardState::default(); config.boards.len()],
            wanted: config.default_set_point(),
            config,
            layout,
            buses,
            guard,
            now,
            stage: Stage::Off,
            run: false,
            stopping: false,
            prepared: false,
            prepare_at: now,
            prepare_failures: 0,
            refused: None,
            set_mv: None,
            settled_at: now,
            sent_mhz: None,
            released: None,
            off_failed: false,
            off_retry_at: now,
            known_off: false,
            heartbeat: None,
            board_guard,
            decision: None,
            poll_at: now,
            duty: 100,
            next: now,
            was_throttled: false,
            complaints: Vec::new(),
            events: VecDeque::new(),
        })
    }

    /// Takes a command at `now`. What follows from it happens in the next tick, which is due at
    /// once.
    ///
    /// # Errors
    ///
    /// When limits or rules forbid it; then nothing changed.
    pub fn handle(&mut self, now: Duration, command: Command) -> Result<(), Refused> {
        let now = self.clock(now);
        match command {
            Command::Run(point) => {
                self.check_set_point(point)?;
                self.wanted = point;
                self.run = true;
            }
            Command::Stop => self.run = false,
            Command::SetPoint(point) => {
                self.check_set_point(point)?;
                self.wanted = point;
            }
            Command::Cooling(mode) => self.set_mode(now, mode)?,
            Command::Target(celsius) => self.set_target(celsius)?,
            Command::ClearFault(code) => self.clear_fault(now, &code)?,
            Command::Chain { board, report } => {
                let state = self
                    .boards
                    .get_mut(board)
                    .ok_or(Refused::NoSuchBoard(board))?;
                state.report = report;
                self.next = now;
                return Ok(());
            }
            Command::Heartbeat => {
                self.heartbeat = Some(now);
                self.guard.heartbeat(now);
                return Ok(());
            }
        }
        self.refused = None;
        self.next = now;
        Ok(())
    }

    /// Does what is due: reads what has to be read, asks the guard, acts. Accesses to the hardware
    /// happen here, each short.
    pub fn tick(&mut self, now: Duration) {
        let now = self.clock(now);
        if !self.known_off {
            self.known_off = true;
            self.switch_off(now, false);
        }
        self.want_power(now);
        self.beat(now);
        self.prepare(now);
        self.poll(now);
        self.talk_to_psu(now);
        let decision = self.guard.tick(now);
        self.decision = Some(decision);
        self.tell_guard_events();
        let granted = decision.power && self.board_grants();
        if !granted && !self.stage.is_off() {
            self.emergency(now);
        }
        if self.off_failed && now >= self.off_retry_at {
            self.switch_off(now, false);
        }
        self.advance(now, &decision, granted);
        self.follow_chains(now);
        self.move_set_point(now, &decision);
        self.cool(now, &decision);
        self.next = self.due(now, &decision);
    }

    /// When to tick again.
    #[must_use]
    pub fn poll_timeout(&self) -> Duration {
        self.next
    }

    /// The next event. Ask again until there is none.
    pub fn poll_event(&mut self) -> Option<Event> {
        self.events.pop_front()
    }

    /// Cuts power now as well as it can, without waiting for anything: core off, chips in reset,
    /// rails off, fans at full speed. For exits and emergencies; after it the station is off until
    /// it is told to run.
    pub fn cut(&mut self, now: Duration) {
        let now = self.clock(now);
        self.run = false;
        self.emergency(now);
        // Never refused.
        let _ = self.guard.request(now, Request::Off);
        self.sense.begin();
        self.sense
            .tell_fans(now, &self.layout, &mut *self.buses, 100);
        self.duty = 100;
    }

    /// Everything is switched off, as far as the hardware can tell.
    #[must_use]
    pub fn is_off(&self) -> bool {
        self.known_off
            && self.stage.is_off()
            && !self.off_failed
            && !self.sense.seems_on(&self.layout)
    }

    /// The station in numbers and words at `now`.
    #[must_use]
    pub fn status(&self, now: Duration) -> Status {
        self.view(now.max(self.now))
    }

    /// What the profile sets boards to unless told otherwise.
    #[must_use]
    pub fn default_set_point(&self) -> SetPoint {
        self.config.default_set_point()
    }

    /// The boards of the station.
    #[must_use]
    pub fn boards(&self) -> &[BoardConfig] {
        &self.config.boards
    }

    /// Time never goes back here: commands and ticks may come from different places.
    fn clock(&mut self, now: Duration) -> Duration {
        self.now = self.now.max(now);
        self.now
    }

    fn check_set_point(&self, point: SetPoint) -> Result<(), Refused> {
        let profile = &self.config.profile;
        let (f, v) = (&profile.frequency, &profile.voltage);
        if !(f.min_mhz..=f.max_mhz).contains(&point.mhz) {
            return Err(Refused::OutOfRange {
                what: "clock in MHz",
                value: point.mhz,
                min: f.min_mhz,
                max: f.max_mhz,
            });
        }
        if !(v.min_mv..=v.max_mv).contains(&point.mv) {
            return Err(Refused::OutOfRange {
                what: "voltage in mV",
                value: f64::from(point.mv),
                min: f64::from(v.min_mv),
                max: f64::from(v.max_mv),
            });
        }
        Ok(())
    }

    fn set_mode(&mut self, now: Duration, mode: Mode) -> Result<(), Refused> {
        self.guard
            .request(now, cooling_request(mode))
            .map_err(|refusal| Refused::Guard(refusal.to_string()))?;
        if let Some(guard) = self.buses.board_guard()
            && let Err(error) = guard.set_cooling(mode)
        {
            let back = cooling_request(self.fan.mode());
            let _ = self.guard.request(now, back);
            return Err(Refused::Guard(error.to_string()));
        }
        self.fan.set_mode(mode);
        self.config.cooling.mode = mode;
        Ok(())
    }

    fn set_target(&mut self, celsius: f64) -> Result<(), Refused> {
        let max = self.config.profile.cooling.hot_c - 5.0;
        let min = crate::config::LOWEST_TARGET_C.min(max);
        if !(min..=max).contains(&celsius) {
            return Err(Refused::OutOfRange {
                what: "target temperature in °C",
                value: celsius,
                min,
                max,
            });
        }
        self.fan.set_target(celsius);
        Ok(())
    }

    fn clear_fault(&mut self, now: Duration, code: &str) -> Result<(), Refused> {
        let known = notice::code(code);
        let mut cleared = false;
        if let Some(guard) = self.buses.board_guard()
            && self
                .board_guard
                .as_ref()
                .and_then(|link| link.state.as_ref())
                .is_some_and(|state| state.fault.as_deref() == Some(code.trim()))
        {
            guard
                .clear_fault(code)
                .map_err(|error| Refused::Guard(error.to_string()))?;
            cleared = true;
        }
        let result = match known {
            Some(known) => self
                .guard
                .request(now, Request::Clear(known))
                .map_err(|refusal| Refused::Guard(refusal.to_string())),
            None => Err(Refused::Guard(format!("there is no fault `{code}`"))),
        };
        if cleared { Ok(()) } else { result }
    }

    /// Asks the guard for power while it is wanted, takes the wish back while it is not.
    fn want_power(&mut self, now: Duration) {
        let alive = self
            .heartbeat
            .is_some_and(|at| now.saturating_sub(at) <= ALIVE);
        match self.guard.state() {
            State::Off
                if self.run && alive && self.stage.is_off() && !self.waits_after_refusal(now) =>
            {
                self.derate.reset();
                self.prepared = false;
                self.prepare_failures = 0;
                self.prepare_at = now;
                let point = self.guard_point(self.wanted);
                // A refusal is an event of the guard, told with the others.
                self.refused = match self.guard.request(now, Request::On(point)) {
                    Ok(()) => None,
                    Err(refusal) => Some((refusal.to_string(), now + REFUSED_PAUSE)),
                };
            }
            State::Checking | State::Waiting | State::Cooling
                if !self.run && self.stage.is_off() =>
            {
                let _ = self.guard.request(now, Request::Off);
            }
            _ => {}
        }
        if !self.run && !self.stage.is_off() {
            self.stopping = true;
        }
    }

    fn waits_after_refusal(&self, now: Duration) -> bool {
        self.refused.as_ref().is_some_and(|(_, again)| now < *again)
    }

    /// Tells a guard on the board that we are alive, and hears what it thinks.
    fn beat(&mut self, now: Duration) {
        let Some(link) = &mut self.board_guard else {
            return;
        };
        let checking = self.guard.state() == State::Checking;
        let busy = checking || !self.stage.is_off();
        if now < link.beat_at && !checking {
            return;
        }
        link.beat_at = now + BEAT;
        let alive = self
            .heartbeat
            .is_some_and(|at| now.saturating_sub(at) <= ALIVE);
        let Some(guard) = self.buses.board_guard() else {
            return;
        };
        // The lease is the program's, not ours: if it is silent, so are we.
        if !alive && busy {
            return;
        }
        match guard.heartbeat() {
            Ok(state) => {
                link.state = Some(state);
                link.heard = now;
            }
            // One answer may be lost; the board's own lease is longer.
            Err(_) if now.saturating_sub(link.heard) < ALIVE => {}
            Err(_) => link.state = None,
        }
        let point = self.wanted;
        let mv = self.layout.output_mv(point.mv);
        if checking && !link.asked {
            link.asked = guard.request_power(mv, khz(point.mhz)).is_ok();
        } else if link.asked && !busy && !self.run {
            link.asked = guard.release_power().is_err();
        }
    }

    /// The guard on the board, if there is one, lets power be on.
    fn board_grants(&self) -> bool {
        match &self.board_guard {
            None => true,
            Some(link) => link.state.as_ref().is_some_and(|state| state.power),
        }
    }

    /// In a check, before temperatures count: are the devices there, are they the right ones, is the
    /// supply set up?
    fn prepare(&mut self, now: Duration) {
        if self.guard.state() != State::Checking {
            // The next check begins from the start.
            if self.stage.is_off() && self.guard.state() != State::On {
                self.prepared = false;
                self.prepare_failures = 0;
                self.prepare_at = now;
            }
            return;
        }
        if self.prepared || now < self.prepare_at {
            return;
        }
        self.complaints.clear();
        let identified = self.identify(now);
        if identified && self.supply_prepared(now) {
            self.prepared = true;
            return;
        }
        self.prepare_at = now + PREPARE_PAUSE;
    }

    fn identify(&mut self, now: Duration) -> bool {
        let last_try = self.prepare_failures >= PREPARE_TRIES;
        let mut reports = Vec::new();
        for (index, identity) in self.layout.identities.iter().enumerate() {
            let subject = Subject::Device(u8::try_from(index).unwrap_or(u8::MAX));
            let name = &identity.name;
            match parts::probe(&mut *self.buses, &identity.place) {
                Ok(Presence::Present { .. }) => {}
                Ok(Presence::Absent) => {
                    let report = last_try.then_some(Report::Absent { subject });
                    reports.push((report, format!("{name} does not answer")));
                    continue;
                }
                Ok(Presence::Wrong { found, expected }) => {
                    reports.push((
                        Some(wrong(subject, found, expected)),
                        format!("{name} says {found:#x}, expected {expected:#x}"),
                    ));
                    continue;
                }
                Err(trouble) => {
                    let report = last_try.then_some(Report::Absent { subject });
                    reports.push((report, format!("{name}: {}", trouble.text)));
                    if trouble.gone {
                        break;
                    }
                    continue;
                }
            }
            if identity.place.part == board_devices::Part::At24 {
                match parts::memory(&mut *self.buses, &identity.place) {
                    Ok(data) => {
                        if let Some(found) = disagrees(&data, &identity.accepted) {
                            reports.push((
                                Some(Report::Identity {
                                    found: i32::from_be_bytes([data[0], data[1], data[2], data[3]]),
                                    expected: first_bytes(&identity.accepted),
                                }),
                                format!(
                                    "{name} begins with {found}, the profile expects {}",
                                    identity.accepted.join(" or ")
                                ),
                            ));
                        } else if let Some(board) = self.boards.get_mut(identity.place.board) {
                            board.serial = serial(&data);
                        }
                    }
                    Err(trouble) => {
                        let report = last_try.then_some(Report::Absent { subject });
                        reports.push((report, format!("{name}: {}", trouble.text)));
                    }
                }
            }
            if let Err(trouble) = parts::init(
                &mut *self.buses,
                &identity.place,
                identity.ideality,
                identity.beta,
            ) {
                reports.push((
                    last_try.then(|| mismatch(subject, &trouble)),
                    format!("{name} cannot be set up: {}", trouble.text),
                ));
            }
        }
        let good = reports.is_empty();
        for (report, text) in reports {
            if let Some(report) = report {
                self.log(notice::plain(Severity::Warning, "identity", text.clone()));
                self.guard.report(now, report);
            }
            self.complaints.push(text);
        }
        if !good {
            self.prepare_failures = self.prepare_failures.saturating_add(1);
        }
        good
    }

    fn supply_prepared(&mut self, now: Duration) -> bool {
        let output = self.layout.output_mv(self.wanted.mv);
        if let Some(psu) = &mut self.psu {
            psu.set(output);
            if psu.is_set() {
                self.set_mv = Some(self.wanted.mv);
                return true;
            }
            self.complaints
                .push("waiting for the power supply to take its voltage".to_owned());
            return false;
        }
        match sequence::prepare(&mut *self.buses, &self.layout, None, output) {
            Ok(()) => {
                self.set_mv = Some(self.wanted.mv);
                true
            }
            Err(trouble) => {
                let text = format!("{}: {}", self.layout.supply_name, trouble.text);
                if self.prepare_failures >= PREPARE_TRIES || trouble.wrong.is_some() {
                    self.log(notice::plain(Severity::Warning, "supply", text.clone()));
                    self.guard.report(now, rail_report(&trouble));
                }
                self.prepare_failures = self.prepare_failures.saturating_add(1);
                self.complaints.push(text);
                false
            }
        }
    }

    /// Reads everything when it is due. In a check temperatures are held back until the devices are
    /// known to be the right ones, so that nothing can be granted before.
    fn poll(&mut self, now: Duration) {
        if now < self.poll_at {
            return;
        }
        let state = self.guard.state();
        let coming_up = matches!(
            self.stage,
            Stage::Lines(..) | Stage::Core(_) | Stage::Release(_)
        );
        let unsure = self.stage == Stage::On && !self.voltage_confirmed(now);
        let doubt = state == State::On
            && self
                .decision
                .is_some_and(|decision| decision.fan_floor == Percent::FULL);
        let pause = if unsure {
            CORE_PAUSE
        } else if doubt || coming_up || (state == State::Checking && !self.prepared) {
            POLL_COMING_UP
        } else if self.stage.is_off() && state == State::Off && !self.run {
            POLL_OFF
        } else {
            POLL
        };
        self.poll_at = now + pause;
        self.sense.begin();
        let live = self.stage.chips_live(self.released, now);
        let held_back = state == State::Checking && (!self.prepared || !self.board_grants());
        // The supply first: if it is gone, that explains what chips no longer say.
        self.sense
            .rail(now, &self.layout, &mut *self.buses, &mut self.guard);
        if !held_back {
            self.sense
                .temperatures(now, &self.layout, &mut *self.buses, &mut self.guard, live);
        }
        self.sense
            .fan_speeds(now, &self.layout, &mut *self.buses, &mut self.guard);
    }

    fn talk_to_psu(&mut self, now: Duration) {
        let Some(psu) = &mut self.psu else {
            return;
        };
        let trouble = self
            .sense
            .psu(now, &self.layout, &mut *self.buses, &mut self.guard, psu);
        if let Some(trouble) = trouble
            && self.guard.state() == State::Checking
            && (trouble.wrong.is_some() || trouble.mismatch.is_some())
        {
            self.log(notice::plain(
                Severity::Warning,
                "supply",
                trouble.text.clone(),
            ));
            self.guard.report(now, rail_report(&trouble));
        }
    }

    /// Cuts power at once and tells the owners of chains.
    fn emergency(&mut self, now: Duration) {
        self.drop_chains();
        self.switch_off(now, false);
        self.stopping = false;
    }

    /// Switches everything off and remembers whether that worked.
    fn switch_off(&mut self, now: Duration, in_order: bool) {
        let troubles = sequence::off(
            &mut *self.buses,
            &self.layout,
            self.config.boards.len(),
            in_order,
        );
        let failed = !troubles.is_empty();
        if failed && !self.off_failed {
            let what: Vec<String> = troubles.iter().map(|t| t.text.clone()).collect();
            self.log(Notice {
                advice: "Power may still be on. Check the connection to the board's controller; \
                         if the board stays warm, unplug its supply."
                    .to_owned(),
                ..notice::plain(
                    Severity::Critical,
                    "not-switched-off",
                    format!(
                        "switching off failed and is tried again: {}",
                        what.join("; ")
                    ),
                )
            });
        } else if !failed && self.off_failed {
            self.log(notice::plain(
                Severity::Info,
                "switched-off",
                "everything is switched off at last",
            ));
        }
        if !self.stage.is_off() || self.off_failed != failed {
            self.poll_at = now;
        }
        self.off_failed = failed;
        self.off_retry_at = now + OFF_RETRY;
        self.stage = Stage::Off;
        self.released = None;
        self.set_mv = None;
        self.sent_mhz = None;
    }

    /// Goes on with the way up or down.
    fn advance(&mut self, now: Duration, decision: &Decision, granted: bool) {
        match self.stage {
            Stage::Off => {
                let go = granted && decision.state == State::On && self.prepared;
                if go && self.run && !self.off_failed {
                    self.log(notice::plain(
                        Severity::Info,
                        "power-up",
                        format!("power comes up for {} mV", self.wanted.mv),
                    ));
                    self.stage = Stage::Lines(0, now);
                    self.go_up(now);
                } else if !self.run && decision.state == State::On {
                    let _ = self.guard.request(now, Request::Off);
                }
            }
            Stage::Lines(_, due) if now >= due => self.go_up(now),
            Stage::Core(since) => self.wait_for_core(now, since),
            Stage::Release(due) if now >= due => {
                self.stage = Stage::On;
                self.start_chains();
            }
            Stage::On if self.stopping => {
                self.wind_down_chains();
                self.stage = Stage::Quiet(now + QUIET);
            }
            Stage::Quiet(until) if now >= until || self.chains_quiet() => self.lower(now),
            Stage::Lower(until) if now >= until => {
                self.drop_chains();
                self.switch_off(now, true);
                self.stopping = false;
                let _ = self.guard.request(now, Request::Off);
                self.log(notice::plain(
                    Severity::Info,
                    "power-off",
                    "switched off in order",
                ));
            }
            _ => {}
        }
        if self.stopping
            && matches!(
                self.stage,
                Stage::Lines(..) | Stage::Core(_) | Stage::Release(_)
            )
        {
            // Nothing runs yet that would have to be wound down.
            self.switch_off(now, true);
            self.stopping = false;
            let _ = self.guard.request(now, Request::Off);
        }
    }

    /// Switches lines on, one after the other with their pauses, then the core.
    fn go_up(&mut self, now: Duration) {
        while let Stage::Lines(done, due) = self.stage {
            if now < due {
                return;
            }
            let Some(step) = self.layout.lines.get(done).copied() else {
                if let Err(trouble) = sequence::core(&mut *self.buses, &self.layout, true) {
                    self.trouble_on_the_way(now, &trouble);
                    return;
                }
                self.guard.report(now, Report::Energised);
                self.stage = Stage::Core(now);
                self.poll_at = now + POLL_COMING_UP.min(Duration::from_millis(50));
                return;
            };
            if let Err(trouble) = sequence::switch(&mut *self.buses, step.line, true) {
                self.trouble_on_the_way(now, &trouble);
                return;
            }
            let settle = if step.role == PinRole::Vddio {
                step.settle.max(Duration::from_millis(1))
            } else {
                step.settle
            };
            self.stage = Stage::Lines(done + 1, now + settle);
        }
    }

    fn trouble_on_the_way(&mut self, now: Duration, trouble: &Trouble) {
        self.log(notice::plain(
            Severity::Warning,
            "power-up",
            format!("power does not come up: {}", trouble.text),
        ));
        self.guard.report(now, rail_report(trouble));
        self.emergency(now);
    }

    /// The core is on: its voltage is read back before chips leave reset. What takes too long or is
    /// wrong the guard finds by itself.
    fn wait_for_core(&mut self, now: Duration, since: Duration) {
        let settle = self.settle();
        if now.saturating_sub(since) < settle {
            return;
        }
        let target = f64::from(self.layout.output_mv(self.set_mv.unwrap_or(0)));
        let tolerance = self
            .layout
            .limits
            .rails
            .get(0)
            .map_or(0.0, |rail| f64::from(rail.tolerance.0));
        let seen = self.sense.output_mv.fresh(now, FRESH);
        let looked = self.sense.core_seen > since && self.sense.core_on != Some(false);
        let right = seen.is_none_or(|mv| (mv - target).abs() <= tolerance);
        if !(looked && right) {
            return;
        }
        for board in 0..self.boards.len() {
            if let Err(trouble) = sequence::switch(&mut *self.buses, Line::Reset { board }, false) {
                self.trouble_on_the_way(now, &trouble);
                return;
            }
        }
        self.released = Some(now);
        self.settled_at = now;
        self.stage = Stage::Release(now + RESET_SETTLE);
    }

    /// Chains are quiet: the core voltage goes down before it is switched off.
    fn lower(&mut self, now: Duration) {
        let min_mv = self.config.profile.voltage.min_mv;
        let wait = self.settle();
        if self.set_mv.is_some_and(|mv| mv > min_mv) && self.set_voltage(now, min_mv) {
            self.stage = Stage::Lower(now + wait);
        } else {
            self.stage = Stage::Lower(now);
        }
    }

    /// Time in which the supply follows a new setting.
    fn settle(&self) -> Duration {
        if self.psu.is_some() {
            // A second of rise, and the time that a setting takes to act.
            Duration::from_millis(1_500)
        } else {
            board_devices::tps546::RAMP
        }
    }

    /// Sets the core voltage, as the profile counts it, after telling the guard. Gives whether the
    /// supply took it.
    fn set_voltage(&mut self, now: Duration, mv: u32) -> bool {
        let frequency = self.sent_mhz.unwrap_or(self.wanted.mhz);
        let point = self.guard_point(SetPoint { mhz: frequency, mv });
        if self.guard.request(now, Request::SetPoint(point)).is_err() {
            return false;
        }
        if let Some(guard) = self.buses.board_guard()
            && let Err(error) = guard.set_point(point.voltage.0, point.frequency.0)
        {
            self.log(notice::plain(
                Severity::Warning,
                "refused",
                format!("the board's guard refuses {mv} mV: {error}"),
            ));
            return false;
        }
        let output = self.layout.output_mv(mv);
        match sequence::set_output(&mut *self.buses, &self.layout, self.psu.as_mut(), output) {
            Ok(()) => {
                self.set_mv = Some(mv);
                self.settled_at = now + self.settle();
                self.poll_at = self.poll_at.min(self.settled_at);
                true
            }
            Err(trouble) => {
                self.log(notice::plain(
                    Severity::Warning,
                    "voltage",
                    format!("{mv} mV was not taken: {}", trouble.text),
                ));
                self.guard.report(now, rail_report(&trouble));
                false
            }
        }
    }

    fn guard_point(&self, point: SetPoint) -> guard::SetPoint {
        guard::SetPoint {
            voltage: Millivolts(self.layout.output_mv(point.mv)),
            frequency: Kilohertz(khz(point.mhz)),
        }
    }

    /// Moves clock and voltage toward what is wanted and allowed: voltage first on the way up, clock
    /// first on the way down.
    fn move_set_point(&mut self, now: Duration, decision: &Decision) {
        if self.stage != Stage::On || self.stopping {
            return;
        }
        let target = self.target(decision);
        let Some(set_mv) = self.set_mv else {
            return;
        };
        let psu_busy = self.psu.as_ref().is_some_and(|psu| !psu.is_set());
        if target.mv > set_mv && !psu_busy {
            if self.set_voltage(now, target.mv) {
                self.log_set_point(target);
            }
            return;
        }
        let settled = self.voltage_confirmed(now) && !psu_busy;
        match self.sent_mhz {
            Some(sent) if sent == target.mhz => {}
            Some(sent) if target.mhz > sent && !settled => return,
            _ => self.send_frequency(target),
        }
        if target.mv < set_mv && !psu_busy && self.all_at_most(target.mhz) {
            self.set_voltage(now, target.mv);
        }
    }

    /// The supply has followed its last setting: it had the time, and a look at it since then agrees
    /// where it measures. An instrument that is a little off gets its way after a while: what is too
    /// far off is for the guard.
    fn voltage_confirmed(&self, now: Duration) -> bool {
        if now < self.settled_at {
            return false;
        }
        if !self.sense.output_measured || now >= self.settled_at + CONFIRM {
            return true;
        }
        let goal = f64::from(self.layout.output_mv(self.set_mv.unwrap_or(0)));
        self.sense.output_mv.at >= self.settled_at
            && self
                .sense
                .output_mv
                .value
                .is_some_and(|mv| mv >= goal * CONFIRM_SHARE)
    }

    /// Where clock and voltage are to be now.
    fn target(&self, decision: &Decision) -> SetPoint {
        let min_mhz = self.config.profile.frequency.min_mhz;
        let mut point = self.derate.apply(self.wanted, min_mhz, &self.curve);
        if decision.power {
            let max_mhz = f64::from(decision.max_frequency.0) / 1000.0;
            point.mhz = point.mhz.min(max_mhz);
            point.mv = point.mv.min(decision.max_voltage.0 / self.layout.scale);
        }
        point
    }

    /// Runs fans and throttle.
    fn cool(&mut self, now: Duration, decision: &Decision) {
        let live = self.stage.chips_live(self.released, now);
        let hottest = self.sense.hottest(now, &self.layout, live);
        let on = !self.stage.is_off();
        let wanted = self.fan.update(
            now,
            FanInput {
                temperature_c: hottest.map(|(celsius, _)| celsius),
                power_w: Some(self.heat_w()),
                powered: on,
            },
        );
        if self.stage == Stage::On {
            let lowest = self.config.profile.frequency.min_mhz / self.wanted.mhz.max(1.0);
            self.derate
                .update(now, hottest.map(|(celsius, _)| celsius), lowest);
            self.tell_throttle();
        }
        // Nobody wants a slower board while fans could do more.
        let throttled = self.derate.active() && self.fan.mode() == Mode::Auto;
        let floor = decision
            .fan_floor
            .get()
            .max(if self.off_failed || throttled { 100 } else { 0 });
        let duty = (wanted.round() as u8)
            .max(floor)
            .min(decision.fan_ceiling.get());
        self.duty = duty;
        if !self.board_grants() && self.board_guard.as_ref().is_some_and(|link| link.asked) {
            // The board's guard moves the fans itself while it proves them.
            return;
        }
        let refused = self
            .sense
            .tell_fans(now, &self.layout, &mut *self.buses, duty);
        for (fan, mismatch) in refused {
            // A guard on the board lets fans run faster than they are told.
            if let Some((read, wrote)) = mismatch
                && self.board_guard.is_none()
            {
                let subject = Subject::Fan(u8::try_from(fan).unwrap_or(u8::MAX));
                self.guard.report(
                    now,
                    Report::Mismatch {
                        subject,
                        read: i32::try_from(read).unwrap_or(i32::MAX),
                        wrote: i32::try_from(wrote).unwrap_or(i32::MAX),
                    },
                );
            }
        }
    }

    fn tell_throttle(&mut self) {
        let throttled = self.derate.active();
        if throttled == self.was_throttled {
            return;
        }
        self.was_throttled = throttled;
        let point = self.wanted;
        self.log(if throttled {
            Notice {
                advice: "Clean fans and heat sinks, let more air in, or lower the target power."
                    .to_owned(),
                ..notice::plain(
                    Severity::Warning,
                    "throttled",
                    format!(
                        "too hot for {} MHz with fans at {} %: the clock is lowered",
                        point.mhz, self.duty
                    ),
                )
            }
        } else {
            notice::plain(
                Severity::Info,
                "throttle-over",
                format!("cool enough for {} MHz again", point.mhz),
            )
        });
    }

    /// Power that becomes heat, W: measured where it is, else from the set point.
    fn heat_w(&self) -> f64 {
        if self.stage.is_off() {
            return 0.0;
        }
        let measured = self.sense.input_w.fresh(self.now, FRESH);
        measured.unwrap_or_else(|| self.estimated_w())
    }

    /// Power at the present set point from nominal power, by clock and voltage squared, W.
    fn estimated_w(&self) -> f64 {
        let profile = &self.config.profile;
        let (Some(mv), clock) = (self.set_mv, self.fastest_clock()) else {
            return 0.0;
        };
        if self.stage.is_off() {
            return 0.0;
        }
        let volts = f64::from(mv) / f64::from(profile.voltage.default_mv.max(1));
        let load = clock / profile.frequency.default_mhz.max(1.0);
        self.config.nominal_w() * load * volts * volts
    }

    fn log_set_point(&mut self, point: SetPoint) {
        self.log(notice::plain(
            Severity::Info,
            "set-point",
            format!("toward {} MHz at {} mV", point.mhz, point.mv),
        ));
    }

    fn tell_guard_events(&mut self) {
        while let Some(event) = self.guard.poll_event() {
            if let Some(notice) = notice::guard_event(&self.layout, &event.kind) {
                self.log(notice);
            }
        }
    }

    fn log(&mut self, notice: Notice) {
        self.emit(Event::Notice(notice));
    }

    fn emit(&mut self, event: Event) {
        if self.events.len() >= MAX_EVENTS {
            // The oldest notice goes; orders to chains are never dropped.
            let oldest = self
                .events
                .iter()
                .position(|event| matches!(event, Event::Notice(_)));
            self.events.remove(oldest.unwrap_or(0));
        }
        self.events.push_back(event);
    }

    /// When the next tick is due.
    fn due(&self, now: Duration, decision: &Decision) -> Duration {
        let mut due = self.poll_at.min(decision.next);
        let mut sooner = |at: Duration| due = due.min(at);
        match self.stage {
            Stage::Lines(_, at) | Stage::Release(at) | Stage::Lower(at) => sooner(at),
            Stage::Core(since) => sooner((since + self.settle()).max(now + CORE_PAUSE)),
            Stage::Off if self.off_failed => sooner(self.off_retry_at),
            _ => {}
        }
        if self.guard.state() == State::Checking && !self.prepared {
            sooner(self.prepare_at);
        }
        if let Some(psu) = &self.psu
            && self.psu_matters()
        {
            sooner(psu.due());
        }
        if let Some(link) = &self.board_guard {
            sooner(link.beat_at);
        }
        for board in &self.boards {
            if let Restart::Held(at) | Restart::Released(at) = board.restart {
                sooner(at);
            }
        }
        if self.stage == Stage::On && now < self.settled_at {
            sooner(self.settled_at);
        } else if self.stage == Stage::On && !self.voltage_confirmed(now) {
            sooner(now + CORE_PAUSE);
        }
        due.max(now + SHORTEST)
    }

    /// Answers of the power supply are waited for; while all is off its turn comes with the polls.
    fn psu_matters(&self) -> bool {
        !self.stage.is_off()
            || self.guard.state() == State::Checking
            || self.sense.seems_on(&self.layout)
    }
}

/// While power comes up the core is looked at this often.
const CORE_PAUSE: Duration = Duration::from_millis(50);

/// After this long a voltage that is about right is taken for right.
const CONFIRM: Duration = Duration::from_secs(3);

/// A voltage is about right from this share of its setting on.
const CONFIRM_SHARE: f64 = 0.985;

/// Switching off that failed is tried again this soon.
const OFF_RETRY: Duration = Duration::from_millis(250);

/// Ticks are never closer than this.
const SHORTEST: Duration = Duration::from_millis(1);

fn cooling_request(mode: Mode) -> Request {
    match mode {
        Mode::Auto => Request::Cooling {
            mode: guard::CoolingMode::Auto,
            confirmed: false,
        },
        Mode::Manual { percent } => Request::Cooling {
            mode: guard::CoolingMode::Manual(Percent::new(percent)),
            confirmed: false,
        },
        Mode::Immersion { confirmed } => Request::Cooling {
            mode: guard::CoolingMode::Immersion,
            confirmed,
        },
    }
}

fn khz(mhz: f64) -> u32 {
    (mhz * 1000.0).round().clamp(0.0, f64::from(u32::MAX)) as u32
}

fn number(value: u64) -> i32 {
    i32::try_from(value).unwrap_or(i32::MAX)
}

fn wrong(subject: Subject, found: u64, expected: u64) -> Report {
    Report::WrongDevice {
        subject,
        found: number(found),
        expected: number(expected),
    }
}

fn mismatch(subject: Subject, trouble: &Trouble) -> Report {
    let (read, wrote) = trouble.mismatch.unwrap_or((0, 0));
    Report::Mismatch {
        subject,
        read: number(read.into()),
        wrote: number(wrote.into()),
    }
}

fn rail_report(trouble: &Trouble) -> Report {
    let subject = Subject::Rail(0);
    match (trouble.wrong, trouble.mismatch, trouble.fault) {
        (Some((found, expected)), ..) => wrong(subject, found, expected),
        (None, None, guard::ReadFault::Absent) => Report::Absent { subject },
        _ => mismatch(subject, trouble),
    }
}

/// The first bytes of a memory as digits, if none of the accepted beginnings fits.
fn disagrees(data: &[u8], accepted: &[String]) -> Option<String> {
    let digits: String = data.iter().map(|byte| format!("{byte:02x}")).collect();
    let fits = accepted.is_empty() || accepted.iter().any(|id| digits.starts_with(id.as_str()));
    (!fits).then(|| digits.chars().take(8).collect())
}

fn first_bytes(accepted: &[String]) -> i32 {
    let digits = accepted.first().map_or("", String::as_str);
    let digits = digits.get(..digits.len().min(8)).unwrap_or("");
    u32::from_str_radix(digits, 16).map_or(0, |value| value.cast_signed())
}

/// A serial number in clear text, if the memory begins with one. Makers' contents are encrypted.
fn serial(data: &[u8]) -> Option<String> {
    let printable = data
        .iter()
        .take_while(|byte| byte.is_ascii_alphanumeric())
        .count();
    (printable >= 8).then(|| String::from_utf8_lossy(&data[..printable]).into_owned())
}
