//! Rates and their errors.

use std::time::Duration;

use mining::{Estimate, Hashrate, Target, Window};
use proptest::prelude::*;

/// Hashes per nonce at ticket difficulty 256.
const WEIGHT: f64 = (1u64 << 40) as f64;

fn seconds(seconds: f64) -> Duration {
    Duration::from_secs_f64(seconds)
}

fn assert_close(value: f64, expected: f64, tolerance: f64) {
    assert!(
        (value / expected - 1.0).abs() <= tolerance,
        "{value} is not {expected}"
    );
}

#[test]
fn a_full_window_gives_the_rate_of_an_even_stream() {
    // Ten nonces a second for two hours.
    let start = seconds(1000.0);
    let mut rate = Hashrate::new(start);
    for i in 1..=72_000 {
        rate.record(start + seconds(f64::from(i) / 10.0), WEIGHT);
    }
    let now = start + seconds(7200.0);
    for window in Window::ALL {
        let Estimate { hps, sigma_hps } = rate.estimate(window, now);
        // One nonce more or less at the edge of the window.
        let nonces = window.length().as_secs_f64() * 0.96 * 10.0;
        assert_close(hps, 10.0 * WEIGHT, 1.01 / nonces);
        assert_close(
            sigma_hps,
            hps / (hps / WEIGHT * 0.98 * window.length().as_secs_f64()).sqrt(),
            0.03,
        );
    }
    assert_eq!(rate.nonces(), 72_000);
    assert_eq!(rate.hashes(), 72_000.0 * WEIGHT);
}

#[test]
fn a_window_that_is_not_full_yet_is_as_long_as_the_time_since_the_start() {
    let mut rate = Hashrate::new(seconds(10.0));
    for i in 1..=4 {
        rate.record(seconds(10.0 + f64::from(i) * 0.5), WEIGHT);
    }
    for window in Window::ALL {
        assert_close(
            rate.estimate(window, seconds(12.0)).hps,
            2.0 * WEIGHT,
            1e-12,
        );
        assert_close(
            rate.estimate(window, seconds(12.0)).sigma_hps,
            WEIGHT,
            1e-12,
        );
        assert_close(rate.estimate(window, seconds(14.0)).hps, WEIGHT, 1e-12);
    }
}

#[test]
fn one_sigma_is_the_rate_over_the_root_of_the_count() {
    let mut rate = Hashrate::new(Duration::ZERO);
    for _ in 0..225 {
        rate.record(seconds(300.0), WEIGHT);
    }
    let Estimate { hps, sigma_hps } = rate.estimate(Window::OneHour, seconds(600.0));
    assert_close(hps, 225.0 * WEIGHT / 600.0, 1e-12);
    assert_close(sigma_hps, hps / 15.0, 1e-12);
}

#[test]
fn nonces_of_another_ticket_count_by_their_own_weight() {
    let easy = Target::from_zero_bits(32).expected_hashes();
    let hard = Target::from_zero_bits(40).expected_hashes();
    let mut rate = Hashrate::new(Duration::ZERO);
    for _ in 0..256 {
        rate.record(seconds(1.0), easy);
    }
    rate.record(seconds(1.0), hard);
    let Estimate { hps, sigma_hps } = rate.estimate(Window::OneMinute, seconds(2.0));
    assert_close(hps, hard, 1e-12);
    // The one heavy nonce dominates the error.
    assert_close(sigma_hps, hard * (1.0f64 + 1.0 / 256.0).sqrt() / 2.0, 1e-12);
}

#[test]
fn when_nonces_stop_each_window_forgets_in_its_time() {
    let mut rate = Hashrate::new(Duration::ZERO);
    for i in 1..=3600 {
        rate.record(seconds(f64::from(i)), WEIGHT);
    }
    for window in Window::ALL {
        let end = seconds(3600.0) + window.length();
        assert_eq!(rate.estimate(window, end).hps, 0.0);
        assert!(rate.estimate(window, end).sigma_hps > 0.0);
        let almost = seconds(3600.0) + window.length().mul_f64(0.9);
        assert!(rate.estimate(window, almost).hps > 0.0);
    }
    // And it starts again.
    rate.record(seconds(20_000.0), WEIGHT);
    assert_close(
        rate.estimate(Window::FiveSeconds, seconds(20_000.1)).hps,
        WEIGHT / 4.9,
        1e-9,
    );
}

#[test]
fn before_anything_happened_the_rate_is_zero() {
    let rate = Hashrate::new(seconds(5.0));
    for now in [0.0, 5.0, 6.0, 1e9] {
        for window in Window::ALL {
            assert_eq!(rate.estimate(window, seconds(now)), Estimate::default());
        }
    }
}

#[test]
fn what_is_no_weight_is_ignored() {
    let mut rate = Hashrate::new(Duration::ZERO);
    for weight in [0.0, -1.0, f64::NAN, f64::INFINITY] {
        rate.record(seconds(1.0), weight);
    }
    assert_eq!((rate.nonces(), rate.hashes()), (0, 0.0));
}

#[test]
fn a_stream_of_random_nonces_lies_within_its_stated_error() {
    // A Poisson process by a fixed generator: 20 nonces a second for two minutes, 200 times.
    let mut state = 1u64;
    let mut uniform = move || {
        state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        ((state >> 11) as f64 + 0.5) / (1u64 << 53) as f64
    };
    let mut within = 0;
    for _ in 0..200 {
        let mut rate = Hashrate::new(Duration::ZERO);
        let mut at = 0.0;
        loop {
            at -= uniform().ln() / 20.0;
            if at >= 120.0 {
                break;
            }
            rate.record(seconds(at), WEIGHT);
        }
        let Estimate { hps, sigma_hps } = rate.estimate(Window::OneMinute, seconds(120.0));
        within += u32::from((hps - 20.0 * WEIGHT).abs() <= sigma_hps);
    }
    // 68.3 % on average; 200 tries scatter by 3.3 %.
    assert!(
        (117..=156).contains(&within),
        "{within} of 200 within one sigma"
    );
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn no_times_and_weights_break_it(
        start: u64,
        records in proptest::collection::vec((any::<u64>(), any::<f64>()), 0..50),
        now: u64,
    ) {
        let mut rate = Hashrate::new(Duration::from_nanos(start));
        for (at, weight) in records {
            rate.record(Duration::from_nanos(at), weight);
        }
        for window in Window::ALL {
            for now in [Duration::ZERO, Duration::from_nanos(now), Duration::MAX] {
                let estimate = rate.estimate(window, now);
                prop_assert!(estimate.hps >= 0.0 && estimate.sigma_hps >= 0.0);
            }
        }
    }

    #[test]
    fn all_that_fell_into_the_last_part_of_a_window_is_in_its_estimate(
        gaps in proptest::collection::vec(0.0f64..30.0, 1..200),
    ) {
        let mut rate = Hashrate::new(Duration::ZERO);
        let mut times = Vec::new();
        let mut at = 0.0;
        for gap in gaps {
            at += gap;
            times.push(at);
            rate.record(seconds(at), 1.0);
        }
        for window in Window::ALL {
            let length = window.length().as_secs_f64();
            let Estimate { hps, .. } = rate.estimate(window, seconds(at));
            let count = |from: f64| times.iter().filter(|&&time| time >= from).count() as f64;
            let least = count(at - length * 0.96 + 1e-6) / length.min(at.max(1e-9));
            let most = count(at - length - 1e-6) / (length * 0.96).min(at.max(1e-9));
            prop_assert!(hps >= least * 0.999_999 && hps <= most * 1.000_001 || at == 0.0);
        }
    }
}
