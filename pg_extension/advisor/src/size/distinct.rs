//! From how often keys occur in a sample of rows to how often they occur in the table.

use std::collections::HashMap;

use super::Group;

/// A key seen this often in a sample is its own group; the others are taken together.
const FREQUENT: u64 = 10;

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

    /// Different keys among them.
    pub fn distinct(&self) -> usize {
        self.seen.len()
    }
}

/// The keys of a table with `rows` rows of which `seen` is a sample of single rows (not of whole pages).
///
/// Keys that the sample shows often stand for themselves. The number of others is Haas and Stokes' estimate, the one that
/// ANALYZE uses: n d / (n - f1 + f1 n / N).
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
    let (mut n, mut d, mut once, mut bytes) = (0.0, 0.0, 0.0, 0.0);
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
            continue;
        }
        n += count as f64;
        d += 1.0;
        once += f64::from(u8::from(count == 1));
        bytes += tuple;
    }
    if d > 0.0 {
        let all = n * scale;
        let distinct = (n * d / (n - once + once * n / all)).clamp(d, all);
        let mean = all / distinct;
        let tuple = bytes / d;
        spread(&mut found, distinct, mean, tuple);
    }
    found
}

/// Values that occur `mean` times on average are not all that frequent: Poisson's shares, of those that occur at all.
fn spread(found: &mut Vec<Group>, values: f64, mean: f64, tuple: f64) {
    if !(1.01..=30.0).contains(&mean) {
        found.push(Group {
            values,
            rows: mean,
            tuple,
        });
        return;
    }
    // The rate whose mean, zero left out, is `mean`.
    let (mut low, mut high) = (1e-6, mean);
    for _ in 0..60 {
        let rate = f64::midpoint(low, high);
        if rate / -(-rate).exp_m1() < mean {
            low = rate;
        } else {
            high = rate;
        }
    }
    let rate = low;
    let mut share = (-rate).exp() / -(-rate).exp_m1();
    for count in 1..=(mean * 4.0 + 20.0) as u32 {
        share *= rate / f64::from(count);
        found.push(Group {
            values: values * share,
            rows: f64::from(count),
            tuple,
        });
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
