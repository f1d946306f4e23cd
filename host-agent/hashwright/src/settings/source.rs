//! Where the settings in force came from: the text of the config file, or, for an agent that was put
//! together without one, a text that says the same. What the text refers to is remembered, so that it means
//! tomorrow what it meant at the start, whatever has become of the files.

use std::collections::HashMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use autotune::Aim;
use board_profiles::Profile;
use payout::Network;
use serde_json::{Map, Value as Json, json};
use stratum::url::Scheme;
use toml_edit::{DocumentMut, Item, Table};

use super::doc;
use crate::config::reference;
use crate::config::{
    Board, Channel, Config, Control, CoolingMode, Environment, Pool, Strategy, System, Terms,
};

/// Files and variables as they were when they were first read.
#[derive(Debug, Default)]
pub(crate) struct Remembered {
    profiles: HashMap<String, Profile>,
    files: Mutex<HashMap<PathBuf, String>>,
    variables: Mutex<HashMap<String, String>>,
}

impl Remembered {
    /// These profiles are known by their names.
    pub(crate) fn with_profiles(config: &Config) -> Self {
        let mut profiles = HashMap::new();
        for board in &config.boards {
            let known = profiles.entry(board.profile.name.clone());
            known.or_insert_with(|| board.profile.clone());
        }
        Self {
            profiles,
            ..Self::default()
        }
    }

    /// Looks at files and variables anew, because somebody names them anew.
    pub(crate) fn forget_secrets(&self) {
        lock(&self.files).clear();
        lock(&self.variables).clear();
    }
}

impl Environment for Remembered {
    fn profile(&self, name: &str) -> Option<Profile> {
        self.profiles.get(name).cloned()
    }

    fn variable(&self, name: &str) -> Option<String> {
        if let Some(known) = lock(&self.variables).get(name) {
            return Some(known.clone());
        }
        let value = System.variable(name)?;
        lock(&self.variables).insert(name.to_owned(), value.clone());
        Some(value)
    }

    fn read(&self, path: &Path, limit: u64) -> io::Result<String> {
        if let Some(known) = lock(&self.files).get(path) {
            return Ok(known.clone());
        }
        let text = System.read(path, limit)?;
        lock(&self.files).insert(path.to_owned(), text.clone());
        Ok(text)
    }
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A document that says what can be changed of this config. It is never saved.
pub(crate) fn document(config: &Config) -> DocumentMut {
    let mut document = DocumentMut::new();
    let mut put = |name: &str, values: Json| {
        // Nothing here is null within a value.
        if let Some(table) = values
            .as_object()
            .and_then(|values| doc::table(&full(values), reference::keys(name)).ok())
        {
            document.insert(name, Item::Table(table));
        }
    };
    let upstream = &config.upstream;
    put("agent", json!({"name": config.agent.name}));
    put(
        "upstream",
        json!({
            "strategy": (upstream.strategy != Strategy::Failover).then(|| upstream.strategy.to_string()),
            "return_after_s": upstream.return_after.as_secs(),
            "idle_after_s": upstream.idle_after.map_or(0, |after| after.as_secs()),
        }),
    );
    put("cooling", cooling(config));
    let caps = config.tuner.caps;
    put(
        "tuner",
        json!({
            "target": (config.tuner.aim != Aim::Off).then(|| target(config.tuner.aim)),
            "max_chip_c": caps.chip_c,
            "max_board_c": caps.board_c,
            "max_fan_percent": caps.fan_percent,
            "max_watts": caps.watts,
            "max_mv": caps.mv,
        }),
    );
    let quotas = upstream.strategy == Strategy::Quota;
    let pools = config.pools.iter().map(|pool| pool_values(pool, quotas));
    let boards = config.boards.iter().map(board_values);
    document.insert("pool", list(pools));
    document.insert("board", list(boards));
    document
}

fn list(tables: impl Iterator<Item = Json>) -> Item {
    let tables = tables.filter_map(|values| doc::table(&full(values.as_object()?), &[]).ok());
    let mut list = toml_edit::ArrayOfTables::new();
    tables.for_each(|table: Table| list.push(table));
    Item::ArrayOfTables(list)
}

/// Only what there is.
fn full(values: &Map<String, Json>) -> Map<String, Json> {
    let there = values.iter().filter(|(_, value)| !value.is_null());
    there
        .map(|(key, value)| (key.clone(), value.clone()))
        .collect()
}

/// An aim as it stands in `[tuner]`.
pub(super) fn target(aim: Aim) -> Json {
    match aim {
        Aim::Off => "off".into(),
        Aim::Efficiency => "efficiency".into(),
        Aim::Watts(watts) => json!({"watts": doc::number(watts)}),
        Aim::Hashrate(ths) => json!({"hashrate": format!("{ths} TH/s")}),
        Aim::Profit {
            price_per_kwh,
            revenue_per_ths_day,
        } => json!({
            "price_per_kwh": doc::number(price_per_kwh),
            "revenue_per_ths_day": doc::number(revenue_per_ths_day),
        }),
    }
}

fn cooling(config: &Config) -> Json {
    match config.cooling.mode {
        CoolingMode::Auto => json!({"mode": "auto", "target_c": config.cooling.target_c}),
        CoolingMode::Manual(percent) => json!({"mode": "manual", "manual_percent": percent}),
        CoolingMode::Immersion => json!({"mode": "immersion", "confirm_immersion": true}),
    }
}

fn board_values(board: &Board) -> Json {
    let real = matches!(board.control, Control::Port(_) | Control::Linux);
    let slot = board.slot;
    json!({
        "profile": board.profile.name,
        "uart": board.uart.to_string(),
        "control": board.control.to_string(),
        "serial": board.serial,
        "revision": board.revision,
        "slot": slot,
        "frequency_mhz": board.frequency_mhz,
        "voltage_mv": board.voltage_mv,
        "enabled": (!board.enabled).then_some(false),
        "cooled_elsewhere": (real && board.profile.cooling.fans == 0).then_some(true),
        "scale_bits": (board.served_scale_bits > 0).then_some(board.served_scale_bits),
    })
}

fn pool_values(pool: &Pool, quotas: bool) -> Json {
    let network = pool.network.map(|network| match network {
        Network::Bitcoin => "main",
        Network::Testnet => "testnet",
        Network::Testnet4 => "testnet4",
        Network::Signet => "signet",
        Network::Regtest => "regtest",
    });
    let secret = (pool.url.scheme() != Scheme::V2).then(|| pool.password.expose());
    let address = pool.payout.addresses.first().filter(|_| pool.payout.named);
    let mut values = json!({
        "url": pool.url.to_string(),
        "user": (!pool.user.is_empty()).then_some(&pool.user),
        "password": secret.filter(|secret| *secret != "x"),
        "quota": quotas.then_some(pool.quota),
        "payout_address": address.map(ToString::to_string),
        "min_payout_percent": pool.payout.min_percent.map(payout::Percent::get),
        "network": network,
        "proxy": pool.proxy.as_ref().map(ToString::to_string),
    });
    let terms = match &pool.terms {
        Terms::V1 {
            suggest_difficulty,
            extranonce_subscribe,
            version_rolling,
        } => json!({
            "suggest_difficulty": suggest_difficulty,
            "extranonce_subscribe": extranonce_subscribe,
            "version_rolling": version_rolling,
        }),
        Terms::V2 { channel } => json!({
            "channel": (*channel == Channel::Standard).then_some("standard"),
            "trust_any_key": pool.url.authority_key().is_none().then_some(true),
        }),
        Terms::Solo { cookie, tag, .. } => json!({
            "cookie_file": cookie,
            "password": cookie.is_none().then(|| pool.password.expose()),
            "coinbase_tag": tag,
        }),
    };
    if let (Some(values), Json::Object(terms)) = (values.as_object_mut(), terms) {
        values.extend(terms);
    }
    values
}
