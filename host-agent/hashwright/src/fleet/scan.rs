//! Looking for agents: on the places of address ranges, and by what announces itself. A scan connects,
//! asks what anybody may ask, and sends no token to anybody.

use std::net::IpAddr;
use std::time::Duration;

use rpc::NoParams;
use rpc::method::{AuthInfo, BoardList, SystemInfo};
use serde::Serialize;
use tokio::net::TcpStream;
use tokio::time::timeout;

use super::file::{FleetFile, Known};
use super::range::{Host, Place};
use crate::cli::Client;
use crate::cli::reach::get;

/// How long somebody who took the connection may take to say what it is.
const DESCRIBED_WITHIN: Duration = Duration::from_secs(5);

/// An agent that answers.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Found {
    /// Where its API is.
    pub url: String,
    /// Its own name.
    pub agent: String,
    /// Name in the fleet file, if it is known there.
    pub known: Option<String>,
    /// SHA-256 of its certificate, over TLS.
    pub fingerprint: Option<String>,
    /// The certificate is another one than the fleet file says.
    pub changed: bool,
    /// Nothing more is told without a token.
    pub needs_token: bool,
    /// A pairing code is waiting to be used.
    pub pairing_open: bool,
    /// Version of its program, where that is told without a token.
    pub version: Option<String>,
    /// Its boards, where they are told without a token.
    pub model: Option<String>,
}

/// Looks for an agent at a place. Nothing there, and what is no agent, is none.
pub async fn probe(place: Place, within: Duration) -> Option<Found> {
    // Most places have nothing: that must cost no more than a handshake of TCP.
    let socket = match &place.host {
        Host::Address(address) => timeout(within, TcpStream::connect((*address, place.port))).await,
        Host::Name(name) => timeout(within, TcpStream::connect((name.as_str(), place.port))).await,
    };
    let peer: IpAddr = socket.ok()?.ok()?.peer_addr().ok()?.ip().to_canonical();
    // Only an agent on this machine may speak without TLS.
    let schemes: &[bool] = if peer.is_loopback() {
        &[false, true]
    } else {
        &[true]
    };
    for &tls in schemes {
        let url = place.url(tls);
        let asked = timeout(DESCRIBED_WITHIN.max(within), async {
            let client = Client::first(&url, None).await.ok()?;
            describe(&client, url.clone()).await
        });
        if let Ok(Some(found)) = asked.await {
            return Some(found);
        }
    }
    None
}

async fn describe(client: &Client, url: String) -> Option<Found> {
    let none = NoParams {};
    let info = get::<AuthInfo>(client, &none).await.ok()?;
    let mut found = Found {
        url,
        agent: info.name,
        fingerprint: client.fingerprint().map(|print| print.to_string()),
        pairing_open: info.pairing_open,
        needs_token: info.without_token.is_none(),
        ..Found::default()
    };
    if !found.needs_token
        && let Ok(system) = get::<SystemInfo>(client, &none).await
    {
        if !system.name.is_empty() {
            found.agent = system.name;
        }
        found.version = Some(system.version);
        let boards = get::<BoardList>(client, &none).await.unwrap_or_default();
        let pools = [];
        let miner = rpc::state::MinerStatus::default();
        let system = rpc::state::SystemInfo::default();
        found.model = Some(super::machine::summary(&system, &miner, &boards, &pools).model);
    }
    Some(found)
}

/// Marks what the fleet file knows already.
pub fn recognise(found: &mut [Found], file: &FleetFile) {
    for found in found {
        let Some(known) = file.at(&found.url) else {
            continue;
        };
        found.known = Some(known.name.clone());
        let same = |print: &String| Some(bare(print)) == found.fingerprint.as_deref().map(bare);
        found.changed = known.fingerprint.as_ref().is_some_and(|print| !same(print));
    }
}

/// Puts what was found into the file, under names of its own. What is known stays as it is; a changed
/// certificate is never taken over.
pub fn remember(found: &mut [Found], groups: &[String], file: &mut FleetFile) {
    for found in found.iter_mut().filter(|found| !found.changed) {
        let name = match &found.known {
            Some(name) => name.clone(),
            None => free_name(&wanted_name(found), file),
        };
        file.upsert(Known {
            name: name.clone(),
            url: found.url.clone(),
            fingerprint: found.fingerprint.clone(),
            token_file: None,
            groups: groups.to_vec(),
        });
        found.known = Some(name);
    }
}

fn wanted_name(found: &Found) -> String {
    if found.agent.is_empty() {
        let host = found.url.split("://").last().unwrap_or_default();
        return host.replace([':', '.', '[', ']'], "-");
    }
    found.agent.clone()
}

/// The name, with a number if another agent has it.
fn free_name(wanted: &str, file: &FleetFile) -> String {
    let numbered = (2..).map(|number| format!("{wanted}-{number}"));
    std::iter::once(wanted.to_owned())
        .chain(numbered)
        .find(|name| file.named(name).is_none())
        .unwrap_or_default()
}

/// A fingerprint without what only makes it readable.
fn bare(print: &str) -> String {
    print
        .chars()
        .filter(char::is_ascii_hexdigit)
        .map(|c| c.to_ascii_lowercase())
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(url: &str, agent: &str, print: &str) -> Found {
        Found {
            url: url.into(),
            agent: agent.into(),
            fingerprint: Some(print.into()),
            ..Found::default()
        }
    }

    #[test]
    fn agents_of_one_name_are_told_apart() {
        let mut file = FleetFile::parse("f".as_ref(), "").unwrap();
        let mut all = [
            found("https://10.0.0.1:4029", "miner", "aa"),
            found("https://10.0.0.2:4029", "miner", "bb"),
            found("https://10.0.0.3:4029", "", "cc"),
        ];
        remember(&mut all, &["new".into()], &mut file);
        let names: Vec<_> = file.agents().iter().map(|known| &known.name[..]).collect();
        assert_eq!(names, ["miner", "miner-2", "10-0-0-3-4029"]);
        recognise(&mut all, &file);
        remember(&mut all, &[], &mut file);
        assert_eq!(file.agents().len(), 3);
    }

    #[test]
    fn a_changed_certificate_is_told_and_not_taken_over() {
        let mut file = FleetFile::parse("f".as_ref(), "").unwrap();
        let mut first = [found("https://10.0.0.1:4029", "miner", "aabb")];
        remember(&mut first, &[], &mut file);
        let mut same = [found("https://10.0.0.1:4029", "miner", "AA:BB")];
        recognise(&mut same, &file);
        assert!(!same[0].changed);
        let mut other = [found("https://10.0.0.1:4029", "miner", "ccdd")];
        recognise(&mut other, &file);
        assert!(other[0].changed);
        remember(&mut other, &[], &mut file);
        assert_eq!(file.agents()[0].fingerprint.as_deref(), Some("aabb"));
    }
}
