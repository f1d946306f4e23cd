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
        url: format!("http://{}", server.local_addr()),
        json,
    }
}

fn chips_of(client: ClientArgs, board: Option<usize>) -> ChipArgs {
    ChipArgs { client, board }
}

#[tokio::test]
async fn tables_show_what_the_agent_sends() {
    let args = agent(false).await;
    let text = status(&args).await.unwrap();
    for part in [
        "rack-3-7",
        "SIMULATED",
        "best 48.2k",
        "0 Bitaxe Gamma",
        "0*stratum+tcp://pool.example",
    ] {
        assert!(text.contains(part), "{part}:\n{text}");
    }
    let text = boards(&args).await.unwrap();
    for part in [
        "BM1370",
        "1/1",
        "210 of 525",
        "486 ± 20 GH/s",
        "\n! board 0: slow·ramp",
    ] {
        assert!(text.contains(part), "{part}:\n{text}");
    }
    let text = chips(&chips_of(args.clone(), Some(0))).await.unwrap();
    assert!(text.contains("0x1c") && text.contains("210.0"), "{text}");
    assert!(
        text.ends_with("SIMULATED (rates are scaled and earn nothing): board 0"),
        "{text}"
    );
    let text = pools(&args).await.unwrap();
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
        render::pools(std::slice::from_ref(&pool)),
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
    assert_eq!(boards(&args).await.unwrap(), expect(&snapshot.boards));
    assert_eq!(pools(&args).await.unwrap(), expect(&snapshot.pools));
    assert_eq!(
        chips(&chips_of(args.clone(), None)).await.unwrap(),
        expect(&snapshot.chips)
    );
    let all: serde_json::Value = serde_json::from_str(&status(&args).await.unwrap()).unwrap();
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
    let error = chips(&chips_of(args, Some(9))).await.unwrap_err();
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
    let error = status(&ClientArgs {
        url: url.clone(),
        json: false,
    })
    .await
    .unwrap_err();
    assert!(matches!(error, ClientError::NoAgent { .. }), "{error:?}");
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
    let error = pools(&ClientArgs { url, json: false }).await.unwrap_err();
    assert!(matches!(error, ClientError::NotAnAgent { .. }), "{error:?}");
}

#[test]
fn empty_lists_say_so() {
    assert_eq!(render::boards(&[]), "No boards are configured.");
    assert_eq!(render::pools(&[]), "No pools are configured.");
    assert!(render::chips(&[], &[]).starts_with("No chips have been found."));
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
    assert_eq!(
        program.chips.client.url,
        format!("http://{}", crate::api::DEFAULT_LISTEN)
    );
}
