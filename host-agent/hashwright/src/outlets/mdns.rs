//! Announcing this agent by mDNS, and finding others.

use std::net::IpAddr;
use std::time::Duration;

use anyhow::Context;
use mdns_sd::{DaemonEvent, IfKind, ServiceDaemon, ServiceEvent, ServiceInfo};
use outlets::mdns::{Announcement, Found, SERVICE};
use tokio::task::spawn_blocking;
use tokio::time::Instant;

use super::{Links, Reached};
use crate::stop::Stop;

/// Most agents that are found: more than answer on one network.
const MOST: usize = 4096;
/// Longest time that taking back the announcement may take.
const GOODBYE: Duration = Duration::from_secs(1);

/// The announcement, until `stop`.
pub(super) fn run(
    links: Links,
    reached: Reached,
    mut stop: Stop,
) -> anyhow::Result<impl Future<Output = ()> + Send + 'static> {
    let service = service(&links, &reached)?;
    let daemon = daemon(reached.listen.ip())?;
    let name = service.get_fullname().to_owned();
    daemon
        .register(service)
        .context("cannot announce this agent by mDNS")?;
    let monitor = daemon.monitor().ok();
    tracing::info!(%name, "announced by mDNS");
    Ok(async move {
        stop.stopped().await;
        let goodbye = move || {
            if let Ok(done) = daemon.unregister(&name) {
                let _ = done.recv_timeout(GOODBYE);
            }
            let _ = daemon.shutdown();
            for event in monitor.iter().flat_map(|monitor| monitor.try_iter()) {
                if let DaemonEvent::Error(error) = event {
                    tracing::debug!(%error, "mDNS");
                }
            }
        };
        // Its thread answers through a channel that blocks.
        let _ = spawn_blocking(goodbye).await;
    })
}

/// The agents that answer within this time, each once.
pub(super) async fn browse(time: Duration) -> anyhow::Result<Vec<Found>> {
    let until = Instant::now() + time;
    let look = move || -> anyhow::Result<Vec<Found>> {
        let daemon = ServiceDaemon::new().context("the network gives no socket for mDNS")?;
        // Agents on this very machine may listen on loopback only.
        let _ = daemon.enable_interface(IfKind::LoopbackV4);
        let answers = daemon.browse(SERVICE).context("cannot ask by mDNS")?;
        let mut found = std::collections::BTreeMap::new();
        while let Ok(event) = answers.recv_deadline(until.into_std()) {
            let ServiceEvent::ServiceResolved(service) = event else {
                continue;
            };
            if found.len() >= MOST && !found.contains_key(service.get_fullname()) {
                continue;
            }
            let addresses = service.get_addresses().iter().map(|a| a.to_ip_addr());
            let read = Found::read(
                service.get_fullname(),
                addresses,
                service.get_port(),
                |key| service.get_property_val_str(key),
            );
            found.insert(service.get_fullname().to_owned(), read);
        }
        let _ = daemon.shutdown();
        Ok(found.into_values().collect())
    };
    spawn_blocking(look).await.context("the search broke")?
}

fn daemon(listen: IpAddr) -> anyhow::Result<ServiceDaemon> {
    let daemon = ServiceDaemon::new().context(
        "the network gives no socket for mDNS; write [mdns] enabled = false to do without",
    )?;
    if listen.is_loopback() {
        // Nobody else could use it.
        let _ = daemon.disable_interface(IfKind::All);
        let _ = daemon.enable_interface(match listen {
            IpAddr::V4(_) => IfKind::LoopbackV4,
            IpAddr::V6(_) => IfKind::LoopbackV6,
        });
    }
    Ok(daemon)
}

fn service(links: &Links, reached: &Reached) -> anyhow::Result<ServiceInfo> {
    let state = links.state.borrow().clone();
    let mut models: Vec<_> = state.boards.iter().map(|board| &board.model[..]).collect();
    models.dedup();
    let announcement = Announcement {
        name: state.system.name.clone(),
        version: state.system.version.clone(),
        model: models.join(", "),
        tls: reached.tls,
        fingerprint: reached.fingerprint.clone(),
    };
    let entries = announcement.entries();
    let instance = announcement.instance();
    let host = format!("{}.local.", label(&instance));
    let ip = reached.listen.ip();
    let (address, everywhere) = match ip.is_unspecified() {
        true => (String::new(), true),
        false => (ip.to_string(), false),
    };
    let info = ServiceInfo::new(
        SERVICE,
        &instance,
        &host,
        &address[..],
        reached.listen.port(),
        &entries[..],
    )
    .context("this agent's name cannot be announced by mDNS")?;
    Ok(if everywhere {
        info.enable_addr_auto()
    } else {
        info
    })
}

/// A name as a host may have it.
fn label(name: &str) -> String {
    let plain = |c: char| if c.is_ascii_alphanumeric() { c } else { '-' };
    let label: String = name.chars().map(plain).take(63).collect();
    let label = label.trim_matches('-');
    if label.is_empty() {
        "hashwright".to_owned()
    } else {
        label.to_owned()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use tokio::sync::watch;

    use super::*;
    use crate::clock::Clock;
    use crate::events::EventLog;
    use crate::settings::Settings;
    use crate::state::Snapshot;
    use crate::stop;

    #[test]
    fn names_become_names_of_hosts() {
        for (name, host) in [
            ("rack-3.7", "rack-3-7"),
            ("-é-", "hashwright"),
            ("Ümläut x", "ml-ut-x"),
        ] {
            assert_eq!(label(name), host);
        }
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn who_is_announced_is_found() {
        let mut state = Snapshot::default();
        state.system.name = format!("test-{}", fastrand::u32(..));
        state.system.version = "1.2.3".into();
        let name = state.system.name.clone();
        let (_, state) = watch::channel(Arc::new(state));
        let links = Links {
            state,
            events: EventLog::new(Clock::start()),
            settings: Settings::detached(),
            demand: crate::demand::Handle::detached(),
        };
        let reached = Reached {
            listen: "127.0.0.1:4321".parse().unwrap(),
            tls: true,
            fingerprint: Some("ab".repeat(32)),
        };
        let (stopper, stop) = stop::channel();
        let Ok(announced) = run(links, reached, stop) else {
            println!("there is no multicast here");
            return;
        };
        let announced = tokio::spawn(announced);
        let mut all = Vec::new();
        for _ in 0..5 {
            all = browse(Duration::from_secs(2)).await.unwrap();
            if all.iter().any(|found| found.name == name) {
                break;
            }
        }
        stopper.stop();
        announced.await.unwrap();
        let Some(found) = all.iter().find(|found| found.name == name) else {
            // Some machines have no route for multicast on loopback.
            println!("no answer by multicast here; found {all:?}");
            return;
        };
        assert_eq!(found.port, 4321);
        assert!(found.tls && found.fingerprint.is_some());
        assert!(found.addresses.iter().all(IpAddr::is_loopback), "{found:?}");
    }
}
