//! Tests of the config: what is accepted, what is refused in which words, and that the
//! documents say what the code does.

use std::collections::HashMap;
use std::io;
use std::path::{Path, PathBuf};

use super::load::Environment;
use super::reference::{PLANNED, SECTIONS};
use super::*;

/// The smallest config that mines: a simulated board.
const MINIMAL: &str = r#"
[[pool]]
url = "pool.example:3333"
user = "bc1qexample.sim"

[[board]]
profile = "bitaxe-gamma"
uart = "sim"
"#;

/// A machine with the given files and environment variables.
#[derive(Default)]
struct Fake {
    files: HashMap<PathBuf, String>,
    variables: HashMap<String, String>,
}

impl Fake {
    fn file(mut self, path: &str, text: &str) -> Self {
        self.files.insert(path.into(), text.to_owned());
        self
    }

    fn variable(mut self, name: &str, value: &str) -> Self {
        self.variables.insert(name.to_owned(), value.to_owned());
        self
    }

    fn parse(&self, text: &str) -> Result<Config, ConfigError> {
        Config::parse(Path::new("/etc/hashwright/hashwright.toml"), text, self)
    }
}

impl Environment for Fake {
    fn variable(&self, name: &str) -> Option<String> {
        self.variables.get(name).cloned()
    }

    fn read(&self, path: &Path, limit: u64) -> io::Result<String> {
        match self.files.get(path) {
            Some(text) if text.len() as u64 <= limit => Ok(text.clone()),
            Some(_) => Err(io::Error::other("too long")),
            None => Err(io::ErrorKind::NotFound.into()),
        }
    }
}

fn parse(text: &str) -> Result<Config, ConfigError> {
    Fake::default().parse(text)
}

fn problems(text: &str) -> Vec<Problem> {
    match parse(text) {
        Err(ConfigError::Invalid { problems, .. }) => problems,
        other => panic!("expected problems, got {other:?}"),
    }
}

/// The only problem, as people see it.
fn problem(text: &str) -> String {
    let problems = problems(text);
    assert_eq!(problems.len(), 1, "{problems:?}");
    problems[0].to_string()
}

fn board(lines: &str) -> String {
    format!(
        "[[pool]]\nurl = \"pool.example:3333\"\nuser = \"u\"\n\n[[board]]\nprofile = \
         \"bitaxe-gamma\"\n{lines}\n"
    )
}

fn pool(lines: &str) -> String {
    format!("[[board]]\nprofile = \"bitaxe-gamma\"\nuart = \"sim\"\n\n[[pool]]\n{lines}\n")
}

#[test]
fn a_minimal_config_gets_the_documented_defaults() {
    let config = parse(MINIMAL).unwrap();
    assert_eq!(config.agent.name, "hashwright");
    assert_eq!(config.agent.state_dir, Path::new("/var/lib/hashwright"));
    assert_eq!(config.api.listen.to_string(), "127.0.0.1:4029");
    let pool = &config.pools[0];
    assert_eq!((pool.url.host(), pool.url.port()), ("pool.example", 3333));
    assert_eq!(pool.password.expose(), "x");
    assert!(matches!(
        pool.terms,
        Terms::V1 {
            suggest_difficulty: None,
            extranonce_subscribe: false,
            version_rolling: true,
        }
    ));
    assert_eq!(config.upstream, Upstream::default());
    let board = &config.boards[0];
    assert_eq!(board.control, Control::Simulated);
    assert_eq!(board.target_mhz(), 525.0);
    let sim = board.sim.as_ref().unwrap();
    assert_eq!(
        (sim.scale_bits, sim.seed),
        (board.profile.simulation.scale_bits, 0)
    );
    assert_eq!(
        (sim.lost_bytes, sim.flipped_bytes, sim.split_bytes),
        (0.0, 0.0, 0.0)
    );
}

#[test]
fn every_key_is_taken_over() {
    let text = r#"
[agent]
name = "rack-3-7"
state_dir = "/srv/miner"

[[pool]]
url = "stratum+tcp://[::1]:3334"
user = "bc1qexample.rack-3-7"
password = "hunter2"
suggest_difficulty = 0.5
extranonce_subscribe = true
version_rolling = false

[[pool]]
url = "tcp://second.example:1#xnsub"
user = "u"

[[board]]
profile = "s21-pro"
uart = "tcp:127.0.0.1:7000"
control = "external"
serial = "A-0042"
frequency_mhz = 600

[[board]]
profile = "bitaxe-ultra"
uart = "sim"
control = "sim"
sim = { scale_bits = 20, seed = 7, lost_bytes = 0.001, flipped_bytes = 1e-4, split_bytes = 0.1 }

[api]
listen = "[::1]:5000"
"#;
    let config = parse(text).unwrap();
    assert_eq!(config.agent.name, "rack-3-7");
    assert_eq!(config.agent.state_dir, Path::new("/srv/miner"));
    let [first, second] = &config.pools[..] else {
        panic!("two pools")
    };
    assert_eq!(first.url.host(), "::1");
    assert_eq!(first.password.expose(), "hunter2");
    assert!(matches!(
        first.terms,
        Terms::V1 {
            suggest_difficulty: Some(0.5),
            extranonce_subscribe: true,
            version_rolling: false,
        }
    ));
    let asked_for_by_url = Terms::V1 {
        suggest_difficulty: None,
        extranonce_subscribe: true,
        version_rolling: true,
    };
    assert_eq!(second.terms, asked_for_by_url);
    let [real, simulated] = &config.boards[..] else {
        panic!("two boards")
    };
    assert_eq!(real.uart, Uart::Tcp("127.0.0.1:7000".into()));
    assert_eq!(real.control, Control::External);
    assert_eq!(real.serial.as_deref(), Some("A-0042"));
    assert_eq!(real.target_mhz(), 600.0);
    assert_eq!(real.sim, None);
    let sim = simulated.sim.as_ref().unwrap();
    assert_eq!((sim.scale_bits, sim.seed), (20, 7));
    assert_eq!(
        (sim.lost_bytes, sim.flipped_bytes, sim.split_bytes),
        (0.001, 0.0001, 0.1)
    );
    assert_eq!(config.api.listen.to_string(), "[::1]:5000");
}

#[test]
fn simulated_boards_differ_unless_told_otherwise() {
    let second = "\n[[board]]\nprofile = \"bitaxe-gamma\"\nuart = \"sim\"\n";
    let config = parse(&format!("{MINIMAL}{second}")).unwrap();
    let seeds: Vec<u64> = config
        .boards
        .iter()
        .map(|b| b.sim.as_ref().unwrap().seed)
        .collect();
    assert_eq!(seeds, [0, 1]);
}

#[test]
fn all_problems_are_told_at_once_with_their_lines() {
    let text = r#"[agent]
nam = "x"
[[pool]]
url = "ftp://pool.example:1"
user = "two words"
[[board]]
profile = "bitaxe-gama"
uart = "ttyUSB0"
[apii]
"#;
    let error = parse(text).unwrap_err().to_string();
    let lines: Vec<&str> = error.lines().collect();
    assert_eq!(lines[0], "/etc/hashwright/hashwright.toml has 6 problems:");
    assert_eq!(
        lines[1],
        "  line 2: agent.nam: unknown key; did you mean `name`?"
    );
    assert!(
        lines[2].starts_with("  line 4: pool[0].url: \"ftp://\" is no pool protocol"),
        "{error}"
    );
    assert!(
        lines[3].starts_with("  line 5: pool[0].user: must be 1 to 256"),
        "{error}"
    );
    assert!(
        lines[4].starts_with("  line 7: board[0].profile: no board profile is named"),
        "{error}"
    );
    assert!(lines[4].contains("did you mean `bitaxe-gamma`?"), "{error}");
    assert!(
        lines[5].starts_with("  line 8: board[0].uart: `ttyUSB0` is not a UART"),
        "{error}"
    );
    assert_eq!(lines[6], "  line 9: apii: unknown key; did you mean `api`?");
}

#[test]
fn missing_parts_are_named() {
    let said: Vec<String> = problems("").iter().map(Problem::to_string).collect();
    assert_eq!(
        said,
        [
            "pool: a miner needs at least one pool; add a [[pool]] table",
            "board: a miner needs at least one board; add a [[board]] table",
        ]
    );
    let text = "[[pool]]\n\n[[board]]\n";
    let keys: Vec<String> = problems(text).into_iter().map(|p| p.key).collect();
    assert_eq!(
        keys,
        [
            "pool[0].url",
            "pool[0].user",
            "board[0].profile",
            "board[0].uart"
        ]
    );
    assert!(
        problems(text)
            .iter()
            .all(|p| p.message.starts_with("is missing; for instance"))
    );
}

#[test]
fn single_brackets_are_explained() {
    let text = MINIMAL.replace("[[pool]]", "[pool]");
    assert_eq!(
        problem(&text),
        "line 2: pool: write [[pool]] with two brackets, once for each pool"
    );
}

#[test]
fn a_key_in_the_wrong_table_is_sent_home() {
    let said = problem(&format!("{MINIMAL}\n[api]\nstate_dir = \"/srv\"\n"));
    assert_eq!(
        said,
        "line 11: api.state_dir: unknown key here; `state_dir` belongs to [agent]"
    );
}

#[test]
fn tables_of_later_versions_are_refused_not_ignored() {
    for (name, _) in PLANNED {
        let said = problem(&format!("{MINIMAL}\n[{name}]\nanything = 1\n"));
        assert!(said.contains("not in this version yet"), "{said}");
        assert!(said.contains(&format!("leave [{name}] out")), "{said}");
    }
}

#[test]
fn a_real_board_needs_somebody_who_guards_it() {
    let said = problem(&board("uart = \"/dev/ttyACM1\""));
    assert!(said.contains("board[0].control: is missing"), "{said}");
    for way in ["/dev/ttyACM0", "linux", "external"] {
        assert!(said.contains(way), "{said}");
    }
    let said = problem(&board("uart = \"/dev/ttyACM1\"\ncontrol = \"sim\""));
    assert!(
        said.contains("only for boards with uart = \"sim\""),
        "{said}"
    );
    let said = problem(&board("uart = \"/dev/ttyACM1\"\ncontrol = \"me\""));
    assert!(said.contains("write a control port such as"), "{said}");
    let said = problem(&board("uart = \"sim\"\ncontrol = \"/dev/ttyACM0\""));
    assert!(said.contains("has a simulated controller"), "{said}");
}

#[test]
fn a_board_is_controlled_over_a_port_by_linux_or_by_somebody_else() {
    let control = |text: &str| parse(text).unwrap().boards[0].control.clone();
    for port in ["/dev/ttyACM0", "tcp:127.0.0.1:7001", "unix:/run/b0"] {
        let text = board(&format!("uart = \"/dev/ttyACM1\"\ncontrol = \"{port}\""));
        assert_eq!(control(&text), Control::Port(port.parse().unwrap()));
        assert_eq!(control(&text).to_string(), port);
    }
    let antminer =
        board("uart = \"/dev/ttyS1\"\ncontrol = \"linux\"").replace("bitaxe-gamma", "s19k-pro");
    assert_eq!(control(&antminer), Control::Linux);
    let bare = board("uart = \"sim\"\ncontrol = \"external\"");
    assert_eq!(control(&bare), Control::External);
    assert!(parse(&bare).unwrap().boards[0].sim.is_some());
}

#[test]
fn a_board_without_that_way_of_control_is_refused() {
    let said = problem(&board("uart = \"/dev/ttyACM1\"\ncontrol = \"linux\""));
    assert!(
        said.contains("cannot be controlled by the Linux control board"),
        "{said}"
    );
    let antminer = board("uart = \"/dev/ttyS1\"\ncontrol = \"/dev/ttyACM0\"");
    let said = problem(&antminer.replace("bitaxe-gamma", "nerdqaxe-pp"));
    assert!(
        said.contains("cannot be controlled by a control port"),
        "{said}"
    );
}

#[test]
fn a_control_port_belongs_to_one_supply() {
    let two = |first: &str, second: &str| {
        let head = "[[pool]]\nurl = \"p:1\"\nuser = \"u\"\n";
        let board = |lines: &str| format!("[[board]]\nprofile = \"bitaxe-gamma\"\n{lines}\n");
        format!("{head}{}{}", board(first), board(second))
    };
    let said = problem(&two(
        "uart = \"/dev/ttyACM1\"\ncontrol = \"/dev/ttyACM0\"",
        "uart = \"/dev/ttyACM2\"\ncontrol = \"/dev/ttyACM0\"",
    ));
    assert!(
        said.contains("board[1].control: /dev/ttyACM0 is already used by board[0]"),
        "{said}"
    );
    let said = problem(&two(
        "uart = \"/dev/ttyACM1\"\ncontrol = \"/dev/ttyACM0\"",
        "uart = \"/dev/ttyACM0\"\ncontrol = \"external\"",
    ));
    assert!(
        said.contains("board[1].uart: /dev/ttyACM0 is the control port of board[0]"),
        "{said}"
    );
}

#[test]
fn boards_on_one_supply_are_alike() {
    let text = |second: &str| {
        format!(
            "[[pool]]\nurl = \"p:1\"\nuser = \"u\"\n\
             [[board]]\nprofile = \"s19k-pro\"\nuart = \"/dev/ttyS1\"\ncontrol = \"linux\"\n\
             [[board]]\nprofile = \"s19k-pro\"\nuart = \"/dev/ttyS2\"\ncontrol = \"linux\"\n{second}\n"
        )
    };
    assert!(parse(&text("")).is_ok());
    let said = problem(&text("voltage_mv = 13000"));
    assert!(
        said.contains("board[1].voltage_mv: differs from that of board[0]"),
        "{said}"
    );
    let said = problem(&text("frequency_mhz = 500"));
    assert!(said.contains("hangs on the same supply"), "{said}");
}

#[test]
fn a_board_without_fans_needs_somebodys_word() {
    let text = |line: &str| {
        board(&format!(
            "uart = \"/dev/ttyACM1\"\ncontrol = \"/dev/ttyACM0\"\n{line}"
        ))
        .replace("bitaxe-gamma", "emberone00")
    };
    let said = problem(&text(""));
    assert!(said.contains("cooled_elsewhere: is missing"), "{said}");
    assert!(parse(&text("cooled_elsewhere = true")).is_ok());
    let said = problem(&board("uart = \"sim\"\ncooled_elsewhere = true"));
    assert!(said.contains("only for boards that drive no fan"), "{said}");
}

#[test]
fn revisions_are_those_of_the_profile() {
    let with = |revision: &str| board(&format!("uart = \"sim\"\nrevision = \"{revision}\""));
    let config = parse(&with("601")).unwrap();
    assert_eq!(config.boards[0].revision.as_deref(), Some("601"));
    let said = problem(&with("999"));
    assert!(said.contains("knows 600, 601, 602, 603"), "{said}");
}

#[test]
fn no_config_passes_the_voltages_of_the_profile() {
    let with = |mv: &str| board(&format!("uart = \"sim\"\nvoltage_mv = {mv}"));
    assert_eq!(parse(&with("1200")).unwrap().boards[0].target_mv(), 1200);
    for mv in ["999", "1251", "0"] {
        let said = problem(&with(mv));
        assert!(
            said.contains("Bitaxe Gamma runs at 1000 to 1250 mV (default 1150)"),
            "{said}"
        );
    }
}

#[test]
fn cooling_is_automatic_unless_a_person_says_otherwise() {
    let cooling = |table: &str| {
        parse(&format!("{MINIMAL}\n[cooling]\n{table}\n"))
            .unwrap()
            .cooling
    };
    assert_eq!(parse(MINIMAL).unwrap().cooling, Cooling::default());
    assert_eq!(cooling("").mode, CoolingMode::Auto);
    assert_eq!(cooling("target_c = 58").target_c, Some(58.0));
    assert_eq!(
        cooling("mode = \"manual\"\nmanual_percent = 70").mode,
        CoolingMode::Manual(70)
    );
    assert_eq!(
        cooling("mode = \"immersion\"\nconfirm_immersion = true").mode,
        CoolingMode::Immersion
    );
}

#[test]
fn cooling_modes_that_could_hurt_are_not_taken_by_mistake() {
    let said = |table: &str| problem(&format!("{MINIMAL}\n[cooling]\n{table}\n"));
    for (table, expected) in [
        ("mode = \"immersion\"", "boards in air"),
        (
            "mode = \"immersion\"\nconfirm_immersion = false",
            "boards in air",
        ),
        ("mode = \"manual\"", "manual mode needs a duty"),
        ("mode = \"manual\"\nmanual_percent = 101", "from 0 to 100"),
        ("mode = \"off\"", "write auto, manual or immersion"),
        ("manual_percent = 70", "only goes with mode = \"manual\""),
        (
            "confirm_immersion = true",
            "only goes with mode = \"immersion\"",
        ),
        ("target_c = 120", "from 30 to 100"),
        ("target_c = 64", "takes at most 63"),
    ] {
        let said = said(table);
        assert!(said.contains(expected), "{table}: {said}");
    }
}

#[test]
fn no_config_passes_the_limits_of_the_profile() {
    let with = |mhz: &str| board(&format!("uart = \"sim\"\nfrequency_mhz = {mhz}"));
    assert_eq!(parse(&with("625")).unwrap().boards[0].target_mhz(), 625.0);
    for mhz in ["626", "399.9", "0", "0.0"] {
        let said = problem(&with(mhz));
        assert!(
            said.contains("Bitaxe Gamma runs at 400 to 625 MHz (default 525)"),
            "{said}"
        );
    }
    for mhz in ["-1", "nan", "inf", "-inf", "1e300"] {
        let said = problem(&with(mhz));
        assert!(
            said.contains("board[0].frequency_mhz: must be a number from"),
            "{said}"
        );
    }
}

#[test]
fn simulation_settings_are_bounded_and_only_for_simulated_boards() {
    let said = problem(&board(
        "uart = \"/dev/x\"\ncontrol = \"external\"\nsim = { seed = 1 }",
    ));
    assert!(
        said.contains("only for boards with uart = \"sim\""),
        "{said}"
    );
    for setting in [
        "scale_bits = 40",
        "scale_bits = -1",
        "seed = -1",
        "lost_bytes = 0.2",
        "lost_bytes = -0.1",
        "flipped_bytes = nan",
        "ambient_c = 61",
        "quality = \"bad\"",
        "faults = [\"fan-stuck\"]",
        "faults = [\"@5s\"]",
        "faults = [\"fan-stuck@5\"]",
        "faults = \"fan-stuck@5s\"",
    ] {
        let said = problem(&board(&format!("uart = \"sim\"\nsim = {{ {setting} }}")));
        assert!(said.starts_with("line 8: board[0].sim."), "{said}");
    }
    let said = problem(&board("uart = \"sim\"\nsim = { sead = 1 }"));
    assert!(said.contains("did you mean `seed`?"), "{said}");
}

#[test]
fn faults_of_simulated_boards_come_at_their_time() {
    let text = "uart = \"sim\"\nsim = { faults = [\"fan-stuck@60s\", \"ambient:40@5m\"] }";
    let config = parse(&board(text)).unwrap();
    let faults = &config.boards[0].sim.as_ref().unwrap().faults;
    let told: Vec<_> = faults.iter().map(ToString::to_string).collect();
    assert_eq!(told, ["fan-stuck@60000ms", "ambient:40@300000ms"]);
}

#[test]
fn a_board_that_another_program_simulates_has_its_scale_and_is_marked() {
    let served = "uart = \"unix:/run/b0\"\ncontrol = \"external\"\n";
    let config = parse(&board(&format!("{served}scale_bits = 22"))).unwrap();
    let scaled = &config.boards[0];
    assert_eq!((scaled.scale_bits(), scaled.sim.is_none()), (22, true));
    assert!(scaled.is_simulated());
    assert!(
        config.warnings().iter().any(|w| w.contains("earn nothing")),
        "{:?}",
        config.warnings()
    );

    let config = parse(&board(served)).unwrap();
    let silicon = &config.boards[0];
    assert_eq!((silicon.scale_bits(), silicon.is_simulated()), (0, false));

    // One zero bit of the ticket has to remain.
    let said = problem(&board(&format!("{served}scale_bits = 40")));
    assert!(said.contains("scale_bits"), "{said}");
    let said = problem(&board("uart = \"sim\"\nscale_bits = 22"));
    assert!(said.contains("sim = { scale_bits = ... }"), "{said}");
}

#[test]
fn two_boards_cannot_share_a_port() {
    let one = "profile = \"s21\"\nuart = \"/dev/ttyS1\"\ncontrol = \"external\"\n";
    let text = format!("[[pool]]\nurl = \"p:1\"\nuser = \"u\"\n[[board]]\n{one}[[board]]\n{one}");
    let said = problem(&text);
    assert_eq!(
        said,
        "line 10: board[1].uart: /dev/ttyS1 is already used by board[0]"
    );
}

#[test]
fn passwords_come_from_files_and_variables() {
    let fake = Fake::default()
        .file("/etc/hashwright/pool.secret", "from a file\r\n")
        .variable("POOL_PASSWORD", "from a variable");
    for (value, expected) in [
        ("{ file = \"pool.secret\" }", "from a file"),
        ("{ file = \"/etc/hashwright/pool.secret\" }", "from a file"),
        ("{ env = \"POOL_PASSWORD\" }", "from a variable"),
        ("\"\"", ""),
    ] {
        let text = pool(&format!("url = \"p:1\"\nuser = \"u\"\npassword = {value}"));
        let config = fake.parse(&text).unwrap();
        assert_eq!(config.pools[0].password.expose(), expected);
    }
}

#[test]
fn passwords_that_cannot_be_had_are_explained() {
    let fake = Fake::default()
        .file("/etc/hashwright/two-lines", "one\ntwo\n")
        .variable("EMPTY", "");
    for (value, expected) in [
        (
            "{ file = \"none\" }",
            "pool[0].password.file: cannot read /etc/hashwright/none",
        ),
        (
            "{ file = \"two-lines\" }",
            "pool[0].password.file: the password must be one line",
        ),
        (
            "{ env = \"NONE\" }",
            "the environment variable NONE is not set or empty",
        ),
        (
            "{ env = \"EMPTY\" }",
            "the environment variable EMPTY is not set or empty",
        ),
        (
            "{}",
            "must be text, { file = \"...\" } or { env = \"...\" }",
        ),
        (
            "{ file = \"a\", env = \"b\" }",
            "must be text, { file = \"...\" } or { env = \"...\" }",
        ),
        ("{ fiel = \"a\", env = \"EMPTY\" }", "did you mean `file`?"),
        ("3", "must be text in quotes, not a whole number"),
    ] {
        let text = pool(&format!("url = \"p:1\"\nuser = \"u\"\npassword = {value}"));
        let error = fake.parse(&text).unwrap_err().to_string();
        assert!(error.contains(expected), "{error}");
        assert!(error.contains("line 8: "), "{error}");
    }
}

#[test]
fn passwords_are_never_shown() {
    let text = pool("url = \"p:1\"\nuser = \"u\"\npassword = \"hunter2\"");
    assert!(!format!("{:?}", parse(&text).unwrap()).contains("hunter2"));
    let broken = pool("url = \"p:1\"\nuser = \"u\"\npassword = \"hunter2\\n\"");
    assert!(!parse(&broken).unwrap_err().to_string().contains("hunter2"));
    let in_url = pool("url = \"stratum+tcp://u:hunter2@p:1\"\nuser = \"u\"");
    assert!(!parse(&in_url).unwrap_err().to_string().contains("hunter2"));
}

#[test]
fn profiles_can_be_files_beside_the_config() {
    let gamma = Profile::builtin("bitaxe-gamma").unwrap();
    let own = toml::to_string(&gamma)
        .unwrap()
        .replace("name = \"bitaxe-gamma\"", "name = \"mine\"");
    let fake = Fake::default().file("/etc/hashwright/boards/mine.toml", &own);
    let text = MINIMAL.replace("\"bitaxe-gamma\"", "\"boards/mine.toml\"");
    assert_eq!(fake.parse(&text).unwrap().boards[0].profile.name, "mine");
    let missing = fake
        .parse(&text.replace("mine", "none"))
        .unwrap_err()
        .to_string();
    assert!(
        missing.contains("/etc/hashwright/boards/none.toml"),
        "{missing}"
    );
}

#[test]
fn broken_toml_is_told_with_its_line() {
    let said = problem("[agent]\nname = \"unfinished\n");
    assert!(said.starts_with("line 2: "), "{said}");
    assert!(parse("\0").is_err());
}

#[test]
fn too_many_tables_are_refused() {
    let pools = "[[pool]]\nurl = \"p:1\"\nuser = \"u\"\n".repeat(16);
    let said = problem(&format!("{pools}{MINIMAL}"));
    assert!(said.contains("17 are too many; at most 16"), "{said}");
}

/// A value of a type that no key takes.
const WRONG: &str = "1979-05-27";

#[test]
fn every_key_of_the_reference_is_read_and_typed() {
    for section in SECTIONS {
        for key in section.keys {
            let line = format!("{} = {WRONG}", key.name);
            let text = match section.name {
                "pool" => pool(&line),
                "board" => format!("[[board]]\n{line}\n"),
                "webhook" => format!("[[webhook]]\n{line}\n"),
                "pool.password" => pool(&format!("password = {{ {line} }}")),
                "pool.tls" => pool(&format!("tls = {{ {line} }}")),
                "board.sim" => board(&format!("uart = \"sim\"\nsim = {{ {line} }}")),
                "tuner.schedule" | "tuner.price.step" => format!("[[{}]]\n{line}\n", section.name),
                "tuner.stale" => format!("[tuner.price]\nstale = {{ {line} }}\n"),
                top => format!("[{top}]\n{line}\n"),
            };
            let found = problems(&text);
            let told = |p: &&Problem| p.key.ends_with(key.name) && p.message.contains("must be");
            assert!(
                found.iter().any(|p| told(&p)),
                "{} is not read: {found:?}",
                key.name
            );
        }
    }
}

#[test]
fn damaged_text_is_refused_or_read_but_never_more() {
    let mut random = fastrand::Rng::with_seed(7);
    for _ in 0..2000 {
        let mut bytes = MINIMAL.as_bytes().to_vec();
        for _ in 0..random.usize(1..6) {
            let at = random.usize(..bytes.len());
            match random.u8(..3) {
                0 => bytes[at] = random.u8(b' '..=b'~'),
                1 => drop(bytes.remove(at)),
                _ => bytes.insert(at, *random.choice(b"[]{}=\"'\n.,#0").unwrap_or(&b' ')),
            }
        }
        let text = String::from_utf8_lossy(&bytes);
        if let Err(ConfigError::Invalid { problems, .. }) = parse(&text) {
            let lines = text.lines().count().max(1);
            assert!(!problems.is_empty());
            assert!(
                problems
                    .iter()
                    .all(|p| p.line.is_none_or(|line| line <= lines + 1))
            );
        }
    }
}

#[test]
fn check_reports_a_good_config_without_its_secrets() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("hashwright.toml");
    let text = pool("url = \"p.example:1\"\nuser = \"u\"\npassword = \"hunter2\"");
    std::fs::write(&path, text).unwrap();
    let report = check(&path);
    assert!(report.valid && report.problems.is_empty());
    let (human, json) = (report.to_string(), report.to_json());
    assert!(
        human.contains("is good")
            && human.contains(
                "Bitaxe Gamma at sim, control sim: 525 MHz, 1150 mV, 1.07 TH/s, simulated"
            ),
        "{human}"
    );
    let read: serde_json::Value = serde_json::from_str(&json).unwrap();
    assert_eq!(read["valid"], true);
    assert_eq!(
        read["summary"]["pools"][0]["url"],
        "stratum+tcp://p.example:1"
    );
    assert_eq!(read["summary"]["boards"][0]["frequency_mhz"], 525.0);
    assert!(!human.contains("hunter2") && !json.contains("hunter2"));
}

#[test]
fn check_reports_what_is_wrong() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("hashwright.toml");
    let missing = check(&path);
    assert!(!missing.valid);
    assert!(
        missing.to_string().contains("cannot read the config"),
        "{missing}"
    );
    std::fs::write(&path, "[agent]\nnam = 1\n").unwrap();
    let read: serde_json::Value = serde_json::from_str(&check(&path).to_json()).unwrap();
    assert_eq!(read["valid"], false);
    assert_eq!(read["problems"][0]["line"], 2);
    assert_eq!(read["problems"][0]["key"], "agent.nam");
    assert_eq!(read["summary"], serde_json::Value::Null);
}

#[test]
fn check_warns_of_boards_that_nothing_guards() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("hashwright.toml");
    let text = board("uart = \"/dev/ttyACM1\"\ncontrol = \"external\"");
    std::fs::write(&path, text).unwrap();
    let report = check(&path);
    assert!(report.valid);
    assert!(
        report.warnings[0].contains("nothing in this program guards board 0"),
        "{report}"
    );
    assert_eq!(report.summary.unwrap().boards[0].guard, "none");
}

mod api;
mod documents;
mod pools;
mod tuner;
