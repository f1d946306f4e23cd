//! A session with its transport against the embedded pool, which checks every share with code
//! of its own, under each of the peculiarities that pools have. Minutes of mining, in no time.

mod support;

use std::time::Duration;

use pool::{Difficulty, PoolConfig, PoolCore, PoolHandle, Quirk, Quirks, VardiffConfig, embed};
use stratum::v1::{Session, VersionBitsForm};
use stratum::{Event, RejectKind, Stats};
use support::config;
use support::rig::{Pipes, Rig};
use tokio::sync::mpsc;

/// What came of mining with a pool.
struct Outcome {
    session: Session,
    stats: Stats,
    events: Vec<Event>,
    hosts: Vec<String>,
    /// Shares that the pool says it accepted.
    pool_accepted: u64,
}

impl Outcome {
    fn reasons(&self) -> Vec<String> {
        let reason = |event: &Event| match event {
            Event::Disconnected { reason, .. } => Some(reason.to_string()),
            _ => None,
        };
        self.events.iter().filter_map(reason).collect()
    }
}

/// Shares at 21 to 86 hashes each, updates every 20 s, a block every minute.
fn easy(quirks: Quirks) -> PoolConfig {
    let difficulty = |value| Difficulty::new(value).unwrap();
    PoolConfig {
        job_interval: Duration::from_secs(20),
        block_interval: Duration::from_secs(60),
        vardiff: VardiffConfig {
            start: difficulty(5e-9),
            min: difficulty(1e-9),
            max: difficulty(2e-8),
            shares_per_minute: 20.0,
            window: Duration::from_secs(10),
        },
        quirks,
        ..PoolConfig::default()
    }
}

async fn mine(pool: PoolConfig, time: Duration) -> Outcome {
    let (pool_events, _drain) = mpsc::channel(16);
    let (handle, driver) = embed(PoolCore::new(pool).unwrap(), pool_events);
    let pool_task = tokio::spawn(driver.run(std::future::pending()));
    let dialled: PoolHandle = handle.clone();
    let pipes = Pipes::new(move |_, _| {
        let (ours, theirs) = tokio::io::duplex(64 * 1024);
        dialled.attach(theirs);
        Ok(Box::new(ours))
    });
    let mut rig = Rig::start(config(), pipes.clone());
    rig.mine(time).await;
    // What is on its way arrives.
    tokio::time::sleep(Duration::from_secs(5)).await;
    let pool_accepted = handle.stats().accepted;
    let stats = rig.stats.borrow().clone();
    let (session, events) = rig.stop().await;
    pool_task.abort();
    Outcome {
        session: *session,
        stats,
        events,
        hosts: pipes.hosts(),
        pool_accepted,
    }
}

async fn with(quirks: &str) -> Outcome {
    mine(easy(quirks.parse().unwrap()), Duration::from_secs(80)).await
}

/// Shares flow, none is rejected or lost, and both sides agree on the number.
fn assert_mines(outcome: &Outcome, quirks: &str) {
    let stats = &outcome.stats;
    assert!(
        stats.accepted >= 30,
        "{quirks}: {stats:?} {:?}",
        outcome.reasons()
    );
    assert_eq!(stats.rejected, 0, "{quirks}: {stats:?}");
    assert_eq!(stats.unconfirmed, 0, "{quirks}: {stats:?}");
    assert_eq!(stats.accepted, outcome.pool_accepted, "{quirks}");
}

/// The connection is given up with this reason, again and again, but not all the time.
async fn assert_leaves(quirks: &str, reason: &str) {
    let pool = easy(quirks.parse().unwrap());
    let outcome = mine(pool, Duration::from_secs(150)).await;
    let reasons = outcome.reasons();
    let attempts = reasons.len();
    assert!(reasons[0].contains(reason), "{quirks}: {}", reasons[0]);
    assert!(
        (2..=25).contains(&attempts),
        "{quirks}: {attempts} attempts"
    );
    assert_eq!(outcome.stats.rejected, 0, "{quirks}");
}

#[tokio::test(start_paused = true)]
async fn a_pool_without_quirks_accepts_everything() {
    let outcome = with("").await;
    assert_mines(&outcome, "none");
    assert_eq!(outcome.stats.connects, 1);
    assert_eq!(outcome.stats.dropped, 0);
    assert_eq!(outcome.stats.version_mask, support::MASK);
}

#[tokio::test(start_paused = true)]
async fn peculiar_but_honest_pools_are_mined_for() {
    for quirks in [
        "answer-null",
        "answer-null-text",
        "answer-error-text",
        "answer-reject-reason",
        "answer-bare-false",
        "answer-error-object",
        "absent-id",
        "numeric-id",
        "id-as-string",
        "version-or",
        "version-xor",
        "version-or,version-bits-in-job",
        "version-bits-in-job",
        "early-version-mask",
        "narrow-version-mask",
        "configure-disconnects",
        "configure-silent",
        "configure-refused",
        "configure-false",
        "unknown-disconnects",
        "authorize-silent",
        "early-job",
        "job-before-authorize-answer",
        "no-resume",
        "no-session-id",
        "difficulty-float",
        "difficulty-digits",
        "difficulty-at-once",
        "ignore-suggest",
        "notify-8",
        "notify-10",
        "duplicate-notify",
        "set-extranonce",
        "reconnect-same",
        "reconnect-foreign",
        "ping",
        "get-version",
        "show-message",
        "poisoned-job",
        "coalesced",
        "byte-by-byte",
        "crlf",
        "unknown-method",
        "drop-after=7",
    ] {
        let outcome = with(quirks).await;
        assert_mines(&outcome, quirks);
        assert!(
            outcome.hosts.iter().all(|host| host == "eu.pool.example"),
            "{quirks}"
        );
    }
}

#[tokio::test(start_paused = true)]
async fn pools_that_make_no_sense_are_left_and_tried_again() {
    for (quirks, reason) in [
        ("refuse-authorize", "check the pool's user setting"),
        ("subscribe-silent", "mining.subscribe was not answered"),
        ("difficulty-zero", "the difficulty is 0"),
        ("difficulty-negative", "the difficulty is -1"),
        ("difficulty-nan", "no JSON object"),
        ("difficulty-huge", "no JSON object"),
        ("difficulty-text", "the difficulty is \"easy\""),
        ("notify-bad-hex", "coinbase"),
        ("notify-wrong-types", "job's"),
        ("notify-branches", "merkle branch"),
        ("notify-big-coinbase", "line of more than"),
        ("notify-big-coinbase=100", "coinbase"),
        ("notify-truncated", "no JSON object"),
        ("silence", "no job within 60s"),
        ("garbage", "does not send lines of text"),
        ("huge-line", "line of more than"),
        ("bad-extranonce2-size", "extranonce2 size is 200"),
        ("bad-extranonce1-size", "extranonce1"),
        ("extranonce1-not-hex", "extranonce1"),
        ("wrong-types", "the answer to mining.subscribe"),
    ] {
        assert_leaves(quirks, reason).await;
    }
}

#[test]
fn every_quirk_of_the_embedded_pool_is_tried_here() {
    let source = include_str!("pool_quirks.rs");
    for quirk in Quirk::ALL {
        assert!(source.contains(quirk.name()), "{}", quirk.name());
    }
}

#[tokio::test(start_paused = true)]
async fn the_form_of_version_bits_is_found_out_when_it_matters() {
    let outcome = with("version-xor,version-bits-in-job").await;
    assert_eq!(outcome.stats.rejected, 5, "{:?}", outcome.stats);
    assert!(outcome.stats.accepted >= 30);
    assert_eq!(
        outcome.session.memory().version_bits,
        VersionBitsForm::Changed
    );
}

#[tokio::test(start_paused = true)]
async fn a_pool_that_never_answers_shares_gets_them_all_the_same() {
    let outcome = with("answer-never").await;
    let stats = &outcome.stats;
    assert_eq!((stats.accepted, stats.rejected), (0, 0));
    assert!(
        outcome.pool_accepted >= 30 && stats.unconfirmed > 0,
        "{stats:?}"
    );
    assert_eq!(stats.connects, 1, "its jobs show that it lives");
}

#[tokio::test(start_paused = true)]
async fn integer_difficulties_are_too_hard_here_but_jobs_flow() {
    let outcome = with("difficulty-integer").await;
    assert!(outcome.stats.jobs >= 4);
    assert_eq!((outcome.stats.difficulty, outcome.stats.rejected), (1.0, 0));
}

#[tokio::test(start_paused = true)]
async fn rejects_of_every_form_are_counted_as_what_they_are() {
    for (quirks, kind) in [
        ("reject-all", RejectKind::LowDifficulty),
        ("reject-all=21,answer-null-text", RejectKind::Stale),
        ("reject-all=22,answer-error-object", RejectKind::Duplicate),
        ("reject-all=23,answer-reject-reason", RejectKind::Other),
        ("reject-all=24,answer-null", RejectKind::Unauthorized),
        ("reject-all=23,answer-bare-false", RejectKind::Unexplained),
    ] {
        let outcome = with(quirks).await;
        let stats = &outcome.stats;
        assert_eq!(stats.accepted, 0, "{quirks}");
        assert_eq!(stats.rejects.len(), 1, "{quirks}: {stats:?}");
        assert_eq!(stats.rejects[0].kind, kind, "{quirks}: {stats:?}");
        assert!(stats.rejected >= 30, "{quirks}: {stats:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_pool_that_falls_silent_is_left_after_three_minutes() {
    let quirks: Quirks = "silence=70".parse().unwrap();
    let outcome = mine(easy(quirks), Duration::from_secs(300)).await;
    assert!(
        outcome.reasons()[0].contains("no new job for 180s"),
        "{:?}",
        outcome.reasons()
    );
}

#[tokio::test(start_paused = true)]
async fn shares_of_a_lost_connection_count_once() {
    let outcome = with("drop-unanswered=3").await;
    let stats = &outcome.stats;
    assert!(stats.resumes > 3 && stats.accepted >= 30, "{stats:?}");
    assert!(
        stats.submitted > stats.accepted,
        "some were sent twice: {stats:?}"
    );
    assert_eq!(stats.rejected, 0, "{stats:?}");
    // Where another job came during the outage, the answer stays unknown.
    assert!(stats.unconfirmed + stats.dropped <= 8, "{stats:?}");
    assert_eq!(stats.accepted + stats.unconfirmed, outcome.pool_accepted);
}

#[tokio::test(start_paused = true)]
async fn while_a_clean_job_trickles_in_shares_may_go_stale_but_nothing_else() {
    let outcome = with("slow-loris=2").await;
    let stats = &outcome.stats;
    assert!(stats.accepted >= 50, "{stats:?}");
    assert!(
        stats
            .rejects
            .iter()
            .all(|reject| reject.kind == RejectKind::Stale),
        "{stats:?}"
    );
}

#[tokio::test(start_paused = true)]
async fn a_slow_pool_is_given_up_before_it_is_useful() {
    let outcome = with("slow-loris").await;
    assert!(
        outcome.reasons()[0].contains("within"),
        "{:?}",
        outcome.reasons()
    );
    assert_eq!(outcome.stats.rejected, 0);
}
