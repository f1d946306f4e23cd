//! The many forms in which pools answer a share, reduced to accepted or a kind of reject.

use serde_json::Value;

use super::message::Response;
use crate::session::RejectKind;
use crate::text::presentable;

/// A pool's verdict on a share.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It counts.
    Accepted,
    /// It does not.
    Rejected {
        /// The reason, normalised.
        kind: RejectKind,
        /// The pool's own words, cut to 200 characters; empty if it gave none.
        text: String,
    },
}

/// Longest reason that is kept, characters.
const MAX_TEXT: usize = 200;

/// Reads the answer to `mining.submit`.
#[must_use]
pub fn verdict(response: &Response) -> Verdict {
    let failure = Failure::of(response);
    if response.result == Value::Bool(true) && failure == Failure::default() {
        return Verdict::Accepted;
    }
    Verdict::Rejected {
        kind: failure.kind(),
        text: failure.text,
    }
}

/// Reads the answer to any other request: `Ok` with the result, or the pool's words.
pub(crate) fn outcome(response: &Response) -> Result<&Value, String> {
    let failure = Failure::of(response);
    let refused = matches!(response.result, Value::Null | Value::Bool(false));
    if !refused && failure == Failure::default() {
        return Ok(&response.result);
    }
    Err(match (failure.text.is_empty(), failure.code) {
        (false, _) => failure.text,
        (true, Some(code)) => format!("error {code}"),
        (true, None) => "no reason given".to_owned(),
    })
}

/// What a response says about why something failed; empty if nothing.
#[derive(Debug, Default, PartialEq, Eq)]
struct Failure {
    code: Option<i64>,
    text: String,
}

impl Failure {
    fn of(response: &Response) -> Self {
        let mut failure = Self::default();
        match &response.error {
            Value::Array(items) => {
                failure.code = items.iter().find_map(Value::as_i64);
                let text = items.iter().filter_map(Value::as_str);
                failure.text = text.map(shown).find(|t| !t.is_empty()).unwrap_or_default();
            }
            Value::Object(fields) => {
                failure.code = fields.get("code").and_then(Value::as_i64);
                let text = fields.get("message").and_then(Value::as_str);
                failure.text = text.map(shown).unwrap_or_default();
            }
            Value::String(text) => failure.text = shown(text),
            Value::Number(number) => failure.code = number.as_i64(),
            Value::Null | Value::Bool(_) => {}
        }
        if failure.text.is_empty()
            && let Some(text) = response.reject_reason.as_str()
        {
            failure.text = shown(text);
        }
        failure
    }

    /// By code first, then by the words.
    fn kind(&self) -> RejectKind {
        let by_text = kind_by_text(&self.text);
        match self.code {
            Some(21) => RejectKind::Stale,
            Some(22) => RejectKind::Duplicate,
            Some(23) => RejectKind::LowDifficulty,
            Some(24) => RejectKind::Unauthorized,
            Some(25) => RejectKind::NotSubscribed,
            Some(_) => by_text.unwrap_or(RejectKind::Other),
            None if self.text.is_empty() => RejectKind::Unexplained,
            None => by_text.unwrap_or(RejectKind::Other),
        }
    }
}

/// Words that pools use, most telling first.
const WORDS: [(&str, RejectKind); 17] = [
    ("duplicate", RejectKind::Duplicate),
    ("above target", RejectKind::LowDifficulty),
    ("low diff", RejectKind::LowDifficulty),
    ("low-diff", RejectKind::LowDifficulty),
    ("difficulty too low", RejectKind::LowDifficulty),
    ("difficulty-too-low", RejectKind::LowDifficulty),
    ("high hash", RejectKind::LowDifficulty),
    ("high-hash", RejectKind::LowDifficulty),
    ("ntime out of range", RejectKind::TimeOutOfRange),
    ("version", RejectKind::VersionBits),
    ("stale", RejectKind::Stale),
    ("job not found", RejectKind::Stale),
    ("invalid jobid", RejectKind::Stale),
    ("invalid-job-id", RejectKind::Stale),
    ("unknown job", RejectKind::Stale),
    ("not subscribed", RejectKind::NotSubscribed),
    ("unauthori", RejectKind::Unauthorized),
];

fn kind_by_text(text: &str) -> Option<RejectKind> {
    let text = text.to_lowercase();
    WORDS
        .iter()
        .find(|(words, _)| text.contains(words))
        .map(|(_, kind)| *kind)
        // ckpool says "Worker mismatch" with the code for "other".
        .or_else(|| {
            text.contains("worker mismatch")
                .then_some(RejectKind::Unauthorized)
        })
}

fn shown(text: &str) -> String {
    presentable(text, MAX_TEXT)
}
