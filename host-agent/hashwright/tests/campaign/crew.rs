//! Runs many runs at once, on all cores, and gives their outcomes in order.

use std::num::NonZero;
use std::panic::resume_unwind;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use crate::run::{Outcome, Run};

/// The outcome of each run.
pub fn all(runs: &[Run]) -> Vec<Outcome> {
    let next = AtomicUsize::new(0);
    let done: Mutex<Vec<Option<Outcome>>> = Mutex::new(vec![None; runs.len()]);
    let workers = thread::available_parallelism().map_or(1, NonZero::get);
    thread::scope(|scope| {
        let work = || {
            loop {
                let index = next.fetch_add(1, Ordering::Relaxed);
                let Some(run) = runs.get(index) else { return };
                let outcome = run.go();
                done.lock().expect("no panic")[index] = Some(outcome);
            }
        };
        let crew: Vec<_> = (0..workers).map(|_| scope.spawn(work)).collect();
        for worker in crew {
            if let Err(panic) = worker.join() {
                resume_unwind(panic);
            }
        }
    });
    let done = done.into_inner().expect("no panic");
    done.into_iter()
        .map(|outcome| outcome.expect("done"))
        .collect()
}
