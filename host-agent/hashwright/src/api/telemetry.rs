//! The state for subscribers, who get it whole once and then what has changed. What has changed is worked
//! out once for all who want the same parts at the same pace, so that fifty dashboards cost little more than
//! one. Numbers are rounded to what is worth sending; see [`rounded`].

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex, OnceLock, PoisonError, Weak};
use std::time::Duration;

use rpc::stream::Part;
use serde_json::{Map, Value};
use tokio::sync::watch;
use tokio::time::{Instant, MissedTickBehavior};

use crate::state::Snapshot;

/// So many steps are kept for clients that missed some; further behind, they get everything again.
const KEPT_STEPS: usize = 4;

/// Younger than this, a frame is as good as the state itself.
const FRESH: Duration = Duration::from_millis(1_100);

/// What a subscriber wants.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Wanted {
    /// Time between two messages.
    pub(super) interval: Duration,
    /// Parts of the state, in order and without repetition.
    pub(super) parts: Vec<Part>,
}

/// The way of frames to followers.
type Frames = watch::Sender<Arc<Frame>>;

/// All streams that somebody follows. Clones share them.
#[derive(Clone, Debug)]
pub(super) struct Hub {
    state: watch::Receiver<Arc<Snapshot>>,
    streams: Arc<Mutex<BTreeMap<Wanted, Weak<Frames>>>>,
}

/// The state at one tick of a stream.
#[derive(Debug)]
struct Frame {
    tick: u64,
    at: Instant,
    state: Value,
    text: OnceLock<String>,
    /// What makes each of the last states of the one before, with its tick; newest last.
    steps: VecDeque<(u64, Arc<str>)>,
}

/// One subscriber's place in a stream.
#[derive(Debug)]
pub(super) struct Follower {
    frames: watch::Receiver<Arc<Frame>>,
    /// Keeps the stream going.
    _stream: Arc<Frames>,
    interval: Duration,
    sent: Option<(u64, Instant)>,
    seq: u64,
}

impl Hub {
    pub(super) fn new(state: watch::Receiver<Arc<Snapshot>>) -> Self {
        Self {
            state,
            streams: Arc::default(),
        }
    }

    /// A place in the stream of these parts at this pace; the stream begins with its first follower and ends
    /// with its last.
    pub(super) fn follow(&self, wanted: &Wanted) -> Follower {
        let mut streams = self.streams.lock().unwrap_or_else(PoisonError::into_inner);
        streams.retain(|_, stream| stream.strong_count() > 0);
        let running = streams.get(wanted).and_then(Weak::upgrade);
        // The last frame of a slow stream can be old: whoever joins it shall see the state of now.
        let running = running.filter(|stream| stream.borrow().at.elapsed() < FRESH);
        let stream = running.unwrap_or_else(|| {
            let first = Frame::first(&self.state.borrow(), &wanted.parts);
            let stream = Arc::new(watch::channel(Arc::new(first)).0);
            streams.insert(wanted.clone(), Arc::downgrade(&stream));
            let run = run(Arc::downgrade(&stream), self.state.clone(), wanted.clone());
            tokio::spawn(run);
            stream
        });
        Follower {
            frames: stream.subscribe(),
            _stream: stream,
            interval: wanted.interval,
            sent: None,
            seq: 0,
        }
    }
}

impl Follower {
    /// What to send next, as soon as there is something and the pace allows it.
    pub(super) async fn next(&mut self) -> Option<String> {
        let frame = match self.sent {
            None => self.frames.borrow_and_update().clone(),
            Some((tick, at)) => {
                tokio::time::sleep_until(at + self.interval).await;
                let newer = self.frames.wait_for(|frame| frame.tick > tick).await;
                newer.ok()?.clone()
            }
        };
        let base = self.sent.map(|(tick, _)| tick);
        self.sent = Some((frame.tick, Instant::now()));
        let seq = self.seq;
        self.seq += 1;
        Some(match base.and_then(|base| frame.since(base)) {
            Some(changes) => format!(r#"{{"seq":{seq},"changes":[{changes}]}}"#),
            None => format!(r#"{{"seq":{seq},"state":{}}}"#, frame.text()),
        })
    }
}

impl Frame {
    fn first(snapshot: &Snapshot, parts: &[Part]) -> Self {
        Self {
            tick: 0,
            at: Instant::now(),
            state: rounded_parts(snapshot, parts),
            text: OnceLock::new(),
            steps: VecDeque::new(),
        }
    }

    fn next(&self, snapshot: &Snapshot, parts: &[Part]) -> Self {
        let state = rounded_parts(snapshot, parts);
        let tick = self.tick + 1;
        let mut steps = self.steps.clone();
        if steps.len() >= KEPT_STEPS {
            steps.pop_front();
        }
        steps.push_back((tick, changes(&self.state, &state).into()));
        Self {
            tick,
            at: Instant::now(),
            state,
            text: OnceLock::new(),
            steps,
        }
    }

    fn text(&self) -> &str {
        self.text.get_or_init(|| self.state.to_string())
    }

    /// The changes since a tick, unless that is too long ago, or everything would be shorter.
    fn since(&self, tick: u64) -> Option<String> {
        if self.steps.front()?.0 > tick + 1 {
            return None;
        }
        let steps = self.steps.iter().filter(|(at, _)| *at > tick);
        let texts: Vec<&str> = steps.map(|(_, text)| &**text).collect();
        // One after the other, patches make a patch.
        let parts: Vec<_> = texts.into_iter().filter(|text| !text.is_empty()).collect();
        let text = parts.join(",");
        (text.len() < 1024 || text.len() < self.text().len()).then_some(text)
    }
}

/// Makes frames as long as somebody follows.
async fn run(stream: Weak<Frames>, state: watch::Receiver<Arc<Snapshot>>, wanted: Wanted) {
    let mut ticks = tokio::time::interval_at(Instant::now() + wanted.interval, wanted.interval);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        let Some(stream) = stream.upgrade() else {
            return;
        };
        let newest = state.borrow().clone();
        let last = stream.borrow().clone();
        stream.send_replace(Arc::new(last.next(&newest, &wanted.parts)));
        // The agent has ended, and this was its last state.
        if state.has_changed().is_err() {
            return;
        }
    }
}

/// The operations between two states, without brackets. A part that has changed in so many places that
/// naming them is longer than the part itself is replaced as a whole.
fn changes(from: &Value, to: &Value) -> String {
    let empty = Map::new();
    let (from, to) = (
        from.as_object().unwrap_or(&empty),
        to.as_object().unwrap_or(&empty),
    );
    let mut all = Vec::new();
    for (name, part) in to {
        let before = from.get(name).unwrap_or(&Value::Null);
        let mut operations = rpc::patch::diff(before, part);
        if operations.is_empty() {
            continue;
        }
        for operation in &mut operations {
            let path = operation["path"].as_str().unwrap_or_default();
            operation["path"] = format!("/{name}{path}").into();
        }
        let operations: Vec<_> = operations.iter().map(Value::to_string).collect();
        let text = operations.join(",");
        let whole = format!(r#"{{"op":"replace","path":"/{name}","value":{part}}}"#);
        all.push(if text.len() > whole.len() {
            whole
        } else {
            text
        });
    }
    all.join(",")
}

fn rounded_parts(snapshot: &Snapshot, parts: &[Part]) -> Value {
    let mut state = Map::new();
    for part in parts {
        let value = match part {
            Part::System => serde_json::to_value(&snapshot.system),
            Part::Miner => serde_json::to_value(&snapshot.miner),
            Part::Boards => serde_json::to_value(&snapshot.boards),
            Part::Stations => serde_json::to_value(&snapshot.stations),
            Part::Chips => serde_json::to_value(&snapshot.chips),
            Part::Pools => serde_json::to_value(&snapshot.pools),
            Part::Tuner => serde_json::to_value(&snapshot.tuner),
        };
        // The state is plain values with text keys, which always can be written.
        let mut value = value.unwrap_or_default();
        rounded(&mut value, "");
        state.insert(part.name().to_owned(), value);
    }
    Value::Object(state)
}

/// Rounds all numbers with fractions: times (`_s`) to seconds, from 100 on to tenths, from 1 on to hundredths,
/// and what is smaller, or 10^9 and more, to four digits.
pub(super) fn rounded(value: &mut Value, name: &str) {
    match value {
        Value::Array(list) => list.iter_mut().for_each(|value| rounded(value, name)),
        Value::Object(fields) => fields
            .iter_mut()
            .for_each(|(name, value)| rounded(value, name)),
        Value::Number(number) if number.is_f64() => {
            let exact = number.as_f64().unwrap_or_default();
            let size = exact.abs();
            let near = if name.ends_with("_s") {
                exact.round()
            } else if (100.0..1e9).contains(&size) {
                (exact * 10.0).round() / 10.0
            } else if (1.0..100.0).contains(&size) {
                (exact * 100.0).round() / 100.0
            } else {
                // Written and read again, it is the shortest decimal.
                format!("{exact:.3e}").parse().unwrap_or(exact)
            };
            *value = Value::from(near);
        }
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use rpc::patch::apply;
    use serde_json::json;

    use super::*;

    #[test]
    fn numbers_are_rounded_to_what_is_worth_sending() {
        let mut value = json!({
            "hps": 1.234_567e12, "uptime_s": 1234.567, "best_difficulty": 48_211.73, "temperature_c": 58.249,
            "throttle": 0.987_654, "count": 123_456_789_012_u64, "none": null, "list": [1.005, 2e9],
        });
        rounded(&mut value, "");
        assert_eq!(
            value,
            json!({
                "hps": 1.235e12, "uptime_s": 1235.0, "best_difficulty": 48_211.7, "temperature_c": 58.25,
                "throttle": 0.9877, "count": 123_456_789_012_u64, "none": null, "list": [1.0, 2e9],
            })
        );
    }

    #[test]
    fn rounding_twice_changes_nothing() {
        let mut random = fastrand::Rng::with_seed(1);
        for _ in 0..10_000 {
            let exact = random.f64() * 10f64.powi(random.i32(-12..20));
            let mut once = json!({"x": exact});
            rounded(&mut once, "");
            let mut twice = once.clone();
            rounded(&mut twice, "");
            assert_eq!(once, twice, "{exact}");
        }
    }

    fn snapshot(accepted: u64) -> Snapshot {
        let mut snapshot = Snapshot::default();
        snapshot.miner.accepted = accepted;
        snapshot.miner.hashrate.s5.hps = 1e12 + accepted as f64 * 1e10;
        snapshot
    }

    fn hub() -> (watch::Sender<Arc<Snapshot>>, Hub) {
        let (publish, state) = watch::channel(Arc::new(snapshot(0)));
        (publish, Hub::new(state))
    }

    fn wanted(ms: u64) -> Wanted {
        Wanted {
            interval: Duration::from_millis(ms),
            parts: Part::ALL.to_vec(),
        }
    }

    fn take(state: &mut Value, message: &str, seq: u64) -> bool {
        let message: Value = serde_json::from_str(message).unwrap();
        assert_eq!(message["seq"], seq);
        if let Some(changes) = message["changes"].as_array() {
            apply(state, changes).unwrap();
            return false;
        }
        *state = message["state"].clone();
        true
    }

    #[tokio::test(start_paused = true)]
    async fn the_state_comes_whole_and_then_in_changes_that_rebuild_it() {
        let (publish, hub) = hub();
        let mut follower = hub.follow(&wanted(1_000));
        let mut state = Value::Null;
        assert!(take(&mut state, &follower.next().await.unwrap(), 0));
        for accepted in 1..6 {
            publish.send_replace(Arc::new(snapshot(accepted)));
            assert!(!take(&mut state, &follower.next().await.unwrap(), accepted));
            assert_eq!(state, rounded_parts(&snapshot(accepted), &Part::ALL));
        }
    }

    #[tokio::test(start_paused = true)]
    async fn whoever_misses_a_few_steps_gets_them_together_and_many_steps_everything() {
        let (publish, hub) = hub();
        let mut fast = hub.follow(&wanted(1_000));
        let mut slow = hub.follow(&wanted(1_000));
        let mut state = Value::Null;
        fast.next().await;
        take(&mut state, &slow.next().await.unwrap(), 0);
        for (round, (missed, whole)) in [(2, false), (KEPT_STEPS as u64 + 1, true), (1, false)]
            .into_iter()
            .enumerate()
        {
            for _ in 0..missed {
                publish.send_modify(|last| *last = Arc::new(snapshot(last.miner.accepted + 1)));
                fast.next().await;
            }
            let seq = round as u64 + 1;
            assert_eq!(take(&mut state, &slow.next().await.unwrap(), seq), whole);
            assert_eq!(state["miner"]["accepted"], publish.borrow().miner.accepted);
        }
    }

    #[tokio::test(start_paused = true)]
    async fn messages_keep_their_pace_whenever_one_joins() {
        let (_publish, hub) = hub();
        let _first = hub.follow(&wanted(1_000));
        tokio::time::sleep(Duration::from_millis(700)).await;
        let mut late = hub.follow(&wanted(1_000));
        let start = Instant::now();
        let mut times = Vec::new();
        for _ in 0..4 {
            late.next().await.unwrap();
            times.push(start.elapsed().as_millis());
        }
        assert_eq!(times[0], 0);
        assert!(
            times.windows(2).all(|pair| pair[1] - pair[0] >= 1_000),
            "{times:?}"
        );
    }

    #[tokio::test(start_paused = true)]
    async fn followers_of_the_same_share_one_stream_that_ends_with_them() {
        let (_publish, hub) = hub();
        let followers = [hub.follow(&wanted(1_000)), hub.follow(&wanted(1_000))];
        assert!(Arc::ptr_eq(&followers[0]._stream, &followers[1]._stream));
        let other = hub.follow(&wanted(2_000));
        assert!(!Arc::ptr_eq(&followers[0]._stream, &other._stream));
        drop((followers, other));
        let _new = hub.follow(&wanted(3_000));
        assert_eq!(hub.streams.lock().unwrap().len(), 1);
    }

    #[test]
    fn a_part_that_changed_everywhere_is_replaced_as_a_whole() {
        let chips = |nonces: u64| json!({"chips": (0..50).map(|_| json!({"n": nonces})).collect::<Vec<_>>()});
        let text = changes(&chips(1), &chips(2));
        let operations: Vec<Value> = serde_json::from_str(&format!("[{text}]")).unwrap();
        assert_eq!(operations.len(), 1);
        let mut state = chips(1);
        apply(&mut state, &operations).unwrap();
        assert_eq!(state, chips(2));
    }
}
