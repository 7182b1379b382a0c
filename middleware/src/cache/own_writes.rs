//! Read your own writes: what a client has changed through one instance it does not see undone by another.
//!
//! The answer to an unsafe request carries a token, which names what was purged and the positions that Redis gave. A
//! request with a token that this instance has not reached waits a little, then goes to the handler: past the cache, and
//! past others who wait for the same (rule 9 of the invalidation).

use std::{cell::RefCell, fmt, future::Future, pin::Pin, str::FromStr, time::Duration};

use http::{
    HeaderMap, HeaderName, HeaderValue,
    header::{COOKIE, SET_COOKIE},
};

use super::{
    invalidation::{ALL, Command, Kind, Name, SLOTS, Target},
    scope::{self, Place},
};

/// Names in a token at most; past that it says that everything was purged.
const MAX_NAMES: usize = 32;
/// Longest token that is read: 32 names of up to 5 and 13 digits.
const MAX_TOKEN_BYTES: usize = 1_024;
/// A token from further ahead than this is not of a clock that agrees with ours.
const MAX_CLOCK_SKEW: Duration = Duration::from_secs(60);

/// How a client carries what it has written; see
/// [`CacheBuilder::read_your_writes`](super::CacheBuilder::read_your_writes).
#[derive(Clone, Debug)]
pub struct ReadYourWrites(Carrier);

#[derive(Clone, Debug)]
enum Carrier {
    Header(HeaderName),
    Cookie(Box<str>),
}

impl ReadYourWrites {
    /// In a field of this name, of the answer and then of the client's next requests; for clients of your own, which send
    /// back what they got. The token stands for its own lifetime, so keeping the last one is enough.
    #[must_use]
    pub fn header(name: HeaderName) -> Self {
        Self(Carrier::Header(name))
    }

    /// In a cookie of this name, which browsers send back by themselves. The handler does not see it, and it does not make
    /// a request one with cookies.
    ///
    /// # Panics
    ///
    /// Where the name is not a token (RFC 6265, 4.1.1).
    #[must_use]
    pub fn cookie(name: &str) -> Self {
        let is_token = HeaderName::from_str(name).is_ok();
        assert!(is_token, "`{name}` is not the name of a cookie");
        Self(Carrier::Cookie(name.into()))
    }

    /// Takes the client's token out of its request. `None` without one.
    pub(super) fn take(&self, headers: &mut HeaderMap) -> Option<String> {
        match &self.0 {
            Carrier::Header(name) => {
                let value = headers.remove(name)?;
                Some(value.to_str().unwrap_or_default().to_owned())
            }
            Carrier::Cookie(name) => take_cookie(headers, name),
        }
    }

    /// The field of an answer that holds a token.
    pub(super) fn field(
        &self,
        token: &Token,
        lifetime: Duration,
    ) -> Option<(HeaderName, HeaderValue)> {
        let (name, value) = match &self.0 {
            Carrier::Header(name) => (name.clone(), token.to_string()),
            Carrier::Cookie(name) => {
                let lifetime = lifetime.as_secs();
                let value =
                    format!("{name}={token}; Max-Age={lifetime}; Path=/; HttpOnly; SameSite=Lax");
                (SET_COOKIE, value)
            }
        };
        Some((name, HeaderValue::try_from(value).ok()?))
    }
}

/// Comes to the field that an answer waits for.
pub(super) type Telling = Pin<Box<dyn Future<Output = Option<(HeaderName, HeaderValue)>> + Send>>;

fn take_cookie(headers: &mut HeaderMap, name: &str) -> Option<String> {
    let is_ours = |pair: &str| {
        let pair = pair.trim_start().strip_prefix(name);
        pair.is_some_and(|rest| rest.starts_with('='))
    };
    let lines: Vec<HeaderValue> = headers.get_all(COOKIE).iter().cloned().collect();
    let mut found = None;
    let mut kept = Vec::with_capacity(lines.len());
    for line in lines {
        let Ok(text) = line.to_str() else {
            kept.push(line);
            continue;
        };
        let (ours, others): (Vec<&str>, Vec<&str>) =
            text.split(';').partition(|pair| is_ours(pair));
        let Some(last) = ours.last() else {
            kept.push(line);
            continue;
        };
        found = last
            .split_once('=')
            .map(|(_, value)| value.trim().to_owned());
        let others = others.join(";");
        if !others.trim().is_empty() {
            kept.extend(HeaderValue::from_str(others.trim_start()));
        }
    }
    if found.is_some() {
        headers.remove(COOKIE);
        for line in kept {
            headers.append(COOKIE, line);
        }
    }
    found
}

/// What a client has purged: slots and the positions that Redis gave, `None` where it had not yet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Token {
    made_unix_s: u64,
    purges: Vec<(u32, Option<u64>)>,
}

impl Token {
    /// `before` is what the client brought: it has not reached everybody either.
    pub(super) fn new(
        now_unix_s: u64,
        before: Option<&Self>,
        new: Vec<(u32, Option<u64>)>,
    ) -> Self {
        let mut purges = new;
        let before = before.into_iter().flat_map(|token| &token.purges);
        for (slot, position) in before {
            if !purges.iter().any(|(known, _)| known == slot) {
                purges.push((*slot, *position));
            }
        }
        if purges.len() > MAX_NAMES {
            purges = vec![(ALL, None)];
        }
        Self {
            made_unix_s: now_unix_s,
            purges,
        }
    }

    /// `None` for what is no token of ours, which promises nothing, and for one that is past its lifetime: what was stored
    /// before it is not served any more either.
    pub(super) fn read(text: &str, now_unix_s: u64, lifetime: Duration) -> Option<Self> {
        let token = Self::parse(text)?;
        let is_from_ahead = token.made_unix_s > now_unix_s + MAX_CLOCK_SKEW.as_secs();
        let is_over = now_unix_s > token.made_unix_s.saturating_add(lifetime.as_secs());
        (!is_from_ahead && !is_over).then_some(token)
    }

    fn parse(text: &str) -> Option<Self> {
        if text.len() > MAX_TOKEN_BYTES {
            return None;
        }
        let mut parts = text.split('.');
        let made_unix_s = u64::from_str_radix(parts.next()?, 16).ok()?;
        let mut purges = Vec::new();
        for part in parts {
            let (slot, position) = part.split_once('-')?;
            let slot = u32::from_str_radix(slot, 16).ok()?;
            let position = match position {
                "" => None,
                digits => Some(u64::from_str_radix(digits, 16).ok()?),
            };
            let is_known = slot as usize <= SLOTS && position.is_none_or(|at| at < 1 << 52);
            if !is_known || purges.len() >= MAX_NAMES {
                return None;
            }
            purges.push((slot, position));
        }
        Some(Self {
            made_unix_s,
            purges,
        })
    }

    /// Whether waiting is of use: Redis has given each purge its position.
    pub(super) fn can_be_reached(&self) -> bool {
        let mut purges = self.purges.iter();
        purges.all(|(_, position)| position.is_some())
    }

    /// `has_reached` is whether this instance's slots stand so high.
    pub(super) fn is_reached(&self, has_reached: impl Fn(&[(u32, u64)]) -> bool) -> bool {
        let purges: Option<Vec<(u32, u64)>> = self
            .purges
            .iter()
            .map(|(slot, position)| Some((*slot, (*position)?)))
            .collect();
        purges.is_some_and(|purges| has_reached(&purges))
    }
}

impl fmt::Display for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:x}", self.made_unix_s)?;
        for (slot, position) in &self.purges {
            write!(f, ".{slot:x}-")?;
            if let Some(position) = position {
                write!(f, "{position:x}")?;
            }
        }
        Ok(())
    }
}

thread_local! {
    static CURRENT: Place<Writes> = const { RefCell::new(None) };
}

/// What an unsafe request purges.
#[derive(Clone, Debug, Default)]
pub(super) struct Writes {
    slots: Vec<u32>,
    /// The numbers of the purges, by which this instance knows them.
    pub(super) numbers: Vec<u64>,
    /// Something is purged that has no slot.
    has_pattern: bool,
}

impl Writes {
    /// Runs `work` so that purges land here.
    pub(super) fn scope<T>(&mut self, work: impl FnOnce() -> T) -> T {
        scope::within(&CURRENT, self, work)
    }

    /// Soft purges are left out: whoever makes them lets old answers be given.
    pub(super) fn add(&mut self, names: &[Name], commands: &[Command]) {
        for name in names.iter().filter(|name| name.kind == Kind::Hard) {
            match &name.target {
                Target::Pattern(_) => self.has_pattern = true,
                Target::Slot(slot) if self.slots.contains(slot) => {}
                // One more than a token holds says that it is too much.
                Target::Slot(slot) if self.slots.len() <= MAX_NAMES => self.slots.push(*slot),
                Target::Slot(_) => {}
            }
        }
        self.numbers
            .extend(commands.iter().map(|command| command.number));
    }

    pub(super) fn is_empty(&self) -> bool {
        self.numbers.is_empty()
    }

    /// What the token says; `at` is the position of a slot, where Redis has confirmed the purges.
    pub(super) fn purges(&self, at: Option<impl Fn(u32) -> u64>) -> Vec<(u32, Option<u64>)> {
        let at = |slot: u32| at.as_ref().map(|at| at(slot));
        let pattern = self.has_pattern.then_some((ALL, None));
        let slots = self.slots.iter().map(|slot| (*slot, at(*slot)));
        slots.chain(pattern).collect()
    }
}

/// A purge is made; where an unsafe request is being answered, it is one of its own.
pub(super) fn purged(names: &[Name], commands: &[Command]) {
    scope::tell(&CURRENT, |writes: &mut Writes| writes.add(names, commands));
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const LIFETIME: Duration = Duration::from_secs(40);

    fn token(purges: &[(u32, Option<u64>)]) -> Token {
        Token::new(1_000, None, purges.to_vec())
    }

    #[test]
    fn a_token_is_read_as_it_was_written_within_its_lifetime() {
        let token = token(&[(3, Some(9)), (ALL, None)]);
        let text = token.to_string();
        assert_eq!(text, "3e8.3-9.10000-");
        for now in [940, 1_000, 1_040] {
            assert_eq!(Token::read(&text, now, LIFETIME), Some(token.clone()));
        }
        for now in [939, 1_041] {
            assert_eq!(Token::read(&text, now, LIFETIME), None);
        }
    }

    #[test]
    fn foreign_text_is_no_token() {
        let long = format!("3e8{}", ".1-1".repeat(MAX_NAMES + 1));
        for text in [
            "",
            "x",
            "3e8.",
            "3e8.1",
            "3e8.20000-1",
            "3e8.1-ffffffffffffff",
            &long,
        ] {
            assert_eq!(Token::read(text, 1_000, LIFETIME), None, "{text}");
        }
    }

    #[test]
    fn it_is_reached_when_each_name_is_and_never_without_a_position() {
        let reached = token(&[(3, Some(9)), (4, Some(8))]);
        assert!(reached.is_reached(|purges| purges == [(3, 9), (4, 8)]));
        assert!(!token(&[(3, None)]).is_reached(|_| true));
    }

    #[test]
    fn what_was_not_reached_before_stays_and_too_much_is_everything() {
        let before = token(&[(1, Some(1)), (2, Some(2))]);
        let after = Token::new(1_001, Some(&before), vec![(2, Some(5))]);
        assert_eq!(after.purges, [(2, Some(5)), (1, Some(1))]);
        let many = (0..40).map(|slot| (slot, Some(1))).collect();
        assert_eq!(Token::new(1, None, many).purges, [(ALL, None)]);
    }

    #[test]
    fn the_cookie_is_taken_out_and_others_stay_as_they_were() {
        let carrier = ReadYourWrites::cookie("writes");
        for (lines, found, left) in [
            (&["writes=1"][..], Some("1"), &[][..]),
            (&["a=1; writes=2; b=3"], Some("2"), &["a=1; b=3"]),
            (&["writes=2; a=1", "b=2"], Some("2"), &["a=1", "b=2"]),
            (&["mywrites=2;writes2=1"], None, &["mywrites=2;writes2=1"]),
        ] {
            let mut headers = HeaderMap::new();
            for line in lines {
                headers.append(COOKIE, HeaderValue::from_static(line));
            }
            assert_eq!(carrier.take(&mut headers).as_deref(), found, "{lines:?}");
            let kept: Vec<_> = headers.get_all(COOKIE).iter().collect();
            assert_eq!(kept, left, "{lines:?}");
        }
    }

    proptest! {
        #[test]
        fn whatever_is_read_is_written_so(text in "[0-9a-f]{1,4}(\\.[0-9a-f]{1,4}-[0-9a-f]{0,13}){0,5}") {
            if let Some(token) = Token::parse(&text) {
                prop_assert_eq!(Token::parse(&token.to_string()), Some(token));
            }
        }
    }
}
