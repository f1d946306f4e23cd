//! The built-in profiles: they load, agree with published figures, and are found by name.

use std::path::PathBuf;

use bm13xx::ChainPlan;
use board_profiles::{Profile, ProfileError};

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
