//! Where a view takes what it shows, and where its keys go: this very program, or an agent elsewhere. The
//! view cannot tell which.

use std::sync::Arc;

use tokio::sync::{mpsc, watch};

use super::series::Sample;
use crate::state::Snapshot;

use rpc::event::Entry;
use rpc::stream::LogLine;

/// Events and lines that may wait for the view.
pub(crate) const WAITING: usize = 1_024;

/// How the agent is reached.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Link {
    /// It is this program.
    #[default]
    Here,
    /// It answers, at this URL.
    Up(String),
    /// It does not answer; why, and what is done about it.
    Down(String),
}

/// What a person at the keyboard may want of the miner.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Wish {
    /// Mine no more.
    Pause,
    /// Mine again.
    Resume,
    /// Fans hold the temperature.
    CoolingAuto,
    /// Fans turn at this duty, percent.
    CoolingManual(u8),
    /// The cause of this fault of this board is gone.
    ClearFault(usize, String),
}

/// What became of a wish, in words.
pub type Answer = Result<String, String>;

/// The ends that a view holds.
#[derive(Debug)]
pub struct Feed {
    /// The state tree.
    pub state: watch::Receiver<Arc<Snapshot>>,
    /// How the agent is reached.
    pub link: watch::Receiver<Link>,
    /// Events, the kept ones first; one that happens again comes again with a higher count.
    pub events: mpsc::Receiver<Entry>,
    /// Lines of the log, the kept ones first.
    pub log: mpsc::Receiver<LogLine>,
    /// What the agent remembers from before.
    pub past: mpsc::Receiver<Vec<Sample>>,
    /// Why the log cannot be shown, if it cannot.
    pub no_log: watch::Receiver<Option<String>>,
    /// Where wishes go.
    pub wishes: mpsc::Sender<Wish>,
    /// Their outcomes.
    pub answers: mpsc::Receiver<Answer>,
}

/// The other ends.
#[derive(Debug)]
pub struct Source {
    /// The state tree.
    pub state: watch::Sender<Arc<Snapshot>>,
    /// How the agent is reached.
    pub link: watch::Sender<Link>,
    /// Events.
    pub events: mpsc::Sender<Entry>,
    /// Lines of the log.
    pub log: mpsc::Sender<LogLine>,
    /// What the agent remembers from before.
    pub past: mpsc::Sender<Vec<Sample>>,
    /// Why the log cannot be shown, if it cannot.
    pub no_log: watch::Sender<Option<String>>,
    /// Wishes from the keyboard.
    pub wishes: mpsc::Receiver<Wish>,
    /// Their outcomes.
    pub answers: mpsc::Sender<Answer>,
}

/// A feed and its source.
#[must_use]
pub fn feed() -> (Source, Feed) {
    let (state, state_out) = watch::channel(Arc::default());
    let (link, link_out) = watch::channel(Link::default());
    let (no_log, no_log_out) = watch::channel(None);
    let (events, events_out) = mpsc::channel(WAITING);
    let (log, log_out) = mpsc::channel(WAITING);
    let (past, past_out) = mpsc::channel(1);
    let (wishes_in, wishes) = mpsc::channel(4);
    let (answers, answers_out) = mpsc::channel(4);
    let source = Source {
        state,
        link,
        events,
        log,
        past,
        no_log,
        wishes,
        answers,
    };
    let feed = Feed {
        state: state_out,
        link: link_out,
        events: events_out,
        log: log_out,
        past: past_out,
        no_log: no_log_out,
        wishes: wishes_in,
        answers: answers_out,
    };
    (source, feed)
}

impl From<watch::Receiver<Arc<Snapshot>>> for Feed {
    /// A state of this program, with neither events nor log, that nothing can be wished of.
    fn from(state: watch::Receiver<Arc<Snapshot>>) -> Self {
        let (source, feed) = feed();
        drop(source);
        Self { state, ..feed }
    }
}
