//! The course of a sweep: sets one point after the other, each for a time after which the agent undoes it by
//! itself, backs out of bad ones at once, keeps the file, and puts everything back at the end.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{anyhow, bail};
use rpc::Write;
use rpc::method::BoardSet;
use rpc::settings::{BoardSet as Wanted, MAX_CONFIRM_S, MIN_CONFIRM_S, WriteOptions};
use tokio::sync::watch;

use super::draw::{self, Now};
use super::file::Sweep;
use super::measure::{Next, Rules, Visit};
use super::outcome::Verdict;
use super::plan::Point;
use super::screen::Shown;
use super::view::BoardView;
use crate::cli::live::{Live, Lost};
use crate::cli::still::{self, Still};
use crate::commands::unix_time;
use crate::{format, stop};

/// How long a board may take to be well again after a bad point.
const RECOVER: Duration = Duration::from_secs(900);

/// Wait after which a person is told what is waited for.
const TELL_AFTER: Duration = Duration::from_secs(10);

/// Time that the agent is given beyond the longest visit before it undoes it, s.
const SPARE_S: f64 = 120.0;

/// Failures of the board in a row, whatever the point, after which it is left alone.
const MOST_BROKEN: usize = 3;

/// Lost connections at one point after which the sweep ends.
const MOST_LOST: usize = 3;

/// Who is told of visits as they end.
pub(super) type Tell<'t> = &'t (dyn Fn(&str) -> anyhow::Result<()> + Sync);

/// A sweep under way.
pub(super) struct Drive<'t> {
    pub(super) live: Live,
    pub(super) sweep: Sweep,
    pub(super) rules: Rules,
    pub(super) directory: PathBuf,
    pub(super) still: Still,
    pub(super) shown: watch::Sender<Arc<Shown>>,
    pub(super) tell: Tell<'t>,
}

/// Why a sweep ends before its time.
enum End {
    /// A person wanted it.
    Stopped,
    /// Something does not allow to go on.
    Because(anyhow::Error),
}

impl<E: Into<anyhow::Error>> From<E> for End {
    fn from(error: E) -> Self {
        Self::Because(error.into())
    }
}

/// What came of trying a point.
enum Tried {
    Done,
    /// The connection broke in the middle.
    Lost(String),
    /// There was no work.
    NoWork,
}

impl Drive<'_> {
    /// Visits all points, and puts everything back, however it ends.
    pub(super) async fn run(mut self) -> (Sweep, Option<anyhow::Error>) {
        let end = self.points().await;
        let ended = match end {
            Ok(()) => None,
            Err(End::Stopped) => Some(anyhow!("stopped by you")),
            Err(End::Because(error)) => Some(error),
        };
        self.show(None, "putting everything back");
        let back = self.put_back().await;
        self.sweep.complete = ended.is_none() && self.sweep.next().is_none();
        self.sweep.ended = ended.as_ref().map(ToString::to_string);
        let saved = self.save();
        let trouble = [back, saved].into_iter().find_map(Result::err);
        let ended = match (ended, trouble) {
            (Some(ended), Some(trouble)) => Some(anyhow!("{ended:#}; and then: {trouble:#}")),
            (ended, trouble) => ended.or(trouble),
        };
        (self.sweep, ended)
    }

    async fn points(&mut self) -> Result<(), End> {
        let mut broken = 0;
        let mut lost = 0;
        let base = self.well().await?;
        self.sweep.base = base.wanted.or(self.sweep.base);
        while let Some(at) = self.sweep.next() {
            self.still
                .prolong(&self.live, self.rules.longest_visit_s())
                .await?;
            match self.visit(at).await? {
                Tried::Done => {}
                Tried::Lost(why) => {
                    lost += 1;
                    if lost >= MOST_LOST {
                        return Err(
                            anyhow!("the connection broke {lost} times at {at}: {why}").into()
                        );
                    }
                    self.show(None, &format!("the connection broke ({why}); trying again"));
                    self.live.again().await.map_err(gone)?;
                    self.undo().await?;
                    self.well().await?;
                    continue;
                }
                Tried::NoWork => {
                    self.undo().await?;
                    self.well().await?;
                    continue;
                }
            }
            lost = 0;
            let Some(done) = self.sweep.points.last().cloned() else {
                continue;
            };
            broken = match done.verdict {
                Verdict::Broke => broken + 1,
                _ => 0,
            };
            if done.verdict.is_bad() {
                self.undo().await?;
            }
            self.save()?;
            (self.tell)(&format!(
                "{}; {}",
                draw::visit(&done),
                draw::progress(&self.sweep, None)
            ))?;
            if broken >= MOST_BROKEN {
                return Err(anyhow!(
                    "the board broke down at {broken} points in a row, so it is not the points; last: {}",
                    done.why
                )
                .into());
            }
            if done.verdict.is_bad() {
                self.well().await?;
            }
        }
        Ok(())
    }

    /// Sets a point and measures it. What is learned of it is put into the sweep.
    async fn visit(&mut self, at: Point) -> Result<Tried, End> {
        // Undone before the next is set, so that the way back always leads to where it all began.
        self.undo().await?;
        let confirm = self.rules.longest_visit_s() + SPARE_S;
        let within = (confirm.ceil() as u32).clamp(MIN_CONFIRM_S, MAX_CONFIRM_S);
        let set = Write {
            what: Wanted {
                board: self.sweep.subject.board,
                frequency_mhz: Some(at.mhz),
                voltage_mv: at.mv,
                enabled: None,
            },
            how: WriteOptions {
                confirm_within_s: Some(within),
                save: Some(false),
                ..WriteOptions::default()
            },
        };
        let changed = self.live.get::<BoardSet>(&set).await?;
        self.sweep.pending.board = changed.pending.map(|pending| pending.id);
        // Who goes on with this file after a power cut knows what to undo.
        self.save()?;
        let mut visit = Visit::new(at, self.rules);
        let mut fresh = false;
        loop {
            let view = match self.look().await {
                Ok(view) => view,
                Err(Lost::Stopped) => return Err(End::Stopped),
                Err(Lost::Broken(why)) => return Ok(Tried::Lost(why)),
            };
            // The first message may be from before the change.
            if !std::mem::replace(&mut fresh, true) {
                continue;
            }
            match visit.take(&view) {
                Next::Go => {}
                Next::NoWork => return Ok(Tried::NoWork),
                Next::Taken(why) => return Err(anyhow!(why).into()),
                Next::Done(outcome) => {
                    self.sweep.points.push(*outcome);
                    self.show(None, "");
                    return Ok(Tried::Done);
                }
            }
            let now = Now {
                at,
                stage: visit.stage(),
                delivered: visit.delivered(),
                took_s: visit.took_s(),
            };
            self.show(Some(now), "");
        }
    }

    /// Waits until the board mines well at what it was set to before.
    async fn well(&mut self) -> Result<BoardView, End> {
        let mut waiting = Instant::now();
        let mut told = false;
        loop {
            let view = match self.look().await {
                Ok(view) => view,
                Err(Lost::Stopped) => return Err(End::Stopped),
                Err(Lost::Broken(_)) => {
                    self.live.again().await.map_err(gone)?;
                    continue;
                }
            };
            if view.is_well() {
                return Ok(view);
            }
            let state = view.state.as_str();
            if let Some(fault) = view.fault.as_ref().filter(|fault| fault.latched) {
                return Err(anyhow!(
                    "a latched fault keeps the board without power: {}. {} `hashwright status` shows how to clear it",
                    fault.text,
                    fault.advice
                )
                .into());
            }
            if ["paused", "disabled", "asleep", "stopping"].contains(&state) {
                return Err(anyhow!("the board is {state}; nothing can be measured").into());
            }
            let why = view
                .problem
                .clone()
                .map_or(String::new(), |problem| format!(": {problem}"));
            let heat = view
                .celsius
                .map_or(String::new(), |celsius| format!(", {celsius:.1} °C"));
            if state == "idle" {
                self.show(None, "waiting for a pool to give work");
                waiting = Instant::now();
                continue;
            }
            let note = format!("waiting for the board to be well ({state}{heat}{why})");
            self.show(None, &note);
            if waiting.elapsed() > TELL_AFTER && !std::mem::replace(&mut told, true) {
                (self.tell)(&format::plain(&note, 400))?;
            }
            if waiting.elapsed() > RECOVER {
                return Err(anyhow!(
                    "the board was not well within {} minutes: it is {state}{heat}{why}",
                    RECOVER.as_secs() / 60
                )
                .into());
            }
        }
    }

    async fn look(&mut self) -> Result<BoardView, Lost> {
        let snapshot = self.live.next().await?;
        let board = self.sweep.subject.board;
        BoardView::of(&snapshot, board)
            .ok_or_else(|| Lost::Broken(format!("the agent has no board {board} any more")))
    }

    /// Undoes the last point.
    async fn undo(&mut self) -> anyhow::Result<()> {
        if let Some(id) = self.sweep.pending.board.clone() {
            still::undo(&self.live, &id).await?;
        }
        self.sweep.pending.board = None;
        Ok(())
    }

    /// Undoes everything, with another connection if need be.
    async fn put_back(&mut self) -> anyhow::Result<()> {
        if self.sweep.pending.board.is_none() && self.still.pending.is_none() {
            return Ok(());
        }
        // A person who has asked for the end wants this done all the same.
        let (_stopper, stop) = stop::channel();
        self.live.never_mind(stop);
        let mut last = None;
        for _ in 0..2 {
            let undone = match self.undo().await {
                Ok(()) => self.still.go_on(&self.live).await.map_err(Into::into),
                Err(error) => Err(error),
            };
            match undone {
                Ok(()) => return Ok(()),
                Err(error) => last = Some(error),
            }
            if self.live.again().await.is_err() {
                break;
            }
        }
        let error = last.unwrap_or_else(|| anyhow!("no connection"));
        bail!(
            "the board could not be put back now ({error:#}); the agent does it by itself within {:.0} minutes",
            f64::from(MAX_CONFIRM_S) / 60.0
        )
    }

    fn save(&mut self) -> anyhow::Result<()> {
        self.sweep.written_unix_s = unix_time();
        self.sweep.pending.tuner.clone_from(&self.still.pending);
        self.sweep.write(&self.directory)
    }

    fn show(&self, now: Option<Now>, note: &str) {
        self.shown.send_replace(Arc::new(Shown {
            sweep: self.sweep.clone(),
            now,
            note: note.to_owned(),
        }));
    }
}

fn gone(lost: Lost) -> End {
    match lost {
        Lost::Stopped => End::Stopped,
        Lost::Broken(why) => End::Because(anyhow!(
            "the agent has gone and did not come back: {why}. It undoes by itself what was set"
        )),
    }
}
