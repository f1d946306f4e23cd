//! Finding, reading and parsing profiles, and what can be computed from one.

use std::io::Read;
use std::path::Path;
use std::time::Duration;

use bm13xx::{Baud, ChainConfig, Megahertz, TicketMask};

use crate::builtin::BUILTIN;
use crate::error::{Problem, ProfileError};
use crate::schema::{Profile, VoltageScope};
use crate::{chip, validate};

/// Longest profile file that is read, bytes. Built-in ones are about 3 kB.
const MAX_FILE_BYTES: u64 = 256 * 1024;

impl Profile {
    /// Names of the built-in profiles.
    pub fn names() -> impl Iterator<Item = &'static str> {
        BUILTIN.iter().map(|(name, _)| *name)
    }

    /// The built-in profile called `name`.
    ///
    /// # Errors
    /// [`ProfileError::UnknownName`] with the nearest known name.
    pub fn builtin(name: &str) -> Result<Self, ProfileError> {
        match BUILTIN.iter().find(|(known, _)| *known == name) {
            Some((known, text)) => Self::parse(&format!("{known}.toml"), text),
            None => Err(ProfileError::UnknownName {
                name: name.to_owned(),
                suggestion: nearest(name, Self::names()).map(str::to_owned),
                known: Self::names().collect(),
            }),
        }
    }

    /// The profile in the file at `path`.
    ///
    /// # Errors
    /// The file cannot be read, is not a profile, or asks for the impossible.
    pub fn load(path: &Path) -> Result<Self, ProfileError> {
        let read = || {
            let mut text = String::new();
            let file = std::fs::File::open(path)?;
            let read = file.take(MAX_FILE_BYTES + 1).read_to_string(&mut text)?;
            if read as u64 > MAX_FILE_BYTES {
                let reason =
                    format!("longer than the {MAX_FILE_BYTES} bytes allowed for a profile");
                return Err(std::io::Error::other(reason));
            }
            Ok(text)
        };
        let text = read().map_err(|source| ProfileError::Read {
            path: path.to_owned(),
            source,
        })?;
        let file = path.file_name().map_or_else(
            || path.display().to_string(),
            |name| name.to_string_lossy().into_owned(),
        );
        Self::parse(&file, &text)
    }

    /// The profile that a config means: that of a file if [`Profile::is_path`], else the
    /// built-in one of this name.
    ///
    /// # Errors
    /// As [`Profile::load`] and [`Profile::builtin`].
    pub fn resolve(name_or_path: &str) -> Result<Self, ProfileError> {
        if Self::is_path(name_or_path) {
            Self::load(Path::new(name_or_path))
        } else {
            Self::builtin(name_or_path)
        }
    }

    /// Whether a config means a file by this: it contains `/` or ends in `.toml`.
    #[must_use]
    pub fn is_path(name_or_path: &str) -> bool {
        let extension = Path::new(name_or_path).extension();
        name_or_path.contains('/') || extension.is_some_and(|extension| extension == "toml")
    }

    /// Parses and checks the text of a profile; `file` is its name in errors.
    ///
    /// # Errors
    /// All but [`ProfileError::UnknownName`] and [`ProfileError::Read`].
    pub fn parse(file: &str, text: &str) -> Result<Self, ProfileError> {
        let profile: Self =
            toml::from_str(text).map_err(|error| parse_error(file, text, &error))?;
        let problems = validate::problems(&profile);
        if problems.is_empty() {
            Ok(profile)
        } else {
            Err(ProfileError::Invalid {
                file: file.to_owned(),
                problems,
            })
        }
    }

    /// What the board should deliver at a clock of `mhz`, hashes per second.
    #[must_use]
    pub fn hashrate_hps(&self, mhz: f64) -> f64 {
        let model = self.chain.chip.model();
        model.hashrate_hps(Megahertz::new(mhz), self.chain.chips)
    }

    /// The description from which the driver makes its plans, for a clock of `mhz`.
    #[must_use]
    pub fn chain_config(&self, mhz: f64) -> ChainConfig {
        let (chain, frequency) = (&self.chain, &self.frequency);
        ChainConfig {
            domains: chain.domains,
            baud: Baud::new(chain.baud),
            ticket: TicketMask::from_difficulty(f64::from(chain.ticket_difficulty)),
            start: Megahertz::new(frequency.start_mhz),
            ramp_step_wait: Duration::from_millis(u64::from(frequency.ramp_interval_ms)),
            ..ChainConfig::new(chain.chip, chain.chips, Megahertz::new(mhz))
        }
    }

    /// Largest scale at which the board can be simulated: one zero bit of the ticket must remain,
    /// and the simulator goes to 40.
    #[must_use]
    pub fn max_scale_bits(&self) -> u8 {
        let ticket = TicketMask::from_difficulty(f64::from(self.chain.ticket_difficulty));
        (31 + ticket.extra_zero_bits()).min(40)
    }

    /// Checks a clock that somebody asks for against the board's limits.
    ///
    /// # Errors
    /// A [`Problem`] that tells the range.
    pub fn check_frequency(&self, field: &str, mhz: f64) -> Result<(), Problem> {
        let f = &self.frequency;
        if (f.min_mhz..=f.max_mhz).contains(&mhz) {
            chip::check_clock(self.chain.chip, mhz).map_err(|reason| Problem {
                field: field.to_owned(),
                value: mhz.to_string(),
                reason,
            })
        } else {
            Err(Problem {
                field: field.to_owned(),
                value: mhz.to_string(),
                reason: format!(
                    "{} runs at {} to {} MHz (default {})",
                    self.model, f.min_mhz, f.max_mhz, f.default_mhz
                ),
            })
        }
    }

    /// Volts at one chip for a setting of `setting_mv`, mV.
    #[must_use]
    pub fn chip_mv(&self, setting_mv: u32) -> f64 {
        match self.voltage.scope {
            VoltageScope::Chip => f64::from(setting_mv),
            VoltageScope::Board | VoltageScope::Psu => {
                f64::from(setting_mv) / f64::from(self.chain.domains.max(1))
            }
        }
    }

    /// Volts that the regulator or power supply must put out for a setting of `setting_mv`, mV.
    #[must_use]
    pub fn rail_mv(&self, setting_mv: u32) -> u32 {
        match self.voltage.scope {
            VoltageScope::Chip => setting_mv.saturating_mul(u32::from(self.chain.domains)),
            VoltageScope::Board | VoltageScope::Psu => setting_mv,
        }
    }
}

/// The candidate that somebody who wrote `word` may have meant, if one is near.
pub fn nearest<'a>(word: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let word = word.to_lowercase();
    candidates
        .into_iter()
        .map(|candidate| (strsim::jaro_winkler(&word, candidate), candidate))
        .filter(|(likeness, _)| *likeness >= 0.75)
        .max_by(|a, b| a.0.total_cmp(&b.0))
        .map(|(_, candidate)| candidate)
}

/// Turns a parser's error into ours, with the nearest key for an unknown one.
fn parse_error(file: &str, text: &str, error: &toml::de::Error) -> ProfileError {
    let offset = error.span().map_or(0, |span| span.start);
    let line = text
        .as_bytes()
        .iter()
        .take(offset)
        .filter(|byte| **byte == b'\n')
        .count()
        + 1;
    let message = error.message();
    let mut quoted = message.split('`').skip(1).step_by(2);
    if message.starts_with("unknown field")
        && let Some(key) = quoted.next()
    {
        let known: Vec<&str> = quoted.collect();
        return ProfileError::UnknownKey {
            file: file.to_owned(),
            line,
            key: key.to_owned(),
            suggestion: nearest(key, known).map(str::to_owned),
        };
    }
    ProfileError::Syntax {
        file: file.to_owned(),
        line,
        message: message.to_owned(),
    }
}
