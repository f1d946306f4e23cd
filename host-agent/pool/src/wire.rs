//! The texts that the pool sends, in the forms that the switches ask for. One function a message; no
//! state apart from the random source for garbage.

use crate::quirks::{Quirk, Quirks};
use crate::share::Reject;
use crate::target::Difficulty;
use crate::template::JobTemplate;
use serde_json::{Map, Value, json};

/// Ids of the pool's own requests, by which their answers are known.
pub(crate) const PING_ID: u64 = 42;
pub(crate) const VERSION_ID: u64 = 43;
/// Bounds of what the hostile notifications may be told to send.
const MAX_BRANCHES: u32 = 10_000;
const MAX_COINBASE_KIB: u32 = 8 * 1024;

/// An answer with a result and an error.
pub(crate) fn answer(quirks: &Quirks, id: &Value, result: Value, error: Value) -> String {
    json!({"id": echoed(quirks, id), "result": result, "error": error}).to_string()
}

/// The refusal of a request that is not a share: the plainest form.
pub(crate) fn refusal(quirks: &Quirks, id: &Value, code: i64, text: &str) -> String {
    answer(quirks, id, Value::Null, json!([code, text, null]))
}

/// The answer to a submit; `None` if the switches say silence.
pub(crate) fn verdict(quirks: &Quirks, id: &Value, verdict: Result<(), &Reject>) -> Option<String> {
    if quirks.has(Quirk::AnswerNever) {
        return None;
    }
    let Err(reject) = verdict else {
        return Some(answer(quirks, id, Value::Bool(true), Value::Null));
    };
    let (code, text) = (reject.code(), reject.to_string());
    let form = |result: Value, error: Value| answer(quirks, id, result, error);
    let falsehood = Value::Bool(false);
    Some(if quirks.has(Quirk::AnswerNull) {
        form(Value::Null, json!([code, text, null]))
    } else if quirks.has(Quirk::AnswerNullText) {
        form(Value::Null, json!([code, text, ""]))
    } else if quirks.has(Quirk::AnswerErrorText) {
        form(falsehood, json!(text))
    } else if quirks.has(Quirk::AnswerBareFalse) {
        form(falsehood, Value::Null)
    } else if quirks.has(Quirk::AnswerErrorObject) {
        form(Value::Null, json!({"code": code, "message": text}))
    } else if quirks.has(Quirk::AnswerRejectReason) {
        let id = echoed(quirks, id);
        json!({"id": id, "result": false, "error": null, "reject-reason": text}).to_string()
    } else {
        form(falsehood, json!([code, text, null]))
    })
}

/// A notification or request of the pool without an id of its own.
pub(crate) fn notification(quirks: &Quirks, method: &str, params: Value) -> String {
    let mut message = Map::new();
    if quirks.has(Quirk::NumericId) {
        message.insert("id".to_owned(), json!(7));
    } else if !quirks.has(Quirk::AbsentId) {
        message.insert("id".to_owned(), Value::Null);
    }
    message.insert("method".to_owned(), json!(method));
    message.insert("params".to_owned(), params);
    Value::Object(message).to_string()
}

/// A request that wants an answer.
pub(crate) fn request(id: u64, method: &str) -> String {
    json!({"id": id, "method": method, "params": []}).to_string()
}

/// `mining.set_difficulty`. The number is put in as text because its form is the point.
pub(crate) fn set_difficulty(quirks: &Quirks, difficulty: Difficulty) -> String {
    let marker = "\"*\"";
    let number = difficulty_text(quirks, difficulty);
    notification(quirks, "mining.set_difficulty", json!(["*"])).replacen(marker, &number, 1)
}

/// `mining.notify`, with clean_jobs as given.
pub(crate) fn notify(quirks: &Quirks, job: &JobTemplate, clean: bool) -> String {
    let mut params = job.to_notify();
    if let Some(last) = params.last_mut() {
        *last = Value::Bool(clean);
    }
    if quirks.has(Quirk::Notify8) {
        params.pop();
    } else if quirks.has(Quirk::Notify10) {
        params.insert(8, json!(format!("{:08x}", job.ntime)));
    } else if quirks.has(Quirk::NotifyBadHex) {
        params[2] = json!("0100000xyz");
    } else if let Some(count) = quirks.number(Quirk::NotifyBranches) {
        params[4] = json!(vec!["ab".repeat(32); count.min(MAX_BRANCHES) as usize]);
    } else if let Some(kib) = quirks.number(Quirk::NotifyBigCoinbase) {
        params[2] = json!("00".repeat(kib.min(MAX_COINBASE_KIB) as usize * 1024));
    } else if quirks.has(Quirk::NotifyWrongTypes) {
        params[1] = json!(17);
        params[4] = json!({"branch": null});
        params[8] = json!("maybe");
    }
    let mut line = notification(quirks, "mining.notify", Value::Array(params));
    if quirks.has(Quirk::NotifyTruncated) {
        // All of it is ASCII, so any place is a border between characters.
        line.truncate(line.len() / 2);
    }
    line
}

/// The difficulty that a session is really given: whole numbers only, if the switches say so.
pub(crate) fn given_difficulty(quirks: &Quirks, difficulty: Difficulty) -> Difficulty {
    if quirks.has(Quirk::DifficultyInteger) {
        Difficulty::new(difficulty.get().ceil().max(1.0)).unwrap_or(Difficulty::ONE)
    } else {
        difficulty
    }
}

fn difficulty_text(quirks: &Quirks, difficulty: Difficulty) -> String {
    let value = difficulty.get();
    if quirks.has(Quirk::DifficultyFloat) {
        format!("{value:?}")
    } else if quirks.has(Quirk::DifficultyDigits) {
        // 17 significant digits, as printf's %.17g writes them without an exponent.
        let decimals = 16.0 - value.log10().floor();
        format!("{value:.*}", decimals.clamp(0.0, 340.0) as usize)
    } else if quirks.has(Quirk::DifficultyZero) {
        "0".to_owned()
    } else if quirks.has(Quirk::DifficultyNegative) {
        "-1".to_owned()
    } else if quirks.has(Quirk::DifficultyNan) {
        "NaN".to_owned()
    } else if quirks.has(Quirk::DifficultyHuge) {
        "1e999".to_owned()
    } else if quirks.has(Quirk::DifficultyText) {
        "\"easy\"".to_owned()
    } else {
        format!("{value}")
    }
}

fn echoed(quirks: &Quirks, id: &Value) -> Value {
    match id {
        Value::Number(number) if quirks.has(Quirk::IdAsString) => json!(number.to_string()),
        // Only the plain forms are echoed: an id of another kind is not one.
        Value::Number(_) | Value::String(_) => id.clone(),
        _ => Value::Null,
    }
}
