use std::time::Duration;

use super::file::{Found, Kind, Watched, parse};
use super::pass::Steps;
use super::*;
use crate::tune::Wish;

fn capped(watts: f64) -> Wish {
    Wish {
        aim: Aim::Watts(watts),
        caps: Caps {
            watts: Some(watts),
            ..Caps::default()
        },
    }
}

#[test]
fn a_ramp_is_told_in_steps_and_never_looser_than_it_is() {
    let mut steps = Steps::default();
    let mut told = Vec::new();
    let mut last = f64::MAX;
    for second in 0..200 {
        let cap = (1000.0 - 4.0 * f64::from(second)).max(600.0);
        if let Some(wish) = steps.next(capped(cap)) {
            last = wish.caps.watts.unwrap();
            assert_eq!(wish.aim, Aim::Watts(last));
            told.push(last);
        }
        assert!(last <= cap, "{last} W told at {cap}");
    }
    assert_eq!(last, 600.0, "at rest it is told as it is");
    assert!((20..45).contains(&told.len()), "{told:?}");
    for second in 0..200 {
        let cap = (600.0 + 4.0 * f64::from(second)).min(1000.0);
        if let Some(wish) = steps.next(capped(cap)) {
            last = wish.caps.watts.unwrap();
        }
        assert!(last <= cap);
    }
    assert_eq!(last, 1000.0);
}

#[test]
fn what_is_more_than_watts_is_told_at_once() {
    let mut steps = Steps::default();
    assert!(steps.next(capped(900.0)).is_some());
    assert_eq!(steps.next(capped(900.0)), None);
    let mut cooler = capped(900.0);
    cooler.caps.chip_c = Some(60.0);
    assert_eq!(steps.next(cooler), Some(cooler));
    let efficient = Wish {
        aim: Aim::Efficiency,
        caps: Caps::default(),
    };
    assert_eq!(steps.next(efficient), Some(efficient));
}

#[test]
fn files_hold_a_number_json_or_toml() {
    let price = |text| parse(text, Kind::Price).unwrap();
    assert_eq!(price(" 0.31\n").price_per_kwh, Some(0.31));
    assert_eq!(price("-0.02").price_per_kwh, Some(-0.02));
    let surplus = parse("812", Kind::Surplus).unwrap();
    assert_eq!(
        (surplus.surplus_w, surplus.price_per_kwh),
        (Some(812.0), None)
    );
    let json = price("{\"price_per_kwh\": 0.3, \"valid_s\": 900}");
    assert_eq!((json.price_per_kwh, json.valid_s), (Some(0.3), Some(900.0)));
    let toml = price("price_per_kwh = 0.3\nrevenue_per_ths_day = 0.05\n");
    assert_eq!(toml.revenue_per_ths_day, Some(0.05));
    for bad in [
        "",
        "\u{feff}\n",
        "0,31",
        "NaN",
        "inf",
        "{}",
        "{\"price\": 1}",
        "valid_s = 3",
        "[1]",
        "a = ",
        "{",
    ] {
        let problem = parse(bad, Kind::Price).unwrap_err();
        assert!(
            !problem.is_empty() && problem.len() < 500,
            "{bad}: {problem}"
        );
    }
    // A link to a secret in the file's place does not bring it into the events.
    let secret = parse("correct-horse-battery-staple", Kind::Price).unwrap_err();
    assert!(!secret.contains("horse"), "{secret}");
}

#[test]
fn a_file_is_read_when_it_was_written_and_what_is_wrong_is_said_once() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("price");
    let mut file = Watched::new(path.clone(), Kind::Price);
    assert!(matches!(file.look(), Found::Wrong(why) if why.contains("cannot be read")));
    assert_eq!(file.look(), Found::Nothing);
    std::fs::write(&path, "0.3").unwrap();
    let Found::Told(feed, age) = file.look() else {
        panic!("a price");
    };
    assert_eq!(feed.price_per_kwh, Some(0.3));
    assert!(age < Duration::from_secs(3600));
    assert_eq!(file.look(), Found::Nothing);
    std::fs::write(&path, "free!").unwrap();
    assert!(matches!(file.look(), Found::Wrong(why) if why.contains("free!")));
    assert_eq!(file.look(), Found::Nothing);
    std::fs::write(&path, "0.25 ").unwrap();
    assert!(matches!(file.look(), Found::Told(..)));
    std::fs::remove_file(&path).unwrap();
    assert!(matches!(file.look(), Found::Wrong(_)));
}

#[test]
fn times_that_cannot_be_meant_are_refused() {
    for value in [-1.0, f64::NAN, f64::INFINITY, 1e12] {
        let problem = seconds("for_s", value).unwrap_err();
        assert!(problem.contains("for_s"), "{problem}");
    }
    assert_eq!(seconds("for_s", 1.5), Ok(Duration::from_millis(1500)));
}
