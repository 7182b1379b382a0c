//! `Vary` (RFC 9111, 4.1): which request fields an answer was chosen by, and what they held.

use http::{HeaderMap, HeaderName, header::VARY};

/// Names that one answer may vary on. More and it is not stored: hardly any two requests would agree.
pub(crate) const MAX_VARY_NAMES: usize = 16;
/// Longest values, all together, that are kept of a request for one variant.
const MAX_VALUES_BYTES: usize = 8 << 10;

/// The names of `Vary`, lower-case, sorted, each once: order and case in the field mean nothing.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct VaryNames(pub(crate) Vec<HeaderName>);

impl VaryNames {
    /// `None` where the answer matches no other request: `*`, too many names, or something that is no field name.
    pub(crate) fn of(headers: &HeaderMap) -> Option<Self> {
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
        (names.len() <= MAX_VARY_NAMES).then_some(Self(names))
    }

    /// What a request holds in these fields, encoded so that only equal lists of equal values are equal. Empty without
    /// names. `None` where that is too much to keep.
    pub(crate) fn values(&self, request: &HeaderMap) -> Option<Box<[u8]>> {
        let mut bytes = Vec::new();
        for name in &self.0 {
            let at = bytes.len();
            bytes.push(0);
            let mut count = 0_u8;
            for value in request.get_all(name) {
                count = count.checked_add(1)?;
                crate::cache::key::field(&mut bytes, value.as_bytes());
            }
            bytes[at] = count;
            if bytes.len() > MAX_VALUES_BYTES {
                return None;
            }
        }
        Some(bytes.into_boxed_slice())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn vary(values: &[&str]) -> Option<VaryNames> {
        let mut headers = HeaderMap::new();
        for value in values {
            headers.append(VARY, value.parse().unwrap());
        }
        VaryNames::of(&headers)
    }

    #[test]
    fn c3_case_order_and_lines_mean_nothing() {
        let names = vary(&["Accept, accept-language"]);
        assert_eq!(names, vary(&["ACCEPT-LANGUAGE", "accept"]));
        assert_eq!(names, vary(&["accept-language,,accept,Accept"]));
        assert_eq!(names.unwrap().0.len(), 2);
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
}
