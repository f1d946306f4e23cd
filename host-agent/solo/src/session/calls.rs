//! Questions to the node: when which is asked, on which connection, and what a failure means.

use std::time::Duration;

use bitcoin::Network;
use payout::network_name;
use stratum::{Event, Reason};

use super::{Action, Link, Session};
use crate::rpc::{
    self, Call, ChainInfo, Fault, IN_INITIAL_DOWNLOAD, IN_WARMUP, Lane, Method, Reply,
};

/// A call that was not answered yet; there is at most one on each connection.
#[derive(Debug)]
pub(super) struct Open {
    pub(super) id: u64,
    pub(super) lane: Lane,
    pub(super) method: Method,
    pub(super) at: Duration,
    pub(super) deadline: Duration,
}

/// The shell ends calls in time; this is for a shell that does not.
const GRACE: Duration = Duration::from_secs(10);
/// Credentials and settings do not change within seconds.
const REFUSED_WAIT: Duration = Duration::from_secs(10);
/// Nor does the state of a node that is starting or syncing.
const BUSY_WAIT: Duration = Duration::from_secs(3);
/// A node that answers long polls at once all the time has none to speak of.
const LONG_POLL_PAUSE: Duration = Duration::from_secs(1);
/// Templates of nodes that tell their newest block without: only for new transactions.
const REFRESHES_PER_TEMPLATE: u32 = 3;

impl Session {
    /// Begins from the start: which node is it?
    pub(super) fn ask(&mut self) {
        self.link = Link::Asking;
        self.contact = false;
        self.longpollid = None;
        let id = self.next_call();
        let body = rpc::plain_call(id, Method::ChainInfo);
        let timeout = self.config.timeouts.call;
        self.call(id, Lane::Main, Method::ChainInfo, body, timeout);
    }

    /// Takes an answer for what it is.
    pub(super) fn answered(&mut self, id: u64, reply: Result<Reply, Fault>) {
        let Some(index) = self.calls.iter().position(|call| call.id == id) else {
            return;
        };
        let call = self.calls.swap_remove(index);
        let reply = reply.and_then(|reply| fitting(call.method, reply));
        if !self.contact && !matches!(reply, Err(Fault::Connection(_))) && self.link != Link::Idle {
            self.contact = true;
            self.counters.stats.connects += 1;
            let (host, port) = (self.config.url.host().to_owned(), self.config.url.port());
            self.tell(Event::Connected { host, port });
        }
        match (call.lane, call.method, reply) {
            (Lane::Submit, _, Ok(Reply::Verdict(words))) => self.block_answered(id, Ok(words)),
            (Lane::Submit, _, Err(fault)) => self.block_answered(id, Err(fault)),
            (Lane::Trial, _, reply) => self.trial_answered(reply),
            (lane, _, Ok(Reply::Template(template))) => {
                if lane == Lane::LongPoll {
                    self.long_backoff.reset();
                    self.schedule.long_poll = call.at.saturating_add(LONG_POLL_PAUSE);
                }
                self.take_template(call.at, *template);
            }
            (_, _, Ok(Reply::ChainInfo(info))) => match self.check_chain(&info) {
                Ok(()) => {
                    self.chain = Some(info);
                    self.ask_template();
                }
                Err(reason) => self.fail(reason, REFUSED_WAIT, false),
            },
            (_, Method::ChainInfo, Err(Fault::Error { code, .. })) if code != IN_WARMUP => {
                // Programs that only hand out templates cannot answer; templates will tell.
                self.chain = None;
                self.tell(Event::Learnt(
                    "the node does not tell its network; whether the payout address fits it is not \
                     checked",
                ));
                self.ask_template();
            }
            (_, _, Ok(Reply::BestBlock(hash))) => {
                let known = self.book.back().map(|entry| entry.job.prev_hash);
                if known != Some(hash) {
                    self.schedule.template = self.now;
                }
            }
            (_, Method::BestBlock, Err(Fault::Error { .. })) => self.knows.best_block = false,
            (Lane::LongPoll, _, Err(_)) => {
                // Most likely the node is gone, which a short question finds out.
                self.schedule.long_poll = self.now.saturating_add(self.long_backoff.next());
                self.schedule.template = self.now;
            }
            (_, _, Err(fault)) => self.fail_with(fault),
            // Asked for on connections of their own, which are above.
            (_, _, Ok(Reply::Verdict(_))) => {}
        }
    }

    /// When the next question is due, not counting those that wait for a free connection.
    pub(super) fn questions_due(&self) -> Option<Duration> {
        let mut due = Vec::with_capacity(3);
        if self.is_free(Lane::Main) {
            due.push(self.schedule.template);
            if self.asks_for_tips() {
                due.push(self.schedule.tip);
            }
        }
        if self.longpollid.is_some() && self.is_free(Lane::LongPoll) {
            due.push(self.schedule.long_poll);
        }
        due.into_iter().min()
    }

    /// Asks what is due.
    pub(super) fn ask_questions(&mut self) {
        if self.link != Link::Up {
            return;
        }
        let timeouts = self.config.timeouts;
        if self.is_free(Lane::Main) {
            if self.schedule.template <= self.now {
                self.ask_template();
            } else if self.asks_for_tips() && self.schedule.tip <= self.now {
                self.schedule.tip = self.now.saturating_add(timeouts.tip);
                let id = self.next_call();
                let body = rpc::plain_call(id, Method::BestBlock);
                self.call(id, Lane::Main, Method::BestBlock, body, timeouts.call);
            }
        }
        if let Some(longpollid) = &self.longpollid
            && self.schedule.long_poll <= self.now
            && self.is_free(Lane::LongPoll)
        {
            let longpollid = longpollid.clone();
            let id = self.next_call();
            let body = rpc::template_call(id, Some(&longpollid));
            let timeout = timeouts.long_poll;
            self.call(id, Lane::LongPoll, Method::Template, body, timeout);
        }
    }

    /// Puts the next template off, now that there is one.
    pub(super) fn template_came(&mut self) {
        let timeouts = self.config.timeouts;
        let wait = match (&self.longpollid, self.knows.best_block) {
            (Some(_), _) => timeouts.refresh,
            (None, true) => timeouts.refresh_alone * REFRESHES_PER_TEMPLATE,
            (None, false) => timeouts.refresh_alone,
        };
        self.schedule.template = self.now.saturating_add(wait);
        self.schedule.tip = self.now.saturating_add(timeouts.tip);
    }

    pub(super) fn ask_template(&mut self) {
        self.template_came();
        let id = self.next_call();
        let body = rpc::template_call(id, None);
        let timeout = self.config.timeouts.call;
        self.call(id, Lane::Main, Method::Template, body, timeout);
    }

    pub(super) fn next_call(&mut self) -> u64 {
        self.last_call += 1;
        self.last_call
    }

    pub(super) fn call(
        &mut self,
        id: u64,
        lane: Lane,
        method: Method,
        body: Vec<u8>,
        timeout: Duration,
    ) {
        self.calls.push(Open {
            id,
            lane,
            method,
            at: self.now,
            deadline: self.now.saturating_add(timeout).saturating_add(GRACE),
        });
        self.actions.push_back(Action::Call(Call {
            id,
            lane,
            method,
            body,
            timeout,
        }));
    }

    pub(super) fn is_free(&self, lane: Lane) -> bool {
        self.calls.iter().all(|call| call.lane != lane)
    }

    /// Calls that the shell has forgotten.
    pub(super) fn give_up_calls(&mut self) {
        let overdue: Vec<(u64, &'static str)> = self
            .calls
            .iter()
            .filter(|call| call.deadline <= self.now)
            .map(|call| (call.id, call.method.name()))
            .collect();
        for (id, method) in overdue {
            self.actions.push_back(Action::Cancel(id));
            self.answered(id, Err(Reason::NoAnswer(method).into()));
        }
    }

    /// Forgets all calls but blocks.
    pub(super) fn hang_up(&mut self) {
        let (kept, cancelled) = std::mem::take(&mut self.calls)
            .into_iter()
            .partition(|call| call.lane == Lane::Submit);
        self.calls = kept;
        let ids: Vec<u64> = cancelled.iter().map(|call: &Open| call.id).collect();
        // What the shell has not fetched yet need not be asked at all.
        self.actions
            .retain(|action| !matches!(action, Action::Call(call) if ids.contains(&call.id)));
        self.actions.extend(ids.into_iter().map(Action::Cancel));
        self.longpollid = None;
    }

    pub(super) fn fail_with(&mut self, fault: Fault) {
        let (wait, may_return) = match &fault {
            Fault::Connection(_) => (Duration::ZERO, true),
            Fault::Busy(_) => (BUSY_WAIT, true),
            Fault::Error {
                code: IN_WARMUP, ..
            } => (BUSY_WAIT, true),
            Fault::Auth(_) | Fault::WrongService(_) => (REFUSED_WAIT, false),
            _ => (BUSY_WAIT, false),
        };
        let reason = match (&fault, &self.chain) {
            (Fault::Error { code, .. }, Some(info)) if *code == IN_INITIAL_DOWNLOAD => {
                syncing(info)
            }
            _ => fault.into_reason(),
        };
        self.fail(reason, wait, may_return);
    }

    /// The node does not serve us. Jobs stay good for a while if it may soon be back, as blocks
    /// can be handed in then.
    pub(super) fn fail(&mut self, reason: Reason, at_least: Duration, may_return: bool) {
        if !matches!(self.link, Link::Asking | Link::Up) {
            return;
        }
        self.hang_up();
        if !may_return {
            self.void_jobs();
        } else if self.mining && self.schedule.void.is_none() {
            self.schedule.void = Some(self.now.saturating_add(self.config.timeouts.keep));
        }
        let wait = self.backoff.next().max(at_least);
        self.link = Link::Waiting {
            until: self.now.saturating_add(wait),
        };
        self.counters.stats.problem = Some(reason.to_string());
        self.tell(Event::Disconnected {
            reason,
            retry_in: Some(wait),
        });
    }

    fn asks_for_tips(&self) -> bool {
        self.longpollid.is_none() && self.knows.best_block
    }

    fn check_chain(&self, info: &ChainInfo) -> Result<(), Reason> {
        let Some(network) = info.network else {
            return Err(Reason::Rpc(format!(
                "it is on a network \"{}\" that this program does not know",
                info.chain
            )));
        };
        if let Some(wanted) = self.config.network
            && wanted != network
        {
            return Err(Reason::Rpc(format!(
                "it is on the network {}, but the network setting is {}; correct the setting, or \
                 the URL",
                network_name(network),
                network_name(wanted)
            )));
        }
        if !self.address.is_of(network) {
            return Err(Reason::Rpc(format!(
                "it is on the network {}, but {} is an address of another one, so no block could \
                 pay it; correct payout_address, or the URL",
                network_name(network),
                self.address
            )));
        }
        // Test networks are mined on whatever the age of their newest block is.
        let behind =
            info.initial_download && (network == Network::Bitcoin || info.blocks < info.headers);
        if behind { Err(syncing(info)) } else { Ok(()) }
    }
}

/// An answer to another question is none.
fn fitting(method: Method, reply: Reply) -> Result<Reply, Fault> {
    let fits = match reply {
        Reply::ChainInfo(_) => method == Method::ChainInfo,
        Reply::Template(_) => method == Method::Template,
        Reply::BestBlock(_) => method == Method::BestBlock,
        Reply::Verdict(_) => matches!(method, Method::Submit | Method::Trial),
    };
    if fits {
        return Ok(reply);
    }
    Err(Fault::Answer {
        method: method.name(),
        why: "it belongs to another call".to_owned(),
    })
}

fn syncing(info: &ChainInfo) -> Reason {
    Reason::NodeSyncing {
        blocks: info.blocks,
        headers: info.headers,
    }
}
