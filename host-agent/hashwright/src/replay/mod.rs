//! What was recorded of a miner, and what the tuner would have made of it. Pure: lines go in, steps and a summary come
//! out; whoever reads the file brings the lines. A recording is open loop: nobody follows the tuner's orders there,
//! so it is told to take what it sees for its own setting, and says again and again what it would do from there.

mod moment;
mod shadow;

pub use moment::{Bad, BoardMoment, Moment, StationMoment, VERSION};
pub use shadow::{Shadow, Summary, Told};

use std::collections::BTreeMap;
use std::time::Duration;

use autotune::{Aim, Caps};

/// Bad lines whose reasons are kept.
const BAD_KEPT: usize = 5;
/// Greatest gap that the time of a recording jumps over, s.
const LONGEST_GAP_S: f64 = 30.0 * 86_400.0;

/// What the tuner is asked for while a recording is replayed.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Wanted {
    /// The aim of all boards together; none takes that of the recording, or least energy per work.
    pub aim: Option<Aim>,
    /// Bounds over those of the recording.
    pub caps: Option<Caps>,
    /// Only this station.
    pub station: Option<usize>,
}

/// A replay on its way.
#[derive(Debug, Default)]
pub struct Replay {
    wanted: Wanted,
    shadows: BTreeMap<usize, Shadow>,
    /// Highest power of a board by its profile, W.
    powers: BTreeMap<String, f64>,
    clock: Clock,
    /// Lines so far, with those that are bad.
    lines: u64,
    bad: u64,
    reasons: Vec<String>,
}

/// The time of a recording, as one that never goes back.
#[derive(Clone, Copy, Debug, Default)]
struct Clock {
    now: Duration,
    last: Option<(f64, u64)>,
    gaps: u64,
    first_unix_s: u64,
}

impl Clock {
    /// The time of a moment; none if it is no later than the one before.
    fn at(&mut self, moment: &Moment) -> Option<Duration> {
        let Some((at_s, unix_s)) = self.last else {
            self.last = Some((moment.at_s, moment.unix_s));
            self.first_unix_s = moment.unix_s;
            return Some(self.now);
        };
        let step = moment.at_s - at_s;
        // Another run of the agent: only the time of day tells how long it was away.
        let step = match step {
            step if step > 0.0 => step,
            _ if moment.unix_s > unix_s => (moment.unix_s - unix_s) as f64,
            _ => return None,
        };
        if step > 60.0 {
            self.gaps += 1;
        }
        self.last = Some((moment.at_s, moment.unix_s));
        self.now += Duration::from_secs_f64(step.min(LONGEST_GAP_S));
        Some(self.now)
    }
}

impl Replay {
    /// A replay before its first line.
    #[must_use]
    pub fn new(wanted: Wanted) -> Self {
        Self {
            wanted,
            ..Self::default()
        }
    }

    /// Takes a line; what the tuners would have done by it. A line that is broken is counted and left out; empty ones are
    /// nothing.
    pub fn take(&mut self, line: &str) -> Vec<Told> {
        let line = line.trim();
        if line.is_empty() {
            return Vec::new();
        }
        self.lines += 1;
        match Moment::parse(line) {
            Ok(moment) => self.take_moment(&moment),
            Err(bad) => {
                self.broken(&bad.to_string());
                Vec::new()
            }
        }
    }

    /// Counts a line that could not even be read as text.
    pub fn broken(&mut self, why: &str) {
        self.bad += 1;
        if self.reasons.len() < BAD_KEPT {
            // Every line is a text of one line to whoever reads it.
            let why = why.replace(" at line 1 column", " at column");
            self.reasons.push(format!("line {}: {why}", self.lines));
        }
    }

    fn take_moment(&mut self, moment: &Moment) -> Vec<Told> {
        let Some(now) = self.clock.at(moment) else {
            self.broken("its time is not after that of the line before");
            return Vec::new();
        };
        let mut told = Vec::new();
        let powers = &mut self.powers;
        let mut nominal_w = |station: &StationMoment| {
            let most = powers
                .entry(station.profile.clone())
                .or_insert_with(|| most_w(&station.profile));
            *most * station.boards.len() as f64
        };
        let parts: Vec<f64> = moment.stations.iter().map(&mut nominal_w).collect();
        let nominal: f64 = parts.iter().sum();
        for (station, part) in moment.stations.iter().zip(parts) {
            if self
                .wanted
                .station
                .is_some_and(|index| index != station.station)
            {
                continue;
            }
            let share = if nominal > 0.0 { part / nominal } else { 1.0 };
            let (aim, caps) = self.wish(moment, share);
            let shadow = self.shadows.get(&station.station);
            if shadow.is_none_or(|shadow| !shadow.fits(station)) {
                match Shadow::new(station, aim, caps) {
                    Ok(fresh) => drop(self.shadows.insert(station.station, fresh)),
                    Err(why) => {
                        self.broken(&why);
                        continue;
                    }
                }
            }
            if let Some(shadow) = self.shadows.get_mut(&station.station) {
                shadow.want(aim, caps);
                told.extend(shadow.take(now, moment.unix_s, station));
            }
        }
        told
    }

    /// What a station with this part of the machine is asked for.
    fn wish(&self, moment: &Moment, share: f64) -> (Aim, Caps) {
        let aim = self.wanted.aim.unwrap_or(match moment.aim {
            Aim::Off => Aim::Efficiency,
            aim => aim,
        });
        let caps = self.wanted.caps.unwrap_or(moment.caps);
        let wish = crate::tune::Wish { aim, caps }.part(share);
        (wish.aim, wish.caps)
    }

    /// What came of it so far.
    #[must_use]
    pub fn summary(&self) -> ReplaySummary {
        ReplaySummary {
            lines: self.lines,
            bad_lines: self.bad,
            bad_reasons: self.reasons.clone(),
            gaps: self.clock.gaps,
            from_unix_s: self.clock.first_unix_s,
            length_s: self.clock.now.as_secs_f64(),
            stations: self.shadows.values().map(Shadow::summary).collect(),
        }
    }
}

/// Highest power of a board, W; 0 for a profile that is not known.
fn most_w(profile: &str) -> f64 {
    let profile = board_profiles::Profile::resolve(profile);
    profile.map_or(0.0, |profile| profile.limits.power_w)
}

/// What came of a replay.
#[derive(Clone, Debug, PartialEq, serde::Serialize)]
pub struct ReplaySummary {
    /// Lines that were not empty.
    pub lines: u64,
    /// Those of them that could not be used.
    pub bad_lines: u64,
    /// Why, of the first ones.
    pub bad_reasons: Vec<String>,
    /// Gaps of more than a minute.
    pub gaps: u64,
    /// Time of the first line, seconds since 1970.
    pub from_unix_s: u64,
    /// Time from the first to the last line, seconds.
    pub length_s: f64,
    /// Each station.
    pub stations: Vec<Summary>,
}

#[cfg(test)]
mod tests;
