//! One run: the whole program with one board, something that goes wrong, and what became of it, as the
//! simulator's truth has it.

use std::future::Future;
use std::pin::pin;
use std::task::{Context, Waker};
use std::time::Duration;

use board_simulator::board::{Controller, Fault, Truth};
use hashwright::config::Quality;
use hashwright::port::SharedBoard;

use crate::class::Class;
use crate::support::{Lab, Wire, config, easy_pool};

/// How often the truth is looked at.
const STEP: Duration = Duration::from_millis(100);
/// The same while the host stands still.
const SLICE: Duration = Duration::from_millis(10);
/// Longest time until a healthy board mines.
const WARM_UP: Duration = Duration::from_secs(150);
/// Longest time that an orderly stop may take.
const STOP: Duration = Duration::from_secs(15);

/// Something that goes wrong.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Mishap {
    /// Something of the board.
    Board(Fault),
    /// The host stands still for so long, its ports stay open.
    HostFreezes(Duration),
    /// The host stands still for ever, its ports stay open.
    HostHangs,
    /// The host loses its power: its ports close.
    HostDies,
    /// The program ends without goodbye, as with a panic.
    ProgramBreaks,
}

impl std::fmt::Display for Mishap {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Board(fault) => fault.fmt(f),
            Self::HostFreezes(time) => write!(f, "host-freezes:{}", time.as_secs()),
            Self::HostHangs => f.write_str("host-hangs"),
            Self::HostDies => f.write_str("host-dies"),
            Self::ProgramBreaks => f.write_str("program-breaks"),
        }
    }
}

/// When a mishap comes.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum When {
    /// Before the board is switched on.
    AtStart,
    /// So long after it has begun to mine.
    Mining(Duration),
}

/// A run, which is repeated exactly by the same values.
#[derive(Clone, Debug)]
pub struct Run {
    pub class: &'static Class,
    pub seed: u64,
    pub ambient_c: f64,
    pub quality: Quality,
    pub mishaps: Vec<(Mishap, When)>,
    /// Virtual time from the first mishap, or from the first share, to the end.
    pub observe: Duration,
}

/// What the judges hold against a run.
#[derive(Clone, Debug, PartialEq)]
pub enum Violation {
    /// A die was hotter than it may ever be.
    TooHot { celsius: f64, limit: f64 },
    /// There was power without consent for this long.
    NoConsent { time: Duration },
    /// The guard on the controller did not grant, and there was power for this long.
    NoGrant { time: Duration },
    /// Power was on after the end.
    OnAfterEnd,
    /// The supply was told more than the profile allows, mV.
    Voltage { set: f64, most: f64 },
    /// Chips ran faster than the profile allows, MHz.
    Clock { mhz: f64, most: f64 },
    /// A regulator's permanent memory would have been written.
    NvmStore,
    /// A healthy board did not get to mine.
    NeverMined { problem: String },
}

/// What became of a run.
#[derive(Clone, Debug)]
pub struct Outcome {
    pub violations: Vec<Violation>,
    /// What nobody could have prevented on such a board; not in `violations`.
    pub excused: Vec<Violation>,
    /// Why.
    pub beyond: Option<&'static str>,
    /// First fault of the guard after the mishap.
    pub code: Option<String>,
    /// All codes of events after the mishap that are no plain news.
    pub codes: Vec<String>,
    /// From the mishap to core power off, in truth.
    pub off_after: Option<Duration>,
    /// From the mishap to a clock at least 3 % lower.
    pub slower_after: Option<Duration>,
    /// Hottest die after the mishap, °C.
    pub die_c: f64,
    pub limit_c: f64,
    /// Longest power without consent.
    pub unconsented: Duration,
    /// How often core power came on after the mishap.
    pub restarts: u64,
    /// State of the board before the end.
    pub last: String,
    /// Share of the wanted clock before the end.
    pub clock_share: f64,
    /// Power before the end, W.
    pub watts: f64,
    pub mined: bool,
    /// How often core power has come on at all.
    pub starts: u64,
}

impl Outcome {
    /// Whether the board has never had core power.
    pub fn never_on(&self) -> bool {
        self.starts == 0
    }
}

impl Run {
    /// A board at room temperature with nothing wrong.
    pub fn healthy(class: &'static Class, seed: u64, observe: Duration) -> Self {
        Self {
            class,
            seed,
            ambient_c: 25.0,
            quality: Quality::Normal,
            mishaps: Vec::new(),
            observe,
        }
    }

    /// What goes wrong and when, for whoever wants to repeat it.
    pub fn story(&self) -> String {
        let told = self.mishaps.iter().map(|(mishap, when)| match when {
            When::AtStart => format!("{mishap} from the start"),
            When::Mining(after) => format!("{mishap} at {:.1} s of mining", after.as_secs_f64()),
        });
        told.collect::<Vec<_>>().join(", ")
    }

    /// Does it, in a thread's own virtual time.
    pub fn go(&self) -> Outcome {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_time()
            .start_paused(true)
            .build()
            .expect("runtime");
        runtime.block_on(self.live())
    }

    async fn live(&self) -> Outcome {
        let mut board = self.class.board(self.seed);
        let most_mhz = board.profile.frequency.max_mhz;
        let profile = self.class.profile();
        let most_mv = f64::from(profile.rail_mv(profile.voltage.max_mv));
        let wanted = board.target_mhz();
        if let Some(sim) = &mut board.sim {
            sim.ambient_c = self.ambient_c;
            sim.quality = self.quality;
        }
        let mut lab = Lab::with_config(&config(vec![board]), Wire::default());
        lab.start_pool(easy_pool());
        let shared = lab.agent.simulated[0].clone().expect("a simulated board");
        let mut watch = Watch::new(self.class, shared, most_mhz, most_mv, wanted);
        for (mishap, when) in &self.mishaps {
            if *when == When::AtStart {
                watch.mishap(*mishap);
            }
        }
        let at_start = watch.since.is_some();
        let end = if at_start { self.observe } else { WARM_UP };
        let mut mined = false;
        while watch.now() < end {
            lab.run_for(STEP).await;
            watch.look(Some(&lab));
            mined |= lab.state().boards[0].state == "mining";
            if mined && !at_start {
                break;
            }
        }
        if !mined && !at_start {
            let state = lab.state();
            let problem = format!("{}: {:?}", state.boards[0].state, state.boards[0].problem);
            watch.violations.push(Violation::NeverMined { problem });
        }
        let mut coming: Vec<_> = self
            .mishaps
            .iter()
            .filter_map(|(mishap, when)| match when {
                When::AtStart => None,
                When::Mining(after) => Some((watch.now() + *after, *mishap)),
            })
            .collect();
        coming.sort_by_key(|(at, _)| *at);
        let until = watch.now()
            + self.observe
            + coming
                .first()
                .map_or(Duration::ZERO, |(at, _)| *at - watch.now());
        let mut coming = coming.into_iter().peekable();
        let mut lab = Some(lab);
        let mut frozen_until = Duration::ZERO;
        while mined && watch.now() < until {
            let now = watch.now();
            while let Some((_, mishap)) = coming.next_if(|(at, _)| *at <= now) {
                watch.mishap(mishap);
                match mishap {
                    Mishap::HostFreezes(time) => frozen_until = now + time,
                    Mishap::HostHangs => frozen_until = Duration::MAX,
                    Mishap::HostDies => {
                        frozen_until = Duration::MAX;
                        watch.board.control_closed();
                    }
                    // Its tasks are dropped where they stand.
                    Mishap::ProgramBreaks => lab = None,
                    Mishap::Board(_) => {}
                }
            }
            if now < frozen_until {
                watch.frozen = true;
                // A board that nobody drives keeps up only in steps as small as its own task makes.
                for _ in 0..STEP.as_millis() / SLICE.as_millis() {
                    pass_without_anybody(SLICE);
                    watch.truth();
                }
            } else {
                tokio::time::sleep(STEP).await;
                watch.frozen = false;
            }
            watch.look(lab.as_ref());
        }
        let last = watch.truth();
        let mut outcome = watch.outcome(&last);
        outcome.mined = mined;
        if let Some(lab) = lab
            && frozen_until < Duration::MAX
        {
            let state = lab.state();
            outcome.last = state.boards[0].state.clone();
            let by = watch.now() + STOP;
            lab.stop().await;
            let truth = watch.truth();
            if truth.core_on || truth.now > by {
                outcome.violations.push(Violation::OnAfterEnd);
            }
        } else {
            outcome.last = if last.core_on { "powered" } else { "off" }.to_owned();
            if last.core_on {
                outcome.violations.push(Violation::OnAfterEnd);
            }
        }
        self.excuse(&mut outcome);
        outcome
    }

    /// Moves to `beyond` what nobody could have done better on such a board.
    fn excuse(&self, outcome: &mut Outcome) {
        let faults: Vec<Fault> = self
            .mishaps
            .iter()
            .filter_map(|(mishap, _)| match mishap {
                Mishap::Board(fault) => Some(*fault),
                _ => None,
            })
            .collect();
        let guarded = self.class.controller == Controller::Guarded;
        let dead = |(mishap, _): &(Mishap, When)| {
            matches!(
                mishap,
                Mishap::HostHangs | Mishap::HostDies | Mishap::HostFreezes(_)
            )
        };
        let host =
            (!guarded && self.mishaps.iter().any(dead)).then_some("no guard on the controller");
        let Some(reason) = self.class.beyond(&faults).or(host) else {
            return;
        };
        let (beyond, own) = outcome.violations.drain(..).partition(|violation| {
            let power = matches!(
                violation,
                Violation::NoConsent { .. } | Violation::NoGrant { .. } | Violation::OnAfterEnd
            );
            // With a second fault that heats while nobody can act, heat follows.
            power || (matches!(violation, Violation::TooHot { .. }) && self.mishaps.len() > 1)
        });
        (outcome.excused, outcome.violations) = (beyond, own);
        outcome.beyond = (!outcome.excused.is_empty()).then_some(reason);
    }
}

/// Lets time pass in which no task of this thread gets to do anything.
fn pass_without_anybody(time: Duration) {
    let advance = pin!(tokio::time::advance(time));
    // The first poll moves the clock and wants to yield; that it does not get to.
    let _ = advance.poll(&mut Context::from_waker(Waker::noop()));
}

/// Whoever watches a run.
struct Watch {
    class: &'static Class,
    board: SharedBoard,
    most_mhz: f64,
    most_mv: f64,
    wanted_mhz: f64,
    start: tokio::time::Instant,
    violations: Vec<Violation>,
    events: u64,
    /// Since when the agent's guard has not consented; none while it does.
    no_consent: Option<Duration>,
    no_grant: Option<Duration>,
    unconsented: Duration,
    ungranted: Duration,
    frozen: bool,
    /// When the first mishap came.
    since: Option<Duration>,
    starts: u64,
    was_on: bool,
    codes: Vec<String>,
    faults: Vec<String>,
    off_after: Option<Duration>,
    slower_after: Option<Duration>,
    die_c: f64,
    limit_c: f64,
}

impl Watch {
    fn new(
        class: &'static Class,
        board: SharedBoard,
        most_mhz: f64,
        most_mv: f64,
        wanted_mhz: f64,
    ) -> Self {
        Self {
            class,
            board,
            most_mhz,
            most_mv,
            wanted_mhz,
            start: tokio::time::Instant::now(),
            violations: Vec::new(),
            events: 0,
            no_consent: Some(Duration::ZERO),
            no_grant: None,
            unconsented: Duration::ZERO,
            ungranted: Duration::ZERO,
            frozen: false,
            since: None,
            starts: 0,
            was_on: false,
            codes: Vec::new(),
            faults: Vec::new(),
            off_after: None,
            slower_after: None,
            die_c: f64::MIN,
            limit_c: f64::MAX,
        }
    }

    fn now(&self) -> Duration {
        self.start.elapsed()
    }

    fn truth(&self) -> Truth {
        self.board.truth()
    }

    fn mishap(&mut self, mishap: Mishap) {
        let truth = self.truth();
        if self.since.is_none() {
            self.starts = truth.core_starts;
            self.die_c = truth.die_c;
        }
        // Reactions are counted from the last one, which is what shows it.
        self.since = Some(self.now());
        self.was_on = truth.core_on;
        (self.off_after, self.slower_after) = (None, None);
        if let Mishap::Board(fault) = mishap {
            self.board.inject(fault);
        }
    }

    /// Looks at the truth, and at what the agent has said.
    fn look(&mut self, lab: Option<&Lab>) {
        let now = self.now();
        let truth = self.truth();
        self.die_c = self.die_c.max(truth.die_c);
        self.limit_c = truth.die_limit_c;
        if let Some(lab) = lab {
            self.hear(lab);
        } else {
            // Whoever is gone consents to nothing.
            self.no_consent.get_or_insert(now);
        }
        if let Some(since) = self.no_consent.filter(|_| !self.frozen)
            && truth.core_on
        {
            let time = now.saturating_sub(since.max(truth.core_since));
            self.unconsented = self.unconsented.max(time);
        }
        self.no_grant = match truth.guard_grants {
            Some(false) => Some(self.no_grant.unwrap_or(now)),
            _ => None,
        };
        if let Some(since) = self.no_grant
            && truth.core_on
        {
            let time = now.saturating_sub(since.max(truth.core_since));
            self.ungranted = self.ungranted.max(time);
        }
        let step = 0.01 * self.most_mv;
        if truth.core_on && truth.set_mv > self.most_mv + step {
            self.note(Violation::Voltage {
                set: truth.set_mv,
                most: self.most_mv,
            });
        }
        if truth.fastest_mhz > self.most_mhz * 1.01 {
            self.note(Violation::Clock {
                mhz: truth.fastest_mhz,
                most: self.most_mhz,
            });
        }
        if let Some(since) = self.since {
            if self.was_on && !truth.core_on && self.off_after.is_none() {
                self.off_after = Some(truth.core_since.saturating_sub(since));
            }
            self.was_on |= truth.core_on;
            if truth.core_on
                && truth.fastest_mhz < 0.97 * self.wanted_mhz
                && truth.fastest_mhz > 0.0
            {
                self.slower_after.get_or_insert(now - since);
            }
        }
    }

    fn hear(&mut self, lab: &Lab) {
        for entry in lab.agent.events.after(self.events, 512) {
            self.events = entry.number;
            let notice = &entry.notice;
            let at = Duration::from_secs_f64(entry.at_s);
            let value = |name: &str| {
                let found = notice.values.iter().find(|(key, _)| key == name);
                found.map(|(_, value)| value.as_str())
            };
            if notice.code == "guard-state" {
                match (value("from"), value("to")) {
                    (_, Some("on")) => self.no_consent = None,
                    (Some("on"), _) => self.no_consent = Some(at),
                    _ => {}
                }
                continue;
            }
            if self.since.is_none_or(|since| at < since) {
                continue;
            }
            // The guard on the board is quoted: `... is latched, because of over-voltage`.
            let quoted = notice.text.rsplit(' ').next().unwrap_or_default();
            let quoted = (notice.code == "board-guard").then_some(quoted);
            let code = quoted.unwrap_or(&notice.code);
            if guard::FaultCode::from_name(code).is_some() {
                self.faults.push(code.to_owned());
            } else {
                self.codes.push(notice.code.clone());
            }
        }
    }

    fn note(&mut self, violation: Violation) {
        let known =
            |other: &Violation| std::mem::discriminant(other) == std::mem::discriminant(&violation);
        if !self.violations.iter().any(known) {
            self.violations.push(violation);
        }
    }

    fn outcome(&mut self, last: &Truth) -> Outcome {
        if last.die_limit_passed.is_some() {
            self.note(Violation::TooHot {
                celsius: last.die_highest_c,
                limit: last.die_limit_c,
            });
        }
        let allowed = self.class.actuation();
        if self.unconsented > allowed {
            self.note(Violation::NoConsent {
                time: self.unconsented,
            });
        }
        if self.ungranted > allowed {
            self.note(Violation::NoGrant {
                time: self.ungranted,
            });
        }
        if last.nvm_stores > 0 {
            self.note(Violation::NvmStore);
        }
        Outcome {
            violations: self.violations.clone(),
            excused: Vec::new(),
            beyond: None,
            code: self.faults.first().cloned(),
            codes: self.faults.iter().chain(&self.codes).cloned().collect(),
            off_after: self.off_after,
            slower_after: self.slower_after,
            die_c: self.die_c,
            limit_c: self.limit_c,
            unconsented: self.unconsented,
            restarts: last.core_starts - self.starts,
            last: String::new(),
            clock_share: last.fastest_mhz / self.wanted_mhz,
            watts: last.core_w,
            mined: false,
            starts: last.core_starts,
        }
    }
}
