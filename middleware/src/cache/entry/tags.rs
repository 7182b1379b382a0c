//! Tags that a handler puts on its answer while it runs.

use std::cell::RefCell;

use http::HeaderMap;

use crate::cache::{
    entry::TAGS_HEADER,
    entry::scope::{self, Place},
    invalidation::Position,
};

/// Tags one answer may carry; more are dropped and the answer is not stored, because a purge could miss it.
pub(in crate::cache) const MAX_TAGS: usize = 64;
/// Longest tag.
pub(in crate::cache) const MAX_TAG_BYTES: usize = 256;

thread_local! {
    static CURRENT: Place<Tags> = const { RefCell::new(None) };
}

/// The tags of one answer.
#[derive(Clone, Debug, Default)]
pub(in crate::cache) struct Tags {
    pub(in crate::cache) names: Vec<Box<str>>,
    /// A tag was refused, so the answer must not be stored.
    pub(in crate::cache) overflowed: bool,
    /// Slots of the cached rows that the answer is made from.
    pub(in crate::cache) slots: Vec<u32>,
    /// The oldest of these rows: the answer is no newer (rule 6 of the invalidation).
    pub(in crate::cache) oldest: Option<Position>,
    /// Whose positions these are.
    #[cfg_attr(
        not(feature = "query"),
        expect(dead_code, reason = "there are no cached rows")
    )]
    cache: usize,
}

impl Tags {
    /// `cache` tells the cache from others in this process: positions of another one mean nothing here.
    pub(in crate::cache) fn of(cache: usize) -> Self {
        Self {
            cache,
            ..Self::default()
        }
    }

    #[cfg(feature = "query")]
    fn add_rows(&mut self, cache: usize, slots: &[u32], stamp: Position) {
        for slot in slots {
            if self.slots.contains(slot) {
                continue;
            }
            if self.slots.len() >= MAX_TAGS {
                self.overflowed = true;
                return;
            }
            self.slots.push(*slot);
        }
        if cache == self.cache {
            self.oldest = Some(self.oldest.map_or(stamp, |oldest| oldest.min(stamp)));
        }
    }

    pub(in crate::cache) fn add(&mut self, name: &str) {
        let name = name.trim();
        if name.is_empty() || self.names.iter().any(|known| &**known == name) {
            return;
        }
        if name.len() > MAX_TAG_BYTES || self.names.len() >= MAX_TAGS {
            self.overflowed = true;
        } else {
            self.names.push(name.into());
        }
    }

    /// Those of the response field.
    pub(in crate::cache) fn add_field(&mut self, headers: &HeaderMap) {
        for value in headers.get_all(TAGS_HEADER) {
            match value.to_str() {
                Ok(text) => text.split([',', ' ']).for_each(|tag| self.add(tag)),
                Err(_) => self.overflowed = true,
            }
        }
    }

    /// Runs `work` so that [`tag`] lands here.
    pub(in crate::cache) fn scope<T>(&mut self, work: impl FnOnce() -> T) -> T {
        scope::within(&CURRENT, self, work)
    }
}

/// The answer that is being made is made from rows of a cached query.
#[cfg(feature = "query")]
pub(in crate::cache) fn made_from(cache: usize, slots: &[u32], stamp: Position) {
    scope::tell(&CURRENT, |tags| tags.add_rows(cache, slots, stamp));
}

/// Puts a tag on the answer that is being made, so that [`Purge::Tag`](crate::cache::Purge) finds it. Call it from a handler,
/// or from anything the handler awaits on the same task, a streamed body included.
///
/// Answers whether a cache listens; outside one, or on a task that the handler spawned, the tag goes nowhere. At most
/// 64 tags of at most 256 bytes; an answer with more is not stored.
pub fn tag(name: &str) -> bool {
    scope::tell(&CURRENT, |tags| tags.add(name)).is_some()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tag_outside_a_scope_goes_nowhere() {
        assert!(!tag("orders"));
    }

    #[test]
    fn scopes_nest_and_a_panic_puts_the_outer_one_back() {
        let mut outer = Tags::default();
        let mut inner = Tags::default();
        outer.scope(|| {
            tag("outer");
            let caught = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
                inner.scope(|| {
                    tag("inner");
                    std::panic::resume_unwind(Box::new("stop"));
                });
            }));
            assert!(caught.is_err());
            tag("outer again");
        });
        assert_eq!(
            outer.names.iter().map(|name| &**name).collect::<Vec<_>>(),
            ["outer", "outer again"]
        );
        assert_eq!(
            inner.names.iter().map(|name| &**name).collect::<Vec<_>>(),
            ["inner"]
        );
        assert!(!tag("after"));
    }

    #[test]
    fn too_many_or_too_long_tags_are_seen() {
        let mut tags = Tags::default();
        tags.add(&"x".repeat(MAX_TAG_BYTES + 1));
        assert!(tags.overflowed && tags.names.is_empty());
        let mut tags = Tags::default();
        for n in 0..=MAX_TAGS {
            tags.add(&n.to_string());
        }
        assert!(tags.overflowed && tags.names.len() == MAX_TAGS);
    }
}
