//! What goes in comes out, at every resolution, across restarts and whatever the clock does.

mod support;

use history::{Archive, Kind, LEVELS, MemoryPages, Settings};
use rpc::history::{Metric, Query};
use support::{Run, T0, assert_true, subject, subjects, temperature, values};

const DAY: u64 = 86_400;

fn fresh(began: i64) -> Run<MemoryPages> {
    Run::begin(MemoryPages::default(), Settings::default(), began)
}

#[test]
fn seconds_minutes_and_hours_are_what_was() {
    let mut run = fresh(T0);
    run.run(3 * 3600);
    let seconds = run.temperatures(run.now() - 600, run.now(), 1);
    assert_eq!((seconds.resolution_s, seconds.step_s), (1, 1));
    assert_eq!(assert_true(&seconds), 600);
    assert_eq!(
        seconds.metrics[0].values[0],
        Some(temperature(seconds.from))
    );

    let minutes = run.temperatures(T0, run.now(), 60);
    assert_eq!(minutes.resolution_s, 60);
    assert_eq!(assert_true(&minutes), 180);
    assert!(minutes.covered_s.iter().all(|covered| *covered == 60));

    let hours = run.temperatures(T0, run.now(), 3600);
    assert_eq!(hours.resolution_s, 3600);
    assert_eq!(assert_true(&hours), 3);
    let first_hour = || (T0..T0 + 3600).map(temperature);
    let values = &hours.metrics[0];
    assert_eq!(
        values.min.as_ref().unwrap()[0],
        first_hour().reduce(f64::min)
    );
    assert_eq!(
        values.max.as_ref().unwrap()[0],
        first_hour().reduce(f64::max)
    );
}

#[test]
fn counts_are_summed_and_rates_averaged() {
    let mut run = fresh(T0);
    run.run(7200);
    let query = Query {
        from: Some(T0),
        to: Some(T0 + 7200),
        points: Some(2),
        metrics: vec![Metric::Accepted, Metric::HashrateHps, Metric::SigmaHps],
        ..Query::default()
    };
    let reply = run.archive.query(&query).unwrap();
    assert_eq!(reply.step_s, 3600);
    let accepted = (T0..T0 + 3600).map(support::accepted).sum();
    assert_eq!(reply.metrics[0].values[0], Some(accepted));
    let rate = reply.metrics[1].values[0].unwrap();
    assert!((rate / 1.048e12 - 1.0).abs() < 0.002, "{rate}");
    // 1e11 of each second, whose 5 s windows make 720 independent values an hour.
    let sigma = reply.metrics[2].values[0].unwrap();
    assert!(
        (sigma / (1e11 / 720_f64.sqrt()) - 1.0).abs() < 0.005,
        "{sigma}"
    );
}

#[test]
fn what_was_not_recorded_is_nothing_and_not_zero() {
    let mut run = fresh(T0);
    run.run(100);
    run.pause(50);
    run.run(100);
    let reply = run.temperatures(T0, run.now(), 1);
    let values = &reply.metrics[0].values;
    assert!(values[100..150].iter().all(Option::is_none));
    assert_eq!(assert_true(&reply), 200);
    assert_eq!(reply.covered_s[99..102], [1, 0, 0]);
    let voltage = Query {
        board: Some(0),
        metrics: vec![Metric::VoltageMv],
        ..Query::default()
    };
    let reply = run.archive.query(&voltage).unwrap();
    assert!(reply.metrics[0].values.iter().all(Option::is_none));
}

#[test]
fn a_restart_goes_on_where_the_last_write_was() {
    let mut run = fresh(T0);
    run.run(5 * 3600 + 1234);
    run.archive.flush().unwrap();
    let end = run.now();
    let minute = end / 60 * 60;
    let before = run.temperatures(T0, minute, 60);
    let image = image_of(run);

    let mut next = Run::begin(MemoryPages::of(&image), Settings::default(), end + 7);
    next.run(1);
    let after = next.temperatures(T0, minute, 60);
    assert_eq!(after.metrics, before.metrics);
    assert_eq!(after.covered_s, before.covered_s);
    next.run(1800);
    let hours = next.temperatures(T0, next.now(), 3600);
    assert_true(&hours);
    let covered: u32 = hours.covered_s.iter().sum();
    // All but the minute that is not over and the pause.
    assert!(covered >= 5 * 3600 + 1234 + 1740, "{covered}");
    assert_eq!(next.archive.info().damaged_pages, 0);
}

#[test]
fn restarts_do_not_take_room() {
    let mut image = Vec::new();
    let mut now = T0;
    for _ in 0..60 {
        let mut run = Run::begin(MemoryPages::of(&image), Settings::default(), now);
        run.run(70);
        run.archive.flush().unwrap();
        now = run.now() + 5;
        image = image_of(run);
    }
    let mut run = Run::begin(MemoryPages::of(&image), Settings::default(), now);
    run.run(1);
    let reply = run.temperatures(T0, now, 60);
    let covered: u32 = reply.covered_s.iter().sum();
    assert_eq!(covered, 60 * 70);
    assert!(image.len() < 800 * 1024, "{}", image.len());
}

#[test]
fn a_clock_that_is_set_late_dates_what_came_before() {
    let mut run = fresh(T0);
    run.run(600);
    run.archive.flush().unwrap();
    let image = image_of(run);
    // The machine has no clock of its own: 1970 again. Five minutes later it hears the time.
    let began = T0 + 1000;
    let mut next = Run::begin(MemoryPages::of(&image), Settings::default(), began);
    next.wrong_s = 40 - began;
    next.run(300);
    next.wrong_s = 0;
    next.run(300);
    let reply = next.temperatures(T0, next.now(), 1);
    assert_eq!(assert_true(&reply), 1200);
    assert!(
        reply.metrics[0].values[600..1000]
            .iter()
            .all(Option::is_none)
    );
    // And after another restart it is still so.
    next.archive.flush().unwrap();
    let end = next.now();
    let mut last = Run::begin(
        MemoryPages::of(&image_of(next)),
        Settings::default(),
        end + 5,
    );
    last.run(1);
    assert_eq!(assert_true(&last.temperatures(T0, end, 1)), 1200);
    let starts = last.temperatures(T0 - 10, end + 20, 1).marks;
    let starts: Vec<_> = starts.iter().map(|mark| mark.at).collect();
    assert_eq!(starts, [T0, began, end + 5]);
}

#[test]
fn runs_without_any_clock_come_one_after_the_other() {
    let mut image = Vec::new();
    let mut lengths = 0;
    for seconds in [200_u64, 300, 400] {
        let mut run = Run::begin(MemoryPages::of(&image), Settings::default(), T0);
        // Each says that it begins in the year 1970.
        run.wrong_s = 30 - T0;
        run.run(seconds);
        run.archive.flush().unwrap();
        lengths += seconds;
        let query = Query {
            last_s: Some(lengths),
            step_s: Some(1),
            metrics: vec![Metric::TemperatureC],
            ..Query::default()
        };
        let reply = run.archive.query(&query).unwrap();
        let known = reply.metrics[0].values.iter().flatten().count();
        assert_eq!(known as u64, lengths);
        assert!(reply.notes[0].contains("clock"), "{:?}", reply.notes);
        image = image_of(run);
    }
}

#[test]
fn a_clock_that_lags_after_a_restart_does_not_mix_runs() {
    let mut run = fresh(T0);
    run.run(1000);
    run.archive.flush().unwrap();
    let image = image_of(run);
    // The clock was kept half an hour ago.
    let mut next = Run::begin(MemoryPages::of(&image), Settings::default(), T0 + 1010);
    next.wrong_s = -1800;
    next.run(100);
    let query = Query {
        last_s: Some(1100),
        step_s: Some(1),
        ..Query::default()
    };
    let reply = next.archive.query(&query).unwrap();
    assert!(reply.covered_s.iter().all(|covered| *covered == 1));
}

#[test]
fn a_year_of_a_wrong_future_does_not_hide_the_present() {
    let mut run = fresh(T0);
    run.wrong_s = 40_000_000;
    run.run(300);
    run.archive.flush().unwrap();
    let image = image_of(run);
    let mut next = Run::begin(MemoryPages::of(&image), Settings::default(), T0 + 400);
    next.run(300);
    let reply = next.temperatures(T0, next.now(), 1);
    assert_eq!(assert_true(&reply), 300);
    // What was recorded then is still there.
    assert_eq!(next.archive.info().levels[0].rows, 300 + 300);
}

#[test]
fn a_series_follows_what_it_is_of_and_not_its_place() {
    let mut archive = Archive::open(MemoryPages::default(), Settings::default()).unwrap();
    let push = |archive: &mut Archive<_>, subjects: &[_], second: u64| {
        let at = T0 + second as i64;
        archive.subjects(subjects.to_vec());
        let mono = std::time::Duration::from_secs(second);
        archive.push(mono, at * 1000, &values(subjects, at));
    };
    let mut moved = subjects();
    moved.insert(2, subject(Kind::Pool, "pool b"));
    for second in 0..200 {
        let subjects = if second < 100 {
            subjects()
        } else {
            moved.clone()
        };
        push(&mut archive, &subjects, second);
    }
    let query = |archive: &mut Archive<_>, query: Query| archive.query(&query).unwrap();
    let of = |pool| Query {
        pool: Some(pool),
        metrics: vec![Metric::WorkPercent],
        last_s: Some(200),
        ..Query::default()
    };
    let fresh = query(&mut archive, of(0));
    assert_eq!(fresh.series.name, "name of pool b");
    assert_eq!(fresh.metrics[0].values.iter().flatten().count(), 100);
    let old = query(&mut archive, of(1));
    assert_eq!(old.series.name, "name of pool a");
    assert_eq!(old.metrics[0].values.iter().flatten().count(), 200);

    // A pool that is no more can be asked for by its key.
    push(&mut archive, &moved[..3], 200);
    let info = archive.info();
    let gone = info
        .series
        .iter()
        .find(|one| one.series.name == "name of pool a");
    let gone = gone.unwrap();
    assert_eq!(gone.series.index, None);
    let by_key = Query {
        series: Some(gone.series.key.clone()),
        ..of(0)
    };
    let by_key = Query {
        pool: None,
        ..by_key
    };
    assert_eq!(query(&mut archive, by_key).series, gone.series);
}

#[test]
fn many_boards_stand_in_several_groups() {
    let mut all = vec![subject(Kind::Miner, "")];
    all.extend((0..40).map(|board| subject(Kind::Board, &format!("board {board}"))));
    let mut archive = Archive::open(MemoryPages::default(), Settings::default()).unwrap();
    archive.subjects(all.clone());
    for second in 0..4000_u64 {
        let at = T0 + second as i64;
        let mono = std::time::Duration::from_secs(second);
        archive.push(mono, at * 1000, &values(&all, at));
        if archive.is_due() {
            archive.flush().unwrap();
        }
    }
    for board in [0, 7, 39] {
        let query = Query {
            board: Some(board),
            metrics: vec![Metric::TemperatureC],
            ..Query::default()
        };
        let reply = archive.query(&query).unwrap();
        assert_eq!(reply.series.index, Some(board));
        assert!(assert_true(&reply) >= 360);
    }
    let info = archive.info();
    assert!(info.levels[0].rows >= 3600 * 6, "{:?}", info.levels[0]);
}

#[test]
fn what_is_kept_is_bounded_and_the_newest() {
    // 50 pages are not enough for anything that is wanted of it.
    let settings = Settings {
        max_bytes: 50 * 4096,
        write_every_s: 60,
    };
    let mut run = Run::begin(MemoryPages::default(), settings, T0);
    run.run(2 * DAY / 3);
    let info = run.archive.info();
    assert_eq!(info.bytes, 50 * 4096);
    assert_eq!(info.max_bytes, 50 * 4096);
    let newest = run.temperatures(run.now() - 600, run.now(), 1);
    assert_eq!(assert_true(&newest), 600);
    let minutes = run.temperatures(run.now() - 7200, run.now(), 60);
    assert_eq!(assert_true(&minutes), 120);
    for (level, wanted) in info.levels.iter().zip(LEVELS) {
        assert!(level.rows > 0, "{wanted:?}");
    }
}

#[test]
fn a_store_that_may_be_smaller_now_keeps_the_newest() {
    let mut run = fresh(T0);
    run.run(10 * 3600);
    run.archive.flush().unwrap();
    let end = run.now();
    let image = image_of(run);
    let settings = Settings {
        max_bytes: 40 * 4096,
        write_every_s: 60,
    };
    assert!(image.len() > 40 * 4096);
    let mut small = Run::begin(MemoryPages::of(&image), settings, end);
    small.run(1);
    assert_eq!(small.archive.info().bytes, 40 * 4096);
    assert_eq!(assert_true(&small.temperatures(end - 60, end, 1)), 60);
    assert_true(&small.temperatures(T0, end, 60));
}

#[test]
fn impossible_questions_are_answered_with_what_is_possible() {
    let mut run = fresh(T0);
    run.run(100);
    let now = run.now();
    let query = |from: Option<i64>, to: Option<i64>| Query {
        from,
        to,
        ..Query::default()
    };
    let mut said = |query: Query| run.archive.query(&query).unwrap_err().to_string();
    assert!(said(query(Some(now), Some(now - 10))).contains("must be before"));
    assert!(said(query(Some(now + 500), None)).contains("future"));
    assert!(said(query(Some(i64::MAX), None)).contains("seconds since 1970"));
    assert!(said(query(Some(i64::MIN), Some(i64::MAX))).contains("seconds since 1970"));
    assert!(said(query(Some(1), Some(2))).contains("nothing is kept from before"));
    let many = Query {
        step_s: Some(1),
        last_s: Some(86_400),
        ..Query::default()
    };
    assert!(said(many).contains("points are the most"));
    let step = Query {
        step_s: Some(0),
        ..Query::default()
    };
    assert!(said(step).contains("at least 1"));
    let points = Query {
        points: Some(0),
        ..Query::default()
    };
    assert!(said(points).contains("from 1 to 4000"));
    let board = Query {
        board: Some(9),
        ..Query::default()
    };
    assert!(said(board).contains("no board 9; 1 are"));
    let both = Query {
        board: Some(0),
        pool: Some(0),
        ..Query::default()
    };
    assert!(said(both).contains("only one"));
    let series = Query {
        series: Some("nonsense".into()),
        ..Query::default()
    };
    assert!(said(series).contains("history.info"));
    let metric = Query {
        metrics: vec![Metric::LatencyMs],
        ..Query::default()
    };
    assert!(said(metric).contains("a miner has no latency_ms"));
}

#[test]
fn any_range_has_at_most_the_points_asked_for() {
    let mut run = fresh(T0);
    run.run(4000);
    for last_s in [1, 59, 3600, 7 * DAY, 365 * DAY, u64::MAX] {
        for points in [1, 2, 100, 4000] {
            let query = Query {
                last_s: Some(last_s),
                points: Some(points),
                metrics: vec![Metric::TemperatureC],
                ..Query::default()
            };
            let reply = run.archive.query(&query).unwrap();
            let count = reply.metrics[0].values.len();
            // A point more where the range begins within one.
            assert!(
                count as u32 <= points.max(2),
                "{last_s}: {count} of {points}"
            );
            assert_eq!(reply.covered_s.len(), count);
            assert_eq!(
                reply.to - reply.from,
                count as i64 * i64::from(reply.step_s)
            );
        }
    }
}

#[test]
fn finer_steps_than_are_kept_are_raised_and_said() {
    let mut run = fresh(T0);
    run.run(4 * 3600);
    let query = Query {
        from: Some(T0),
        to: Some(T0 + 600),
        step_s: Some(1),
        ..Query::default()
    };
    let reply = run.archive.query(&query).unwrap();
    assert_eq!((reply.step_s, reply.resolution_s), (60, 60));
    assert!(
        reply.notes[0].contains("instead of 1 s"),
        "{:?}",
        reply.notes
    );
}

#[test]
fn changes_of_state_are_marked() {
    let mut archive = Archive::open(MemoryPages::default(), Settings::default()).unwrap();
    let miner = vec![subject(Kind::Miner, "")];
    archive.subjects(miner.clone());
    let at = Kind::Miner
        .metrics()
        .iter()
        .position(|one| *one == Metric::State);
    for second in 0..100_u64 {
        let mut values = values(&miner, T0);
        let word = if second < 40 { "starting" } else { "mining" };
        values[0][at.unwrap()] = Some(history::state(word));
        let wall_ms = (T0 + second as i64) * 1000;
        archive.push(std::time::Duration::from_secs(second), wall_ms, &values);
    }
    let marks = archive.query(&Query::default()).unwrap().marks;
    let marks: Vec<_> = marks
        .iter()
        .map(|mark| (mark.at, mark.text.as_str()))
        .collect();
    assert_eq!(marks, [(T0, ""), (T0 + 40, "mining")]);
}

/// What is on disk when the power goes now.
fn image_of(run: Run<MemoryPages>) -> Vec<u8> {
    run.archive.into_pages().image()
}
