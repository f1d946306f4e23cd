//! The listeners of `[cgminer]` and `[axeos]`: sockets, limits and time-outs around the `faces` crate, which
//! knows what to answer. They read the state tree, keep the books that these interfaces need besides,
//! and pass every wish on to the owner of the settings.

mod ask;
mod axeos;
mod cgminer;
mod desk;
mod door;

#[cfg(test)]
mod tests;

use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use station::{Notice, Severity};
use tokio::net::TcpListener;
use tokio::task::JoinSet;
use tracing::info;

use crate::config::Config;
use crate::stop::Stop;

use desk::Desk;
pub use desk::Sources;

/// How long open connections get to finish after a stop.
const STOP_GRACE: Duration = Duration::from_secs(2);

/// Why a listener did not start.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    /// Another program has the port.
    #[error(
        "{what} cannot listen on {listen}: the port is in use, perhaps by another miner program on this \
         machine. Stop that one, or set another address in `[{table}] listen`"
    )]
    PortInUse {
        /// What would have listened.
        what: &'static str,
        /// Its table of the config.
        table: &'static str,
        /// Where.
        listen: SocketAddr,
    },
    /// The port is one of those that not everybody may have.
    #[error(
        "{what} cannot listen on {listen}: the system keeps ports below 1024 for privileged programs. Give \
         the program the right to it (`AmbientCapabilities=CAP_NET_BIND_SERVICE` in its systemd unit, or \
         `setcap cap_net_bind_service=+ep`), or set another port in `[{table}] listen`"
    )]
    NotAllowed {
        /// What would have listened.
        what: &'static str,
        /// Its table of the config.
        table: &'static str,
        /// Where.
        listen: SocketAddr,
    },
    /// The system refused for another reason.
    #[error(
        "{what} cannot listen on {listen}: {source}. Set another address in `[{table}] listen`"
    )]
    Listen {
        /// What would have listened.
        what: &'static str,
        /// Its table of the config.
        table: &'static str,
        /// Where.
        listen: SocketAddr,
        /// What the system said.
        source: io::Error,
    },
}

/// The running listeners. Dropping the handle leaves them running.
#[derive(Debug, Default)]
pub struct Handle {
    /// Where the cgminer API listens.
    pub cgminer: Option<SocketAddr>,
    /// Where the AxeOS API listens.
    pub axeos: Option<SocketAddr>,
    tasks: JoinSet<()>,
}

impl Handle {
    /// Waits until all listeners have stopped and their connections are closed.
    pub async fn stopped(mut self) {
        while self.tasks.join_next().await.is_some() {}
    }
}

/// Starts the listeners that the config asks for; without one it starts nothing. The ports are open
/// when this returns. A port that cannot be had is an event, and mining goes on without it.
pub async fn start(config: &Config, sources: Sources, stop: &Stop) -> Handle {
    let mut handle = Handle::default();
    if config.cgminer.is_none() && config.axeos.is_none() {
        return handle;
    }
    let events = sources.events.clone();
    let desk = Desk::new(config, sources);
    let tasks = &mut handle.tasks;
    tasks.spawn(desk.clone().keep(stop.clone()));
    if let Some(wanted) = &config.cgminer {
        match bind("the cgminer port", "cgminer", wanted.listen).await {
            Err(error) => events.note(&[], missing(&error)),
            Ok((listener, address)) => {
                handle.cgminer = Some(address);
                let port = cgminer::shared(wanted);
                if wanted.multicast {
                    let name = config.agent.name.clone();
                    let multicast = cgminer::multicast(port.clone(), address, name, stop.clone());
                    tasks.spawn(multicast);
                }
                tasks.spawn(cgminer::serve(listener, port, desk.clone(), stop.clone()));
                info!(%address, "cgminer API listening");
            }
        }
    }
    if let Some(wanted) = &config.axeos {
        match bind("the AxeOS port", "axeos", wanted.listen).await {
            Err(error) => events.note(&[], missing(&error)),
            Ok((listener, address)) => {
                handle.axeos = Some(address);
                let site = axeos::site(config, wanted);
                tasks.spawn(axeos::serve(listener, site, desk, stop.clone()));
                info!(%address, "AxeOS API listening");
            }
        }
    }
    handle
}

fn missing(error: &ServeError) -> Notice {
    Notice {
        severity: Severity::Warning,
        code: "port-missing".to_owned(),
        text: error.to_string(),
        advice: "Tools that ask this port do not find the miner until it is started again; mining goes on."
            .to_owned(),
        ..Notice::default()
    }
}

async fn bind(
    what: &'static str,
    table: &'static str,
    listen: SocketAddr,
) -> Result<(TcpListener, SocketAddr), ServeError> {
    let failed = |source: io::Error| match source.kind() {
        io::ErrorKind::AddrInUse => ServeError::PortInUse {
            what,
            table,
            listen,
        },
        io::ErrorKind::PermissionDenied => ServeError::NotAllowed {
            what,
            table,
            listen,
        },
        _ => ServeError::Listen {
            what,
            table,
            listen,
            source,
        },
    };
    let listener = TcpListener::bind(listen).await.map_err(failed)?;
    let address = listener.local_addr().map_err(failed)?;
    Ok((listener, address))
}

/// Takes connections until the stop, a task for each that finds room, and lets them finish for a moment.
async fn accept<F>(
    listener: TcpListener,
    what: &'static str,
    mut stop: Stop,
    connection: impl Fn(tokio::net::TcpStream, std::net::IpAddr) -> F,
) where
    F: Future<Output = ()> + Send + 'static,
{
    let door = door::Door::default();
    let mut connections = JoinSet::new();
    loop {
        let accepted = tokio::select! {
            () = stop.stopped() => break,
            Some(_) = connections.join_next() => continue,
            accepted = listener.accept() => accepted,
        };
        match accepted {
            Ok((socket, peer)) => {
                let peer = peer.ip().to_canonical();
                let Some(pass) = door.enter(peer) else {
                    tracing::debug!(%peer, what, "connection refused: too many are open");
                    continue;
                };
                let _ = socket.set_nodelay(true);
                let served = connection(socket, peer);
                connections.spawn(async move {
                    let _pass = pass;
                    served.await;
                });
            }
            Err(error) => {
                // Out of file descriptors, most likely: trying again at once would only spin.
                tracing::warn!(%error, what, "cannot accept a connection");
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        }
    }
    drop(listener);
    let finish = async { while connections.join_next().await.is_some() {} };
    let _ = tokio::time::timeout(STOP_GRACE, finish).await;
}
