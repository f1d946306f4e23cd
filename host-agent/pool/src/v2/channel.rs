//! One mining channel: the reference implementation's channel, this crate's own book of the same jobs
//! beside it, and share rate control. Both checks judge every share.

use super::config::Config;
use super::event::{ChannelInfo, ChannelKind};
use super::judge::{Book, Submit, Verdict, code};
use super::quirks::Quirk;
use super::template::Template;
use crate::event::ConnectionId;
use crate::hash::BlockHash;
use crate::target::{Difficulty, Target, share_difficulty};
use crate::vardiff::{Vardiff, VardiffConfig};
use channels_sv2::extranonce_manager::AllocatedExtranoncePrefix;
use channels_sv2::server::error::{ExtendedChannelError, StandardChannelError};
use channels_sv2::server::extended::ExtendedChannel;
use channels_sv2::server::jobs::extended::ExtendedJob;
use channels_sv2::server::share_accounting::{ShareValidationError, ShareValidationResult};
use channels_sv2::server::standard::StandardChannel;
use mining_sv2::{
    MESSAGE_TYPE_SUBMIT_SHARES_STANDARD, NewMiningJobOwned, SubmitSharesExtendedOwned,
    SubmitSharesStandardOwned,
};
use std::sync::Arc;
use std::time::Duration;

/// Shares a minute that the reference channel is told to expect at the least: it sizes its memory for
/// duplicates by that and refuses everything when it is full, which a test with easy targets would be.
const LEAST_EXPECTED_RATE: f64 = 600.0;

/// What a miner asked for.
#[derive(Debug, Clone)]
pub(super) struct Request {
    pub(super) worker: String,
    pub(super) nominal_hps: f32,
    pub(super) max_target: Target,
}

/// The end of a share's way.
#[derive(Debug)]
pub(super) enum Outcome {
    Accepted {
        hash: BlockHash,
        target: Target,
        height: u32,
        is_block: bool,
    },
    Refused {
        code: &'static str,
        hash: Option<BlockHash>,
    },
    /// The reference channel takes no more shares; it is to be closed.
    Exhausted,
}

#[derive(Debug)]
enum Reference {
    Extended(ExtendedChannel),
    Standard(StandardChannel),
}

#[derive(Debug)]
pub(super) struct Channel {
    pub(super) id: u32,
    pub(super) group: u32,
    pub(super) worker: String,
    pub(super) nominal_hps: f32,
    max_target: Target,
    reference: Reference,
    book: Book,
    vardiff: Vardiff,
    target: Target,
    next_job_id: u32,
    /// Whether a prevhash came, so that jobs can count at once.
    pub(super) has_tip: bool,
    pub(super) jobs: u32,
    pub(super) opened_at: Duration,
    pub(super) accepted: u64,
    pub(super) rejected: u64,
    pub(super) batch: Batch,
    /// Two judgements that differed, for the owner to hear of.
    pub(super) disagreement: Option<(String, String)>,
}

/// Accepted shares that were not acknowledged yet.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Batch {
    pub(super) count: u32,
    pub(super) last: u32,
    pub(super) work: f64,
}

impl Channel {
    /// Opens a channel.
    ///
    /// # Errors
    /// The error code for the miner.
    pub(super) fn open(
        id: u32,
        group: u32,
        kind: ChannelKind,
        request: Request,
        prefix: AllocatedExtranoncePrefix,
        config: &Config,
        now: Duration,
    ) -> Result<Channel, &'static str> {
        let rate = shares_per_minute(config);
        let expected = rate.max(LEAST_EXPECTED_RATE) as f32;
        let rolling = config.version_rolling && !config.quirks.has(Quirk::NoVersionRolling);
        let max_target = bitcoin::Target::from_be_bytes(request.max_target.to_be_bytes());
        let batch = config.share_batch as usize;
        let (tag, worker) = (config.tag.clone(), request.worker.clone());
        let reference = match kind {
            ChannelKind::Extended => ExtendedChannel::new_for_pool(
                id,
                worker,
                prefix,
                max_target,
                request.nominal_hps,
                rolling,
                u16::from(config.extranonce_size),
                batch,
                expected,
                tag,
                None,
            )
            .map(Reference::Extended)
            .map_err(extended_code)?,
            ChannelKind::Standard => StandardChannel::new_for_pool(
                id,
                worker,
                prefix,
                max_target,
                request.nominal_hps,
                batch,
                expected,
                tag,
                None,
            )
            .map(Reference::Standard)
            .map_err(standard_code)?,
        };
        let size = match kind {
            ChannelKind::Extended => Some(usize::from(config.extranonce_size)),
            ChannelKind::Standard => None,
        };
        let mut channel = Channel {
            id,
            group,
            worker: request.worker,
            nominal_hps: request.nominal_hps,
            max_target: request.max_target,
            reference,
            book: Book::new(size),
            vardiff: Vardiff::new(config.vardiff, now),
            target: Target::EASIEST,
            next_job_id: 1,
            has_tip: false,
            jobs: 0,
            opened_at: now,
            accepted: 0,
            rejected: 0,
            batch: Batch::default(),
            disagreement: None,
        };
        let wanted = channel.nominal_target(config);
        channel.set_target(wanted, config);
        channel.restart_vardiff(config, now);
        Ok(channel)
    }

    pub(super) fn kind(&self) -> ChannelKind {
        match self.reference {
            Reference::Extended(_) => ChannelKind::Extended,
            Reference::Standard(_) => ChannelKind::Standard,
        }
    }

    pub(super) fn info(&self, connection: ConnectionId) -> ChannelInfo {
        ChannelInfo {
            connection,
            channel: self.id,
            group: self.group,
            kind: self.kind(),
            worker: self.worker.clone(),
            nominal_hps: self.nominal_hps,
            difficulty: self.difficulty(),
            extranonce_prefix: self.extranonce_prefix().to_vec(),
            accepted: self.accepted,
            rejected: self.rejected,
            unacknowledged: self.batch.count,
        }
    }

    /// The bytes that go before the miner's part; on standard channels all of the extranonce.
    pub(super) fn extranonce_prefix(&self) -> &[u8] {
        match &self.reference {
            Reference::Extended(channel) => channel.get_extranonce_prefix(),
            Reference::Standard(channel) => channel.get_extranonce_prefix(),
        }
    }

    /// Gives the channel another prefix for its next jobs. False if the reference refuses it.
    pub(super) fn set_extranonce_prefix(&mut self, prefix: AllocatedExtranoncePrefix) -> bool {
        match &mut self.reference {
            Reference::Extended(channel) => channel.set_extranonce_prefix(prefix).is_ok(),
            Reference::Standard(channel) => channel.set_extranonce_prefix(prefix).is_ok(),
        }
    }

    /// The target of the next job.
    pub(super) fn target(&self) -> Target {
        self.target
    }

    /// The difficulty that the target stands for.
    pub(super) fn difficulty(&self) -> f64 {
        difficulty_of(&self.target)
    }

    /// The id that the channel's next job may have at the least.
    pub(super) fn next_job_id(&self) -> u32 {
        self.next_job_id
    }

    /// Takes a job; its channel id may be that of a group. Returns the message for a standard channel.
    pub(super) fn take_job(
        &mut self,
        job: &ExtendedJob,
        template: &Arc<Template>,
        template_id: u64,
    ) -> Option<NewMiningJobOwned> {
        let (job_id, min_ntime) = (job.get_job_id(), job.get_min_ntime());
        self.next_job_id = job_id.wrapping_add(1);
        self.jobs = self.jobs.saturating_add(1);
        let prefix = self.extranonce_prefix().to_vec();
        self.book.note_job(
            job_id,
            template_id,
            template,
            &prefix,
            min_ntime,
            self.target,
        );
        let (taken, message) = match &mut self.reference {
            Reference::Extended(channel) => {
                let taken = channel.on_group_channel_job(job.clone());
                (taken.map_err(|error| format!("{error:?}")), None)
            }
            Reference::Standard(channel) => {
                let taken = channel.on_group_channel_job(job.clone());
                let standard = match min_ntime {
                    Some(_) => channel.get_active_job(),
                    None => channel.get_future_job(job_id),
                };
                let message = standard.map(|job| job.get_job_message().clone());
                (taken.map_err(|error| format!("{error:?}")), message)
            }
        };
        if let Err(error) = taken {
            self.disagree(format!("job {job_id} is good"), error);
        }
        message
    }

    /// Moves on to the block of a template whose future job was taken before.
    pub(super) fn take_prev_hash(&mut self, template: &Template, min_ntime: u32) {
        let message = template.prev_hash_message(min_ntime);
        let taken = match &mut self.reference {
            Reference::Extended(channel) => channel
                .on_set_new_prev_hash(message)
                .map_err(|error| format!("{error:?}")),
            Reference::Standard(channel) => channel
                .on_set_new_prev_hash(message)
                .map_err(|error| format!("{error:?}")),
        };
        if let Err(error) = taken {
            self.disagree("the prevhash is good".to_owned(), error);
        }
        self.book.note_prev_hash(template, min_ntime, self.target);
        self.has_tip = true;
    }

    /// What the miner says of itself now.
    ///
    /// # Errors
    /// The error code for the miner; nothing has changed then.
    pub(super) fn update(
        &mut self,
        nominal_hps: f32,
        max_target: Target,
        config: &Config,
        now: Duration,
    ) -> Result<(), &'static str> {
        let limit = Some(bitcoin::Target::from_be_bytes(max_target.to_be_bytes()));
        match &mut self.reference {
            Reference::Extended(channel) => channel
                .update_channel(nominal_hps, limit)
                .map_err(extended_code)?,
            Reference::Standard(channel) => channel
                .update_channel(nominal_hps, limit)
                .map_err(standard_code)?,
        }
        self.nominal_hps = nominal_hps;
        self.max_target = max_target;
        let wanted = self.nominal_target(config);
        self.set_target(wanted, config);
        self.restart_vardiff(config, now);
        Ok(())
    }

    /// Lets rate control judge; true if the target changed.
    pub(super) fn judge_rate(&mut self, now: Duration, config: &Config) -> bool {
        if fixed(config) {
            return false;
        }
        let before = self.target;
        if let Some(difficulty) = self.vardiff.judge(now) {
            self.set_target(Target::from_difficulty(difficulty), config);
        }
        self.target != before
    }

    pub(super) fn next_timeout(&self, config: &Config) -> Option<Duration> {
        self.vardiff.next_check().filter(|_| !fixed(config))
    }

    /// Judges a share twice.
    pub(super) fn submit(&mut self, submit: Submit) -> Outcome {
        let sequence = submit.sequence;
        let ours = self.book.judge(&submit);
        let theirs = match self.ask_reference(submit) {
            Ok(hash) => Ok(hash),
            Err(ShareValidationError::SeenSharesBudgetExhausted) => return Outcome::Exhausted,
            Err(error) => Err(share_code(&error)),
        };
        let agreed = match (&ours, &theirs) {
            (Verdict::Good { hash, .. }, Ok(theirs)) => hash == theirs,
            (Verdict::Bad { code, .. }, Err(theirs)) => code == theirs,
            _ => false,
        };
        if !agreed {
            let reference = match &theirs {
                Ok(hash) => format!("good, {hash}"),
                Err(code) => (*code).to_owned(),
            };
            self.disagree(format!("{ours:?}"), reference);
        }
        match (ours, theirs) {
            (
                Verdict::Good {
                    hash,
                    target,
                    height,
                    is_block,
                },
                Ok(_),
            ) => {
                self.accepted += 1;
                let worth = Difficulty::new(difficulty_of(&target)).unwrap_or(Difficulty::ONE);
                self.vardiff.on_share(worth);
                self.batch.count += 1;
                self.batch.last = sequence;
                self.batch.work += worth.get();
                Outcome::Accepted {
                    hash,
                    target,
                    height,
                    is_block,
                }
            }
            (Verdict::Bad { code, hash }, _) => {
                self.rejected += 1;
                Outcome::Refused { code, hash }
            }
            (Verdict::Good { hash, .. }, Err(code)) => {
                self.rejected += 1;
                Outcome::Refused {
                    code,
                    hash: Some(hash),
                }
            }
        }
    }

    fn ask_reference(&mut self, submit: Submit) -> Result<BlockHash, ShareValidationError> {
        let result = match &mut self.reference {
            Reference::Extended(channel) => {
                let extranonce = submit.extranonce.unwrap_or_default().try_into();
                channel.validate_share(SubmitSharesExtendedOwned {
                    channel_id: self.id,
                    sequence_number: submit.sequence,
                    job_id: submit.job_id,
                    nonce: submit.nonce,
                    ntime: submit.ntime,
                    version: submit.version,
                    extranonce: extranonce.map_err(|_| {
                        ShareValidationError::BadExtranonceSize(code::BAD_EXTRANONCE_SIZE)
                    })?,
                })?
            }
            Reference::Standard(channel) => channel.validate_share(SubmitSharesStandardOwned {
                channel_id: self.id,
                sequence_number: submit.sequence,
                job_id: submit.job_id,
                nonce: submit.nonce,
                ntime: submit.ntime,
                version: submit.version,
            })?,
        };
        let (ShareValidationResult::Valid(hash) | ShareValidationResult::BlockFound(hash, ..)) =
            result;
        Ok(BlockHash(*AsRef::<[u8; 32]>::as_ref(&hash)))
    }

    /// The target for the hashrate that the miner named, or the configured one.
    fn nominal_target(&self, config: &Config) -> Target {
        if let Some(difficulty) = config.difficulty {
            return Target::from_difficulty(difficulty);
        }
        // The reference computes it; it was given a higher rate than is wanted, for its own reasons.
        let wanted = channels_sv2::target::hash_rate_to_target(
            f64::from(self.nominal_hps),
            shares_per_minute(config),
        );
        wanted.map_or(self.max_target, |target| {
            Target::from_be_bytes(target.to_be_bytes())
        })
    }

    fn set_target(&mut self, wanted: Target, config: &Config) {
        let one = || {
            let mut bytes = [0; 32];
            bytes[31] = 1;
            Target::from_be_bytes(bytes)
        };
        let target = match () {
            () if config.quirks.has(Quirk::TargetMax) => Target::EASIEST,
            // The reference has no place for a target of zero; one is as hard to meet.
            () if config.quirks.has(Quirk::TargetZero) => one(),
            () if config.quirks.has(Quirk::TargetOne) => one(),
            () if wanted.to_be_bytes() > self.max_target.to_be_bytes() => self.max_target,
            () => wanted,
        };
        let theirs = bitcoin::Target::from_be_bytes(target.to_be_bytes());
        let set = match &mut self.reference {
            Reference::Extended(channel) => channel.set_target(theirs).is_ok(),
            Reference::Standard(channel) => channel.set_target(theirs).is_ok(),
        };
        if set {
            self.target = target;
        }
    }

    fn restart_vardiff(&mut self, config: &Config, now: Duration) {
        let start = Difficulty::new(self.difficulty()).unwrap_or(Difficulty::ONE);
        self.vardiff = Vardiff::new(
            VardiffConfig {
                start,
                ..config.vardiff
            },
            now,
        );
    }

    fn disagree(&mut self, ours: String, theirs: String) {
        self.disagreement = Some((ours, theirs));
    }
}

/// The type of message that a share for this kind of channel has to be.
pub(super) fn submit_type_fits(kind: ChannelKind, message_type: u8) -> bool {
    (kind == ChannelKind::Standard) == (message_type == MESSAGE_TYPE_SUBMIT_SHARES_STANDARD)
}

/// The difficulty that a target stands for, to float precision.
pub(super) fn difficulty_of(target: &Target) -> f64 {
    let mut bytes = target.to_be_bytes();
    bytes.reverse();
    share_difficulty(&BlockHash(bytes))
}

fn fixed(config: &Config) -> bool {
    let quirks = &config.quirks;
    [Quirk::TargetZero, Quirk::TargetOne, Quirk::TargetMax]
        .iter()
        .any(|quirk| quirks.has(*quirk))
}

/// The share rate that first targets are made for. Without rate control there is still one.
fn shares_per_minute(config: &Config) -> f64 {
    let rate = config.vardiff.shares_per_minute;
    if rate > 0.0 { rate } else { 20.0 }
}

fn extended_code(error: ExtendedChannelError) -> &'static str {
    match error {
        ExtendedChannelError::OpenChannelInvalidNominalHashrate(code)
        | ExtendedChannelError::UpdateChannelInvalidNominalHashrate(code)
        | ExtendedChannelError::OpenChannelInvalidMaxTarget(code)
        | ExtendedChannelError::UpdateChannelInvalidMaxTarget(code)
        | ExtendedChannelError::RequestedMinExtranonceSizeTooLarge(code) => code,
        _ => mining_sv2::ERROR_CODE_OPEN_MINING_CHANNEL_CHANNEL_CAPACITY_EXHAUSTED,
    }
}

fn standard_code(error: StandardChannelError) -> &'static str {
    match error {
        StandardChannelError::OpenChannelInvalidNominalHashrate(code)
        | StandardChannelError::UpdateChannelInvalidNominalHashrate(code)
        | StandardChannelError::OpenChannelInvalidMaxTarget(code)
        | StandardChannelError::UpdateChannelInvalidMaxTarget(code) => code,
        _ => mining_sv2::ERROR_CODE_OPEN_MINING_CHANNEL_CHANNEL_CAPACITY_EXHAUSTED,
    }
}

/// The error code of the reference's verdict; those without one get the vaguest.
fn share_code(error: &ShareValidationError) -> &'static str {
    match error {
        ShareValidationError::Invalid(code)
        | ShareValidationError::Stale(code)
        | ShareValidationError::InvalidJobId(code)
        | ShareValidationError::DoesNotMeetTarget(code)
        | ShareValidationError::VersionRollingNotAllowed(code)
        | ShareValidationError::DuplicateShare(code)
        | ShareValidationError::BadExtranonceSize(code) => code,
        ShareValidationError::InvalidCoinbase
        | ShareValidationError::NoChainTip
        | ShareValidationError::SeenSharesBudgetExhausted => code::INVALID_SHARE,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::v2::shared::Shared;

    fn submit(job_id: u32, ntime: u32, version: u32) -> Submit {
        Submit {
            job_id,
            sequence: 1,
            nonce: 7,
            ntime,
            version,
            extranonce: Some(vec![0; 16]),
        }
    }

    /// What the two checks of one share say of each other, when the book holds the job of `other` blocks
    /// later.
    fn disagreement(other: bool) -> Option<(String, String)> {
        let config = Config {
            quirks: "target-max".parse().expect("known"),
            ..Config::default()
        };
        let mut shared = Shared::new(config.clone()).expect("a config");
        let request = Request {
            worker: "w".to_owned(),
            nominal_hps: 1e6,
            max_target: Target::EASIEST,
        };
        let prefix = shared.new_prefix(false).expect("a prefix");
        let kind = ChannelKind::Extended;
        let mut channel =
            Channel::open(2, 1, kind, request, prefix, &config, Duration::ZERO).expect("a channel");
        let template = shared.template.clone();
        let job = template.job(2, 1, template.id, None).expect("a job");
        shared.renew_template();
        let noted = if other { &shared.template } else { &template };
        channel.take_job(&job, noted, template.id);
        let min_ntime = shared.min_ntime;
        channel.take_prev_hash(&template, min_ntime);
        channel.submit(submit(1, min_ntime, template.version));
        channel.disagreement
    }

    #[test]
    fn two_records_that_differ_are_noticed_by_the_first_share() {
        assert_eq!(disagreement(false), None);
        let (ours, theirs) = disagreement(true).expect("they differ");
        assert!(
            ours.starts_with("Good") && theirs.starts_with("good"),
            "{ours} {theirs}"
        );
    }
}
