//! Telling other systems what the miner does: an MQTT broker, receivers of webhooks, whoever listens
//! to mDNS, and readers of metrics. What is told is made by the `outlets` crate; here are the tasks around
//! it. Nothing that mines waits for any of them.

#[cfg(feature = "mdns")]
mod mdns;
#[cfg(feature = "mqtt")]
mod mqtt;
#[cfg(feature = "webhook")]
mod webhook;

use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use outlets::metrics::{Exporter, Format, Options};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::timeout;

pub use outlets::mdns::Found;

use crate::config::Config;
use crate::demand;
use crate::events::EventLog;
use crate::settings::Settings;
use crate::state::Snapshot;
use crate::stop::Stop;

/// What the tasks read, and whom they ask.
#[derive(Clone, Debug)]
pub struct Links {
    /// The state tree.
    pub state: watch::Receiver<Arc<Snapshot>>,
    /// What happened and why.
    pub events: EventLog,
    /// The way of every change.
    pub settings: Settings,
    /// The way to say what power costs, and to curtail.
    pub demand: demand::Handle,
}

/// Where the API of this agent is.
#[derive(Clone, Debug)]
pub struct Reached {
    /// Where it listens.
    pub listen: SocketAddr,
    /// Whether it speaks TLS there.
    pub tls: bool,
    /// SHA-256 of its certificate, hexadecimal.
    pub fingerprint: Option<String>,
}

/// Tasks that tell others what happens.
#[derive(Debug, Default)]
pub struct Outlets {
    tasks: JoinSet<()>,
}

/// Longest time that saying goodbye may take.
const GOODBYE: Duration = Duration::from_secs(3);

/// Starts what the config asks for; it runs until `stop`. What cannot be started is an event, and
/// the rest goes on: nobody stops mining because somebody cannot be told of it.
#[must_use]
pub fn start(config: &Config, links: &Links, reached: &Reached, stop: &Stop) -> Outlets {
    let mut outlets = Outlets::default();
    // Without the features none of these is used.
    let _ = (config, links, reached, stop, &mut outlets.tasks);
    #[cfg(feature = "mqtt")]
    if let Some(wanted) = &config.mqtt {
        let run = mqtt::run(wanted.clone(), links.clone(), reached.clone(), stop.clone());
        outlets.spawn(run, links);
    }
    #[cfg(feature = "webhook")]
    for wanted in &config.webhooks {
        let run = webhook::run(wanted.clone(), links.clone(), stop.clone());
        outlets.spawn(run, links);
    }
    #[cfg(feature = "mdns")]
    if config.mdns.announces(reached.listen) {
        let run = mdns::run(links.clone(), reached.clone(), stop.clone());
        outlets.spawn(run, links);
    }
    outlets
}

impl Outlets {
    /// Waits until all have said goodbye after a stop, but not for those who do not listen.
    pub async fn finished(mut self) {
        let all = async { while self.tasks.join_next().await.is_some() {} };
        // What does not end in time ends with the program.
        let _ = timeout(GOODBYE, all).await;
    }

    #[cfg(any(feature = "mdns", feature = "mqtt", feature = "webhook"))]
    fn spawn(
        &mut self,
        task: anyhow::Result<impl Future<Output = ()> + Send + 'static>,
        links: &Links,
    ) {
        match task {
            Ok(task) => {
                self.tasks.spawn(task);
            }
            Err(error) => {
                let notice = station::Notice {
                    severity: station::Severity::Warning,
                    code: "not-told".to_owned(),
                    text: format!("{error:#}"),
                    advice: "mining goes on; correct it and restart the agent".to_owned(),
                    ..station::Notice::default()
                };
                links.events.note(&[], notice);
            }
        }
    }
}

/// What answers at `/metrics`: state, query of the URL and `Accept` header go in, content type and page
/// come out.
pub fn metrics()
-> impl Fn(&Snapshot, &str, Option<&str>) -> (String, String) + Send + Sync + 'static {
    let exporter = Mutex::new(Exporter::new());
    move |state, query, accept| {
        let format = Format::negotiate(accept);
        let options = Options::from_query(query);
        // An exporter that a panic left behind has at worst forgotten a count.
        let mut exporter = exporter.lock().unwrap_or_else(PoisonError::into_inner);
        let page = exporter.page(state, format, options);
        (format.content_type().to_owned(), page)
    }
}

/// Looks for agents on this network by mDNS for so long. It blocks no thread.
///
/// # Errors
///
/// When the network gives no socket, or this build has no mDNS.
#[cfg(feature = "mdns")]
pub async fn browse(time: Duration) -> anyhow::Result<Vec<Found>> {
    mdns::browse(time).await
}

/// Looks for agents on this network by mDNS, which this build cannot.
///
/// # Errors
///
/// Always.
#[cfg(not(feature = "mdns"))]
pub async fn browse(_: Duration) -> anyhow::Result<Vec<Found>> {
    anyhow::bail!("this build has no mDNS; build with --features mdns")
}
