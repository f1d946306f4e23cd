//! The MQTT connection: it is made again and again, tells the state and events, and hands commands to the
//! one way of every change. What is said stands in `outlets::mqtt`; the protocol is the work of
//! `mqtt-protocol-core`, and the transport, TLS included, is that of pools.

mod client;
mod session;

use std::time::Duration;

use anyhow::Context;
use outlets::mqtt::Topics;
use stratum::transport::{PoolConnector, TcpConnector};
use tokio::time::{Instant, sleep};
use tracing::{debug, info, warn};

use super::{Links, Reached};
use crate::config::Mqtt;
use crate::state::Snapshot;
use crate::stop::Stop;

use session::{Ended, Session};

/// First pause after a connection that failed or broke; doubles up to [`LONGEST_PAUSE`].
const FIRST_PAUSE: Duration = Duration::from_secs(1);
const LONGEST_PAUSE: Duration = Duration::from_secs(60);
/// A connection that lasted so long was a good one.
const GOOD: Duration = Duration::from_secs(30);

/// Serves a broker until `stop`.
pub(super) fn run(
    wanted: Mqtt,
    links: Links,
    reached: Reached,
    mut stop: Stop,
) -> anyhow::Result<impl Future<Output = ()> + Send + 'static> {
    let plain = PoolConnector::new(TcpConnector::default());
    let connector = match wanted.broker.tls {
        true => plain
            .with_tls(wanted.trust.clone())
            .with_context(|| format!("the MQTT broker {}", wanted.broker))?,
        false => plain,
    };
    let id = wanted
        .id
        .clone()
        .unwrap_or_else(|| own_id(&links.state.borrow()));
    let topics = Topics::new(&wanted.prefix, &id, wanted.discovery.as_deref());
    let broker = wanted.broker.clone();
    let mut session = Session::new(wanted, links, reached, topics, connector);
    Ok(async move {
        let mut pause = FIRST_PAUSE;
        let mut told = String::new();
        loop {
            let begun = Instant::now();
            let problem = match session.run(&mut stop).await {
                Ended::Stopped => {
                    debug!(%broker, "left the MQTT broker");
                    return;
                }
                Ended::Lost(problem) => problem,
            };
            let good = session.was_connected() && begun.elapsed() >= GOOD;
            if good {
                pause = FIRST_PAUSE;
            }
            // The same trouble again is no news.
            if problem != told || session.was_connected() {
                warn!(%broker, "{problem}; it is tried again");
            } else {
                debug!(%broker, "{problem}");
            }
            told = problem;
            let jittered = pause.mul_f64(0.75 + 0.5 * fastrand::f64());
            tokio::select! {
                () = stop.stopped() => return,
                () = sleep(jittered) => {}
            }
            pause = (pause * 2).min(LONGEST_PAUSE);
            info!(%broker, "connecting");
        }
    })
}

/// What tells this miner from others: its name, if it has one of its own; else something of the machine.
fn own_id(state: &Snapshot) -> String {
    let system = &state.system;
    if system.name != DEFAULT_NAME {
        return system.name.clone();
    }
    let mac = system.mac.iter().flat_map(|mac| mac.chars());
    let digits: Vec<_> = mac.filter(char::is_ascii_hexdigit).collect();
    let end: String = digits.iter().skip(digits.len().saturating_sub(6)).collect();
    if end.is_empty() {
        system.name.clone()
    } else {
        format!("{DEFAULT_NAME}-{end}")
    }
}

/// Name of agents that were given none.
const DEFAULT_NAME: &str = "hashwright";

#[cfg(test)]
mod tests;
