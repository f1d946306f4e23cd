//! Every family of the metrics page: its name, its help, and where its values come from.

use autotune::Aim;
use rpc::state::{BoardStatus, PoolStatus, StationStatus};
use rpc::tuner::StationTuner;
use station::status::{Reading, Unit};

use super::Kind::{Counter, Gauge, Info, Summary};
use super::text::Samples;
use super::{Family, Kind};
use crate::tuned;

/// A reading that is older has no sample, so that alarms on missing values work, seconds.
const FRESH_S: f64 = 60.0;

const MINER_STATES: &[&str] = &[
    "starting",
    "mining",
    "waiting for a pool",
    "asleep",
    "degraded",
    "paused",
    "disabled",
    "stopping",
];

const BOARD_STATES: &[&str] = &[
    "off",
    "checking",
    "powering",
    "opening",
    "starting",
    "ramping",
    "verifying",
    "idle",
    "mining",
    "stopping",
    "stopped",
    "failed",
    "held",
    "latched",
    "paused",
    "disabled",
];

const POOL_STATES: &[&str] = &[
    "unused",
    "connecting",
    "handshake",
    "mining",
    "refused",
    "retrying",
];

const POOL_ROLES: &[&str] = &[
    "unused",
    "connecting",
    "returning",
    "standby",
    "active",
    "leaving",
];

const PHASES: &[&str] = &[
    "off",
    "identifying",
    "checking",
    "powering-up",
    "running",
    "winding-down",
    "held",
];

/// All families, in the order of the page.
pub const FAMILIES: &[Family] = &[
    Family {
        help: "When the agent started, seconds since 1970",
        collect: |state, out| {
            if state.system.started_unix_s > 0 {
                out.count(&[], state.system.started_unix_s);
            }
        },
        ..gauge("process_start_time_seconds", "seconds", &[])
    },
    Family {
        help: "Memory of the agent that is resident, bytes",
        collect: |state, out| {
            if state.system.resident_bytes > 0 {
                out.count(&[], state.system.resident_bytes);
            }
        },
        ..gauge("process_resident_memory_bytes", "bytes", &[])
    },
    Family {
        help: "Name and program of the agent",
        collect: |state, out| {
            let system = &state.system;
            let labels = [&system.name[..], &system.version, &system.sha256d_backend];
            out.add(&labels, 1);
        },
        ..of(Info, "hashwright_agent", &["name", "version", "backend"])
    },
    Family {
        help: "What the miner does: 1 for the state that it is in",
        collect: |state, out| out.states(&[], MINER_STATES, &state.miner.state),
        ..of(Gauge, "hashwright_miner_state", &["state"])
    },
    Family {
        help: "Whether any board is simulated and earns nothing: 1 if so",
        collect: |state, out| out.add(&[], u8::from(state.miner.simulated)),
        ..of(Gauge, "hashwright_miner_simulated", &[])
    },
    Family {
        help: "Highest difficulty of a share since the agent started",
        collect: |state, out| out.add(&[], state.miner.best_difficulty),
        ..of(Gauge, "hashwright_miner_best_difficulty", &[])
    },
    Family {
        help: "What the board is",
        collect: |state, out| {
            for (board, labels) in boards(state) {
                let simulated = if board.simulated { "true" } else { "false" };
                let labels = [
                    &labels[..],
                    &board.profile,
                    &board.model,
                    &board.chip,
                    &board.control,
                    &board.guard,
                    simulated,
                ];
                out.add(&labels, 1);
            }
        },
        ..of(
            Info,
            "hashwright_board",
            &[
                "board",
                "profile",
                "model",
                "chip",
                "control",
                "guard",
                "simulated",
            ],
        )
    },
    Family {
        help: "What the board does: 1 for the state that it is in",
        collect: |state, out| {
            for (board, index) in boards(state) {
                out.states(&[&index], BOARD_STATES, &board.state);
            }
        },
        ..of(Gauge, "hashwright_board_state", &["board", "state"])
    },
    Family {
        help: "Hashrate of the board over the last minute, from its shares",
        collect: |state, out| per_board(state, out, |board| Some(board.hashrate.m1.hps)),
        ..gauge(
            "hashwright_board_hashrate_hashes_per_second",
            "hashes_per_second",
            BOARD,
        )
    },
    Family {
        help: "Standard deviation of the board's hashrate, which follows from the number of shares",
        collect: |state, out| per_board(state, out, |board| Some(board.hashrate.m1.sigma_hps)),
        ..gauge(
            "hashwright_board_hashrate_sigma_hashes_per_second",
            "hashes_per_second",
            BOARD,
        )
    },
    Family {
        help: "Hashrate that the board should have at its clock",
        collect: |state, out| per_board(state, out, |board| Some(board.expected_hps)),
        ..gauge(
            "hashwright_board_expected_hashes_per_second",
            "hashes_per_second",
            BOARD,
        )
    },
    Family {
        help: "Nonces that the board's chips found, by what became of them",
        collect: |state, out| {
            for (board, index) in boards(state) {
                let nonces = &board.nonces;
                for (result, count) in [
                    ("valid", nonces.valid),
                    ("hardware-error", nonces.hardware_errors),
                    ("duplicate", nonces.duplicates),
                    ("stale", nonces.stale),
                ] {
                    out.count(&[&index, result], count);
                }
            }
        },
        ..of(Counter, "hashwright_board_nonces", &["board", "result"])
    },
    Family {
        help: "Shares that were handed to the pool",
        collect: |state, out| per_board_count(state, out, |board| board.nonces.shares),
        ..of(Counter, "hashwright_board_shares", BOARD)
    },
    Family {
        help: "Shares that found no room on the way to the pool, or no pool",
        collect: |state, out| per_board_count(state, out, |board| board.shares_lost),
        ..of(Counter, "hashwright_board_shares_lost", BOARD)
    },
    Family {
        help: "Jobs that were sent to the chips",
        collect: |state, out| per_board_count(state, out, |board| board.jobs_sent),
        ..of(Counter, "hashwright_board_jobs", BOARD)
    },
    Family {
        help: "Replies of chips with a bad checksum",
        collect: |state, out| per_board_count(state, out, |board| board.crc_errors),
        ..of(Counter, "hashwright_board_crc_errors", BOARD)
    },
    Family {
        help: "Bytes from the chips that belonged to no good reply",
        collect: |state, out| per_board_count(state, out, |board| board.dropped_bytes),
        ..Family {
            kind: Counter,
            ..gauge("hashwright_board_dropped_bytes", "bytes", BOARD)
        }
    },
    Family {
        help: "Starts of the board after a failure",
        collect: |state, out| per_board_count(state, out, |board| board.restarts),
        ..of(Counter, "hashwright_board_restarts", BOARD)
    },
    Family {
        help: "Chips that answered",
        collect: |state, out| per_board(state, out, |board| Some(board.chips_found.into())),
        ..of(Gauge, "hashwright_board_chips", BOARD)
    },
    Family {
        help: "Chips that the board has",
        collect: |state, out| per_board(state, out, |board| Some(board.chips_expected.into())),
        ..of(Gauge, "hashwright_board_chips_expected", BOARD)
    },
    Family {
        help: "Clock of the chips",
        collect: |state, out| per_board(state, out, |board| Some(board.frequency_mhz * 1e6)),
        ..gauge("hashwright_board_frequency_hertz", "hertz", BOARD)
    },
    Family {
        help: "Clock that the chips are meant to have",
        collect: |state, out| per_board(state, out, |board| Some(board.target_mhz * 1e6)),
        ..gauge("hashwright_board_frequency_target_hertz", "hertz", BOARD)
    },
    Family {
        help: "Core voltage that the board is meant to have, as its profile counts it",
        collect: |state, out| {
            per_board(state, out, |board| {
                board.voltage_set_mv.map(|mv| f64::from(mv) / 1e3)
            });
        },
        ..gauge("hashwright_board_voltage_target_volts", "volts", BOARD)
    },
    Family {
        help: "Hottest temperature of the board, on the scale of its chips",
        collect: |state, out| per_board(state, out, |board| board.temperature_c),
        ..gauge("hashwright_board_temperature_celsius", "celsius", BOARD)
    },
    Family {
        help: "What the chip hashes, over the last ten minutes",
        per_chip: true,
        collect: |state, out| {
            for chip in &state.chips {
                let (board, index) = (chip.board.to_string(), chip.index.to_string());
                out.add(&[&board, &index], chip.hashrate.hps);
            }
        },
        ..gauge(
            "hashwright_chip_hashrate_hashes_per_second",
            "hashes_per_second",
            CHIP,
        )
    },
    Family {
        help: "Hashrate that the chip should have at its clock",
        per_chip: true,
        collect: |state, out| {
            for chip in &state.chips {
                let (board, index) = (chip.board.to_string(), chip.index.to_string());
                out.add(&[&board, &index], chip.expected_hps);
            }
        },
        ..gauge(
            "hashwright_chip_expected_hashes_per_second",
            "hashes_per_second",
            CHIP,
        )
    },
    Family {
        help: "Clock of the chip",
        per_chip: true,
        collect: |state, out| {
            for chip in &state.chips {
                let (board, index) = (chip.board.to_string(), chip.index.to_string());
                out.add(&[&board, &index], chip.frequency_mhz * 1e6);
            }
        },
        ..gauge("hashwright_chip_frequency_hertz", "hertz", CHIP)
    },
    Family {
        help: "What the chip needs more of voltage than the mean of its machine, as far as the tuner knows",
        per_chip: true,
        collect: |state, out| {
            for chip in &state.chips {
                if let Some(quality) = &chip.quality {
                    let (board, index) = (chip.board.to_string(), chip.index.to_string());
                    out.add(&[&board, &index], quality.offset_mv / 1e3);
                }
            }
        },
        ..gauge("hashwright_chip_threshold_offset_volts", "volts", CHIP)
    },
    Family {
        help: "Nonces that the chip found, by what became of them",
        per_chip: true,
        collect: |state, out| {
            for chip in &state.chips {
                let (board, index) = (chip.board.to_string(), chip.index.to_string());
                out.count(&[&board, &index, "valid"], chip.nonces);
                out.count(&[&board, &index, "hardware-error"], chip.hardware_errors);
            }
        },
        ..of(
            Counter,
            "hashwright_chip_nonces",
            &["board", "chip", "result"],
        )
    },
    Family {
        help: "What the station does: 1 for the phase that it is in. A station is the power, heat and \
               fans of boards that are switched together",
        collect: |state, out| {
            for (station, index) in stations(state) {
                out.states(&[&index], PHASES, &word(&station.status.phase));
            }
        },
        ..of(Gauge, "hashwright_station_phase", &["station", "phase"])
    },
    Family {
        help: "Input power of the station",
        collect: |state, out| {
            for (station, index) in stations(state) {
                let reading = station.status.reading("input power");
                out.maybe(&[&index], reading.and_then(fresh));
            }
        },
        ..gauge("hashwright_station_power_watts", "watts", STATION)
    },
    Family {
        help: "Temperatures of the station's sensors",
        collect: |state, out| per_reading(state, out, Unit::Celsius, 1.0),
        ..gauge("hashwright_sensor_temperature_celsius", "celsius", SENSOR)
    },
    Family {
        help: "Temperatures at which power is cut",
        collect: |state, out| {
            each_reading(state, Unit::Celsius, |labels, reading| {
                out.maybe(labels, reading.limit);
            });
        },
        ..gauge(
            "hashwright_sensor_temperature_limit_celsius",
            "celsius",
            SENSOR,
        )
    },
    Family {
        help: "Voltages of the station",
        collect: |state, out| per_reading(state, out, Unit::Millivolts, 1e3),
        ..gauge("hashwright_sensor_voltage_volts", "volts", SENSOR)
    },
    Family {
        help: "Currents of the station",
        collect: |state, out| per_reading(state, out, Unit::Amperes, 1.0),
        ..gauge("hashwright_sensor_current_amperes", "amperes", SENSOR)
    },
    Family {
        help: "Powers of the station",
        collect: |state, out| per_reading(state, out, Unit::Watts, 1.0),
        ..gauge("hashwright_sensor_power_watts", "watts", SENSOR)
    },
    Family {
        help: "Speed of the fan, turns per minute",
        collect: |state, out| {
            for (station, index) in stations(state) {
                for fan in &station.status.fans {
                    out.maybe(&[&index, &fan.name], fan.rpm.map(f64::from));
                }
            }
        },
        ..gauge("hashwright_fan_speed_rpm", "rpm", FAN)
    },
    Family {
        help: "Speed that the fan should have, turns per minute",
        collect: |state, out| {
            for (station, index) in stations(state) {
                for fan in &station.status.fans {
                    out.maybe(&[&index, &fan.name], fan.expected_rpm.map(f64::from));
                }
            }
        },
        ..gauge("hashwright_fan_speed_expected_rpm", "rpm", FAN)
    },
    Family {
        help: "Duty that the fan is told, 0 to 1",
        collect: |state, out| {
            for (station, index) in stations(state) {
                for fan in &station.status.fans {
                    out.add(&[&index, &fan.name], f64::from(fan.duty_percent) / 100.0);
                }
            }
        },
        ..gauge("hashwright_fan_duty_ratio", "ratio", FAN)
    },
    Family {
        help: "Temperature that the fans hold",
        collect: |state, out| per_station(state, out, |s| Some(s.status.cooling.target_c)),
        ..gauge("hashwright_cooling_target_celsius", "celsius", STATION)
    },
    Family {
        help: "Temperature where throttling begins",
        collect: |state, out| per_station(state, out, |s| Some(s.status.cooling.hot_c)),
        ..gauge("hashwright_cooling_hot_celsius", "celsius", STATION)
    },
    Family {
        help: "Part of the wanted clock that heat allows, 0 to 1",
        collect: |state, out| per_station(state, out, |s| Some(s.status.cooling.throttle)),
        ..gauge("hashwright_cooling_throttle_ratio", "ratio", STATION)
    },
    Family {
        help: "Whether the guard lets power be on: 1 if so",
        collect: |state, out| {
            per_station(state, out, |s| Some(u8::from(s.status.guard.power).into()));
        },
        ..of(Gauge, "hashwright_guard_power", STATION)
    },
    Family {
        help: "The fault that the guard holds power back for, or the last one: 1 while only a person can \
               clear it, else 0",
        collect: |state, out| {
            for (station, index) in stations(state) {
                if let Some(fault) = &station.status.guard.fault {
                    out.add(&[&index, &fault.code], u8::from(fault.latched));
                }
            }
        },
        ..of(
            Gauge,
            "hashwright_guard_fault_latched",
            &["station", "code"],
        )
    },
    Family {
        help: "What the owner has the miner tuned for: 1 for the aim that it is",
        collect: |state, out| {
            if !state.tuner.stations.is_empty() {
                out.states(&[], tuned::AIMS, tuned::aim(state.tuner.aim));
            }
        },
        ..of(Gauge, "hashwright_tuner_aim", &["aim"])
    },
    Family {
        help: "Input power that the owner aims at, if it is one",
        collect: |state, out| {
            if let Aim::Watts(watts) = state.tuner.aim {
                out.add(&[], watts);
            }
        },
        ..gauge("hashwright_tuner_aim_watts", "watts", &[])
    },
    Family {
        help: "Hashrate that the owner aims at, if it is one",
        collect: |state, out| {
            if let Aim::Hashrate(ths) = state.tuner.aim {
                out.add(&[], ths * 1e12);
            }
        },
        ..gauge(
            "hashwright_tuner_aim_hashes_per_second",
            "hashes_per_second",
            &[],
        )
    },
    Family {
        help: "Input power that the miner may draw now: the owner's bound, tightened by the rules in force",
        collect: |state, out| out.maybe(&[], state.tuner.demand.caps.watts),
        ..gauge("hashwright_demand_cap_watts", "watts", &[])
    },
    Family {
        help: "Whether a rule keeps the boards without power: 1 if so",
        collect: |state, out| {
            if !state.tuner.stations.is_empty() {
                out.add(&[], u8::from(state.tuner.demand.asleep));
            }
        },
        ..of(Gauge, "hashwright_demand_asleep", &[])
    },
    Family {
        help: "Whether a rule makes what holds now differ from what the owner wants: 1 if so",
        collect: |state, out| {
            let tuner = &state.tuner;
            if tuner.stations.is_empty() {
                return;
            }
            let codes = tuner.demand.reasons.iter().map(|reason| &reason.code[..]);
            for rule in tuned::REASONS.iter().copied().chain(codes.clone()) {
                out.add(&[rule], u8::from(codes.clone().any(|code| code == rule)));
            }
        },
        ..of(Gauge, "hashwright_demand_rule", &["rule"])
    },
    Family {
        help: "Input power that a curtailment aims at; 0 is sleep",
        collect: |state, out| out.maybe(&[], state.tuner.demand.curtailed_to_w),
        ..gauge("hashwright_demand_curtailment_watts", "watts", &[])
    },
    Family {
        help: "Price of power that was told last, money for a kilowatt-hour",
        collect: |state, out| out.maybe(&[], state.tuner.demand.price_per_kwh),
        ..of(Gauge, "hashwright_demand_price", &[])
    },
    Family {
        help: "Revenue that was told last, money for a terahash per second and day",
        collect: |state, out| out.maybe(&[], state.tuner.demand.revenue_per_ths_day),
        ..of(Gauge, "hashwright_demand_revenue", &[])
    },
    Family {
        help: "Surplus of power that was told last",
        collect: |state, out| out.maybe(&[], state.tuner.demand.surplus_w),
        ..gauge("hashwright_demand_surplus_watts", "watts", &[])
    },
    Family {
        help: "Time since a feed told something",
        collect: |state, out| {
            let demand = &state.tuner.demand;
            out.maybe(&["price"], demand.price_age_s);
            out.maybe(&["surplus"], demand.surplus_age_s);
        },
        ..gauge("hashwright_demand_feed_age_seconds", "seconds", &["feed"])
    },
    Family {
        help: "What the tuner of the station does: 1 for the activity that it is",
        collect: |state, out| {
            for (tuner, index) in tuners(state) {
                out.states(&[&index], tuned::ACTIVITIES, &tuner.activity);
            }
        },
        ..of(Gauge, "hashwright_tuner_activity", &["station", "activity"])
    },
    Family {
        help: "Whether the aim can be reached, as far as the tuner knows: 1 for what holds",
        collect: |state, out| {
            for (tuner, index) in tuners(state).filter(|(tuner, _)| tuned::tunes(tuner)) {
                out.states(&[&index], tuned::REACHES, &tuner.reach);
            }
        },
        ..of(Gauge, "hashwright_tuner_reach", &["station", "reach"])
    },
    Family {
        help: "Input power that the tuner expects at its setting",
        collect: |state, out| promised(state, out, |tuner| tuner.watts),
        ..gauge("hashwright_tuner_promised_watts", "watts", STATION)
    },
    Family {
        help: "Hashrate that the tuner expects at its setting",
        collect: |state, out| promised(state, out, |tuner| tuner.ths * 1e12),
        ..gauge(
            "hashwright_tuner_promised_hashes_per_second",
            "hashes_per_second",
            STATION,
        )
    },
    Family {
        help: "Part of the work that the tuner may lose against the best setting for want of knowledge, 0 to 1",
        collect: |state, out| promised(state, out, |tuner| tuner.regret_percent / 100.0),
        ..gauge("hashwright_tuner_regret_ratio", "ratio", STATION)
    },
    Family {
        help: "How far learning is while the tuner learns, 0 to 1",
        collect: |state, out| {
            for (tuner, index) in tuners(state) {
                out.maybe(
                    &[&index],
                    tuner.progress_percent.map(|percent| percent / 100.0),
                );
            }
        },
        ..gauge("hashwright_tuner_progress_ratio", "ratio", STATION)
    },
    Family {
        help: "Chips that do not answer the tuner",
        collect: |state, out| {
            for (tuner, index) in tuners(state) {
                out.count(&[&index], tuner.silent.len() as u64);
            }
        },
        ..of(Gauge, "hashwright_tuner_silent_chips", STATION)
    },
    Family {
        help: "What the pool is",
        collect: |state, out| {
            for (pool, index) in pools(state) {
                out.add(&[&index, &pool.url, &pool.protocol], 1);
            }
        },
        ..of(Info, "hashwright_pool", &["pool", "url", "protocol"])
    },
    Family {
        help: "State of the session with the pool: 1 for the one that it is in",
        collect: |state, out| {
            for (pool, index) in pools(state) {
                out.states(&[&index], POOL_STATES, &pool.state);
            }
        },
        ..of(Gauge, "hashwright_pool_state", &["pool", "state"])
    },
    Family {
        help: "What the pool is for now: 1 for the role that it has",
        collect: |state, out| {
            for (pool, index) in pools(state) {
                out.states(&[&index], POOL_ROLES, &pool.role);
            }
        },
        ..of(Gauge, "hashwright_pool_role", &["pool", "role"])
    },
    Family {
        help: "Part of the work that the pool gets, 0 to 1",
        collect: |state, out| per_pool(state, out, |pool| Some(pool.work_percent / 100.0)),
        ..gauge("hashwright_pool_work_ratio", "ratio", POOL)
    },
    Family {
        help: "Share difficulty in force",
        collect: |state, out| per_pool(state, out, |pool| Some(pool.difficulty)),
        ..of(Gauge, "hashwright_pool_difficulty", POOL)
    },
    Family {
        help: "Highest difficulty of a share at the pool",
        collect: |state, out| per_pool(state, out, |pool| Some(pool.best_difficulty)),
        ..of(Gauge, "hashwright_pool_best_difficulty", POOL)
    },
    Family {
        help: "Jobs from the pool",
        collect: |state, out| per_pool_count(state, out, |pool| pool.jobs),
        ..of(Counter, "hashwright_pool_jobs", POOL)
    },
    Family {
        help: "Shares that were sent",
        collect: |state, out| per_pool_count(state, out, |pool| pool.submitted),
        ..of(Counter, "hashwright_pool_shares_submitted", POOL)
    },
    Family {
        help: "Shares that the pool accepted",
        collect: |state, out| per_pool_count(state, out, |pool| pool.accepted),
        ..of(Counter, "hashwright_pool_shares_accepted", POOL)
    },
    Family {
        help: "Sum of the difficulties of the accepted shares: what is paid for. Times 2^32 it is the \
               hashes that they stand for",
        collect: |state, out| per_pool(state, out, |pool| Some(pool.accepted_difficulty)),
        ..of(Counter, "hashwright_pool_accepted_difficulty", POOL)
    },
    Family {
        help: "Shares that the pool rejected, by reason",
        collect: |state, out| {
            for (pool, index) in pools(state) {
                for reject in &pool.reject_reasons {
                    out.count(&[&index, &reject.reason], reject.count);
                }
            }
        },
        ..of(
            Counter,
            "hashwright_pool_shares_rejected",
            &["pool", "reason"],
        )
    },
    Family {
        help: "Shares that were sent and never answered",
        collect: |state, out| per_pool_count(state, out, |pool| pool.unconfirmed),
        ..of(Counter, "hashwright_pool_shares_unconfirmed", POOL)
    },
    Family {
        help: "Shares that were not sent because their session or job had gone",
        collect: |state, out| per_pool_count(state, out, |pool| pool.dropped),
        ..of(Counter, "hashwright_pool_shares_dropped", POOL)
    },
    Family {
        help: "Blocks that the pool is known to have taken; only nodes tell",
        collect: |state, out| per_pool_count(state, out, |pool| pool.blocks),
        ..of(Counter, "hashwright_pool_blocks", POOL)
    },
    Family {
        help: "Connections that were made",
        collect: |state, out| per_pool_count(state, out, |pool| pool.connects),
        ..of(Counter, "hashwright_pool_connects", POOL)
    },
    Family {
        help: "When the pool accepted the last share, seconds since 1970",
        collect: |state, out| {
            let started = state.system.started_unix_s;
            per_pool(state, out, |pool| {
                let at = pool.last_share_s.filter(|_| started > 0);
                at.map(|at| started as f64 + at)
            });
        },
        ..gauge(
            "hashwright_pool_last_share_timestamp_seconds",
            "seconds",
            POOL,
        )
    },
    Family {
        help: "Time from sending a share to its answer",
        collect: |state, out| {
            for (pool, index) in pools(state) {
                for (quantile, value) in [
                    ("0.5", pool.latency_ms),
                    ("0.9", pool.latency_p90_ms),
                    ("0.99", pool.latency_p99_ms),
                ] {
                    out.maybe(&[&index, quantile], value.map(|ms| ms / 1e3));
                }
            }
        },
        ..Family {
            kind: Summary,
            ..gauge(
                "hashwright_pool_latency_seconds",
                "seconds",
                &["pool", "quantile"],
            )
        }
    },
    Family {
        help: "Part of the pool's last job that pays the owner, 0 to 1",
        collect: |state, out| {
            per_pool(state, out, |pool| {
                let percent = pool.payout.as_ref().and_then(|payout| payout.own_percent);
                percent.map(|percent| percent / 100.0)
            });
        },
        ..gauge("hashwright_pool_payout_own_ratio", "ratio", POOL)
    },
];

const BOARD: &[&str] = &["board"];
const CHIP: &[&str] = &["board", "chip"];
const STATION: &[&str] = &["station"];
const SENSOR: &[&str] = &["station", "board", "sensor", "source"];
const FAN: &[&str] = &["station", "fan"];
const POOL: &[&str] = &["pool"];

const fn of(kind: Kind, name: &'static str, labels: &'static [&'static str]) -> Family {
    Family {
        name,
        kind,
        unit: None,
        labels,
        help: "",
        per_chip: false,
        collect: |_, _| {},
    }
}

const fn gauge(name: &'static str, unit: &'static str, labels: &'static [&'static str]) -> Family {
    Family {
        unit: Some(unit),
        ..of(Gauge, name, labels)
    }
}

fn boards(state: &rpc::Snapshot) -> impl Iterator<Item = (&BoardStatus, String)> {
    let boards = state.boards.iter();
    boards.map(|board| (board, board.index.to_string()))
}

fn stations(state: &rpc::Snapshot) -> impl Iterator<Item = (&StationStatus, String)> {
    let stations = state.stations.iter();
    stations.map(|station| (station, station.index.to_string()))
}

fn tuners(state: &rpc::Snapshot) -> impl Iterator<Item = (&StationTuner, String)> {
    let tuners = state.tuner.stations.iter();
    tuners.map(|tuner| (tuner, tuner.station.to_string()))
}

/// A value of the setting that each tuner has chosen.
fn promised(state: &rpc::Snapshot, out: &mut Samples<'_>, value: impl Fn(&StationTuner) -> f64) {
    for (tuner, index) in tuners(state).filter(|(tuner, _)| tuned::tunes(tuner)) {
        out.add(&[&index], value(tuner));
    }
}

fn pools(state: &rpc::Snapshot) -> impl Iterator<Item = (&PoolStatus, String)> {
    let pools = state.pools.iter();
    pools.map(|pool| (pool, pool.index.to_string()))
}

fn per_board(
    state: &rpc::Snapshot,
    out: &mut Samples<'_>,
    value: impl Fn(&BoardStatus) -> Option<f64>,
) {
    for (board, index) in boards(state) {
        out.maybe(&[&index], value(board));
    }
}

fn per_board_count(
    state: &rpc::Snapshot,
    out: &mut Samples<'_>,
    value: impl Fn(&BoardStatus) -> u64,
) {
    for (board, index) in boards(state) {
        out.count(&[&index], value(board));
    }
}

fn per_station(
    state: &rpc::Snapshot,
    out: &mut Samples<'_>,
    value: impl Fn(&StationStatus) -> Option<f64>,
) {
    for (station, index) in stations(state) {
        out.maybe(&[&index], value(station));
    }
}

fn per_pool(
    state: &rpc::Snapshot,
    out: &mut Samples<'_>,
    value: impl Fn(&PoolStatus) -> Option<f64>,
) {
    for (pool, index) in pools(state) {
        out.maybe(&[&index], value(pool));
    }
}

fn per_pool_count(
    state: &rpc::Snapshot,
    out: &mut Samples<'_>,
    value: impl Fn(&PoolStatus) -> u64,
) {
    for (pool, index) in pools(state) {
        out.count(&[&index], value(pool));
    }
}

/// The readings of all stations in `unit`, of which `per` make a base unit.
fn per_reading(state: &rpc::Snapshot, out: &mut Samples<'_>, unit: Unit, per: f64) {
    each_reading(state, unit, |labels, reading| {
        out.maybe(labels, fresh(reading).map(|value| value / per));
    });
}

fn each_reading(state: &rpc::Snapshot, unit: Unit, mut tell: impl FnMut(&[&str], &Reading)) {
    for (station, index) in stations(state) {
        let status = &station.status;
        for reading in status.readings.iter().filter(|known| known.unit == unit) {
            // Within the station boards are counted from 0; the config counts differently.
            let board = reading.board.and_then(|board| station.boards.get(board));
            let board = board.map(usize::to_string).unwrap_or_default();
            tell(
                &[&index, &board, &reading.name, &word(&reading.source)],
                reading,
            );
        }
    }
}

fn fresh(reading: &Reading) -> Option<f64> {
    let fresh = reading.age_s.is_none_or(|age| age <= FRESH_S);
    reading.value.filter(|_| fresh)
}

/// A unit variant as the API spells it.
fn word(value: &impl serde::Serialize) -> String {
    let word = serde_json::to_value(value).ok();
    word.and_then(|word| word.as_str().map(str::to_owned))
        .unwrap_or_default()
}
