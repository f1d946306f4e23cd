//! Several values become one: a minute of seconds, an hour of minutes, a point of what a query finds.

use rpc::history::Metric;

use crate::column::NONE;
use crate::metric::{Fold, Part, fold, quantize, value};

/// Seconds over which the hashrate of one second is counted, so that neighbours share nonces.
const WINDOW_S: f64 = 5.0;

/// Values of one metric on their way to one.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Cell {
    sum: f64,
    weight: f64,
    min: i32,
    max: i32,
}

impl Default for Cell {
    fn default() -> Self {
        Self {
            sum: 0.0,
            weight: 0.0,
            min: NONE,
            max: NONE,
        }
    }
}

impl Cell {
    /// Takes a value with its extremes, which may be none where the value is all.
    pub(crate) fn add(&mut self, metric: Metric, [number, min, max]: [i32; 3], covered: u32) {
        let Some(known) = value(metric, number) else {
            return;
        };
        let weight = f64::from(covered.max(1));
        let (sum, weight) = match fold(metric) {
            Fold::Mean => (known * weight, weight),
            Fold::Sum => (known, 1.0),
            Fold::Deviation => ((known * weight).powi(2), weight),
            Fold::Last => {
                self.sum = 0.0;
                self.weight = 0.0;
                (known, 1.0)
            }
        };
        self.sum += sum;
        self.weight += weight;
        let (min, max) = (
            if min == NONE { number } else { min },
            if max == NONE { number } else { max },
        );
        if self.min == NONE || min < self.min {
            self.min = min;
        }
        // The lowest number stands for none.
        self.max = self.max.max(max);
    }

    /// The value; `level` is that of the values it is made of.
    pub(crate) fn value(&self, metric: Metric, level: usize) -> Option<f64> {
        if self.weight <= 0.0 {
            return None;
        }
        Some(match fold(metric) {
            Fold::Mean => self.sum / self.weight,
            Fold::Sum | Fold::Last => self.sum,
            Fold::Deviation if level == 0 => {
                let share = (WINDOW_S / self.weight).min(1.0);
                (self.sum / self.weight * share).sqrt()
            }
            Fold::Deviation => self.sum.sqrt() / self.weight,
        })
    }

    /// A part of it as it is kept.
    pub(crate) fn part(&self, metric: Metric, part: Part, level: usize) -> i32 {
        match part {
            Part::Value => quantize(metric, self.value(metric, level)),
            Part::Min => self.min,
            Part::Max => self.max,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn merged(metric: Metric, values: &[Option<f64>]) -> Cell {
        let mut cell = Cell::default();
        for value in values {
            cell.add(metric, [quantize(metric, *value), NONE, NONE], 1);
        }
        cell
    }

    #[test]
    fn means_leave_out_what_is_not_known() {
        let metric = Metric::TemperatureC;
        let cell = merged(metric, &[Some(50.0), None, Some(60.0)]);
        assert_eq!(cell.value(metric, 0), Some(55.0));
        assert_eq!(cell.part(metric, Part::Min, 0), 500);
        assert_eq!(cell.part(metric, Part::Max, 0), 600);
        assert_eq!(merged(metric, &[None]).value(metric, 0), None);
    }

    #[test]
    fn counts_add_up_and_states_are_the_last() {
        let counts = [Some(2.0), Some(0.0), None, Some(5.0)];
        assert_eq!(
            merged(Metric::Accepted, &counts).value(Metric::Accepted, 0),
            Some(7.0)
        );
        assert_eq!(
            merged(Metric::State, &counts).value(Metric::State, 0),
            Some(5.0)
        );
    }

    #[test]
    fn the_deviation_shrinks_with_the_root_of_what_is_independent() {
        // 60 values of 5 s each are 12 independent ones.
        let metric = Metric::SigmaHps;
        let second = 1e12;
        let minute = merged(metric, &[Some(second); 60])
            .value(metric, 0)
            .unwrap();
        assert!((minute / (second / 12_f64.sqrt()) - 1.0).abs() < 0.001);
        let hour = merged(metric, &[Some(minute); 60])
            .value(metric, 1)
            .unwrap();
        assert!((hour / (second / 720_f64.sqrt()) - 1.0).abs() < 0.002);
    }
}
