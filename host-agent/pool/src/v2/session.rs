//! One miner's connection: frames in, frames out, and the channels on it.

mod giving;
mod requests;

use super::channel::Channel;
use super::event::{ChannelInfo, CloseReason, Event};
use super::link::{Link, LinkError, Received};
use super::quirks::{Quirk, Quirks};
use super::shared::Shared;
use super::wire::{self, Frame, Message};
use crate::event::ConnectionId;
use mining_sv2::{SetTargetOwned, SubmitSharesSuccessOwned};
use parsers_sv2::MiningOwned;
use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

/// Packets that may wait to be sent.
const MAX_WAITING: usize = 4096;
/// Answers that may wait for their time.
const MAX_DELAYED: usize = 16_384;
/// The id of a connection's first group; channels count on from there, as with the SRI pool.
const FIRST_GROUP: u32 = 1;

/// How far a connection has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stage {
    Handshake,
    /// The handshake is done; SetupConnection is awaited.
    Greeted,
    Ready {
        /// All jobs have to be standard ones.
        standard_jobs: bool,
        /// The miner wants to choose transactions itself.
        work_selection: bool,
    },
}

#[derive(Debug)]
pub(super) struct Session {
    connection: ConnectionId,
    link: Link,
    outbox: VecDeque<Vec<u8>>,
    /// Bytes of the first packet that are out already, when bytes go one by one.
    sent: usize,
    delayed: VecDeque<(Duration, Frame)>,
    last_input: Duration,
    closing: Option<CloseReason>,
    stage: Stage,
    channels: BTreeMap<u32, Channel>,
    group: u32,
    next_id: u32,
    /// Announcements of jobs so far.
    jobs: u32,
    /// Accepted shares so far.
    accepted: u32,
    /// Counts messages, for what goes between them.
    messages: u32,
}

impl Session {
    pub(super) fn new(connection: ConnectionId, now: Duration, shared: &Shared) -> Session {
        Session {
            connection,
            link: Link::new(shared.config.max_frame),
            outbox: VecDeque::new(),
            sent: 0,
            delayed: VecDeque::new(),
            last_input: now,
            closing: None,
            stage: Stage::Handshake,
            channels: BTreeMap::new(),
            group: FIRST_GROUP,
            next_id: FIRST_GROUP + 1,
            jobs: 0,
            accepted: 0,
            messages: 0,
        }
    }

    pub(super) fn handle_bytes(&mut self, now: Duration, bytes: &[u8], shared: &mut Shared) {
        self.last_input = now;
        self.link.push(bytes);
        while self.closing.is_none() {
            match self.link.receive() {
                Ok(None) => return,
                Ok(Some(Received::Hello(hello))) => self.greet(now, hello, shared),
                Ok(Some(Received::Frame(mut frame))) => {
                    let header = frame.header();
                    match wire::read(header, frame.payload()) {
                        Ok(message) => self.handle_message(now, header.msg_type(), message, shared),
                        Err(reason) => self.close(CloseReason::Malformed {
                            message_type: header.msg_type(),
                            reason,
                        }),
                    }
                }
                Err(error) => self.close(self.link_reason(error, shared)),
            }
        }
    }

    pub(super) fn handle_timeout(&mut self, now: Duration, shared: &mut Shared) {
        let idle = shared.config.idle_timeout;
        if now.saturating_sub(self.last_input) >= idle {
            self.close(CloseReason::Idle(idle));
        }
        while self.delayed.front().is_some_and(|(due, _)| *due <= now) {
            if let Some((_, frame)) = self.delayed.pop_front() {
                self.send(frame, shared);
            }
        }
        if self.closing.is_some() {
            return;
        }
        let ids: Vec<u32> = self.channels.keys().copied().collect();
        for id in ids {
            let channel = self.channels.get_mut(&id);
            if channel.is_some_and(|channel| channel.judge_rate(now, &shared.config)) {
                self.tell_target(now, id, shared);
            }
        }
    }

    pub(super) fn next_timeout(&self, shared: &Shared) -> Option<Duration> {
        if self.closing.is_some() {
            return None;
        }
        let idle = self.last_input.saturating_add(shared.config.idle_timeout);
        let delayed = self.delayed.front().map(|(due, _)| *due);
        let channels = self.channels.values();
        channels
            .filter_map(|channel| channel.next_timeout(&shared.config))
            .chain(delayed)
            .chain([idle])
            .min()
    }

    /// The next packet, if there is one.
    pub(super) fn pop(&mut self, quirks: &Quirks) -> Option<Vec<u8>> {
        if quirks.has(Quirk::ByteByByte) {
            let first = self.outbox.front()?;
            let byte = first.get(self.sent).copied();
            self.sent += 1;
            if self.sent >= first.len() {
                self.outbox.pop_front();
                self.sent = 0;
            }
            return byte.map(|byte| vec![byte]);
        }
        if quirks.has(Quirk::Coalesced) && self.outbox.len() > 1 {
            return Some(self.outbox.drain(..).flatten().collect());
        }
        self.outbox.pop_front()
    }

    pub(super) fn close(&mut self, reason: CloseReason) {
        self.closing.get_or_insert(reason);
    }

    /// Why to hang up now, if all that was to be said is said.
    pub(super) fn ready_to_close(&self) -> Option<CloseReason> {
        let reason = self.closing.clone()?;
        let unread = matches!(reason, CloseReason::SlowReader);
        (unread || self.outbox.is_empty()).then_some(reason)
    }

    pub(super) fn channels(&self) -> impl Iterator<Item = ChannelInfo> + '_ {
        self.channels
            .values()
            .map(|channel| channel.info(self.connection))
    }

    /// Answers the first message of the handshake, as the switches say.
    fn greet(&mut self, now: Duration, hello: [u8; 64], shared: &mut Shared) {
        let quirks = &shared.config.quirks;
        if let Some(form) = quirks.number(Quirk::PlainText) {
            let text = match form {
                0 => b"{\"id\":null,\"result\":null,\"error\":[20,\"Not JSON\",null]}\n".to_vec(),
                1 => b"HTTP/1.1 400 Bad Request\r\nConnection: close\r\n\r\n".to_vec(),
                // A fatal alert of TLS 1.2: decode error.
                2 => vec![0x15, 3, 3, 0, 2, 2, 50],
                _ => std::iter::repeat_with(|| shared.random.u8(..))
                    .take(234)
                    .collect(),
            };
            self.outbox.push_back(text);
            return self.close(CloseReason::Quirk("plain text instead of the handshake"));
        }
        if quirks.has(Quirk::CloseInHandshake) {
            return self.close(CloseReason::Quirk("no handshake"));
        }
        if quirks.has(Quirk::SilentHandshake) {
            return;
        }
        let certificate = shared.certificate(now);
        match self.link.answer(hello, &certificate, &mut shared.noise) {
            Ok(mut answer) => {
                self.stage = Stage::Greeted;
                if let Some(bytes) = shared.config.quirks.number(Quirk::ShortHandshake) {
                    answer.truncate(bytes as usize);
                    self.close(CloseReason::Quirk("half a handshake"));
                }
                self.outbox.push_back(answer);
            }
            Err(error) => self.close(self.link_reason(error, shared)),
        }
    }

    fn link_reason(&self, error: LinkError, shared: &Shared) -> CloseReason {
        match error {
            LinkError::Noise(text) => CloseReason::Noise(text),
            LinkError::TooLarge => CloseReason::FrameTooLarge(shared.config.max_frame),
        }
    }

    fn send(&mut self, frame: Frame, shared: &mut Shared) {
        let quirks = &shared.config.quirks;
        if quirks.has(Quirk::SilentAfterHandshake) || self.closing.is_some() {
            return;
        }
        self.messages = self.messages.wrapping_add(1);
        if quirks.has(Quirk::UnknownMessages) {
            let odd = match self.messages % 4 {
                0 => Frame::raw(0, false, 0x7f, b"unknown to all"),
                1 => Frame::raw(0, true, 0x6e, &[2, 0, 0, 0, 1, 2, 3]),
                2 => Frame::raw(0x4242, false, 0x01, &[]),
                _ => Frame::raw(0x0001, true, 0x20, &[0xff; 40]),
            };
            self.push(odd);
        }
        self.push(frame);
    }

    /// Encrypts and queues a frame.
    fn push(&mut self, frame: Frame) {
        let Some(bytes) = self.link.seal(frame) else {
            return self.close(CloseReason::Noise("a frame cannot be encrypted".to_owned()));
        };
        self.queue(bytes);
    }

    fn queue(&mut self, bytes: Vec<u8>) {
        if self.outbox.len() >= MAX_WAITING {
            self.close(CloseReason::SlowReader);
        } else {
            self.outbox.push_back(bytes);
        }
    }

    fn send_mining(&mut self, message: MiningOwned, shared: &mut Shared) {
        match Frame::mining(message) {
            Some(frame) => self.send(frame, shared),
            None => tracing::error!("the embedded pool cannot encode a message of its own"),
        }
    }

    /// Sends an answer to a share, when and if the switches let it.
    fn answer(&mut self, now: Duration, message: MiningOwned, shared: &mut Shared) {
        let quirks = &shared.config.quirks;
        let Some(frame) = Frame::mining(message).filter(|_| !quirks.has(Quirk::AckNever)) else {
            return;
        };
        let delay = quirks.number(Quirk::AckDelay);
        let Some(delay) = delay.map(|millis| Duration::from_millis(u64::from(millis))) else {
            return self.send(frame, shared);
        };
        if self.delayed.len() >= MAX_DELAYED {
            self.close(CloseReason::SlowReader);
        } else {
            self.delayed.push_back((now.saturating_add(delay), frame));
        }
    }

    /// Acknowledges what a channel's batch holds.
    fn acknowledge(&mut self, now: Duration, id: u32, shared: &mut Shared) {
        let Some(channel) = self.channels.get_mut(&id) else {
            return;
        };
        let batch = std::mem::take(&mut channel.batch);
        let odd = shared.config.quirks.has(Quirk::AckUnsent);
        let ahead = if odd { 1000 } else { 0 };
        let message = MiningOwned::SubmitSharesSuccess(SubmitSharesSuccessOwned {
            channel_id: id,
            last_sequence_number: batch.last.wrapping_add(ahead),
            new_submits_accepted_count: batch.count.wrapping_add(ahead),
            new_shares_sum: batch.work as u64,
        });
        if shared.config.quirks.has(Quirk::AckTwice) {
            self.answer(now, message.clone(), shared);
        }
        self.answer(now, message, shared);
    }

    /// Sends a channel its target, with a job after it if the pool is so configured.
    fn tell_target(&mut self, now: Duration, id: u32, shared: &mut Shared) {
        self.send_target(id, shared);
        if shared.config.job_after_target {
            self.give_private_job(now, id, shared);
        }
    }

    fn send_target(&mut self, id: u32, shared: &mut Shared) {
        let Some(channel) = self.channels.get(&id) else {
            return;
        };
        let (difficulty, group) = (channel.difficulty(), channel.group);
        let target = reported_target(channel, &shared.config.quirks);
        let to_group = shared.config.quirks.has(Quirk::TargetToGroup);
        let message = SetTargetOwned {
            channel_id: if to_group { group } else { id },
            maximum_target: target.into(),
        };
        self.send_mining(MiningOwned::SetTarget(message), shared);
        shared.event(Event::DifficultyChanged {
            connection: self.connection,
            channel: id,
            difficulty,
        });
    }

    fn tell_disagreement(&mut self, id: u32, job_id: u32, sequence: u32, shared: &mut Shared) {
        let channel = self.channels.get_mut(&id);
        if let Some((ours, theirs)) = channel.and_then(|channel| channel.disagreement.take()) {
            shared.event(Event::Disagreement {
                connection: self.connection,
                channel: id,
                job_id,
                sequence,
                ours,
                theirs,
            });
        }
    }

    fn ignore(&self, what: String, shared: &mut Shared) {
        shared.event(Event::Ignored {
            connection: self.connection,
            what,
        });
    }

    fn handle_message(
        &mut self,
        now: Duration,
        message_type: u8,
        message: Message,
        shared: &mut Shared,
    ) {
        match (self.stage, message) {
            (Stage::Handshake, _) => {}
            (Stage::Greeted, Message::SetUp(message)) => self.set_up(message, shared),
            (Stage::Greeted, Message::UnknownProtocol) => {
                self.refuse_setup("unsupported-protocol", shared);
            }
            (Stage::Greeted, Message::Mining(_)) => {
                self.close(CloseReason::NotSetUp(message_type));
            }
            (Stage::Ready { .. }, Message::Mining(message)) => {
                self.handle_mining(now, message, shared);
            }
            (Stage::Ready { .. }, Message::SetUp(_) | Message::UnknownProtocol) => {
                self.ignore("a second SetupConnection".to_owned(), shared);
            }
            (_, Message::Other(what)) => self.ignore(what, shared),
        }
    }
}

/// What the miner is told of a channel's target, little-endian.
fn reported_target(channel: &Channel, quirks: &Quirks) -> [u8; 32] {
    if quirks.has(Quirk::TargetZero) {
        return [0; 32];
    }
    let mut bytes = channel.target().to_be_bytes();
    bytes.reverse();
    bytes
}
