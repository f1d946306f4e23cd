//! The normal distribution: its integral for shares of cores, draws for differences between parts.

use crate::rng::Rng;

/// Φ(x), by Abramowitz and Stegun 7.1.26; wrong by less than 2e-7.
pub(crate) fn phi(x: f64) -> f64 {
    let z = x.abs() / std::f64::consts::SQRT_2;
    let t = 1.0 / (1.0 + 0.327_591_1 * z);
    let poly = t
        * (0.254_829_592
            + t * (-0.284_496_736
                + t * (1.421_413_741 + t * (-1.453_152_027 + t * 1.061_405_429))));
    let tail = 0.5 * poly * (-z * z).exp();
    if x > 0.0 { 1.0 - tail } else { tail }
}

/// A standard normal draw (Box and Muller).
pub(crate) fn draw(rng: &mut Rng) -> f64 {
    // 1 - unit lies in (0, 1], so that the logarithm is finite.
    let radius = (-2.0 * (1.0 - rng.unit()).ln()).sqrt();
    radius * (std::f64::consts::TAU * rng.unit()).cos()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn phi_matches_tables() {
        for (x, expected) in [
            (-3.0, 0.001_349_9),
            (-1.0, 0.158_655_3),
            (0.0, 0.5),
            (0.5, 0.691_462_5),
            (1.96, 0.975_002_1),
            (3.5, 0.999_767_4),
        ] {
            assert!((phi(x) - expected).abs() < 3e-7, "{x}: {}", phi(x));
        }
    }

    #[test]
    fn draws_have_mean_zero_and_variance_one() {
        let mut rng = Rng::new(3);
        let draws: Vec<f64> = (0..20_000).map(|_| draw(&mut rng)).collect();
        let mean = draws.iter().sum::<f64>() / 20_000.0;
        let variance = draws.iter().map(|x| x * x).sum::<f64>() / 20_000.0;
        assert!(mean.abs() < 0.03 && (variance - 1.0).abs() < 0.05);
    }
}
