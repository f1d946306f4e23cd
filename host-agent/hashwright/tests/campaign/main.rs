//! Fault campaign: the whole program with boards that break, in virtual time, judged by what the
//! simulator knows to be true and not by what the agent says of itself.

#![allow(dead_code, unreachable_pub, reason = "parts of one program of tests")]

mod cases;
mod class;
mod crew;
mod run;
#[path = "../support/mod.rs"]
mod support;
mod table;

use cases::{Case, cases};
use class::{CLASSES, Class};
use run::{Outcome, Run};

/// Runs of a case of a class.
fn seeds(class: &Class) -> u64 {
    if class.large { 1 } else { 3 }
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

#[test]
fn the_library_of_faults() {
    let only = std::env::var("CAMPAIGN_CLASS").ok();
    for class in &CLASSES {
        if only.as_deref().is_some_and(|only| only != class.name) {
            continue;
        }
        let start = std::time::Instant::now();
        let rows = library(class);
        println!("{}", table::table(class, &rows));
        println!("{} took {:?}", class.name, start.elapsed());
        for (case, outcomes) in &rows {
            for outcome in outcomes {
                let odd = !outcome.violations.is_empty()
                    || (!case.named.is_empty()
                        && !case.named.contains(&outcome.code.as_deref().unwrap_or("")))
                    || case
                        .cut
                        .is_some_and(|cut| outcome.off_after.is_none_or(|off| off > cut))
                    || (case.never_on && !outcome.never_on());
                if odd {
                    let mut o = outcome.clone();
                    o.codes.truncate(8);
                    println!("ODD {} {}: {o:?}", class.name, case.name());
                }
            }
        }
    }
}
