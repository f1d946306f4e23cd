//! Events between snapshots, progress lines, and the keys of the live view.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::sync::watch;

use super::*;
use crate::state::{BoardStatus, PoolStatus, RejectReason, Snapshot};

fn texts(watcher: &mut Watcher, snapshot: &Snapshot) -> Vec<String> {
    watcher
        .observe(snapshot)
        .into_iter()
        .map(|event| event.text)
        .collect()
}

fn with_board(state: &str, frequency_mhz: f64) -> Snapshot {
    let board = BoardStatus {
        model: "Gamma".into(),
        state: state.into(),
        chips_found: 4,
        chips_expected: 4,
        frequency_mhz,
        target_mhz: 500.0,
        ..BoardStatus::default()
    };
    Snapshot {
        boards: vec![board],
        ..Snapshot::default()
    }
}

fn with_pool(change: impl FnOnce(&mut PoolStatus)) -> Snapshot {
    let mut pool = PoolStatus {
        url: "tcp://p:1".into(),
        state: "mining".into(),
        ..Default::default()
    };
    change(&mut pool);
    Snapshot {
        pools: vec![pool],
        ..Snapshot::default()
    }
}

#[test]
fn nothing_new_is_no_event() {
    let mut watcher = Watcher::default();
    assert_eq!(texts(&mut watcher, &Snapshot::default()), [""; 0]);
    let board = with_board("mining", 500.0);
    assert_eq!(
        texts(&mut watcher, &board),
        [
            "board 0 (Gamma): 4 of 4 chips found",
            "board 0 (Gamma): mining"
        ]
    );
    assert_eq!(texts(&mut watcher, &board), [""; 0]);
}

#[test]
fn a_ramp_is_told_every_fifth_of_the_way() {
    let mut watcher = Watcher::default();
    texts(&mut watcher, &with_board("ramping", 50.0));
    let told: Vec<_> = (50..=500)
        .step_by(5)
        .flat_map(|mhz| texts(&mut watcher, &with_board("ramping", f64::from(mhz))))
        .collect();
    let percents: Vec<_> = told
        .iter()
        .filter_map(|text| text.split(['(', ')']).nth(3))
        .collect();
    assert_eq!(percents, ["20 %", "40 %", "60 %", "80 %", "100 %"]);
}

#[test]
fn a_second_ramp_is_told_again() {
    let mut watcher = Watcher::default();
    texts(&mut watcher, &with_board("ramping", 450.0));
    texts(&mut watcher, &with_board("starting", 50.0));
    let again = texts(&mut watcher, &with_board("ramping", 110.0));
    assert!(
        again
            .iter()
            .any(|text| text.ends_with("clock 110 of 500 MHz (22 %)")),
        "{again:?}"
    );
}

#[test]
fn missing_chips_and_problems_are_bad_news() {
    let mut watcher = Watcher::default();
    let mut snapshot = with_board("mining", 500.0);
    snapshot.boards[0].chips_found = 3;
    snapshot.boards[0].problem = Some("chip 2 is silent".into());
    let bad: Vec<_> = watcher
        .observe(&snapshot)
        .into_iter()
        .filter(|event| event.mood == Mood::Bad)
        .collect();
    assert_eq!(bad[0].text, "board 0 (Gamma): 3 of 4 chips found");
    assert_eq!(bad[1].text, "board 0 (Gamma): chip 2 is silent");
    snapshot.boards[0].problem = None;
    assert_eq!(
        texts(&mut watcher, &snapshot),
        ["board 0 (Gamma): the problem is over"]
    );
}

#[test]
fn the_first_accepted_share_is_told_once() {
    let mut watcher = Watcher::default();
    let mut snapshot = Snapshot::default();
    let mut told = Vec::new();
    for accepted in [0, 0, 1, 2, 3] {
        snapshot.miner.accepted = accepted;
        told.extend(texts(&mut watcher, &snapshot));
    }
    assert_eq!(told, ["first share accepted"]);
}

#[test]
fn the_best_share_is_news_when_it_doubles() {
    let mut watcher = Watcher::default();
    let mut snapshot = Snapshot::default();
    snapshot.miner.accepted = 1;
    let told: Vec<_> = [0.0, 100.0, 150.0, 199.0, 200.0, 5_000.0]
        .into_iter()
        .flat_map(|best| {
            snapshot.miner.best_difficulty = best;
            texts(&mut watcher, &snapshot)
        })
        .filter_map(|text| {
            text.strip_prefix("best share so far: difficulty ")
                .map(str::to_owned)
        })
        .collect();
    assert_eq!(told, ["100", "200", "5k"]);
}

#[test]
fn pools_tell_states_difficulty_rejects_and_messages() {
    let mut watcher = Watcher::default();
    let told = texts(
        &mut watcher,
        &with_pool(|pool| pool.state = "connecting".into()),
    );
    assert_eq!(told, ["pool 0 (tcp://p:1): connecting"]);
    let told = texts(
        &mut watcher,
        &with_pool(|pool| {
            pool.active = true;
            pool.difficulty = 2_048.0;
        }),
    );
    assert_eq!(
        told,
        [
            "pool 0 (tcp://p:1): mining, now in use",
            "pool 0 (tcp://p:1): share difficulty 2.05k"
        ]
    );
    let told = texts(
        &mut watcher,
        &with_pool(|pool| {
            pool.active = true;
            pool.difficulty = 2_048.0;
            pool.submitted = 40;
            pool.rejected = 2;
            pool.reject_reasons = vec![RejectReason {
                reason: "stale".into(),
                count: 2,
                ..RejectReason::default()
            }];
            pool.message = Some("maintenance at noon\u{1b}[31m".into());
        }),
    );
    assert_eq!(
        told,
        [
            "pool 0 (tcp://p:1) says: maintenance at noon·[31m",
            "pool 0 (tcp://p:1): rejected 2 shares (2 of 40 so far, mostly stale)",
        ]
    );
}

#[test]
fn roles_and_payout_alarms_of_pools_are_told() {
    let mut watcher = Watcher::default();
    let connecting = with_pool(|pool| {
        pool.role = "connecting".into();
        pool.state = "connecting".into();
    });
    texts(&mut watcher, &connecting);
    // Its session is ready, but it gets no work yet.
    let returning = with_pool(|pool| pool.role = "returning".into());
    assert_eq!(
        texts(&mut watcher, &returning),
        ["pool 0 (tcp://p:1): returning"]
    );
    let alarm = with_pool(|pool| {
        pool.role = "returning".into();
        pool.alarm = Some("your address is no longer paid".into());
    });
    let told = watcher.observe(&alarm);
    assert_eq!(told.len(), 1);
    assert_eq!(
        told[0].text,
        "pool 0 (tcp://p:1): your address is no longer paid"
    );
    assert_eq!(told[0].mood, Mood::Bad);
    assert_eq!(texts(&mut watcher, &alarm), [""; 0]);
}

#[test]
fn progress_sums_up_every_ten_seconds() {
    let mut progress = Progress::default();
    let mut snapshot = with_board("mining", 500.0);
    snapshot.miner.simulated = true;
    snapshot.miner.hashrate.m1 = crate::state::Rate {
        hps: 1.5e12,
        sigma_hps: 5e10,
    };
    let summaries: Vec<_> = (0..=40)
        .filter(|second| {
            let lines = progress.observe(Duration::from_secs(*second), &snapshot);
            lines
                .iter()
                .any(|line| line.contains("SIMULATED: 1.50 ± 0.05 TH/s over 1 min"))
        })
        .collect();
    assert_eq!(summaries, [10, 20, 30, 40]);
}

/// A writer that tests can look into, and that breaks after so many writes.
#[derive(Clone)]
struct Pipe(Arc<Mutex<Vec<u8>>>, usize);

impl io::Write for Pipe {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.1 == 0 {
            return Err(io::ErrorKind::BrokenPipe.into());
        }
        self.1 -= 1;
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[tokio::test(start_paused = true)]
async fn lines_are_printed_until_the_stop() {
    let out = Arc::new(Mutex::new(Vec::new()));
    let (_publish, state) = watch::channel(Arc::new(with_board("mining", 500.0)));
    let stop = tokio::time::sleep(Duration::from_secs(35));
    write_lines(Pipe(Arc::clone(&out), usize::MAX), state, stop).await;
    let text = String::from_utf8(out.lock().unwrap().clone()).unwrap();
    assert!(
        text.starts_with("         0 s   board 0 (Gamma): 4 of 4 chips found\n"),
        "{text}"
    );
    assert_eq!(
        text.lines()
            .filter(|line| line.contains("over 10 min"))
            .count(),
        3,
        "{text}"
    );
}

#[tokio::test(start_paused = true)]
async fn a_closed_pipe_ends_the_lines_quietly() {
    let (_publish, state) = watch::channel(Arc::new(with_board("mining", 500.0)));
    write_lines(Pipe(Arc::default(), 1), state, std::future::pending()).await;
}

#[test]
fn q_and_control_c_quit_and_nothing_else() {
    use ratatui::crossterm::event::{KeyCode, KeyEventKind, KeyModifiers};
    let key = KeyEvent::new;
    let quits = |key| Screen::new(false).key(key) == Some(Deed::Quit);
    assert!(quits(key(KeyCode::Char('q'), KeyModifiers::NONE)));
    assert!(quits(key(KeyCode::Char('Q'), KeyModifiers::SHIFT)));
    assert!(quits(key(KeyCode::Char('c'), KeyModifiers::CONTROL)));
    assert!(!quits(key(KeyCode::Char('c'), KeyModifiers::NONE)));
    assert!(!quits(key(KeyCode::Esc, KeyModifiers::NONE)));
    let mut released = key(KeyCode::Char('q'), KeyModifiers::NONE);
    released.kind = KeyEventKind::Release;
    assert!(!quits(released));
}
