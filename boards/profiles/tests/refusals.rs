//! Each impossible profile is refused with the field, its value and the bound that it breaks.

use board_profiles::{Problem, Profile, ProfileError};
use toml::{Table, Value};

fn text_of(name: &str) -> String {
    let path = format!("{}/{name}.toml", env!("CARGO_MANIFEST_DIR"));
    std::fs::read_to_string(path).unwrap()
}

/// A built-in profile with the value at `path` (`table.key`, `device.0.key`) replaced.
fn changed(name: &str, path: &str, value: impl Into<Value>) -> Result<Profile, ProfileError> {
    let mut root = Value::Table(text_of(name).parse::<Table>().unwrap());
    set(&mut root, path, Some(value.into()));
    Profile::parse(&format!("{name}.toml"), &toml::to_string(&root).unwrap())
}

fn set(root: &mut Value, path: &str, value: Option<Value>) {
    let (parents, key) = path
        .rsplit_once('.')
        .map_or((None, path), |(p, k)| (Some(p), k));
    let mut at = root;
    for part in parents.into_iter().flat_map(|parents| parents.split('.')) {
        at = match part.parse::<usize>() {
            Ok(index) => &mut at[index],
            Err(_) => &mut at[part],
        };
    }
    let table = at.as_table_mut().unwrap();
    match value {
        Some(value) => table.insert(key.to_owned(), value),
        None => table.remove(key),
    };
}

/// The problem found at `field`; the change must be refused.
fn problem(result: Result<Profile, ProfileError>, field: &str) -> Problem {
    match result {
        Err(ProfileError::Invalid { problems, .. }) => problems
            .iter()
            .find(|problem| problem.field == field)
            .unwrap_or_else(|| panic!("nothing on {field} in {problems:?}"))
            .clone(),
        other => panic!("expected a refusal over {field}, got {other:?}"),
    }
}

fn refused(name: &str, path: &str, value: impl Into<Value>, reason: &str) {
    let found = problem(changed(name, path, value), path);
    assert!(found.reason.contains(reason), "{found}");
}

#[test]
fn a_refusal_names_file_field_value_and_bound() {
    let error = changed("s21-pro", "frequency.max_mhz", 1300).unwrap_err();
    assert_eq!(
        error.to_string(),
        "s21-pro.toml: frequency.max_mhz = 1300: at most 1250 MHz is published for a BM1370; \
         lower it"
    );
}

#[test]
fn frequencies_out_of_order_are_refused() {
    refused(
        "s21-pro",
        "frequency.min_mhz",
        651,
        "above frequency.max_mhz = 650",
    );
    refused("s21-pro", "frequency.default_mhz", 399, "400 to 650");
    refused("s21-pro", "frequency.default_mhz", 651, "400 to 650");
    refused("s21-pro", "frequency.default_mhz", f64::NAN, "400 to 650");
    refused("s21-pro", "frequency.start_mhz", 401.0, "min_mhz = 400");
    refused(
        "bitaxe-gamma",
        "frequency.offered_mhz",
        vec![400, 700],
        "400 to 625",
    );
    refused(
        "bitaxe-gamma",
        "frequency.offered_mhz",
        vec![525, 500],
        "must ascend",
    );
    refused(
        "bitaxe-gamma",
        "frequency.ramp_step_mhz",
        12.5,
        "steps of 6.25 MHz",
    );
    refused(
        "bitaxe-gamma",
        "frequency.ramp_interval_ms",
        1,
        "10 to 1000 ms",
    );
}

#[test]
fn voltages_out_of_order_are_refused() {
    refused(
        "bitaxe-gamma",
        "voltage.min_mv",
        1251,
        "above voltage.max_mv = 1250",
    );
    refused("bitaxe-gamma", "voltage.min_mv", 0, "above 0");
    refused("bitaxe-gamma", "voltage.default_mv", 999, "1000 to 1250");
    refused("bitaxe-gamma", "voltage.default_mv", 1251, "1000 to 1250");
    refused(
        "bitaxe-gamma",
        "voltage.offered_mv",
        vec![1000, 1300],
        "1000 to 1250",
    );
    refused(
        "bitaxe-gamma",
        "voltage.offered_mv",
        vec![1100, 1100],
        "must ascend",
    );
}

#[test]
fn a_voltage_that_kills_chips_is_refused() {
    refused("bitaxe-max", "voltage.max_mv", 1401, "more than 1400 mV");
    refused("bitaxe-ultra", "voltage.max_mv", 1301, "more than 1300 mV");
    refused("bitaxe-supra", "voltage.max_mv", 1301, "more than 1300 mV");
    refused("bitaxe-gamma", "voltage.max_mv", 1301, "more than 1300 mV");
    refused("s21-pro", "voltage.max_mv", 16_901, "13 domains in series");
    refused(
        "s19j-pro",
        "voltage.max_mv",
        16_801,
        "lower it to 16800 or less",
    );
    refused("emberone00", "voltage.max_mv", 4801, "12 domains in series");
}

#[test]
fn a_chain_that_does_not_add_up_is_refused() {
    refused("s21-pro", "chain.chips", 0, "from 1 to 128");
    refused(
        "s21-pro",
        "chain.chips",
        129,
        "a chain of BM1370 has from 1 to 128",
    );
    refused("s21-pro", "chain.domains", 0, "at least one");
    refused(
        "s21-pro",
        "chain.chips_per_domain",
        6,
        "13 domains of 6 chips make 78 chips, not the 65",
    );
    refused("s21-pro", "chain.boards_per_machine", 0, "1 to 16");
    refused("s21-pro", "chain.job_interval_ms", 0, "5 to 10000 ms");
    refused("s21-pro", "chain.job_interval_ms", 60_000, "5 to 10000 ms");
}

#[test]
fn a_baud_rate_that_the_chip_cannot_make_is_refused() {
    refused(
        "s21-pro",
        "chain.baud",
        2_000_000,
        "a BM1370 cannot talk at 2000000 baud",
    );
    refused(
        "s21-pro",
        "chain.baud",
        1_000_000,
        "nearest rate of a BM1370 is 1041667 baud",
    );
    refused("s21-pro", "chain.baud", 0, "cannot talk at 0 baud");
    refused(
        "bitaxe-max",
        "chain.baud",
        12_000_000,
        "a BM1397 cannot talk at",
    );
    for good in [115_200, 1_041_667, 1_562_500, 3_125_000] {
        let result = changed("s21-pro", "chain.baud", good);
        assert!(result.is_ok(), "{result:?}");
    }
}

#[test]
fn a_clock_that_the_pll_cannot_make_is_refused() {
    refused(
        "bitaxe-gamma",
        "frequency.start_mhz",
        10.0,
        "a BM1370 cannot run at 10.00 MHz",
    );
    refused(
        "s21-pro",
        "frequency.min_mhz",
        0.0,
        "a BM1370 cannot run at",
    );
}

#[test]
fn tickets_that_chips_cannot_use_or_lines_cannot_carry_are_refused() {
    refused("s21-pro", "chain.ticket_difficulty", 300, "powers of two");
    refused("s21-pro", "chain.ticket_difficulty", 0, "powers of two");
    refused("s21", "chain.ticket_difficulty", 2, "raise it");
}

#[test]
fn limits_that_do_not_protect_are_refused() {
    refused("s21-pro", "limits.chip_c", 111, "40 to 110 °C");
    refused("s21-pro", "limits.chip_c", f64::NAN, "40 to 110 °C");
    refused("s21-pro", "limits.chip_c", 20, "40 to 110 °C");
    refused("bitaxe-gamma", "limits.regulator_c", 126, "40 to 125 °C");
    refused("s21-pro", "limits.board_c", 81, "40 to 80 °C");
    refused("s21-pro", "limits.power_w", 0, "above 0");
    refused("s21-pro", "limits.power_w", f64::INFINITY, "at most 2000 W");
    refused("bitaxe-gamma", "limits.input_min_mv", 5600, "rising range");
    refused(
        "bitaxe-hex",
        "limits.input_min_mv",
        3850,
        "cannot make 3900 mV",
    );
    refused("bitaxe-gamma", "limits.current_a", 0, "above 0");
}

#[test]
fn limits_that_a_board_needs_cannot_be_left_out() {
    for (name, field) in [
        ("bitaxe-gamma", "limits.regulator_c"),
        ("bitaxe-gamma", "limits.input_min_mv"),
        ("bitaxe-gamma", "limits.input_max_mv"),
        ("s21-pro", "limits.board_c"),
    ] {
        let mut root = Value::Table(text_of(name).parse::<Table>().unwrap());
        set(&mut root, field, None);
        let result = Profile::parse("x.toml", &toml::to_string(&root).unwrap());
        let found = problem(result, field);
        assert_eq!(found.value, "missing");
        assert!(found.reason.starts_with("required, because"), "{found}");
    }
    for field in [
        "limits.chip_c",
        "limits.power_w",
        "chain.chips",
        "evidence.limits",
    ] {
        let mut root = Value::Table(text_of("s21-pro").parse::<Table>().unwrap());
        set(&mut root, field, None);
        let error = Profile::parse("x.toml", &toml::to_string(&root).unwrap()).unwrap_err();
        let key = field.rsplit('.').next().unwrap();
        assert!(
            error
                .to_string()
                .contains(&format!("missing field `{key}`")),
            "{error}"
        );
    }
}

#[test]
fn figures_that_contradict_each_other_are_refused() {
    refused("s21-pro", "nominal.hashrate_ths", 234, "78.234 TH/s");
    refused(
        "s21-pro",
        "nominal.hashrate_ths",
        f64::NAN,
        "more than 10 % apart",
    );
    refused(
        "s21-pro",
        "nominal.efficiency_j_per_th",
        30,
        "limits.power_w = 1350",
    );
    refused("s21-pro", "simulation.scale_bits", 40, "at most 39");
}

#[test]
fn two_devices_cannot_share_an_address() {
    let clash = problem(
        changed("bitaxe-hex", "device.2.address", 0x4a),
        "device[2].address",
    );
    assert_eq!(clash.value, "0x4a");
    assert!(
        clash
            .reason
            .contains("another device has this address on bus i2c0"),
        "{clash}"
    );
    let beyond = problem(
        changed("bitaxe-hex", "device.2.address", 0x78),
        "device[2].address",
    );
    assert!(beyond.reason.contains("0x08 to 0x77"), "{beyond}");
    let other = problem(
        changed("bitaxe-ultra", "device.5.revisions", vec!["999"]),
        "device[5].revisions",
    );
    assert!(
        other.reason.contains("not among the profile's revisions"),
        "{other}"
    );
}

#[test]
fn the_same_address_is_fine_on_different_revisions() {
    let moved = changed("bitaxe-ultra", "device.5.address", 0x48);
    assert!(
        moved.is_ok(),
        "the TPS546 of revision 207 excludes the older DAC: {moved:?}"
    );
}

#[test]
fn a_regulated_board_needs_a_regulator() {
    let found = problem(
        changed("s21-pro", "voltage.scope", "board"),
        "voltage.scope",
    );
    assert!(found.reason.contains("regulator"), "{found}");
}

#[test]
fn unknown_keys_name_the_nearest_known_one_and_the_line() {
    let text = text_of("s21-pro").replace("max_mhz", "max_mzh");
    let line = 1 + text
        .lines()
        .position(|line| line.starts_with("max_mzh"))
        .unwrap();
    let error = Profile::parse("s21-pro.toml", &text).unwrap_err();
    assert_eq!(
        error.to_string(),
        format!("s21-pro.toml, line {line}: unknown key `max_mzh`; did you mean `max_mhz`?")
    );
}

#[test]
fn an_unknown_chip_is_refused_by_name() {
    let error = changed("s21-pro", "chain.chip", "BM1399")
        .unwrap_err()
        .to_string();
    assert!(error.contains("BM1399"), "{error}");
}

#[test]
fn broken_text_is_refused_with_its_line() {
    let error = Profile::parse("x.toml", "name = \"x\"\nmodel = \n")
        .unwrap_err()
        .to_string();
    assert!(error.starts_with("x.toml, line 2: "), "{error}");
    assert!(Profile::parse("x.toml", "").is_err());
    assert!(Profile::parse("x.toml", "\0").is_err());
}

#[test]
fn all_problems_are_told_at_once() {
    let text = text_of("s21-pro")
        .replace("chip_c = 95", "chip_c = 120")
        .replace("board_c = 75", "board_c = 95");
    let error = Profile::parse("s21-pro.toml", &text)
        .unwrap_err()
        .to_string();
    assert_eq!(error.lines().count(), 2, "{error}");
}
