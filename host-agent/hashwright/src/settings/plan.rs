//! From a wish to what would be different: pure, so that a dry run is the same as the real one up to the
//! moment when something is touched.

use std::collections::BTreeSet;

use autotune::Aim;
use rpc::Error;
use rpc::settings::{
    BoardSet, Change, ConfigSet, CoolingSet, PoolAdd, PoolOrder, PoolRemove, PoolSet, PoolSettings,
    PoolUpdate,
};
use rpc::tuner::{ChipClock, TunerSet};
use serde_json::{Map, Value as Json, json};
use station::Mode;
use toml_edit::{DocumentMut, Table};

use super::Wish;
use super::doc::{self, EditError, Path};
use super::limits::{self, Limit};
use super::source;
use super::tree::{Ground, Station, Subject, Tree, board_of_chip, chip_path, mode_word};
use crate::config::reference;
use crate::config::{self, Config, Control, Cooling, CoolingMode};
use crate::upstream;

/// What a wish comes to.
#[derive(Clone, Debug)]
pub(crate) struct Plan {
    /// The settings as they will be.
    pub(crate) tree: Tree,
    /// What they are about that is different.
    pub(crate) subjects: BTreeSet<Subject>,
    /// What is different.
    pub(crate) changes: Vec<Change>,
    /// What a person should know.
    pub(crate) notes: Vec<String>,
}

impl Plan {
    /// What leads from one tree to another.
    pub(crate) fn between(ground: &Ground<'_>, before: &Tree, after: Tree) -> Result<Self, Error> {
        let mut after = after.checked(ground)?;
        if after.config.tuner.aim != Aim::Off {
            // The tuner gives each chip of its stations its clock.
            let tuned = |board: &usize| ground.stations.iter().any(|s| s.boards.contains(board));
            after.chips.retain(|board, _| !tuned(board));
        }
        for (index, pool) in after.config.pools.iter().enumerate() {
            if !before.config.pools.contains(pool) {
                upstream::check(pool, &after.config)
                    .map_err(|error| Error::invalid_params(format!("pool[{index}]: {error:#}")))?;
            }
        }
        let changes = before.changes(&after, ground);
        let subjects = changes.iter().map(|change| subject(&change.path)).collect();
        Ok(Self {
            tree: after,
            subjects,
            changes,
            notes: Vec::new(),
        })
    }

    /// Whether something of it only counts from the next start on.
    pub(crate) fn at_start(&self) -> Vec<String> {
        let paths = self.changes.iter().map(|change| &change.path);
        let late = |path: &&String| matches!(subject(path), Subject::Start(_));
        paths.filter(late).cloned().collect()
    }
}

/// What a path of a change is about.
fn subject(path: &str) -> Subject {
    if let Some(board) = board_of_chip(path) {
        return Subject::Chips(board);
    }
    match Path::parse(path) {
        Ok(path) if path.table == "miner" => Subject::Paused,
        Ok(path) if path.table != "station" => Subject::of(&path),
        _ => Subject::Cooling,
    }
}

/// Plans a wish that changes settings.
///
/// # Errors
///
/// When it cannot be; the text says why and what could.
pub(crate) fn plan(ground: &Ground<'_>, tree: &Tree, wish: &Wish) -> Result<Plan, Error> {
    let mut after = tree.clone();
    let mut notes = Vec::new();
    match wish {
        Wish::Pause => after.paused = true,
        Wish::Resume => after.paused = false,
        Wish::Cooling(wish) => cooling(ground, &mut after, wish, &mut notes)?,
        Wish::Board(wish) => board(ground, &mut after, wish, &mut notes)?,
        Wish::PoolAdd(wish) => add(&mut after, wish)?,
        Wish::PoolUpdate(wish) => update(&mut after, wish)?,
        Wish::PoolRemove(wish) => remove(&mut after, wish)?,
        Wish::PoolOrder(wish) => order(&mut after, wish)?,
        Wish::PoolSet(wish) => replace(&mut after, wish)?,
        Wish::Set(wish) => set(ground, &mut after, wish, &mut notes)?,
        Wish::Tuner(wish) => tuner(&mut after, wish)?,
        Wish::ChipClock(wish) => chip_clock(ground, &mut after, wish, &mut notes)?,
        Wish::ClearFault(_)
        | Wish::Restart
        | Wish::ModelImport(_)
        | Wish::ModelForget(_)
        | Wish::Calibrate(_) => {}
    }
    let mut plan = Plan::between(ground, tree, after)?;
    leave_to_the_tuner(ground, &plan)?;
    if !plan.changes.is_empty() {
        plan.notes = notes;
        let late = plan.at_start();
        if !late.is_empty() {
            let which = late.join(", ");
            plan.notes.push(format!(
                "{which}: counts from the next start on (system.restart)"
            ));
        }
    }
    Ok(plan)
}

/// What the tuner sets nobody else may set meanwhile.
fn leave_to_the_tuner(ground: &Ground<'_>, plan: &Plan) -> Result<(), Error> {
    if plan.tree.config.tuner.aim == Aim::Off {
        return Ok(());
    }
    for change in &plan.changes {
        let Ok(path) = Path::parse(&change.path) else {
            continue;
        };
        let set_by_it = ["frequency_mhz", "voltage_mv"].contains(&path.keys[0].as_str());
        let index = path.index.filter(|_| path.table == "board" && set_by_it);
        let tuned = |index: &usize| ground.stations.iter().any(|s| s.boards.contains(index));
        if let Some(index) = index.filter(tuned) {
            return Err(Error::denied(format!(
                "the tuner sets clock and voltage of board {index}; stop it first (`hashwright tune stop`, or \
                 tuner.set with the aim \"off\"), or give it another aim"
            )));
        }
    }
    Ok(())
}

fn edit_error(error: EditError) -> Error {
    Error::invalid_params(error.to_string())
}

fn put(doc: &mut DocumentMut, path: &Path, value: impl Into<Json>) -> Result<(), Error> {
    let value = value.into();
    let value = (!value.is_null()).then_some(&value);
    doc::set(doc, path, value).map_err(edit_error)
}

fn within(path: &str, value: f64, limit: Limit) -> Result<(), Error> {
    if (limit.min..=limit.max).contains(&value) {
        return Ok(());
    }
    let unit = limit.unit.map_or(String::new(), |unit| format!(" {unit}"));
    let text = format!(
        "{path}: {value}{unit} is outside of {} to {}{unit}",
        limit.min, limit.max
    );
    let (min, max) = (Some(limit.min), Some(limit.max));
    Err(Error::limits(
        path,
        value.into(),
        min,
        max,
        limit.unit,
        text,
    ))
}

/// Holds a value to its limits where it has some, so that they can be told.
fn check(tree: &Tree, path: &Path, value: &Json) -> Result<(), Error> {
    match (value.as_f64(), limits::of(path, &tree.config)) {
        (Some(number), Some(limit)) => within(&path.to_string(), number, limit),
        _ => Ok(()),
    }
}

fn cooling(
    ground: &Ground<'_>,
    tree: &mut Tree,
    wish: &CoolingSet,
    notes: &mut Vec<String>,
) -> Result<(), Error> {
    let mode = wish.wanted_mode()?;
    if mode.is_none() && wish.target_c.is_none() && wish.percent.is_none() {
        return Err(Error::invalid_params(
            "nothing to set: give mode or target_c",
        ));
    }
    let fans = |station: &Station| station.fans;
    let chosen: Vec<_> = match wish.board {
        Some(board) => {
            let station = station_of(ground, board)?;
            if !fans(&ground.stations[station]) {
                return Err(Error::denied(format!(
                    "board {board} has no fans of its own"
                )));
            }
            vec![station]
        }
        None => {
            let stations = ground.stations.iter().enumerate();
            stations
                .filter(|(_, station)| fans(station))
                .map(|(index, _)| index)
                .collect()
        }
    };
    if chosen.is_empty() {
        return Err(Error::denied(
            "this agent controls no board that this would concern",
        ));
    }
    let mut wanted = Vec::new();
    for &station in &chosen {
        let present = tree.cooling_of(station);
        let profiles = ground.stations[station].boards.iter();
        let profiles = profiles.filter_map(|board| Some(&tree.config.boards.get(*board)?.profile));
        wanted.push(cooled(present, mode, wish, limits::of_target(profiles))?);
    }
    let rest = ground.stations.iter().enumerate();
    let all = rest
        .filter(|(_, station)| fans(station))
        .all(|(index, _)| chosen.contains(&index));
    match wanted.first() {
        // What is the same for all stands in the config.
        Some(first) if all && wanted.iter().all(|one| one == first) => {
            put_cooling(&mut tree.doc, first)?;
            tree.cooling.fill(None);
        }
        _ => {
            for (&station, &one) in chosen.iter().zip(&wanted) {
                if let Some(own) = tree.cooling.get_mut(station) {
                    *own = (one != tree.config.cooling).then_some(one);
                }
            }
            notes.push(
                "the config has one [cooling] for all stations: what is different at a single one lasts \
                 until the agent ends"
                    .to_owned(),
            );
        }
    }
    Ok(())
}

/// How a station is to be cooled that is cooled in one way now.
fn cooled(
    present: Cooling,
    mode: Option<Mode>,
    wish: &CoolingSet,
    limit: Limit,
) -> Result<Cooling, Error> {
    let mode = match mode {
        Some(Mode::Auto) => CoolingMode::Auto,
        Some(Mode::Manual { percent }) => CoolingMode::Manual(percent),
        Some(Mode::Immersion { confirmed: true }) => CoolingMode::Immersion,
        Some(Mode::Immersion { confirmed: false }) => {
            return Err(Error::denied(
                "immersion runs boards without any fan, which destroys boards in air; if all boards of this \
                 miner are in liquid, say so with confirm_immersion",
            ));
        }
        None => match (present.mode, wish.percent) {
            (CoolingMode::Manual(_), Some(percent)) => {
                let limit = Limit {
                    min: 0.0,
                    max: 100.0,
                    unit: Some("%"),
                };
                within("cooling.manual_percent", percent.into(), limit)?;
                CoolingMode::Manual(percent)
            }
            (_, Some(_)) => return Err(Error::invalid_params("percent goes with mode manual")),
            (mode, None) => mode,
        },
    };
    if let Some(celsius) = wish.target_c {
        if mode != CoolingMode::Auto {
            return Err(Error::invalid_params(format!(
                "target_c goes with mode auto; the fans run in mode {}",
                mode_word(mode)
            )));
        }
        within("cooling.target_c", celsius, limit)?;
    }
    let kept = present.target_c.filter(|_| mode == CoolingMode::Auto);
    Ok(Cooling {
        mode,
        target_c: wish.target_c.or(kept),
    })
}

fn put_cooling(doc: &mut DocumentMut, cooling: &Cooling) -> Result<(), Error> {
    let path = |key: &str| Path::new("cooling", key);
    let percent = match cooling.mode {
        CoolingMode::Manual(percent) => json!(percent),
        _ => Json::Null,
    };
    let confirmed = match cooling.mode {
        CoolingMode::Immersion => json!(true),
        _ => Json::Null,
    };
    // What is the default needs no words, unless there are some.
    if cooling.mode != CoolingMode::Auto || doc::get(doc, &path("mode")).is_some() {
        put(doc, &path("mode"), mode_word(cooling.mode))?;
    }
    put(doc, &path("manual_percent"), percent)?;
    put(doc, &path("confirm_immersion"), confirmed)?;
    put(doc, &path("target_c"), json!(cooling.target_c))
}

/// The station of a board.
fn station_of(ground: &Ground<'_>, board: usize) -> Result<usize, Error> {
    let found = ground
        .stations
        .iter()
        .position(|station| station.boards.contains(&board));
    found.ok_or_else(|| {
        let all = ground.stations.iter().flat_map(|station| &station.boards);
        let all: Vec<_> = all.map(ToString::to_string).collect();
        let controlled = match &all[..] {
            [] => "none".to_owned(),
            some => format!("boards {}", some.join(", ")),
        };
        Error::denied(format!(
            "board {board} is not controlled by this agent; it controls {controlled}"
        ))
    })
}

/// The board of that index, or what to say to somebody who names another.
fn known(config: &Config, index: usize) -> Result<&config::Board, Error> {
    config.boards.get(index).ok_or_else(|| {
        let last = config.boards.len().saturating_sub(1);
        let text = format!("there is no board {index}; the boards are 0 to {last}");
        Error::invalid_params(text)
    })
}

fn board(
    ground: &Ground<'_>,
    tree: &mut Tree,
    wish: &BoardSet,
    notes: &mut Vec<String>,
) -> Result<(), Error> {
    let index = wish.board;
    let board = known(&tree.config, index)?;
    if wish.frequency_mhz.is_none() && wish.voltage_mv.is_none() && wish.enabled.is_none() {
        return Err(Error::invalid_params(
            "nothing to set: give frequency_mhz, voltage_mv or enabled",
        ));
    }
    let path = |key: &str| Path::of("board", index, key).to_string();
    if let (Some(mhz), Some(limit)) = (
        wish.frequency_mhz,
        limits::of_board(&board.profile, "frequency_mhz"),
    ) {
        within(&path("frequency_mhz"), mhz, limit)?;
    }
    if let (Some(mv), Some(limit)) = (
        wish.voltage_mv,
        limits::of_board(&board.profile, "voltage_mv"),
    ) {
        if board.control == Control::External {
            return Err(Error::denied(format!(
                "the voltage of board {index} is somebody else's: its control is \"external\""
            )));
        }
        within(&path("voltage_mv"), mv.into(), limit)?;
    }
    let together = match ground
        .stations
        .iter()
        .find(|station| station.boards.contains(&index))
    {
        Some(station) => station.boards.clone(),
        None => vec![index],
    };
    if together.len() > 1 {
        notes.push(format!(
            "boards {together:?} hang on one supply and change together"
        ));
    }
    for board in together {
        if let Some(mhz) = wish.frequency_mhz {
            put(
                &mut tree.doc,
                &Path::of("board", board, "frequency_mhz"),
                mhz,
            )?;
        }
        if let Some(mv) = wish.voltage_mv {
            put(&mut tree.doc, &Path::of("board", board, "voltage_mv"), mv)?;
        }
        if let Some(enabled) = wish.enabled {
            let path = Path::of("board", board, "enabled");
            // True is the default.
            let said = doc::get(&tree.doc, &path).is_some();
            put(
                &mut tree.doc,
                &path,
                if enabled && !said {
                    Json::Null
                } else {
                    enabled.into()
                },
            )?;
        }
    }
    Ok(())
}

fn tuner(tree: &mut Tree, wish: &TunerSet) -> Result<(), Error> {
    if wish.aim.is_none() && wish.caps.is_none() {
        return Err(Error::invalid_params(
            "nothing to set: give aim, e.g. {\"watts\": 900} or \"off\", or caps",
        ));
    }
    if let Some(aim) = wish.aim {
        let limit = |key: &str, value: f64| {
            let path = Path {
                keys: vec!["target".to_owned(), key.to_owned()],
                ..Path::new("tuner", key)
            };
            check(tree, &path, &json!(value))
        };
        match aim {
            Aim::Watts(watts) => limit("watts", watts)?,
            Aim::Hashrate(ths) if !(ths.is_finite() && ths > 0.0) => {
                return Err(Error::invalid_params(format!(
                    "{ths} TH/s is no hashrate to aim at; it must be above 0"
                )));
            }
            Aim::Profit {
                price_per_kwh,
                revenue_per_ths_day,
            } => {
                limit("price_per_kwh", price_per_kwh)?;
                limit("revenue_per_ths_day", revenue_per_ths_day)?;
            }
            Aim::Hashrate(_) | Aim::Efficiency | Aim::Off => {}
        }
        let path = Path::new("tuner", "target");
        // Off is the default, and needs no words unless there are some.
        if aim != Aim::Off || doc::get(&tree.doc, &path).is_some() {
            let target = source::target(aim);
            if doc::get(&tree.doc, &path).as_ref() != Some(&target) {
                put(&mut tree.doc, &path, target)?;
            }
        }
    }
    if let Some(caps) = wish.caps {
        for (key, value) in [
            ("max_chip_c", caps.chip_c),
            ("max_board_c", caps.board_c),
            ("max_fan_percent", caps.fan_percent),
            ("max_watts", caps.watts),
            ("max_mv", caps.mv),
        ] {
            let path = Path::new("tuner", key);
            let known = reference::keys("tuner").iter().any(|row| row.name == key);
            match value {
                Some(_) if !known => {
                    return Err(Error::invalid_params(format!(
                        "{key}: this version has no such cap; leave it null"
                    )));
                }
                Some(value) => {
                    check(tree, &path, &json!(value))?;
                    put(&mut tree.doc, &path, doc::number(value))?;
                }
                None => put(&mut tree.doc, &path, Json::Null)?,
            }
        }
    }
    Ok(())
}

fn chip_clock(
    ground: &Ground<'_>,
    tree: &mut Tree,
    wish: &ChipClock,
    notes: &mut Vec<String>,
) -> Result<(), Error> {
    let index = wish.board;
    let board = known(&tree.config, index)?;
    let tuned = ground.stations.iter().any(|s| s.boards.contains(&index));
    if tuned && tree.config.tuner.aim != Aim::Off {
        return Err(Error::denied(format!(
            "the tuner sets the clock of every chip of board {index}; stop it first (`hashwright tune stop`, or \
             tuner.set with the aim \"off\")"
        )));
    }
    let chips = usize::from(board.profile.chain.chips);
    if let Some(chip) = wish.chip.filter(|chip| *chip >= chips) {
        return Err(Error::invalid_params(format!(
            "board {index} has no chip {chip}; its chips are 0 to {}",
            chips.saturating_sub(1)
        )));
    }
    let which = wish.chip.map_or(0..chips, |chip| chip..chip + 1);
    if let (Some(mhz), Some(limit)) = (
        wish.frequency_mhz,
        limits::of_board(&board.profile, "frequency_mhz"),
    ) {
        within(&chip_path(index, which.start), mhz, limit)?;
    }
    let own = tree.chips.entry(index).or_default();
    for chip in which {
        match wish.frequency_mhz {
            Some(mhz) => drop(own.insert(chip, mhz)),
            None => drop(own.remove(&chip)),
        }
    }
    if own.is_empty() {
        tree.chips.remove(&index);
    }
    if wish.frequency_mhz.is_some() {
        notes.push(
            "clocks of single chips last until the agent ends, or the tuner starts".to_owned(),
        );
    }
    Ok(())
}

/// The tables of all pools.
fn pools(doc: &mut DocumentMut) -> Result<Vec<Table>, Error> {
    let list = doc::list(doc, "pool").map_err(edit_error)?;
    Ok(list.iter().cloned().collect())
}

fn arrange(doc: &mut DocumentMut, tables: Vec<Table>) -> Result<(), Error> {
    doc::arrange(doc::list(doc, "pool").map_err(edit_error)?, tables);
    Ok(())
}

fn no_pool(index: usize, pools: usize) -> Error {
    Error::invalid_params(format!(
        "there is no pool {index}; the pools are 0 to {}",
        pools.saturating_sub(1)
    ))
}

fn values(pool: &PoolSettings) -> Map<String, Json> {
    match serde_json::to_value(pool) {
        Ok(Json::Object(values)) => values,
        // A struct is an object.
        _ => Map::new(),
    }
}

fn add(tree: &mut Tree, wish: &PoolAdd) -> Result<(), Error> {
    let mut tables = pools(&mut tree.doc)?;
    let index = wish.index.unwrap_or(tables.len());
    if index > tables.len() {
        return Err(Error::invalid_params(format!(
            "index is {index}, but there are {} pools",
            tables.len()
        )));
    }
    let values = values(&wish.pool);
    for (key, value) in &values {
        check(tree, &Path::of("pool", index, key), value)?;
    }
    tables.insert(
        index,
        doc::table(&values, reference::keys("pool")).map_err(edit_error)?,
    );
    arrange(&mut tree.doc, tables)
}

fn update(tree: &mut Tree, wish: &PoolUpdate) -> Result<(), Error> {
    let pools = tree.config.pools.len();
    if wish.index >= pools {
        return Err(no_pool(wish.index, pools));
    }
    for (key, value) in values(&wish.pool) {
        let path = Path::of("pool", wish.index, &key);
        check(tree, &path, &value)?;
        put(&mut tree.doc, &path, value)?;
    }
    for key in &wish.clear {
        // As a path, so that nothing odd gets in.
        let path = Path::parse(&format!("pool[{}].{key}", wish.index));
        let path = path.map_err(|error| Error::invalid_params(error.to_string()))?;
        put(&mut tree.doc, &path, Json::Null)?;
    }
    Ok(())
}

fn remove(tree: &mut Tree, wish: &PoolRemove) -> Result<(), Error> {
    let mut tables = pools(&mut tree.doc)?;
    if wish.index >= tables.len() {
        return Err(no_pool(wish.index, tables.len()));
    }
    if tables.len() == 1 {
        return Err(Error::denied(
            "this is the last pool, and a miner needs one; add another first, or use miner.pause",
        ));
    }
    tables.remove(wish.index);
    arrange(&mut tree.doc, tables)
}

fn order(tree: &mut Tree, wish: &PoolOrder) -> Result<(), Error> {
    let mut left: Vec<_> = pools(&mut tree.doc)?.into_iter().map(Some).collect();
    let count = left.len();
    let mut tables = Vec::with_capacity(count);
    for &index in &wish.order {
        let table = left.get_mut(index).ok_or_else(|| no_pool(index, count))?;
        tables.push(table.take().ok_or_else(|| {
            Error::invalid_params(format!("pool {index} stands in the order twice"))
        })?);
    }
    tables.extend(left.into_iter().flatten());
    arrange(&mut tree.doc, tables)
}

/// Secrets that are kept if nothing is said of them.
const KEPT: [&str; 3] = ["password", "proxy_password", "cookie_file"];

fn replace(tree: &mut Tree, wish: &PoolSet) -> Result<(), Error> {
    let before = pools(&mut tree.doc)?;
    let mut left: Vec<_> = before.iter().map(Some).collect();
    let mut tables = Vec::new();
    for (index, pool) in wish.pools.iter().enumerate() {
        let mut values = values(pool);
        for (key, value) in &values {
            check(tree, &Path::of("pool", index, key), value)?;
        }
        let same = |table: &&Table| {
            let of = |key| doc::json(table.get(key)?);
            of("url").as_ref() == values.get("url") && of("user").as_ref() == values.get("user")
        };
        let known = left
            .iter_mut()
            .find(|table| table.as_ref().is_some_and(same));
        let table = match known.and_then(Option::take) {
            None => doc::table(&values, reference::keys("pool")).map_err(edit_error)?,
            Some(known) => {
                let kept = |key: &str| KEPT.contains(&key) && !values.contains_key(key);
                let mut table = known.clone();
                table.retain(|key, _| values.contains_key(key) || kept(key));
                // What is as it was stays as it was written.
                values.retain(|key, value| {
                    table.get(key).and_then(doc::json).as_ref() != Some(value)
                });
                for (key, item) in
                    doc::table(&values, reference::keys("pool")).map_err(edit_error)?
                {
                    table.insert(&key, item);
                }
                table
            }
        };
        tables.push(table);
    }
    if tables.is_empty() {
        return Err(Error::denied(
            "a miner needs at least one pool; to stop mining use miner.pause",
        ));
    }
    arrange(&mut tree.doc, tables)
}

/// Most settings in one wish.
const MOST: usize = 64;

fn set(
    ground: &Ground<'_>,
    tree: &mut Tree,
    wish: &ConfigSet,
    notes: &mut Vec<String>,
) -> Result<(), Error> {
    if wish.values.is_empty() || wish.values.len() > MOST {
        return Err(Error::invalid_params(format!(
            "give 1 to {MOST} settings, e.g. {{\"cooling.mode\": \"auto\"}}"
        )));
    }
    let paths: Result<Vec<_>, _> = wish.values.keys().map(|path| Path::parse(path)).collect();
    let paths = paths.map_err(|error| Error::invalid_params(error.to_string()))?;
    let has = |name: &str| paths.iter().any(|path| path.name() == name);
    for (path, value) in paths.iter().zip(wish.values.values()) {
        check(tree, path, value)?;
        put(&mut tree.doc, path, value.clone())?;
    }
    if has("cooling.mode") {
        let mode = doc::get(&tree.doc, &Path::new("cooling", "mode"));
        for (key, goes_with) in [
            ("manual_percent", "manual"),
            ("confirm_immersion", "immersion"),
            ("target_c", "auto"),
        ] {
            let mode = mode.as_ref().and_then(Json::as_str).unwrap_or("auto");
            if mode != goes_with && !has(&format!("cooling.{key}")) {
                put(&mut tree.doc, &Path::new("cooling", key), Json::Null)?;
            }
        }
    }
    if paths.iter().any(|path| path.table == "cooling") {
        tree.cooling.fill(None);
    }
    // Boards on one supply change together, unless each is named.
    for (path, value) in paths.iter().zip(wish.values.values()) {
        let Subject::Board(index) = Subject::of(path) else {
            continue;
        };
        let shared = ground
            .stations
            .iter()
            .find(|station| station.boards.contains(&index));
        for &other in shared.map_or(&[][..], |station| &station.boards) {
            let twin = Path::of("board", other, &path.keys[0]);
            if other != index && !paths.contains(&twin) {
                put(&mut tree.doc, &twin, value.clone())?;
                notes.push(format!("{twin}: hangs on the same supply as board {index}"));
            }
        }
    }
    Ok(())
}
