//! A JSON-RPC client for the agent: one WebSocket, calls one after the other.

use std::time::Duration;

use jsonrpsee::async_client::{Client as RpcClient, ClientBuilder};
use jsonrpsee::client_transport::ws::{WsHandshakeError, WsTransportClientBuilder};
use jsonrpsee::core::client::{ClientT, Error as RpcError};
use jsonrpsee::core::params::ObjectParams;
use serde::Serialize;
use serde_json::Value;
use serde_json::value::RawValue;

use crate::api::MAX_RESPONSE_BYTES;
use crate::api::gate::RPC_PATH;

/// How long connecting may take.
const CONNECT_WITHIN: Duration = Duration::from_secs(5);

/// How long a reply may take.
const REPLY_WITHIN: Duration = Duration::from_secs(5);

/// Why a client command has nothing to show. The texts say what to do.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// The URL is not one of an agent.
    #[error("`{url}` is not the URL of an agent: {reason}. An example: http://127.0.0.1:4029")]
    Url {
        /// As given.
        url: String,
        /// What is wrong with it.
        reason: String,
    },
    /// Nothing answers there.
    #[error(
        "no agent answers at {url} ({reason}). Start one with `hashwright run` (or `hashwright \
         demo` without hardware), or name another place with --url"
    )]
    NoAgent {
        /// As given.
        url: String,
        /// What the system said.
        reason: String,
    },
    /// Something answers, but not as an agent.
    #[error("{url} answered, but not as a hashwright agent ({reason}). Check --url")]
    NotAnAgent {
        /// As given.
        url: String,
        /// What was wrong.
        reason: String,
    },
    /// The agent refused the call.
    #[error("the agent refused {method}: {reason}")]
    Refused {
        /// The method called.
        method: &'static str,
        /// The agent's words.
        reason: String,
    },
    /// The agent went away during the call, or took too long.
    #[error(
        "no reply to {method} from the agent: {reason}. Try again, and look at the agent's log"
    )]
    NoReply {
        /// The method called.
        method: &'static str,
        /// What happened.
        reason: String,
    },
    /// The reply is not what this version expects.
    #[error(
        "the reply to {method} does not fit this version of hashwright ({source}). The agent is \
         probably of another version: `--json` shows the reply as it is"
    )]
    Reply {
        /// The method called.
        method: &'static str,
        /// Where it does not fit.
        source: serde_json::Error,
    },
}

/// A connection to an agent.
#[derive(Debug)]
pub struct Client(RpcClient);

impl Client {
    /// Connects to the agent at `url`: `http://HOST:PORT`, with or without `/rpc`.
    ///
    /// # Errors
    ///
    /// A bad URL, nobody there, or somebody else there.
    pub async fn connect(url: &str) -> Result<Self, ClientError> {
        let endpoint = endpoint(url)?;
        let bad_url = |reason: String| ClientError::Url {
            url: url.into(),
            reason,
        };
        let target = endpoint
            .parse()
            .map_err(|error| bad_url(format!("{error}")))?;
        let (sender, receiver) = WsTransportClientBuilder::default()
            .connection_timeout(CONNECT_WITHIN)
            .max_response_size(MAX_RESPONSE_BYTES)
            .build(target)
            .await
            .map_err(|error| unreachable_agent(url, &error))?;
        let client = ClientBuilder::default()
            .request_timeout(REPLY_WITHIN)
            .build_with_tokio(sender, receiver);
        Ok(Self(client))
    }

    /// Calls a method without parameters and returns its result as it came.
    ///
    /// # Errors
    ///
    /// The agent's refusal, or no reply.
    pub async fn call(&self, method: &'static str) -> Result<Box<RawValue>, ClientError> {
        self.request(method, ObjectParams::new()).await
    }

    /// Calls a method with one named parameter and returns its result as it came.
    ///
    /// # Errors
    ///
    /// The agent's refusal, or no reply.
    pub async fn call_with(
        &self,
        method: &'static str,
        name: &str,
        value: impl Serialize,
    ) -> Result<Box<RawValue>, ClientError> {
        let mut params = ObjectParams::new();
        params
            .insert(name, value)
            .map_err(|error| ClientError::Refused {
                method,
                reason: error.to_string(),
            })?;
        self.request(method, params).await
    }

    /// Calls a method with the fields of an object as parameters; those that are null are left out.
    ///
    /// # Errors
    ///
    /// The agent's refusal, or no reply.
    pub async fn call_params(
        &self,
        method: &'static str,
        fields: &impl Serialize,
    ) -> Result<Box<RawValue>, ClientError> {
        let refused = |error: serde_json::Error| ClientError::Refused {
            method,
            reason: error.to_string(),
        };
        let mut params = ObjectParams::new();
        if let Value::Object(fields) = serde_json::to_value(fields).map_err(refused)? {
            for (name, value) in fields.iter().filter(|(_, value)| !value.is_null()) {
                params.insert(name, value).map_err(refused)?;
            }
        }
        self.request(method, params).await
    }

    async fn request(
        &self,
        method: &'static str,
        params: ObjectParams,
    ) -> Result<Box<RawValue>, ClientError> {
        self.0
            .request(method, params)
            .await
            .map_err(|error| match error {
                RpcError::Call(refusal) => {
                    // The detail says what to do about it; the message is JSON-RPC's own.
                    let detail = refusal
                        .data()
                        .and_then(|d| serde_json::from_str(d.get()).ok());
                    let reason = detail.unwrap_or_else(|| refusal.message().to_owned());
                    ClientError::Refused { method, reason }
                }
                other => ClientError::NoReply {
                    method,
                    reason: other.to_string(),
                },
            })
    }
}

/// The WebSocket URL of the agent at `url`.
fn endpoint(url: &str) -> Result<String, ClientError> {
    let bad = |reason: &str| ClientError::Url {
        url: url.into(),
        reason: reason.into(),
    };
    let rest = match url.split_once("://") {
        None => url,
        Some(("http" | "ws", rest)) => rest,
        Some(("https" | "wss", _)) => {
            return Err(bad(
                "the API has no TLS; use http://, over an SSH tunnel if need be",
            ));
        }
        Some(_) => return Err(bad("it must begin with http://")),
    };
    let host = rest.trim_end_matches('/');
    let host = host.strip_suffix(RPC_PATH).unwrap_or(host);
    if host.is_empty() {
        return Err(bad("it names no host"));
    }
    if host.contains(['/', '?', '#', '@']) {
        return Err(bad("only a host and a port may follow http://"));
    }
    Ok(format!("ws://{host}{RPC_PATH}"))
}

fn unreachable_agent(url: &str, error: &WsHandshakeError) -> ClientError {
    let url = url.to_owned();
    let reason = match error {
        WsHandshakeError::Io(error) => error.to_string(),
        other => other.to_string(),
    };
    match error {
        WsHandshakeError::Rejected { .. }
        | WsHandshakeError::Redirected { .. }
        | WsHandshakeError::Transport(_) => ClientError::NotAnAgent { url, reason },
        WsHandshakeError::Url(_) => ClientError::Url { url, reason },
        _ => ClientError::NoAgent { url, reason },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_agent_is_named_by_host_and_port() {
        for url in [
            "http://127.0.0.1:4029",
            "http://127.0.0.1:4029/",
            "http://127.0.0.1:4029/rpc",
            "ws://127.0.0.1:4029/rpc/",
            "127.0.0.1:4029",
        ] {
            assert_eq!(endpoint(url).unwrap(), "ws://127.0.0.1:4029/rpc", "{url}");
        }
        assert_eq!(
            endpoint("http://[::1]:4029").unwrap(),
            "ws://[::1]:4029/rpc"
        );
    }

    #[test]
    fn other_urls_are_refused_with_the_reason() {
        for (url, reason) in [
            ("https://127.0.0.1:4029", "TLS"),
            ("ftp://127.0.0.1", "http://"),
            ("http://", "no host"),
            ("http://127.0.0.1:4029/other", "only a host"),
            ("http://user:secret@127.0.0.1:4029", "only a host"),
        ] {
            let error = endpoint(url).unwrap_err().to_string();
            assert!(error.contains(reason), "{url}: {error}");
        }
    }
}
