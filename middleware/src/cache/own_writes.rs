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
const MAX_NAMES: usize = 64;
/// Longest token that is read: 64 names of up to 5 and 14 digits. A cookie may have 4 KiB (RFC 6265, 6.1).
const MAX_TOKEN_BYTES: usize = 2_048;
/// Positions are below 2^52 microseconds.
const MAX_UNIX_S: u64 = (1 << 52) / 1_000_000;
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

/// When something was purged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum At {
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
pub(super) struct Token {
    purges: Vec<(u32, At)>,
}

impl Token {
    /// What is `new`, and what the client brought: an instance that has reached that is not the next one.
    pub(super) fn new(before: Option<&Self>, new: Vec<(u32, At)>, now_unix_s: u64) -> Self {
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
    pub(super) fn read(text: &str, now_unix_s: u64, lifetime: Duration) -> Option<Self> {
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
    pub(super) fn can_be_reached(&self) -> bool {
        let mut purges = self.purges.iter();
        purges.all(|(_, at)| matches!(at, At::Position(_)))
    }

    /// `has_reached` is whether this instance's slots stand so high.
    pub(super) fn is_reached(&self, has_reached: impl Fn(&[(u32, u64)]) -> bool) -> bool {
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

    /// What the token says; `position` is that of a slot, where Redis has confirmed the purges.
    pub(super) fn purges(
        &self,
        position: Option<&dyn Fn(u32) -> u64>,
        now_unix_s: u64,
    ) -> Vec<(u32, At)> {
        let at = |slot: u32| match position {
            Some(position) => At::Position(position(slot)),
            None => At::Unknown(now_unix_s),
        };
        let pattern = self.has_pattern.then_some((ALL, At::Unknown(now_unix_s)));
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
        fn whatever_is_read_is_written_so(text in "[0-9a-f]{1,4}-t?[0-9a-f]{1,9}(\\.[0-9a-f]{1,4}-t?[0-9a-f]{1,9}){0,5}") {
            if let Some(token) = Token::parse(&text) {
                prop_assert_eq!(Token::parse(&token.to_string()), Some(token));
            }
        }
    }
}
