//! The cgminer API against the facts of its public description: sections, fields, codes, rights.

mod support;

use autotune::Aim;
use faces::cgminer::{Access, Port, Step};
use faces::{PoolChange, Refused, Wish};
use proptest::prelude::*;
use rpc::tuner::{Reason, StationTuner, TunerStep};
use serde_json::json;
use station::Mode;
use support::{Miner, UNIX_S, writer};

fn code(reply: &serde_json::Value) -> (&str, u64) {
    let status = &reply["STATUS"][0];
    let letter = status["STATUS"].as_str().expect("a letter");
    (letter, status["Code"].as_u64().expect("a code"))
}

fn wish(miner: &Miner, request: &str) -> Wish {
    match miner.step(request.as_bytes()) {
        Step::Ask(question) => question.wish().clone(),
        Step::Reply(reply) => panic!("{}", String::from_utf8_lossy(&reply)),
    }
}

#[test]
fn every_read_command_has_its_section_and_code() {
    let miner = Miner::new();
    for (command, section, wanted) in [
        ("version", "VERSION", 22),
        ("config", "CONFIG", 33),
        ("summary", "SUMMARY", 11),
        ("devs", "DEVS", 9),
        ("edevs", "DEVS", 9),
        ("pools", "POOLS", 7),
        ("stats", "STATS", 70),
        ("estats", "STATS", 70),
        ("devdetails", "DEVDETAILS", 69),
        ("notify", "NOTIFY", 60),
        ("coin", "COIN", 78),
        ("lcd", "LCD", 125),
        ("asccount", "ASCS", 104),
        ("pgacount", "PGAS", 59),
        ("fans", "FANS", 202),
        ("temps", "TEMPS", 201),
        ("tempctrl", "TEMPCTRL", 200),
        ("tunerstatus", "TUNERSTATUS", 203),
    ] {
        let reply = miner.json(command);
        assert_eq!(code(&reply), ("S", wanted), "{command}");
        assert_eq!(reply["id"], 1);
        assert_eq!(reply["STATUS"][0]["When"], UNIX_S);
        assert!(reply[section][0].is_object(), "{command}: {reply}");
    }
    assert_eq!(code(&miner.json("usbstats")), ("I", 88));
}

#[test]
fn numbers_have_the_decimals_that_typed_clients_expect() {
    let miner = Miner::new();
    let summary = miner.ask(b"{\"command\":\"summary\"}");
    for part in [
        "\"Elapsed\":125,",
        "\"MHS 5s\":2400000.00,",
        "\"Accepted\":41,",
        "\"Difficulty Accepted\":20992.00000000,",
        "\"Best Share\":48211,",
        "\"Device Hardware%\":0.9901,",
    ] {
        assert!(summary.contains(part), "{part} in {summary}");
    }
    let pools = miner.ask(b"{\"command\":\"pools\"}");
    for part in [
        "\"Has Stratum\":true,",
        "\"Long Poll\":\"N\",",
        "\"Status\":\"Alive\",",
        "\"Stratum URL\":\"pool0.example:3333\",",
        "\"Last Share Time\":1699999995,",
    ] {
        assert!(pools.contains(part), "{part} in {pools}");
    }
}

#[test]
fn the_tuner_is_told_in_words_that_clients_take_for_well_or_for_trouble() {
    let mut miner = Miner::new();
    let told = |miner: &Miner| miner.json("tunerstatus")["TUNERSTATUS"][0].clone();
    let off = told(&miner);
    assert_eq!(off["TunerMode"], "Disabled");
    assert_eq!(off["TunerChainStatus"][0]["Status"], "Disabled");
    assert_eq!(off["ApproximateMinerPowerConsumption"], 35);
    assert!(off.get("PowerLimit").is_none());

    let tuner = &mut miner.state.tuner;
    tuner.aim = Aim::Watts(900.0);
    tuner.demand.aim = tuner.aim;
    tuner.demand.caps.watts = Some(640.4);
    tuner.demand.reasons.push(Reason {
        code: "curtailment".to_owned(),
        text: "curtailed".to_owned(),
    });
    let station = |boards: &[usize], activity: &str| StationTuner {
        boards: boards.to_vec(),
        activity: activity.to_owned(),
        rounds: 4,
        last: Some(TunerStep {
            unix_s: UNIX_S - 90,
            ..TunerStep::default()
        }),
        ..StationTuner::default()
    };
    tuner.stations = vec![station(&[0], "measuring"), station(&[1], "keeping")];
    let one = told(&miner);
    assert_eq!(one["TunerMode"], "PowerTarget");
    assert_eq!(one["PowerLimit"], 640);
    assert_eq!(one["DynamicPowerScaling"], "Enabled");
    let chains = &one["TunerChainStatus"];
    assert_eq!(chains[0]["Status"], "Testing performance profile");
    assert_eq!(chains[0]["TunerRunning"], true);
    assert_eq!(
        (&chains[0]["Iteration"], &chains[0]["StageElapsed"]),
        (&json!(4), &json!(90))
    );
    assert_eq!(
        (&chains[1]["Status"], &chains[1]["TunerRunning"]),
        (&json!("Stable"), &json!(false))
    );

    miner.state.tuner.stations[0].activity = "held".to_owned();
    miner.state.tuner.stations[0].because =
        Some("sensor of the Antminer, \"pcb|1\", is stuck".to_owned());
    let held = &told(&miner)["TunerChainStatus"][0]["Status"];
    assert_eq!(held, "Held: sensor of the , \"pcb|1\", is stuck");
    assert!(
        !miner
            .ask(b"tunerstatus")
            .to_uppercase()
            .contains("ANTMINER")
    );

    miner.state.tuner.demand.asleep = true;
    let asleep = &told(&miner)["TunerChainStatus"][1]["Status"];
    assert_eq!(asleep, "Mining is paused");
}

#[test]
fn averages_come_from_the_books() {
    let miner = Miner::new();
    let summary = miner.json("summary");
    for field in ["MHS av", "MHS 5m", "MHS 15m"] {
        let mhs = summary["SUMMARY"][0][field].as_f64().expect("a number");
        assert!((mhs / 2.4e6 - 1.0).abs() < 0.01, "{field}: {mhs}");
    }
}

#[test]
fn text_has_names_only_before_single_sections() {
    let miner = Miner::new();
    let version = miner.ask(b"version\n");
    assert!(version.starts_with(&format!("STATUS=S,When={UNIX_S},Code=22,Msg=")));
    assert!(version.contains("|VERSION,CGMiner=hashwright 0.1.0,API=3.7,"));
    let devs = miner.ask(b"devs");
    assert!(devs.contains("|ASC=0,Name=BM1370,ID=0,Enabled=Y,Status=Alive,Temperature=60.00,"));
    assert!(devs.contains("|ASC=1,"));
    let one = miner.ask(b"asc|1");
    assert!(
        one.contains("Code=106") && one.contains("Temperature=62.50"),
        "{one}"
    );
}

#[test]
fn joined_replies_are_lists_of_one() {
    let miner = Miner::new();
    let joined = miner.json("summary+pools+summary++check+nothing");
    let parts: Vec<_> = joined.as_object().expect("an object").keys().collect();
    assert_eq!(parts, ["check", "id", "nothing", "pools", "summary"]);
    assert_eq!(code(&joined["summary"][0]), ("S", 11));
    assert_eq!(joined["summary"][0]["id"], 1);
    assert_eq!(code(&joined["check"][0]), ("E", 14));
    assert!(
        joined["nothing"][0]["STATUS"][0]
            .get("Description")
            .is_none()
    );
    let text = miner.ask(b"devs+lcd");
    assert!(text.starts_with("CMD=devs|STATUS=S") && text.contains("|CMD=lcd|STATUS=S"));
}

#[test]
fn mistakes_have_their_codes() {
    let miner = Miner::new();
    for (request, letter, wanted) in [
        ("{\"command\":\"asc\"}", "E", 15),
        ("{\"command\":\"asc\",\"parameter\":9}", "E", 107),
        ("{\"command\":\"asc\",\"parameter\":\"-1\"}", "E", 107),
        ("{\"command\":\"check\"}", "E", 71),
        ("{\"command\":\"switchpool\"}", "E", 25),
        ("{\"command\":\"switchpool\",\"parameter\":2}", "E", 26),
        ("{\"command\":\"addpool\"}", "E", 52),
        ("{\"command\":\"addpool\",\"parameter\":\"a,b\"}", "E", 53),
        ("{\"command\":\"removepool\",\"parameter\":0}", "E", 67),
        (
            "{\"command\":\"poolpriority\",\"parameter\":\"1,1\"}",
            "E",
            74,
        ),
        ("{\"command\":\"enablepool\",\"parameter\":0}", "I", 49),
        ("{\"command\":\"ascenable\",\"parameter\":0}", "I", 108),
        ("{\"command\":\"ascset\",\"parameter\":0}", "E", 116),
        (
            "{\"command\":\"ascset\",\"parameter\":\"0,wings\"}",
            "E",
            117,
        ),
        (
            "{\"command\":\"ascset\",\"parameter\":\"0,help\"}",
            "I",
            118,
        ),
        (
            "{\"command\":\"ascset\",\"parameter\":\"0,freq,nan\"}",
            "E",
            120,
        ),
        ("{\"command\":\"ascidentify\",\"parameter\":0}", "E", 114),
        ("{\"command\":\"setconfig\"}", "I", 127),
        ("{\"command\":\"save\"}", "E", 43),
        ("{\"command\":\"quit\"}", "E", 45),
        ("{\"command\":\"nothing\"}", "E", 14),
    ] {
        let reply = miner.ask(request.as_bytes());
        let reply: serde_json::Value = serde_json::from_str(&reply).expect("JSON");
        assert_eq!(code(&reply), (letter, wanted), "{request}: {reply}");
    }
}

#[test]
fn writes_become_wishes() {
    let miner = Miner::new();
    assert_eq!(wish(&miner, "switchpool|1"), Wish::PoolOrder(vec![1]));
    assert_eq!(
        wish(&miner, "poolpriority|1,0"),
        Wish::PoolOrder(vec![1, 0])
    );
    assert_eq!(wish(&miner, "removepool|1"), Wish::PoolRemove(1));
    assert_eq!(wish(&miner, "pause"), Wish::Pause);
    assert_eq!(wish(&miner, "restart"), Wish::Restart);
    let pool = PoolChange {
        url: Some("stratum+tcp://h:1".to_owned()),
        user: Some("a,b".to_owned()),
        password: Some("p".to_owned()),
    };
    assert_eq!(
        wish(&miner, "addpool|stratum+tcp://h:1,a\\,b,p"),
        Wish::PoolAdd(pool)
    );
    let disabled = Wish::BoardEnabled {
        board: 1,
        enabled: false,
    };
    assert_eq!(wish(&miner, "ascdisable|1"), disabled);
    let fan = Wish::Fans {
        board: Some(0),
        mode: Mode::Manual { percent: 40 },
    };
    assert_eq!(wish(&miner, "ascset|0,fan,40"), fan);
}

#[test]
fn success_is_only_said_after_it() {
    let miner = Miner::new();
    let outcome = |request: &str, outcome: Result<(), Refused>| {
        let Step::Ask(question) = miner.step(request.as_bytes()) else {
            panic!("no wish");
        };
        let mut reply = question.answer(&writer(), outcome, &miner.now());
        assert_eq!(reply.pop(), Some(0));
        String::from_utf8(reply).expect("UTF-8")
    };
    assert!(outcome("switchpool|1", Ok(())).contains("STATUS=S,When=1700000000,Code=27,"));
    let refused = outcome("switchpool|1", Err(Refused("not now".to_owned())));
    assert!(
        refused.contains("STATUS=E,") && refused.contains("not now"),
        "{refused}"
    );
    assert_eq!(outcome("restart", Ok(())), "RESTART");
    assert_eq!(
        outcome("{\"command\":\"restart\"}", Ok(())),
        "{\"STATUS\":\"RESTART\",\"id\":1}"
    );
    assert!(outcome("{\"command\":\"pause\"}", Ok(())).contains("\"PAUSE\":[true]"));
}

#[test]
fn readers_are_denied_by_name() {
    let miner = Miner::new();
    let port = Port::new(Access::default(), None);
    let group = port.group([127, 0, 0, 1].into()).expect("this machine");
    let ask = |command: &str| match port.answer(command.as_bytes(), group, &miner.now()) {
        Step::Reply(reply) => String::from_utf8(reply).expect("UTF-8"),
        Step::Ask(_) => panic!("a reader wrote"),
    };
    assert!(ask("switchpool|1").contains("Code=45,Msg=Access denied to 'switchpool' command"));
    assert!(ask("privileged").contains("Code=45"));
    assert!(ask("check|switchpool").contains("CHECK,Exists=Y,Access=N|"));
    assert!(ask("check|pools").contains("CHECK,Exists=Y,Access=Y|"));
    assert!(ask("check|nothing").contains("CHECK,Exists=N,Access=N|"));
    assert_eq!(port.group([192, 168, 1, 1].into()), None);
}

#[test]
fn a_web_page_cannot_write_through_somebodys_browser() {
    let miner = Miner::new();
    for request in [
        "POST / HTTP/1.1\r\nHost: miner:4028\r\n\r\n{\"command\":\"pause\"}",
        "GET /pause HTTP/1.1\r\nHost: miner:4028\r\n\r\n",
        "POST /+pause+ HTTP/1.1\r\nX: a+restart+b\r\n\r\npause|",
    ] {
        assert!(
            miner.ask(request.as_bytes()).contains("Code=14"),
            "{request}"
        );
    }
}

#[test]
fn no_make_of_miner_is_named_but_in_pools() {
    let mut miner = Miner::new();
    miner.state.boards[0].model = "Antminer S19j Pro".to_owned();
    miner.state.boards[0].uart = "/dev/serial/by-id/usb-Avalon".to_owned();
    miner.state.system.version = "0.1.0-antminer".to_owned();
    miner.state.pools[0].url = "stratum+tcp://luxminer.example:3333".to_owned();
    let port = Port::new(
        Access::new(&["W:127.0.0.1"], &[]).expect("rules"),
        Some("my AntMiner VNish".to_owned()),
    );
    let group = port.group([127, 0, 0, 1].into()).expect("allowed");
    for request in [
        "version",
        "devdetails",
        "stats",
        "version+devdetails",
        "summary",
        "config",
    ] {
        let Step::Reply(reply) = port.answer(request.as_bytes(), group, &miner.now()) else {
            panic!("asks");
        };
        let reply = String::from_utf8(reply).expect("UTF-8");
        assert_eq!(faces::cgminer::brand_in(&reply), None, "{request}: {reply}");
    }
    let details = miner.ask(b"devdetails");
    assert!(details.contains("Model=S19j Pro,"), "{details}");
    assert!(miner.ask(b"pools").contains("luxminer.example"));
}

proptest! {
    #[test]
    fn no_request_breaks_it(bytes in proptest::collection::vec(any::<u8>(), 0..600)) {
        let miner = Miner::new();
        if let Step::Reply(reply) = miner.step(&bytes) {
            prop_assert_eq!(reply.last(), Some(&0));
            prop_assert_eq!(reply.iter().filter(|byte| **byte == 0).count(), 1);
        }
    }

    #[test]
    fn json_is_always_answered_with_json(command in ".{0,80}", parameter in ".{0,40}") {
        let miner = Miner::new();
        let request = serde_json::json!({ "command": command, "parameter": parameter }).to_string();
        if let Step::Reply(mut reply) = miner.step(request.as_bytes()) {
            reply.pop();
            prop_assert!(serde_json::from_slice::<serde_json::Value>(&reply).is_ok());
        }
    }

    #[test]
    fn every_command_bears_every_parameter(command in 0usize..44, parameter in "[0-9,a-z.\\\\-]{0,20}") {
        let miner = Miner::new();
        let names = ["asc", "ascset", "ascenable", "addpool", "poolpriority", "switchpool", "removepool", "check", "poolquota", "zero", "debug"];
        let request = format!("{}|{parameter}", names[command % names.len()]);
        let _ = miner.step(request.as_bytes());
    }
}
