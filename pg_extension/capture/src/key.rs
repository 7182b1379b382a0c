//! What one statement is.

/// A statement of one user in one database, as pg_stat_statements tells them apart.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
#[repr(C)]
pub struct Key {
    /// The server's query id, or a hash of the text where it has none.
    pub query: u64,
    /// OID of the database.
    pub database: u32,
    /// OID of the user.
    pub user: u32,
    /// Where it came from.
    pub kind: Kind,
}

/// Where a statement came from, and whether the server gave it a query id.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
#[repr(transparent)]
pub struct Kind(u32);

impl Kind {
    const TOP: u32 = 1;
    const NAMELESS: u32 = 2;

    /// `is_top`: a client sent it, no function ran it inside. `is_nameless`: the server has no query id for it.
    #[must_use]
    pub fn new(is_top: bool, is_nameless: bool) -> Self {
        Self(u32::from(is_top) * Self::TOP + u32::from(is_nameless) * Self::NAMELESS)
    }

    /// A client sent it.
    #[must_use]
    pub fn is_top(self) -> bool {
        self.0 & Self::TOP != 0
    }
}

impl Key {
    /// The server's query id, as its views show it.
    #[must_use]
    pub fn query_id(&self) -> Option<i64> {
        (self.kind.0 & Kind::NAMELESS == 0).then_some(self.query as i64)
    }

    /// Which of `sets` it belongs to; 0 where there is none.
    #[must_use]
    pub fn set(&self, sets: usize) -> usize {
        let mixed = mix(
            mix(self.query, u64::from(self.database)),
            u64::from(self.user),
        );
        (mixed as usize).checked_rem(sets).unwrap_or(0)
    }
}

/// Mixes a number into a hash (the finaliser of SplitMix64). Stable across runs.
#[must_use]
pub fn mix(hash: u64, number: u64) -> u64 {
    let mut mixed = hash.rotate_left(23) ^ number.wrapping_add(0x9e37_79b9_7f4a_7c15);
    mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^ (mixed >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_spread_over_the_sets() {
        let mut found = [0_u32; 64];
        for query in 0..6_400 {
            let key = Key {
                query,
                database: 5,
                user: 10,
                kind: Kind::new(true, false),
            };
            found[key.set(64)] += 1;
        }
        assert!(
            found.iter().all(|count| (50..200).contains(count)),
            "{found:?}"
        );
        assert_eq!(Key::default().set(0), 0);
    }
}
