//! The AxeOS API: what clients need is there and never null; who may ask; what writes become.

mod support;

use faces::axeos::{Head, PAGE, Reply, Route, Site, Step};
use faces::{PoolChange, Wish};
use proptest::prelude::*;
use serde_json::{Value, json};
use station::Mode;
use support::Miner;

fn site() -> Site {
    Site {
        names: vec!["rack-3-7".to_owned()],
        write_from: vec!["192.168.1.5".parse().expect("a network")],
    }
}

fn head<'a>(method: &'a str, path: &'a str) -> Head<'a> {
    Head {
        peer: [192, 168, 1, 5].into(),
        method,
        path,
        query: None,
        authority: None,
        hosts: vec![Some("192.168.1.50")],
        origins: Vec::new(),
        fetch_site: None,
        proxied: false,
        length: None,
    }
}

fn get(miner: &Miner, path: &str) -> Value {
    let route = site().admit(&head("GET", path)).expect("admitted");
    let Step::Reply(reply) = site().answer(&route, b"", &miner.now()) else {
        panic!("asks");
    };
    assert_eq!(
        (reply.status, reply.content_type),
        (200, "application/json")
    );
    serde_json::from_slice(&reply.body).expect("JSON")
}

fn refused(head: &Head<'_>) -> u16 {
    site().admit(head).expect_err("refused").status
}

fn patch(miner: &Miner, body: &Value) -> Step {
    site().answer(&Route::Settings, body.to_string().as_bytes(), &miner.now())
}

fn wished(step: Step) -> Wish {
    match step {
        Step::Ask(question) => question.wish().clone(),
        Step::Reply(reply) => panic!("{}", String::from_utf8_lossy(&reply.body)),
    }
}

fn replied(step: Step) -> Reply {
    match step {
        Step::Reply(reply) => reply,
        Step::Ask(question) => panic!("{:?}", question.wish()),
    }
}

fn only_pool(index: usize, change: PoolChange) -> Wish {
    Wish::Several {
        pools: vec![(index, change)],
        fans: None,
        target_c: None,
        mhz: None,
        mv: None,
    }
}

fn nulls(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::Array(items) => items.iter().any(nulls),
        Value::Object(fields) => fields.values().any(nulls),
        _ => false,
    }
}

#[test]
fn the_page_is_known_and_nobody_elses() {
    assert!(PAGE.contains("AxeOS"));
    for word in [
        "Braiins OS",
        "Luxor Firmware",
        "AnthillOS",
        "Miner Web Dashboard",
        "Avalon",
        "Nerd",
        "Proto OS",
        "ForgeOS",
        "VolcMiner",
        "amazeui",
        "/cgi-bin/luci",
        "Lucky miner",
        "cloud-box",
        "DragonMint",
        "Fluminer",
        "Miner UI",
    ] {
        assert!(!PAGE.contains(word), "{word}");
    }
}

#[test]
fn info_has_what_clients_need_in_the_types_that_they_need() {
    let info = get(&Miner::new(), "/api/system/info");
    assert_eq!(info["ASICModel"], "BM1370");
    assert_eq!(info["asicCount"], 2);
    assert_eq!(info["stratumURL"], "pool0.example");
    assert_eq!(info["stratumPort"], 3333);
    assert_eq!(info["stratumUser"], "user.0");
    assert_eq!(info["autofanspeed"], 1);
    assert_eq!(info["hashRate"], 2400.0);
    assert_eq!(info["power"], 34.6);
    assert_eq!(info["macAddr"], "AA:BB:CC:DD:EE:0F");
    assert_eq!(info["fanrpm"], 3510);
    assert_eq!(info["temp"], 62.5);
    assert_eq!(info["vrTemp"], 55.25);
    assert_eq!(info["voltage"], 5080.0);
    assert_eq!(info["uptimeSeconds"], 125);
    assert_eq!(info["version"], "0.1.0");
    assert_eq!(info["fallbackStratumURL"], "pool1.example");
    assert_eq!(info["isUsingFallbackStratum"], 0);
    // What pyasic takes for expected: cores x chips x MHz, in MH/s.
    let expected = info["smallCoreCount"].as_f64().expect("cores") * 2.0 * 525.0;
    assert!((expected / 2.142e6 - 1.0).abs() < 0.01, "{expected}");
}

#[test]
fn nothing_is_ever_null() {
    let mut miner = Miner::new();
    for miner in [&Miner::new(), {
        miner.state.system.mac = None;
        miner.state.miner.power_w = None;
        miner.state.miner.hashrate = support::rates(f64::NAN);
        miner.state.stations.clear();
        miner.state.pools.clear();
        &miner
    }] {
        for path in [
            "/api/system/info",
            "/api/system/asic",
            "/api/system/scoreboard",
            "/api/system/wifi/scan",
            "/api/system/logs",
        ] {
            let reply = get(miner, path);
            assert!(!nulls(&reply), "{path}: {reply}");
        }
    }
    let info = get(&miner, "/api/system/info");
    assert_eq!(info["hashRate"], 0.0);
    assert!(info.get("power").is_none() && info.get("macAddr").is_none());
    for key in [
        "stratumURL",
        "stratumPort",
        "stratumUser",
        "autofanspeed",
        "fanspeed",
    ] {
        assert!(info.get(key).is_some(), "{key}");
    }
}

#[test]
fn boards_of_several_kinds_are_called_so() {
    let mut miner = Miner::new();
    miner.state.boards[1].chip = "BM1362".to_owned();
    let info = get(&miner, "/api/system/info");
    assert_eq!(info["ASICModel"], "BM1370+BM1362");
    assert!(info.get("smallCoreCount").is_none());
}

#[test]
fn the_history_has_the_columns_that_are_asked_for() {
    let mut asked = head("GET", "/api/system/statistics");
    asked.query = Some("columns=power,hashrate_10m,unknown");
    let route = site().admit(&asked).expect("admitted");
    let miner = Miner::new();
    let reply = replied(site().answer(&route, b"", &miner.now()));
    let told: Value = serde_json::from_slice(&reply.body).expect("JSON");
    assert_eq!(
        told["labels"],
        json!(["hashrate_10m", "power", "timestamp"])
    );
    assert_eq!(told["statistics"][0], json!([2400.0, 34.6, 1000]));
}

#[test]
fn only_the_house_reads_and_only_the_list_writes() {
    let info = "/api/system/info";
    let mut stranger = head("GET", info);
    stranger.peer = [203, 0, 113, 9].into();
    assert_eq!(refused(&stranger), 403);
    let mut neighbour = head("GET", info);
    neighbour.peer = [192, 168, 1, 6].into();
    assert!(site().admit(&neighbour).is_ok());
    for (method, path) in [
        ("POST", "/api/system/pause"),
        ("POST", "/api/system/restart"),
        ("PATCH", "/api/system"),
        ("PUT", "/api/system/pools/0"),
        ("DELETE", "/api/system/pools/0"),
    ] {
        let mut wanted = head(method, path);
        assert!(site().admit(&wanted).is_ok(), "{path}");
        wanted.peer = [192, 168, 1, 6].into();
        assert_eq!(refused(&wanted), 403, "{path}");
        let mut wanted = head(method, path);
        wanted.origins = vec![Some("http://evil.example")];
        assert_eq!(refused(&wanted), 403, "{path}");
        wanted.origins = vec![Some("null")];
        assert_eq!(refused(&wanted), 403, "{path}");
        wanted.origins = vec![Some("http://192.168.1.50")];
        assert!(site().admit(&wanted).is_ok(), "{path}");
        wanted.fetch_site = Some("cross-site");
        assert_eq!(refused(&wanted), 403, "{path}");
    }
}

#[test]
fn names_that_are_not_this_miner_are_refused() {
    for (host, good) in [
        ("192.168.1.50", true),
        ("192.168.1.50:80", true),
        ("localhost", true),
        ("[fe80::1]:80", true),
        ("rack-3-7", true),
        ("RACK-3-7.local", true),
        ("evil.example", false),
        ("rack-3-7.evil.example", false),
        ("192.168.1.50.evil.example", false),
        ("", false),
        ("192.168.1.50:99999", false),
        ("[::1", false),
    ] {
        let mut asked = head("GET", "/api/system/info");
        asked.hosts = vec![Some(host)];
        assert_eq!(site().admit(&asked).is_ok(), good, "{host}");
    }
    let mut asked = head("GET", "/");
    asked.hosts = vec![];
    assert_eq!(refused(&asked), 400);
    asked.hosts = vec![Some("localhost"), Some("localhost")];
    assert_eq!(refused(&asked), 400);
}

#[test]
fn what_is_not_offered_says_so_before_a_body_is_read() {
    for (method, path, status) in [
        ("POST", "/api/system/OTA", 501),
        ("POST", "/api/system/OTAWWW", 501),
        ("POST", "/api/system/identify", 501),
        ("POST", "/api/system/info", 405),
        ("OPTIONS", "/api/system", 405),
        ("GET", "/api/ws", 404),
        ("GET", "/cgi-bin/get_system_info.cgi", 404),
    ] {
        assert_eq!(refused(&head(method, path)), status, "{path}");
    }
    let mut long = head("PATCH", "/api/system");
    long.length = Some(1 << 30);
    assert_eq!(refused(&long), 413);
}

#[test]
fn what_pyasic_reads_and_writes_back_changes_nothing() {
    let miner = Miner::new();
    let body = json!({
        "autoFanspeed": 1,
        "stratumURL": "stratum+tcp://pool0.example:3333",
        "stratumUser": "user.0",
        "stratumPassword": "",
    });
    assert_eq!(replied(patch(&miner, &body)).status, 200);
    // Clients cannot see that a pool speaks TLS or Stratum V2; it goes on doing so.
    let mut other = Miner::new();
    other.state.pools[0].url = "stratum2+tcp://pool0.example:3333/9bKey".to_owned();
    assert_eq!(replied(patch(&other, &body)).status, 200);
}

#[test]
fn settings_become_one_wish() {
    let miner = Miner::new();
    let body = json!({
        "autofanspeed": 0, "fanspeed": 50, "frequency": 600, "coreVoltage": 1000,
        "stratumURL": "other.example", "stratumPort": 4444, "stratumPassword": "*****",
    });
    let wanted = Wish::Several {
        pools: vec![(
            0,
            PoolChange {
                url: Some("stratum+tcp://other.example:4444".to_owned()),
                ..PoolChange::default()
            },
        )],
        fans: Some(Mode::Manual { percent: 50 }),
        target_c: None,
        mhz: Some(600.0),
        mv: Some(1000),
    };
    assert_eq!(wished(patch(&miner, &body)), wanted);
}

#[test]
fn unknown_settings_refuse_the_whole() {
    let miner = Miner::new();
    for body in [
        json!({ "frequency": 600, "ssid": "home" }),
        json!({ "fanspeed": 101 }),
        json!({ "autofanspeed": 2 }),
        json!({ "stratumPort": 70000 }),
        json!({ "stratumURL": "a:1", "stratumPort": 2 }),
        json!({ "stratumURL": "elsewhere.example" , "StratumURL": "x" }),
        json!({ "frequency": "fast" }),
        json!({ "coreVoltage": 1000.5 }),
        json!([1]),
        json!("x"),
    ] {
        let reply = replied(patch(&miner, &body));
        assert_eq!(reply.status, 400, "{body}");
        assert!(serde_json::from_slice::<Value>(&reply.body).expect("JSON")["message"].is_string());
    }
}

#[test]
fn pools_are_put_and_deleted_by_place() {
    let miner = Miner::new();
    let put = |index, body: &Value| {
        let route = Route::PoolPut(index);
        site().answer(&route, body.to_string().as_bytes(), &miner.now())
    };
    let user = PoolChange {
        user: Some("me".to_owned()),
        ..PoolChange::default()
    };
    assert_eq!(wished(put(1, &json!({ "user": "me" }))), only_pool(1, user));
    let fresh = PoolChange {
        url: Some("stratum+tcp://third.example:1".to_owned()),
        user: Some("me".to_owned()),
        password: None,
    };
    let body = json!({ "stratumURL": "third.example", "stratumPort": 1, "stratumUser": "me" });
    assert_eq!(wished(put(2, &body)), Wish::PoolAdd(fresh));
    assert_eq!(replied(put(3, &body)).status, 400);
    assert_eq!(replied(put(2, &json!({ "user": "me" }))).status, 400);
    let delete = |index| site().answer(&Route::PoolDelete(index), b"", &miner.now());
    assert_eq!(wished(delete(1)), Wish::PoolRemove(1));
    assert_eq!(replied(delete(2)).status, 404);
}

proptest! {
    #[test]
    fn no_body_breaks_it(bytes in proptest::collection::vec(any::<u8>(), 0..300), index in 0usize..4) {
        let miner = Miner::new();
        let _ = site().answer(&Route::Settings, &bytes, &miner.now());
        let _ = site().answer(&Route::PoolPut(index), &bytes, &miner.now());
    }

    #[test]
    fn no_value_breaks_it(key in "(stratumURL|stratumPort|fanspeed|frequency|coreVoltage|temptarget)", number in any::<f64>(), text in ".{0,30}") {
        let miner = Miner::new();
        let _ = patch(&miner, &json!({ key.clone(): number }));
        let _ = patch(&miner, &json!({ key: text }));
    }

    #[test]
    fn no_path_or_host_breaks_it(path in ".{0,60}", host in ".{0,60}") {
        let mut asked = head("GET", &path);
        asked.hosts = vec![Some(&host)];
        let _ = site().admit(&asked);
    }
}

#[test]
fn what_comes_through_a_proxy_reads_and_changes_nothing() {
    let proxied = |method, path| Head {
        proxied: true,
        ..head(method, path)
    };
    assert_eq!(refused(&proxied("POST", "/api/system/pause")), 403);
    assert!(site().admit(&proxied("GET", "/api/system/info")).is_ok());
    assert!(site().admit(&head("POST", "/api/system/pause")).is_ok());
}
