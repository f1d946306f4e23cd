use std::path::Path;
use std::time::Duration;

use autotune::Aim;
use demand::{Fallback, Local, Then};

use super::*;
use crate::config::Tuner;

fn tuner(lines: &str) -> Tuner {
    match parse(&format!("{MINIMAL}\n{lines}\n")) {
        Ok(config) => config.tuner,
        Err(error) => panic!("{error}"),
    }
}

fn wrong(lines: &str) -> String {
    problem(&format!("{MINIMAL}\n{lines}\n"))
}

#[test]
fn without_rules_heat_alone_has_a_say() {
    let rules = tuner("[tuner]\ntarget = \"efficiency\"").rules;
    assert!(rules.schedule.is_empty() && rules.price.is_none() && rules.surplus.is_none());
    assert_eq!(rules.heat.unwrap().margin_k, 3.0);
    assert_eq!(tuner("[tuner]\nheat_margin_k = 0").rules.heat, None);
    assert_eq!(tuner("[tuner]\nmax_mv = 1200").caps.mv, Some(1200.0));
}

#[test]
fn a_schedule_is_read_as_written() {
    let rules = tuner(
        "[tuner]\ntime_zone = \"CET-1CEST,M3.5.0,M10.5.0/3\"\n\
         [[tuner.schedule]]\ndays = [\"mon-fri\"]\nfrom = \"22:00\"\nto = \"06:00\"\nwatts = 800\n\
         [[tuner.schedule]]\nfrom = \"17:00\"\nto = \"21:00\"\nsleep = true\ntarget = { hashrate = \"90 TH/s\" }",
    )
    .rules;
    assert!(rules.zone.is_some());
    let [night, evening] = &rules.schedule[..] else {
        panic!("two entries");
    };
    assert_eq!(night.then, Some(Then::Watts(800.0)));
    // Saturday, 05:00, is still Friday's night; Sunday's is nobody's.
    assert!(night.holds(Local::new(5, 5 * 3600)) && !night.holds(Local::new(6, 23 * 3600)));
    assert_eq!(evening.then, Some(Then::Sleep));
    assert_eq!(evening.aim, Some(Aim::Hashrate(90.0)));
    assert!(evening.holds(Local::new(6, 18 * 3600)));
}

#[test]
fn price_and_surplus_are_read_as_written() {
    let rules = tuner(
        "[tuner.price]\nfile = \"price\"\nhysteresis = 0.02\nvalid_s = 900\nstale = { watts = 700 }\n\
         [[tuner.price.step]]\nabove = 0.25\nwatts = 900\n[[tuner.price.step]]\nabove = 0.35\nsleep = true\n\
         [tuner.surplus]\nfloor_watts = 400\nat_meter = true",
    )
    .rules;
    assert_eq!(
        rules.price_file.as_deref(),
        Some(Path::new("/etc/hashwright/price"))
    );
    let price = rules.price.unwrap();
    assert_eq!(price.stale, Fallback::Then(Then::Watts(700.0)));
    assert_eq!(price.valid, Duration::from_secs(900));
    assert_eq!(price.steps[1].then, Then::Sleep);
    let surplus = rules.surplus.unwrap();
    assert!(surplus.at_meter && (surplus.wake_w - 440.0).abs() < 1e-9);
    assert_eq!(surplus.stale, Fallback::Then(Then::Sleep));
    assert_eq!(rules.surplus_file, None);
}

#[test]
fn rules_that_make_no_sense_say_so() {
    for (lines, key, word) in [
        ("[tuner]\nheat_margin_k = 40", "tuner.heat_margin_k", "20"),
        (
            "[tuner]\ntime_zone = \"Mars/Olympus\"",
            "tuner.time_zone",
            "tzdata",
        ),
        (
            "[tuner.schedule]\nfrom = \"1:00\"",
            "tuner.schedule",
            "[[tuner.schedule]]",
        ),
        (
            "[[tuner.schedule]]\nfrom = \"25:00\"\nto = \"6:00\"\nsleep = true",
            "tuner.schedule[0].from",
            "24:00",
        ),
        (
            "[[tuner.schedule]]\nto = \"6:00\"\nsleep = true",
            "tuner.schedule[0].from",
            "is missing",
        ),
        (
            "[[tuner.schedule]]\nfrom = \"1:00\"\nto = \"6:00\"",
            "tuner.schedule[0]",
            "but not what",
        ),
        (
            "[[tuner.schedule]]\nfrom = \"1:00\"\nto = \"6:00\"\nsleep = true\ndays = [\"monday\"]",
            "tuner.schedule[0].days",
            "mon-fri",
        ),
        (
            "[[tuner.schedule]]\nfrom = \"1:00\"\nto = \"6:00\"\nsleep = true\nwatts = 5",
            "tuner.schedule[0].watts",
            "one of both",
        ),
        (
            "[[tuner.price.step]]\nabove = 0.2",
            "tuner.price.step[0]",
            "sleep = true",
        ),
        (
            "[tuner.price]\nstale = \"off\"",
            "tuner.price.stale",
            "ignore",
        ),
        (
            "[tuner.surplus]\nsmooth_s = 5",
            "tuner.surplus.floor_watts",
            "is missing",
        ),
        (
            "[tuner.surplus]\nfloor_watts = 500\nwake_watts = 400",
            "tuner.surplus.wake_watts",
            "at least",
        ),
    ] {
        let said = wrong(lines);
        assert!(said.contains(key) && said.contains(word), "{lines}: {said}");
    }
}

#[test]
fn rules_shown_in_the_document_are_good() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/demand.md");
    let text = std::fs::read_to_string(path).unwrap();
    let fake = Fake::default().file("/etc/hashwright/mqtt.secret", "secret\n");
    let mut shown = 0;
    for block in text.split("```toml\n").skip(1) {
        let block = block.split("```").next().unwrap();
        // A name of a time zone needs files that not every computer has; MQTT not every build.
        let needless = |line: &&str| !line.starts_with("time_zone");
        let block: Vec<_> = block.lines().filter(needless).collect();
        let block = block.join("\n");
        let rules = block.split("[mqtt]").next().unwrap();
        let read = fake.parse(&format!("{MINIMAL}\n{rules}"));
        assert!(read.is_ok(), "{rules}\n{}", read.unwrap_err());
        shown += 1;
    }
    assert_eq!(shown, 3);
}
