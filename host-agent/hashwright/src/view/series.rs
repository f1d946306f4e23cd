//! What the charts show: the last hour of a few values, one sample a second. The view keeps them for
//! itself, so a chart begins when the view does, unless the agent's own history fills in what was before.

use std::collections::VecDeque;

use crate::state::Snapshot;

/// Samples kept; an hour.
pub const KEPT: usize = 3_600;

/// Time between two samples, seconds.
const EVERY_S: f64 = 1.0;

/// The values of one moment. What nobody measures is none.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Sample {
    /// Uptime of the agent, seconds; negative for what was before its start.
    pub at_s: f64,
    /// Rate over a minute, hashes per second.
    pub hps: f64,
    /// Its standard deviation.
    pub sigma_hps: f64,
    /// What the chips should deliver.
    pub expected_hps: f64,
    /// Input power of all stations, W.
    pub power_w: Option<f64>,
    /// Hottest temperature, °C.
    pub hottest_c: Option<f64>,
}

/// The samples, oldest first.
#[derive(Clone, Debug, Default)]
pub struct Series {
    samples: VecDeque<Sample>,
}

impl Series {
    /// Takes a sample, unless the last one is less than a second old. An agent that started anew begins
    /// a new series.
    pub fn observe(&mut self, snapshot: &Snapshot) {
        let at_s = snapshot.system.uptime_s;
        if !at_s.is_finite() {
            return;
        }
        match self.samples.back() {
            Some(last) if at_s < last.at_s => self.samples.clear(),
            Some(last) if at_s - last.at_s < EVERY_S => return,
            _ => {}
        }
        let miner = &snapshot.miner;
        self.samples.push_back(Sample {
            at_s,
            hps: miner.hashrate.m1.hps,
            sigma_hps: miner.hashrate.m1.sigma_hps,
            expected_hps: miner.expected_hps,
            power_w: miner.power_w.or_else(|| power(snapshot)),
            hottest_c: miner.hottest_c.or_else(|| hottest(snapshot)),
        });
        if self.samples.len() > KEPT {
            self.samples.pop_front();
        }
    }

    /// Puts what the agent remembers before what was seen.
    pub fn remember(&mut self, past: Vec<Sample>) {
        let first = self.samples.front().map_or(f64::INFINITY, |s| s.at_s);
        let mut room = KEPT - self.samples.len();
        for sample in past.into_iter().rev() {
            if room > 0 && sample.at_s < first {
                self.samples.push_front(sample);
                room -= 1;
            }
        }
    }

    /// When the last sample was taken, uptime in seconds.
    #[must_use]
    pub fn now_s(&self) -> f64 {
        self.samples.back().map_or(0.0, |sample| sample.at_s)
    }

    /// How much time the samples tell of, seconds.
    #[must_use]
    pub fn span_s(&self) -> f64 {
        let first = self.samples.front().map_or(0.0, |sample| sample.at_s);
        self.now_s() - first
    }

    /// The samples of the last seconds: how long ago each was, as a negative number, and its value.
    /// Values that are unknown or not finite are left out.
    #[must_use]
    pub fn last(&self, seconds: f64, value: impl Fn(&Sample) -> Option<f64>) -> Vec<(f64, f64)> {
        let now = self.now_s();
        self.samples
            .iter()
            .map(|sample| (sample.at_s - now, value(sample)))
            .filter_map(|(age, value)| Some((age, value?)))
            .filter(|(age, value)| *age >= -seconds && value.is_finite())
            .collect()
    }
}

fn power(snapshot: &Snapshot) -> Option<f64> {
    // A station's power stands at each of its boards, and counts once.
    let mut stations: Vec<_> = snapshot
        .boards
        .iter()
        .filter_map(|board| Some((board.station?, board.power_w?)))
        .collect();
    stations.dedup_by_key(|(station, _)| *station);
    (!stations.is_empty()).then(|| stations.iter().map(|(_, watts)| watts).sum())
}

fn hottest(snapshot: &Snapshot) -> Option<f64> {
    let all = snapshot
        .boards
        .iter()
        .filter_map(|board| board.temperature_c);
    all.reduce(f64::max)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(uptime_s: f64) -> Snapshot {
        let mut snapshot = Snapshot::default();
        snapshot.system.uptime_s = uptime_s;
        snapshot.miner.hashrate.m1.hps = uptime_s;
        snapshot
    }

    fn ages(series: &Series, seconds: f64) -> Vec<f64> {
        let points = series.last(seconds, |sample| Some(sample.hps));
        points.iter().map(|(age, _)| *age).collect()
    }

    #[test]
    fn there_is_one_sample_a_second() {
        let mut series = Series::default();
        for half in 0..8 {
            series.observe(&at(f64::from(half) / 2.0));
        }
        assert_eq!(ages(&series, 60.0), [-3.0, -2.0, -1.0, 0.0]);
        assert_eq!(ages(&series, 1.5), [-1.0, 0.0]);
    }

    #[test]
    fn an_hour_is_kept() {
        let mut series = Series::default();
        for second in 0..5_000 {
            series.observe(&at(f64::from(second)));
        }
        assert_eq!(ages(&series, 1e9).len(), KEPT);
    }

    #[test]
    fn an_agent_that_starts_anew_begins_anew() {
        let mut series = Series::default();
        series.observe(&at(100.0));
        series.observe(&at(1.0));
        assert_eq!(ages(&series, 60.0), [0.0]);
    }

    #[test]
    fn the_past_goes_before_what_was_seen() {
        let mut series = Series::default();
        series.observe(&at(100.0));
        let past = [98.0, 99.0, 100.0, 101.0].map(|at_s| Sample {
            at_s,
            ..Sample::default()
        });
        series.remember(past.into());
        assert_eq!(ages(&series, 60.0), [-2.0, -1.0, 0.0]);
    }
}
