//! Steps of the price, with a hysteresis.

use crate::settings::{PriceRule, PriceStep, Then};

/// Which steps hold.
#[derive(Clone, Debug)]
pub(crate) struct Prices {
    pub(crate) rule: PriceRule,
    passed: Vec<bool>,
}

impl Prices {
    pub(crate) fn new(rule: PriceRule) -> Self {
        Self {
            passed: vec![false; rule.steps.len()],
            rule,
        }
    }

    /// Looks at a price.
    pub(crate) fn see(&mut self, price: f64) {
        let hysteresis = self.rule.hysteresis.max(0.0);
        for (step, passed) in self.rule.steps.iter().zip(&mut self.passed) {
            let end = step.above - if *passed { hysteresis } else { 0.0 };
            // Sums of decimal fractions are off in their last digits.
            *passed = price > end + 1e-9;
        }
    }

    /// There is no price.
    pub(crate) fn forget(&mut self) {
        self.passed.fill(false);
    }

    /// The steps that hold, each with a sentence.
    pub(crate) fn holding(&self, price: f64) -> impl Iterator<Item = (&PriceStep, String)> {
        let steps = self.rule.steps.iter().zip(&self.passed);
        let passed = steps.filter(|(_, passed)| **passed);
        passed.map(move |(step, _)| {
            let what = match step.then {
                Then::Watts(watts) => format!("at most {watts:.0} W"),
                Then::Sleep => "asleep".to_owned(),
            };
            let why = if price > step.above {
                format!("above {}", step.above)
            } else {
                format!("not below {} yet", round(step.above - self.rule.hysteresis))
            };
            (step, format!("price {}/kWh {why}: {what}", round(price)))
        })
    }
}

/// Without the noise of the last digits.
fn round(money: f64) -> f64 {
    (money * 1e6).round() / 1e6
}
