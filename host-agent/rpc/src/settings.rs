//! What can be changed, and how: the wishes of people, how each is to be carried out, and what came of it.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use station::Mode;

use crate::{Error, Role};

/// Shortest time within which a change can be wanted confirmed, seconds.
pub const MIN_CONFIRM_S: u32 = 5;
/// Longest time within which a change can be wanted confirmed, seconds.
pub const MAX_CONFIRM_S: u32 = 3600;

/// How a change is to be made.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct WriteOptions {
    /// Say what would change, and change nothing.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub dry_run: bool,
    /// Undo the change after so many seconds, 5 to 3600, unless `config.confirm` comes.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 5, max = 3600))]
    pub confirm_within_s: Option<u32>,
    /// Write it into the config file; true by default where there is one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub save: Option<bool>,
}

impl WriteOptions {
    /// The same options, if they make sense.
    ///
    /// # Errors
    ///
    /// A time to confirm that is out of range.
    pub fn checked(self) -> Result<Self, Error> {
        match self.confirm_within_s {
            Some(s) if !(MIN_CONFIRM_S..=MAX_CONFIRM_S).contains(&s) => {
                Err(Error::invalid_params(format!(
                    "confirm_within_s is {s}, but must be from {MIN_CONFIRM_S} to {MAX_CONFIRM_S}"
                )))
            }
            _ => Ok(self),
        }
    }
}

/// What a change came to.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Changed {
    /// What is, or with `dry_run` would be, different. Empty if everything was so already.
    pub changes: Vec<Change>,
    /// It is so now; false for a dry run.
    pub applied: bool,
    /// It stands in the config file, so that it outlives a restart.
    pub saved: bool,
    /// It is undone unless it is confirmed; null if it stays.
    pub pending: Option<Pending>,
    /// What a person should know, e.g. why it could not be saved.
    pub notes: Vec<String>,
}

/// One setting before and after.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Change {
    /// Which, e.g. `cooling.mode` or `pool[1].url`.
    pub path: String,
    /// Value before; null if there was none. Secrets are told as `"***"`.
    pub from: Value,
    /// Value after; null if there is none.
    pub to: Value,
}

/// A change that waits for its confirmation.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Pending {
    /// For `config.confirm` and `config.rollback`.
    pub id: String,
    /// It is undone after so many seconds.
    pub rolls_back_in_s: f64,
}

/// A pending change in the list of all.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct PendingChange {
    /// For `config.confirm` and `config.rollback`.
    pub id: String,
    /// It is undone after so many seconds.
    pub rolls_back_in_s: f64,
    /// Who made it.
    pub by: String,
    /// What is undone then.
    pub changes: Vec<Change>,
}

/// Id of a pending change.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct PendingId {
    /// As the change was answered with it, and as in `config.pending`.
    pub id: String,
}

/// How fans are run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum CoolingMode {
    /// Fans hold the target temperature.
    Auto,
    /// Fans turn at a fixed duty.
    Manual,
    /// The boards are in a liquid.
    Immersion,
}

/// How boards are to be cooled. At least one of `mode`, `percent` and `target_c`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct CoolingSet {
    /// A board, whose station is meant; without it all stations.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub board: Option<usize>,
    /// How fans are run; without it as before.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mode: Option<CoolingMode>,
    /// Duty for `manual`, 0 to 100 %; required there.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(max = 100))]
    pub percent: Option<u8>,
    /// For `immersion`, which is refused without it: a person has made sure that the boards are in liquid.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub confirm_immersion: Option<bool>,
    /// Temperature to hold in `auto`, °C.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub target_c: Option<f64>,
}

impl CoolingSet {
    /// The mode asked for, if one is.
    ///
    /// # Errors
    ///
    /// `manual` without a duty, or with one above 100 %.
    pub fn wanted_mode(&self) -> Result<Option<Mode>, Error> {
        Ok(match self.mode {
            None => None,
            Some(CoolingMode::Auto) => Some(Mode::Auto),
            Some(CoolingMode::Manual) => match self.percent {
                Some(percent @ ..=100) => Some(Mode::Manual { percent }),
                _ => {
                    return Err(Error::invalid_params("manual needs percent, from 0 to 100"));
                }
            },
            Some(CoolingMode::Immersion) => Some(Mode::Immersion {
                confirmed: self.confirm_immersion == Some(true),
            }),
        })
    }
}

/// A latched fault whose cause is gone, as a person says.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ClearFault {
    /// Index of a board.
    pub board: usize,
    /// Code of the latched fault, repeated, so that nobody clears another one than they looked at.
    pub code: String,
}

/// What a board is to run at. Limits are those of its profile.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct BoardSet {
    /// Index of a board.
    pub board: usize,
    /// Clock to mine at, MHz.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub frequency_mhz: Option<f64>,
    /// Core voltage to mine at, mV as the profile counts it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub voltage_mv: Option<u32>,
    /// Whether it mines at all; false takes its power.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub enabled: Option<bool>,
}

/// The keys of a `[[pool]]` as in the config, where `docs/config.md` tells of each. Only `url` is needed for a
/// new one.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct PoolSettings {
    /// Where it listens, and what it speaks.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub url: Option<String>,
    /// User or payout address, with the worker's name as the pool wants it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub user: Option<String>,
    /// Password: a text, `{"file": "..."}` or `{"env": "..."}`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub password: Option<Value>,
    /// Percent of the work, with the strategy `quota`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub quota: Option<u32>,
    /// Address that should be paid.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub payout_address: Option<String>,
    /// Work that pays it less is refused, percent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub min_payout_percent: Option<f64>,
    /// Network that it mines on.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub network: Option<String>,
    /// Cookie file of a node.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cookie_file: Option<String>,
    /// What blocks mined on a node say of who found them.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub coinbase_tag: Option<String>,
    /// How it is known over TLS: `{"ca": "..."}` or `{"fingerprint": "..."}`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tls: Option<Value>,
    /// Kind of Stratum V2 channel.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub channel: Option<String>,
    /// Whether a Stratum V2 pool without an authority key is trusted.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub trust_any_key: Option<bool>,
    /// SOCKS5 proxy on the way to it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub proxy: Option<String>,
    /// User at the proxy.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub proxy_user: Option<String>,
    /// Password at the proxy: a text, `{"file": "..."}` or `{"env": "..."}`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub proxy_password: Option<Value>,
    /// Share difficulty to ask for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub suggest_difficulty: Option<f64>,
    /// Whether to ask for extranonce changes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub extranonce_subscribe: Option<bool>,
    /// Whether to ask for version rolling.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub version_rolling: Option<bool>,
}

/// A pool to add.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct PoolAdd {
    /// Its place in the list, from 0; without it the last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub index: Option<usize>,
    /// Its settings.
    pub pool: PoolSettings,
}

/// A pool to change.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct PoolUpdate {
    /// Its place in the list, from 0.
    pub index: usize,
    /// What is to be different; the other settings stay.
    pub pool: PoolSettings,
    /// Names of settings that go back to their defaults.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub clear: Vec<String>,
}

/// A pool to remove.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct PoolRemove {
    /// Its place in the list, from 0.
    pub index: usize,
}

/// Another order of the pools.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct PoolOrder {
    /// Present places of the pools that are to come first, in their new order; the others follow as they stood.
    pub order: Vec<usize>,
}

/// Other pools than before.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct PoolSet {
    /// All pools, in order of priority.
    pub pools: Vec<PoolSettings>,
}

/// Settings by path.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ConfigSet {
    /// New values by path, e.g. `{"cooling.mode": "auto"}`; null goes back to the default. All of them or none.
    pub values: Map<String, Value>,
}

/// Which settings to tell.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct PathFilter {
    /// Only those at or below this path, e.g. `cooling` or `pool[0]`; without it all.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub path: Option<String>,
}

/// The settings in force.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct View {
    /// The config file; null if the agent runs without one.
    pub file: Option<String>,
    /// Whether changes can be saved there.
    pub writable: bool,
    /// Every setting.
    pub settings: Vec<Setting>,
}

/// One setting.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Setting {
    /// Which, e.g. `cooling.mode` or `pool[1].url`.
    pub path: String,
    /// Its value; null for secrets, which are never told.
    pub value: Value,
    /// It is a secret.
    pub secret: bool,
    /// Where the value comes from: `default`, `file`, `profile`, or `changed` since the start.
    pub origin: String,
}

/// What a setting may be.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Constraint {
    /// Which, e.g. `board[0].frequency_mhz`.
    pub path: String,
    /// Kind of value: `text`, `integer`, `number`, `boolean`, `choice`, `list` or `table`.
    pub kind: String,
    /// Lowest value; null if there is none.
    pub min: Option<f64>,
    /// Highest value; null if there is none.
    pub max: Option<f64>,
    /// Value unless something else is set; null if there is none.
    pub default: Value,
    /// Unit of the value, e.g. `MHz`; null if it has none.
    pub unit: Option<String>,
    /// All values of a choice.
    pub choices: Vec<String>,
    /// Who may change it.
    pub role: Role,
    /// It is only read at the start: a change is saved, and takes effect with the next start.
    pub restart: bool,
    /// What it is.
    pub description: String,
}

/// The text of a config.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ConfigCheck {
    /// TOML, as the file would be.
    pub text: String,
}

/// What is to be said of the text of a config.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ConfigReport {
    /// An agent could start with it.
    pub valid: bool,
    /// What is wrong, with lines.
    pub problems: Vec<String>,
    /// What is allowed, but worth a thought.
    pub warnings: Vec<String>,
}
