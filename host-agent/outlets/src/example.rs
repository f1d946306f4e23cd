//! A state for the tests of this crate, and the generated parts of its documents.

use std::path::Path;

use autotune::{Aim, Caps};
use rpc::Snapshot;
use rpc::state::{
    BoardStatus, ChipStatus, PayoutStatus, PoolStatus, Rate, RejectReason, StationStatus,
};
use rpc::tuner::{ChipQuality, DemandStatus, Reason, StationTuner, TunerStatus};
use station::status::{FanStatus, FaultStatus, Reading, Source, Unit};

/// One board on one station, one chip, one pool, one tuner; every value that can be is there.
pub(crate) fn snapshot() -> Snapshot {
    let mut state = Snapshot::default();
    state.system.name = "rack-3-7".into();
    state.system.version = "1.2.3".into();
    state.system.mac = Some("02:00:5e:10:ab:cd".into());
    state.system.started_unix_s = 1_700_000_000;
    state.system.uptime_s = 100.0;
    state.system.resident_bytes = 30_000_000;
    state.miner.state = "mining".into();
    state.miner.hashrate.m1.hps = 1.2e12;
    state.miner.hashrate.m10.hps = 1.1e12;
    state.miner.expected_hps = 1.2e12;
    state.miner.power_w = Some(18.0);
    state.miner.efficiency_j_th = Some(15.0);
    state.miner.hottest_c = Some(61.5);
    let mut board = BoardStatus {
        profile: "bitaxe-gamma".into(),
        model: "Bitaxe Gamma".into(),
        chip: "BM1370".into(),
        state: "mining".into(),
        guard: "agent".into(),
        control: "sim".into(),
        station: Some(0),
        temperature_c: Some(61.5),
        power_w: Some(18.0),
        chips_found: 1,
        chips_expected: 1,
        frequency_mhz: 525.0,
        target_mhz: 525.0,
        expected_hps: 1.2e12,
        jobs_sent: 7,
        voltage_set_mv: Some(1120),
        ..BoardStatus::default()
    };
    board.hashrate.m1 = Rate {
        hps: 1.2e12,
        sigma_hps: 1e11,
    };
    board.nonces.valid = 40;
    state.boards.push(board);
    state.chips.push(ChipStatus {
        quality: Some(ChipQuality {
            offset_mv: -6.0,
            sd_mv: 1.5,
            grade: "strong".into(),
        }),
        nonces: 40,
        frequency_mhz: 525.0,
        expected_hps: 1.2e12,
        ..ChipStatus::default()
    });
    let reading = |name: &str, value, unit, limit| Reading {
        name: name.into(),
        board: Some(0),
        value: Some(value),
        unit,
        source: Source::Measured,
        age_s: Some(0.5),
        trouble: None,
        limit,
    };
    let mut station = StationStatus {
        boards: vec![0],
        control: "sim".into(),
        ..StationStatus::default()
    };
    station.status.readings = vec![
        reading("chip", 61.5, Unit::Celsius, Some(75.0)),
        reading("core voltage", 1150.0, Unit::Millivolts, None),
        reading("input current", 3.6, Unit::Amperes, None),
        reading("input power", 18.0, Unit::Watts, None),
    ];
    station.status.fans.push(FanStatus {
        name: "fan 1".into(),
        duty_percent: 40,
        rpm: Some(3000),
        age_s: Some(0.5),
        expected_rpm: Some(3100),
        trouble: None,
    });
    station.status.guard.power = true;
    station.status.guard.fault = Some(FaultStatus {
        code: "fan-stalled".into(),
        what: "fan 1 stands still".into(),
        advice: "look at it".into(),
        age_s: 50.0,
        latched: false,
    });
    station.status.cooling.target_c = 60.0;
    station.status.cooling.hot_c = 70.0;
    station.status.cooling.temperature_c = Some(61.5);
    state.stations.push(station);
    state.pools.push(PoolStatus {
        url: "stratum+tcp://pool.example:3333".into(),
        protocol: "Stratum V1".into(),
        user: "bc1qsecretive.worker".into(),
        active: true,
        role: "active".into(),
        state: "mining".into(),
        work_percent: 100.0,
        difficulty: 512.0,
        accepted: 20,
        rejected: 1,
        last_share_s: Some(90.0),
        reject_reasons: vec![RejectReason {
            reason: "low difficulty".into(),
            text: "above target".into(),
            count: 1,
        }],
        latency_ms: Some(42.0),
        latency_p90_ms: Some(80.0),
        latency_p99_ms: Some(120.0),
        payout: Some(PayoutStatus {
            own_percent: Some(98.0),
            ..PayoutStatus::default()
        }),
        ..PoolStatus::default()
    });
    state.tuner = TunerStatus {
        aim: Aim::Watts(900.0),
        caps: Caps {
            watts: Some(1000.0),
            chip_c: Some(80.0),
            ..Caps::default()
        },
        demand: DemandStatus {
            aim: Aim::Watts(900.0),
            caps: Caps {
                watts: Some(640.0),
                chip_c: Some(80.0),
                ..Caps::default()
            },
            reasons: vec![Reason {
                code: "curtailment".into(),
                text: "curtailed to 640 W".into(),
            }],
            next_change_unix_s: Some(1_700_003_600),
            price_per_kwh: Some(0.31),
            price_age_s: Some(12.0),
            revenue_per_ths_day: Some(0.05),
            surplus_w: Some(2400.0),
            surplus_age_s: Some(7.0),
            curtailed_to_w: Some(640.0),
            ..DemandStatus::default()
        },
        stations: vec![StationTuner {
            boards: vec![0],
            activity: "measuring".into(),
            reach: "reached".into(),
            rounds: 3,
            mv: 1120.0,
            mhz: 500.0,
            ths: 1.1,
            watts: 16.5,
            regret_percent: 0.4,
            progress_percent: Some(40.0),
            remaining_s: Some(312.0),
            ..StationTuner::default()
        }],
    };
    state
}

/// A second tuner, which aims at a hashrate instead.
pub(crate) fn for_hashrate() -> Snapshot {
    let mut state = snapshot();
    state.tuner.aim = Aim::Hashrate(95.0);
    state
}

/// The part of a document between its marker lines must be `expected`; `UPDATE_DOCS=1` writes it anew.
pub(crate) fn check_part(name: &str, part: &str, expected: &str) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../../docs")
        .join(name);
    let text = std::fs::read_to_string(&path).unwrap();
    let (begin, end) = (
        format!("<!-- {part}: generated -->\n"),
        format!("<!-- {part}: end -->"),
    );
    let start = text.find(&begin).expect("the first marker") + begin.len();
    let stop = start + text[start..].find(&end).expect("the last marker");
    let wanted = format!("\n{expected}\n");
    if text[start..stop] != wanted {
        assert!(
            std::env::var_os("UPDATE_DOCS").is_some(),
            "docs/{name} is out of date; run UPDATE_DOCS=1 cargo test -p outlets"
        );
        let updated = format!("{}{wanted}{}", &text[..start], &text[stop..]);
        std::fs::write(&path, updated).unwrap();
    }
}
