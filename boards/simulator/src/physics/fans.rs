//! Fans: a speed that follows the duty with a lag and a dead band, what the tachometer makes of it, how much air they move
//! together, and how they fail.

use super::spec::FanSpec;
use crate::rng::{Rng, mix};

/// How a fan fails.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum FanFault {
    /// The rotor is blocked: it stops within the lag whatever the duty; the tachometer says so.
    Stuck,
    /// The rotor turns, the tachometer wire is broken: no pulses, reads 0.
    TachLost,
    /// The rotor turns, the tachometer freezes at this many rpm: also a plug that fakes pulses.
    TachFrozen(f64),
    /// The PWM signal is inverted: 100 % stops the rotor, 0 % is full speed.
    Inverted,
    /// Worn bearings: this share of the speed, 0..=1.
    Worn(f64),
    /// The fan is taken out and a plug that sends pulses of this many rpm sits in its place.
    Faked(f64),
}

/// One fan.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct FanState {
    /// True speed, rpm.
    pub rpm: f64,
    /// What the tachometer's pulses mean, rpm, in whole steps of its count.
    pub tach_rpm: f64,
    /// Duty it is driven with, percent.
    pub duty: f64,
    /// How it fails.
    pub fault: Option<FanFault>,
}

/// All fans of a machine.
#[derive(Debug, Clone)]
pub(crate) struct Fans {
    spec: FanSpec,
    fans: Vec<Fan>,
}

#[derive(Debug, Clone)]
struct Fan {
    /// Speed at 100 %: fans of a kind differ by some percent.
    max_rpm: f64,
    rpm: f64,
    duty: f64,
    fault: Option<FanFault>,
}

impl Fans {
    pub(crate) fn new(spec: FanSpec, seed: u64) -> Self {
        let fans = (0..spec.count)
            .map(|index| {
                let mut rng = Rng::new(mix(seed, 0xFA, u64::from(index)));
                Fan {
                    max_rpm: spec.max_rpm * (1.0 + spec.tolerance * (2.0 * rng.unit() - 1.0)),
                    rpm: 0.0,
                    duty: 0.0,
                    fault: None,
                }
            })
            .collect();
        Self { spec, fans }
    }

    /// True if that changed anything.
    pub(crate) fn set_duty(&mut self, index: usize, duty: f64) -> bool {
        let Some(fan) = self.fans.get_mut(index) else {
            return false;
        };
        let duty = if duty.is_finite() {
            duty.clamp(0.0, 100.0)
        } else {
            0.0
        };
        let changed = fan.duty != duty;
        fan.duty = duty;
        changed
    }

    pub(crate) fn set_fault(&mut self, index: usize, fault: Option<FanFault>) {
        if let Some(fan) = self.fans.get_mut(index) {
            fan.fault = fault;
        }
    }

    pub(crate) fn count(&self) -> usize {
        self.fans.len()
    }

    pub(crate) fn state(&self, index: usize) -> Option<FanState> {
        let fan = self.fans.get(index)?;
        let pulses = match fan.fault {
            Some(FanFault::TachLost) => 0.0,
            Some(FanFault::TachFrozen(rpm) | FanFault::Faked(rpm)) => rpm.max(0.0),
            _ => fan.rpm,
        };
        let step = self.spec.tach_step_rpm;
        Some(FanState {
            rpm: fan.rpm,
            tach_rpm: (pulses / step).round() * step,
            duty: fan.duty,
            fault: fan.fault,
        })
    }

    /// Turns on for `dt` seconds; true while speeds still change.
    pub(crate) fn step(&mut self, dt: f64) -> bool {
        let share = 1.0 - (-dt / self.spec.lag_s).exp();
        let mut moving = false;
        for fan in &mut self.fans {
            let target = fan.target(&self.spec);
            fan.rpm += (target - fan.rpm) * share;
            if (target - fan.rpm).abs() < 0.5 {
                fan.rpm = target;
            } else {
                moving = true;
            }
        }
        moving
    }

    /// Every fan at its final speed.
    pub(crate) fn settle(&mut self) {
        for fan in &mut self.fans {
            fan.rpm = fan.target(&self.spec);
        }
    }

    /// Share of the full flow that they move together, 0..=1.
    pub(crate) fn flow(&self) -> f64 {
        if self.fans.is_empty() {
            return 1.0;
        }
        let speeds = self.fans.iter().map(|fan| fan.rpm / self.spec.max_rpm);
        let fastest = speeds.clone().fold(0.0, f64::max);
        let count = self.fans.len() as f64;
        let mean = speeds.clone().sum::<f64>() / count;
        // A fan slower than half of the fastest is an obstacle and a leak.
        let standing: f64 = speeds
            .map(|speed| (1.0 - 2.0 * speed / fastest.max(1e-9)).max(0.0) * fastest)
            .sum::<f64>()
            / count;
        (mean - self.spec.backflow * standing).clamp(0.0, 1.0)
    }
}

impl Fan {
    fn target(&self, spec: &FanSpec) -> f64 {
        let (duty, share) = match self.fault {
            Some(FanFault::Stuck | FanFault::Faked(_)) => return 0.0,
            Some(FanFault::Inverted) => (100.0 - self.duty, 1.0),
            Some(FanFault::Worn(share)) => (self.duty, share.clamp(0.0, 1.0)),
            _ => (self.duty, 1.0),
        };
        if duty <= spec.dead_band_percent {
            return 0.0;
        }
        self.max_rpm * share * duty / 100.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SPEC: FanSpec = FanSpec {
        count: 4,
        max_rpm: 6000.0,
        tolerance: 0.0,
        dead_band_percent: 10.0,
        lag_s: 2.5,
        tach_step_rpm: 60.0,
        backflow: 0.2,
    };

    fn fans(duty: f64) -> Fans {
        let mut fans = Fans::new(SPEC, 1);
        (0..4).for_each(|i| {
            fans.set_duty(i, duty);
        });
        fans.settle();
        fans
    }

    #[test]
    fn speed_follows_duty_above_the_dead_band_only() {
        assert_eq!(fans(100.0).state(0).unwrap().rpm, 6000.0);
        assert_eq!(fans(50.0).state(0).unwrap().rpm, 3000.0);
        assert_eq!(fans(10.0).state(0).unwrap().rpm, 0.0);
    }

    #[test]
    fn speed_covers_two_thirds_of_a_change_in_one_lag() {
        let mut fans = fans(0.0);
        fans.set_duty(0, 100.0);
        for _ in 0..25 {
            fans.step(0.1);
        }
        let rpm = fans.state(0).unwrap().rpm;
        assert!((rpm - 6000.0 * 0.632).abs() < 10.0, "{rpm}");
    }

    #[test]
    fn tachometer_counts_in_steps_and_can_lie() {
        let mut fans = fans(33.3);
        assert_eq!(fans.state(0).unwrap().tach_rpm, 1980.0);
        for (fault, rpm, tach) in [
            (FanFault::Stuck, 0.0, 0.0),
            (FanFault::TachLost, 1998.0, 0.0),
            (FanFault::TachFrozen(3000.0), 1998.0, 3000.0),
            (FanFault::Faked(3000.0), 0.0, 3000.0),
            (FanFault::Inverted, 4002.0, 4020.0),
            (FanFault::Worn(0.5), 999.0, 1020.0),
        ] {
            fans.set_fault(0, Some(fault));
            fans.settle();
            let state = fans.state(0).unwrap();
            assert!((state.rpm - rpm).abs() < 0.01, "{fault:?}: {}", state.rpm);
            assert_eq!(state.tach_rpm, tach, "{fault:?}");
        }
    }

    #[test]
    fn a_standing_fan_costs_more_than_its_share_of_flow() {
        let mut fans = fans(100.0);
        assert_eq!(fans.flow(), 1.0);
        fans.set_fault(2, Some(FanFault::Stuck));
        fans.settle();
        assert!((fans.flow() - 0.70).abs() < 1e-9);
    }
}
