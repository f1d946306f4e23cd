//! Curtailment: a cap of power that goes down and up in ramps, for a while or until it is ended.

use std::time::Duration;

/// A wish to draw less.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Curtail {
    /// Input power of all boards, W; 0 is sleep; none ends it.
    pub watts: Option<f64>,
    /// How long the way there, and back, takes.
    pub ramp: Duration,
    /// How long it holds, the way there included; without it until it is ended.
    pub length: Option<Duration>,
}

/// Why curtailment cannot be meant.
#[derive(Clone, Copy, Debug, PartialEq, thiserror::Error)]
pub enum CurtailError {
    /// No number of watts.
    #[error(
        "curtailment to {0} W cannot be meant; give watts from 0 (sleep) to 1000000, or null to end it"
    )]
    Watts(f64),
}

/// Most watts that are believed.
const MOST_W: f64 = 1e6;

/// A ramp between two caps.
#[derive(Clone, Copy, Debug)]
struct Ramp {
    from: f64,
    to: f64,
    begun: Duration,
    length: Duration,
}

impl Ramp {
    fn at(&self, now: Duration) -> f64 {
        let passed = now.saturating_sub(self.begun);
        if passed >= self.length {
            return self.to;
        }
        let share = passed.as_secs_f64() / self.length.as_secs_f64();
        self.from + (self.to - self.from) * share.clamp(0.0, 1.0)
    }

    fn end(&self) -> Duration {
        self.begun.saturating_add(self.length)
    }
}

/// What holds of it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Held {
    /// The cap now, W.
    pub(crate) cap_w: f64,
    /// Where it goes, W; none on the way back.
    pub(crate) target_w: Option<f64>,
    /// When it changes by itself.
    pub(crate) next: Option<Duration>,
    /// On its way down or up.
    pub(crate) ramps: bool,
}

/// Curtailment, if there is any.
#[derive(Clone, Debug, Default)]
pub(crate) struct Curtailment {
    ramp: Option<Ramp>,
    /// Time that the way back takes when it ends by itself: what the way down was given.
    pace: Duration,
    back: bool,
    until: Option<Duration>,
}

impl Curtailment {
    /// Begins, changes or ends it. `present_w` is what the machine is bound to or draws now, `full_w` what it may draw
    /// without it.
    pub(crate) fn ask(
        &mut self,
        now: Duration,
        wish: &Curtail,
        present_w: Option<f64>,
        full_w: f64,
    ) -> Result<(), CurtailError> {
        let Some(watts) = wish.watts else {
            self.release(now, wish.ramp, full_w);
            return Ok(());
        };
        if !(0.0..=MOST_W).contains(&watts) {
            return Err(CurtailError::Watts(watts));
        }
        let held = self.ramp.map(|ramp| ramp.at(now));
        let begin = match (held, present_w) {
            (Some(held), Some(present)) => Some(held.min(present)),
            (held, present) => held.or(present),
        };
        // Down from where it is. Upwards, or from nobody knows where, there is nothing to shed.
        let mut from = begin.filter(|from| from.is_finite()).unwrap_or(watts);
        let mut length = wish.ramp;
        if from <= watts && !(self.ramp.is_some() && held.is_some_and(|held| held < watts)) {
            from = watts;
            length = Duration::ZERO;
        }
        self.ramp = Some(Ramp {
            from,
            to: watts,
            begun: now,
            length,
        });
        self.pace = wish.ramp;
        self.back = false;
        self.until = wish.length.map(|length| now.saturating_add(length));
        Ok(())
    }

    /// What holds now; `full_w` as above.
    pub(crate) fn tick(&mut self, now: Duration, full_w: f64) -> Option<Held> {
        let ramp = self.ramp?;
        if !self.back
            && let Some(until) = self.until
            && now >= until
        {
            self.release(until, self.pace, full_w);
            return self.tick(now, full_w);
        }
        if self.back && now >= ramp.end() {
            self.ramp = None;
            return None;
        }
        let ramps = now < ramp.end();
        let next = [ramps.then(|| ramp.end()), self.until.filter(|_| !self.back)];
        Some(Held {
            cap_w: ramp.at(now),
            target_w: (!self.back).then_some(ramp.to),
            next: next.into_iter().flatten().min(),
            ramps,
        })
    }

    fn release(&mut self, now: Duration, length: Duration, full_w: f64) {
        let Some(ramp) = self.ramp.filter(|_| !self.back) else {
            return;
        };
        let from = ramp.at(now);
        self.ramp = Some(Ramp {
            from,
            to: full_w.max(from),
            begun: now,
            length,
        });
        self.back = true;
        self.until = None;
    }
}
