//! The published families as data: machines with all their boards and chips of [`Quality::NORMAL`].
//!
//! Antminers: power per chip is a machine's published wall power, less auxiliaries and conversion, split into switching and an
//! assumed share of leakage (12 %; BM1398 and BM1362 18 %, BM1387 10 %) at the running machine's dies of about 67 °C and then
//! referred to 60 °C. The threshold voltage lies where a normal board delivers 98.5 % of its work at the nominal point in air of
//! 25 °C, with all that its own warm air and unequal chips do to its domains; its rise with the clock follows published
//! profiles. Single boards: fits of measurements at their regulators, as far as there are any.

use super::spec::{
    ChipConstants, FanSpec, PhysicsSpec, PsuSpec, Quality, RegulatorSpec, SupplySpec, ThermalSpec,
};

/// What all chips have in common, by assumption; the rest must be filled in.
const CHIP: ChipConstants = ChipConstants {
    hashes_per_clock: 1.0,
    nominal_mhz: 500.0,
    nominal_mv: 1000.0,
    k_dynamic: 0.01,
    k_leak: 1.0,
    leak_scale_k: 40.0,
    mu_mv: 900.0,
    sigma_mv: 35.0,
    slope_mv_per_mhz: 0.4,
    warm_shift_per_k: 0.000_25,
    ageing: 0.005,
    idle_share: 0.15,
    wrong_share: 0.3,
};

/// Antminer S9: three boards of 63 BM1387. Its boards have converters of their own; here one supply stands for them.
pub fn s9() -> PhysicsSpec {
    let chip = ChipConstants {
        hashes_per_clock: 114.0,
        nominal_mhz: 650.0,
        nominal_mv: 419.0,
        k_dynamic: 0.0493,
        k_leak: 2.99,
        mu_mv: 387.0,
        sigma_mv: 14.0,
        slope_mv_per_mhz: 0.13,
        ..CHIP
    };
    let mut spec = antminer(chip, 21, 3);
    spec.auxiliary_w = 30.0;
    spec.fans.count = 2;
    spec.thermal.sink_k_per_w = 0.035;
    if let SupplySpec::Psu(psu) = &mut spec.supply {
        psu.rated_w = 1600.0;
        psu.trip_a = 200.0;
        psu.output_mv = (7940.0, 9440.0);
    }
    spec
}

/// Antminer S17 Pro: three boards of 48 BM1397. 1.60 V per chip is assumed.
pub fn s17_pro() -> PhysicsSpec {
    let chip = ChipConstants {
        hashes_per_clock: 672.0,
        nominal_mhz: 550.0,
        nominal_mv: 1600.0,
        k_dynamic: 0.008_21,
        k_leak: 0.517,
        mu_mv: 1473.0,
        sigma_mv: 54.0,
        slope_mv_per_mhz: 0.59,
        ..CHIP
    };
    let mut spec = antminer(chip, 12, 4);
    if let SupplySpec::Psu(psu) = &mut spec.supply {
        // APW9: n = (21360 - mV) * 253 / 7060.
        psu.output_mv = (14_300.0, 21_360.0);
        psu.step_mv = 7060.0 / 253.0;
        psu.rated_w = 3000.0;
    }
    spec
}

/// Antminer S19 Pro: three boards of 114 BM1398.
pub fn s19_pro() -> PhysicsSpec {
    let chip = ChipConstants {
        hashes_per_clock: 623.0,
        nominal_mhz: 525.0,
        nominal_mv: 337.0,
        k_dynamic: 0.120,
        k_leak: 11.7,
        mu_mv: 301.0,
        sigma_mv: 11.0,
        slope_mv_per_mhz: 0.13,
        ..CHIP
    };
    antminer(chip, 38, 3)
}

/// Antminer S19j Pro: three boards of 126 BM1362.
pub fn s19j_pro() -> PhysicsSpec {
    antminer(BM1362, 42, 3)
}

/// Antminer S19 XP: three boards of 110 BM1366.
pub fn s19_xp() -> PhysicsSpec {
    antminer(BM1366_XP, 11, 10)
}

/// Antminer S19k Pro: three boards of 77 BM1366.
pub fn s19k_pro() -> PhysicsSpec {
    let chip = ChipConstants {
        nominal_mhz: 590.0,
        nominal_mv: 1227.0,
        k_dynamic: 0.0110,
        k_leak: 0.742,
        mu_mv: 1123.0,
        sigma_mv: 42.0,
        slope_mv_per_mhz: 0.42,
        ..BM1366_XP
    };
    antminer(chip, 11, 7)
}

/// Antminer S21: three boards of 108 BM1368. 1.18 V per chip is assumed.
pub fn s21() -> PhysicsSpec {
    let chip = ChipConstants {
        hashes_per_clock: 1276.0,
        nominal_mhz: 490.0,
        nominal_mv: 1180.0,
        k_dynamic: 0.0129,
        k_leak: 0.722,
        mu_mv: 1069.0,
        sigma_mv: 40.0,
        slope_mv_per_mhz: 0.47,
        ..CHIP
    };
    antminer(chip, 12, 9)
}

/// Antminer S21 Pro: three boards of 65 BM1370.
pub fn s21_pro() -> PhysicsSpec {
    let chip = ChipConstants {
        hashes_per_clock: 2040.0,
        nominal_mhz: 590.0,
        nominal_mv: 1035.0,
        k_dynamic: 0.0232,
        k_leak: 1.56,
        mu_mv: 934.5,
        sigma_mv: 35.0,
        slope_mv_per_mhz: 0.32,
        ..CHIP
    };
    antminer(chip, 13, 5)
}

/// Bitaxe Max: one BM1397. Nominal point as its firmware sets it; the threshold is assumed 2.2 spreads below.
pub fn bitaxe_max() -> PhysicsSpec {
    let chip = ChipConstants {
        hashes_per_clock: 672.0,
        nominal_mhz: 425.0,
        nominal_mv: 1400.0,
        k_dynamic: 0.008_21,
        k_leak: 0.517,
        mu_mv: 1295.0,
        sigma_mv: 48.0,
        slope_mv_per_mhz: 0.52,
        ..CHIP
    };
    single(chip)
}

/// Bitaxe Ultra: one BM1366, constants of the S19 XP behind a regulator.
pub fn bitaxe_ultra() -> PhysicsSpec {
    single(BM1366_BITAXE)
}

/// Bitaxe Supra: one BM1368, a fit of a measured grid of 79 points.
pub fn bitaxe_supra() -> PhysicsSpec {
    let chip = ChipConstants {
        hashes_per_clock: 1276.0,
        nominal_mhz: 490.0,
        nominal_mv: 1166.0,
        k_dynamic: 0.0142,
        k_leak: 1.48,
        leak_scale_k: 25.0,
        mu_mv: 1100.0,
        sigma_mv: 42.0,
        slope_mv_per_mhz: 0.48,
        ..CHIP
    };
    let mut spec = single(chip);
    spec.auxiliary_w = 0.755;
    spec
}

/// Bitaxe Gamma: one BM1370, a fit of one unit measured at eight points.
pub fn bitaxe_gamma() -> PhysicsSpec {
    let mut spec = single(BM1370_BITAXE);
    spec.auxiliary_w = 0.5;
    spec
}

/// Bitaxe `GammaTurbo`: two BM1370 side by side, as two Gammas on one sink.
pub fn bitaxe_gt() -> PhysicsSpec {
    let mut spec = single(BM1370_BITAXE);
    spec.chips_per_domain = 2;
    spec.path_ohm /= 2.0;
    spec.auxiliary_w = 3.0;
    spec.thermal = sink(0.75, 0.5, 70.0);
    spec.supply = SupplySpec::Regulator(RegulatorSpec {
        output_mv: (1000.0, 3000.0),
        trip_a: 55.0,
        loss_k_per_w: 4.0,
        ..TWELVE_VOLTS
    });
    spec
}

/// Bitaxe Hex: six BM1366, three domains of two in series.
pub fn bitaxe_hex() -> PhysicsSpec {
    let mut spec = single(BM1366_BITAXE);
    spec.domains = 3;
    spec.chips_per_domain = 2;
    spec.path_ohm = 0.0075;
    spec.auxiliary_w = 5.0;
    spec.fans.count = 2;
    spec.thermal = ThermalSpec {
        // Dies are about 10 K over the sensors.
        sensors: vec![0.0, 1.0],
        ..sink(0.45, 1.2, 120.0)
    };
    spec.supply = SupplySpec::Regulator(RegulatorSpec {
        output_mv: (2500.0, 4500.0),
        trip_a: 30.0,
        loss_k_per_w: 3.0,
        ..TWELVE_VOLTS
    });
    spec
}

/// `NerdQAxe`++: four BM1370 side by side.
pub fn nerdqaxe_pp() -> PhysicsSpec {
    let mut spec = single(BM1370_BITAXE);
    spec.chips_per_domain = 4;
    spec.path_ohm /= 4.0;
    spec.auxiliary_w = 5.0;
    spec.fans.count = 2;
    spec.thermal = ThermalSpec {
        sensors: vec![0.5],
        ..sink(0.28, 0.5, 180.0)
    };
    spec.supply = SupplySpec::Regulator(RegulatorSpec {
        output_mv: (1005.0, 1400.0),
        step_mv: 5.0,
        trip_a: 95.0,
        loss_k_per_w: 2.0,
        ..TWELVE_VOLTS
    });
    spec
}

/// emberOne/00: twelve BM1362 in series, cooled by somebody else. Its design sets 0.30 V per chip; the threshold is as far below
/// as on the S19j Pro.
pub fn emberone00() -> PhysicsSpec {
    let chip = ChipConstants {
        nominal_mv: 300.0,
        mu_mv: 270.0,
        sigma_mv: 10.5,
        ..BM1362
    };
    let mut spec = single(chip);
    spec.domains = 12;
    spec.path_ohm = 0.002;
    spec.auxiliary_w = 4.0;
    // It has no fan connector: somebody else cools it.
    spec.fans.count = 0;
    spec.thermal = ThermalSpec {
        sensors: vec![0.25, 0.75],
        ..sink(0.32, 1.5, 250.0)
    };
    spec.supply = SupplySpec::Regulator(RegulatorSpec {
        input_mv: 15_000.0,
        input_off_mv: 9_000.0,
        input_max_mv: 20_000.0,
        output_mv: (2000.0, 4500.0),
        trip_a: 40.0,
        loss_k_per_w: 2.0,
        ..TWELVE_VOLTS
    });
    spec
}

/// By the name of a built-in board profile; all boards of the machine.
pub fn by_name(name: &str) -> Option<PhysicsSpec> {
    Some(match name {
        "bitaxe-max" => bitaxe_max(),
        "bitaxe-ultra" => bitaxe_ultra(),
        "bitaxe-supra" => bitaxe_supra(),
        "bitaxe-gamma" => bitaxe_gamma(),
        "bitaxe-gt" => bitaxe_gt(),
        "bitaxe-hex" => bitaxe_hex(),
        "nerdqaxe-pp" => nerdqaxe_pp(),
        "emberone00" => emberone00(),
        "s9" => s9(),
        "s17-pro" => s17_pro(),
        "s19-pro" => s19_pro(),
        "s19j-pro" => s19j_pro(),
        "s19-xp" => s19_xp(),
        "s19k-pro" => s19k_pro(),
        "s21" => s21(),
        "s21-pro" => s21_pro(),
        _ => return None,
    })
}

/// S19j Pro's chip.
const BM1362: ChipConstants = ChipConstants {
    hashes_per_clock: 509.0,
    nominal_mhz: 525.0,
    nominal_mv: 314.0,
    k_dynamic: 0.117,
    k_leak: 11.3,
    mu_mv: 280.5,
    sigma_mv: 11.0,
    slope_mv_per_mhz: 0.12,
    ..CHIP
};

/// S19 XP's chip.
const BM1366_XP: ChipConstants = ChipConstants {
    hashes_per_clock: 894.0,
    nominal_mhz: 487.0,
    nominal_mv: 1176.0,
    k_dynamic: 0.0114,
    k_leak: 0.634,
    mu_mv: 1073.0,
    sigma_mv: 40.0,
    slope_mv_per_mhz: 0.45,
    ..CHIP
};

/// The same at a Bitaxe's regulator, which stands about 25 mV above the die.
const BM1366_BITAXE: ChipConstants = ChipConstants {
    nominal_mhz: 485.0,
    nominal_mv: 1200.0,
    mu_mv: 1096.0,
    ..BM1366_XP
};

/// A Gamma's chip at its regulator. Threshold and slope are what its eight points show; the slope is a third of what other
/// chips have.
const BM1370_BITAXE: ChipConstants = ChipConstants {
    hashes_per_clock: 2040.0,
    nominal_mhz: 525.0,
    nominal_mv: 1150.0,
    k_dynamic: 0.0187,
    k_leak: 1.70,
    leak_scale_k: 30.0,
    mu_mv: 990.0,
    sigma_mv: 34.0,
    slope_mv_per_mhz: 0.12,
    ..CHIP
};

/// Regulator and source of the boards with 12 V.
const TWELVE_VOLTS: RegulatorSpec = RegulatorSpec {
    input_mv: 12_000.0,
    input_ohm: 0.01,
    input_off_mv: 11_000.0,
    input_max_mv: 14_800.0,
    output_mv: (1000.0, 3000.0),
    step_mv: 0.0,
    trip_a: 30.0,
    rise_s: 0.003,
    efficiency: 0.92,
    loss_k_per_w: 8.0,
};

/// Three boards in one stream, fed by a supply of the APW12 kind.
fn antminer(chip: ChipConstants, domains: u16, chips_per_domain: u16) -> PhysicsSpec {
    let volts = chip.nominal_mv / 1000.0;
    let chip_w = volts * volts * (chip.k_dynamic * chip.nominal_mhz + chip.k_leak);
    PhysicsSpec {
        boards: 3,
        domains,
        chips_per_domain,
        thermal: ThermalSpec {
            die_k_per_w: 15.0 / chip_w,
            die_tau_s: 2.0,
            sink_k_per_w: 0.017,
            sink_j_per_k: 1350.0,
            flow_exponent: 0.7,
            flow_m3_s: Some(0.113 / 3.0),
            still_flow: 0.02,
            sensors: vec![0.0, 0.6],
            damage_c: 125.0,
            death_c: 160.0,
        },
        fans: FanSpec {
            count: 4,
            max_rpm: 6000.0,
            tolerance: 0.02,
            dead_band_percent: 10.0,
            lag_s: 2.5,
            tach_step_rpm: 60.0,
            backflow: 0.2,
        },
        supply: SupplySpec::Psu(PsuSpec {
            mains_v: 230.0,
            brown_out_v: 85.0,
            rated_w: 3600.0,
            efficiency: vec![
                (0.05, 0.70),
                (0.20, 0.83),
                (0.33, 0.885),
                (0.50, 0.915),
                (0.75, 0.94),
                (1.0, 0.945),
            ],
            trip_a: 300.0,
            output_mv: (11_800.0, 15_200.0),
            // APW12: n = 1190.935 - 0.078743 mV.
            step_mv: 1.0 / 0.078_743,
            command_delay_s: 0.4,
            rise_s: 1.0,
        }),
        path_ohm: 0.0005,
        auxiliary_w: 75.0,
        quality: Quality::NORMAL,
        age_hours: 0.0,
        dust: 1.0,
        seed: 0,
        chip,
    }
}

/// One chip on a small board with a regulator, fed with 5 V.
fn single(chip: ChipConstants) -> PhysicsSpec {
    PhysicsSpec {
        boards: 1,
        domains: 1,
        chips_per_domain: 1,
        chip,
        // Together 1.71 K per W of input power as measured on a Supra.
        thermal: sink(1.34, 0.4, 35.0),
        fans: FanSpec {
            count: 1,
            max_rpm: 5000.0,
            tolerance: 0.02,
            dead_band_percent: 10.0,
            lag_s: 2.0,
            tach_step_rpm: 30.0,
            backflow: 0.2,
        },
        supply: SupplySpec::Regulator(RegulatorSpec {
            input_mv: 5_100.0,
            input_ohm: 0.02,
            input_off_mv: 4_500.0,
            input_max_mv: 6_500.0,
            output_mv: (500.0, 2_000.0),
            ..TWELVE_VOLTS
        }),
        // 40 to 50 mV between regulator and die.
        path_ohm: 0.0035,
        auxiliary_w: 1.0,
        quality: Quality::NORMAL,
        age_hours: 0.0,
        dust: 1.0,
        seed: 0,
    }
}

/// A small sink in the open.
fn sink(sink_k_per_w: f64, die_k_per_w: f64, sink_j_per_k: f64) -> ThermalSpec {
    ThermalSpec {
        die_k_per_w,
        die_tau_s: 1.5,
        sink_k_per_w,
        sink_j_per_k,
        flow_exponent: 0.7,
        flow_m3_s: None,
        still_flow: 0.06,
        sensors: Vec::new(),
        damage_c: 125.0,
        death_c: 160.0,
    }
}
