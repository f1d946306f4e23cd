//! Power is taken away smoothly as heat, or the noise of the fans, comes near its limit, and given back slowly, so that the
//! station's throttle, which costs more than it must, has nothing to do.
//!
//! It acts on what is expected a moment later, because heat follows power by minutes: power falls as long as that is within
//! the margin, stays within a band beyond it, and rises slowly above.

use std::time::Duration;

/// The part that is nearest to its limit.
#[derive(Clone, Debug, PartialEq)]
pub struct Hottest {
    /// What it is called.
    pub name: String,
    /// Its temperature, °C.
    pub celsius: f64,
    /// Where throttling begins, °C.
    pub limit_c: f64,
    /// Its fans can do more yet, and will by themselves when it gets warmer: no power need be taken away before they have.
    pub fans_have_room: bool,
}

/// So near to its limit it is too hot whatever the fans may do yet, K.
const LAST_K: f64 = 1.0;

impl Hottest {
    /// How far it is into the margin below its limit, K; below nothing outside of it.
    pub(crate) fn over_k(&self, margin_k: f64) -> Option<f64> {
        let mut over = self.celsius - (self.limit_c - margin_k);
        if self.fans_have_room && self.celsius < self.limit_c - LAST_K {
            over = over.min(-2.0 * HEAT.band);
        }
        over.is_finite().then_some(over)
    }
}

/// What a limit is approached with: all in its own unit, kelvins or percent of duty.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Pace {
    /// The cap falls by this share per second and unit.
    fall: f64,
    /// Between the margin and the margin plus this nothing changes.
    band: f64,
    /// It is looked so far ahead, s.
    ahead_s: f64,
    /// Time constant of the filter on the slope, s: sensors tell in steps of up to half a kelvin.
    slope_s: f64,
    /// The cap rises by this share per second and band.
    rise: f64,
}

/// Of temperatures.
pub(crate) const HEAT: Pace = Pace {
    fall: 0.001,
    band: 1.5,
    ahead_s: 60.0,
    slope_s: 15.0,
    rise: 0.000_5,
};

/// Of fans that hold a temperature: their duty answers to power more slowly than heat, and moves about more.
pub(crate) const FANS: Pace = Pace {
    fall: 0.000_05,
    band: 5.0,
    ahead_s: 60.0,
    slope_s: 30.0,
    rise: 0.000_05,
};

/// The cap never falls faster than by this share per second.
const FASTEST_FALL: f64 = 0.03;
/// It rises by no more than so many times its share.
const FASTEST_RISE: f64 = 6.0;
/// The cap never lies below this share of the power drawn: power follows it with a delay, and what it ran ahead would have
/// to be given back.
const LEAD: f64 = 0.8;
/// A cap this far above what is drawn binds nobody.
const LOOSE: f64 = 1.08;
/// For so long it must have bound nobody before it goes, s.
const LOOSE_S: f64 = 60.0;
/// Longest step that is taken at once, s.
const LONGEST_S: f64 = 5.0;

/// Keeps the power below what brings something to its limit.
#[derive(Clone, Debug)]
pub(crate) struct Derating {
    pace: Pace,
    /// How far it was over, and the slope of that.
    seen: Option<(f64, f64)>,
    cap: Option<f64>,
    loose_s: f64,
}

impl Derating {
    pub(crate) fn new(pace: Pace) -> Self {
        Self {
            pace,
            seen: None,
            cap: None,
            loose_s: 0.0,
        }
    }

    /// The boards rest and cool down: what was learned of them is past.
    pub(crate) fn reset(&mut self) {
        *self = Self::new(self.pace);
    }

    /// The cap after some time at which it was so far `over` the margin, W; none if none is needed. `bound_w` is what
    /// others allow.
    pub(crate) fn tick(
        &mut self,
        time: Duration,
        over: Option<f64>,
        watts: Option<f64>,
        bound_w: Option<f64>,
    ) -> Option<f64> {
        let dt = time.as_secs_f64().min(LONGEST_S);
        let Some(over) = over.filter(|over| over.is_finite()) else {
            // Without a reading nothing changes: to act on that is the guard's.
            self.seen = None;
            return self.cap;
        };
        let Pace {
            fall,
            band,
            ahead_s,
            slope_s,
            rise,
        } = self.pace;
        let slope = match self.seen {
            Some((last, slope)) if dt > 0.0 => {
                let share = 1.0 - (-dt / slope_s).exp();
                slope + share * ((over - last) / dt - slope)
            }
            Some((_, slope)) => slope,
            None => 0.0,
        };
        self.seen = Some((over, slope));
        // Far away a steep slope is a start, no danger.
        let near = over > -2.0 * band;
        let expected = if near { over + ahead_s * slope } else { over };
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
            next *= 1.0 - (fall * expected).min(FASTEST_FALL) * dt;
            if let Some(watts) = watts {
                next = next.max(LEAD * watts).min(cap);
            }
        } else if over.max(expected) < -band {
            // The further away, the faster.
            let far = (-over.max(expected) / band).min(FASTEST_RISE);
            next *= 1.0 + far * rise * dt;
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

#[cfg(test)]
mod tests {
    use std::collections::VecDeque;

    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    /// A machine whose heat follows its power, and whose power follows the cap after a while.
    struct Plant {
        ambient_c: f64,
        k_per_w: f64,
        tau_s: f64,
        wants_w: f64,
        /// Power that it was told, on its way.
        told: VecDeque<f64>,
        watts: f64,
        celsius: f64,
    }

    impl Plant {
        fn new(tau_s: f64, rise_k: f64, delay_s: usize) -> Self {
            let watts = 1000.0;
            Self {
                ambient_c: 30.0,
                k_per_w: rise_k / watts,
                tau_s,
                wants_w: watts,
                told: vec![watts; delay_s].into(),
                watts,
                celsius: 30.0,
            }
        }

        fn step(&mut self, cap: Option<f64>) {
            let wanted = cap.map_or(self.wants_w, |cap| cap.min(self.wants_w));
            let last = self.told.back().copied().unwrap_or(self.watts);
            // Who passes caps on does not pass on every watt.
            let told = if (wanted / last - 1.0).abs() > 0.015 {
                wanted
            } else {
                last
            };
            self.told.push_back(told);
            self.watts = self.told.pop_front().unwrap_or(told);
            let end = self.ambient_c + self.k_per_w * self.watts;
            self.celsius += (end - self.celsius) / self.tau_s;
        }

        /// As a sensor tells it.
        fn reads(&self) -> f64 {
            (self.celsius * 4.0).round() / 4.0
        }
    }

    const LIMIT_C: f64 = 70.0;
    const MARGIN_K: f64 = 3.0;

    fn over(plant: &Plant) -> Option<f64> {
        let hottest = Hottest {
            name: "chip".into(),
            celsius: plant.reads(),
            limit_c: LIMIT_C,
            fans_have_room: false,
        };
        hottest.over_k(MARGIN_K)
    }

    fn spread(values: &[f64]) -> (f64, f64) {
        let low = values.iter().copied().fold(f64::INFINITY, f64::min);
        let high = values.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        (low, high)
    }

    #[test]
    fn every_plant_settles_within_its_margin() {
        for tau_s in [20.0, 60.0, 150.0, 400.0, 900.0] {
            for rise_k in [45.0, 60.0, 90.0] {
                for delay_s in [2, 10, 25] {
                    let name = format!("tau {tau_s} s, {rise_k} K, {delay_s} s late");
                    let mut plant = Plant::new(tau_s, rise_k, delay_s);
                    let mut heat = Derating::new(HEAT);
                    let mut cap = None;
                    let (mut caps, mut temperatures, mut hottest) = (vec![], vec![], 0.0_f64);
                    for second in 0..4 * 3600 {
                        plant.step(cap);
                        cap = heat.tick(SECOND, over(&plant), Some(plant.watts), None);
                        hottest = hottest.max(plant.celsius);
                        if second > 3 * 3600 {
                            caps.push(plant.watts);
                            temperatures.push(plant.celsius);
                        }
                    }
                    let (low, high) = spread(&caps);
                    assert!(high / low < 1.04, "{name}: {low} to {high} W");
                    let (low, high) = spread(&temperatures);
                    let middle = LIMIT_C - MARGIN_K;
                    assert!(
                        low > middle - 2.0 && high < middle + 0.5,
                        "{name}: {low} to {high} °C"
                    );
                    // What would be far too hot in a minute cannot be caught; the station's throttle is for that.
                    if tau_s >= 150.0 && rise_k <= 60.0 && delay_s <= 10 {
                        assert!(hottest < LIMIT_C, "{name}: {hottest} °C at the most");
                    }
                }
            }
        }
    }

    #[test]
    fn a_hot_day_takes_power_and_the_night_gives_it_back() {
        let mut plant = Plant::new(200.0, 35.0, 10);
        let mut heat = Derating::new(HEAT);
        let mut cap = None;
        let mut run = |plant: &mut Plant, seconds: usize| {
            let mut hottest = 0.0_f64;
            for _ in 0..seconds {
                plant.step(cap);
                cap = heat.tick(SECOND, over(plant), Some(plant.watts), None);
                hottest = hottest.max(plant.celsius);
            }
            (cap, hottest)
        };
        assert_eq!(run(&mut plant, 3600).0, None, "65 °C is well below");
        for _ in 0..60 {
            plant.ambient_c += 0.2;
            let (_, hottest) = run(&mut plant, 30);
            assert!(hottest < LIMIT_C, "{hottest}");
        }
        let (day, hottest) = run(&mut plant, 3600);
        assert!(hottest < LIMIT_C, "{hottest}");
        // 42 °C outside leave 25 K of 35.
        let day = day.expect("a cap");
        assert!((680.0..730.0).contains(&day), "{day}");
        plant.ambient_c = 30.0;
        let mut last = day;
        for _ in 0..60 {
            let (now, _) = run(&mut plant, 60);
            let Some(now) = now else {
                break;
            };
            assert!(now >= last && now < last * 1.2, "{last} to {now}");
            last = now;
        }
        let (night, _) = run(&mut plant, 600);
        assert!(night.is_none() && plant.watts > 980.0, "{}", plant.watts);
    }

    #[test]
    fn fans_go_before_power() {
        let warm = |celsius, fans_have_room| {
            let hottest = Hottest {
                name: "chip".into(),
                celsius,
                limit_c: LIMIT_C,
                fans_have_room,
            };
            hottest.over_k(MARGIN_K).unwrap()
        };
        assert!(warm(68.0, false) > 0.0 && warm(68.0, true) < 0.0);
        assert!(warm(69.5, true) > 0.0, "whatever the fans may do");
        let mut heat = Derating::new(HEAT);
        for second in 0..300 {
            // Heat that rises fast while the fans follow.
            let over = Some(warm(60.0 + f64::from(second) * 0.02, true));
            assert_eq!(heat.tick(SECOND, over, Some(400.0), None), None);
        }
    }

    #[test]
    fn fans_settle_at_the_duty_that_is_allowed() {
        for (tau_s, delay_s) in [(60.0, 2), (60.0, 15), (200.0, 15), (500.0, 2), (500.0, 15)] {
            for (ki, kp) in [(0.01, 2.0), (0.02, 4.0)] {
                // A fan control that holds 60 °C: more duty, less heat. Left alone it needs 83 %.
                let mut plant = Plant::new(tau_s, 60.0, delay_s);
                let (mut integral, mut duty) = (30.0, 30.0_f64);
                let mut fans = Derating::new(FANS);
                let mut cap = None;
                let mut duties = vec![];
                for second in 0..5 * 3600 {
                    plant.k_per_w = 0.060 * (1.0 - 0.6 * duty / 100.0);
                    plant.step(cap);
                    let error = plant.reads() - 60.0;
                    integral = (integral + ki * error).clamp(10.0, 100.0);
                    duty = (integral + kp * error).clamp(10.0, 100.0).round();
                    cap = fans.tick(SECOND, Some(duty - 40.0), Some(plant.watts), None);
                    if second > 4 * 3600 {
                        duties.push(duty);
                    }
                }
                let (low, high) = spread(&duties);
                assert!(
                    low >= 34.0 && high <= 41.0,
                    "{tau_s} {delay_s}: {low} to {high} %"
                );
            }
        }
    }

    #[test]
    fn without_a_reading_nothing_changes() {
        let mut heat = Derating::new(HEAT);
        assert_eq!(heat.tick(SECOND, Some(1.0), Some(900.0), None), Some(900.0));
        for over in [None, Some(f64::NAN), Some(f64::INFINITY)] {
            assert_eq!(heat.tick(SECOND, over, Some(900.0), None), Some(900.0));
        }
        let mut blind = Derating::new(HEAT);
        assert_eq!(
            blind.tick(SECOND, Some(9.0), None, None),
            None,
            "of what power?"
        );
    }
}
