//! A tuner that looks on: it sees what was recorded of one station and says what it would do, but nobody does it.

use std::collections::BTreeMap;
use std::time::Duration;

use autotune::{Aim, Caps, Layout, Observation, Prediction, Setting, Step, Tuner};
use serde::Serialize;

use super::moment::StationMoment;

/// How long what is recorded may differ from what the tuner ordered before it is taken for its setting.
const PATIENCE: Duration = Duration::from_secs(30);
/// Differences of clock and voltage that are none.
const NEAR_MHZ: f64 = 1.6;
const NEAR_MV: f64 = 0.012;
/// Change of the promised work that makes the same step news, share.
const NEWS: f64 = 0.02;
/// What a tuner supposes that begins with a model: here it is the recording that it was taken to.
const BEGINS: &str = "the stored model still holds";

/// Something that the tuner would have done.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Told {
    /// Position of the station.
    pub station: usize,
    /// When, seconds since 1970.
    pub unix_s: u64,
    /// The step with its reasons.
    pub step: Step,
    /// Voltage that it would order, mV, and mean clock, MHz.
    pub mv: f64,
    /// Mean clock, MHz.
    pub mhz: f64,
    /// Voltage that was, mV, where it was read back, and mean clock, MHz.
    pub was_mv: Option<f64>,
    /// Mean clock that was, MHz.
    pub was_mhz: f64,
    /// The same was told before.
    pub again: bool,
}

/// What came of one station.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Summary {
    /// Position of the station.
    pub station: usize,
    /// Profile of its boards.
    pub profile: String,
    /// What the tuner was asked for.
    pub aim: Aim,
    /// Settings that it learned from.
    pub rounds: u32,
    /// Steps that it took.
    pub steps: u64,
    /// Time with work, s.
    pub mined_s: f64,
    /// What was, by counts and readings: work, TH/s, and input power, W.
    pub was_ths: Option<f64>,
    /// Input power that was, W.
    pub was_watts: Option<f64>,
    /// What the tuner promises for the aim at the end, with intervals of 95 %.
    pub best: Option<Prediction>,
    /// Work expected to be lost for want of knowledge, share.
    pub regret: f64,
    /// Chips that did not answer: board and chip.
    pub silent: Vec<(usize, usize)>,
}

/// A tuner that looks on.
#[derive(Debug)]
pub struct Shadow {
    station: usize,
    profile: String,
    layout: Layout,
    tuner: Tuner,
    wish: (Aim, Caps),
    last: Option<(Duration, Observation)>,
    /// Since when what is recorded differs from what was ordered.
    differs: Option<Duration>,
    steps: u64,
    /// Settings that the tuners before this one learned from.
    rounds: u32,
    /// What was supposed and decided so far, with the work that was promised then.
    said: BTreeMap<(String, String), f64>,
    mined_s: f64,
    hashes: f64,
    joules: f64,
    metered_s: f64,
}

impl Shadow {
    /// A tuner for what a moment shows.
    ///
    /// # Errors
    ///
    /// A profile that is not known, or boards that cannot be tuned.
    pub fn new(station: &StationMoment, aim: Aim, caps: Caps) -> Result<Self, String> {
        let layout = station.layout()?;
        let tuner = Tuner::new(layout.clone(), aim, caps, Vec::new(), 1)
            .map_err(|error| format!("these boards cannot be tuned: {error}"))?;
        Ok(Self {
            station: station.station,
            profile: station.profile.clone(),
            layout,
            tuner,
            wish: (aim, caps),
            last: None,
            differs: None,
            steps: 0,
            rounds: 0,
            said: BTreeMap::new(),
            mined_s: 0.0,
            hashes: 0.0,
            joules: 0.0,
            metered_s: 0.0,
        })
    }

    /// Whether a moment is of the same boards.
    #[must_use]
    pub fn fits(&self, station: &StationMoment) -> bool {
        self.profile == station.profile && self.layout.serials == station.serials()
    }

    /// Wants something else from now on.
    pub fn want(&mut self, aim: Aim, caps: Caps) {
        if self.wish != (aim, caps) {
            self.wish = (aim, caps);
            self.tuner.set_aim(aim, caps);
        }
    }

    /// Takes a moment of the recording; what the tuner would have done by it.
    pub fn take(&mut self, now: Duration, unix_s: u64, station: &StationMoment) -> Vec<Told> {
        let seen = station.observation(&self.layout);
        self.account(now, &seen);
        self.tuner.observe(now, &seen);
        self.tuner.tick(now);
        // Nobody carries them out.
        while self.tuner.poll_command().is_some() {}
        let was_mhz = mean_mhz(&seen);
        let was_mv = seen.boards.first().and_then(|board| board.mv);
        let mut told = Vec::new();
        while let Some(step) = self.tuner.poll_step() {
            if self.rounds > 0 && step.hypothesis == BEGINS {
                continue;
            }
            self.steps += 1;
            let setting = self.tuner.setting();
            let ths = self.tuner.status().ths;
            let words = (step.hypothesis.clone(), step.decision.clone());
            let before = self.said.insert(words, ths);
            let again = before.is_some_and(|before| (before - ths).abs() <= NEWS * ths.abs());
            told.push(Told {
                station: self.station,
                unix_s,
                step,
                mv: setting.mv.first().copied().unwrap_or(0.0),
                mhz: setting.mean_mhz(),
                was_mv,
                was_mhz,
                again,
            });
        }
        self.follow(now, &seen);
        self.last = Some((now, seen));
        told
    }

    /// Takes what is recorded for the tuner's own setting, where it has been another one for a while.
    fn follow(&mut self, now: Duration, seen: &Observation) {
        let running = seen.boards.iter().all(|board| board.running);
        if !running || is_near(self.tuner.setting(), seen) {
            self.differs = None;
            return;
        }
        let since = *self.differs.get_or_insert(now);
        if now.saturating_sub(since) >= PATIENCE {
            self.adopt(seen);
            self.differs = None;
        }
    }

    /// Begins anew where the recording is, with all that was learned.
    fn adopt(&mut self, seen: &Observation) {
        self.rounds += self.tuner.status().rounds;
        let mut models = self.tuner.models();
        for (model, board) in models.iter_mut().zip(&seen.boards) {
            model.complete = false;
            if let Some(mv) = board.mv {
                model.mv = mv;
            }
            for (chip, seen) in model.chips.iter_mut().zip(&board.chips) {
                chip.mhz = seen.mhz;
            }
        }
        let (aim, caps) = self.wish;
        if let Ok(tuner) = Tuner::new(self.layout.clone(), aim, caps, models, 1) {
            self.tuner = tuner;
        }
    }

    /// Counts work and energy.
    fn account(&mut self, now: Duration, seen: &Observation) {
        let Some((then, before)) = &self.last else {
            return;
        };
        let dt = now.saturating_sub(*then).as_secs_f64();
        if dt > 60.0 || !(seen.work && before.work) || seen.boards.len() != before.boards.len() {
            return;
        }
        let mut hashes = 0.0;
        for (old, new) in before.boards.iter().zip(&seen.boards) {
            if old.ticket_bits != new.ticket_bits {
                return;
            }
            let worth = autotune::nonce_hashes(new.ticket_bits);
            for (old, new) in old.chips.iter().zip(&new.chips) {
                // A counter that fell has begun anew.
                hashes += new.valid.saturating_sub(old.valid) as f64 * worth;
            }
        }
        self.mined_s += dt;
        self.hashes += hashes;
        if let Some(watts) = seen.watts {
            self.joules += watts * dt;
            self.metered_s += dt;
        }
    }

    /// What came of it so far.
    #[must_use]
    pub fn summary(&self) -> Summary {
        let status = self.tuner.status();
        let rounds = self.rounds + status.rounds;
        Summary {
            station: self.station,
            profile: self.profile.clone(),
            aim: self.wish.0,
            rounds,
            steps: self.steps,
            mined_s: self.mined_s,
            was_ths: (self.mined_s > 0.0).then(|| self.hashes / self.mined_s / 1e12),
            was_watts: (self.metered_s > 0.0).then(|| self.joules / self.metered_s),
            best: (rounds > 0)
                .then(|| self.tuner.predict(self.wish.0))
                .flatten(),
            regret: status.regret,
            silent: status.silent,
        }
    }
}

fn mean_mhz(seen: &Observation) -> f64 {
    let clocks = seen.boards.iter().flat_map(|board| &board.chips);
    clocks.clone().map(|chip| chip.mhz).sum::<f64>() / clocks.count().max(1) as f64
}

fn is_near(setting: &Setting, seen: &Observation) -> bool {
    let boards = seen.boards.iter().zip(setting.mhz.iter().zip(&setting.mv));
    boards.into_iter().all(|(board, (clocks, &mv))| {
        let clock = |(chip, mhz): (&autotune::ChipReading, &f64)| (chip.mhz - mhz).abs() < NEAR_MHZ;
        board.chips.iter().zip(clocks).all(clock)
            && board
                .mv
                .is_none_or(|read| (read / mv - 1.0).abs() < NEAR_MV)
    })
}
