//! The service that an agent announces on its network, and what is read from the announcements of
//! others: DNS-SD (RFC 6763) under `_hashwright._tcp`.

use std::net::IpAddr;

use serde::{Deserialize, Serialize};

/// Type of the service.
pub const SERVICE: &str = "_hashwright._tcp.local.";

/// Longest name of an instance, bytes (RFC 6763, 4.1.1).
const MAX_NAME: usize = 63;
/// Longest entry of a TXT record, bytes (RFC 6763, 6.1).
const MAX_ENTRY: usize = 255;

/// What an agent says of itself.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Announcement {
    /// Its name.
    pub name: String,
    /// Version of the program.
    pub version: String,
    /// What kinds of boards it has, e.g. `Bitaxe Gamma`.
    pub model: String,
    /// Its API is reached over TLS.
    pub tls: bool,
    /// SHA-256 of its certificate, hexadecimal.
    pub fingerprint: Option<String>,
}

impl Announcement {
    /// Name of the instance: that of the agent, as far as one may be so.
    #[must_use]
    pub fn instance(&self) -> String {
        let name = presentable(&self.name, MAX_NAME);
        if name.is_empty() {
            "hashwright".to_owned()
        } else {
            name
        }
    }

    /// Entries of its TXT record.
    #[must_use]
    pub fn entries(&self) -> Vec<(&'static str, String)> {
        let mut entries = vec![
            ("txtvers", "1".to_owned()),
            ("path", "/rpc".to_owned()),
            ("version", self.version.clone()),
            ("model", self.model.clone()),
            ("tls", u8::from(self.tls).to_string()),
        ];
        let fingerprint = self.fingerprint.as_ref().filter(|_| self.tls);
        entries.extend(fingerprint.map(|hex| ("fingerprint", hex.clone())));
        for (key, value) in &mut entries {
            *value = presentable(value, MAX_ENTRY - key.len() - 1);
        }
        entries
    }
}

/// An agent that was found. Anybody on the network can announce anything: who it is shows only when
/// somebody connects to it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Found {
    /// Its name.
    pub name: String,
    /// Its addresses, IPv4 first.
    pub addresses: Vec<IpAddr>,
    /// Port of its API.
    pub port: u16,
    /// Its API is reached over TLS.
    pub tls: bool,
    /// SHA-256 that it says its certificate has, hexadecimal.
    pub fingerprint: Option<String>,
    /// Version of the program.
    pub version: String,
    /// What kinds of boards it has.
    pub model: String,
}

impl Found {
    /// Reads an announcement. `instance` is its full name, `entry` looks up its TXT record.
    #[must_use]
    pub fn read<'t>(
        instance: &str,
        addresses: impl IntoIterator<Item = IpAddr>,
        port: u16,
        entry: impl Fn(&str) -> Option<&'t str>,
    ) -> Self {
        let name = instance.strip_suffix(SERVICE).unwrap_or(instance);
        let name = name.strip_suffix('.').unwrap_or(name);
        let text = |key| entry(key).map(|text| presentable(text, MAX_ENTRY));
        let mut addresses: Vec<_> = addresses.into_iter().collect();
        addresses.sort();
        addresses.dedup();
        Self {
            name: presentable(name, MAX_NAME),
            addresses,
            port,
            tls: entry("tls") == Some("1"),
            fingerprint: text("fingerprint").filter(|hex| {
                hex.len() == 64 && hex.chars().all(|digit| digit.is_ascii_hexdigit())
            }),
            version: text("version").unwrap_or_default(),
            model: text("model").unwrap_or_default(),
        }
    }
}

/// The text without control characters, cut to so many bytes.
fn presentable(text: &str, most: usize) -> String {
    let mut out = String::new();
    for c in text.chars().filter(|c| !c.is_control()) {
        if out.len() + c.len_utf8() > most {
            break;
        }
        out.push(c);
    }
    out
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use proptest::prelude::*;

    use super::*;

    fn announcement() -> Announcement {
        Announcement {
            name: "rack-3.7".into(),
            version: "1.2.3".into(),
            model: "Bitaxe Gamma".into(),
            tls: true,
            fingerprint: Some("ab".repeat(32)),
        }
    }

    fn found(announcement: &Announcement) -> Found {
        let entries: HashMap<_, _> = announcement.entries().into_iter().collect();
        let instance = format!("{}.{SERVICE}", announcement.instance());
        let addresses = ["fd00::2", "192.0.2.2", "192.0.2.2"].map(|a| a.parse().unwrap());
        Found::read(&instance, addresses, 4029, |key| {
            entries.get(key).map(|value| &value[..])
        })
    }

    #[test]
    fn what_is_announced_is_found() {
        let found = found(&announcement());
        assert_eq!(found.name, "rack-3.7");
        assert_eq!(found.addresses[0].to_string(), "192.0.2.2");
        assert_eq!(found.addresses.len(), 2);
        assert!(found.tls);
        assert_eq!(found.fingerprint, Some("ab".repeat(32)));
        assert_eq!(
            (&found.version[..], &found.model[..]),
            ("1.2.3", "Bitaxe Gamma")
        );
    }

    #[test]
    fn no_fingerprint_without_tls() {
        let plain = Announcement {
            tls: false,
            ..announcement()
        };
        assert_eq!(found(&plain).fingerprint, None);
        assert!(!found(&plain).tls);
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        #[test]
        fn records_keep_their_limits(texts in prop::collection::vec("\\PC{0,300}|.{0,300}", 4)) {
            let announcement = Announcement {
                name: texts[0].clone(), version: texts[1].clone(), model: texts[2].clone(),
                tls: true, fingerprint: Some(texts[3].clone()),
            };
            prop_assert!((1..=63).contains(&announcement.instance().len()));
            for (key, value) in announcement.entries() {
                prop_assert!(key.len() + 1 + value.len() <= 255);
                prop_assert!(!value.contains(char::is_control));
            }
            found(&announcement);
        }
    }
}
