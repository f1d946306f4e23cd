//! One visit of a point: waits until clock, voltage and temperature have arrived, then counts until a
//! sequential test has an answer, and gives up at once when something is wrong. Pure: views of the board go
//! in, the outcome comes out.

use autotune::{Sprt, Steady, Verdict as Proof};
use std::time::Duration;

use super::outcome::{Outcome, Verdict};
use super::plan::Point;
use super::view::{BoardView, NEAR_MHZ};

/// Hashes that a nonce of ticket difficulty 1 stands for.
const HASHES_PER_NONCE: f64 = 4_294_967_296.0;

/// Share of the promised work of a board that is well: at its usual setting not all cores of all chips make it.
const WELL: f64 = 0.98;
/// Share of the promised work of a board that is not: between both, 94 %, lies what benchmark scripts want.
const ILL: f64 = 0.90;

/// Share of wrong nonces of a board that is well, and how many times that is too much: what is healthy, and
/// what benchmarks of single-chip miners reject.
const WRONG: f64 = 0.01;
const WRONG_RATIO: f64 = 3.5;

/// Doubt of a share that is good enough to compare points, and how long is counted at most for nothing but
/// that, s. A test that ends as soon as it has its proof ends in a lucky moment.
const PRECISE: f64 = 0.025;
const PRECISE_WITHIN_S: f64 = 120.0;

/// Time for the voltage to be read back as it was set, s.
const VOLTAGE_S: f64 = 30.0;

/// Rules of a visit.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Rules {
    /// Probability that a point that is well is taken for a bad one, and the other way round.
    pub error_rate: f64,
    /// Counts exactly so long; without it as long as the test needs.
    pub dwell_s: Option<f64>,
    /// Counts at most so long, s.
    pub longest_s: f64,
    /// Time for the clock to arrive, s.
    pub arrive_s: f64,
    /// Waits at least so long for the temperature to come to rest, s.
    pub settle_s: f64,
    /// Waits at most so long for that, s.
    pub settle_longest_s: f64,
    /// Hottest temperature that is wanted, °C.
    pub max_celsius: Option<f64>,
    /// Highest power that is wanted, W.
    pub max_watts: Option<f64>,
}

impl Default for Rules {
    fn default() -> Self {
        Self {
            error_rate: 0.01,
            dwell_s: None,
            longest_s: 900.0,
            arrive_s: 120.0,
            settle_s: 10.0,
            settle_longest_s: 120.0,
            max_celsius: None,
            max_watts: None,
        }
    }
}

impl Rules {
    /// Longest time that a visit takes, s.
    #[must_use]
    pub fn longest_visit_s(&self) -> f64 {
        let count = self.dwell_s.unwrap_or(self.longest_s);
        self.arrive_s + self.settle_longest_s + count
    }
}

/// What a visit does.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Stage {
    /// Clock and voltage are on their way.
    #[default]
    Moving,
    /// The temperature comes to rest.
    Settling,
    /// Nonces are counted.
    Counting,
}

/// What is to be done next.
#[derive(Clone, Debug, PartialEq)]
pub enum Next {
    /// Show the next view.
    Go,
    /// The visit is over.
    Done(Box<Outcome>),
    /// There has been no work for too long: wait for some, and begin this visit again.
    NoWork,
    /// Somebody else has changed the board, or it failed for a reason of its own: the sweep has to end.
    Taken(String),
}

/// A visit.
#[derive(Clone, Debug)]
pub struct Visit {
    at: Point,
    rules: Rules,
    stage: Stage,
    first: Option<BoardView>,
    last: Option<BoardView>,
    steady: Steady,
    settled_at: f64,
    rate: Sprt,
    wrong: Sprt,
    /// It was proved to do its work.
    proved: bool,
    /// The board was asked for the point: what differs from now on is somebody else's doing.
    asked: bool,
    idle_s: f64,
    // What was counted.
    counted_s: f64,
    nonces: u64,
    expected: f64,
    wrongs: u64,
    hashes: f64,
    station_hashes: f64,
    joules: f64,
    powered_s: f64,
    measured: bool,
}

/// Time without work after which the visit has to be made again, s: the agent's own time for it runs.
const IDLE_S: f64 = 60.0;
/// A tuner that was stopped a moment ago first goes back to the board's setting, and asks for a new one on its next look, s.
const ASKED_S: f64 = 15.0;

impl Visit {
    /// A visit that begins.
    #[must_use]
    pub fn new(at: Point, rules: Rules) -> Self {
        let error = rules.error_rate;
        Self {
            at,
            rules,
            stage: Stage::Moving,
            first: None,
            last: None,
            steady: Steady::new(),
            settled_at: 0.0,
            rate: Sprt::new(ILL / WELL, error, error),
            wrong: Sprt::new(WRONG_RATIO, error, error),
            proved: false,
            asked: false,
            idle_s: 0.0,
            counted_s: 0.0,
            nonces: 0,
            expected: 0.0,
            wrongs: 0,
            hashes: 0.0,
            station_hashes: 0.0,
            joules: 0.0,
            powered_s: 0.0,
            measured: true,
        }
    }

    /// What it does.
    #[must_use]
    pub fn stage(&self) -> Stage {
        self.stage
    }

    /// Share of the promised work so far, with its standard deviation.
    #[must_use]
    pub fn delivered(&self) -> Option<(f64, f64)> {
        let sd = (self.nonces.max(1) as f64).sqrt();
        (self.expected > 0.0).then(|| (self.nonces as f64 / self.expected, sd / self.expected))
    }

    /// Time since it began, s.
    #[must_use]
    pub fn took_s(&self) -> f64 {
        match (&self.first, &self.last) {
            (Some(first), Some(last)) => (last.at_s - first.at_s).max(0.0),
            _ => 0.0,
        }
    }

    /// Takes the next view of the board.
    pub fn take(&mut self, view: &BoardView) -> Next {
        let first = self.first.get_or_insert_with(|| view.clone()).clone();
        self.asked |= view.is_asked_for(&self.at);
        if !self.asked && view.at_s - first.at_s < ASKED_S {
            return Next::Go;
        }
        if let Some(why) = view.taken(&self.at) {
            return Next::Taken(why);
        }
        if let Some(fault) = view.fault.as_ref().filter(|fault| fault.verdict.is_none()) {
            return Next::Taken(format!("{}. {}", fault.text, fault.advice));
        }
        if let Some((verdict, why)) = self.trouble(&first, view) {
            self.last = Some(view.clone());
            return self.done(verdict, why);
        }
        let before = self.last.replace(view.clone());
        let dt = before.as_ref().map_or(0.0, |last| view.at_s - last.at_s);
        if view.state == "idle" {
            self.idle_s += dt.max(0.0);
            if self.idle_s > IDLE_S {
                return Next::NoWork;
            }
            // What came before counts, the pause does not.
            return Next::Go;
        }
        match self.stage {
            Stage::Moving if self.arrived(view, view.at_s - first.at_s) => {
                self.stage = Stage::Settling;
                self.settled_at = view.at_s;
                Next::Go
            }
            Stage::Moving if view.at_s - first.at_s - self.idle_s > self.rules.arrive_s => {
                let why = format!(
                    "it stayed at {:.0} MHz for {:.0} s ({})",
                    view.mhz, self.rules.arrive_s, view.state
                );
                self.done(Verdict::Broke, why)
            }
            Stage::Moving => Next::Go,
            Stage::Settling => {
                let waited = view.at_s - self.settled_at;
                let now = Duration::try_from_secs_f64(view.at_s).unwrap_or_default();
                let rests = match view.celsius {
                    Some(celsius) => self.steady.read(now, celsius),
                    None => true,
                };
                if (rests && waited >= self.rules.settle_s) || waited >= self.rules.settle_longest_s
                {
                    self.stage = Stage::Counting;
                }
                Next::Go
            }
            Stage::Counting => match before.filter(|before| before.state == "mining") {
                Some(before) if dt > 0.0 => self.count(&before, view, dt),
                _ => Next::Go,
            },
        }
    }

    /// What ends a visit at once.
    fn trouble(&self, first: &BoardView, view: &BoardView) -> Option<(Verdict, String)> {
        let wanted = self.rules;
        if let Some(fault) = &view.fault {
            return Some((fault.verdict?, fault.text.clone()));
        }
        if view.restarts > first.restarts {
            let problem = view
                .problem
                .clone()
                .unwrap_or_else(|| "no reason told".to_owned());
            return Some((
                Verdict::Broke,
                format!("its chain was started again: {problem}"),
            ));
        }
        if ["failed", "held", "latched"].contains(&view.state.as_str()) {
            let problem = view.problem.clone().unwrap_or_else(|| view.state.clone());
            return Some((Verdict::Broke, problem));
        }
        if view.chips < first.chips && view.state == "mining" {
            return Some((
                Verdict::Broke,
                format!("{} of {} chips are left", view.chips, first.chips),
            ));
        }
        if view.throttle < 1.0 {
            return Some((
                Verdict::Hot,
                format!("throttled to {:.0} % of its clock", view.throttle * 100.0),
            ));
        }
        if let (Some(celsius), Some(max)) = (view.celsius, wanted.max_celsius)
            && celsius > max
        {
            return Some((Verdict::Hot, format!("{celsius:.1} °C, more than {max} °C")));
        }
        if let (Some(watts), Some(max)) = (view.watts, wanted.max_watts)
            && watts > max
        {
            return Some((
                Verdict::Power,
                format!("{watts:.0} W, more than {max:.0} W"),
            ));
        }
        view.held.as_ref().map(|held| {
            let why = format!("held to {held} by the guard or the profile's limits");
            (Verdict::Power, why)
        })
    }

    /// Clock and voltage are where they are to be. An instrument that is a little off does not hold it up for
    /// ever: what is too far off is for the guard.
    fn arrived(&self, view: &BoardView, waited_s: f64) -> bool {
        view.state == "mining"
            && view.is_at_its_clock()
            && (view.mhz - self.at.mhz).abs() < 2.0 * NEAR_MHZ
            && (view.derated_arrived || waited_s > VOLTAGE_S)
    }

    fn count(&mut self, before: &BoardView, view: &BoardView, dt: f64) -> Next {
        // A counter that has gone back or another ticket tells nothing of this time.
        let (Some(nonces), Some(wrongs)) = (
            view.nonces.checked_sub(before.nonces),
            view.wrong.checked_sub(before.wrong),
        ) else {
            return Next::Go;
        };
        if view.ticket_bits != before.ticket_bits {
            return Next::Go;
        }
        let per_nonce = HASHES_PER_NONCE * 2f64.powi(view.ticket_bits.into());
        let expected = (view.expected_hps + before.expected_hps) / 2.0 * dt / per_nonce;
        self.counted_s += dt;
        self.nonces += nonces;
        self.wrongs += wrongs;
        self.expected += expected;
        self.hashes += nonces as f64 * per_nonce;
        self.station_hashes += (view.station_hashes - before.station_hashes).max(0.0);
        if let Some(watts) = view.watts {
            self.joules += watts * dt;
            self.powered_s += dt;
            self.measured &= view.watts_measured;
        }
        let rate = self.rate.count(nonces as f64, expected * WELL);
        let all = (nonces + wrongs) as f64;
        let wrong = self.wrong.count(wrongs as f64, all * WRONG);
        let (share, sd) = self.delivered().unwrap_or_default();
        let said = || format!("{:.1} ± {:.1} % of its work", share * 100.0, sd * 100.0);
        if wrong == Proof::Changed {
            let share = self.wrongs as f64 / (self.nonces + self.wrongs).max(1) as f64;
            let why = format!("{:.1} % of its nonces are wrong", share * 100.0);
            return self.done(Verdict::Wrong, why);
        }
        if rate == Proof::Changed {
            let why = said();
            return self.done(Verdict::Slow, why);
        }
        // The test begins again after that answer.
        self.proved |= rate == Proof::Well;
        let over = match self.rules.dwell_s {
            Some(dwell) => self.counted_s >= dwell,
            None => {
                let told = sd <= PRECISE || self.counted_s >= PRECISE_WITHIN_S;
                self.proved && told || self.counted_s >= self.rules.longest_s
            }
        };
        if !over {
            return Next::Go;
        }
        // A fixed time may end between the proofs.
        let middle = (WELL + ILL) / 2.0;
        let verdict = if self.proved || share - 2.0 * sd > middle {
            Verdict::Good
        } else if share + 2.0 * sd < middle {
            Verdict::Slow
        } else {
            Verdict::Undecided
        };
        let why = match verdict {
            Verdict::Undecided => format!("{}, too few nonces to tell", said()),
            _ => said(),
        };
        self.done(verdict, why)
    }

    fn done(&mut self, verdict: Verdict, why: String) -> Next {
        let took_s = self.took_s();
        let delivered = self.delivered();
        let all = self.nonces + self.wrongs;
        let watts = (self.powered_s > 0.0).then(|| self.joules / self.powered_s);
        let last = self.last.as_ref();
        let joules = self.joules / (self.station_hashes / 1e12);
        Next::Done(Box::new(Outcome {
            at: self.at,
            verdict,
            why,
            counted_s: self.counted_s,
            took_s,
            nonces: self.nonces,
            expected_nonces: self.expected,
            wrong: self.wrongs,
            delivered: delivered.map(|(share, _)| share),
            delivered_sd: delivered.map(|(_, sd)| sd),
            wrong_share: (all > 0).then(|| self.wrongs as f64 / all as f64),
            hps: (self.counted_s > 0.0).then(|| self.hashes / self.counted_s),
            watts: watts.or(last.and_then(|last| last.watts)),
            watts_measured: self.powered_s > 0.0 && self.measured,
            j_per_th: Some(joules).filter(|j| j.is_finite() && *j > 0.0),
            celsius: last.and_then(|last| last.celsius),
            actual_mv: last.and_then(|last| last.actual_mv),
        }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::sweep::view::Fault;

    const AT: Point = Point {
        mhz: 500.0,
        mv: Some(1150),
    };

    /// A board that gives 50 nonces a second at ticket 256, at the wanted setting.
    fn board(at_s: f64) -> BoardView {
        BoardView {
            at_s,
            state: "mining".to_owned(),
            mhz: 500.0,
            target_mhz: 500.0,
            chips: 1,
            expected_hps: 50.0 * HASHES_PER_NONCE * 256.0,
            ticket_bits: 8,
            throttle: 1.0,
            celsius: Some(55.0),
            watts: Some(20.0),
            watts_measured: true,
            wanted: Some(AT),
            derated_arrived: true,
            ..BoardView::default()
        }
    }

    /// Shows the board second by second, and what came of the visit.
    fn visit(rules: Rules, mut at: impl FnMut(f64, &mut BoardView)) -> Next {
        let mut visit = Visit::new(AT, rules);
        for second in 0..5_000 {
            let mut view = board(f64::from(second));
            at(f64::from(second), &mut view);
            match visit.take(&view) {
                Next::Go => {}
                end => return end,
            }
        }
        panic!("no end: {visit:?}");
    }

    fn outcome(next: Next) -> Outcome {
        match next {
            Next::Done(outcome) => *outcome,
            other => panic!("{other:?}"),
        }
    }

    /// Nonces so many a second, of which so many wrong.
    fn counts(second: f64, view: &mut BoardView, rate: f64, wrong: f64) {
        view.nonces = (second * rate) as u64;
        view.wrong = (second * wrong) as u64;
        view.station_hashes = second * rate * HASHES_PER_NONCE * 256.0;
    }

    #[test]
    fn a_board_that_does_its_work_is_good_as_soon_as_that_is_proved() {
        let done = outcome(visit(Rules::default(), |s, view| {
            counts(s, view, 49.0, 0.0)
        }));
        assert_eq!(done.verdict, Verdict::Good);
        // 1270 nonces prove 98 % at error rates of 1 %.
        assert!((20.0..40.0).contains(&done.counted_s), "{}", done.counted_s);
        assert!((done.delivered.unwrap() - 0.98).abs() < 0.01);
        // 20 W for 49 nonces a second of 2^40 hashes each.
        assert!((done.j_per_th.unwrap() - 20.0 / (49.0 * 1.0995)).abs() < 0.01);
        assert!((done.hps.unwrap() / 1e12 - 49.0 * 1.0995).abs() < 1.0);
    }

    #[test]
    fn a_board_that_does_not_is_given_up_early() {
        let done = outcome(visit(Rules::default(), |s, view| {
            counts(s, view, 30.0, 0.0)
        }));
        assert_eq!(done.verdict, Verdict::Slow);
        assert!(done.counted_s < 10.0, "{}", done.counted_s);
    }

    #[test]
    fn wrong_nonces_are_a_verdict_of_their_own() {
        let done = outcome(visit(Rules::default(), |s, view| {
            counts(s, view, 49.0, 5.0)
        }));
        assert_eq!(done.verdict, Verdict::Wrong);
        assert!(done.why.contains("wrong"), "{}", done.why);
    }

    #[test]
    fn a_fixed_time_is_kept_and_undecided_is_said() {
        let rules = Rules {
            dwell_s: Some(5.0),
            ..Rules::default()
        };
        let done = outcome(visit(rules, |s, view| counts(s, view, 47.0, 0.0)));
        assert_eq!((done.verdict, done.counted_s), (Verdict::Undecided, 5.0));
    }

    #[test]
    fn counting_begins_when_the_clock_and_the_heat_have_arrived() {
        let rules = Rules {
            dwell_s: Some(40.0),
            ..Rules::default()
        };
        let done = outcome(visit(rules, |s, view| {
            counts(s, view, 49.0, 0.0);
            if s < 30.0 {
                view.mhz = 400.0;
            }
            view.celsius = Some(60.0 - 20.0 * (-s / 30.0).exp());
        }));
        assert!(done.took_s > 80.0, "{}", done.took_s);
        assert_eq!(done.verdict, Verdict::Good);
    }

    #[test]
    fn heat_power_faults_and_lost_chips_end_it_at_once() {
        let rules = Rules {
            max_celsius: Some(70.0),
            max_watts: Some(30.0),
            ..Rules::default()
        };
        type Change = fn(&mut BoardView);
        let cases: [(Change, Verdict); 7] = [
            (|view| view.celsius = Some(71.0), Verdict::Hot),
            (|view| view.throttle = 0.9, Verdict::Hot),
            (|view| view.watts = Some(31.0), Verdict::Power),
            (
                |view| view.held = Some("450 MHz 1150 mV".to_owned()),
                Verdict::Power,
            ),
            (|view| view.chips = 0, Verdict::Broke),
            (|view| view.restarts = 1, Verdict::Broke),
            (
                |view| {
                    view.fault = Some(Fault {
                        verdict: Some(Verdict::Hot),
                        text: "temperature-limit".to_owned(),
                        latched: false,
                        advice: String::new(),
                    });
                },
                Verdict::Hot,
            ),
        ];
        for (change, verdict) in cases {
            let done = outcome(visit(rules, |s, view| {
                counts(s, view, 49.0, 0.0);
                if s >= 15.0 {
                    change(view);
                }
            }));
            assert_eq!(done.verdict, verdict, "{}", done.why);
            assert!(done.took_s < 16.0);
        }
    }

    #[test]
    fn a_clock_that_never_arrives_is_a_failure() {
        let done = outcome(visit(Rules::default(), |_, view| view.mhz = 300.0));
        assert_eq!(done.verdict, Verdict::Broke);
        assert!(done.why.contains("300 MHz"), "{}", done.why);
    }

    #[test]
    fn a_board_that_somebody_else_changes_is_left_alone() {
        let next = visit(Rules::default(), |s, view| {
            if s > 20.0 {
                view.wanted = Some(Point {
                    mhz: 425.0,
                    mv: Some(1100),
                });
            }
        });
        assert!(matches!(next, Next::Taken(text) if text.contains("425 MHz")));
    }

    #[test]
    fn what_a_stopped_tuner_still_asks_for_is_nobody_else_s_doing() {
        let before = Point {
            mhz: 525.0,
            mv: Some(1150),
        };
        let asked_after = |most: f64| {
            visit(Rules::default(), |s, view| {
                counts(s, view, 49.0, 0.0);
                if s < most {
                    view.wanted = Some(before);
                    (view.mhz, view.target_mhz) = (before.mhz, before.mhz);
                }
            })
        };
        assert_eq!(outcome(asked_after(5.0)).verdict, Verdict::Good);
        assert!(matches!(asked_after(60.0), Next::Taken(_)));
    }

    #[test]
    fn time_without_work_does_not_count() {
        let rules = Rules {
            dwell_s: Some(40.0),
            ..Rules::default()
        };
        let done = outcome(visit(rules, |s, view| {
            // Nothing is found between second 60 and 90, because there is no work.
            let worked = if s < 60.0 { s } else { (s - 30.0).max(60.0) };
            counts(worked, view, 49.0, 0.0);
            if (60.0..90.0).contains(&s) {
                view.state = "idle".to_owned();
            }
        }));
        assert_eq!(done.verdict, Verdict::Good, "{}", done.why);
        assert!(
            (done.delivered.unwrap() - 0.98).abs() < 0.03,
            "{}",
            done.why
        );
    }
}
