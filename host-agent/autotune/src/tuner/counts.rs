//! Counts and temperatures while nothing is changed, as evidence for the belief.

use super::{BoardCounts, Mean, Tuner};
use crate::belief::{BoardWindow, Count, Window};
use crate::layout::nonce_hashes;
use crate::report::Observation;

impl Tuner {
    pub(super) fn count(&mut self, dt: f64, before: &Observation, seen: &Observation) {
        self.window_s += dt;
        if let Some(watts) = seen.watts {
            self.watts.add(watts, dt);
            self.trim.add(watts, dt);
        }
        for (board, (old, new)) in before.boards.iter().zip(&seen.boards).enumerate() {
            if old.ticket_bits != new.ticket_bits {
                continue;
            }
            let counts = &mut self.window[board];
            for (chip, (old, new)) in old.chips.iter().zip(&new.chips).enumerate() {
                if (old.mhz - new.mhz).abs() > 0.01
                    || new.valid < old.valid
                    || new.wrong < old.wrong
                {
                    continue;
                }
                let hashes = new.mhz * 1e6 * self.layout.hashes_per_clock * dt;
                let expected = hashes / nonce_hashes(seen.boards[board].ticket_bits);
                let valid = (new.valid - old.valid) as f64;
                let slot = &mut counts.chips[chip];
                slot.valid += valid;
                slot.wrong += (new.wrong - old.wrong) as f64;
                slot.expected += expected;
                let share = self.promised[board][chip];
                let _ = self.watch[board][chip].count(valid, expected * share.clamp(0.1, 1.0));
            }
            for (mean, value) in counts.sensors.iter_mut().zip(&new.board_c) {
                if let Some(c) = value {
                    mean.add(*c, dt);
                }
            }
            if let Some(c) = new.chip_c {
                counts.chip_c.add(c, dt);
            }
        }
    }

    pub(super) fn clear_window(&mut self) {
        let (boards, chips) = (self.layout.boards(), self.layout.chips());
        let empty = BoardCounts {
            chips: vec![Count::default(); chips],
            sensors: vec![Mean::default(); self.layout.sensors.len()],
            chip_c: Mean::default(),
        };
        self.window = vec![empty; boards];
        self.window_s = 0.0;
        self.watts = Mean::default();
        self.trim = Mean::default();
        self.trim_since = self.now;
        self.considered = self.now;
        for test in self.watch.iter_mut().flatten() {
            test.reset();
        }
    }

    /// The counts so far as evidence; none while there are none.
    pub(super) fn take_window(&self, seen: &Observation) -> Option<Window> {
        if self.window_s < 2.0 {
            return None;
        }
        let boards = self
            .window
            .iter()
            .enumerate()
            .map(|(board, counts)| {
                let sensors: Vec<Option<f64>> =
                    counts.sensors.iter().map(|mean| mean.get()).collect();
                Some(BoardWindow {
                    mv: seen.boards[board].mv.unwrap_or(self.setting.mv[board]),
                    mhz: seen.boards[board]
                        .chips
                        .iter()
                        .map(|chip| chip.mhz)
                        .collect(),
                    sink_c: self.sinks(&sensors, counts.chip_c.get())?,
                    counts: counts.chips.clone(),
                    dead: self.silent[board].clone(),
                })
            })
            .collect::<Option<Vec<_>>>()?;
        Some(Window {
            boards,
            watts: self.watts.get(),
            fan_percent: seen.fan_percent,
            weight: 1.0,
        })
    }

    pub(super) fn sinks_now(&self, board: usize, seen: &Observation) -> Option<Vec<f64>> {
        self.sinks(&seen.boards[board].board_c, seen.boards[board].chip_c)
    }

    /// Sink of each domain from the sensors: straight lines between them and beyond.
    pub(super) fn sinks(&self, sensors: &[Option<f64>], chip_c: Option<f64>) -> Option<Vec<f64>> {
        let mut known: Vec<(f64, f64)> = self
            .layout
            .sensors
            .iter()
            .zip(sensors)
            .filter_map(|(&place, c)| c.filter(|c| c.is_finite()).map(|c| (place, c)))
            .collect();
        known.sort_by(|a, b| a.0.total_cmp(&b.0));
        let domains = self.layout.domains;
        let at = |place: f64| match known.as_slice() {
            [] => chip_c,
            [(_, c)] => Some(*c),
            [first, .., last] => {
                let share = (place - first.0) / (last.0 - first.0).max(0.05);
                Some(first.1 + share.clamp(-1.0, 2.0) * (last.1 - first.1))
            }
        };
        (0..domains)
            .map(|domain| at((domain as f64 + 0.5) / domains as f64))
            .collect()
    }

    pub(super) fn mean_sensor(&self, seen: &Observation) -> Option<f64> {
        let mut mean = Mean::default();
        for board in &seen.boards {
            for c in board.board_c.iter().flatten().chain(board.chip_c.iter()) {
                mean.add(*c, 1.0);
            }
        }
        mean.get()
    }

    /// Learns the temperature of the air from two settings of different power, both at rest.
    pub(super) fn learn_heat(&mut self, window: &Window) {
        if !self.is_steady {
            return;
        }
        let full = air_factor(window.fan_percent, 100.0);
        for (board, seen) in window.boards.iter().enumerate() {
            let watts = self.belief.at_window(board, seen).watts;
            if watts > 0.3 * self.layout.nominal_ths * self.layout.nominal_j_per_th {
                let rise = |c: &f64| (full * (c - self.air_c.0) / watts).max(0.0);
                self.rest_k_per_w[board] = seen.sink_c.iter().map(rise).collect();
            }
        }
        let point = |window: &Window| {
            let c: f64 = window.boards.iter().flat_map(|b| &b.sink_c).sum::<f64>();
            let n = window
                .boards
                .iter()
                .map(|b| b.sink_c.len())
                .sum::<usize>()
                .max(1);
            window.watts.map(|watts| (watts, c / n as f64))
        };
        let Some((watts, c)) = point(window) else {
            return;
        };
        for before in &self.belief.windows {
            let Some((w, t)) = point(before) else {
                continue;
            };
            let share = (watts / w.max(1.0) - 1.0).abs();
            // Fans at another speed tell of the fans, not of the air.
            let fans = air_factor(window.fan_percent, before.fan_percent.unwrap_or(100.0));
            if share < 0.08 || (fans - 1.0).abs() > 0.02 {
                continue;
            }
            let slope = (c - t) / (watts - w);
            let air = c - slope * watts;
            let sd = 1.0 / share;
            let variance = self.air_c.1 * self.air_c.1;
            let gain = variance / (variance + sd * sd);
            if slope > 0.0 && (-30.0..60.0).contains(&air) {
                self.air_c.0 += gain * (air - self.air_c.0);
                self.air_c.1 = (variance * (1.0 - gain)).sqrt().max(2.0);
            }
        }
    }
}

/// What a thermal resistance at one duty of the fans becomes at another, as a factor; 1 where no duty is told. Resistance falls
/// with the 0.6th to 0.8th power of the flow; for faster fans less is counted on, for slower ones more.
pub(super) fn air_factor(from: Option<f64>, to: f64) -> f64 {
    let Some(from) = from.filter(|duty| duty.is_finite()) else {
        return 1.0;
    };
    let ratio = from.clamp(5.0, 100.0) / to.clamp(5.0, 100.0);
    ratio.powf(if ratio < 1.0 { 0.5 } else { 0.8 })
}
