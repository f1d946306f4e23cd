//! A miner with two boards and two pools, as the state tree would show it.
#![allow(dead_code, reason = "each test file uses its part")]

use faces::cgminer::{Access, Port, Step};
use faces::{Books, Facts, Now, Offered};
use rpc::Snapshot;
use rpc::state::{BoardStatus, PoolStatus, Rate, Rates, StationStatus};
use station::status::{FanStatus, Reading, Source, Status, Unit};

pub(crate) const UNIX_S: u64 = 1_700_000_000;

pub(crate) struct Miner {
    pub(crate) state: Snapshot,
    pub(crate) books: Books,
    pub(crate) facts: Facts,
}

impl Miner {
    pub(crate) fn new() -> Self {
        let mut state = Snapshot::default();
        state.system.name = "rack-3-7".to_owned();
        state.system.hostname = "miner".to_owned();
        state.system.version = "0.1.0".to_owned();
        state.system.mac = Some("aa:bb:cc:dd:ee:0f".to_owned());
        state.system.addresses = vec!["192.168.1.50".to_owned()];
        state.system.uptime_s = 125.4;
        state.miner.state = "mining".to_owned();
        state.miner.hashrate = rates(2.4e12);
        state.miner.expected_hps = 2.5e12;
        state.miner.accepted = 41;
        state.miner.rejected = 2;
        state.miner.best_difficulty = 48_211.7;
        state.miner.power_w = Some(34.6);
        state.miner.nonces.valid = 1000;
        state.miner.nonces.hardware_errors = 10;
        state.boards = (0..2).map(board).collect();
        state.pools = (0..2).map(pool).collect();
        state.stations.push(station());
        let mut books = Books::default();
        for second in 1..=125 {
            state.system.uptime_s = f64::from(second);
            books.feed(&state, UNIX_S - 125 + second as u64);
        }
        state.system.uptime_s = 125.4;
        let facts = Facts {
            os: "linux".to_owned(),
            by_quota: false,
            offered: Some(Offered {
                default_mhz: 525.0,
                mhz: vec![400.0, 525.0, 600.0],
                default_mv: 1150,
                mv: vec![1000, 1150],
            }),
        };
        Self {
            state,
            books,
            facts,
        }
    }

    pub(crate) fn now(&self) -> Now<'_> {
        Now {
            state: &self.state,
            books: &self.books,
            facts: &self.facts,
            unix_s: UNIX_S,
        }
    }

    /// The step that an address with every right gets.
    pub(crate) fn step(&self, request: &[u8]) -> Step {
        let port = writer();
        let group = port.group([127, 0, 0, 1].into()).expect("allowed");
        port.answer(request, group, &self.now())
    }

    /// A reply without its NUL.
    pub(crate) fn ask(&self, request: &[u8]) -> String {
        let Step::Reply(mut reply) = self.step(request) else {
            panic!("asks for something");
        };
        assert_eq!(reply.pop(), Some(0), "the reply ends with a NUL");
        String::from_utf8(reply).expect("UTF-8")
    }

    pub(crate) fn json(&self, command: &str) -> serde_json::Value {
        let request = serde_json::json!({ "command": command }).to_string();
        serde_json::from_str(&self.ask(request.as_bytes())).expect("JSON")
    }
}

pub(crate) fn writer() -> Port {
    Port::new(Access::new(&["W:127.0.0.1"], &[]).expect("rules"), None)
}

pub(crate) fn rates(hps: f64) -> Rates {
    let rate = Rate {
        hps,
        sigma_hps: hps / 10.0,
    };
    Rates {
        s5: rate,
        m1: rate,
        m10: rate,
        h1: rate,
    }
}

fn board(index: usize) -> BoardStatus {
    let mut board = BoardStatus {
        index,
        profile: "bitaxe-gamma".to_owned(),
        model: "Bitaxe Gamma".to_owned(),
        chip: "BM1370".to_owned(),
        uart: format!("/dev/ttyACM{index}"),
        state: "mining".to_owned(),
        station: Some(0),
        temperature_c: Some(61.5),
        chips_found: 1,
        chips_expected: 1,
        frequency_mhz: 525.0,
        target_mhz: 525.0,
        hashrate: rates(1.2e12),
        expected_hps: 1.25e12,
        ..BoardStatus::default()
    };
    board.nonces.valid = 500;
    board.nonces.shares = 20;
    board
}

fn pool(index: usize) -> PoolStatus {
    PoolStatus {
        index,
        url: format!("stratum+tcp://pool{index}.example:3333"),
        protocol: "Stratum V1".to_owned(),
        user: format!("user.{index}"),
        active: index == 0,
        state: if index == 0 { "mining" } else { "unused" }.to_owned(),
        difficulty: 512.0,
        jobs: 7,
        accepted: if index == 0 { 41 } else { 0 },
        rejected: if index == 0 { 2 } else { 0 },
        accepted_difficulty: if index == 0 { 20_992.0 } else { 0.0 },
        last_share_s: (index == 0).then_some(120.4),
        version_mask: 0x1fff_e000,
        ..PoolStatus::default()
    }
}

fn station() -> StationStatus {
    let reading = |name: &str, board, unit, value| Reading {
        name: name.to_owned(),
        board,
        value: Some(value),
        unit,
        source: Source::Measured,
        age_s: Some(0.1),
        trouble: None,
        limit: None,
    };
    let mut status = Status {
        readings: vec![
            reading("board 0 chip", Some(0), Unit::Celsius, 60.0),
            reading("board 1 chip", Some(1), Unit::Celsius, 62.5),
            reading("board 1 regulator", Some(1), Unit::Celsius, 55.25),
            reading("input", None, Unit::Millivolts, 5080.0),
        ],
        fans: vec![FanStatus {
            name: "fan".to_owned(),
            duty_percent: 70,
            rpm: Some(3510),
            age_s: Some(0.4),
            expected_rpm: None,
            trouble: None,
        }],
        ..Status::default()
    };
    status.cooling.target_c = 60.0;
    StationStatus {
        boards: vec![0, 1],
        status,
        ..StationStatus::default()
    }
}
