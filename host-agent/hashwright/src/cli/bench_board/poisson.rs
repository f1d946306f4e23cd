//! What counts prove: exact probabilities of Poisson counts and exact bounds of their rate, which hold for
//! three nonces as for three million. Pure.

/// Natural logarithm of the gamma function for positive `x` (Lanczos, g = 7, n = 9), good to 14 digits.
fn ln_gamma(x: f64) -> f64 {
    const G: f64 = 7.0;
    const C: [f64; 9] = [
        0.999_999_999_999_809_9,
        676.520_368_121_885_1,
        -1_259.139_216_722_402_8,
        771.323_428_777_653_1,
        -176.615_029_162_140_6,
        12.507_343_278_686_905,
        -0.138_571_095_265_720_12,
        9.984_369_578_019_572e-6,
        1.505_632_735_149_311_6e-7,
    ];
    let x = x - 1.0;
    let mut sum = C[0];
    for (index, c) in C.iter().enumerate().skip(1) {
        sum += c / (x + index as f64);
    }
    let t = x + G + 0.5;
    0.5 * (2.0 * std::f64::consts::PI).ln() + (x + 0.5) * t.ln() - t + sum.ln()
}

/// Regularised upper incomplete gamma function Q(a, x), for a > 0 and x >= 0.
fn gamma_q(a: f64, x: f64) -> f64 {
    if x <= 0.0 {
        return 1.0;
    }
    let front = (a * x.ln() - x - ln_gamma(a)).exp();
    // Enough terms for any a: both converge within some times its root near x = a.
    let terms = 200 + (30.0 * a.max(x).sqrt()) as usize;
    if x < a + 1.0 {
        let (mut term, mut sum) = (1.0 / a, 1.0 / a);
        for n in 1..terms {
            term *= x / (a + n as f64);
            sum += term;
            if term < sum * 1e-16 {
                break;
            }
        }
        (1.0 - front * sum).clamp(0.0, 1.0)
    } else {
        // Lentz's continued fraction.
        const TINY: f64 = 1e-300;
        let mut b = x + 1.0 - a;
        let mut c = 1.0 / TINY;
        let mut d = 1.0 / b;
        let mut h = d;
        for n in 1..terms {
            let an = -(n as f64) * (n as f64 - a);
            b += 2.0;
            d = an * d + b;
            d = 1.0 / if d.abs() < TINY { TINY } else { d };
            c = b + an / c;
            if c.abs() < TINY {
                c = TINY;
            }
            let step = d * c;
            h *= step;
            if (step - 1.0).abs() < 1e-15 {
                break;
            }
        }
        (front * h).clamp(0.0, 1.0)
    }
}

/// Probability of at most `count` events where `mean` are expected.
#[must_use]
pub fn at_most(count: u64, mean: f64) -> f64 {
    gamma_q(count as f64 + 1.0, mean.max(0.0))
}

/// Probability of at least `count` events where `mean` are expected.
#[must_use]
pub fn at_least(count: u64, mean: f64) -> f64 {
    match count.checked_sub(1) {
        None => 1.0,
        Some(less) => 1.0 - at_most(less, mean),
    }
}

/// The greatest mean that `count` events leave possible: a greater one gives so few with a probability below
/// `error` (Garwood's exact bound).
#[must_use]
pub fn upper(count: u64, error: f64) -> f64 {
    let enough = |mean: f64| at_most(count, mean) <= error;
    let mut high = count as f64 + 10.0;
    while !enough(high) {
        high *= 2.0;
    }
    bisect(count as f64, high, enough)
}

/// The least mean that `count` events leave possible.
#[must_use]
pub fn lower(count: u64, error: f64) -> f64 {
    if count == 0 {
        return 0.0;
    }
    bisect(0.0, count as f64, |mean| at_least(count, mean) >= error)
}

/// The place between two ends from which on something is so.
fn bisect(mut low: f64, mut high: f64, is: impl Fn(f64) -> bool) -> f64 {
    for _ in 0..100 {
        let middle = f64::midpoint(low, high);
        if is(middle) {
            high = middle;
        } else {
            low = middle;
        }
        if high - low < 1e-9 * high.max(1e-9) {
            break;
        }
    }
    f64::midpoint(low, high)
}

/// The share of what is expected that a chip may do at most to be found below `tolerance` of it with the
/// probability `power`, where `expected` events are expected and one false alarm in `1 / error` is allowed;
/// none if not even a dead one would be found.
#[must_use]
pub fn least_found(expected: f64, tolerance: f64, error: f64, power: f64) -> Option<f64> {
    let null = expected * tolerance;
    if at_most(0, null) > error {
        return None;
    }
    // The most events that are too few.
    let (mut few, mut many) = (0, expected.ceil() as u64 + 1);
    while many - few > 1 {
        let middle = u64::midpoint(few, many);
        if at_most(middle, null) <= error {
            few = middle;
        } else {
            many = middle;
        }
    }
    let missed = |share: f64| at_most(few, expected * share) < power;
    Some(bisect(0.0, tolerance, missed))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn near(one: f64, other: f64) {
        assert!((one / other - 1.0).abs() < 1e-3, "{one} is not {other}");
    }

    #[test]
    fn probabilities_agree_with_their_sums() {
        for mean in [0.3_f64, 4.0, 60.0] {
            let (mut term, mut sum) = ((-mean).exp(), 0.0);
            for count in 0..80_u64 {
                sum += term;
                assert!((at_most(count, mean) - sum).abs() < 1e-10, "{count} {mean}");
                term *= mean / (count + 1) as f64;
            }
        }
        assert_eq!(at_least(0, 3.0), 1.0);
        near(at_least(1, 0.01), 1.0 - (-0.01_f64).exp());
    }

    #[test]
    fn bounds_are_those_of_the_tables() {
        // Garwood 1936: two-sided 95 %.
        near(upper(0, 0.025), 3.689);
        near(lower(1, 0.025), 0.0253);
        near(upper(1, 0.025), 5.572);
        near(lower(10, 0.025), 4.795);
        near(upper(10, 0.025), 18.39);
        near(lower(50, 0.025), 37.11);
        near(upper(50, 0.025), 65.92);
        assert_eq!(lower(0, 0.025), 0.0);
    }

    #[test]
    fn great_counts_become_normal() {
        let (count, sigmas) = (1_000_000, 1.959_964);
        near(upper(count, 0.025) - 1e6, sigmas * 1e3);
        near(1e6 - lower(count, 0.025), sigmas * 1e3);
    }

    #[test]
    fn bounds_mean_what_they_say() {
        for count in [0, 3, 200, 40_000] {
            near(at_most(count, upper(count, 1e-4)), 1e-4);
            if count > 0 {
                near(at_least(count, lower(count, 1e-4)), 1e-4);
            }
        }
    }

    #[test]
    fn longer_tests_find_smaller_losses() {
        assert_eq!(least_found(3.0, 0.95, 1e-4, 0.9), None);
        let short = least_found(300.0, 0.95, 1e-4, 0.9).unwrap();
        let long = least_found(30_000.0, 0.95, 1e-4, 0.9).unwrap();
        assert!(short < 0.75 && long > 0.91 && long < 0.95, "{short} {long}");
        // By the normal approximation: 3.72 and 1.28 standard deviations.
        assert!((long - (0.95 - (3.72 + 1.28) * (0.95_f64 / 30_000.0).sqrt())).abs() < 2e-3);
    }
}
