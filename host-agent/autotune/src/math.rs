//! The normal distribution and small linear algebra, as far as the fit needs them.

/// Share of a standard normal distribution below `x`.
#[must_use]
pub fn phi(x: f64) -> f64 {
    0.5 * erfc(-x * std::f64::consts::FRAC_1_SQRT_2)
}

/// Density of the standard normal distribution.
#[must_use]
pub fn density(x: f64) -> f64 {
    (-0.5 * x * x).exp() * 0.398_942_280_401_432_7
}

/// Where the standard normal distribution has the share `p` below; held to 1e-12..1-1e-12. By bisection, for rare use.
#[must_use]
pub fn quantile(p: f64) -> f64 {
    let p = if p.is_finite() { p } else { 0.5 };
    let p = p.clamp(1e-12, 1.0 - 1e-12);
    let (mut low, mut high) = (-8.0, 8.0);
    for _ in 0..60 {
        let mid = 0.5 * (low + high);
        if phi(mid) < p {
            low = mid;
        } else {
            high = mid;
        }
    }
    0.5 * (low + high)
}

/// Complementary error function, relative error below 1.2e-7 (Chebyshev fit of Numerical Recipes, 2nd edition, 6.2).
fn erfc(x: f64) -> f64 {
    const C: [f64; 10] = [
        -1.265_512_23,
        1.000_023_68,
        0.374_091_96,
        0.096_784_18,
        -0.186_288_06,
        0.278_868_07,
        -1.135_203_98,
        1.488_515_87,
        -0.822_152_23,
        0.170_872_77,
    ];
    let z = x.abs();
    let t = 1.0 / (1.0 + 0.5 * z);
    let poly = C.iter().rev().fold(0.0, |sum, c| sum * t + c);
    let value = t * (-z * z + poly).exp();
    if x >= 0.0 { value } else { 2.0 - value }
}

/// A symmetric positive matrix of fixed small size, row by row.
pub(crate) type Square<const N: usize> = [[f64; N]; N];

/// Inverse of a symmetric positive definite matrix by Cholesky; none if it is not one.
// Indices are the language of matrices.
#[allow(clippy::needless_range_loop)]
pub(crate) fn inverse<const N: usize>(a: &Square<N>) -> Option<Square<N>> {
    let mut l = [[0.0; N]; N];
    for i in 0..N {
        for j in 0..=i {
            let dot: f64 = (0..j).map(|k| l[i][k] * l[j][k]).sum();
            if i == j {
                let rest = a[i][i] - dot;
                if rest.is_nan() || rest <= 0.0 {
                    return None;
                }
                l[i][i] = rest.sqrt();
            } else {
                l[i][j] = (a[i][j] - dot) / l[j][j];
            }
        }
    }
    let mut out = [[0.0; N]; N];
    for column in 0..N {
        let mut y = [0.0; N];
        for i in 0..N {
            let unit = if i == column { 1.0 } else { 0.0 };
            let dot: f64 = (0..i).map(|k| l[i][k] * y[k]).sum();
            y[i] = (unit - dot) / l[i][i];
        }
        for i in (0..N).rev() {
            let dot: f64 = (i + 1..N).map(|k| l[k][i] * out[k][column]).sum();
            out[i][column] = (y[i] - dot) / l[i][i];
        }
    }
    Some(out)
}

/// The same for a matrix of any small size, row by row.
pub(crate) fn inverse_of(a: &[f64], n: usize) -> Option<Vec<f64>> {
    if a.len() != n * n {
        return None;
    }
    let mut l = vec![0.0; n * n];
    for i in 0..n {
        for j in 0..=i {
            let dot: f64 = (0..j).map(|k| l[i * n + k] * l[j * n + k]).sum();
            let rest = a[i * n + j] - dot;
            if i == j {
                if rest.is_nan() || rest <= 0.0 {
                    return None;
                }
                l[i * n + i] = rest.sqrt();
            } else {
                l[i * n + j] = rest / l[j * n + j];
            }
        }
    }
    let mut out = vec![0.0; n * n];
    let mut y = vec![0.0; n];
    for column in 0..n {
        for i in 0..n {
            let unit = if i == column { 1.0 } else { 0.0 };
            let dot: f64 = (0..i).map(|k| l[i * n + k] * y[k]).sum();
            y[i] = (unit - dot) / l[i * n + i];
        }
        for i in (0..n).rev() {
            let dot: f64 = (i + 1..n).map(|k| l[k * n + i] * out[k * n + column]).sum();
            out[i * n + column] = (y[i] - dot) / l[i * n + i];
        }
    }
    Some(out)
}

/// `a · b`.
pub(crate) fn dot<const N: usize>(a: &[f64; N], b: &[f64; N]) -> f64 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}

/// `m · v`.
pub(crate) fn times<const N: usize>(m: &Square<N>, v: &[f64; N]) -> [f64; N] {
    std::array::from_fn(|i| dot(&m[i], v))
}

/// `vᵀ · m · v`.
pub(crate) fn quadratic<const N: usize>(m: &Square<N>, v: &[f64; N]) -> f64 {
    dot(v, &times(m, v))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn normal_distribution_matches_tables() {
        for (x, expected) in [
            (-3.0, 0.001_349_9),
            (-1.0, 0.158_655_3),
            (1.96, 0.975_002_1),
        ] {
            assert!((phi(x) - expected).abs() < 2e-7);
            assert!((quantile(expected) - x).abs() < 1e-4);
        }
        assert!((density(1.0) - 0.241_970_7).abs() < 1e-7);
    }

    #[test]
    #[allow(clippy::needless_range_loop)]
    fn inverse_times_the_matrix_is_one() {
        let a = [[4.0, 1.0, 0.5], [1.0, 3.0, 0.2], [0.5, 0.2, 2.0]];
        let b = inverse(&a).unwrap();
        for (i, row) in a.iter().enumerate() {
            for j in 0..3 {
                let sum: f64 = (0..3).map(|k| row[k] * b[k][j]).sum();
                assert!((sum - f64::from(u8::from(i == j))).abs() < 1e-12);
            }
        }
        assert!(inverse(&[[1.0, 2.0], [2.0, 1.0]]).is_none());
        let flat: Vec<f64> = a.iter().flatten().copied().collect();
        let of_any_size = inverse_of(&flat, 3).unwrap();
        for (i, value) in of_any_size.iter().enumerate() {
            assert!((value - b[i / 3][i % 3]).abs() < 1e-12);
        }
        assert!(inverse_of(&[1.0, 2.0, 2.0, 1.0], 2).is_none());
    }
}
