//! Positions: the order of purges and of requests, `redis << 12 | local` (rule 2).

/// Bits of the local part.
const LOCAL_BITS: u32 = 12;

/// In the model there may be so few that positions are borrowed after one purge.
#[cfg(test)]
pub(super) mod narrow {
    use std::cell::Cell;

    thread_local! {
        static BITS: Cell<u32> = const { Cell::new(super::LOCAL_BITS) };
    }

    pub(in super::super) fn set(bits: u32) {
        BITS.set(bits);
    }

    pub(super) fn bits() -> u32 {
        BITS.get()
    }
}

#[cfg(test)]
fn local_bits() -> u32 {
    narrow::bits()
}

#[cfg(not(test))]
const fn local_bits() -> u32 {
    LOCAL_BITS
}

#[inline]
fn local_mask() -> u64 {
    (1 << local_bits()) - 1
}

/// A place in the order of purges. The upper part is given by Redis, in one order for all instances; the lower one by
/// this instance, for purges that Redis has not numbered yet.
///
/// Were both to share one space, a purge that is numbered here would let the next fill count as newer than what Redis
/// numbers meanwhile.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(in crate::cache) struct Position(u64);

impl Position {
    /// `position` is below 2^52, which Redis counts exactly in microseconds until the year 2112.
    pub(in crate::cache) fn from_redis(position: u64) -> Self {
        Self(position << local_bits())
    }

    /// What others say that Redis gave; `None` for what it never gives. With its upper bits lost it would pass for another one.
    #[cfg(feature = "redis")]
    pub(in crate::cache) fn checked(position: u64) -> Option<u64> {
        (Self::from_redis(position).redis() == position).then_some(position)
    }

    pub(in crate::cache) const fn from_bits(bits: u64) -> Self {
        Self(bits)
    }

    pub(in crate::cache) const fn bits(self) -> u64 {
        self.0
    }

    /// What Redis gave. All that L2 ever sees: what is numbered here means nothing elsewhere.
    pub(in crate::cache) fn redis(self) -> u64 {
        self.0 >> local_bits()
    }

    /// Numbered here, on top of what Redis gave.
    pub(in crate::cache) fn is_local(self) -> bool {
        self.0 & local_mask() != 0
    }

    /// There is no place for another purge above it that Redis could not give too.
    pub(in crate::cache) fn is_full(self) -> bool {
        self.0 & local_mask() == local_mask()
    }

    /// The next one that this instance gives. Past a full one it is borrowed from Redis, which may give it to another
    /// purge: whoever takes it sees to what that means (rule 2).
    pub(in crate::cache) const fn next_local(self) -> Self {
        Self(self.0 + 1)
    }

    /// The stamp of an answer that L2 held with the stamp `redis`, taken by a request that began at `begin`: no newer than
    /// the answer is, and no newer than what this instance knew then (rule 5).
    pub(in crate::cache) fn imported(redis: u64, begin: Self) -> Self {
        Self::from_redis(redis).min(begin)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_local_part_stays_below_the_next_position_of_redis_until_it_is_full() {
        let mut position = Position::from_redis(7);
        for _ in 0..local_mask() - 1 {
            position = position.next_local();
            assert!(!position.is_full() && position.is_local());
        }
        position = position.next_local();
        assert!(position.is_full() && position < Position::from_redis(8));
        assert_eq!(position.redis(), 7);
        assert_eq!(position.next_local(), Position::from_redis(8), "borrowed");
    }

    #[test]
    fn an_import_is_as_old_as_the_older_of_the_two() {
        let begin = Position::from_redis(5).next_local();
        assert_eq!(Position::imported(4, begin), Position::from_redis(4));
        assert_eq!(Position::imported(6, begin), begin);
    }
}
