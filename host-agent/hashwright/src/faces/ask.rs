//! From a wish of a face to one of the settings, with the name of who asks. These clients have no
//! tokens: the listener's list of addresses has decided that they may.

use std::net::IpAddr;
use std::time::Duration;

use faces::{PoolChange, Refused, Wish};
use rpc::Role;
use rpc::settings::{
    BoardSet, ConfigSet, CoolingMode, CoolingSet, PoolAdd, PoolOrder, PoolRemove, PoolSettings,
    PoolUpdate, WriteOptions,
};
use serde_json::{Map, Value, json};
use station::Mode;
use tokio::time::timeout;

use super::Desk;
use crate::settings::{self, Actor};

/// How long a change may take before the client is told that it is still under way.
const PATIENCE: Duration = Duration::from_secs(60);

/// Who asks.
#[derive(Clone, Debug)]
pub(super) struct Asker {
    /// The face.
    pub(super) via: &'static str,
    /// For the audit log.
    pub(super) name: String,
    /// Where they are.
    pub(super) peer: IpAddr,
}

/// Passes a wish on and waits for the outcome.
pub(super) async fn ask(desk: &Desk, asker: &Asker, wish: &Wish) -> Result<(), Refused> {
    let actor = Actor {
        name: asker.name.clone(),
        role: Role::Admin,
        via: asker.via,
        peer: Some(asker.peer),
    };
    let boards = desk.boards();
    let asked = desk
        .settings()
        .ask(&actor, translated(wish, boards), WriteOptions::default());
    match timeout(PATIENCE, asked).await {
        Ok(Ok(_)) => Ok(()),
        Ok(Err(error)) => Err(Refused(error.text().to_string())),
        Err(_) => Err(Refused(
            "it takes longer than a minute and may still happen; look at the status".to_owned(),
        )),
    }
}

fn translated(wish: &Wish, boards: usize) -> settings::Wish {
    match wish {
        Wish::Pause => settings::Wish::Pause,
        Wish::Resume => settings::Wish::Resume,
        Wish::Restart => settings::Wish::Restart,
        Wish::PoolOrder(order) => settings::Wish::PoolOrder(PoolOrder {
            order: order.clone(),
        }),
        Wish::PoolAdd(pool) => settings::Wish::PoolAdd(PoolAdd {
            index: None,
            pool: pool_settings(pool),
        }),
        Wish::PoolRemove(index) => settings::Wish::PoolRemove(PoolRemove { index: *index }),
        Wish::BoardEnabled { board, enabled } => settings::Wish::Board(BoardSet {
            board: *board,
            enabled: Some(*enabled),
            ..BoardSet::default()
        }),
        Wish::Board { board, mhz, mv } => settings::Wish::Board(BoardSet {
            board: *board,
            frequency_mhz: *mhz,
            voltage_mv: *mv,
            enabled: None,
        }),
        Wish::Fans { board, mode } => settings::Wish::Cooling(cooling(*board, Some(*mode), None)),
        Wish::Several {
            pools,
            fans,
            target_c,
            mhz,
            mv,
        } => {
            let cools = fans.is_some() || target_c.is_some();
            let runs = mhz.is_some() || mv.is_some();
            match pools.as_slice() {
                [] if !runs => settings::Wish::Cooling(cooling(None, *fans, *target_c)),
                [(index, pool)] if !cools && !runs => settings::Wish::PoolUpdate(PoolUpdate {
                    index: *index,
                    pool: pool_settings(pool),
                    clear: Vec::new(),
                }),
                _ => {
                    let mut values = Map::new();
                    for (index, pool) in pools {
                        put_pool(&mut values, *index, pool);
                    }
                    put_cooling(&mut values, *fans, *target_c);
                    for board in 0..boards {
                        if let Some(mhz) = mhz {
                            values.insert(format!("board[{board}].frequency_mhz"), json!(mhz));
                        }
                        if let Some(mv) = mv {
                            values.insert(format!("board[{board}].voltage_mv"), json!(mv));
                        }
                    }
                    settings::Wish::Set(ConfigSet { values })
                }
            }
        }
    }
}

fn pool_settings(pool: &PoolChange) -> PoolSettings {
    PoolSettings {
        url: pool.url.clone(),
        user: pool.user.clone(),
        password: pool.password.clone().map(Value::String),
        ..PoolSettings::default()
    }
}

fn put_pool(values: &mut Map<String, Value>, index: usize, pool: &PoolChange) {
    for (key, value) in [
        ("url", &pool.url),
        ("user", &pool.user),
        ("password", &pool.password),
    ] {
        if let Some(value) = value {
            values.insert(format!("pool[{index}].{key}"), json!(value));
        }
    }
}

fn cooling(board: Option<usize>, mode: Option<Mode>, target_c: Option<f64>) -> CoolingSet {
    let (mode, percent) = match mode {
        None => (None, None),
        Some(Mode::Auto) => (Some(CoolingMode::Auto), None),
        Some(Mode::Manual { percent }) => (Some(CoolingMode::Manual), Some(percent)),
        // No face can confirm it, so the settings refuse it with the reason.
        Some(Mode::Immersion { .. }) => (Some(CoolingMode::Immersion), None),
    };
    CoolingSet {
        board,
        mode,
        percent,
        target_c,
        ..CoolingSet::default()
    }
}

/// The keys of the config that say the same; those that go only with another mode are left to their
/// defaults.
fn put_cooling(values: &mut Map<String, Value>, mode: Option<Mode>, target_c: Option<f64>) {
    let mut put = |key: &str, value: Value| values.insert(format!("cooling.{key}"), value);
    match mode {
        None => {}
        Some(Mode::Auto) => {
            put("mode", json!("auto"));
            put("manual_percent", Value::Null);
        }
        Some(Mode::Manual { percent }) => {
            put("mode", json!("manual"));
            put("manual_percent", json!(percent));
        }
        Some(Mode::Immersion { .. }) => {
            put("mode", json!("immersion"));
        }
    }
    if let Some(target_c) = target_c {
        put("target_c", json!(target_c));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn several_settings_are_one_change() {
        let wish = Wish::Several {
            pools: vec![(
                0,
                PoolChange {
                    url: Some("stratum+tcp://a:1".to_owned()),
                    ..PoolChange::default()
                },
            )],
            fans: Some(Mode::Manual { percent: 40 }),
            target_c: None,
            mhz: Some(500.0),
            mv: None,
        };
        let settings::Wish::Set(set) = translated(&wish, 2) else {
            panic!("not all at once");
        };
        let wanted = json!({
            "pool[0].url": "stratum+tcp://a:1",
            "cooling.mode": "manual",
            "cooling.manual_percent": 40,
            "board[0].frequency_mhz": 500.0,
            "board[1].frequency_mhz": 500.0,
        });
        assert_eq!(Value::Object(set.values), wanted);
    }

    #[test]
    fn one_setting_goes_the_way_of_its_own() {
        let fans = Wish::Several {
            pools: Vec::new(),
            fans: Some(Mode::Auto),
            target_c: None,
            mhz: None,
            mv: None,
        };
        assert_eq!(translated(&fans, 1).method(), "cooling.set");
        let pool = Wish::Several {
            pools: vec![(1, PoolChange::default())],
            fans: None,
            target_c: None,
            mhz: None,
            mv: None,
        };
        assert_eq!(translated(&pool, 1).method(), "pool.update");
    }
}
