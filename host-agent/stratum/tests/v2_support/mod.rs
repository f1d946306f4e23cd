//! A session with its surroundings, and frames as a server writes them, made by hand from the
//! layouts of the specification.

#![allow(dead_code, unreachable_pub)]

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use mining::{Job, Share};
use stratum::v2::{ChannelKind, Config, Session};
use stratum::{Action, Event, Opening, Reason, Sequence, Session as _};

/// A moment at which the clock of the tests stands, seconds since 1970.
pub const UNIX_NOW: u64 = 1_790_000_000;

/// A session and everything that it has said so far.
pub struct Rig {
    pub session: Session,
    pub now: Duration,
    pub sent: VecDeque<Vec<u8>>,
    pub events: Vec<Event>,
    pub actions: Vec<Action>,
}

pub fn config() -> Config {
    let url = "stratum2+tcp://127.0.0.1:34254".parse().unwrap();
    let mut config = Config::new(url, "alice.rig");
    config.nominal_hashrate = 50_000.0;
    config
}

pub fn standard() -> Config {
    let mut config = config();
    config.channel = ChannelKind::Standard;
    config
}

impl Rig {
    /// A session that speaks without encryption and is connected.
    pub fn plain(config: Config) -> Self {
        let session = Session::new(config, 7, Sequence::new()).unwrap();
        let mut rig = Self::new(session.without_encryption());
        rig.start();
        rig.connect();
        rig
    }

    pub fn new(session: Session) -> Self {
        Self {
            session,
            now: Duration::from_secs(1000),
            sent: VecDeque::new(),
            events: Vec::new(),
            actions: Vec::new(),
        }
    }

    /// A session on an open extended channel 2 of group 1 without a job, its own messages
    /// fetched.
    pub fn open() -> Self {
        let mut rig = Self::plain(config());
        rig.feed(&setup_done(0));
        rig.feed(&opened_extended(1, 2, &EASY, 8, &[7, 7, 7, 7], 1));
        rig.sent.clear();
        rig.events.clear();
        rig
    }

    /// The same on a standard channel.
    pub fn open_standard() -> Self {
        let mut rig = Self::plain(standard());
        rig.feed(&setup_done(0));
        rig.feed(&opened_standard(1, 2, &EASY, &[7; 20], 1));
        rig.sent.clear();
        rig.events.clear();
        rig
    }

    /// The same with job 1 to work on, on the tip of [`tip`] with byte 1.
    pub fn mining() -> (Self, Arc<Job>) {
        let mut rig = Self::open();
        rig.feed(&job(2, 1, None));
        rig.feed(&tip(2, 1, 1));
        let job = rig.job();
        rig.events.clear();
        (rig, job)
    }

    pub fn start(&mut self) {
        self.session.start(self.now);
        self.drain();
    }

    pub fn connect(&mut self) {
        let opening = Opening {
            unix_time: Duration::from_secs(UNIX_NOW),
            entropy: [42; 32],
        };
        self.session.connected(self.now, opening);
        self.drain();
    }

    pub fn feed(&mut self, bytes: &[u8]) {
        self.session.handle_bytes(self.now, bytes);
        self.drain();
    }

    pub fn disconnect(&mut self, reason: Reason) {
        self.session.disconnected(self.now, reason);
        self.drain();
    }

    pub fn submit(&mut self, share: Share) -> Result<(), stratum::Refusal> {
        let result = self.session.submit(self.now, share);
        self.drain();
        result
    }

    pub fn set_hashrate(&mut self, hashrate: f64) {
        self.session.set_hashrate(self.now, hashrate);
        self.drain();
    }

    /// Lets time pass, with all timeouts on the way.
    pub fn pass(&mut self, seconds: f64) {
        let end = self.now + Duration::from_secs_f64(seconds);
        while let Some(due) = self.session.poll_timeout().filter(|due| *due <= end) {
            let before = self.now;
            self.now = self.now.max(due);
            self.session.handle_timeout(self.now);
            self.drain();
            if self.now == before && self.session.poll_timeout() == Some(due) {
                panic!("the session asks for the same moment again: {due:?}");
            }
        }
        self.now = end;
    }

    pub fn drain(&mut self) {
        self.actions
            .extend(std::iter::from_fn(|| self.session.poll_action()));
        self.sent
            .extend(std::iter::from_fn(|| self.session.poll_transmit()));
        self.events
            .extend(std::iter::from_fn(|| self.session.poll_event()));
    }

    /// The job that was told last.
    pub fn job(&self) -> Arc<Job> {
        self.jobs().last().expect("there is a job").clone()
    }

    pub fn jobs(&self) -> Vec<Arc<Job>> {
        self.events
            .iter()
            .filter_map(|event| match event {
                Event::Job(job) => Some(job.clone()),
                _ => None,
            })
            .collect()
    }

    /// Why the connection ended last.
    pub fn end(&self) -> Reason {
        self.ends().last().expect("the connection ended").0.clone()
    }

    /// All ends of connections, with the waits behind them.
    pub fn ends(&self) -> Vec<(Reason, Option<Duration>)> {
        self.events
            .iter()
            .filter_map(|event| match event {
                Event::Disconnected { reason, retry_in } => Some((reason.clone(), *retry_in)),
                _ => None,
            })
            .collect()
    }

    pub fn warnings(&self) -> Vec<&str> {
        self.events
            .iter()
            .filter_map(|event| match event {
                Event::Warning(text) => Some(text.as_str()),
                _ => None,
            })
            .collect()
    }
}

/// A share of a job as a miner would hand it in; the hash is not looked at.
pub fn share(job: &Arc<Job>, nonce: u32) -> Share {
    Share {
        extranonce2: vec![9; job.extranonce2_len],
        ntime: job.ntime,
        nonce,
        version: job.version,
        hash: [0; 32],
        job: job.clone(),
    }
}

/// A target that some 65536 hashes meet once, least significant byte first.
pub const EASY: [u8; 32] = {
    let mut target = [0xff; 32];
    target[30] = 0;
    target[31] = 0;
    target
};

/// A frame of the core protocol.
pub fn frame(kind: u8, channel: bool, payload: &[u8]) -> Vec<u8> {
    extension_frame(if channel { 0x8000 } else { 0 }, kind, payload)
}

pub fn extension_frame(extension: u16, kind: u8, payload: &[u8]) -> Vec<u8> {
    let mut bytes = extension.to_le_bytes().to_vec();
    bytes.push(kind);
    bytes.extend_from_slice(&(payload.len() as u32).to_le_bytes()[..3]);
    bytes.extend_from_slice(payload);
    bytes
}

fn short(text: &str) -> Vec<u8> {
    let mut bytes = vec![text.len() as u8];
    bytes.extend_from_slice(text.as_bytes());
    bytes
}

fn numbers(numbers: &[u32]) -> Vec<u8> {
    numbers.iter().flat_map(|n| n.to_le_bytes()).collect()
}

pub fn setup_done(flags: u32) -> Vec<u8> {
    let mut payload = 2_u16.to_le_bytes().to_vec();
    payload.extend(numbers(&[flags]));
    frame(0x01, false, &payload)
}

pub fn setup_refused(code: &str) -> Vec<u8> {
    frame(0x02, false, &[numbers(&[0]), short(code)].concat())
}

pub fn reconnect(host: &str, port: u16) -> Vec<u8> {
    let port = port.to_le_bytes().to_vec();
    frame(0x04, false, &[short(host), port].concat())
}

pub fn opened_standard(
    request: u32,
    channel: u32,
    target: &[u8; 32],
    prefix: &[u8],
    group: u32,
) -> Vec<u8> {
    let mut payload = numbers(&[request, channel]);
    payload.extend_from_slice(target);
    payload.push(prefix.len() as u8);
    payload.extend_from_slice(prefix);
    payload.extend(numbers(&[group]));
    frame(0x11, false, &payload)
}

pub fn open_refused(request: u32, code: &str) -> Vec<u8> {
    frame(0x12, false, &[numbers(&[request]), short(code)].concat())
}

pub fn opened_extended(
    request: u32,
    channel: u32,
    target: &[u8; 32],
    size: u16,
    prefix: &[u8],
    group: u32,
) -> Vec<u8> {
    let mut payload = numbers(&[request, channel]);
    payload.extend_from_slice(target);
    payload.extend_from_slice(&size.to_le_bytes());
    payload.push(prefix.len() as u8);
    payload.extend_from_slice(prefix);
    payload.extend(numbers(&[group]));
    frame(0x14, false, &payload)
}

fn optional(number: Option<u32>) -> Vec<u8> {
    match number {
        None => vec![0],
        Some(number) => [vec![1], numbers(&[number])].concat(),
    }
}

pub fn standard_job(channel: u32, id: u32, min_ntime: Option<u32>, root: [u8; 32]) -> Vec<u8> {
    let mut payload = numbers(&[channel, id]);
    payload.extend(optional(min_ntime));
    payload.extend(numbers(&[0x2000_0000]));
    payload.extend_from_slice(&root);
    frame(0x15, true, &payload)
}

/// A job whose coinbase is `[id; 41]`, extranonce, `[id; 50]` and that may be rolled.
pub fn job(channel: u32, id: u32, min_ntime: Option<u32>) -> Vec<u8> {
    let byte = id as u8;
    let branch = [[byte; 32], [byte ^ 1; 32]];
    job_with(
        channel,
        id,
        min_ntime,
        true,
        &branch,
        &[byte; 41],
        &[byte; 50],
    )
}

pub fn job_with(
    channel: u32,
    id: u32,
    min_ntime: Option<u32>,
    rolling: bool,
    branch: &[[u8; 32]],
    prefix: &[u8],
    suffix: &[u8],
) -> Vec<u8> {
    let mut payload = numbers(&[channel, id]);
    payload.extend(optional(min_ntime));
    payload.extend(numbers(&[0x2000_0000]));
    payload.push(u8::from(rolling));
    payload.push(branch.len() as u8);
    payload.extend(branch.concat());
    for half in [prefix, suffix] {
        payload.extend_from_slice(&(half.len() as u16).to_le_bytes());
        payload.extend_from_slice(half);
    }
    frame(0x1f, true, &payload)
}

/// Time of the tips of [`tip`], seconds since 1970.
pub const TIP_TIME: u32 = 1_789_999_000;

/// A tip of previous hash `[byte; 32]`.
pub fn tip(channel: u32, job: u32, byte: u8) -> Vec<u8> {
    let mut payload = numbers(&[channel, job]);
    payload.extend_from_slice(&[byte; 32]);
    payload.extend(numbers(&[TIP_TIME, 0x1703_4567]));
    frame(0x20, true, &payload)
}

pub fn set_target(channel: u32, target: &[u8; 32]) -> Vec<u8> {
    let mut payload = numbers(&[channel]);
    payload.extend_from_slice(target);
    frame(0x21, true, &payload)
}

pub fn set_prefix(channel: u32, prefix: &[u8]) -> Vec<u8> {
    let mut payload = numbers(&[channel]);
    payload.push(prefix.len() as u8);
    payload.extend_from_slice(prefix);
    frame(0x19, true, &payload)
}

pub fn set_group(group: u32, channels: &[u32]) -> Vec<u8> {
    let mut payload = numbers(&[group]);
    payload.extend_from_slice(&(channels.len() as u16).to_le_bytes());
    payload.extend(numbers(channels));
    frame(0x25, false, &payload)
}

pub fn accepted(channel: u32, last: u32, count: u32) -> Vec<u8> {
    let mut payload = numbers(&[channel, last, count]);
    payload.extend_from_slice(&[0; 8]);
    frame(0x1c, true, &payload)
}

pub fn refused(channel: u32, sequence: u32, code: &str) -> Vec<u8> {
    let payload = [numbers(&[channel, sequence]), short(code)].concat();
    frame(0x1d, true, &payload)
}

pub fn update_refused(channel: u32, code: &str) -> Vec<u8> {
    frame(0x17, true, &[numbers(&[channel]), short(code)].concat())
}

pub fn closed(channel: u32, reason: &str) -> Vec<u8> {
    frame(0x18, true, &[numbers(&[channel]), short(reason)].concat())
}

/// Fields of a payload, read one after the other.
pub struct Fields<'a>(pub &'a [u8]);

impl<'a> Fields<'a> {
    /// Of a whole frame.
    pub fn of(frame: &'a [u8]) -> Self {
        Self(&frame[6..])
    }

    pub fn bytes(&mut self, len: usize) -> &'a [u8] {
        let (head, rest) = self.0.split_at(len);
        self.0 = rest;
        head
    }

    pub fn u8(&mut self) -> u8 {
        self.bytes(1)[0]
    }

    pub fn u16(&mut self) -> u16 {
        u16::from_le_bytes(self.bytes(2).try_into().unwrap())
    }

    pub fn u32(&mut self) -> u32 {
        u32::from_le_bytes(self.bytes(4).try_into().unwrap())
    }

    pub fn u256(&mut self) -> [u8; 32] {
        self.bytes(32).try_into().unwrap()
    }

    pub fn short(&mut self) -> &'a [u8] {
        let len = self.u8();
        self.bytes(len.into())
    }

    pub fn long(&mut self) -> &'a [u8] {
        let len = self.u16();
        self.bytes(len.into())
    }

    pub fn option(&mut self) -> Option<u32> {
        (self.u8() == 1).then(|| self.u32())
    }
}
