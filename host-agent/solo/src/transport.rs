//! The tokio task around a session: HTTP calls to the node, and files for the blocks found.

use std::future::Future;

use stratum::transport::{Channels, Connector};
use tokio::time::Instant;

use crate::session::Session;

/// Runs a session until `stop` completes, and gives it back.
pub async fn run(
    mut session: Session,
    _connector: impl Connector,
    _channels: Channels,
    epoch: Instant,
    stop: impl Future<Output = ()>,
) -> Session {
    session.start(epoch.elapsed());
    stop.await;
    session
}
