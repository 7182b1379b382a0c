//! The names of segments that one layer knows, as small numbers.

use std::sync::{
    OnceLock,
    atomic::{AtomicU64, Ordering},
};

/// Waiting for a connection of a pool.
pub const POOL: &str = "pool";
/// Statements on their way to the database and back.
pub const DATABASE: &str = "database";
/// Waiting for a cache: its second level, or another request that fetches the same.
pub const CACHE: &str = "cache";
/// What segments are counted as whose names came after [`MAX_CUSTOM_SEGMENTS`] others.
pub const OTHER: &str = "other";

/// Names of an app's own that are kept apart for each layer; what comes after is counted as [`OTHER`].
pub const MAX_CUSTOM_SEGMENTS: usize = 12;

const BUILT_IN: [&str; 4] = [POOL, DATABASE, CACHE, OTHER];
const OTHER_KIND: u8 = 3;

/// Kinds of segments: the built-in ones and an app's own.
pub(crate) const KINDS: usize = BUILT_IN.len() + MAX_CUSTOM_SEGMENTS;

/// Names in the order in which they came. A look-up compares with at most all of them; nothing is ever taken out.
#[derive(Default)]
pub(crate) struct Names {
    custom: [OnceLock<&'static str>; MAX_CUSTOM_SEGMENTS],
    overflowed: AtomicU64,
}

impl Names {
    /// The kind of a name, which is remembered if it is new and there is room.
    pub(crate) fn kind(&self, name: &'static str) -> u8 {
        if let Some(kind) = BUILT_IN.iter().position(|known| *known == name) {
            return kind as u8;
        }
        for (at, slot) in self.custom.iter().enumerate() {
            if *slot.get_or_init(|| name) == name {
                return (BUILT_IN.len() + at) as u8;
            }
        }
        self.overflowed.fetch_add(1, Ordering::Relaxed);
        OTHER_KIND
    }

    pub(crate) fn name(&self, kind: usize) -> &'static str {
        match kind.checked_sub(BUILT_IN.len()) {
            None => BUILT_IN[kind],
            Some(at) => self
                .custom
                .get(at)
                .and_then(OnceLock::get)
                .copied()
                .unwrap_or(OTHER),
        }
    }

    /// Segments that were counted as [`OTHER`] for want of room.
    pub(crate) fn overflowed(&self) -> u64 {
        self.overflowed.load(Ordering::Relaxed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_keep_their_kind_and_those_beyond_the_bound_are_other() {
        const MANY: [&str; MAX_CUSTOM_SEGMENTS + 2] = [
            "a", "b", "c", "d", "e", "f", "g", "h", "i", "j", "k", "l", "m", "n",
        ];
        let names = Names::default();
        assert_eq!((names.kind(POOL), names.kind(CACHE)), (0, 2));
        let first: Vec<_> = MANY.iter().map(|name| names.kind(name)).collect();
        let again: Vec<_> = MANY.iter().map(|name| names.kind(name)).collect();
        assert_eq!(first, again);
        assert_eq!(first[0], 4);
        assert_eq!(names.name(usize::from(first[11])), "l");
        assert_eq!(first[12..], [OTHER_KIND, OTHER_KIND]);
        assert_eq!(names.overflowed(), 4);
        assert_eq!(names.name(usize::from(OTHER_KIND)), OTHER);
    }
}
