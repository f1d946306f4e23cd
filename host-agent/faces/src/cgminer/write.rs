//! The commands that change something: what they wish for, and what is said when it was done. What this
//! agent cannot do is refused in words; nothing is answered with success and then not done.

use station::Mode;

use super::reply::Reply;
use super::report::{board_of, is_enabled};
use crate::{Now, PoolChange, Wish};

/// Longest URL, user or password of a new pool, characters.
const LONGEST: usize = 512;

/// What is wanted, and the replies to both outcomes.
pub(super) struct Question {
    pub(super) wish: Wish,
    pub(super) success: Reply,
    pub(super) failure_code: u16,
}

/// What becomes of a command that changes something; none if it is none.
pub(super) fn write(
    command: &str,
    parameter: Option<&str>,
    now: &Now<'_>,
) -> Option<Result<Question, Reply>> {
    let parameter = parameter.map(str::trim).filter(|text| !text.is_empty());
    let result = match command {
        "switchpool" => switch_pool(parameter, now),
        "enablepool" => enable_pool(parameter, now),
        "disablepool" => disable_pool(parameter, now),
        "addpool" => add_pool(parameter, now),
        "removepool" => remove_pool(parameter, now),
        "poolpriority" => pool_priority(parameter, now),
        "poolquota" => Err(refuse(
            "quotas add up to 100 here and are changed together: over the JSON-RPC API, method pool.set",
        )),
        "pause" => asked(
            Wish::Pause,
            Reply::success(204, "Paused").truth("PAUSE"),
            45,
        ),
        "resume" => asked(
            Wish::Resume,
            Reply::success(205, "Resumed").truth("RESUME"),
            45,
        ),
        "restart" => asked(Wish::Restart, Reply::bare("RESTART"), 45),
        "quit" => Err(refuse(
            "the program is stopped where it was started, for instance by systemctl stop",
        )),
        "save" => Err(Reply::error(
            43,
            "Refused: changes are saved as they are made; no other file is written".to_owned(),
        )),
        "zero" => Err(refuse("counters run from the start of the program")),
        "debug" => Err(refuse("logging is set where the program is started")),
        "hotplug" => Err(refuse("boards stand in the config file")),
        "lockstats" => Err(refuse("there are no such statistics")),
        "setconfig" | "failover-only" => {
            Err(Reply::info(127, "Deprecated, and does nothing".to_owned()))
        }
        "ascenable" => asc_enable(parameter, now, true),
        "ascdisable" => asc_enable(parameter, now, false),
        "ascidentify" => match board_of(parameter, now) {
            Ok(board) => Err(Reply::error(
                114,
                format!("Device {} has no light to identify it", board.index),
            )),
            Err(reply) => Err(reply),
        },
        "ascset" => asc_set(parameter, now),
        _ => return None,
    };
    Some(result)
}

fn asked(wish: Wish, success: Reply, failure_code: u16) -> Result<Question, Reply> {
    Ok(Question {
        wish,
        success,
        failure_code,
    })
}

/// A command that exists and is not done here.
fn refuse(why: &str) -> Reply {
    Reply::error(45, format!("Refused: {why}"))
}

/// The pool that a parameter names.
fn pool_of(parameter: Option<&str>, now: &Now<'_>) -> Result<usize, Reply> {
    let pools = now.state.pools.len();
    if pools == 0 {
        return Err(Reply::error(8, "No pools".to_owned()));
    }
    let Some(text) = parameter else {
        return Err(Reply::error(25, "Missing pool id".to_owned()));
    };
    let found = text.parse().ok().filter(|index: &usize| *index < pools);
    found.ok_or_else(|| {
        let last = pools - 1;
        Reply::error(26, format!("Invalid pool id; they are 0 to {last}"))
    })
}

fn named(index: usize, now: &Now<'_>) -> String {
    let url = now
        .state
        .pools
        .get(index)
        .map_or("", |pool| pool.url.as_str());
    format!("pool {index} '{url}'")
}

fn switch_pool(parameter: Option<&str>, now: &Now<'_>) -> Result<Question, Reply> {
    let index = pool_of(parameter, now)?;
    let text = format!("Switching to {}", named(index, now));
    asked(Wish::PoolOrder(vec![index]), Reply::success(27, &text), 45)
}

fn enable_pool(parameter: Option<&str>, now: &Now<'_>) -> Result<Question, Reply> {
    let index = pool_of(parameter, now)?;
    let text = format!("{} is already enabled", named(index, now));
    Err(Reply::info(49, text))
}

fn disable_pool(parameter: Option<&str>, now: &Now<'_>) -> Result<Question, Reply> {
    let index = pool_of(parameter, now)?;
    if now.state.pools.len() == 1 {
        let text = format!("Cannot disable {}: it is the last one", named(index, now));
        return Err(Reply::error(51, text));
    }
    Err(refuse(
        "every pool of the list is in use; remove it, or give it a low priority",
    ))
}

fn add_pool(parameter: Option<&str>, now: &Now<'_>) -> Result<Question, Reply> {
    let Some(text) = parameter else {
        return Err(Reply::error(52, "Missing pool details".to_owned()));
    };
    let fields = split(text);
    let fits = |field: &String| !field.is_empty() && field.chars().count() <= LONGEST;
    let [url, user, password] = fields.as_slice() else {
        return Err(Reply::error(
            53,
            "Invalid pool details; write url,user,password".to_owned(),
        ));
    };
    if !fits(url) || !fits(user) || password.chars().count() > LONGEST {
        return Err(Reply::error(
            53,
            "Invalid pool details: too short or too long".to_owned(),
        ));
    }
    let text = format!("Added pool {}: '{url}'", now.state.pools.len());
    let pool = PoolChange {
        url: Some(url.clone()),
        user: Some(user.clone()),
        password: Some(password.clone()).filter(|password| !password.is_empty()),
    };
    asked(Wish::PoolAdd(pool), Reply::success(55, &text), 53)
}

/// Fields between commas; a backslash takes the special meaning from the character after it.
fn split(text: &str) -> Vec<String> {
    let mut fields = vec![String::new()];
    let mut chars = text.chars();
    while let Some(c) = chars.next() {
        match c {
            ',' => fields.push(String::new()),
            '\\' => fields
                .last_mut()
                .into_iter()
                .for_each(|field| field.extend(chars.next())),
            c => fields
                .last_mut()
                .into_iter()
                .for_each(|field| field.push(c)),
        }
    }
    fields
}

fn remove_pool(parameter: Option<&str>, now: &Now<'_>) -> Result<Question, Reply> {
    let index = pool_of(parameter, now)?;
    if now.state.pools.len() == 1 {
        let text = format!("Cannot remove {}: it is the last one", named(index, now));
        return Err(Reply::error(66, text));
    }
    if now.state.pools.get(index).is_some_and(|pool| pool.active) {
        let text = format!(
            "Cannot remove {}: it is at work; switch to another first",
            named(index, now)
        );
        return Err(Reply::error(67, text));
    }
    let text = format!("Removed {}", named(index, now));
    asked(Wish::PoolRemove(index), Reply::success(68, &text), 45)
}

fn pool_priority(parameter: Option<&str>, now: &Now<'_>) -> Result<Question, Reply> {
    let mut order = Vec::new();
    let parts = parameter.map(|text| text.split(',')).into_iter().flatten();
    for part in parts {
        let index = pool_of(Some(part.trim()), now)?;
        if order.contains(&index) {
            return Err(Reply::error(74, format!("Pool {index} is named twice")));
        }
        order.push(index);
    }
    if order.is_empty() {
        return Err(pool_of(None, now)
            .err()
            .unwrap_or_else(Reply::invalid_command));
    }
    let success = Reply::success(73, "Changed pool priorities");
    asked(Wish::PoolOrder(order), success, 45)
}

fn asc_enable(parameter: Option<&str>, now: &Now<'_>, enabled: bool) -> Result<Question, Reply> {
    let board = board_of(parameter, now)?;
    let index = board.index;
    if is_enabled(board) == enabled {
        let (code, word) = if enabled {
            (108, "enabled")
        } else {
            (109, "disabled")
        };
        return Err(Reply::info(
            code,
            format!("Device {index} is already {word}"),
        ));
    }
    let (code, word) = if enabled {
        (110, "Enabling")
    } else {
        (111, "Disabling")
    };
    let success = Reply::success(code, &format!("{word} device {index}"));
    let wish = Wish::BoardEnabled {
        board: index,
        enabled,
    };
    asked(wish, success, 45)
}

fn asc_set(parameter: Option<&str>, now: &Now<'_>) -> Result<Question, Reply> {
    let text = parameter.unwrap_or_default();
    let mut parts = text.splitn(3, ',').map(str::trim);
    let board = board_of(parts.next(), now)?;
    let index = board.index;
    let Some(option) = parts.next().filter(|option| !option.is_empty()) else {
        return Err(Reply::error(
            116,
            "Missing option after the device id".to_owned(),
        ));
    };
    let value = parts.next().filter(|value| !value.is_empty());
    let wrong = |range: &str| {
        let text = format!("Device {index} {option}: {range}");
        Reply::error(120, text)
    };
    let wish = match option.to_ascii_lowercase().as_str() {
        "help" => {
            let text = format!(
                "Device {index} options: freq=MHz, volt=mV of the core, fan=0 to 100 percent or auto; \
                 limits are those of the board's profile"
            );
            return Err(Reply::info(118, text));
        }
        "freq" | "frequency" | "clock" => {
            let mhz = value.and_then(|value| value.parse().ok());
            let mhz: f64 = mhz
                .filter(|mhz: &f64| mhz.is_finite() && *mhz > 0.0)
                .ok_or_else(|| wrong("give a clock in MHz"))?;
            Wish::Board {
                board: index,
                mhz: Some(mhz),
                mv: None,
            }
        }
        "volt" | "voltage" => {
            let mv = value.and_then(|value| value.parse().ok());
            let mv: u32 = mv.ok_or_else(|| wrong("give the core voltage in mV, a whole number"))?;
            Wish::Board {
                board: index,
                mhz: None,
                mv: Some(mv),
            }
        }
        "fan" => {
            let percent = value.and_then(|value| value.parse::<u8>().ok());
            let mode = match (value, percent.filter(|percent| *percent <= 100)) {
                (Some(auto), _) if auto.eq_ignore_ascii_case("auto") => Mode::Auto,
                (_, Some(percent)) => Mode::Manual { percent },
                _ => return Err(wrong("give 0 to 100 percent, or auto")),
            };
            Wish::Fans {
                board: Some(index),
                mode,
            }
        }
        _ => {
            let text = format!("Device {index} has no such option; help lists them");
            return Err(Reply::error(117, text));
        }
    };
    let text = format!(
        "Device {index} set {option} to {}",
        value.unwrap_or_default()
    );
    asked(wish, Reply::success(119, &text), 120)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_of_a_pool_may_hold_commas_and_backslashes() {
        assert_eq!(split("a,b,c"), ["a", "b", "c"]);
        assert_eq!(split("a\\,b,c\\\\,"), ["a,b", "c\\", ""]);
        assert_eq!(split("a\\"), ["a"]);
        assert_eq!(split(""), [""]);
    }
}
