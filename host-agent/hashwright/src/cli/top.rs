//! `hashwright top`: the live view of an agent here or elsewhere. It lives on subscriptions, begins again
//! when the agent has been away, and passes on what its keys ask for.

use std::sync::Arc;
use std::time::Duration;

use rpc::history::{self, History, Metric};
use rpc::method::{
    BoardClearFault, CoolingSet, EventsSubscribe, HistoryQuery, LogSubscribe, MinerPause,
    MinerResume, TelemetrySubscribe,
};
use rpc::settings::{self, Changed, CoolingMode};
use rpc::stream::{self, Telemetry};
use rpc::{NoParams, Write};
use serde_json::Value;
use tokio::time::{sleep, timeout};

use super::reach::{Place, connect_to, get};
use super::{AgentArgs, Client, render};
use crate::state::Snapshot;
use crate::view::feed::{Answer, Source, feed};
use crate::view::series::Sample;
use crate::view::{self, Link, Tab, Wish};

/// Silence of an agent after which it is taken for gone.
const SILENT: Duration = Duration::from_secs(10);

/// Waits between attempts to reach an agent that has gone, the last one again and again.
const RETRY_S: [u64; 4] = [1, 2, 3, 5];

/// How far back the charts begin, seconds.
const PAST_S: u64 = 3_600;

/// What `top` takes.
#[derive(Clone, Debug, Default, clap::Args)]
pub struct TopArgs {
    /// A known agent by its name; without it the one on this machine
    #[arg(value_name = "NAME", conflicts_with_all = ["agent", "url"])]
    pub name: Option<String>,
    /// Which agent.
    #[command(flatten)]
    pub agent: AgentArgs,
    /// Begin with this page: overview, boards, chips, pools, charts, events or log
    #[arg(long, value_name = "PAGE", value_parser = page, default_value = "overview")]
    pub page: Tab,
}

/// Shows the agent until the user quits.
///
/// # Errors
///
/// No terminal, or an agent that is not there at the start: later ones only show in the view.
pub async fn top(args: &TopArgs) -> anyhow::Result<()> {
    if !view::is_possible() {
        anyhow::bail!(
            "`top` needs a terminal to draw on and to read keys from; `hashwright status` prints \
             the same once"
        );
    }
    let place = args.agent.or_named(args.name.as_ref()).place()?;
    let client = connect_to(&place).await?;
    let (source, feed) = feed();
    let kept = tokio::spawn(keep(source, place, client));
    let shown = view::run_on(args.page, feed, std::future::pending()).await;
    kept.abort();
    shown?;
    Ok(())
}

/// Feeds a view from an agent, again and again.
async fn keep(mut source: Source, place: Place, first: Client) {
    let mut client = Some(first);
    let mut failures = 0;
    loop {
        let connected = match client.take() {
            Some(client) => Ok(client),
            None => connect_to(&place).await,
        };
        let why = match connected {
            Ok(client) => {
                failures = 0;
                source.link.send_replace(Link::Up(place.url.clone()));
                session(&client, &mut source).await
            }
            Err(error) => error.to_string(),
        };
        source.link.send_replace(Link::Down(why));
        let wait = RETRY_S[failures.min(RETRY_S.len() - 1)];
        failures += 1;
        tokio::select! {
            () = sleep(Duration::from_secs(wait)) => {}
            () = refuse(&mut source) => return,
        }
    }
}

/// Answers wishes that nobody can carry out; ends with the view.
async fn refuse(source: &mut Source) {
    while source.wishes.recv().await.is_some() {
        let answer = Err("not done: the agent is not connected".to_owned());
        let _ = source.answers.try_send(answer);
    }
}

/// Feeds a view from one connection, and tells why that ended.
async fn session(client: &Client, source: &mut Source) -> String {
    let params = stream::TelemetrySubscribe::default();
    let mut telemetry = match client.subscribe::<TelemetrySubscribe>(&params).await {
        Ok(telemetry) => telemetry,
        Err(error) => return error.to_string(),
    };
    // What a role may not see is told on its page, and is no reason to end.
    let params = stream::EventsSubscribe::default();
    let mut events = client.subscribe::<EventsSubscribe>(&params).await.ok();
    let params = stream::LogSubscribe::default();
    let mut log = match client.subscribe::<LogSubscribe>(&params).await {
        Ok(log) => {
            source.no_log.send_replace(None);
            Some(log)
        }
        Err(error) => {
            source.no_log.send_replace(Some(error.to_string()));
            None
        }
    };
    let mut state = Value::Null;
    let mut remembered = false;
    loop {
        tokio::select! {
            message = timeout(SILENT, telemetry.next()) => {
                let message = match message {
                    Ok(Some(Ok(message))) => message,
                    Ok(Some(Err(error))) => return format!("telemetry cannot be read: {error}"),
                    Ok(None) => return "the agent ended the connection".to_owned(),
                    Err(_) => return format!("silent for {} s", SILENT.as_secs()),
                };
                let snapshot = match taken(&mut state, message) {
                    Ok(snapshot) => snapshot,
                    Err(why) => return why,
                };
                if !std::mem::replace(&mut remembered, true)
                    && let Some(past) = past(client, &snapshot).await
                {
                    let _ = source.past.try_send(past);
                }
                source.state.send_replace(Arc::new(snapshot));
            }
            Some(Ok(news)) = async { events.as_mut()?.next().await }, if events.is_some() => {
                for entry in news.entries {
                    // A view that does not keep up shows the newest ones later.
                    let _ = source.events.try_send(entry);
                }
            }
            Some(Ok(news)) = async { log.as_mut()?.next().await }, if log.is_some() => {
                for line in news.lines {
                    let _ = source.log.try_send(line);
                }
            }
            wish = source.wishes.recv() => {
                let Some(wish) = wish else {
                    return "the view has ended".to_owned();
                };
                let answer = carry_out(client, wish).await;
                let _ = source.answers.try_send(answer);
            }
        }
    }
}

/// The state after a message.
pub(super) fn taken(state: &mut Value, message: Telemetry) -> Result<Snapshot, String> {
    if let Some(whole) = message.state {
        *state = whole;
    }
    if let Some(changes) = message.changes {
        rpc::patch::apply(state, &changes).map_err(|misfit| misfit.to_string())?;
    }
    serde_json::from_value(state.clone()).map_err(|error| {
        format!("its state does not fit this version of hashwright ({error}); update the older one")
    })
}

async fn carry_out(client: &Client, wish: Wish) -> Answer {
    let changed = match wish {
        Wish::Pause => get::<MinerPause>(client, &Write::from(NoParams {})).await,
        Wish::Resume => get::<MinerResume>(client, &Write::from(NoParams {})).await,
        Wish::CoolingAuto => {
            let auto = settings::CoolingSet {
                mode: Some(CoolingMode::Auto),
                ..settings::CoolingSet::default()
            };
            get::<CoolingSet>(client, &auto.into()).await
        }
        Wish::CoolingManual(percent) => {
            let manual = settings::CoolingSet {
                mode: Some(CoolingMode::Manual),
                percent: Some(percent),
                ..settings::CoolingSet::default()
            };
            get::<CoolingSet>(client, &manual.into()).await
        }
        Wish::ClearFault(board, code) => {
            let fault = settings::ClearFault { board, code };
            get::<BoardClearFault>(client, &fault.into()).await
        }
    };
    match changed {
        Ok(changed) => Ok(done(&changed)),
        Err(error) => Err(error.to_string()),
    }
}

/// What a change came to, in a line.
pub fn done(changed: &Changed) -> String {
    if changed.changes.is_empty() {
        return "it is so already".to_owned();
    }
    let changes = changed.changes.iter().map(|change| {
        format!(
            "{}: {} → {}",
            change.path,
            render::value(&change.from),
            render::value(&change.to)
        )
    });
    let mut parts: Vec<_> = changes.collect();
    parts.extend(changed.notes.iter().cloned());
    parts.join("; ")
}

/// What the agent remembers of the last hour; nothing if it keeps no history.
async fn past(client: &Client, now: &Snapshot) -> Option<Vec<Sample>> {
    let query = history::Query {
        metrics: vec![
            Metric::HashrateHps,
            Metric::SigmaHps,
            Metric::ExpectedHps,
            Metric::PowerW,
            Metric::TemperatureC,
        ],
        last_s: Some(PAST_S),
        points: Some(720),
        ..history::Query::default()
    };
    let reply = get::<HistoryQuery>(client, &query).await.ok()?;
    Some(samples(&reply, now.system.started_unix_s as f64))
}

/// A piece of history as samples of an agent that started at this time of day.
fn samples(past: &History, started_unix_s: f64) -> Vec<Sample> {
    let value = |metric: Metric, point: usize| {
        let values = past.metrics.iter().find(|values| values.metric == metric)?;
        values.values.get(point).copied().flatten()
    };
    let middle = |point: usize| (point as f64 + 0.5) * f64::from(past.step_s);
    (0..past.covered_s.len())
        .filter_map(|point| {
            Some(Sample {
                at_s: past.from as f64 + middle(point) - started_unix_s,
                hps: value(Metric::HashrateHps, point)?,
                sigma_hps: value(Metric::SigmaHps, point).unwrap_or_default(),
                expected_hps: value(Metric::ExpectedHps, point)?,
                power_w: value(Metric::PowerW, point),
                hottest_c: value(Metric::TemperatureC, point),
            })
        })
        .collect()
}

fn page(text: &str) -> Result<Tab, String> {
    let known = Tab::ALL.into_iter().find(|tab| tab.name() == text);
    known.ok_or_else(|| {
        let names: Vec<_> = Tab::ALL.iter().map(|tab| tab.name()).collect();
        format!("write one of {}", names.join(", "))
    })
}
