//! Tuned profiles as files: what was learned of a board, as TOML for people or JSON for programs. Both hold the same
//! numbers exactly. Files come from elsewhere, so everything in them is checked before it is used; the agent checks
//! again what it is sent.

use std::collections::BTreeMap;
use std::io::Read;
use std::path::{Path, PathBuf};

use autotune::BoardModel;
use serde_json::value::RawValue;

/// The version of the format that is read and written.
pub const VERSION: u32 = 1;

/// Longest file that is read, bytes: a model of a thousand chips is a fifth of it.
pub const MAX_FILE: u64 = 1 << 20;

/// Most chips on a board.
const MAX_CHIPS: usize = 1024;
/// Most events in a history.
const MAX_HISTORY: usize = 32;
/// Longest serial number and name, bytes.
const MAX_NAME: usize = 64;

/// How a profile is written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum Format {
    /// For people.
    #[default]
    Toml,
    /// For programs.
    Json,
}

/// Why a file is no tuned profile that can be used.
#[derive(Debug, thiserror::Error)]
pub enum PortableError {
    /// It cannot be read at all.
    #[error("cannot read the tuned profile {path}: {source}")]
    Read {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// It is longer than any profile.
    #[error("{path} is longer than {} KiB: it is no tuned profile", MAX_FILE >> 10)]
    TooLong {
        /// The file.
        path: PathBuf,
    },
    /// Neither TOML nor JSON, or not with these fields.
    #[error("{path} is no tuned profile ({reason}). `hashwright tune export` writes one")]
    Syntax {
        /// The file.
        path: PathBuf,
        /// Where it does not fit.
        reason: String,
    },
    /// What it says cannot be.
    #[error("{path} cannot be used: {problem}")]
    Content {
        /// The file.
        path: PathBuf,
        /// What cannot be.
        problem: Problem,
    },
}

/// What in a profile cannot be.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum Problem {
    /// Of another version of the format.
    #[error(
        "it has version {0} of the format, and this program knows version {VERSION}; export it again with a program of this version"
    )]
    Version(u32),
    /// A name that is empty, too long or unprintable.
    #[error("its {0} must be 1 to {MAX_NAME} printable characters")]
    Name(&'static str),
    /// A number that is none, or out of all bounds.
    #[error("{what} is {value}, but must be from {least} to {most}")]
    Number {
        /// Which.
        what: String,
        /// What it is.
        value: f64,
        /// The least that it may be.
        least: f64,
        /// The most that it may be.
        most: f64,
    },
    /// Too many chips, or none.
    #[error("it has {0} chips, but a board has 1 to {MAX_CHIPS}")]
    Chips(usize),
    /// A covariance that belongs to other numbers.
    #[error("its covariance has {found} numbers, but {shared} shared numbers have {}", shared * shared)]
    Covariance {
        /// Numbers in it.
        found: usize,
        /// Shared numbers.
        shared: usize,
    },
    /// A history that is too long.
    #[error("its history has {0} events, but at most {MAX_HISTORY} are kept")]
    History(usize),
    /// An aim whose number cannot be meant.
    #[error("its aim cannot be meant: power and work must be above zero")]
    Aim,
    /// Another board's.
    #[error("it is of a {found} with {chips} chips, but {wanted} has {wanted_chips}")]
    OtherBoard {
        /// Profile that it was learned under.
        found: String,
        /// Its chips.
        chips: usize,
        /// Profile of the board.
        wanted: String,
        /// The board's chips.
        wanted_chips: usize,
    },
}

/// The tuned profile in a file, whichever way it is written.
///
/// # Errors
///
/// [`PortableError`] with the file and what is wrong with it.
pub fn read(path: &Path) -> Result<BoardModel, PortableError> {
    let failed = |source| PortableError::Read {
        path: path.to_owned(),
        source,
    };
    let file = std::fs::File::open(path).map_err(failed)?;
    let mut bytes = Vec::new();
    file.take(MAX_FILE + 1)
        .read_to_end(&mut bytes)
        .map_err(failed)?;
    if bytes.len() as u64 > MAX_FILE {
        return Err(PortableError::TooLong {
            path: path.to_owned(),
        });
    }
    let syntax = |reason: String| PortableError::Syntax {
        path: path.to_owned(),
        reason,
    };
    let text = String::from_utf8(bytes).map_err(|_| syntax("it is no text".to_owned()))?;
    let model = parse(&text).map_err(syntax)?;
    check(&model).map_err(|problem| PortableError::Content {
        path: path.to_owned(),
        problem,
    })?;
    Ok(model)
}

/// A tuned profile from text: JSON if it begins so, else TOML. Only its syntax is looked at.
///
/// # Errors
///
/// Where the text does not fit, in one line.
pub fn parse(text: &str) -> Result<BoardModel, String> {
    if text.trim_start().starts_with('{') {
        let raw: &RawValue = serde_json::from_str(text).map_err(|error| error.to_string())?;
        let all = exact(raw, DEEPEST)?.ok_or("it is null")?;
        return all.try_into().map_err(|error: toml::de::Error| {
            error
                .message()
                .lines()
                .next()
                .unwrap_or_default()
                .to_owned()
        });
    }
    let told = |error: toml::de::Error| {
        let line = error
            .span()
            .map(|span| 1 + text[..span.start.min(text.len())].matches('\n').count());
        let message = error.message().lines().next().unwrap_or_default();
        match line {
            Some(line) => format!("line {line}: {message}"),
            None => message.to_owned(),
        }
    };
    // TOML, unlike JSON, has words for what is no number.
    let all: toml::Table = toml::from_str(text).map_err(told)?;
    if let Some(place) = all.iter().find_map(|(name, value)| no_number(name, value)) {
        return Err(format!("{place} is no number"));
    }
    toml::from_str(text).map_err(told)
}

/// JSON with every number as it is written: the usual way to read it may miss the last bit. Nulls are left out.
fn exact(raw: &RawValue, depth: u8) -> Result<Option<toml::Value>, String> {
    let text = raw.get().trim();
    let told = |error: serde_json::Error| error.to_string();
    let deeper = || depth.checked_sub(1).ok_or("it is nested too deeply");
    Ok(Some(match text.as_bytes().first() {
        Some(b'{') => {
            let fields: BTreeMap<String, &RawValue> = serde_json::from_str(text).map_err(told)?;
            let mut table = toml::Table::new();
            for (name, value) in fields {
                if let Some(value) = exact(value, deeper()?)? {
                    table.insert(name, value);
                }
            }
            table.into()
        }
        Some(b'[') => {
            let values: Vec<&RawValue> = serde_json::from_str(text).map_err(told)?;
            let mut array = Vec::with_capacity(values.len());
            for value in values {
                array.push(exact(value, deeper()?)?.ok_or("a list holds null")?);
            }
            array.into()
        }
        Some(b'"') => serde_json::from_str::<String>(text).map_err(told)?.into(),
        Some(b't' | b'f') => serde_json::from_str::<bool>(text).map_err(told)?.into(),
        Some(b'n') | None => return Ok(None),
        Some(_) => match text.parse::<i64>() {
            Ok(whole) => whole.into(),
            Err(_) => text
                .parse::<f64>()
                .ok()
                .filter(|number| number.is_finite())
                .ok_or_else(|| format!("{text} is no number"))?
                .into(),
        },
    }))
}

/// Tables and lists in each other: a profile has four.
const DEEPEST: u8 = 8;

/// The first place at which a value is not finite.
fn no_number(place: &str, value: &toml::Value) -> Option<String> {
    match value {
        toml::Value::Float(number) if !number.is_finite() => Some(place.to_owned()),
        toml::Value::Array(values) => values
            .iter()
            .enumerate()
            .find_map(|(index, value)| no_number(&format!("{place}[{index}]"), value)),
        toml::Value::Table(table) => table
            .iter()
            .find_map(|(name, value)| no_number(&format!("{place}.{name}"), value)),
        _ => None,
    }
}

/// A tuned profile as text, with a line break at the end.
///
/// # Errors
///
/// Numbers that JSON has no words for; none of a profile that was checked.
pub fn write(model: &BoardModel, format: Format) -> Result<String, String> {
    match format {
        Format::Json => {
            let text = serde_json::to_string_pretty(model).map_err(|error| error.to_string())?;
            Ok(text + "\n")
        }
        Format::Toml => {
            let text = toml::to_string(model).map_err(|error| error.to_string())?;
            let head = "# A tuned profile: what was learned of this very board.\n\
                        # The fields and their units: docs/tuned-profiles.md.\n";
            Ok(format!("{head}{text}"))
        }
    }
}

/// The format that a file's name asks for.
#[must_use]
pub fn format_of(path: &Path) -> Format {
    match path.extension() {
        Some(extension) if extension.eq_ignore_ascii_case("json") => Format::Json,
        _ => Format::Toml,
    }
}

/// Says what in a profile cannot be, if anything: it need not fit a board yet.
///
/// # Errors
///
/// The first [`Problem`].
pub fn check(model: &BoardModel) -> Result<(), Problem> {
    if model.version != VERSION {
        return Err(Problem::Version(model.version));
    }
    for (what, text) in [
        ("serial number", &model.serial),
        ("profile", &model.profile),
    ] {
        let fits = (1..=MAX_NAME).contains(&text.len());
        if !fits || text.chars().any(char::is_control) {
            return Err(Problem::Name(what));
        }
    }
    if !(1..=MAX_CHIPS).contains(&model.chips.len()) {
        return Err(Problem::Chips(model.chips.len()));
    }
    let shared = model.shared.len();
    if model.covariance.len() != shared * shared {
        let found = model.covariance.len();
        return Err(Problem::Covariance { found, shared });
    }
    if model.history.len() > MAX_HISTORY {
        return Err(Problem::History(model.history.len()));
    }
    if !model.aim.is_sane() {
        return Err(Problem::Aim);
    }
    let number = |what: &dyn std::fmt::Display, value: f64, least: f64, most: f64| {
        // Not a number is in no range.
        if (least..=most).contains(&value) {
            return Ok(());
        }
        Err(Problem::Number {
            what: what.to_string(),
            value,
            least,
            most,
        })
    };
    number(&"mv", model.mv, 1.0, 100_000.0)?;
    number(&"power_factor", model.power_factor, 0.1, 10.0)?;
    number(&"regret", model.regret, 0.0, 1e6)?;
    number(&"conditions[0]", model.conditions.0, -60.0, 150.0)?;
    number(&"conditions[1]", model.conditions.1, 0.0, 100.0)?;
    for (index, &value) in model.shared.iter().enumerate() {
        number(&format_args!("shared[{index}]"), value, -1e6, 1e6)?;
    }
    for (index, &value) in model.covariance.iter().enumerate() {
        let variance = index % (shared + 1) == 0;
        let least = if variance { 0.0 } else { -1e9 };
        number(&format_args!("covariance[{index}]"), value, least, 1e9)?;
    }
    for (index, chip) in model.chips.iter().enumerate() {
        let of = |field: &str| format!("chips[{index}].{field}");
        number(&of("offset_mv"), chip.offset_mv, -1_000.0, 1_000.0)?;
        number(&of("sd_mv"), chip.sd_mv, 0.0, 1_000.0)?;
        number(&of("mhz"), chip.mhz, 1.0, 10_000.0)?;
    }
    for (index, domain) in model.domains.iter().enumerate() {
        let of = |field: &str| format!("domains[{index}].{field}");
        number(&of("leak"), domain.leak, -1e3, 1e3)?;
        number(&of("sd"), domain.sd, 0.0, 1e3)?;
    }
    if let Some(calibration) = &model.calibration {
        number(&"calibration.factor", calibration.factor, 0.1, 10.0)?;
        number(&"calibration.sd", calibration.sd, 0.0, 10.0)?;
        number(&"calibration.watts", calibration.watts, 0.0, 1e6)?;
    }
    for (index, fitted) in model.fitted.iter().enumerate() {
        number(
            &format_args!("fitted[{index}].value"),
            fitted.value,
            -1e12,
            1e12,
        )?;
        number(&format_args!("fitted[{index}].sd"), fitted.sd, 0.0, 1e12)?;
    }
    Ok(())
}

/// Says whether a profile can be of a board of this kind.
///
/// # Errors
///
/// [`Problem::OtherBoard`].
pub fn check_board(model: &BoardModel, profile: &str, chips: usize) -> Result<(), Problem> {
    if model.profile == profile && model.chips.len() == chips {
        return Ok(());
    }
    Err(Problem::OtherBoard {
        found: model.profile.clone(),
        chips: model.chips.len(),
        wanted: profile.to_owned(),
        wanted_chips: chips,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use autotune::{Aim, Caps, Layout, Tuner};
    use board_profiles::Profile;

    fn model(name: &str, aim: Aim) -> BoardModel {
        let layout = Layout::from_profile(
            &Profile::builtin(name).unwrap(),
            vec![Some("SN-0001".to_owned())],
        );
        let tuner = Tuner::new(layout, aim, Caps::default(), Vec::new(), 1).unwrap();
        tuner.models().remove(0)
    }

    fn aims() -> [Aim; 5] {
        [
            Aim::Off,
            Aim::Efficiency,
            Aim::Watts(2400.1),
            Aim::Hashrate(95.0),
            Aim::Profit {
                price_per_kwh: 0.1 + 0.2,
                revenue_per_ths_day: 0.05,
            },
        ]
    }

    fn written(name: &str, text: &str) -> (tempfile::TempDir, PathBuf) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(name);
        std::fs::write(&path, text).unwrap();
        (folder, path)
    }

    fn refused(text: &str) -> String {
        let (_folder, path) = written("profile", text);
        read(&path).unwrap_err().to_string()
    }

    #[test]
    fn both_ways_of_writing_hold_the_same_numbers_exactly() {
        for (name, aim) in ["bitaxe-gamma", "s21"]
            .iter()
            .flat_map(|name| aims().into_iter().map(move |aim| (name, aim)))
        {
            let mut model = model(name, aim);
            model.power_factor = 1.0 / 3.0 + 0.7;
            model.chips[0].offset_mv = -0.1 - 0.2;
            for format in [Format::Toml, Format::Json] {
                let text = write(&model, format).unwrap();
                let (_folder, path) = written("board", &text);
                assert_eq!(read(&path).unwrap(), model, "{format:?} {aim:?}");
            }
        }
    }

    #[test]
    fn a_file_that_is_something_else_is_refused_with_the_place() {
        assert!(refused("version = 1\nserial = 7\n").contains("line 2"));
        assert!(refused("{\"version\": 1}").contains("missing field"));
        assert!(refused("").contains("missing field"));
        assert!(refused("{\"version\": 1,").contains("EOF"));
        assert!(refused("{\"mv\": 1e999}").contains("1e999 is no number"));
        let deep = format!("{{\"a\": {}{}}}", "[".repeat(9000), "]".repeat(9000));
        assert!(refused(&deep).contains("nested"), "deep");
        assert!(refused("\u{7f}ELF").contains("no tuned profile"));
        let (_folder, path) = written("long", &"#".repeat(MAX_FILE as usize + 1));
        assert!(read(&path).unwrap_err().to_string().contains("1024 KiB"));
        let nowhere = read(Path::new("/nonexistent/profile.toml")).unwrap_err();
        assert!(nowhere.to_string().starts_with("cannot read"), "{nowhere}");
    }

    #[test]
    fn numbers_that_cannot_be_are_refused_by_their_names() {
        let good = model("bitaxe-gamma", Aim::Efficiency);
        assert_eq!(check(&good), Ok(()));
        let told = |change: fn(&mut BoardModel)| {
            let mut model = good.clone();
            change(&mut model);
            check(&model).unwrap_err().to_string()
        };
        for (change, part) in [
            ((|m| m.version = 2) as fn(&mut BoardModel), "version 2"),
            (|m| m.mv = f64::NAN, "mv is NaN"),
            (|m| m.mv = -1.0, "mv is -1"),
            (|m| m.power_factor = f64::INFINITY, "power_factor is inf"),
            (|m| m.chips[0].sd_mv = -0.5, "chips[0].sd_mv is -0.5"),
            (|m| m.chips[0].mhz = 0.0, "chips[0].mhz is 0"),
            (|m| m.shared[1] = f64::NAN, "shared[1] is NaN"),
            (|m| m.covariance[0] = -1.0, "covariance[0] is -1"),
            (|m| m.covariance.truncate(1), "covariance has"),
            (|m| m.chips.clear(), "0 chips"),
            (|m| m.serial = "a\u{1b}".to_owned(), "serial number"),
            (|m| m.serial.clear(), "serial number"),
            (|m| m.aim = Aim::Watts(-5.0), "aim"),
        ] {
            let told = told(change);
            assert!(told.contains(part), "{part}: {told}");
        }
        let text = write(&good, Format::Toml).unwrap();
        let hostile = text.replacen("power_factor = 1.0", "power_factor = nan", 1);
        assert_ne!(text, hostile);
        assert!(refused(&hostile).contains("power_factor is no number"));
    }

    #[test]
    fn a_profile_of_another_board_is_told_from_ours() {
        let model = model("bitaxe-gamma", Aim::Efficiency);
        assert_eq!(check_board(&model, "bitaxe-gamma", 1), Ok(()));
        let other = check_board(&model, "s21", 108).unwrap_err();
        let text = other.to_string();
        assert!(
            text.contains("bitaxe-gamma") && text.contains("108"),
            "{text}"
        );
    }
}
