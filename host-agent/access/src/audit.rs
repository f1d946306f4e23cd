//! Audit records: who wanted to change what, from where, and what came of it. They never hold a
//! secret, and no record is longer than [`MAX_LINE`], so that a file of them is bounded by their number.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::bucket::{Bucket, Rate};
use rpc::Role;

/// Longest record as a line of JSON, bytes.
pub const MAX_LINE: usize = 2_048;

/// What stands for a secret.
pub const SECRET: &str = "(secret)";

/// Longest text of a parameter, characters.
const MAX_TEXT: usize = 200;

/// Most items of a list or object.
const MAX_ITEMS: usize = 32;

/// Deepest nesting.
const MAX_DEPTH: u32 = 6;

/// One line of the audit log.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Line {
    /// When, seconds since 1970.
    pub unix_s: u64,
    /// Name of the token, or `local`, `owner`, `nobody`.
    pub who: String,
    /// What they may do.
    pub role: Option<Role>,
    /// By which way: `rpc`, `cli`, `mqtt` and so on.
    pub via: String,
    /// From which address; absent for the agent itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub peer: Option<String>,
    /// The method or what was done.
    pub method: String,
    /// What they asked for, without secrets.
    #[serde(default, skip_serializing_if = "Value::is_null")]
    pub params: Value,
    /// `ok`, or why not.
    pub outcome: String,
}

impl Line {
    /// The record as one line of JSON without a line end, at most [`MAX_LINE`] bytes.
    #[must_use]
    pub fn to_json(&self) -> String {
        let mut line = Self {
            who: short(&self.who, 63),
            via: short(&self.via, 20),
            peer: self.peer.as_deref().map(|peer| short(peer, 60)),
            method: short(&self.method, 60),
            params: redacted(&self.method, &self.params),
            outcome: short(&hide(&self.outcome), MAX_TEXT),
            ..self.clone()
        };
        let text = json(&line);
        if text.len() <= MAX_LINE {
            return text;
        }
        line.params = Value::from("(too long to be kept)");
        json(&line)
    }

    /// Reads a line; what is damaged, as after a power cut, is none.
    #[must_use]
    pub fn from_json(text: &str) -> Option<Self> {
        serde_json::from_str(text).ok()
    }
}

/// Parameters of a method as they may be kept: without secrets, and not too many.
#[must_use]
pub fn redacted(method: &str, params: &Value) -> Value {
    redact(method, "", params, 0)
}

/// How many records somebody may cause who is not let in. Those of the owners must not be pushed out of
/// a bounded file by strangers.
#[derive(Clone, Debug, Default)]
pub struct Strangers {
    bucket: Option<Bucket>,
    left_out: u64,
}

/// Records of strangers: a few at once, then one every two minutes.
const STRANGERS: Rate = Rate {
    per_s: 1.0 / 120.0,
    burst: 20.0,
};

impl Strangers {
    /// Whether one more may be kept, and how many were not since the last that was.
    pub fn admit(&mut self, now: Duration) -> Option<u64> {
        let bucket = self.bucket.get_or_insert(Bucket::full(STRANGERS, now));
        match bucket.take(STRANGERS, now) {
            Ok(()) => Some(std::mem::take(&mut self.left_out)),
            Err(_) => {
                self.left_out = self.left_out.saturating_add(1);
                None
            }
        }
    }
}

fn redact(method: &str, path: &str, value: &Value, depth: u32) -> Value {
    if is_secret(method, path) && !value.is_null() && !value.is_boolean() {
        return Value::from(SECRET);
    }
    match value {
        Value::String(text) => Value::from(short(&hide(text), MAX_TEXT)),
        Value::Array(_) | Value::Object(_) if depth >= MAX_DEPTH => Value::from("(too deep)"),
        Value::Array(items) => {
            let mut kept: Vec<_> = items
                .iter()
                .take(MAX_ITEMS)
                .map(|item| redact(method, path, item, depth + 1))
                .collect();
            if items.len() > MAX_ITEMS {
                kept.push(Value::from(format!("({} more)", items.len() - MAX_ITEMS)));
            }
            Value::Array(kept)
        }
        Value::Object(fields) => {
            let mut kept = Map::new();
            for (name, field) in fields.iter().take(MAX_ITEMS) {
                let path = format!("{path}.{}", short(name, 80));
                let field = redact(method, &path, field, depth + 1);
                kept.insert(short(&hide(name), 80), field);
            }
            if fields.len() > MAX_ITEMS {
                kept.insert("(more)".to_owned(), Value::from(fields.len() - MAX_ITEMS));
            }
            Value::Object(kept)
        }
        other => other.clone(),
    }
}

/// Whether what stands under this path is a secret by its name.
fn is_secret(method: &str, path: &str) -> bool {
    let path = path.to_ascii_lowercase();
    let last = path.rsplit('.').next().unwrap_or(&path);
    let named = [
        "password",
        "passwd",
        "passphrase",
        "secret",
        "token",
        "credential",
        "authorization",
    ];
    named.iter().any(|word| path.contains(word))
        || matches!(last, "pass" | "pwd" | "auth" | "api_key" | "apikey" | "key")
        // Of faults the code is wanted; of pairing it is the secret.
        || (last == "code" && method.starts_with("auth."))
        // A whole config, with whatever stands in it.
        || (last == "text" && method.starts_with("config."))
}

/// A text without the secrets that it may carry: tokens, and all of a web address but its host, because
/// addresses of webhooks are secrets. Of other URLs, users and passwords before the host.
fn hide(text: &str) -> String {
    let words = text.split_inclusive(|c: char| c.is_whitespace() || matches!(c, '"' | '\'' | ','));
    words.map(hide_word).collect()
}

fn hide_word(word: &str) -> String {
    if let Some(at) = word.find("hw_")
        && word.len() - at >= 16
    {
        return format!("{}{SECRET}", &word[..at]);
    }
    let Some((scheme, rest)) = word.split_once("://") else {
        return word.to_owned();
    };
    let end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
    let (authority, path) = rest.split_at(end);
    let host = match authority.rsplit_once('@') {
        Some((_, host)) => format!("{SECRET}@{host}"),
        None => authority.to_owned(),
    };
    let is_web = scheme.to_ascii_lowercase().contains("http");
    let path = match (is_web, path.len() > 1) {
        (true, true) => "/…",
        _ => path,
    };
    format!("{scheme}://{host}{path}")
}

fn short(text: &str, most: usize) -> String {
    // A control character takes six bytes in JSON, any other at most four.
    let plain = |c: char| if c.is_control() { '·' } else { c };
    let mut kept: String = text.chars().take(most).map(plain).collect();
    if text.chars().nth(most).is_some() {
        kept.push('…');
    }
    kept
}

fn json(line: &Line) -> String {
    // Only maps with other keys than text can fail, and none is here.
    serde_json::to_string(line).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    fn line(method: &str, params: Value) -> Line {
        Line {
            unix_s: 1_795_000_000,
            who: "phone".to_owned(),
            role: Some(Role::Admin),
            via: "rpc".to_owned(),
            peer: Some("10.0.0.7".to_owned()),
            method: method.to_owned(),
            params,
            outcome: "ok".to_owned(),
        }
    }

    #[test]
    fn what_was_changed_can_be_read() {
        let written = line(
            "cooling.set",
            json!({"board": 0, "mode": "manual", "percent": 70}),
        );
        assert_eq!(Line::from_json(&written.to_json()), Some(written));
        let cleared = line(
            "board.clear_fault",
            json!({"board": 0, "code": "fan-stalled"}),
        );
        assert!(cleared.to_json().contains("fan-stalled"));
    }

    #[test]
    fn no_secret_gets_into_a_record() {
        for (method, params) in [
            (
                "pool.add",
                json!({"url": "stratum+tcp://u:S3CRET@pool.example:1", "password": "S3CRET"}),
            ),
            (
                "pool.set",
                json!([{"password": "S3CRET"}, {"password": {"env": "S3CRET"}}]),
            ),
            (
                "config.set",
                json!({"mqtt.password": "S3CRET", "webhook[0].secret": "S3CRET"}),
            ),
            (
                "config.set",
                json!({"webhook[0].url": "https://hooks.example/T0/S3CRET?x=S3CRET"}),
            ),
            ("config.set", json!({"upstream.proxy_password": "S3CRET"})),
            ("config.check", json!({"text": "password = \"S3CRET\""})),
            ("auth.pair", json!({"code": "S3CRET", "name": "phone"})),
            ("auth.login", json!({"token": "S3CRET"})),
            ("auth.login", json!(["hw_S3CRETS3CRETS3CRETS3CRETS3CRET"])),
            (
                "cooling.set",
                json!({"mode": "hw_S3CRETS3CRETS3CRETS3CRETS3CRET"}),
            ),
            ("x", json!({"hw_S3CRETS3CRETS3CRETS3CRETS3CRET": 1})),
            (
                "x",
                json!({"note": "see https://me:S3CRET@host/ and wss://S3CRET@host"}),
            ),
        ] {
            let text = line(method, params).to_json();
            assert!(!text.contains("S3CRET"), "{text}");
        }
        let mut refused = line("auth.login", Value::Null);
        refused.outcome =
            "no token hw_S3CRETS3CRETS3CRETS3CRET, \"http://a:S3CRET@b/c\"".to_owned();
        assert!(!refused.to_json().contains("S3CRET"));
    }

    #[test]
    fn a_pool_can_still_be_told_from_another() {
        let text = line(
            "pool.add",
            json!({"url": "stratum2+tcp://pool.example:3336/9auqW"}),
        )
        .to_json();
        assert!(
            text.contains("stratum2+tcp://pool.example:3336/9auqW"),
            "{text}"
        );
    }

    #[test]
    fn strangers_cannot_fill_the_log() {
        let mut strangers = Strangers::default();
        let kept = (0..10_000)
            .filter(|_| strangers.admit(Duration::ZERO).is_some())
            .count();
        assert_eq!(kept, 20);
        let later = Duration::from_secs(121);
        assert_eq!(strangers.admit(later), Some(9_980));
        assert_eq!(strangers.admit(later), None);
    }

    fn any_json() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            any::<i64>().prop_map(Value::from),
            "\\PC{0,300}".prop_map(Value::from),
            "[\u{0}-\u{20}\"\\\\]{0,300}".prop_map(Value::from),
        ];
        leaf.prop_recursive(8, 64, 8, |inner| {
            prop_oneof![
                proptest::collection::vec(inner.clone(), 0..8).prop_map(Value::from),
                proptest::collection::vec(("\\PC{0,40}", inner), 0..8)
                    .prop_map(|fields| Value::Object(fields.into_iter().collect())),
            ]
        })
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(128))]

        #[test]
        fn a_record_is_one_bounded_line(who in "\\PC{0,300}", method in any::<String>(), params in any_json(), outcome in any::<String>()) {
            let text = Line { who, outcome, ..line(&method, params) }.to_json();
            prop_assert!(text.len() <= MAX_LINE, "{} bytes", text.len());
            prop_assert!(!text.contains(['\n', '\r']));
            prop_assert!(Line::from_json(&text).is_some());
        }

        #[test]
        fn any_text_can_be_looked_through(text in any::<String>()) {
            hide(&text);
        }
    }
}
