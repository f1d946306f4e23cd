//! Whatever is written into a profile, loading does not panic, and what it accepts is within
//! its own limits.

use board_profiles::{ChipKind, Profile};
use proptest::prelude::*;
use toml::{Table, Value};

fn numbers() -> impl Strategy<Value = Value> {
    prop_oneof![
        (-10i64..5000).prop_map(Value::Integer),
        any::<i64>().prop_map(Value::Integer),
        (0.0..2000.0).prop_map(Value::Float),
        any::<f64>().prop_map(Value::Float),
        proptest::collection::vec((0i64..2000).prop_map(Value::Integer), 0..4)
            .prop_map(Value::Array),
    ]
}

/// Every value outside the texts and devices, as table and key; dots lead into tables.
const PLACES: &[(&str, &str)] = &[
    ("chain", "chips"),
    ("chain", "domains"),
    ("chain", "chips_per_domain"),
    ("chain", "boards_per_machine"),
    ("chain", "baud"),
    ("chain", "ticket_difficulty"),
    ("chain", "job_interval_ms"),
    ("frequency", "min_mhz"),
    ("frequency", "default_mhz"),
    ("frequency", "max_mhz"),
    ("frequency", "offered_mhz"),
    ("frequency", "start_mhz"),
    ("frequency", "ramp_step_mhz"),
    ("frequency", "ramp_interval_ms"),
    ("voltage", "min_mv"),
    ("voltage", "default_mv"),
    ("voltage", "max_mv"),
    ("voltage", "offered_mv"),
    ("limits", "power_w"),
    ("limits", "chip_c"),
    ("limits", "regulator_c"),
    ("limits", "input_min_mv"),
    ("limits", "input_max_mv"),
    ("limits", "current_a"),
    ("nominal", "hashrate_ths"),
    ("nominal", "efficiency_j_per_th"),
    ("cooling", "fans"),
    ("cooling", "max_rpm"),
    ("cooling", "tolerance_percent"),
    ("cooling", "dead_band_percent"),
    ("cooling", "spin_up_s"),
    ("cooling", "min_percent"),
    ("cooling", "start_percent"),
    ("cooling", "target_c"),
    ("cooling", "hot_c"),
    ("bridge", "boards"),
    ("bridge", "slot_stride"),
    ("bridge", "i2c_hz"),
    ("simulation", "scale_bits"),
    ("simulation.physics", "path_ohm"),
    ("simulation.physics.chip", "nominal_mv"),
    ("simulation.physics.chip", "mu_mv"),
    ("simulation.physics.chip", "k_leak"),
    ("simulation.physics.thermal", "damage_c"),
    ("simulation.physics.thermal", "sensors"),
    ("simulation.physics.fans", "count"),
];

/// 1.40 V for the BM1397, 1.30 V for later single-rail chips, 0.40 V for the BM1362.
fn highest_mv(kind: ChipKind) -> f64 {
    match kind {
        ChipKind::Bm1397 => 1400.0,
        ChipKind::Bm1362 => 400.0,
        _ => 1300.0,
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn an_accepted_profile_is_within_its_own_limits(
        name in proptest::sample::select(Profile::names().collect::<Vec<_>>()),
        edits in proptest::collection::vec((proptest::sample::select(PLACES), numbers()), 1..4),
    ) {
        let path = format!("{}/{name}.toml", env!("CARGO_MANIFEST_DIR"));
        let mut root: Table = std::fs::read_to_string(path).unwrap().parse().unwrap();
        for ((table, key), value) in edits {
            let mut at = &mut root;
            for part in table.split('.') {
                at = at[part].as_table_mut().unwrap();
            }
            at.insert((*key).to_owned(), value);
        }
        let Ok(profile) = Profile::parse("x.toml", &toml::to_string(&root).unwrap()) else {
            return Ok(());
        };
        let (c, f, v) = (&profile.chain, &profile.frequency, &profile.voltage);
        prop_assert_eq!(u32::from(c.chips), u32::from(c.domains) * u32::from(c.chips_per_domain));
        prop_assert!(f.start_mhz <= f.min_mhz);
        prop_assert!(f.min_mhz <= f.default_mhz && f.default_mhz <= f.max_mhz);
        prop_assert!(f.offered_mhz.iter().all(|mhz| (f.min_mhz..=f.max_mhz).contains(mhz)));
        prop_assert!(v.min_mv <= v.default_mv && v.default_mv <= v.max_mv);
        prop_assert!(profile.chip_mv(v.max_mv) <= highest_mv(c.chip));
        prop_assert!((40.0..=110.0).contains(&profile.limits.chip_c));
        let cooling = &profile.cooling;
        let limit = profile.limit_c(cooling.sensor).unwrap();
        prop_assert!(cooling.target_c < cooling.hot_c && cooling.hot_c < limit);
        prop_assert!(cooling.min_percent <= cooling.start_percent && cooling.start_percent <= 100);
        prop_assert!(profile.voltage_for(f.default_mhz) <= v.default_mv);
        let physics = profile.simulation.physics.as_ref().unwrap();
        prop_assert!(physics.thermal.damage_c > profile.limits.chip_c);
        prop_assert!(bm13xx::ChainPlan::new(profile.chain_config(f.default_mhz)).is_ok());
    }

    #[test]
    fn a_higher_clock_never_asks_for_less_voltage(
        name in proptest::sample::select(Profile::names().collect::<Vec<_>>()),
        low in -10.0..2000.0,
        more in 0.0..500.0,
    ) {
        let profile = Profile::builtin(name).unwrap();
        let (a, b) = (profile.voltage_for(low), profile.voltage_for(low + more));
        prop_assert!(a <= b, "{} MHz: {} mV, {} MHz: {} mV", low, a, low + more, b);
        prop_assert!((profile.voltage.min_mv..=profile.voltage.max_mv).contains(&b));
    }

    #[test]
    fn any_text_is_read_or_refused(text in "[a-z0-9_.=\\[\\]\"{}, \n-]{0,200}") {
        let _ = Profile::parse("x.toml", &text);
    }
}
