//! Webhooks: which events are told, the request for each, its signature, and what to do when the
//! receiver does not take it. Requests are as the Standard Webhooks specification says, so that its
//! libraries verify them.

use std::fmt;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, KeyInit, Mac};
use rpc::event::Entry;
use serde_json::json;
use sha2::Sha256;
use station::Severity;

use crate::time::utc;

/// Requests that may wait for a receiver; the oldest make room.
pub const QUEUE: usize = 64;

/// Pauses before the second and the further attempts. After the last one the request is given up.
pub const PAUSES: [Duration; 6] = [
    Duration::from_secs(2),
    Duration::from_secs(10),
    Duration::from_secs(60),
    Duration::from_secs(300),
    Duration::from_secs(900),
    Duration::from_secs(1800),
];

/// Which events a receiver wants.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Filter {
    /// The least severity.
    pub severity: Severity,
    /// Codes, of which the event must have one; `fan-*` means all that begin so. Empty for all.
    pub codes: Vec<String>,
}

impl Filter {
    /// Whether the event is wanted.
    #[must_use]
    pub fn wants(&self, entry: &Entry) -> bool {
        let code = &entry.notice.code;
        let fits = |wanted: &String| match wanted.strip_suffix('*') {
            Some(start) => code.starts_with(start),
            None => code == wanted,
        };
        entry.notice.severity >= self.severity
            && (self.codes.is_empty() || self.codes.iter().any(fits))
    }
}

/// Who tells.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Sender {
    /// Name of the agent.
    pub name: String,
    /// Version of the program.
    pub version: String,
    /// When it started, seconds since 1970: with the number of an event this makes its id.
    pub started_unix_s: u64,
}

/// A request, the same at every attempt.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Request {
    /// For the header `webhook-id`: whoever has seen it has seen the event.
    pub id: String,
    /// JSON.
    pub body: String,
}

impl Request {
    /// The request that tells an event. `text` in it is for people, and is what the incoming webhooks
    /// of several chat programs show.
    #[must_use]
    pub fn new(sender: &Sender, entry: &Entry) -> Self {
        let severity = serde_json::to_value(entry.notice.severity).unwrap_or_default();
        let severity = severity.as_str().unwrap_or("info");
        let notice = &entry.notice;
        let mut text = format!("[{}] {severity}: {}", sender.name, notice.text);
        if !notice.advice.is_empty() {
            text = format!("{text}. {}", notice.advice);
        }
        let body = json!({
            "type": format!("event.{severity}"),
            "timestamp": utc(entry.unix_s),
            "text": text,
            "data": {
                "agent": sender.name,
                "version": sender.version,
                "event": entry,
            },
        });
        Self {
            id: format!("msg_{:x}_{:x}", sender.started_unix_s, entry.number),
            body: body.to_string(),
        }
    }
}

/// The key that a receiver knows us by.
#[derive(Clone, PartialEq, Eq)]
pub struct Key(Vec<u8>);

impl Key {
    /// From the secret as the receiver shows it: `whsec_` and base64, or else any text as it is.
    #[must_use]
    pub fn new(secret: &str) -> Self {
        let decoded = secret
            .strip_prefix("whsec_")
            .and_then(|text| STANDARD.decode(text).ok());
        Self(decoded.unwrap_or_else(|| secret.as_bytes().to_vec()))
    }

    /// For the header `webhook-signature` of a request that is sent now.
    #[must_use]
    pub fn sign(&self, request: &Request, unix_s: u64) -> String {
        // HMAC takes keys of any length.
        let Ok(mut mac) = Hmac::<Sha256>::new_from_slice(&self.0) else {
            return String::new();
        };
        for part in [&request.id, ".", &unix_s.to_string(), ".", &request.body] {
            mac.update(part.as_bytes());
        }
        format!("v1,{}", STANDARD.encode(mac.finalize().into_bytes()))
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Key(..)")
    }
}

/// What came of an attempt.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It answered with this status, and perhaps said when to come again.
    Status(u16, Option<Duration>),
    /// There was no answer.
    Failed,
}

/// What to do then.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Next {
    /// It was taken.
    Done,
    /// Try again after this pause.
    Retry(Duration),
    /// Forget it.
    GiveUp,
}

/// What to do after an attempt, of which `failed` have failed before. Redirects are not followed: what
/// is told to one receiver is not for another one. What a receiver refuses for good is not tried again.
#[must_use]
pub fn after(failed: usize, outcome: &Outcome) -> Next {
    let asked = match outcome {
        Outcome::Status(200..=299, _) => return Next::Done,
        Outcome::Status(408 | 425 | 429 | 500..=599, asked) => *asked,
        Outcome::Status(..) => return Next::GiveUp,
        Outcome::Failed => None,
    };
    let longest = PAUSES[PAUSES.len() - 1];
    match PAUSES.get(failed) {
        Some(pause) => Next::Retry(asked.map_or(*pause, |asked| asked.clamp(*pause, longest))),
        None => Next::GiveUp,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use station::Notice;

    use super::*;

    fn entry(severity: Severity, code: &str) -> Entry {
        Entry {
            number: 31,
            unix_s: 1_614_265_330,
            boards: vec![0],
            notice: Notice {
                severity,
                code: code.into(),
                text: "fan 1 stands still".into(),
                advice: "look at it".into(),
                ..Notice::default()
            },
            ..Entry::default()
        }
    }

    /// The example of the libraries of Standard Webhooks.
    #[test]
    fn signatures_are_those_of_the_specification() {
        let key = Key::new("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw");
        let request = Request {
            id: "msg_p5jXN8AQM9LWM0D4loKWxJek".into(),
            body: r#"{"test": 2432232314}"#.into(),
        };
        assert_eq!(
            key.sign(&request, 1_614_265_330),
            "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="
        );
    }

    /// Test case 2 of RFC 4231, whose key is a plain text.
    #[test]
    fn other_secrets_are_taken_as_they_are() {
        assert_eq!(Key::new("Jefe").0, b"Jefe");
        assert_eq!(Key::new("whsec_not base64!").0, b"whsec_not base64!");
        assert!(!format!("{:?}", Key::new("Jefe")).contains("Jefe"));
    }

    #[test]
    fn requests_tell_people_and_programs() {
        let sender = Sender {
            name: "rack-3-7".into(),
            version: "1.2.3".into(),
            started_unix_s: 1_614_000_000,
        };
        let request = Request::new(&sender, &entry(Severity::Fault, "fan-stalled"));
        let body: serde_json::Value = serde_json::from_str(&request.body).unwrap();
        assert_eq!(body["type"], "event.fault");
        assert_eq!(body["timestamp"], "2021-02-25T15:02:10Z");
        assert_eq!(
            body["text"],
            "[rack-3-7] fault: fan 1 stands still. look at it"
        );
        assert_eq!(body["data"]["event"]["code"], "fan-stalled");
        assert_eq!(body["data"]["agent"], "rack-3-7");
        assert_eq!(request.id, "msg_6033af80_1f");
    }

    #[test]
    fn filters_know_severities_and_codes() {
        let filter = Filter {
            severity: Severity::Warning,
            codes: vec!["fan-*".into(), "payout-changed".into()],
        };
        assert!(filter.wants(&entry(Severity::Fault, "fan-stalled")));
        assert!(filter.wants(&entry(Severity::Warning, "payout-changed")));
        assert!(!filter.wants(&entry(Severity::Info, "fan-stalled")));
        assert!(!filter.wants(&entry(Severity::Critical, "payout-changed-not")));
        assert!(Filter::default().wants(&entry(Severity::Info, "anything")));
    }

    #[test]
    fn only_what_may_come_right_is_tried_again() {
        let status = |code| Outcome::Status(code, None);
        assert_eq!(after(0, &status(204)), Next::Done);
        for code in [301, 302, 307, 400, 401, 404, 410, 100, 600] {
            assert_eq!(after(0, &status(code)), Next::GiveUp, "{code}");
        }
        for outcome in [status(500), status(429), Outcome::Failed] {
            assert_eq!(after(0, &outcome), Next::Retry(PAUSES[0]));
            assert_eq!(after(5, &outcome), Next::Retry(PAUSES[5]));
            assert_eq!(after(6, &outcome), Next::GiveUp);
        }
        let later = Outcome::Status(503, Some(Duration::from_secs(30)));
        assert_eq!(after(0, &later), Next::Retry(Duration::from_secs(30)));
        let never = Outcome::Status(503, Some(Duration::from_secs(1 << 40)));
        assert_eq!(after(0, &never), Next::Retry(PAUSES[5]));
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        #[test]
        fn hostile_texts_stay_texts(name in any::<String>(), text in any::<String>()) {
            let sender = Sender { name: name.clone(), ..Sender::default() };
            let mut entry = entry(Severity::Info, "x");
            entry.notice.text.clone_from(&text);
            entry.unix_s = u64::MAX;
            let body: serde_json::Value =
                serde_json::from_str(&Request::new(&sender, &entry).body).unwrap();
            prop_assert_eq!(&body["data"]["agent"], &name);
            prop_assert_eq!(&body["data"]["event"]["text"], &text);
        }
    }
}
