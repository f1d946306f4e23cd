//! The cgminer API, version 3.7, as its clients know it: text, JSON and joined commands, the STATUS
//! codes, the groups of clients, every read command and the writes that this agent can really do. The
//! facts are those of cgminer 4.11.1 and of its public API description; words are our own.
//!
//! One request is one connection: [`Port::answer`] takes what one read gave, and what it returns is
//! sent as it is (its NUL byte included), whereupon the connection is closed.

mod access;
mod brand;
mod multicast;
mod reply;
mod report;
mod request;
mod tuner;
mod write;

use std::net::IpAddr;

pub use access::{Access, Group, Rule, RuleError};
pub use brand::brand_in;
pub use multicast::{MULTICAST_GROUP, MULTICAST_PORT, Multicast};

use crate::{Now, Refused, Wish};
use reply::{Format, Reply};
use request::Request;

/// The port that its clients ask.
pub const DEFAULT_PORT: u16 = 4028;

/// Longest request, bytes; what comes beyond is not looked at.
pub const MAX_REQUEST_BYTES: usize = 4095;

/// The API version that is told; other programs with this API tell the same.
const API_VERSION: &str = "3.7";

/// Most parts of a joined command.
const MAX_PARTS: usize = 64;

/// The cgminer API of one agent.
#[derive(Clone, Debug)]
pub struct Port {
    description: Option<String>,
    access: Access,
}

/// What is to be done with a request.
#[derive(Debug)]
pub enum Step {
    /// Send this and close the connection.
    Reply(Vec<u8>),
    /// Somebody has to decide first.
    Ask(Question),
}

/// A request that wants something changed.
#[derive(Debug)]
pub struct Question {
    wish: Wish,
    format: Format,
    success: Reply,
    failure_code: u16,
}

impl Question {
    /// What is wanted.
    #[must_use]
    pub fn wish(&self) -> &Wish {
        &self.wish
    }

    /// What to send, the outcome known.
    #[must_use]
    pub fn answer(self, port: &Port, outcome: Result<(), Refused>, now: &Now<'_>) -> Vec<u8> {
        let reply = match outcome {
            Ok(()) => self.success,
            Err(Refused(why)) => Reply::error(self.failure_code, format!("Refused: {why}")),
        };
        let mut reply = reply;
        port.sign(&mut reply, now);
        reply.encode(self.format, now.unix_s)
    }
}

impl Port {
    /// The API with these rules. The description is told with every reply; without one it is program and
    /// version.
    #[must_use]
    pub fn new(access: Access, description: Option<String>) -> Self {
        Self {
            description,
            access,
        }
    }

    /// The group of a client; `None` for clients whose connections are closed without a byte.
    #[must_use]
    pub fn group(&self, peer: IpAddr) -> Option<Group> {
        self.access.group(peer)
    }

    /// Whether more bytes could make a request of what came so far: the beginning of a JSON object.
    #[must_use]
    pub fn wants_more(request: &[u8]) -> bool {
        request.len() < MAX_REQUEST_BYTES && request::is_beginning(request)
    }

    /// The answer to a request of a client of `group`.
    #[must_use]
    pub fn answer(&self, request: &[u8], group: Group, now: &Now<'_>) -> Step {
        let request = &request[..request.len().min(MAX_REQUEST_BYTES)];
        let (format, parsed) = request::parse(request);
        let request = match parsed {
            Ok(request) => request,
            Err(fault) => return self.finish(fault.reply(), format, now),
        };
        if request.command.contains('+') {
            return Step::Reply(self.joined(&request.command, format, group, now));
        }
        let Request { command, parameter } = &request;
        if let Some(denied) = self.denied(command, group) {
            return self.finish(denied, format, now);
        }
        let parameter = parameter.as_deref();
        if let Some(reply) = self.own(command, parameter, group) {
            return self.finish(reply, format, now);
        }
        if let Some(reply) = report::report(command, parameter, now) {
            return self.finish(reply, format, now);
        }
        match write::write(command, parameter, now) {
            Some(Ok(write::Question {
                wish,
                success,
                failure_code,
            })) => Step::Ask(Question {
                wish,
                format,
                success,
                failure_code,
            }),
            Some(Err(reply)) => self.finish(reply, format, now),
            None => self.finish(Reply::invalid_command(), format, now),
        }
    }

    /// Commands that are about the API itself.
    fn own(&self, command: &str, parameter: Option<&str>, group: Group) -> Option<Reply> {
        match command {
            "privileged" => Some(Reply::success(46, "Privileged access OK")),
            "check" => Some(match parameter.filter(|name| !name.is_empty()) {
                None => Reply::error(71, "Missing check command".to_owned()),
                Some(name) => {
                    let known = access::command(name).is_some();
                    let allowed = known && self.access.allows(group, name);
                    report::check(known, allowed)
                }
            }),
            _ => None,
        }
    }

    fn denied(&self, command: &str, group: Group) -> Option<Reply> {
        let known = access::command(command)?;
        (!self.access.allows(group, known.name)).then(|| {
            let text = format!("Access denied to '{}' command", known.name);
            Reply::error(45, text)
        })
    }

    fn joined(&self, commands: &str, format: Format, group: Group, now: &Now<'_>) -> Vec<u8> {
        let mut parts: Vec<(&str, Reply)> = Vec::new();
        for name in commands.split('+').map(str::trim) {
            let done = parts.iter().any(|(known, _)| *known == name);
            if name.is_empty() || done || parts.len() >= MAX_PARTS {
                continue;
            }
            let joinable = access::command(name).is_some_and(|command| command.joinable);
            let mut reply = match joinable {
                false => Reply::invalid_command(),
                true => self
                    .denied(name, group)
                    .or_else(|| report::report(name, None, now))
                    .unwrap_or_else(Reply::invalid_command),
            };
            self.sign(&mut reply, now);
            parts.push((name, reply));
        }
        reply::encode_joined(&parts, format, now.unix_s)
    }

    fn finish(&self, mut reply: Reply, format: Format, now: &Now<'_>) -> Step {
        self.sign(&mut reply, now);
        Step::Reply(reply.encode(format, now.unix_s))
    }

    /// Adds who answers, and takes out what would make clients see another make of miner.
    fn sign(&self, reply: &mut Reply, now: &Now<'_>) {
        let description = match &self.description {
            Some(own) => own.clone(),
            None => report::program(now),
        };
        reply.describe(brand::without_brands(&description));
    }
}
