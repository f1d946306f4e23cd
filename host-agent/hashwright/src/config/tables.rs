//! The tables of the config, one function each. Every table is read even if an earlier one is
//! wrong, so that all problems are told at once.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use board_profiles::{Profile, ProfileError, VoltageScope};
use board_simulator::ChainSpec;
use stratum::Secret;
use toml::de::DeTable;

use super::load::{Environment, MAX_FILE_BYTES};
use super::pools::{self, MAX_POOLS};
use super::reader::{Reader, Section};
use super::{
    Agent, Board, Config, Control, api, cooling, faces, history, outlets, simulated, tuner,
};
use crate::port::Uart;

/// Longest file that holds a secret, bytes.
const MAX_SECRET_BYTES: u64 = 4096;

/// Most boards that a config may have.
const MAX_BOARDS: usize = 64;

/// Turns tables into parts of a config; what does not fit goes to the reader.
pub(super) struct Tables<'r> {
    reader: &'r Reader<'r>,
    directory: Option<&'r Path>,
    env: &'r dyn Environment,
}

impl<'r> Tables<'r> {
    pub(super) fn new(
        reader: &'r Reader<'r>,
        directory: Option<&'r Path>,
        env: &'r dyn Environment,
    ) -> Self {
        Self {
            reader,
            directory,
            env,
        }
    }

    /// The config. If the reader has noted problems it is not to be used; without problems it
    /// is there.
    pub(super) fn config(&self, root: &'r DeTable<'r>) -> Option<Config> {
        let root = Section::new(self.reader, "", String::new(), Some((0..0, root)));
        let agent = agent(&root.table_or_empty("agent"));
        let pools = root.tables("pool");
        let boards = root.tables("board");
        for (key, found, most) in [
            ("pool", pools.len(), MAX_POOLS),
            ("board", boards.len(), MAX_BOARDS),
        ] {
            if found == 0 && !root.has(key) {
                let message = format!("a miner needs at least one {key}; add a [[{key}]] table");
                self.reader.note(None, key, message);
            } else if found > most {
                root.bad(key, format!("{found} are too many; at most {most}"));
            }
        }
        let (upstream, pools) = pools::read(self, &root.table_or_empty("upstream"), &pools);
        let read: Vec<_> = boards
            .iter()
            .enumerate()
            .map(|(index, section)| self.board(index, section))
            .collect();
        no_shared_ports(&boards, &read);
        let section = root.table_or_empty("cooling");
        let cooling = cooling::read(&section);
        cooling::check(&section, &cooling, &read);
        let api = api::read(self, &root.table_or_empty("api"));
        let history = history::read(&root.table_or_empty("history"));
        let cgminer = root.table("cgminer", "cgminer");
        let cgminer = cgminer.as_ref().map(faces::cgminer);
        let axeos = root.table("axeos", "axeos");
        let axeos = axeos.as_ref().map(faces::axeos);
        let mqtt = root.table("mqtt", "mqtt");
        let mqtt = mqtt.map(|section| outlets::mqtt(self, &section));
        let webhooks = root.tables("webhook");
        if webhooks.len() > outlets::MAX_WEBHOOKS {
            let most = outlets::MAX_WEBHOOKS;
            let message = format!("{} are too many; at most {most}", webhooks.len());
            root.bad("webhook", message);
        }
        let webhooks: Vec<_> = webhooks
            .iter()
            .map(|section| outlets::webhook(self, section))
            .collect();
        let mdns = outlets::mdns(root.table("mdns", "mdns").as_ref());
        Some(Config {
            agent,
            upstream,
            pools: pools?,
            boards: read.into_iter().collect::<Option<_>>()?,
            cooling,
            tuner: tuner::read(self, &root.table_or_empty("tuner")),
            api,
            history,
            cgminer,
            axeos,
            mqtt: match mqtt {
                Some(read) => Some(read?),
                None => None,
            },
            webhooks: webhooks.into_iter().collect::<Option<_>>()?,
            mdns,
        })
    }

    /// A secret that stands in the config, a file or a variable; `x` if there is none.
    pub(super) fn secret(&self, section: &Section<'r>, key: &str) -> Option<Secret> {
        if !section.has(key) {
            return Some(Secret::new("x"));
        }
        if !section.is_table(key) {
            // A wrong type must not repeat the value, and does not.
            return usable_secret(section, key, section.text(key)?);
        }
        let table = section.table(key, "pool.password")?;
        match (table.has("file"), table.has("env")) {
            (true, false) => {
                let text = self.file(&table, "file", table.text("file")?, MAX_SECRET_BYTES)?;
                usable_secret(&table, "file", text.trim_end_matches(['\r', '\n']))
            }
            (false, true) => {
                let name = table.text("env")?;
                let value = self.env.variable(name).filter(|value| !value.is_empty());
                match value {
                    Some(value) => usable_secret(&table, "env", &value),
                    None => {
                        let message =
                            format!("the environment variable {name} is not set or empty");
                        table.bad("env", message);
                        None
                    }
                }
            }
            _ => {
                section.bad(key, "must be text, { file = \"...\" } or { env = \"...\" }");
                None
            }
        }
    }

    /// The text of a file that a key names; what cannot be read is noted.
    pub(super) fn file(
        &self,
        section: &Section<'r>,
        key: &str,
        path: &str,
        limit: u64,
    ) -> Option<String> {
        let path = self.path(path);
        let text = self.env.read(&path, limit);
        text.map_err(|error| section.bad(key, format!("cannot read {}: {error}", path.display())))
            .ok()
    }

    /// A path that may begin with `~/`, for the home directory of whoever runs the agent.
    pub(super) fn home(&self, section: &Section<'r>, key: &str, text: &str) -> Option<PathBuf> {
        let Some(rest) = text.strip_prefix("~/") else {
            return Some(self.path(text));
        };
        let home = self.env.variable("HOME").filter(|home| !home.is_empty());
        if home.is_none() {
            section.bad(
                key,
                "begins with ~/, but HOME is not set; write the whole path",
            );
        }
        home.map(|home| Path::new(&home).join(rest))
    }

    fn board(&self, index: usize, section: &Section<'r>) -> Option<Board> {
        let profile = self.profile(section);
        section.required("uart");
        let uart: Option<Uart> = section.parsed("uart");
        let simulated = uart.as_ref().map(|uart| *uart == Uart::Simulated);
        let wanted = section.text("control");
        let control = match simulated {
            Some(simulated) if wanted.is_some() || !section.has("control") => {
                control(section, wanted, simulated, profile.as_ref())
            }
            _ => None,
        };
        let serial = section.text("serial").map(|serial| {
            let good =
                (1..=64).contains(&serial.chars().count()) && !serial.contains(char::is_control);
            if !good {
                section.bad("serial", "must be 1 to 64 printable characters");
            }
            serial.to_owned()
        });
        let revision = section.text("revision");
        if let (Some(profile), Some(revision)) = (&profile, revision)
            && !profile.revisions.iter().any(|known| known == revision)
        {
            section.bad("revision", unknown_revision(profile, revision));
        }
        let slot = section.integer("slot", 0..=15);
        let frequency_mhz = section.number("frequency_mhz", 0.0..=10_000.0);
        if let (Some(profile), Some(mhz)) = (&profile, frequency_mhz)
            && let Err(problem) = profile.check_frequency("frequency_mhz", mhz)
        {
            section.bad("frequency_mhz", format!("{mhz}: {}", problem.reason));
        }
        let voltage_mv = section.integer("voltage_mv", 0..=100_000);
        let voltage_mv = voltage_mv.and_then(|mv| u32::try_from(mv).ok());
        if let (Some(profile), Some(mv)) = (&profile, voltage_mv) {
            check_voltage(section, profile, mv);
        }
        let enabled = section.boolean("enabled").unwrap_or(true);
        let elsewhere = section.boolean("cooled_elsewhere");
        let fans = profile.as_ref().map_or(1, |profile| profile.cooling.fans);
        let real = matches!(control, Some(Control::Port(_) | Control::Linux));
        if fans == 0 && real && elsewhere != Some(true) {
            section.bad(
                "cooled_elsewhere",
                "is missing. This board drives no fan, so that nobody would notice if its air stopped \
                 before it gets hot. If something else cools it, write cooled_elsewhere = true",
            );
        } else if fans > 0 && elsewhere.is_some() {
            section.bad(
                "cooled_elsewhere",
                "is only for boards that drive no fan; for boards in liquid there is \
                 [cooling] mode = \"immersion\"",
            );
        }
        let sim = section.table("sim", "board.sim");
        if sim.is_some() && simulated == Some(false) {
            section.bad("sim", "is only for boards with uart = \"sim\"");
        }
        let most = profile
            .as_ref()
            .map_or(ChainSpec::MAX_SCALE_BITS, Profile::max_scale_bits);
        let served_scale_bits = section.integer("scale_bits", 0..=u64::from(most));
        if served_scale_bits.is_some() && simulated == Some(true) {
            section.bad(
                "scale_bits",
                "is for boards that another program simulates; write sim = { scale_bits = ... }",
            );
        }
        let profile = profile?;
        let sim = simulated::read(sim.as_ref(), index as u64, &profile);
        Some(Board {
            sim: simulated?.then_some(sim),
            profile,
            uart: uart?,
            control: control?,
            serial,
            revision: revision.map(str::to_owned),
            slot: slot.and_then(|slot| u8::try_from(slot).ok()),
            frequency_mhz,
            voltage_mv,
            enabled,
            served_scale_bits: served_scale_bits
                .and_then(|bits| u8::try_from(bits).ok())
                .unwrap_or(0),
        })
    }

    fn profile(&self, section: &Section<'r>) -> Option<Profile> {
        let name = section.required("profile")?;
        if let Some(known) = self.env.profile(name) {
            return Some(known);
        }
        let loaded = if Profile::is_path(name) {
            let path = self.path(name);
            match self.env.read(&path, MAX_FILE_BYTES) {
                Ok(text) => Profile::parse(&path.display().to_string(), &text),
                Err(source) => Err(ProfileError::Read { path, source }),
            }
        } else {
            Profile::builtin(name)
        };
        loaded
            .map_err(|error| section.bad("profile", error.to_string()))
            .ok()
    }

    /// A path of the config: relative ones start at its directory.
    pub(super) fn path(&self, text: &str) -> PathBuf {
        self.directory
            .map_or_else(|| PathBuf::from(text), |directory| directory.join(text))
    }
}

fn agent(section: &Section<'_>) -> Agent {
    let name = section.text("name").unwrap_or("hashwright");
    let good = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.');
    if !(1..=63).contains(&name.len()) || !name.bytes().all(good) {
        section.bad("name", "must be 1 to 63 letters, digits, `-`, `_` or `.`");
    }
    let state_dir = section.text("state_dir").unwrap_or("/var/lib/hashwright");
    if state_dir.is_empty() {
        section.bad("state_dir", "must name a directory");
    }
    Agent {
        name: name.to_owned(),
        state_dir: state_dir.into(),
        state_dir_given: section.has("state_dir"),
    }
}

/// Who controls a board; `None` is noted.
fn control(
    section: &Section<'_>,
    wanted: Option<&str>,
    simulated: bool,
    profile: Option<&Profile>,
) -> Option<Control> {
    let gap = |way| profile.and_then(|profile| profile.control_gap(way));
    let message = match (simulated, wanted) {
        (true, None | Some("sim")) => return Some(Control::Simulated),
        (_, Some("external")) => return Some(Control::External),
        (true, Some(_)) => {
            "a simulated board has a simulated controller; leave control out, or write \"sim\"; \
             \"external\" simulates bare chips that are always powered and never warm"
                .to_owned()
        }
        (false, None) => {
            "is missing: who controls power, fans and reset of the board? Write the control port of \
             its controller, e.g. control = \"/dev/ttyACM0\"; \"linux\" on the control board \
             of a miner; or \"external\" if something else powers, cools and guards it"
                .to_owned()
        }
        (false, Some("sim")) => "\"sim\" is only for boards with uart = \"sim\"".to_owned(),
        (false, Some("linux")) => match gap(board_profiles::Control::Linux) {
            None => return Some(Control::Linux),
            Some(why) => why,
        },
        (false, Some(other)) => match other.parse::<Uart>() {
            Ok(port) => match gap(board_profiles::Control::Bridge) {
                None => return Some(Control::Port(port)),
                Some(why) => why,
            },
            Err(_) => format!(
                "\"{other}\" is not known; write a control port such as /dev/ttyACM0 (also \
                 tcp:HOST:PORT and unix:/path), \"linux\" or \"external\""
            ),
        },
    };
    section.bad("control", message);
    None
}

fn unknown_revision(profile: &Profile, revision: &str) -> String {
    match &profile.revisions[..] {
        [] => format!(
            "the profile of {} knows no revisions; leave it out",
            profile.model
        ),
        known => format!(
            "\"{revision}\" is not known; the profile of {} knows {}",
            profile.model,
            known.join(", ")
        ),
    }
}

fn check_voltage(section: &Section<'_>, profile: &Profile, mv: u32) {
    let range = &profile.voltage;
    if !(range.min_mv..=range.max_mv).contains(&mv) {
        let message = format!(
            "{mv}: {} runs at {} to {} mV (default {})",
            profile.model, range.min_mv, range.max_mv, range.default_mv
        );
        section.bad("voltage_mv", message);
    }
}

/// Two boards on one serial line would garble each other's frames. A control port may serve several
/// boards if they hang on one supply.
fn no_shared_ports(sections: &[Section<'_>], boards: &[Option<Board>]) {
    let mut uarts = HashMap::new();
    let mut controls = HashMap::new();
    for (index, board) in boards.iter().enumerate() {
        let Some(board) = board.as_ref().filter(|board| board.uart != Uart::Simulated) else {
            continue;
        };
        if let Control::Port(port) = &board.control {
            controls.entry(port.to_string()).or_insert(index);
        }
        if let Some(first) = uarts.insert(board.uart.to_string(), index) {
            let message = format!("{} is already used by board[{first}]", board.uart);
            sections[index].bad("uart", message);
        }
    }
    one_supply(sections, boards);
    for (index, board) in boards.iter().enumerate() {
        let Some(board) = board else { continue };
        if let Some(first) = controls.get(&board.uart.to_string()) {
            let message = format!("{} is the control port of board[{first}]", board.uart);
            sections[index].bad("uart", message);
        }
        if let Control::Port(port) = &board.control
            && let Some(&first) = controls.get(&port.to_string())
            && first != index
            && board.profile.voltage.scope != VoltageScope::Psu
        {
            let message = format!(
                "{port} is already used by board[{first}]; only boards on one power supply share a \
                 controller"
            );
            sections[index].bad("control", message);
        }
    }
}

/// Boards that one controller switches hang on one supply: they are of one kind and have one set point.
fn one_supply(sections: &[Section<'_>], boards: &[Option<Board>]) {
    let mut firsts: HashMap<String, (usize, &Board)> = HashMap::new();
    for (index, board) in boards.iter().enumerate() {
        let Some(board) = board else { continue };
        if !matches!(board.control, Control::Port(_) | Control::Linux) {
            continue;
        }
        let key = board.control.to_string();
        let (first, other) = *firsts.entry(key).or_insert((index, board));
        let differs = |key, differs: bool| {
            if differs {
                let message =
                    format!("differs from that of board[{first}], which hangs on the same supply");
                sections[index].bad(key, message);
            }
        };
        differs("profile", other.profile != board.profile);
        differs("frequency_mhz", other.target_mhz() != board.target_mhz());
        differs("voltage_mv", other.target_mv() != board.target_mv());
        differs("enabled", other.enabled != board.enabled);
    }
}

/// A secret that can go over the wire; `None` is noted, without the secret.
fn usable_secret(section: &Section<'_>, key: &str, text: &str) -> Option<Secret> {
    if text.len() > 512 || text.contains(char::is_control) {
        section.bad(
            key,
            "the password must be one line of at most 512 characters",
        );
        return None;
    }
    Some(Secret::new(text))
}
