//! What all connections share: the chain and its newest template, extranonce prefixes, randomness,
//! events and counters.

use super::config::Config;
use super::event::Event;
use super::link::Certificate;
use super::quirks::Quirk;
use super::template::{Template, TemplateError};
use crate::chain::{MadeUpChain, PLAIN_VERSION, SIGNALLING_VERSION};
use crate::event::PoolStats;
use crate::hash::{BlockHash, sha256d};
use crate::meter::WorkMeter;
use channels_sv2::extranonce_manager::{AllocatedExtranoncePrefix, ExtranonceAllocator};
use rand_chacha::ChaCha20Rng;
use rand_chacha::rand_core::SeedableRng;
use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

/// Events that wait to be taken.
const MAX_EVENTS: usize = 4096;
/// The first byte or bytes of every prefix, and how many channels there can be; by the room that the
/// miner's part leaves of 32 bytes.
const PREFIXES: [(u8, &[u8], u32); 4] = [
    (28, &[1, 0], 65_536),
    (29, &[1], 65_536),
    (30, &[], 65_536),
    (31, &[], 256),
];

pub(super) struct Shared {
    pub(super) config: Config,
    pub(super) template: Arc<Template>,
    /// Unix time that the present block's header times begin at.
    pub(super) min_ntime: u32,
    pub(super) random: fastrand::Rng,
    /// The randomness of the handshakes.
    pub(super) noise: ChaCha20Rng,
    pub(super) stats: PoolStats,
    /// A block that a share solved and that the pool has not moved past yet.
    pub(super) solved: Option<BlockHash>,
    /// Channels still to be refused before the first is opened.
    pub(super) refusals: u32,
    chain: MadeUpChain,
    prefixes: ExtranonceAllocator,
    extranonce_size: usize,
    events: VecDeque<Event>,
    work: WorkMeter,
}

impl Shared {
    pub(super) fn new(config: Config) -> Result<Shared, TemplateError> {
        let version = if config.quirks.has(Quirk::VersionBitsInJob) {
            SIGNALLING_VERSION
        } else {
            PLAIN_VERSION
        };
        let mut random = fastrand::Rng::with_seed(config.seed);
        let mut chain = MadeUpChain::new(
            random.u64(..),
            config.height,
            config.nbits,
            version,
            &config.tag,
            config.unix_start,
            config.extranonce_size,
        );
        let (prefixes, extranonce_size) = allocator(config.extranonce_size);
        let template = Template::new(chain.next_snapshot(), &config, extranonce_size)?;
        let seed = [b"handshakes".as_slice(), &config.seed.to_le_bytes()].concat();
        let mut shared = Shared {
            template: Arc::new(template),
            min_ntime: 0,
            random,
            noise: ChaCha20Rng::from_seed(sha256d(&seed)),
            stats: PoolStats {
                jobs: 1,
                height: chain.height(),
                ..PoolStats::default()
            },
            solved: None,
            refusals: config.quirks.number(Quirk::BusyAtStart).unwrap_or(0),
            chain,
            prefixes,
            extranonce_size,
            events: VecDeque::new(),
            work: WorkMeter::default(),
            config,
        };
        shared.min_ntime = shared.unix(Duration::ZERO);
        Ok(shared)
    }

    /// Unix time in seconds, as a header can hold it.
    pub(super) fn unix(&self, now: Duration) -> u32 {
        let unix = self.config.unix_start.saturating_add(now.as_secs());
        // Header time is 32 bits; it lasts until 2106.
        u32::try_from(unix).unwrap_or(u32::MAX)
    }

    /// A new template on the same block.
    pub(super) fn renew_template(&mut self) {
        let snapshot = self.chain.next_snapshot();
        match Template::new(snapshot, &self.config, self.extranonce_size) {
            Ok(template) => self.template = Arc::new(template),
            // The first one could be made of the same config, so this cannot be either.
            Err(error) => tracing::error!(%error, "the embedded pool stays at its last template"),
        }
        self.stats.jobs += 1;
        self.tell_template(false);
    }

    /// Moves on to the next block and makes its first template.
    pub(super) fn next_block(&mut self, now: Duration, solution: Option<BlockHash>) {
        self.chain.advance(solution);
        self.stats.height = self.chain.height();
        self.stats.blocks_seen += u64::from(solution.is_none());
        // Header times never go back from block to block.
        self.min_ntime = self.unix(now).max(self.min_ntime);
        self.renew_template();
        if let Some(Event::NewJob { clean, .. }) = self.events.back_mut() {
            *clean = true;
        }
    }

    /// A prefix for an extended channel, or the whole extranonce of a standard one; `None` if all are in
    /// use.
    pub(super) fn new_prefix(&mut self, standard: bool) -> Option<AllocatedExtranoncePrefix> {
        if standard {
            self.prefixes.allocate_standard().ok()
        } else {
            self.prefixes.allocate_extended(0).ok()
        }
    }

    /// The certificate for a connection that comes now.
    pub(super) fn certificate(&self, now: Duration) -> Certificate {
        let quirks = &self.config.quirks;
        let valid_for = self.config.certificate_valid_for;
        let authority = if quirks.has(Quirk::WrongKey) {
            super::authority::Authority::from_seed(u64::from_le_bytes(*b"impostor"))
        } else {
            self.config.authority.clone()
        };
        let mut valid_from = self.unix(now);
        if let Some(seconds) = quirks.number(Quirk::CertificateExpired) {
            let length = u32::try_from(valid_for.as_secs()).unwrap_or(u32::MAX);
            valid_from = valid_from.saturating_sub(length).saturating_sub(seconds);
        } else if let Some(seconds) = quirks.number(Quirk::CertificateNotYetValid) {
            valid_from = valid_from.saturating_add(seconds);
        }
        Certificate {
            public: authority.public_bytes(),
            secret: authority.secret_bytes(),
            valid_from,
            valid_for,
        }
    }

    pub(super) fn event(&mut self, event: Event) {
        if let Event::Disagreement { .. } = event {
            tracing::error!("{event}");
            self.stats.disagreements += 1;
        }
        if self.events.len() >= MAX_EVENTS {
            self.events.pop_front();
            self.stats.events_lost += 1;
        }
        self.events.push_back(event);
    }

    pub(super) fn next_event(&mut self) -> Option<Event> {
        self.events.pop_front()
    }

    /// Counts the work of an accepted share.
    pub(super) fn count_work(&mut self, now: Duration, difficulty: f64) {
        self.stats.accepted_work += difficulty;
        self.work.count(now, difficulty);
    }

    pub(super) fn hashrate_hps(&self, now: Duration) -> f64 {
        self.work.hashrate_hps(now)
    }

    fn tell_template(&mut self, clean: bool) {
        let (template, height) = (self.template.id, self.template.height);
        self.event(Event::NewJob {
            template,
            height,
            clean,
        });
    }
}

/// The source of prefixes for a size of the miner's part, and the size of both together. The usual
/// prefix has four bytes, as the SRI pool's.
fn allocator(size: u8) -> (ExtranonceAllocator, usize) {
    let row = PREFIXES.iter().find(|(up_to, ..)| size <= *up_to);
    let (_, local, channels) = row.copied().unwrap_or(PREFIXES[PREFIXES.len() - 1]);
    let index = if channels > 256 { 2 } else { 1 };
    let total = size.saturating_add(local.len() as u8 + index).min(32);
    let made = ExtranonceAllocator::new(local.to_vec(), total, channels);
    // The table holds only what fits; the smallest one fits always.
    let made = made.or_else(|_| ExtranonceAllocator::new(Vec::new(), 32, 256));
    match made {
        Ok(allocator) => (allocator, usize::from(total)),
        Err(_) => unreachable!("one byte of index fits into 32"),
    }
}
