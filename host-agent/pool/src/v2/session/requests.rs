//! What miners ask for: set-up, channels, shares. Answers and error codes are those observed on the SRI
//! pool.

use super::{Session, Stage, reported_target};
use crate::target::{Target, share_difficulty};
use crate::v2::channel::{Channel, Outcome, Request, difficulty_of, submit_type_fits};
use crate::v2::event::{ChannelKind, CloseReason, Event};
use crate::v2::judge::{Submit, code};
use crate::v2::quirks::Quirk;
use crate::v2::shared::Shared;
use crate::v2::wire::Frame;
use binary_sv2::Str0255Owned;
use common_messages_sv2::{
    Protocol, ReconnectOwned, SetupConnectionErrorOwned, SetupConnectionOwned,
    SetupConnectionSuccessOwned,
};
use mining_sv2::{
    CloseChannelOwned, OpenExtendedMiningChannelSuccessOwned, OpenMiningChannelErrorOwned,
    OpenStandardMiningChannelSuccessOwned, SubmitSharesErrorOwned, UpdateChannelErrorOwned,
};
use parsers_sv2::{CommonMessagesOwned, MiningOwned};
use std::time::Duration;

/// The protocol version that this pool speaks.
const VERSION: u16 = 2;
/// SetupConnection flags.
const REQUIRES_STANDARD_JOBS: u32 = 1;
const REQUIRES_WORK_SELECTION: u32 = 2;
/// Characters of a miner's texts that are kept.
const MAX_TEXT: usize = 128;

impl Session {
    pub(super) fn set_up(&mut self, message: SetupConnectionOwned, shared: &mut Shared) {
        if let Some(form) = shared.config.quirks.number(Quirk::SetupError) {
            return match form {
                0 => self.refuse_setup("unsupported-feature-flags", shared),
                1 => self.refuse_setup("unsupported-protocol", shared),
                2 => self.refuse_setup("protocol-version-mismatch", shared),
                _ => self.refuse_setup("the-moon-is-in-the-wrong-house", shared),
            };
        }
        if message.protocol != Protocol::MiningProtocol {
            return self.refuse_setup("unsupported-protocol", shared);
        }
        if !(message.min_version..=message.max_version).contains(&VERSION) {
            return self.refuse_setup("protocol-version-mismatch", shared);
        }
        let asked = |flag| message.flags & flag != 0;
        self.stage = Stage::Ready {
            standard_jobs: asked(REQUIRES_STANDARD_JOBS),
            work_selection: asked(REQUIRES_WORK_SELECTION),
        };
        // The SRI pool says that it needs extended channels to those who choose transactions.
        let flags = message.flags & REQUIRES_WORK_SELECTION;
        let flags = shared
            .config
            .quirks
            .number(Quirk::SetupFlags)
            .unwrap_or(flags);
        shared.event(Event::SetUp {
            connection: self.connection,
            vendor: text(&message.vendor),
            hardware: text(&message.hardware_version),
            firmware: text(&message.firmware),
            device: text(&message.device_id),
            flags: message.flags,
        });
        let success = SetupConnectionSuccessOwned {
            used_version: VERSION,
            flags,
        };
        self.send_common(CommonMessagesOwned::SetupConnectionSuccess(success), shared);
    }

    pub(super) fn refuse_setup(&mut self, code: &'static str, shared: &mut Shared) {
        let error = SetupConnectionErrorOwned {
            flags: 0,
            error_code: string(code),
        };
        self.send_common(CommonMessagesOwned::SetupConnectionError(error), shared);
        self.close(CloseReason::SetupRefused(code.to_owned()));
    }

    pub(super) fn handle_mining(
        &mut self,
        now: Duration,
        message: MiningOwned,
        shared: &mut Shared,
    ) {
        match message {
            MiningOwned::OpenExtendedMiningChannel(message) => {
                let request = Request {
                    worker: text(&message.user_identity),
                    nominal_hps: message.nominal_hash_rate,
                    max_target: target(message.max_target.as_bytes()),
                };
                let size = Some(message.min_extranonce_size);
                self.open(now, message.request_id, request, size, shared);
            }
            MiningOwned::OpenStandardMiningChannel(message) => {
                let request = Request {
                    worker: text(&message.user_identity),
                    nominal_hps: message.nominal_hash_rate,
                    max_target: target(message.max_target.as_bytes()),
                };
                self.open(now, message.request_id, request, None, shared);
            }
            MiningOwned::UpdateChannel(message) => {
                let limit = target(message.maximum_target.as_bytes());
                let (id, nominal) = (message.channel_id, message.nominal_hash_rate);
                self.update(now, id, nominal, limit, shared);
            }
            MiningOwned::CloseChannel(message) => {
                let reason = text(&message.reason_code);
                self.close_channels(message.channel_id, &reason, true, shared);
            }
            MiningOwned::SubmitSharesStandard(message) => {
                let submit = Submit {
                    job_id: message.job_id,
                    sequence: message.sequence_number,
                    nonce: message.nonce,
                    ntime: message.ntime,
                    version: message.version,
                    extranonce: None,
                };
                let kind = mining_sv2::MESSAGE_TYPE_SUBMIT_SHARES_STANDARD;
                self.submit(now, message.channel_id, kind, submit, shared);
            }
            MiningOwned::SubmitSharesExtended(message) => {
                let submit = Submit {
                    job_id: message.job_id,
                    sequence: message.sequence_number,
                    nonce: message.nonce,
                    ntime: message.ntime,
                    version: message.version,
                    extranonce: Some(message.extranonce.to_owned_bytes()),
                };
                let kind = mining_sv2::MESSAGE_TYPE_SUBMIT_SHARES_EXTENDED;
                self.submit(now, message.channel_id, kind, submit, shared);
            }
            other => self.ignore(format!("a message that is not for pools: {other}"), shared),
        }
    }

    /// Opens a channel; an extended one if there is a wish about the extranonce's size.
    fn open(
        &mut self,
        now: Duration,
        request_id: u32,
        request: Request,
        extranonce_size: Option<u16>,
        shared: &mut Shared,
    ) {
        if shared.config.quirks.has(Quirk::SilentOpen) {
            return;
        }
        let kind = match extranonce_size {
            Some(_) => ChannelKind::Extended,
            None => ChannelKind::Standard,
        };
        let worker = request.worker.clone();
        let opened = self
            .may_open(kind, extranonce_size, shared)
            .and_then(|()| self.make_channel(now, kind, request, shared));
        let id = match opened {
            Ok(id) => id,
            Err(code) => {
                let message = OpenMiningChannelErrorOwned {
                    request_id,
                    error_code: string(&code),
                };
                self.send_mining(MiningOwned::OpenMiningChannelError(message), shared);
                return shared.event(Event::ChannelRefused {
                    connection: self.connection,
                    worker,
                    code,
                });
            }
        };
        if shared.config.quirks.has(Quirk::JobBeforeOpen) {
            self.give_early_job(id, shared);
        }
        self.confirm_channel(request_id, id, shared);
        self.give_first_job(now, id, shared);
    }

    /// Whether a channel of this kind may be opened on this connection now.
    fn may_open(
        &self,
        kind: ChannelKind,
        extranonce_size: Option<u16>,
        shared: &mut Shared,
    ) -> Result<(), String> {
        if let Some(form) = shared.config.quirks.number(Quirk::OpenError) {
            return Err(match form {
                0 => "unknown-user".to_owned(),
                1 => "channel-capacity-exhausted".to_owned(),
                2 => "not-on-a-sunday".to_owned(),
                3 => String::new(),
                _ => "x".repeat(255),
            });
        }
        if shared.refusals > 0 {
            shared.refusals -= 1;
            return Err("channel-capacity-exhausted".to_owned());
        }
        let Stage::Ready {
            standard_jobs,
            work_selection,
        } = self.stage
        else {
            return Err("channel-capacity-exhausted".to_owned());
        };
        let refused = match kind {
            ChannelKind::Extended if standard_jobs => {
                Some("extended-channels-not-supported-for-standard-jobs")
            }
            ChannelKind::Standard if work_selection => {
                Some("standard-channels-not-supported-for-custom-work")
            }
            _ if self.channels.len() >= shared.config.max_channels => {
                Some("channel-capacity-exhausted")
            }
            _ if extranonce_size > Some(u16::from(shared.config.extranonce_size)) => {
                Some("min-extranonce-size-too-large")
            }
            _ => None,
        };
        refused.map_or(Ok(()), |code| Err(code.to_owned()))
    }

    fn make_channel(
        &mut self,
        now: Duration,
        kind: ChannelKind,
        request: Request,
        shared: &mut Shared,
    ) -> Result<u32, String> {
        let standard = kind == ChannelKind::Standard;
        let Some(prefix) = shared.new_prefix(standard) else {
            return Err("channel-capacity-exhausted".to_owned());
        };
        let (id, group) = (self.next_id, self.group);
        let channel = Channel::open(id, group, kind, request, prefix, &shared.config, now)?;
        self.next_id = self.next_id.wrapping_add(1);
        self.channels.insert(id, channel);
        Ok(id)
    }

    fn confirm_channel(&mut self, request_id: u32, id: u32, shared: &mut Shared) {
        let Some(channel) = self.channels.get(&id) else {
            return;
        };
        let quirks = &shared.config.quirks;
        let Ok(extranonce_prefix) = channel.extranonce_prefix().to_vec().try_into() else {
            return;
        };
        let target = reported_target(channel, quirks).into();
        let group_channel_id = channel.group;
        let event = Event::ChannelOpened {
            connection: self.connection,
            channel: id,
            kind: channel.kind(),
            worker: channel.worker.clone(),
            nominal_hps: channel.nominal_hps,
            difficulty: channel.difficulty(),
        };
        let size = u16::from(shared.config.extranonce_size);
        let false_size = quirks.number(Quirk::FalseExtranonceSize);
        let message = match channel.kind() {
            ChannelKind::Extended => MiningOwned::OpenExtendedMiningChannelSuccess(
                OpenExtendedMiningChannelSuccessOwned {
                    request_id,
                    channel_id: id,
                    target,
                    extranonce_size: false_size.map_or(size, |bytes| bytes as u16),
                    extranonce_prefix,
                    group_channel_id,
                },
            ),
            ChannelKind::Standard => MiningOwned::OpenStandardMiningChannelSuccess(
                OpenStandardMiningChannelSuccessOwned {
                    request_id,
                    channel_id: id,
                    target,
                    extranonce_prefix,
                    group_channel_id,
                },
            ),
        };
        let old = quirks.has(Quirk::OldOpenSuccess) && channel.kind() == ChannelKind::Extended;
        let frame = Frame::mining(message);
        // The group id is the last field.
        let frame = frame.map(|frame| if old { frame.shortened(4) } else { frame });
        if let Some(frame) = frame {
            self.send(frame, shared);
        }
        shared.event(event);
    }

    fn update(
        &mut self,
        now: Duration,
        id: u32,
        nominal_hps: f32,
        limit: Target,
        shared: &mut Shared,
    ) {
        let updated = match self.channels.get_mut(&id) {
            Some(channel) => channel.update(nominal_hps, limit, &shared.config, now),
            None => Err(code::INVALID_CHANNEL_ID),
        };
        if let Err(code) = updated {
            let message = UpdateChannelErrorOwned {
                channel_id: id,
                error_code: string(code),
            };
            self.send_mining(MiningOwned::UpdateChannelError(message), shared);
        }
        // The SRI pool repeats the target after an error too.
        if updated.is_ok() {
            self.tell_target(now, id, shared);
        } else {
            self.send_target(id, shared);
        }
    }

    /// Closes the channel or all channels of the group of this id.
    pub(super) fn close_channels(
        &mut self,
        id: u32,
        reason: &str,
        by_miner: bool,
        shared: &mut Shared,
    ) {
        let ids = self.channels.values();
        let ids: Vec<u32> = ids
            .filter(|channel| channel.id == id || channel.group == id)
            .map(|channel| channel.id)
            .collect();
        for channel in ids {
            self.channels.remove(&channel);
            shared.event(Event::ChannelClosed {
                connection: self.connection,
                channel,
                reason: reason.to_owned(),
                by_miner,
            });
        }
    }

    fn submit(
        &mut self,
        now: Duration,
        id: u32,
        message_type: u8,
        submit: Submit,
        shared: &mut Shared,
    ) {
        let (job_id, sequence) = (submit.job_id, submit.sequence);
        let channel = self.channels.get_mut(&id);
        let Some(channel) = channel.filter(|c| submit_type_fits(c.kind(), message_type)) else {
            let refused = (code::INVALID_CHANNEL_ID, None);
            return self.refuse(now, id, job_id, sequence, refused, shared);
        };
        let on_purpose = shared.config.quirks.number(Quirk::RejectAll);
        let worker = channel.worker.clone();
        let outcome = channel.submit(submit);
        let batch = channel.batch.count;
        self.tell_disagreement(id, job_id, sequence, shared);
        let (hash, share_target, height, is_block) = match outcome {
            Outcome::Exhausted => {
                let reason = "too many shares on one block";
                self.send_close(id, reason, shared);
                return self.close_channels(id, reason, false, shared);
            }
            Outcome::Refused { code, hash } => {
                let worth = hash.map(|hash| share_difficulty(&hash));
                return self.refuse(now, id, job_id, sequence, (code, worth), shared);
            }
            Outcome::Accepted { hash, .. } if on_purpose.is_some() => {
                if let Some(channel) = self.channels.get_mut(&id) {
                    channel.batch = Default::default();
                }
                let worth = Some(share_difficulty(&hash));
                let code = purpose_code(on_purpose.unwrap_or(0));
                return self.refuse(now, id, job_id, sequence, (&code, worth), shared);
            }
            Outcome::Accepted {
                hash,
                target,
                height,
                is_block,
            } => (hash, target, height, is_block),
        };
        let (worth, difficulty) = (share_difficulty(&hash), difficulty_of(&share_target));
        shared.stats.accepted += 1;
        shared.stats.best_share = shared.stats.best_share.max(worth);
        shared.count_work(now, difficulty);
        shared.event(Event::ShareAccepted {
            connection: self.connection,
            channel: id,
            worker: worker.clone(),
            job_id,
            sequence,
            hash,
            share_difficulty: worth,
            difficulty,
        });
        if is_block {
            shared.stats.blocks_found += 1;
            shared.solved = Some(hash);
            shared.event(Event::BlockFound {
                connection: self.connection,
                channel: id,
                worker,
                height,
                hash,
            });
        }
        if is_block || batch >= shared.config.share_batch {
            self.acknowledge(now, id, shared);
        }
        self.after_accepted(id, shared);
        let channel = self.channels.get_mut(&id);
        if channel.is_some_and(|channel| channel.judge_rate(now, &shared.config)) {
            self.tell_target(now, id, shared);
        }
    }

    fn refuse(
        &mut self,
        now: Duration,
        channel: u32,
        job_id: u32,
        sequence: u32,
        (code, worth): (&str, Option<f64>),
        shared: &mut Shared,
    ) {
        let counts = &mut shared.stats.rejected;
        let counter = match code {
            code::STALE_SHARE | code::INVALID_JOB_ID => &mut counts.stale,
            code::DUPLICATE_SHARE => &mut counts.duplicate,
            code::DIFFICULTY_TOO_LOW => &mut counts.low_difficulty,
            code::INVALID_CHANNEL_ID => &mut counts.unauthorized,
            _ => &mut counts.other,
        };
        *counter += 1;
        shared.event(Event::ShareRejected {
            connection: self.connection,
            channel,
            job_id,
            sequence,
            code: code.to_owned(),
            share_difficulty: worth,
        });
        let message = SubmitSharesErrorOwned {
            channel_id: channel,
            sequence_number: sequence,
            error_code: string(code),
        };
        self.answer(now, MiningOwned::SubmitSharesError(message), shared);
    }

    /// What comes after so many accepted shares.
    fn after_accepted(&mut self, id: u32, shared: &mut Shared) {
        self.accepted = self.accepted.saturating_add(1);
        let quirks = &shared.config.quirks;
        let due = |quirk| quirks.number(quirk) == Some(self.accepted);
        let port = quirks
            .number(Quirk::ReconnectPort)
            .filter(|_| self.accepted == 5);
        let (same, foreign) = (due(Quirk::ReconnectSame), due(Quirk::ReconnectForeign));
        let (channel, group) = (due(Quirk::CloseChannel), due(Quirk::CloseGroup));
        let drop = due(Quirk::DropAfter);
        if same {
            self.reconnect("", 0, shared);
        }
        if let Some(port) = port {
            self.reconnect("", port as u16, shared);
        }
        if foreign {
            // A name of the reserved example domain.
            self.reconnect("pool.foreign.example", 34254, shared);
        }
        let address = if group { self.group } else { id };
        if channel || group {
            let reason = "closed on purpose";
            self.send_close(address, reason, shared);
            self.close_channels(address, reason, false, shared);
        }
        if drop {
            self.close(CloseReason::Quirk("enough shares"));
        }
    }

    fn reconnect(&mut self, host: &str, port: u16, shared: &mut Shared) {
        let message = ReconnectOwned {
            new_host: string(host),
            new_port: port,
        };
        self.send_common(CommonMessagesOwned::Reconnect(message), shared);
    }

    fn send_close(&mut self, id: u32, reason: &str, shared: &mut Shared) {
        let message = CloseChannelOwned {
            channel_id: id,
            reason_code: string(reason),
        };
        self.send_mining(MiningOwned::CloseChannel(message), shared);
    }

    fn send_common(&mut self, message: CommonMessagesOwned, shared: &mut Shared) {
        match Frame::common(message) {
            Some(frame) => self.send(frame, shared),
            None => tracing::error!("the embedded pool cannot encode a message of its own"),
        }
    }
}

/// The code that the switch gives to good shares.
fn purpose_code(form: u32) -> String {
    match form {
        0 => code::DIFFICULTY_TOO_LOW.to_owned(),
        1 => code::STALE_SHARE.to_owned(),
        2 => code::DUPLICATE_SHARE.to_owned(),
        3 => code::INVALID_JOB_ID.to_owned(),
        4 => "the-cat-sat-on-it".to_owned(),
        5 => String::new(),
        _ => "y".repeat(255),
    }
}

/// A protocol string; what does not fit is cut.
fn string(text: &str) -> Str0255Owned {
    let bytes = text.as_bytes();
    let cut = bytes[..bytes.len().min(255)].to_vec();
    match cut.try_into() {
        Ok(string) => string,
        Err(_) => unreachable!("255 bytes fit"),
    }
}

fn text(string: &Str0255Owned) -> String {
    let text = String::from_utf8_lossy(string.as_bytes());
    text.chars().take(MAX_TEXT).collect()
}

/// A target from the wire's little-endian bytes.
fn target(bytes: &[u8]) -> Target {
    let mut target = [0; 32];
    for (place, byte) in target.iter_mut().rev().zip(bytes) {
        *place = *byte;
    }
    Target::from_be_bytes(target)
}
