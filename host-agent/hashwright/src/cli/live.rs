//! An agent that a long command watches and changes: its state second by second over a connection that is
//! made anew when it breaks, and an end that a person may ask for at any time.

use std::time::{Duration, Instant};

use futures_util::FutureExt as _;
use rpc::Method;
use rpc::method::TelemetrySubscribe;
use rpc::stream::{Part, Telemetry, TelemetrySubscribe as Wanted};
use serde_json::Value;
use tokio::time::{sleep, timeout};

use super::Client;
use super::client::ClientError;
use super::reach::{AgentArgs, Place, connect_to, get};
use crate::commands::note;
use crate::state::Snapshot;
use crate::stop::{self, Stop};

/// Silence of an agent after which it is taken for gone.
const SILENT: Duration = Duration::from_secs(15);

/// How long an agent that has gone is looked for.
const LOOK_FOR: Duration = Duration::from_secs(120);

/// Wait between two attempts to find it.
const RETRY: Duration = Duration::from_secs(2);

/// Why there is no next state.
#[derive(Debug, thiserror::Error)]
pub enum Lost {
    /// A person has asked for the end.
    #[error("stopped by you")]
    Stopped,
    /// The connection broke; [`Live::again`] makes another.
    #[error("{0}")]
    Broken(String),
}

/// The state of an agent as it comes.
#[derive(Debug)]
pub struct Live {
    place: Place,
    client: Client,
    news: jsonrpsee::core::client::Subscription<Telemetry>,
    parts: Vec<Part>,
    state: Value,
    stop: Stop,
}

impl Live {
    /// Connects to the agent that is meant and asks for these parts of its state, once a second.
    ///
    /// # Errors
    ///
    /// No agent, or its refusal.
    pub async fn open(args: &AgentArgs, parts: &[Part], stop: Stop) -> anyhow::Result<Self> {
        let place = args.place()?;
        let client = connect_to(&place).await?;
        let news = subscribe(&client, parts).await?;
        Ok(Self {
            place,
            client,
            news,
            parts: parts.to_vec(),
            state: Value::Null,
            stop,
        })
    }

    /// Where the agent is.
    #[must_use]
    pub fn url(&self) -> &str {
        &self.place.url
    }

    /// Calls a method.
    ///
    /// # Errors
    ///
    /// The agent's refusal, or no reply.
    pub async fn get<M: Method>(&self, params: &M::Params) -> Result<M::Reply, ClientError> {
        get::<M>(&self.client, params).await
    }

    /// The next state, within some seconds; the newest if several have come since the last one.
    ///
    /// # Errors
    ///
    /// See [`Lost`].
    pub async fn next(&mut self) -> Result<Snapshot, Lost> {
        let message = tokio::select! {
            biased;
            () = self.stop.stopped() => return Err(Lost::Stopped),
            message = timeout(SILENT, self.news.next()) => message,
        };
        let broken = |text: &str| Lost::Broken(text.to_owned());
        let message = message
            .map_err(|_| broken("the agent has gone silent"))?
            .ok_or_else(|| broken("the agent ended the connection"))?
            .map_err(|error| {
                Lost::Broken(format!("what the agent sends cannot be read: {error}"))
            })?;
        take(&mut self.state, message).map_err(Lost::Broken)?;
        // What has waited while something else was done is old news: only the newest counts.
        while let Some(Some(Ok(message))) = self.news.next().now_or_never() {
            take(&mut self.state, message).map_err(Lost::Broken)?;
        }
        snapshot(&self.state).map_err(Lost::Broken)
    }

    /// Makes the connection anew, for two minutes at most.
    ///
    /// # Errors
    ///
    /// Nobody there in all that time; [`Lost::Stopped`].
    pub async fn again(&mut self) -> Result<(), Lost> {
        let began = Instant::now();
        loop {
            tokio::select! {
                biased;
                () = self.stop.stopped() => return Err(Lost::Stopped),
                () = sleep(RETRY) => {}
            }
            let attempt = async {
                let client = connect_to(&self.place).await?;
                let news = subscribe(&client, &self.parts).await?;
                Ok::<_, ClientError>((client, news))
            };
            match attempt.await {
                Ok((client, news)) => {
                    (self.client, self.news, self.state) = (client, news, Value::Null);
                    return Ok(());
                }
                Err(error) if began.elapsed() > LOOK_FOR => {
                    return Err(Lost::Broken(error.to_string()));
                }
                Err(_) => {}
            }
        }
    }

    /// Whether a person has asked for the end.
    #[must_use]
    pub fn is_stopped(&self) -> bool {
        self.stop.is_stopped()
    }

    /// From now on nothing but a new switch stops it: for what has to be done at the end.
    pub fn never_mind(&mut self, stop: Stop) {
        self.stop = stop;
    }
}

async fn subscribe(
    client: &Client,
    parts: &[Part],
) -> Result<jsonrpsee::core::client::Subscription<Telemetry>, ClientError> {
    let wanted = Wanted {
        interval_ms: Some(1_000),
        parts: Some(parts.to_vec()),
    };
    client.subscribe::<TelemetrySubscribe>(&wanted).await
}

/// Takes a message into the state.
fn take(state: &mut Value, message: Telemetry) -> Result<(), String> {
    if let Some(whole) = message.state {
        *state = whole;
    }
    if let Some(changes) = message.changes {
        rpc::patch::apply(state, &changes).map_err(|misfit| misfit.to_string())?;
    }
    Ok(())
}

/// The state as such, where parts that were not asked for are empty.
fn snapshot(state: &Value) -> Result<Snapshot, String> {
    let misfit = |error: serde_json::Error| {
        format!("its state does not fit this version of hashwright ({error}); update the older one")
    };
    let mut whole = serde_json::to_value(Snapshot::default()).map_err(misfit)?;
    if let (Value::Object(whole), Value::Object(parts)) = (&mut whole, state) {
        let parts = parts
            .iter()
            .map(|(name, part)| (name.clone(), part.clone()));
        whole.extend(parts);
    }
    serde_json::from_value(whole).map_err(misfit)
}

/// A switch that Ctrl-C and what else ends programs turn. The second time the program ends at once: what it
/// has changed is then undone by the agent.
///
/// # Errors
///
/// When the system does not let us handle signals.
pub fn stop_on_signals() -> anyhow::Result<(stop::Stopper, Stop)> {
    use tokio::signal::unix::{SignalKind, signal};
    let (stopper, stop) = stop::channel();
    for kind in [
        SignalKind::interrupt(),
        SignalKind::terminate(),
        SignalKind::hangup(),
    ] {
        let mut signals = signal(kind)?;
        let stopper = stopper.clone();
        tokio::spawn(async move {
            signals.recv().await;
            stopper.stop();
            signals.recv().await;
            note(
                "ended at once; the agent undoes by itself what was changed, in the time that it was told",
            );
            std::process::exit(130);
        });
    }
    Ok((stopper, stop))
}
