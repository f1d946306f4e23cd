//! The task that looks at everything once a second, and at once when somebody wants something.

use std::collections::BTreeSet;
use std::time::Duration;

use autotune::{Activity, Aim, Caps, Reach};
use demand::{Demand, Effective, Hottest, Inputs, Local};
use jiff::Timestamp;
use jiff::tz::TimeZone;
use rpc::Error;
use rpc::tuner::DemandStatus;
use station::status::Phase;
use station::{Mode, Notice, Severity};
use tokio::sync::{mpsc, watch};
use tokio::task::{JoinHandle, JoinSet};
use tokio::time::{MissedTickBehavior, interval, timeout};

use super::file::{Found, Kind, Watched};
use super::pass::{self, Steps};
use super::{Ask, Reply, feed, status};
use crate::clock::Clock;
use crate::commands::unix_time;
use crate::config::Rules;
use crate::control::Told;
use crate::events::EventLog;
use crate::settings::Settings;
use crate::stop::Stop;
use crate::tune;
use crate::tune::machine;

/// How often it looks.
const LOOK: Duration = Duration::from_secs(1);
/// How often files are looked at.
const FILES: Duration = Duration::from_secs(3);
/// Longest time that files are waited for at the start.
const FIRST: Duration = Duration::from_secs(2);
/// Fans that are so far below what they may do have room, percent.
const ROOM_PERCENT: f64 = 5.0;
/// The first second of 2025: a computer that says less does not know the time.
const KNOWN_UNIX_S: u64 = 1_735_689_600;

/// What the task reads, and whom it tells.
#[derive(Debug)]
pub struct Links {
    /// The tuners, in the order of the stations.
    pub tuners: Vec<tune::Handle>,
    /// What the stations say.
    pub stations: Vec<watch::Receiver<Told>>,
    /// The way to sleep.
    pub settings: Settings,
    /// Where events are noted.
    pub events: EventLog,
    /// The end of the program.
    pub stop: Stop,
}

/// The task before it runs.
#[derive(Debug)]
pub struct Task {
    demand: Demand,
    zone: Option<TimeZone>,
    start_unix_s: Option<u64>,
    files: Vec<Watched>,
    clock: Clock,
    view: watch::Sender<DemandStatus>,
    base: watch::Sender<(Aim, Caps)>,
    asks: mpsc::Receiver<Ask>,
    steps: Steps,
    /// Keys of the reasons that were told as events.
    told: BTreeSet<String>,
}

/// The ends that the task tells.
struct Ends {
    links: Links,
    wishes: watch::Sender<Option<tune::Wish>>,
    rest: watch::Sender<Option<String>>,
}

impl Task {
    pub(super) fn new(
        config: Rules,
        rules: demand::Settings,
        clock: Clock,
        view: watch::Sender<DemandStatus>,
        base: watch::Sender<(Aim, Caps)>,
        asks: mpsc::Receiver<Ask>,
    ) -> Self {
        let files = [
            (config.price_file, Kind::Price),
            (config.surplus_file, Kind::Surplus),
        ];
        let watched = |(path, kind): (Option<_>, _)| Some(Watched::new(path?, kind));
        Self {
            demand: Demand::new(rules),
            zone: config.zone,
            start_unix_s: config.start_unix_s,
            files: files.into_iter().filter_map(watched).collect(),
            clock,
            view,
            base,
            asks,
            steps: Steps::default(),
            told: BTreeSet::new(),
        }
    }

    /// Runs until the program stops.
    pub async fn run(mut self, links: Links) {
        let mut stop = links.stop.clone();
        let (wishes, wishes_out) = watch::channel(None);
        let (rest, rest_out) = watch::channel(None);
        let mut helpers = JoinSet::new();
        for tuner in &links.tuners {
            let (tuner, stop) = (tuner.clone(), links.stop.clone());
            helpers.spawn(pass::to_tuner(tuner, wishes_out.clone(), stop));
        }
        helpers.spawn(pass::to_settings(
            links.settings.clone(),
            rest_out,
            links.events.clone(),
            links.stop.clone(),
        ));
        let ends = Ends {
            links,
            wishes,
            rest,
        };
        let mut looks = interval(LOOK);
        looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut files = interval(FILES);
        files.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut reading: Option<JoinHandle<Vec<(Watched, Found)>>> = None;
        if !self.files.is_empty() {
            // What files tell already holds from the start.
            reading = Some(read(&self.files));
            if let Ok(found) = timeout(FIRST, join(&mut reading)).await {
                reading = None;
                self.take(found, &ends);
            }
        }
        let mut asks_come = true;
        loop {
            tokio::select! {
                biased;
                () = stop.stopped() => return,
                ask = self.asks.recv(), if asks_come => match ask {
                    Some(ask) => self.answer(ask, &ends),
                    None => asks_come = false,
                },
                read = join(&mut reading), if reading.is_some() => {
                    reading = None;
                    self.take(read, &ends);
                }
                _ = files.tick(), if reading.is_none() && !self.files.is_empty() => {
                    reading = Some(read(&self.files));
                }
                _ = looks.tick() => {
                    self.look(&ends);
                }
            }
        }
    }

    fn answer(&mut self, ask: Ask, ends: &Ends) {
        let now = self.clock.now();
        let (outcome, reply): (Result<(), Error>, Reply) = match ask {
            Ask::Feed(feed, reply) => {
                let fed = self.demand.feed(now, &feed);
                (
                    fed.map_err(|error| Error::invalid_params(error.to_string())),
                    reply,
                )
            }
            Ask::Curtail(wish, reply) => {
                let taken = self.demand.curtail(now, &wish);
                (
                    taken.map_err(|error| Error::invalid_params(error.to_string())),
                    reply,
                )
            }
            Ask::Base(base, reply) => {
                let taken = match self.demand.set_base(base) {
                    true => {
                        self.base.send_replace((base.aim, base.caps));
                        Ok(())
                    }
                    false => Err(Error::invalid_params(
                        "aim and caps must be numbers above 0; all stays as it was",
                    )),
                };
                (taken, reply)
            }
        };
        // Who sheds load does not wait for the next second.
        let told = outcome.map(|()| self.look(ends));
        let _ = reply.send(told);
    }

    /// What files have told.
    fn take(&mut self, read: Vec<(Watched, Found)>, ends: &Ends) {
        if read.is_empty() {
            return;
        }
        let now = self.clock.now();
        self.files.clear();
        for (mut file, found) in read {
            let found = match found {
                Found::Told(told, age) => {
                    let feed = feed(&told, age);
                    let fed = feed.and_then(|feed| {
                        let fed = self.demand.feed(now, &feed);
                        fed.map_err(|error| error.to_string())
                    });
                    match fed {
                        Ok(()) => Found::Nothing,
                        Err(problem) => file.wrong(format!("tells what cannot be used: {problem}")),
                    }
                }
                found => found,
            };
            if let Found::Wrong(problem) = found {
                let what = file.kind.word();
                ends.links.events.note(
                    &[],
                    Notice {
                        severity: Severity::Warning,
                        code: "feed-file".to_owned(),
                        text: format!("the file of the {what}, {}, {problem}", file.path.display()),
                        advice: format!(
                            "the last {what} that was told holds until it is too old; correct what writes the file"
                        ),
                        ..Notice::default()
                    },
                );
            }
            self.files.push(file);
        }
    }

    /// Looks at everything and tells everybody.
    fn look(&mut self, ends: &Ends) -> DemandStatus {
        let now = self.clock.now();
        let unix_s = self.unix_s(now);
        let inputs = self.inputs(now, unix_s, &ends.links);
        let effective = self.demand.tick(now, &inputs);
        if !effective.asleep {
            let wish = tune::Wish {
                aim: effective.aim,
                caps: effective.caps,
            };
            if let Some(wish) = self.steps.next(wish) {
                ends.wishes.send_replace(Some(wish));
            }
        }
        self.tell_rest(&effective, ends);
        self.tell_events(&effective, &ends.links.events);
        let status = status(&effective, now, unix_s);
        self.view.send_if_modified(|shown| {
            let news = *shown != status;
            if news {
                shown.clone_from(&status);
            }
            news
        });
        status
    }

    /// The time on the wall, if the computer knows it.
    fn unix_s(&self, now: Duration) -> Option<u64> {
        let unix = match self.start_unix_s {
            Some(start) => start.saturating_add(now.as_secs()),
            None => unix_time(),
        };
        Some(unix).filter(|unix| *unix >= KNOWN_UNIX_S)
    }

    fn inputs(&self, now: Duration, unix_s: Option<u64>, links: &Links) -> Inputs {
        let mut inputs = Inputs {
            local: unix_s.and_then(|unix| local(unix, self.zone.as_ref())),
            ..Inputs::default()
        };
        let mut watts = (!links.stations.is_empty()).then_some(0.0);
        for (index, station) in links.stations.iter().enumerate() {
            let status = station.borrow().read_at(now);
            let running = status.phase == Phase::Running;
            let tuner = links.tuners.get(index).map(|tuner| tuner.view.borrow());
            // On the way to another setting nobody knows what is drawn but a sensor.
            let there = |tuner: &&watch::Ref<'_, tune::View>| {
                let activity = &tuner.status.activity;
                matches!(
                    activity,
                    Activity::Keeping | Activity::Measuring | Activity::Held(_)
                )
            };
            let promised = tuner.as_ref().filter(there).map(|tuner| tuner.status.watts);
            let read = status.reading("input power").and_then(machine::power);
            let own = match running {
                true => read.or(promised.filter(|watts| *watts > 0.0)),
                false => Some(read.unwrap_or(0.0)),
            };
            watts = watts.zip(own).map(|(sum, own)| sum + own);
            if !running {
                continue;
            }
            let cooling = &status.cooling;
            // A duty that people have chosen does not move with the heat.
            let ruled = cooling.mode == Mode::Auto && !status.fans.is_empty();
            let duty = f64::from(cooling.duty_percent);
            if ruled {
                let most = inputs.fan_percent.map_or(duty, |most| duty.max(most));
                inputs.fan_percent = Some(most);
            }
            let most = self.demand.base().caps.fan_percent.unwrap_or(100.0);
            if let Some(celsius) = cooling.temperature_c {
                let hottest = Hottest {
                    name: cooling
                        .hottest
                        .clone()
                        .unwrap_or_else(|| "the hottest part".to_owned()),
                    celsius,
                    limit_c: cooling.hot_c,
                    fans_have_room: ruled && duty < most.min(100.0) - ROOM_PERCENT,
                };
                let key = |h: &Hottest| (h.fans_have_room, h.limit_c - h.celsius);
                let nearer = |least: &Hottest| {
                    let (own, least) = (key(&hottest), key(least));
                    !own.0 && least.0 || own.0 == least.0 && own.1 < least.1
                };
                if inputs.hottest.as_ref().is_none_or(nearer) {
                    inputs.hottest = Some(hottest);
                }
            }
            inputs.too_little |= tuner.is_some_and(|tuner| {
                tuner.status.reach == Reach::TooLittlePower
                    && tuner.status.activity == Activity::Keeping
            });
        }
        inputs.watts = watts;
        inputs
    }

    fn tell_rest(&self, effective: &Effective, ends: &Ends) {
        let strongest = effective.reasons.first();
        let why = strongest.map_or_else(String::new, |reason| reason.text.clone());
        ends.rest.send_if_modified(|rest| {
            // Numbers in the text move; that is no news to the boards.
            let news = rest.is_some() != effective.asleep;
            if news {
                *rest = effective.asleep.then_some(why);
            }
            news
        });
    }

    /// Notes what has begun to rule, and the end of it all.
    fn tell_events(&mut self, effective: &Effective, events: &EventLog) {
        let keys: BTreeSet<_> = effective
            .reasons
            .iter()
            .map(|reason| format!("{}: {}", reason.code, reason.key))
            .collect();
        if keys == self.told {
            return;
        }
        for reason in &effective.reasons {
            if self
                .told
                .contains(&format!("{}: {}", reason.code, reason.key))
            {
                continue;
            }
            let (severity, advice) = match reason.code {
                "stale-feed" => (
                    Severity::Warning,
                    "look after what tells it: the file, the MQTT topic or whoever calls tuner.feed",
                ),
                "tuner-off" => (
                    Severity::Warning,
                    "set target in [tuner], or use `hashwright tune start`",
                ),
                "no-clock" => (Severity::Warning, "give the computer the time, e.g. by NTP"),
                _ => (Severity::Info, ""),
            };
            let notice = Notice {
                severity,
                code: "demand".to_owned(),
                text: reason.text.clone(),
                advice: advice.to_owned(),
                ..Notice::default()
            };
            events.note(&[], notice);
        }
        if keys.is_empty() {
            let notice = Notice {
                severity: Severity::Info,
                code: "demand".to_owned(),
                text: "no rule holds the miner back any more".to_owned(),
                ..Notice::default()
            };
            events.note(&[], notice);
        }
        self.told = keys;
    }
}

/// The time on the wall there; none if the time zone has no such time.
fn local(unix_s: u64, zone: Option<&TimeZone>) -> Option<Local> {
    let moment = Timestamp::from_second(i64::try_from(unix_s).ok()?).ok()?;
    let there = moment.to_zoned(zone.cloned().unwrap_or_else(TimeZone::system));
    let weekday = there.weekday().to_monday_zero_offset();
    let [hour, minute, second] = [there.hour(), there.minute(), there.second()];
    let of_day = (u32::try_from(hour).ok()? * 60 + u32::try_from(minute).ok()?) * 60;
    Some(Local::new(
        u8::try_from(weekday).ok()?,
        of_day + u32::try_from(second).ok()?,
    ))
}

/// Reads files. Disks of a network may hang, and nothing here waits for them.
fn read(files: &[Watched]) -> JoinHandle<Vec<(Watched, Found)>> {
    let files = files.to_vec();
    tokio::task::spawn_blocking(move || {
        let look = |mut file: Watched| {
            let found = file.look();
            (file, found)
        };
        files.into_iter().map(look).collect()
    })
}

/// What was read; nothing if the look itself broke.
async fn join(reading: &mut Option<JoinHandle<Vec<(Watched, Found)>>>) -> Vec<(Watched, Found)> {
    match reading {
        Some(reading) => reading.await.unwrap_or_default(),
        None => std::future::pending().await,
    }
}
