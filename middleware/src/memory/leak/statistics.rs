//! Trend statistics that stand outliers and make no assumption about the noise.

use crate::normal::upper_tail;

/// A trend of evenly spaced values.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Trend {
    /// Theil-Sen: the median of the slopes of all pairs (Sen 1968), a step.
    pub(super) slope: f64,
    /// Lower end of its 95 % confidence interval.
    pub(super) low: f64,
    /// Upper end.
    pub(super) high: f64,
    /// One-sided probability of as much rise by chance (Mann-Kendall), corrected for autocorrelation.
    pub(super) p_rising: f64,
    /// Robust standard deviation of the values around the trend.
    pub(super) noise: f64,
}

/// Two-sided 95 %.
const Z95: f64 = 1.959_964;
/// Deviations from the median to standard deviations, of normal noise.
const MAD_TO_SD: f64 = 1.4826;
/// Values in a part, of which the mean is taken to see how noise walks: the fewer the more parts there are, the more the less of
/// what is quick is left.
const WALKING_PARTS: [usize; 3] = [3, 6, 9];
/// Least rise over a walk's: so many of its standard deviations, as the values themselves tell it ...
const LEAST_OVER_WALK: f64 = 4.0;
/// ... and as the past does, which has more of it and is there in all but the first hours.
const LEAST_OVER_PAST_WALK: f64 = 4.5;

/// Theil-Sen and Mann-Kendall over `values`, `None` below four.
///
/// Autocorrelation makes chance rises more likely than Mann-Kendall thinks: its variance is corrected after Hamed and Rao
/// (1998), from the ranks of what is left when the trend is taken away. Lags that the correction would lessen the variance by
/// are left out: the noise of a process's memory does not alternate.
pub(super) fn trend(values: &[f64]) -> Option<Trend> {
    let n = values.len();
    if n < 4 {
        return None;
    }
    let mut slopes = Vec::with_capacity(n * (n - 1) / 2);
    let mut score = 0_i64;
    for (at, value) in values.iter().enumerate() {
        for (gap, later) in values[at + 1..].iter().enumerate() {
            slopes.push((later - value) / (gap + 1) as f64);
            score += i64::from(later > value) - i64::from(later < value);
        }
    }
    let slope = median_of(&mut slopes);
    let residuals: Vec<f64> = values
        .iter()
        .enumerate()
        .map(|(at, value)| value - slope * at as f64)
        .collect();
    let variance = score_variance(values) * correction(&residuals);
    let z = match score {
        0 => 0.0,
        _ => (score - score.signum()) as f64 / variance.max(1e-9).sqrt(),
    };
    let reach = Z95 * variance.sqrt();
    let pairs = slopes.len() as f64;
    let mut rank = |rank: f64| {
        let at = rank.clamp(0.0, pairs - 1.0) as usize;
        *slopes.select_nth_unstable_by(at, f64::total_cmp).1
    };
    Some(Trend {
        slope,
        low: rank(((pairs - reach) / 2.0).floor()).min(slope),
        high: rank(((pairs + reach) / 2.0).ceil()).max(slope),
        p_rising: upper_tail(z),
        noise: spread(&residuals),
    })
}

/// Variance of Mann-Kendall's score, ties taken into account (Kendall 1975).
fn score_variance(values: &[f64]) -> f64 {
    let term = |n: f64| n * (n - 1.0) * (2.0 * n + 5.0);
    let mut sorted = values.to_vec();
    sorted.sort_unstable_by(f64::total_cmp);
    let ties: f64 = sorted
        .chunk_by(|a, b| a == b)
        .map(|tied| term(tied.len() as f64))
        .sum();
    (term(values.len() as f64) - ties) / 18.0
}

/// By how much autocorrelation widens the score's variance (Hamed and Rao 1998, equation 10).
fn correction(residuals: &[f64]) -> f64 {
    let n = residuals.len();
    let ranks = ranks(residuals);
    let mean = ranks.iter().sum::<f64>() / n as f64;
    let centred: Vec<f64> = ranks.iter().map(|rank| rank - mean).collect();
    let total: f64 = centred.iter().map(|rank| rank * rank).sum();
    if total <= 0.0 {
        return 1.0;
    }
    let significant = Z95 / (n as f64).sqrt();
    let mut sum = 0.0;
    for lag in 1..n - 2 {
        let products = centred.iter().zip(&centred[lag..]);
        let correlation = products.map(|(a, b)| a * b).sum::<f64>() / total;
        // Beyond the first lag that says nothing comes what the detrending itself makes.
        if correlation < significant {
            break;
        }
        let left = (n - lag) as f64;
        sum += left * (left - 1.0) * (left - 2.0) * correlation;
    }
    let n = n as f64;
    1.0 + 2.0 / (n * (n - 1.0) * (n - 2.0)) * sum
}

/// Whether a `rise` over `values` is more than noise walks by itself, by what it did in them and in their `past`, which they end.
///
/// What noise of a long correlation time gives cannot be told from a trend by autocorrelations: a window has too few of them. So
/// none is estimated. The worst is taken instead, a random walk whose steps are those of the means of parts; slower than that no
/// noise is, and of quicker noise a mean leaves little. Over `n` steps, the least-squares rise of such a walk has a variance of 6/5
/// `n` times that of a step. What rises evenly has steps that are alike, however large: their mean is no part of their variance.
pub(super) fn is_over_walk(rise: f64, values: &[f64], past: &[f64]) -> bool {
    let has_past = past.len() * 2 > values.len() * 3;
    WALKING_PARTS.iter().all(|part| {
        let reach = (1.2 * (values.len() / part) as f64).sqrt();
        rise >= LEAST_OVER_WALK * reach * deviation(&steps(values, *part))
            // A day may have held a step or a start that filled something: its typical steps.
            && (!has_past || rise >= LEAST_OVER_PAST_WALK * reach * spread(&steps(past, *part)))
    })
}

/// From the mean of `part` values to that of the next.
fn steps(values: &[f64], part: usize) -> Vec<f64> {
    let means: Vec<f64> = values
        .rchunks_exact(part)
        .rev()
        .map(|part| part.iter().sum::<f64>() / part.len() as f64)
        .collect();
    means.windows(2).map(|pair| pair[1] - pair[0]).collect()
}

/// Standard deviation, 0 below two.
fn deviation(values: &[f64]) -> f64 {
    let n = values.len() as f64;
    let mean = values.iter().sum::<f64>() / n.max(1.0);
    let squares: f64 = values.iter().map(|value| (value - mean).powi(2)).sum();
    (squares / (n - 1.0).max(1.0)).sqrt()
}

/// Ranks from 1, ties sharing their mean.
fn ranks(values: &[f64]) -> Vec<f64> {
    let mut order: Vec<usize> = (0..values.len()).collect();
    order.sort_unstable_by(|a, b| values[*a].total_cmp(&values[*b]));
    let mut ranks = vec![0.0; values.len()];
    let mut before = 0;
    for tied in order.chunk_by(|a, b| values[*a] == values[*b]) {
        let rank = before as f64 + (tied.len() as f64 + 1.0) / 2.0;
        tied.iter().for_each(|at| ranks[*at] = rank);
        before += tied.len();
    }
    ranks
}

/// Robust standard deviation: from the median of the deviations from the median.
fn spread(values: &[f64]) -> f64 {
    let centre = median(values);
    let deviations: Vec<f64> = values.iter().map(|value| (value - centre).abs()).collect();
    MAD_TO_SD * median(&deviations)
}

/// The median, 0 of nothing.
pub(super) fn median(values: &[f64]) -> f64 {
    median_of(&mut values.to_vec())
}

/// Selects rather than sorts: a verdict looks at thousands of slopes.
fn median_of(values: &mut [f64]) -> f64 {
    let n = values.len();
    if n == 0 {
        return 0.0;
    }
    let (below, upper, _) = values.select_nth_unstable_by(n / 2, f64::total_cmp);
    let upper = *upper;
    if n % 2 == 1 {
        return upper;
    }
    let lower = below.iter().copied().max_by(f64::total_cmp);
    f64::midpoint(lower.unwrap_or(upper), upper)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn noise(seed: u64, n: usize, autocorrelation: f64) -> Vec<f64> {
        let mut state = seed;
        let mut next = || {
            state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
            let mut z = state;
            z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
            z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
            ((z ^ (z >> 31)) >> 11) as f64 / (1_u64 << 53) as f64
        };
        // Twelve uniform numbers are nearly normal.
        let mut normal = || (0..12).map(|_| next()).sum::<f64>() - 6.0;
        let mut last = normal();
        let scale = (1.0 - autocorrelation * autocorrelation).sqrt();
        (0..n)
            .map(|_| {
                last = autocorrelation * last + scale * normal();
                last
            })
            .collect()
    }

    #[test]
    fn a_line_is_found_exactly() {
        let line: Vec<f64> = (0..20).map(|n| 5.0 + 2.0 * f64::from(n)).collect();
        let found = trend(&line).unwrap();
        assert!((found.slope - 2.0).abs() < 1e-12 && found.noise < 1e-9);
        assert!(found.low > 1.99 && found.high < 2.01 && found.p_rising < 1e-8);
        let falling: Vec<f64> = line.iter().rev().copied().collect();
        assert!(trend(&falling).unwrap().p_rising > 0.999);
        assert_eq!(trend(&line[..3]), None);
    }

    #[test]
    fn equal_values_have_no_trend() {
        let found = trend(&[7.0; 30]).unwrap();
        assert_eq!((found.slope, found.noise), (0.0, 0.0));
        assert!((found.p_rising - 0.5).abs() < 1e-6);
    }

    #[test]
    fn outliers_do_not_turn_the_slope() {
        let mut line: Vec<f64> = (0..40).map(f64::from).collect();
        for at in [3, 17, 18, 30] {
            line[at] += 1e6;
        }
        let found = trend(&line).unwrap();
        assert!((found.slope - 1.0).abs() < 0.05, "{found:?}");
    }

    /// Not as seldom as 1 %: what the series itself tells of its autocorrelation is too little. Without the correction it would be
    /// twice as often and more; the verdict asks for much less chance, and for more than chance.
    #[test]
    fn correlated_noise_is_seldom_called_a_trend() {
        let rate = |autocorrelation: f64, p: f64| {
            let called = (0..2_000)
                .filter(|seed| trend(&noise(*seed, 45, autocorrelation)).unwrap().p_rising < p);
            called.count() as f64 / 2_000.0
        };
        assert!(rate(0.0, 0.01) < 0.02, "{}", rate(0.0, 0.01));
        assert!(rate(0.5, 0.01) < 0.06, "{}", rate(0.5, 0.01));
        let uncorrected = (0..2_000).filter(|seed| {
            let values = noise(*seed, 45, 0.5);
            let mut score = 0_i64;
            for (at, value) in values.iter().enumerate() {
                for later in &values[at + 1..] {
                    score += i64::from(later > value) - i64::from(later < value);
                }
            }
            upper_tail(score as f64 / score_variance(&values).sqrt()) < 0.01
        });
        assert!(
            uncorrected.count() > 140,
            "the noise is no test of the correction"
        );
    }

    /// A walk's own rises, as large as they may be, are not over it; an even one in quick noise is, also after a step long ago.
    #[test]
    fn a_walk_is_seldom_over_itself_and_a_line_in_quick_noise_is() {
        let rises = |values: &[f64]| trend(values).unwrap().slope * values.len() as f64;
        let (mut risen, mut over) = (0, 0);
        for seed in 0..2_000 {
            let mut at = 0.0;
            let walk: Vec<f64> = noise(seed, 240, 0.0)
                .into_iter()
                .map(|step| {
                    at += step;
                    at
                })
                .collect();
            let values = &walk[240 - 57..];
            risen += u32::from(trend(values).unwrap().p_rising < 1e-3);
            over += u32::from(is_over_walk(rises(values), values, &walk));
        }
        assert!(risen > 200, "the walks are no test: {risen}");
        assert!(over <= 1, "{over} of 2000");
        let found = (0..200).filter(|seed| {
            let line: Vec<f64> = noise(*seed, 240, 0.0)
                .into_iter()
                .enumerate()
                .map(|(at, noise)| if at < 100 { -500.0 } else { at as f64 } + noise)
                .collect();
            let values = &line[240 - 57..];
            is_over_walk(rises(values), values, &line)
        });
        assert_eq!(found.count(), 200);
    }

    #[test]
    fn the_interval_of_the_slope_holds_the_truth_as_often_as_it_says() {
        let held = (0..1_000).filter(|seed| {
            let values: Vec<f64> = noise(*seed, 48, 0.0)
                .iter()
                .enumerate()
                .map(|(at, noise)| 0.1 * at as f64 + noise)
                .collect();
            let found = trend(&values).unwrap();
            found.low <= 0.1 && 0.1 <= found.high
        });
        let held = held.count();
        assert!((920..=985).contains(&held), "{held}");
    }

    proptest! {
        #[test]
        fn whatever_the_values_the_figures_are_in_order(values in proptest::collection::vec(0.0_f64..1e15, 4..60)) {
            let found = trend(&values).unwrap();
            prop_assert!(found.low <= found.slope && found.slope <= found.high, "{:?}", found);
            prop_assert!((0.0..=1.0).contains(&found.p_rising) && found.noise >= 0.0);
        }
    }
}
