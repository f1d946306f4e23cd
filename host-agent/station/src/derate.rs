//! Throttling: when a board is hot although its fans do what they can, it works less instead of
//! stopping. The factor moves continuously toward a temperature, with a band in which it rests, and
//! what the user set is never touched: recovery returns to exactly that.

use std::time::Duration;

use serde::{Deserialize, Serialize};

/// Clock and voltage together.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct SetPoint {
    /// Clock of the chips, MHz.
    pub mhz: f64,
    /// Core voltage as the board's profile counts it, mV.
    pub mv: u32,
}

/// When to throttle, on the scale of the target's sensor.
#[derive(Clone, Debug, PartialEq)]
pub struct DerateSettings {
    /// Throttling begins above it, °C.
    pub hot_c: f64,
    /// Recovery begins this far below `hot_c`, K.
    pub hysteresis_k: f64,
    /// Power is cut there, °C. A little below it the board goes to its lowest clock at once.
    pub limit_c: f64,
    /// Clock is lowered by this share of the wanted one per second and kelvin above hot.
    pub fall_per_k_s: f64,
    /// Clock is raised by this share of the wanted one per second.
    pub rise_per_s: f64,
}

impl DerateSettings {
    /// Between `hot_c` and `limit_c` with the usual pace: 1 % per second at 2 K above hot, so that
    /// a board that heats at 0.1 K/s is caught after a few kelvins, and 0.1 %/s back up, slower
    /// than any board warms.
    #[must_use]
    pub fn between(hot_c: f64, limit_c: f64) -> Self {
        Self {
            hot_c,
            hysteresis_k: 3.0,
            limit_c,
            fall_per_k_s: 0.005,
            rise_per_s: 0.001,
        }
    }
}

/// Lowest clock and the voltage that clocks need.
#[derive(Clone, Debug, PartialEq)]
pub struct Curve {
    points: Vec<(f64, u32)>,
    min_mv: u32,
}

/// Grid on which a derated clock lies, MHz: the step in which chips' PLLs are ramped.
pub const CLOCK_STEP_MHZ: f64 = 6.25;

impl Curve {
    /// A curve through `points` (MHz, mV) in ascending order of the clock. The voltage never goes
    /// below `min_mv`. Points that are not ascending are left out.
    #[must_use]
    pub fn new(points: &[(f64, u32)], min_mv: u32) -> Self {
        let mut kept: Vec<(f64, u32)> = Vec::new();
        for &(mhz, mv) in points {
            if mhz.is_finite() && kept.last().is_none_or(|last| mhz > last.0) {
                kept.push((mhz, mv));
            }
        }
        Self {
            points: kept,
            min_mv,
        }
    }

    /// Voltage of the curve at a clock, mV; held at both ends.
    #[must_use]
    pub fn at(&self, mhz: f64) -> f64 {
        let (Some(first), Some(last)) = (self.points.first(), self.points.last()) else {
            return f64::from(self.min_mv);
        };
        if mhz <= first.0 {
            return f64::from(first.1);
        }
        for pair in self.points.windows(2) {
            if let [low, high] = pair
                && mhz <= high.0
            {
                let share = (mhz - low.0) / (high.0 - low.0);
                return f64::from(low.1) + share * (f64::from(high.1) - f64::from(low.1));
            }
        }
        f64::from(last.1)
    }

    /// The voltage for a lower clock: as far below the wanted voltage as the curve falls between
    /// the two clocks, so that the margin that the user gave (or took away) stays.
    #[must_use]
    pub fn derated_mv(&self, wanted: SetPoint, mhz: f64) -> u32 {
        let fall = (self.at(wanted.mhz) - self.at(mhz)).max(0.0);
        let mv = (f64::from(wanted.mv) - fall).round().max(0.0);
        (mv as u32).max(self.min_mv.min(wanted.mv)).min(wanted.mv)
    }
}

/// The throttle.
#[derive(Clone, Debug)]
pub struct Derate {
    settings: DerateSettings,
    factor: f64,
    seen: Option<Seen>,
}

/// What was seen last: the temperature and its filtered slope, K/s.
#[derive(Clone, Copy, Debug)]
struct Seen {
    at: Duration,
    celsius: f64,
    slope: f64,
}

/// Longest step taken at once, s.
const LONGEST_STEP_S: f64 = 5.0;

/// Below the limit by this much the clock goes down as far as it can at once, K.
const LAST_MARGIN_K: f64 = 2.0;

/// The throttle acts on the temperature expected this much later, s, because heat follows the
/// clock by tens of seconds: it stops falling once the board cools, and falls early when it heats.
const LOOK_AHEAD_S: f64 = 15.0;

/// Time constant of the filter on the slope, s.
const SLOPE_FILTER_S: f64 = 3.0;

impl Derate {
    /// Not throttled.
    #[must_use]
    pub fn new(settings: DerateSettings) -> Self {
        Self {
            settings,
            factor: 1.0,
            seen: None,
        }
    }

    /// Share of the wanted clock that the board may run at, 0 to 1.
    #[must_use]
    pub fn factor(&self) -> f64 {
        self.factor
    }

    /// Whether the board is held below what the user wants.
    #[must_use]
    pub fn active(&self) -> bool {
        self.factor < 1.0
    }

    /// When to throttle.
    #[must_use]
    pub fn settings(&self) -> &DerateSettings {
        &self.settings
    }

    /// Starts again unthrottled, for a board that comes back cool.
    pub fn reset(&mut self) {
        self.factor = 1.0;
        self.seen = None;
    }

    /// Takes the hottest temperature at `now` and the lowest useful factor (lowest clock over
    /// wanted clock). Without a temperature nothing changes: to act on that is the guard's.
    pub fn update(&mut self, now: Duration, celsius: Option<f64>, lowest: f64) -> f64 {
        let lowest = lowest.clamp(0.0, 1.0);
        let Some(celsius) = celsius.filter(|c| c.is_finite()) else {
            self.seen = None;
            self.factor = self.factor.clamp(lowest, 1.0);
            return self.factor;
        };
        let (dt, slope) = match self.seen {
            Some(seen) if now > seen.at => {
                let dt = (now - seen.at).as_secs_f64().min(LONGEST_STEP_S);
                let share = 1.0 - (-dt / SLOPE_FILTER_S).exp();
                let slope = (celsius - seen.celsius) / dt;
                (dt, seen.slope + share * (slope - seen.slope))
            }
            Some(seen) => (0.0, seen.slope),
            None => (0.0, 0.0),
        };
        self.seen = Some(Seen {
            at: now,
            celsius,
            slope,
        });
        let over = celsius - self.settings.hot_c;
        let expected = over + LOOK_AHEAD_S * slope;
        if celsius >= self.settings.limit_c - LAST_MARGIN_K {
            self.factor = lowest;
        } else if over > -self.settings.hysteresis_k {
            self.factor -= self.settings.fall_per_k_s * expected.max(0.0) * dt;
        } else if expected < 0.0 {
            self.factor += self.settings.rise_per_s * dt;
        }
        self.factor = self.factor.clamp(lowest, 1.0);
        self.factor
    }

    /// The set point under the throttle: a clock on the grid and the voltage that goes with it.
    /// Unthrottled it is exactly the wanted one.
    #[must_use]
    pub fn apply(&self, wanted: SetPoint, min_mhz: f64, curve: &Curve) -> SetPoint {
        if !self.active() || !wanted.mhz.is_finite() {
            return wanted;
        }
        let floor = min_mhz.min(wanted.mhz);
        let steps = (wanted.mhz * self.factor / CLOCK_STEP_MHZ).floor();
        let mhz = (steps * CLOCK_STEP_MHZ).clamp(floor, wanted.mhz);
        SetPoint {
            mhz,
            mv: curve.derated_mv(wanted, mhz),
        }
    }
}
