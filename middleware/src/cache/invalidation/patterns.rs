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
use crate::cache::sync::{AtomicU64, Mutex};

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
    fn names(&self, subject: Subject<'_>) -> bool {
        let is_in_region = self.region == ALL || subject.slots.contains(&self.region);
        is_in_region && matches(&self.glob, subject.target)
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
        }
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
            .filter(|live| live.pattern.names(subject))
            .map(|live| live.kind)
            .min_by_key(|kind| *kind as u8);
        if strictest.is_none() {
            // The list is at least as new as the generation that was read before it.
            subject.checked.fetch_max(generation, Ordering::AcqRel);
        }
        strictest
    }
}

/// Whether a text looks like a glob, in time of at most their product.
fn matches(glob: &str, text: &str) -> bool {
    // A prefix, which is what most are.
    if let Some(prefix) = glob.strip_suffix('*')
        && !prefix.contains(['*', '?'])
    {
        return text.starts_with(prefix);
    }
    let (glob, text): (Vec<char>, Vec<char>) = (glob.chars().collect(), text.chars().collect());
    let (mut at, mut read) = (0, 0);
    // The last star, and how much of the text it has taken.
    let mut star = None;
    while read < text.len() {
        match glob.get(at) {
            Some('*') => {
                star = Some((at, read));
                at += 1;
            }
            Some(wanted) if *wanted == '?' || *wanted == text[read] => {
                at += 1;
                read += 1;
            }
            _ => {
                let Some((after, taken)) = star else {
                    return false;
                };
                star = Some((after, taken + 1));
                at = after + 1;
                read = taken + 1;
            }
        }
    }
    glob[at..].iter().all(|left| *left == '*')
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
    fn globs() {
        for (glob, text, expected) in [
            ("", "", true),
            ("*", "", true),
            ("/a/*", "/a/b/c", true),
            ("/a/*", "/b", false),
            ("*.png", "/x.png.png", true),
            ("*.png", "/x.pngs", false),
            ("/?/x", "/é/x", true),
            ("/?/x", "//x", false),
            ("a*b*c", "a-b-b-c", true),
            ("a*b*c", "a-c-b", false),
        ] {
            assert_eq!(matches(glob, text), expected, "{glob} {text}");
        }
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
