//! The token that a client carries.

use std::{fmt, time::Duration};

use crate::cache::invalidation::{ALL, SLOTS};

/// Names in a token at most; past that it says that everything was purged.
pub(super) const MAX_NAMES: usize = 64;
/// Longest token that is read: 64 names of up to 5 and 14 digits. A cookie may have 4 KiB (RFC 6265, 6.1).
const MAX_TOKEN_BYTES: usize = 2_048;
/// Positions are below 2^52 microseconds.
const MAX_UNIX_S: u64 = (1 << 52) / 1_000_000;
/// A token from further ahead than this is not of a clock that agrees with ours.
const MAX_CLOCK_SKEW: Duration = Duration::from_secs(60);

/// When something was purged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::cache) enum At {
    /// The position that Redis gave, which is at least its time in microseconds.
    Position(u64),
    /// Redis had not given one; the time, in seconds since 1970.
    Unknown(u64),
}

impl At {
    fn unix_s(self) -> u64 {
        match self {
            Self::Position(position) => position / 1_000_000,
            Self::Unknown(unix_s) => unix_s,
        }
    }
}

/// What a client has purged.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::cache) struct Token {
    purges: Vec<(u32, At)>,
}

impl Token {
    /// What is `new`, and what the client brought: an instance that has reached that is not the next one.
    pub(in crate::cache) fn new(
        before: Option<&Self>,
        new: Vec<(u32, At)>,
        now_unix_s: u64,
    ) -> Self {
        let mut purges = new;
        let before = before.into_iter().flat_map(|token| &token.purges);
        for (slot, at) in before {
            if !purges.iter().any(|(known, _)| known == slot) {
                purges.push((*slot, *at));
            }
        }
        if purges.len() > MAX_NAMES {
            purges = vec![(ALL, At::Unknown(now_unix_s))];
        }
        Self { purges }
    }

    /// Without what is past its lifetime: what was stored before it is not served any more either. `None` for what is no
    /// token of ours, which promises nothing, and where nothing is left.
    pub(in crate::cache) fn read(text: &str, now_unix_s: u64, lifetime: Duration) -> Option<Self> {
        let mut token = Self::parse(text)?;
        token.purges.retain(|(_, at)| {
            let made = at.unix_s();
            let is_from_ahead = made > now_unix_s + MAX_CLOCK_SKEW.as_secs();
            !is_from_ahead && now_unix_s <= made.saturating_add(lifetime.as_secs())
        });
        (!token.purges.is_empty()).then_some(token)
    }

    fn parse(text: &str) -> Option<Self> {
        if text.len() > MAX_TOKEN_BYTES {
            return None;
        }
        let number = |text| u64::from_str_radix(text, 16).ok();
        let mut purges = Vec::new();
        for part in text.split('.') {
            let (slot, at) = part.split_once('-')?;
            let slot = u32::from_str_radix(slot, 16).ok()?;
            let at = match at.strip_prefix('t') {
                Some(unix_s) => At::Unknown(number(unix_s)?),
                None => At::Position(number(at)?),
            };
            let is_known = slot as usize <= SLOTS && at.unix_s() < MAX_UNIX_S;
            if !is_known || purges.len() >= MAX_NAMES {
                return None;
            }
            purges.push((slot, at));
        }
        Some(Self { purges })
    }

    /// Whether waiting is of use: Redis has given each purge its position.
    pub(in crate::cache) fn can_be_reached(&self) -> bool {
        let mut purges = self.purges.iter();
        purges.all(|(_, at)| matches!(at, At::Position(_)))
    }

    /// `has_reached` is whether this instance's slots stand so high.
    pub(in crate::cache) fn is_reached(&self, has_reached: impl Fn(&[(u32, u64)]) -> bool) -> bool {
        let position = |at| match at {
            At::Position(position) => Some(position),
            At::Unknown(_) => None,
        };
        let purges = self.purges.iter();
        let purges: Option<Vec<(u32, u64)>> = purges
            .map(|(slot, at)| Some((*slot, position(*at)?)))
            .collect();
        purges.is_some_and(|purges| has_reached(&purges))
    }
}

/// `slot-position`, or `slot-tTIME` where there is none, with dots between; in hexadecimal.
impl fmt::Display for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (number, (slot, at)) in self.purges.iter().enumerate() {
            let dot = if number == 0 { "" } else { "." };
            match at {
                At::Position(position) => write!(f, "{dot}{slot:x}-{position:x}")?,
                At::Unknown(unix_s) => write!(f, "{dot}{slot:x}-t{unix_s:x}")?,
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const LIFETIME: Duration = Duration::from_secs(40);

    const AT: At = At::Position(1_000_000_000);

    #[test]
    fn a_token_is_read_as_it_was_written_within_its_lifetime() {
        let token = Token::new(None, vec![(3, AT), (ALL, At::Unknown(1_000))], 1_000);
        let text = token.to_string();
        assert_eq!(text, "3-3b9aca00.10000-t3e8");
        for now in [940, 1_000, 1_040] {
            assert_eq!(Token::read(&text, now, LIFETIME), Some(token.clone()));
        }
        for now in [939, 1_041] {
            assert_eq!(Token::read(&text, now, LIFETIME), None);
        }
    }

    #[test]
    fn each_name_has_a_lifetime_of_its_own() {
        let before = Token::new(None, vec![(1, At::Unknown(970)), (2, AT)], 1_000);
        let text = Token::new(Some(&before), vec![(3, AT)], 1_000).to_string();
        let left = Token::read(&text, 1_020, LIFETIME).unwrap();
        assert_eq!(left.purges, [(3, AT), (2, AT)]);
    }

    #[test]
    fn foreign_text_is_no_token() {
        let long = vec!["1-1"; MAX_NAMES + 1].join(".");
        for text in [
            "",
            "x",
            "3e8.",
            "3e8",
            "20000-1",
            "1-10000000000000",
            "1-t",
            &long,
        ] {
            assert_eq!(Token::parse(text), None, "{text}");
        }
    }

    #[test]
    fn it_is_reached_when_each_name_is_and_never_without_a_position() {
        let reached = Token::new(None, vec![(3, At::Position(9)), (4, At::Position(8))], 0);
        assert!(reached.is_reached(|purges| purges == [(3, 9), (4, 8)]));
        let unknown = Token::new(None, vec![(3, At::Unknown(9))], 0);
        assert!(!unknown.is_reached(|_| true) && !unknown.can_be_reached());
    }

    #[test]
    fn what_the_client_brought_stays_and_too_much_is_everything() {
        let before = Token::new(None, vec![(1, AT), (2, AT)], 0);
        let newer = At::Position(2_000_000_000);
        let after = Token::new(Some(&before), vec![(2, newer)], 0);
        assert_eq!(after.purges, [(2, newer), (1, AT)]);
        let many = (0..=MAX_NAMES as u32).map(|slot| (slot, AT)).collect();
        assert_eq!(Token::new(None, many, 7).purges, [(ALL, At::Unknown(7))]);
    }

    proptest! {
        #[test]
        fn whatever_is_read_is_written_so(text in "[0-9a-f]{1,4}-t?[0-9a-f]{1,9}(\\.[0-9a-f]{1,4}-t?[0-9a-f]{1,9}){0,5}") {
            if let Some(token) = Token::parse(&text) {
                prop_assert_eq!(Token::parse(&token.to_string()), Some(token));
            }
        }
    }
}
