//! Home Assistant's discovery: one retained message that describes the miner as a device with all its
//! entities (`<prefix>/device/<id>/config`, Home Assistant 2024.12 and later).

use std::collections::BTreeSet;

use rpc::{Role, Snapshot};
use serde_json::{Map, Value, json};

use super::states::mode;
use super::{Message, OFFLINE, ONLINE, Topics};
use crate::tuned;

/// Boards, stations and pools that get entities of their own, each.
const MOST: usize = 16;
/// Fans of a station that do.
const MOST_FANS: usize = 8;
/// Lowest temperature that one may ask the fans to hold, °C.
const MIN_TARGET_C: f64 = 30.0;
/// Highest power that one may ask for if a station says no limit, W.
const MAX_WATTS: f64 = 100_000.0;
/// Highest if no station says where throttling begins, °C.
const MAX_TARGET_C: f64 = 100.0;

/// The message that describes the miner; none without discovery. `role` says which commands it takes,
/// `page` is the address of its dashboard where others can reach that.
#[must_use]
pub fn discovery(
    topics: &Topics,
    state: &Snapshot,
    role: Role,
    page: Option<&str>,
) -> Option<Message> {
    let prefix = topics.discovery.as_ref()?;
    let object = topics.object();
    let entities = Entities {
        topics,
        object: &object,
        all: Map::new(),
    };
    let models: BTreeSet<_> = state.boards.iter().map(|board| &board.model[..]).collect();
    let models: Vec<_> = models.into_iter().take(4).collect();
    let system = &state.system;
    let mut device = json!({
        "identifiers": [object],
        "name": system.name,
        "manufacturer": "Hashwright",
        "model": models.join(", "),
        "sw_version": system.version,
    });
    if let Some(page) = page {
        device["configuration_url"] = page.into();
    }
    let payload = json!({
        "device": device,
        "origin": {"name": "Hashwright", "sw_version": system.version},
        "availability_topic": topics.availability(),
        "payload_available": ONLINE,
        "payload_not_available": OFFLINE,
        "components": entities.of(state, role),
    });
    Some(Message {
        topic: format!("{prefix}/device/{object}/config"),
        payload: payload.to_string(),
        retain: true,
    })
}

struct Entities<'t> {
    topics: &'t Topics,
    object: &'t str,
    all: Map<String, Value>,
}

/// The most power that one may ask for, W: what the stations' input may draw, as far as they say.
fn most_watts(state: &Snapshot) -> f64 {
    let limits = state.stations.iter().map(|station| {
        let reading = station.status.reading("input power");
        reading.and_then(|reading| reading.limit)
    });
    let sum: Option<f64> = limits.sum();
    sum.filter(|watts| *watts >= 1.0)
        .map_or(MAX_WATTS, f64::ceil)
}

/// A sensor: name of its value, what people call it, its other keys.
type Sensor = (&'static str, &'static str, Value);

impl Entities<'_> {
    fn of(mut self, state: &Snapshot, role: Role) -> Map<String, Value> {
        for sensor in miner_sensors() {
            self.sensor("", "", "state", sensor);
        }
        self.binary("mining", "Mining", "running", "mining");
        self.binary("connected", "Pool connected", "connectivity", "connected");
        self.binary("trouble", "Problem", "problem", "problem");
        for board in state.boards.iter().take(MOST) {
            let (key, topic) = (
                format!("board_{}_", board.index),
                format!("board/{}", board.index),
            );
            let name = format!("Board {} ", board.index);
            for sensor in board_sensors() {
                self.sensor(&key, &name, &topic, sensor);
            }
        }
        for station in state.stations.iter().take(MOST) {
            let (key, topic) = (
                format!("station_{}_", station.index),
                format!("station/{}", station.index),
            );
            let one = state.stations.len() == 1;
            let name = match one {
                true => String::new(),
                false => format!("Station {} ", station.index),
            };
            if !one {
                self.sensor(&key, &name, &topic, power());
            }
            for (index, fan) in station.status.fans.iter().take(MOST_FANS).enumerate() {
                let template = format!("{{{{ value_json.fans[{index}].rpm }}}}");
                let value = json!({
                    "platform": "sensor",
                    "name": format!("{name}Fan {}", fan.name),
                    "state_topic": self.topics.below(&topic),
                    "value_template": template,
                    "unit_of_measurement": "rpm",
                    "state_class": "measurement",
                    "icon": "mdi:fan",
                });
                self.add(&format!("{key}fan_{index}"), value);
            }
        }
        for pool in state.pools.iter().take(MOST) {
            let (key, topic) = (
                format!("pool_{}_", pool.index),
                format!("pool/{}", pool.index),
            );
            let name = format!("Pool {} ", pool.index);
            for sensor in pool_sensors() {
                self.sensor(&key, &name, &topic, sensor);
            }
        }
        self.commands(state, role >= Role::Operate);
        if !state.tuner.stations.is_empty() {
            for sensor in tuner_sensors() {
                self.sensor("tuner_", "", "tuner", sensor);
            }
            self.demands(state, role >= Role::Operate);
            self.aims(state, role >= Role::Tune);
        }
        self.all
    }

    /// What takes commands.
    fn commands(&mut self, state: &Snapshot, allowed: bool) {
        let press =
            |name: &str, icon: &str| json!({"platform": "button", "name": name, "icon": icon});
        let restart = json!({
            "platform": "button", "name": "Restart", "device_class": "restart",
            "entity_category": "config",
        });
        let mut all = vec![
            ("pause", press("Pause", "mdi:pause")),
            ("resume", press("Resume", "mdi:play")),
            ("restart", restart),
        ];
        if let Some(station) = state.stations.first() {
            let cooling = &station.status.cooling;
            // A number without room between its limits is not taken.
            let hot = cooling.hot_c.floor();
            let max = if hot > MIN_TARGET_C {
                hot
            } else {
                MAX_TARGET_C
            };
            // Immersion takes a person beside the boards; it is only shown where it is so already.
            let mut modes = vec!["auto", "manual"];
            let now = mode(cooling.mode);
            if !modes.contains(&now) {
                modes.push(now);
            }
            all.extend([
                (
                    "cooling_mode",
                    json!({
                        "platform": "select", "name": "Cooling mode", "options": modes,
                        "icon": "mdi:fan-auto", "entity_category": "config",
                        "value_template": "{{ value_json.cooling_mode }}",
                    }),
                ),
                (
                    "cooling_target",
                    json!({
                        "platform": "number", "name": "Cooling target", "device_class": "temperature",
                        "unit_of_measurement": "°C", "min": MIN_TARGET_C, "max": max,
                        "step": 0.5, "mode": "box", "entity_category": "config",
                        "value_template": "{{ value_json.cooling_target_c }}",
                    }),
                ),
                (
                    "fan_percent",
                    json!({
                        "platform": "number", "name": "Fan duty",
                        "unit_of_measurement": "%", "min": 0, "max": 100, "step": 1,
                        "mode": "slider", "icon": "mdi:fan", "entity_category": "config",
                        "value_template": "{{ value_json.fan_percent }}",
                    }),
                ),
            ]);
        }
        for (name, value) in all {
            self.command(name, name, "state", value, allowed);
        }
    }

    /// What tells of the world and its wishes: curtailment, price and surplus of power.
    fn demands(&mut self, state: &Snapshot, allowed: bool) {
        let most = most_watts(state);
        let end = json!({
            "platform": "button", "name": "End curtailment", "payload_press": "none",
            "icon": "mdi:transmission-tower-export",
        });
        let curtail = json!({
            "platform": "number", "name": "Curtail to", "device_class": "power",
            "unit_of_measurement": "W", "min": 0, "max": most, "step": 1, "mode": "box",
            "icon": "mdi:transmission-tower-import",
            "value_template": "{{ value_json.curtailed_to_w }}",
        });
        let price = json!({
            "platform": "number", "name": "Price of power", "unit_of_measurement": "/kWh",
            "min": -1000, "max": 1000, "step": 0.001, "mode": "box", "icon": "mdi:cash",
            "entity_category": "config", "value_template": "{{ value_json.price_per_kwh }}",
        });
        let surplus = json!({
            "platform": "number", "name": "Surplus of power", "device_class": "power",
            "unit_of_measurement": "W", "min": -1_000_000, "max": 1_000_000, "step": 1,
            "mode": "box", "icon": "mdi:solar-power", "entity_category": "config",
            "value_template": "{{ value_json.surplus_w }}",
        });
        self.command("curtail", "curtail", "tuner", curtail, allowed);
        self.command("curtail_end", "curtail", "tuner", end, allowed);
        self.command("price", "price", "tuner", price, allowed);
        self.command("surplus", "surplus", "tuner", surplus, allowed);
    }

    /// What says what the boards are tuned for.
    fn aims(&mut self, state: &Snapshot, allowed: bool) {
        let most = most_watts(state);
        // An aim for profit needs two numbers; it is only shown where it is so already.
        let now = tuned::aim(state.tuner.aim);
        let mut aims = vec!["off", "efficiency", "watts", "hashrate"];
        if !aims.contains(&now) {
            aims.push(now);
        }
        let aim = json!({
            "platform": "select", "name": "Tuned for", "options": aims, "icon": "mdi:tune",
            "value_template": "{{ value_json.aim }}",
        });
        let watts = |name: &str, of: &str, least: f64| {
            json!({
                "platform": "number", "name": name, "device_class": "power",
                "unit_of_measurement": "W", "min": least, "max": most, "step": 1, "mode": "box",
                "value_template": format!("{{{{ value_json.{of} }}}}"),
            })
        };
        self.command("tuner_aim", "tuner_aim", "tuner", aim, allowed);
        let target = watts("Power target", "aim_w", 1.0);
        self.command("power_target", "power_target", "tuner", target, allowed);
        // Nought is no cap.
        let cap = watts("Power cap", "power_cap_w", 0.0);
        self.command("power_cap", "power_cap", "tuner", cap, allowed);
    }

    /// Adds what sends the command `name`. Without the right to use it, it is said to be gone, in case it was there.
    fn command(&mut self, key: &str, name: &str, topic: &str, mut value: Value, allowed: bool) {
        if !allowed {
            let gone = json!({"platform": value["platform"]});
            self.all.insert(key.to_owned(), gone);
            return;
        }
        value["command_topic"] = self.topics.below(&format!("command/{name}")).into();
        if value.get("value_template").is_some() {
            value["state_topic"] = self.topics.below(topic).into();
        }
        self.add(key, value);
    }

    fn sensor(&mut self, key: &str, name: &str, topic: &str, (of, called, more): Sensor) {
        let mut value = more;
        value["platform"] = "sensor".into();
        value["name"] = capital(&format!("{name}{called}")).into();
        value["state_topic"] = self.topics.below(topic).into();
        if value.get("value_template").is_none() {
            value["value_template"] = format!("{{{{ value_json.{of} }}}}").into();
        }
        self.add(&format!("{key}{of}"), value);
    }

    fn binary(&mut self, key: &str, name: &str, class: &str, of: &str) {
        let value = json!({
            "platform": "binary_sensor",
            "name": name,
            "device_class": class,
            "state_topic": self.topics.below("state"),
            "value_template": format!("{{{{ 'ON' if value_json.{of} else 'OFF' }}}}"),
        });
        self.add(key, value);
    }

    fn add(&mut self, key: &str, mut value: Value) {
        value["unique_id"] = format!("{}_{key}", self.object).into();
        self.all.insert(key.to_owned(), value);
    }
}

fn hashrate(of: &'static str, called: &'static str) -> Sensor {
    let more = json!({
        "unit_of_measurement": "TH/s", "state_class": "measurement", "icon": "mdi:pickaxe",
        "suggested_display_precision": 2,
    });
    (of, called, more)
}

fn temperature() -> Sensor {
    let more = json!({
        "device_class": "temperature", "unit_of_measurement": "°C", "state_class": "measurement",
    });
    ("temperature_c", "temperature", more)
}

fn power() -> Sensor {
    let more = json!({
        "device_class": "power", "unit_of_measurement": "W", "state_class": "measurement",
    });
    ("power_w", "power", more)
}

fn count(of: &'static str, called: &'static str) -> Sensor {
    (of, called, json!({"state_class": "total_increasing"}))
}

fn text(of: &'static str, called: &'static str) -> Sensor {
    (of, called, json!({"entity_category": "diagnostic"}))
}

fn miner_sensors() -> Vec<Sensor> {
    let efficiency = json!({
        "unit_of_measurement": "J/TH", "state_class": "measurement",
        "icon": "mdi:lightning-bolt", "suggested_display_precision": 1,
    });
    let started = json!({
        "device_class": "timestamp", "entity_category": "diagnostic",
        "value_template": "{{ value_json.started_unix_s | as_datetime }}",
    });
    vec![
        hashrate("hashrate_th_s", "hashrate"),
        hashrate("expected_th_s", "expected hashrate"),
        power(),
        ("efficiency_j_th", "efficiency", efficiency),
        temperature(),
        count("accepted", "accepted shares"),
        count("rejected", "rejected shares"),
        (
            "best_difficulty",
            "best difficulty",
            json!({"state_class": "measurement", "entity_category": "diagnostic"}),
        ),
        text("state", "state"),
        text("pool", "pool"),
        ("started_unix_s", "started", started),
    ]
}

fn board_sensors() -> Vec<Sensor> {
    let errors = json!({
        "unit_of_measurement": "%", "state_class": "measurement",
        "entity_category": "diagnostic", "icon": "mdi:alert-circle-outline",
    });
    let frequency = json!({
        "device_class": "frequency", "unit_of_measurement": "MHz", "state_class": "measurement",
        "entity_category": "diagnostic",
    });
    vec![
        hashrate("hashrate_th_s", "hashrate"),
        temperature(),
        ("frequency_mhz", "clock", frequency),
        ("hardware_errors_percent", "hardware errors", errors),
        text("state", "state"),
    ]
}

fn tuner_sensors() -> Vec<Sensor> {
    let promised = |of, called, unit: &str, icon: &str| {
        let more = json!({
            "unit_of_measurement": unit, "state_class": "measurement", "icon": icon,
            "suggested_display_precision": 1, "entity_category": "diagnostic",
        });
        (of, called, more)
    };
    let mut power = promised("promised_w", "tuner promised power", "W", "mdi:flash");
    power.2["device_class"] = "power".into();
    let left = json!({
        "device_class": "duration", "unit_of_measurement": "s", "state_class": "measurement",
        "entity_category": "diagnostic",
    });
    let cap = json!({
        "device_class": "power", "unit_of_measurement": "W", "state_class": "measurement",
    });
    vec![
        ("activity", "tuner", json!({"icon": "mdi:tune-variant"})),
        text("reach", "tuner reach"),
        text("because", "tuner waits for"),
        ("reason", "power rule", json!({"icon": "mdi:gavel"})),
        ("power_cap_now_w", "power cap now", cap),
        power,
        promised(
            "promised_th_s",
            "tuner promised hashrate",
            "TH/s",
            "mdi:pickaxe",
        ),
        promised(
            "promised_j_th",
            "tuner promised efficiency",
            "J/TH",
            "mdi:lightning-bolt",
        ),
        promised(
            "progress_percent",
            "tuner progress",
            "%",
            "mdi:progress-clock",
        ),
        ("remaining_s", "tuner time left", left),
    ]
}

fn pool_sensors() -> Vec<Sensor> {
    let latency = json!({
        "device_class": "duration", "unit_of_measurement": "ms", "state_class": "measurement",
        "entity_category": "diagnostic",
    });
    vec![text("state", "state"), ("latency_ms", "latency", latency)]
}

fn capital(text: &str) -> String {
    let mut chars = text.chars();
    chars.next().map_or_else(String::new, |first| {
        first.to_uppercase().chain(chars).collect()
    })
}
