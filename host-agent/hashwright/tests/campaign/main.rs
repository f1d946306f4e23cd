//! Fault campaign: the whole program with boards that break, in virtual time, judged by what the
//! simulator knows to be true and not by what the agent says of itself.

mod class;
#[path = "../support/mod.rs"]
mod support;
mod run;

use std::time::Duration;

use class::CLASSES;
use run::{Mishap, Run, When};

#[test]
#[ignore]
fn measure() {
    for class in &CLASSES {
        let start = std::time::Instant::now();
        let run = Run::healthy(class, 1, Duration::from_secs(60));
        let outcome = run.go();
        println!("{} healthy {:?}: {outcome:?}", class.name, start.elapsed());
    }
    for class in &CLASSES {
        println!("{:?}", class.places());
        for mishap in ["fans-dead", "control-silent", "sensor-reads:-1"] {
            let start = std::time::Instant::now();
            let mut run = Run::healthy(class, 1, Duration::from_secs(90));
            run.mishaps = vec![(
                Mishap::Board(mishap.parse().unwrap()),
                When::Mining(Duration::from_secs(20)),
            )];
            let outcome = run.go();
            println!("{} {mishap} {:?}: {outcome:?}", class.name, start.elapsed());
        }
    }
}
