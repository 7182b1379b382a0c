//! Live patterns: purges of every target of a region that looks like this.
//!
//! They cannot be hashed into slots, so each entry is held against each pattern, once: it remembers the generation of
//! the list up to which it was looked at. By generation, not by position: a table read may bring a pattern whose
//! position is lower than one that was there before.

use std::sync::{
    Arc, PoisonError,
    atomic::{AtomicU64 as Checked, Ordering},
};

use super::{
    name::{ALL, Kind},
    position::Position,
};
use crate::{
    cache::sync::{AtomicU64, Mutex},
    glob::{Match, matches},
};

/// Patterns that are held at most; the oldest beyond becomes a purge of its whole region.
pub(in crate::cache) const MAX_PATTERNS: usize = 1_024;

/// `*` is any run of characters, `?` any one.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(in crate::cache) struct Pattern {
    /// The region's slot, or [`ALL`](super::ALL) for every region.
    pub(in crate::cache) region: u32,
    pub(in crate::cache) glob: Box<str>,
}

impl Pattern {
    /// Whether it names an entry, or may: what is not decided counts, as it does for a purge.
    pub(super) fn may_name(&self, slots: &[u32], target: &str) -> bool {
        let is_in_region = self.region == ALL || slots.contains(&self.region);
        is_in_region && matches(&self.glob, target) != Match::No
    }

    fn names(&self, subject: Subject<'_>) -> Match {
        let is_in_region = self.region == ALL || subject.slots.contains(&self.region);
        if is_in_region {
            matches(&self.glob, subject.target)
        } else {
            Match::No
        }
    }
}

/// A pattern and how far it reaches.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(in crate::cache) struct Live {
    pub(in crate::cache) kind: Kind,
    pub(in crate::cache) pattern: Arc<Pattern>,
    pub(in crate::cache) position: Position,
    generation: u64,
}

/// The list of an instance.
pub(in crate::cache) struct Patterns {
    generation: AtomicU64,
    list: Mutex<Arc<Vec<Live>>>,
    max: usize,
    /// Times that it was not known whether one names an entry.
    undecided: Checked,
}

/// What an entry is held against patterns by.
#[derive(Clone, Copy)]
pub(in crate::cache) struct Subject<'a> {
    /// Its slots; its region's is among them.
    pub(in crate::cache) slots: &'a [u32],
    /// Path and query as the client asks for them.
    pub(in crate::cache) target: &'a str,
    /// The generation up to which no pattern names the entry; 0 for a new one.
    pub(in crate::cache) checked: &'a Checked,
}

impl Patterns {
    pub(super) fn new(max: usize) -> Self {
        Self {
            generation: AtomicU64::new(0),
            list: Mutex::new(Arc::default()),
            max,
            undecided: Checked::new(0),
        }
    }

    pub(super) fn undecided(&self) -> u64 {
        self.undecided.load(Ordering::Relaxed)
    }

    pub(super) fn list(&self) -> Arc<Vec<Live>> {
        self.list
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    /// Adds a pattern, or raises the one that is there. Answers the pattern that had to go: its region is to be raised.
    /// Only the writer calls this.
    pub(super) fn raise(
        &self,
        kind: Kind,
        pattern: &Arc<Pattern>,
        position: Position,
    ) -> Option<Live> {
        let mut list = self.list.lock().unwrap_or_else(PoisonError::into_inner);
        let known = |live: &Live| live.kind == kind && live.pattern == *pattern;
        if list
            .iter()
            .any(|live| known(live) && live.position >= position)
        {
            return None;
        }
        let mut next: Vec<Live> = list.iter().filter(|live| !known(live)).cloned().collect();
        let generation = self.generation.load(Ordering::Relaxed) + 1;
        next.push(Live {
            kind,
            pattern: pattern.clone(),
            position,
            generation,
        });
        let oldest = (next.len() > self.max).then(|| next.remove(0));
        *list = Arc::new(next);
        self.generation.store(generation, Ordering::Release);
        oldest
    }

    #[cfg(test)]
    pub(super) fn copy(&self) -> Self {
        Self {
            generation: AtomicU64::new(self.generation.load(Ordering::Relaxed)),
            list: Mutex::new(self.list()),
            max: self.max,
            undecided: Checked::new(self.undecided()),
        }
    }

    /// The strictest purge among those patterns that name an entry and began after it.
    pub(super) fn strictest(&self, stamp: Position, subject: Subject<'_>) -> Option<Kind> {
        let generation = self.generation.load(Ordering::Acquire);
        let checked = subject.checked.load(Ordering::Acquire);
        if checked >= generation {
            return None;
        }
        let list = self.list();
        let strictest = list
            .iter()
            .filter(|live| live.generation > checked && live.position > stamp)
            .filter(|live| self.may_name(&live.pattern, subject))
            .map(|live| live.kind)
            .min_by_key(|kind| *kind as u8);
        if strictest.is_none() {
            // The list is at least as new as the generation that was read before it.
            subject.checked.fetch_max(generation, Ordering::AcqRel);
        }
        strictest
    }

    /// What would take too long to know counts as named: more is purged than was asked, never less.
    fn may_name(&self, pattern: &Pattern, subject: Subject<'_>) -> bool {
        match pattern.names(subject) {
            Match::Yes => true,
            Match::No => false,
            Match::Undecided => {
                self.undecided.fetch_add(1, Ordering::Relaxed);
                true
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const REGION: u32 = 3;

    fn pattern(glob: &str) -> Arc<Pattern> {
        Arc::new(Pattern {
            region: REGION,
            glob: glob.into(),
        })
    }

    fn at(position: u64) -> Position {
        Position::from_redis(position)
    }

    fn subject<'a>(target: &'a str, checked: &'a Checked) -> Subject<'a> {
        Subject {
            slots: &[REGION],
            target,
            checked,
        }
    }

    #[test]
    fn c10_a_glob_that_would_take_long_counts_as_named_and_is_counted() {
        let path = format!("/{}", "a".repeat(8_000));
        let hostile = format!("*{}b", "a".repeat(1_000));
        assert_eq!(matches(&hostile, &path), Match::Undecided);
        let patterns = Patterns::new(8);
        let checked = Checked::new(0);
        patterns.raise(Kind::Hard, &pattern(&hostile), at(5));
        let named = patterns.strictest(at(4), subject(&path, &checked));
        assert_eq!((named, patterns.undecided()), (Some(Kind::Hard), 1));
        // What began after it is not held against it.
        let named = patterns.strictest(at(5), subject(&path, &checked));
        assert_eq!((named, patterns.undecided()), (None, 1));
    }

    #[test]
    fn a_pattern_of_lower_position_that_comes_later_is_still_looked_at() {
        let patterns = Patterns::new(8);
        let checked = Checked::new(0);
        patterns.raise(Kind::Hard, &pattern("/other*"), at(9));
        assert_eq!(patterns.strictest(at(3), subject("/a", &checked)), None);
        patterns.raise(Kind::Hard, &pattern("/a*"), at(5));
        assert_eq!(
            patterns.strictest(at(3), subject("/a", &checked)),
            Some(Kind::Hard)
        );
    }

    #[test]
    fn one_that_was_looked_at_is_not_looked_at_again_until_it_rises() {
        let patterns = Patterns::new(8);
        let checked = Checked::new(0);
        patterns.raise(Kind::Hard, &pattern("/a*"), at(5));
        assert_eq!(patterns.strictest(at(5), subject("/a", &checked)), None);
        // Remembered: with an older stamp it would count.
        assert_eq!(patterns.strictest(at(4), subject("/a", &checked)), None);
        patterns.raise(Kind::Hard, &pattern("/a*"), at(5));
        assert_eq!(patterns.strictest(at(4), subject("/a", &checked)), None);
        patterns.raise(Kind::Hard, &pattern("/a*"), at(6));
        assert_eq!(
            patterns.strictest(at(5), subject("/a", &checked)),
            Some(Kind::Hard)
        );
    }

    #[test]
    fn hard_goes_before_soft_and_other_regions_are_left_alone() {
        let patterns = Patterns::new(8);
        let checked = Checked::new(0);
        patterns.raise(Kind::Soft, &pattern("*"), at(5));
        let soft = patterns.strictest(at(4), subject("/a", &checked));
        patterns.raise(Kind::Hard, &pattern("*"), at(6));
        let hard = patterns.strictest(at(4), subject("/a", &checked));
        assert_eq!((soft, hard), (Some(Kind::Soft), Some(Kind::Hard)));
        let elsewhere = Subject {
            slots: &[REGION + 1],
            ..subject("/a", &checked)
        };
        assert_eq!(patterns.strictest(at(4), elsewhere), None);
    }

    #[test]
    fn one_of_all_regions_names_each() {
        let patterns = Patterns::new(8);
        let checked = Checked::new(0);
        let everywhere = Pattern {
            region: ALL,
            glob: "/a*".into(),
        };
        patterns.raise(Kind::Hard, &Arc::new(everywhere), at(5));
        let named = patterns.strictest(at(4), subject("/a?b", &checked));
        assert_eq!(named, Some(Kind::Hard));
        assert_eq!(patterns.strictest(at(4), subject("/b", &checked)), None);
    }

    #[test]
    fn too_many_push_the_oldest_out() {
        let patterns = Patterns::new(2);
        assert_eq!(patterns.raise(Kind::Hard, &pattern("a"), at(1)), None);
        assert_eq!(patterns.raise(Kind::Hard, &pattern("b"), at(2)), None);
        // Raised, so "b" is the oldest now.
        assert_eq!(patterns.raise(Kind::Hard, &pattern("a"), at(3)), None);
        let gone = patterns.raise(Kind::Soft, &pattern("a"), at(4)).unwrap();
        assert_eq!((&*gone.pattern.glob, gone.position), ("b", at(2)));
        assert_eq!(patterns.list().len(), 2);
    }
}
