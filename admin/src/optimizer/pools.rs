//! How far a cycle lets a pool grow.

use super::policy::Tuning;
use crate::database::{NamedPool, Overview, PoolReport};

/// A pool and the size that it should have.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Growth {
    pub(super) pool: String,
    from: u32,
    pub(super) to: u32,
}

impl Growth {
    pub(super) fn says(&self) -> String {
        format!("from {} to {} connections", self.from, self.to)
    }
}

/// The pools that are short and may grow: by half, to no more than the policy allows, and where the server has room for the new
/// pool beside the old one with a fifth of its connections left free.
pub(super) fn growing(tuning: &Tuning, pools: &[PoolReport], overview: &Overview) -> Vec<Growth> {
    let usable = overview.max_connections - overview.max_connections / 5;
    let mut spare = u32::try_from(usable - overview.connections).unwrap_or(0);
    let mut growing = Vec::new();
    for pool in pools {
        let from = pool.gauges.max_connections;
        if !pool.is_resizable || !NamedPool::is_short(pool) {
            continue;
        }
        let to = (from + from.div_ceil(2))
            .min(tuning.pool_connections)
            .min(spare);
        if to > from {
            spare -= to;
            let pool = pool.name.clone();
            growing.push(Growth { pool, from, to });
        }
    }
    growing
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::database::PoolGauges;

    fn pool(max_connections: u32, waited: u64, is_resizable: bool) -> PoolReport {
        PoolReport {
            name: "app".to_owned(),
            gauges: PoolGauges {
                max_connections,
                direct: 100,
                waited,
                ..PoolGauges::default()
            },
            waited_percent: waited as f64 * 100.0 / (100 + waited) as f64,
            advice: String::new(),
            is_resizable,
        }
    }

    fn sizes(most: u32, pools: &[PoolReport], connections: i64) -> Vec<u32> {
        let overview = Overview {
            server_version: String::new(),
            database: String::new(),
            size_bytes: 0,
            connections,
            max_connections: 100,
            buffer_hit_percent: None,
            extension_version: None,
            mean_ms: None,
        };
        let tuning = Tuning::default().pool_connections(most);
        let growing = growing(&tuning, pools, &overview);
        growing.iter().map(|growth| growth.to).collect()
    }

    #[test]
    fn a_short_pool_grows_by_half_within_its_bound_and_what_the_server_has_to_spare() {
        let none: [u32; 0] = [];
        assert_eq!(sizes(50, &[pool(10, 50, true)], 10), [15]);
        assert_eq!(sizes(12, &[pool(10, 50, true)], 10), [12]);
        assert_eq!(sizes(0, &[pool(10, 50, true)], 10), none);
        assert_eq!(sizes(50, &[pool(10, 1, true)], 10), none, "it is not short");
        assert_eq!(sizes(50, &[pool(10, 50, false)], 10), none);
        assert_eq!(sizes(50, &[pool(1, 50, true)], 10), [2]);
        // 80 may be used, of which 68 are.
        assert_eq!(sizes(50, &[pool(10, 50, true)], 68), [12]);
        assert_eq!(sizes(50, &[pool(10, 50, true)], 75), none);
        assert_eq!(sizes(50, &[pool(10, 50, true)], 95), none);
        let two = [pool(10, 50, true), pool(20, 50, true)];
        assert_eq!(
            sizes(50, &two, 40),
            [15, 25],
            "the second has what the first leaves"
        );
    }
}
