//! The recorder: once a second it takes from the state what is worth keeping and hands it to the
//! history, which is written about once a minute. A disk that is slow, full or broken costs history and
//! nothing else: nobody waits for it but the recorder and whoever asks for the past.

use std::collections::VecDeque;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use history::{Archive, FilePages, MemoryPages, PageBytes, Pages, QueryError, Settings, Subject};
use rpc::history::{History as Reply, HistoryInfo, Query};
use rustix::fs::{FlockOperation, flock};
use rustix::time::{ClockId, clock_gettime};
use station::{Notice, Severity};
use tokio::sync::{Semaphore, watch};
use tokio::task::{JoinHandle, spawn_blocking};
use tokio::time::{MissedTickBehavior, interval, timeout};

use crate::clock::Clock;
use crate::config::{Agent, Board};
use crate::events::EventLog;
use crate::state::Snapshot;
use crate::stop::Stop;

mod sample;
#[cfg(test)]
mod tests;

use sample::Sampler;

/// The file in the state directory.
pub const FILE: &str = "history.ring";

/// Room for a history that lives in memory only, bytes.
const MEMORY_BYTES: u64 = 1 << 20;

/// Seconds that may wait while the disk is busy.
const BACKLOG: usize = 300;

/// How long the last write may take when the agent stops.
const LAST_WRITE: Duration = Duration::from_secs(5);

/// What is kept of the past. Clones share it; the default keeps nothing.
#[derive(Clone, Debug, Default)]
pub struct History(Option<Arc<Inner>>);

#[derive(Debug)]
struct Inner {
    /// None until the file has been looked through.
    archive: Mutex<Option<Archive<Store>>>,
    file: Option<PathBuf>,
    settings: Settings,
    /// Why it is not on disk.
    problem: Mutex<Option<String>>,
    /// One question at a time: the others wait without a thread.
    one: Semaphore,
}

impl History {
    /// A history as the config wants it; [`Recorder::run`] fills it. Without real boards and without a state
    /// directory in the config it lives in memory.
    #[must_use]
    pub fn new(config: &crate::config::History, agent: &Agent, boards: &[Board]) -> Self {
        if !config.enabled {
            return Self::default();
        }
        let kept = agent.state_dir_given || boards.iter().any(|board| !board.is_simulated());
        Self(Some(Arc::new(Inner {
            archive: Mutex::new(None),
            file: kept.then(|| agent.state_dir.join(FILE)),
            settings: Settings {
                max_bytes: u64::from(config.max_mib) << 20,
                write_every_s: config.write_every_s,
            },
            problem: Mutex::new(None),
            one: Semaphore::new(1),
        })))
    }

    /// Answers `history.query`.
    ///
    /// # Errors
    ///
    /// What the query asks for cannot be, or there is no history; the text says what can be done.
    pub async fn query(&self, query: &Query) -> Result<Reply, rpc::Error> {
        let query = query.clone();
        let answer = self.ask(move |archive| archive.query(&query)).await;
        answer.and_then(|answer| answer.map_err(|error| refused(&error)))
    }

    /// Answers `history.info`.
    pub async fn info(&self) -> HistoryInfo {
        let Some(inner) = &self.0 else {
            return HistoryInfo {
                problem: Some("[history] enabled = false".to_owned()),
                ..HistoryInfo::default()
            };
        };
        let info = self.ask(|archive| archive.info()).await;
        let mut info = info.unwrap_or_else(|error| HistoryInfo {
            enabled: true,
            problem: Some(error.text().to_owned()),
            ..HistoryInfo::default()
        });
        let problem = lock(&inner.problem).clone();
        let problems: Vec<_> = problem.into_iter().chain(info.problem.take()).collect();
        info.problem = (!problems.is_empty()).then(|| problems.join("; "));
        info.file = inner.file.as_ref().map(|file| file.display().to_string());
        info
    }

    async fn ask<T: Send + 'static>(
        &self,
        question: impl FnOnce(&mut Archive<Store>) -> T + Send + 'static,
    ) -> Result<T, rpc::Error> {
        let Some(inner) = self.0.clone() else {
            return Err(unavailable(
                "this agent keeps no history; remove `enabled = false` from [history]",
            ));
        };
        // It is never closed.
        let _one = inner.one.acquire().await;
        let worker = inner.clone();
        let answer = spawn_blocking(move || lock(&worker.archive).as_mut().map(question));
        match answer.await {
            Ok(Some(answer)) => Ok(answer),
            Ok(None) => Err(unavailable(
                "the history is being read from disk; try again in some seconds",
            )),
            Err(_) => Err(unavailable("the history broke; please report this")),
        }
    }
}

fn refused(error: &QueryError) -> rpc::Error {
    rpc::Error::invalid_params(error.to_string())
}

fn unavailable(text: &str) -> rpc::Error {
    rpc::Error::denied(text)
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // What a panic left behind is checked by sums and bounds like everything else.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// What the recorder needs.
#[derive(Debug)]
pub struct Recorder {
    /// Where it writes to.
    pub history: History,
    /// What it reads.
    pub state: watch::Receiver<Arc<Snapshot>>,
    /// Where it says that something is wrong with the disk.
    pub events: EventLog,
    /// The agent's time.
    pub clock: Clock,
    /// The time of day, ms since 1970.
    pub wall_ms: fn() -> i64,
    /// The end.
    pub stop: Stop,
}

/// The time of day, ms since 1970, however wrong the clock may be.
#[must_use]
pub fn wall_ms() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    since.map_or(0, |since| {
        i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
    })
}

/// A second's values with its time.
type Second = (Duration, i64, Vec<Vec<Option<f64>>>);

impl Recorder {
    /// Records until the stop, and then writes what is left.
    pub async fn run(mut self) {
        let Some(inner) = self.history.0.clone() else {
            return;
        };
        let opening = inner.clone();
        let opened = spawn_blocking(move || open(&opening));
        let Ok((Some(archive), trouble)) = opened.await else {
            return;
        };
        let mut unwell = Unwell::new(inner.clone(), self.events.clone());
        if let Some(text) = trouble {
            unwell.opened_badly(text);
        }
        unwell.damaged(archive.info().damaged_pages);
        *lock(&inner.archive) = Some(archive);

        let mut sampler = Sampler::default();
        let mut backlog: VecDeque<Second> = VecDeque::new();
        let mut subjects: Vec<Subject> = Vec::new();
        let mut writing: Option<JoinHandle<io::Result<()>>> = None;
        let slept = asleep();
        let mut ticks = interval(Duration::from_secs(1));
        ticks.set_missed_tick_behavior(MissedTickBehavior::Skip);
        loop {
            tokio::select! {
                () = self.stop.stopped() => break,
                written = done(&mut writing) => unwell.written(&written),
                _ = ticks.tick() => {
                    let snapshot = self.state.borrow_and_update().clone();
                    // Sleep of the whole machine is time as well.
                    let mono = self.clock.now() + asleep().saturating_sub(slept);
                    let now = sample::subjects(&snapshot);
                    let values = sampler.values(&snapshot, &now);
                    if now != subjects {
                        // What still waits has another shape.
                        backlog.clear();
                    }
                    if backlog.len() >= BACKLOG {
                        backlog.pop_front();
                    }
                    backlog.push_back((mono, (self.wall_ms)(), values));
                    // Whoever reads or writes now has until the next second.
                    let Ok(mut archive) = inner.archive.try_lock() else { continue };
                    let Some(archive) = archive.as_mut() else { continue };
                    if now != subjects {
                        archive.subjects(now.clone());
                        subjects = now;
                    }
                    for (mono, wall_ms, values) in backlog.drain(..) {
                        archive.push(mono, wall_ms, &values);
                    }
                    if archive.is_due() && writing.is_none() {
                        writing = Some(flush(inner.clone()));
                    }
                }
            }
        }
        let last = async {
            if let Some(writing) = writing {
                let _ = writing.await;
            }
            flush(inner.clone()).await
        };
        if let Ok(Ok(written)) = timeout(LAST_WRITE, last).await {
            unwell.written(&written);
        }
    }
}

/// How long this machine has slept since it was started.
fn asleep() -> Duration {
    let time = |id| {
        let now = clock_gettime(id);
        let seconds = u64::try_from(now.tv_sec).unwrap_or(0);
        Duration::new(seconds, u32::try_from(now.tv_nsec).unwrap_or(0))
    };
    // The second is read later, and only sleep of a second and more counts.
    let slept = time(ClockId::Boottime).saturating_sub(time(ClockId::Monotonic));
    Duration::from_secs(slept.as_secs())
}

fn flush(inner: Arc<Inner>) -> JoinHandle<io::Result<()>> {
    spawn_blocking(move || match lock(&inner.archive).as_mut() {
        Some(archive) => archive.flush(),
        None => Ok(()),
    })
}

/// The result of a write, once there is one.
async fn done(writing: &mut Option<JoinHandle<io::Result<()>>>) -> io::Result<()> {
    let Some(task) = writing else {
        return std::future::pending().await;
    };
    let result = task.await;
    *writing = None;
    result.unwrap_or_else(|error| Err(io::Error::other(error)))
}

/// The archive, in memory where the file cannot be used, and why.
fn open(inner: &Inner) -> (Option<Archive<Store>>, Option<String>) {
    let trouble = match inner
        .file
        .as_deref()
        .map(|file| on_disk(file, inner.settings))
    {
        Some(Ok(archive)) => return (Some(archive), None),
        Some(Err(error)) => Some(error),
        None => None,
    };
    let settings = Settings {
        max_bytes: inner.settings.max_bytes.min(MEMORY_BYTES),
        ..inner.settings
    };
    let pages = Store::Memory(MemoryPages::default());
    (Archive::open(pages, settings).ok(), trouble)
}

fn on_disk(file: &Path, settings: Settings) -> Result<Archive<Store>, String> {
    let open = || {
        if let Some(folder) = file.parent() {
            std::fs::create_dir_all(folder)?;
        }
        let pages = FilePages::open(file)?;
        match flock(pages.file(), FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => {}
            Err(rustix::io::Errno::WOULDBLOCK) => {
                return Err(io::Error::other("another program uses it"));
            }
            // A file system without locks: then nobody else has one either.
            Err(_) => {}
        }
        Archive::open(Store::File(pages), settings)
    };
    open().map_err(|error: io::Error| format!("{} cannot be used ({error})", file.display()))
}

/// Pages in a file, or in memory where there is none.
#[derive(Debug)]
enum Store {
    File(FilePages),
    Memory(MemoryPages),
}

impl Pages for Store {
    fn count(&self) -> u32 {
        match self {
            Self::File(pages) => pages.count(),
            Self::Memory(pages) => pages.count(),
        }
    }

    fn read(&mut self, page: u32, into: &mut PageBytes) -> io::Result<()> {
        match self {
            Self::File(pages) => pages.read(page, into),
            Self::Memory(pages) => pages.read(page, into),
        }
    }

    fn write(&mut self, page: u32, from: &PageBytes) -> io::Result<()> {
        match self {
            Self::File(pages) => pages.write(page, from),
            Self::Memory(pages) => pages.write(page, from),
        }
    }

    fn sync(&mut self) -> io::Result<()> {
        match self {
            Self::File(pages) => pages.sync(),
            Self::Memory(pages) => pages.sync(),
        }
    }

    fn truncate(&mut self, count: u32) -> io::Result<()> {
        match self {
            Self::File(pages) => pages.truncate(count),
            Self::Memory(pages) => pages.truncate(count),
        }
    }
}

/// Tells people when the history is not well, once each time.
struct Unwell {
    inner: Arc<Inner>,
    events: EventLog,
    failing: bool,
}

impl Unwell {
    fn new(inner: Arc<Inner>, events: EventLog) -> Self {
        Self {
            inner,
            events,
            failing: false,
        }
    }

    fn opened_badly(&self, trouble: String) {
        let text = format!(
            "the history is kept in memory and ends with the agent: {trouble}. Mining goes on"
        );
        let advice = "Look after the state directory, or name another with [agent] state_dir.";
        self.note("history-not-saved", text, advice);
        *lock(&self.inner.problem) = Some(format!("in memory only: {trouble}"));
    }

    fn damaged(&self, pages: u32) {
        if pages > 0 {
            let text = format!(
                "{pages} pages of the history were damaged, most likely by a power cut or a worn disk; what \
                 stood there is a gap. Mining goes on"
            );
            let advice = "If it happens without a power cut, replace the disk or memory card.";
            self.note("history-damaged", text, advice);
        }
    }

    fn written(&mut self, result: &io::Result<()>) {
        let failed = result.as_ref().err();
        if let (Some(error), false) = (failed, self.failing) {
            let text = format!(
                "the history could not be written ({error}); it is tried again every minute. Mining goes on"
            );
            let advice = "Look whether the disk is full, read-only or broken.";
            self.note("history-not-saved", text, advice);
            *lock(&self.inner.problem) = Some(format!("cannot be written: {error}"));
        }
        if failed.is_none() && self.failing {
            *lock(&self.inner.problem) = None;
        }
        self.failing = failed.is_some();
    }

    fn note(&self, code: &str, text: String, advice: &str) {
        let notice = Notice {
            severity: Severity::Warning,
            code: code.to_owned(),
            text,
            advice: advice.to_owned(),
            ..Notice::default()
        };
        self.events.note(&[], notice);
    }
}
