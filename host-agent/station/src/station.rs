//! The station: what is wanted, what the guard grants, and the way between off and running.

use std::{collections::VecDeque, time::Duration};

use guard::{Decision, Fault, FaultCode, Guard, Percent, Request, State};

use crate::{
    buses::{BoardGuardState, Buses},
    config::{BoardConfig, ConfigError, StationConfig},
    cooling::FanControl,
    derate::{Curve, Derate, SetPoint},
    latch::StoredFault,
    layout::Layout,
    notice,
    parts::Supply,
    psu::Psu,
    sense::Sense,
    sequence::Stage,
    status::{ChainReport, Event, Notice, Severity, Status},
};
use check::rail_report;
use commands::cooling_request;

mod chains;
mod check;
mod commands;
mod cool;
mod points;
mod power;
mod view;

pub use commands::{Command, Refused};

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
    /// What of a look around is next, and when the next one begins.
    look: Look,
    look_again: Duration,
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

impl BoardGuardLink {
    fn new(now: Duration) -> Self {
        Self {
            state: None,
            heard: now,
            beat_at: now,
            asked: false,
        }
    }
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

/// The parts of a look around, each in a tick of its own.
#[derive(Clone, Copy, Debug)]
enum Look {
    Supply,
    Temperatures,
    Fans,
}

/// How often everything is read while something is on or about to be.
const POLL: Duration = Duration::from_secs(1);

/// How often while power comes up, and while the guard doubts something.
const POLL_COMING_UP: Duration = Duration::from_millis(250);

/// How often while everything is off and nobody wants it otherwise.
const POLL_OFF: Duration = Duration::from_secs(2);

/// One part of a look around takes no longer than this; between two of them the guard decides. Small
/// against its deadlines, and enough for firmware that counts a fan's pulses for 250 ms.
const PART: Duration = Duration::from_millis(1_200);

/// Power is asked for only while the program that mines said within this time that it is alive.
const ALIVE: Duration = Duration::from_secs(2);

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
        let board_guard = buses.board_guard().map(|_| BoardGuardLink::new(now));
        if board_guard.is_some() {
            // The board's own guard proves the tachs, and moves the fans while it does.
            layout.limits = crate::layout::beside_board_guard(&layout.limits);
        }
        let mut guard = match &config.latched {
            Some(stored) => Guard::latched(&layout.limits, stored.restore(now)),
            None => Guard::new(&layout.limits),
        }
        .map_err(|error| ConfigError::Limits {
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
        let mut station = Self {
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
            look: Look::Supply,
            look_again: now,
            duty: 100,
            next: now,
            was_throttled: false,
            complaints: Vec::new(),
            events: VecDeque::new(),
        };
        if let Some(fault) = station.guard.fault() {
            let text = notice::fault(&station.layout, &fault);
            station.log(Notice {
                advice: fault.advice().to_owned(),
                ..notice::plain(
                    Severity::Fault,
                    fault.code.as_str(),
                    format!("latched in an earlier run: {text}"),
                )
            });
        }
        Ok(station)
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
        // What has expired meanwhile costs power now: looking around first may take a while.
        if !self.guard.tick(now).power && !self.stage.is_off() {
            self.emergency(now);
        }
        self.poll(now);
        self.talk_to_psu(now);
        let decision = self.guard.tick(now);
        self.decision = Some(decision);
        self.tell_guard_events();
        let granted = decision.power && self.board_grants();
        if !granted && !self.stage.is_off() {
            self.emergency(now);
        }
        if decision.power && !granted {
            self.give_back(now);
        }
        if (self.off_failed || self.lives_unasked()) && now >= self.off_retry_at {
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
            .rail(now, &self.layout, &mut *self.buses, &mut self.guard);
        self.sense.lines_of_psu(&self.layout, &mut *self.buses);
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

    /// The fault that is latched, to be kept over a restart; none unless one is.
    #[must_use]
    pub fn stored_fault(&self) -> Option<StoredFault> {
        let fault = self.guard.fault()?;
        (self.guard.state() == State::Latched).then(|| StoredFault::of(&fault))
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

    /// Reads the next part of everything when it is due. In a check temperatures are held back until
    /// the devices are known to be the right ones, so that nothing can be granted before.
    fn poll(&mut self, now: Duration) {
        if now < self.poll_at {
            return;
        }
        self.buses.bound(Some(PART));
        match self.look {
            // The supply first: if it is gone, that explains what chips no longer say.
            Look::Supply => {
                self.look_again = now + self.look_pause(now);
                self.sense.begin();
                self.sense
                    .rail(now, &self.layout, &mut *self.buses, &mut self.guard);
                self.look = Look::Temperatures;
            }
            Look::Temperatures => {
                let live = self.stage.chips_live(self.released, now);
                let checking = self.guard.state() == State::Checking;
                if !checking || self.prepared && self.board_grants() {
                    self.sense.temperatures(
                        now,
                        &self.layout,
                        &mut *self.buses,
                        &mut self.guard,
                        live,
                    );
                }
                self.look = Look::Fans;
            }
            Look::Fans => {
                self.sense
                    .fan_speeds(now, &self.layout, &mut *self.buses, &mut self.guard);
                self.look = Look::Supply;
                self.poll_at = self.look_again;
            }
        }
        self.buses.bound(None);
    }

    /// From one look around to the next.
    fn look_pause(&self, now: Duration) -> Duration {
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
        if unsure {
            CORE_PAUSE
        } else if doubt || coming_up || (state == State::Checking && !self.prepared) {
            POLL_COMING_UP
        } else if self.stage.is_off() && state == State::Off && !self.run {
            POLL_OFF
        } else {
            POLL
        }
    }

    fn talk_to_psu(&mut self, now: Duration) {
        let Some(psu) = &mut self.psu else {
            return;
        };
        if !matches!(self.look, Look::Supply) {
            // Not in the middle of a look around, which would take longer for it.
            return;
        }
        self.buses.bound(Some(PART));
        let trouble = self
            .sense
            .psu(now, &self.layout, &mut *self.buses, &mut self.guard, psu);
        self.buses.bound(None);
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
            Stage::Off if self.off_failed || self.lives_unasked() => sooner(self.off_retry_at),
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

    /// The board has power although nothing was switched on: somebody else did it, or the switch
    /// did not act. It is told to be off until it is.
    fn lives_unasked(&self) -> bool {
        let consent = |fault: Fault| fault.code != FaultCode::PowerWithoutConsent;
        let found = self.decision.and_then(|decision| decision.fault);
        self.stage.is_off() && (self.sense.seems_on(&self.layout) || !found.is_none_or(consent))
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

/// Switching off that failed is tried again this soon.
const OFF_RETRY: Duration = Duration::from_millis(250);

/// Ticks are never closer than this.
const SHORTEST: Duration = Duration::from_millis(1);

fn khz(mhz: f64) -> u32 {
    (mhz * 1000.0).round().clamp(0.0, f64::from(u32::MAX)) as u32
}
