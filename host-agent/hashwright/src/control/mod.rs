//! Control tasks: each owns a [`station::Station`] with the ways to its hardware, gives it the time,
//! and carries word between it and the board tasks. What has to happen, and when, the station
//! decides; nothing here grants power.
//!
//! Ports and buses of this machine block, so their stations live in threads of their own, which no
//! hung port and no busy agent can hold up. Simulated boards answer at once and live in a task, so
//! that tests run them in virtual time.

pub mod command;
pub mod group;
pub mod link;
mod linux;
mod reconnect;
pub mod store;
pub mod wire;

use std::sync::Arc;
use std::time::Duration;

use station::{Command, Event, Notice, Refused, SetPoint, Severity, Station, Status};
use tokio::sync::{mpsc, oneshot, watch};

use crate::clock::Clock;
use crate::events::EventLog;
use crate::stop::{Hold, Stop};
use link::StationEnd;
use store::LatchStore;

/// Longest time between two ticks of a station.
const LONGEST_SLEEP: Duration = Duration::from_millis(500);
/// Shortest time between two ticks, whatever the station says.
const SHORTEST_SLEEP: Duration = Duration::from_millis(1);
/// A board task that has not been heard of for this long has died or hangs. With the guard's lease of
/// 3 s on top power is cut within 5 s.
const DEAF: Duration = Duration::from_millis(1_500);
/// How often the status is published.
const PUBLISH: Duration = Duration::from_millis(500);
/// A control task that has published nothing for this long hangs.
const SILENT: Duration = Duration::from_secs(3);
/// Longest time that switching off in order may take at exit; then power is cut.
const WIND_DOWN: Duration = Duration::from_secs(10);
/// Time after which a latched fault that could not be kept is tried again.
const KEEP_AGAIN: Duration = Duration::from_secs(10);
/// Longest time that a cut is tried again before the end.
const CUT: Duration = Duration::from_secs(2);
/// Pause between two tries.
const CUT_AGAIN: Duration = Duration::from_millis(100);

/// What a person wants of a station.
#[derive(Clone, Debug, PartialEq)]
pub enum Order {
    /// Something that the station does by itself.
    Command(Command),
    /// Another set point, now or at the next start.
    SetPoint(SetPoint),
    /// Whether the boards are to have power. Without they are wound down in order and switched off.
    Power(bool),
}

/// An order with the way back for the answer.
#[derive(Debug)]
pub struct Request {
    /// What is wanted.
    pub order: Order,
    /// The answer.
    pub reply: oneshot::Sender<Result<(), Refused>>,
}

/// What a control task published last.
#[derive(Clone, Debug, Default)]
pub struct Told {
    /// When, agent's time.
    pub at: Duration,
    /// The station as it was then.
    pub status: Arc<Status>,
}

impl Told {
    fn now(station: &Station, now: Duration) -> Self {
        Self {
            at: now,
            status: Arc::new(station.status(now)),
        }
    }

    /// The status as it has to be read at `now`: a task that hangs in its hardware must not make old
    /// readings look fresh.
    #[must_use]
    pub fn read_at(&self, now: Duration) -> Status {
        let mut status = self.status.as_ref().clone();
        let silent = now.saturating_sub(self.at);
        if silent < SILENT || status.is_off() {
            return status;
        }
        let seconds = silent.as_secs_f64();
        let readings = status.readings.iter_mut().map(|reading| &mut reading.age_s);
        let fans = status.fans.iter_mut().map(|fan| &mut fan.age_s);
        for age in readings.chain(fans).flatten() {
            *age += seconds;
        }
        let reason = format!(
            "the task that controls the board hangs: nothing was heard of it for {seconds:.0} s; \
             if this goes on, switch the supply off by hand"
        );
        status.reasons.insert(0, reason);
        status
    }
}

/// The ends of the channels that a control task holds.
#[derive(Debug)]
pub struct Links {
    /// Boards of the station, by position in the config.
    pub boards: Vec<usize>,
    /// A way to each board task.
    pub ends: StationEnd,
    /// Wishes of people.
    pub requests: mpsc::Receiver<Request>,
    /// State to whoever watches.
    pub status: watch::Sender<Told>,
    /// Where events are noted.
    pub events: EventLog,
    /// Where a latched fault is kept.
    pub store: LatchStore,
    /// Whether there has been no work for so long that boards should be without power.
    pub idle: watch::Receiver<bool>,
    /// Whether people want the boards to have power, at first.
    pub enabled: bool,
    /// The end of the program.
    pub stop: Stop,
    /// Says that power may be on.
    pub hold: Hold,
}

/// What is wanted of a station apart from what it does by itself.
struct Wanted {
    set_point: SetPoint,
    /// A person wants it to run.
    enabled: bool,
    /// There has been no work for too long.
    idle: bool,
}

impl Wanted {
    fn command(&self) -> Command {
        if self.enabled && !self.idle {
            Command::Run(self.set_point)
        } else {
            Command::Stop
        }
    }

    /// Tells the station what is wanted of it, after this order. One that is refused changes nothing.
    fn take(&mut self, station: &mut Station, now: Duration, order: Order) -> Result<(), Refused> {
        match order {
            Order::Command(command) => station.handle(now, command),
            Order::SetPoint(point) => {
                station.handle(now, Command::SetPoint(point))?;
                self.set_point = point;
                Ok(())
            }
            Order::Power(enabled) => {
                self.enabled = enabled;
                station.handle(now, self.command())
            }
        }
    }
}

/// Runs a station until the program stops, and leaves it without power.
pub async fn run(station: Station, set_point: SetPoint, mut links: Links, clock: Clock) {
    let mut armed = Armed { station, clock };
    let station = &mut armed.station;
    let mut wanted = Wanted {
        set_point,
        enabled: links.enabled,
        idle: false,
    };
    let begin = [Order::SetPoint(set_point), Order::Power(links.enabled)];
    for order in begin {
        if let Err(refused) = wanted.take(station, clock.now(), order) {
            links.events.note(&links.boards, refusal(&refused));
            break;
        }
    }
    let mut hurry = links.stop.clone();
    let mut publish_due = Duration::ZERO;
    let mut stop_by = None;
    let mut wishes_come = true;
    let mut idle_may_come = true;
    let mut keep_due = Duration::ZERO;
    loop {
        let now = clock.now();
        for (board, report) in links.ends.news() {
            // Boards of the links are those of the station, so nothing is refused.
            let _ = station.handle(now, Command::Chain { board, report });
        }
        if links.ends.alive_since(now.saturating_sub(DEAF)) {
            let _ = station.handle(now, Command::Heartbeat);
        }
        station.tick(now);
        let told = carry(station, &mut links);
        let now = clock.now();
        if now >= keep_due
            && let Err(error) = links.store.keep(station.stored_fault())
        {
            links.events.note(&links.boards, not_kept(&error));
            keep_due = now + KEEP_AGAIN;
        }
        if told || now >= publish_due {
            links.status.send_replace(Told::now(station, now));
            publish_due = now + PUBLISH;
        }
        if let Some(by) = stop_by {
            if station.is_off() {
                break;
            }
            if now >= by {
                links.events.note(&links.boards, overdue());
                break;
            }
        }
        let due = station
            .poll_timeout()
            .clamp(now + SHORTEST_SLEEP, now + LONGEST_SLEEP);
        tokio::select! {
            biased;
            () = hurry.hurried() => break,
            () = links.stop.stopped(), if stop_by.is_none() => {
                let now = clock.now();
                stop_by = Some(now + WIND_DOWN);
                // Stopping is never refused.
                let _ = station.handle(now, Command::Stop);
            }
            request = links.requests.recv(), if wishes_come => match request {
                // Nothing starts again while the program ends.
                Some(Request { reply, .. }) if stop_by.is_some() => drop(reply),
                Some(Request { order, reply }) => {
                    let outcome = wanted.take(station, clock.now(), order);
                    publish_due = Duration::ZERO;
                    // Whoever asked may have gone.
                    let _ = reply.send(outcome);
                }
                None => wishes_come = false,
            },
            changed = links.idle.changed(), if stop_by.is_none() && idle_may_come => {
                idle_may_come = changed.is_ok();
                wanted.idle = *links.idle.borrow_and_update();
                if let Err(refused) = station.handle(clock.now(), wanted.command()) {
                    links.events.note(&links.boards, refusal(&refused));
                }
            }
            () = links.ends.changed() => {}
            () = clock.sleep_until(Some(due)) => {}
        }
    }
    cut(station, &mut links, clock).await;
    links.status.send_replace(Told::now(station, clock.now()));
}

/// A station that does not outlive its task with power on.
struct Armed {
    station: Station,
    clock: Clock,
}

impl Drop for Armed {
    fn drop(&mut self) {
        if !self.station.is_off() {
            self.station.cut(self.clock.now());
        }
    }
}

/// Hands the station's events on; true if there was one.
fn carry(station: &mut Station, links: &mut Links) -> bool {
    let mut told = false;
    while let Some(event) = station.poll_event() {
        told = true;
        match event {
            Event::Power { board, epoch, on } => links.ends.grant(board, |grant| {
                grant.epoch = epoch;
                grant.on = on;
                grant.wind_down = false;
            }),
            Event::Frequency { board, mhz } => links.ends.grant(board, |grant| grant.mhz = mhz),
            Event::WindDown { board } => links.ends.grant(board, |grant| grant.wind_down = true),
            Event::Notice(notice) => links.events.note(&links.boards, notice),
        }
    }
    told
}

/// Makes sure that nothing has power, as well as can be done in a short time.
async fn cut(station: &mut Station, links: &mut Links, clock: Clock) {
    let by = clock.now() + CUT;
    let mut tries = 0;
    while !station.is_off() && (tries == 0 || clock.now() < by) {
        tries += 1;
        station.cut(clock.now());
        // Looks whether it is off.
        station.tick(clock.now());
        carry(station, links);
        if !station.is_off() {
            let pause = clock.now() + CUT_AGAIN;
            clock.sleep_until(Some(pause)).await;
        }
    }
    if !station.is_off() {
        links.events.note(&links.boards, still_on());
    }
    for board in 0..links.boards.len() {
        links.ends.grant(board, |grant| grant.on = false);
    }
}

fn refusal(refused: &Refused) -> Notice {
    Notice {
        severity: Severity::Fault,
        code: "refused".to_owned(),
        text: format!("the boards are not started: {refused}"),
        advice: "correct the board's settings in the config".to_owned(),
        ..Notice::default()
    }
}

fn not_kept(error: &std::io::Error) -> Notice {
    Notice {
        severity: Severity::Warning,
        code: "latch-not-kept".to_owned(),
        text: format!("the latched fault cannot be written to the state directory: {error}"),
        advice: "make the state directory writable before the agent is started again".to_owned(),
        ..Notice::default()
    }
}

fn overdue() -> Notice {
    Notice {
        severity: Severity::Warning,
        code: "stop-overdue".to_owned(),
        text: format!(
            "winding down took longer than {} s; power is cut",
            WIND_DOWN.as_secs()
        ),
        ..Notice::default()
    }
}

fn still_on() -> Notice {
    Notice {
        severity: Severity::Critical,
        code: "power-not-cut".to_owned(),
        text: "the agent ends, and could not make sure that the boards are off".to_owned(),
        advice: "switch the supply off by hand".to_owned(),
        ..Notice::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn readings_of_a_task_that_hangs_grow_old() {
        let mut status = Status {
            power: station::Power::On,
            ..Status::default()
        };
        status.fans.push(station::status::FanStatus {
            name: "fan".to_owned(),
            duty_percent: 50,
            rpm: Some(2000),
            age_s: Some(0.5),
            expected_rpm: None,
            trouble: None,
        });
        let told = Told {
            at: Duration::from_secs(10),
            status: Arc::new(status),
        };
        let fresh = told.read_at(Duration::from_secs(11));
        assert_eq!((fresh.fans[0].age_s, fresh.reasons.len()), (Some(0.5), 0));
        let old = told.read_at(Duration::from_secs(70));
        assert_eq!(old.fans[0].age_s, Some(60.5));
        assert!(old.reasons[0].contains("hangs"), "{:?}", old.reasons);
    }
}
