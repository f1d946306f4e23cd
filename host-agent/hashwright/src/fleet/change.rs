//! One change of many machines: first what it would do on each, then a few machines, then the rest if those
//! still mine. No machine is left in between: each changes all or nothing.

use std::collections::BTreeMap;
use std::time::Duration;

use rpc::method::{
    ConfigConfirm, ConfigSet, GetMinerStatus, MinerPause, MinerResume, SystemRestart,
};
use rpc::settings::{self, Changed, PendingId, WriteOptions};
use rpc::{NoParams, Write};
use serde::Serialize;
use tokio::time::{sleep, timeout};

use super::machine::{Member, short};
use crate::cli::reach::{connect_to, get};
use crate::cli::{Client, render, values};

/// What is to be different.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Wish {
    /// Settings as `PATH=VALUE`.
    Set(Vec<String>),
    /// No more mining.
    Pause,
    /// Mining again.
    Resume,
    /// Start anew.
    Restart,
}

/// What came of it on one machine.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Outcome {
    /// How the user calls it.
    pub name: String,
    /// What changed, or would.
    pub changed: Option<Changed>,
    /// Why it did not.
    pub error: Option<String>,
}

impl Outcome {
    /// Whether it is, or with a dry run would be, as wished.
    #[must_use]
    pub fn is_good(&self) -> bool {
        self.error.is_none()
    }

    /// Whether there is anything to do.
    #[must_use]
    pub fn changes(&self) -> bool {
        self.changed
            .as_ref()
            .is_some_and(|changed| !changed.changes.is_empty())
    }
}

/// Makes the change on one machine.
pub async fn make(member: Member, wish: Wish, how: WriteOptions) -> Outcome {
    let within = 4 * member.place.within.unwrap_or(Duration::from_secs(5));
    let name = member.name.clone();
    let asked = async {
        let client = connect_to(&member.place)
            .await
            .map_err(|error| short(&error))?;
        send(&client, wish, how).await
    };
    let (changed, error) = match timeout(within, asked).await {
        Ok(Ok(changed)) => (Some(changed), None),
        Ok(Err(error)) => (None, Some(error)),
        Err(_) => (
            None,
            Some("no answer in time; it may have changed".to_owned()),
        ),
    };
    Outcome {
        name,
        changed,
        error,
    }
}

async fn send(client: &Client, wish: Wish, how: WriteOptions) -> Result<Changed, String> {
    let nothing = Write {
        what: NoParams {},
        how,
    };
    let changed = match wish {
        Wish::Set(texts) => {
            let values = values(client, &texts)
                .await
                .map_err(|error| error.to_string())?;
            let what = settings::ConfigSet { values };
            get::<ConfigSet>(client, &Write { what, how }).await
        }
        Wish::Pause => get::<MinerPause>(client, &nothing).await,
        Wish::Resume => get::<MinerResume>(client, &nothing).await,
        Wish::Restart => get::<SystemRestart>(client, &nothing).await,
    };
    changed.map_err(|error| short(&error))
}

/// Looks at a machine some time after a change that waits for its confirmation, and confirms it if the
/// machine still does what it did.
pub async fn confirm(member: Member, changed: Changed, after: Duration) -> Outcome {
    let name = member.name.clone();
    let looked = async {
        let client = connect_to(&member.place)
            .await
            .map_err(|error| short(&error))?;
        let before = get::<GetMinerStatus>(&client, &NoParams {})
            .await
            .map_err(|error| short(&error))?;
        sleep(after).await;
        let now = get::<GetMinerStatus>(&client, &NoParams {})
            .await
            .map_err(|error| short(&error))?;
        if now.state != before.state && !matches!(now.state.as_str(), "mining" | "paused") {
            return Err(format!("it was {} and is {} now", before.state, now.state));
        }
        match &changed.pending {
            Some(pending) => {
                let id = PendingId {
                    id: pending.id.clone(),
                };
                get::<ConfigConfirm>(&client, &id)
                    .await
                    .map_err(|error| short(&error))
            }
            None => Ok(changed),
        }
    };
    match looked.await {
        Ok(changed) => Outcome {
            name,
            changed: Some(changed),
            error: None,
        },
        Err(error) => Outcome {
            name,
            changed: None,
            error: Some(error),
        },
    }
}

/// What changes where, machines with the same change together.
#[must_use]
pub fn summary(outcomes: &[Outcome]) -> Vec<String> {
    let mut kinds: BTreeMap<String, Vec<&str>> = BTreeMap::new();
    for outcome in outcomes {
        let what = match (&outcome.error, &outcome.changed) {
            (Some(error), _) => format!("! {error}"),
            (None, Some(changed)) if changed.changes.is_empty() => "nothing to change".to_owned(),
            (None, Some(changed)) => {
                let changes: Vec<_> = changed
                    .changes
                    .iter()
                    .map(|change| {
                        format!(
                            "{}: {} → {}",
                            change.path,
                            render::value(&change.from),
                            render::value(&change.to)
                        )
                    })
                    .collect();
                changes.join(", ")
            }
            (None, None) => continue,
        };
        kinds.entry(what).or_default().push(&outcome.name);
    }
    let mut kinds: Vec<_> = kinds.into_iter().collect();
    kinds.sort_by_key(|(_, names)| std::cmp::Reverse(names.len()));
    kinds
        .into_iter()
        .map(|(what, names)| {
            let count = names.len();
            let machines = if count == 1 { "machine" } else { "machines" };
            format!("{count} {machines}: {what}   ({})", few(&names))
        })
        .collect()
}

/// Some names, and how many more there are.
fn few(names: &[&str]) -> String {
    const FEW: usize = 4;
    let mut text = names[..names.len().min(FEW)].join(", ");
    if names.len() > FEW {
        text.push_str(&format!(" and {} more", names.len() - FEW));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn outcome(name: &str, from: &str, error: Option<&str>) -> Outcome {
        let change = settings::Change {
            path: "cooling.mode".into(),
            from: from.into(),
            to: "manual".into(),
        };
        let changes = if from == "manual" {
            vec![]
        } else {
            vec![change]
        };
        Outcome {
            name: name.into(),
            changed: error.is_none().then(|| Changed {
                changes,
                ..Changed::default()
            }),
            error: error.map(Into::into),
        }
    }

    #[test]
    fn the_same_change_is_told_once() {
        let mut outcomes: Vec<_> = (0..6)
            .map(|index| outcome(&format!("m{index}"), "auto", None))
            .collect();
        outcomes.push(outcome("n", "manual", None));
        outcomes.push(outcome("o", "auto", Some("no answer: refused")));
        let lines = summary(&outcomes);
        assert_eq!(
            lines[0],
            "6 machines: cooling.mode: auto → manual   (m0, m1, m2, m3 and 2 more)"
        );
        assert!(lines.contains(&"1 machine: nothing to change   (n)".to_owned()));
        assert!(lines.contains(&"1 machine: ! no answer: refused   (o)".to_owned()));
        assert!(outcomes[0].changes() && !outcomes[6].changes() && !outcomes[7].is_good());
    }
}
