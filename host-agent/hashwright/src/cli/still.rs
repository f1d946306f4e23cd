//! Keeping the tuner still while somebody else sets clocks and voltage: it is stopped for a time that the
//! agent keeps, so that it goes on by itself if this program dies.

use std::time::{Duration, Instant};

use anyhow::bail;
use autotune::Aim;
use rpc::error::{METHOD_NOT_FOUND, NO_PENDING};
use rpc::method::{ConfigPending, ConfigRollback, GetTunerStatus, TunerSet};
use rpc::settings::{MAX_CONFIRM_S, PendingId, WriteOptions};
use rpc::tuner::{TunerSet as Wanted, TunerStatus};
use rpc::{NoParams, Write};
use tokio::time::sleep;

use super::client::ClientError;
use super::live::Live;

/// How long a tuner may take to let go.
const LET_GO: Duration = Duration::from_secs(60);

/// How long after that the board's state shows what follows.
const FOLLOWS: Duration = Duration::from_secs(3);

/// The tuner of an agent while it is still.
#[derive(Debug, Default)]
pub struct Still {
    /// Id of the change that stopped it; none if it did nothing anyway.
    pub pending: Option<String>,
    since: Option<Instant>,
}

impl Still {
    /// Stops the tuner if it works on this board and that is allowed.
    ///
    /// # Errors
    ///
    /// A tuner that may not be stopped or does not let go, a board that a rule lets rest, no agent.
    pub async fn stop(live: &Live, board: usize, allowed: bool) -> anyhow::Result<Self> {
        let Some(status) = status(live).await? else {
            return Ok(Self::default());
        };
        if let Some(reason) = status
            .demand
            .reasons
            .first()
            .filter(|_| status.demand.asleep)
        {
            bail!(
                "the boards rest because of a rule: {}. Nothing can be measured until it ends",
                reason.text
            );
        }
        if !works(&status, board) {
            return Ok(Self::default());
        }
        if !allowed {
            bail!(
                "the tuner works on board {board} and would not leave the clocks alone. With --stop-tuner it is \
                 stopped meanwhile, on all boards, and goes on afterwards"
            );
        }
        let mut still = Self::default();
        still.set(live).await?;
        let began = Instant::now();
        loop {
            match self::status(live).await? {
                Some(status) if works(&status, board) => {}
                _ => break,
            }
            if began.elapsed() > LET_GO {
                still.go_on(live).await?;
                bail!(
                    "the tuner was stopped but still moves board {board}; look at `hashwright tune status`"
                );
            }
            sleep(Duration::from_secs(1)).await;
        }
        // The way back to the configured setting has begun when the next state comes.
        sleep(FOLLOWS).await;
        Ok(still)
    }

    /// Prolongs the time if less than this is left of it.
    ///
    /// # Errors
    ///
    /// The agent's refusal, or no reply.
    pub async fn prolong(&mut self, live: &Live, needed_s: f64) -> Result<(), ClientError> {
        let Some(since) = self.since.filter(|_| self.pending.is_some()) else {
            return Ok(());
        };
        let left = f64::from(MAX_CONFIRM_S) - since.elapsed().as_secs_f64();
        if left > needed_s + 60.0 {
            return Ok(());
        }
        // The moment between does not suffice for a step of the tuner.
        self.go_on(live).await?;
        self.set(live).await
    }

    /// Lets the tuner go on.
    ///
    /// # Errors
    ///
    /// The agent's refusal, or no reply.
    pub async fn go_on(&mut self, live: &Live) -> Result<(), ClientError> {
        if let Some(id) = &self.pending {
            undo(live, id).await?;
        }
        self.pending = None;
        Ok(())
    }

    async fn set(&mut self, live: &Live) -> Result<(), ClientError> {
        let off = Write {
            what: Wanted {
                aim: Some(Aim::Off),
                ..Wanted::default()
            },
            how: WriteOptions {
                confirm_within_s: Some(MAX_CONFIRM_S),
                save: Some(false),
                ..WriteOptions::default()
            },
        };
        let changed = live.get::<TunerSet>(&off).await?;
        self.pending = changed.pending.map(|pending| pending.id);
        self.since = Some(Instant::now());
        Ok(())
    }
}

/// What the tuner does; none of an agent without one.
async fn status(live: &Live) -> Result<Option<TunerStatus>, ClientError> {
    match live.get::<GetTunerStatus>(&NoParams {}).await {
        Ok(status) => Ok(Some(status)),
        Err(error) => match error.refusal() {
            Some(refusal) if refusal.code == METHOD_NOT_FOUND => Ok(None),
            _ => Err(error),
        },
    }
}

/// Whether it works on this board.
fn works(status: &TunerStatus, board: usize) -> bool {
    let idle = |activity: &str| ["off", ""].contains(&activity);
    let mut own = status
        .stations
        .iter()
        .filter(|station| station.boards.contains(&board))
        .peekable();
    match own.peek() {
        Some(_) => own.any(|station| !idle(&station.activity)),
        None => false,
    }
}

/// Undoes a change that waits for its confirmation; one that is undone already is fine.
///
/// # Errors
///
/// The agent's refusal, or no reply.
pub async fn undo(live: &Live, id: &str) -> Result<(), ClientError> {
    let which = PendingId { id: id.to_owned() };
    match live.get::<ConfigRollback>(&which).await {
        Ok(_) => Ok(()),
        Err(error) => match error.refusal() {
            Some(refusal) if refusal.code == NO_PENDING => Ok(()),
            _ => Err(error),
        },
    }
}

/// Makes sure that no change of this board waits for its confirmation: it would be undone in the middle.
///
/// # Errors
///
/// Such a change; the text says how to get rid of it.
pub async fn nobody_waits(live: &Live, board: usize) -> anyhow::Result<()> {
    let mine = format!("board[{board}]");
    let pending = live.get::<ConfigPending>(&NoParams {}).await?;
    let other = pending.iter().find(|pending| {
        let mut changes = pending.changes.iter();
        changes.any(|change| change.path.starts_with(&mine) || change.path.starts_with("tuner"))
    });
    if let Some(other) = other {
        bail!(
            "change {} by {} waits for its confirmation and is undone in {:.0} s. Wait for that, or end it with \
             `hashwright config rollback {}` or `hashwright config confirm {}`",
            other.id,
            other.by,
            other.rolls_back_in_s,
            other.id,
            other.id
        );
    }
    Ok(())
}
