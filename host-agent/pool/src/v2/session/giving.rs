//! Jobs and prevhashes for the channels of a connection: to the group or to each channel, as the miner
//! set the connection up.

use super::{Session, Stage};
use crate::v2::channel::Channel;
use crate::v2::event::{ChannelKind, CloseReason};
use crate::v2::quirks::Quirk;
use crate::v2::shared::Shared;
use crate::v2::template::Template;
use crate::v2::wire::Frame;
use binary_sv2::Seq064KOwned;
use mining_sv2::{SetExtranoncePrefixOwned, SetGroupChannelOwned, SetNewPrevHashOwned};
use parsers_sv2::MiningOwned;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

/// Most future jobs that the flood consists of.
const MAX_FLOOD: u32 = 1000;
/// What a frame announces that nobody should wait for.
const HUGE: u32 = 0x00ff_ffff;

/// To whom a job goes.
#[derive(Debug, Clone)]
struct Audience {
    /// The id in the message: a group's or a channel's.
    address: u32,
    members: Vec<u32>,
    /// The one member wants a standard job.
    standard: bool,
}

impl Session {
    /// Tells of a new block.
    pub(in crate::v2) fn announce_block(&mut self, now: Duration, shared: &mut Shared) {
        self.rare_messages(shared);
        for audience in self.audiences(shared) {
            self.give_block(now, &audience, shared);
        }
    }

    /// Tells of a new template on the same block.
    pub(in crate::v2) fn announce_job(&mut self, now: Duration, shared: &mut Shared) {
        self.rare_messages(shared);
        for audience in self.audiences(shared) {
            let min_ntime = Some(shared.min_ntime);
            let template = shared.template.clone();
            self.give_job(now, &audience, &template, min_ntime, shared);
        }
    }

    /// The first job of a channel, addressed to it.
    pub(super) fn give_first_job(&mut self, now: Duration, id: u32, shared: &mut Shared) {
        if let Some(audience) = self.alone(id) {
            self.give_block(now, &audience, shared);
        }
    }

    /// Another job on the same block for one channel.
    pub(super) fn give_private_job(&mut self, now: Duration, id: u32, shared: &mut Shared) {
        let ready = self.channels.get(&id).is_some_and(|c| c.has_tip);
        if let Some(audience) = self.alone(id).filter(|_| ready) {
            let template = shared.template.clone();
            let min_ntime = Some(shared.min_ntime);
            self.give_job(now, &audience, &template, min_ntime, shared);
        }
    }

    /// A job for a channel that the miner does not know of yet.
    pub(super) fn give_early_job(&mut self, id: u32, shared: &mut Shared) {
        let template = shared.template.clone();
        if let Ok(job) = template.job(id, 1, template.id, None) {
            let message = template.message(&job);
            self.send_mining(MiningOwned::NewExtendedMiningJob(message), shared);
        }
    }

    fn alone(&self, id: u32) -> Option<Audience> {
        let channel = self.channels.get(&id)?;
        Some(Audience {
            address: id,
            members: vec![id],
            standard: channel.kind() == ChannelKind::Standard,
        })
    }

    fn audiences(&self, shared: &Shared) -> Vec<Audience> {
        let one_by_one = shared.config.quirks.has(Quirk::ToChannel)
            || matches!(
                self.stage,
                Stage::Ready {
                    standard_jobs: true,
                    ..
                }
            );
        if one_by_one {
            let ids = self.channels.keys();
            return ids.filter_map(|id| self.alone(*id)).collect();
        }
        let mut groups = BTreeMap::<u32, Vec<u32>>::new();
        for (id, channel) in &self.channels {
            groups.entry(channel.group).or_default().push(*id);
        }
        let audience = |(address, members)| Audience {
            address,
            members,
            standard: false,
        };
        groups.into_iter().map(audience).collect()
    }

    /// A future job, then the prevhash that names it.
    fn give_block(&mut self, now: Duration, audience: &Audience, shared: &mut Shared) {
        let template = shared.template.clone();
        let flood = shared.config.quirks.number(Quirk::FutureFlood);
        for index in 0..flood.unwrap_or(0).min(MAX_FLOOD) {
            let other = template.id ^ (u64::from(index) + 1) << 40;
            self.give(now, audience, &template, other, None, shared);
        }
        let job_id = self.give_job(now, audience, &template, None, shared);
        let Some(job_id) = job_id else { return };
        let message = |job_id| {
            MiningOwned::SetNewPrevHash(SetNewPrevHashOwned {
                channel_id: audience.address,
                job_id,
                prev_hash: template.prev_hash.into(),
                min_ntime: shared.min_ntime,
                nbits: template.nbits,
            })
        };
        let (unknown, good) = (message(job_id.wrapping_add(0x00ab_cdef)), message(job_id));
        if shared.config.quirks.has(Quirk::UnknownPrevHash) {
            self.send_mining(unknown, shared);
        }
        self.send_mining(good, shared);
        for id in &audience.members {
            if let Some(channel) = self.channels.get_mut(id) {
                channel.take_prev_hash(&template, shared.min_ntime);
            }
            self.tell_disagreement(*id, job_id, 0, shared);
        }
    }

    /// Gives a template's job to an audience and returns its id; `None` if it was not given.
    fn give_job(
        &mut self,
        now: Duration,
        audience: &Audience,
        template: &Arc<Template>,
        min_ntime: Option<u32>,
        shared: &mut Shared,
    ) -> Option<u32> {
        self.break_something(shared);
        self.give(now, audience, template, template.id, min_ntime, shared)
    }

    fn give(
        &mut self,
        now: Duration,
        audience: &Audience,
        template: &Arc<Template>,
        template_id: u64,
        min_ntime: Option<u32>,
        shared: &mut Shared,
    ) -> Option<u32> {
        if self.is_silent(now, audience, shared) {
            return None;
        }
        let members = || audience.members.iter();
        let next_ids = members().filter_map(|id| self.channels.get(id).map(Channel::next_job_id));
        let job_id = next_ids.max()?;
        let job = match template.job(audience.address, job_id, template_id, min_ntime) {
            Ok(job) => job,
            Err(error) => {
                tracing::error!(%error, "the embedded pool gives no job");
                return None;
            }
        };
        let mut standard = None;
        for id in members() {
            if let Some(channel) = self.channels.get_mut(id) {
                standard = channel.take_job(&job, template, template_id);
            }
            self.tell_disagreement(*id, job_id, 0, shared);
        }
        let message = match standard.filter(|_| audience.standard) {
            Some(message) => MiningOwned::NewMiningJob(message),
            None => MiningOwned::NewExtendedMiningJob(template.message(&job)),
        };
        if shared.config.quirks.has(Quirk::DuplicateJob) {
            self.send_mining(message.clone(), shared);
        }
        self.send_mining(message, shared);
        Some(job_id)
    }

    fn is_silent(&self, now: Duration, audience: &Audience, shared: &Shared) -> bool {
        let Some(seconds) = shared.config.quirks.number(Quirk::Silence) else {
            return false;
        };
        let after = Duration::from_secs(u64::from(seconds));
        let mut opened = audience.members.iter().filter_map(|id| {
            let channel = self.channels.get(id)?;
            Some(channel.opened_at)
        });
        opened.all(|opened| now.saturating_sub(opened) >= after)
    }

    /// What comes every so many announcements.
    fn rare_messages(&mut self, shared: &mut Shared) {
        if self.channels.is_empty() {
            return;
        }
        self.jobs = self.jobs.wrapping_add(1);
        let due = |quirk| {
            let every = shared
                .config
                .quirks
                .number(quirk)
                .filter(|every| *every > 0);
            every.is_some_and(|every| self.jobs.is_multiple_of(every))
        };
        let (prefix, group) = (due(Quirk::SetExtranoncePrefix), due(Quirk::SetGroupChannel));
        if prefix {
            self.change_prefixes(shared);
        }
        if group {
            self.change_group(shared);
        }
    }

    fn change_prefixes(&mut self, shared: &mut Shared) {
        let mut messages = Vec::new();
        for channel in self.channels.values_mut() {
            let standard = channel.kind() == ChannelKind::Standard;
            let Some(prefix) = shared.new_prefix(standard) else {
                continue;
            };
            let bytes = prefix.as_bytes().to_vec();
            if let (true, Ok(extranonce_prefix)) =
                (channel.set_extranonce_prefix(prefix), bytes.try_into())
            {
                messages.push(SetExtranoncePrefixOwned {
                    channel_id: channel.id,
                    extranonce_prefix,
                });
            }
        }
        for message in messages {
            self.send_mining(MiningOwned::SetExtranoncePrefix(message), shared);
        }
    }

    fn change_group(&mut self, shared: &mut Shared) {
        let group = self.next_id;
        self.next_id = self.next_id.wrapping_add(1);
        self.group = group;
        for channel in self.channels.values_mut() {
            channel.group = group;
        }
        let ids = self.channels.keys().copied().collect();
        if let Ok(channel_ids) = Seq064KOwned::new(ids) {
            let message = SetGroupChannelOwned {
                group_channel_id: group,
                channel_ids,
            };
            self.send_mining(MiningOwned::SetGroupChannel(message), shared);
        }
    }

    /// The one broken frame that a switch may ask for before this job.
    fn break_something(&mut self, shared: &mut Shared) {
        let given: u32 = self
            .channels
            .values()
            .map(|channel| channel.jobs)
            .max()
            .unwrap_or(0);
        let quirks = shared.config.quirks.clone();
        let due = |quirk| quirks.number(quirk) == Some(given);
        let some_job = |shared: &Shared| {
            let job = shared.template.job(self.group, 1, 0, None).ok()?;
            Frame::mining(MiningOwned::NewExtendedMiningJob(
                job.get_job_message().clone(),
            ))
        };
        let Some(frame) = some_job(shared) else {
            return;
        };
        if due(Quirk::ShortMessage) {
            self.send(frame.shortened(20), shared);
        } else if due(Quirk::OversizedFrame) {
            self.send(frame.with_length(HUGE), shared);
        } else if due(Quirk::TruncatedFrame) || due(Quirk::BadMac) {
            let Some(mut bytes) = self.link.seal(frame) else {
                return;
            };
            if due(Quirk::BadMac) {
                if let Some(last) = bytes.last_mut() {
                    *last ^= 1;
                }
                self.queue(bytes);
            } else {
                bytes.truncate(bytes.len() / 2);
                self.queue(bytes);
                self.close(CloseReason::Quirk("half a frame"));
            }
        }
    }
}
