//! Noise on the line costs the frames that it hits and nothing else. Which frames those were is known
//! from the simulator, which notes every reply that it damaged.

mod support;

use std::cell::Cell;
use std::rc::Rc;
use std::time::Duration;

use bm13xx::ChipKind;
use board_simulator::{LOG_LIMIT, Noise, Notice};
use chain::Settings;
use support::{Bench, settings, to_host};

const HALF_MINUTE: Duration = Duration::from_secs(30);

/// Chips whose nonces count from the first job on, some 100 to 400 a second.
fn chains() -> Vec<Settings> {
    vec![
        settings(ChipKind::Bm1397, 1, 425.0, 1),
        settings(ChipKind::Bm1362, 2, 525.0, 2),
        settings(ChipKind::Bm1366, 2, 485.0, 4),
        settings(ChipKind::Bm1368, 2, 490.0, 4),
        settings(ChipKind::Bm1370, 1, 525.0, 2),
    ]
}

/// What half a minute of mining came to.
struct Account {
    name: String,
    /// Nonces that reached the host whole.
    whole: u64,
    /// Replies that did not.
    damaged: u64,
    counters: chain::Counters,
    shares: u64,
}

fn account(settings: Settings, noise: Noise) -> Account {
    let name = format!(
        "{} x {} with {noise:?}",
        settings.chain.kind, settings.chain.chips
    );
    let mut bench = Bench::new(settings, noise);
    bench.mine();
    assert_eq!(bench.nonces_sent(), 0, "{name}");
    bench.run_for(HALF_MINUTE);
    bench.freeze();
    assert_eq!(bench.failure, None, "{name}");
    let report = bench.report();
    assert!(report.damaged < LOG_LIMIT as u64, "{name}: the log is full");
    assert_eq!(report.duplicates(), 0, "{name}: the chips repeat nothing");
    assert_eq!(report.count(Notice::ReplyQueueFull), 0, "{name}");
    let hit = report
        .damaged_replies
        .iter()
        .filter(|reply| reply.is_nonce)
        .count();
    let whole = bench.nonces_sent() - hit as u64;
    assert!(whole > 1000, "{name}: {whole} nonces say little");
    Account {
        name,
        whole,
        damaged: report.damaged,
        counters: bench.counters(),
        shares: bench.shares.len() as u64,
    }
}

#[test]
fn without_noise_every_nonce_is_verified() {
    for settings in chains() {
        let account = account(settings, Noise::default());
        let (name, counters) = (&account.name, account.counters);
        assert_eq!(account.damaged, 0, "{name}");
        assert_eq!(counters.valid, account.whole, "{name}");
        assert_eq!(account.shares, account.whole, "{name}");
        assert_eq!(
            (
                counters.hardware_errors,
                counters.duplicates,
                counters.stale
            ),
            (0, 0, 0),
            "{name}"
        );
    }
}

/// A CRC of five bits finds every single flipped bit, so that with one flip per frame, which is
/// what a low rate comes to, nothing false gets through at all.
#[test]
fn a_flipped_bit_costs_its_nonce_and_nothing_else() {
    for settings in chains() {
        let account = account(settings, to_host(0.0, 1e-3, 0.0));
        let (name, counters) = (&account.name, account.counters);
        assert!(account.damaged > 5, "{name}: {} hit", account.damaged);
        assert_eq!(counters.valid, account.whole, "{name}");
        assert_eq!(
            (
                counters.hardware_errors,
                counters.duplicates,
                counters.stale
            ),
            (0, 0, 0),
            "{name}"
        );
    }
}

/// Damaged frames of other kinds pass a CRC of five bits once in 32 times. Twice that, and a few for
/// small numbers, is the most that may come out of them, as whatever they are taken for.
#[test]
fn noise_of_all_kinds_costs_only_what_it_hits() {
    for rate in [1e-4, 1e-3, 4e-3] {
        for settings in chains() {
            let account = account(settings, to_host(rate, rate, rate));
            let (name, counters) = (&account.name, account.counters);
            let by_chance = account.damaged / 16 + 3;
            assert!(account.damaged > 0, "{name}");
            assert!(
                (account.whole..=account.whole + by_chance).contains(&counters.valid),
                "{name}: {} whole, {counters:?}",
                account.whole
            );
            let false_ones = counters.valid - account.whole
                + counters.hardware_errors
                + counters.duplicates
                + counters.stale;
            assert!(
                false_ones <= by_chance,
                "{name}: {} damaged, {} whole, {counters:?}",
                account.damaged,
                account.whole
            );
        }
    }
}

/// Hits one bit of every tenth job frame on its way to the chips.
fn hit_jobs(bench: &mut Bench, mut hit: impl FnMut(&mut Vec<u8>) + 'static) -> Rc<Cell<u64>> {
    let hits = Rc::new(Cell::new(0));
    let (seen, mut jobs) = (hits.clone(), 0);
    bench.damage = Some(Box::new(move |bytes| {
        // The header byte of a job frame.
        if bytes.get(2) == Some(&0x21) {
            jobs += 1;
            if jobs % 10 == 0 {
                seen.set(seen.get() + 1);
                hit(bytes);
            }
        }
    }));
    hits
}

/// Until the next job the chips go on with the one before. When its versions are used up they start
/// over, which the host has to take for what it is.
#[test]
fn a_damaged_job_costs_at_most_that_job() {
    for settings in chains() {
        let name = settings.chain.kind.to_string();
        let mut bench = Bench::new(settings, Noise::default());
        bench.mine();
        let hits = hit_jobs(&mut bench, |bytes| bytes[40] ^= 4);
        bench.run_for(HALF_MINUTE);
        bench.freeze();
        let (report, counters) = (bench.report(), bench.counters());
        let sent = bench.session.status(bench.now).jobs_sent;
        assert!(hits.get() >= 5, "{name}");
        assert_eq!(report.count(Notice::BadJobCrc), hits.get(), "{name}");
        assert_eq!(report.frames.jobs, sent - hits.get(), "{name}");
        assert_eq!(counters.hardware_errors, 0, "{name}");
        assert_eq!(counters.stale, 0, "{name}");
        assert_eq!(counters.duplicates, report.duplicates(), "{name}");
        assert_eq!(
            counters.valid + counters.duplicates,
            bench.nonces_sent(),
            "{name}"
        );
        assert_eq!(bench.shares.len() as u64, counters.valid, "{name}");
        let lost = counters.duplicates as f64 / bench.nonces_sent() as f64;
        assert!(lost <= 0.1, "{name}: {lost} lost to one job in ten");
    }
}

/// A byte that is lost makes the chips wait for the first byte of the next frame. No published
/// fact says how silicon finds its way back; whatever it misses, the host must not miscount.
#[test]
fn a_lost_byte_of_a_job_costs_no_more_than_the_frame_behind_it() {
    for settings in chains() {
        let name = settings.chain.kind.to_string();
        let mut bench = Bench::new(settings, Noise::default());
        bench.mine();
        let hits = hit_jobs(&mut bench, |bytes| {
            bytes.remove(40);
        });
        bench.run_for(HALF_MINUTE);
        bench.freeze();
        let (report, counters) = (bench.report(), bench.counters());
        let sent = bench.session.status(bench.now).jobs_sent;
        assert!(hits.get() >= 5, "{name}");
        assert!(report.frames.jobs >= sent - 2 * hits.get(), "{name}");
        assert_eq!(counters.hardware_errors, 0, "{name}");
        assert_eq!(
            counters.valid + counters.duplicates,
            bench.nonces_sent(),
            "{name}"
        );
        assert_eq!(counters.duplicates, report.duplicates(), "{name}");
    }
}
