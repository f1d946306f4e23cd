//! What a session sends: the set-up of the connection, the request for a channel, shares, and
//! news about the hashrate.

use mining::Share;

use super::connection::{Link, Phase};
use super::{MAX_TRANSMITS, Session};
use crate::session::{Event, Reason, Refusal};
use crate::v2::config::ChannelKind;
use crate::v2::jobs::Known;
use crate::v2::ledger::Sent;
use crate::v2::wire::{ClientMessage, Submission};

/// We want jobs with a fixed merkle root only.
const REQUIRES_STANDARD_JOBS: u32 = 1;
/// We want to roll version bits.
const REQUIRES_VERSION_ROLLING: u32 = 1 << 2;
/// The one request on a connection.
pub(super) const REQUEST: u32 = 1;
/// Room for our part of the extranonce that we ask for, bytes. With the version bits a second of
/// the largest machine takes less than two of them.
const MIN_EXTRANONCE: u16 = 4;

impl Session {
    /// The connection is encrypted: says who we are.
    pub(super) fn set_up(&mut self) {
        let Link::Up(connection) = &mut self.link else {
            return;
        };
        connection.phase = Phase::Setup;
        let config = &self.config;
        let standard = match config.channel {
            ChannelKind::Standard => REQUIRES_STANDARD_JOBS,
            ChannelKind::Extended => 0,
        };
        let rolling = match config.version_mask {
            0 => 0,
            _ => REQUIRES_VERSION_ROLLING,
        };
        let frame = ClientMessage::Setup {
            flags: standard | rolling,
            host: &connection.to.0,
            port: connection.to.1,
            vendor: &config.vendor,
            hardware: &config.hardware,
            firmware: &config.firmware,
            device: &config.device,
        }
        .to_frame();
        self.transmit(frame);
    }

    /// The connection is set up: asks for the channel.
    pub(super) fn open_channel(&mut self) {
        let Link::Up(connection) = &mut self.link else {
            return;
        };
        connection.phase = Phase::Opening {
            told: self.hashrate,
        };
        let user = &self.config.user;
        let hashrate = nominal(self.hashrate);
        let frame = match self.config.channel {
            ChannelKind::Extended => ClientMessage::OpenExtended {
                request: REQUEST,
                user,
                hashrate,
                min_extranonce: MIN_EXTRANONCE,
            },
            ChannelKind::Standard => ClientMessage::OpenStandard {
                request: REQUEST,
                user,
                hashrate,
            },
        }
        .to_frame();
        self.transmit(frame);
    }

    /// Tells the server about another hashrate, if that is due.
    pub(super) fn update_if_due(&mut self) {
        let (now, hashrate) = (self.now, self.hashrate);
        let Link::Up(connection) = &mut self.link else {
            return;
        };
        let Some(channel) = connection.channel_mut() else {
            return;
        };
        if channel
            .update_due(hashrate, now)
            .is_none_or(|due| due > now)
        {
            return;
        }
        channel.told = hashrate;
        channel.told_at = now;
        let frame = ClientMessage::Update {
            channel: channel.id,
            hashrate: nominal(hashrate),
        }
        .to_frame();
        self.transmit(frame);
    }

    /// Sends a share, or tells why it would be worthless.
    pub(super) fn send_share(&mut self, share: Share) -> Result<(), Refusal> {
        match self.check(&share) {
            Ok((known, submission, extranonce)) => {
                let difficulty = known.difficulty;
                let frame = ClientMessage::Submit {
                    share: submission,
                    extranonce: extranonce.as_deref(),
                }
                .to_frame();
                self.transmit(frame);
                self.note_sent(Sent {
                    sequence: submission.sequence,
                    share,
                    difficulty,
                    at: self.now,
                });
                Ok(())
            }
            Err(refusal) => {
                self.counters.stats.dropped += 1;
                let share = Box::new(share);
                self.tell(Event::ShareDropped { share, refusal });
                Err(refusal)
            }
        }
    }

    fn note_sent(&mut self, sent: Sent) {
        let Link::Up(connection) = &mut self.link else {
            return;
        };
        let Some(channel) = connection.channel_mut() else {
            return;
        };
        let displaced = channel.ledger.sent(sent);
        self.counters.stats.submitted += 1;
        if let Some(displaced) = displaced {
            self.counters.stats.unconfirmed += 1;
            self.tell(Event::ShareUnconfirmed(Box::new(displaced.share)));
        }
    }

    /// What to send for a share, and its job; or why the server would not take it.
    fn check(&self, share: &Share) -> Result<(&Known, Submission, Option<Vec<u8>>), Refusal> {
        let channel = match &self.link {
            Link::Up(connection) => connection.channel(),
            _ => None,
        };
        let channel = channel
            .filter(|channel| channel.session == share.job.session)
            .ok_or(Refusal::OtherSession)?;
        let known = self.book.find(share).ok_or(Refusal::UnknownJob)?;
        let job = &known.job;
        if share.extranonce2.len() != job.extranonce2_len {
            return Err(Refusal::Extranonce2Length);
        }
        if !(job.ntime..=self.book.latest_ntime().max(job.ntime)).contains(&share.ntime) {
            return Err(Refusal::TimeOutOfRange);
        }
        if (share.version ^ job.version) & !job.version_mask != 0 {
            return Err(Refusal::VersionBits);
        }
        if self.transmits.len() >= MAX_TRANSMITS {
            return Err(Refusal::QueueFull);
        }
        let submission = Submission {
            channel: channel.id,
            sequence: channel.ledger.next_sequence().ok_or(Refusal::QueueFull)?,
            job: known.id,
            nonce: share.nonce,
            ntime: share.ntime,
            version: share.version,
        };
        let extranonce = channel.extranonce_size.map(|_| {
            let mut extranonce = vec![0; known.pad];
            extranonce.extend_from_slice(&share.extranonce2);
            extranonce
        });
        Ok((known, submission, extranonce))
    }

    /// Puts a plain frame on its way.
    fn transmit(&mut self, frame: Option<Vec<u8>>) {
        let Link::Up(connection) = &mut self.link else {
            return;
        };
        match frame.and_then(|frame| connection.stream.seal(frame)) {
            Some(sealed) => self.transmits.push_back(sealed),
            None => self.close(Reason::Noise("a message could not be encrypted".to_owned())),
        }
    }
}

/// A hashrate as messages carry it: never 0, at which servers give the easiest target.
fn nominal(hashrate: f64) -> f32 {
    (hashrate as f32).clamp(f32::MIN_POSITIVE, f32::MAX)
}
