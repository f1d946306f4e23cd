//! Power is taken away smoothly as the hottest part comes near its limit, and given back slowly, so that the station's
//! throttle, which costs more than it must, has nothing to do.
//!
//! It acts on the temperature that is expected a moment later, because heat follows power by minutes: power falls as long
//! as that is within the margin, stays within a band beyond it, and rises slowly above.

use std::time::Duration;

use crate::settings::HeatRule;

/// The part that is nearest to its limit.
#[derive(Clone, Debug, PartialEq)]
pub struct Hottest {
    /// What it is called.
    pub name: String,
    /// Its temperature, °C.
    pub celsius: f64,
    /// Where throttling begins, °C.
    pub limit_c: f64,
}

/// The cap falls by this share per second and kelvin.
const FALL_PER_K_S: f64 = 0.001;
/// It never falls faster, share per second.
const FASTEST_FALL: f64 = 0.01;
/// It rises by this share per second.
const RISE_PER_S: f64 = 0.000_5;
/// Between margin and margin plus this nothing changes, K.
const BAND_K: f64 = 1.0;
/// Temperature is looked at so far ahead, s.
const AHEAD_S: f64 = 30.0;
/// Time constant of the filter on its slope, s: sensors tell in steps of up to half a kelvin.
const SLOPE_S: f64 = 15.0;
/// The cap never lies below this share of the power drawn: power follows it with a delay, and what it ran ahead would have
/// to be given back.
const LEAD: f64 = 0.9;
/// A cap this far above what is drawn binds nobody.
const LOOSE: f64 = 1.08;
/// For so long it must have bound nobody before it goes, s.
const LOOSE_S: f64 = 60.0;
/// Longest step that is taken at once, s.
const LONGEST_S: f64 = 5.0;

/// The derating by heat.
#[derive(Clone, Debug)]
pub(crate) struct Heat {
    rule: HeatRule,
    seen: Option<(f64, f64)>,
    cap: Option<f64>,
    loose_s: f64,
}

impl Heat {
    pub(crate) fn new(rule: HeatRule) -> Self {
        Self {
            rule,
            seen: None,
            cap: None,
            loose_s: 0.0,
        }
    }

    /// The boards rest and cool down: what was learned of them is past.
    pub(crate) fn reset(&mut self) {
        self.seen = None;
        self.cap = None;
        self.loose_s = 0.0;
    }

    /// The cap after some time at this heat, W; none if none is needed. `bound_w` is what others allow.
    pub(crate) fn tick(
        &mut self,
        time: Duration,
        hottest: Option<&Hottest>,
        watts: Option<f64>,
        bound_w: Option<f64>,
    ) -> Option<f64> {
        let dt = time.as_secs_f64().min(LONGEST_S);
        let hottest = hottest.filter(|h| h.celsius.is_finite() && h.limit_c.is_finite());
        let Some(hottest) = hottest else {
            // Without a temperature nothing changes: to act on that is the guard's.
            self.seen = None;
            return self.cap;
        };
        let over = hottest.celsius - (hottest.limit_c - self.rule.margin_k);
        let slope = match self.seen {
            Some((last, slope)) if dt > 0.0 => {
                let share = 1.0 - (-dt / SLOPE_S).exp();
                slope + share * ((over - last) / dt - slope)
            }
            Some((_, slope)) => slope,
            None => 0.0,
        };
        self.seen = Some((over, slope));
        // Far away a steep slope is a start, no danger.
        let expected = if over > -5.0 * BAND_K {
            over + AHEAD_S * slope
        } else {
            over
        };
        let watts = watts.filter(|watts| watts.is_finite() && *watts > 0.0);
        let Some(cap) = self.cap else {
            if expected > 0.0 {
                self.cap = watts;
                self.loose_s = 0.0;
            }
            return self.cap;
        };
        let mut next = cap;
        if expected > 0.0 {
            next *= 1.0 - (FALL_PER_K_S * expected).min(FASTEST_FALL) * dt;
            if let Some(watts) = watts {
                next = next.max(LEAD * watts).min(cap);
            }
        } else if over.max(expected) < -BAND_K {
            next *= 1.0 + RISE_PER_S * dt;
        }
        let loose = watts.is_none_or(|watts| next > LOOSE * watts)
            || bound_w.is_some_and(|bound| next > LOOSE * bound);
        self.loose_s = if loose && expected < 0.0 {
            self.loose_s + dt
        } else {
            0.0
        };
        self.cap = (self.loose_s < LOOSE_S).then_some(next);
        self.cap
    }
}
