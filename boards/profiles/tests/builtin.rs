//! The built-in profiles: they load, agree with published figures, and are found by name.

use std::path::PathBuf;

use bm13xx::ChainPlan;
use board_profiles::{Control, Profile, ProfileError, SensorKind};

fn directory() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

fn all() -> Vec<Profile> {
    Profile::names()
        .map(|name| Profile::builtin(name).unwrap_or_else(|error| panic!("{error}")))
        .collect()
}

#[test]
fn every_builtin_profile_loads_and_has_the_name_of_its_file() {
    for name in Profile::names() {
        let profile = Profile::builtin(name).unwrap_or_else(|error| panic!("{error}"));
        assert_eq!(profile.name, name);
        let path = directory().join(format!("{name}.toml"));
        assert_eq!(Profile::load(&path).unwrap(), profile);
    }
}

#[test]
fn every_profile_file_is_built_in() {
    let mut files: Vec<String> = std::fs::read_dir(directory())
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .filter_map(|file| file.strip_suffix(".toml").map(str::to_owned))
        .filter(|name| name != "Cargo")
        .collect();
    files.sort();
    let mut names: Vec<String> = Profile::names().map(str::to_owned).collect();
    names.sort();
    assert_eq!(files, names);
}

/// Published hashrate of one board at its default clock, TH/s, and how far the arithmetic may
/// be off. Bitaxes: the figures that ESP-Miner's own arithmetic or measurements give. Machines:
/// nameplate over three boards. The emberOne's page names 3.5 TH/s without a clock.
const PUBLISHED: &[(&str, f64, f64)] = &[
    ("bitaxe-max", 0.2856, 0.01),
    ("bitaxe-ultra", 0.4336, 0.01),
    ("bitaxe-supra", 0.625, 0.01),
    ("bitaxe-gamma", 1.072, 0.01),
    ("bitaxe-gt", 2.142, 0.01),
    ("bitaxe-hex", 2.60, 0.01),
    ("emberone00", 3.5, 0.10),
    ("nerdqaxe-pp", 4.8, 0.03),
    ("s19j-pro", 100.0 / 3.0, 0.03),
    ("s19-xp", 140.0 / 3.0, 0.03),
    ("s19k-pro", 120.0 / 3.0, 0.03),
    ("s21", 200.0 / 3.0, 0.03),
    ("s21-pro", 234.0 / 3.0, 0.03),
];

#[test]
fn chips_times_cores_times_clock_is_the_published_hashrate() {
    assert_eq!(PUBLISHED.len(), Profile::names().count());
    for (name, published_ths, tolerance) in PUBLISHED {
        let profile = Profile::builtin(name).unwrap();
        let computed = profile.hashrate_hps(profile.frequency.default_mhz) / 1e12;
        let off = computed / published_ths - 1.0;
        assert!(
            off.abs() <= *tolerance,
            "{name}: {computed} against {published_ths} TH/s"
        );
        let stated = profile.nominal.hashrate_ths / published_ths - 1.0;
        assert!(
            stated.abs() <= *tolerance,
            "{name} states {}",
            profile.nominal.hashrate_ths
        );
    }
}

/// Nameplate power of machines, W, per machine.
const NAMEPLATE_W: &[(&str, f64)] = &[
    ("s19j-pro", 3050.0),
    ("s19-xp", 3010.0),
    ("s19k-pro", 2760.0),
    ("s21", 3500.0),
    ("s21-pro", 3510.0),
];

#[test]
fn efficiency_times_hashrate_is_the_nameplate_power() {
    for (name, watts) in NAMEPLATE_W {
        let profile = Profile::builtin(name).unwrap();
        let per_board = profile.nominal.hashrate_ths * profile.nominal.efficiency_j_per_th.unwrap();
        let machine = per_board * f64::from(profile.chain.boards_per_machine);
        assert!((machine / watts - 1.0).abs() < 0.02, "{name}: {machine} W");
    }
}

#[test]
fn a_simulated_board_needs_a_small_part_of_a_processor() {
    for profile in all() {
        let real = profile.hashrate_hps(profile.frequency.default_mhz);
        let simulated = real / 2f64.powi(i32::from(profile.simulation.scale_bits));
        assert!(
            (1e4..4e4).contains(&simulated),
            "{}: {simulated} H/s",
            profile.name
        );
    }
}

#[test]
fn every_offered_clock_makes_a_plan_at_the_stated_baud_rate() {
    for profile in all() {
        let f = &profile.frequency;
        let clocks = [f.min_mhz, f.default_mhz, f.max_mhz];
        for mhz in clocks.iter().chain(&f.offered_mhz) {
            let plan = ChainPlan::new(profile.chain_config(*mhz));
            let plan = plan.unwrap_or_else(|error| panic!("{}: {error}", profile.name));
            assert_eq!(plan.config().chips, profile.chain.chips);
            assert_eq!(
                plan.run_baud().get(),
                profile.chain.baud,
                "{}",
                profile.name
            );
            assert_eq!(
                plan.config().ticket.difficulty(),
                u64::from(profile.chain.ticket_difficulty)
            );
        }
    }
}

#[test]
fn names_and_paths_are_told_apart() {
    assert_eq!(Profile::resolve("s21-pro").unwrap().chain.chips, 65);
    let path = directory().join("s21-pro.toml");
    assert_eq!(
        Profile::resolve(path.to_str().unwrap())
            .unwrap()
            .chain
            .chips,
        65
    );
    let missing = Profile::resolve("./s21-pro").unwrap_err();
    assert!(matches!(missing, ProfileError::Read { .. }), "{missing}");
    let missing = Profile::resolve("none.toml").unwrap_err();
    assert!(
        missing
            .to_string()
            .starts_with("cannot read board profile none.toml:"),
        "{missing}"
    );
}

#[test]
fn a_misspelt_name_brings_the_nearest_known_one() {
    for (wrong, right) in [
        ("bitaxe-gama", "bitaxe-gamma"),
        ("Bitaxe-Gamma", "bitaxe-gamma"),
        ("s21pro", "s21-pro"),
        ("emberone", "emberone00"),
    ] {
        let text = Profile::resolve(wrong).unwrap_err().to_string();
        assert!(text.contains(&format!("did you mean `{right}`?")), "{text}");
        assert!(text.contains("known profiles: bitaxe-max, "), "{text}");
    }
    let text = Profile::resolve("quux").unwrap_err().to_string();
    assert!(!text.contains("did you mean"), "{text}");
}

#[test]
fn rail_and_chip_voltages_follow_the_scope() {
    let hex = Profile::builtin("bitaxe-hex").unwrap();
    assert_eq!(
        hex.rail_mv(1200),
        3600,
        "ESP-Miner's VOUT_COMMAND for the Hex is 3.6 V"
    );
    assert_eq!(hex.chip_mv(1200), 1200.0);
    let s21_pro = Profile::builtin("s21-pro").unwrap();
    assert_eq!(s21_pro.rail_mv(13_450), 13_450);
    assert!(
        (s21_pro.chip_mv(13_449) - 1035.0).abs() < 1.0,
        "captured: 1.035 V per domain"
    );
}

#[test]
fn a_clock_beyond_the_limits_is_refused_with_the_range() {
    let gamma = Profile::builtin("bitaxe-gamma").unwrap();
    assert_eq!(gamma.check_frequency("frequency_mhz", 600.0), Ok(()));
    for mhz in [625.1, 0.0, -1.0, f64::NAN, f64::INFINITY] {
        let problem = gamma.check_frequency("frequency_mhz", mhz).unwrap_err();
        assert!(problem.reason.contains("400 to 625 MHz"), "{problem}");
    }
}

#[test]
fn every_board_can_be_simulated_with_physics_and_cooled() {
    for profile in all() {
        assert!(profile.simulation.physics.is_some(), "{}", profile.name);
        assert!(profile.bridge.is_some(), "{}", profile.name);
        assert!(profile.curve.len() >= 2, "{}", profile.name);
    }
}

#[test]
fn every_revision_has_one_core_supply_and_a_temperature_before_power() {
    for profile in all() {
        let revisions: Vec<Option<&str>> = profile
            .revisions
            .iter()
            .map(|name| Some(name.as_str()))
            .chain([None])
            .collect();
        for revision in revisions {
            let parts: Vec<&str> = profile
                .devices_for(revision)
                .filter(|device| {
                    matches!(
                        device.kind,
                        board_profiles::DeviceKind::Regulator | board_profiles::DeviceKind::Psu
                    )
                })
                .map(|device| device.part.as_str())
                .collect();
            assert_eq!(parts.len(), 1, "{} {revision:?}: {parts:?}", profile.name);
            let early = profile
                .devices_for(revision)
                .flat_map(|device| &device.sensors)
                .any(|sensor| !sensor.needs_power);
            assert!(early, "{} {revision:?}", profile.name);
        }
    }
}

#[test]
fn the_newest_revision_is_meant_where_none_is_named() {
    let ultra = Profile::builtin("bitaxe-ultra").unwrap();
    let parts = |revision| -> Vec<String> {
        let devices = ultra.devices_for(revision);
        devices.map(|device| device.part.clone()).collect()
    };
    assert_eq!(parts(None), ["EMC2101", "TPS546"]);
    assert_eq!(parts(Some("207")), parts(None));
    let old = parts(Some("204"));
    assert_eq!(old, ["EMC2101", "DS4432U", "TPS40305", "INA260"]);
    assert!(
        parts(Some("999")).is_empty(),
        "an unknown revision has what all share"
    );
}

#[test]
fn a_revision_has_its_own_pins_only() {
    let ultra = Profile::builtin("bitaxe-ultra").unwrap();
    let counts = |revision| {
        let only = ultra.for_revision(revision);
        let bridge = only.bridge.unwrap();
        (only.devices.len(), bridge.enables.len(), bridge.adc.len())
    };
    assert_eq!(
        counts(Some("204")),
        (4, 1, 1),
        "a pin switches the old regulator"
    );
    assert_eq!(counts(Some("207")), (2, 0, 0), "the new one has a bus");
    assert_eq!(counts(None), counts(Some("207")));
    let old = ultra.for_revision(Some("204"));
    assert_eq!(old.revisions, ["204"]);
    assert_eq!(old.devices_for(None).count(), 4, "it stays what it is");
    assert_eq!(old.for_revision(None), old);
}

#[test]
fn voltages_follow_the_published_points() {
    // LuxOS' profiles of the S19k Pro.
    let s19k = Profile::builtin("s19k-pro").unwrap();
    for (mhz, mv) in [
        (340.0, 12_000),
        (440.0, 12_600),
        (590.0, 13_500),
        (690.0, 14_100),
    ] {
        assert_eq!(s19k.voltage_for(mhz), mv, "{mhz} MHz");
    }
    // Half-way between 12.6 V at 440 MHz and 12.9 V at 490 MHz.
    assert_eq!(s19k.voltage_for(465.0), 12_750);
    assert_eq!(s19k.voltage_for(0.0), 12_000);
    assert_eq!(s19k.voltage_for(2000.0), 14_100);
    // Lowest voltages with full rate on one Supra.
    let supra = Profile::builtin("bitaxe-supra").unwrap();
    for (mhz, mv) in [(400.0, 1125), (450.0, 1150), (525.0, 1175), (575.0, 1200)] {
        assert_eq!(supra.voltage_for(mhz), mv, "{mhz} MHz");
    }
}

#[test]
fn without_a_curve_the_line_from_lowest_to_default_holds() {
    let mut gamma = Profile::builtin("bitaxe-gamma").unwrap();
    gamma.curve.clear();
    assert_eq!(gamma.voltage_for(400.0), 1000);
    assert_eq!(gamma.voltage_for(525.0), 1150);
    assert_eq!(gamma.voltage_for(462.5), 1075);
    assert_eq!(gamma.voltage_for(f64::NAN), 1150);
}

#[test]
fn throttling_begins_below_every_limit() {
    for profile in all() {
        for kind in [SensorKind::Chip, SensorKind::Board, SensorKind::Regulator] {
            match (profile.hot_c(kind), profile.limit_c(kind)) {
                (Some(hot), Some(limit)) => assert!(hot < limit, "{} {kind:?}", profile.name),
                (hot, limit) => assert_eq!(hot, limit, "{} {kind:?}", profile.name),
            }
        }
    }
    let gamma = Profile::builtin("bitaxe-gamma").unwrap();
    assert_eq!(gamma.hot_c(SensorKind::Chip), Some(68.0));
    assert_eq!(
        gamma.hot_c(SensorKind::Regulator),
        Some(98.0),
        "7 K below, as for the chip"
    );
    assert_eq!(gamma.hot_c(SensorKind::Inlet), None);
}

#[test]
fn addresses_and_pins_follow_the_slot() {
    let s19k = Profile::builtin("s19k-pro").unwrap();
    let outlet = s19k
        .devices
        .iter()
        .find(|d| d.address == Some(0x4c))
        .unwrap();
    let found: Vec<_> = (0..4).map(|slot| outlet.address_in(slot)).collect();
    assert_eq!(found, [Some(0x4c), Some(0x49), Some(0x4a), None]);
    let eeprom = s19k
        .devices
        .iter()
        .find(|d| d.address == Some(0x50))
        .unwrap();
    assert_eq!(eeprom.address_in(2), Some(0x52));
    let bridge = s19k.bridge.as_ref().unwrap();
    assert_eq!(bridge.reset_in(2).pin, 0x20);
    assert_eq!(bridge.plug_in(1).unwrap().pin, 0x11);
    let psu: Vec<u8> = bridge.enables_in(2).map(|pin| pin.pin).collect();
    assert_eq!(psu, [0x50], "one power supply for all");
    assert_eq!(
        (bridge.bus_number("i2c0"), bridge.bus_number("psu")),
        (0, 1)
    );
    assert!(!bridge.reset.level(true), "reset is low while it holds");
}

#[test]
fn ways_of_control_that_lack_something_are_told_in_words() {
    let gamma = Profile::builtin("bitaxe-gamma").unwrap();
    assert_eq!(gamma.control_gap(Control::Bridge), None);
    let gap = gamma.control_gap(Control::Linux).unwrap();
    assert!(gap.contains("its profile allows bridge, external"), "{gap}");
    let s21 = Profile::builtin("s21").unwrap();
    let gap = s21.control_gap(Control::Linux).unwrap();
    assert!(
        gap.contains("the profile of Antminer S21 lacks [linux]"),
        "{gap}"
    );
    let mut s19k = Profile::builtin("s19k-pro").unwrap();
    assert_eq!(s19k.control_gap(Control::Linux), None);
    let linux = s19k.linux.as_mut().unwrap();
    linux.i2c.remove("psu");
    linux.fans.clear();
    let gap = s19k.control_gap(Control::Linux).unwrap();
    assert!(gap.contains("lacks linux.i2c.psu, [[linux.fan]],"), "{gap}");
}
