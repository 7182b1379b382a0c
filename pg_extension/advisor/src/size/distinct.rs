//! From how often keys occur in a sample of rows to how often they occur in the table.

use std::collections::HashMap;

use super::Group;

/// A key seen this often in a sample is its own group; the others are taken together.
const FREQUENT: u64 = 10;
/// Keys of more rows on average are taken to have as many each.
const MANY: f64 = 300.0;
/// Group sizes that are told apart among the others.
const MAX_SIZES: u32 = 20_000;

/// How often each key of a sample was seen.
#[derive(Debug, Clone, Default)]
pub struct Frequencies {
    seen: HashMap<u64, (u64, f64)>,
    rows: u64,
}

impl Frequencies {
    /// Counts one row with this key, by its hash, and the bytes of its index tuple.
    pub fn add(&mut self, key: u64, tuple: f64) {
        let entry = self.seen.entry(key).or_insert((0, tuple));
        entry.0 += 1;
        self.rows += 1;
    }

    /// Rows counted.
    pub fn rows(&self) -> u64 {
        self.rows
    }

    /// Whether the keys that are not frequent occur unevenly often, and make up a part that counts: how many there are can then be told
    /// roughly at best.
    pub fn is_uneven(&self) -> bool {
        /// Squared coefficient of variation.
        const UNEVEN: f64 = 0.5;
        const PART: f64 = 0.1;
        let mut others = Others::default();
        for (count, tuple) in self.seen.values().filter(|(count, _)| *count < FREQUENT) {
            others.add(*count as f64, *tuple);
        }
        let rows = self.rows as f64;
        if others.rows < PART * rows {
            return false;
        }
        // Of an endless table: what it is in one is no less.
        let unseen = others.once / others.rows;
        let first = others.keys / (1.0 - unseen).max(f64::MIN_POSITIVE);
        let variation = first * others.pairs / (others.rows * others.rows) - 1.0;
        unseen < 1.0 - 1e-9 && variation > UNEVEN
    }

    /// Different keys among them.
    pub fn distinct(&self) -> usize {
        self.seen.len()
    }
}

/// The keys of a table with `rows` rows of which `seen` is a sample of single rows (not of whole pages).
///
/// Keys that the sample shows often stand for themselves. The number of the others is Haas and Stokes' estimate `Duj2a`: what
/// ANALYZE uses, corrected for keys that are unevenly frequent. Their frequencies are taken to be gamma-distributed, so that
/// the rows of one follow a negative binomial distribution.
pub fn groups(seen: &Frequencies, rows: f64) -> Vec<Group> {
    if seen.rows == 0 {
        return Vec::new();
    }
    let scale = (rows / seen.rows as f64).max(1.0);
    let is_whole = scale < 1.0 + 1e-9;
    // In order of rows: sums of floats must not depend on the order of a hash table.
    let mut counts: Vec<(u64, f64)> = seen.seen.values().copied().collect();
    counts.sort_by(|a, b| a.0.cmp(&b.0).then(a.1.total_cmp(&b.1)));
    let mut found: Vec<Group> = Vec::new();
    let mut others = Others::default();
    for (count, tuple) in counts {
        if is_whole || count >= FREQUENT {
            let each = count as f64 * scale;
            match found.last_mut() {
                Some(last) if last.rows == each && last.tuple == tuple => last.values += 1.0,
                _ => found.push(Group {
                    values: 1.0,
                    rows: each,
                    tuple,
                }),
            }
        } else {
            others.add(count as f64, tuple);
        }
    }
    others.spread(scale, &mut found);
    found
}

/// The keys of a sample that are not frequent.
#[derive(Default)]
struct Others {
    rows: f64,
    keys: f64,
    once: f64,
    /// Sum of i (i - 1) over the keys, i being how often one was seen.
    pairs: f64,
    bytes: f64,
}

impl Others {
    fn add(&mut self, count: f64, tuple: f64) {
        self.rows += count;
        self.keys += 1.0;
        self.once += f64::from(u8::from(count == 1.0));
        self.pairs += count * (count - 1.0);
        self.bytes += tuple;
    }

    /// Estimated number of keys in the table, and the squared coefficient of variation of their frequencies.
    fn distinct(&self, scale: f64) -> (f64, f64) {
        let all = self.rows * scale;
        let unseen = self.once * (1.0 - 1.0 / scale) / self.rows;
        if unseen >= 1.0 - 1e-9 {
            return (all, 0.0);
        }
        let first = self.keys / (1.0 - unseen);
        let variation = (first * self.pairs / (self.rows * self.rows) + first / all - 1.0).max(0.0);
        let share = 1.0 / scale;
        let more = if scale > 1.0 {
            self.once * (1.0 - share) * (1.0 - share).ln() * variation / share
        } else {
            0.0
        };
        let distinct = (self.keys - more) / (1.0 - unseen);
        (distinct.clamp(self.keys, all), variation)
    }

    fn spread(&self, scale: f64, found: &mut Vec<Group>) {
        if self.keys == 0.0 {
            return;
        }
        let (values, variation) = self.distinct(scale);
        let mean = self.rows * scale / values;
        let tuple = self.bytes / self.keys;
        let group = |values, rows| Group {
            values,
            rows,
            tuple,
        };
        let largest = mean * (1.0 + 8.0 * (variation + 1.0 / mean).sqrt()) + 20.0;
        // Of many rows each, one more or less takes no other room; and what no row has would be a number too small to be one.
        if !(1.001..=MANY).contains(&mean) || largest > f64::from(MAX_SIZES) {
            found.push(group(values, mean));
            return;
        }
        // Shares of 0, 1, 2, ... rows by recurrence; keys with no rows are none, so the mean of the rest is made to fit.
        let shares = |rate: f64| {
            let ratio = rate * variation / (1.0 + rate * variation);
            let shape = if variation > 1e-6 {
                1.0 / variation
            } else {
                1e6
            };
            let none = -shape * (rate / shape).ln_1p();
            let mut share = none.exp();
            let ratio = if variation > 1e-6 {
                ratio
            } else {
                rate / (shape + rate)
            };
            (1..=largest as u32)
                .map(|count| {
                    share *= ratio * (shape + f64::from(count) - 1.0) / f64::from(count);
                    share
                })
                .collect::<Vec<f64>>()
        };
        let mean_of = |shares: &[f64]| {
            let total: f64 = shares.iter().sum();
            let rows: f64 = shares
                .iter()
                .zip(1..)
                .map(|(share, n)| share * f64::from(n))
                .sum();
            rows / total.max(f64::MIN_POSITIVE)
        };
        let (mut low, mut high) = (1e-6, mean * 1.5);
        for _ in 0..40 {
            let rate = f64::midpoint(low, high);
            if mean_of(&shares(rate)) < mean {
                low = rate;
            } else {
                high = rate;
            }
        }
        let shares = shares(low);
        let total: f64 = shares.iter().sum();
        for (share, rows) in shares.iter().zip(1..) {
            if *share > total * 1e-9 {
                found.push(group(values * share / total, f64::from(rows)));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn totals(groups: &[Group]) -> (f64, f64) {
        groups.iter().fold((0.0, 0.0), |(values, rows), group| {
            (values + group.values, rows + group.values * group.rows)
        })
    }

    #[test]
    fn a_whole_table_is_told_as_it_is() {
        let mut seen = Frequencies::default();
        for key in [1, 1, 1, 2, 2, 3, 4] {
            seen.add(key, 16.0);
        }
        let found = groups(&seen, 7.0);
        assert_eq!(totals(&found), (4.0, 7.0));
        assert_eq!(found.len(), 3, "{found:?}");
    }

    #[test]
    fn keys_that_a_sample_never_shows_twice_are_unique() {
        let mut seen = Frequencies::default();
        for key in 0..1000 {
            seen.add(key, 16.0);
        }
        let (values, rows) = totals(&groups(&seen, 100_000.0));
        assert!((values / 100_000.0 - 1.0).abs() < 1e-6, "{values}");
        assert!((rows / 100_000.0 - 1.0).abs() < 1e-6, "{rows}");
    }

    #[test]
    fn keys_of_a_power_law_are_uneven_and_uniform_ones_are_not() {
        let mix = |value: u64| {
            let mut x = value.wrapping_mul(0x9e37_79b9_7f4a_7c15);
            x ^= x >> 32;
            x = x.wrapping_mul(0xd6e8_feb8_6659_fd93);
            (x ^ (x >> 32)) >> 11
        };
        let share = |row: u64| mix(row) as f64 / (1_u64 << 53) as f64;
        let of = |key: &dyn Fn(f64) -> f64| {
            let mut seen = Frequencies::default();
            for row in 0..30_000 {
                seen.add(key(share(row)) as u64, 16.0);
            }
            seen.is_uneven()
        };
        assert!(!of(&|share| share * 20_000.0));
        assert!(!of(&|share| share * 1e9));
        assert!(!of(&|share| share * 10.0));
        // The frequency of the k-th key falls as a power of k.
        assert!(of(&|share| (1.0 - share).powf(-3.0)));
        assert!(of(&|share| 200_000.0_f64.powf(share)));
    }

    #[test]
    fn no_row_is_lost() {
        for distinct in [10_u64, 300, 2_500, 20_000, 500_000, 6_000_000] {
            let mut seen = Frequencies::default();
            for row in 0..30_000_u64 {
                let mixed = row.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 20;
                seen.add(mixed % distinct, 16.0);
            }
            let (_, rows) = totals(&groups(&seen, 6e6));
            assert!((rows / 6e6 - 1.0).abs() < 1e-3, "{distinct}: {rows}");
        }
    }

    proptest::proptest! {
        /// Rows of uniformly drawn keys, sampled: the number of keys is found again, within what a sample can tell.
        #[test]
        fn uniform_keys_are_counted(distinct in 50_u64..20_000, seed in 0_u64..1000) {
            let table = 200_000_u64;
            let mix = |value: u64| {
                let mut x = value.wrapping_add(seed).wrapping_mul(0x9e37_79b9_7f4a_7c15);
                x ^= x >> 32;
                x = x.wrapping_mul(0xd6e8_feb8_6659_fd93);
                x ^ (x >> 32)
            };
            let mut seen = Frequencies::default();
            for row in (0..table).filter(|row| mix(row ^ 0xabcd_0000) % 10 == 0) {
                seen.add(mix(row) % distinct, 16.0);
            }
            let (values, rows) = totals(&groups(&seen, table as f64));
            proptest::prop_assert!((rows / table as f64 - 1.0).abs() < 0.01, "{}", rows);
            proptest::prop_assert!((values / distinct as f64).log2().abs() < 0.2, "{} {}", values, distinct);
        }
    }
}
