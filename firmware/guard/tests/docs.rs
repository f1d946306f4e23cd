//! `docs/safety.md` says what the code says. `UPDATE_DOCS=1 cargo test -p guard --test docs` writes the generated parts
//! anew.

use std::fmt::Write as _;
use std::path::Path;

use guard::{FaultCode, MAX_REACTION, Severity, State, TRANSITIONS, Timing};

fn states() -> String {
    let mut text = String::from("```mermaid\nstateDiagram-v2\n    [*] --> off\n");
    for way in TRANSITIONS {
        let _ = writeln!(text, "    {} --> {}: {}", way.from, way.to, way.cause);
    }
    text += "```\n\n| state | meaning |\n|---|---|\n";
    for state in State::ALL {
        let _ = writeln!(text, "| `{state}` | {} |", state.meaning());
    }
    text += "\n| from | to | cause | that is |\n|---|---|---|---|\n";
    for way in TRANSITIONS {
        let (from, to, cause) = (way.from, way.to, way.cause);
        let _ = writeln!(
            text,
            "| `{from}` | `{to}` | {cause} | {} |",
            cause.meaning()
        );
    }
    text
}

fn deadlines() -> String {
    let timing = Timing::default();
    let seconds = |time: std::time::Duration| format!("{} s", time.as_secs());
    let rows = [
        ("a reading at its limit", "with that reading".into()),
        (
            "a required temperature without a good reading",
            seconds(timing.sensor_max_age),
        ),
        (
            "a required fan without a reading that meets its duty",
            seconds(timing.fan_max_age),
        ),
        (
            "a required rail without a good status",
            seconds(timing.rail_max_age),
        ),
        ("no heartbeat", seconds(timing.lease)),
        (
            "an implausible temperature; a wrong voltage, current, power or input",
            "the second reading in a row".into(),
        ),
        (
            "a complaint of the regulator; a report of the caller",
            "at once".into(),
        ),
        (
            "a sensor that needs power and does not answer with it",
            seconds(timing.sensor_grace),
        ),
        (
            "a sensor that never moved while the board works",
            seconds(timing.must_move),
        ),
        (
            "a sensor that stands still (steps up to 0.25 K / coarser)",
            "120 s / 900 s".into(),
        ),
        (
            "the longest that a profile may set any of the first five",
            seconds(MAX_REACTION),
        ),
    ];
    let mut text = String::from("| hazard | power is off after |\n|---|---|\n");
    for (hazard, time) in rows {
        let _ = writeln!(text, "| {hazard} | {time} |");
    }
    text
}

fn faults() -> String {
    let mut text = String::from("| code | then | advice |\n|---|---|---|\n");
    for code in FaultCode::ALL {
        let then = match code.severity() {
            Severity::Notice => "power must be asked for anew",
            Severity::Retry => "tried again",
            Severity::Latch => "latched",
        };
        let _ = writeln!(text, "| `{code}` | {then} | {} |", code.advice());
    }
    text
}

#[test]
fn the_page_says_what_the_code_says() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/safety.md");
    let page = std::fs::read_to_string(&path).unwrap();
    let mut made = page.clone();
    for (name, text) in [
        ("states", states()),
        ("deadlines", deadlines()),
        ("faults", faults()),
    ] {
        made = replace(&made, name, &text);
    }
    if std::env::var_os("UPDATE_DOCS").is_some() {
        std::fs::write(&path, made).unwrap();
    } else {
        assert!(
            made == page,
            "docs/safety.md is out of date: run UPDATE_DOCS=1 cargo test -p guard --test docs"
        );
    }
}

fn replace(page: &str, name: &str, text: &str) -> String {
    let (open, close) = (
        format!("<!-- {name}: generated -->"),
        format!("<!-- {name}: end -->"),
    );
    let (before, rest) = page.split_once(&open).expect("the opening mark");
    let (_, after) = rest.split_once(&close).expect("the closing mark");
    format!("{before}{open}\n\n{text}{close}{after}")
}
