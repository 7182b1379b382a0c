//! `Vary` (RFC 9111, 4.1): which request fields an answer was chosen by, and what they held.

use http::{
    HeaderMap, HeaderName, HeaderValue,
    header::{ACCEPT_ENCODING, ACCEPT_LANGUAGE, VARY},
};

/// Names that one answer may vary on. More and it is not stored: hardly any two requests would agree.
pub(crate) const MAX_VARY_NAMES: usize = 16;
/// Longest values, all together, that are kept of a request for one variant.
pub(crate) const MAX_VALUES_BYTES: usize = 8 << 10;

/// The names of `Vary`, lower-case, sorted, each once: order and case in the field mean nothing.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct VaryNames {
    pub(crate) names: Vec<HeaderName>,
    /// Whether values that mean the same are the same: see [`Region::normalize_vary`](crate::cache::Region).
    pub(crate) normalized: bool,
}

impl VaryNames {
    /// `None` where the answer matches no other request: `*`, too many names, or something that is no field name.
    pub(crate) fn of(headers: &HeaderMap, normalized: bool) -> Option<Self> {
        let mut names = Vec::new();
        for value in headers.get_all(VARY) {
            for name in value
                .to_str()
                .ok()?
                .split(',')
                .map(str::trim)
                .filter(|name| !name.is_empty())
            {
                if name == "*" {
                    return None;
                }
                names.push(HeaderName::from_bytes(name.as_bytes()).ok()?);
            }
        }
        names.sort_by(|a, b| a.as_str().cmp(b.as_str()));
        names.dedup();
        (names.len() <= MAX_VARY_NAMES).then_some(Self { names, normalized })
    }

    /// What a request holds in these fields, encoded so that only equal lists of equal values are equal. Empty without
    /// names. `None` where that is too much to keep.
    pub(crate) fn values(&self, request: &HeaderMap) -> Option<Box<[u8]>> {
        let mut bytes = Vec::new();
        for name in &self.names {
            if self.normalized {
                match combined(name, request) {
                    Some(value) => {
                        bytes.push(1);
                        crate::cache::key::field(&mut bytes, &value);
                    }
                    None => bytes.push(0),
                }
            } else {
                let at = bytes.len();
                bytes.push(0);
                let mut count = 0_u8;
                for value in request.get_all(name) {
                    count = count.checked_add(1)?;
                    crate::cache::key::field(&mut bytes, value.as_bytes());
                }
                bytes[at] = count;
            }
            if bytes.len() > MAX_VALUES_BYTES {
                return None;
            }
        }
        Some(bytes.into_boxed_slice())
    }
}

impl VaryNames {
    /// Whether two encodings of normalized values differ in what they hold of `Accept-Language`, and in nothing else.
    pub(crate) fn differ_in_language_alone(&self, one: &[u8], other: &[u8]) -> bool {
        let (mut one, mut other) = (one, other);
        let mut is_varied = false;
        for name in &self.names {
            let (Some(a), Some(b)) = (take(&mut one), take(&mut other)) else {
                return false;
            };
            if *name == ACCEPT_LANGUAGE {
                is_varied = true;
            } else if a != b {
                return false;
            }
        }
        is_varied
    }
}

/// One field's part of an encoding, as [`VaryNames::values`] writes it for normalized values.
fn take<'a>(bytes: &mut &'a [u8]) -> Option<&'a [u8]> {
    let whole: &'a [u8] = bytes;
    let length = match whole.first()? {
        0 => 1,
        _ => 5 + u32::from_le_bytes(whole.get(1..5)?.try_into().ok()?) as usize,
    };
    let (part, rest) = whole.split_at_checked(length)?;
    *bytes = rest;
    Some(part)
}

/// Whether a language is the one that a request prefers: the first of those with the highest weight (RFC 9110, 12.5.4).
pub(crate) fn prefers(request: &HeaderMap, language: &str) -> bool {
    let mut best: Option<(&str, u16)> = None;
    for value in request.get_all(ACCEPT_LANGUAGE) {
        let Ok(text) = value.to_str() else {
            return false;
        };
        for member in text.split(',') {
            let (range, weight) = member.split_once(';').unwrap_or((member, "q=1"));
            let Some(weight) = thousandths(weight.trim()) else {
                return false;
            };
            if best.is_none_or(|(_, known)| weight > known) {
                best = Some((range.trim(), weight));
            }
        }
    }
    best.is_some_and(|(range, weight)| weight > 0 && range.eq_ignore_ascii_case(language.trim()))
}

/// A weight (RFC 9110, 12.4.2) in thousandths.
fn thousandths(weight: &str) -> Option<u16> {
    let (name, number) = weight.split_once('=')?;
    let number: f32 = number.trim().parse().ok()?;
    let is_weight = name.trim().eq_ignore_ascii_case("q") && (0.0..=1.0).contains(&number);
    is_weight.then_some((number * 1_000.0) as u16)
}

/// All lines of a field as one list, without the space around its members (RFC 9111, 4.1). The codings and languages that a
/// client takes also without regard to case and order: their weights are in the members.
fn combined(name: &HeaderName, request: &HeaderMap) -> Option<Vec<u8>> {
    let lines: Vec<&[u8]> = request
        .get_all(name)
        .iter()
        .map(HeaderValue::as_bytes)
        .collect();
    // One list first: a quote that a line leaves open goes on in the next (RFC 9110, 5.3).
    let list = lines.join(&b',');
    // Codings and languages have no quoted strings (RFC 9110, 12.5.3, 12.5.4): a stray quote would join what is sorted.
    let is_set = *name == ACCEPT_LANGUAGE || *name == ACCEPT_ENCODING;
    let (mut quoted, mut escaped) = (false, false);
    let split = list.split(|byte| {
        // RFC 9110, 5.6.4: what a backslash escapes ends no string.
        let literal = escaped;
        escaped = quoted && !literal && *byte == b'\\';
        quoted ^= *byte == b'"' && !literal && !is_set;
        *byte == b',' && !quoted
    });
    let mut members: Vec<Vec<u8>> = split
        .map(<[u8]>::trim_ascii)
        .filter(|member| !member.is_empty())
        .map(<[u8]>::to_vec)
        .collect();
    if is_set {
        for member in &mut members {
            member.retain(|byte| !byte.is_ascii_whitespace());
            member.make_ascii_lowercase();
        }
        members.sort_unstable();
        members.dedup();
    }
    (!lines.is_empty()).then(|| members.join(&b','))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn vary(values: &[&str]) -> Option<VaryNames> {
        let mut headers = HeaderMap::new();
        for value in values {
            headers.append(VARY, value.parse().unwrap());
        }
        VaryNames::of(&headers, false)
    }

    #[test]
    fn c3_case_order_and_lines_mean_nothing() {
        let names = vary(&["Accept, accept-language"]);
        assert_eq!(names, vary(&["ACCEPT-LANGUAGE", "accept"]));
        assert_eq!(names, vary(&["accept-language,,accept,Accept"]));
        assert_eq!(names.unwrap().names.len(), 2);
    }

    #[test]
    fn c3_star_anywhere_matches_nothing() {
        assert_eq!(vary(&["*"]), None);
        assert_eq!(vary(&["accept, *"]), None);
        assert_eq!(vary(&["accept", " * "]), None);
    }

    #[test]
    fn c3_nonsense_and_too_many_names_match_nothing() {
        assert_eq!(vary(&["a b"]), None);
        let many = (0..=MAX_VARY_NAMES)
            .map(|n| format!("x-{n}"))
            .collect::<Vec<_>>()
            .join(",");
        assert_eq!(vary(&[&many]), None);
    }

    #[test]
    fn c3_absent_empty_and_repeated_values_are_apart() {
        let names = vary(&["x"]).unwrap();
        let with = |values: &[&str]| {
            let mut headers = HeaderMap::new();
            values.iter().for_each(|value| {
                headers.append("x", value.parse().unwrap());
            });
            names.values(&headers).unwrap()
        };
        let all = [
            with(&[]),
            with(&[""]),
            with(&["a"]),
            with(&["a", ""]),
            with(&["a", "b"]),
            with(&["ab"]),
        ];
        for (i, one) in all.iter().enumerate() {
            assert!(all[i + 1..].iter().all(|other| one != other), "{one:?}");
        }
    }

    #[test]
    fn the_preferred_language_is_the_first_of_the_heaviest() {
        let prefers = |accept: &str, language: &str| {
            let mut headers = HeaderMap::new();
            headers.insert(ACCEPT_LANGUAGE, accept.parse().unwrap());
            prefers(&headers, language)
        };
        assert!(prefers("fr;q=0.5, de;q=1.0", "de") && prefers("De, en", "dE"));
        assert!(!prefers("en, de", "de") && !prefers("de;q=0.9, *", "de"));
        assert!(!prefers("de-AT", "de") && !prefers("de;q=0", "de") && !prefers("de;x", "de"));
        assert!(!prefers("", "de") && !super::prefers(&HeaderMap::new(), "de"));
    }

    #[test]
    fn what_means_the_same_is_the_same_only_where_that_is_wanted() {
        let values = |normalized: bool, name: &str, lines: &[&str]| {
            let mut headers = HeaderMap::new();
            headers.insert(VARY, name.parse().unwrap());
            for line in lines {
                let name = HeaderName::from_bytes(name.as_bytes()).unwrap();
                headers.append(name, line.parse().unwrap());
            }
            let names = VaryNames::of(&headers, normalized).unwrap();
            names.values(&headers).unwrap()
        };
        let same: [(&str, &[&str], &[&str]); 5] = [
            ("x", &["1, 2"], &["1", "2"]),
            ("x", &[" 1 ,2"], &["1,2"]),
            ("accept-language", &["en, de;q=0.5"], &["De; q=0.5", "EN"]),
            ("accept-encoding", &["gzip, br"], &["br,gzip,br"]),
            ("accept-encoding", &["b\"", "gzip"], &["gzip, b\""]),
        ];
        for (name, one, other) in same {
            assert_eq!(values(true, name, one), values(true, name, other), "{name}");
            assert_ne!(
                values(false, name, one),
                values(false, name, other),
                "{name}"
            );
        }
        let apart: [(&str, &[&str], &[&str]); 7] = [
            ("x", &["1,2"], &["2,1"]),
            ("x", &["a"], &["A"]),
            ("x", &["\"1,2\""], &["\"1, 2\""]),
            ("x", &[r#""1\",2""#], &[r#""1\", 2""#]),
            ("x", &["\"1", "2 , 3\""], &["\"1,2,3\""]),
            ("x", &[], &[""]),
            ("accept-language", &["en;q=0.5"], &["en"]),
        ];
        for (name, one, other) in apart {
            assert_ne!(values(true, name, one), values(true, name, other), "{name}");
        }
    }
}
