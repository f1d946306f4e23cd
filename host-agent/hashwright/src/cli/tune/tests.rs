//! What people type, and what it becomes.

use clap::{CommandFactory, Parser};
use rpc::tuner::{ChipAt, Reason, StationTuner, TunerStatus, TunerStep};

use super::*;
use crate::state::{BoardStatus, ChipStatus, Rate, Rates};

#[derive(Debug, Parser)]
struct Program {
    #[command(flatten)]
    args: Args,
}

fn typed_in(words: &[&str]) -> Result<Command, String> {
    let words = std::iter::once(&"tune").chain(words);
    match Program::try_parse_from(words) {
        Ok(program) => Ok(program.args.command),
        Err(error) => Err(error.to_string()),
    }
}

fn started(words: &[&str]) -> (Option<Aim>, Option<Caps>) {
    let words: Vec<_> = std::iter::once(&"start").chain(words).copied().collect();
    let now = Caps {
        watts: Some(2_000.0),
        ..Caps::default()
    };
    match typed_in(&words) {
        Ok(Command::Start(args)) => (args.aim.aim(), args.caps.over(now)),
        other => panic!("{other:?}"),
    }
}

#[test]
fn the_arguments_are_sound() {
    Program::command().debug_assert();
    let help = Program::command().render_help().to_string();
    assert!(
        help.contains("hashwright tune start --watts 2400"),
        "{help}"
    );
}

#[test]
fn aims_are_typed_as_people_write_them() {
    assert_eq!(started(&["--watts", "850"]).0, Some(Aim::Watts(850.0)));
    assert_eq!(
        started(&["--hashrate", "95 TH/s"]).0,
        Some(Aim::Hashrate(95.0))
    );
    assert_eq!(
        started(&["--hashrate", "900GH/s"]).0,
        Some(Aim::Hashrate(0.9))
    );
    assert_eq!(started(&["--efficiency"]).0, Some(Aim::Efficiency));
    let profit = Aim::Profit {
        price_per_kwh: 0.12,
        revenue_per_ths_day: 0.05,
    };
    assert_eq!(started(&["--profit", "0.12", "0.05"]).0, Some(profit));
    assert_eq!(started(&[]).0, None);
    for wrong in [
        &["start", "--watts", "850", "--efficiency"][..],
        &["start", "--watts", "-5"],
        &["start", "--watts", "NaN"],
        &["start", "--hashrate", "95"],
        &["start", "--profit", "0.12"],
    ] {
        assert!(typed_in(wrong).is_err(), "{wrong:?}");
    }
}

#[test]
fn bounds_that_are_not_named_stay() {
    assert_eq!(started(&["--efficiency"]).1, None);
    let caps = started(&["--max-fan", "60"]).1.unwrap();
    assert_eq!((caps.watts, caps.fan_percent), (Some(2_000.0), Some(60.0)));
    let caps = started(&["--max-watts", "none"]).1.unwrap();
    assert_eq!(caps.watts, None);
    assert_eq!(started(&["--max-watts", "2000"]).1, None);
    let wrong = typed_in(&["start", "--max-watts", "lots"]).unwrap_err();
    assert!(wrong.contains("none for the profile's bound"), "{wrong}");
}

#[test]
fn curtailment_and_feeds_are_typed_with_units_of_time() {
    let curtail = |words: &[&str]| match typed_in(words) {
        Ok(Command::Curtail(args)) => (args.watts.0, args.ramp, args.how_long),
        other => panic!("{other:?}"),
    };
    assert_eq!(
        curtail(&["curtail", "1500", "--ramp", "60", "--for", "1h"]),
        (Some(1_500.0), Some(60), Some(3_600))
    );
    assert_eq!(curtail(&["curtail", "off"]), (None, None, None));
    assert_eq!(
        curtail(&["curtail", "0", "--ramp", "0"]),
        (Some(0.0), Some(0), None)
    );
    assert!(
        typed_in(&["curtail", "half"])
            .unwrap_err()
            .contains("off to end it")
    );
    match typed_in(&[
        "feed",
        "--price",
        "-0.02",
        "--surplus",
        "-100",
        "--valid",
        "15m",
    ]) {
        Ok(Command::Feed(args)) => {
            assert_eq!((args.price, args.surplus), (Some(-0.02), Some(-100.0)));
            assert_eq!(args.valid, Some(900));
        }
        other => panic!("{other:?}"),
    }
    assert!(typed_in(&["feed"]).is_err(), "nothing is told");
}

#[test]
fn steps_and_chips_are_asked_for_in_one_command() {
    match typed_in(&["explain", "0.17", "--agent", "rack-3-7"]) {
        Ok(Command::Explain(args)) => {
            let chip = Place {
                board: 0,
                chip: Some(17),
            };
            assert_eq!(args.chip, Some(chip));
            assert_eq!(args.ask.agent.agent.as_deref(), Some("rack-3-7"));
        }
        other => panic!("{other:?}"),
    }
    assert!(typed_in(&["explain", "0.17", "--limit", "3"]).is_err());
    assert!(
        typed_in(&["explain", "chip"])
            .unwrap_err()
            .contains("BOARD.CHIP")
    );
}

fn status() -> TunerStatus {
    let step = TunerStep {
        station: 0,
        unix_s: 3_661,
        hypothesis: "another setting serves the aim better".into(),
        evidence: "expected 98.1 TH/s\u{1b}[2J".into(),
        confidence: 0.95,
        decision: "move there and measure".into(),
    };
    let mut status = TunerStatus {
        aim: Aim::Watts(850.0),
        stations: vec![StationTuner {
            station: 0,
            boards: vec![1],
            activity: "measuring".into(),
            reach: "reached".into(),
            rounds: 4,
            mv: 13_200.0,
            mhz: 480.0,
            ths: 98.1,
            watts: 848.0,
            regret_percent: 0.31,
            progress_percent: Some(50.0),
            remaining_s: Some(190.0),
            silent: vec![ChipAt { board: 1, chip: 7 }],
            last: Some(step),
            ..StationTuner::default()
        }],
        ..TunerStatus::default()
    };
    status.demand.aim = status.aim;
    status
}

fn boards() -> Vec<BoardStatus> {
    vec![BoardStatus {
        index: 1,
        model: "Antminer S21".into(),
        power_w: Some(851.0),
        hashrate: Rates {
            m1: Rate {
                hps: 97.9e12,
                sigma_hps: 0.5e12,
            },
            ..Rates::default()
        },
        ..BoardStatus::default()
    }]
}

const PIPE: Look = Look {
    width: None,
    colour: false,
};

#[test]
fn a_status_tells_aim_progress_promise_present_and_the_last_step() {
    let text = render::status(&status(), &boards(), PIPE);
    let expected = [
        "Tuned for 850 W.",
        "No rule, feed or curtailment changes that.",
        "",
        "board 1 (Antminer S21): measuring until the counts say enough",
        "  ████████████░░░░░░░░░░░░ 50 %, about 3 min 10 s left",
        "  ordered   13.20 V, 480 MHz on the average",
        "  promised  848 W, 98.1 TH/s, 8.64 J/TH",
        "  now       851 W, 97.9 ± 0.5 TH/s, 8.69 J/TH over 1 min",
        "  doubt     0.31 % of the work may be lost for want of knowledge, after 4 settings",
        "  ! chips that do not answer: 1.7",
        "  last step",
        "    supposed  another setting serves the aim better",
        "    seen      expected 98.1 TH/s·[2J",
        "    sure      95 %",
        "    decided   move there and measure",
    ];
    assert_eq!(text.lines().collect::<Vec<_>>(), expected);
}

#[test]
fn a_status_tells_why_something_else_holds_now() {
    let mut status = status();
    status.demand.caps.watts = Some(600.0);
    status.demand.reasons = vec![Reason {
        code: "schedule".into(),
        text: "600 W until 22:00".into(),
    }];
    status.demand.next_change_unix_s = Some(79_200);
    status.demand.price_per_kwh = Some(0.41);
    status.demand.price_age_s = Some(65.0);
    let text = render::status(&status, &boards(), PIPE);
    for part in [
        "Now 850 W, at most 600 W.",
        "- schedule: 600 W until 22:00",
        "Next change at 22:00:00 UTC.",
        "Price 0.41 per kWh, told 1 min 05 s ago.",
    ] {
        assert!(text.contains(part), "{part}:\n{text}");
    }
    status.demand.asleep = true;
    assert!(render::status(&status, &boards(), PIPE).contains("Asleep now"));
    let off = render::status(&TunerStatus::default(), &[], PIPE);
    assert!(off.starts_with("Tuning is off"), "{off}");
}

#[test]
fn a_status_is_no_wider_than_the_terminal() {
    let mut long = status();
    long.stations[0].trouble = Some("the station does not take it ".repeat(9));
    let look = Look {
        width: Some(60),
        colour: false,
    };
    let text = render::status(&long, &boards(), look);
    assert!(
        text.lines().all(|line| line.chars().count() <= 60),
        "{text}"
    );
}

#[test]
fn a_chip_is_explained_with_what_it_does_now() {
    let why = autotune::Explanation {
        mhz: 462.5,
        board_mhz: 480.0,
        offset_mv: (8.1, 1.2),
        margin: 1.4,
        delivered: 0.992,
        words: "chip 17 of board 0 needs more voltage".into(),
    };
    let chip = ChipStatus {
        nonces: 990,
        hardware_errors: 10,
        expected_hps: 1e12,
        ..ChipStatus::default()
    };
    let text = explanation(0, 17, &why, Some(&chip));
    for part in [
        "  clock      462.5 MHz, -17.5 MHz against the 480.0 of its board",
        "  threshold  +8.1 ± 1.2 mV: needs more voltage than the average chip",
        "99.2 % of its work should be right",
        "1.00 % of its nonces wrong",
    ] {
        assert!(text.contains(part), "{part}:\n{text}");
    }
}

#[test]
fn known_boards_are_listed() {
    let one = rpc::tuner::ProfileInfo {
        serial: "SN-1".into(),
        profile: "s21".into(),
        board: Some(2),
        complete: true,
        regret_percent: 0.12,
        kept_unix_s: Some(1_709_251_199),
    };
    let text = render::profiles(&[one], None);
    assert!(
        text.contains("SN-1        2  s21      tuned  0.12 %"),
        "{text}"
    );
    assert!(text.ends_with("2024-02-29 23:59"), "{text}");
    assert!(render::profiles(&[], None).contains("tune import"));
}
