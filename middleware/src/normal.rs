//! The normal distribution, from which tests of trends and of differences are read.

use std::f64::consts::PI;

/// The probability that a standard normal value is `z` or more.
///
/// By Laplace's continued fraction from 2 on, and by the series around 0 below; both exact to some 14 digits, far tails included.
pub(crate) fn upper_tail(z: f64) -> f64 {
    if z.is_nan() {
        return 1.0;
    }
    if z < 0.0 {
        return 1.0 - upper_tail(-z);
    }
    let density = (-z * z / 2.0).exp() / (2.0 * PI).sqrt();
    if z >= 2.0 {
        let mut fraction = z;
        for step in (1..=120).rev() {
            fraction = z + f64::from(step) / fraction;
        }
        return density / fraction;
    }
    let (mut term, mut sum, mut divisor) = (z, z, 1.0);
    while term > sum * 1e-17 {
        divisor += 2.0;
        term *= z * z / divisor;
        sum += term;
    }
    0.5 - density * sum
}

#[cfg(test)]
mod tests {
    use super::*;

    fn close(found: f64, wanted: f64) {
        assert!((found / wanted - 1.0).abs() < 1e-9, "{found} {wanted}");
    }

    /// Against tables: NIST/SEMATECH e-Handbook, and any statistics package.
    #[test]
    fn tails_of_the_normal_distribution() {
        close(upper_tail(0.0), 0.5);
        close(upper_tail(1.0), 0.158_655_253_931_457_05);
        close(upper_tail(1.959_963_984_540_054), 0.025);
        close(upper_tail(2.0), 0.022_750_131_948_179_2);
        close(upper_tail(3.0), 0.001_349_898_031_630_094_6);
        close(upper_tail(6.0), 9.865_876_450_376_946e-10);
        close(upper_tail(-1.0), 0.841_344_746_068_542_9);
        assert_eq!(upper_tail(f64::NAN), 1.0);
    }
}
