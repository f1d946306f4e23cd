//! Recordings made by hand, whose numbers are known.

use super::*;
use crate::state::{BoardStatus, ChipStatus, Snapshot, StationStatus};
use board_profiles::Profile;
use station::status::{Phase, Reading, Source, Unit};

const GAMMA: &str = "bitaxe-gamma";
const WATTS: f64 = 18.0;
/// What a Gamma finds at 525 MHz, nonces a second at a ticket of so many extra bits.
const TICKET_BITS: u8 = 2;

fn reading(name: &str, unit: Unit, value: f64) -> Reading {
    Reading {
        name: name.into(),
        board: Some(0),
        value: Some(value),
        unit,
        source: Source::Measured,
        age_s: Some(0.5),
        trouble: None,
        limit: None,
    }
}

fn work_ths() -> f64 {
    Profile::builtin(GAMMA).unwrap().hashrate_hps(525.0) / 1e12
}

/// The state of a Gamma at rest, so many seconds after its start.
fn snapshot(at_s: f64) -> Snapshot {
    let nonces = work_ths() * 1e12 / autotune::nonce_hashes(TICKET_BITS) * at_s;
    let mut snapshot = Snapshot {
        boards: vec![BoardStatus {
            profile: GAMMA.into(),
            state: "mining".into(),
            ticket_bits: TICKET_BITS,
            ..BoardStatus::default()
        }],
        chips: vec![ChipStatus {
            nonces: nonces as u64,
            hardware_errors: (nonces * 0.001) as u64,
            frequency_mhz: 525.0,
            ..ChipStatus::default()
        }],
        stations: vec![StationStatus {
            boards: vec![0],
            ..StationStatus::default()
        }],
        ..Snapshot::default()
    };
    snapshot.system.uptime_s = at_s;
    snapshot.system.started_unix_s = 1_700_000_000;
    let status = &mut snapshot.stations[0].status;
    status.phase = Phase::Running;
    status.readings = vec![
        reading("core supply", Unit::Millivolts, 1150.0),
        reading("chip", Unit::Celsius, 60.0 + 0.01 * (at_s % 7.0)),
        Reading {
            board: None,
            ..reading("input power", Unit::Watts, WATTS)
        },
    ];
    snapshot
}

fn line(at_s: f64) -> String {
    let moment = Moment::of(&snapshot(at_s), 1_700_000_000 + at_s as u64);
    serde_json::to_string(&moment).unwrap()
}

fn replayed(lines: impl IntoIterator<Item = String>) -> (Vec<Told>, ReplaySummary) {
    let mut replay = Replay::new(Wanted::default());
    let told = lines
        .into_iter()
        .flat_map(|line| replay.take(&line))
        .collect();
    (told, replay.summary())
}

#[test]
fn a_moment_is_what_a_tuner_sees_and_no_more() {
    let line = line(100.0);
    let moment = Moment::parse(&line).unwrap();
    assert_eq!(moment, Moment::of(&snapshot(100.0), 1_700_000_100));
    let station = &moment.stations[0];
    let layout = station.layout().unwrap();
    let seen = station.observation(&layout);
    assert_eq!(seen.watts, Some(WATTS));
    assert!(seen.work);
    let board = &seen.boards[0];
    assert!(board.running && !board.throttled);
    assert_eq!((board.mv, board.ticket_bits), (Some(1150.0), TICKET_BITS));
    assert!(board.chip_c.is_some_and(|c| (60.0..61.0).contains(&c)));
    assert_eq!(board.board_c.len(), layout.sensors.len());
    assert_eq!(board.chips[0].mhz, 525.0);
    assert_eq!(station.serials(), [Some("bitaxe-gamma-0".to_owned())]);
    for secret in ["pool", "user", "name"] {
        assert!(!line.contains(secret), "{secret}: {line}");
    }
}

#[test]
fn readings_that_are_old_or_only_reckoned_are_none() {
    let mut snapshot = snapshot(1.0);
    let readings = &mut snapshot.stations[0].status.readings;
    readings[0].age_s = Some(60.0);
    readings[1].trouble = Some("no answer".into());
    readings[2].source = Source::Nameplate;
    let moment = Moment::of(&snapshot, 0);
    let station = &moment.stations[0];
    assert_eq!(station.watts, None);
    assert_eq!(
        (station.boards[0].mv, station.boards[0].chip_c),
        (None, None)
    );
}

#[test]
fn a_line_of_the_whole_state_serves_as_well() {
    let whole = serde_json::to_string(&snapshot(100.0)).unwrap();
    assert_eq!(
        Moment::parse(&whole).unwrap(),
        Moment::parse(&line(100.0)).unwrap()
    );
}

#[test]
fn a_miner_that_is_not_tuned_shows_what_tuning_would_bring() {
    let (told, summary) = replayed((0..400).map(|s| line(f64::from(s))));
    assert_eq!(
        (summary.lines, summary.bad_lines, summary.gaps),
        (400, 0, 0)
    );
    assert_eq!(summary.length_s, 399.0);
    let [station] = &summary.stations[..] else {
        panic!("{summary:?}");
    };
    assert_eq!(station.aim, Aim::Efficiency);
    let was = station.was_ths.unwrap();
    assert!((was / work_ths() - 1.0).abs() < 0.01, "{was}");
    assert_eq!(station.was_watts, Some(WATTS));
    assert!(station.rounds > 0, "{station:?}");
    let best = station.best.as_ref().unwrap();
    assert!(best.j_per_th[0] < WATTS / was, "{best:?}");
    assert!(!told.is_empty());
    assert!(told.iter().all(|told| told.was_mhz == 525.0));
}

#[test]
fn broken_lines_are_counted_and_cost_only_themselves() {
    let whole = line(5.0);
    let lines = [
        line(0.0),
        whole[..whole.len() / 2].to_owned(),
        "\u{0}\u{fffd}".to_owned(),
        String::new(),
        line(1.0).replace("\"hashwright_record\":1", "\"hashwright_record\":2"),
        line(1.0).replace("525.0", "-1.0"),
        "{\"jsonrpc\":\"2.0\"}".to_owned(),
        line(2.0),
        line(2.0),
        line(3.0),
    ];
    let (_, summary) = replayed(lines);
    assert_eq!((summary.lines, summary.bad_lines), (9, 6), "{summary:?}");
    assert_eq!(summary.length_s, 3.0);
    assert!(
        summary.bad_reasons[0].starts_with("line 2: EOF"),
        "{summary:?}"
    );
    assert!(summary.bad_reasons[2].contains("version 2"), "{summary:?}");
    assert!(summary.bad_reasons[3].contains("clock"), "{summary:?}");
}

#[test]
fn any_piece_of_a_line_is_only_a_broken_line() {
    let whole = line(5.0);
    let mut replay = Replay::new(Wanted::default());
    for end in 1..whole.len() {
        if whole.is_char_boundary(end) {
            assert!(replay.take(&whole[..end]).is_empty());
        }
    }
    let summary = replay.summary();
    assert_eq!(summary.bad_lines, summary.lines);
    assert!(summary.bad_reasons.len() <= BAD_KEPT);
}

#[test]
fn another_run_of_the_agent_goes_on_after_the_time_that_it_was_away() {
    let again = |at_s: f64| {
        let moment = Moment::of(&snapshot(at_s), 1_700_000_300 + at_s as u64);
        serde_json::to_string(&moment).unwrap()
    };
    let (_, summary) = replayed([line(0.0), line(100.0), again(1.0), again(2.0)]);
    assert_eq!(summary.bad_lines, 0, "{summary:?}");
    // 100 s, 201 s by the time of day, 1 s.
    assert_eq!((summary.length_s, summary.gaps), (302.0, 2));
}

#[test]
fn unknown_boards_are_said_and_nothing_is_made_up() {
    let other = line(1.0).replace(GAMMA, "no-such-board");
    let (told, summary) = replayed([other]);
    assert!(told.is_empty() && summary.stations.is_empty());
    assert!(
        summary.bad_reasons[0].contains("no-such-board"),
        "{summary:?}"
    );
}
