//! What can be written: settings and pools, under the names that AxeOS has for them. Clients write back
//! what they have read, so a value that is as it was changes nothing, and an empty or masked password
//! keeps the one that is there.

use serde_json::{Map, Value};
use station::Mode;

use crate::read::{self, common};
use crate::{Now, PoolChange, Wish};

/// Longest text that is taken, characters.
const LONGEST: usize = 512;

/// The wish of a `PATCH /api/system`; none if nothing would change.
pub(super) fn settings(body: &[u8], now: &Now<'_>) -> Result<Option<Wish>, String> {
    let mut keys = Keys::parse(body)?;
    let mut pools = Vec::new();
    for (index, prefix) in [(0, ""), (1, "fallback")] {
        let fields = keys.pool(|name| format!("{prefix}stratum{name}"))?;
        if fields.is_empty() {
            continue;
        }
        let change = fields.change(now, index)?;
        if now.state.pools.get(index).is_none() {
            return Err(format!(
                "there is no pool {index} to change; add it with PUT /api/system/pools/{index}"
            ));
        }
        if !change.is_empty() {
            pools.push((index, change));
        }
    }
    let fans = fans(&mut keys, now)?;
    let target_c = keys.number("temptarget")?;
    let told = now
        .state
        .stations
        .iter()
        .map(|station| station.status.cooling.target_c);
    let target_c = target_c.filter(|target| common(told) != Some(*target));
    let (mhz, mv) = (keys.number("frequency")?, keys.number("corevoltage")?);
    if (mhz.is_some() || mv.is_some()) && now.facts.offered.is_none() {
        return Err(
            "boards of several kinds have no common clock or voltage; set them board by board over the \
             JSON-RPC API"
                .to_owned(),
        );
    }
    let boards = &now.state.boards;
    let clock = common(boards.iter().map(|board| board.target_mhz));
    let mhz = mhz.filter(|mhz| clock != Some(*mhz));
    let voltage = common(boards.iter().map(|board| read::told_mv(now.state, board))).flatten();
    let mv = mv.filter(|mv| voltage != Some(*mv));
    let mv = match mv {
        Some(mv) if mv.fract() == 0.0 && (0.0..=100_000.0).contains(&mv) => Some(mv as u32),
        Some(mv) => return Err(format!("coreVoltage is {mv}, but must be whole millivolts")),
        None => None,
    };
    keys.same("hostname", &Value::from(now.state.system.hostname.as_str()));
    keys.same("overheat_mode", &Value::from(0));
    keys.finished()?;
    if pools.is_empty() && fans.is_none() && target_c.is_none() && mhz.is_none() && mv.is_none() {
        return Ok(None);
    }
    Ok(Some(Wish::Several {
        pools,
        fans,
        target_c,
        mhz,
        mv,
    }))
}

/// The wish of a `PUT /api/system/pools/N`; none if nothing would change.
pub(super) fn pool(index: usize, body: &[u8], now: &Now<'_>) -> Result<Option<Wish>, String> {
    let mut keys = Keys::parse(body)?;
    let long = keys.pool(|name| format!("stratum{name}"))?;
    let short = keys.pool(str::to_owned)?;
    keys.finished()?;
    let fields = if short.is_empty() { long } else { short };
    let count = now.state.pools.len();
    if index > count {
        return Err(format!("pool {index} is too far: the next one is {count}"));
    }
    let change = fields.change(now, index)?;
    if index == count {
        if change.url.is_none() || change.user.is_none() {
            return Err("a new pool needs its URL, port and user".to_owned());
        }
        return Ok(Some(Wish::PoolAdd(change)));
    }
    Ok((!change.is_empty()).then(|| Wish::Several {
        pools: vec![(index, change)],
        fans: None,
        target_c: None,
        mhz: None,
        mv: None,
    }))
}

fn fans(keys: &mut Keys, now: &Now<'_>) -> Result<Option<Mode>, String> {
    let auto = keys.truth("autofanspeed")?;
    let speed = keys.number("fanspeed")?;
    let speed = keys.number("manualfanspeed")?.or(speed);
    let modes = now
        .state
        .stations
        .iter()
        .map(|station| station.status.cooling.mode);
    let mode = common(modes);
    let percent = match speed {
        Some(speed) if (0.0..=100.0).contains(&speed) => Some(speed.round() as u8),
        Some(speed) => return Err(format!("fanspeed is {speed}, but must be 0 to 100 percent")),
        None => None,
    };
    let wanted = match (auto, percent) {
        (Some(true), _) => Some(Mode::Auto),
        (Some(false), Some(percent)) => Some(Mode::Manual { percent }),
        (Some(false), None) => match mode {
            Some(Mode::Auto) | None => {
                return Err("autofanspeed 0 needs fanspeed, 0 to 100 percent".to_owned());
            }
            Some(_) => None,
        },
        // Kept for when fans are set to it; here there is no such thing.
        (None, Some(_)) if mode == Some(Mode::Auto) => {
            return Err("fans are automatic; set autofanspeed to 0 as well".to_owned());
        }
        (None, Some(percent)) => Some(Mode::Manual { percent }),
        (None, None) => None,
    };
    Ok(wanted.filter(|wanted| mode != Some(*wanted)))
}

/// A pool as a client writes it.
#[derive(Debug, Default)]
struct PoolFields {
    url: Option<String>,
    port: Option<u16>,
    user: Option<String>,
    password: Option<String>,
}

impl PoolFields {
    fn is_empty(&self) -> bool {
        self.url.is_none() && self.port.is_none() && self.user.is_none() && self.password.is_none()
    }

    /// What of it differs from the pool at `index`.
    fn change(self, now: &Now<'_>, index: usize) -> Result<PoolChange, String> {
        let present = now.state.pools.get(index);
        let (scheme, host, port) = read::address(present.map_or("", |pool| &pool.url));
        let url = match self.url.as_deref() {
            None if self.port.is_none_or(|new| new == port) => None,
            None => Some(format!("{scheme}://{host}:{}", self.port.unwrap_or(port))),
            Some(text) => {
                let (new_scheme, new_host, told) = read::address(text);
                if new_host.is_empty() {
                    return Err("the pool's URL has no host".to_owned());
                }
                let told = Some(told).filter(|port| *port != 0);
                if let (Some(one), Some(other)) = (told, self.port)
                    && one != other
                {
                    return Err(format!(
                        "the pool's URL says port {one}, and its port is {other}"
                    ));
                }
                let same = new_host.eq_ignore_ascii_case(host);
                let known = told.or(self.port).or(Some(port).filter(|_| same));
                let Some(new_port) = known.filter(|port| *port != 0) else {
                    return Err("the pool's port is missing".to_owned());
                };
                if same && new_port == port {
                    // Clients read host and port only: the same pool keeps its TLS, or its key.
                    None
                } else if text.contains("://") && told.is_some() {
                    Some(text.to_owned())
                } else {
                    Some(format!("{new_scheme}://{new_host}:{new_port}"))
                }
            }
        };
        let user = self
            .user
            .filter(|user| present.is_none_or(|pool| pool.user != *user));
        let masked = |text: &String| text.chars().all(|c| c == '*');
        Ok(PoolChange {
            url,
            user,
            password: self.password.filter(|password| !masked(password)),
        })
    }
}

/// The keys of a body, in lower case; each is taken once.
struct Keys(Map<String, Value>);

impl Keys {
    fn parse(body: &[u8]) -> Result<Self, String> {
        let parsed: Value = serde_json::from_slice(body)
            .map_err(|error| format!("the body is no JSON: {error}"))?;
        let Value::Object(object) = parsed else {
            return Err("the body must be a JSON object".to_owned());
        };
        let mut keys = Map::new();
        for (key, value) in object {
            if keys.insert(key.to_ascii_lowercase(), value).is_some() {
                return Err(format!("{} is there twice", shown(&key)));
            }
        }
        Ok(Self(keys))
    }

    fn pool(&mut self, name: impl Fn(&str) -> String) -> Result<PoolFields, String> {
        let port = self.number(&name("port"))?;
        let port = match port {
            Some(port) if port.fract() == 0.0 && (1.0..=65535.0).contains(&port) => {
                Some(port as u16)
            }
            Some(port) => return Err(format!("a port is {port}, but must be 1 to 65535")),
            None => None,
        };
        let text = |text: Option<String>| text.filter(|text| !text.is_empty());
        Ok(PoolFields {
            url: text(self.text(&name("url"))?),
            port,
            user: text(self.text(&name("user"))?),
            password: text(self.text(&name("password"))?),
        })
    }

    fn take(&mut self, key: &str) -> Option<Value> {
        self.0.remove(key).filter(|value| !value.is_null())
    }

    fn text(&mut self, key: &str) -> Result<Option<String>, String> {
        match self.take(key) {
            None => Ok(None),
            Some(Value::String(text)) if text.chars().count() <= LONGEST => Ok(Some(text)),
            Some(Value::String(_)) => Err(format!("{key} has more than {LONGEST} characters")),
            Some(_) => Err(format!("{key} must be text")),
        }
    }

    fn number(&mut self, key: &str) -> Result<Option<f64>, String> {
        match self.take(key) {
            None => Ok(None),
            Some(value) => match value.as_f64().filter(|number| number.is_finite()) {
                Some(number) => Ok(Some(number)),
                None => Err(format!("{key} must be a number")),
            },
        }
    }

    fn truth(&mut self, key: &str) -> Result<Option<bool>, String> {
        match self.take(key) {
            None => Ok(None),
            Some(Value::Bool(truth)) => Ok(Some(truth)),
            Some(value) => match value.as_u64() {
                Some(0) => Ok(Some(false)),
                Some(1) => Ok(Some(true)),
                _ => Err(format!("{key} must be 0 or 1")),
            },
        }
    }

    /// Takes a key that cannot be changed, if it is as it was.
    fn same(&mut self, key: &str, value: &Value) {
        if self.0.get(key) == Some(value) {
            self.0.remove(key);
        }
    }

    /// What is left is not known here.
    fn finished(self) -> Result<(), String> {
        let left: Vec<_> = self.0.keys().take(5).map(|key| shown(key)).collect();
        match left.is_empty() {
            true => Ok(()),
            false => Err(format!(
                "nothing was changed, because this miner has no setting {}",
                left.join(", ")
            )),
        }
    }
}

fn shown(key: &str) -> String {
    key.chars().filter(|c| !c.is_control()).take(40).collect()
}
