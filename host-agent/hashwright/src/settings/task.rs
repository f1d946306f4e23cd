//! The task that carries wishes out, one after the other.

use std::sync::Arc;

use rpc::Error;
use rpc::settings::{Changed, WriteOptions};
use tokio::sync::{mpsc, watch};

use super::{Actor, Asked, Call, Published, Settings, Wish};
use crate::clock::Clock;
use crate::control::command::Controls;
use crate::stop::Stop;
use crate::upstream::PoolControl;

/// Wishes that may wait.
const WAITING: usize = 64;

/// What the task acts on.
#[derive(Debug)]
pub(crate) struct Parts {
    pub(crate) controls: Controls,
    pub(crate) pools: PoolControl,
    pub(crate) clock: Clock,
    pub(crate) stop: Stop,
}

/// The task before it runs.
#[derive(Debug)]
pub(crate) struct Task {
    parts: Parts,
    calls: mpsc::Receiver<Asked>,
    published: watch::Sender<Arc<Published>>,
}

impl Task {
    /// The task, and the way to it.
    pub(crate) fn new(parts: Parts) -> (Self, Settings) {
        let (calls_in, calls) = mpsc::channel(WAITING);
        let published = Published {
            clock: Some(parts.clock),
            ..Published::default()
        };
        let (published, view) = watch::channel(Arc::new(published));
        let settings = Settings {
            calls: calls_in,
            published: view,
            auditor: watch::channel(None).0,
        };
        let task = Self {
            parts,
            calls,
            published,
        };
        (task, settings)
    }

    /// Carries wishes out until the program stops.
    pub(crate) async fn run(mut self) {
        loop {
            let asked = tokio::select! {
                biased;
                () = self.parts.stop.stopped() => return,
                asked = self.calls.recv() => asked,
            };
            let Some(Asked { actor, call, reply }) = asked else {
                return;
            };
            let outcome = match call {
                Call::Ask(wish, how) => self.ask(&actor, wish, how).await,
                Call::Confirm(id) | Call::Rollback(id) => Err(Error::no_pending(&id)),
                Call::Attach(_) => Ok(Changed::default()),
            };
            // Whoever asked may have gone.
            let _ = reply.send(outcome);
        }
    }

    async fn ask(
        &mut self,
        _actor: &Actor,
        wish: Wish,
        how: WriteOptions,
    ) -> Result<Changed, Error> {
        how.checked()?;
        let controls = &self.parts.controls;
        let denied = |error: crate::control::command::Denied| Error::denied(error.to_string());
        match wish {
            Wish::Cooling(wish) => {
                let mode = wish.wanted_mode()?;
                if let (Some(mode), false) = (mode, how.dry_run) {
                    controls
                        .set_cooling(wish.board, mode)
                        .await
                        .map_err(denied)?;
                }
                if let (Some(celsius), false) = (wish.target_c, how.dry_run) {
                    controls
                        .set_target(wish.board, celsius)
                        .await
                        .map_err(denied)?;
                }
            }
            Wish::ClearFault(wish) => {
                if !how.dry_run {
                    controls
                        .clear_fault(wish.board, wish.code)
                        .await
                        .map_err(denied)?;
                }
            }
            _ => return Err(Error::denied("this agent cannot do that yet")),
        }
        let _ = (&self.parts.pools, &self.published);
        Ok(Changed {
            applied: !how.dry_run,
            ..Changed::default()
        })
    }
}
