//! `[mqtt]`, `[[webhook]]` and `[mdns]`: whom the agent tells what happens, besides those who ask its
//! API. Without their tables nothing is told, except that an agent that other machines can reach says so
//! by mDNS.

use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::str::FromStr;
use std::time::Duration;

use hyper::Uri;
use outlets::webhook::Filter;
use rpc::Role;
use station::Severity;
use stratum::Secret;
use stratum::transport::Trust;

use super::pools;
use super::reader::Section;
use super::tables::Tables;

/// Most `[[webhook]]` tables.
pub(super) const MAX_WEBHOOKS: usize = 16;
/// Most codes of a webhook.
const MAX_CODES: usize = 64;
/// Prefix of the topics unless the config says otherwise.
const PREFIX: &str = "hashwright";
/// Home Assistant's own default.
const DISCOVERY: &str = "homeassistant";

/// `[mqtt]`.
#[derive(Clone, Debug, PartialEq)]
pub struct Mqtt {
    /// The broker.
    pub broker: Broker,
    /// User at the broker.
    pub user: Option<String>,
    /// Password at the broker.
    pub password: Option<Secret>,
    /// How the broker is known over TLS.
    pub trust: Trust,
    /// First levels of all topics.
    pub prefix: String,
    /// Name of this miner in topics; else it follows from the agent's.
    pub id: Option<String>,
    /// Prefix of Home Assistant's discovery; none without it.
    pub discovery: Option<String>,
    /// What messages may ask for.
    pub role: Role,
    /// Shortest time between two tellings of the state.
    pub interval: Duration,
}

impl Mqtt {
    /// The defaults, with this broker.
    #[must_use]
    pub fn new(broker: Broker) -> Self {
        Self {
            broker,
            user: None,
            password: None,
            trust: Trust::System,
            prefix: PREFIX.to_owned(),
            id: None,
            discovery: Some(DISCOVERY.to_owned()),
            role: Role::Read,
            interval: Duration::from_secs(10),
        }
    }
}

/// Where a broker is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Broker {
    /// Whether it speaks TLS.
    pub tls: bool,
    /// Name or address.
    pub host: String,
    /// Port.
    pub port: u16,
}

impl FromStr for Broker {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let uri = uri(text)?;
        let (tls, port) = match uri.scheme_str() {
            Some("mqtt") => (false, 1883),
            Some("mqtts") => (true, 8883),
            _ => return Err("must begin with mqtt:// or, for TLS, mqtts://".to_owned()),
        };
        if !matches!(uri.path(), "" | "/") || uri.query().is_some() {
            return Err("must end behind the port; topics begin with `prefix`".to_owned());
        }
        Ok(Self {
            tls,
            host: host(&uri)?,
            port: uri.port_u16().unwrap_or(port),
        })
    }
}

impl fmt::Display for Broker {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scheme = if self.tls { "mqtts" } else { "mqtt" };
        write!(f, "{scheme}://{}:{}", bracketed(&self.host), self.port)
    }
}

/// `[[webhook]]`.
#[derive(Clone, Debug, PartialEq)]
pub struct Webhook {
    /// Who is told.
    pub receiver: Receiver,
    /// Of what.
    pub filter: Filter,
    /// What requests are signed with.
    pub secret: Option<Secret>,
    /// How the receiver is known over TLS.
    pub trust: Trust,
}

/// Where a webhook goes. The path often holds a secret, so it is shown nowhere.
#[derive(Clone, PartialEq, Eq)]
pub struct Receiver {
    /// Whether it speaks TLS.
    pub tls: bool,
    /// Name or address.
    pub host: String,
    /// Port.
    pub port: u16,
    /// Path and query.
    pub path: String,
}

impl FromStr for Receiver {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let uri = uri(text)?;
        let (tls, port) = match uri.scheme_str() {
            Some("http") => (false, 80),
            Some("https") => (true, 443),
            _ => return Err("must begin with https:// or http://".to_owned()),
        };
        let path = uri.path_and_query().map_or("/", |path| path.as_str());
        Ok(Self {
            tls,
            host: host(&uri)?,
            port: uri.port_u16().unwrap_or(port),
            path: path.to_owned(),
        })
    }
}

impl Receiver {
    /// Name or address with the port, as in a `Host` header.
    #[must_use]
    pub fn authority(&self) -> String {
        let usual = if self.tls { 443 } else { 80 };
        if self.port == usual {
            bracketed(&self.host)
        } else {
            format!("{}:{}", bracketed(&self.host), self.port)
        }
    }
}

impl fmt::Display for Receiver {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scheme = if self.tls { "https" } else { "http" };
        write!(f, "{scheme}://{}", self.authority())
    }
}

impl fmt::Debug for Receiver {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}/...")
    }
}

/// `[mdns]`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Mdns {
    /// Whether the agent says by mDNS that it is there; none for yes where other machines can reach its
    /// API.
    pub enabled: Option<bool>,
}

impl Mdns {
    /// Whether an agent that listens there announces itself.
    #[must_use]
    pub fn announces(self, listen: SocketAddr) -> bool {
        self.enabled
            .unwrap_or(!listen.ip().to_canonical().is_loopback())
    }
}

/// Reads `[mqtt]`; what does not fit is noted.
pub(super) fn mqtt<'r>(tables: &Tables<'r>, section: &Section<'r>) -> Option<Mqtt> {
    if cfg!(not(feature = "mqtt")) {
        section.bad("", "this build has no MQTT; build with --features mqtt");
    }
    section.required("url");
    let broker: Option<Broker> = section.parsed("url");
    let user = section.text("user").map(str::to_owned);
    if user
        .as_ref()
        .is_some_and(|user| user.len() > 256 || user.contains(char::is_control))
    {
        section.bad("user", "must be at most 256 printable characters");
    }
    let password = secret(tables, section, "password");
    if section.has("password") && user.is_none() {
        section.bad("user", "is missing; MQTT has no password without a user");
    }
    let trust = trust(tables, section, broker.as_ref().map(|broker| broker.tls));
    let prefix = levels(section, "prefix").unwrap_or_else(|| PREFIX.to_owned());
    let id = section.text("id").map(|id| {
        if id.contains('/') || !is_levels(id) {
            section.bad(
                "id",
                "must be 1 to 64 characters without spaces, /, + and #",
            );
        }
        id.to_owned()
    });
    let discovery = match section.is_text("discovery", "off") {
        true => None,
        false => Some(levels(section, "discovery").unwrap_or_else(|| DISCOVERY.to_owned())),
    };
    let role = match section.text("role") {
        None | Some("read") => Role::Read,
        Some("operate") => Role::Operate,
        Some("tune") => Role::Tune,
        Some(other) => {
            let message = format!(
                "\"{other}\" is not possible; write read, operate to allow commands, or tune to let them say \
                 what the boards are tuned for. Pools and tokens cannot be set over MQTT"
            );
            section.bad("role", message);
            Role::Read
        }
    };
    let interval = section.integer("interval_s", 1..=3600).unwrap_or(10);
    Some(Mqtt {
        broker: broker?,
        user,
        password,
        trust: trust?,
        prefix,
        id,
        discovery,
        role,
        interval: Duration::from_secs(interval),
    })
}

/// Reads a `[[webhook]]`; what does not fit is noted.
pub(super) fn webhook<'r>(tables: &Tables<'r>, section: &Section<'r>) -> Option<Webhook> {
    if cfg!(not(feature = "webhook")) {
        let message = "this build has no webhooks; build with --features webhook";
        section.bad("", message);
    }
    section.required("url");
    let receiver: Option<Receiver> = section.parsed("url");
    let severity = match section.text("severity") {
        None | Some("warning") => Severity::Warning,
        Some("info") => Severity::Info,
        Some("fault") => Severity::Fault,
        Some("critical") => Severity::Critical,
        Some(other) => {
            let message =
                format!("\"{other}\" is not known; write info, warning, fault or critical");
            section.bad("severity", message);
            Severity::Warning
        }
    };
    let codes = section.texts("codes").unwrap_or_default();
    let good = |code: &str| {
        let name = code.strip_suffix('*').unwrap_or(code);
        code.len() <= 64 && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '-')
    };
    if codes.len() > MAX_CODES || !codes.iter().all(|code| !code.is_empty() && good(code)) {
        let message = format!(
            "must be at most {MAX_CODES} codes of events, e.g. \"fan-stalled\"; \"fan-*\" means all that begin so"
        );
        section.bad("codes", message);
    }
    let secret = secret(tables, section, "secret");
    let trust = trust(
        tables,
        section,
        receiver.as_ref().map(|receiver| receiver.tls),
    );
    Some(Webhook {
        receiver: receiver?,
        filter: Filter {
            severity,
            codes: codes.into_iter().map(str::to_owned).collect(),
        },
        secret,
        trust: trust?,
    })
}

/// Reads `[mdns]`; what does not fit is noted.
pub(super) fn mdns(section: Option<&Section<'_>>) -> Mdns {
    let Some(section) = section else {
        return Mdns::default();
    };
    let enabled = section.boolean("enabled").unwrap_or(true);
    if enabled && cfg!(not(feature = "mdns")) {
        section.bad("", "this build has no mDNS; build with --features mdns");
    }
    Mdns {
        enabled: Some(enabled),
    }
}

fn secret<'r>(tables: &Tables<'r>, section: &Section<'r>, key: &str) -> Option<Secret> {
    let secret = tables.secret(section, key);
    secret.filter(|_| section.has(key))
}

/// `tls` is whether the other side is reached over TLS, if that is known.
fn trust<'r>(tables: &Tables<'r>, section: &Section<'r>, tls: Option<bool>) -> Option<Trust> {
    if tls == Some(false) && section.has("tls") {
        section.bad("tls", "only goes with a URL of TLS (mqtts://, https://)");
    }
    if tls == Some(true) && cfg!(not(feature = "tls")) {
        let message = "needs TLS, which this build has not; build with --features tls";
        section.bad("url", message);
    }
    pools::trust(tables, section)
}

fn levels(section: &Section<'_>, key: &str) -> Option<String> {
    let text = section.text(key)?;
    if !is_levels(text) || text.split('/').any(str::is_empty) {
        let message = "must be 1 to 64 characters without spaces, + and #, in levels parted by /";
        section.bad(key, message);
    }
    Some(text.to_owned())
}

fn is_levels(text: &str) -> bool {
    let forbidden = |c: char| matches!(c, '+' | '#' | '$') || c.is_control() || c.is_whitespace();
    (1..=64).contains(&text.len()) && !text.contains(forbidden)
}

fn uri(text: &str) -> Result<Uri, String> {
    let uri: Uri = text
        .parse()
        .map_err(|_| "is no URL; expected scheme://host:port".to_owned())?;
    if uri
        .authority()
        .is_some_and(|all| all.as_str().contains('@'))
    {
        return Err("must not hold a user or a password; there are keys for them".to_owned());
    }
    Ok(uri)
}

fn host(uri: &Uri) -> Result<String, String> {
    let host = uri.host().unwrap_or_default();
    let bare = host.trim_start_matches('[').trim_end_matches(']');
    if bare.is_empty() || uri.port().is_some_and(|port| port.as_u16() == 0) {
        return Err("names no host".to_owned());
    }
    Ok(bare.to_owned())
}

fn bracketed(host: &str) -> String {
    match host.parse() {
        Ok(IpAddr::V6(address)) => format!("[{address}]"),
        _ => host.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn brokers_are_read_as_written() {
        let broker = |text: &str| text.parse::<Broker>();
        assert_eq!(
            broker("mqtt://host").unwrap().to_string(),
            "mqtt://host:1883"
        );
        assert_eq!(broker("mqtts://host/").unwrap().port, 8883);
        let six = broker("mqtts://[fd00::2]:1884").unwrap();
        assert_eq!((&six.host[..], six.port), ("fd00::2", 1884));
        assert_eq!(six.to_string(), "mqtts://[fd00::2]:1884");
        for text in [
            "host:1883",
            "http://host",
            "mqtt://user:secret@host",
            "mqtt://host/topic",
            "mqtt://host:0",
            "mqtt://",
            "",
        ] {
            let error = broker(text).unwrap_err();
            assert!(!error.contains("secret"), "{error}");
        }
    }

    #[test]
    fn what_a_receiver_keeps_to_itself_is_not_shown() {
        let receiver: Receiver = "https://chat.example/hooks/s3cret?key=s3cret"
            .parse()
            .unwrap();
        assert_eq!(receiver.path, "/hooks/s3cret?key=s3cret");
        assert_eq!(receiver.to_string(), "https://chat.example");
        assert!(!format!("{receiver:?}").contains("s3cret"));
        let other: Receiver = "http://[::1]:8080".parse().unwrap();
        assert_eq!(
            (other.authority(), &other.path[..]),
            ("[::1]:8080".into(), "/")
        );
        assert!("https://s3cret@chat.example/".parse::<Receiver>().is_err());
        assert!("ftp://chat.example/".parse::<Receiver>().is_err());
    }

    #[test]
    fn only_who_can_be_reached_says_so_unasked() {
        let (near, far) = ("127.0.0.1:1", "0.0.0.0:1");
        let announces = |enabled, at: &str| Mdns { enabled }.announces(at.parse().unwrap());
        assert!(announces(None, far) && announces(Some(true), near));
        assert!(!announces(None, near) && !announces(Some(false), far));
    }
}
