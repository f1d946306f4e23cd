//! What a session does with each message of the server.

use std::net::IpAddr;
use std::sync::Arc;

use mining::{Job, Target};

use super::connection::{Channel, Link, Phase};
use super::sending::REQUEST;
use super::{Session, Unusual};
use crate::session::{Action, Event, Reason, Receipt, RejectKind};
use crate::text::presentable;
use crate::url::is_host_name;
use crate::v2::config::ChannelKind;
use crate::v2::jobs::{Draft, Terms};
use crate::v2::ledger::{Ledger, Sent};
use crate::v2::wire::{ExtendedJob, Opened, ServerMessage, StandardJob, Tip};
use crate::v2::words;

/// The server lets nobody roll version bits.
const REQUIRES_FIXED_VERSION: u32 = 1;
/// The server has no standard channels.
const REQUIRES_EXTENDED_CHANNELS: u32 = 1 << 1;
/// Version bits that the protocol leaves to miners.
const ROLLABLE: u32 = 0x1fff_ffe0;
/// Longest extranonce of the protocol, bytes.
const MAX_EXTRANONCE: usize = 32;

impl Session {
    pub(super) fn handle_message(&mut self, message: ServerMessage) {
        match message {
            ServerMessage::SetupDone { version, flags } => self.on_setup(version, flags),
            ServerMessage::SetupRefused { flags, code } => {
                self.close(words::setup_refused(&code, flags));
            }
            ServerMessage::Opened(opened) => self.on_opened(opened),
            ServerMessage::OpenRefused { request, code } => {
                if request == REQUEST && self.is_opening() {
                    self.close(words::channel_refused(&code));
                } else {
                    self.ignore();
                }
            }
            ServerMessage::StandardJob(job) => self.on_standard_job(&job),
            ServerMessage::ExtendedJob(job) => self.on_extended_job(*job),
            ServerMessage::NewPrevHash(tip) => self.on_tip(&tip),
            ServerMessage::SetTarget { channel, target } => self.on_target(channel, target),
            ServerMessage::SetExtranoncePrefix { channel, prefix } => {
                self.on_prefix(channel, prefix);
            }
            ServerMessage::SetGroup { group, channels } => match self.channel_mut() {
                Some(channel) if channels.contains(&channel.id) => channel.group = group,
                _ => self.ignore(),
            },
            ServerMessage::SharesAccepted { channel, last, .. } => self.on_accepted(channel, last),
            ServerMessage::ShareRefused {
                channel,
                sequence,
                code,
            } => self.on_refused(channel, sequence, code),
            ServerMessage::UpdateRefused { channel, code } => {
                if self.is_meant(channel) {
                    self.tell(Event::Warning(format!(
                        "the pool does not take the hashrate that we told: {code}; the share \
                         difficulty may not fit until it has watched us for a while"
                    )));
                } else {
                    self.ignore();
                }
            }
            ServerMessage::Closed { channel, reason } => {
                if self.is_meant(channel) {
                    let reason = match reason.as_str() {
                        "" => "no reason given".to_owned(),
                        _ => reason,
                    };
                    self.close(Reason::ChannelClosed(reason));
                } else {
                    self.ignore();
                }
            }
            ServerMessage::Reconnect { host, port } => self.on_reconnect(host, port),
            // It voids what was agreed on about extensions, and we agree on none.
            ServerMessage::EndpointChanged { .. } => {}
            ServerMessage::Unknown { .. } => self.ignore(),
        }
    }

    fn on_setup(&mut self, version: u16, flags: u32) {
        let Link::Up(connection) = &mut self.link else {
            return;
        };
        if !matches!(connection.phase, Phase::Setup) {
            self.ignore();
            return;
        }
        if version != 2 {
            let text = format!("it chose version {version} of the protocol, expected 2");
            self.close(Reason::SetupRefused(text));
            return;
        }
        let standard = self.config.channel == ChannelKind::Standard;
        if standard && flags & REQUIRES_EXTENDED_CHANNELS != 0 {
            self.close(Reason::SetupRefused(
                "it serves extended channels only; set the pool's channel to \"extended\""
                    .to_owned(),
            ));
            return;
        }
        connection.fixed_version = flags & REQUIRES_FIXED_VERSION != 0;
        self.open_channel();
    }

    fn on_opened(&mut self, opened: Opened) {
        let now = self.now;
        let Link::Up(connection) = &mut self.link else {
            return;
        };
        let Phase::Opening { told } = connection.phase else {
            self.ignore();
            return;
        };
        let standard = self.config.channel == ChannelKind::Standard;
        if opened.request != REQUEST || opened.extranonce_size.is_none() != standard {
            self.ignore();
            return;
        }
        let extranonce_size = opened.extranonce_size.map(usize::from);
        let whole = extranonce_size.map(|size| size + opened.prefix.len());
        if extranonce_size == Some(0) || whole.is_some_and(|whole| whole > MAX_EXTRANONCE) {
            self.close(Reason::Protocol(format!(
                "it leaves {} bytes of extranonce to us behind {} of its own, expected at least 1 \
                 and {MAX_EXTRANONCE} in all",
                extranonce_size.unwrap_or(0),
                opened.prefix.len(),
            )));
            return;
        }
        let target = Target::from_le_bytes(opened.target);
        connection.phase = Phase::Open(Box::new(Channel {
            id: opened.channel,
            group: opened.group,
            session: self.sequence.next_session(),
            prefix: opened.prefix,
            extranonce_size,
            target,
            ledger: Ledger::default(),
            opened_at: now,
            told,
            told_at: now,
        }));
        let mask = match connection.fixed_version {
            true => 0,
            false => self.config.version_mask & ROLLABLE,
        };
        self.tell(Event::Subscribed { resumed: false });
        self.tell(Event::Authorized);
        self.tell_mask(mask);
        self.tell_target(target);
        self.update_if_due();
    }

    fn on_standard_job(&mut self, job: &StandardJob) {
        match self.terms(job.channel) {
            Some(terms) if terms.extranonce_size.is_none() => {
                self.on_job(Draft::standard(job, &terms));
            }
            _ => self.ignore(),
        }
    }

    fn on_extended_job(&mut self, job: ExtendedJob) {
        let Some(terms) = self.terms(job.channel) else {
            self.ignore();
            return;
        };
        match Draft::extended(job, &terms) {
            Some(draft) => self.on_job(draft),
            None => self.close(Reason::Protocol(
                "a job's coinbase has witness data that no coinbase can have".to_owned(),
            )),
        }
    }

    fn on_job(&mut self, draft: Draft) {
        let future = draft.min_ntime.is_none();
        self.note_work();
        let between_blocks = self.book.current().is_some() && !future;
        if let Some(job) = self.book.add(draft, self.now) {
            self.refreshes_jobs |= between_blocks;
            self.work_on(job);
        }
    }

    fn on_tip(&mut self, tip: &Tip) {
        if !self.is_meant(tip.channel) {
            self.ignore();
            return;
        }
        self.note_work();
        if self.book.knows(tip) {
            return;
        }
        let worked = self.book.current().is_some();
        let generation = self.sequence.next_generation();
        match self.book.new_tip(tip, self.now, generation) {
            Some(job) => self.work_on(job),
            // The work at hand is void, and the new one has not come.
            None if worked => self.tell(Event::NoJob),
            None => {}
        }
    }

    fn on_target(&mut self, channel: u32, target: [u8; 32]) {
        match self.channel_mut() {
            Some(ours) if ours.is_meant(channel) => {
                let target = Target::from_le_bytes(target);
                ours.target = target;
                self.book.retarget(target);
                self.tell_target(target);
            }
            _ => self.ignore(),
        }
    }

    fn on_prefix(&mut self, channel: u32, prefix: Vec<u8>) {
        let ours = match self.channel_mut() {
            Some(ours) if ours.id == channel => ours,
            _ => return self.ignore(),
        };
        let whole = prefix.len() + ours.extranonce_size.unwrap_or(0);
        if whole > MAX_EXTRANONCE {
            self.close(Reason::Protocol(format!(
                "its new extranonce prefix makes an extranonce of {whole} bytes, expected at most \
                 {MAX_EXTRANONCE}"
            )));
        } else {
            ours.prefix = prefix;
        }
    }

    fn on_accepted(&mut self, channel: u32, last: u32) {
        if self.channel_mut().is_none_or(|ours| ours.id != channel) {
            self.ignore();
            return;
        }
        let mut any = false;
        while let Some(sent) = self
            .channel_mut()
            .and_then(|channel| channel.ledger.next_accepted(last))
        {
            any = true;
            let receipt = self.answered(sent);
            self.counters.accepted(self.now, &receipt);
            self.tell(Event::ShareAccepted(receipt));
        }
        if !any {
            self.ignore();
        } else if let Link::Up(connection) = &mut self.link {
            connection.accepted_at = Some(self.now);
        }
    }

    fn on_refused(&mut self, channel: u32, sequence: u32, code: String) {
        let sent = match self.channel_mut() {
            Some(ours) if ours.id == channel => ours.ledger.refused(sequence),
            _ => None,
        };
        let Some(sent) = sent else {
            self.ignore();
            return;
        };
        let receipt = self.answered(sent);
        let kind = words::reject_kind(&code);
        self.counters.rejected(kind, &code);
        self.tell(Event::ShareRejected {
            receipt,
            kind,
            text: code.clone(),
        });
        if kind == RejectKind::NotSubscribed {
            self.close(Reason::SubscriptionLost(code));
        }
    }

    fn answered(&mut self, sent: Sent) -> Box<Receipt> {
        let latency = self.now.saturating_sub(sent.at);
        self.counters.answered_after(latency);
        Box::new(Receipt {
            share: sent.share,
            difficulty: sent.difficulty,
            latency,
            resent: false,
        })
    }

    /// Another host must hold a certificate of the same key, so with a key any host may be
    /// followed to; without one it could be anybody's.
    fn on_reconnect(&mut self, host: String, port: u16) {
        let Link::Up(connection) = &self.link else {
            return;
        };
        let (host_now, port_now) = &connection.to;
        let host = if host.is_empty() {
            host_now.clone()
        } else {
            host
        };
        let port = if port == 0 { *port_now } else { port };
        let same = (&host, &port) == (host_now, port_now);
        let possible = is_host_name(&host) || host.parse::<IpAddr>().is_ok();
        if !same && (self.config.authority_key.is_none() || !possible) {
            let host = presentable(&host, 100);
            self.tell(Event::RedirectRefused { host });
            return;
        }
        let url = &self.config.url;
        let home = host == url.host() && port == url.port();
        self.actions.push_back(Action::Close(Reason::Reconnect));
        self.end(Reason::Reconnect);
        self.redirect = (!home).then_some((host, port));
    }

    fn work_on(&mut self, job: Arc<Job>) {
        if let Link::Up(connection) = &mut self.link {
            connection.first_job_at.get_or_insert(self.now);
        }
        self.counters.stats.problem = None;
        self.counters.stats.jobs += 1;
        self.tell_mask(job.version_mask);
        self.tell(Event::Job(job));
    }

    fn tell_mask(&mut self, mask: u32) {
        if self.version_mask != mask {
            self.version_mask = mask;
            self.tell(Event::VersionMask(mask));
        }
    }

    fn tell_target(&mut self, target: Target) {
        self.tell(Event::Difficulty(target.difficulty().min(f64::MAX)));
        let unusual = unusual(target, self.hashrate);
        if self.warned != unusual {
            self.warned = unusual;
            let difficulty = target.difficulty();
            let text = match unusual {
                None => return,
                Some(Unusual::Impossible) => {
                    "the pool set a share target that no hash can meet, so there will be no \
                     shares and nothing is paid; another pool is better until it has mended that"
                        .to_owned()
                }
                Some(Unusual::Hard) => {
                    let days = target.expected_hashes() / self.hashrate / 86_400.0;
                    let often = if days < 1000.0 {
                        format!("{days:.0} days")
                    } else {
                        format!("{:.1e} years", days / 365.25)
                    };
                    format!(
                        "the pool set a share difficulty of {difficulty:.3e}: this miner will find \
                         one share in {often}, and most pools pay nothing for so few; check \
                         whether the pool is meant for such small miners"
                    )
                }
                Some(Unusual::Easy) => format!(
                    "the pool set a share difficulty of {difficulty:.3e}, which this miner would \
                     meet thousands of times a second; not all of these shares will be sent"
                ),
            };
            self.tell(Event::Warning(text));
        }
    }

    /// What jobs for a channel or group get, if that is ours.
    fn terms(&mut self, address: u32) -> Option<Terms> {
        let Link::Up(connection) = &self.link else {
            return None;
        };
        let channel = connection.channel().filter(|ours| ours.is_meant(address))?;
        Some(Terms {
            session: channel.session,
            prefix: channel.prefix.clone(),
            extranonce_size: channel.extranonce_size,
            target: channel.target,
            version_mask: match connection.fixed_version {
                true => 0,
                false => self.config.version_mask & ROLLABLE,
            },
        })
    }

    /// The pool is alive.
    fn note_work(&mut self) {
        if let Link::Up(connection) = &mut self.link {
            connection.last_job_at = Some(self.now);
        }
    }

    fn channel_mut(&mut self) -> Option<&mut Channel> {
        match &mut self.link {
            Link::Up(connection) => connection.channel_mut(),
            _ => None,
        }
    }

    fn is_meant(&mut self, address: u32) -> bool {
        self.channel_mut()
            .is_some_and(|channel| channel.is_meant(address))
    }

    fn is_opening(&self) -> bool {
        matches!(&self.link, Link::Up(connection) if matches!(connection.phase, Phase::Opening { .. }))
    }

    /// Counts a message that we can do nothing with.
    fn ignore(&mut self) {
        self.counters.stats.ignored += 1;
    }
}

/// Whether a share target makes no sense for a miner of this hashrate.
fn unusual(target: Target, hashrate: f64) -> Option<Unusual> {
    const LONGEST: f64 = 7.0 * 86_400.0;
    const SHORTEST: f64 = 1e-3;
    if target == Target::from_be_bytes([0; 32]) {
        return Some(Unusual::Impossible);
    }
    let seconds = target.expected_hashes() / hashrate;
    if seconds > LONGEST {
        Some(Unusual::Hard)
    } else if seconds < SHORTEST {
        Some(Unusual::Easy)
    } else {
        None
    }
}
