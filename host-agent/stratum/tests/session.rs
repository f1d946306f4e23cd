//! How a session behaves, told against a pool whose every line stands here.

mod support;

use std::sync::Arc;
use std::time::Duration;

use serde_json::json;
use stratum::v1::{Config, ConfigError, VersionBitsForm};
use stratum::{Action, Event, Reason, Refusal, RejectKind, Secret};
use support::*;

fn only_share_fields(table: &Table) -> Vec<String> {
    let last = table.sent.last().expect("a submit");
    let fields = last["params"].as_array().unwrap().iter();
    fields
        .map(|field| field.as_str().unwrap().to_owned())
        .collect()
}

fn reject(table: &mut Table, code: i64, text: &str) {
    let id = table.id_of("mining.submit").unwrap();
    table.say(&json!({"id": id, "result": null, "error": [code, text, null]}));
}

fn accept(table: &mut Table) {
    let id = table.id_of("mining.submit").unwrap();
    table.answer(id, &json!(true));
}

// The handshake.

#[test]
fn requests_go_out_in_the_order_that_all_pools_take() {
    let mut config = config();
    config.extranonce_subscribe = true;
    config.suggest_difficulty = Some(1024.4.try_into().unwrap());
    let table = Table::connected(config);
    let sent: Vec<_> = table
        .sent
        .iter()
        .map(|line| (line["id"].as_u64().unwrap(), line["params"].clone()))
        .collect();
    assert_eq!(
        table.methods(),
        [
            "mining.configure",
            "mining.subscribe",
            "mining.extranonce.subscribe",
            "mining.suggest_difficulty",
            "mining.authorize"
        ]
    );
    let options = json!({"version-rolling.mask": "1fffe000", "version-rolling.min-bit-count": 2});
    let agent = format!("hashwright/{}", env!("CARGO_PKG_VERSION"));
    assert_eq!(
        sent,
        [
            (1, json!([["version-rolling"], options])),
            (2, json!([agent])),
            (3, json!([])),
            (4, json!([1024])),
            (5, json!(["bc1quser.rig", "hunter2"])),
        ]
    );
}

#[test]
fn methods_that_only_some_pools_know_are_left_out_by_default() {
    let table = Table::connected(config());
    assert_eq!(
        table.methods(),
        ["mining.configure", "mining.subscribe", "mining.authorize"]
    );
    let mut config = config();
    config.version_mask = 0;
    assert_eq!(
        Table::connected(config).methods(),
        ["mining.subscribe", "mining.authorize"]
    );
}

#[test]
fn names_of_any_kind_fit_in_a_line() {
    let mut config = config();
    config.user = "\u{1}".repeat(512);
    config.password = stratum::Secret::new("\u{2}".repeat(512));
    // The table checks the length of each line.
    assert_eq!(Table::connected(config.clone()).methods().len(), 3);
    config.user.push('x');
    assert!(
        config
            .check()
            .unwrap_err()
            .to_string()
            .contains("at most 512")
    );
    config.user.clear();
    assert!(config.check().is_err());
}

#[test]
fn a_fractional_difficulty_is_suggested_once_the_pool_has_shown_one() {
    let mut config = config();
    config.suggest_difficulty = Some(1e-6.try_into().unwrap());
    let mut table = Table::connected(config);
    assert_eq!(table.id_of("mining.suggest_difficulty"), None);
    let set = json!({"id": null, "method": "mining.set_difficulty", "params": [0.5]});
    table.say(&set);
    table.say(&set);
    let suggestions = table
        .methods()
        .iter()
        .filter(|m| m.contains("suggest"))
        .count();
    assert_eq!(suggestions, 1);
    assert_eq!(table.sent.last().unwrap()["params"], json!([1e-6]));
    assert!(table.session.memory().fractional_difficulty);
    table.reconnect();
    assert!(table.id_of("mining.suggest_difficulty").is_some());
}

#[test]
fn a_job_that_comes_in_one_packet_with_the_subscription_is_taken() {
    let mut table = Table::connected(config());
    let subscribe = table.id_of("mining.subscribe").unwrap();
    let answer =
        json!({"id": subscribe, "result": [[["mining.notify", "1"]], "aabb", 4], "error": null});
    let difficulty = json!({"id": null, "method": "mining.set_difficulty", "params": [2]});
    let job = notify("a", &NotifyParts::update());
    table.say_raw(&format!("{answer}\r\n\r\n{difficulty}\n{job}\n"));
    let job = table.job();
    assert_eq!(
        (job.extranonce1.as_slice(), job.extranonce2_len),
        (&[0xaa, 0xbb][..], 4)
    );
    assert_eq!(job.target.difficulty(), 2.0);
    assert_eq!(job.version_mask, 0, "not agreed yet");
    let configure = table.id_of("mining.configure").unwrap();
    table.answer(
        configure,
        &json!({"version-rolling": true, "version-rolling.mask": "1fffe000"}),
    );
    let again = table.job();
    assert_eq!(
        (again.version_mask, again.generation),
        (MASK, job.generation)
    );
}

#[test]
fn a_job_before_the_subscription_waits_for_it() {
    let mut table = Table::connected(config());
    table.say(&json!({"id": null, "method": "mining.set_version_mask", "params": ["1fff0000"]}));
    table.say(&notify("a", &NotifyParts::default()));
    assert!(table.jobs().is_empty());
    table.welcome("1", "aabb", 4);
    assert_eq!(table.job().id, "a");
    assert_eq!(table.job().version_mask, MASK);
}

#[test]
fn a_refused_configure_leaves_submits_with_five_fields() {
    for answer in [
        json!({"result": false, "error": null}),
        json!({"result": null, "error": [20, "Not supported.", null]}),
        json!({"result": {"version-rolling": false}, "error": null}),
    ] {
        let mut table = Table::connected(config());
        let mut answer = answer;
        answer["id"] = json!(table.id_of("mining.configure"));
        table.say(&answer);
        table.sent.remove(0);
        table.welcome("1", "aabb", 4);
        table.say(&notify("a", &NotifyParts::default()));
        let job = table.job();
        assert_eq!(job.version_mask, 0);
        table.submit(share(&job, 7)).unwrap();
        assert_eq!(
            only_share_fields(&table),
            ["bc1quser.rig", "a", "00000000", "6b030b4b", "00000007"]
        );
        let mut rolled = share(&job, 7);
        rolled.version |= 1 << 13;
        assert_eq!(table.submit(rolled), Err(Refusal::VersionBits));
    }
}

#[test]
fn the_agreed_mask_is_what_both_sides_can_do() {
    let mut config = config();
    config.version_mask = 0x00ff_e000;
    let mut table = Table::connected(config);
    let id = table.id_of("mining.configure").unwrap();
    let result = json!({"version-rolling": true, "version-rolling.mask": "1fff0000"});
    table.answer(id, &result);
    assert!(table.events.contains(&Event::VersionMask(0x00ff_0000)));
    // Agreed, although nothing is left to roll: the sixth field must be there.
    table.say(&json!({"id": null, "method": "mining.set_version_mask", "params": ["10000000"]}));
    table.sent.remove(0);
    table.welcome("1", "aabb", 4);
    table.say(&notify("a", &NotifyParts::default()));
    let job = table.job();
    table.submit(share(&job, 7)).unwrap();
    assert_eq!(only_share_fields(&table)[5], "00000000");
}

#[test]
fn a_refused_worker_is_said_so_and_not_tried_again_every_second() {
    let mut table = Table::connected(config());
    let id = table.id_of("mining.subscribe").unwrap();
    table.answer(id, &json!([[], "aabb", 4]));
    let id = table.id_of("mining.authorize").unwrap();
    table.say(&json!({"id": id, "result": false, "error": "Empty workername parameter"}));
    let Some(Event::Disconnected { reason, retry_in }) = table.events.pop() else {
        panic!("still there");
    };
    assert_eq!(
        reason,
        Reason::AuthorizeRefused("Empty workername parameter".into())
    );
    assert!(retry_in >= Some(s(10.0)));
    assert!(matches!(table.actions.last(), Some(Action::Close(_))));
    assert!(!table.session.stats().problem.unwrap().contains("hunter2"));
}

#[test]
fn a_pool_that_does_not_answer_is_left() {
    let mut table = Table::connected(config());
    table.pass(s(29.0));
    assert_eq!(table.why_closed(), None);
    table.pass(s(2.0));
    assert!(table.why_closed().unwrap().contains("mining.subscribe"));

    let mut table = Table::connected(config());
    let id = table.id_of("mining.subscribe").unwrap();
    table.answer(id, &json!([[], "aabb", 4]));
    table.pass(s(31.0));
    assert!(table.why_closed().unwrap().contains("mining.authorize"));

    let mut table = Table::connected(config());
    table.welcome("1", "aabb", 4);
    table.pass(s(61.0));
    assert!(table.why_closed().unwrap().contains("no job"));
}

#[test]
fn shares_wait_for_the_worker_and_go_if_the_pool_never_answers_that() {
    let mut table = Table::connected(config());
    let id = table.id_of("mining.subscribe").unwrap();
    table.answer(id, &json!([[], "aabb", 4]));
    table.say(&notify("a", &NotifyParts::default()));
    let job = table.job();
    table.submit(share(&job, 7)).unwrap();
    assert_eq!(table.id_of("mining.submit"), None);
    table.pass(s(31.0));
    assert!(table.id_of("mining.submit").is_some());
    assert_eq!(table.session.stats().state, "mining");
}

// Jobs.

#[test]
fn a_clean_job_drops_older_shares_and_an_update_does_not() {
    let mut table = Table::mining(config());
    let first = table.job();
    table.say(&notify("b", &NotifyParts::update()));
    assert_eq!(table.job().generation, first.generation);
    assert_eq!(table.submit(share(&first, 1)), Ok(()));
    table.say(&notify("c", &NotifyParts::default()));
    assert!(table.job().generation > first.generation);
    assert_eq!(table.submit(share(&first, 2)), Err(Refusal::UnknownJob));
    assert_eq!(table.session.stats().dropped, 1);
}

#[test]
fn another_previous_block_is_clean_whatever_the_flag_says() {
    let mut table = Table::mining(config());
    let first = table.job();
    let parts = NotifyParts {
        prev_hash: NEXT_TIP,
        ..NotifyParts::update()
    };
    table.say(&notify("b", &parts));
    assert!(table.job().generation > first.generation);
    assert_eq!(table.submit(share(&first, 1)), Err(Refusal::UnknownJob));
}

#[test]
fn generations_and_sessions_rise_over_all_pools() {
    let sequence = stratum::Sequence::new();
    let mut seen = Vec::new();
    for seed in 0..3 {
        let session = stratum::v1::Session::new(config(), seed, sequence.clone()).unwrap();
        let mut table = Table::new(session);
        table.session.start(s(0.0));
        table.session.connected(s(0.0));
        table.drain();
        table.welcome("1", "aabb", 4);
        table.say(&notify("a", &NotifyParts::default()));
        seen.push((table.job().session, table.job().generation));
    }
    assert_eq!(seen, [(1, 1), (2, 2), (3, 3)]);
}

#[test]
fn a_job_announced_twice_is_taken_once() {
    let mut table = Table::mining(config());
    table.say(&notify("b", &NotifyParts::update()));
    table.say(&notify("b", &NotifyParts::update()));
    table.say(&notify("a", &NotifyParts::update()));
    assert_eq!(table.jobs().len(), 2);
    // Clean, it voids the other one; said so twice, nothing more.
    table.say(&notify("b", &NotifyParts::default()));
    table.say(&notify("b", &NotifyParts::default()));
    assert_eq!(table.jobs().len(), 3);
    // With a new difficulty it is worth taking again, from where it was.
    table.now = s(5.0);
    table.say(&json!({"id": null, "method": "mining.set_difficulty", "params": [3]}));
    table.say(&notify("b", &NotifyParts::update()));
    let again = table.job();
    assert_eq!(again.target.difficulty(), 3.0);
    assert_eq!(again.generation, table.jobs()[2].generation);
    assert_eq!(again.received, s(0.0));
}

#[test]
fn an_id_with_other_content_is_another_job() {
    let mut table = Table::mining(config());
    let first = table.job();
    let parts = NotifyParts {
        ntime: "6b030b55",
        ..NotifyParts::update()
    };
    table.say(&notify("a", &parts));
    assert_eq!(table.job().ntime, 0x6b03_0b55);
    assert_eq!(table.submit(share(&first, 1)), Err(Refusal::UnknownJob));
    let job = table.job();
    assert_eq!(table.submit(share(&job, 1)), Ok(()));
}

#[test]
fn difficulty_and_extranonce_count_from_the_next_job_on() {
    let mut table = Table::mining(config());
    table.say(&json!({"id": null, "method": "mining.set_difficulty", "params": [16]}));
    table.say(&json!({"id": null, "method": "mining.set_extranonce", "params": ["dd", 3]}));
    assert_eq!(table.jobs().len(), 1);
    let first = table.job();
    table.submit(share(&first, 1)).unwrap();
    assert_eq!(only_share_fields(&table)[2], "0000000000000000");
    table.say(&notify("b", &NotifyParts::update()));
    let second = table.job();
    assert_eq!(second.target.difficulty(), 16.0);
    assert_eq!(
        (second.extranonce1.as_slice(), second.extranonce2_len),
        (&[0xdd][..], 3)
    );
    assert_eq!(second.session, first.session);
    table.submit(share(&second, 2)).unwrap();
    assert_eq!(only_share_fields(&table)[2], "000000");
}

#[test]
fn a_new_mask_changes_the_job_at_hand() {
    let mut table = Table::mining(config());
    let first = table.job();
    let mut rolled = share(&first, 1);
    rolled.version |= 1 << 28;
    table.say(&json!({"id": null, "method": "mining.set_version_mask", "params": ["0fffe000"]}));
    let second = table.job();
    assert_eq!(
        (second.version_mask, second.generation),
        (0x0fff_e000, first.generation)
    );
    assert_eq!(table.submit(rolled), Err(Refusal::VersionBits));
    table.submit(share(&first, 2)).unwrap();
    assert_eq!(only_share_fields(&table)[5], "00000000");
}

// Shares.

#[test]
fn a_share_is_one_line_with_all_its_parts() {
    let mut table = Table::mining(config());
    let mut found = share(&table.job(), 0x000d_db3a);
    found.extranonce2 = vec![0, 1, 2, 3, 4, 5, 6, 0xff];
    found.ntime += 16;
    found.version |= 0x6000;
    table.now = s(3.0);
    table.submit(found).unwrap();
    assert_eq!(
        only_share_fields(&table),
        [
            "bc1quser.rig",
            "a",
            "00010203040506ff",
            "6b030b5b",
            "000ddb3a",
            "00006000"
        ]
    );
    table.now = s(3.25);
    accept(&mut table);
    let Some(Event::ShareAccepted(receipt)) = table.events.pop() else {
        panic!("not accepted");
    };
    assert_eq!(
        (receipt.difficulty, receipt.latency, receipt.resent),
        (0.0005, s(0.25), false)
    );
    let stats = table.session.stats();
    assert_eq!(
        (stats.accepted, stats.submitted, stats.accepted_difficulty),
        (1, 1, 0.0005)
    );
    assert_eq!(stats.latency.unwrap().median, s(0.25));
}

#[test]
fn shares_that_pools_surely_reject_are_not_sent() {
    let mut table = Table::mining(config());
    let job = table.job();
    let good = share(&job, 1);
    let mut early = good.clone();
    early.ntime -= 1;
    let mut late = good.clone();
    late.ntime += 7001;
    let mut short = good.clone();
    short.extranonce2.pop();
    let mut bits = good.clone();
    bits.version ^= 1;
    let mut foreign = good.clone();
    let mut other = stratum_job(&job);
    other.session += 1;
    foreign.job = Arc::new(other);
    for (bad, refusal) in [
        (early, Refusal::TimeOutOfRange),
        (late, Refusal::TimeOutOfRange),
        (short, Refusal::Extranonce2Length),
        (bits, Refusal::VersionBits),
        (foreign, Refusal::OtherSession),
    ] {
        assert_eq!(table.submit(bad), Err(refusal));
    }
    assert_eq!(table.session.stats().dropped, 5);
    assert_eq!(table.session.stats().submitted, 0);
}

fn stratum_job(job: &Arc<mining::Job>) -> mining::Job {
    mining::Job::clone(job)
}

#[test]
fn rejects_are_counted_by_kind_with_the_pools_words() {
    let mut table = Table::mining(config());
    let job = table.job();
    for (code, text) in [(21, "Job not found"), (22, "Duplicate"), (21, "Stale")] {
        table.submit(share(&job, 1)).unwrap();
        reject(&mut table, code, text);
    }
    let stats = table.session.stats();
    assert_eq!((stats.accepted, stats.rejected), (0, 3));
    let kinds: Vec<_> = stats
        .rejects
        .iter()
        .map(|r| (r.kind, r.count, r.text.as_str()))
        .collect();
    assert_eq!(
        kinds,
        [
            (RejectKind::Stale, 2, "Stale"),
            (RejectKind::Duplicate, 1, "Duplicate")
        ]
    );
}

#[test]
fn a_share_without_answer_becomes_unconfirmed_until_a_late_answer() {
    let mut table = Table::mining(config());
    let job = table.job();
    table.submit(share(&job, 1)).unwrap();
    table.now = s(30.0);
    table.say(&notify("b", &NotifyParts::update()));
    table.pass(s(31.0));
    assert!(matches!(
        table.events.last(),
        Some(Event::ShareUnconfirmed(_))
    ));
    assert_eq!(table.session.stats().unconfirmed, 1);
    assert_eq!(table.why_closed(), None, "the pool is alive");
    accept(&mut table);
    let stats = table.session.stats();
    assert_eq!((stats.unconfirmed, stats.accepted), (0, 1));
}

#[test]
fn a_pool_that_says_nothing_after_a_share_is_dead() {
    let mut table = Table::mining(config());
    let job = table.job();
    table.now = s(10.0);
    table.submit(share(&job, 1)).unwrap();
    table.pass(s(61.0));
    assert!(table.why_closed().unwrap().contains("silent since a share"));
}

#[test]
fn a_pool_that_forgot_the_subscription_gets_a_new_connection() {
    let mut table = Table::mining(config());
    let job = table.job();
    table.submit(share(&job, 1)).unwrap();
    reject(&mut table, 25, "Not subscribed");
    assert!(table.why_closed().unwrap().contains("Not subscribed"));
}

// What the pool is like.

/// Sends a share on a job with bits inside the mask, and the pool's verdict on it.
fn share_with_bits(table: &mut Table, nonce: u32, code: Option<i64>) -> String {
    let mut found = share(&table.job(), nonce);
    found.version |= 0x6000;
    table.submit(found).unwrap();
    let bits = only_share_fields(table)[5].clone();
    match code {
        Some(code) => reject(table, code, "?"),
        None => accept(table),
    }
    bits
}

fn mining_with_bits() -> Table {
    let mut table = Table::mining(config());
    let parts = NotifyParts {
        version: "30000000",
        ..NotifyParts::default()
    };
    table.say(&notify("b", &parts));
    table
}

#[test]
fn a_pool_that_takes_no_share_in_one_form_of_version_bits_gets_the_other() {
    let mut table = mining_with_bits();
    for nonce in 0..5 {
        assert_eq!(share_with_bits(&mut table, nonce, Some(23)), "10006000");
    }
    assert_eq!(share_with_bits(&mut table, 6, None), "00006000");
    assert_eq!(
        table.session.memory().version_bits,
        VersionBitsForm::Changed
    );
    table.reconnect();
    table.welcome("2", "ffff", 8);
    let parts = NotifyParts {
        version: "30000000",
        ..NotifyParts::default()
    };
    table.say(&notify("c", &parts));
    assert_eq!(
        share_with_bits(&mut table, 7, None),
        "00006000",
        "remembered"
    );
}

#[test]
fn low_difficulty_of_other_origin_does_not_change_the_form() {
    let mut table = mining_with_bits();
    for nonce in 0..40 {
        let code = if nonce % 5 == 4 { None } else { Some(23) };
        assert_eq!(share_with_bits(&mut table, nonce, code), "10006000");
    }
    // Jobs without such bits say nothing about the form.
    table.say(&notify("c", &NotifyParts::default()));
    for nonce in 0..40 {
        share_with_bits(&mut table, nonce, Some(23));
    }
    assert_eq!(table.session.memory().version_bits, VersionBitsForm::Final);
}

#[test]
fn a_pool_that_judges_old_jobs_by_a_new_difficulty_is_found_out() {
    let mut table = Table::mining(config());
    let job = table.job();
    let mut weak = share(&job, 1);
    weak.hash = [0xff; 32];
    table.say(&json!({"id": null, "method": "mining.set_difficulty", "params": [1]}));
    table.submit(weak.clone()).unwrap();
    reject(&mut table, 23, "Difficulty too low");
    assert!(table.session.memory().judges_at_once);
    assert_eq!(table.submit(weak.clone()), Err(Refusal::DifficultyRaised));
    table.submit(share(&job, 2)).unwrap();

    // Where the form of the version bits may be to blame, nothing is concluded.
    let mut table = mining_with_bits();
    weak.job = table.job();
    weak.version = weak.job.version;
    table.say(&json!({"id": null, "method": "mining.set_difficulty", "params": [1]}));
    table.submit(weak.clone()).unwrap();
    reject(&mut table, 23, "Difficulty too low");
    assert!(!table.session.memory().judges_at_once);

    // A pool that keeps to the rule takes such shares, and is not suspected.
    let mut table = Table::mining(config());
    weak.job = table.job();
    weak.version = weak.job.version;
    table.say(&json!({"id": null, "method": "mining.set_difficulty", "params": [1]}));
    table.submit(weak).unwrap();
    accept(&mut table);
    assert!(!table.session.memory().judges_at_once);
}

#[test]
fn a_hang_up_on_configure_is_remembered_for_an_hour() {
    let mut table = Table::connected(config());
    table.reconnect();
    assert_eq!(table.now, s(0.0), "at once");
    assert_eq!(table.methods(), ["mining.subscribe", "mining.authorize"]);
    table.welcome("1", "aabb", 4);
    assert!(table.session.memory().refuses_configure);
    table.say(&notify("a", &NotifyParts::default()));
    table.reconnect();
    assert_eq!(table.methods()[0], "mining.subscribe");
    table.now += s(3601.0);
    table.reconnect();
    assert_eq!(table.methods()[0], "mining.configure");
}

#[test]
fn a_pool_that_is_simply_down_is_not_blamed_for_configure() {
    let mut table = Table::connected(config());
    table.reconnect();
    assert_eq!(table.methods()[0], "mining.subscribe");
    table.reconnect();
    assert!(table.now > s(0.0), "with a pause");
    assert_eq!(table.methods()[0], "mining.configure");
    assert!(!table.session.memory().refuses_configure);
}

// Connections.

#[test]
fn attempts_become_rarer_with_each_failure() {
    let mut table = Table::new(session(config()));
    table.session.start(s(0.0));
    let mut waits = Vec::new();
    for _ in 0..12 {
        let failed = Reason::ConnectFailed("refused".into());
        table.session.disconnected(table.now, failed);
        table.drain();
        let Some(Event::Disconnected {
            retry_in: Some(wait),
            ..
        }) = table.events.last()
        else {
            panic!("no retry");
        };
        waits.push(*wait);
        table.pass(*wait);
        assert!(matches!(table.actions.last(), Some(Action::Connect { .. })));
    }
    assert!(waits[0] <= s(0.5) && waits[0] >= s(0.1));
    assert!(waits[5] >= s(8.0) && waits[5] <= s(16.0));
    assert!(waits[11] >= s(30.0) && waits[11] <= s(60.0));
}

#[test]
fn a_pool_that_drops_us_after_each_job_is_not_hammered() {
    let mut table = Table::mining(config());
    for _ in 0..10 {
        table.reconnect();
        table.welcome("1", "4c0b036b", 8);
        table.say(&notify("a", &NotifyParts::default()));
    }
    assert!(table.now > s(60.0), "{:?}", table.now);
    // A connection that earned something makes the next attempt quick.
    let job = table.job();
    table.submit(share(&job, 1)).unwrap();
    accept(&mut table);
    let before = table.now;
    table.reconnect();
    assert!(table.now - before <= s(1.0));
}

#[test]
fn silence_is_taken_for_death_after_three_minutes() {
    let mut table = Table::mining(config());
    for i in 1..10 {
        table.pass(s(30.0));
        table.say(&notify(&format!("n{i}"), &NotifyParts::update()));
    }
    assert!(table.session.memory().refreshes_jobs);
    table.pass(s(179.0));
    assert_eq!(table.why_closed(), None);
    table.pass(s(2.0));
    assert!(table.why_closed().unwrap().contains("no new job for 180s"));
}

#[test]
fn a_pool_without_updates_may_be_quiet_while_it_accepts_shares() {
    let mut table = Table::mining(config());
    let job = table.job();
    for nonce in 0..14 {
        table.pass(s(60.0));
        table.submit(share(&job, nonce)).unwrap();
        accept(&mut table);
        assert_eq!(table.why_closed(), None, "after {:?}", table.now);
    }
    table.pass(s(61.0));
    assert!(table.why_closed().unwrap().contains("no new job for 900s"));
}

#[test]
fn requests_of_the_pool_are_answered_only_if_they_have_an_id() {
    let mut table = Table::mining(config());
    table.sent.clear();
    table.say(&json!({"id": 42, "method": "mining.ping", "params": []}));
    table.say(&json!({"id": "v", "method": "client.get_version", "params": []}));
    table.say(&json!({"id": null, "method": "mining.ping", "params": []}));
    table.say(&json!({"method": "mining.ping"}));
    assert_eq!(
        table.sent,
        [
            json!({"id": 42, "result": "pong", "error": null}),
            json!({"id": "v", "result": table.session.config().agent, "error": null})
        ]
    );
}

#[test]
fn words_of_the_pool_reach_the_owner() {
    let mut table = Table::mining(config());
    table.say(&json!({"method": "client.show_message", "params": ["Maintenance at noon"]}));
    assert_eq!(
        table.events.last(),
        Some(&Event::Message("Maintenance at noon".into()))
    );
    assert_eq!(
        table.session.stats().message.as_deref(),
        Some("Maintenance at noon")
    );
}

#[test]
fn unknown_methods_and_answers_to_nothing_are_passed_over() {
    let mut table = Table::mining(config());
    table.say(&json!({"id": 5, "method": "mining.hashrate", "params": {"a": [1]}}));
    table.say(&json!({"id": 999, "result": true, "error": null}));
    table.say(&json!({"id": null, "result": null, "error": [20, "?", null]}));
    assert_eq!(table.session.stats().ignored, 3);
    assert_eq!(table.why_closed(), None);
}

#[test]
fn nonsense_ends_the_connection_with_a_clear_reason() {
    for (said, words) in [
        ("HTTP/1.1 400 Bad Request\n", "a web server answers"),
        ("{\"id\":1,\"result\n", "no JSON object"),
        ("[1,2]\n", "no JSON object"),
        (
            r#"{"method":"mining.set_difficulty","params":[0]}"#,
            "difficulty is 0",
        ),
        (
            r#"{"method":"mining.set_extranonce","params":["00",99]}"#,
            "extranonce2 size is 99",
        ),
        (
            r#"{"method":"mining.notify","params":[1]}"#,
            "mining.notify is a list of 1 items",
        ),
        (
            r#"{"method":"mining.set_version_mask","params":["none"]}"#,
            "version mask",
        ),
    ] {
        let mut table = Table::mining(config());
        table.say_raw(&format!("{said}\n"));
        let why = table.why_closed().expect(said);
        assert!(why.contains(words), "{why}");
        assert!(matches!(table.actions.last(), Some(Action::Close(_))));
        table.connect_again();
    }
}

#[test]
fn a_peer_that_speaks_something_else_is_named_with_the_url_for_it() {
    // A fatal TLS alert; what a node's RPC says to a line of JSON; the answer of a Stratum V2
    // pool, which is noise.
    let noise: Vec<u8> = (0..234u32).map(|i| (i * 167 % 251) as u8 | 0x80).collect();
    for (said, url) in [
        (
            b"\x15\x03\x01\x00\x02\x02\x46".as_slice(),
            "stratum+tls://eu.pool.example:3333",
        ),
        (
            b"HTTP/1.1 400 Bad Request\r\n",
            "http://eu.pool.example:3333",
        ),
        (&noise, "stratum2+tcp://eu.pool.example:3333/KEY"),
    ] {
        // However the bytes are cut.
        for size in [1, 7, said.len()] {
            let mut table = Table::connected(config());
            for piece in said.chunks(size) {
                table.session.handle_bytes(s(1.0), piece);
            }
            table.drain();
            let why = table.why_closed().expect("closed");
            assert!(why.contains(url), "{why}");
            let wrong = |event: &Event| {
                matches!(
                    event,
                    Event::Disconnected {
                        reason: Reason::WrongProtocol(_),
                        ..
                    }
                )
            };
            assert_eq!(table.events.iter().filter(|e| wrong(e)).count(), 1);
        }
    }
}

#[test]
fn a_server_that_hangs_up_at_our_first_words_is_suspected_of_another_protocol() {
    let mut table = Table::connected(config());
    for _ in 0..3 {
        assert!(!table.why_closed().is_some_and(|why| why.contains("V2")));
        table.reconnect();
    }
    let why = table.why_closed().unwrap();
    assert!(why.contains("3 times in a row"), "{why}");
    assert!(
        why.contains("stratum2+tcp://eu.pool.example:3333/KEY"),
        "{why}"
    );
    assert!(why.contains("stratum+tls://eu.pool.example:3333"), "{why}");
    // One word, and the suspicion is gone.
    table.say_raw("\n");
    table.reconnect();
    assert_eq!(
        table.why_closed().as_deref(),
        Some("the pool closed the connection")
    );
}

#[test]
fn a_url_of_another_protocol_makes_no_session() {
    for url in ["stratum2+tcp://p.example:1", "http://p.example"] {
        let config = Config::new(url.parse().unwrap(), "u", Secret::new("x"));
        assert!(matches!(config.check(), Err(ConfigError::Scheme(_))));
    }
}

#[test]
fn a_line_without_end_ends_the_connection() {
    let mut table = Table::mining(config());
    let piece = vec![b' '; 65_536];
    for _ in 0..17 {
        table.session.handle_bytes(table.now, &piece);
        table.drain();
    }
    assert!(
        table
            .why_closed()
            .unwrap()
            .contains("more than 1048576 bytes")
    );
}

#[test]
fn stopping_gives_up_everything_and_starting_begins_again() {
    let mut table = Table::mining(config());
    let job = table.job();
    table.submit(share(&job, 1)).unwrap();
    table.session.stop(table.now);
    table.drain();
    assert!(table.events.contains(&Event::NoJob));
    assert_eq!(table.actions.last(), Some(&Action::Close(Reason::Stopped)));
    assert_eq!(table.session.stats().state, "unused");
    assert_eq!(table.session.stats().unconfirmed, 1);
    assert_eq!(table.session.poll_timeout(), None);
    table.session.start(table.now);
    table.drain();
    assert!(matches!(table.actions.last(), Some(Action::Connect { .. })));
}

// Redirects.

fn wish(table: &mut Table, params: serde_json::Value) {
    table.say(&json!({"id": null, "method": "client.reconnect", "params": params}));
}

fn goes_to(table: &mut Table) -> (String, u16) {
    table.connect_again();
    match table.actions.last() {
        Some(Action::Connect { host, port }) => (host.clone(), *port),
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_sister_host_is_followed_after_the_wait_and_left_if_it_fails() {
    let mut table = Table::mining(config());
    wish(&mut table, json!(["us.pool.example", "4444", 20]));
    let sister = ("us.pool.example".to_owned(), 4444);
    assert_eq!(goes_to(&mut table), sister);
    assert!(table.now >= s(20.0));
    table.welcome("1", "aabb", 4);
    table.say(&notify("a", &NotifyParts::default()));
    table.hang_up();
    assert_eq!(goes_to(&mut table), sister, "it worked before");
    table.hang_up();
    assert_eq!(goes_to(&mut table), ("eu.pool.example".to_owned(), 3333));
}

#[test]
fn a_sister_host_that_cannot_be_reached_is_left_at_once() {
    let mut table = Table::mining(config());
    wish(&mut table, json!(["us.pool.example"]));
    table.actions.clear();
    table.pass(s(5.0));
    let sister = Action::Connect {
        host: "us.pool.example".into(),
        port: 3333,
    };
    assert_eq!(table.actions.last(), Some(&sister));
    let failed = Reason::ConnectFailed("refused".into());
    table.session.disconnected(table.now, failed);
    assert_eq!(goes_to(&mut table), ("eu.pool.example".to_owned(), 3333));
}

#[test]
fn an_empty_wish_means_the_same_host() {
    let mut table = Table::mining(config());
    wish(&mut table, json!([]));
    assert_eq!(goes_to(&mut table), ("eu.pool.example".to_owned(), 3333));
}

#[test]
fn a_foreign_host_is_not_followed() {
    let mut table = Table::mining(config());
    wish(&mut table, json!(["eu.evil.example", 3333, 0]));
    assert_eq!(
        table.events.last(),
        Some(&Event::RedirectRefused {
            host: "eu.evil.example".into()
        })
    );
    assert_eq!(table.session.stats().state, "mining");
}

#[test]
fn a_pool_that_always_redirects_does_not_keep_us_spinning() {
    let mut table = Table::mining(config());
    for _ in 0..10 {
        wish(&mut table, json!(["eu.pool.example", 3333, 0]));
        table.connect_again();
        table.welcome("1", "4c0b036b", 8);
        table.say(&notify("a", &NotifyParts::default()));
    }
    assert!(table.now > s(60.0), "{:?}", table.now);
}

// Resumption.

#[test]
fn the_old_session_is_asked_for_and_its_jobs_stay_good() {
    let mut table = Table::mining(config());
    let job = table.job();
    table.hang_up();
    assert!(!table.events.contains(&Event::NoJob), "there is hope");
    table.submit(share(&job, 1)).unwrap();
    table.connect_again();
    let subscribe = table
        .sent
        .iter()
        .find(|line| line["method"] == "mining.subscribe")
        .unwrap();
    assert_eq!(subscribe["params"][1], "6b030b4c");
    table.welcome("6b030b4d", "4c0b036b", 8);
    assert_eq!(table.id_of("mining.submit"), None, "not before a job");
    table.say(&notify("a", &NotifyParts::default()));
    assert!(table.id_of("mining.submit").is_some());
    let again = table.job();
    assert_eq!(again.session, job.session);
    assert_eq!(again.generation, job.generation, "work in chips stays good");
    // The second drop asks for the newest id.
    table.reconnect();
    let subscribe = table
        .sent
        .iter()
        .find(|line| line["method"] == "mining.subscribe")
        .unwrap();
    assert_eq!(subscribe["params"][1], "6b030b4d");
}

#[test]
fn an_extranonce_before_the_subscription_does_not_hide_that_it_is_resumed() {
    let mut table = Table::mining(config());
    table.reconnect();
    table.say(&json!({"id": null, "method": "mining.set_extranonce", "params": ["dd", 3]}));
    table.welcome("6b030b4d", "4c0b036b", 8);
    assert!(table.events.contains(&Event::Subscribed { resumed: true }));
    table.say(&notify("a", &NotifyParts::default()));
    assert_eq!(table.job().extranonce2_len, 8);
}

#[test]
fn a_duplicate_on_a_share_sent_again_was_accepted_before() {
    let mut table = Table::mining(config());
    let job = table.job();
    table.submit(share(&job, 1)).unwrap();
    table.hang_up();
    table.submit(share(&job, 2)).unwrap();
    table.connect_again();
    table.welcome("6b030b4d", "4c0b036b", 8);
    table.say(&notify("a", &NotifyParts::default()));
    let submits: Vec<u64> = table
        .sent
        .iter()
        .filter(|line| line["method"] == "mining.submit")
        .map(|line| line["id"].as_u64().unwrap())
        .collect();
    for id in submits {
        table.say(&json!({"id": id, "result": false, "error": [22, "Duplicate", null]}));
    }
    // The one that had never been sent is a duplicate in earnest.
    let stats = table.session.stats();
    assert_eq!((stats.accepted, stats.rejected, stats.submitted), (1, 1, 3));
}

#[test]
fn shares_are_sent_again_in_the_order_in_which_they_were_found() {
    let mut table = Table::mining(config());
    let job = table.job();
    table.submit(share(&job, 1)).unwrap();
    table.submit(share(&job, 2)).unwrap();
    table.hang_up();
    table.submit(share(&job, 3)).unwrap();
    table.connect_again();
    table.welcome("6b030b4d", "4c0b036b", 8);
    table.say(&notify("a", &NotifyParts::default()));
    let nonces: Vec<_> = table
        .sent
        .iter()
        .filter(|line| line["method"] == "mining.submit")
        .map(|line| line["params"][4].as_str().unwrap())
        .collect();
    assert_eq!(nonces, ["00000001", "00000002", "00000003"]);
}

#[test]
fn another_extranonce_makes_old_shares_worthless() {
    let mut table = Table::mining(config());
    let job = table.job();
    table.submit(share(&job, 1)).unwrap();
    table.hang_up();
    table.submit(share(&job, 2)).unwrap();
    table.connect_again();
    table.welcome("6b030b4d", "ffffffff", 8);
    assert!(table.events.contains(&Event::NoJob));
    table.say(&notify("a", &NotifyParts::default()));
    assert_eq!(table.id_of("mining.submit"), None);
    assert!(table.job().session > job.session);
    assert!(table.job().generation > job.generation);
    let stats = table.session.stats();
    assert_eq!((stats.unconfirmed, stats.dropped), (1, 1));
    assert_eq!(table.submit(share(&job, 3)), Err(Refusal::OtherSession));
}

#[test]
fn a_new_block_during_the_outage_makes_old_shares_worthless() {
    let mut table = Table::mining(config());
    let job = table.job();
    table.hang_up();
    table.submit(share(&job, 1)).unwrap();
    table.connect_again();
    table.welcome("6b030b4d", "4c0b036b", 8);
    let parts = NotifyParts {
        prev_hash: NEXT_TIP,
        ..NotifyParts::default()
    };
    table.say(&notify("b", &parts));
    assert_eq!(table.id_of("mining.submit"), None);
    assert_eq!(table.session.stats().dropped, 1);
}

#[test]
fn another_job_on_the_same_block_during_the_outage_keeps_old_shares_good() {
    // Pools call the first job of every connection clean; that says nothing of the jobs before.
    for clean in [false, true] {
        let mut table = Table::mining(config());
        let job = table.job();
        table.hang_up();
        table.submit(share(&job, 1)).unwrap();
        table.connect_again();
        table.welcome("6b030b4d", "4c0b036b", 8);
        let parts = NotifyParts {
            ntime: "6b030b55",
            clean,
            ..NotifyParts::default()
        };
        table.say(&notify("b", &parts));
        assert!(table.id_of("mining.submit").is_some());
        assert_eq!(table.session.stats().dropped, 0);
        // The next clean job is meant.
        let parts = NotifyParts {
            ntime: "6b030b56",
            clean: true,
            ..NotifyParts::default()
        };
        table.say(&notify("c", &parts));
        assert_eq!(table.submit(share(&job, 2)), Err(Refusal::UnknownJob));
    }
}

#[test]
fn shares_and_jobs_are_kept_for_two_minutes() {
    let mut table = Table::mining(config());
    let job = table.job();
    table.submit(share(&job, 1)).unwrap();
    table.hang_up();
    table.submit(share(&job, 2)).unwrap();
    table.actions.clear();
    table.pass(s(119.0));
    assert!(!table.events.contains(&Event::NoJob));
    assert_eq!(table.session.stats().dropped, 0);
    table.pass(s(2.0));
    assert!(table.events.contains(&Event::NoJob));
    let stats = table.session.stats();
    assert_eq!((stats.unconfirmed, stats.dropped), (1, 1));
    assert_eq!(table.submit(share(&job, 3)), Err(Refusal::UnknownJob));
}

#[test]
fn without_a_session_id_there_is_nothing_to_hope_for() {
    let mut table = Table::connected(config());
    let id = table.id_of("mining.subscribe").unwrap();
    table.answer(id, &json!([[], "aabb", 4]));
    table.say(&notify("a", &NotifyParts::default()));
    table.hang_up();
    assert!(table.events.contains(&Event::NoJob));
}

#[test]
fn the_password_appears_nowhere_but_in_authorize() {
    let mut undelivered = session(config());
    undelivered.start(s(0.0));
    undelivered.connected(s(0.0));
    assert!(!format!("{undelivered:?}").contains("104, 117, 110, 116, 101, 114, 50"));

    let mut table = Table::mining(config());
    table.hang_up();
    let told = format!("{:?} {:?} {:?}", table.session, table.events, table.actions);
    assert!(!told.contains("hunter2"));
    let lines = table
        .sent
        .iter()
        .filter(|line| line.to_string().contains("hunter2"));
    assert_eq!(lines.count(), 1);
}

#[test]
fn waiting_shares_are_bounded() {
    let mut table = Table::mining(config());
    let job = table.job();
    table.hang_up();
    for nonce in 0..1000 {
        table.session.submit(table.now, share(&job, nonce)).unwrap();
    }
    assert_eq!(table.session.stats().dropped, 1000 - 256);
}

#[test]
fn a_shell_that_fetches_nothing_does_not_make_the_session_grow() {
    let mut table = Table::mining(config());
    let job = table.job();
    for nonce in 0..3000 {
        table.session.submit(table.now, share(&job, nonce)).unwrap();
        let ping = b"{\"id\":1,\"method\":\"mining.ping\"}\n";
        table.session.handle_bytes(table.now, ping);
        let message = b"{\"method\":\"client.show_message\",\"params\":[\"x\"]}\n";
        table.session.handle_bytes(table.now, message);
    }
    let mut transmits = 0;
    while table.session.poll_transmit().is_some() {
        transmits += 1;
    }
    assert!(transmits <= 64 + 256, "{transmits}");
    let events = std::iter::from_fn(|| table.session.poll_event()).count();
    assert_eq!(events, 1024);
    assert!(table.session.stats().lost_events > 0);
    assert!(Duration::ZERO <= table.now);
}

#[test]
fn shares_are_open_until_their_fate_is_known() {
    let mut table = Table::mining(config());
    let job = table.job();
    for nonce in 0..3 {
        table.submit(share(&job, nonce)).unwrap();
    }
    assert_eq!(table.session.stats().open, 3);
    accept(&mut table);
    assert_eq!(table.session.stats().open, 2);
    table.hang_up();
    assert_eq!(table.session.stats().open, 2, "they may be sent once more");
    table.session.stop(table.now);
    let stats = table.session.stats();
    assert_eq!((stats.open, stats.unconfirmed), (0, 2));
}
