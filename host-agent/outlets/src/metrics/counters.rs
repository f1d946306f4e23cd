//! Counters that begin anew, made into counters that never go down.

use std::collections::HashMap;

/// So many series are remembered: more than the largest machine has, with a value for each chip.
const MOST: usize = 200_000;

/// What was last told, by series.
#[derive(Debug, Default)]
pub(super) struct Counters(HashMap<String, Counted>);

#[derive(Clone, Copy, Debug, Default)]
struct Counted {
    /// Sum of what was counted before the present count began.
    before: f64,
    /// The present count as last seen.
    last: f64,
}

impl Counters {
    /// What to tell for a series whose source counts `value` now.
    pub(super) fn told(&mut self, series: &str, value: f64) -> f64 {
        let value = value.max(0.0);
        if let Some(counted) = self.0.get_mut(series) {
            if value < counted.last {
                counted.before += counted.last;
            }
            counted.last = value;
            return counted.before + value;
        }
        if self.0.len() < MOST {
            let counted = Counted {
                before: 0.0,
                last: value,
            };
            self.0.insert(series.to_owned(), counted);
        }
        value
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_begins_anew_goes_on() {
        let mut counters = Counters::default();
        let told: Vec<_> = [5.0, 7.0, 2.0, 3.0, 0.0, 1.0]
            .map(|value| counters.told("a", value))
            .into();
        assert_eq!(told, [5.0, 7.0, 9.0, 10.0, 10.0, 11.0]);
        assert_eq!(counters.told("b", 1.0), 1.0);
    }
}
