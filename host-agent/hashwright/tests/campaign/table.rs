//! The table of a class: per case what was seen, how soon power was off, how hot it got, and what the board
//! did afterwards.

use std::collections::BTreeSet;
use std::fmt::Write;
use std::time::Duration;

use crate::cases::Case;
use crate::class::Class;
use crate::run::Outcome;

/// What a class's cases came to: each with the outcomes of its runs.
pub fn table(class: &Class, rows: &[(Case, Vec<Outcome>)]) -> String {
    let mut text = format!("### {}\n\n{}.", class.name, capital(class.what));
    let limit = rows
        .first()
        .map_or(0.0, |(_, outcomes)| outcomes[0].limit_c);
    let _ = writeln!(
        text,
        " Absolute limit of a die: {limit:.0} °C; {} {} a case.\n",
        rows.first().map_or(0, |(_, outcomes)| outcomes.len()),
        if rows.first().is_some_and(|(_, o)| o.len() == 1) {
            "run"
        } else {
            "runs"
        },
    );
    text.push_str(
        "| fault | detected as | power off after | hottest die | off in time | afterwards |\n",
    );
    text.push_str("|---|---|---|---|---|---|\n");
    for (case, outcomes) in rows {
        let codes = join(outcomes.iter().map(detected));
        let hottest = outcomes.iter().map(|o| o.die_c).fold(f64::MIN, f64::max);
        let in_time = join(outcomes.iter().map(|outcome| in_time(case, outcome)));
        let after = join(outcomes.iter().map(afterwards));
        let _ = writeln!(
            text,
            "| {} | {codes} | {} | {hottest:.0} °C | {in_time} | {after} |",
            case.name(),
            reaction(outcomes),
        );
    }
    text
}

fn detected(outcome: &Outcome) -> String {
    if let Some(code) = &outcome.code {
        return format!("`{code}`");
    }
    let first = outcome.codes.iter().find(|code| !is_plain(code));
    first.map_or("–".to_owned(), |code| format!("{code} (station)"))
}

fn is_plain(code: &str) -> bool {
    matches!(
        code,
        "doubt" | "no-doubt" | "refused" | "power-up" | "guard-state"
    )
}

fn reaction(outcomes: &[Outcome]) -> String {
    let mut times: Vec<_> = outcomes.iter().filter_map(|o| o.off_after).collect();
    times.sort();
    let seconds = |time: &Duration| {
        let s = time.as_secs_f64();
        if s < 100.0 {
            format!("{s:.1}")
        } else {
            format!("{s:.0}")
        }
    };
    match &times[..] {
        [] => "–".to_owned(),
        [one] => format!("{} s", seconds(one)),
        many => format!(
            "{} / {} s",
            seconds(&many[many.len() / 2]),
            seconds(&many[many.len() - 1])
        ),
    }
}

fn in_time(case: &Case, outcome: &Outcome) -> String {
    if !outcome.violations.is_empty() {
        return format!("**NO**: {:?}", outcome.violations);
    }
    if let Some(reason) = outcome.beyond {
        return format!("no: {reason}");
    }
    if outcome.never_on() {
        return "never on".to_owned();
    }
    match (outcome.off_after, case.cut) {
        (Some(_), _) => "yes".to_owned(),
        (None, Some(_)) => "**NO**".to_owned(),
        (None, None) => "not needed".to_owned(),
    }
}

fn afterwards(outcome: &Outcome) -> String {
    let state = match outcome.last.as_str() {
        "mining" if outcome.clock_share < 0.97 => {
            return format!("mines on, slower");
        }
        "mining" if outcome.restarts > 0 => return "mines again".to_owned(),
        "mining" => return "mines on".to_owned(),
        "checking" | "held" | "powering" => "tried again later",
        other => other,
    };
    state.to_owned()
}

fn join(texts: impl Iterator<Item = String>) -> String {
    let set: BTreeSet<_> = texts.collect();
    set.into_iter().collect::<Vec<_>>().join("; ")
}

fn capital(text: &str) -> String {
    let mut chars = text.chars();
    chars.next().map_or(String::new(), |first| {
        first.to_uppercase().collect::<String>() + chars.as_str()
    })
}
