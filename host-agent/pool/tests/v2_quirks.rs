//! Every switch of the Stratum V2 pool does what its description says, seen by a foreign miner.
#![cfg(feature = "sv2")]

#[path = "common/v2.rs"]
mod common;

use common::*;
use parsers_sv2::{CommonMessagesOwned, MiningOwned};
use pool::v2::{CloseReason, Config, Core, Event, Quirk, Quirks, help_table};
use pool::{Difficulty, VardiffConfig};
use std::time::Duration;

/// A miner with one extended channel on a pool with these switches.
fn mining(quirks: &str) -> (Bench, Miner, u32) {
    let mut bench = Bench::new(with_quirks(quirks));
    let mut miner = bench.start(VERSION_ROLLING);
    let channel = miner.open_extended(&mut bench);
    (bench, miner, channel)
}

fn accept(bench: &mut Bench, miner: &mut Miner, channel: u32, shares: u32) {
    for _ in 0..shares {
        let share = miner.mine(channel);
        miner.submit(bench, channel, &share);
    }
}

/// The bytes that the pool answers to the miner's hello, and why it hangs up.
fn greeting(quirks: &str) -> (Vec<u8>, Option<CloseReason>) {
    let mut bench = Bench::new(with_quirks(quirks));
    let mut miner = bench.connect();
    let hello = miner.hello();
    bench.core.handle_bytes(bench.now, miner.id, &hello);
    let mut bytes = Vec::new();
    while let Some((_, packet)) = bench.core.poll_transmit() {
        bytes.extend(packet);
    }
    (bytes, bench.core.poll_close().map(|(_, reason)| reason))
}

#[test]
fn the_help_table_names_every_switch() {
    let table = help_table();
    for quirk in Quirk::ALL {
        assert_eq!(quirk.name().parse(), Ok(*quirk));
        assert!(table.contains(quirk.name()), "{quirk:?}");
    }
    assert_eq!(
        "target-zero,target-max"
            .parse::<Quirks>()
            .map_err(|e| e.to_string()),
        Err("the quirks \"target-zero\" and \"target-max\" exclude each other".to_owned())
    );
}

#[test]
fn every_switch_alone_survives_a_session() {
    for quirk in Quirk::ALL {
        let config = Config {
            quirks: Quirks::none().with(*quirk).expect("alone"),
            ..easy()
        };
        let mut bench = Bench::new(config);
        let mut miner = bench.connect();
        if miner.shake(&mut bench).is_err() {
            continue;
        }
        miner.set_up(&mut bench, VERSION_ROLLING);
        if miner.broken.is_none() {
            miner.ask_extended(&mut bench, 1e6, [0xff; 32], 4);
        }
        for _ in 0..2 {
            bench.job();
            bench.block();
            bench.pass(seconds(20));
            miner.read(&mut bench);
        }
        assert!(bench.agreed(), "{quirk:?}");
    }
}

#[test]
fn handshakes_can_go_wrong_in_every_way() {
    let (json, reason) = greeting("plain-text");
    assert!(json.starts_with(b"{\"id\":null"));
    assert!(matches!(reason, Some(CloseReason::Quirk(_))));
    assert!(greeting("plain-text=1").0.starts_with(b"HTTP/1.1 400"));
    assert_eq!(greeting("plain-text=2").0, [0x15, 3, 3, 0, 2, 2, 50]);
    assert_eq!(greeting("plain-text=3").0.len(), 234);
    assert_eq!(greeting("silent-handshake"), (Vec::new(), None));
    assert!(greeting("close-in-handshake").1.is_some());
    assert_eq!(greeting("short-handshake").0.len(), 170);
}

#[test]
fn certificates_can_be_wrong_in_every_way() {
    for quirk in [
        "wrong-key",
        "certificate-expired",
        "certificate-not-yet-valid",
    ] {
        let mut bench = Bench::new(with_quirks(quirk));
        let mut miner = bench.connect();
        let broken = miner.shake(&mut bench).expect_err(quirk);
        assert!(
            broken.0.contains("InvalidCertificate"),
            "{quirk}: {broken:?}"
        );
    }
    for (quirk, clock) in [
        ("certificate-expired=100", -100 - 3600i64),
        ("certificate-not-yet-valid=100", 100),
    ] {
        let mut bench = Bench::new(with_quirks(quirk));
        let mut miner = bench.connect();
        let unix = bench.core.config().unix_start as i64 + clock;
        miner.set_clock(unix as u32);
        assert_eq!(miner.shake(&mut bench), Ok(()), "{quirk} by another clock");
    }
}

#[test]
fn set_up_can_be_refused_or_never_answered() {
    let answer = |quirks: &str| {
        let mut bench = Bench::new(with_quirks(quirks));
        let miner = bench.start(VERSION_ROLLING);
        match miner.got.first() {
            Some(Got::Common(CommonMessagesOwned::SetupConnectionError(error))) => {
                read_text(&error.error_code)
            }
            Some(Got::Common(CommonMessagesOwned::SetupConnectionSuccess(ok))) => {
                ok.flags.to_string()
            }
            other => format!("{other:?}"),
        }
    };
    assert_eq!(answer("setup-error"), "unsupported-feature-flags");
    assert_eq!(answer("setup-error=1"), "unsupported-protocol");
    assert_eq!(answer("setup-error=2"), "protocol-version-mismatch");
    assert_eq!(answer("setup-error=3"), "the-moon-is-in-the-wrong-house");
    assert_eq!(answer("setup-flags=3"), "3");
    assert_eq!(answer("silent-after-handshake"), "None");
}

#[test]
fn channels_can_be_refused_oddly() {
    let codes = |quirks: &str, asked: usize| -> Vec<String> {
        let mut bench = Bench::new(with_quirks(quirks));
        let mut miner = bench.start(VERSION_ROLLING);
        (0..asked).for_each(|_| miner.ask_extended(&mut bench, 1e6, [0xff; 32], 4));
        let news = miner.news().into_iter();
        news.filter_map(|message| match message {
            MiningOwned::OpenMiningChannelError(error) => Some(read_text(&error.error_code)),
            _ => None,
        })
        .collect()
    };
    assert_eq!(codes("open-error=0", 1), ["unknown-user"]);
    assert_eq!(codes("open-error", 1), ["not-on-a-sunday"]);
    assert_eq!(codes("open-error=3", 1), [""]);
    assert_eq!(codes("open-error=4", 1), ["x".repeat(255)]);
    assert_eq!(codes("busy-at-start", 4).len(), 2, "then it has a template");
    assert!(codes("silent-open", 1).is_empty());
}

#[test]
fn an_old_open_success_cannot_be_read_by_the_crates_of_today() {
    let mut bench = Bench::new(with_quirks("old-open-success"));
    let mut miner = bench.start(VERSION_ROLLING);
    miner.ask_extended(&mut bench, 1e6, [0xff; 32], 4);
    let unreadable = |got: &Got| matches!(got, Got::Unknown(0, 0x14, false, _));
    assert!(miner.got.iter().any(unreadable), "{:?}", miner.got);
}

#[test]
fn a_false_extranonce_size_and_an_early_job_are_told() {
    let mut bench = Bench::new(with_quirks("false-extranonce-size=33,job-before-open"));
    let mut miner = bench.start(VERSION_ROLLING);
    miner.ask_extended(&mut bench, 1e6, [0xff; 32], 4);
    let news = miner.news();
    assert!(matches!(news[0], MiningOwned::NewExtendedMiningJob(_)));
    let MiningOwned::OpenExtendedMiningChannelSuccess(open) = &news[1] else {
        panic!("{news:?}");
    };
    assert_eq!(open.extranonce_size, 33);
}

#[test]
fn big_jobs_are_whole_and_can_be_mined() {
    for (quirks, check) in [
        ("big-suffix", (0, 65_000, 0)),
        ("big-prefix", (65_000, 0, 0)),
        ("branches", (0, 0, 255)),
        (
            "big-suffix=65535,big-prefix,branches",
            (65_000, 65_000, 255),
        ),
    ] {
        let (mut bench, mut miner, channel) = mining(quirks);
        let Work::Extended(work) = &miner.channels[&channel].work else {
            unreachable!()
        };
        let job = &work.get_active_job().expect("a job").job_message;
        assert!(job.coinbase_tx_prefix.len() >= check.0, "{quirks}");
        assert!(job.coinbase_tx_suffix.len() >= check.1, "{quirks}");
        assert!(job.merkle_path.as_slice().len() >= check.2, "{quirks}");
        let coinbase = [
            job.coinbase_tx_prefix.as_bytes(),
            &[0; 20],
            job.coinbase_tx_suffix.as_bytes(),
        ]
        .concat();
        let coinbase: bitcoin::Transaction =
            bitcoin::consensus::deserialize(&coinbase).expect("still a transaction");
        assert!(coinbase.is_coinbase(), "{quirks}");
        accept(&mut bench, &mut miner, channel, 1);
        bench.block();
        miner.read(&mut bench);
        accept(&mut bench, &mut miner, channel, 1);
        assert_eq!(bench.core.stats().accepted, 2, "{quirks}");
        assert!(bench.agreed(), "{quirks}");
    }
}

#[test]
fn a_coinbase_with_witness_data_is_mined_without_it() {
    let (mut bench, mut miner, channel) = mining("witness-in-coinbase");
    let sent = miner.news().into_iter().find_map(|message| match message {
        MiningOwned::NewExtendedMiningJob(job) => Some(job),
        _ => None,
    });
    let prefix = sent.expect("a job").coinbase_tx_prefix.to_owned_bytes();
    assert_eq!(prefix[4..6], [0, 1], "marker and flag");
    accept(&mut bench, &mut miner, channel, 1);
    assert_eq!(bench.core.stats().accepted, 1);
}

#[test]
fn repeated_flooding_and_misleading_jobs_leave_the_right_one() {
    for quirks in [
        "duplicate-job",
        "future-flood",
        "unknown-prevhash",
        "to-channel",
    ] {
        let (mut bench, mut miner, channel) = mining(quirks);
        bench.job();
        bench.block();
        bench.job();
        miner.read(&mut bench);
        let jobs = miner.news();
        let jobs = jobs.iter().filter(|message| {
            matches!(message, MiningOwned::NewExtendedMiningJob(job)
                if quirks != "to-channel" || job.channel_id == channel)
        });
        let expected = match quirks {
            "duplicate-job" => 8,
            "future-flood" => 84,
            _ => 4,
        };
        assert_eq!(jobs.count(), expected, "{quirks}");
        accept(&mut bench, &mut miner, channel, 2);
        assert_eq!(bench.core.stats().accepted, 2, "{quirks}");
        assert!(bench.agreed(), "{quirks}");
    }
}

#[test]
fn signalling_bits_in_the_job_are_kept_by_careful_miners() {
    let mut bench = Bench::new(Config {
        // Hard enough that another header is no share by chance.
        difficulty: Some(Difficulty::new(1e-6).expect("above zero")),
        ..with_quirks("version-bits-in-job")
    });
    let mut miner = bench.start(VERSION_ROLLING);
    let channel = miner.open_extended(&mut bench);
    let mut share = miner.mine(channel);
    assert_eq!(share.version & 0x3000_0000, 0x3000_0000);
    miner.submit(&mut bench, channel, &share);
    share.version &= !0x1000_0000;
    miner.submit(&mut bench, channel, &share);
    let stats = bench.core.stats();
    assert_eq!((stats.accepted, stats.rejected.total()), (1, 1));
    assert!(bench.agreed());
}

#[test]
fn silence_is_silence() {
    let mut bench = Bench::new(with_quirks("silence=60"));
    let mut miner = bench.start(VERSION_ROLLING);
    miner.open_extended(&mut bench);
    bench.pass(seconds(30));
    bench.block();
    miner.read(&mut bench);
    assert!(!miner.news().is_empty());
    bench.pass(seconds(31));
    bench.block();
    miner.read(&mut bench);
    assert!(miner.news().is_empty());
}

#[test]
fn targets_can_be_impossible() {
    let told = |quirks: &str| {
        let mut bench = Bench::new(with_quirks(quirks));
        let mut miner = bench.start(VERSION_ROLLING);
        miner.ask_extended(&mut bench, 1e6, [0xff; 32], 4);
        let told = miner.news().into_iter().find_map(|message| match message {
            MiningOwned::OpenExtendedMiningChannelSuccess(open) => Some(open.target.to_array()),
            _ => None,
        });
        told.expect("opened")
    };
    let mut one = [0; 32];
    one[0] = 1;
    assert_eq!(told("target-zero"), [0; 32]);
    assert_eq!(told("target-one"), one);
    assert_eq!(told("target-max"), [0xff; 32]);
}

#[test]
fn a_target_can_name_the_group() {
    let (mut bench, mut miner, channel) = mining("target-to-group");
    miner.news();
    miner.update(&mut bench, channel, 1e6);
    let news = miner.news();
    let MiningOwned::SetTarget(set) = &news[0] else {
        panic!("{news:?}");
    };
    assert_eq!(set.channel_id, 1);
}

#[test]
fn a_new_prefix_counts_from_the_next_job_and_old_jobs_keep_theirs() {
    let (mut bench, mut miner, channel) = mining("set-extranonce-prefix=2");
    let before = bench.core.channels()[0].extranonce_prefix.clone();
    bench.job();
    miner.read(&mut bench);
    let late = miner.mine(channel);
    bench.job();
    miner.read(&mut bench);
    let changed = |message: &MiningOwned| matches!(message, MiningOwned::SetExtranoncePrefix(_));
    assert_eq!(miner.news().iter().filter(|m| changed(m)).count(), 1);
    assert_ne!(bench.core.channels()[0].extranonce_prefix, before);
    miner.submit(&mut bench, channel, &late);
    for _ in 0..6 {
        accept(&mut bench, &mut miner, channel, 1);
        bench.block();
        miner.read(&mut bench);
    }
    assert_eq!(bench.core.stats().accepted, 7);
    assert!(bench.agreed());
}

#[test]
fn groups_change_in_the_running_session() {
    let (mut bench, mut miner, channel) = mining("set-group-channel");
    for _ in 0..5 {
        bench.block();
        miner.read(&mut bench);
        accept(&mut bench, &mut miner, channel, 1);
    }
    assert_eq!(
        bench.core.channels()[0].group,
        miner.channels[&channel].group
    );
    assert_ne!(bench.core.channels()[0].group, 1);
    assert_eq!(bench.core.stats().accepted, 5);
}

#[test]
fn miners_can_be_sent_elsewhere() {
    let sent = |quirks: &str| {
        let (mut bench, mut miner, channel) = mining(quirks);
        accept(&mut bench, &mut miner, channel, 5);
        let reconnect = miner.got.iter().find_map(|got| match got {
            Got::Common(CommonMessagesOwned::Reconnect(to)) => {
                Some((read_text(&to.new_host), to.new_port))
            }
            _ => None,
        });
        reconnect.expect("a Reconnect")
    };
    assert_eq!(sent("reconnect-same"), (String::new(), 0));
    assert_eq!(sent("reconnect-port=4444"), (String::new(), 4444));
    let foreign = ("pool.foreign.example".to_owned(), 34254);
    assert_eq!(sent("reconnect-foreign"), foreign);
}

#[test]
fn channels_can_be_closed_alone_or_by_their_group() {
    for (quirks, left) in [("close-channel=2", 1), ("close-group=2", 0)] {
        let (mut bench, mut miner, channel) = mining(quirks);
        miner.open_extended(&mut bench);
        accept(&mut bench, &mut miner, channel, 2);
        assert_eq!(bench.core.channels().len(), left, "{quirks}");
        assert_eq!(miner.channels.len(), left, "{quirks}");
        let again = miner.open_extended(&mut bench);
        accept(&mut bench, &mut miner, again, 1);
        assert_eq!(bench.core.stats().accepted, 3, "{quirks}");
    }
}

#[test]
fn a_dropped_connection_leaves_shares_unacknowledged() {
    let mut bench = Bench::new(Config {
        share_batch: 4,
        ..with_quirks("drop-after=6")
    });
    let mut miner = bench.start(VERSION_ROLLING);
    let channel = miner.open_extended(&mut bench);
    accept(&mut bench, &mut miner, channel, 6);
    assert_eq!(miner.answers(), [(4, Ok(4))]);
    let (_, reason) = bench.core.poll_close().expect("hung up on");
    assert_eq!(reason, CloseReason::Quirk("enough shares"));
}

#[test]
fn acknowledgements_can_be_late_double_missing_or_absurd() {
    let (mut bench, mut miner, channel) = mining("ack-delay=5000");
    miner.news();
    accept(&mut bench, &mut miner, channel, 1);
    assert_eq!(miner.answers(), []);
    bench.pass(seconds(5));
    miner.read(&mut bench);
    assert_eq!(miner.answers(), [(1, Ok(1))]);

    let (mut bench, mut miner, channel) = mining("ack-twice");
    miner.news();
    accept(&mut bench, &mut miner, channel, 1);
    assert_eq!(miner.answers(), [(1, Ok(1)), (1, Ok(1))]);

    let (mut bench, mut miner, channel) = mining("ack-never");
    miner.news();
    accept(&mut bench, &mut miner, channel, 1);
    assert_eq!(miner.answers(), []);
    assert_eq!(bench.core.stats().accepted, 1);

    let (mut bench, mut miner, channel) = mining("ack-unsent");
    miner.news();
    accept(&mut bench, &mut miner, channel, 1);
    assert_eq!(miner.answers(), [(1001, Ok(1001))]);
}

#[test]
fn good_shares_can_be_refused_with_any_code() {
    let code = |quirks: &str| {
        let (mut bench, mut miner, channel) = mining(quirks);
        miner.news();
        accept(&mut bench, &mut miner, channel, 1);
        miner.answers()[0].1.clone().expect_err("refused")
    };
    assert_eq!(code("reject-all=0"), "difficulty-too-low");
    assert_eq!(code("reject-all=1"), "stale-share");
    assert_eq!(code("reject-all"), "the-cat-sat-on-it");
    assert_eq!(code("reject-all=5"), "");
    assert_eq!(code("reject-all=6").len(), 255);
}

#[test]
fn delivery_does_not_matter_to_a_good_miner() {
    for quirks in ["coalesced", "byte-by-byte", "unknown-messages"] {
        let (mut bench, mut miner, channel) = mining(quirks);
        accept(&mut bench, &mut miner, channel, 2);
        bench.block();
        miner.read(&mut bench);
        accept(&mut bench, &mut miner, channel, 2);
        assert_eq!(bench.core.stats().accepted, 4, "{quirks}");
        let unknown = miner.got.iter().any(|got| matches!(got, Got::Unknown(..)));
        assert_eq!(unknown, quirks == "unknown-messages");
    }
}

#[test]
fn frames_can_be_broken() {
    let (mut bench, mut miner, _) = mining("short-message");
    bench.job();
    bench.job();
    miner.read(&mut bench);
    let short = |got: &Got| matches!(got, Got::Unknown(0, 0x1f, true, _));
    assert_eq!(miner.got.iter().filter(|got| short(got)).count(), 1);
    assert_eq!(miner.broken, None);

    let (mut bench, mut miner, _) = mining("bad-mac");
    bench.job();
    miner.read(&mut bench);
    assert_eq!(miner.broken, None);
    bench.job();
    miner.read(&mut bench);
    assert!(miner.broken.is_some());

    let (mut bench, mut miner, _) = mining("truncated-frame");
    bench.job();
    bench.job();
    miner.read(&mut bench);
    assert!(!miner.raw.is_empty(), "half a frame waits for its end");
    let (_, reason) = bench.core.poll_close().expect("hung up on");
    assert_eq!(reason, CloseReason::Quirk("half a frame"));

    let (mut bench, mut miner, _) = mining("oversized-frame");
    bench.job();
    miner.news();
    bench.job();
    miner.read(&mut bench);
    let jobs = miner.news().len();
    bench.block();
    miner.read(&mut bench);
    assert_eq!((jobs, miner.news().len()), (1, 0), "16 MiB are awaited");
}

#[test]
fn extranonces_of_every_size_work() {
    for size in 0..=31 {
        let mut bench = Bench::new(Config {
            extranonce_size: size,
            ..easy()
        });
        let mut miner = bench.start(VERSION_ROLLING);
        miner.ask_extended(&mut bench, 1e6, [0xff; 32], 0);
        accept(&mut bench, &mut miner, 2, 1);
        assert_eq!(bench.core.stats().accepted, 1, "{size} bytes");
        assert!(bench.agreed());
    }
    let too_large = Config {
        extranonce_size: 32,
        ..easy()
    };
    assert!(Core::new(too_large).is_err());
}

#[test]
fn a_lively_pool_of_hours_stays_in_agreement() {
    let mut bench = Bench::new(Config {
        difficulty: Some(Difficulty::new(1e-9).expect("above zero")),
        job_interval: Duration::from_secs(30),
        block_interval: Duration::from_secs(300),
        irregular_blocks: true,
        vardiff: VardiffConfig {
            shares_per_minute: 2.0,
            ..VardiffConfig::default()
        },
        quirks: "set-extranonce-prefix=3,set-group-channel=5"
            .parse()
            .expect("known"),
        ..easy()
    });
    let mut miner = bench.start(VERSION_ROLLING);
    let channel = miner.open_extended(&mut bench);
    for _ in 0..240 {
        bench.pass(seconds(30));
        miner.read(&mut bench);
        accept(&mut bench, &mut miner, channel, 1);
    }
    let stats = bench.core.stats();
    assert_eq!((stats.accepted, stats.rejected.total()), (240, 0));
    assert!(bench.agreed());
    let blocks = bench.events();
    let blocks = blocks
        .iter()
        .filter(|e| matches!(e, Event::NewJob { clean: true, .. }));
    assert!(blocks.count() > 10);
}
