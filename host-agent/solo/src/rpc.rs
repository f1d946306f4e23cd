//! The calls that we make to a node, as bytes, and its answers read from bytes. Nodes differ in
//! how they say no; here that becomes one set of faults, in words for the owner.

use std::time::Duration;

use bitcoin::Network;
use serde::Deserialize;
use serde_json::value::RawValue;
use stratum::Reason;
use stratum::text::presentable;
use thiserror::Error;

use crate::template::{Template, TemplateError, unhex};

/// A call to the node.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Call {
    /// Which one; replies carry it.
    pub id: u64,
    /// On which connection.
    pub lane: Lane,
    /// What is asked.
    pub method: Method,
    /// The request's body, JSON.
    pub body: Vec<u8>,
    /// How long to wait for the answer.
    pub timeout: Duration,
}

/// Connections to the node: nothing may have to wait behind something slow.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Lane {
    /// Short questions.
    Main,
    /// Questions that the node answers when something changes.
    LongPoll,
    /// Blocks.
    Submit,
    /// Trial blocks, which are as large as real ones.
    Trial,
}

impl Lane {
    /// All of them, in the order of their declaration.
    pub const ALL: [Self; 4] = [Self::Main, Self::LongPoll, Self::Submit, Self::Trial];
}

/// What is asked of the node.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Method {
    /// `getblockchaininfo`: which network, and whether the node knows its newest blocks.
    ChainInfo,
    /// `getblocktemplate`.
    Template,
    /// `getblocktemplate` in proposal mode (BIP 23): would the node take a block like ours?
    Trial,
    /// `getbestblockhash`.
    BestBlock,
    /// `submitblock`.
    Submit,
}

impl Method {
    /// The name on the wire.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::ChainInfo => "getblockchaininfo",
            Self::Template | Self::Trial => "getblocktemplate",
            Self::BestBlock => "getbestblockhash",
            Self::Submit => "submitblock",
        }
    }

    /// The longest answer that is taken, bytes. A template holds a block in hexadecimal.
    #[must_use]
    pub const fn max_reply(self) -> usize {
        match self {
            Self::Template => 64 << 20,
            _ => 1 << 20,
        }
    }
}

/// What the node answered.
#[derive(Clone, Debug, PartialEq)]
pub enum Reply {
    /// To [`Method::ChainInfo`].
    ChainInfo(ChainInfo),
    /// To [`Method::Template`].
    Template(Box<Template>),
    /// To [`Method::BestBlock`]: the hash in header byte order.
    BestBlock([u8; 32]),
    /// To [`Method::Submit`] and [`Method::Trial`]: `None` if the block is good.
    Verdict(Option<String>),
}

/// Where a node stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ChainInfo {
    /// The node's own word for its network.
    pub chain: String,
    /// The network, if it is one that we know.
    pub network: Option<Network>,
    /// Blocks that it has.
    pub blocks: u64,
    /// Blocks that it knows of.
    pub headers: u64,
    /// It has not caught up since its start.
    pub initial_download: bool,
}

/// Why there is no answer to a call.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum Fault {
    /// The connection did not come about or broke, or nothing came in time.
    #[error(transparent)]
    Connection(#[from] Reason),
    /// The node does not take our credentials, or does not let us in.
    #[error("{0}")]
    Auth(String),
    /// Whatever listens there is not a node's RPC.
    #[error("{0}")]
    WrongService(String),
    /// The node is too busy.
    #[error(
        "it is too busy, or shutting down (HTTP 503 {0}); raise its rpcworkqueue setting if that \
         lasts"
    )]
    Busy(String),
    /// The node answered with an error.
    #[error("{}", words(*.code, .message, .method))]
    Error {
        /// Bitcoin Core's error code.
        code: i64,
        /// The node's own words.
        message: String,
        /// What was asked.
        method: &'static str,
    },
    /// The node's template cannot be mined.
    #[error(transparent)]
    Template(#[from] TemplateError),
    /// An answer of a strange form.
    #[error("its answer to {method} cannot be read: {why}")]
    Answer {
        /// What was asked.
        method: &'static str,
        /// What is wrong.
        why: String,
    },
}

/// The node is in its initial download (Bitcoin Core's RPC_CLIENT_IN_INITIAL_DOWNLOAD).
pub const IN_INITIAL_DOWNLOAD: i64 = -10;
/// The node is starting (RPC_IN_WARMUP).
pub const IN_WARMUP: i64 = -28;
/// No such method (RPC_METHOD_NOT_FOUND).
pub const METHOD_NOT_FOUND: i64 = -32601;
/// The node cannot read what we sent (RPC_DESERIALIZATION_ERROR).
pub const DESERIALIZATION_ERROR: i64 = -22;
/// The node has no peers (RPC_CLIENT_NOT_CONNECTED).
const NOT_CONNECTED: i64 = -9;

/// Text of a node that is shown, characters.
const SHOWN: usize = 200;

impl Fault {
    /// The fault as the reason why a connection ended.
    #[must_use]
    pub fn into_reason(self) -> Reason {
        match self {
            Self::Connection(reason) => reason,
            Self::Auth(text) => Reason::RpcAuth(text),
            Self::WrongService(text) => Reason::WrongProtocol(text),
            other => Reason::Rpc(other.to_string()),
        }
    }

    /// The node's error code, if it answered with one.
    #[must_use]
    pub fn code(&self) -> Option<i64> {
        match self {
            Self::Error { code, .. } => Some(*code),
            _ => None,
        }
    }
}

/// Reads an answer. Templates take a while: some 20 ms for a full block on a fast computer.
///
/// # Errors
///
/// [`Fault`], if it is not what was asked for.
pub fn read_reply(method: Method, status: u16, body: &[u8]) -> Result<Reply, Fault> {
    match status {
        401 => {
            return Err(Fault::Auth(
                "it does not know this user and password (HTTP 401)".into(),
            ));
        }
        403 => {
            return Err(Fault::Auth(
                "it does not let us in (HTTP 403): check rpcallowip and rpcwhitelist of the node"
                    .into(),
            ));
        }
        503 => {
            return Err(Fault::Busy(presentable(
                &String::from_utf8_lossy(body),
                SHOWN,
            )));
        }
        _ => {}
    }
    let name = method.name();
    let unreadable = |why: String| Fault::Answer { method: name, why };
    let text = std::str::from_utf8(body).map_err(|_| wrong_service(status, body))?;
    let envelope: Envelope<'_> =
        serde_json::from_str(text).map_err(|_| wrong_service(status, body))?;
    if let Some(error) = envelope.error {
        return Err(Fault::Error {
            code: error.code,
            message: presentable(&error.message, SHOWN),
            method: name,
        });
    }
    // A result of null is an answer only where one is expected.
    let result = envelope.result.map_or("null", RawValue::get);
    match method {
        Method::Template => Ok(Reply::Template(Box::new(Template::parse(result)?))),
        Method::ChainInfo => {
            let raw: RawChainInfo = parse(result).map_err(unreadable)?;
            Ok(Reply::ChainInfo(raw.into()))
        }
        Method::BestBlock => {
            let text: String = parse(result).map_err(unreadable)?;
            let mut hash: [u8; 32] = unhex(&text)
                .and_then(|bytes| bytes.try_into().ok())
                .ok_or_else(|| unreadable(format!("\"{}\"", presentable(&text, SHOWN))))?;
            hash.reverse();
            Ok(Reply::BestBlock(hash))
        }
        Method::Submit | Method::Trial => {
            let verdict: Option<String> = parse(result).map_err(unreadable)?;
            Ok(Reply::Verdict(
                verdict.map(|words| presentable(&words, SHOWN)),
            ))
        }
    }
}

/// The body of a call without parameters.
pub(crate) fn plain_call(id: u64, method: Method) -> Vec<u8> {
    call(id, method, "")
}

/// The body of a call for a template.
pub(crate) fn template_call(id: u64, longpollid: Option<&str>) -> Vec<u8> {
    let wait = longpollid.map_or_else(String::new, |id| format!(",\"longpollid\":{}", quoted(id)));
    let params = format!(
        "{{\"capabilities\":[\"coinbasevalue\",\"longpoll\",\"workid\",\"proposal\"],{RULES}{wait}}}"
    );
    call(id, Method::Template, &params)
}

/// The body of a call that asks what the node thinks of a block.
pub(crate) fn trial_call(id: u64, block_hex: &str, workid: Option<&str>) -> Vec<u8> {
    let workid = workid.map_or_else(String::new, |id| format!(",\"workid\":{}", quoted(id)));
    let params = format!("{{\"mode\":\"proposal\",{RULES},\"data\":\"{block_hex}\"{workid}}}");
    call(id, Method::Trial, &params)
}

/// The body of a call that hands in a block.
pub(crate) fn submit_call(id: u64, block_hex: &str, workid: Option<&str>) -> Vec<u8> {
    let workid = workid.map_or_else(String::new, |id| format!(",{{\"workid\":{}}}", quoted(id)));
    call(id, Method::Submit, &format!("\"{block_hex}\"{workid}"))
}

/// What this program knows how to mine. Nodes refuse the call if a rule of their network is not
/// among these, and do not mind more.
const RULES: &str = "\"rules\":[\"segwit\",\"signet\"]";

fn call(id: u64, method: Method, params: &str) -> Vec<u8> {
    let method = method.name();
    format!("{{\"jsonrpc\":\"1.0\",\"id\":{id},\"method\":\"{method}\",\"params\":[{params}]}}")
        .into_bytes()
}

fn quoted(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

#[derive(Deserialize)]
struct Envelope<'a> {
    #[serde(borrow)]
    result: Option<&'a RawValue>,
    error: Option<RawError>,
}

#[derive(Deserialize)]
struct RawError {
    #[serde(default)]
    code: i64,
    #[serde(default)]
    message: String,
}

#[derive(Deserialize)]
struct RawChainInfo {
    chain: String,
    #[serde(default)]
    blocks: u64,
    #[serde(default)]
    headers: u64,
    #[serde(default)]
    initialblockdownload: bool,
}

impl From<RawChainInfo> for ChainInfo {
    fn from(raw: RawChainInfo) -> Self {
        // btcd and bcoin have words of their own.
        let network = match raw.chain.as_str() {
            "main" | "mainnet" => Some(Network::Bitcoin),
            "test" | "testnet" | "testnet3" => Some(Network::Testnet),
            "testnet4" => Some(Network::Testnet4),
            "signet" => Some(Network::Signet),
            "regtest" => Some(Network::Regtest),
            _ => None,
        };
        Self {
            chain: presentable(&raw.chain, 40),
            network,
            blocks: raw.blocks,
            headers: raw.headers,
            initial_download: raw.initialblockdownload,
        }
    }
}

fn parse<'a, T: Deserialize<'a>>(json: &'a str) -> Result<T, String> {
    serde_json::from_str(json).map_err(|error| presentable(&error.to_string(), SHOWN))
}

/// Something answered HTTP, but not JSON-RPC.
fn wrong_service(status: u16, body: &[u8]) -> Fault {
    let start = String::from_utf8_lossy(body.get(..400).unwrap_or(body)).into_owned();
    let html = start.trim_start().starts_with('<');
    let what = if html { "a web page" } else { "no JSON" };
    Fault::WrongService(format!(
        "it answered {what} (HTTP {status}: \"{}\"); is this really the RPC port of a Bitcoin node \
         (8332 on the main network)?",
        presentable(&start, 80)
    ))
}

fn words(code: i64, message: &str, method: &str) -> String {
    match code {
        IN_WARMUP => format!("it is still starting ({message}); mining begins when it is ready"),
        NOT_CONNECTED => format!(
            "it has no peers ({message}), so nobody would hear of a block; check its connection to \
             the internet"
        ),
        IN_INITIAL_DOWNLOAD => {
            format!("it is still syncing ({message}); mining begins when it has all blocks")
        }
        METHOD_NOT_FOUND => format!(
            "it does not know the call {method} ({message}); the program needs a full node with \
             mining calls, such as Bitcoin Core"
        ),
        _ => format!("{method} failed with error {code}: {message}"),
    }
}
