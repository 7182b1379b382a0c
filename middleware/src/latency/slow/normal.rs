//! The distributions that the tests are read from.

use std::f64::consts::PI;

pub(super) use crate::normal::upper_tail;

/// The probability that of `drawn` out of `all`, of which `marked` are marked, at least `found` are marked.
pub(super) fn hypergeometric_upper_tail(all: u64, marked: u64, drawn: u64, found: u64) -> f64 {
    let most = marked.min(drawn);
    let least = drawn.saturating_sub(all - marked);
    if found <= least {
        return 1.0;
    }
    if found > most {
        return 0.0;
    }
    let mut log = ln_choose(marked, found) + ln_choose(all - marked, drawn - found);
    log -= ln_choose(all, drawn);
    let (mut term, mut sum) = (1.0, 1.0);
    for at in found..most {
        let up = (marked - at) as f64 * (drawn - at) as f64;
        // `all - marked - drawn + at + 1`, in an order that stays above 0.
        let down = (at + 1) as f64 * (all - marked + at + 1 - drawn) as f64;
        term *= up / down;
        sum += term;
        // Past the mode terms fall ever faster.
        if term < sum * 1e-17 && up < down {
            break;
        }
    }
    (log + f64::ln(sum)).exp().min(1.0)
}

fn ln_choose(all: u64, some: u64) -> f64 {
    ln_factorial(all) - ln_factorial(some) - ln_factorial(all - some)
}

/// Stirling's series from 16 on (error below 1e-13), a product below.
fn ln_factorial(n: u64) -> f64 {
    if n < 16 {
        return (2..=n).map(|factor| (factor as f64).ln()).sum();
    }
    let x = n as f64;
    let correction = 1.0 / (12.0 * x) - 1.0 / (360.0 * x.powi(3)) + 1.0 / (1_260.0 * x.powi(5));
    x * x.ln() - x + (2.0 * PI * x).ln() / 2.0 + correction
}

#[cfg(test)]
mod tests {
    use super::*;

    /// By counting all ways there are.
    #[test]
    fn tails_of_the_hypergeometric_distribution() {
        let choose =
            |n: u64, k: u64| (1..=k).fold(1.0, |ways, i| ways * (n - k + i) as f64 / i as f64);
        for (all, marked, drawn) in [(20, 5, 8), (50, 3, 25), (40, 30, 35), (30, 0, 10)] {
            for found in 0..=marked.min(drawn) + 1 {
                let ways: f64 = (found..=marked.min(drawn))
                    .filter(|some| drawn - some <= all - marked)
                    .map(|some| choose(marked, some) * choose(all - marked, drawn - some))
                    .sum();
                let wanted = ways / choose(all, drawn);
                let got = hypergeometric_upper_tail(all, marked, drawn, found);
                assert!(
                    (got - wanted).abs() < 1e-9,
                    "{all} {marked} {drawn} {found}: {got} {wanted}"
                );
            }
        }
        // Large numbers: the normal approximation is good there.
        let got = hypergeometric_upper_tail(2_000_000, 100_000, 1_000_000, 50_500);
        close_to(got, upper_tail(499.5 / 23_750.0_f64.sqrt()));
    }

    fn close_to(found: f64, wanted: f64) {
        assert!((found / wanted).ln().abs() < 0.05, "{found} {wanted}");
    }
}
