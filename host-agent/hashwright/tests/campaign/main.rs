//! Fault campaign: the whole program with boards that break, in virtual time, judged by what the
//! simulator knows to be true and not by what the agent says of itself.
//!
//! `UPDATE_DOCS=1 cargo test -p hashwright --test campaign library` writes `docs/fault-campaign.md` anew;
//! `scripts/fault-campaign` does more random runs than the tests.

#![allow(dead_code, unreachable_pub, reason = "parts of one program of tests")]

mod cases;
mod class;
mod crew;
mod random;
mod run;
#[path = "../support/mod.rs"]
mod support;
mod table;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use board_simulator::board::Fault;
use cases::{Case, cases};
use class::{CLASSES, Class};
use run::{Mishap, Outcome, Run, Violation, When};

/// Random runs unless `HASHWRIGHT_CAMPAIGN_RUNS` says otherwise; with the library more than 1000.
const RANDOM_RUNS: u64 = 320;

/// Runs of a case of a class.
fn seeds(class: &Class) -> u64 {
    if class.large { 1 } else { 2 }
}

/// All cases of a class, with their outcomes.
fn library(class: &'static Class) -> Vec<(Case, Vec<Outcome>)> {
    let cases = cases(class);
    let mut runs = Vec::new();
    for (index, case) in cases.iter().enumerate() {
        for seed in 0..seeds(class) {
            let seed = seed * 1000 + index as u64 + 1;
            let mut run = Run::healthy(class, seed, case.observe);
            run.mishaps = case.mishaps.clone();
            runs.push(run);
        }
    }
    let mut outcomes = crew::all(&runs).into_iter();
    cases
        .into_iter()
        .map(|case| {
            let own = outcomes.by_ref().take(seeds(class) as usize).collect();
            (case, own)
        })
        .collect()
}

/// What is wrong with the outcome of a case.
fn objection(case: &Case, outcome: &Outcome) -> Option<String> {
    if !outcome.violations.is_empty() {
        return Some(format!("{:?}", outcome.violations));
    }
    let code = outcome.code.as_deref().unwrap_or("nothing");
    if !case.named.is_empty() && !case.named.contains(&code) {
        return Some(format!("named {code}, not one of {:?}", case.named));
    }
    // What is beyond a board is told in the table.
    if let Some(cut) = case.cut.filter(|_| outcome.beyond.is_none())
        && outcome.off_after.is_none_or(|off| off > cut)
    {
        return Some(format!("off after {:?}, not {cut:?}", outcome.off_after));
    }
    if case.never_on && !outcome.never_on() && outcome.beyond.is_none() {
        return Some(format!("had power {} times", outcome.starts));
    }
    if case.mines_on && (outcome.restarts > 0 || outcome.last != "mining") {
        return Some(format!("did not mine on: {}", outcome.last));
    }
    None
}

#[test]
fn the_library_of_faults_ends_safely_and_the_page_tells_how() {
    let only = std::env::var("HASHWRIGHT_CAMPAIGN_CLASS").ok();
    let mut objections = Vec::new();
    let (mut tables, mut runs) = (String::new(), 0);
    for class in &CLASSES {
        if only.as_deref().is_some_and(|only| only != class.name) {
            continue;
        }
        let rows = library(class);
        for (case, outcomes) in &rows {
            runs += outcomes.len();
            let objection = outcomes.iter().find_map(|o| objection(case, o));
            if let Some(objection) = objection {
                objections.push(format!("{} {}: {objection}", class.name, case.name()));
            }
        }
        tables.push_str(&table::table(class, &rows));
        tables.push('\n');
    }
    if only.is_some() {
        println!("{tables}");
    }
    let page = only.is_none().then(|| table::page(&tables, runs));
    // Written first, so that it shows what the objections are about.
    if let Some(page) = page
        .as_deref()
        .filter(|_| std::env::var_os("UPDATE_DOCS").is_some())
    {
        std::fs::write(page_path(), page).expect("written");
    }
    assert!(objections.is_empty(), "{}", objections.join("\n"));
    if let Some(page) = page {
        check_page(&page);
    }
}

fn page_path() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/fault-campaign.md")
}

fn check_page(expected: &str) {
    let old = std::fs::read_to_string(page_path()).unwrap_or_default();
    let known = |line: &&str| old.lines().any(|known| known == *line);
    let new: Vec<_> = expected.lines().filter(|line| !known(line)).collect();
    assert!(
        old == expected,
        "docs/fault-campaign.md is out of date; run UPDATE_DOCS=1 cargo test -p hashwright \
         --test campaign library. New lines:\n{}",
        new.join("\n")
    );
}

#[test]
fn random_mishaps_leave_no_die_too_hot_and_no_power_without_consent() {
    let number = |name: &str| std::env::var(name).ok().and_then(|text| text.parse().ok());
    let count = number("HASHWRIGHT_CAMPAIGN_RUNS").unwrap_or(RANDOM_RUNS);
    let first = number("HASHWRIGHT_CAMPAIGN_FIRST").unwrap_or(0);
    let runs: Vec<_> = (first..first + count).map(random::run).collect();
    let outcomes = crew::all(&runs);
    let mut findings = Vec::new();
    let mut beyond: BTreeMap<&str, usize> = BTreeMap::new();
    let (mut cut, mut mined, mut hottest) = (0, 0, f64::MIN);
    for ((run, outcome), number) in runs.iter().zip(&outcomes).zip(first..) {
        cut += usize::from(outcome.off_after.is_some());
        mined += usize::from(outcome.last == "mining");
        if outcome.excused.is_empty() {
            hottest = hottest.max(outcome.die_c);
        }
        if let Some(reason) = outcome.beyond {
            *beyond.entry(reason).or_default() += 1;
        }
        if !outcome.violations.is_empty() {
            findings.push(format!(
                "run {number}: {:?}\n  {} at {} °C, seed {}: {}",
                outcome.violations,
                run.class.name,
                run.ambient_c,
                run.seed,
                run.story(),
            ));
        }
    }
    println!(
        "{count} runs from number {first}: power cut in {cut}, mining at the end of {mined}, hottest \
         die {hottest:.1} °C where somebody could act; beyond what the board allows: {beyond:?}; \
         violations: {}",
        findings.len()
    );
    assert!(findings.is_empty(), "{}", findings.join("\n"));
}

#[test]
fn healthy_boards_are_left_alone_for_hours() {
    let mut runs = Vec::new();
    for class in &CLASSES {
        let (rooms, minutes): (&[f64], u64) = match class.large {
            true => (&[25.0], 15),
            false => (&[12.0, 32.0], 40),
        };
        for (seed, &ambient_c) in (71..).zip(rooms) {
            runs.push(Run {
                ambient_c,
                ..Run::healthy(class, seed, Duration::from_secs(60 * minutes))
            });
        }
    }
    for (run, outcome) in runs.iter().zip(crew::all(&runs)) {
        let name = format!("{} at {} °C", run.class.name, run.ambient_c);
        assert_eq!(outcome.violations, [], "{name}");
        assert_eq!(outcome.code, None, "{name}: {:?}", outcome.codes);
        assert_eq!(outcome.starts, 1, "{name} was started again");
        assert_eq!(outcome.last, "mining", "{name}");
    }
}

/// Judges that cannot fail judge nothing: here is what they have to see.
#[test]
fn the_judges_see_what_nobody_could_prevent() {
    let later = |seconds| When::Mining(Duration::from_secs(seconds));
    let run = |class, mishaps: &[(Mishap, When)]| Run {
        mishaps: mishaps.to_vec(),
        ..Run::healthy(Class::named(class), 5, Duration::from_secs(300))
    };
    let fans = Mishap::Board(Fault::FansDead);
    let stuck = Mishap::Board(Fault::SupplyStuckOn);
    // Air that is too hot even for chips without power.
    let oven = Mishap::Board(Fault::Ambient { celsius: 130.0 });
    let outcomes = crew::all(&[
        run("gamma", &[(oven, later(10))]),
        run("gamma", &[(Mishap::HostHangs, later(10))]),
        run(
            "gamma",
            &[(Mishap::HostHangs, later(10)), (fans, later(20))],
        ),
        run("gamma", &[(stuck, later(10)), (fans, later(20))]),
        run("gamma-guarded", &[(stuck, later(10)), (fans, later(20))]),
        run(
            "gamma-guarded",
            &[(Mishap::HostHangs, later(10)), (fans, later(20))],
        ),
    ]);
    let saw = |index: usize, wanted: fn(&Violation) -> bool| {
        let outcome: &Outcome = &outcomes[index];
        let mut all = outcome.violations.iter().chain(&outcome.excused);
        assert!(all.any(wanted), "{index}: {outcome:?}");
    };
    saw(0, |v| matches!(v, Violation::TooHot { .. }));
    saw(1, |v| matches!(v, Violation::OnAfterEnd));
    saw(2, |v| matches!(v, Violation::TooHot { .. }));
    saw(3, |v| matches!(v, Violation::NoConsent { .. }));
    saw(4, |v| matches!(v, Violation::NoGrant { .. }));
    // With a guard on the controller the same fate harms nobody.
    assert_eq!(outcomes[5].violations, []);
    assert_eq!(outcomes[5].excused, []);
    assert_eq!(outcomes[5].last, "off");
}
