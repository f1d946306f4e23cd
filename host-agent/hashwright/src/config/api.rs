//! `[api]`: where the API listens, and who may ask it what.

use std::fmt;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;

use rpc::Role;

use super::reader::Section;
use super::tables::Tables;

/// Where the API listens unless the config says otherwise.
pub const DEFAULT_LISTEN: SocketAddr =
    SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::LOCALHOST), 4029);

/// Most names or origins.
const MAX_NAMES: usize = 16;

/// `[api]`: the API server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Api {
    /// Where it listens.
    pub listen: SocketAddr,
    /// What programs on this machine may do without a token.
    pub local: Option<Role>,
    /// Whether it speaks TLS.
    pub tls: ServerTls,
    /// Names by which it may be called, besides the agent's own, `localhost` and addresses; lower case.
    pub hosts: Vec<String>,
    /// Web pages of other sites that may use it, e.g. `https://farm.example`; lower case.
    pub origins: Vec<String>,
    /// A pairing code is shown as long as there is no token.
    pub pairing_at_start: bool,
}

/// `[api] tls`: whether the API speaks TLS, and with which certificate.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum ServerTls {
    /// On other addresses than loopback, with a certificate that the agent makes for itself.
    #[default]
    Auto,
    /// Never.
    Off,
    /// Always, with the owner's certificate.
    Files {
        /// PEM file with the certificate and those that lead from it to its authority.
        certificate: PathBuf,
        /// PEM file with its private key.
        key: PathBuf,
    },
}

impl Api {
    /// The defaults, on this address.
    #[must_use]
    pub fn new(listen: SocketAddr) -> Self {
        Self {
            listen,
            local: Some(Role::Read),
            tls: ServerTls::Auto,
            hosts: Vec::new(),
            origins: Vec::new(),
            pairing_at_start: false,
        }
    }

    /// Whether other machines can reach it.
    #[must_use]
    pub fn is_remote(&self) -> bool {
        !self.listen.ip().to_canonical().is_loopback()
    }

    /// Whether it speaks TLS.
    #[must_use]
    pub fn speaks_tls(&self) -> bool {
        match self.tls {
            ServerTls::Auto => self.is_remote(),
            ServerTls::Off => false,
            ServerTls::Files { .. } => true,
        }
    }
}

impl fmt::Display for Api {
    /// For `config check`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let how = match (self.speaks_tls(), &self.tls) {
            (true, ServerTls::Files { .. }) => " with TLS and your certificate",
            (true, _) => " with TLS and a certificate of its own",
            (false, _) => "",
        };
        write!(
            f,
            "{}{how}, without a token from this machine: ",
            self.listen
        )?;
        match self.local {
            Some(role) => role.fmt(f),
            None => f.write_str("nothing"),
        }
    }
}

/// Reads the table; what does not fit is noted.
pub(super) fn read<'r>(tables: &Tables<'r>, section: &Section<'r>) -> Api {
    let listen = section.parsed("listen").unwrap_or(DEFAULT_LISTEN);
    let api = Api {
        listen,
        local: local(section),
        tls: tls(tables, section),
        hosts: names(section, "hosts", host),
        origins: names(section, "origins", origin),
        pairing_at_start: match section.text("pairing") {
            None | Some("off") => false,
            Some("start") => true,
            Some(other) => {
                section.bad(
                    "pairing",
                    format!("\"{other}\" is not known; write off or start"),
                );
                false
            }
        },
    };
    if api.is_remote() && !api.speaks_tls() {
        let message = "is \"off\", and other machines can reach the address in listen: tokens would be \
                       sent in the clear. Leave tls out, so that the agent makes a certificate for \
                       itself, or listen on 127.0.0.1 and use an SSH tunnel or a proxy that speaks TLS";
        section.bad("tls", message);
    }
    if api.speaks_tls() && cfg!(not(feature = "tls")) {
        let key = if api.is_remote() { "listen" } else { "tls" };
        let message = "needs TLS, which this build has not; build with --features tls, or listen on \
                       127.0.0.1 without it";
        section.bad(key, message);
    }
    api
}

fn local(section: &Section<'_>) -> Option<Role> {
    match section.text("local") {
        None => Some(Role::Read),
        Some("none") => None,
        Some(text) => match text.parse() {
            Ok(role) => Some(role),
            Err(_) => {
                let message =
                    format!("\"{text}\" is not known; write none, read, operate, tune or admin");
                section.bad("local", message);
                None
            }
        },
    }
}

fn tls<'r>(tables: &Tables<'r>, section: &Section<'r>) -> ServerTls {
    if !section.has("tls") || section.is_text("tls", "auto") {
        return ServerTls::Auto;
    }
    if section.is_text("tls", "off") {
        return ServerTls::Off;
    }
    if !section.is_table("tls") {
        let message = "must be \"auto\", \"off\" or { certificate = \"FILE\", key = \"FILE\" }";
        section.bad("tls", message);
        return ServerTls::Auto;
    }
    let files = section.table("tls", "api.tls").and_then(|files| {
        let (certificate, key) = (files.required("certificate"), files.required("key"));
        Some(ServerTls::Files {
            certificate: tables.path(certificate?),
            key: tables.path(key?),
        })
    });
    files.unwrap_or_default()
}

/// A list of names, each put into order by `read`.
fn names(
    section: &Section<'_>,
    key: &str,
    read: fn(&str) -> Result<String, &'static str>,
) -> Vec<String> {
    let texts = section.texts(key).unwrap_or_default();
    if texts.len() > MAX_NAMES {
        section.bad(
            key,
            format!("{} are too many; at most {MAX_NAMES}", texts.len()),
        );
    }
    let mut names = Vec::new();
    for text in texts.into_iter().take(MAX_NAMES) {
        match read(text) {
            Ok(name) => names.push(name),
            Err(problem) => section.bad(key, format!("\"{text}\" {problem}")),
        }
    }
    names
}

fn host(text: &str) -> Result<String, &'static str> {
    if text.contains('*') {
        return Err(
            "is a wildcard, which would let any web page in that owns a fitting name; write the \
             names one by one",
        );
    }
    let good = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '.' | '_');
    if text.is_empty() || text.len() > 253 || !text.chars().all(good) {
        return Err("is no host name; write it without scheme and port, e.g. \"miner.lan\"");
    }
    Ok(text.trim_end_matches('.').to_ascii_lowercase())
}

fn origin(text: &str) -> Result<String, &'static str> {
    let problem = "is no origin; write scheme, host and, unless it is the usual one, the port, e.g. \
                   \"https://farm.example\"";
    let (scheme, authority) = text.split_once("://").ok_or(problem)?;
    let good =
        |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '.' | '_' | ':' | '[' | ']');
    if !matches!(scheme, "http" | "https")
        || authority.is_empty()
        || authority.len() > 260
        || !authority.chars().all(good)
    {
        return Err(problem);
    }
    Ok(text.to_ascii_lowercase())
}
