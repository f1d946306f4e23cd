//! What a station is made of: boards of one kind that hang on one supply, how they are reached, and
//! what the user wants of them. Everything else comes from the profile.

use std::sync::Arc;

use board_profiles::{Control, Profile};
use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::{
    cooling::{FanSettings, Gains, Mode},
    derate::{Curve, DerateSettings, SetPoint},
    latch::StoredFault,
};

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
    /// The fault that an earlier run left latched. It stays so until a person clears it.
    pub latched: Option<StoredFault>,
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
            latched: None,
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

    /// Input power of all boards at the default setting, W: published, or half of what they may draw.
    #[must_use]
    pub fn nominal_w(&self) -> f64 {
        let (nominal, limits) = (&self.profile.nominal, &self.profile.limits);
        let per_board = nominal
            .efficiency_j_per_th
            .map_or(limits.power_w / 2.0, |j_per_th| {
                j_per_th * nominal.hashrate_ths
            });
        per_board * self.boards.len() as f64
    }

    /// What the fans aim for.
    #[must_use]
    pub fn fan_settings(&self) -> FanSettings {
        let cooling = &self.profile.cooling;
        let target = self.cooling.target_c.unwrap_or(cooling.target_c);
        FanSettings {
            target_c: target.min(cooling.hot_c - 5.0).max(LOWEST_TARGET_C),
            hot_c: cooling.hot_c,
            min_percent: f64::from(cooling.min_percent),
            start_percent: f64::from(cooling.start_percent),
            nominal_w: self.nominal_w(),
            feed_forward_percent: f64::from(cooling.start_percent) * FEED_FORWARD_SHARE,
            gains: Gains::default(),
        }
    }

    /// When to throttle.
    #[must_use]
    pub fn derate_settings(&self) -> DerateSettings {
        let cooling = &self.profile.cooling;
        let limit_c = self
            .profile
            .limit_c(cooling.sensor)
            .unwrap_or(cooling.hot_c + 5.0);
        DerateSettings::between(cooling.hot_c, limit_c)
    }

    /// The voltage that each clock needs, as the profile has it.
    #[must_use]
    pub fn curve(&self) -> Curve {
        let (f, v) = (&self.profile.frequency, &self.profile.voltage);
        let points: Vec<(f64, u32)> = if self.profile.curve.is_empty() {
            vec![(f.min_mhz, v.min_mv), (f.default_mhz, v.default_mv)]
        } else {
            self.profile.curve.iter().map(|p| (p.mhz, p.mv)).collect()
        };
        Curve::new(&points, v.min_mv)
    }
}

/// Nobody may ask fans to hold less than this, °C; they would run at full speed for ever.
pub(crate) const LOWEST_TARGET_C: f64 = 30.0;

/// Share of the starting duty that the feed-forward asks for at nominal power; the PID adds what is
/// missing.
const FEED_FORWARD_SHARE: f64 = 0.7;
