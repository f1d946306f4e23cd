//! The task of one board: owns the port and the chain session, and moves bytes and time between
//! them. A board that fails is started again after a growing pause; nothing here ends the program.

use std::collections::HashMap;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use bm13xx::{Baud, Megahertz, Register};
use chain::{ChangeError, Event, Output, Phase, Session, Settings};
use mining::{Assignment, Share};
use station::{ChainPhase, ChainReport, Notice, Severity};
use tokio::sync::mpsc::error::TrySendError;
use tokio::sync::{mpsc, oneshot, watch};
use tracing::{debug, info, warn};

use crate::clock::Clock;
use crate::control::link::{BoardEnd, Grant};
use crate::events::EventLog;
use crate::port::{Port, SharedBoard, SimulatedPort, Uart};
use crate::stop::Stop;
use crate::tune::Clocks;

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
/// Longest time that chips have to answer a question.
const ANSWERS: Duration = Duration::from_secs(1);
/// State of a board whose station gives it no power; shown as the station's own state.
pub const UNPOWERED: &str = "unpowered";

/// One board as configured.
#[derive(Clone, Debug)]
pub struct Board {
    /// Position in the config.
    pub index: usize,
    /// Where its UART is.
    pub uart: Uart,
    /// The chain on it.
    pub settings: Settings,
    /// Lowest clock of its chips, MHz.
    pub least_mhz: f64,
    /// What is behind the UART if it is simulated.
    pub simulation: Option<Simulation>,
}

/// What stands behind a simulated UART.
#[derive(Clone, Debug)]
pub enum Simulation {
    /// Chips alone, new ones at each start.
    Bare(board_simulator::ChainSpec),
    /// A whole board, which its station controls as well.
    Whole(SharedBoard),
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
    /// Nonces of sessions that have ended; those of the present one are in `chain`.
    pub earlier: chain::Counters,
    /// The chain in numbers, once there is a session.
    pub chain: Option<chain::Status>,
}

impl Report {
    /// The session has ended: its numbers go, its nonces stay counted.
    fn end_session(&mut self) {
        let Some(chain) = self.chain.take() else {
            return;
        };
        let (sum, last) = (&mut self.earlier, chain.counters);
        sum.valid += last.valid;
        sum.shares += last.shares;
        sum.hardware_errors += last.hardware_errors;
        sum.duplicates += last.duplicates;
        sum.stale += last.stale;
    }
}

/// Where shares go, by the session that their job is of.
pub type Routes = HashMap<u64, mpsc::Sender<Share>>;

/// Somebody wants to know what a register of a chip says.
#[derive(Debug)]
pub struct ReadAsk {
    /// Place in the chain, from the host; none for all chips.
    pub chip: Option<u16>,
    /// Which register.
    pub register: Register,
    /// What chips answered, with their places; a text for people if nothing can be read.
    pub reply: oneshot::Sender<Result<Vec<(u16, u32)>, String>>,
}

/// Questions to a board that may wait.
pub const READS: usize = 4;

/// The ends of the channels that a board task holds.
#[derive(Debug)]
pub struct Links {
    /// What to work on.
    pub assignment: watch::Receiver<Arc<Assignment>>,
    /// The ways of shares to the pools.
    pub routes: watch::Receiver<Arc<Routes>>,
    /// Numbers to whoever watches.
    pub report: watch::Sender<Report>,
    /// Power, if somebody in this program controls it.
    pub power: Option<BoardEnd>,
    /// Clocks of single chips, while a tuner gives them.
    pub clocks: watch::Receiver<Option<Clocks>>,
    /// Registers to read.
    pub reads: mpsc::Receiver<ReadAsk>,
    /// Where events are noted.
    pub events: EventLog,
    /// The end of the program.
    pub stop: Stop,
}

/// Runs a board until the program stops.
pub async fn run(board: Board, mut links: Links, clock: Clock) {
    let mut pause = FIRST_PAUSE;
    // A chain that was stopped for good waits for the next stretch of power.
    let mut wound_down = None;
    while let Some(grant) = powered(&mut links, wound_down).await {
        let started = clock.now();
        let end = attempt(&board, grant, &mut links, clock).await;
        let problem = match end {
            End::Stopped if links.stop.is_stopped() => break,
            End::Stopped => {
                wound_down = Some(grant.epoch);
                continue;
            }
            End::PowerGone => {
                debug!(board = board.index, "power has gone");
                links.report.send_modify(Report::end_session);
                pause = FIRST_PAUSE;
                continue;
            }
            End::Failed(problem) => problem,
        };
        if links.stop.is_stopped() {
            break;
        }
        if clock.now().saturating_sub(started) > STABLE {
            pause = FIRST_PAUSE;
        }
        links
            .events
            .note(&[board.index], failure(&board.uart, &problem, pause));
        links.report.send_modify(|report| {
            report.state = "failed";
            report.problem = Some(problem);
            report.end_session();
            report.restarts += 1;
        });
        links.tell(ChainPhase::Failed);
        tokio::select! {
            () = rest(&mut links.power, pause, grant) => {}
            () = links.stop.stopped() => break,
        }
        pause = (pause * 2).min(LONGEST_PAUSE);
    }
    links.tell(ChainPhase::Stopped);
    links.report.send_modify(|report| report.state = "stopped");
}

fn failure(uart: &Uart, problem: &str, pause: Duration) -> Notice {
    Notice {
        severity: Severity::Warning,
        code: "chain-failed".to_owned(),
        text: format!("{uart}: {problem}; next try in {} s", pause.as_secs()),
        ..Notice::default()
    }
}

/// Waits until the board has power, and not that of the epoch that its chain was stopped in. None
/// if the program stops first.
async fn powered(links: &mut Links, wound_down: Option<u64>) -> Option<Grant> {
    if links.stop.is_stopped() {
        return None;
    }
    if links.power.is_none() {
        return Some(Grant::default());
    }
    let mut told = false;
    loop {
        let power = links.power.as_mut()?;
        let grant = power.grant();
        if grant.on && !grant.wind_down && Some(grant.epoch) != wound_down {
            return Some(grant);
        }
        if !told {
            told = true;
            links.report.send_modify(|report| report.state = UNPOWERED);
        }
        let power = links.power.as_mut()?;
        let phase = match wound_down {
            Some(epoch) if grant.on && epoch == grant.epoch => ChainPhase::Stopped,
            _ => ChainPhase::None,
        };
        power.report(ChainReport {
            phase,
            ..ChainReport::default()
        });
        tokio::select! {
            () = power.changed() => {}
            () = tokio::time::sleep(REPORT) => {}
            () = links.stop.stopped() => return None,
        }
    }
}

impl Links {
    /// Tells the station of a phase without a running chain.
    fn tell(&self, phase: ChainPhase) {
        if let Some(power) = &self.power {
            power.report(ChainReport {
                phase,
                ..ChainReport::default()
            });
        }
    }
}

/// Rests for a pause, or until power changes.
async fn rest(power: &mut Option<BoardEnd>, pause: Duration, grant: Grant) {
    let rested = tokio::time::sleep(pause);
    let Some(power) = power else {
        return rested.await;
    };
    tokio::pin!(rested);
    while power.grant().on && power.grant().epoch == grant.epoch {
        power.beat();
        tokio::select! {
            () = &mut rested => return,
            () = power.changed() => {}
            () = tokio::time::sleep(REPORT) => {}
        }
    }
}

enum End {
    /// Wound down in order.
    Stopped,
    /// The station has withdrawn power, or given it anew.
    PowerGone,
    Failed(String),
}

async fn attempt(board: &Board, grant: Grant, links: &mut Links, clock: Clock) -> End {
    links.report.send_modify(|report| {
        report.end_session();
        report.state = "opening";
    });
    links.tell(ChainPhase::Starting);
    let port = match &board.simulation {
        Some(Simulation::Bare(spec)) => SimulatedPort::new(spec, clock, Baud::RESET.get())
            .map(|port| Port::Simulated(Box::new(port)))
            .map_err(|error| format!("this board cannot be simulated: {error}")),
        Some(Simulation::Whole(shared)) => Ok(Port::Whole(shared.uart(Baud::RESET.get()))),
        None => Port::open(&board.uart, Baud::RESET.get())
            .await
            .map_err(|error| error.to_string()),
    };
    let mut port = match port {
        Ok(port) => port,
        Err(problem) => return End::Failed(problem),
    };
    let mut settings = board.settings.clone();
    if links.power.is_some() {
        // With clocks of their own chips start at the lowest and go up from there.
        let clocks = links.clocks.borrow().clone();
        let own = clocks.map(|clocks| clocks.granted(grant.mhz, board.least_mhz));
        let lowest = own.into_iter().flatten().fold(grant.mhz, f64::min);
        settings.chain.target = Megahertz::new(lowest);
    }
    let settings_mhz = settings.chain.target.get();
    let ticket_bits = settings.chain.ticket.extra_zero_bits();
    let session = match Session::new(settings, clock.now()) {
        Ok(session) => session,
        Err(error) => return End::Failed(format!("this chain cannot be driven: {error}")),
    };
    let mut shell = Shell {
        index: board.index,
        session,
        grant,
        asked_mhz: settings_mhz,
        asked_clocks: None,
        least_mhz: board.least_mhz,
        ticket_bits,
        reading: None,
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
    grant: Grant,
    /// The clock that the session was last asked for, MHz.
    asked_mhz: f64,
    /// The clocks of single chips that it was last asked for.
    asked_clocks: Option<Vec<f64>>,
    /// No chip gets less, MHz.
    least_mhz: f64,
    /// Ticket without a tuner, zero bits beyond 32.
    ticket_bits: u8,
    /// The question that chips are answering.
    reading: Option<Reading>,
    warnings: Vec<String>,
    failure: Option<String>,
}

/// A question to chips and what they have answered so far.
struct Reading {
    register: Register,
    wanted: usize,
    values: Vec<(u16, u32)>,
    due: Duration,
    reply: oneshot::Sender<Result<Vec<(u16, u32)>, String>>,
}

impl Shell {
    async fn drive(&mut self, port: &mut Port, links: &mut Links, clock: Clock) -> io::Result<End> {
        let mut buffer = [0; 4096];
        let mut report_due = clock.now();
        let mut stop_by = None;
        let mut upstream_alive = true;
        let mut tuner_alive = true;
        let mut reads_come = true;
        let assignment = links.assignment.borrow_and_update().clone();
        self.session.handle_assignment(clock.now(), assignment);
        self.session.handle_timeout(clock.now());
        loop {
            self.handle_events(links, clock.now());
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
            if !self.has_power(links) {
                return Ok(End::PowerGone);
            }
            match self.session.phase() {
                Phase::Failed => {
                    let failure = self.failure.take();
                    return Ok(End::Failed(failure.unwrap_or_default()));
                }
                Phase::Stopped => return Ok(End::Stopped),
                _ if stop_by.is_some_and(|by| now >= by) => return Ok(End::Stopped),
                _ => {}
            }
            if stop_by.is_none() && self.is_to_wind_down(links) {
                stop_by = Some(now + WIND_DOWN);
                self.session.stop(now);
                continue;
            }
            self.follow_clock(links, now);
            self.answer(now);
            if now >= report_due {
                self.report(links, now);
                report_due = now + REPORT;
            }
            let wake = self.session.poll_timeout();
            let answers = self.reading.as_ref().map(|reading| reading.due);
            let wake = [wake, Some(report_due), stop_by, answers]
                .into_iter()
                .flatten()
                .min();
            tokio::select! {
                biased;
                changed = links.assignment.changed(), if upstream_alive => {
                    upstream_alive = changed.is_ok();
                    let assignment = links.assignment.borrow_and_update().clone();
                    self.session.handle_assignment(clock.now(), assignment);
                }
                () = links.stop.stopped(), if stop_by.is_none() => {
                    let now = clock.now();
                    stop_by = Some(now + WIND_DOWN);
                    self.session.stop(now);
                }
                count = port.read(&mut buffer) => {
                    self.session.handle_bytes(clock.now(), &buffer[..count?]);
                }
                () = changed(&mut links.power) => {}
                changed = links.clocks.changed(), if tuner_alive => tuner_alive = changed.is_ok(),
                ask = links.reads.recv(), if reads_come && self.reading.is_none() => match ask {
                    Some(ask) => self.ask(clock.now(), ask),
                    None => reads_come = false,
                },
                () = clock.sleep_until(wake) => self.session.handle_timeout(clock.now()),
            }
        }
    }

    /// Whether the power that this session was started with is still there.
    fn has_power(&self, links: &Links) -> bool {
        links.power.as_ref().is_none_or(|power| {
            let grant = power.grant();
            grant.on && grant.epoch == self.grant.epoch
        })
    }

    fn is_to_wind_down(&self, links: &Links) -> bool {
        let wish = |power: &BoardEnd| power.grant().wind_down;
        links.power.as_ref().is_some_and(wish)
    }

    /// Asks for the station's clock as soon as the session can change it.
    fn follow_clock(&mut self, links: &Links, now: Duration) {
        let Some(power) = &links.power else { return };
        let mhz = power.grant().mhz;
        let clocks = links.clocks.borrow().clone();
        if self.session.phase() == Phase::Mining {
            let own = clocks.as_ref().and_then(|clocks| clocks.ticket_bits);
            let bits = own.unwrap_or(self.ticket_bits);
            if bits != self.session.ticket_bits() {
                // Only a chain that is not running refuses, and it is asked again.
                let _ = self.session.set_ticket(now, bits);
            }
        }
        if let Some(clocks) = clocks {
            self.follow_clocks(clocks.granted(mhz, self.least_mhz), now);
            return;
        }
        if mhz == self.asked_mhz && self.asked_clocks.is_none() {
            return;
        }
        self.asked_clocks = None;
        match self.session.set_frequency(now, Megahertz::new(mhz)) {
            Err(ChangeError::Busy) => return,
            Ok(()) => debug!(board = self.index, mhz, "clock"),
            Err(error) => warn!(board = self.index, mhz, "the clock stays: {error}"),
        }
        self.asked_mhz = mhz;
    }

    /// Asks for a clock for each chip as soon as the session can change them.
    fn follow_clocks(&mut self, clocks: Vec<f64>, now: Duration) {
        if self.asked_clocks.as_ref() == Some(&clocks) {
            return;
        }
        let goals: Vec<_> = clocks.iter().copied().map(Megahertz::new).collect();
        match self.session.set_chip_frequencies(now, &goals) {
            Err(ChangeError::Busy) => return,
            Ok(()) => debug!(board = self.index, ?clocks, "clocks"),
            Err(error) => warn!(board = self.index, "the chips' clocks stay: {error}"),
        }
        self.asked_mhz = 0.0;
        self.asked_clocks = Some(clocks);
    }

    /// Asks chips what somebody wants to know.
    fn ask(&mut self, now: Duration, ask: ReadAsk) {
        if ask.reply.is_closed() {
            return;
        }
        if let Err(error) = self.session.read_register(now, ask.chip, ask.register) {
            // Whoever asked may have gone.
            let _ = ask.reply.send(Err(error.to_string()));
            return;
        }
        self.reading = Some(Reading {
            register: ask.register,
            wanted: ask.chip.map_or(self.session.status(now).chips.len(), |_| 1),
            values: Vec::new(),
            due: now + ANSWERS,
            reply: ask.reply,
        });
    }

    /// Hands over what chips have answered, when all have or no more is to come.
    fn answer(&mut self, now: Duration) {
        let done =
            |reading: &mut Reading| reading.values.len() >= reading.wanted || now >= reading.due;
        if let Some(mut reading) = self.reading.take_if(done) {
            reading.values.sort_unstable();
            let answer = match reading.values.is_empty() {
                true => Err("no chip has answered within a second; try again".to_owned()),
                false => Ok(reading.values),
            };
            let _ = reading.reply.send(answer);
        }
    }

    fn handle_events(&mut self, links: &Links, now: Duration) {
        while let Some(event) = self.session.poll_event() {
            match event {
                Event::Share(share) => self.hand_over(links, share),
                Event::ChipsFound { found, expected } => {
                    info!(board = self.index, found, expected, "chips found");
                }
                Event::Phase(phase) => {
                    info!(board = self.index, state = word(phase), "board");
                    let status = self.session.status(now);
                    self.tell(links, &status);
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
                Event::Register {
                    chip,
                    register,
                    value,
                } => {
                    let reading = self.reading.as_mut();
                    let reading = reading.filter(|reading| reading.register as u8 == register);
                    if let (Some(reading), Some(chip)) = (reading, chip)
                        && !reading.values.iter().any(|(known, _)| *known == chip)
                    {
                        reading.values.push((chip, value));
                    }
                }
                Event::Failed(failure) => self.failure = Some(failure.to_string()),
            }
        }
    }

    /// Puts a share on the way to the pool that its job came from.
    fn hand_over(&self, links: &Links, share: Share) {
        let session = share.job.session;
        let sent = match links.routes.borrow().get(&session) {
            Some(route) => route.try_send(share),
            None => Err(TrySendError::Closed(share)),
        };
        if let Err(error) = sent {
            links.report.send_modify(|report| report.shares_lost += 1);
            let board = self.index;
            match error {
                TrySendError::Full(_) => warn!(
                    board,
                    session, "share dropped: too many wait for the pool already"
                ),
                TrySendError::Closed(_) => {
                    debug!(
                        board,
                        session, "share dropped: its pool is not in use any more"
                    );
                }
            }
        }
    }

    fn tell(&self, links: &Links, status: &chain::Status) {
        if let Some(power) = &links.power {
            power.report(ChainReport {
                phase: chain_phase(status.phase),
                clock_mhz: status.fastest.get(),
                chips: status.found,
            });
        }
    }

    fn report(&self, links: &Links, now: Duration) {
        let status = self.session.status(now);
        self.tell(links, &status);
        links.report.send_modify(|report| {
            report.state = word(status.phase);
            report.problem = (!self.warnings.is_empty()).then(|| self.warnings.join("; "));
            report.chain = Some(status);
        });
    }
}

/// Waits for word from the station, if there is one.
async fn changed(power: &mut Option<BoardEnd>) {
    match power {
        Some(power) => power.changed().await,
        None => std::future::pending().await,
    }
}

/// A phase as the station wants it.
fn chain_phase(phase: Phase) -> ChainPhase {
    match phase {
        Phase::Discovering | Phase::BringingUp | Phase::Ramping | Phase::Verifying => {
            ChainPhase::Starting
        }
        Phase::Idle | Phase::Mining => ChainPhase::Running,
        Phase::Stopping => ChainPhase::Stopping,
        Phase::Stopped => ChainPhase::Stopped,
        Phase::Failed => ChainPhase::Failed,
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
