//! A thread's own way from a label to the number of its route.

use std::hash::{BuildHasherDefault, Hasher};

use std::collections::HashMap;

/// A route's label as the request has it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum RouteText<'a> {
    /// The label.
    Whole(&'a str),
    /// The path that a service is nested at: its label is that with `/*` after it.
    Nested(&'a str),
}

impl RouteText<'_> {
    /// The label.
    pub(crate) fn to_label(self) -> String {
        match self {
            Self::Whole(label) => label.to_owned(),
            Self::Nested(path) => format!("{}/*", path.trim_end_matches('/')),
        }
    }
}

/// Both kinds, by their text.
#[derive(Debug, Default)]
pub(crate) struct Labels {
    whole: ByText,
    nested: ByText,
}

type ByText = HashMap<Box<str>, u32, BuildHasherDefault<TextHasher>>;

impl Labels {
    #[inline]
    pub(crate) fn find(&self, text: RouteText<'_>) -> Option<u32> {
        match text {
            RouteText::Whole(label) => self.whole.get(label).copied(),
            RouteText::Nested(path) => self.nested.get(path).copied(),
        }
    }

    pub(crate) fn insert(&mut self, text: RouteText<'_>, route: u32) {
        match text {
            RouteText::Whole(label) => self.whole.insert(label.into(), route),
            RouteText::Nested(path) => self.nested.insert(path.into(), route),
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
            let word = rest.iter().fold(1_u64, |word, byte| word << 8 | u64::from(*byte));
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
