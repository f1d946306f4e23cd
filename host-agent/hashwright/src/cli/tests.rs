//! Client commands against a real server, and tables of what it sends.

use std::net::SocketAddr;
use std::sync::Arc;

use tokio::io::AsyncWriteExt;
use tokio::net::TcpListener;
use tokio::sync::watch;

use super::*;
use crate::state::{
    BoardStatus, ChipStatus, PayoutOutput, PayoutStatus, PoolStatus, Rate, Rates, RejectReason,
    Snapshot,
};

fn sample() -> Snapshot {
    let mut snapshot = Snapshot {
        boards: vec![BoardStatus {
            model: "Bitaxe Gamma".into(),
            chip: "BM1370".into(),
            uart: "sim".into(),
            simulated: true,
            state: "ramping".into(),
            problem: Some("slow\nramp".into()),
            chips_found: 1,
            chips_expected: 1,
            frequency_mhz: 210.0,
            target_mhz: 525.0,
            hashrate: Rates {
                m10: Rate {
                    hps: 486e9,
                    sigma_hps: 20e9,
                },
                ..Rates::default()
            },
            ..BoardStatus::default()
        }],
        chips: vec![ChipStatus {
            address: 0x1c,
            frequency_mhz: 210.0,
            ..ChipStatus::default()
        }],
        pools: vec![PoolStatus {
            url: "stratum+tcp://pool.example:3333".into(),
            active: true,
            difficulty: 1024.0,
            rejected: 1,
            reject_reasons: vec![RejectReason {
                reason: "stale".into(),
                text: "Job not\u{1b}found".into(),
                count: 1,
            }],
            ..PoolStatus::default()
        }],
        ..Snapshot::default()
    };
    snapshot.system.name = "rack-3-7".into();
    snapshot.miner.simulated = true;
    snapshot.miner.best_difficulty = 48_211.0;
    snapshot
}

/// A server with the sample, and arguments that name it.
async fn agent(json: bool) -> ClientArgs {
    let state = watch::channel(Arc::new(sample())).1;
    let listen = SocketAddr::from(([127, 0, 0, 1], 0));
    let server = crate::api::serve(listen, state, std::future::pending())
        .await
        .unwrap();
    ClientArgs {
        json,
        ..ClientArgs::at(format!("http://{}", server.local_addr()))
    }
}

fn chips_of(client: ClientArgs, board: Option<usize>) -> ChipArgs {
    ChipArgs {
        client,
        board,
        table: true,
    }
}

fn pools_of(client: ClientArgs) -> PoolArgs {
    PoolArgs {
        client,
        ..PoolArgs::default()
    }
}

/// A pipe without colours.
const PIPE: Look = Look {
    width: None,
    colour: false,
};

#[tokio::test]
async fn tables_show_what_the_agent_sends() {
    let args = agent(false).await;
    let text = status(&args, PIPE).await.unwrap();
    for part in [
        "rack-3-7",
        "SIMULATED",
        "best 48.2k",
        "0 Bitaxe Gamma",
        "0*stratum+tcp://pool.example",
    ] {
        assert!(text.contains(part), "{part}:\n{text}");
    }
    let text = boards(&args, PIPE).await.unwrap();
    for part in [
        "BM1370",
        "1/1",
        "210 of 525",
        "486 ± 20 GH/s",
        "\n! board 0: slow·ramp",
    ] {
        assert!(text.contains(part), "{part}:\n{text}");
    }
    let text = chips(&chips_of(args.clone(), Some(0)), PIPE).await.unwrap();
    assert!(text.contains("0x1c") && text.contains("210.0"), "{text}");
    assert!(
        text.ends_with("SIMULATED (rates are scaled and earn nothing): board 0"),
        "{text}"
    );
    let text = pools(&pools_of(args)).await.unwrap();
    assert!(
        text.contains("1.02k") && text.contains("rejected 1: stale (\"Job not·found\")"),
        "{text}"
    );
}

fn paying_pool() -> PoolStatus {
    let output = |receiver: &str, value_sat, percent, own| PayoutOutput {
        receiver: receiver.into(),
        kind: "P2WPKH".into(),
        value_sat,
        percent,
        own,
    };
    PoolStatus {
        index: 1,
        url: "stratum+tcp://solo.example:3333".into(),
        protocol: "Stratum V1".into(),
        user: "bc1qown.rig".into(),
        active: true,
        role: "active".into(),
        state: "mining".into(),
        work_percent: 70.0,
        quota_percent: Some(70.0),
        difficulty: 1024.0,
        job_id: Some("4f".into()),
        jobs: 9,
        connects: 1,
        submitted: 21,
        accepted: 20,
        rejected: 1,
        stale: 1,
        latency_ms: Some(23.4),
        latency_p90_ms: Some(31.0),
        latency_p99_ms: Some(88.5),
        last_share_s: Some(3_591.0),
        best_difficulty: 48_211.0,
        payout: Some(PayoutStatus {
            height: Some(861_000),
            network: "bitcoin".into(),
            pool: Some("Solo CKPool".into()),
            tag: "/solo.ckpool.org/".into(),
            own_sat: Some(310_485_548),
            own_percent: Some(98.0),
            min_percent: Some(97.5),
            outputs: vec![
                output("bc1qown", 310_485_548, 98.0, true),
                output("bc1qfee", 6_336_439, 2.0, false),
            ],
            output_count: 2,
            ..PayoutStatus::default()
        }),
        ..PoolStatus::default()
    }
}

#[test]
fn a_pool_shows_its_statistics_and_what_its_job_pays() {
    let text = render::pool_details(&[paying_pool()], 3_600.0);
    let expected = [
        "1*stratum+tcp://solo.example:3333",
        "  state      active, mining",
        "  protocol   Stratum V1",
        "  user       bc1qown.rig",
        "  work       70 % of a quota of 70 %",
        "  shares     21 sent, 20 accepted, 1 rejected (1 stale), 0 without an answer, 0 not sent",
        "  last share 9 s ago",
        "  difficulty 1.02k, best share 48.2k",
        "  answers    half within 23 ms, 9 of 10 within 31 ms, 99 of 100 within 88 ms",
        "  job        4f, 9 so far, 1 connections",
        "  block      height 861000 on bitcoin",
        "  tag        \"/solo.ckpool.org/\", known of Solo CKPool",
        "  pays        98.00 %  3.10485548 BTC  bc1qown (yours)",
        "               2.00 %  0.06336439 BTC  bc1qfee",
        "  your part  98.00 %, 3.10485548 BTC; less than 97.5 % is refused",
    ];
    assert_eq!(text.lines().collect::<Vec<_>>(), expected);
}

#[test]
fn warnings_about_the_payout_stand_out_and_are_said_once() {
    let mut pool = paying_pool();
    pool.problem = Some("work refused: it pays your address 0.00 %".into());
    pool.alarm = Some("your address is no longer paid\u{1b}[2J".into());
    pool.payout.as_mut().unwrap().refused = Some("it pays your address 0.00 %".into());
    for text in [
        render::pools(std::slice::from_ref(&pool), None),
        render::pool_details(&[pool], 0.0),
    ] {
        assert_eq!(text.matches("it pays your address").count(), 1, "{text}");
        assert!(text.contains("no longer paid·[2J"), "{text}");
    }
}

#[test]
fn a_pool_that_shows_nothing_says_why() {
    let mut pool = paying_pool();
    pool.payout = Some(PayoutStatus {
        unknown: Some("the pool shows no coinbase".into()),
        ..PayoutStatus::default()
    });
    let text = render::pool_details(&[pool], 0.0);
    assert!(
        text.contains("  pays       unknown: the pool shows no coinbase"),
        "{text}"
    );
    assert!(!text.contains("height"), "{text}");
}

#[tokio::test]
async fn json_is_the_reply_as_it_came() {
    let args = agent(true).await;
    let snapshot = sample();
    assert_eq!(boards(&args, PIPE).await.unwrap(), expect(&snapshot.boards));
    assert_eq!(
        pools(&pools_of(args.clone())).await.unwrap(),
        expect(&snapshot.pools)
    );
    assert_eq!(
        chips(&chips_of(args.clone(), None), PIPE).await.unwrap(),
        expect(&snapshot.chips)
    );
    let all: serde_json::Value = serde_json::from_str(&status(&args, PIPE).await.unwrap()).unwrap();
    assert_eq!(all["miner"]["best_difficulty"], 48_211.0);
    assert_eq!(all["system"]["name"], "rack-3-7");
    assert!(all["boards"].is_array() && all["pools"].is_array());
}

fn expect(part: &impl serde::Serialize) -> String {
    serde_json::to_string(part).unwrap()
}

#[tokio::test]
async fn the_agents_refusal_is_passed_on() {
    let args = agent(false).await;
    let error = chips(&chips_of(args, Some(9)), PIPE).await.unwrap_err();
    assert_eq!(
        error.to_string(),
        "the agent refused chip.list: no board 9; the boards are [0]"
    );
}

#[tokio::test]
async fn no_agent_is_told_with_what_to_do() {
    // A port that was free a moment ago, and that nobody listens on now.
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    drop(listener);
    let error = status(&ClientArgs::at(&url), PIPE).await.unwrap_err();
    assert!(
        matches!(error.downcast_ref(), Some(ClientError::NoAgent { .. })),
        "{error:?}"
    );
    let text = error.to_string();
    assert!(
        text.contains(&url) && text.contains("hashwright run") && text.contains("--url"),
        "{text}"
    );
}

#[tokio::test]
async fn another_program_on_the_port_is_not_taken_for_an_agent() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(async move {
        while let Ok((mut socket, _)) = listener.accept().await {
            let _ = socket
                .write_all(b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n")
                .await;
        }
    });
    let error = pools(&pools_of(ClientArgs::at(url))).await.unwrap_err();
    assert!(
        matches!(error.downcast_ref(), Some(ClientError::NotAnAgent { .. })),
        "{error:?}"
    );
}

#[test]
fn empty_lists_say_so() {
    assert_eq!(render::boards(&[], None), "No boards are configured.");
    assert_eq!(render::pools(&[], None), "No pools are configured.");
    assert!(render::chips(&[], &[], None).starts_with("No chips have been found."));
    assert!(render::chip_map(&[], &[], 80, true).starts_with("No chips have been found."));
}

#[test]
fn the_arguments_are_sound() {
    #[derive(clap::Parser)]
    struct Program {
        #[command(flatten)]
        chips: ChipArgs,
    }
    use clap::{CommandFactory, Parser};
    Program::command().debug_assert();
    let program = Program::try_parse_from(["chips", "--board", "1", "--json"]).unwrap();
    assert_eq!(program.chips.board, Some(1));
    assert!(program.chips.client.json);
    let default = format!("http://{}", crate::api::DEFAULT_LISTEN);
    assert_eq!(DEFAULT_URL, default);
    let named = Program::try_parse_from(["chips", "rack-3-7"]).unwrap();
    assert_eq!(named.chips.client.name.as_deref(), Some("rack-3-7"));
    for both in [
        ["chips", "rack-3-7", "--url", "http://10.0.0.1"],
        ["chips", "rack-3-7", "--agent", "rack-3-8"],
    ] {
        assert!(Program::try_parse_from(both).is_err());
    }
}

#[test]
fn a_map_shows_each_chip_and_names_those_that_stand_out() {
    let chip = |index: u16, percent: f64| ChipStatus {
        index,
        domain: index / 3,
        nonces: 1_000,
        hashrate: Rate {
            hps: percent * 1e10,
            sigma_hps: 1e10,
        },
        expected_hps: 1e12,
        ..ChipStatus::default()
    };
    let chips: Vec<_> = (0..6)
        .map(|index| chip(index, if index == 4 { 60.0 } else { 100.0 }))
        .collect();
    let board = BoardStatus {
        model: "Test".into(),
        chips_expected: 6,
        ..BoardStatus::default()
    };
    let plain = render::chip_map(&chips, std::slice::from_ref(&board), 20, false);
    let lines: Vec<_> = plain.lines().collect();
    assert!(
        lines[0].starts_with("board 0 Test: 6 of 6 chips"),
        "{plain}"
    );
    assert_eq!(lines[1], "d0 ███   d1 █▄█");
    assert!(
        lines[2].contains("chip 4 (domain 1, 0x00): 60 %"),
        "{plain}"
    );
    assert!(!plain.contains('\u{1b}'));
    let coloured = render::chip_map(&chips, &[board], 20, true);
    assert!(coloured.contains("\u{1b}[32m███\u{1b}[0m"), "{coloured}");
    assert!(coloured.contains("\u{1b}[33m▄\u{1b}[0m"), "{coloured}");
}

#[test]
fn tables_give_way_on_narrow_terminals() {
    let text = render::boards(&sample().boards, Some(80));
    let (table, note) = text.split_once("\n!").unwrap();
    assert!(
        table.lines().all(|line| line.chars().count() <= 80),
        "{text}"
    );
    assert!(
        table.contains("0 Bitaxe Gamma") && table.contains("ramping"),
        "{text}"
    );
    assert!(note.contains("slow·ramp"), "{text}");
}

#[test]
fn settings_are_read_as_what_they_are() {
    assert_eq!(
        assignment("cooling.mode=auto").unwrap(),
        ("cooling.mode", "auto")
    );
    assert_eq!(assignment("a.b = x=y").unwrap(), ("a.b", "x=y"));
    assert!(assignment("cooling.mode").is_err());
    assert!(assignment("=1").is_err());
    assert_eq!(read_value("12345", Some("text")), "12345");
    assert_eq!(read_value("12345", Some("integer")), 12_345);
    assert_eq!(read_value("1.5", None), 1.5);
    assert_eq!(read_value("true", Some("boolean")), true);
    assert_eq!(read_value("auto", Some("choice")), "auto");
    assert_eq!(read_value("rack 3", None), "rack 3");
    assert_eq!(read_value("", Some("number")), Value::Null);
}

#[test]
fn a_change_says_what_is_different_and_how_to_keep_it() {
    let change = settings::Change {
        path: "cooling.mode".into(),
        from: "auto".into(),
        to: "manual".into(),
    };
    let mut changed = Changed {
        changes: vec![change],
        applied: true,
        saved: true,
        ..Changed::default()
    };
    assert_eq!(
        render::changed(&changed),
        "cooling.mode: auto → manual\nDone, and saved in the agent's config."
    );
    changed.saved = false;
    changed.pending = Some(settings::Pending {
        id: "7f".into(),
        rolls_back_in_s: 60.0,
    });
    changed.notes = vec!["the file cannot be written".into()];
    let text = render::changed(&changed);
    assert!(text.contains("hashwright config confirm 7f"), "{text}");
    assert!(text.ends_with("\n! the file cannot be written"), "{text}");
    let nothing = render::changed(&Changed {
        applied: true,
        ..Changed::default()
    });
    assert_eq!(nothing, "Nothing to change: it is so already.");
}

#[test]
fn a_name_that_nobody_knows_gets_the_nearest_one() {
    let text = "[[agent]]\nname = \"rack-3-7\"\nurl = \"http://10.0.3.7\"\n";
    let file = crate::fleet::file::FleetFile::parse("fleet.toml".as_ref(), text).unwrap();
    let hint = |name| reach::unknown(name, &file).to_string();
    assert!(hint("rack-37").contains("did you mean `rack-3-7`?"));
    assert!(hint("zzz").contains("fleet list"));
}
