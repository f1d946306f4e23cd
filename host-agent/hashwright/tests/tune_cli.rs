//! Tuning from the command line: what people type, against a real agent with a simulated board over a real
//! connection. The board is learned in virtual time first.

mod support;

use std::path::Path;
use std::time::Duration;

use autotune::Aim;
use board_profiles::Profile;
use clap::Parser;
use hashwright::access::Keeper;
use hashwright::api;
use hashwright::cli::{self, Look, calibrate, chip, predict, replay, tune};
use hashwright::clock::Clock;
use hashwright::config;
use hashwright::replay::Moment;
use hashwright::settings::{Actor, Wish};
use rpc::Role;
use rpc::settings::WriteOptions;
use rpc::tuner::TunerSet;
use support::{Lab, easy_pool};

const MINUTE: Duration = Duration::from_secs(60);

#[derive(Debug, Parser)]
enum Program {
    Tune(tune::Args),
    Chip(chip::Args),
    Predict(predict::Args),
    Calibrate(calibrate::Args),
    Replay(replay::Args),
    Status(cli::ClientArgs),
    Chips(cli::ChipArgs),
}

const PIPE: Look = Look {
    width: None,
    colour: false,
};

/// What a command prints, or says that it refuses.
async fn hashwright(words: &[&str]) -> Result<String, String> {
    let words = std::iter::once(&"hashwright").chain(words);
    let text = match Program::try_parse_from(words).map_err(|error| error.to_string())? {
        Program::Tune(args) => tune::run(&args, PIPE).await,
        Program::Chip(args) => chip::run(&args, PIPE).await,
        Program::Predict(args) => predict::predict(&args, PIPE).await,
        Program::Calibrate(args) => calibrate::calibrate(&args).await,
        Program::Replay(args) => replay::replay(&args, PIPE),
        Program::Status(args) => cli::status(&args, PIPE).await,
        Program::Chips(args) => cli::chips(&args, PIPE).await,
    };
    text.map_err(|error| format!("{error:#}"))
}

/// The agent with its URL, as people would name it.
struct Shell {
    url: String,
}

impl Shell {
    async fn says(&self, words: &[&str]) -> String {
        let text = self.tries(words).await;
        text.unwrap_or_else(|refusal| panic!("{words:?}: {refusal}"))
    }

    async fn refuses(&self, words: &[&str]) -> String {
        match self.tries(words).await {
            Err(refusal) => refusal,
            Ok(text) => panic!("{words:?} was not refused: {text}"),
        }
    }

    async fn tries(&self, words: &[&str]) -> Result<String, String> {
        let mut words = words.to_vec();
        words.extend(["--url", &self.url]);
        hashwright(&words).await
    }
}

#[track_caller]
fn has(text: &str, parts: &[&str]) {
    for part in parts {
        assert!(text.contains(part), "no \"{part}\" in:\n{text}");
    }
}

/// The number before a unit in the first line that begins so.
fn number(text: &str, line: &str, unit: &str) -> f64 {
    let line = text
        .lines()
        .find(|one| one.trim_start().starts_with(line))
        .unwrap_or_else(|| panic!("no line {line}:\n{text}"));
    let words: Vec<_> = line
        .split(unit)
        .next()
        .unwrap_or_default()
        .split_whitespace()
        .collect();
    let word = match words[..] {
        [.., likely, "±", _] => likely,
        [.., likely] => likely,
        [] => "",
    };
    word.parse()
        .unwrap_or_else(|_| panic!("no number before {unit} in \"{line}\""))
}

fn text_of(path: &Path) -> &str {
    path.to_str().expect("a path of text")
}

#[tokio::test(start_paused = true)]
async fn a_board_is_tuned_explained_carried_and_replayed_from_the_command_line() {
    let folder = tempfile::tempdir().expect("folder");
    let mut board = config::Board::simulated(Profile::builtin("bitaxe-gamma").expect("profile"), 7);
    if let Some(sim) = &mut board.sim {
        sim.scale_bits = 28;
    }
    let mut config = support::config(vec![board]);
    config.agent.state_dir = folder.path().join("state");
    config.agent.state_dir_given = true;
    config.api.local = Some(Role::Admin);
    let lab = Lab::start_with(&config, easy_pool());
    lab.run_until(3 * MINUTE, |state| state.miner.state == "mining")
        .await;

    // Untuned at first, and recorded for a while.
    let mut recorded = String::new();
    for second in 0..480 {
        lab.run_for(Duration::from_secs(1)).await;
        let moment = Moment::of(&lab.state(), 1_700_000_000 + second);
        recorded.push_str(&serde_json::to_string(&moment).expect("a line"));
        recorded.push('\n');
    }
    let untuned = lab.state();
    let wish = Wish::Tuner(TunerSet {
        aim: Some(Aim::Efficiency),
        caps: None,
    });
    let settings = &lab.agent.settings;
    let how = WriteOptions::default();
    settings
        .ask(&Actor::agent(), wish, how)
        .await
        .expect("tuned");
    lab.run_until(25 * MINUTE, |state| {
        let tuner = state.tuner.stations.first();
        tuner.is_some_and(|tuner| tuner.activity == "keeping")
    })
    .await;
    // The rate that is shown beside the promise is of the setting that is kept.
    lab.run_for(2 * MINUTE).await;
    tokio::time::resume();

    let keeper = Keeper::in_memory("lab", &config.api, Clock::start()).expect("keeper");
    let options = api::Options {
        listen: ([127, 0, 0, 1], 0).into(),
        keeper: Some(keeper),
    };
    let server = api::serve(options, lab.agent.faces(), std::future::pending())
        .await
        .expect("server");
    let shell = Shell {
        url: format!("http://{}", server.local_addr()),
    };

    // What is wanted, how far it is, and why.
    has(
        &shell.says(&["tune", "status"]).await,
        &["keeping", "promised", "J/TH"],
    );
    has(
        &shell.says(&["tune", "explain"]).await,
        &["supposed", "seen", "sure", "decided"],
    );
    has(
        &shell.says(&["tune", "explain", "0.0"]).await,
        &["clock", "threshold", "margin"],
    );
    has(
        &shell.refuses(&["tune", "explain", "0.7"]).await,
        &["no chip 7"],
    );
    has(
        &shell.refuses(&["tune", "explain", "0"]).await,
        &["name one chip"],
    );
    has(&shell.says(&["status"]).await, &["tuner      ", "promises"]);
    has(&shell.says(&["chips"]).await, &["quality: 1 normal"]);
    has(&shell.says(&["chips", "--table"]).await, &["normal", "mV"]);

    // What it would do otherwise, asked of the agent and of what was exported.
    let told = shell.says(&["predict", "--watts", "14"]).await;
    has(&told, &["For 14.0 W", "95 %"]);
    let online = number(&told, "0 ", "TH/s");
    let drawing = folder.path().join("curve.svg");
    let curve = shell
        .says(&["tune", "curve", "--points", "6", "--svg", text_of(&drawing)])
        .await;
    has(&curve, &["J/TH", "●", "o where the tuner keeps it now"]);
    assert!(
        std::fs::read_to_string(&drawing)
            .expect("drawing")
            .starts_with("<svg")
    );
    let profiles = shell.says(&["tune", "profiles"]).await;
    let serial = profiles
        .lines()
        .nth(1)
        .and_then(|line| line.split_whitespace().next())
        .expect("a board");
    let file = folder.path().join("board.toml");
    has(
        &shell
            .says(&["tune", "export", serial, "-o", text_of(&file)])
            .await,
        &["1 chips of board", "board.toml"],
    );
    let offline = ["predict", "--watts", "14", "--profile-file", text_of(&file)];
    let told = hashwright(&offline).await.expect("a prediction");
    has(&told, &["this board alone"]);
    let offline = number(&told, "work", "TH/s");
    assert!((offline / online - 1.0).abs() < 0.1, "{offline} {online}");
    let json = shell
        .says(&["tune", "export", serial, "--format", "json"])
        .await;
    let as_json = tune::portable::parse(&json).expect("a profile");
    assert_eq!(as_json, tune::portable::read(&file).expect("a profile"));

    // Changes: tried, made, refused where they would not go together.
    let dry = [
        "tune",
        "start",
        "--watts",
        "14",
        "--max-fan",
        "90",
        "--dry-run",
    ];
    has(&shell.says(&dry).await, &["tuner.", "A dry run"]);
    has(
        &shell.says(&["tune", "status"]).await,
        &["least energy per work"],
    );
    has(
        &shell
            .says(&["tune", "start", "--watts", "14", "--max-fan", "90"])
            .await,
        &["tuner.", "tune status --follow"],
    );
    has(
        &shell.says(&["tune", "status"]).await,
        &["Tuned for 14.0 W, fans at most 90 %"],
    );
    has(
        &shell
            .refuses(&["chip", "set-frequency", "0.0", "400"])
            .await,
        &["tune stop"],
    );
    has(
        &shell.says(&["chip", "read-register", "0.0", "pll"]).await,
        &["register 0x08, pll", "MHz: 25 MHz x"],
    );
    has(&shell.says(&["tune", "stop"]).await, &["tuner."]);
    has(&shell.says(&["tune", "status"]).await, &["Tuning is off"]);
    has(
        &shell.says(&["chip", "set-frequency", "0.0", "400"]).await,
        &["400"],
    );
    shell.says(&["chip", "set-frequency", "0", "default"]).await;

    // What is known goes and comes back.
    shell.says(&["tune", "forget", serial]).await;
    has(
        &shell.says(&["tune", "profiles"]).await,
        &["Nothing is known"],
    );
    shell.says(&["tune", "import", text_of(&file)]).await;
    has(&shell.says(&["tune", "profiles"]).await, &[serial]);
    let other = std::fs::read_to_string(&file)
        .expect("a profile")
        .replace("\"bitaxe-gamma\"", "\"s21\"");
    std::fs::write(&file, other).expect("written");
    has(
        &shell.refuses(&["tune", "import", text_of(&file)]).await,
        &["s21"],
    );

    // A recording goes on where it ended, and what is broken in it is told.
    let log = folder.path().join("log.jsonl");
    std::fs::write(&log, recorded + "{\"hashwright_record\":1,\"uni").expect("written");
    let told = shell
        .says(&["tune", "record", text_of(&log), "--for", "3"])
        .await;
    has(&told, &["lines", "log.jsonl", "hashwright replay"]);
    let told = hashwright(&["replay", text_of(&log), "--summary", "--efficiency"])
        .await
        .expect("a replay");
    has(
        &told,
        &["! 1 line could not be used", "would be", "learned"],
    );
    let was = number(&told, "was", "W");
    let station = untuned.miner.power_w.expect("power");
    assert!((was / station - 1.0).abs() < 0.05, "{was} {station}");
    let best = number(&told, "would be", "W");
    assert!(best < was, "{best} {was}:\n{told}");
    lab.stop().await;
}
