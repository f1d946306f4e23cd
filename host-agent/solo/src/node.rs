//! A small Bitcoin node for tests: hands out templates, and judges blocks by the rules of the
//! `bitcoin` crate, not by our own code. It knows one chain without forks, believes that every
//! transaction it is given may be spent, and has switches for the moods that real nodes have.

use std::sync::{Mutex, MutexGuard, PoisonError};

use bitcoin::consensus::{deserialize, encode};
use bitcoin::hashes::Hash as _;
use bitcoin::{
    Amount, Block, BlockHash, CompactTarget, Network, OutPoint, ScriptBuf, Sequence, Target,
    Transaction, TxIn, TxOut, Txid, Witness, absolute, transaction,
};
use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::header::{AUTHORIZATION, CONTENT_TYPE};
use hyper::{Request, Response, server, service};
use hyper_util::rt::TokioIo;
use serde_json::{Value, json};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::Notify;

/// The node. Share it by `Arc`; one [`serve`](Self::serve) for each connection.
#[derive(Debug)]
pub struct TestNode {
    state: Mutex<State>,
    changed: Notify,
}

/// What the node is like at the moment; tests change it with [`TestNode::set`].
#[derive(Clone, Debug)]
pub struct Mood {
    /// Its network.
    pub network: Network,
    /// Compact target of all its blocks.
    pub bits: u32,
    /// Whether its network has segwit.
    pub segwit: bool,
    /// What the network adds to `rules`.
    pub rules: Vec<String>,
    /// Base64 of the credentials it takes; none to take any.
    pub credentials: Option<String>,
    /// Whether it can hold back templates until something changes.
    pub long_poll: bool,
    /// Whether it knows anything but templates and blocks.
    pub full: bool,
    /// Whether it is in its initial download.
    pub syncing: bool,
    /// An error for every call: code and words.
    pub error: Option<(i64, String)>,
    /// What it says to blocks, instead of looking at them.
    pub verdict: Option<String>,
    /// How many blocks it looks at without answering before it hangs up.
    pub lost_answers: u32,
    /// Version of the blocks that it proposes.
    pub version: i32,
    /// Fields to put into its templates, or to take out of them (`null`).
    pub template: serde_json::Map<String, Value>,
}

impl Default for Mood {
    /// A regtest node with segwit, on which every other hash is a block.
    fn default() -> Self {
        Self {
            network: Network::Regtest,
            bits: 0x207f_ffff,
            segwit: true,
            rules: ["csv", "!segwit", "taproot"].map(str::to_owned).into(),
            credentials: None,
            long_poll: true,
            full: true,
            syncing: false,
            error: None,
            verdict: None,
            lost_answers: 0,
            version: 0x2000_0000,
            template: serde_json::Map::new(),
        }
    }
}

#[derive(Debug, Default)]
struct State {
    mood: Mood,
    blocks: Vec<Block>,
    mempool: Vec<Transaction>,
    /// Raised by every change, part of the long poll id.
    revision: u64,
    /// Calls by name, in order.
    calls: Vec<String>,
    /// Verdicts on trial blocks.
    trials: Vec<Option<String>>,
}

/// Fee of each transaction in the mempool, satoshi.
const FEE: u64 = 1_000;
/// Time of the chain's begin, seconds since 1970.
const BIRTH: u32 = 1_790_000_000;
/// Calls that are remembered.
const MAX_CALLS: usize = 100_000;

impl TestNode {
    /// A node with `height` empty blocks that nobody looks at.
    #[must_use]
    pub fn new(mood: Mood) -> Self {
        let state = State {
            mood,
            ..State::default()
        };
        Self {
            state: Mutex::new(state),
            changed: Notify::new(),
        }
    }

    /// Changes what the node is like.
    pub fn set(&self, change: impl FnOnce(&mut Mood)) {
        change(&mut self.state().mood);
    }

    /// Adds transactions to its mempool, with witness or without.
    pub fn add_transactions(&self, count: usize, witness: bool) {
        let mut state = self.state();
        for _ in 0..count {
            let number = state.mempool.len() + 1000 * state.blocks.len();
            state.mempool.push(a_transaction(number as u32, witness));
        }
        state.revision += 1;
        drop(state);
        self.changed.notify_waiters();
    }

    /// Somebody else finds a block.
    pub fn foreign_block(&self) {
        let mut state = self.state();
        let mut block = state.blocks.last().cloned().unwrap_or_else(genesis);
        block.header.prev_blockhash = state.tip();
        state.blocks.push(block);
        state.revision += 1;
        drop(state);
        self.changed.notify_waiters();
    }

    /// The blocks on top of genesis, whoever found them.
    #[must_use]
    pub fn blocks(&self) -> Vec<Block> {
        self.state().blocks.clone()
    }

    /// The names of the calls so far.
    #[must_use]
    pub fn calls(&self) -> Vec<String> {
        self.state().calls.clone()
    }

    /// What it said to trial blocks; `None` for good ones.
    #[must_use]
    pub fn trials(&self) -> Vec<Option<String>> {
        self.state().trials.clone()
    }

    /// Serves one connection until it ends.
    ///
    /// # Errors
    ///
    /// When the connection breaks, or the node hangs up.
    pub async fn serve(
        &self,
        stream: impl AsyncRead + AsyncWrite + Unpin,
    ) -> Result<(), hyper::Error> {
        let answer =
            service::service_fn(
                |request: Request<Incoming>| async move { self.answer(request).await },
            );
        server::conn::http1::Builder::new()
            .serve_connection(TokioIo::new(stream), answer)
            .await
    }

    /// The answer to the body of a call, at once: `None` if the call is to be held back until the
    /// node changes.
    #[must_use]
    pub fn respond(&self, body: &[u8]) -> Option<(u16, Value)> {
        let request: Value = serde_json::from_slice(body).unwrap_or_default();
        let mut state = self.state();
        let method = request["method"].as_str().unwrap_or_default().to_owned();
        let (status, result, error) = match state.call(&method, &request["params"]) {
            Some(Ok(result)) => (200, result, Value::Null),
            Some(Err((code, message))) => {
                let status = if code == -32601 { 404 } else { 500 };
                (
                    status,
                    Value::Null,
                    json!({"code": code, "message": message}),
                )
            }
            None => return None,
        };
        if state.calls.len() < MAX_CALLS {
            state.calls.push(method);
        }
        let answer = json!({"result": result, "error": error, "id": request["id"]});
        Some((status, answer))
    }

    async fn answer(&self, request: Request<Incoming>) -> Result<Response<Full<Bytes>>, Hangup> {
        let given = request.headers().get(AUTHORIZATION);
        let given = given.and_then(|value| value.to_str().ok()?.strip_prefix("Basic "));
        let refused = {
            let state = self.state();
            let wanted = state.mood.credentials.as_deref();
            wanted.is_some_and(|wanted| given != Some(wanted))
        };
        if refused {
            return Ok(response(401, Bytes::new()));
        }
        let body = request.into_body().collect().await.map_err(|_| Hangup)?;
        let body = body.to_bytes();
        loop {
            let change = self.changed.notified();
            let height = self.state().blocks.len();
            if let Some((status, answer)) = self.respond(&body) {
                let mut state = self.state();
                let won = state.blocks.len() > height;
                let lost = won && state.mood.lost_answers > 0;
                if won {
                    state.mood.lost_answers = state.mood.lost_answers.saturating_sub(1);
                }
                drop(state);
                if won {
                    self.changed.notify_waiters();
                }
                if lost {
                    return Err(Hangup);
                }
                return Ok(response(status, Bytes::from(answer.to_string())));
            }
            change.await;
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

type CallResult = Result<Value, (i64, String)>;

impl State {
    fn tip(&self) -> BlockHash {
        self.blocks
            .last()
            .map_or_else(|| genesis().block_hash(), Block::block_hash)
    }

    fn call(&mut self, method: &str, params: &Value) -> Option<CallResult> {
        if let Some((code, message)) = &self.mood.error {
            return Some(Err((*code, message.clone())));
        }
        Some(match method {
            "getblocktemplate" if params[0]["mode"] == "proposal" => {
                let data = params[0]["data"].as_str().unwrap_or_default();
                let verdict = match read_block(data) {
                    Ok(block) if block.header.prev_blockhash != self.tip() => {
                        Some("inconclusive-not-best-prevblk".to_owned())
                    }
                    Ok(block) => self.judge(&block, false),
                    Err(error) => return Some(Err(error)),
                };
                self.trials.push(verdict.clone());
                Ok(verdict.map_or(Value::Null, Value::from))
            }
            "getblocktemplate" => {
                let waits = params[0]["longpollid"] == self.longpollid().as_str();
                if waits && self.mood.long_poll {
                    return None;
                }
                self.template(&params[0]["rules"])
            }
            "submitblock" => self.submit(params[0].as_str().unwrap_or_default()),
            "getblockchaininfo" if self.mood.full => Ok(json!({
                "chain": self.mood.network.to_core_arg(),
                "blocks": self.blocks.len(),
                "headers": self.blocks.len() + if self.mood.syncing { 1000 } else { 0 },
                "bestblockhash": self.tip().to_string(),
                "initialblockdownload": self.mood.syncing,
            })),
            "getbestblockhash" if self.mood.full => Ok(json!(self.tip().to_string())),
            _ => Err((-32601, "Method not found".to_owned())),
        })
    }

    fn longpollid(&self) -> String {
        format!("{}{}", self.tip(), self.revision)
    }

    fn template(&self, client_rules: &Value) -> CallResult {
        let mood = &self.mood;
        let knows = |rule: &str| {
            client_rules
                .as_array()
                .is_some_and(|rules| rules.iter().any(|known| known == rule))
        };
        for rule in &mood.rules {
            if let Some(name) = rule.strip_prefix('!').filter(|name| !knows(name))
                && ["segwit", "signet"].contains(&name)
            {
                let message = format!("getblocktemplate must be called with the {name} rule set");
                return Err((-8, message));
            }
        }
        let transactions: Vec<Value> = self
            .mempool
            .iter()
            .map(|transaction| {
                json!({
                    "data": encode::serialize_hex(transaction),
                    "txid": transaction.compute_txid().to_string(),
                    "hash": transaction.compute_wtxid().to_string(),
                    "depends": [], "fee": FEE, "sigops": 4,
                    "weight": transaction.weight().to_wu(),
                })
            })
            .collect();
        let bits = CompactTarget::from_consensus(mood.bits);
        let mut template = json!({
            "capabilities": ["proposal"],
            "version": mood.version,
            "rules": mood.rules,
            "vbavailable": {},
            "vbrequired": 0,
            "previousblockhash": self.tip().to_string(),
            "transactions": transactions,
            "coinbaseaux": {},
            "coinbasevalue": self.reward(),
            "target": format!("{:064x}", Target::from_compact(bits)),
            "mintime": self.time() - 100,
            "mutable": ["time", "transactions", "prevblock"],
            "noncerange": "00000000ffffffff",
            "sigoplimit": 80_000, "sizelimit": 4_000_000, "weightlimit": 4_000_000,
            "curtime": self.time(),
            "bits": format!("{:08x}", mood.bits),
            "height": self.blocks.len() + 1,
        });
        if mood.segwit {
            template["default_witness_commitment"] = self.commitment().into();
        }
        if mood.long_poll {
            template["longpollid"] = self.longpollid().into();
        }
        if let Value::Object(fields) = &mut template {
            for (name, value) in &mood.template {
                if value.is_null() {
                    fields.remove(name);
                } else {
                    fields.insert(name.clone(), value.clone());
                }
            }
        }
        Ok(template)
    }

    fn time(&self) -> u32 {
        BIRTH + 600 * self.blocks.len() as u32
    }

    fn reward(&self) -> u64 {
        let halvings = (self.blocks.len() as u64 + 1) / 150;
        (50_0000_0000 >> halvings.min(63)) + FEE * self.mempool.len() as u64
    }

    /// The script of the witness commitment for a coinbase with a reserved value of zeros.
    fn commitment(&self) -> String {
        let coinbase = Transaction {
            input: vec![TxIn::default()],
            ..a_transaction(0, false)
        };
        let mut block = genesis();
        block.txdata = vec![coinbase];
        block.txdata.extend(self.mempool.iter().cloned());
        let root = block.witness_root().map(|root| {
            let hash = Block::compute_witness_commitment(&root, &[0; 32]);
            crate::blocks::to_hex(&[&MAGIC[..], hash.as_byte_array()].concat())
        });
        root.unwrap_or_default()
    }

    fn submit(&mut self, hex: &str) -> CallResult {
        let block = read_block(hex)?;
        if self
            .blocks
            .iter()
            .any(|known| known.block_hash() == block.block_hash())
        {
            return Ok("duplicate".into());
        }
        let verdict = self
            .mood
            .verdict
            .clone()
            .or_else(|| self.judge(&block, true));
        if verdict.is_none() {
            self.mempool.retain(|waiting| {
                let txid = waiting.compute_txid();
                block
                    .txdata
                    .iter()
                    .all(|known| known.compute_txid() != txid)
            });
            self.blocks.push(block);
            self.revision += 1;
        }
        Ok(verdict.map_or(Value::Null, Value::from))
    }

    /// The rules of consensus as far as they concern who makes the block, with the words of
    /// Bitcoin Core; `None` if the block is good.
    fn judge(&self, block: &Block, with_work: bool) -> Option<String> {
        let Some((coinbase, others)) = block.txdata.split_first() else {
            return Some("bad-cb-missing".to_owned());
        };
        let target = Target::from_compact(CompactTarget::from_consensus(self.mood.bits));
        let script = coinbase
            .input
            .first()
            .map_or(0, |input| input.script_sig.len());
        let paid: Amount = coinbase.output.iter().map(|output| output.value).sum();
        let commitment = coinbase
            .output
            .iter()
            .any(|output| output.script_pubkey.as_bytes().starts_with(&MAGIC));
        let known: Vec<Txid> = self.mempool.iter().map(Transaction::compute_txid).collect();
        let rules = [
            (
                block.header.prev_blockhash != self.tip(),
                "prev-blk-not-found",
            ),
            (
                block.header.bits.to_consensus() != self.mood.bits,
                "bad-diffbits",
            ),
            (
                with_work && !target.is_met_by(block.block_hash()),
                "high-hash",
            ),
            (block.header.time < self.time() - 100, "time-too-old"),
            (block.header.time > self.time() + 7200, "time-too-new"),
            (!coinbase.is_coinbase(), "bad-cb-missing"),
            (
                others.iter().any(Transaction::is_coinbase),
                "bad-cb-multiple",
            ),
            (!(2..=100).contains(&script), "bad-cb-length"),
            (!block.check_merkle_root(), "bad-txnmrklroot"),
            (
                !has_height(block, self.blocks.len() as u64 + 1),
                "bad-cb-height",
            ),
            (
                !block.check_witness_commitment(),
                "bad-witness-merkle-match",
            ),
            (
                self.mood.network == Network::Signet && !commitment,
                "bad-signet-blksig",
            ),
            (
                !self.mood.segwit
                    && (commitment
                        || coinbase.compute_txid().to_raw_hash()
                            != coinbase.compute_wtxid().to_raw_hash()),
                "unexpected-witness",
            ),
            (
                !coinbase.is_absolute_timelock_satisfied(
                    absolute::Height::from_consensus(self.blocks.len() as u32)
                        .unwrap_or(absolute::Height::ZERO),
                    absolute::Time::MIN,
                ),
                "bad-txns-nonfinal",
            ),
            (paid.to_sat() > self.reward(), "bad-cb-amount"),
            (block.weight().to_wu() > 4_000_000, "bad-blk-weight"),
            (
                others
                    .iter()
                    .any(|transaction| !known.contains(&transaction.compute_txid())),
                "bad-txns-inputs-missingorspent",
            ),
        ];
        let broken = rules.into_iter().find(|(broken, _)| *broken);
        broken.map(|(_, words)| words.to_owned())
    }
}

/// Start of a witness commitment's script, BIP 141.
const MAGIC: [u8; 6] = [0x6a, 0x24, 0xaa, 0x21, 0xa9, 0xed];

/// The node ends the connection instead of answering.
#[derive(Debug)]
struct Hangup;

impl std::fmt::Display for Hangup {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("the node hangs up")
    }
}

impl std::error::Error for Hangup {}

/// A transaction that spends something that does not exist, different for each number.
#[must_use]
pub fn a_transaction(number: u32, witness: bool) -> Transaction {
    Transaction {
        version: transaction::Version::TWO,
        lock_time: absolute::LockTime::ZERO,
        input: vec![TxIn {
            previous_output: OutPoint::new(Txid::from_byte_array([7; 32]), number),
            script_sig: ScriptBuf::new(),
            sequence: Sequence::MAX,
            witness: if witness {
                Witness::from_slice(&[[0x51]])
            } else {
                Witness::new()
            },
        }],
        output: vec![TxOut {
            value: Amount::from_sat(u64::from(number)),
            script_pubkey: ScriptBuf::new_op_return([]),
        }],
    }
}

fn genesis() -> Block {
    bitcoin::constants::genesis_block(Network::Regtest)
}

/// Heights up to 16 are opcodes, which the crate does not read.
fn has_height(block: &Block, height: u64) -> bool {
    let input = block
        .txdata
        .first()
        .and_then(|coinbase| coinbase.input.first());
    let opcode = input.and_then(|input| input.script_sig.as_bytes().first());
    match height {
        1..=16 => opcode.is_some_and(|opcode| u64::from(*opcode) == 0x50 + height),
        _ => block.bip34_block_height() == Ok(height),
    }
}

fn read_block(hex: &str) -> Result<Block, (i64, String)> {
    let undecodable = || (-22, "Block decode failed".to_owned());
    let bytes = crate::template::unhex(hex).ok_or_else(undecodable)?;
    deserialize(&bytes).map_err(|_| undecodable())
}

fn response(status: u16, body: Bytes) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(body));
    if let Ok(status) = status.try_into() {
        *response.status_mut() = status;
    }
    let json = hyper::header::HeaderValue::from_static("application/json");
    response.headers_mut().insert(CONTENT_TYPE, json);
    response
}
