//! What a station is made of: boards of one kind that hang on one supply, how they are reached, and
//! what the user wants of them. Everything else comes from the profile.

use std::sync::Arc;

use board_profiles::{Control, Profile};
use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::{cooling::Mode, derate::SetPoint};

/// A station's parts and wishes.
#[derive(Clone, Debug)]
pub struct StationConfig {
    /// What the boards are, of one revision: see [`Profile::for_revision`].
    pub profile: Arc<Profile>,
    /// Whose lines and buses are used: the board controller's or the Linux board's.
    pub control: Control,
    /// The boards, one or more that one supply feeds and that are switched together.
    pub boards: Vec<BoardConfig>,
    /// How it is cooled.
    pub cooling: CoolingOptions,
}

/// One board of a station.
#[derive(Clone, Debug, PartialEq)]
pub struct BoardConfig {
    /// Its name in the config, for messages.
    pub name: String,
    /// Its place in the machine, from 0: which pins and addresses are its own.
    pub slot: u8,
    /// Its revision; none means the newest.
    pub revision: Option<String>,
}

/// How a station is cooled.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct CoolingOptions {
    /// How fans are run.
    pub mode: Mode,
    /// Temperature to hold, °C, instead of the profile's.
    pub target_c: Option<f64>,
}

impl Default for CoolingOptions {
    fn default() -> Self {
        Self {
            mode: Mode::Auto,
            target_c: None,
        }
    }
}

/// Why a station cannot be made.
#[derive(Clone, Debug, PartialEq, Error)]
pub enum ConfigError {
    /// There is no board in it.
    #[error("a station needs at least one board")]
    NoBoard,
    /// Several boards, but each has a regulator of its own.
    #[error("boards of {0} have regulators of their own; each needs a station of its own")]
    NotShared(String),
    /// The boards cannot be controlled this way.
    #[error("{0}")]
    Control(String),
    /// The profile lacks something that the station needs.
    #[error("the profile of {model} says nothing of {what}, so that the board cannot be guarded")]
    Lacking {
        /// Model of the board.
        model: String,
        /// What is missing.
        what: String,
    },
    /// The guard refused its limits.
    #[error("limits of {model}: {reason}")]
    Limits {
        /// Model of the board.
        model: String,
        /// Why.
        reason: String,
    },
    /// Two boards in one slot, or a slot that the controller does not have.
    #[error("slot {0} is used twice or does not exist")]
    Slot(u8),
    /// Immersion without the word of a person.
    #[error("immersion has to be confirmed: nobody watches the fans in it")]
    Unconfirmed,
}

impl StationConfig {
    /// A station of one board in slot 0.
    #[must_use]
    pub fn single(profile: Arc<Profile>, control: Control, name: impl Into<String>) -> Self {
        Self {
            profile,
            control,
            boards: vec![BoardConfig {
                name: name.into(),
                slot: 0,
                revision: None,
            }],
            cooling: CoolingOptions::default(),
        }
    }

    /// What boards are set to unless told otherwise.
    #[must_use]
    pub fn default_set_point(&self) -> SetPoint {
        SetPoint {
            mhz: self.profile.frequency.default_mhz,
            mv: self.profile.voltage.default_mv,
        }
    }
}
