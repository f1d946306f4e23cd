//! The task of one board: owns the port and the chain session, and moves bytes and time between
//! them. A board that fails is started again after a growing pause; nothing here ends the program.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use bm13xx::Baud;
use chain::{Event, Output, Phase, Session, Settings};
use mining::{Job, Share};
use tokio::sync::mpsc::error::TrySendError;
use tokio::sync::{mpsc, watch};
use tracing::{debug, info, warn};

use crate::clock::Clock;
use crate::port::{Port, SimulatedPort, Uart};
use crate::stop::Stop;

/// Pause before the first new attempt; doubles up to [`LONGEST_PAUSE`].
const FIRST_PAUSE: Duration = Duration::from_secs(1);
/// Longest pause between attempts: a person who plugs a board in does not want to wait longer.
const LONGEST_PAUSE: Duration = Duration::from_secs(30);
/// A board that has mined this long starts with the shortest pause again.
const STABLE: Duration = Duration::from_secs(60);
/// How often the board's numbers are published.
const REPORT: Duration = Duration::from_millis(500);
/// Longest time that winding down may take at exit.
const WIND_DOWN: Duration = Duration::from_secs(5);

/// One board as configured.
#[derive(Clone, Debug)]
pub struct Board {
    /// Position in the config.
    pub index: usize,
    /// Where its UART is.
    pub uart: Uart,
    /// The chain on it.
    pub settings: Settings,
    /// How to make the board if it is simulated.
    pub simulation: Option<board_simulator::ChainSpec>,
}

/// What a board publishes about itself.
#[derive(Clone, Debug, Default)]
pub struct Report {
    /// One word for people.
    pub state: &'static str,
    /// What is wrong and what to do, if anything.
    pub problem: Option<String>,
    /// Starts after a failure.
    pub restarts: u64,
    /// Shares that found no room on the way to the pool.
    pub shares_lost: u64,
    /// The chain in numbers, once there is a session.
    pub chain: Option<chain::Status>,
}

/// The ends of the channels that a board task holds.
#[derive(Debug)]
pub struct Links {
    /// Newest job, or nothing to do.
    pub jobs: watch::Receiver<Option<Arc<Job>>>,
    /// The way to the pool in use; another pool comes with another sender.
    pub shares: watch::Receiver<mpsc::Sender<Share>>,
    /// Numbers to whoever watches.
    pub report: watch::Sender<Report>,
    /// The end of the program.
    pub stop: Stop,
}

/// Runs a board until the program stops.
pub async fn run(board: Board, mut links: Links, clock: Clock) {
    let mut pause = FIRST_PAUSE;
    loop {
        let started = clock.now();
        let end = attempt(&board, &mut links, clock).await;
        let problem = match end {
            End::Stopped => break,
            End::Failed(problem) => problem,
        };
        if links.stop.is_stopped() {
            break;
        }
        if clock.now().saturating_sub(started) > STABLE {
            pause = FIRST_PAUSE;
        }
        warn!(board = board.index, uart = %board.uart, "{problem}; next try in {} s", pause.as_secs());
        links.report.send_modify(|report| {
            report.state = "failed";
            report.problem = Some(problem);
            report.chain = None;
            report.restarts += 1;
        });
        tokio::select! {
            () = tokio::time::sleep(pause) => {}
            () = links.stop.stopped() => break,
        }
        pause = (pause * 2).min(LONGEST_PAUSE);
    }
    links.report.send_modify(|report| report.state = "stopped");
}

enum End {
    Stopped,
    Failed(String),
}

async fn attempt(board: &Board, links: &mut Links, clock: Clock) -> End {
    links.report.send_modify(|report| report.state = "opening");
    let port = match &board.simulation {
        Some(spec) => SimulatedPort::new(spec, clock, Baud::RESET.get())
            .map(|port| Port::Simulated(Box::new(port)))
            .map_err(|error| format!("this board cannot be simulated: {error}")),
        None => Port::open(&board.uart, Baud::RESET.get())
            .await
            .map_err(|error| error.to_string()),
    };
    let mut port = match port {
        Ok(port) => port,
        Err(problem) => return End::Failed(problem),
    };
    let session = match Session::new(board.settings.clone(), clock.now()) {
        Ok(session) => session,
        Err(error) => return End::Failed(format!("this chain cannot be driven: {error}")),
    };
    let mut shell = Shell {
        index: board.index,
        session,
        warnings: Vec::new(),
        failure: None,
    };
    links.report.send_modify(|report| report.problem = None);
    match shell.drive(&mut port, links, clock).await {
        Ok(end) => end,
        Err(error) => End::Failed(format!(
            "{}: the port has gone ({error}); check cable and power, it is tried again by itself",
            board.uart
        )),
    }
}

struct Shell {
    index: usize,
    session: Session,
    warnings: Vec<String>,
    failure: Option<String>,
}

impl Shell {
    async fn drive(&mut self, port: &mut Port, links: &mut Links, clock: Clock) -> io::Result<End> {
        let mut buffer = [0; 4096];
        let mut report_due = clock.now();
        let mut stop_by = None;
        let mut upstream_alive = true;
        let job = links.jobs.borrow_and_update().clone();
        if job.is_some() {
            self.session.handle_job(clock.now(), job);
        }
        self.session.handle_timeout(clock.now());
        loop {
            self.handle_events(links);
            while let Some(output) = self.session.poll_output() {
                match output {
                    Output::Write(bytes) => port.write(&bytes).await?,
                    Output::Baud(baud) => {
                        debug!(board = self.index, baud, "line rate");
                        port.set_baud(baud).await?;
                    }
                }
            }
            let now = clock.now();
            match self.session.phase() {
                Phase::Failed => {
                    let failure = self.failure.take();
                    return Ok(End::Failed(failure.unwrap_or_default()));
                }
                Phase::Stopped => return Ok(End::Stopped),
                _ if stop_by.is_some_and(|by| now >= by) => return Ok(End::Stopped),
                _ => {}
            }
            if now >= report_due {
                self.report(links, now);
                report_due = now + REPORT;
            }
            let wake = self.session.poll_timeout();
            let wake = [wake, Some(report_due), stop_by]
                .into_iter()
                .flatten()
                .min();
            tokio::select! {
                biased;
                changed = links.jobs.changed(), if upstream_alive => {
                    upstream_alive = changed.is_ok();
                    let job = links.jobs.borrow_and_update().clone();
                    if stop_by.is_none() {
                        self.session.handle_job(clock.now(), job);
                    }
                }
                () = links.stop.stopped(), if stop_by.is_none() => {
                    let now = clock.now();
                    stop_by = Some(now + WIND_DOWN);
                    self.session.stop(now);
                }
                count = port.read(&mut buffer) => {
                    self.session.handle_bytes(clock.now(), &buffer[..count?]);
                }
                () = clock.sleep_until(wake) => self.session.handle_timeout(clock.now()),
            }
        }
    }

    fn handle_events(&mut self, links: &Links) {
        while let Some(event) = self.session.poll_event() {
            match event {
                Event::Share(share) => {
                    let sent = links.shares.borrow().try_send(share);
                    if let Err(error) = sent {
                        links.report.send_modify(|report| report.shares_lost += 1);
                        match error {
                            TrySendError::Full(_) => warn!(
                                board = self.index,
                                "share dropped: too many wait for the pool already"
                            ),
                            TrySendError::Closed(_) => {
                                debug!(board = self.index, "share dropped: no pool is in use");
                            }
                        }
                    }
                }
                Event::ChipsFound { found, expected } => {
                    info!(board = self.index, found, expected, "chips found");
                }
                Event::Phase(phase) => {
                    info!(board = self.index, state = word(phase), "board");
                    links
                        .report
                        .send_modify(|report| report.state = word(phase));
                }
                Event::Warning(text) => {
                    warn!(board = self.index, "{text}");
                    if !self.warnings.contains(&text) {
                        self.warnings.truncate(7);
                        self.warnings.push(text);
                    }
                }
                Event::Failed(failure) => self.failure = Some(failure.to_string()),
            }
        }
    }

    fn report(&self, links: &Links, now: Duration) {
        let status = self.session.status(now);
        links.report.send_modify(|report| {
            report.state = word(status.phase);
            report.problem = (!self.warnings.is_empty()).then(|| self.warnings.join("; "));
            report.chain = Some(status);
        });
    }
}

/// A phase as people read it.
fn word(phase: Phase) -> &'static str {
    match phase {
        Phase::Discovering | Phase::BringingUp => "starting",
        Phase::Ramping => "ramping",
        Phase::Verifying => "verifying",
        Phase::Idle => "idle",
        Phase::Mining => "mining",
        Phase::Stopping => "stopping",
        Phase::Stopped => "stopped",
        Phase::Failed => "failed",
    }
}
