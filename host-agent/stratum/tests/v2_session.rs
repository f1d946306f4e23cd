//! What a session does with the messages of a server, and when, below the encryption.
#![cfg(feature = "sv2")]

#[path = "v2_support/mod.rs"]
mod support;

use std::time::Duration;

use mining::Target;
use sha2::{Digest, Sha256};
use stratum::{Action, AuthorityKey, Event, Reason, Refusal, RejectKind, Session as _};
use support::{EASY, Fields, Rig, TIP_TIME, share};

/// The kinds of the messages that a session sent.
fn kinds(rig: &Rig) -> Vec<u8> {
    rig.sent.iter().map(|frame| frame[2]).collect()
}

#[test]
fn the_connection_is_set_up_and_an_extended_channel_opened() {
    let mut rig = Rig::plain(support::config());
    let setup = rig.sent.pop_front().unwrap();
    let mut fields = Fields::of(&setup);
    fields.bytes(5);
    assert_eq!(fields.u32(), 4);
    fields.short();
    fields.u16();
    assert_eq!(fields.short(), b"hashwright");
    fields.short();
    assert!(fields.short().starts_with(b"hashwright/"));
    assert_eq!(fields.short(), b"", "no device is named by default");
    rig.feed(&support::setup_done(0));
    let open = rig.sent.pop_front().unwrap();
    assert_eq!(open[..3], [0, 0, 0x13]);
    let mut fields = Fields::of(&open);
    assert_eq!(fields.u32(), 1);
    assert_eq!(fields.short(), b"alice.rig");
    assert_eq!(f32::from_bits(fields.u32()), 50_000.0);
    assert_eq!(fields.u256(), [0xff; 32]);
    assert_eq!(fields.u16(), 4);
    rig.events.clear();
    rig.feed(&support::opened_extended(1, 2, &EASY, 8, &[7; 4], 1));
    let difficulty = Target::from_le_bytes(EASY).difficulty();
    assert_eq!(
        rig.events,
        [
            Event::Subscribed { resumed: false },
            Event::Authorized,
            Event::VersionMask(0x1fff_e000),
            Event::Difficulty(difficulty),
        ]
    );
}

#[test]
fn a_standard_channel_is_asked_for_with_its_flag() {
    let mut rig = Rig::plain(support::standard());
    let setup = rig.sent.pop_front().unwrap();
    let mut fields = Fields::of(&setup);
    fields.bytes(5);
    assert_eq!(fields.u32(), 5);
    rig.feed(&support::setup_done(0));
    assert_eq!(kinds(&rig), [0x10]);
}

#[test]
fn the_servers_flags_are_read_bit_by_bit() {
    // No version rolling for anybody; a bit that means nothing yet.
    for flags in [1, 1 | 1 << 7] {
        let mut rig = Rig::plain(support::config());
        rig.feed(&support::setup_done(flags));
        rig.feed(&support::opened_extended(1, 2, &EASY, 8, &[7; 4], 1));
        rig.feed(&support::job(2, 1, None));
        rig.feed(&support::tip(2, 1, 1));
        assert_eq!(rig.job().version_mask, 0);
    }
    // Extended channels only.
    let mut rig = Rig::plain(support::config());
    rig.feed(&support::setup_done(2));
    assert_eq!(rig.ends(), []);
    let mut rig = Rig::plain(support::standard());
    rig.feed(&support::setup_done(2));
    assert!(matches!(rig.end(), Reason::SetupRefused(_)));
    assert!(rig.end().to_string().contains("\"extended\""));
}

#[test]
fn a_future_job_waits_for_the_tip_that_names_it() {
    let mut rig = Rig::open();
    rig.feed(&support::job(2, 1, None));
    rig.feed(&support::job(2, 2, None));
    assert_eq!(rig.jobs().len(), 0);
    rig.feed(&support::tip(2, 2, 5));
    let job = rig.job();
    assert_eq!(job.id, "2");
    assert_eq!(job.prev_hash, [5; 32]);
    assert_eq!((job.ntime, job.nbits), (TIP_TIME, 0x1703_4567));
    assert_eq!(job.received, rig.now);
    assert_eq!(job.extranonce1, [7; 4]);
    assert_eq!(job.extranonce2_len, 8);
    assert_eq!(job.coinbase1, [2; 41]);
    assert_eq!(job.coinbase2, [2; 50]);
    assert_eq!(job.merkle_branch, [[2; 32], [3; 32]]);
    // The other future job is void by now.
    rig.feed(&support::tip(2, 1, 6));
    assert_eq!(rig.events.last(), Some(&Event::NoJob));
    assert_eq!(rig.jobs().len(), 1);
}

#[test]
fn a_tip_that_names_no_job_voids_the_work_but_not_the_jobs_to_come() {
    let (mut rig, old) = Rig::mining();
    rig.feed(&support::job(2, 2, None));
    rig.feed(&support::tip(2, 77, 2));
    assert_eq!(rig.events, [Event::NoJob]);
    assert_eq!(rig.submit(share(&old, 1)), Err(Refusal::UnknownJob));
    rig.feed(&support::tip(2, 2, 3));
    assert_eq!(rig.job().prev_hash, [3; 32]);
}

#[test]
fn a_tip_said_twice_voids_nothing() {
    let (mut rig, job) = Rig::mining();
    let said = rig.events.len();
    // To the channel, after it was said to its group.
    rig.feed(&support::tip(1, 1, 1));
    assert_eq!(rig.events.len(), said);
    assert_eq!(rig.submit(share(&job, 1)), Ok(()));
}

#[test]
fn a_job_for_the_tip_is_taken_when_the_tip_came_without_one() {
    let mut rig = Rig::open();
    rig.feed(&support::tip(2, 77, 2));
    rig.feed(&support::job(2, 1, Some(TIP_TIME)));
    assert_eq!((rig.job().id.as_str(), rig.job().prev_hash), ("1", [2; 32]));
}

#[test]
fn a_new_tip_voids_all_earlier_work() {
    let (mut rig, first) = Rig::mining();
    rig.feed(&support::job(1, 2, Some(TIP_TIME)));
    let second = rig.job();
    assert_eq!(first.generation, second.generation);
    rig.feed(&support::job(1, 3, None));
    rig.feed(&support::tip(1, 3, 2));
    let third = rig.job();
    assert!(third.generation > second.generation);
    for old in [&first, &second] {
        assert_eq!(rig.submit(share(old, 1)), Err(Refusal::UnknownJob));
    }
    assert_eq!(rig.submit(share(&third, 1)), Ok(()));
    assert_eq!(rig.session.stats().dropped, 2);
}

#[test]
fn late_shares_of_sixteen_jobs_on_the_same_tip_are_still_sent() {
    let (mut rig, first) = Rig::mining();
    let mut jobs = vec![first];
    for id in 2..=16 {
        rig.feed(&support::job(1, id, Some(TIP_TIME)));
        jobs.push(rig.job());
    }
    for job in &jobs {
        assert_eq!(rig.submit(share(job, 1)), Ok(()), "job {}", job.id);
    }
    let named: Vec<u32> = rig
        .sent
        .iter()
        .map(|frame| {
            let mut fields = Fields::of(frame);
            fields.bytes(8);
            fields.u32()
        })
        .collect();
    assert_eq!(named, (1..=16).collect::<Vec<_>>());
}

#[test]
fn a_job_for_the_tip_at_hand_starts_at_the_time_that_has_come_since() {
    let (mut rig, _) = Rig::mining();
    rig.pass(100.7);
    rig.feed(&support::job(1, 2, Some(TIP_TIME)));
    let job = rig.job();
    assert_eq!(job.ntime, TIP_TIME + 100);
    assert_eq!(job.received, rig.now);
    // A job may demand a later time than that.
    rig.feed(&support::job(1, 3, Some(TIP_TIME + 500)));
    assert_eq!(rig.job().ntime, TIP_TIME + 500);
}

#[test]
fn a_job_that_is_announced_twice_is_begun_once() {
    let (mut rig, _) = Rig::mining();
    rig.feed(&support::job(1, 2, Some(TIP_TIME)));
    rig.feed(&support::job(2, 2, Some(TIP_TIME)));
    assert_eq!(rig.jobs().len(), 1);
}

#[test]
fn at_most_sixteen_future_jobs_are_kept() {
    let mut rig = Rig::open();
    for id in 1..=17 {
        rig.feed(&support::job(2, id, None));
    }
    rig.feed(&support::tip(2, 1, 1));
    assert_eq!(rig.jobs().len(), 0);
    for id in 1..=17 {
        rig.feed(&support::job(2, id, None));
    }
    rig.feed(&support::tip(2, 2, 2));
    assert_eq!(rig.job().id, "2");
}

#[test]
fn a_new_target_counts_for_later_and_future_jobs_only() {
    let (mut rig, running) = Rig::mining();
    rig.feed(&support::job(2, 2, None));
    let mut hard = EASY;
    hard[29] = 0x3f;
    rig.feed(&support::set_target(1, &hard));
    let hard = Target::from_le_bytes(hard);
    assert_eq!(
        rig.events.last(),
        Some(&Event::Difficulty(hard.difficulty()))
    );
    assert_eq!(rig.jobs().len(), 0, "the running job keeps its target");
    rig.submit(share(&running, 1)).unwrap();
    rig.feed(&support::accepted(2, 1, 1));
    let worth = Target::from_le_bytes(EASY).difficulty();
    assert_eq!(rig.session.stats().accepted_difficulty, worth);
    rig.feed(&support::job(2, 3, Some(TIP_TIME)));
    assert_eq!(rig.job().target, hard);
    rig.feed(&support::tip(2, 2, 2));
    assert_eq!(rig.job().target, hard);
}

#[test]
fn a_new_extranonce_prefix_counts_for_later_jobs_only() {
    let (mut rig, running) = Rig::mining();
    rig.feed(&support::job(2, 2, None));
    rig.feed(&support::set_prefix(2, &[8, 8]));
    assert_eq!(rig.submit(share(&running, 1)), Ok(()));
    rig.feed(&support::job(2, 3, Some(TIP_TIME)));
    assert_eq!(rig.job().extranonce1, [8, 8]);
    rig.feed(&support::tip(2, 2, 2));
    assert_eq!(rig.job().extranonce1, [7; 4]);
    // Too long for a coinbase that holds 32 bytes of extranonce in all.
    rig.feed(&support::set_prefix(2, &[8; 25]));
    assert!(matches!(rig.end(), Reason::Protocol(_)));
}

#[test]
fn messages_reach_the_channel_by_its_own_number_and_by_its_group() {
    let (mut rig, _) = Rig::mining();
    rig.feed(&support::job(1, 2, Some(TIP_TIME)));
    assert_eq!(rig.job().id, "2");
    rig.feed(&support::job(3, 3, Some(TIP_TIME)));
    assert_eq!(rig.job().id, "2", "channel 3 is not ours");
    assert_eq!(rig.session.stats().ignored, 1);
    rig.feed(&support::set_group(5, &[9, 2]));
    rig.feed(&support::job(1, 4, Some(TIP_TIME)));
    assert_eq!(rig.job().id, "2", "group 1 is ours no more");
    rig.feed(&support::job(5, 5, Some(TIP_TIME)));
    assert_eq!(rig.job().id, "5");
    rig.feed(&support::set_group(6, &[9]));
    rig.feed(&support::job(5, 6, Some(TIP_TIME)));
    assert_eq!(rig.job().id, "6");
}

#[test]
fn shares_carry_everything_that_the_server_needs() {
    let (mut rig, job) = Rig::mining();
    let mut one = share(&job, 0xdead_beef);
    one.version |= 0x0000_2000;
    one.ntime += 3;
    rig.submit(one).unwrap();
    let sent = rig.sent.pop_front().unwrap();
    assert_eq!(sent[..3], [0, 0x80, 0x1b]);
    let mut fields = Fields::of(&sent);
    assert_eq!((fields.u32(), fields.u32(), fields.u32()), (2, 1, 1));
    assert_eq!(fields.u32(), 0xdead_beef);
    assert_eq!(fields.u32(), TIP_TIME + 3);
    assert_eq!(fields.u32(), 0x2000_2000);
    assert_eq!(fields.short(), [9; 8]);
    assert!(fields.0.is_empty());
}

#[test]
fn worthless_shares_are_not_sent() {
    let (mut rig, job) = Rig::mining();
    let mut short = share(&job, 1);
    short.extranonce2.pop();
    let mut early = share(&job, 2);
    early.ntime -= 1;
    let mut late = share(&job, 3);
    late.ntime += 7201;
    let mut bits = share(&job, 4);
    bits.version |= 1;
    let mut foreign = share(&job, 5);
    let mut other = mining::Job::clone(&job);
    other.session += 1;
    foreign.job = other.into();
    for (share, refusal) in [
        (short, Refusal::Extranonce2Length),
        (early, Refusal::TimeOutOfRange),
        (late, Refusal::TimeOutOfRange),
        (bits, Refusal::VersionBits),
        (foreign, Refusal::OtherSession),
    ] {
        assert_eq!(rig.submit(share), Err(refusal));
    }
    assert!(rig.sent.is_empty());
    assert_eq!(rig.session.stats().dropped, 5);
    // Rolling is up to each job.
    let byte = [1; 50];
    rig.feed(&support::job_with(
        2,
        2,
        Some(TIP_TIME),
        false,
        &[],
        &byte,
        &byte,
    ));
    let fixed = rig.job();
    assert_eq!(fixed.version_mask, 0);
    let mut rolled = share(&fixed, 6);
    rolled.version |= 0x2000;
    assert_eq!(rig.submit(rolled), Err(Refusal::VersionBits));
}

#[test]
fn an_acceptance_covers_all_numbers_up_to_its_own_that_had_no_error() {
    let (mut rig, job) = Rig::mining();
    for nonce in 1..=6 {
        rig.pass(1.0);
        rig.submit(share(&job, nonce)).unwrap();
    }
    rig.feed(&support::refused(2, 2, "difficulty-too-low"));
    rig.feed(&support::refused(2, 4, "stale-share"));
    rig.feed(&support::accepted(2, 5, 3));
    let stats = rig.session.stats();
    assert_eq!((stats.accepted, stats.rejected, stats.stale), (3, 2, 1));
    assert_eq!(stats.open, 1);
    let accepted: Vec<_> = rig
        .events
        .iter()
        .filter_map(|event| match event {
            Event::ShareAccepted(receipt) => Some((receipt.share.nonce, receipt.latency)),
            _ => None,
        })
        .collect();
    let seconds = Duration::from_secs;
    assert_eq!(
        accepted,
        [(1, seconds(5)), (3, seconds(3)), (5, seconds(1))]
    );
    // What is answered stays answered.
    rig.feed(&support::accepted(2, 5, 3));
    rig.feed(&support::refused(2, 2, "stale-share"));
    let stats = rig.session.stats();
    assert_eq!((stats.accepted, stats.rejected), (3, 2));
    assert_eq!(stats.ignored, 2);
    // A number that was never given out covers what was sent, not what will be.
    rig.feed(&support::accepted(2, 1006, 1001));
    rig.submit(share(&job, 7)).unwrap();
    let stats = rig.session.stats();
    assert_eq!((stats.accepted, stats.open), (4, 1));
}

#[test]
fn shares_without_answer_at_the_end_are_unconfirmed_and_not_sent_again() {
    let (mut rig, job) = Rig::mining();
    for nonce in 1..=3 {
        rig.submit(share(&job, nonce)).unwrap();
    }
    rig.feed(&support::accepted(2, 1, 1));
    rig.disconnect(Reason::PeerClosed);
    let stats = rig.session.stats();
    assert_eq!((stats.accepted, stats.unconfirmed), (1, 2));
    assert!(rig.events.contains(&Event::NoJob));
    rig.pass(2.0);
    rig.sent.clear();
    rig.connect();
    assert_eq!(rig.submit(share(&job, 4)), Err(Refusal::OtherSession));
    rig.feed(&support::setup_done(0));
    rig.feed(&support::opened_extended(1, 2, &EASY, 8, &[7; 4], 1));
    rig.feed(&support::job(2, 1, None));
    rig.feed(&support::tip(2, 1, 1));
    let again = rig.job();
    assert_ne!(again.session, job.session, "the same name is another job");
    assert_eq!(rig.submit(share(&job, 4)), Err(Refusal::OtherSession));
    rig.sent.clear();
    rig.submit(share(&again, 5)).unwrap();
    let sent = rig.sent.pop_front().unwrap();
    assert_eq!(sent[10..14], [1, 0, 0, 0], "numbers begin anew");
}

#[test]
fn codes_of_refused_shares_are_normalised_and_their_words_kept() {
    let cases = [
        ("stale-share", RejectKind::Stale),
        ("invalid-job-id", RejectKind::Stale),
        ("duplicate-share", RejectKind::Duplicate),
        ("difficulty-too-low", RejectKind::LowDifficulty),
        ("version-rolling-not-allowed", RejectKind::VersionBits),
        ("never-heard-of", RejectKind::Other),
        ("", RejectKind::Unexplained),
    ];
    let (mut rig, job) = Rig::mining();
    for (sequence, (code, kind)) in (1..).zip(cases) {
        rig.submit(share(&job, sequence)).unwrap();
        rig.feed(&support::refused(2, sequence, code));
        let said = rig.events.last().unwrap();
        assert!(
            matches!(said, Event::ShareRejected { kind: said, text, .. }
                if *said == kind && text == code),
            "{said:?}"
        );
    }
    // A channel that the server has lost is no use.
    rig.submit(share(&job, 99)).unwrap();
    rig.feed(&support::refused(2, 8, "invalid-channel-id"));
    assert!(matches!(rig.end(), Reason::SubscriptionLost(_)));
}

#[test]
fn the_server_learns_of_another_hashrate_soon_at_the_start_and_seldom_later() {
    let (mut rig, _) = Rig::mining();
    let told = |rig: &mut Rig| -> Vec<f32> {
        let frames: Vec<_> = rig.sent.drain(..).collect();
        frames
            .iter()
            .map(|frame| {
                assert_eq!(frame[..3], [0, 0x80, 0x16]);
                let mut fields = Fields::of(frame);
                assert_eq!(fields.u32(), 2);
                let rate = f32::from_bits(fields.u32());
                assert_eq!(fields.u256(), [0xff; 32]);
                rate
            })
            .collect()
    };
    rig.set_hashrate(54_000.0);
    rig.pass(5.0);
    assert_eq!(told(&mut rig), [] as [f32; 0], "10 % more or less is fine");
    // A machine that ramps up.
    for tenths in 1..=20 {
        rig.set_hashrate(60_000.0 + 1000.0 * f64::from(tenths) * 10.0);
        rig.pass(0.1);
    }
    rig.pass(1.0);
    assert_eq!(told(&mut rig), [70_000.0, 160_000.0, 260_000.0]);
    rig.pass(60.0);
    rig.set_hashrate(100_000.0);
    assert_eq!(told(&mut rig), [100_000.0]);
    rig.set_hashrate(200_000.0);
    rig.pass(59.0);
    assert_eq!(told(&mut rig), [] as [f32; 0]);
    rig.set_hashrate(300_000.0);
    rig.pass(1.0);
    assert_eq!(told(&mut rig), [300_000.0]);
}

#[test]
fn a_hashrate_of_zero_is_never_told() {
    let (mut rig, _) = Rig::mining();
    for rate in [0.0, -1.0, f64::NAN, f64::INFINITY] {
        rig.set_hashrate(rate);
        rig.pass(40.0);
    }
    assert!(rig.sent.is_empty());
    // The next channel is opened with the last good one.
    rig.set_hashrate(1e13);
    rig.disconnect(Reason::PeerClosed);
    rig.pass(5.0);
    rig.connect();
    rig.feed(&support::setup_done(0));
    let open = rig.sent.pop_back().unwrap();
    let mut fields = Fields::of(&open);
    fields.u32();
    fields.short();
    assert_eq!(f32::from_bits(fields.u32()), 1e13);
    // Tiny and huge ones stay numbers that servers take.
    for (rate, told) in [(1e-300, f32::MIN_POSITIVE), (1e300, f32::MAX)] {
        let mut config = support::config();
        config.nominal_hashrate = rate;
        let mut rig = Rig::plain(config);
        rig.feed(&support::setup_done(0));
        let open = rig.sent.pop_back().unwrap();
        assert_eq!(open[6 + 4 + 10..][..4], told.to_le_bytes());
    }
}

#[test]
fn a_hashrate_that_the_server_refuses_is_a_warning_and_no_more() {
    let (mut rig, _) = Rig::mining();
    rig.feed(&support::update_refused(2, "invalid-nominal-hashrate"));
    assert_eq!(rig.warnings().len(), 1);
    assert_eq!(rig.ends(), []);
}

#[test]
fn a_target_that_makes_no_sense_is_a_warning() {
    let (mut rig, _) = Rig::mining();
    rig.feed(&support::set_target(2, &[0; 32]));
    assert!(rig.warnings()[0].contains("no hash can meet"));
    assert_eq!(rig.events[0], Event::Difficulty(f64::MAX));
    rig.feed(&support::job(2, 2, Some(TIP_TIME)));
    assert!(!rig.job().target.is_met_by(&[1; 32]));
    // 2^60 hashes at 50 kH/s take some 730 thousand years.
    let mut hard = [0; 32];
    hard[24] = 0x10;
    rig.feed(&support::set_target(2, &hard));
    assert!(
        rig.warnings()[1].contains("one share in 7.3e5 years"),
        "{}",
        rig.warnings()[1]
    );
    rig.feed(&support::set_target(2, &hard));
    rig.feed(&support::set_target(2, &[0xff; 32]));
    assert_eq!(rig.warnings().len(), 3, "each is said once");
    assert!(rig.warnings()[2].contains("thousands of times a second"));
    rig.feed(&support::job(2, 3, Some(TIP_TIME)));
    assert!(rig.job().target.is_met_by(&[0xff; 32]));
}

#[test]
fn a_channel_that_is_closed_is_opened_again_after_a_wait() {
    for address in [2, 1] {
        let (mut rig, job) = Rig::mining();
        rig.submit(share(&job, 1)).unwrap();
        rig.feed(&support::closed(address, "too-many-shares"));
        assert_eq!(rig.end(), Reason::ChannelClosed("too-many-shares".into()));
        assert!(rig.events.contains(&Event::NoJob));
        assert_eq!(rig.session.stats().unconfirmed, 1);
        let (_, wait) = rig.ends()[0].clone();
        assert!(wait.unwrap() > Duration::ZERO);
        rig.actions.clear();
        rig.pass(1.5);
        assert!(matches!(rig.actions[..], [Action::Connect { .. }]));
    }
    let (mut rig, _) = Rig::mining();
    rig.feed(&support::closed(3, "not ours"));
    assert_eq!(rig.ends(), []);
}

fn with_key() -> stratum::v2::Config {
    let mut config = support::config();
    let mut x = [0; 32];
    x[31] = 1;
    config.authority_key = Some(AuthorityKey::from_bytes(x));
    config
}

fn last_target(rig: &Rig) -> (String, u16) {
    match rig.actions.last() {
        Some(Action::Connect { host, port }) => (host.clone(), *port),
        other => panic!("{other:?}"),
    }
}

#[test]
fn with_a_key_a_wish_to_reconnect_is_followed_anywhere() {
    let mut rig = Rig::plain(with_key());
    rig.feed(&support::setup_done(0));
    rig.feed(&support::reconnect("other.example", 4444));
    assert_eq!(rig.end(), Reason::Reconnect);
    rig.pass(1.5);
    assert_eq!(last_target(&rig), ("other.example".into(), 4444));
    // Should it fail, the old place is the next.
    rig.disconnect(Reason::ConnectFailed("refused".into()));
    rig.pass(3.0);
    assert_eq!(last_target(&rig), ("127.0.0.1".into(), 34254));
    // Nothing named means the same place.
    rig.connect();
    rig.feed(&support::reconnect("", 0));
    rig.pass(5.0);
    assert_eq!(last_target(&rig), ("127.0.0.1".into(), 34254));
    rig.connect();
    rig.feed(&support::reconnect("", 5555));
    rig.pass(10.0);
    assert_eq!(last_target(&rig), ("127.0.0.1".into(), 5555));
}

#[test]
fn without_a_key_nobody_is_followed() {
    let (mut rig, job) = Rig::mining();
    for (host, port) in [("other.example", 4444), ("", 4444), ("other.example", 0)] {
        rig.feed(&support::reconnect(host, port));
        assert!(matches!(
            rig.events.last(),
            Some(Event::RedirectRefused { .. })
        ));
    }
    assert_eq!(rig.submit(share(&job, 1)), Ok(()), "mining goes on");
    let mut rig = Rig::plain(with_key());
    rig.feed(&support::reconnect("not a host", 1));
    assert!(matches!(
        rig.events.last(),
        Some(Event::RedirectRefused { .. })
    ));
}

#[test]
fn unknown_messages_and_extensions_are_ignored_and_counted() {
    let (mut rig, job) = Rig::mining();
    rig.feed(&support::frame(0x77, false, b"what?"));
    rig.feed(&support::extension_frame(0x8005, 0x20, b""));
    rig.feed(&support::extension_frame(2, 0x1c, &[0; 300]));
    // A message that only clients send.
    rig.feed(&support::frame(0x1b, true, &[0; 4]));
    // What was agreed on about extensions is void, and nothing was.
    rig.feed(&support::frame(0x03, true, &[2, 0, 0, 0]));
    assert_eq!(rig.session.stats().ignored, 4);
    assert_eq!(rig.submit(share(&job, 1)), Ok(()));
}

#[test]
fn what_extensions_put_behind_a_message_is_left_alone() {
    let mut rig = Rig::open();
    let mut frame = support::job(2, 1, None);
    frame.extend_from_slice(&[2, 0, 1, 3, 0, b'a', b'b', b'c']);
    let len = (frame.len() - 6) as u32;
    frame[3..6].copy_from_slice(&len.to_le_bytes()[..3]);
    rig.feed(&frame);
    rig.feed(&support::tip(2, 1, 1));
    assert_eq!(rig.job().coinbase2, [1; 50]);
}

#[test]
fn messages_before_their_time_change_nothing() {
    let mut rig = Rig::plain(support::config());
    rig.feed(&support::opened_extended(1, 2, &EASY, 8, &[7; 4], 1));
    rig.feed(&support::job(2, 1, None));
    rig.feed(&support::tip(2, 1, 1));
    rig.feed(&support::set_target(2, &EASY));
    rig.feed(&support::set_prefix(2, &[1]));
    rig.feed(&support::accepted(2, 1, 1));
    rig.feed(&support::closed(2, ""));
    assert_eq!(rig.session.stats().ignored, 7);
    rig.feed(&support::setup_done(0));
    rig.feed(&support::setup_done(0));
    rig.feed(&support::opened_extended(2, 2, &EASY, 8, &[7; 4], 1));
    rig.feed(&support::opened_standard(1, 2, &EASY, &[7; 4], 1));
    assert_eq!(rig.session.stats().ignored, 10);
    assert_eq!(rig.ends(), []);
    rig.feed(&support::opened_extended(1, 2, &EASY, 8, &[7; 4], 1));
    rig.feed(&support::opened_extended(1, 3, &EASY, 8, &[7; 4], 1));
    rig.feed(&support::job(2, 1, None));
    rig.feed(&support::tip(2, 1, 1));
    assert_eq!(rig.jobs().len(), 1);
}

#[test]
fn a_frame_that_is_cut_off_ends_the_connection_with_its_name() {
    let mut rig = Rig::open();
    let mut frame = support::tip(2, 1, 1);
    frame.truncate(frame.len() - 2);
    let len = (frame.len() - 6) as u32;
    frame[3..6].copy_from_slice(&len.to_le_bytes()[..3]);
    rig.feed(&frame);
    let reason = rig.end();
    assert!(matches!(reason, Reason::Protocol(_)));
    assert!(reason.to_string().contains("SetNewPrevHash"), "{reason}");
    let (mut rig, _) = Rig::mining();
    rig.feed(&support::tip(2, 1, 1)[..20]);
    rig.disconnect(Reason::PeerClosed);
    assert!(rig.end().to_string().contains("middle of a message"));
}

#[test]
fn a_frame_beyond_all_sizes_is_refused_by_its_header() {
    let mut rig = Rig::open();
    rig.feed(&[0, 0x80, 0x1f, 0xff, 0xff, 0xff]);
    assert_eq!(
        rig.end().to_string(),
        "the pool does not speak proper Stratum: a frame of 16777215 bytes was announced, \
         expected at most 1048576"
    );
}

#[test]
fn an_old_server_is_told_by_its_missing_group() {
    let mut rig = Rig::plain(support::config());
    rig.feed(&support::setup_done(0));
    let mut frame = support::opened_extended(1, 2, &EASY, 8, &[7; 4], 1);
    frame.truncate(frame.len() - 4);
    frame[3] -= 4;
    rig.feed(&frame);
    assert!(rig.end().to_string().contains("old SV2 server"));
}

#[test]
fn extranonces_of_all_possible_sizes_work() {
    for (size, prefix, ours) in [
        (1_u16, vec![], 1_usize),
        (16, vec![1; 16], 16),
        (28, vec![1; 4], 16),
        (32, vec![], 16),
    ] {
        let mut rig = Rig::plain(support::config());
        rig.feed(&support::setup_done(0));
        rig.feed(&support::opened_extended(1, 2, &EASY, size, &prefix, 1));
        rig.feed(&support::job(2, 1, None));
        rig.feed(&support::tip(2, 1, 1));
        let job = rig.job();
        assert_eq!(job.extranonce2_len, ours);
        rig.sent.clear();
        rig.submit(share(&job, 1)).unwrap();
        let sent = rig.sent.pop_front().unwrap();
        let mut fields = Fields::of(&sent);
        fields.bytes(24);
        let extranonce = fields.short();
        assert_eq!(extranonce.len(), usize::from(size));
        // What the server puts together is what the miner hashed.
        let theirs = [&prefix[..], extranonce].concat();
        let hashed = [&job.extranonce1[..], &[9; 16][..ours]].concat();
        assert_eq!(theirs, hashed);
    }
    for (size, prefix) in [(0, vec![1; 4]), (29, vec![1; 4]), (33, vec![])] {
        let mut rig = Rig::plain(support::config());
        rig.feed(&support::setup_done(0));
        rig.feed(&support::opened_extended(1, 2, &EASY, size, &prefix, 1));
        assert!(matches!(rig.end(), Reason::Protocol(_)), "{size}");
    }
}

#[test]
fn witness_data_of_a_coinbase_is_left_out() {
    let lock_time = [5, 0, 0, 0];
    let outputs = [0xaa; 40];
    let version_and_input = ([2, 0, 0, 0], [1; 37]);
    let mut rig = Rig::open();
    let prefix = [&version_and_input.0[..], &[0, 1], &version_and_input.1].concat();
    let suffix = [&outputs[..], &[1, 32], &[0; 32], &lock_time].concat();
    rig.feed(&support::job_with(2, 1, None, true, &[], &prefix, &suffix));
    rig.feed(&support::tip(2, 1, 1));
    let job = rig.job();
    let plain = [&version_and_input.0[..], &version_and_input.1].concat();
    assert_eq!(job.coinbase1, plain);
    assert_eq!(job.coinbase2, [&outputs[..], &lock_time].concat());
    // No coinbase has such a witness.
    let odd = [&outputs[..], &[2, 32], &[0; 32], &lock_time].concat();
    for suffix in [&odd[..], &lock_time, &[]] {
        let mut rig = Rig::open();
        rig.feed(&support::job_with(2, 1, None, true, &[], &prefix, suffix));
        assert!(matches!(rig.end(), Reason::Protocol(_)));
    }
}

#[test]
fn a_standard_channel_mines_on_the_root_that_it_is_given() {
    let mut rig = Rig::open_standard();
    rig.feed(&support::standard_job(2, 1, None, [0x55; 32]));
    rig.feed(&support::tip(2, 1, 1));
    let job = rig.job();
    assert_eq!(job.fixed_root, Some([0x55; 32]));
    assert_eq!(job.extranonce2_len, 0);
    assert_eq!(job.version_mask, 0x1fff_e000);
    rig.submit(share(&job, 3)).unwrap();
    let sent = rig.sent.pop_front().unwrap();
    assert_eq!(sent.len(), 6 + 24);
    assert_eq!(sent[2], 0x1a);
    rig.feed(&support::accepted(2, 1, 1));
    assert_eq!(rig.session.stats().accepted, 1);
    // A job with a coinbase has its root made here, with the whole extranonce from the server.
    rig.feed(&support::job(1, 2, Some(TIP_TIME)));
    let coinbase = [&[2; 41][..], &[7; 20], &[2; 50]].concat();
    let sha = |bytes: &[u8]| -> [u8; 32] { Sha256::digest(Sha256::digest(bytes)).into() };
    let root = [[2; 32], [3; 32]]
        .iter()
        .fold(sha(&coinbase), |left, right| sha(&[left, *right].concat()));
    assert_eq!(rig.job().fixed_root, Some(root));
    // An extended channel has no use for roots.
    let (mut rig, _) = Rig::mining();
    rig.feed(&support::standard_job(2, 2, Some(TIP_TIME), [0x55; 32]));
    assert_eq!(rig.jobs().len(), 0);
}

#[test]
fn a_refusal_waits_longer_than_a_broken_connection() {
    let wait = |frame: &[u8]| {
        let mut rig = Rig::plain(support::config());
        if frame[2] != 0x02 {
            rig.feed(&support::setup_done(0));
        }
        rig.feed(frame);
        rig.ends()[0].1.unwrap()
    };
    assert!(wait(&support::setup_refused("unsupported-protocol")) >= Duration::from_secs(10));
    assert!(wait(&support::open_refused(1, "unknown-user")) >= Duration::from_secs(10));
    assert!(wait(&[0, 0, 0, 0xff, 0xff, 0xff]) <= Duration::from_secs(1));
}

#[test]
fn a_server_that_stops_half_way_is_given_up() {
    let mut rig = Rig::plain(support::config());
    rig.pass(31.0);
    assert_eq!(rig.end(), Reason::NoAnswer("SetupConnection"));
    let mut rig = Rig::plain(support::config());
    rig.feed(&support::setup_done(0));
    rig.pass(31.0);
    assert_eq!(rig.end(), Reason::NoAnswer("the request for a channel"));
    let mut rig = Rig::open();
    rig.pass(61.0);
    assert_eq!(rig.end(), Reason::NoFirstJob(Duration::from_secs(60)));
    let mut rig = Rig::plain(support::config());
    rig.disconnect(Reason::PeerClosed);
    assert!(matches!(rig.end(), Reason::SetupRefused(_)));
    let mut rig = Rig::plain(support::config());
    rig.feed(&support::setup_done(0));
    rig.disconnect(Reason::PeerClosed);
    assert!(matches!(rig.end(), Reason::ChannelRefused(_)));
}

#[test]
fn a_pool_without_new_jobs_is_dead_sooner_if_it_used_to_send_them() {
    let minutes = |rig: &mut Rig| {
        let start = rig.now;
        while rig.ends().is_empty() {
            rig.pass(1.0);
        }
        (rig.now - start).as_secs().div_ceil(60)
    };
    let (mut rig, _) = Rig::mining();
    assert_eq!(minutes(&mut rig), 3);
    assert!(matches!(rig.end(), Reason::Silent(_)));
    let (mut rig, _) = Rig::mining();
    rig.feed(&support::job(2, 2, Some(TIP_TIME)));
    assert_eq!(minutes(&mut rig), 3);
    // Jobs with new blocks only, but a pool that answers.
    let (mut rig, job) = Rig::mining();
    let start = rig.now;
    let mut last = 0;
    while rig.ends().is_empty() {
        last += 1;
        rig.submit(share(&job, last)).unwrap();
        rig.feed(&support::accepted(2, last, 1));
        rig.pass(60.0);
    }
    assert_eq!((rig.now - start).as_secs() / 60, 30);
}

#[test]
fn stopping_gives_up_everything_and_starting_begins_anew() {
    let (mut rig, job) = Rig::mining();
    rig.submit(share(&job, 1)).unwrap();
    rig.session.stop(rig.now);
    rig.drain();
    assert_eq!(rig.ends(), [(Reason::Stopped, None)]);
    assert_eq!(rig.actions.last(), Some(&Action::Close(Reason::Stopped)));
    assert_eq!(rig.session.stats().state, "unused");
    assert_eq!(rig.session.stats().unconfirmed, 1);
    assert_eq!(rig.session.poll_timeout(), None);
    rig.start();
    assert!(matches!(rig.actions.last(), Some(Action::Connect { .. })));
}

#[test]
fn an_endless_stream_of_shares_without_answers_is_bounded() {
    let (mut rig, job) = Rig::mining();
    for nonce in 0..3000 {
        rig.submit(share(&job, nonce)).unwrap();
    }
    assert_eq!(rig.session.stats().submitted, 3000);
    assert_eq!(rig.session.stats().unconfirmed, 2000);
    // A shell that fetches nothing gets no more than it can hold.
    let (mut rig, job) = Rig::mining();
    let refused = (0..1000)
        .filter(|nonce| rig.session.submit(rig.now, share(&job, *nonce)).is_err())
        .count();
    assert_eq!(refused, 1000 - 256);
}
