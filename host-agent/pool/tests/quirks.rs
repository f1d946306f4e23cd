//! Each switch changes on the wire what it says, and the share check stays right behind it.

mod common;

use common::{Bench, MASK, Miner, easy, seconds, with_quirks};
use pool::{CloseReason, Difficulty, Event, PoolConfig, Quirk, Target};
use serde_json::{Value, json};
use std::time::Duration;

fn started(quirks: &str) -> (Bench, Miner) {
    let mut bench = Bench::new(with_quirks(quirks));
    let mut miner = bench.connect();
    miner.start(&mut bench);
    (bench, miner)
}

/// The answer to a share with an unknown job, without its id.
fn refusal(quirks: &str) -> Value {
    let (mut bench, mut miner) = started(quirks);
    let mut share = miner.find();
    share[1] = json!("gone");
    let id = miner.submit(&mut bench, share);
    let mut answer = miner.answer(id).cloned().unwrap_or(Value::Null);
    if let Some(fields) = answer.as_object_mut() {
        fields.remove("id");
    }
    answer
}

#[test]
fn refusals_come_in_all_recorded_forms() {
    let text = "Job not found";
    for (quirks, expected) in [
        ("", json!({"result": false, "error": [21, text, null]})),
        (
            "answer-null",
            json!({"result": null, "error": [21, text, null]}),
        ),
        (
            "answer-null-text",
            json!({"result": null, "error": [21, text, ""]}),
        ),
        ("answer-error-text", json!({"result": false, "error": text})),
        (
            "answer-reject-reason",
            json!({"result": false, "error": null, "reject-reason": text}),
        ),
        ("answer-bare-false", json!({"result": false, "error": null})),
        (
            "answer-error-object",
            json!({"result": null, "error": {"code": 21, "message": text}}),
        ),
        ("answer-never", Value::Null),
    ] {
        assert_eq!(refusal(quirks), expected, "{quirks}");
    }
}

#[test]
fn good_shares_are_answered_alike_under_every_answer_form() {
    for quirks in [
        "",
        "answer-null",
        "answer-reject-reason",
        "answer-error-object",
    ] {
        let (mut bench, mut miner) = started(quirks);
        let share = miner.find();
        let id = miner.submit(&mut bench, share);
        let answer = miner.answer(id).expect("an answer");
        assert_eq!(answer, &json!({"id": id, "result": true, "error": null}));
    }
}

#[test]
fn no_answer_still_counts_the_share() {
    let (mut bench, mut miner) = started("answer-never");
    let share = miner.find();
    let id = miner.submit(&mut bench, share);
    assert_eq!(miner.answer(id), None);
    assert_eq!(bench.core.stats().accepted, 1);
}

#[test]
fn notification_ids_are_null_absent_or_a_number() {
    for (quirks, expected) in [
        ("", Some(Value::Null)),
        ("absent-id", None),
        ("numeric-id", Some(json!(7))),
    ] {
        let (_, miner) = started(quirks);
        let notify = miner
            .lines
            .iter()
            .find(|line| line["method"] == "mining.notify");
        assert_eq!(
            notify.expect("a job").get("id"),
            expected.as_ref(),
            "{quirks}"
        );
    }
}

#[test]
fn ids_can_come_back_as_strings() {
    let (_, miner) = started("id-as-string");
    assert!(miner.lines.iter().any(|line| line["id"] == "1"));
    assert!(!miner.lines.iter().any(|line| line["id"].is_number()));
}

#[test]
fn version_bits_are_replaced_ored_or_xored() {
    // Observed at the SRI translator, ckpool and public-pool with a job of version 30000000.
    let table = [
        ("30006000", "10006000", [true, true, false]),
        ("30006000", "00006000", [false, true, true]),
        ("20006000", "00006000", [true, false, false]),
        ("20006000", "10006000", [false, false, true]),
    ];
    for (version, field, verdicts) in table {
        for (quirk, good) in ["", ",version-or", ",version-xor"]
            .into_iter()
            .zip(verdicts)
        {
            let mut config = with_quirks(&format!("version-bits-in-job{quirk}"));
            config.vardiff.start = Difficulty::new(1e-6).expect("above zero");
            let mut bench = Bench::new(config);
            let mut miner = bench.connect();
            miner.start(&mut bench);
            assert_eq!(miner.jobs[0].0.version, 0x3000_0000);
            miner.version = u32::from_str_radix(version, 16).ok();
            let mut share = miner.find();
            share[5] = json!(field);
            let expected = if good { 0 } else { 23 };
            assert_eq!(
                miner.code(&mut bench, share),
                expected,
                "{version} {field} {quirk}"
            );
        }
    }
}

#[test]
fn a_version_mask_can_come_before_the_subscribe_answer() {
    let (_, miner) = started("early-version-mask");
    let place =
        |wanted: &dyn Fn(&Value) -> bool| miner.lines.iter().position(wanted).expect("a line");
    let mask = place(&|line| line["method"] == "mining.set_version_mask");
    let answer = place(&|line| line["id"] == 2);
    assert!(mask < answer && miner.lines[mask]["id"].is_null());
}

#[test]
fn a_narrowed_mask_counts_for_later_jobs_only() {
    let (mut bench, mut miner) = started("narrow-version-mask=5");
    let old = miner.jobs[0].clone();
    bench.pass(seconds(5));
    miner.read(&mut bench);
    let narrow = miner.mask.expect("a mask");
    assert_eq!((narrow.count_ones(), narrow & !MASK), (8, 0));
    let high = MASK & !narrow;
    let mut roll = |job: &pool::JobTemplate, difficulty| loop {
        miner.mask = Some(MASK);
        let target = Target::from_difficulty(difficulty);
        let mut share = miner.find_for(job, Target::EASIEST, true);
        share[5] = json!(format!("{high:08x}"));
        if target.is_met_by(&miner.hash(job, &share)) {
            break miner.code(&mut bench, share);
        }
    };
    assert_eq!(roll(&old.0, old.1), 0);
    let latest = miner.jobs.last().expect("a job").clone();
    let mut share = miner.find_for(&latest.0, Target::EASIEST, true);
    share[5] = json!(format!("{high:08x}"));
    assert_eq!(miner.code(&mut bench, share), 20);
}

#[test]
fn configure_can_be_refused_in_four_ways() {
    let answer = |quirks: &str| {
        let mut bench = Bench::new(with_quirks(quirks));
        let mut miner = bench.connect();
        let id = miner.send(
            &mut bench,
            "mining.configure",
            json!([["version-rolling", "minimum-difficulty"], {"version-rolling.mask": "00ffe000"}]),
        );
        miner.read(&mut bench);
        (miner.answer(id).cloned(), bench.core.poll_close())
    };
    let fine = json!({
        "version-rolling": true, "version-rolling.mask": "00ffe000", "minimum-difficulty": false,
    });
    assert_eq!(answer("").0.expect("an answer")["result"], fine);
    assert!(matches!(
        answer("configure-disconnects"),
        (None, Some((_, CloseReason::Quirk(_))))
    ));
    assert_eq!(answer("configure-silent"), (None, None));
    assert_eq!(
        answer("configure-refused").0.expect("an answer")["error"][0],
        20
    );
    let no = answer("configure-false").0.expect("an answer");
    assert_eq!(no["result"]["version-rolling"], false);
}

#[test]
fn unknown_methods_can_end_the_connection() {
    for (quirks, closes) in [("", false), ("unknown-disconnects", true)] {
        let (mut bench, mut miner) = started(quirks);
        miner.send(&mut bench, "mining.extranonce.subscribe", json!([]));
        miner.read(&mut bench);
        assert_eq!(bench.core.poll_close().is_some(), closes);
    }
}

#[test]
fn the_first_job_can_come_at_three_places() {
    let order = |quirks: &str| -> Vec<String> {
        let (_, miner) = started(quirks);
        let name = |line: &Value| match line["method"].as_str() {
            Some("mining.notify") => "job".to_owned(),
            Some(_) => "difficulty".to_owned(),
            None => format!("answer {}", line["id"]),
        };
        miner.lines.iter().skip(1).map(name).collect()
    };
    assert_eq!(order(""), ["answer 2", "answer 3", "difficulty", "job"]);
    assert_eq!(
        order("early-job"),
        ["answer 2", "difficulty", "job", "answer 3"]
    );
    assert_eq!(
        order("job-before-authorize-answer"),
        ["answer 2", "difficulty", "job", "answer 3"]
    );
}

#[test]
fn authorize_can_be_refused() {
    let mut bench = Bench::new(with_quirks("refuse-authorize"));
    let mut miner = bench.connect();
    miner.try_start(&mut bench, true, None);
    assert_eq!(miner.answer(3).expect("an answer")["result"], false);
    assert!(miner.jobs.is_empty());
}

#[test]
fn subscribe_and_authorize_can_stay_unanswered() {
    let mut bench = Bench::new(with_quirks("authorize-silent"));
    let mut miner = bench.connect();
    miner.start(&mut bench);
    assert_eq!(miner.answer(3), None);
    let share = miner.find();
    assert_eq!(miner.code(&mut bench, share), 0);
    let mut bench = Bench::new(with_quirks("subscribe-silent"));
    let mut miner = bench.connect();
    miner.try_start(&mut bench, true, None);
    assert_eq!(miner.answer(2), None);
    assert!(miner.jobs.is_empty());
}

#[test]
fn sessions_are_not_resumed_when_switched_off() {
    let (mut bench, first) = started("no-resume");
    bench.core.disconnect(bench.now, first.id);
    let mut second = bench.connect();
    second.try_start(&mut bench, true, first.session_id.as_deref());
    assert_ne!(second.extranonce1, first.extranonce1);
    assert_eq!(started("no-session-id").1.session_id, None);
}

#[test]
fn difficulties_come_in_all_forms() {
    let text = |quirks: &str, value: f64| {
        let mut config = with_quirks(quirks);
        config.vardiff.start = Difficulty::new(value).expect("above zero");
        let mut bench = Bench::new(config);
        let mut miner = bench.connect();
        miner.send(&mut bench, "mining.subscribe", json!([]));
        miner.send(&mut bench, "mining.authorize", json!(["w"]));
        let all: Vec<u8> = bench
            .packets()
            .into_iter()
            .flat_map(|(_, bytes)| bytes)
            .collect();
        let all = String::from_utf8(all).expect("text");
        let line = all
            .lines()
            .find(|line| line.contains("set_difficulty"))
            .expect("a line");
        let start = line.find("\"params\":[").expect("params") + 10;
        line[start..line.rfind(']').expect("an end")].to_owned()
    };
    assert_eq!(text("", 0.0005), "0.0005");
    assert_eq!(text("", 1e6), "1000000");
    assert_eq!(text("difficulty-float", 1e6), "1000000.0");
    assert_eq!(text("difficulty-digits", 0.0005), "0.00050000000000000001");
    assert_eq!(text("difficulty-integer", 0.0005), "1");
    assert_eq!(text("difficulty-integer", 41.5), "42");
    assert_eq!(text("difficulty-zero", 1.0), "0");
    assert_eq!(text("difficulty-negative", 1.0), "-1");
    assert_eq!(text("difficulty-nan", 1.0), "NaN");
    assert_eq!(text("difficulty-huge", 1.0), "1e999");
    assert_eq!(text("difficulty-text", 1.0), "\"easy\"");
}

#[test]
fn difficulty_at_once_judges_older_jobs_too() {
    let (mut bench, mut miner) = started("difficulty-at-once");
    let (job, old) = miner.jobs[0].clone();
    let new = Difficulty::new(1e-6).expect("above zero");
    miner.send(&mut bench, "mining.suggest_difficulty", json!([1e-6]));
    miner.read(&mut bench);
    assert!(miner.jobs[1].0.clean);
    let between = loop {
        let share = miner.find_for(&job, Target::from_difficulty(old), true);
        if !Target::from_difficulty(new).is_met_by(&miner.hash(&job, &share)) {
            break share;
        }
    };
    assert_eq!(miner.code(&mut bench, between), 23);
    let good = miner.find_for(&job, Target::from_difficulty(new), true);
    assert_eq!(miner.code(&mut bench, good), 0);
}

#[test]
fn suggestions_can_be_ignored() {
    let (mut bench, mut miner) = started("ignore-suggest");
    let before = miner.lines.len();
    miner.send(&mut bench, "mining.suggest_difficulty", json!([1e-6]));
    miner.read(&mut bench);
    assert_eq!(miner.lines.len(), before);
}

#[test]
fn notifications_have_eight_nine_or_ten_parameters() {
    for (quirks, count) in [("notify-8", 8), ("", 9), ("notify-10", 10)] {
        let mut bench = Bench::new(with_quirks(quirks));
        let mut miner = bench.connect();
        miner.try_start(&mut bench, true, None);
        let notify = miner
            .lines
            .iter()
            .find(|line| line["method"] == "mining.notify");
        let params = notify.expect("a job")["params"].as_array().expect("a list");
        assert_eq!(params.len(), count);
        assert_eq!(params.last().is_some_and(Value::is_boolean), count != 8);
    }
}

#[test]
fn broken_notifications_are_broken() {
    let notify = |quirks: &str| {
        let mut bench = Bench::new(with_quirks(quirks));
        let mut miner = bench.connect();
        miner.try_start(&mut bench, true, None);
        miner.lines.pop().expect("a job")["params"].clone()
    };
    assert_eq!(
        notify("notify-branches=300")[4].as_array().map(Vec::len),
        Some(300)
    );
    assert_eq!(
        notify("notify-big-coinbase=9")[2].as_str().map(str::len),
        Some(18 * 1024)
    );
    for (quirks, unparsable) in [
        ("notify-bad-hex", 0),
        ("notify-wrong-types", 0),
        ("notify-truncated", 1),
    ] {
        let mut bench = Bench::new(with_quirks(quirks));
        let mut miner = bench.connect();
        miner.try_start(&mut bench, true, None);
        assert!(miner.jobs.is_empty(), "{quirks}");
        assert_eq!(miner.bad_lines, unparsable, "{quirks}");
    }
}

#[test]
fn notifications_can_be_doubled_or_stop() {
    let (_, miner) = started("duplicate-notify");
    assert_eq!(miner.count("mining.notify"), 2);
    let mut bench = Bench::new(PoolConfig {
        job_interval: seconds(30),
        ..with_quirks("silence=59")
    });
    let mut miner = bench.connect();
    miner.start(&mut bench);
    bench.pass(seconds(59));
    miner.read(&mut bench);
    assert_eq!(miner.jobs.len(), 2);
    bench.pass(seconds(300));
    miner.read(&mut bench);
    assert_eq!(miner.jobs.len(), 2);
    let mut bench = Bench::new(with_quirks("silence"));
    let mut miner = bench.connect();
    miner.try_start(&mut bench, true, None);
    assert!(miner.jobs.is_empty());
}

#[test]
fn a_new_extranonce_counts_from_the_next_job() {
    let (mut bench, mut miner) = started("set-extranonce=5");
    let old = miner.find();
    let before = miner.extranonce1.clone();
    bench.pass(seconds(5));
    miner.read(&mut bench);
    assert_ne!(miner.extranonce1, before);
    assert_eq!(miner.jobs.len(), 2);
    assert_eq!(miner.code(&mut bench, old), 0);
    let new = miner.find();
    assert_eq!(miner.code(&mut bench, new), 0);
}

#[test]
fn the_pool_can_ask_and_tell() {
    let (mut bench, mut miner) =
        started("get-version,ping=2,show-message=3,reconnect-same=4,reconnect-foreign=4");
    bench.pass(seconds(5));
    miner.read(&mut bench);
    assert_eq!(miner.count("mining.ping"), 2);
    assert_eq!(miner.count("client.show_message"), 1);
    assert_eq!(miner.count("client.reconnect"), 2);
    assert_eq!(miner.count("client.get_version"), 1);
    let answer = b"{\"id\":42,\"result\":\"pong\",\"error\":null}\n";
    bench.core.handle_bytes(bench.now, miner.id, answer);
    assert!(bench.events().contains(&Event::ClientAnswered {
        connection: miner.id,
        method: "mining.ping",
        result: "\"pong\"".to_owned(),
    }));
}

#[test]
fn good_shares_can_be_refused_on_purpose() {
    let (mut bench, mut miner) = started("reject-all=21");
    let share = miner.find();
    assert_eq!(miner.code(&mut bench, share), 21);
    assert_eq!(bench.core.stats().accepted, 0);
}

#[test]
fn one_wrong_extranonce2_poisons_its_job() {
    let (mut bench, mut miner) = started("poisoned-job");
    let mut short = miner.find();
    short[2] = json!("00");
    assert_eq!(miner.code(&mut bench, short), 23);
    let good = miner.find();
    assert_eq!(miner.code(&mut bench, good), 23);
    bench.core.force_job(bench.now);
    miner.read(&mut bench);
    let good = miner.find();
    assert_eq!(miner.code(&mut bench, good), 0);
}

#[test]
fn the_pool_can_hang_up_with_or_without_an_answer() {
    for (quirks, answered) in [("drop-after=2", true), ("drop-unanswered=2", false)] {
        let (mut bench, mut miner) = started(quirks);
        let share = miner.find();
        assert_eq!(miner.code(&mut bench, share), 0);
        assert_eq!(bench.core.poll_close(), None);
        let share = miner.find();
        let id = miner.submit(&mut bench, share);
        assert_eq!(miner.answer(id).is_some(), answered);
        assert!(bench.core.poll_close().is_some());
        assert_eq!(bench.core.stats().accepted, 2);
    }
}

#[test]
fn packets_are_single_messages_all_at_once_or_bytes() {
    let sizes = |quirks: &str| -> Vec<(usize, usize)> {
        let mut bench = Bench::new(with_quirks(quirks));
        let mut miner = bench.connect();
        miner.send(&mut bench, "mining.subscribe", json!([]));
        miner.send(&mut bench, "mining.authorize", json!(["w"]));
        let lines = |bytes: &[u8]| bytes.iter().filter(|byte| **byte == b'\n').count();
        let packets = bench.packets();
        packets
            .iter()
            .map(|(_, bytes)| (bytes.len(), lines(bytes)))
            .collect()
    };
    let single = sizes("");
    assert_eq!(single.len(), 4);
    assert!(single.iter().all(|(_, lines)| *lines == 1));
    let total: usize = single.iter().map(|(size, _)| size).sum();
    assert_eq!(sizes("coalesced"), [(total, 4)]);
    assert_eq!(sizes("byte-by-byte").len(), total);
    assert!(sizes("slow-loris").is_empty());
}

#[test]
fn slow_bytes_come_at_their_pace_and_complete() {
    let mut bench = Bench::new(with_quirks("slow-loris=10"));
    let mut miner = bench.connect();
    miner.send(&mut bench, "mining.subscribe", json!([]));
    bench.pass(Duration::from_millis(105));
    assert_eq!(bench.packets().len(), 10);
    bench.pass(seconds(10));
    let rest = bench.packets();
    assert_eq!(rest.last().expect("bytes").1, b"\n");
    miner.send(&mut bench, "mining.ping", json!([]));
    bench.pass(Duration::from_millis(20));
    assert_eq!(bench.packets().len(), 2);
}

#[test]
fn lines_can_end_with_cr_lf_and_blanks_between() {
    let mut bench = Bench::new(with_quirks("crlf"));
    let mut miner = bench.connect();
    miner.send(&mut bench, "mining.ping", json!([]));
    assert!(bench.packets()[0].1.ends_with(b"}\r\n\r\n"));
}

#[test]
fn hostile_switches_send_what_no_miner_should_trust() {
    let (_, miner) = started("garbage");
    assert!(miner.bad_lines > 3);

    let mut bench = Bench::new(with_quirks("huge-line=100"));
    let mut miner = bench.connect();
    miner.send(&mut bench, "mining.subscribe", json!([]));
    miner.send(&mut bench, "mining.authorize", json!(["w"]));
    assert!(
        bench
            .packets()
            .iter()
            .any(|(_, bytes)| bytes.len() > 100 * 1024)
    );

    let subscription = |quirks: &str| {
        let mut bench = Bench::new(with_quirks(quirks));
        let mut miner = bench.connect();
        let id = miner.send(&mut bench, "mining.subscribe", json!([]));
        miner.read(&mut bench);
        let result = miner.answer(id).expect("an answer")["result"].clone();
        (
            result[1].as_str().map(str::to_owned).expect("text"),
            result[2].clone(),
        )
    };
    assert_eq!(subscription("bad-extranonce2-size").1, 200);
    assert_eq!(subscription("bad-extranonce2-size=0").1, 0);
    assert_eq!(subscription("bad-extranonce1-size=33").0.len(), 66);
    assert!(subscription("extranonce1-not-hex").0.contains('x'));

    let mut bench = Bench::new(with_quirks("wrong-types,unknown-method"));
    let mut miner = bench.connect();
    miner.try_start(&mut bench, true, None);
    assert_eq!(miner.answer(1).expect("an answer")["result"], "yes");
    assert_eq!(miner.answer(2).expect("an answer")["result"], 7);
    assert_eq!(miner.count("mining.hashrate"), 1);
}

#[test]
fn every_switch_leaves_a_pool_that_runs() {
    for quirk in Quirk::ALL {
        let mut bench = Bench::new(PoolConfig {
            job_interval: seconds(5),
            block_interval: seconds(20),
            ..with_quirks(quirk.name())
        });
        let mut miner = bench.connect();
        miner.try_start(&mut bench, true, None);
        for _ in 0..10 {
            bench.pass(seconds(6));
            miner.read(&mut bench);
        }
        assert!(
            bench.core.poll_timeout().is_none_or(|due| due > bench.now),
            "{quirk:?}"
        );
    }
    assert!(easy().quirks.iter().next().is_none());
}
