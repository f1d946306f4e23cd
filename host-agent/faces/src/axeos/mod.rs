//! The web API of AxeOS, as far as pyasic, asic-rs and the swarm pages of AxeOS ask for it. A miner with
//! many boards shows itself as one: rates, power and counters are sums, temperatures the hottest.
//!
//! These clients cannot log in. So who may ask is decided by where they are: readers by their private
//! address, writers by a list; and nobody through a web page of another site. A request goes through
//! [`Site::admit`] before its body is read, and then through [`Site::answer`].

mod admit;
mod info;
mod patch;

use serde_json::{Value, json};

pub use admit::{Head, Route, Site};

use crate::{Now, Refused, Wish};

/// Longest body that is read, bytes.
pub const MAX_BODY_BYTES: usize = 16 * 1024;

/// The page at `/`: what this is, for people, and the word by which clients know it.
pub const PAGE: &str = include_str!("page.html");

/// An HTTP reply.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reply {
    /// HTTP status.
    pub status: u16,
    /// Content type.
    pub content_type: &'static str,
    /// Body.
    pub body: Vec<u8>,
}

/// What is to be done with a request.
#[derive(Debug, PartialEq)]
pub enum Step {
    /// Send this.
    Reply(Reply),
    /// Somebody has to decide first.
    Ask(Question),
}

/// A request that wants something changed.
#[derive(Debug, PartialEq)]
pub struct Question {
    wish: Wish,
    done: &'static str,
}

impl Question {
    /// What is wanted.
    #[must_use]
    pub fn wish(&self) -> &Wish {
        &self.wish
    }

    /// What to send, the outcome known.
    #[must_use]
    pub fn answer(self, outcome: Result<(), Refused>) -> Reply {
        match outcome {
            Ok(()) => Reply::message(200, self.done),
            Err(Refused(why)) => Reply::message(400, &why),
        }
    }
}

impl Reply {
    /// An object with a message, as AxeOS answers to actions.
    #[must_use]
    pub fn message(status: u16, text: &str) -> Self {
        Self::json(status, &json!({ "message": text }))
    }

    fn json(status: u16, value: &Value) -> Self {
        Self {
            status,
            content_type: "application/json",
            body: value.to_string().into_bytes(),
        }
    }

    fn plain(status: u16, text: &str) -> Self {
        Self {
            status,
            content_type: "text/plain; charset=utf-8",
            body: format!("{text}\n").into_bytes(),
        }
    }
}

impl Site {
    /// The answer to an admitted request with its body.
    #[must_use]
    pub fn answer(&self, route: &Route, body: &[u8], now: &Now<'_>) -> Step {
        let reply = match route {
            Route::Page => Reply {
                status: 200,
                content_type: "text/html; charset=utf-8",
                body: PAGE.as_bytes().to_vec(),
            },
            Route::Info => Reply::json(200, &info::info(now)),
            Route::Asic => Reply::json(200, &info::asic(now)),
            Route::Statistics { columns } => {
                Reply::json(200, &info::statistics(now, columns.as_deref()))
            }
            Route::Scoreboard => Reply::json(200, &json!([])),
            Route::Networks => Reply::json(200, &json!({ "networks": [] })),
            Route::Logs => Reply::json(
                200,
                &json!({
                    "logs": [],
                    "message": "the log is only given to those who log in, over the JSON-RPC API",
                }),
            ),
            Route::Pause => return ask(Wish::Pause, "Mining paused"),
            Route::Resume => return ask(Wish::Resume, "Mining resumed"),
            Route::Restart => return ask(Wish::Restart, "The agent restarts"),
            Route::Settings => return patched(patch::settings(body, now), "Settings changed"),
            Route::PoolPut(index) => {
                return patched(patch::pool(*index, body, now), "Pool changed");
            }
            Route::PoolDelete(index) => {
                return match now.state.pools.get(*index) {
                    Some(_) => ask(Wish::PoolRemove(*index), "Pool removed"),
                    None => Step::Reply(Reply::message(404, "there is no such pool")),
                };
            }
        };
        Step::Reply(reply)
    }
}

fn ask(wish: Wish, done: &'static str) -> Step {
    Step::Ask(Question { wish, done })
}

fn patched(wish: Result<Option<Wish>, String>, done: &'static str) -> Step {
    match wish {
        Ok(Some(wish)) => ask(wish, done),
        Ok(None) => Step::Reply(Reply::message(200, "Nothing to change")),
        Err(why) => Step::Reply(Reply::message(400, &why)),
    }
}
