use std::collections::BTreeSet;
use std::time::Duration;

use autotune::Aim;
use proptest::prelude::*;
use rpc::Role;
use rpc::settings::{Changed, CoolingMode, CoolingSet};
use serde_json::{Value, json};

use super::*;
use crate::example::snapshot;

fn topics() -> Topics {
    Topics::new("hashwright", "rack-3.7", Some("homeassistant"))
}

fn described(role: Role) -> Value {
    let message = discovery(&topics(), &snapshot(), role, None).unwrap();
    serde_json::from_str(&message.payload).unwrap()
}

fn read(name: &str, payload: &str, role: Role) -> Result<Command, Problem> {
    let asked = Asked {
        name,
        payload: payload.as_bytes(),
        retained: false,
    };
    Command::read(asked, role, &snapshot())
}

/// Every `value_json.x` of a template; fans of stations are a list.
fn wanted(template: &str) -> Vec<&str> {
    let fields = template.split("value_json.").skip(1);
    let end = |rest: &str| rest.find(|c: char| !c.is_alphanumeric() && c != '_');
    fields
        .map(|rest| &rest[..end(rest).unwrap_or(rest.len())])
        .collect()
}

#[test]
fn topics_are_as_documented() {
    let topics = topics();
    assert_eq!(topics.availability(), "hashwright/rack-3.7/availability");
    assert_eq!(topics.commands(), "hashwright/rack-3.7/command/+");
    assert_eq!(topics.birth().unwrap(), "homeassistant/status");
    let command = |topic| topics.command(topic);
    assert_eq!(command("hashwright/rack-3.7/command/pause"), Some("pause"));
    assert_eq!(command("hashwright/rack-3.7/command/pause/x"), None);
    assert_eq!(command("hashwright/rack-3.71/command/pause"), None);
    assert_eq!(command("hashwright/rack-3.7/state"), None);
    let sent: Vec<_> = states(&topics, &snapshot())
        .into_iter()
        .map(|message| (message.topic, message.retain))
        .collect();
    let kept = |rest: &str| (format!("hashwright/rack-3.7/{rest}"), true);
    assert_eq!(
        sent,
        [
            kept("state"),
            kept("board/0"),
            kept("station/0"),
            kept("pool/0"),
            kept("tuner"),
        ]
    );
}

#[test]
fn the_will_is_what_discovery_waits_for() {
    let device = described(Role::Read);
    assert_eq!(device["availability_topic"], topics().availability());
    assert_eq!(
        device["payload_available"],
        topics().available(true).payload
    );
    assert_eq!(
        device["payload_not_available"],
        topics().available(false).payload
    );
    assert!(topics().available(false).retain);
}

/// What Home Assistant's pages on MQTT discovery and on the platforms ask for.
#[test]
fn discovery_is_as_home_assistant_documents() {
    let message = discovery(&topics(), &snapshot(), Role::Tune, Some("https://[::1]/")).unwrap();
    assert_eq!(
        message.topic,
        "homeassistant/device/hashwright_rack-3_7/config"
    );
    assert!(message.retain);
    let device: Value = serde_json::from_str(&message.payload).unwrap();
    assert_eq!(
        device["device"]["identifiers"],
        json!(["hashwright_rack-3_7"])
    );
    assert_eq!(device["device"]["configuration_url"], "https://[::1]/");
    assert!(device["origin"]["name"].is_string());
    let mut ids = BTreeSet::new();
    let mut platforms = BTreeSet::new();
    for (key, entity) in device["components"].as_object().unwrap() {
        assert!(ids.insert(entity["unique_id"].as_str().unwrap()), "{key}");
        let platform = entity["platform"].as_str().unwrap();
        platforms.insert(platform);
        assert!(entity["name"].is_string(), "{key}");
        match platform {
            "sensor" | "binary_sensor" => assert!(entity["state_topic"].is_string(), "{key}"),
            "button" | "number" | "select" => {
                assert!(entity["command_topic"].is_string(), "{key}");
            }
            other => panic!("{other}"),
        }
        match (platform, entity["device_class"].as_str()) {
            ("sensor", Some("temperature")) => assert_eq!(entity["unit_of_measurement"], "°C"),
            ("sensor", Some("power")) => assert_eq!(entity["unit_of_measurement"], "W"),
            ("sensor", Some("frequency")) => assert_eq!(entity["unit_of_measurement"], "MHz"),
            ("sensor", Some("duration")) => {
                assert!(["ms", "s"].contains(&entity["unit_of_measurement"].as_str().unwrap()));
            }
            ("sensor", Some("timestamp")) => assert!(entity["unit_of_measurement"].is_null()),
            ("sensor", None) | ("binary_sensor", Some("running" | "connectivity" | "problem")) => {}
            ("button", None | Some("restart")) | ("select", None) => {}
            ("number", None | Some("temperature" | "power")) => {
                assert!(entity["min"].as_f64().unwrap() < entity["max"].as_f64().unwrap());
            }
            other => panic!("{key}: {other:?}"),
        }
    }
    let all = ["binary_sensor", "button", "number", "select", "sensor"];
    assert_eq!(platforms.into_iter().collect::<Vec<_>>(), all);
}

#[test]
fn every_entity_finds_its_value() {
    let state = snapshot();
    let messages = states(&topics(), &state);
    for (key, entity) in described(Role::Tune)["components"].as_object().unwrap() {
        let Some(topic) = entity["state_topic"].as_str() else {
            continue;
        };
        let message = messages.iter().find(|message| message.topic == topic);
        let told: Value = serde_json::from_str(&message.unwrap().payload).unwrap();
        for field in wanted(entity["value_template"].as_str().unwrap()) {
            assert!(told.get(field).is_some(), "{key} wants {field} of {topic}");
        }
    }
}

#[test]
fn without_the_right_to_it_nothing_can_be_pressed() {
    let device = described(Role::Read);
    for name in [
        "pause",
        "resume",
        "restart",
        "cooling_mode",
        "cooling_target",
        "fan_percent",
        "curtail",
        "curtail_end",
        "price",
        "surplus",
        "tuner_aim",
        "power_target",
        "power_cap",
    ] {
        let entity = device["components"][name].as_object().unwrap();
        let keys: Vec<_> = entity.keys().collect();
        assert_eq!(keys, ["platform"], "which says that {name} is gone");
    }
}

#[test]
fn tuning_takes_more_than_operating() {
    let device = described(Role::Operate);
    let entity = |name: &str| device["components"][name].as_object().unwrap().len();
    assert!(entity("curtail") > 1 && entity("price") > 1);
    assert_eq!(
        [
            entity("tuner_aim"),
            entity("power_target"),
            entity("power_cap")
        ],
        [1, 1, 1]
    );
    for name in ["tuner_aim", "power_target", "power_cap"] {
        let problem = read(name, "900", Role::Operate).unwrap_err();
        assert!(matches!(problem, Problem::Tune { .. }));
        assert!(problem.to_string().contains("role = \"tune\""), "{problem}");
    }
}

#[test]
fn what_is_tuned_for_is_told() {
    let messages = states(&topics(), &snapshot());
    let told: Value = serde_json::from_str(&messages[4].payload).unwrap();
    for (field, value) in [
        ("aim", json!("watts")),
        ("aim_w", json!(900.0)),
        ("power_cap_w", json!(1000.0)),
        ("power_cap_now_w", json!(640.0)),
        ("reason", json!("curtailed to 640 W")),
        ("activity", json!("measuring")),
        ("promised_j_th", json!(15.0)),
        ("remaining_s", json!(300.0)),
        ("progress_percent", json!(40.0)),
    ] {
        assert_eq!(told[field], value, "{field}");
    }
    let mut state = snapshot();
    state.tuner = rpc::tuner::TunerStatus::default();
    assert_eq!(states(&topics(), &state).len(), 4, "nobody can tune here");
}

#[test]
fn the_most_urgent_station_is_told() {
    let mut state = snapshot();
    let one = state.tuner.stations[0].clone();
    for activity in ["keeping", "held"] {
        let mut other = one.clone();
        other.activity = activity.into();
        state.tuner.stations.push(other);
    }
    state.tuner.stations[2].because = Some("a sensor shows one value".into());
    let told: Value = serde_json::from_str(&states(&topics(), &state)[4].payload).unwrap();
    assert_eq!(told["activity"], "held");
    assert_eq!(told["because"], "a sensor shows one value");
    assert_eq!(told["promised_w"], 49.5);
}

#[test]
fn aims_are_set_by_word_or_in_full() {
    let tune = |name: &str, payload: &str| {
        let command = read(name, payload, Role::Tune);
        match command.unwrap() {
            Command::Tuner(set) => set,
            other => panic!("{other:?}"),
        }
    };
    let aim = |payload| tune("tuner_aim", payload).aim.unwrap();
    assert_eq!(aim("efficiency"), Aim::Efficiency);
    assert_eq!(aim("off"), Aim::Off);
    assert_eq!(aim("watts"), Aim::Watts(900.0), "as it is already");
    assert_eq!(aim("hashrate"), Aim::Hashrate(1.1), "as is promised now");
    assert_eq!(aim(r#"{"watts": 700}"#), Aim::Watts(700.0));
    let profit = Aim::Profit {
        price_per_kwh: 0.31,
        revenue_per_ths_day: 0.05,
    };
    assert_eq!(aim("profit"), profit, "by what the feeds tell");
    assert_eq!(tune("power_target", "850.5").aim, Some(Aim::Watts(850.5)));
    let caps = |payload| tune("power_cap", payload).caps.unwrap();
    assert_eq!(
        (caps("500").watts, caps("500").chip_c),
        (Some(500.0), Some(80.0))
    );
    assert_eq!((caps("none").watts, caps("0").watts), (None, None));

    let mut state = snapshot();
    state.tuner = rpc::tuner::TunerStatus::default();
    state.miner.power_w = None;
    for payload in ["watts", "profit", "as before"] {
        let asked = Asked {
            name: "tuner_aim",
            payload: payload.as_bytes(),
            retained: false,
        };
        assert!(
            Command::read(asked, Role::Tune, &state).is_err(),
            "{payload}"
        );
    }
}

#[test]
fn the_world_is_told_by_those_who_operate() {
    let operate = |name, payload| read(name, payload, Role::Operate).unwrap();
    let feed = |payload| match operate("feed", payload) {
        Command::Feed(feed) => feed,
        other => panic!("{other:?}"),
    };
    let told = feed(r#"{"price_per_kwh": -0.02, "surplus_w": 800, "valid_s": 600}"#);
    assert_eq!(
        (told.price_per_kwh, told.surplus_w),
        (Some(-0.02), Some(800.0))
    );
    let Command::Feed(price) = operate("price", "0.41") else {
        panic!("a price");
    };
    assert_eq!((price.price_per_kwh, price.surplus_w), (Some(0.41), None));
    let curtail = |payload| match operate("curtail", payload) {
        Command::Curtail(curtail) => curtail,
        other => panic!("{other:?}"),
    };
    assert_eq!(curtail("640").watts, Some(640.0));
    assert_eq!(curtail("0").watts, Some(0.0));
    assert_eq!(curtail("none").watts, None);
    let slow = curtail(r#"{"watts": 500, "ramp_s": 60, "for_s": 900}"#);
    assert_eq!(
        (slow.watts, slow.ramp_s, slow.for_s),
        (Some(500.0), Some(60.0), Some(900.0))
    );
}

#[test]
fn numbers_are_in_units_of_people() {
    let state = &states(&topics(), &snapshot())[0];
    let told: Value = serde_json::from_str(&state.payload).unwrap();
    assert_eq!(told["hashrate_th_s"], 1.2);
    assert_eq!(told["power_w"], 18.0);
    assert_eq!(told["cooling_mode"], "auto");
    assert!(
        !state.payload.contains("secretive"),
        "the user is nobody's business"
    );
}

#[test]
fn commands_ask_for_what_they_say() {
    let operate = |name, payload| read(name, payload, Role::Operate).unwrap();
    assert_eq!(operate("pause", "PRESS"), Command::Pause);
    assert_eq!(operate("resume", ""), Command::Resume);
    assert_eq!(
        operate("cooling_target", " 62.5 "),
        Command::Cooling(CoolingSet {
            target_c: Some(62.5),
            ..CoolingSet::default()
        })
    );
    let manual = CoolingSet {
        mode: Some(CoolingMode::Manual),
        percent: Some(100),
        ..CoolingSet::default()
    };
    assert_eq!(
        operate("cooling_mode", "manual"),
        Command::Cooling(manual.clone())
    );
    assert_eq!(operate("fan_percent", "100.0"), Command::Cooling(manual));
    let Command::Cooling(immersion) = operate("cooling_mode", "immersion") else {
        panic!("cooling");
    };
    assert_eq!(immersion.confirm_immersion, None, "nobody confirmed it");
    let Command::ClearFault(fault) = operate("clear_fault", r#"{"board":0,"code":"x"}"#) else {
        panic!("a fault");
    };
    assert_eq!((fault.board, &fault.code[..]), (0, "x"));
}

#[test]
fn commands_need_the_role() {
    for name in [
        "pause",
        "resume",
        "restart",
        "cooling_mode",
        "clear_fault",
        "nonsense",
    ] {
        assert_eq!(read(name, "", Role::Read), Err(Problem::Role(Role::Read)));
    }
}

#[test]
fn retained_commands_are_of_another_time() {
    let asked = Asked {
        name: "pause",
        payload: b"",
        retained: true,
    };
    let read = Command::read(asked, Role::Admin, &snapshot());
    assert_eq!(read, Err(Problem::Retained));
}

#[test]
fn commands_that_make_no_sense_say_so() {
    for (name, payload) in [
        ("cooling_target", "warm"),
        ("cooling_target", "NaN"),
        ("fan_percent", "101"),
        ("fan_percent", "-1"),
        ("cooling_mode", "AUTO"),
        ("clear_fault", "{\"board\":"),
        ("clear_fault", "{\"board\":0,\"code\":\"x\",\"more\":1}"),
        ("pool_order", "[[[[[["),
        ("price", "dear"),
        ("surplus", "inf"),
        ("feed", "{\"price\": 1}"),
        ("curtail", "half"),
        ("curtail", "{\"watts\": \"x\"}"),
    ] {
        let problem = read(name, payload, Role::Operate).unwrap_err();
        assert!(
            matches!(problem, Problem::Payload { .. }),
            "{name} {payload}"
        );
        assert!(problem.to_string().contains(name));
    }
    assert!(matches!(
        read("explode", "", Role::Admin),
        Err(Problem::Unknown(_))
    ));
}

#[test]
fn answers_say_what_changed_or_why_not() {
    let message = topics().answer(&Answer::new("pause", Ok(Changed::default())));
    assert_eq!(message.topic, "hashwright/rack-3.7/result");
    assert!(!message.retain);
    let told: Value = serde_json::from_str(&message.payload).unwrap();
    assert_eq!(
        (&told["ok"], &told["command"]),
        (&json!(true), &json!("pause"))
    );
    assert_eq!(told["changes"], json!([]));
    let refused = Answer::new("pause", Err("no".into()));
    let told: Value = serde_json::from_str(&topics().answer(&refused).payload).unwrap();
    assert_eq!(
        told,
        json!({"command": "pause", "ok": false, "error": "no"})
    );
}

#[test]
fn a_flood_of_commands_is_let_through_slowly() {
    let mut throttle = Throttle::default();
    let passed = (0..100).filter(|_| throttle.pass(Duration::from_secs(1)));
    assert_eq!(passed.count(), 8);
    assert!(throttle.pass(Duration::from_secs(2)));
    assert!(!throttle.pass(Duration::from_secs(2)));
    assert!(
        !throttle.pass(Duration::ZERO),
        "clocks that go back give nothing"
    );
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    #[test]
    fn hostile_names_make_good_topics(prefix in any::<String>(), id in any::<String>()) {
        let topics = Topics::new(&prefix, &id, Some(&prefix));
        let mut state = snapshot();
        state.system.name = id;
        let mut all = states(&topics, &state);
        all.extend(discovery(&topics, &state, Role::Operate, None));
        all.push(topics.available(true));
        for message in all {
            prop_assert!(!message.topic.contains(['+', '#', '\0']), "{:?}", message.topic);
            prop_assert!(message.topic.split('/').all(|level| !level.is_empty()));
            prop_assert!(message.topic.len() < 65_536);
        }
        let filter = topics.commands();
        prop_assert!(filter.ends_with("/command/+"));
        prop_assert_eq!(filter.matches(['+', '#']).count(), 1);
    }

    #[test]
    fn hostile_commands_are_read_or_refused(
        name in "(cooling_mode|cooling_target|fan_percent|clear_fault|pool_order|tuner_aim|power_target|power_cap|\
                  price|surplus|feed|curtail|.{0,20})",
        payload in prop::collection::vec(any::<u8>(), 0..200),
        retained in any::<bool>(),
    ) {
        let asked = Asked { name: &name, payload: &payload, retained };
        if let Err(problem) = Command::read(asked, Role::Tune, &snapshot()) {
            let text = problem.to_string();
            prop_assert!(text.len() < 800 && !text.contains('\0'), "{text:?}");
        }
    }
}
