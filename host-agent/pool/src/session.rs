//! One miner's connection: lines in, messages out. It keeps what this miner was given (extranonce,
//! difficulty, mask and the jobs announced with them) so that each share is judged by the terms under
//! which its job went out.

mod requests;

use crate::config::PoolConfig;
use crate::event::{CloseReason, ConnectionId, ConnectionInfo, Event};
use crate::ledger::{Ledger, Resumable};
use crate::outbox::Outbox;
use crate::quirks::{Quirk, Quirks};
use crate::target::{Difficulty, Target};
use crate::template::JobTemplate;
use crate::vardiff::Vardiff;
use crate::wire;
use serde_json::json;
use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

/// Jobs remembered for a session, stale ones included: with the usual 30 s between jobs, the last
/// quarter of an hour.
const MAX_GRANTS: usize = 32;
/// A huge line has at most this many KiB, whatever the switch says.
const MAX_HUGE_KIB: u32 = 16 * 1024;

/// A job as this session got it.
#[derive(Debug, Clone)]
pub(crate) struct Grant {
    pub(crate) job: Arc<JobTemplate>,
    pub(crate) extranonce1: Vec<u8>,
    pub(crate) difficulty: Difficulty,
    pub(crate) target: Target,
    pub(crate) version_mask: Option<u32>,
    pub(crate) stale: bool,
    pub(crate) poisoned: bool,
}

/// What the subscription gave.
#[derive(Debug)]
struct Subscription {
    agent: String,
    session_id: String,
    extranonce1: Vec<u8>,
}

#[derive(Debug)]
pub(crate) struct Session {
    connection: ConnectionId,
    pub(crate) outbox: Outbox,
    input: Vec<u8>,
    last_input: Duration,
    closing: Option<CloseReason>,
    subscription: Option<Subscription>,
    workers: Vec<String>,
    version_mask: Option<u32>,
    vardiff: Vardiff,
    /// Whether jobs go out to this session.
    working: bool,
    /// Set once the silence switch has struck.
    silent: bool,
    grants: VecDeque<Grant>,
    timers: Vec<(Duration, Quirk)>,
    accepted: u64,
    rejected: u64,
}

impl Session {
    pub(crate) fn new(connection: ConnectionId, now: Duration, ledger: &Ledger) -> Session {
        let mut vardiff = ledger.config.vardiff;
        // Whole difficulties cannot go lower; vardiff has to know or it would drift away below.
        let lowest = wire::given_difficulty(&ledger.config.quirks, vardiff.min);
        vardiff.min = lowest;
        Session {
            connection,
            outbox: Outbox::default(),
            input: Vec::new(),
            last_input: now,
            closing: None,
            subscription: None,
            workers: Vec::new(),
            version_mask: None,
            vardiff: Vardiff::new(vardiff, now),
            working: false,
            silent: false,
            grants: VecDeque::new(),
            timers: Vec::new(),
            accepted: 0,
            rejected: 0,
        }
    }

    /// Cuts the stream into lines and handles each, until one makes the session end.
    pub(crate) fn handle_bytes(&mut self, now: Duration, bytes: &[u8], ledger: &mut Ledger) {
        self.last_input = now;
        let max_line = ledger.config.max_line;
        let mut rest = bytes;
        while self.closing.is_none() && !rest.is_empty() {
            let end = rest.iter().position(|byte| *byte == b'\n');
            let (part, next) = rest.split_at(end.map_or(rest.len(), |end| end + 1));
            rest = next;
            if self.input.len() + part.len() > max_line {
                self.close(CloseReason::LineTooLong(max_line));
            } else if end.is_none() {
                self.input.extend_from_slice(part);
            } else {
                let mut line = std::mem::take(&mut self.input);
                line.extend_from_slice(part);
                self.handle_line(now, line.trim_ascii(), ledger);
            }
        }
    }

    /// Gives a job to this session under its present terms.
    pub(crate) fn announce(
        &mut self,
        now: Duration,
        job: &Arc<JobTemplate>,
        clean: bool,
        ledger: &mut Ledger,
    ) {
        let Some(subscription) = self.subscription.as_ref().filter(|_| self.working) else {
            return;
        };
        let at_once = ledger.config.quirks.has(Quirk::DifficultyAtOnce);
        for old in &mut self.grants {
            let other_block = old.job.prev_hash != job.prev_hash;
            // With this switch a clean job only pushes the new difficulty, the old ones stay good.
            old.stale |= other_block || (clean && !at_once);
        }
        if self.silent {
            return;
        }
        let difficulty = self.difficulty(&ledger.config);
        self.grants.push_back(Grant {
            job: job.clone(),
            extranonce1: subscription.extranonce1.clone(),
            difficulty,
            target: Target::from_difficulty(difficulty),
            version_mask: self.version_mask,
            stale: false,
            poisoned: false,
        });
        if self.grants.len() > MAX_GRANTS {
            self.grants.pop_front();
        }
        let line = wire::notify(&ledger.config.quirks, job, clean);
        if ledger.config.quirks.has(Quirk::DuplicateNotify) {
            self.send(now, line.clone(), ledger);
        }
        self.send(now, line, ledger);
    }

    pub(crate) fn handle_timeout(&mut self, now: Duration, ledger: &mut Ledger) {
        let idle = ledger.config.idle_timeout;
        if now.saturating_sub(self.last_input) >= idle {
            self.close(CloseReason::Idle(idle));
        }
        self.outbox.on_timeout(now, &ledger.config.quirks);
        if self.closing.is_some() {
            return;
        }
        while let Some(index) = self.timers.iter().position(|(due, _)| *due <= now) {
            let (_, quirk) = self.timers.swap_remove(index);
            self.strike(now, quirk, ledger);
        }
        self.judge_difficulty(now, ledger);
    }

    pub(crate) fn next_timeout(&self, config: &PoolConfig) -> Option<Duration> {
        if self.closing.is_some() {
            return self.outbox.next_timeout();
        }
        let idle = self.last_input.saturating_add(config.idle_timeout);
        let vardiff = self.vardiff.next_check().filter(|_| self.working);
        let timers = self.timers.iter().map(|(due, _)| *due);
        timers
            .chain(vardiff)
            .chain(self.outbox.next_timeout())
            .chain([idle])
            .min()
    }

    pub(crate) fn close(&mut self, reason: CloseReason) {
        self.closing.get_or_insert(reason);
    }

    pub(crate) fn closing(&self) -> Option<&CloseReason> {
        self.closing.as_ref()
    }

    /// Leaves what a resumed session needs.
    pub(crate) fn bequeath(self, now: Duration, ledger: &mut Ledger) {
        if let Some(subscription) = self.subscription {
            ledger.keep_for_resumption(Resumable {
                session_id: subscription.session_id,
                extranonce1: subscription.extranonce1,
                grants: self.grants,
                lost_at: now,
            });
        }
    }

    pub(crate) fn info(&self, config: &PoolConfig) -> ConnectionInfo {
        let agent = self.subscription.as_ref().map(|sub| sub.agent.clone());
        ConnectionInfo {
            connection: self.connection,
            agent: agent.unwrap_or_default(),
            workers: self.workers.clone(),
            difficulty: self.difficulty(config),
            version_mask: self.version_mask,
            accepted: self.accepted,
            rejected: self.rejected,
        }
    }

    /// The difficulty of the next job.
    fn difficulty(&self, config: &PoolConfig) -> Difficulty {
        wire::given_difficulty(&config.quirks, self.vardiff.difficulty())
    }

    fn send(&mut self, now: Duration, line: String, ledger: &mut Ledger) {
        let quirks = &ledger.config.quirks;
        let mut message = Vec::with_capacity(line.len() + 2);
        if quirks.has(Quirk::Garbage) {
            message.extend(garbage(&mut ledger.random));
        }
        message.extend(line.into_bytes());
        message.extend(line_end(quirks));
        if !self.outbox.push(now, quirks, message) {
            self.close(CloseReason::SlowReader);
        }
    }

    /// Begins to send jobs: the difficulty, then the current job as a clean one.
    fn start_working(&mut self, now: Duration, ledger: &mut Ledger) {
        if self.working {
            return;
        }
        self.working = true;
        self.vardiff.restart(now);
        let quirks = &ledger.config.quirks;
        let kib = quirks.number(Quirk::HugeLine);
        self.silent = quirks.number(Quirk::Silence) == Some(0);
        if let Some(kib) = kib {
            let text = "x".repeat(kib.min(MAX_HUGE_KIB) as usize * 1024);
            self.notify(now, "client.show_message", json!([text]), ledger);
        }
        self.send_difficulty(now, ledger);
        let job = ledger.job.clone();
        self.announce(now, &job, true, ledger);
    }

    fn notify(
        &mut self,
        now: Duration,
        method: &str,
        params: serde_json::Value,
        ledger: &mut Ledger,
    ) {
        let line = wire::notification(&ledger.config.quirks, method, params);
        self.send(now, line, ledger);
    }

    fn send_difficulty(&mut self, now: Duration, ledger: &mut Ledger) {
        let difficulty = self.difficulty(&ledger.config);
        let line = wire::set_difficulty(&ledger.config.quirks, difficulty);
        self.send(now, line, ledger);
        ledger.event(Event::DifficultyChanged {
            connection: self.connection,
            difficulty,
        });
    }

    fn judge_difficulty(&mut self, now: Duration, ledger: &mut Ledger) {
        let before = self.difficulty(&ledger.config);
        if self.working && self.vardiff.judge(now).is_some() {
            let after = self.difficulty(&ledger.config);
            if after != before {
                self.change_difficulty(now, ledger);
            }
        }
    }

    /// Tells the miner its new difficulty, and makes it count as the switches say.
    fn change_difficulty(&mut self, now: Duration, ledger: &mut Ledger) {
        self.send_difficulty(now, ledger);
        let at_once = ledger.config.quirks.has(Quirk::DifficultyAtOnce);
        if at_once {
            let difficulty = self.difficulty(&ledger.config);
            for grant in &mut self.grants {
                grant.difficulty = difficulty;
                grant.target = Target::from_difficulty(difficulty);
            }
        }
        if self.working && (at_once || ledger.config.job_after_difficulty) {
            self.fresh_job(now, at_once, ledger);
        }
    }

    /// A new job for this session alone, so that changed terms count at once.
    fn fresh_job(&mut self, now: Duration, clean: bool, ledger: &mut Ledger) {
        let job = ledger.private_job(now, clean);
        self.announce(now, &job, clean, ledger);
    }

    /// Starts the clocks of the timed switches; called when the first worker is authorised.
    fn arm_timers(&mut self, now: Duration, quirks: &Quirks) {
        for quirk in quirks.iter() {
            let timed = match quirk {
                Quirk::Silence => quirks.number(quirk).filter(|seconds| *seconds > 0),
                Quirk::SetExtranonce
                | Quirk::NarrowVersionMask
                | Quirk::ReconnectSame
                | Quirk::ReconnectForeign
                | Quirk::ShowMessage => quirks.number(quirk),
                Quirk::Ping => quirks.number(quirk).map(|seconds| seconds.max(1)),
                _ => None,
            };
            if let Some(seconds) = timed {
                let due = now.saturating_add(Duration::from_secs(u64::from(seconds)));
                self.timers.push((due, quirk));
            }
        }
    }

    /// A timed switch does its deed.
    fn strike(&mut self, now: Duration, quirk: Quirk, ledger: &mut Ledger) {
        match quirk {
            Quirk::Silence => self.silent = true,
            Quirk::SetExtranonce => {
                let extranonce1 = ledger.new_extranonce1();
                let text = crate::hash::to_hex(&extranonce1);
                let size = ledger.config.extranonce2_size;
                self.notify(now, "mining.set_extranonce", json!([text, size]), ledger);
                if let Some(subscription) = &mut self.subscription {
                    subscription.extranonce1 = extranonce1;
                }
                self.fresh_job(now, false, ledger);
            }
            Quirk::NarrowVersionMask => {
                let Some(mask) = self.version_mask else {
                    return;
                };
                let mask = lower_half(mask);
                self.version_mask = Some(mask);
                let params = json!([format!("{mask:08x}")]);
                self.notify(now, "mining.set_version_mask", params, ledger);
                self.fresh_job(now, false, ledger);
            }
            Quirk::ReconnectSame => self.notify(now, "client.reconnect", json!([]), ledger),
            Quirk::ReconnectForeign => {
                // A name of the reserved example domain, which no miner's pool is in.
                let params = json!(["pool.foreign.example", 3333, 1]);
                self.notify(now, "client.reconnect", params, ledger);
            }
            Quirk::ShowMessage => {
                let params = json!(["Hello from the embedded pool"]);
                self.notify(now, "client.show_message", params, ledger);
            }
            Quirk::Ping => {
                self.send(now, wire::request(wire::PING_ID, "mining.ping"), ledger);
                let seconds = ledger.config.quirks.number(Quirk::Ping).unwrap_or(1).max(1);
                let next = now.saturating_add(Duration::from_secs(u64::from(seconds)));
                self.timers.push((next, Quirk::Ping));
            }
            _ => {}
        }
    }
}

/// The lower half of the bits that are set, at least one of them.
fn lower_half(mask: u32) -> u32 {
    let keep = (mask.count_ones() / 2).max(1);
    let mut half = 0;
    let mut rest = mask;
    for _ in 0..keep {
        half |= rest & rest.wrapping_neg();
        rest &= rest.wrapping_sub(1);
    }
    half
}

fn line_end(quirks: &Quirks) -> &'static [u8] {
    if quirks.has(Quirk::CrLf) {
        b"\r\n\r\n"
    } else {
        b"\n"
    }
}

/// A line of random bytes that is certainly no JSON.
fn garbage(random: &mut fastrand::Rng) -> Vec<u8> {
    let mut bytes = vec![0; random.usize(1..200)];
    random.fill(&mut bytes);
    bytes
        .iter_mut()
        .filter(|byte| **byte == b'\n')
        .for_each(|byte| *byte = 0xff);
    bytes.insert(0, b'}');
    bytes.push(b'\n');
    bytes
}
