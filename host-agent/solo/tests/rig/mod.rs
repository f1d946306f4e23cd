//! A session beside a node without a network between them: calls are answered at once, time goes
//! only where a test lets it go.

#![allow(dead_code, unreachable_pub)]

use std::sync::Arc;
use std::time::Duration;

use bitcoin::Network;
use mining::{Job, Share, Target, header};
use solo::blocks::FoundBlock;
use solo::node::{Mood, TestNode};
use solo::rpc::{Call, Fault, Lane, Method, read_reply};
use solo::{Action, Auth, Config, Session};
use stratum::{Block, BlockFate, Event, Reason, Sequence};

/// The example key of BIP 173 on regtest.
pub const REGTEST: &str = "bcrt1qw508d6qejxtdg4y5r3zarvary0c5xw7kygt080";
/// The same on the main network.
pub const MAIN: &str = "bc1qw508d6qejxtdg4y5r3zarvary0c5xw7kv8f3t4";

pub struct Rig {
    pub session: Session,
    pub node: Arc<TestNode>,
    pub now: Duration,
    pub events: Vec<Event>,
    pub saved: Vec<FoundBlock>,
    pub marks: Vec<String>,
    /// Nobody answers.
    pub down: bool,
    /// What becomes of files; `None` for a disk that never answers.
    pub disk: Option<Result<String, String>>,
    /// Calls on these are not answered until the test says so.
    pub slow: Vec<Lane>,
    pub waiting: Vec<Call>,
}

pub fn config(address: &str) -> Config {
    let url = "http://127.0.0.1:8332".parse().unwrap();
    Config::new(url, Auth::None, address, "blocks")
}

impl Rig {
    pub fn new(node: TestNode) -> Self {
        Self::with(config(REGTEST), Arc::new(node))
    }

    pub fn with(config: Config, node: Arc<TestNode>) -> Self {
        Self {
            session: Session::new(config, 7, Sequence::new()).unwrap(),
            node,
            now: Duration::ZERO,
            events: Vec::new(),
            saved: Vec::new(),
            marks: Vec::new(),
            down: false,
            disk: Some(Ok("saved".into())),
            slow: Vec::new(),
            waiting: Vec::new(),
        }
    }

    /// A session that has its first job.
    pub fn started(mood: Mood) -> Self {
        let mut rig = Self::new(TestNode::new(mood));
        rig.start();
        rig
    }

    pub fn start(&mut self) {
        self.session.start(self.now);
        self.settle();
    }

    /// Answers all calls, again and again, until nothing is left but held back ones.
    pub fn settle(&mut self) {
        for _ in 0..1000 {
            let mut still = true;
            while let Some(action) = self.session.poll_action() {
                still = false;
                match action {
                    Action::Call(call) => self.waiting.push(call),
                    Action::Cancel(id) => self.waiting.retain(|call| call.id != id),
                    Action::Save(block) => {
                        let hash = block.hash;
                        self.saved.push(block);
                        if let Some(result) = self.disk.clone() {
                            self.session.block_saved(self.now, &hash, result);
                        }
                    }
                    Action::Mark { answer, .. } => self.marks.push(answer),
                }
            }
            for call in std::mem::take(&mut self.waiting) {
                if self.slow.contains(&call.lane) {
                    self.waiting.push(call);
                } else if let Some(reply) = self.ask(&call) {
                    still = false;
                    self.session.handle_reply(self.now, call.id, reply);
                } else {
                    self.waiting.push(call);
                }
            }
            self.events
                .extend(std::iter::from_fn(|| self.session.poll_event()));
            if still {
                return;
            }
        }
        panic!("the session does not come to rest");
    }

    fn ask(&self, call: &Call) -> Option<Result<solo::rpc::Reply, Fault>> {
        if self.down {
            let reason = Reason::ConnectFailed("connection refused".into());
            return Some(Err(reason.into()));
        }
        let (status, answer) = self.node.respond(&call.body)?;
        Some(read_reply(
            call.method,
            status,
            answer.to_string().as_bytes(),
        ))
    }

    /// Lets time pass, doing what is due when it is due.
    pub fn pass(&mut self, time: Duration) {
        let end = self.now + time;
        self.settle();
        while let Some(due) = self.session.poll_timeout().filter(|due| *due <= end) {
            assert!(
                due > self.now || self.is_behind(),
                "time stands still at {due:?}"
            );
            self.now = self.now.max(due);
            self.session.handle_timeout(self.now);
            self.settle();
        }
        self.now = end;
        self.session.handle_timeout(end);
        self.settle();
    }

    /// Something is due now; after it was done, it must not be.
    fn is_behind(&mut self) -> bool {
        self.session.handle_timeout(self.now);
        self.settle();
        self.session.poll_timeout().is_none_or(|due| due > self.now)
    }

    pub fn seconds(&mut self, seconds: u64) {
        self.pass(Duration::from_secs(seconds));
    }

    /// The job that is worked on, as the events have it.
    pub fn job(&self) -> Option<Arc<Job>> {
        self.events.iter().rev().find_map(|event| match event {
            Event::Job(job) => Some(Some(Arc::clone(job))),
            Event::NoJob => Some(None),
            _ => None,
        })?
    }

    pub fn jobs(&self) -> usize {
        let jobs = self.events.iter();
        jobs.filter(|event| matches!(event, Event::Job(_))).count()
    }

    /// Hashes until one meets the wanted condition, and hands it in.
    pub fn mine(&mut self, wanted: impl Fn(&[u8; 32]) -> bool) -> Share {
        let job = self.job().expect("no job");
        let share = find(&job, wanted);
        self.session.submit(self.now, share.clone()).unwrap();
        self.settle();
        share
    }

    pub fn mine_block(&mut self) -> Share {
        let network = Target::from_nbits(self.job().expect("no job").nbits).unwrap();
        self.mine(|hash| network.is_met_by(hash))
    }

    /// A share that is no block.
    pub fn mine_share(&mut self) -> Share {
        let job = self.job().expect("no job");
        let network = Target::from_nbits(job.nbits).unwrap();
        self.mine(|hash| !network.is_met_by(hash) && job.target.is_met_by(hash))
    }

    pub fn fates(&self) -> Vec<BlockFate> {
        let blocks = self.events.iter().filter_map(|event| match event {
            Event::Block(block) => Some(Block::clone(block).fate),
            _ => None,
        });
        blocks.collect()
    }

    /// The reasons for which connections ended.
    pub fn reasons(&self) -> Vec<Reason> {
        let reasons = self.events.iter().filter_map(|event| match event {
            Event::Disconnected { reason, .. } => Some(reason.clone()),
            _ => None,
        });
        reasons.collect()
    }

    pub fn count(&self, method: &str) -> usize {
        self.node
            .calls()
            .iter()
            .filter(|call| *call == method)
            .count()
    }

    pub fn calls_waiting(&self, method: Method) -> usize {
        self.waiting
            .iter()
            .filter(|call| call.method == method)
            .count()
    }
}

/// The first share of a job whose hash is as wanted.
pub fn find(job: &Arc<Job>, wanted: impl Fn(&[u8; 32]) -> bool) -> Share {
    for nonce in 0..10_000_000 {
        let share = hashed(job, [0; 8], nonce);
        if wanted(&share.hash) {
            return share;
        }
    }
    panic!("no share found");
}

/// A header of the job as a share, whatever its hash is.
pub fn hashed(job: &Arc<Job>, extranonce2: [u8; 8], nonce: u32) -> Share {
    let coinbase = [
        &*job.coinbase1,
        &job.extranonce1,
        &extranonce2,
        &job.coinbase2,
    ]
    .concat();
    let root = header::merkle_root(header::coinbase_hash(&coinbase), &job.merkle_branch);
    let header = header::assemble(
        job.version,
        &job.prev_hash,
        &root,
        job.ntime,
        job.nbits,
        nonce,
    );
    Share {
        job: Arc::clone(job),
        extranonce2: extranonce2.to_vec(),
        ntime: job.ntime,
        nonce,
        version: job.version,
        hash: header::coinbase_hash(&header),
    }
}

/// A network on which about every 500th hash is a block.
pub fn harder() -> Mood {
    Mood {
        bits: 0x1f7f_ffff,
        ..Mood::default()
    }
}

pub fn on(network: Network) -> Mood {
    Mood {
        network,
        ..harder()
    }
}
