//! The fleet commands against a few agents on loopback.

use std::net::SocketAddr;
use std::sync::Arc;

use clap::Parser;
use tokio::sync::watch;

use super::*;
use crate::state::{BoardStatus, Rate, Snapshot};

#[derive(Parser)]
struct Program {
    #[command(flatten)]
    fleet: Args,
}

fn parsed(words: &[&str]) -> Args {
    let words = std::iter::once("fleet").chain(words.iter().copied());
    Program::try_parse_from(words).unwrap().fleet
}

fn snapshot(name: &str, state: &str) -> Snapshot {
    let mut snapshot = Snapshot {
        boards: vec![BoardStatus {
            model: "Bitaxe Gamma".into(),
            state: state.into(),
            chips_found: 1,
            chips_expected: 1,
            ..BoardStatus::default()
        }],
        ..Snapshot::default()
    };
    snapshot.system.name = name.into();
    snapshot.miner.state = state.into();
    snapshot.miner.expected_hps = 1.2e12;
    snapshot.miner.hashrate.m10 = Rate {
        hps: 1.1e12,
        sigma_hps: 1e11,
    };
    snapshot
}

/// An agent on a free port of loopback.
async fn agent(snapshot: Snapshot) -> SocketAddr {
    let state = watch::channel(Arc::new(snapshot)).1;
    let listen = SocketAddr::from(([127, 0, 0, 1], 0));
    let server = crate::api::serve(listen, state, std::future::pending());
    server.await.unwrap().local_addr()
}

const LOOK: Look = Look {
    width: Some(100),
    colour: false,
};

#[tokio::test]
async fn agents_are_found_written_down_and_asked() {
    let mut ports = Vec::new();
    for (name, state) in [("a", "mining"), ("b", "mining"), ("a", "degraded")] {
        ports.push(agent(snapshot(name, state)).await.port());
    }
    // A place where nobody listens any more, and one that is no agent.
    let nobody = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let gone = nobody.local_addr().unwrap().port();
    drop(nobody);
    let stranger = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let strange = stranger.local_addr().unwrap().port();
    tokio::spawn(async move { while stranger.accept().await.is_ok() {} });

    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("fleet.toml");
    let file = path.to_str().unwrap();
    let ranges: Vec<_> = ports
        .iter()
        .chain([&gone, &strange])
        .map(|port| format!("127.0.0.1:{port}"))
        .collect();
    let mut words = vec!["--file", file, "scan", "--write", "--group", "test"];
    words.extend(ranges.iter().map(String::as_str));
    let code = run(&parsed(&words), LOOK).await.unwrap();
    assert_eq!(code, ExitCode::SUCCESS);

    let written = FleetFile::load(&path).unwrap();
    let mut names: Vec<_> = written
        .agents()
        .iter()
        .map(|known| &known.name[..])
        .collect();
    names.sort_unstable();
    assert_eq!(names, ["a", "a-2", "b"]);
    assert!(
        written
            .agents()
            .iter()
            .all(|known| known.groups == ["test"])
    );

    // Again: nothing is added.
    run(&parsed(&words), LOOK).await.unwrap();
    assert_eq!(FleetFile::load(&path).unwrap().agents().len(), 3);

    let words = ["--file", file, "status", "--group", "test"];
    let code = run(&parsed(&words), LOOK).await.unwrap();
    assert_eq!(code, ExitCode::from(NOT_ALL), "one is degraded");
    let words = ["--file", file, "status", "--machine", "b", "--json"];
    assert_eq!(run(&parsed(&words), LOOK).await.unwrap(), ExitCode::SUCCESS);

    let members = Which::default()
        .members(&written, &parsed(&["list"]).common)
        .unwrap();
    let answers = crowd::each(members, 2, Member::ask, |_, _| {}).await;
    let totals = Totals::of(&answers);
    assert_eq!((totals.machines, totals.answered, totals.mining), (3, 3, 2));
    assert_eq!(totals.troubled, 1);
    assert!((totals.hps - 3.3e12).abs() < 1.0);
}

#[tokio::test]
async fn a_machine_that_is_gone_does_not_hide_the_others() {
    let up = agent(snapshot("a", "mining")).await;
    let nobody = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let gone = nobody.local_addr().unwrap();
    drop(nobody);
    let common = parsed(&["list"]).common;
    let which = Which {
        url: vec![format!("http://{gone}"), format!("http://{up}")],
        ..Which::default()
    };
    let file = FleetFile::parse("none".as_ref(), "").unwrap();
    let members = which.members(&file, &common).unwrap();
    let answers = crowd::each(members, 8, Member::ask, |_, _| {}).await;
    assert!(
        answers[0].trouble().starts_with("no answer: "),
        "{answers:?}"
    );
    assert!(answers[1].is_well(), "{answers:?}");
}

#[test]
fn machines_are_chosen_by_group_and_name() {
    let text = "[[agent]]\nname = \"a\"\nurl = \"https://10.0.0.1:4029\"\ngroups = [\"x\"]\n\
                [[agent]]\nname = \"b\"\nurl = \"https://10.0.0.2:4029\"\ngroups = [\"y\"]\n\
                [[agent]]\nname = \"c\"\nurl = \"http://127.0.0.1:4029\"\n";
    let file = FleetFile::parse("fleet.toml".as_ref(), text).unwrap();
    let common = parsed(&["list"]).common;
    let names = |group: &[&str], machine: &[&str]| {
        let which = Which {
            group: group.iter().map(|&name| name.into()).collect(),
            machine: machine.iter().map(|&name| name.into()).collect(),
            url: Vec::new(),
        };
        let members = which.members(&file, &common)?;
        anyhow::Ok(members.into_iter().map(|m| m.name).collect::<Vec<_>>())
    };
    assert_eq!(names(&[], &[]).unwrap(), ["a", "b", "c"]);
    assert_eq!(names(&["y"], &[]).unwrap(), ["b"]);
    assert_eq!(names(&["x"], &["c"]).unwrap(), ["a", "c"]);
    let problem = |group: &[&str], machine: &[&str]| names(group, machine).unwrap_err().to_string();
    assert!(problem(&["z"], &[]).contains("\"x\", \"y\""));
    assert!(problem(&[], &["q"]).contains("fleet list"));

    let members = Which::default().members(&file, &common).unwrap();
    let targets = serde_json::to_value(targets(&members)).unwrap();
    assert_eq!(
        targets[0],
        json!({
            "targets": ["10.0.0.1:4029"],
            "labels": {"__scheme__": "https", "machine": "a", "group": "x"}
        })
    );
    assert_eq!(targets[2]["labels"]["__scheme__"], "http");
}

#[test]
fn the_arguments_are_sound() {
    use clap::CommandFactory;
    Program::command().debug_assert();
    let parse = |words: &[&str]| {
        Program::try_parse_from(std::iter::once("fleet").chain(words.iter().copied())).is_ok()
    };
    assert!(parse(&["set", "--pause", "--group", "x"]));
    assert!(parse(&[
        "set",
        "cooling.target_c=55",
        "--first",
        "3",
        "--watch",
        "10"
    ]));
    assert!(parse(&["scan", "--mdns"]));
    for bad in [
        &["set"][..],
        &["set", "--pause", "--resume"],
        &["set", "--pause", "a=b"],
        &["scan"],
        &["scan", "10.0.0.0/8"],
    ] {
        assert!(!parse(bad), "{bad:?}");
    }
}
