//! The session against a node that judges blocks by the `bitcoin` crate, in virtual time.

mod rig;

use std::sync::Arc;
use std::time::Duration;

use bitcoin::Network;
use bitcoin::hashes::Hash as _;
use mining::{Share, Target};
use proptest::prelude::*;
use rig::{MAIN, REGTEST, Rig, config, find, harder, hashed, on};
use solo::blocks::{Answer, FoundBlock, judge};
use solo::node::{Mood, TestNode};
use solo::rpc::{Fault, Lane, Method, Reply, read_reply};
use solo::{Action, ConfigError, Session};
use stratum::{BlockFate, Event, Reason, Refusal, RejectKind, Sequence};

const SECOND: Duration = Duration::from_secs(1);

#[test]
fn the_first_job_comes_after_the_node_has_shown_what_it_is() {
    let rig = Rig::started(harder());
    let kinds: Vec<&str> = rig
        .events
        .iter()
        .map(|event| match event {
            Event::Connected { .. } => "connected",
            Event::Subscribed { resumed: false } => "subscribed",
            Event::Authorized => "authorized",
            Event::Difficulty(_) => "difficulty",
            Event::VersionMask(0x1fff_e000) => "mask",
            Event::Job(_) => "job",
            _ => "other",
        })
        .collect();
    let wanted = [
        "connected",
        "subscribed",
        "authorized",
        "difficulty",
        "mask",
        "job",
    ];
    assert_eq!(kinds, wanted);
    assert_eq!(rig.session.stats().state, "mining");
    assert_eq!(rig.session.network(), Some(Network::Regtest));
    // A block like ours was shown to the node, which found nothing wrong with it.
    assert_eq!(rig.node.trials(), [None]);
}

#[test]
fn a_block_is_saved_then_sent_and_pays_our_address() {
    let mut rig = Rig::started(harder());
    rig.node.add_transactions(4, true);
    rig.settle();
    let before = rig.job().unwrap();
    let share = rig.mine_block();
    let found = &rig.node.blocks()[0];
    assert_eq!(found.block_hash().to_byte_array(), share.hash);
    assert_eq!(found.txdata.len(), 5);
    let paid = &found.txdata[0].output[0];
    let ours = bitcoin::Address::from_script(&paid.script_pubkey, Network::Regtest).unwrap();
    assert_eq!(ours.to_string(), REGTEST);
    assert_eq!(paid.value.to_sat(), 50_0000_0000 + 4000);
    assert_eq!(rig.saved.len(), 1);
    assert_eq!(rig.marks, ["accepted"]);
    let fates = [
        BlockFate::Found,
        BlockFate::Saved("saved".into()),
        BlockFate::Accepted,
    ];
    assert_eq!(rig.fates(), fates);
    let stats = rig.session.stats();
    assert_eq!((stats.blocks, stats.accepted, stats.rejected), (1, 1, 0));
    let after = rig.job().unwrap();
    assert!(after.generation > before.generation);
    assert_eq!(after.prev_hash, share.hash);
}

#[test]
fn block_after_block_is_taken_through_all_small_heights() {
    let mut rig = Rig::started(Mood::default());
    for height in 1..=40 {
        if height % 3 == 0 {
            rig.node.add_transactions(height, height % 2 == 0);
            rig.settle();
        }
        rig.mine_block();
        assert_eq!(rig.node.blocks().len(), height, "{:?}", rig.fates().last());
    }
    assert_eq!(rig.session.stats().rejected, 0);
    // Saved files can be read back.
    for (block, height) in rig.saved.iter().zip(1..) {
        assert_eq!(FoundBlock::parse(&block.hex).as_ref(), Ok(block));
        assert_eq!(block.height, height);
    }
}

#[test]
fn no_more_work_on_a_tip_that_was_solved() {
    let mut rig = Rig::started(Mood::default());
    rig.slow = vec![Lane::Submit];
    let job = rig.job().unwrap();
    rig.mine_block();
    assert_eq!(rig.job(), None);
    // The node still sends templates for the same tip, and the chips still find blocks on it.
    rig.seconds(20);
    assert_eq!(rig.job(), None);
    let network = Target::from_nbits(job.nbits).unwrap();
    let second = find(&job, |hash| {
        network.is_met_by(hash) && *hash != rig.saved[0].hash
    });
    assert_eq!(
        rig.session.submit(rig.now, second),
        Err(Refusal::UnknownJob)
    );
    rig.slow.clear();
    rig.settle();
    assert_eq!(rig.job().unwrap().prev_hash, rig.saved[0].hash);
    assert_eq!(rig.node.blocks().len(), 1);
    // A nonce that is on its way even longer would only compete with our own block.
    let late = find(&job, |hash| {
        network.is_met_by(hash) && *hash != rig.saved[0].hash
    });
    assert_eq!(rig.session.submit(rig.now, late), Err(Refusal::UnknownJob));
    assert_eq!(rig.session.stats().rejected, 0);
}

#[test]
fn a_block_that_cannot_be_saved_is_sent_all_the_same_and_said_loudly() {
    let mut rig = Rig::started(harder());
    rig.disk = Some(Err("no space left".into()));
    rig.mine_block();
    assert_eq!(rig.fates()[1], BlockFate::NotSaved("no space left".into()));
    assert_eq!(rig.node.blocks().len(), 1);
}

#[test]
fn a_disk_that_hangs_delays_a_block_by_a_second_at_most() {
    let mut rig = Rig::started(harder());
    rig.disk = None;
    rig.mine_block();
    assert!(rig.node.blocks().is_empty());
    rig.pass(SECOND);
    assert_eq!(rig.node.blocks().len(), 1);
    assert!(matches!(rig.fates()[1], BlockFate::NotSaved(_)));
}

#[test]
fn an_error_of_the_call_is_no_verdict_on_the_block() {
    let mut rig = Rig::started(harder());
    rig.node
        .set(|mood| mood.error = Some((-1, "std::bad_alloc".into())));
    rig.mine_block();
    assert!(matches!(rig.fates().last(), Some(BlockFate::Retried(_))));
    assert_eq!(rig.marks, Vec::<String>::new());
    rig.node.set(|mood| mood.error = None);
    rig.seconds(16);
    assert_eq!(rig.fates().last(), Some(&BlockFate::Accepted));
    assert_eq!(rig.node.blocks().len(), 1);
}

#[test]
fn blocks_of_earlier_runs_leave_room_for_new_ones() {
    let mut rig = Rig::started(harder());
    rig.slow.push(Lane::Submit);
    for height in 1..200 {
        let old = FoundBlock::new(height, [height as u8; 32], &[0; 80]);
        rig.session.restore(rig.now, old);
    }
    rig.mine_block();
    assert_eq!(
        rig.fates(),
        [BlockFate::Found, BlockFate::Saved("saved".into())]
    );
}

#[test]
fn an_answer_lost_on_its_way_does_not_lose_the_block() {
    let mut rig = Rig::started(harder());
    rig.slow = vec![Lane::Submit];
    rig.mine_block();
    // The node takes the block, and the connection breaks before we hear of it.
    let call = rig.waiting.pop().unwrap();
    assert_eq!(call.method, Method::Submit);
    rig.node.respond(&call.body).unwrap();
    let lost = Err(Fault::Connection(Reason::PeerClosed));
    rig.session.handle_reply(rig.now, call.id, lost);
    rig.slow.clear();
    rig.pass(SECOND);
    assert_eq!(rig.node.blocks().len(), 1);
    assert_eq!(rig.marks, ["accepted"]);
    assert_eq!(rig.session.stats().blocks, 1);
    let resent = rig
        .events
        .iter()
        .any(|event| matches!(event, Event::ShareAccepted(receipt) if receipt.resent));
    assert!(resent);
}

#[test]
fn a_block_waits_for_a_node_that_is_away() {
    let mut rig = Rig::started(harder());
    rig.down = true;
    rig.mine_block();
    rig.seconds(600);
    assert_eq!(rig.session.stats().state, "retrying");
    assert!(rig.session.has_blocks());
    rig.down = false;
    rig.seconds(60);
    assert_eq!(rig.node.blocks().len(), 1);
    assert_eq!(rig.marks, ["accepted"]);
    assert!(rig.job().is_some());
    let retried = rig
        .fates()
        .into_iter()
        .filter(|fate| matches!(fate, BlockFate::Retried(_)));
    assert!(
        (1..20).contains(&retried.count()),
        "said now and then, not each time"
    );
}

#[test]
fn a_refused_block_is_told_with_its_reason_and_mining_goes_on() {
    let mut rig = Rig::started(harder());
    rig.node
        .set(|mood| mood.verdict = Some("bad-txns-vout-negative".into()));
    let before = rig.job().unwrap();
    rig.mine_block();
    let Some(BlockFate::Rejected(words)) = rig.fates().pop() else {
        panic!("{:?}", rig.fates());
    };
    assert!(words.contains("bad-txns-vout-negative"), "{words}");
    assert!(rig.marks[0].starts_with("rejected: bad-txns-vout-negative"));
    let stats = rig.session.stats();
    assert_eq!((stats.rejected, stats.blocks), (1, 0));
    let after = rig.job().unwrap();
    assert_eq!(after.prev_hash, before.prev_hash);
    assert!(after.generation > before.generation);
}

#[test]
fn answers_to_blocks_have_their_meanings() {
    assert_eq!(judge(None), Answer::Accepted);
    assert_eq!(judge(Some("duplicate")), Answer::Accepted);
    for (words, kind) in [
        ("inconclusive", RejectKind::Stale),
        ("inconclusive-not-best-prevblk", RejectKind::Stale),
        ("stale-prevblk", RejectKind::Stale),
        ("high-hash", RejectKind::LowDifficulty),
        ("time-too-old", RejectKind::TimeOutOfRange),
        ("duplicate-invalid", RejectKind::Other),
        ("bad-cb-amount", RejectKind::Other),
        ("rejected", RejectKind::Other),
    ] {
        let answer = judge(Some(words));
        assert!(
            matches!(&answer, Answer::Rejected(k, text) if *k == kind && text.starts_with(words)),
            "{words}: {answer:?}"
        );
    }
    for words in [
        "time-too-new",
        "prev-blk-not-found",
        "duplicate-inconclusive",
    ] {
        assert!(
            matches!(judge(Some(words)), Answer::Undecided(_)),
            "{words}"
        );
    }
}

#[test]
fn new_transactions_change_the_job_without_voiding_it() {
    let mut rig = Rig::started(harder());
    let before = rig.job().unwrap();
    rig.node.add_transactions(2, true);
    rig.settle();
    let after = rig.job().unwrap();
    assert_eq!(after.generation, before.generation);
    assert_ne!(after.merkle_branch, before.merkle_branch);
    // A block on the older one is as good.
    let network = Target::from_nbits(before.nbits).unwrap();
    let late = find(&before, |hash| network.is_met_by(hash));
    rig.session.submit(rig.now, late).unwrap();
    rig.settle();
    assert_eq!(rig.node.blocks().len(), 1);
}

#[test]
fn a_block_of_somebody_else_voids_all_work() {
    let mut rig = Rig::started(harder());
    rig.session.set_hashrate(rig.now, 1.0);
    rig.seconds(10);
    let before = rig.job().unwrap();
    rig.node.foreign_block();
    rig.settle();
    let after = rig.job().unwrap();
    assert!(after.generation > before.generation);
    assert_ne!(after.prev_hash, before.prev_hash);
    // A share of the old tip comes too late.
    let network = Target::from_nbits(before.nbits).unwrap();
    let late = find(&before, |hash| {
        before.target.is_met_by(hash) && !network.is_met_by(hash)
    });
    rig.session.submit(rig.now, late).unwrap();
    let stats = rig.session.stats();
    assert_eq!((stats.accepted, stats.stale), (0, 1));
}

#[test]
fn an_answer_from_before_the_newest_block_is_not_believed() {
    let mut rig = Rig::started(harder());
    rig.slow = vec![Lane::Main];
    rig.seconds(31);
    let old = rig
        .waiting
        .iter()
        .position(|call| call.lane == Lane::Main)
        .unwrap();
    let old = rig.waiting.remove(old);
    let (status, answer) = rig.node.respond(&old.body).unwrap();
    rig.pass(SECOND);
    rig.node.foreign_block();
    rig.settle();
    let newest = rig.job().unwrap();
    let reply = read_reply(old.method, status, answer.to_string().as_bytes());
    rig.session.handle_reply(rig.now, old.id, reply);
    rig.slow.clear();
    rig.settle();
    assert_eq!(rig.job().unwrap(), newest);
}

#[test]
fn the_same_template_again_is_no_new_job() {
    let mut rig = Rig::started(harder());
    rig.seconds(299);
    assert!(rig.count("getblocktemplate") >= 9);
    assert_eq!(rig.jobs(), 1);
    // But its time must not run away from the clock.
    rig.seconds(600);
    assert_eq!(rig.jobs(), 2);
}

#[test]
fn a_node_without_long_polls_is_asked_for_its_tip_each_second() {
    let mut rig = Rig::started(Mood {
        long_poll: false,
        ..harder()
    });
    rig.seconds(60);
    assert!((55..=61).contains(&rig.count("getbestblockhash")));
    // One beside the trial block at the start, then every 15 s.
    assert!((5..=7).contains(&rig.count("getblocktemplate")));
    rig.node.foreign_block();
    rig.pass(SECOND);
    assert_eq!(rig.jobs(), 2);
}

#[test]
fn a_node_that_knows_only_templates_is_asked_every_five_seconds() {
    let mut rig = Rig::started(Mood {
        long_poll: false,
        full: false,
        ..harder()
    });
    assert!(rig.job().is_some());
    rig.seconds(60);
    assert!((12..=15).contains(&rig.count("getblocktemplate")));
    rig.node.foreign_block();
    rig.seconds(5);
    assert_eq!(rig.jobs(), 2);
    rig.mine_block();
    assert_eq!(rig.node.blocks().len(), 2);
}

#[test]
fn a_node_that_only_pretends_to_poll_long_is_not_flooded() {
    let mut rig = Rig::new(TestNode::new(Mood {
        long_poll: false,
        ..harder()
    }));
    rig.node.set(|mood| {
        mood.template
            .insert("longpollid".into(), "always the same".into());
    });
    rig.start();
    rig.seconds(60);
    assert!(
        rig.count("getblocktemplate") < 70,
        "{}",
        rig.count("getblocktemplate")
    );
}

#[test]
fn long_polls_find_out_that_the_node_is_gone() {
    let mut rig = Rig::started(harder());
    assert_eq!(rig.calls_waiting(Method::Template), 1);
    rig.down = true;
    // The held back call breaks with the connection.
    rig.settle();
    assert!(matches!(rig.reasons()[..], [Reason::ConnectFailed(_)]));
    assert!(rig.job().is_some(), "it may soon be back");
    rig.seconds(121);
    assert_eq!(rig.job(), None);
    rig.down = false;
    rig.seconds(31);
    assert!(rig.job().is_some());
    assert!(rig.events.contains(&Event::Subscribed { resumed: true }));
}

#[test]
fn a_syncing_node_is_waited_for() {
    let mut rig = Rig::with(
        config(MAIN),
        Arc::new(TestNode::new(Mood {
            syncing: true,
            ..on(Network::Bitcoin)
        })),
    );
    rig.start();
    let syncing = Reason::NodeSyncing {
        blocks: 0,
        headers: 1000,
    };
    assert_eq!(rig.reasons(), [syncing]);
    assert_eq!(rig.count("getblocktemplate"), 0);
    rig.node.set(|mood| mood.syncing = false);
    rig.seconds(30);
    assert!(rig.job().is_some());
}

#[test]
fn an_address_of_another_network_is_never_mined_for() {
    for (address, network, fits) in [
        (MAIN, Network::Bitcoin, true),
        (MAIN, Network::Regtest, false),
        (REGTEST, Network::Regtest, true),
        (REGTEST, Network::Signet, false),
        (REGTEST, Network::Bitcoin, false),
        // BIP 173's test address, and old forms that all test networks share.
        (
            "tb1qw508d6qejxtdg4y5r3zarvary0c5xw7kxpjzsx",
            Network::Signet,
            true,
        ),
        (
            "tb1qw508d6qejxtdg4y5r3zarvary0c5xw7kxpjzsx",
            Network::Testnet4,
            true,
        ),
        (
            "tb1qw508d6qejxtdg4y5r3zarvary0c5xw7kxpjzsx",
            Network::Regtest,
            false,
        ),
        ("mipcBbFg9gMiCh81Kj8tqqdgoZub1ZJRfn", Network::Regtest, true),
        (
            "mipcBbFg9gMiCh81Kj8tqqdgoZub1ZJRfn",
            Network::Bitcoin,
            false,
        ),
    ] {
        let mut rig = Rig::with(config(address), Arc::new(TestNode::new(on(network))));
        rig.start();
        assert_eq!(rig.job().is_some(), fits, "{address} on {network}");
        if !fits {
            let said = rig.reasons()[0].to_string();
            assert!(
                said.contains(address) && said.contains(network.to_core_arg()),
                "{said}"
            );
        }
        // And with the network in the settings, it does not even begin.
        let mut settings = config(address);
        settings.network = Some(network);
        let session = Session::new(settings, 1, Sequence::new());
        assert_eq!(session.is_ok(), fits, "{address} on {network}");
    }
}

#[test]
fn a_node_on_another_network_than_the_settings_say_is_refused() {
    let mut settings = config("mipcBbFg9gMiCh81Kj8tqqdgoZub1ZJRfn");
    settings.network = Some(Network::Testnet4);
    let mut rig = Rig::with(settings, Arc::new(TestNode::new(on(Network::Signet))));
    rig.start();
    let said = rig.reasons()[0].to_string();
    assert!(
        said.contains("signet") && said.contains("testnet4"),
        "{said}"
    );
}

#[test]
fn all_types_of_addresses_are_paid() {
    for (address, kind) in [
        // Examples of BIP 13, BIP 173 and BIP 350.
        ("1PMycacnJaSqwwJqjawXBErnLsZ7RkXUAs", "p2pkh"),
        ("342ftSRCvFHfCeFFBuz4xwbeqnDw6BGUey", "p2sh"),
        (MAIN, "p2wpkh"),
        (
            "bc1qrp33g0q5c5txsp9arysrx4k6zdkfs4nce4xj0gdcccefvpysxf3qccfmv3",
            "p2wsh",
        ),
        (
            "bc1p0xlxvlhemja6c4dqv22uapctqupfhlxm9h8z3k2e72q4k9hcz7vqzk5jj0",
            "p2tr",
        ),
    ] {
        let mut rig = Rig::with(
            config(address),
            Arc::new(TestNode::new(on(Network::Bitcoin))),
        );
        rig.start();
        rig.mine_block();
        let blocks = rig.node.blocks();
        let script = &blocks[0].txdata[0].output[0].script_pubkey;
        let paid = bitcoin::Address::from_script(script, Network::Bitcoin).unwrap();
        assert_eq!(paid.to_string(), address, "{kind}");
    }
    // An anchor of BIP 433 and a witness version of the future belong to whoever comes first.
    for address in ["bc1pfeessrawgf", "bc1zw508d6qejxtdg4y5r3zarvaryvaxxpcs"] {
        let refused = config(address).check();
        assert!(
            matches!(refused, Err(ConfigError::Anyone(_))),
            "{address}: {refused:?}"
        );
    }
}

#[test]
fn moods_of_a_node_are_told_in_plain_words() {
    for (code, words, said) in [
        (
            -28,
            "Verifying blocks…",
            "still starting (Verifying blocks…)",
        ),
        (-9, "Bitcoin Core is not connected!", "has no peers"),
        (-10, "in initial sync", "still syncing"),
        (
            -32601,
            "Method not found",
            "does not know the call getblocktemplate",
        ),
        (-1, "boom", "failed with error -1: boom"),
    ] {
        let mut rig = Rig::new(TestNode::new(harder()));
        rig.node.set(|mood| mood.error = Some((code, words.into())));
        rig.start();
        let reason = rig.reasons()[0].to_string();
        assert!(reason.contains(said), "{reason}");
        assert_eq!(rig.session.stats().state, "retrying");
        rig.node.set(|mood| mood.error = None);
        rig.seconds(31);
        assert!(rig.job().is_some(), "{code}");
        assert_eq!(rig.session.stats().problem, None);
    }
}

#[test]
fn what_is_no_node_is_told_by_what_it_looks_like() {
    let read = |status, body: &[u8]| read_reply(Method::Template, status, body).unwrap_err();
    let html = read(200, b"<html><body>Router login</body></html>").to_string();
    assert!(
        html.contains("a web page") && html.contains("RPC port"),
        "{html}"
    );
    let text = read(404, b"not here").to_string();
    assert!(text.contains("no JSON (HTTP 404"), "{text}");
    assert!(matches!(read(200, b"\xff\xfe"), Fault::WrongService(_)));
    assert!(matches!(read(200, b""), Fault::WrongService(_)));
    assert!(matches!(read(401, b""), Fault::Auth(_)));
    assert!(read(403, b"").to_string().contains("rpcallowip"));
    assert!(
        read(503, b"Work queue depth exceeded")
            .to_string()
            .contains("Work queue depth")
    );
    let null = read(200, br#"{"result":null,"error":null,"id":1}"#);
    assert!(matches!(null, Fault::Template(_)), "{null}");
    let error = read(
        500,
        br#"{"result":null,"error":{"code":-8,"message":"no\u0007"},"id":1}"#,
    );
    assert_eq!(error.code(), Some(-8));
    assert!(!error.to_string().contains('\u{7}'));
    let tip = read_reply(Method::BestBlock, 200, br#"{"result":"00ff","error":null}"#);
    assert!(matches!(tip, Err(Fault::Answer { .. })));
}

#[test]
fn a_template_that_cannot_be_mined_stops_the_work() {
    let mut rig = Rig::started(harder());
    rig.node.set(|mood| mood.rules.push("!newfork".into()));
    rig.seconds(31);
    assert_eq!(rig.job(), None);
    let reason = rig.reasons()[0].to_string();
    assert!(
        reason.contains("newfork") && reason.contains("newer version"),
        "{reason}"
    );
}

#[test]
fn a_node_that_would_refuse_our_blocks_is_not_mined_on() {
    let mut rig = Rig::new(TestNode::new(harder()));
    // It claims more than it would allow.
    rig.node.set(|mood| {
        mood.template
            .insert("coinbasevalue".into(), 50_0000_0001_u64.into());
        mood.template
            .insert("transactions".into(), serde_json::json!([]));
    });
    rig.start();
    // Above the first subsidy is refused at once; below it takes the node to notice.
    assert!(rig.reasons()[0].to_string().contains("contradicts itself"));
    for _ in 0..200 {
        rig.node.foreign_block();
    }
    rig.seconds(31);
    assert_eq!(rig.job(), None);
    rig.node.set(|mood| {
        mood.template
            .insert("coinbasevalue".into(), 49_0000_0000_u64.into());
    });
    rig.seconds(31);
    assert_eq!(rig.job(), None);
    let reason = rig.reasons().pop().unwrap().to_string();
    assert!(
        reason.contains("refuse our blocks (bad-cb-amount)"),
        "{reason}"
    );
}

#[test]
fn shares_are_counted_at_about_ten_a_minute() {
    let mut rig = Rig::started(Mood {
        bits: 0x1d00_ffff,
        ..Mood::default()
    });
    let rate = 1e8;
    rig.session.set_hashrate(rig.now, rate);
    rig.seconds(10);
    let target = rig.job().unwrap().target;
    let per_minute = rate * 60.0 / target.expected_hashes();
    assert!((9.9..10.1).contains(&per_minute), "{per_minute}");
    // Never harder than the network: on an easy network each share is a block.
    rig.session.set_hashrate(rig.now, 1e18);
    rig.seconds(10);
    assert_eq!(rig.job().unwrap().target, Target::DIFFICULTY_1);
}

#[test]
fn a_new_hashrate_changes_the_target_but_not_the_work() {
    let mut rig = Rig::started(harder());
    let before = rig.job().unwrap();
    rig.session.set_hashrate(rig.now, 5.0);
    rig.seconds(10);
    let after = rig.job().unwrap();
    assert_eq!(after.generation, before.generation);
    assert!(after.target > before.target);
    assert_eq!(
        after.ntime - before.ntime,
        (after.received - before.received).as_secs() as u32
    );
    let share = rig.mine_share();
    let stats = rig.session.stats();
    assert_eq!((stats.accepted, stats.submitted, stats.blocks), (1, 1, 0));
    assert_eq!(stats.best_difficulty, share.difficulty());
    assert_eq!(stats.last_share, Some(rig.now));
    // A little change is not worth a new job.
    let jobs = rig.jobs();
    rig.session.set_hashrate(rig.now, 5.5);
    rig.seconds(10);
    assert_eq!(rig.jobs(), jobs);
}

#[test]
fn shares_of_others_and_lies_are_dropped() {
    let mut rig = Rig::started(Mood::default());
    let job = rig.job().unwrap();
    let share = find(&job, |_| true);
    let other = |change: fn(&mut mining::Job)| {
        let mut job = (*job).clone();
        change(&mut job);
        Share {
            job: Arc::new(job),
            ..share.clone()
        }
    };
    let session = &mut rig.session;
    let now = rig.now;
    assert_eq!(
        session.submit(now, other(|job| job.session += 1)),
        Err(Refusal::OtherSession)
    );
    assert_eq!(
        session.submit(now, other(|job| job.id.clear())),
        Err(Refusal::UnknownJob)
    );
    let mut lie = share.clone();
    lie.hash = [0; 32];
    assert_eq!(session.submit(now, lie), Err(Refusal::UnknownJob));
    assert_eq!(session.stats().dropped, 3);
    assert_eq!(session.stats().accepted, 0);
}

#[test]
fn blocks_of_an_earlier_run_are_sent_at_the_next_start() {
    let mut first = Rig::started(harder());
    first.down = true;
    first.mine_block();
    first.session.stop(first.now);
    assert!(first.session.has_blocks());
    let block = FoundBlock::parse(&first.saved[0].hex).unwrap();

    let mut second = Rig::with(config(REGTEST), Arc::clone(&first.node));
    second.session.restore(second.now, block.clone());
    second.session.restore(second.now, block);
    second.start();
    assert_eq!(second.node.blocks().len(), 1);
    assert_eq!(second.marks, ["accepted"]);
    assert!(second.job().is_some());
}

#[test]
fn a_block_that_the_node_cannot_place_is_not_sent_for_ever() {
    let mut rig = Rig::started(harder());
    rig.node
        .set(|mood| mood.verdict = Some("prev-blk-not-found".into()));
    rig.mine_block();
    rig.seconds(3600);
    assert!(!rig.session.has_blocks());
    assert!(rig.marks.is_empty(), "it is sent again at the next start");
    assert!(
        rig.events
            .iter()
            .any(|event| matches!(event, Event::Warning(_)))
    );
    assert!(rig.job().is_some());
}

#[test]
fn two_miners_on_one_node_do_different_work() {
    let node = Arc::new(TestNode::new(harder()));
    let job = |seed| {
        let mut rig = Rig::with(config(REGTEST), Arc::clone(&node));
        rig.session = Session::new(config(REGTEST), seed, Sequence::new()).unwrap();
        rig.start();
        rig.job().unwrap()
    };
    assert_ne!(job(1).extranonce1, job(2).extranonce1);
}

#[test]
fn a_signet_without_signatures_is_mined_with_its_rule() {
    let mut rig = Rig::with(
        config("tb1qw508d6qejxtdg4y5r3zarvary0c5xw7kxpjzsx"),
        Arc::new(TestNode::new(Mood {
            rules: ["csv", "!segwit", "!signet", "taproot"]
                .map(str::to_owned)
                .into(),
            ..on(Network::Signet)
        })),
    );
    rig.node.set(|mood| {
        mood.template.insert("signet_challenge".into(), "51".into());
    });
    rig.start();
    rig.mine_block();
    assert_eq!(rig.node.blocks().len(), 1, "{:?}", rig.fates());
}

#[test]
fn a_stopped_session_has_no_work_and_can_start_again() {
    let mut rig = Rig::started(harder());
    let number = rig.session.number();
    rig.session.stop(rig.now);
    rig.settle();
    assert_eq!(rig.job(), None);
    assert_eq!(rig.session.stats().state, "unused");
    assert_eq!(rig.session.poll_timeout(), None);
    rig.start();
    assert_eq!(rig.job().unwrap().session, number);
}

#[test]
fn a_shell_that_forgets_a_call_is_not_waited_for_for_ever() {
    let mut rig = Rig::started(harder());
    rig.slow = vec![Lane::Main];
    rig.seconds(31);
    rig.seconds(41);
    assert!(matches!(
        rig.reasons()[..],
        [Reason::NoAnswer("getblocktemplate")]
    ));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    /// Whatever is answered, in whatever order, nothing panics, nothing grows, and work goes on
    /// when the node behaves again.
    #[test]
    fn odd_answers_do_no_harm(steps in proptest::collection::vec((0..12u8, any::<u64>(), 0..100u64), 1..60)) {
        let mut rig = Rig::new(TestNode::new(Mood::default()));
        rig.session.start(rig.now);
        let mut calls = Vec::new();
        for (kind, number, seconds) in steps {
            while let Some(action) = rig.session.poll_action() {
                if let Action::Call(call) = action {
                    calls.push(call);
                }
            }
            prop_assert!(calls.len() < 1000);
            rig.now += Duration::from_millis(seconds * 97);
            let now = rig.now;
            let call = (!calls.is_empty()).then(|| calls.swap_remove(number as usize % calls.len()));
            let id = call.as_ref().map_or(number, |call| call.id);
            match kind {
                0..=5 => {
                    if let Some(call) = call
                        && let Some((status, answer)) = rig.node.respond(&call.body)
                    {
                        let reply = read_reply(call.method, status, answer.to_string().as_bytes());
                        rig.session.handle_reply(now, id, reply);
                    }
                }
                6 => rig.session.handle_reply(now, id, Ok(Reply::Verdict(Some("bad-odd".into())))),
                7 => rig.session.handle_reply(now, id, Ok(Reply::BestBlock([number as u8; 32]))),
                8 => rig.session.handle_reply(now, id, Err(Reason::PeerClosed.into())),
                9 => rig.session.handle_timeout(now),
                10 => rig.session.set_hashrate(now, f64::from_bits(number)),
                _ => {
                    rig.node.foreign_block();
                    if let Some(job) = rig.job() {
                        let _ = rig.session.submit(now, hashed(&job, [1; 8], number as u32));
                    }
                }
            }
            rig.events.extend(std::iter::from_fn(|| rig.session.poll_event()));
        }
        rig.seconds(1000);
        let job = rig.job();
        prop_assert!(job.is_some());
        rig.mine_block();
    }
}
