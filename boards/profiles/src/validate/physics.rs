//! Constants of the simulated board: within what any machine can have, and in agreement with the
//! tables that describe the real one.

use super::Check;
use crate::schema::{
    ChipPhysics, Physics, Profile, PsuPhysics, RegulatorPhysics, SensorChannel, SensorKind,
    SupplyPhysics, ThermalPhysics, VoltageScope,
};

pub(super) fn physics(profile: &Profile, check: &mut Check) {
    let Some(physics) = &profile.simulation.physics else {
        return;
    };
    check.within(0.0..=1.0, field("path_ohm"), physics.path_ohm, "ohm");
    check.within(0.0..=1000.0, field("auxiliary_w"), physics.auxiliary_w, "W");
    chip(&physics.chip, check);
    thermal(profile, &physics.thermal, check);
    fans(profile, physics, check);
    supply(profile, &physics.supply, check);
}

fn field(key: &str) -> String {
    format!("simulation.physics.{key}")
}

fn chip(c: &ChipPhysics, check: &mut Check) {
    let rows = [
        ("nominal_mhz", c.nominal_mhz, 10.0, 5000.0, "MHz"),
        ("nominal_mv", c.nominal_mv, 100.0, 5000.0, "mV"),
        ("k_dynamic", c.k_dynamic, 1e-6, 10.0, "W per MHz and V²"),
        ("k_leak", c.k_leak, 1e-3, 1000.0, "W per V²"),
        ("leak_scale_k", c.leak_scale_k, 5.0, 1000.0, "K"),
        ("mu_mv", c.mu_mv, 50.0, 5000.0, "mV"),
        ("sigma_mv", c.sigma_mv, 0.1, 1000.0, "mV"),
        ("slope_mv_per_mhz", c.slope_mv_per_mhz, 0.0, 10.0, "mV/MHz"),
        ("warm_shift_per_k", c.warm_shift_per_k, -0.01, 0.01, "per K"),
    ];
    for (key, value, low, high, unit) in rows {
        check.within(low..=high, field(&format!("chip.{key}")), value, unit);
    }
    check.require(c.mu_mv < c.nominal_mv, field("chip.mu_mv"), c.mu_mv, || {
        format!(
            "less than half of the cores would work at nominal_mv = {}",
            c.nominal_mv
        )
    });
}

fn thermal(profile: &Profile, t: &ThermalPhysics, check: &mut Check) {
    let rows = [
        ("die_k_per_w", t.die_k_per_w, 0.0, 100.0, "K/W"),
        ("die_tau_s", t.die_tau_s, 0.01, 100.0, "s"),
        ("sink_k_per_w", t.sink_k_per_w, 1e-4, 100.0, "K/W"),
        ("sink_j_per_k", t.sink_j_per_k, 1.0, 1e6, "J/K"),
        ("flow_exponent", t.flow_exponent, 0.0, 2.0, ""),
        ("flow_m3_s", t.flow_m3_s.unwrap_or(1.0), 1e-6, 10.0, "m³/s"),
        ("still_flow", t.still_flow, 1e-4, 1.0, ""),
    ];
    for (key, value, low, high, unit) in rows {
        check.within(low..=high, field(&format!("thermal.{key}")), value, unit);
    }
    for place in &t.sensors {
        check.within(0.0..=1.0, field("thermal.sensors"), *place, "");
    }
    for revision in super::revisions(profile) {
        let on_board = profile
            .devices_for(revision)
            .filter(|device| {
                device.sensors.iter().any(|sensor| {
                    sensor.channel == SensorChannel::Local
                        && matches!(sensor.kind, SensorKind::Board | SensorKind::Chip)
                })
            })
            .count();
        check.require(
            on_board == t.sensors.len(),
            field("thermal.sensors"),
            t.sensors.len(),
            || {
                format!(
                    "must be one place for each of {on_board} devices that measure the board \
                     where they sit"
                )
            },
        );
    }
    let limit = profile.limits.chip_c;
    check.require(
        t.damage_c > limit && t.damage_c <= 200.0,
        field("thermal.damage_c"),
        t.damage_c,
        || format!("must be above limits.chip_c = {limit}, and at most 200 °C"),
    );
}

fn fans(profile: &Profile, physics: &Physics, check: &mut Check) {
    let f = &physics.fans;
    check.require(
        f.count == profile.cooling.fans,
        field("fans.count"),
        f.count,
        || format!("cooling.fans = {}", profile.cooling.fans),
    );
    let rows = [
        ("max_rpm", f.max_rpm, 1.0, 100_000.0, "rpm"),
        (
            "dead_band_percent",
            f.dead_band_percent,
            0.0,
            99.0,
            "percent",
        ),
        ("lag_s", f.lag_s, 0.01, 100.0, "s"),
        ("tach_step_rpm", f.tach_step_rpm, 0.1, 1000.0, "rpm"),
    ];
    for (key, value, low, high, unit) in rows {
        check.within(low..=high, field(&format!("fans.{key}")), value, unit);
    }
}

fn supply(profile: &Profile, supply: &SupplyPhysics, check: &mut Check) {
    let on_board = profile.voltage.scope != VoltageScope::Psu;
    let (name, [low, high]) = match supply {
        SupplyPhysics::Regulator(regulator) => {
            regulator_of(regulator, check);
            ("regulator", regulator.output_mv)
        }
        SupplyPhysics::Psu(psu) => {
            psu_of(psu, check);
            ("psu", psu.output_mv)
        }
    };
    check.require(
        on_board == matches!(supply, SupplyPhysics::Regulator(_)),
        field("supply"),
        name,
        || {
            if on_board {
                "the board has a regulator of its own, as voltage.scope says".into()
            } else {
                "the power supply feeds the board, as voltage.scope says".into()
            }
        },
    );
    let voltage = &profile.voltage;
    let (lowest, highest) = (
        profile.rail_mv(voltage.min_mv),
        profile.rail_mv(voltage.max_mv),
    );
    check.require(
        low <= f64::from(lowest) && f64::from(highest) <= high,
        field(&format!("supply.{name}.output_mv")),
        format!("[{low}, {high}]"),
        || format!("does not reach all of [voltage], {lowest} to {highest} mV at the supply"),
    );
}

fn regulator_of(r: &RegulatorPhysics, check: &mut Check) {
    let rows = [
        ("input_off_mv", r.input_off_mv, 0.0, 100_000.0, "mV"),
        (
            "input_max_mv",
            r.input_max_mv,
            r.input_off_mv,
            100_000.0,
            "mV",
        ),
        ("input_mv", r.input_mv, r.input_off_mv, r.input_max_mv, "mV"),
        ("input_ohm", r.input_ohm, 0.0, 1.0, "ohm"),
        ("step_mv", r.step_mv, 0.0, 1000.0, "mV"),
        ("trip_a", r.trip_a, 0.1, 10_000.0, "A"),
        ("rise_s", r.rise_s, 0.0, 10.0, "s"),
        ("efficiency", r.efficiency, 0.1, 1.0, ""),
        ("loss_k_per_w", r.loss_k_per_w, 0.0, 1000.0, "K/W"),
    ];
    for (key, value, low, high, unit) in rows {
        let key = field(&format!("supply.regulator.{key}"));
        check.within(low..=high, key, value, unit);
    }
}

fn psu_of(p: &PsuPhysics, check: &mut Check) {
    let rows = [
        ("mains_v", p.mains_v, 50.0, 1000.0, "V"),
        ("brown_out_v", p.brown_out_v, 0.0, p.mains_v, "V"),
        ("rated_w", p.rated_w, 1.0, 1e6, "W"),
        ("trip_a", p.trip_a, 0.1, 100_000.0, "A"),
        ("step_mv", p.step_mv, 0.0, 1000.0, "mV"),
        ("command_delay_s", p.command_delay_s, 0.0, 100.0, "s"),
        ("rise_s", p.rise_s, 0.0, 100.0, "s"),
    ];
    for (key, value, low, high, unit) in rows {
        let key = field(&format!("supply.psu.{key}"));
        check.within(low..=high, key, value, unit);
    }
    let key = field("supply.psu.efficiency");
    check.require(!p.efficiency.is_empty(), &key, "[]", || {
        "give at least one point: share of the rated load, efficiency".into()
    });
    let mut last = 0.0;
    for [load, efficiency] in &p.efficiency {
        check.within(last..=10.0, &key, *load, "of the rated load, ascending");
        check.within(0.1..=1.0, &key, *efficiency, "");
        last = *load;
    }
}
