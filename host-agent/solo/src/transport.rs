//! The tokio task around a session: makes its calls over HTTP, keeps the files of found blocks,
//! and decides nothing.

use std::collections::VecDeque;
use std::future::{Future, pending};
use std::io;
use std::path::PathBuf;
use std::pin::Pin;
use std::task::Poll;
use std::time::Duration;

use bitcoin::Network;
use stratum::transport::{Channels, Connector};
use stratum::{Event, Reason};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep_until, timeout};
use tracing::{debug, error, info, warn};

use crate::blocks::file_name;
use crate::http::{Client, Connection};
use crate::rpc::{Call, Fault, Lane, Reply};
use crate::session::{Action, Session};
use crate::store::{self, Unanswered};

/// Runs a session until `stop` completes, and gives it back. Blocks that the node has not answered
/// yet get a few more seconds after that.
///
/// `epoch` is the zero of the clock on which jobs carry their time of arrival; it must be the same
/// for all tasks of the program. If all senders of shares or of the rate are gone, the session
/// goes on without.
pub async fn run(
    session: Session,
    connector: impl Connector,
    channels: Channels,
    epoch: Instant,
    stop: impl Future<Output = ()>,
) -> Session {
    let config = session.config();
    let client = Client::new(connector, config.url.clone(), config.auth.clone());
    let mut task = Task {
        name: session.name(),
        folder: config.blocks_dir.clone(),
        session,
        client: &client,
        channels,
        epoch,
        miner_gone: false,
        rate_gone: false,
        calls: Lane::ALL.map(|_| Line::Unused),
        files: JoinSet::new(),
        answered: VecDeque::new(),
    };
    let folder = task.folder.clone();
    task.files
        .spawn_blocking(move || Done::Looked(store::unanswered(&folder), store::check(&folder)));
    tokio::pin!(stop);
    task.tell_hashrate();
    task.session.start(task.now());
    loop {
        task.settle();
        tokio::select! {
            biased;
            () = &mut stop => break,
            () = task.step() => {}
        }
    }
    task.session.stop(task.now());
    task.settle();
    let _ = timeout(LAST_WORDS, async {
        while task.session.has_blocks() {
            task.step().await;
            task.settle();
        }
    })
    .await;
    task.leave().await
}

/// For a block that is on its way when the session is stopped.
const LAST_WORDS: Duration = Duration::from_secs(5);
/// For files that are being written then.
const LAST_FILES: Duration = Duration::from_secs(2);
/// Answered blocks whose files are kept on networks whose coins are worth nothing.
const KEPT_FILES: usize = 1000;

type Answered = (Result<Reply, Fault>, Option<Connection>);

/// A connection to the node.
enum Line<'a> {
    Unused,
    Idle(Connection),
    Busy {
        call: u64,
        answer: Pin<Box<dyn Future<Output = Answered> + Send + 'a>>,
    },
}

/// Work on files that is done.
enum Done {
    Looked(Unanswered, io::Result<()>),
    Saved([u8; 32], Result<String, String>),
    Marked(Result<String, String>),
    Removed,
}

struct Task<'a, C> {
    name: String,
    folder: PathBuf,
    session: Session,
    client: &'a Client<C>,
    channels: Channels,
    epoch: Instant,
    miner_gone: bool,
    rate_gone: bool,
    calls: [Line<'a>; Lane::ALL.len()],
    files: JoinSet<Done>,
    /// Names of answered blocks, the oldest first.
    answered: VecDeque<String>,
}

impl<C: Connector> Task<'_, C> {
    fn now(&self) -> Duration {
        Instant::now().saturating_duration_since(self.epoch)
    }

    /// Does all that the session asks for, and passes on what it tells.
    fn settle(&mut self) {
        while let Some(action) = self.session.poll_action() {
            match action {
                Action::Call(call) => self.call(call),
                Action::Cancel(id) => {
                    let cancelled = self
                        .calls
                        .iter_mut()
                        .find(|line| matches!(line, Line::Busy { call, .. } if *call == id));
                    if let Some(line) = cancelled {
                        *line = Line::Unused;
                    }
                }
                Action::Save(block) => {
                    let folder = self.folder.clone();
                    self.files.spawn_blocking(move || {
                        let saved = store::save(&folder, &block);
                        let saved = saved.map(|path| path.display().to_string());
                        Done::Saved(block.hash, saved.map_err(|error| error.to_string()))
                    });
                }
                Action::Mark {
                    height,
                    hash,
                    answer,
                } => {
                    let (folder, name) = (self.folder.clone(), file_name(height, &hash));
                    self.files.spawn_blocking(move || {
                        let marked = store::mark(&folder, &name, &answer);
                        Done::Marked(marked.map(|()| name).map_err(|error| error.to_string()))
                    });
                }
            }
        }
        while let Some(event) = self.session.poll_event() {
            log(&self.name, &event);
            self.channels.sink.event(event);
        }
        let stats = self.session.stats();
        self.channels.stats.send_if_modified(|old| {
            let changed = *old != stats;
            *old = stats;
            changed
        });
    }

    fn call(&mut self, call: Call) {
        debug!(node = self.name, method = call.method.name(), "asking");
        let line = &mut self.calls[call.lane as usize];
        let kept = match std::mem::replace(line, Line::Unused) {
            Line::Idle(connection) => Some(connection),
            Line::Unused | Line::Busy { .. } => None,
        };
        let (id, client) = (call.id, self.client);
        *line = Line::Busy {
            call: id,
            answer: Box::pin(client.call(call, kept)),
        };
    }

    /// Passes on the rate if it is known.
    fn tell_hashrate(&mut self) {
        let rate = *self.channels.hashrate.borrow_and_update();
        if rate > 0.0 {
            let now = self.now();
            self.session.set_hashrate(now, rate);
        }
    }

    /// Waits for one thing to happen and tells the session. May be dropped at any moment.
    async fn step(&mut self) {
        let due = self.session.poll_timeout();
        let due = due.and_then(|due| self.epoch.checked_add(due));
        tokio::select! {
            biased;
            share = self.channels.shares.recv(), if !self.miner_gone => match share {
                Some(share) => {
                    let now = self.now();
                    if let Err(refusal) = self.session.submit(now, share) {
                        debug!(node = self.name, %refusal, "share not counted");
                    }
                }
                None => self.miner_gone = true,
            },
            done = self.files.join_next(), if !self.files.is_empty() => {
                if let Some(Ok(done)) = done {
                    self.filed(done);
                }
            }
            (call, reply) = answer(&mut self.calls) => {
                let now = self.now();
                self.session.handle_reply(now, call, reply);
            }
            changed = self.channels.hashrate.changed(), if !self.rate_gone => match changed {
                Ok(()) => self.tell_hashrate(),
                Err(_) => self.rate_gone = true,
            },
            () = until(due) => {}
        }
        let now = self.now();
        if self.session.poll_timeout().is_some_and(|due| due <= now) {
            self.session.handle_timeout(now);
        }
    }

    fn filed(&mut self, done: Done) {
        let now = self.now();
        match done {
            Done::Looked(found, writable) => {
                if let Err(error) = writable {
                    warn!(
                        node = self.name,
                        "blocks that are found could not be kept, and one that the node does not \
                         take at once would be lost at a restart: {error}. Make the folder writable"
                    );
                }
                for problem in found.problems {
                    warn!(
                        node = self.name,
                        "not a block that could be sent: {problem}"
                    );
                }
                for block in found.blocks {
                    info!(
                        node = self.name,
                        block = block.name(),
                        "sending a block of an earlier run"
                    );
                    self.session.restore(now, block);
                }
            }
            Done::Saved(hash, saved) => self.session.block_saved(now, &hash, saved),
            Done::Marked(Ok(name)) => {
                self.answered.push_back(name);
                let worthless = self
                    .session
                    .network()
                    .is_some_and(|n| n != Network::Bitcoin);
                if worthless
                    && self.answered.len() > KEPT_FILES
                    && let Some(oldest) = self.answered.pop_front()
                {
                    let folder = self.folder.clone();
                    self.files.spawn_blocking(move || {
                        store::remove(&folder, &oldest);
                        Done::Removed
                    });
                } else if self.answered.len() > KEPT_FILES {
                    self.answered.pop_front();
                }
            }
            Done::Marked(Err(why)) => {
                warn!(
                    node = self.name,
                    "the node's answer to a block was not written: {why}"
                );
            }
            Done::Removed => {}
        }
    }

    /// Ends what is still running, and gives the session back fit for another run.
    async fn leave(mut self) -> Session {
        let now = self.now();
        for line in &mut self.calls {
            if let Line::Busy { call, .. } = std::mem::replace(line, Line::Unused) {
                let fault = Fault::Connection(Reason::Stopped);
                self.session.handle_reply(now, call, Err(fault));
            }
        }
        // Calls that this leads to wait in the session; files are to be written now.
        let _ = timeout(LAST_FILES, async {
            while let Some(done) = self.files.join_next().await {
                match done {
                    Ok(Done::Looked(..)) | Err(_) => {}
                    Ok(done) => self.filed(done),
                }
            }
        })
        .await;
        while let Some(event) = self.session.poll_event() {
            log(&self.name, &event);
            self.channels.sink.event(event);
        }
        self.channels.stats.send_replace(self.session.stats());
        self.session
    }
}

/// Waits for the next answer on any connection, which is idle then. May be dropped at any moment.
async fn answer(calls: &mut [Line<'_>]) -> (u64, Result<Reply, Fault>) {
    std::future::poll_fn(|context| {
        for line in calls.iter_mut() {
            if let Line::Busy { call, answer } = line
                && let Poll::Ready((reply, connection)) = answer.as_mut().poll(context)
            {
                let call = *call;
                *line = connection.map_or(Line::Unused, Line::Idle);
                return Poll::Ready((call, reply));
            }
        }
        Poll::Pending
    })
    .await
}

async fn until(due: Option<Instant>) {
    match due {
        Some(due) => sleep_until(due).await,
        None => pending().await,
    }
}

fn log(node: &str, event: &Event) {
    match event {
        Event::Connected { host, port } => info!(node, host, port, "the node answers"),
        Event::Job(job) => debug!(node, job = job.id, generation = job.generation, "job"),
        Event::NoJob => info!(node, "no job"),
        Event::ShareAccepted(receipt) => {
            debug!(node, difficulty = receipt.difficulty, "share counted");
        }
        Event::ShareRejected { kind, text, .. } => warn!(node, %kind, text, "share rejected"),
        Event::Warning(text) => warn!(node, "{text}"),
        Event::Learnt(what) => info!(node, what, "learnt about the node"),
        Event::Block(block) => {
            let name = file_name(block.height, &block.hash);
            match &block.fate {
                stratum::BlockFate::NotSaved(why) => {
                    error!(
                        node,
                        block = name,
                        why,
                        "block not saved; it is sent all the same"
                    );
                }
                stratum::BlockFate::Rejected(why) => {
                    error!(node, block = name, why, "block refused")
                }
                stratum::BlockFate::Retried(why) => {
                    warn!(
                        node,
                        block = name,
                        why,
                        "no answer for the block yet; it is sent again"
                    );
                }
                fate => info!(node, block = name, ?fate, "block"),
            }
        }
        Event::Disconnected {
            reason: Reason::Stopped,
            ..
        } => info!(node, "stopped"),
        Event::Disconnected { reason, retry_in } => warn!(node, %reason, ?retry_in, "no work"),
        other => debug!(node, ?other, "event"),
    }
}
