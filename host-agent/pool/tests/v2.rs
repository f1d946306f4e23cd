//! The Stratum V2 pool as a foreign miner sees it: handshake, set-up, channels, jobs and shares.
#![cfg(feature = "sv2")]

#[path = "common/v2.rs"]
mod common;

use common::*;
use common_messages_sv2::Protocol;
use mining_sv2::SubmitSharesSuccessOwned;
use parsers_sv2::{CommonMessagesOwned, MiningOwned};
use pool::v2::{Authority, ChannelKind, CloseReason, Config, Event};
use pool::{Difficulty, REGTEST_NBITS, VardiffConfig};

/// The set-up answer: the flags of the success, or the error code.
fn setup_answer(miner: &Miner) -> Result<u32, String> {
    match &miner.got[..] {
        [Got::Common(CommonMessagesOwned::SetupConnectionSuccess(ok))] => Ok(ok.flags),
        [Got::Common(CommonMessagesOwned::SetupConnectionError(error))] => {
            Err(read_text(&error.error_code))
        }
        other => panic!("not an answer to SetupConnection: {other:?}"),
    }
}

/// The error code of the refused channel.
fn refusal(miner: &mut Miner) -> String {
    match &miner.news()[..] {
        [MiningOwned::OpenMiningChannelError(error)] => read_text(&error.error_code),
        other => panic!("not a refusal: {other:?}"),
    }
}

fn kinds(messages: &[MiningOwned]) -> Vec<&'static str> {
    let kind = |message: &MiningOwned| match message {
        MiningOwned::OpenExtendedMiningChannelSuccess(_) => "opened",
        MiningOwned::OpenStandardMiningChannelSuccess(_) => "opened",
        MiningOwned::NewExtendedMiningJob(_) => "extended job",
        MiningOwned::NewMiningJob(_) => "standard job",
        MiningOwned::SetNewPrevHash(_) => "prevhash",
        MiningOwned::SetTarget(_) => "target",
        MiningOwned::SubmitSharesSuccess(_) => "ack",
        MiningOwned::SubmitSharesError(_) => "error",
        MiningOwned::UpdateChannelError(_) => "update error",
        _ => "other",
    };
    messages.iter().map(kind).collect()
}

#[test]
fn the_handshake_answer_has_234_bytes_and_the_key_is_checked() {
    let mut bench = Bench::new(easy());
    let mut miner = bench.connect();
    assert_eq!(miner.shake(&mut bench), Ok(()));
    assert_eq!(miner.answer_size, 234);

    let mut suspicious = bench.connect();
    suspicious.trust(Some(Authority::from_seed(99).public_bytes()));
    let broken = suspicious.shake(&mut bench).expect_err("another key");
    assert!(broken.0.contains("InvalidCertificate"), "{broken:?}");

    let mut trusting = bench.connect();
    trusting.trust(None);
    assert_eq!(trusting.shake(&mut bench), Ok(()));
}

#[test]
fn a_certificate_is_good_for_the_configured_time() {
    let mut bench = Bench::new(easy());
    for (clock, good) in [(-9, true), (-60, false), (3600, true), (3700, false)] {
        let mut miner = bench.connect();
        let unix = bench.core.config().unix_start as i64 + clock;
        miner.set_clock(unix as u32);
        assert_eq!(miner.shake(&mut bench).is_ok(), good, "{clock} s");
    }
}

#[test]
fn the_url_carries_a_key_that_the_reference_crate_reads() {
    let bench = Bench::new(Config {
        authority: Authority::from_seed(5),
        ..easy()
    });
    let url = bench.core.url("127.0.0.1:34254");
    let text = url
        .strip_prefix("stratum2+tcp://127.0.0.1:34254/")
        .expect("the form");
    let key: key_utils::Secp256k1PublicKey = text.parse().expect("a key");
    assert_eq!(key.into_bytes(), Authority::from_seed(5).public_bytes());
    assert_ne!(Authority::from_seed(5), Authority::from_seed(6));
}

#[test]
fn set_up_is_checked() {
    let mut bench = Bench::new(easy());
    let answer = |bench: &mut Bench, message| {
        let mut miner = bench.connect();
        miner.shake(bench).expect("a handshake");
        miner.send(bench, message);
        setup_answer(&miner)
    };
    let mining = Protocol::MiningProtocol;
    let job_declaration = Protocol::JobDeclarationProtocol;
    let refused = |code: &str| Err(code.to_owned());
    assert_eq!(answer(&mut bench, setup(4)), Ok(0));
    assert_eq!(answer(&mut bench, setup(u32::MAX)), Ok(WORK_SELECTION));
    assert_eq!(answer(&mut bench, setup_of(mining, 1, 3, 4)), Ok(0));
    let wrong_version = answer(&mut bench, setup_of(mining, 3, 3, 4));
    assert_eq!(wrong_version, refused("protocol-version-mismatch"));
    let wrong_protocol = answer(&mut bench, setup_of(job_declaration, 2, 2, 4));
    assert_eq!(wrong_protocol, refused("unsupported-protocol"));
    let closed = std::iter::from_fn(|| bench.core.poll_close()).count();
    assert_eq!(closed, 2, "who is refused is hung up on");
}

#[test]
fn nothing_is_talked_about_before_set_up() {
    let mut bench = Bench::new(easy());
    let mut miner = bench.connect();
    miner.shake(&mut bench).expect("a handshake");
    miner.ask_extended(&mut bench, 1e6, [0xff; 32], 4);
    assert!(miner.got.is_empty());
    let (_, reason) = bench.core.poll_close().expect("hung up on");
    assert_eq!(reason, CloseReason::NotSetUp(0x13));
}

#[test]
fn an_extended_channel_gets_a_future_job_and_its_prevhash_and_mines() {
    let mut bench = Bench::new(easy());
    let mut miner = bench.start(VERSION_ROLLING);
    let channel = miner.open_extended(&mut bench);
    let news = miner.news();
    assert_eq!(kinds(&news), ["opened", "extended job", "prevhash"]);
    let MiningOwned::OpenExtendedMiningChannelSuccess(open) = &news[0] else {
        unreachable!()
    };
    assert_eq!((open.channel_id, open.group_channel_id), (2, 1));
    assert_eq!(open.extranonce_size, 16);
    assert_eq!(open.extranonce_prefix.len(), 4);
    let MiningOwned::NewExtendedMiningJob(job) = &news[1] else {
        unreachable!()
    };
    assert!(job.is_future(), "the first job waits for its prevhash");
    assert_eq!(job.channel_id, channel);

    let share = miner.mine(channel);
    let sequence = miner.submit(&mut bench, channel, &share);
    assert_eq!(miner.answers(), [(sequence, Ok(1))]);
    let accepted = bench.events().into_iter().find_map(|event| match event {
        Event::ShareAccepted { hash, .. } => Some(hash.to_string()),
        _ => None,
    });
    assert_eq!(accepted, Some(share.hash.to_string()));
    assert!(bench.agreed());
}

#[test]
fn a_standard_channel_mines_the_roots_that_it_is_given() {
    let mut bench = Bench::new(easy());
    let mut miner = bench.start(VERSION_ROLLING | STANDARD_JOBS);
    let channel = miner.open_standard(&mut bench);
    assert_eq!(kinds(&miner.news()), ["opened", "standard job", "prevhash"]);
    for _ in 0..3 {
        let share = miner.mine(channel);
        let sequence = miner.submit(&mut bench, channel, &share);
        assert_eq!(miner.answers(), [(sequence, Ok(1))]);
    }
    bench.job();
    miner.read(&mut bench);
    assert_eq!(kinds(&miner.news()), ["standard job"]);
    bench.block();
    miner.read(&mut bench);
    assert_eq!(kinds(&miner.news()), ["standard job", "prevhash"]);
    let share = miner.mine(channel);
    miner.submit(&mut bench, channel, &share);
    assert_eq!(bench.core.stats().accepted, 4);
    assert!(bench.agreed());
}

#[test]
fn without_the_flag_a_standard_channel_hears_of_later_jobs_by_its_group_only() {
    let mut bench = Bench::new(easy());
    let mut miner = bench.start(VERSION_ROLLING);
    miner.open_standard(&mut bench);
    assert_eq!(kinds(&miner.news()), ["opened", "standard job", "prevhash"]);
    bench.block();
    miner.read(&mut bench);
    let news = miner.news();
    assert_eq!(kinds(&news), ["extended job", "prevhash"]);
    let MiningOwned::NewExtendedMiningJob(job) = &news[0] else {
        unreachable!()
    };
    assert_eq!(job.channel_id, 1, "the group's id");
}

#[test]
fn channels_are_refused_with_the_codes_of_the_sri_pool() {
    let mut bench = Bench::new(Config {
        difficulty: None,
        ..easy()
    });
    let mut miner = bench.start(VERSION_ROLLING);
    let all = [0xff; 32];
    miner.news();
    miner.ask_extended(&mut bench, -1.0, all, 4);
    assert_eq!(refusal(&mut miner), "invalid-nominal-hashrate");
    miner.ask_extended(&mut bench, f32::NAN, all, 4);
    assert_eq!(refusal(&mut miner), "invalid-nominal-hashrate");
    miner.ask_extended(&mut bench, 1e6, [0; 32], 4);
    assert_eq!(refusal(&mut miner), "max-target-out-of-range");
    miner.ask_extended(&mut bench, 1e6, all, 17);
    assert_eq!(refusal(&mut miner), "min-extranonce-size-too-large");
    miner.ask_standard(&mut bench, f32::INFINITY, all);
    assert_eq!(refusal(&mut miner), "invalid-nominal-hashrate");

    let mut standard = bench.start(STANDARD_JOBS);
    standard.ask_extended(&mut bench, 1e6, all, 4);
    let code = "extended-channels-not-supported-for-standard-jobs";
    assert_eq!(refusal(&mut standard), code);
    let mut selecting = bench.start(WORK_SELECTION);
    selecting.ask_standard(&mut bench, 1e6, all);
    let code = "standard-channels-not-supported-for-custom-work";
    assert_eq!(refusal(&mut selecting), code);
    assert!(bench.core.channels().is_empty());
}

#[test]
fn targets_follow_the_nominal_hashrate_and_the_limit() {
    let mut bench = Bench::new(Config {
        difficulty: None,
        vardiff: VardiffConfig {
            shares_per_minute: 60.0,
            ..VardiffConfig::default()
        },
        ..easy()
    });
    let mut miner = bench.start(VERSION_ROLLING);
    let mut target_for = |nominal, limit| {
        miner.news();
        miner.ask_extended(&mut bench, nominal, limit, 4);
        let news = miner.news();
        let open = news.into_iter().find_map(|message| match message {
            MiningOwned::OpenExtendedMiningChannelSuccess(open) => Some(open.target.to_array()),
            _ => None,
        });
        open.expect("opened")
    };
    assert_eq!(target_for(0.0, [0xff; 32]), [0xff; 32], "every hash");
    let mut one = [0; 32];
    one[0] = 1;
    assert_eq!(target_for(50_000.0, one), one);
    // About 50 000 hashes a share at 60 shares a minute: recorded at the SRI pool with the same numbers.
    let recorded = "00014f89a0c279648cb71ba70ea0a6f31a5cc32667839b623ee72f11353de798";
    let text: String = target_for(50_000.0, [0xff; 32])
        .iter()
        .rev()
        .map(|byte| format!("{byte:02x}"))
        .collect();
    assert_eq!(text[..8], recorded[..8]);
}

#[test]
fn every_bad_share_gets_its_code_and_the_two_checks_agree() {
    let mut bench = Bench::new(easy());
    let mut miner = bench.start(VERSION_ROLLING);
    let channel = miner.open_extended(&mut bench);
    let good = miner.mine(channel);
    let mut code_of = |change: &dyn Fn(&mut Candidate)| {
        let mut share = good.clone();
        change(&mut share);
        miner.news();
        miner.submit(&mut bench, channel, &share);
        let answers = miner.answers();
        answers[0].1.clone().err().unwrap_or_default()
    };
    assert_eq!(code_of(&|_| {}), "");
    assert_eq!(code_of(&|_| {}), "duplicate-share");
    assert_eq!(code_of(&|share| share.job_id = 57_005), "invalid-job-id");
    assert_eq!(code_of(&|share| share.ntime -= 1), "invalid-share");
    assert_eq!(code_of(&|share| share.ntime += 7201), "invalid-share");
    let outside = "invalid-non-rollable-version-bit";
    assert_eq!(code_of(&|share| share.version ^= 1), outside);
    assert_eq!(code_of(&|share| share.version ^= 0x8000_0000), outside);
    let size = "bad-extranonce-size";
    assert_eq!(code_of(&|share| share.extranonce.truncate(1)), size);
    assert_eq!(code_of(&|share| share.extranonce.push(0)), size);

    let bad = miner.mine_bad(channel);
    miner.news();
    let sequence = miner.submit(&mut bench, channel, &bad);
    let low = Err("difficulty-too-low".to_owned());
    assert_eq!(miner.answers(), [(sequence, low)]);
    miner.submit_as(&mut bench, 777, 5, &good, false);
    let unknown = Err("invalid-channel-id".to_owned());
    assert_eq!(miner.answers(), [(5, unknown.clone())]);
    miner.submit_as(&mut bench, channel, 6, &good, true);
    assert_eq!(miner.answers(), [(6, unknown)], "of the wrong kind");

    bench.block();
    miner.read(&mut bench);
    miner.news();
    let sequence = miner.submit(&mut bench, channel, &good);
    assert_eq!(miner.answers(), [(sequence, Err("stale-share".to_owned()))]);
    bench.block();
    miner.read(&mut bench);
    miner.news();
    let sequence = miner.submit(&mut bench, channel, &good);
    let forgotten = Err("invalid-job-id".to_owned());
    assert_eq!(miner.answers(), [(sequence, forgotten)], "two blocks later");

    assert!(bench.agreed());
    let stats = bench.core.stats();
    assert_eq!((stats.accepted, stats.rejected.total()), (1, 13));
}

#[test]
fn rolling_is_refused_where_it_is_not_allowed() {
    let mut bench = Bench::new(with_quirks("no-version-rolling"));
    let mut miner = bench.start(VERSION_ROLLING);
    let channel = miner.open_extended(&mut bench);
    let mut share = miner.mine(channel);
    miner.submit(&mut bench, channel, &share);
    share.version ^= 0x2000;
    miner.news();
    let sequence = miner.submit(&mut bench, channel, &share);
    let forbidden = Err("version-rolling-not-allowed".to_owned());
    assert_eq!(miner.answers(), [(sequence, forbidden)]);
    assert_eq!(bench.core.stats().accepted, 1);
    assert!(bench.agreed());
}

#[test]
fn late_shares_of_the_same_block_are_good_for_sixteen_jobs() {
    let mut bench = Bench::new(easy());
    let mut miner = bench.start(VERSION_ROLLING);
    let channel = miner.open_extended(&mut bench);
    let mut shares = vec![miner.mine(channel)];
    for _ in 0..17 {
        bench.job();
        miner.read(&mut bench);
        shares.push(miner.mine(channel));
    }
    miner.news();
    for (index, share) in shares.iter().enumerate() {
        miner.submit(&mut bench, channel, share);
        let answer = miner.answers()[0].1.clone();
        if index == 0 {
            assert_eq!(answer, Err("invalid-job-id".to_owned()));
        } else {
            assert_eq!(answer, Ok(1), "job {index}");
        }
    }
    assert!(bench.agreed());
}

#[test]
fn a_new_target_counts_from_the_next_job_on() {
    let mut bench = Bench::new(Config {
        difficulty: None,
        job_after_target: false,
        ..easy()
    });
    let mut miner = bench.start(VERSION_ROLLING);
    miner.ask_extended(&mut bench, 1.0, [0xff; 32], 4);
    let channel = 2;
    let old = miner.mine(channel);
    miner.news();
    miner.update(&mut bench, channel, 500.0);
    assert_eq!(kinds(&miner.news()), ["target"]);
    let sequence = miner.submit(&mut bench, channel, &old);
    assert_eq!(miner.answers(), [(sequence, Ok(1))], "the old target");
    bench.job();
    miner.read(&mut bench);
    let low = miner.mine_bad(channel);
    miner.news();
    let sequence = miner.submit(&mut bench, channel, &low);
    let refused = Err("difficulty-too-low".to_owned());
    assert_eq!(miner.answers(), [(sequence, refused)]);
    let good = miner.mine(channel);
    let sequence = miner.submit(&mut bench, channel, &good);
    assert_eq!(miner.answers(), [(sequence, Ok(1))]);
    assert!(bench.agreed());
}

#[test]
fn a_bad_update_is_refused_and_the_target_repeated() {
    let mut bench = Bench::new(easy());
    let mut miner = bench.start(VERSION_ROLLING);
    let channel = miner.open_extended(&mut bench);
    miner.news();
    miner.update(&mut bench, channel, -1.0);
    assert_eq!(kinds(&miner.news()), ["update error", "target"]);
    miner.update(&mut bench, 99, 1e6);
    assert_eq!(kinds(&miner.news()), ["update error"]);
}

#[test]
fn acknowledgements_come_in_batches_and_errors_at_once() {
    let mut bench = Bench::new(Config {
        share_batch: 5,
        ..easy()
    });
    let mut miner = bench.start(VERSION_ROLLING);
    let channel = miner.open_extended(&mut bench);
    miner.news();
    for _ in 0..3 {
        let share = miner.mine(channel);
        miner.submit(&mut bench, channel, &share);
    }
    let bad = miner.mine_bad(channel);
    miner.submit(&mut bench, channel, &bad);
    let low = Err("difficulty-too-low".to_owned());
    assert_eq!(miner.answers(), [(4, low)]);
    assert_eq!(bench.core.channels()[0].unacknowledged, 3);
    for _ in 0..2 {
        let share = miner.mine(channel);
        miner.submit(&mut bench, channel, &share);
    }
    assert_eq!(miner.answers(), [(6, Ok(5))]);
}

#[test]
fn a_block_is_acknowledged_at_once_and_the_chain_moves_on() {
    let mut bench = Bench::new(Config {
        nbits: REGTEST_NBITS,
        share_batch: 5,
        ..easy()
    });
    let mut miner = bench.start(VERSION_ROLLING);
    let channel = miner.open_extended(&mut bench);
    let height = bench.core.stats().height;
    miner.news();
    let network =
        bitcoin::Target::from_compact(bitcoin::CompactTarget::from_consensus(REGTEST_NBITS));
    let share = std::iter::repeat_with(|| miner.mine(channel))
        .take(1000)
        .find(|share| network.is_met_by(share.hash))
        .expect("half of them are");
    miner.submit(&mut bench, channel, &share);
    let news = miner.news();
    assert_eq!(kinds(&news), ["ack", "extended job", "prevhash"]);
    let MiningOwned::SubmitSharesSuccess(SubmitSharesSuccessOwned {
        new_submits_accepted_count,
        ..
    }) = news[0]
    else {
        unreachable!()
    };
    assert_eq!(new_submits_accepted_count, 1);
    let MiningOwned::SetNewPrevHash(prev) = &news[2] else {
        unreachable!()
    };
    let solved: &[u8] = share.hash.as_ref();
    assert_eq!(prev.prev_hash.as_bytes(), solved);
    assert_eq!(bench.core.stats().height, height + 1);
    assert_eq!(bench.core.stats().blocks_found, 1);
    assert!(bench.agreed());
}

#[test]
fn two_channels_have_their_own_prefixes_and_share_the_group() {
    let mut bench = Bench::new(easy());
    let mut miner = bench.start(VERSION_ROLLING);
    let (first, second) = (
        miner.open_extended(&mut bench),
        miner.open_extended(&mut bench),
    );
    let channels = bench.core.channels();
    assert_ne!(channels[0].extranonce_prefix, channels[1].extranonce_prefix);
    assert_eq!(channels[0].group, channels[1].group);
    bench.block();
    miner.read(&mut bench);
    for channel in [first, second] {
        let share = miner.mine(channel);
        miner.news();
        miner.submit(&mut bench, channel, &share);
        assert_eq!(miner.answers().len(), 1);
    }
    assert_eq!(bench.core.stats().accepted, 2);
    miner.close(&mut bench, first);
    assert_eq!(bench.core.channels().len(), 1);
    miner.close(&mut bench, 1);
    assert!(
        bench.core.channels().is_empty(),
        "the group's id closes all"
    );
    assert!(bench.agreed());
}

#[test]
fn rate_control_finds_the_wanted_rate_and_says_so() {
    let mut bench = Bench::new(Config {
        difficulty: None,
        vardiff: VardiffConfig {
            shares_per_minute: 60.0,
            ..VardiffConfig::default()
        },
        ..easy()
    });
    let mut miner = bench.start(VERSION_ROLLING);
    // The miner says a hundred times of what it does.
    miner.ask_extended(&mut bench, 2000.0, [0xff; 32], 4);
    miner.news();
    let before = bench.core.channels()[0].difficulty;
    bench.pass(seconds(600));
    miner.read(&mut bench);
    let after = bench.core.channels()[0].difficulty;
    assert!(after < before / 10.0, "{before} {after}");
    let news = kinds(&miner.news());
    assert_eq!(news[..2], ["target", "extended job"]);
}

#[test]
fn payouts_go_where_the_config_says() {
    let mut config = easy();
    let address = "bcrt1qw508d6qejxtdg4y5r3zarvary0c5xw7kygt080";
    config.pay_to(address).expect("an address");
    assert!(config.pay_to("bcrt1qnonsense").is_err());
    let mut bench = Bench::new(config);
    let mut miner = bench.start(VERSION_ROLLING);
    let channel = miner.open_extended(&mut bench);
    let Work::Extended(work) = &miner.channels[&channel].work else {
        unreachable!()
    };
    let job = work.get_active_job().expect("a job");
    let coinbase = [
        job.job_message.coinbase_tx_prefix.as_bytes(),
        &job.extranonce_prefix,
        &[0; 16],
        job.job_message.coinbase_tx_suffix.as_bytes(),
    ]
    .concat();
    let coinbase: bitcoin::Transaction =
        bitcoin::consensus::deserialize(&coinbase).expect("a transaction");
    assert!(coinbase.is_coinbase());
    let paid =
        bitcoin::Address::from_script(&coinbase.output[0].script_pubkey, bitcoin::Network::Regtest);
    assert_eq!(paid.expect("an address").to_string(), address);
    assert!(
        coinbase.output[0].value.to_sat() > 312_500_000,
        "subsidy and fees"
    );
    let height = coinbase.input[0].script_sig.as_bytes()[..4].to_vec();
    assert_eq!(height, [3, 0xd0, 0x30, 0x0e], "BIP 34: 930 000");
}

#[test]
fn events_tell_the_story() {
    let mut bench = Bench::new(easy());
    let mut miner = bench.start(VERSION_ROLLING);
    let channel = miner.open_extended(&mut bench);
    let share = miner.mine(channel);
    miner.submit(&mut bench, channel, &share);
    let id = miner.id;
    bench.core.disconnect(bench.now, id);
    let names: Vec<String> = bench
        .events()
        .iter()
        .map(|event| {
            event.to_json()["event"]
                .as_str()
                .unwrap_or_default()
                .to_owned()
        })
        .collect();
    let expected = [
        "connected",
        "set_up",
        "channel_opened",
        "share_accepted",
        "disconnected",
    ];
    assert_eq!(names, expected);
    assert_eq!(bench.core.connections(), []);
}

#[test]
fn a_channel_info_tells_the_kind_and_the_counts() {
    let mut bench = Bench::new(Config {
        difficulty: Some(Difficulty::new(1e-9).expect("above zero")),
        ..easy()
    });
    let mut miner = bench.start(STANDARD_JOBS);
    let channel = miner.open_standard(&mut bench);
    let share = miner.mine(channel);
    miner.submit(&mut bench, channel, &share);
    miner.submit(&mut bench, channel, &share);
    let info = &bench.core.channels()[0];
    assert_eq!(info.kind, ChannelKind::Standard);
    assert_eq!((info.accepted, info.rejected), (1, 1));
    assert_eq!(info.extranonce_prefix.len(), 20);
    assert!((info.difficulty / 1e-9 - 1.0).abs() < 1e-6);
}
