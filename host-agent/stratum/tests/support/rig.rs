//! A session with its transport, and a miner that really finds shares, in paused tokio time.

use std::io;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use mining::{Assignment, Job, Partition, Share, WorkSource};
use stratum::transport::{Channels, Connector, Stream, run};
use stratum::v1::{Config, Session};
use stratum::{Event, Stats};
use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::JoinHandle;
use tokio::time::Instant;

use super::{session, sha256d};

/// What a connector is made of in tests: a function from host and port to a stream.
pub type Dial = dyn Fn(&str, u16) -> io::Result<Box<dyn Stream>> + Send + Sync;

/// Dials in memory, and remembers whom.
#[derive(Clone)]
pub struct Pipes {
    dial: Arc<Dial>,
    pub dialled: Arc<Mutex<Vec<(String, u16, Duration)>>>,
    epoch: Instant,
}

impl Pipes {
    pub fn new(
        dial: impl Fn(&str, u16) -> io::Result<Box<dyn Stream>> + Send + Sync + 'static,
    ) -> Self {
        Self {
            dial: Arc::new(dial),
            dialled: Arc::default(),
            epoch: Instant::now(),
        }
    }

    /// When each attempt was made, since the pipes were made.
    pub fn attempts(&self) -> Vec<Duration> {
        let dialled = self.dialled.lock().unwrap();
        dialled.iter().map(|(_, _, at)| *at).collect()
    }

    pub fn hosts(&self) -> Vec<String> {
        let dialled = self.dialled.lock().unwrap();
        dialled.iter().map(|(host, ..)| host.clone()).collect()
    }
}

impl Connector for Pipes {
    async fn connect(&self, host: &str, port: u16) -> io::Result<Box<dyn Stream>> {
        let at = self.epoch.elapsed();
        self.dialled
            .lock()
            .unwrap()
            .push((host.to_owned(), port, at));
        (self.dial)(host, port)
    }
}

/// A running session and the other ends of its channels.
pub struct Rig {
    pub shares: mpsc::Sender<Share>,
    pub jobs: watch::Receiver<Option<Arc<Job>>>,
    pub events: mpsc::UnboundedReceiver<Event>,
    pub stats: watch::Receiver<Stats>,
    pub epoch: Instant,
    stop: oneshot::Sender<()>,
    task: JoinHandle<Box<Session>>,
}

impl Rig {
    pub fn start(config: Config, connector: impl Connector + 'static) -> Self {
        let (shares, shares_in) = mpsc::channel(64);
        let (jobs_out, jobs) = watch::channel(None);
        let (events_out, events) = mpsc::unbounded_channel();
        let (stats_out, stats) = watch::channel(Stats::default());
        let (stop, stopped) = oneshot::channel::<()>();
        let epoch = Instant::now();
        let sink = move |event: Event| {
            match &event {
                Event::Job(job) => drop(jobs_out.send_replace(Some(Arc::clone(job)))),
                Event::NoJob => drop(jobs_out.send_replace(None)),
                _ => {}
            }
            // The test may have stopped listening.
            let _ = events_out.send(event);
        };
        let channels = Channels {
            shares: shares_in,
            hashrate: watch::channel(0.0).1,
            sink: Box::new(sink),
            stats: stats_out,
        };
        let session = Box::new(session(config));
        let task = tokio::spawn(run(session, connector, channels, epoch, async {
            let _ = stopped.await;
        }));
        Self {
            shares,
            jobs,
            events,
            stats,
            epoch,
            stop,
            task,
        }
    }

    /// The next event that is wanted; others are passed over.
    pub async fn event(&mut self, wanted: impl Fn(&Event) -> bool) -> Event {
        loop {
            let event = self.events.recv().await.expect("the session runs");
            if wanted(&event) {
                return event;
            }
        }
    }

    pub async fn job(&mut self) -> Arc<Job> {
        let job = self.jobs.wait_for(Option::is_some).await;
        job.unwrap().clone().unwrap()
    }

    pub async fn stop(self) -> (Box<Session>, Vec<Event>) {
        let _ = self.stop.send(());
        let session = self.task.await.unwrap();
        let mut events = self.events;
        let mut told = Vec::new();
        while let Some(event) = events.recv().await {
            told.push(event);
        }
        (session, told)
    }

    /// Mines for so long, trying for a share once a second.
    pub async fn mine(&mut self, time: Duration) {
        let mut source = WorkSource::new(Partition::new(0, 1).unwrap());
        let mut current: Option<Arc<Job>> = None;
        let end = Instant::now() + time;
        let mut round = 0u32;
        // Not in the very moment in which pools do things.
        tokio::time::sleep(Duration::from_millis(300)).await;
        while Instant::now() < end {
            tokio::time::sleep(Duration::from_secs(1)).await;
            let job = self.jobs.borrow_and_update().clone();
            let Some(job) = job else {
                current = None;
                continue;
            };
            if !current.as_ref().is_some_and(|old| Arc::ptr_eq(old, &job)) {
                let assignment = Assignment::single(Arc::clone(&job));
                source.set_assignment(self.epoch.elapsed(), Arc::new(assignment));
                current = Some(job);
            }
            round += 1;
            if let Some(share) = find(&mut source, self.epoch.elapsed(), round) {
                self.shares.send(share).await.unwrap();
            }
        }
    }
}

/// Hashes that are tried for a share; at difficulty 2e-8 one in some 86 is one.
const TRIES: u32 = 1000;

fn find(source: &mut WorkSource, now: Duration, round: u32) -> Option<Share> {
    let work = source.next_work(now).ok()?;
    let version = work.version | ((round & 0xffff) << 13 & work.rollable_mask);
    (0..TRIES).find_map(|nonce| {
        let hash = sha256d(&work.header(version, nonce));
        work.job.target.is_met_by(&hash).then(|| Share {
            job: Arc::clone(&work.job),
            extranonce2: work.extranonce2.clone(),
            ntime: work.ntime,
            nonce,
            version,
            hash,
        })
    })
}
