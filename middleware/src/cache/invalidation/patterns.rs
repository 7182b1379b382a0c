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

/// What holding a glob against a text has come to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Match {
    Yes,
    No,
    /// It would take too long to know.
    Undecided,
}

/// Steps for each byte of a glob and its text: one pass takes one, and globs that people write little more. Without a bound a
/// glob like `*aaa*aab` takes their product on a path of `a`s, and 1,024 of them seconds.
const STEPS_A_BYTE: usize = 4;

/// Whether a text looks like a glob. No allocation, and time of at most [`STEPS_A_BYTE`] for each byte of both.
fn matches(glob: &str, text: &str) -> Match {
    // A prefix, which is what most are.
    if let Some(prefix) = glob.strip_suffix('*')
        && !prefix.contains(['*', '?'])
    {
        return Match::from(text.starts_with(prefix));
    }
    let mut steps = STEPS_A_BYTE * (glob.len() + text.len());
    let (glob, text) = (glob.as_bytes(), text.as_bytes());
    let (mut at, mut read) = (0, 0);
    // The last star, and how much of the text it has taken: what an earlier one takes need never be looked at again.
    let mut star = None;
    while read < text.len() {
        if steps == 0 {
            return Match::Undecided;
        }
        steps -= 1;
        match glob.get(at) {
            Some(b'*') => {
                star = Some((at, read));
                at += 1;
            }
            Some(b'?') => {
                at += 1;
                read = after_character(text, read);
            }
            Some(wanted) if *wanted == text[read] => {
                at += 1;
                read += 1;
            }
            _ => {
                let Some((after, taken)) = star else {
                    return Match::No;
                };
                let taken = after_character(text, taken);
                star = Some((after, taken));
                at = after + 1;
                read = taken;
            }
        }
    }
    Match::from(glob[at..].iter().all(|left| *left == b'*'))
}

impl From<bool> for Match {
    fn from(is_one: bool) -> Self {
        if is_one { Self::Yes } else { Self::No }
    }
}

/// Where the character that begins at `at` ends.
fn after_character(text: &[u8], at: usize) -> usize {
    let rest = text[at + 1..].iter();
    let is_continued = |byte: &&u8| **byte & 0b1100_0000 == 0b1000_0000;
    at + 1 + rest.take_while(is_continued).count()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

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
            assert_eq!(matches(glob, text), Match::from(expected), "{glob} {text}");
        }
    }

    /// By definition, without a thought of how long it takes.
    fn reference(glob: &[char], text: &[char]) -> bool {
        match (glob, text) {
            ([], []) => true,
            (['*', rest @ ..], _) => (0..=text.len()).any(|taken| reference(rest, &text[taken..])),
            (['?', glob @ ..], [_, text @ ..]) => reference(glob, text),
            ([wanted, glob @ ..], [first, text @ ..]) if wanted == first => reference(glob, text),
            _ => false,
        }
    }

    proptest! {
        /// Where it is decided it is right; and where one pass decides it is decided.
        #[test]
        fn globs_are_what_they_are_by_definition(glob in "[ab/é*?]{0,7}", text in "[ab/é]{0,9}") {
            let (chars, letters): (Vec<_>, Vec<_>) = (glob.chars().collect(), text.chars().collect());
            let found = matches(&glob, &text);
            if found != Match::Undecided {
                prop_assert_eq!(found, Match::from(reference(&chars, &letters)));
            }
            if !glob.trim_end_matches('*').contains('*') {
                prop_assert_ne!(found, Match::Undecided);
            }
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
    fn globs_that_people_write_are_decided_on_the_longest_paths() {
        let long = format!("/api/{}/items/7?page=2", "orders/".repeat(1_100));
        for (glob, expected) in [
            ("/api/*/items/*", true),
            ("*/items/?", false),
            ("*page=*", true),
            ("*/orders/*/orders/*/items/?\u{3f}page=2", true),
            ("*.png", false),
        ] {
            assert_eq!(matches(glob, &long), Match::from(expected), "{glob}");
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
