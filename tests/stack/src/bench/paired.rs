//! Paired rounds: what is compared runs side by side, in shuffled order, so that a machine that slows down for a while
//! slows down both.

/// Rounds of a comparison.
pub const ROUNDS: usize = 10;

/// A median with its 90 % interval.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Interval {
    /// The median.
    pub value: f64,
    /// Lower end.
    pub low: f64,
    /// Upper end.
    pub high: f64,
}

impl Interval {
    /// The same in another unit.
    #[must_use]
    pub fn map(self, convert: impl Fn(f64) -> f64) -> Self {
        Self {
            value: convert(self.value),
            low: convert(self.low),
            high: convert(self.high),
        }
    }
}

/// A thing that is measured; answers one reading.
pub type Reading<'a, E> = Box<dyn FnMut() -> Result<f64, E> + 'a>;

/// The quotients `ours / peer` of [`ROUNDS`] paired rounds. `seed` shuffles which of the two goes first, repeatably.
///
/// # Errors
/// What a measurement answers first.
pub fn paired<E>(
    seed: u64,
    ours: impl FnMut() -> Result<f64, E>,
    peer: impl FnMut() -> Result<f64, E>,
) -> Result<Interval, E> {
    let readings = rounds(seed, &mut [Box::new(ours), Box::new(peer)])?;
    Ok(interval(&quotients(&readings[0], &readings[1])))
}

/// The quotients of two columns, round by round.
#[must_use]
pub fn quotients(ours: &[f64], peer: &[f64]) -> Vec<f64> {
    ours.iter().zip(peer).map(|(a, b)| a / b).collect()
}

/// [`ROUNDS`] rounds in which each of `measured` is read once, in an order that `seed` shuffles anew every round,
/// repeatably. Answers one column of readings for each.
///
/// # Errors
/// What a measurement answers first.
pub fn rounds<E>(seed: u64, measured: &mut [Reading<'_, E>]) -> Result<Vec<Vec<f64>>, E> {
    let mut state = seed;
    let mut columns = vec![Vec::with_capacity(ROUNDS); measured.len()];
    let mut order: Vec<usize> = (0..measured.len()).collect();
    for _ in 0..ROUNDS {
        // Fisher and Yates.
        for last in (1..order.len()).rev() {
            #[expect(clippy::cast_possible_truncation, reason = "below a handful")]
            let other = (next(&mut state) % (last as u64 + 1)) as usize;
            order.swap(last, other);
        }
        for &which in &order {
            columns[which].push(measured[which]()?);
        }
    }
    Ok(columns)
}

/// Median and distribution-free 90 % interval of a sample: order statistics, interpolated between the two depths whose
/// binomial confidence lies around 90 % (Hettmansperger and Sheather, 1986). All three are NaN for an empty sample.
#[must_use]
pub fn interval(sample: &[f64]) -> Interval {
    let mut sorted = sample.to_vec();
    sorted.sort_by(f64::total_cmp);
    let n = sorted.len();
    if n == 0 {
        return Interval {
            value: f64::NAN,
            low: f64::NAN,
            high: f64::NAN,
        };
    }
    let value = f64::midpoint(sorted[(n - 1) / 2], sorted[n / 2]);
    // Confidence of the interval between the d-th smallest and the d-th largest.
    let confidence =
        |depth: usize| 1.0 - 2.0 * (0..depth).map(|k| binomial_half(n, k)).sum::<f64>();
    let mut depth = 1;
    while depth < n.div_ceil(2) && confidence(depth + 1) >= 0.9 {
        depth += 1;
    }
    let (wide, narrow) = (confidence(depth), confidence(depth + 1));
    // A small sample does not reach 90 %: its whole range is all that can be said.
    let share = if depth < n.div_ceil(2) && wide > 0.9 {
        let outer = (wide - 0.9) / (wide - narrow);
        #[expect(
            clippy::cast_precision_loss,
            reason = "a sample has a handful of rounds"
        )]
        let (n, d) = (n as f64, depth as f64);
        (n - d) * outer / (d + (n - 2.0 * d) * outer)
    } else {
        0.0
    };
    let towards = |outer: f64, inner: f64| outer + share * (inner - outer);
    let inner = depth.min(n - 1);
    Interval {
        value,
        low: towards(sorted[depth - 1], sorted[inner].min(value)),
        high: towards(sorted[n - depth], sorted[n - 1 - inner].max(value)),
    }
}

/// The probability of k heads in n throws.
fn binomial_half(n: usize, k: usize) -> f64 {
    #[expect(
        clippy::cast_precision_loss,
        reason = "a sample has a handful of rounds"
    )]
    (0..n).fold(1.0, |product, i| {
        let factor = if i < k {
            (n - i) as f64 / (k - i) as f64
        } else {
            1.0
        };
        product * factor * 0.5
    })
}

/// `SplitMix64` (Steele, Lea, Flood, 2014): good enough to shuffle.
fn next(state: &mut u64) -> u64 {
    *state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let mut z = *state;
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ten_rounds_give_an_interval_between_the_second_and_third_from_either_end() {
        let sample: Vec<f64> = (1..=10).rev().map(f64::from).collect();
        let found = interval(&sample);
        assert!((found.value - 5.5).abs() < 1e-12);
        // The 2nd and 9th bound 97.9 %, the 3rd and 8th 89.1 %.
        assert!(found.low > 2.0 && found.low < 3.0, "{found:?}");
        assert!((found.low + found.high - 11.0).abs() < 1e-9, "{found:?}");
        assert!(found.low > 2.8, "90 % lies close to the third: {found:?}");
    }

    #[test]
    fn the_interval_holds_the_median_nine_times_of_ten() {
        // Uniform noise around 1: the true median is 1.
        let (mut state, mut held) = (7, 0);
        for _ in 0..4_000 {
            #[expect(clippy::cast_precision_loss, reason = "noise")]
            let sample: Vec<f64> = (0..10)
                .map(|_| 0.5 + (next(&mut state) >> 11) as f64 / (1_u64 << 53) as f64)
                .collect();
            let found = interval(&sample);
            held += i32::from(found.low <= 1.0 && 1.0 <= found.high);
        }
        let share = f64::from(held) / 4_000.0;
        assert!((0.88..0.92).contains(&share), "{share}");
    }

    #[test]
    fn small_samples_answer_their_range() {
        assert_eq!(
            interval(&[3.0]),
            Interval {
                value: 3.0,
                low: 3.0,
                high: 3.0
            }
        );
        assert_eq!(
            interval(&[2.0, 4.0]),
            Interval {
                value: 3.0,
                low: 2.0,
                high: 4.0
            }
        );
        assert!(interval(&[]).value.is_nan());
    }

    #[test]
    fn both_orders_occur_and_every_round_is_a_pair() {
        let order = std::cell::RefCell::new(Vec::new());
        let take = |name: char, value: f64| {
            let order = &order;
            move || {
                order.borrow_mut().push(name);
                Ok::<_, ()>(value)
            }
        };
        let found = paired(1, take('a', 3.0), take('b', 2.0)).unwrap();
        assert_eq!(
            found,
            Interval {
                value: 1.5,
                low: 1.5,
                high: 1.5
            }
        );
        let order = order.into_inner();
        assert_eq!(order.len(), 2 * ROUNDS);
        let first: Vec<char> = order.chunks(2).map(|pair| pair[0]).collect();
        assert!(first.contains(&'a') && first.contains(&'b'));
        assert!(order.chunks(2).all(|pair| pair[0] != pair[1]));
    }
}
