//! What each setting may be, for programs that build forms of it. The config's own reader is what decides; a
//! test holds the numbers here to it.

use board_profiles::Profile;
use rpc::settings::Constraint;
use serde_json::Value as Json;
use toml_edit::{DocumentMut, Value};

use super::doc::{self, Path};
use super::tree::{Subject, Tree, rows};
use crate::config::reference::{Key, SECTIONS};
use crate::config::{Config, Control};

/// Numbers that a setting may have, ends included.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Limit {
    pub(crate) min: f64,
    pub(crate) max: f64,
    pub(crate) unit: Option<&'static str>,
}

/// Name of the setting, limits and unit.
const LIMITS: &[(&str, f64, f64, Option<&str>)] = &[
    ("upstream.return_after_s", 0.0, 604_800.0, Some("s")),
    ("upstream.idle_after_s", 0.0, 604_800.0, Some("s")),
    ("pool.quota", 1.0, 100.0, Some("%")),
    ("pool.min_payout_percent", 0.0, 100.0, Some("%")),
    ("pool.suggest_difficulty", 1e-6, 1e15, None),
    ("board.slot", 0.0, 15.0, None),
    ("board.sim.lost_bytes", 0.0, 0.1, None),
    ("board.sim.flipped_bytes", 0.0, 0.1, None),
    ("board.sim.split_bytes", 0.0, 0.1, None),
    ("board.sim.ambient_c", -20.0, 60.0, Some("°C")),
    ("cooling.manual_percent", 0.0, 100.0, Some("%")),
    ("tuner.target.watts", 1.0, 1e6, Some("W")),
    ("tuner.target.price_per_kwh", 0.0, 1e6, None),
    ("tuner.target.revenue_per_ths_day", 1e-9, 1e6, None),
    ("tuner.max_chip_c", 40.0, 120.0, Some("°C")),
    ("tuner.max_board_c", 30.0, 120.0, Some("°C")),
    ("tuner.max_fan_percent", 10.0, 100.0, Some("%")),
    ("tuner.max_watts", 1.0, 1e6, Some("W")),
    ("tuner.max_mv", 1.0, 1e5, Some("mV")),
];

/// Name of the setting and its words.
const CHOICES: &[(&str, &[&str])] = &[
    ("upstream.strategy", &["failover", "quota"]),
    (
        "pool.network",
        &["main", "testnet", "testnet4", "signet", "regtest"],
    ),
    ("pool.channel", &["extended", "standard"]),
    ("cooling.mode", &["auto", "manual", "immersion"]),
    ("api.local", &["none", "read", "operate", "tune", "admin"]),
];

/// Keys whose values are never shown, whatever table they stand in.
const SECRETS: &[&str] = &["password", "proxy_password", "secret", "token"];

/// Whether a value is a secret. The address of a webhook is one: whoever knows it may write there.
pub(crate) fn is_secret(table: &str, key: &str) -> bool {
    SECRETS.contains(&key) || (table, key) == ("webhook", "url")
}

/// The limits of a number, with those of the boards.
pub(crate) fn of(path: &Path, config: &Config) -> Option<Limit> {
    let boards = &config.boards;
    let board = path.index.and_then(|index| boards.get(index));
    if let (Some(board), "board", [key]) = (board, path.table.as_str(), &path.keys[..])
        && let Some(limit) = of_board(&board.profile, key)
    {
        return Some(limit);
    }
    let name = path.name();
    if name == "cooling.target_c" {
        let controlled = boards
            .iter()
            .filter(|board| board.control != Control::External);
        return Some(of_target(controlled.map(|board| &board.profile)));
    }
    let (_, min, max, unit) = LIMITS.iter().find(|(known, ..)| *known == name)?;
    Some(Limit {
        min: *min,
        max: *max,
        unit: *unit,
    })
}

/// The limits of a board's clock, MHz, or voltage, mV.
pub(crate) fn of_board(profile: &Profile, key: &str) -> Option<Limit> {
    match key {
        "frequency_mhz" => Some(Limit {
            min: profile.frequency.min_mhz,
            max: profile.frequency.max_mhz,
            unit: Some("MHz"),
        }),
        "voltage_mv" => Some(Limit {
            min: profile.voltage.min_mv.into(),
            max: profile.voltage.max_mv.into(),
            unit: Some("mV"),
        }),
        _ => None,
    }
}

/// How far below the beginning of throttling a target has to stay, K.
const MARGIN_K: f64 = 5.0;

/// The temperatures that all of these boards can hold.
pub(crate) fn of_target<'p>(profiles: impl Iterator<Item = &'p Profile>) -> Limit {
    let hot = profiles.map(|profile| profile.cooling.hot_c - MARGIN_K);
    let max = hot.fold(100.0, f64::min);
    Limit {
        min: 30.0_f64.min(max),
        max,
        unit: Some("°C"),
    }
}

/// The value of a key that is left out, if it is one.
pub(crate) fn default(key: &Key) -> Json {
    let value = key.default.and_then(|text| text.parse::<Value>().ok());
    value
        .and_then(|value| doc::json(&toml_edit::Item::Value(value)))
        .unwrap_or_default()
}

/// What each setting of a tree may be.
pub(crate) fn constraints(tree: &Tree, doc: &DocumentMut) -> Vec<Constraint> {
    let mut all = Vec::new();
    for section in SECTIONS
        .iter()
        .filter(|section| !section.name.contains('.'))
    {
        for (index, key) in rows(section, doc) {
            let path = Path {
                table: section.name.to_owned(),
                index,
                keys: vec![key.name.to_owned()],
            };
            all.push(constraint(tree, &path, key));
        }
    }
    all
}

fn constraint(tree: &Tree, path: &Path, key: &Key) -> Constraint {
    let boards = &tree.config.boards;
    let board = path
        .index
        .and_then(|index| boards.get(index))
        .filter(|_| path.table == "board");
    let limit = of(path, &tree.config);
    let of_profile = board.and_then(|board| match key.name {
        "frequency_mhz" => Some(doc::number(board.profile.frequency.default_mhz)),
        "voltage_mv" => Some(Json::from(board.profile.voltage.default_mv)),
        _ => None,
    });
    let name = path.name();
    let choices = CHOICES
        .iter()
        .find(|(known, _)| *known == name)
        .map_or(&[][..], |(_, words)| words);
    let kind = match key.kind {
        _ if !choices.is_empty() => "choice",
        "whole number" => "integer",
        "number" => "number",
        "true or false" => "boolean",
        "table" => "table",
        kind if kind.starts_with("list") => "list",
        _ => "text",
    };
    let subject = Subject::of(path);
    let allowed = match key.range {
        "" => String::new(),
        range => format!(" Allowed: {range}."),
    };
    Constraint {
        path: path.to_string(),
        kind: kind.to_owned(),
        min: limit.map(|limit| limit.min),
        max: limit.map(|limit| limit.max),
        default: of_profile.unwrap_or_else(|| default(key)),
        unit: limit.and_then(|limit| limit.unit).map(str::to_owned),
        choices: choices.iter().map(|word| (*word).to_owned()).collect(),
        role: subject.role(),
        restart: matches!(subject, Subject::Start(_)),
        description: format!("{}{allowed}", key.about),
    }
}
