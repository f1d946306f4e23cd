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
    let mut field = String::new();
    for part in path.split('.') {
        match part.parse::<usize>() {
            Ok(index) => field.push_str(&format!("[{index}]")),
            Err(_) if field.is_empty() => field.push_str(part),
            Err(_) => field.push_str(&format!(".{part}")),
        }
    }
    refused_at(name, path, value, &field, reason);
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

/// A built-in profile with the value at `path` taken out.
fn without(name: &str, path: &str) -> Result<Profile, ProfileError> {
    let mut root = Value::Table(text_of(name).parse::<Table>().unwrap());
    set(&mut root, path, None);
    Profile::parse(&format!("{name}.toml"), &toml::to_string(&root).unwrap())
}

fn value(text: &str) -> Value {
    text.parse::<Table>().unwrap()["x"].clone()
}

/// As `refused`, where the finding is on another field than the changed one.
fn refused_at(name: &str, path: &str, new: impl Into<Value>, field: &str, reason: &str) {
    let found = problem(changed(name, path, new), field);
    assert!(found.reason.contains(reason), "{found}");
}

#[test]
fn cooling_that_cannot_work_is_refused() {
    refused("bitaxe-gamma", "cooling.max_rpm", 0, "200 to 30000 rpm");
    refused("bitaxe-gamma", "cooling.tolerance_percent", 100, "5 to 80");
    refused("bitaxe-gamma", "cooling.min_percent", 10, "stand still");
    refused(
        "bitaxe-gamma",
        "cooling.start_percent",
        20,
        "min_percent = 25",
    );
    refused(
        "bitaxe-gamma",
        "cooling.start_percent",
        101,
        "to 100 percent",
    );
    refused("bitaxe-gamma", "cooling.spin_up_s", f64::NAN, "0.5 to 30 s");
    refused("bitaxe-gamma", "cooling.hot_c", 60, "above target_c = 60");
    refused("bitaxe-gamma", "cooling.hot_c", f64::NAN, "above target_c");
    refused(
        "bitaxe-gamma",
        "cooling.hot_c",
        74,
        "2 K below the limit of 75",
    );
    refused("s21-pro", "cooling.sensor", "regulator", "no limit for it");
    refused("s21-pro", "cooling.sensor", "inlet", "no limit for it");
}

#[test]
fn fans_must_be_those_that_something_drives() {
    refused(
        "bitaxe-gamma",
        "cooling.fans",
        2,
        "devices drive 1 on revision 600",
    );
    refused("s19k-pro", "cooling.fans", 5, "up to four fans");
    refused("emberone00", "cooling.fans", 1, "bridge.fans = \"none\"");
    refused_at(
        "bitaxe-hex",
        "bridge.fans",
        "bonanza",
        "cooling.fans",
        "one fan",
    );
    refused_at(
        "bitaxe-hex",
        "device.0.fans",
        vec![1],
        "cooling.fans",
        "drive 1",
    );
    let mut s19k = Value::Table(text_of("s19k-pro").parse::<Table>().unwrap());
    let fans = s19k["linux"]["fan"].as_array().unwrap()[..3].to_vec();
    set(&mut s19k, "linux.fan", Some(Value::Array(fans)));
    let result = Profile::parse("x.toml", &toml::to_string(&s19k).unwrap());
    let found = problem(result, "linux.fan");
    assert_eq!(found.reason, "cooling.fans = 4");
}

#[test]
fn a_board_without_an_early_temperature_is_refused() {
    let diode = value("x = [{ kind = \"chip\", channel = \"remote\", needs_power = true }]");
    let mut root = Value::Table(text_of("bitaxe-gamma").parse::<Table>().unwrap());
    set(&mut root, "device.0.sensors", Some(diode));
    set(&mut root, "device.1.sensors", None);
    let result = Profile::parse("x.toml", &toml::to_string(&root).unwrap());
    let found = problem(result, "device.sensors");
    assert!(
        found.reason.contains("only granted with a temperature"),
        "{found}"
    );
    set(&mut root, "device.0.sensors", None);
    let result = Profile::parse("x.toml", &toml::to_string(&root).unwrap());
    let found = problem(result, "device.sensors");
    assert!(
        found.reason.contains("nothing measures a temperature"),
        "{found}"
    );
}

#[test]
fn curves_that_go_astray_are_refused() {
    refused("bitaxe-gamma", "curve.0.mhz", 300, "400 to 625 MHz");
    refused("bitaxe-gamma", "curve.0.mv", 900, "1000 to 1250");
    refused("bitaxe-gamma", "curve.1.mhz", 400, "clocks must ascend");
    refused("bitaxe-gamma", "curve.1.mv", 1000, "needs no less voltage");
    refused_at(
        "bitaxe-gamma",
        "voltage.default_mv",
        1090,
        "voltage.default_mv",
        "less than the 1100 mV",
    );
}

#[test]
fn a_bridge_that_cannot_switch_the_core_off_is_refused() {
    refused(
        "bitaxe-max",
        "bridge.enables",
        Vec::<Value>::new(),
        "nothing can switch the core",
    );
    let found = problem(without("bitaxe-gamma", "bridge"), "bridge");
    assert!(found.reason.contains("control lists \"bridge\""), "{found}");
}

#[test]
fn a_pin_of_another_revision_does_not_count() {
    refused_at(
        "bitaxe-ultra",
        "bridge.enables.0.revisions",
        vec!["201"],
        "bridge.enables",
        "switch the core of revision 0.11 off",
    );
    refused_at(
        "bitaxe-ultra",
        "bridge.enables.0.revisions",
        vec!["208"],
        "bridge.enables.revisions",
        "not among the profile's revisions",
    );
}

#[test]
fn lines_that_do_two_things_are_refused() {
    refused_at(
        "emberone00",
        "bridge.reset.pin",
        2,
        "bridge",
        "does two things",
    );
    refused_at(
        "s19k-pro",
        "bridge.slot_stride",
        0,
        "bridge",
        "say slot_stride",
    );
    refused_at(
        "s19k-pro",
        "bridge.slot_stride",
        200,
        "bridge.slot_stride",
        "pins go to 255",
    );
    refused_at(
        "s19k-pro",
        "linux.board.0.reset.line",
        26,
        "linux.board[0].reset",
        "line 26 of /dev/gpiochip1 does two things",
    );
    refused_at(
        "s19k-pro",
        "linux.fan.1.tach",
        "gpio:/dev/gpiochip1:36:2",
        "linux.fan[1].tach",
        "does two things",
    );
}

#[test]
fn supplies_go_on_in_order() {
    let reversed = value(
        "x = [{ pin = 1, role = \"core\", active = \"high\" }, \
         { pin = 2, role = \"vddio\", active = \"high\" }]",
    );
    refused(
        "emberone00",
        "bridge.enables",
        reversed,
        "order psu, vddio, core",
    );
    refused_at(
        "emberone00",
        "bridge.enables.0.settle_ms",
        20_000,
        "bridge.enables",
        "at most 10000",
    );
}

#[test]
fn places_on_a_linux_board_must_look_like_places() {
    for (path, new) in [
        ("linux.i2c.i2c0", "i2c-1"),
        ("linux.i2c.i2c0", "gpio:/dev/gpiochip1:65"),
        ("linux.fan.0.tach", "fan1_input"),
        ("linux.fan.0.tach", "gpio:/dev/gpiochip1:36:0"),
    ] {
        let error = changed("s19k-pro", path, new).unwrap_err().to_string();
        assert!(error.contains(&format!("`{new}` is no ")), "{error}");
    }
    refused("s19k-pro", "linux.fan.0.pwm", "pwm0", "absolute path");
    refused("s19k-pro", "linux.fan.0.period_ns", 0, "1000 to");
    refused_at(
        "s19k-pro",
        "linux.board.0.reset.chip",
        "gpiochip1",
        "linux.board[0].reset",
        "character device",
    );
}

#[test]
fn sensors_and_fans_belong_to_parts_that_have_them() {
    refused_at(
        "bitaxe-hex",
        "device.1.sensors.0.channel",
        "remote",
        "device[1].sensors[0].channel",
        "its own temperature only",
    );
    refused_at(
        "bitaxe-gamma",
        "device.0.sensors.0.needs_power",
        true,
        "device[0].sensors[0].needs_power",
        "whether or not the chips have power",
    );
    refused_at(
        "bitaxe-gamma",
        "device.0.sensors.1.offset_k",
        50,
        "device[0].sensors[1].offset_k",
        "-40 to 40 K",
    );
    refused_at(
        "s21-pro",
        "device.2.sensors.0.kind",
        "regulator",
        "device[2].sensors[0].kind",
        "add limits.regulator_c",
    );
    refused_at(
        "bitaxe-gamma",
        "device.1.fans",
        vec![1],
        "device[1].fans",
        "only fan controllers",
    );
    refused_at(
        "bitaxe-hex",
        "device.0.fans",
        vec![1, 1],
        "device[0].fans",
        "at most once",
    );
}

#[test]
fn a_part_has_its_own_settings_and_no_others() {
    refused_at(
        "bitaxe-gamma",
        "device.1.phases",
        2,
        "device[1].phases",
        "no such setting",
    );
    refused_at(
        "bitaxe-gamma",
        "device.1.ideality",
        0x24,
        "device[1].ideality",
        "no such setting",
    );
    refused_at(
        "bitaxe-gamma",
        "device.0.ideality",
        0x40,
        "device[0].ideality",
        "six bits",
    );
    refused_at(
        "nerdqaxe-pp",
        "device.3.phases",
        5,
        "device[3].phases",
        "has 1 to 4",
    );
    refused_at(
        "s21-pro",
        "device.1.id",
        vec!["1"],
        "device[1].id",
        "hexadecimal",
    );
    for (name, path, field) in [
        ("bitaxe-gamma", "device.1.init", "device[1].init"),
        ("nerdqaxe-pp", "device.3.phases", "device[3].phases"),
        ("bitaxe-max", "device.1.feedback", "device[1].feedback"),
    ] {
        let found = problem(without(name, path), field);
        assert!(
            found.reason.contains("cannot be set up without it"),
            "{found}"
        );
    }
}

#[test]
fn a_dac_that_does_not_reach_the_voltages_is_refused() {
    refused_at(
        "emberone00",
        "device.0.feedback.full_scale_ua",
        40,
        "voltage.min_mv",
        "3600 mV by 143 mV only",
    );
    refused_at(
        "bitaxe-max",
        "device.1.feedback.upper_ohm",
        0,
        "device[1].feedback.upper_ohm",
        "10 to 1000000 ohm",
    );
}

#[test]
fn boards_on_one_bus_need_addresses_of_their_own() {
    refused_at(
        "s19k-pro",
        "device.1.slot_stride",
        0,
        "device[1].address",
        "3 boards share bus i2c0",
    );
    refused_at(
        "s19k-pro",
        "device.2.slot_addresses",
        vec![0x48, 0x4d, 0x4c],
        "device[3].address",
        "another device has this address",
    );
    refused_at(
        "s19k-pro",
        "device.2.slot_addresses",
        vec![0x49, 0x4d, 0x4e],
        "device[2].slot_addresses",
        "first entry must be `address`",
    );
    refused_at(
        "s19k-pro",
        "device.2.slot_addresses",
        vec![0x48],
        "device[2].slot_addresses",
        "each of 3 boards",
    );
}

#[test]
fn physics_that_contradict_the_board_are_refused() {
    refused_at(
        "bitaxe-gamma",
        "simulation.physics.fans.count",
        2,
        "simulation.physics.fans.count",
        "cooling.fans = 1",
    );
    refused(
        "bitaxe-gamma",
        "simulation.physics.thermal.damage_c",
        75,
        "above limits.chip_c = 75",
    );
    refused(
        "bitaxe-gamma",
        "simulation.physics.chip.mu_mv",
        1200,
        "half of the cores",
    );
    refused(
        "bitaxe-gamma",
        "simulation.physics.chip.k_leak",
        f64::NAN,
        "W per V²",
    );
    refused(
        "s21-pro",
        "simulation.physics.thermal.sensors",
        vec![0.5],
        "each of 2 devices",
    );
    refused(
        "s21-pro",
        "simulation.physics.supply.psu.output_mv",
        vec![12_500.0, 15_000.0],
        "does not reach all of [voltage]",
    );
    refused_at(
        "s21-pro",
        "simulation.physics.supply.psu.efficiency",
        value("x = [[0.5, 0.9], [0.2, 0.8]]"),
        "simulation.physics.supply.psu.efficiency",
        "ascending",
    );
    let gt: Table = text_of("bitaxe-gt").parse().unwrap();
    let supply = gt["simulation"]["physics"]["supply"].clone();
    refused(
        "s21-pro",
        "simulation.physics.supply",
        supply,
        "the power supply feeds the board",
    );
}

#[test]
fn claims_come_with_their_tables_and_only_with_them() {
    for (name, claim) in [
        ("bitaxe-gamma", "curve"),
        ("bitaxe-gamma", "bridge"),
        ("bitaxe-gamma", "physics"),
        ("s19k-pro", "linux"),
    ] {
        let field = format!("evidence.{claim}");
        let found = problem(without(name, &field), &field);
        assert!(
            found.reason.contains("say where its numbers come from"),
            "{found}"
        );
    }
    let found = problem(without("s19k-pro", "linux"), "evidence.linux");
    assert!(found.reason.contains("there is no [linux]"), "{found}");
    let error = without("s21", "evidence.cooling").unwrap_err().to_string();
    assert!(error.contains("missing field `cooling`"), "{error}");
}
