//! The table of a class: per case what was seen, how soon power was off, how hot it got, and what the board
//! did afterwards.

use std::collections::BTreeSet;
use std::fmt::Write;
use std::time::Duration;

use crate::cases::Case;
use crate::class::Class;
use crate::run::Outcome;

/// The whole page.
pub fn page(tables: &str, runs: usize) -> String {
    format!(
        "{HEAD}\nThe tables below come from {runs} runs.\n\n## Tables\n\n{}\n",
        tables.trim_end()
    )
}

const HEAD: &str = "\
# Fault campaign

<!-- Written by UPDATE_DOCS=1 cargo test -p hashwright --test campaign library -->

What happens when something breaks. The whole program, with its embedded pool and a simulated board behind its control
port, runs in virtual time; then a part fails, a sensor lies, a cable is pulled or the host stands still. What the agent says of
itself decides nothing: judges look at the simulator's truth ten times a second.

## Method

* **Boards**: one class for each way to be powered, cooled and reached. Chips, heat, air, fans, supplies and
  the registers of all parts are those of the simulator; drivers, guard, station and agent are those that run on real boards.
* **Mishaps**: each fault of the simulator's library, alone, 30 s after the board has begun to mine or before it is first
  switched on. `host-hangs` stops every task of the program while the board goes on; `host-dies` closes its ports as well;
  `program-breaks` drops all tasks where they stand, as a panic would. A fault that only another one can show has that one as
  company, and the reaction is counted from the second.
* **Judges**: no die above the absolute limit; no core power for more than 1.5 s while the agent's guard, or the guard on the
  controller, does not consent; no power after the end of the program; no set point or clock above the profile's; no write to a
  regulator's permanent memory. Named faults and prompt cuts are demanded where the guard promises them: within 6.5 s of the mishap, which are the
  guard's 5 s and the time that a fan takes to slow down.
* **Random runs**: the tests also do 320 runs with any class, room temperature, chip quality, time and one or two mishaps;
  `scripts/fault-campaign 10000` does as many as one likes. Healthy boards run for hours and must not be disturbed.
* **Who judges the judges**: a test of its own shows that they object where a board cannot be saved, and does so beside a guarded board
  that is.

*Power off after* is from the mishap until the core voltage is gone: median and worst of its runs. *Not needed* means that the
judges had nothing against power staying on. *Tried again later* is the guard's pause after a fault, which latches when it happens too often.

## What it does not prove

The model is only as good as its constants: heat capacities, sensor noise and supplies of some boards are assumed, and real parts
fail in ways that nobody has listed. A controller without a guard cannot switch off when the host is gone: those rows say *no*, and
only a controller with a guard of its own, or a supply that is switched off, helps. A regulator whose bus is stuck goes on until its
supply is cut; its chips are held in reset meanwhile. A single sensor that lies by a few degrees is not found out; what bounds the harm is the margin
between its limit and the die's. Mains, fuses, connectors and smoke are not simulated.
";

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
        "doubt" | "no-doubt" | "refused" | "power-up" | "guard-state" | "pool"
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
            return "mines on, slower".to_owned();
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
