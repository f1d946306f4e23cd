use std::path::Path;

use rpc::history::Metric;

use super::*;
use crate::state::{BoardStatus, PoolStatus};
use crate::stop::{self, Stopper};

/// A recorder that runs, and what it needs.
struct Bench {
    history: History,
    state: watch::Sender<Arc<Snapshot>>,
    events: EventLog,
    stopper: Stopper,
    task: JoinHandle<()>,
}

fn bench(state_dir: &Path) -> Bench {
    let agent = Agent {
        name: "test".to_owned(),
        state_dir: state_dir.to_owned(),
        state_dir_given: true,
    };
    let history = History::new(&crate::config::History::default(), &agent, &[]);
    let clock = Clock::start();
    let events = EventLog::new(clock);
    let (state, reader) = watch::channel(Arc::new(snapshot(0)));
    let (stopper, stop) = stop::channel();
    let recorder = Recorder {
        history: history.clone(),
        state: reader,
        events: events.clone(),
        clock,
        wall_ms,
        stop,
    };
    Bench {
        history,
        state,
        events,
        stopper,
        task: tokio::spawn(recorder.run()),
    }
}

impl Bench {
    /// Mines so many seconds, a share in each.
    async fn mine(&self, seconds: u64) {
        let before = self.state.borrow().pools[0].accepted;
        for second in 1..=seconds {
            tokio::time::sleep(Duration::from_secs(1)).await;
            self.state.send_replace(Arc::new(snapshot(before + second)));
        }
    }

    async fn end(self) -> EventLog {
        self.stopper.stop();
        self.task.await.unwrap();
        self.events
    }
}

fn snapshot(accepted: u64) -> Snapshot {
    let board = BoardStatus {
        temperature_c: Some(61.5),
        state: "mining".to_owned(),
        ..BoardStatus::default()
    };
    let pool = PoolStatus {
        accepted,
        ..PoolStatus::default()
    };
    Snapshot {
        boards: vec![board],
        pools: vec![pool],
        ..Snapshot::default()
    }
}

fn of_pool() -> Query {
    Query {
        pool: Some(0),
        metrics: vec![Metric::Accepted],
        ..Query::default()
    }
}

fn sum(reply: &Reply) -> f64 {
    reply.metrics[0].values.iter().flatten().sum()
}

fn codes(events: &EventLog) -> Vec<String> {
    let entries = events.after(0, 100);
    entries.into_iter().map(|entry| entry.notice.code).collect()
}

#[tokio::test(start_paused = true)]
async fn what_was_is_there_after_a_restart() {
    let folder = tempfile::tempdir().unwrap();
    let first = bench(folder.path());
    first.mine(200).await;
    let counted = sum(&first.history.query(&of_pool()).await.unwrap());
    assert!((190.0..=200.0).contains(&counted), "{counted}");
    let info = first.history.info().await;
    assert!(info.written_bytes > 0, "{info:?}");
    assert_eq!(codes(&first.end().await), Vec::<String>::new());

    let second = bench(folder.path());
    second.mine(100).await;
    let both = sum(&second.history.query(&of_pool()).await.unwrap());
    assert!(both >= counted + 90.0, "{both} after {counted}");
    let info = second.history.info().await;
    assert!(info.file.unwrap().ends_with(FILE));
    assert_eq!(info.problem, None);
}

#[tokio::test(start_paused = true)]
async fn a_damaged_file_is_an_event_and_recording_goes_on() {
    let folder = tempfile::tempdir().unwrap();
    let first = bench(folder.path());
    first.mine(130).await;
    first.end().await;
    let file = folder.path().join(FILE);
    let mut bytes = std::fs::read(&file).unwrap();
    bytes[5000] ^= 1;
    std::fs::write(&file, bytes).unwrap();
    let second = bench(folder.path());
    second.mine(30).await;
    assert!(sum(&second.history.query(&of_pool()).await.unwrap()) >= 25.0);
    assert_eq!(second.history.info().await.damaged_pages, 1);
    assert_eq!(codes(&second.end().await), ["history-damaged"]);
}

#[tokio::test(start_paused = true)]
async fn without_a_place_to_write_it_lives_in_memory() {
    let folder = tempfile::tempdir().unwrap();
    let no_folder = folder.path().join("file");
    std::fs::write(&no_folder, "").unwrap();
    let bench = bench(&no_folder);
    bench.mine(100).await;
    assert!(sum(&bench.history.query(&of_pool()).await.unwrap()) >= 90.0);
    let problem = bench.history.info().await.problem.unwrap();
    assert!(problem.contains("in memory only"), "{problem}");
    assert_eq!(codes(&bench.end().await), ["history-not-saved"]);
}

#[tokio::test(start_paused = true)]
async fn two_agents_do_not_write_to_one_file() {
    let folder = tempfile::tempdir().unwrap();
    let first = bench(folder.path());
    first.mine(10).await;
    let second = bench(folder.path());
    second.mine(10).await;
    let problem = second.history.info().await.problem.unwrap();
    assert!(problem.contains("another program"), "{problem}");
    assert_eq!(first.history.info().await.problem, None);
}

#[tokio::test]
async fn without_history_questions_say_how_to_get_one() {
    let said = History::default().query(&Query::default()).await;
    assert!(said.unwrap_err().text().contains("[history]"));
    assert!(!History::default().info().await.enabled);
}
