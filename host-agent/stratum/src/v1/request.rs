//! The lines that we send. Each is one JSON object and one write.

use mining::Share;
use serde_json::{Value, json};

use super::config::Config;
use crate::text::to_hex;

/// Requests whose answers the session looks at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Request {
    Configure,
    Subscribe,
    ExtranonceSubscribe,
    SuggestDifficulty,
    Authorize,
}

pub(crate) fn configure(id: u64, mask: u32) -> Vec<u8> {
    let options = json!({
        "version-rolling.mask": format!("{mask:08x}"),
        "version-rolling.min-bit-count": 2,
    });
    line(
        id,
        "mining.configure",
        json!([["version-rolling"], options]),
    )
}

pub(crate) fn subscribe(id: u64, agent: &str, session_id: Option<&str>) -> Vec<u8> {
    let params = match session_id {
        Some(session_id) => json!([agent, session_id]),
        None => json!([agent]),
    };
    line(id, "mining.subscribe", params)
}

pub(crate) fn extranonce_subscribe(id: u64) -> Vec<u8> {
    line(id, "mining.extranonce.subscribe", json!([]))
}

/// `None` if there is nothing that this pool could read: hydrapool takes integers only.
pub(crate) fn suggest_difficulty(id: u64, difficulty: f64, fractions: bool) -> Option<Vec<u8>> {
    let whole = difficulty.round();
    let value = if fractions && difficulty.fract() != 0.0 {
        json!(difficulty)
    } else if (1.0..1e15).contains(&whole) {
        json!(whole as u64)
    } else {
        return None;
    };
    Some(line(id, "mining.suggest_difficulty", json!([value])))
}

pub(crate) fn authorize(id: u64, config: &Config) -> Vec<u8> {
    let params = json!([config.user, config.password.expose()]);
    line(id, "mining.authorize", params)
}

/// `bits` is there exactly if version rolling was agreed.
pub(crate) fn submit(id: u64, user: &str, share: &Share, bits: Option<u32>) -> Vec<u8> {
    let mut params = vec![
        json!(user),
        json!(share.job.id),
        json!(to_hex(&share.extranonce2)),
        json!(format!("{:08x}", share.ntime)),
        json!(format!("{:08x}", share.nonce)),
    ];
    params.extend(bits.map(|bits| json!(format!("{bits:08x}"))));
    line(id, "mining.submit", Value::Array(params))
}

/// The answer to a request of the pool.
pub(crate) fn answer(id: &Value, result: &str) -> Vec<u8> {
    ended(json!({ "id": id, "result": result, "error": null }))
}

fn line(id: u64, method: &str, params: Value) -> Vec<u8> {
    ended(json!({ "id": id, "method": method, "params": params }))
}

fn ended(message: Value) -> Vec<u8> {
    let mut line = message.to_string().into_bytes();
    line.push(b'\n');
    line
}
