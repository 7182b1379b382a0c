//! `Cache-Control` (RFC 9111, 5.2), read so that every doubt makes an answer less storable, never more.

use http::{HeaderMap, header::CACHE_CONTROL};

/// A larger number of seconds counts as this one (RFC 9111, 1.2.2).
const MAX_SECONDS: u64 = 1 << 31;

/// The directives of one message.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Directives {
    /// There is a `Cache-Control` field at all.
    pub(crate) present: bool,
    pub(crate) no_store: bool,
    /// With field names too: leaving single fields out of a stored answer is a later matter, so the whole answer stays
    /// out.
    pub(crate) no_cache: bool,
    /// With field names too, for the same reason.
    pub(crate) private: bool,
    pub(crate) public: bool,
    pub(crate) must_revalidate: bool,
    pub(crate) max_age: Option<u64>,
    pub(crate) s_maxage: Option<u64>,
    pub(crate) min_fresh: Option<u64>,
    /// Something cannot be read: a value that is no number, a quote without an end.
    pub(crate) malformed: bool,
}

impl Directives {
    pub(crate) fn of(headers: &HeaderMap) -> Self {
        let mut directives = Self::default();
        for value in headers.get_all(CACHE_CONTROL) {
            directives.present = true;
            match value.to_str() {
                Ok(text) => directives.read(text),
                Err(_) => directives.malformed = true,
            }
        }
        directives
    }

    fn read(&mut self, text: &str) {
        let (members, closed) = split_members(text);
        self.malformed |= !closed;
        for member in members {
            let (name, value) = match member.split_once('=') {
                Some((name, value)) => (name.trim(), Some(value.trim())),
                None => (member.trim(), None),
            };
            match name.to_ascii_lowercase().as_str() {
                "no-store" => self.no_store = true,
                "no-cache" => self.no_cache = true,
                "private" => self.private = true,
                "public" => self.public = true,
                // `proxy-revalidate` is `must-revalidate` for shared caches, but does not by itself allow sharing an
                // authorised answer (3.5 names the other three alone).
                "must-revalidate" => self.must_revalidate = true,
                "max-age" => self.malformed |= !lowest(&mut self.max_age, value),
                "s-maxage" => self.malformed |= !lowest(&mut self.s_maxage, value),
                "min-fresh" => self.malformed |= !lowest(&mut self.min_fresh, value),
                // Unknown directives are ignored (5.2.3).
                _ => {}
            }
        }
    }
}

/// Keeps the lowest of several values of one directive: 4.2.1 allows the first or "stale", the lowest is never fresher
/// than the first. Answers whether the value could be read.
fn lowest(slot: &mut Option<u64>, value: Option<&str>) -> bool {
    let Some(seconds) = value.and_then(seconds) else {
        return false;
    };
    *slot = Some(slot.map_or(seconds, |known| known.min(seconds)));
    true
}

/// delta-seconds (1.2.2): digits alone, also quoted (5.2: recipients accept both forms). No sign, no fraction.
fn seconds(value: &str) -> Option<u64> {
    let digits = match value.strip_prefix('"') {
        Some(rest) => rest.strip_suffix('"')?,
        None => value,
    };
    if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    Some(
        digits
            .parse()
            .map_or(MAX_SECONDS, |seconds: u64| seconds.min(MAX_SECONDS)),
    )
}

/// Splits at commas outside quoted strings; tells whether every quote was closed.
fn split_members(text: &str) -> (Vec<&str>, bool) {
    let mut members = Vec::new();
    let (mut start, mut quoted, mut escaped) = (0, false, false);
    for (at, byte) in text.bytes().enumerate() {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if quoted => escaped = true,
            b'"' => quoted = !quoted,
            b',' if !quoted => {
                members.push(&text[start..at]);
                start = at + 1;
            }
            _ => {}
        }
    }
    members.push(&text[start..]);
    members.retain(|member| !member.trim().is_empty());
    (members, !quoted)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Directives {
        let mut headers = HeaderMap::new();
        headers.insert(CACHE_CONTROL, text.parse().unwrap());
        Directives::of(&headers)
    }

    #[test]
    fn c4_names_are_read_in_any_case_and_values_quoted_or_not() {
        assert_eq!(read("Max-Age=60").max_age, Some(60));
        assert_eq!(read("max-age=\"60\"").max_age, Some(60));
        assert!(read("NO-STORE").no_store);
        assert!(read("private=\"set-cookie, x\", max-age=5").private);
        assert!(read("no-cache=\"x\"").no_cache);
    }

    #[test]
    fn c4_a_comma_or_directive_inside_quotes_is_not_a_directive() {
        let directives = read("foo=\"a, no-store\", max-age=3");
        assert!(!directives.no_store);
        assert_eq!(directives.max_age, Some(3));
        assert!(read("foo=\"a\\\", max-age=3").malformed);
    }

    #[test]
    fn c4_duplicates_take_the_lowest_whatever_their_order_and_line() {
        assert_eq!(read("max-age=60, max-age=5").max_age, Some(5));
        assert_eq!(read("max-age=5, max-age=60").max_age, Some(5));
        let mut headers = HeaderMap::new();
        headers.append(CACHE_CONTROL, "max-age=9".parse().unwrap());
        headers.append(CACHE_CONTROL, "max-age=4".parse().unwrap());
        assert_eq!(Directives::of(&headers).max_age, Some(4));
    }

    #[test]
    fn c4_negative_fractional_and_empty_numbers_are_malformed() {
        for text in [
            "max-age=-1",
            "max-age=1.5",
            "max-age",
            "max-age=",
            "max-age=a",
            "s-maxage=+5",
            "max-age=\"5",
        ] {
            assert!(read(text).malformed, "{text}");
        }
    }

    #[test]
    fn c4_overflowing_numbers_are_capped() {
        assert_eq!(
            read("max-age=99999999999999999999999").max_age,
            Some(MAX_SECONDS)
        );
        assert_eq!(read("max-age=4294967296").max_age, Some(MAX_SECONDS));
    }

    #[test]
    fn c4_unknown_directives_are_ignored() {
        let directives = read("max-age=7, frobnicate, x=y, community=\"UCI\"");
        assert_eq!(
            directives,
            Directives {
                present: true,
                max_age: Some(7),
                ..Directives::default()
            }
        );
    }
}
