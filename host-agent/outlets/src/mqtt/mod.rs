//! What the miner says over MQTT, and what may be said to it: topics, the messages of a state, Home
//! Assistant's discovery, commands. `docs/automation.md` shows the layout of the topics.

mod command;
mod discovery;
mod states;

use std::fmt;

use rpc::event::Entry;
use serde_json::Value;

pub use command::{Answer, Asked, Command, Problem, Refused, Throttle};
pub use discovery::discovery;
pub use states::states;

/// What says that the miner is there.
pub const ONLINE: &str = "online";
/// What the broker says for it when it has gone.
pub const OFFLINE: &str = "offline";

/// A message for the broker.
#[derive(Clone, PartialEq, Eq)]
pub struct Message {
    /// Where to.
    pub topic: String,
    /// What.
    pub payload: String,
    /// The broker keeps it for those who come later.
    pub retain: bool,
}

impl fmt::Debug for Message {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.topic, self.payload)
    }
}

/// The topics of a miner.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Topics {
    base: String,
    id: String,
    discovery: Option<String>,
}

impl Topics {
    /// Those of the miner `id` under `prefix`. `discovery` is Home Assistant's prefix, none without its
    /// discovery. What must not be part of a topic becomes `_`.
    #[must_use]
    pub fn new(prefix: &str, id: &str, discovery: Option<&str>) -> Self {
        let id = level(id);
        Self {
            base: format!("{}/{id}", path(prefix)),
            id,
            discovery: discovery.map(path),
        }
    }

    /// What tells this miner from others at the broker.
    #[must_use]
    pub fn id(&self) -> &str {
        &self.id
    }

    /// Whether the miner is there: `online` or `offline`.
    #[must_use]
    pub fn availability(&self) -> String {
        self.below("availability")
    }

    /// The filter for commands.
    #[must_use]
    pub fn commands(&self) -> String {
        self.below("command/+")
    }

    /// Name of the command that a message to this topic is, if it is one.
    #[must_use]
    pub fn command<'t>(&self, topic: &'t str) -> Option<&'t str> {
        let name = topic.strip_prefix(&self.base)?.strip_prefix("/command/")?;
        (!name.contains('/')).then_some(name)
    }

    /// Where Home Assistant says that it has come up, after which it wants the discovery again.
    #[must_use]
    pub fn birth(&self) -> Option<String> {
        let prefix = self.discovery.as_ref()?;
        Some(format!("{prefix}/status"))
    }

    /// The message that says whether the miner is there.
    #[must_use]
    pub fn available(&self, online: bool) -> Message {
        Message {
            topic: self.availability(),
            payload: if online { ONLINE } else { OFFLINE }.to_owned(),
            retain: true,
        }
    }

    /// The message that tells an event. It is not kept.
    #[must_use]
    pub fn event(&self, entry: &Entry) -> Message {
        Message {
            topic: self.below("event"),
            payload: serde_json::to_string(entry).unwrap_or_default(),
            retain: false,
        }
    }

    /// The message that answers a command. It is not kept.
    #[must_use]
    pub fn answer(&self, answer: &Answer) -> Message {
        Message {
            topic: self.below("result"),
            payload: serde_json::to_string(answer).unwrap_or_default(),
            retain: false,
        }
    }

    fn below(&self, rest: &str) -> String {
        format!("{}/{rest}", self.base)
    }

    fn kept(&self, rest: &str, payload: &Value) -> Message {
        Message {
            topic: self.below(rest),
            payload: payload.to_string(),
            retain: true,
        }
    }

    /// An id for Home Assistant, which knows only letters, digits, `_` and `-`.
    fn object(&self) -> String {
        let plain = |c: char| {
            if c.is_ascii_alphanumeric() || c == '-' {
                c
            } else {
                '_'
            }
        };
        let id: String = self.id.chars().map(plain).collect();
        format!("hashwright_{id}")
    }
}

/// One level of a topic.
fn level(text: &str) -> String {
    let fit = |c: char| match c {
        '/' | '+' | '#' | '$' => '_',
        c if c.is_control() || c.is_whitespace() => '_',
        c => c,
    };
    let level: String = text.chars().take(100).map(fit).collect();
    if level.is_empty() {
        "_".to_owned()
    } else {
        level
    }
}

/// Several levels.
fn path(text: &str) -> String {
    let levels: Vec<_> = text.trim_matches('/').split('/').map(level).collect();
    levels.join("/")
}

#[cfg(test)]
mod tests;
