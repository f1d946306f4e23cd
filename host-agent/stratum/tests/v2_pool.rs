//! Sessions against the embedded pool, whose channels and share checks are those of the reference
//! implementation's server side: with each of its switches on, in virtual time, with real hashes.
#![cfg(feature = "sv2")]

#[path = "v2_support/mod.rs"]
mod support;

use std::sync::Arc;
use std::time::Duration;

use mining::{Job, Share};
use pool::v2::Core;
use pool::{ConnectionId, Difficulty, VardiffConfig};
use sha2::{Digest, Sha256};
use stratum::v2::{ChannelKind, Config, Session};
use stratum::{Action, Event, Opening, Reason, RejectKind, Sequence, Session as _};
use support::UNIX_NOW;

/// A pool, a session with it, and a miner that hands in a share each second.
struct World {
    core: Core,
    session: Session,
    now: Duration,
    connection: Option<ConnectionId>,
    connections: u64,
    hosts: Vec<(String, u16)>,
    job: Option<Arc<Job>>,
    counter: u32,
    events: Vec<Event>,
}

impl World {
    fn new(kind: ChannelKind, switches: &str) -> Self {
        Self::with(kind, switches, |_| {})
    }

    fn with(kind: ChannelKind, switches: &str, tweak: impl FnOnce(&mut pool::v2::Config)) -> Self {
        let mut settings = pool::v2::Config {
            unix_start: UNIX_NOW,
            difficulty: Some(Difficulty::new(1e-12).unwrap()),
            share_batch: 1,
            job_interval: Duration::from_secs(7),
            block_interval: Duration::from_secs(31),
            vardiff: VardiffConfig {
                shares_per_minute: 0.0,
                ..VardiffConfig::default()
            },
            quirks: switches.parse().unwrap(),
            ..pool::v2::Config::default()
        };
        tweak(&mut settings);
        let core = Core::new(settings).unwrap();
        let url = core.url("pool.example:34254").parse().unwrap();
        let mut config = Config::new(url, "alice.rig");
        config.channel = kind;
        config.nominal_hashrate = 1e6;
        let mut world = Self {
            core,
            session: Session::new(config, 7, Sequence::new()).unwrap(),
            now: Duration::ZERO,
            connection: None,
            connections: 0,
            hosts: Vec::new(),
            job: None,
            counter: 0,
            events: Vec::new(),
        };
        world.session.start(world.now);
        world.settle();
        world
    }

    /// Carries bytes to and fro until nobody has anything to say.
    fn settle(&mut self) {
        loop {
            let mut quiet = true;
            while let Some(action) = self.session.poll_action() {
                quiet = false;
                self.act(action);
            }
            while let Some(bytes) = self.session.poll_transmit() {
                quiet = false;
                if let Some(connection) = self.connection {
                    self.core.handle_bytes(self.now, connection, &bytes);
                }
            }
            while let Some((to, bytes)) = self.core.poll_transmit() {
                quiet = false;
                if self.connection == Some(to) {
                    self.session.handle_bytes(self.now, &bytes);
                }
            }
            while let Some((whom, _)) = self.core.poll_close() {
                quiet = false;
                if self.connection == Some(whom) {
                    self.connection = None;
                    self.session.disconnected(self.now, Reason::PeerClosed);
                }
            }
            while let Some(event) = self.session.poll_event() {
                match &event {
                    Event::Job(job) => self.job = Some(job.clone()),
                    Event::NoJob => self.job = None,
                    _ => {}
                }
                self.events.push(event);
            }
            while self.core.poll_event().is_some() {}
            if quiet {
                return;
            }
        }
    }

    fn act(&mut self, action: Action) {
        if let Some(old) = self.connection.take() {
            self.core.disconnect(self.now, old);
        }
        if let Action::Connect { host, port } = action {
            self.connections += 1;
            let connection = ConnectionId(self.connections);
            self.hosts.push((host, port));
            self.core.connect(self.now, connection).unwrap();
            self.connection = Some(connection);
            let opening = Opening {
                unix_time: Duration::from_secs(UNIX_NOW) + self.now,
                entropy: [self.connections as u8; 32],
            };
            self.session.connected(self.now, opening);
        }
    }

    /// Lets seconds pass, each with a share at its end.
    fn mine(&mut self, seconds: u32) {
        for _ in 0..seconds {
            self.wait(Duration::from_secs(1));
            if let Some(job) = self.job.clone()
                && let Some(share) = self.find(&job)
            {
                let _ = self.session.submit(self.now, share);
                self.settle();
            }
        }
    }

    fn wait(&mut self, time: Duration) {
        let end = self.now + time;
        loop {
            let timeouts = [self.session.poll_timeout(), self.core.poll_timeout()];
            let Some(due) = timeouts
                .into_iter()
                .flatten()
                .min()
                .filter(|due| *due <= end)
            else {
                break;
            };
            self.now = self.now.max(due);
            self.session.handle_timeout(self.now);
            self.core.handle_timeout(self.now);
            self.settle();
        }
        self.now = end;
    }

    /// Searches for a share as a miner does, with another crate's SHA-256.
    fn find(&mut self, job: &Arc<Job>) -> Option<Share> {
        const PATIENCE: u32 = 300;
        for _ in 0..PATIENCE {
            self.counter += 1;
            let number = self.counter.to_be_bytes();
            let mut extranonce2 = vec![0; job.extranonce2_len];
            for (to, from) in extranonce2.iter_mut().rev().zip(number.iter().rev()) {
                *to = *from;
            }
            let root = job.fixed_root.unwrap_or_else(|| {
                let coinbase = [
                    &job.coinbase1[..],
                    &job.extranonce1,
                    &extranonce2,
                    &job.coinbase2,
                ]
                .concat();
                job.merkle_branch
                    .iter()
                    .fold(double_sha(&coinbase), |left, right| {
                        double_sha(&[left, *right].concat())
                    })
            });
            let rolled = (self.counter << 13) & job.rollable_mask();
            let version = job.version | rolled;
            let ntime = job.ntime + (self.now - job.received).as_secs() as u32;
            let mut header = version.to_le_bytes().to_vec();
            header.extend_from_slice(&job.prev_hash);
            header.extend_from_slice(&root);
            for field in [ntime, job.nbits, self.counter] {
                header.extend_from_slice(&field.to_le_bytes());
            }
            let hash = double_sha(&header);
            if job.target.is_met_by(&hash) {
                return Some(Share {
                    job: job.clone(),
                    extranonce2,
                    ntime,
                    nonce: self.counter,
                    version,
                    hash,
                });
            }
        }
        None
    }

    fn end(&self) -> Reason {
        self.events
            .iter()
            .find_map(|event| match event {
                Event::Disconnected { reason, .. } => Some(reason.clone()),
                _ => None,
            })
            .expect("the connection ended")
    }

    fn has_ended(&self) -> bool {
        self.events
            .iter()
            .any(|event| matches!(event, Event::Disconnected { .. }))
    }

    /// What must be true whatever the pool does: no good share is refused, and both sides and
    /// both checks of the pool count the same.
    #[track_caller]
    fn check_agreement(&self, what: &str) {
        let (ours, theirs) = (self.session.stats(), self.core.stats());
        assert_eq!(ours.rejected, 0, "{what}: {:?}", ours.rejects);
        assert_eq!(theirs.disagreements, 0, "{what}");
        assert!(ours.accepted <= theirs.accepted, "{what}");
    }
}

fn double_sha(bytes: &[u8]) -> [u8; 32] {
    Sha256::digest(Sha256::digest(bytes)).into()
}

const BOTH: [ChannelKind; 2] = [ChannelKind::Extended, ChannelKind::Standard];

#[test]
fn mining_over_blocks_and_new_jobs_loses_no_share() {
    for kind in BOTH {
        let mut world = World::new(kind, "");
        world.mine(400);
        world.check_agreement("");
        let (ours, theirs) = (world.session.stats(), world.core.stats());
        assert_eq!((ours.accepted, theirs.accepted), (400, 400));
        assert_eq!((ours.dropped, ours.unconfirmed), (0, 0));
        assert_eq!(ours.connects, 1);
        assert!(theirs.blocks_seen >= 12 && ours.jobs > 50, "{ours:?}");
    }
}

#[test]
fn acknowledgements_in_batches_leave_only_the_last_one_open() {
    let mut world = World::with(ChannelKind::Extended, "", |config| config.share_batch = 10);
    world.mine(205);
    world.check_agreement("");
    assert_eq!(world.session.stats().accepted, 200);
    world.session.stop(world.now);
    assert_eq!(world.session.stats().unconfirmed, 5);
}

#[test]
fn what_a_pool_may_do_costs_no_share() {
    for switches in [
        "to-channel",
        "version-bits-in-job",
        "no-version-rolling",
        "setup-flags=1",
        "witness-in-coinbase",
        "big-suffix",
        "branches",
        "duplicate-job",
        "future-flood",
        "unknown-prevhash",
        "job-before-open",
        "target-max",
        "target-to-group",
        "set-extranonce-prefix",
        "set-group-channel",
        "ack-delay",
        "ack-twice",
        "ack-unsent",
        "coalesced",
        "byte-by-byte",
        "unknown-messages",
        "set-extranonce-prefix=1,set-group-channel=1,unknown-messages,duplicate-job,coalesced",
    ] {
        for kind in BOTH {
            let what = format!("{switches} on {kind:?}");
            let mut world = World::new(kind, switches);
            world.mine(40);
            world.wait(Duration::from_secs(10));
            world.check_agreement(&what);
            let ours = world.session.stats();
            assert!(!world.has_ended(), "{what}: {}", world.end());
            assert_eq!(ours.accepted, ours.submitted, "{what}");
            assert!(ours.accepted >= 39, "{what}: {ours:?}");
        }
    }
}

#[test]
fn after_each_forced_reconnect_mining_goes_on() {
    for (switches, port) in [
        ("reconnect-same", 34254),
        ("reconnect-port", 34255),
        ("reconnect-foreign", 34254),
        ("close-channel", 34254),
        ("close-group", 34254),
        ("drop-after", 34254),
    ] {
        for kind in BOTH {
            let what = format!("{switches} on {kind:?}");
            let mut world = World::new(kind, switches);
            world.mine(50);
            world.check_agreement(&what);
            let ours = world.session.stats();
            assert!(ours.connects >= 3, "{what}: {ours:?}");
            assert!(ours.accepted >= 15, "{what}: {ours:?}");
            assert_eq!(world.hosts[1].1, port, "{what}");
            let foreign = switches == "reconnect-foreign";
            assert_eq!(world.hosts[1].0 != "pool.example", foreign, "{what}");
        }
    }
}

/// How a session puts it that a pool cannot be mined on.
fn complaint(kind: ChannelKind, switches: &str) -> Reason {
    let mut world = World::new(kind, switches);
    for _ in 0..400 {
        if world.has_ended() {
            return world.end();
        }
        world.mine(1);
    }
    panic!("nothing was wrong with {switches}");
}

#[test]
fn what_makes_mining_impossible_is_said_in_plain_words() {
    for (switches, words) in [
        ("plain-text=0", "wrong protocol: a Stratum V1 pool"),
        ("plain-text=1", "wrong protocol: a web server"),
        ("plain-text=2", "wrong protocol: a TLS server"),
        ("plain-text=3", "encryption with the pool failed"),
        ("silent-handshake", "stayed silent"),
        ("close-in-handshake", "closed the connection instead"),
        ("short-handshake", "closed the connection instead"),
        ("wrong-key", "certificate of the authority key"),
        ("certificate-expired", "has run out"),
        ("certificate-not-yet-valid", "check the clock"),
        ("silent-after-handshake", "SetupConnection was not answered"),
        ("setup-error=0", "the pool refused the connection"),
        ("setup-error=1", "not for mining"),
        ("setup-error=2", "another version"),
        ("setup-error=3", "the pool refused the connection"),
        ("silent-open", "the request for a channel was not answered"),
        ("open-error=0", "check the pool's user setting"),
        ("open-error=1", "the pool is full"),
        ("open-error=2", "opened no channel"),
        ("open-error=3", "gives no reason"),
        ("open-error=4", "opened no channel"),
        ("old-open-success", "old SV2 server"),
        ("false-extranonce-size", "bytes of extranonce"),
        ("silence", "no job"),
        ("short-message", "cut off or malformed"),
        ("truncated-frame", "closed the connection"),
        ("oversized-frame", "expected at most"),
        ("bad-mac", "could not be decrypted"),
    ] {
        let reason = complaint(ChannelKind::Extended, switches).to_string();
        assert!(reason.contains(words), "{switches}: {reason}");
    }
    let reason = complaint(ChannelKind::Standard, "setup-flags=2").to_string();
    assert!(reason.contains("extended channels only"), "{reason}");
}

#[test]
fn a_pool_that_is_not_ready_yet_is_tried_again() {
    let mut world = World::new(ChannelKind::Extended, "busy-at-start");
    world.mine(60);
    assert!(matches!(world.end(), Reason::ChannelRefused(_)));
    world.check_agreement("");
    assert_eq!(world.session.stats().connects, 3);
    assert!(world.session.stats().accepted > 10);
}

#[test]
fn targets_that_are_never_met_bring_a_warning_and_no_shares() {
    for (switches, words) in [("target-zero", "no hash can meet"), ("target-one", "years")] {
        let mut world = World::new(ChannelKind::Extended, switches);
        world.mine(20);
        let warned = world
            .events
            .iter()
            .any(|event| matches!(event, Event::Warning(text) if text.contains(words)));
        assert!(warned, "{switches}");
        assert_eq!(world.session.stats().submitted, 0);
    }
}

#[test]
fn refusals_of_good_shares_are_counted_by_kind() {
    for (number, kind) in [
        (0, RejectKind::LowDifficulty),
        (1, RejectKind::Stale),
        (2, RejectKind::Duplicate),
        (3, RejectKind::Stale),
        (4, RejectKind::Other),
        (5, RejectKind::Unexplained),
        (6, RejectKind::Other),
    ] {
        let switches = format!("reject-all={number}");
        let mut world = World::new(ChannelKind::Extended, &switches);
        world.mine(5);
        let stats = world.session.stats();
        assert_eq!((stats.accepted, stats.rejected), (0, 5), "{switches}");
        assert_eq!(stats.rejects[0].kind, kind, "{switches}");
    }
}

#[test]
fn shares_that_are_never_answered_are_unconfirmed_in_the_end() {
    let mut world = World::new(ChannelKind::Extended, "ack-never");
    world.mine(30);
    world.session.stop(world.now);
    let stats = world.session.stats();
    assert_eq!(
        (stats.accepted, stats.rejected, stats.unconfirmed),
        (0, 0, 30)
    );
}
