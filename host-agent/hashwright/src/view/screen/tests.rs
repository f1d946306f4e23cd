//! What the live view looks like on terminals of several sizes.

use ratatui::Terminal;
use ratatui::backend::TestBackend;
use ratatui::buffer::Buffer;

use ratatui::style::Color;

use super::*;
use crate::state::{
    BoardStatus, ChipStatus, MinerStatus, NonceCounters, PayoutStatus, PoolStatus, Rate, Rates,
};

fn rate(hps: f64, sigma_hps: f64) -> Rate {
    Rate { hps, sigma_hps }
}

fn board(index: usize) -> BoardStatus {
    BoardStatus {
        index,
        model: "Bitaxe Gamma".into(),
        uart: "sim".into(),
        simulated: true,
        state: "ramping".into(),
        chips_found: 1,
        chips_expected: 1,
        frequency_mhz: 210.0,
        target_mhz: 525.0,
        hashrate: Rates {
            m1: rate(486e9, 20e9),
            ..Rates::default()
        },
        nonces: NonceCounters {
            hardware_errors: 3,
            duplicates: 4,
            ..NonceCounters::default()
        },
        ..BoardStatus::default()
    }
}

fn snapshot() -> Snapshot {
    let mut snapshot = Snapshot {
        boards: vec![board(0)],
        pools: vec![PoolStatus {
            url: "stratum+tcp://127.0.0.1:3333".into(),
            active: true,
            state: "mining".into(),
            difficulty: 1024.0,
            job_id: Some("4f".into()),
            accepted: 12,
            submitted: 13,
            rejected: 1,
            latency_ms: Some(23.4),
            ..PoolStatus::default()
        }],
        ..Snapshot::default()
    };
    snapshot.system.name = "rack-3-7".into();
    snapshot.system.sha256d_backend = "sha-ni".into();
    snapshot.system.uptime_s = 185.0;
    snapshot.miner = MinerStatus {
        state: "mining".into(),
        simulated: true,
        hashrate: Rates {
            s5: rate(1.2e12, 390e9),
            m1: rate(1.08e12, 110e9),
            m10: rate(1.07e12, 36e9),
            h1: Rate::default(),
        },
        expected_hps: 1.2e12,
        best_difficulty: 48_211.0,
        ..MinerStatus::default()
    };
    snapshot
}

fn drawn(snapshot: Snapshot, colour: bool, width: u16, height: u16) -> Buffer {
    let mut screen = Screen::new(colour);
    screen.update(Arc::new(snapshot));
    let mut terminal = Terminal::new(TestBackend::new(width, height)).unwrap();
    terminal.draw(|frame| screen.draw(frame)).unwrap();
    terminal.backend().buffer().clone()
}

fn rows(buffer: &Buffer) -> Vec<String> {
    let row = |y| {
        (0..buffer.area.width)
            .map(|x| buffer[(x, y)].symbol())
            .collect::<String>()
    };
    (0..buffer.area.height)
        .map(|y| row(y).trim_end().to_owned())
        .collect()
}

#[test]
fn everything_fits_a_classic_terminal() {
    let rows = rows(&drawn(snapshot(), true, 80, 24));
    let expected = [
        "hashwright  rack-3-7   SIMULATED   mining                    sha-ni  up 3 min 05 s",
        "",
        "5 s 1.20 ± 0.39 TH/s  1 min 1.08 ± 0.11 TH/s  10 min 1.07 ± 0.04 TH/s",
        "██████████████████████████████████░░░░ 90 % of 1.20 TH/s expected",
        "",
        "board           chips  state    clock                  1 min  HW err  dup  uart",
        "0 Bitaxe Gamma    1/1  ramping  ██░░░ 210/525 MHz   486 GH/s       3    4  sim",
        "",
        "pool             state        diff  job       accepted  rejected  answer",
        "0*127.0.0.1:3333  mining      1.02k  4f              12         1   23 ms",
        "best share 48.2k   nonces 0   HW errors 0   duplicates 0   stale 0",
        "",
        "   3 min 05 s  board 0 (Bitaxe Gamma): 1 of 1 chips found",
        "   3 min 05 s  board 0 (Bitaxe Gamma): ramping",
        "   3 min 05 s  board 0 (Bitaxe Gamma): clock 210 of 525 MHz (40 %)",
        "   3 min 05 s  pool 0 (stratum+tcp://127.0.0.1:3333): mining, now in use",
        "   3 min 05 s  pool 0 (stratum+tcp://127.0.0.1:3333): share difficulty 1.02k",
        "   3 min 05 s  pool 0 (stratum+tcp://127.0.0.1:3333): rejected a share (1 of 13 s",
        "   3 min 05 s  miner: mining",
    ];
    let squeezed = |row: &str| row.split_whitespace().collect::<Vec<_>>().join(" ");
    for (row, expected) in rows.iter().zip(expected) {
        assert_eq!(squeezed(row), squeezed(expected));
    }
    assert_eq!(
        rows[0].chars().count(),
        80,
        "the right side ends at the edge: {:?}",
        rows[0]
    );
    let pages = "1 overview 2 boards 3 chips 4 pools 5 charts 6 events 7 log";
    assert!(rows[23].starts_with(pages), "{rows:#?}");
    assert!(rows[23].ends_with("? help  q quit"), "{rows:#?}");
    assert_eq!(rows[23].chars().count(), 80);
}

#[test]
fn a_tuner_at_work_has_a_line_with_the_reason_of_what_holds() {
    use rpc::tuner::{Reason, StationTuner};
    let mut tuned = snapshot();
    tuned.tuner.aim = autotune::Aim::Watts(18.0);
    tuned.tuner.demand.aim = tuned.tuner.aim;
    tuned.tuner.stations = vec![StationTuner {
        activity: "keeping".into(),
        ..StationTuner::default()
    }];
    tuned.tuner.demand.reasons = vec![Reason {
        code: "price".into(),
        text: "0.41 per kWh".into(),
    }];
    let shown = rows(&drawn(tuned, true, 80, 24));
    assert_eq!(shown[4], "tuner 18.0 W; keeping (price: 0.41 per kWh)");
    assert!(shown.iter().all(|row| row.chars().count() <= 80));
}

#[test]
fn numbers_keep_their_places_while_they_change() {
    let mut later = snapshot();
    later.miner.hashrate.s5 = rate(999e9, 1e9);
    later.boards[0].hashrate.m1 = rate(0.0, 0.0);
    later.boards[0].frequency_mhz = 99.0;
    let (before, after) = (
        rows(&drawn(snapshot(), true, 80, 24)),
        rows(&drawn(later, true, 80, 24)),
    );
    for (row, text) in [
        (2, "1 min"),
        (2, "10 min"),
        (5, "HW err"),
        (5, "1 min"),
        (6, "3    4"),
    ] {
        let column = |rows: &[String]| {
            rows[row]
                .split(text)
                .next()
                .map(|left| left.chars().count())
        };
        assert_eq!(column(&before), column(&after), "{text}");
    }
}

#[test]
fn narrow_terminals_keep_names_states_and_rates() {
    let rows = rows(&drawn(snapshot(), true, 36, 20));
    for needed in [
        "1 min 1.08 ± 0.11 TH/s",
        "0 Bitaxe Gamma",
        "ramping",
        "486 GH/s",
        "mining",
        "12",
    ] {
        assert!(
            rows.iter().any(|row| row.contains(needed)),
            "{needed}: {rows:#?}"
        );
    }
}

#[test]
fn no_size_and_no_state_breaks_the_view() {
    let mut odd = snapshot();
    odd.miner.expected_hps = f64::NAN;
    odd.miner.hashrate.m1 = rate(f64::INFINITY, f64::NAN);
    odd.boards[0].target_mhz = f64::MIN_POSITIVE;
    odd.boards[0].frequency_mhz = -1.0;
    odd.system.uptime_s = f64::NEG_INFINITY;
    for snapshot in [Snapshot::default(), snapshot(), odd] {
        for width in [1, 2, 5, 12, 20, 42, 79, 200] {
            for height in [1, 2, 3, 8, 13, 60] {
                drawn(snapshot.clone(), true, width, height);
            }
        }
    }
}

#[test]
fn many_boards_leave_room_for_pools_and_events() {
    let mut many = snapshot();
    many.boards = (0..30).map(board).collect();
    let rows = rows(&drawn(many, true, 80, 24));
    assert!(
        rows.iter().any(|row| row.starts_with("… and ")),
        "{rows:#?}"
    );
    assert!(
        rows.iter()
            .any(|row| row.contains("127.0.0.1:3333  mining")),
        "{rows:#?}"
    );
    assert!(
        rows.iter().any(|row| row.ends_with("miner: mining")),
        "{rows:#?}"
    );
}

#[test]
fn a_real_miner_carries_no_badge() {
    let mut real = snapshot();
    real.miner.simulated = false;
    assert!(!rows(&drawn(real, true, 80, 24))[0].contains("SIMULATED"));
}

#[test]
fn beside_real_boards_each_simulated_one_is_marked() {
    let mut mixed = snapshot();
    mixed.boards.push(BoardStatus {
        simulated: false,
        ..board(1)
    });
    let rows = rows(&drawn(mixed, true, 80, 24));
    assert!(rows[6].starts_with("0 Bitaxe Gamma (sim)  "), "{rows:#?}");
    assert!(rows[7].starts_with("1 Bitaxe Gamma  "), "{rows:#?}");
}

#[test]
fn without_colour_only_weight_tells() {
    let colours = |buffer: &Buffer| {
        buffer
            .content
            .iter()
            .filter(|c| c.fg != Color::Reset)
            .count()
    };
    assert!(colours(&drawn(snapshot(), true, 80, 24)) > 0);
    assert_eq!(colours(&drawn(snapshot(), false, 80, 24)), 0);
}

#[test]
fn a_failed_board_stands_out() {
    let mut failed = snapshot();
    failed.boards[0].problem = Some("no chips answer: check power".into());
    let buffer = drawn(failed, true, 80, 24);
    assert_eq!(buffer[(0, 6)].fg, Color::Red);
    assert!(
        rows(&buffer)
            .iter()
            .any(|row| row.contains("no chips answer: check power"))
    );
}

#[test]
fn old_events_make_room_for_new_ones() {
    let mut screen = Screen::new(false);
    for round in 0..200 {
        let mut state = snapshot();
        state.miner.state = format!("round {round}");
        screen.update(Arc::new(state));
    }
    assert_eq!(screen.changes.len(), CHANGES_KEPT);
    let mut terminal = Terminal::new(TestBackend::new(80, 24)).unwrap();
    terminal.draw(|frame| screen.draw(frame)).unwrap();
    let rows = rows(terminal.backend().buffer());
    assert!(rows[22].ends_with("miner: round 199"), "{rows:#?}");
}

#[test]
fn several_pools_show_their_part_of_the_work_and_what_they_pay() {
    let mut several = snapshot();
    let second = PoolStatus {
        index: 1,
        url: "stratum2+tcp://pool.example:3336/9bXiEd8b".into(),
        role: "standby".into(),
        state: "mining".into(),
        ..PoolStatus::default()
    };
    let third = PoolStatus {
        index: 2,
        url: "http://127.0.0.1:8332".into(),
        role: "connecting".into(),
        state: "retrying".into(),
        problem: Some("the node is syncing".into()),
        ..PoolStatus::default()
    };
    several.pools[0].work_percent = 100.0;
    several.pools[0].payout = Some(PayoutStatus {
        own_percent: Some(98.0),
        ..PayoutStatus::default()
    });
    several.pools.extend([second, third]);
    let shown = rows(&drawn(several.clone(), true, 100, 24));
    let squeezed: Vec<String> = shown
        .iter()
        .map(|row| row.split_whitespace().collect::<Vec<_>>().join(" "))
        .collect();
    for row in [
        "pool state work diff job accepted rejected answer pays you",
        "0*127.0.0.1:3333 mining 100 % 1.02k 4f 12 1 23 ms 98.0 %",
        "1 pool.example:3336 standby 0 % 0 – 0 0 – –",
        "2 127.0.0.1:8332 retrying 0 % 0 – 0 0 – –",
    ] {
        assert!(
            squeezed.iter().any(|shown| shown == row),
            "{row}\n{shown:#?}"
        );
    }
    several.pools[0].payout.as_mut().unwrap().refused = Some("pays too little".into());
    let shown = rows(&drawn(several, true, 80, 24));
    assert!(shown.iter().any(|row| row.contains("refused")));
    assert!(shown.iter().all(|row| row.chars().count() <= 80));
}

fn key(code: KeyCode) -> KeyEvent {
    KeyEvent::new(code, KeyModifiers::NONE)
}

fn press(screen: &mut Screen, keys: &str) -> Option<Deed> {
    let mut deed = None;
    for c in keys.chars() {
        let code = match c {
            '\n' => KeyCode::Enter,
            '\u{1b}' => KeyCode::Esc,
            c => KeyCode::Char(c),
        };
        deed = screen.key(key(code));
    }
    deed
}

fn shown(screen: &mut Screen, width: u16, height: u16) -> Vec<String> {
    let mut terminal = Terminal::new(TestBackend::new(width, height)).unwrap();
    terminal.draw(|frame| screen.draw(frame)).unwrap();
    rows(terminal.backend().buffer())
}

fn long_chain() -> Snapshot {
    let mut snapshot = snapshot();
    snapshot.chips = (0..114)
        .map(|index| ChipStatus {
            index,
            domain: index / 3,
            nonces: if index == 50 { 0 } else { 900 },
            hashrate: match index {
                50 => Rate::default(),
                60 => rate(0.3e12, 0.01e12),
                _ => rate(1e12, 0.05e12),
            },
            expected_hps: 1e12,
            ..ChipStatus::default()
        })
        .collect();
    snapshot
}

#[test]
fn a_long_chain_fits_a_classic_terminal_as_a_map() {
    let mut screen = Screen::new(true).on(Tab::Chips);
    screen.update(Arc::new(long_chain()));
    let rows = shown(&mut screen, 80, 24);
    assert!(
        rows[1].starts_with("board 0 Bitaxe Gamma  ramping"),
        "{rows:#?}"
    );
    assert!(rows[2].starts_with("d0  ███"), "{rows:#?}");
    let marks = |mark| {
        rows[2..7]
            .iter()
            .flat_map(|row| row.chars())
            .filter(|c| *c == mark)
            .count()
    };
    assert_eq!(
        (marks('█'), marks('▂'), marks('x')),
        (112, 1, 1),
        "{rows:#?}"
    );
    assert!(
        rows.iter()
            .any(|row| row.contains("chip 50 (domain 16, 0x00): 0 % ± 0 % of expected"))
    );
    assert!(
        rows.iter().any(|row| row.contains("█ as expected")),
        "{rows:#?}"
    );
}

#[test]
fn every_page_draws_at_every_size_and_in_every_state() {
    let mut odd = long_chain();
    odd.miner.expected_hps = f64::NAN;
    odd.miner.hashrate.m1 = rate(f64::INFINITY, f64::NAN);
    odd.miner.power_w = Some(f64::NAN);
    odd.miner.hottest_c = Some(-40.0);
    for tab in Tab::ALL {
        let mut screen = Screen::new(true).on(tab);
        for round in 0..3 {
            let mut state = if round == 1 {
                odd.clone()
            } else {
                long_chain()
            };
            state.system.uptime_s = 100.0 + f64::from(round);
            state.miner.power_w = state.miner.power_w.or(Some(3_200.0));
            screen.update(Arc::new(state));
            screen.happened(Entry {
                number: 1 + round as u64,
                ..Entry::default()
            });
            screen.logged(LogLine::default());
        }
        for width in [1, 2, 5, 12, 20, 42, 79, 200] {
            for height in [1, 2, 3, 8, 13, 60] {
                shown(&mut screen, width, height);
                screen.help = true;
                shown(&mut screen, width, height);
                screen.help = false;
            }
        }
    }
}

#[test]
fn keys_lead_through_the_pages() {
    let mut screen = Screen::new(false);
    for (number, tab) in (1..).zip(Tab::ALL) {
        press(&mut screen, &number.to_string());
        assert_eq!(screen.tab, tab);
    }
    screen.key(key(KeyCode::Tab));
    assert_eq!(screen.tab, Tab::Overview);
    screen.key(key(KeyCode::BackTab));
    assert_eq!(screen.tab, Tab::Log);
    press(&mut screen, "?");
    let rows = shown(&mut screen, 80, 24);
    assert!(
        rows.iter().any(|row| row.contains("wind the boards down")),
        "{rows:#?}"
    );
    press(&mut screen, " ");
    assert!(!screen.help);
}

#[test]
fn nothing_changes_the_miner_without_a_yes() {
    let mut screen = Screen::new(false);
    assert_eq!(press(&mut screen, "pn"), None);
    assert_eq!(press(&mut screen, "y"), None);
    assert_eq!(press(&mut screen, "py"), Some(Deed::Wish(Wish::Pause)));
    assert_eq!(press(&mut screen, "ry"), Some(Deed::Wish(Wish::Resume)));
    assert_eq!(
        press(&mut screen, "cay"),
        Some(Deed::Wish(Wish::CoolingAuto))
    );
    assert_eq!(press(&mut screen, "c70\nn"), None);
    let manual = Some(Deed::Wish(Wish::CoolingManual(70)));
    assert_eq!(press(&mut screen, "c70\ny"), manual);
    assert_eq!(press(&mut screen, "c\ny\u{1b}"), None);
    let most = Some(Deed::Wish(Wish::CoolingManual(100)));
    assert_eq!(press(&mut screen, "c1000\ny"), most);
    press(&mut screen, "p");
    let rows = shown(&mut screen, 80, 24);
    assert!(rows[23].contains("Pause mining?"), "{rows:#?}");
}

#[test]
fn what_became_of_a_wish_is_shown_until_the_next_key() {
    let mut screen = Screen::new(false);
    screen.answered(Err("this token may only read".into()));
    assert!(shown(&mut screen, 80, 24)[23].contains("only read"));
    screen.answered(Ok("cooling.mode: auto → manual; ".repeat(5)));
    assert!(shown(&mut screen, 80, 24)[22].starts_with("cooling.mode: auto"));
    press(&mut screen, "2");
    assert!(shown(&mut screen, 80, 24)[23].contains("boards"));
}

#[test]
fn a_lost_connection_cannot_be_overlooked() {
    let mut screen = Screen::new(false);
    screen.update(Arc::new(snapshot()));
    screen.linked(Link::Down("connection refused".into()));
    let rows = shown(&mut screen, 80, 24);
    assert!(
        rows[0].contains("NO CONNECTION: connection refused"),
        "{rows:#?}"
    );
    screen.linked(Link::Up("https://10.0.3.7:4029".into()));
    assert!(shown(&mut screen, 80, 24)[0].contains("10.0.3.7:4029  up"));
}

#[test]
fn the_newest_events_are_seen_and_older_ones_found_by_scrolling() {
    let mut screen = Screen::new(false).on(Tab::Events);
    for number in 1..=600 {
        let mut entry = Entry {
            number,
            ..Entry::default()
        };
        entry.notice.text = format!("event {number}.");
        screen.happened(entry);
    }
    assert_eq!(screen.entries.len(), LINES_KEPT);
    assert!(shown(&mut screen, 80, 24)[22].ends_with("event 600."));
    screen.key(key(KeyCode::PageUp));
    assert!(shown(&mut screen, 80, 24)[22].ends_with("event 590."));
    screen.key(key(KeyCode::Home));
    assert!(shown(&mut screen, 80, 24)[1].ends_with("event 89."));
    screen.key(key(KeyCode::End));
    assert!(shown(&mut screen, 80, 24)[22].ends_with("event 600."));
}

#[test]
fn charts_show_what_is_measured() {
    let mut screen = Screen::new(false).on(Tab::Charts);
    for second in 0..200 {
        let mut state = snapshot();
        state.system.uptime_s = f64::from(second);
        state.miner.power_w = Some(3_200.0);
        state.miner.hottest_c = Some(61.0);
        screen.update(Arc::new(state));
    }
    let rows = shown(&mut screen, 80, 24);
    for part in [
        "hashrate over 1 min  1.08 ± 0.11 TH/s",
        "last 10 min",
        "power  3200 W",
        "hottest  61.0 °C",
    ] {
        assert!(
            rows.iter().any(|row| row.contains(part)),
            "{part}: {rows:#?}"
        );
    }
    press(&mut screen, "-");
    assert!(shown(&mut screen, 80, 24)[1].contains("last 2 min"));
}
