//! What an acceptance test has seen: the states of a running agent folded into counts, slices of time and
//! extremes. All that is judged and shown later is in here, so that a test can be judged again, or go on.

use board_profiles::Profile;
use rpc::query::FirmwareInfo;
use rpc::state::{BoardStatus, ChipStatus, Snapshot};
use serde::{Deserialize, Serialize};
use station::status::{FanStatus, Reading, Source, Unit};

use crate::cli::sweep::file::Subject;
use crate::cli::sweep::view::BoardView;
use crate::format;

/// Version of the format.
pub const FORMAT: u32 = 1;

/// Hashes that a nonce of ticket difficulty 1 stands for.
const HASHES_PER_NONCE: f64 = 4_294_967_296.0;

/// Longest time between two states over which can be counted, s.
const GAP_S: f64 = 30.0;

/// Slices of a test, about.
const SLICES: f64 = 60.0;
/// Shortest slice, s.
const SHORTEST_SLICE_S: f64 = 5.0;

/// Most problems that are kept.
const PROBLEMS: usize = 20;

/// What the board and its agent are.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Facts {
    /// Kind of chip.
    pub chip: String,
    /// Version of the agent, and what it was built for.
    pub agent_version: String,
    /// Who controls power and fans.
    pub control: String,
    /// Where its guard runs: `board`, `agent` or `none`.
    pub guard: String,
    /// Chips that the profile expects.
    pub chips_expected: u16,
    /// Clock that is wanted, MHz.
    pub mhz: f64,
    /// Voltage that is wanted, mV.
    pub mv: Option<u32>,
    /// Boards that are switched together.
    pub boards_together: usize,
    /// Power of the station at this setting by the figures of the profile, W.
    pub nominal_watts: Option<f64>,
    /// Throttling begins there, °C.
    pub hot_c: Option<f64>,
    /// Power is cut there, °C.
    pub limit_c: Option<f64>,
}

/// A chip.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct ChipRecord {
    /// Position in the chain.
    pub index: u16,
    /// Address.
    pub address: u8,
    /// Voltage domain.
    pub domain: u16,
    /// Clock, MHz.
    pub mhz: f64,
    /// Good nonces.
    pub nonces: u64,
    /// Nonces that its clock promises.
    pub expected: f64,
    /// Wrong nonces.
    pub wrong: u64,
}

/// A stretch of the test.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Slice {
    /// Time of counting at its end, s.
    pub at_s: f64,
    /// Its length, s.
    pub seconds: f64,
    /// Good nonces.
    pub nonces: u64,
    /// Nonces promised.
    pub expected: f64,
    /// Hottest temperature, °C.
    pub celsius: Option<f64>,
    /// Power at its end, W.
    pub watts: Option<f64>,
}

/// A value over time.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Span {
    /// The first.
    pub first: f64,
    /// The last.
    pub last: f64,
    /// The least.
    pub min: f64,
    /// The greatest.
    pub max: f64,
    /// Sum of all.
    pub sum: f64,
    /// How many.
    pub count: u64,
}

impl Span {
    /// Takes the next value.
    pub fn take(&mut self, value: f64) {
        if !value.is_finite() {
            return;
        }
        if self.count == 0 {
            (self.first, self.min, self.max) = (value, value, value);
        }
        self.last = value;
        self.min = self.min.min(value);
        self.max = self.max.max(value);
        self.sum += value;
        self.count += 1;
    }

    /// Their mean; none if there are none.
    #[must_use]
    pub fn mean(&self) -> Option<f64> {
        (self.count > 0).then(|| self.sum / self.count as f64)
    }
}

/// A temperature sensor.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct SensorRecord {
    /// Its name.
    pub name: String,
    /// It measures; otherwise its value is derived from another.
    pub measured: bool,
    /// Power is cut there, °C.
    pub limit_c: Option<f64>,
    /// Its values, °C.
    pub celsius: Span,
    /// Looks at it that gave no value.
    pub silent: u64,
    /// Why, last.
    pub trouble: Option<String>,
}

/// A fan.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct FanRecord {
    /// Its name.
    pub name: String,
    /// Its speed, rpm.
    pub rpm: Span,
    /// Its duty, %.
    pub duty: Span,
    /// Looks at it that gave no speed although it should have one.
    pub silent: u64,
    /// Looks at it that found it slower than expected.
    pub slow: u64,
    /// What is wrong with it, last.
    pub trouble: Option<String>,
}

/// Counts of the whole board.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Counts {
    /// Good nonces.
    pub nonces: u64,
    /// Wrong nonces.
    pub wrong: u64,
    /// Nonces that came twice.
    pub duplicates: u64,
    /// Frames with a bad checksum.
    pub crc_errors: u64,
    /// Bytes that belonged to no frame.
    pub dropped_bytes: u64,
}

/// All that a test has seen.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Recording {
    /// Version of the format.
    pub format: u32,
    /// The board.
    pub subject: Subject,
    /// What it is.
    pub facts: Facts,
    /// When the test began, seconds since 1970.
    pub began_unix_s: u64,
    /// When it was written last, seconds since 1970.
    pub written_unix_s: u64,
    /// Error rate of each verdict.
    pub error_rate: f64,
    /// Share of the promised work below which a chip is weak.
    pub tolerance: f64,
    /// How long is to be counted, s.
    pub wanted_s: f64,
    /// Why it ended before its time; none if it did not.
    pub ended: Option<String>,
    /// Time of counting, s.
    pub counted_s: f64,
    /// Time in which the board had no work, s.
    pub idle_s: f64,
    /// Time in which it did not run, s.
    pub down_s: f64,
    /// Time in which it was throttled, s.
    pub throttled_s: f64,
    /// Fewest chips found.
    pub chips_found: u16,
    /// Times that its chain was started again meanwhile.
    pub restarts: u64,
    /// Counts.
    pub counts: Counts,
    /// Nonces that its clock promises.
    pub expected: f64,
    /// Its chips.
    pub chips: Vec<ChipRecord>,
    /// How it went over time.
    pub slices: Vec<Slice>,
    /// Its temperature sensors.
    pub sensors: Vec<SensorRecord>,
    /// The fans of its station.
    pub fans: Vec<FanRecord>,
    /// Input power of its station, W.
    pub watts: Span,
    /// Where that comes from: `measured`, `estimated` or `nameplate`.
    pub watts_source: String,
    /// Hottest temperature that counts for throttling, °C.
    pub hottest: Span,
    /// What the agent has told of trouble.
    pub problems: Vec<String>,
}

/// What the last state said.
#[derive(Clone, Debug)]
struct Before {
    at_s: f64,
    board: BoardStatus,
    chips: Vec<ChipStatus>,
}

/// Folds states into a recording.
#[derive(Clone, Debug, Default)]
pub struct Recorder {
    /// What was seen so far.
    pub seen: Recording,
    before: Option<Before>,
    slice: Slice,
}

impl Recorder {
    /// Begins a recording, or goes on with one.
    #[must_use]
    pub fn new(seen: Recording) -> Self {
        Self {
            seen,
            ..Self::default()
        }
    }

    /// The connection was lost: what comes next does not follow what came before.
    pub fn interrupted(&mut self) {
        self.before = None;
    }

    /// Takes the next state.
    pub fn take(&mut self, state: &Snapshot) {
        let index = self.seen.subject.board;
        let (Some(board), Some(view)) = (state.boards.get(index), BoardView::of(state, index))
        else {
            return;
        };
        let chips: Vec<_> = state
            .chips
            .iter()
            .filter(|chip| chip.board == index)
            .cloned()
            .collect();
        let before = self.before.replace(Before {
            at_s: view.at_s,
            board: board.clone(),
            chips: chips.clone(),
        });
        self.told(board.problem.as_deref());
        if let Some(fault) = &view.fault {
            self.told(Some(&fault.text));
        }
        let Some(before) = before else {
            return;
        };
        let dt = view.at_s - before.at_s;
        // An agent that was started anew counts from nothing.
        if !(0.0..=GAP_S).contains(&dt) || board.restarts < before.board.restarts {
            return;
        }
        self.seen.restarts += board.restarts - before.board.restarts;
        let running = |state: &str| ["mining", "idle"].contains(&state);
        if !running(&board.state) {
            self.seen.down_s += dt;
            return;
        }
        self.seen.chips_found = match self.seen.chips_found {
            0 => board.chips_found,
            found => found.min(board.chips_found),
        };
        self.surroundings(state, board, &view);
        if view.throttle < 1.0 {
            self.seen.throttled_s += dt;
        }
        if board.state != "mining" || before.board.state != "mining" {
            self.seen.idle_s += dt;
            return;
        }
        self.count(&before, board, &chips, dt);
        self.slice(&view, dt);
    }

    fn told(&mut self, problem: Option<&str>) {
        let Some(problem) = problem else {
            return;
        };
        let problem = format::plain(problem, 300);
        let problems = &mut self.seen.problems;
        if !problems.contains(&problem) && problems.len() < PROBLEMS {
            problems.push(problem);
        }
    }

    fn count(&mut self, before: &Before, board: &BoardStatus, chips: &[ChipStatus], dt: f64) {
        let old = &before.board;
        if board.ticket_bits != old.ticket_bits || board.nonces.valid < old.nonces.valid {
            return;
        }
        let per_nonce = HASHES_PER_NONCE * 2f64.powi(board.ticket_bits.into());
        let promised = |one: f64, other: f64| (one + other) / 2.0 * dt / per_nonce;
        let grown = |new: u64, old: u64| new.saturating_sub(old);
        let seen = &mut self.seen;
        let nonces = grown(board.nonces.valid, old.nonces.valid);
        let expected = promised(board.expected_hps, old.expected_hps);
        seen.counted_s += dt;
        seen.expected += expected;
        let counts = &mut seen.counts;
        counts.nonces += nonces;
        counts.wrong += grown(board.nonces.hardware_errors, old.nonces.hardware_errors);
        counts.duplicates += grown(board.nonces.duplicates, old.nonces.duplicates);
        counts.crc_errors += grown(board.crc_errors, old.crc_errors);
        counts.dropped_bytes += grown(board.dropped_bytes, old.dropped_bytes);
        self.slice.nonces += nonces;
        self.slice.expected += expected;
        for chip in chips {
            let old = before.chips.iter().find(|old| old.index == chip.index);
            let Some(old) = old.filter(|old| chip.nonces >= old.nonces) else {
                continue;
            };
            let place = seen
                .chips
                .iter()
                .position(|known| known.index == chip.index);
            let place = place.unwrap_or_else(|| {
                seen.chips.push(ChipRecord {
                    index: chip.index,
                    ..ChipRecord::default()
                });
                seen.chips.len() - 1
            });
            let known = &mut seen.chips[place];
            known.address = chip.address;
            known.domain = chip.domain;
            known.mhz = chip.frequency_mhz;
            known.nonces += chip.nonces - old.nonces;
            known.expected += promised(chip.expected_hps, old.expected_hps);
            known.wrong += grown(chip.hardware_errors, old.hardware_errors);
        }
    }

    fn slice(&mut self, view: &BoardView, dt: f64) {
        let seen = &mut self.seen;
        let slice = &mut self.slice;
        slice.seconds += dt;
        slice.at_s = seen.counted_s;
        slice.celsius = match (slice.celsius, view.celsius) {
            (Some(one), Some(other)) => Some(f64::max(one, other)),
            (one, other) => one.or(other),
        };
        slice.watts = view.watts.or(slice.watts);
        if slice.seconds >= (seen.wanted_s / SLICES).max(SHORTEST_SLICE_S) {
            seen.slices.push(std::mem::take(slice));
        }
    }

    /// Temperatures, fans and power.
    fn surroundings(&mut self, state: &Snapshot, board: &BoardStatus, view: &BoardView) {
        let seen = &mut self.seen;
        if let Some(celsius) = view.celsius {
            seen.hottest.take(celsius);
        }
        let Some(station) = board.station.and_then(|at| state.stations.get(at)) else {
            return;
        };
        let place = station.boards.iter().position(|at| *at == board.index);
        let status = &station.status;
        let own = |reading: &&Reading| reading.board.is_none() || reading.board == place;
        for reading in status.readings.iter().filter(own) {
            if reading.unit == Unit::Celsius {
                sensor(&mut seen.sensors, reading);
            }
            if reading.name == "input power" && reading.unit == Unit::Watts {
                if let Some(watts) = reading.value {
                    seen.watts.take(watts);
                }
                seen.watts_source = match reading.source {
                    Source::Measured => "measured",
                    Source::Estimated => "estimated",
                    Source::Nameplate => "nameplate",
                }
                .to_owned();
            }
        }
        for status in &status.fans {
            fan(&mut seen.fans, status);
        }
    }
}

/// Age at which a value is taken for none, s.
const OLD_S: f64 = 10.0;

fn sensor(sensors: &mut Vec<SensorRecord>, reading: &Reading) {
    let place = sensors.iter().position(|known| known.name == reading.name);
    let place = place.unwrap_or_else(|| {
        sensors.push(SensorRecord {
            name: reading.name.clone(),
            ..SensorRecord::default()
        });
        sensors.len() - 1
    });
    let known = &mut sensors[place];
    known.measured = reading.source == Source::Measured;
    known.limit_c = reading.limit;
    let fresh = reading.age_s.is_some_and(|age| age < OLD_S) && reading.trouble.is_none();
    match reading.value.filter(|_| fresh) {
        Some(celsius) => known.celsius.take(celsius),
        None => {
            known.silent += 1;
            known.trouble = reading.trouble.clone().or(known.trouble.take());
        }
    }
}

fn fan(fans: &mut Vec<FanRecord>, status: &FanStatus) {
    let place = fans.iter().position(|known| known.name == status.name);
    let place = place.unwrap_or_else(|| {
        fans.push(FanRecord {
            name: status.name.clone(),
            ..FanRecord::default()
        });
        fans.len() - 1
    });
    let known = &mut fans[place];
    known.duty.take(f64::from(status.duty_percent));
    match (status.rpm, status.expected_rpm) {
        (Some(rpm), expected) => {
            known.rpm.take(f64::from(rpm));
            known.slow += u64::from(expected.is_some_and(|expected| rpm < expected));
        }
        (None, Some(_)) => known.silent += 1,
        // A fan without a tach tells nothing, and nobody expects it to.
        (None, None) => {}
    }
    if status.trouble.is_some() {
        known.trouble.clone_from(&status.trouble);
    }
}

/// What the board in that state is.
#[must_use]
pub fn facts(state: &Snapshot, index: usize, firmware: Option<&FirmwareInfo>) -> Facts {
    let Some(board) = state.boards.get(index) else {
        return Facts::default();
    };
    let station = board.station.and_then(|at| state.stations.get(at));
    let wanted = station.and_then(|station| station.status.set_points.wanted);
    let together = station.map_or(1, |station| station.boards.len());
    let mhz = wanted.map_or(board.target_mhz, |point| point.mhz);
    let mv = wanted.map(|point| point.mv).or(board.voltage_set_mv);
    let cooling = station.map(|station| &station.status.cooling);
    let version = firmware.map_or_else(
        || state.system.version.clone(),
        |firmware| {
            let debug = if firmware.debug { ", debug build" } else { "" };
            format!("{} for {}{debug}", firmware.version, firmware.target)
        },
    );
    Facts {
        chip: board.chip.clone(),
        agent_version: version,
        control: board.control.clone(),
        guard: board.guard.clone(),
        chips_expected: board.chips_expected,
        mhz,
        mv,
        boards_together: together,
        nominal_watts: Profile::builtin(&board.profile)
            .ok()
            .and_then(|profile| nominal_watts(&profile, mhz, mv))
            .map(|watts| watts * together as f64),
        hot_c: cooling
            .map(|cooling| cooling.hot_c)
            .filter(|hot| *hot > 0.0),
        limit_c: cooling
            .map(|cooling| cooling.limit_c)
            .filter(|limit| *limit > 0.0),
    }
}

/// Power of one board at a setting by the figures of its profile, W: nominal power, which goes with the clock
/// and the square of the voltage but for the eighth that leaks.
fn nominal_watts(profile: &Profile, mhz: f64, mv: Option<u32>) -> Option<f64> {
    const LEAK: f64 = 0.12;
    let nominal = profile.nominal.hashrate_ths * profile.nominal.efficiency_j_per_th?;
    let clock = mhz / profile.frequency.default_mhz;
    let usual = f64::from(profile.voltage.default_mv);
    let volts = mv.map_or(1.0, |mv| f64::from(mv) / usual);
    Some(nominal * (LEAK + (1.0 - LEAK) * clock) * volts * volts)
}

#[cfg(test)]
mod tests {
    use rpc::state::{NonceCounters, StationStatus};

    use super::*;

    /// A board of two chips with 10 nonces a second each at ticket 1.
    fn state(at_s: f64, mining: bool) -> Snapshot {
        let hps = 10.0 * HASHES_PER_NONCE;
        let mut state = Snapshot::default();
        state.system.uptime_s = at_s;
        state.boards = vec![BoardStatus {
            state: if mining { "mining" } else { "idle" }.to_owned(),
            chips_found: 2,
            chips_expected: 2,
            expected_hps: 2.0 * hps,
            nonces: NonceCounters {
                valid: (at_s * 20.0) as u64,
                hardware_errors: at_s as u64,
                ..NonceCounters::default()
            },
            station: Some(0),
            ..BoardStatus::default()
        }];
        state.chips = (0..2)
            .map(|index| ChipStatus {
                index,
                nonces: (at_s * 10.0) as u64,
                expected_hps: hps,
                ..ChipStatus::default()
            })
            .collect();
        let mut station = StationStatus {
            boards: vec![0],
            ..StationStatus::default()
        };
        let reading = |name: &str, unit, value| Reading {
            name: name.to_owned(),
            board: None,
            value: Some(value),
            unit,
            source: Source::Measured,
            age_s: Some(0.5),
            trouble: None,
            limit: Some(90.0),
        };
        station.status.readings = vec![
            reading("chip", Unit::Celsius, 50.0 + at_s),
            reading("input power", Unit::Watts, 20.0),
        ];
        station.status.cooling.temperature_c = Some(50.0 + at_s);
        station.status.fans = vec![FanStatus {
            name: "fan".to_owned(),
            duty_percent: 40,
            rpm: Some(2_000),
            age_s: Some(0.1),
            expected_rpm: Some(1_500),
            trouble: None,
        }];
        state.stations = vec![station];
        state
    }

    #[test]
    fn states_become_counts() {
        let mut recorder = Recorder::default();
        for second in 0..=20 {
            recorder.take(&state(f64::from(second), true));
        }
        let seen = &recorder.seen;
        assert_eq!(
            (seen.counted_s, seen.counts.nonces, seen.counts.wrong),
            (20.0, 400, 20)
        );
        assert!((seen.expected - 400.0).abs() < 1e-9);
        assert_eq!((seen.chips.len(), seen.chips[1].nonces), (2, 200));
        assert_eq!(seen.slices.len(), 4);
        assert_eq!(
            (seen.sensors[0].celsius.first, seen.sensors[0].celsius.last),
            (51.0, 70.0)
        );
        assert_eq!(
            (seen.watts.mean(), &*seen.watts_source),
            (Some(20.0), "measured")
        );
        assert_eq!((seen.fans[0].slow, seen.fans[0].silent), (0, 0));
        assert_eq!(seen.chips_found, 2);
    }

    #[test]
    fn pauses_gaps_and_new_runs_of_the_agent_do_not_count() {
        let mut recorder = Recorder::default();
        for second in 0..=10 {
            recorder.take(&state(f64::from(second), second < 5));
        }
        assert_eq!((recorder.seen.counted_s, recorder.seen.idle_s), (4.0, 6.0));
        // Too long ago, then from the beginning again.
        recorder.take(&state(100.0, true));
        recorder.take(&state(1.0, true));
        recorder.take(&state(2.0, true));
        assert_eq!(recorder.seen.counted_s, 5.0);
        recorder.interrupted();
        recorder.take(&state(3.0, true));
        assert_eq!(recorder.seen.counts.nonces, 100);
    }

    #[test]
    fn trouble_of_fans_and_sensors_is_kept() {
        let mut recorder = Recorder::default();
        recorder.take(&state(0.0, true));
        let mut bad = state(1.0, true);
        let status = &mut bad.stations[0].status;
        status.readings[0].trouble = Some("no answer".to_owned());
        status.fans[0].rpm = Some(900);
        bad.boards[0].restarts = 1;
        bad.boards[0].problem = Some("chain\nlost".to_owned());
        recorder.take(&bad);
        let seen = recorder.seen;
        assert_eq!(seen.sensors[0].silent, 1);
        assert_eq!(seen.sensors[0].trouble.as_deref(), Some("no answer"));
        assert_eq!((seen.fans[0].slow, seen.restarts), (1, 1));
        assert_eq!(seen.problems, ["chain·lost"]);
    }

    #[test]
    fn nominal_power_goes_with_clock_and_voltage() {
        let profile = Profile::builtin("bitaxe-gamma").unwrap();
        let watts = |mhz, mv| nominal_watts(&profile, mhz, mv).unwrap();
        assert!((watts(525.0, None) - 1.07 * 16.0).abs() < 1e-9);
        // Measured on one unit: 17.0 W at 1150 mV, 14.4 W at 1060 mV.
        let less = watts(525.0, Some(1060)) / watts(525.0, Some(1150));
        assert!((less - 14.35 / 17.02).abs() < 0.02, "{less}");
    }
}
