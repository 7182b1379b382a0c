//! A thread's own way from a label to the number of its route.

use std::hash::{BuildHasherDefault, Hasher};

use std::collections::HashMap;

use crate::route::{MAX_LABEL_BYTES, UNMATCHED};

/// A route's label as the request has it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum RouteText<'a> {
    /// The label.
    Whole(&'a str),
    /// The path that a service is nested at: its label is that with `/*` after it.
    Nested(&'a str),
    /// Nothing tells it.
    Unmatched,
}

impl RouteText<'_> {
    /// Bytes of its text.
    pub(crate) fn len(self) -> usize {
        match self {
            Self::Whole(text) | Self::Nested(text) => text.len(),
            Self::Unmatched => 0,
        }
    }

    /// Whether it is longer than a label may be.
    pub(crate) fn is_too_long(self) -> bool {
        self.len() > MAX_LABEL_BYTES
    }

    /// The label.
    pub(crate) fn to_label(self) -> String {
        match self {
            Self::Whole(label) => label.to_owned(),
            Self::Nested(path) => format!("{}/*", path.trim_end_matches('/')),
            Self::Unmatched => UNMATCHED.to_owned(),
        }
    }
}

/// Both kinds, by their text.
#[derive(Debug, Default)]
pub(crate) struct Labels {
    whole: ByText,
    nested: ByText,
    unmatched: Option<u16>,
    /// Labels by where they lie: a router's templates stay where they are, so that most need no hash. What lies there is
    /// compared all the same, for another may have come to lie there.
    recent: [Option<(Box<str>, u16)>; RECENT],
}

/// Places in [`Labels::recent`].
const RECENT: usize = 16;

/// The place of a label that lies there.
#[inline]
fn recent(label: &str) -> usize {
    // Allocations are 16 bytes apart at least.
    let address = label.as_ptr() as usize;
    (address >> 4 ^ address >> 8 ^ label.len()) % RECENT
}

type ByText = HashMap<Box<str>, u16, BuildHasherDefault<TextHasher>>;

impl Labels {
    #[inline]
    pub(crate) fn find(&mut self, text: RouteText<'_>) -> Option<u16> {
        match text {
            RouteText::Whole(label) => {
                if let Some((known, route)) = &self.recent[recent(label)]
                    && **known == *label
                {
                    return Some(*route);
                }
                self.find_whole(label)
            }
            RouteText::Nested(path) => self.nested.get(path).copied(),
            RouteText::Unmatched => self.unmatched,
        }
    }

    fn find_whole(&mut self, label: &str) -> Option<u16> {
        let route = self.whole.get(label).copied()?;
        let place = &mut self.recent[recent(label)];
        // Only once: labels that share a place, or are new each time, must not allocate with each request.
        if place.is_none() {
            *place = Some((label.into(), route));
        }
        Some(route)
    }

    pub(crate) fn insert(&mut self, text: RouteText<'_>, route: u16) {
        match text {
            RouteText::Whole(label) => self.whole.insert(label.into(), route),
            RouteText::Nested(path) => self.nested.insert(path.into(), route),
            RouteText::Unmatched => self.unmatched.replace(route),
        };
    }
}

/// Eight bytes at a time. Whoever chooses labels that meet in one place gains nothing: a table has few hundred of them at
/// most, by the bound of series.
#[derive(Default)]
pub(crate) struct TextHasher(u64);

impl TextHasher {
    #[inline]
    fn mix(&mut self, word: u64) {
        self.0 = (self.0.rotate_left(5) ^ word).wrapping_mul(0x9E37_79B9_7F4A_7C15);
    }
}

impl Hasher for TextHasher {
    #[inline]
    fn write(&mut self, bytes: &[u8]) {
        let mut words = bytes.chunks_exact(8);
        for word in &mut words {
            let mut eight = [0; 8];
            eight.copy_from_slice(word);
            self.mix(u64::from_le_bytes(eight));
        }
        let rest = words.remainder();
        if rest.is_empty() {
            return;
        }
        // What is left, by the last eight bytes where there are so many: no loop over single bytes.
        if let Some(last) = bytes.last_chunk::<8>() {
            self.mix(u64::from_le_bytes(*last));
        } else {
            let word = rest
                .iter()
                .fold(1_u64, |word, byte| word << 8 | u64::from(*byte));
            self.mix(word);
        }
    }

    #[inline]
    fn write_u8(&mut self, byte: u8) {
        self.mix(u64::from(byte));
    }

    /// hashbrown takes its seven tag bits from the top, and the place from the bottom.
    #[inline]
    fn finish(&self) -> u64 {
        self.0 ^ (self.0 >> 32)
    }
}
