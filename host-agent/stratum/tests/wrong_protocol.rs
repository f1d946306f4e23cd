//! A Stratum V1 session at the port of a Stratum V2 pool: the owner is told which URL to use.
#![cfg(feature = "sv2")]

mod support;

use std::time::Duration;

use stratum::{Event, Reason};
use support::config;
use support::rig::{Pipes, Rig};
use tokio::sync::mpsc;

#[tokio::test(start_paused = true)]
async fn a_v1_session_recognises_a_v2_pool() {
    let core = pool::v2::Core::new(pool::v2::Config::default()).unwrap();
    let (events, _drain) = mpsc::channel(16);
    let (handle, driver) = pool::v2::embed(core, events);
    let pool_task = tokio::spawn(driver.run(std::future::pending()));
    let pipes = Pipes::new(move |_, _| {
        let (ours, theirs) = tokio::io::duplex(64 * 1024);
        handle.attach(theirs);
        Ok(Box::new(ours))
    });
    let mut rig = Rig::start(config(), pipes);
    let wrong = |event: &Event| {
        let Event::Disconnected { reason, .. } = event else {
            return false;
        };
        let said = reason.to_string();
        matches!(reason, Reason::WrongProtocol(_))
            && said.contains("stratum2+tcp://eu.pool.example:3333/KEY")
    };
    let told = tokio::time::timeout(Duration::from_secs(60), rig.event(wrong)).await;
    assert!(told.is_ok(), "not told within a minute");
    pool_task.abort();
}
