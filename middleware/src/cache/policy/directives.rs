//! `Cache-Control` (RFC 9111, 5.2) and its targeted forms (RFC 9213), read so that every doubt makes an answer less
//! storable, never more.

use http::{HeaderMap, HeaderName, header::CACHE_CONTROL};
use sfv::{BareItem, Dictionary, ListEntry, Parser};

/// A larger number of seconds counts as this one (RFC 9111, 1.2.2).
const MAX_SECONDS: u64 = 1 << 31;

/// What a directive that may name fields covers.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) enum Scope {
    /// It is not there.
    #[default]
    Nothing,
    /// These fields of the answer.
    Fields(Vec<HeaderName>),
    /// The whole answer.
    Everything,
}

impl Scope {
    /// The wider of the two: a directive may stand twice.
    fn widen(&mut self, value: Option<&str>) {
        // Only a quoted list is one of names (5.2.2.4, 5.2.2.7); `private=1` is taken for `private`.
        let quoted = |value: &str| Some(value.strip_prefix('"')?.strip_suffix('"')?.to_owned());
        let fields = value.map(|value| field_names(&quoted(value)?));
        *self = match (std::mem::take(self), fields) {
            (Self::Everything, _) | (_, None | Some(None)) => Self::Everything,
            (Self::Nothing, Some(Some(fields))) => Self::Fields(fields),
            (Self::Fields(mut known), Some(Some(fields))) => {
                known.extend(fields);
                Self::Fields(known)
            }
        };
    }
}

/// `None` where a name cannot be one, or there is none: then the directive counts as the one without names.
fn field_names(list: &str) -> Option<Vec<HeaderName>> {
    let names: Option<Vec<HeaderName>> = list
        .split(',')
        .map(str::trim)
        .filter(|name| !name.is_empty())
        .map(|name| HeaderName::from_bytes(name.as_bytes()).ok())
        .collect();
    names.filter(|names| !names.is_empty())
}

/// The directives of one message.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Directives {
    /// There is a field with directives at all.
    pub(crate) present: bool,
    pub(crate) no_store: bool,
    pub(crate) no_cache: Scope,
    pub(crate) private: Scope,
    pub(crate) public: bool,
    pub(crate) must_revalidate: bool,
    /// `must-revalidate` for shared caches, but does not by itself allow sharing an authorised answer (3.5 names the
    /// other three alone).
    pub(crate) proxy_revalidate: bool,
    pub(crate) must_understand: bool,
    pub(crate) only_if_cached: bool,
    pub(crate) max_age: Option<u64>,
    pub(crate) s_maxage: Option<u64>,
    pub(crate) min_fresh: Option<u64>,
    /// Without a number any staleness is taken (5.2.1.2).
    pub(crate) max_stale: Option<u64>,
    /// RFC 5861.
    pub(crate) stale_while_revalidate: Option<u64>,
    pub(crate) stale_if_error: Option<u64>,
    /// Something cannot be read: a value that is no number, a quote without an end.
    pub(crate) malformed: bool,
}

impl Directives {
    /// Those of `Cache-Control`.
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

    /// Those of the first of `targets` that is there, can be read and is not empty (RFC 9213, 2.2). They then stand in
    /// the place of `Cache-Control` and `Expires`.
    pub(crate) fn targeted(headers: &HeaderMap, targets: &[HeaderName]) -> Option<Self> {
        targets
            .iter()
            .filter(|target| headers.contains_key(*target))
            .find_map(|target| {
                let lines: Option<Vec<&str>> = headers
                    .get_all(target)
                    .iter()
                    .map(|value| value.to_str().ok())
                    .collect();
                let members: Dictionary = Parser::new(&lines?.join(", ")).parse().ok()?;
                (!members.is_empty()).then(|| Self::structured(&members))
            })
    }

    fn structured(members: &Dictionary) -> Self {
        let mut directives = Self {
            present: true,
            ..Self::default()
        };
        for (name, member) in members {
            let item = match member {
                ListEntry::Item(item) => &item.bare_item,
                ListEntry::InnerList(_) => {
                    directives.malformed = true;
                    continue;
                }
            };
            match item {
                BareItem::Boolean(true) => directives.directive(name.as_str(), None),
                // `?0` says that it does not hold.
                BareItem::Boolean(false) => {}
                BareItem::Integer(number) => {
                    directives.directive(name.as_str(), Some(&number.to_string()));
                }
                BareItem::String(text) => {
                    directives.directive(name.as_str(), Some(&format!("\"{}\"", text.as_str())));
                }
                _ => directives.directive(name.as_str(), Some("not a number")),
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
            self.directive(&name.to_ascii_lowercase(), value);
        }
    }

    fn directive(&mut self, name: &str, value: Option<&str>) {
        let slot = match name {
            "no-store" => return self.no_store = true,
            "no-cache" => return self.no_cache.widen(value),
            "private" => return self.private.widen(value),
            "public" => return self.public = true,
            "must-revalidate" => return self.must_revalidate = true,
            "proxy-revalidate" => return self.proxy_revalidate = true,
            "must-understand" => return self.must_understand = true,
            "only-if-cached" => return self.only_if_cached = true,
            "max-stale" if value.is_none() => {
                self.max_stale.get_or_insert(MAX_SECONDS);
                return;
            }
            "max-age" => &mut self.max_age,
            "s-maxage" => &mut self.s_maxage,
            "min-fresh" => &mut self.min_fresh,
            "max-stale" => &mut self.max_stale,
            "stale-while-revalidate" => &mut self.stale_while_revalidate,
            "stale-if-error" => &mut self.stale_if_error,
            // Unknown directives are ignored (5.2.3).
            _ => return,
        };
        self.malformed |= !lowest(slot, value);
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

/// Splits at commas outside quoted strings; tells whether every quote stands where it may, and was closed.
fn split_members(text: &str) -> (Vec<&str>, bool) {
    let mut members = Vec::new();
    let (mut start, mut quoted, mut escaped, mut sound) = (0, false, false, true);
    for (at, byte) in text.bytes().enumerate() {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if quoted => escaped = true,
            b'"' => {
                sound &= quoted || begins_argument(&text[start..at]);
                quoted = !quoted;
            }
            b',' if !quoted => {
                members.push(&text[start..at]);
                start = at + 1;
            }
            _ => {}
        }
    }
    members.push(&text[start..]);
    members.retain(|member| !member.trim().is_empty());
    (members, sound && !quoted)
}

/// Whether a quote may come after this: behind `name=` (5.2). Anywhere else it would hide the directives up to the next
/// quote from us, and from nobody who splits at each comma.
fn begins_argument(before: &str) -> bool {
    let name = before.trim_end().strip_suffix('=');
    name.is_some_and(|name| HeaderName::from_bytes(name.trim().as_bytes()).is_ok())
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
        let fields = |names: &[&'static str]| {
            Scope::Fields(
                names
                    .iter()
                    .map(|name| HeaderName::from_static(name))
                    .collect(),
            )
        };
        assert_eq!(
            read("private=\"Set-Cookie, x\", max-age=5").private,
            fields(&["set-cookie", "x"])
        );
        assert_eq!(read("no-cache=\"x\"").no_cache, fields(&["x"]));
        for token in ["no-cache=x", "no-cache=1", "no-cache=true", "no-cache=\"x"] {
            assert_eq!(read(token).no_cache, Scope::Everything, "{token}");
        }
        assert_eq!(read("no-cache=\"x\", no-cache").no_cache, Scope::Everything);
        assert_eq!(read("private=\"not a name\"").private, Scope::Everything);
        assert_eq!(read("private=\"\"").private, Scope::Everything);
    }

    #[test]
    fn c4_a_comma_or_directive_inside_quotes_is_not_a_directive() {
        let directives = read("foo=\"a, no-store\", max-age=3");
        assert!(!directives.no_store);
        assert_eq!(directives.max_age, Some(3));
        assert!(read("foo=\"a\\\", max-age=3").malformed);
    }

    #[test]
    fn c4_a_quote_that_begins_no_argument_hides_no_directive() {
        for text in [
            "x\", no-store, \"y, max-age=60",
            "a=b\", private, \"c, s-maxage=60",
            "a=b=\"x, no-store\", max-age=60",
            "a=\"x\"=\", no-store\", max-age=60",
            "\"no-store, \", max-age=60",
        ] {
            assert!(read(text).malformed, "{text}");
        }
        assert!(!read("a = \"x, no-store\" , max-age=60").malformed);
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

    #[test]
    fn max_stale_without_a_number_takes_any_staleness() {
        assert_eq!(read("max-stale").max_stale, Some(MAX_SECONDS));
        assert_eq!(read("max-stale, max-stale=5").max_stale, Some(5));
        assert!(read("max-stale=x").malformed);
    }

    /// RFC 9213, 2.
    #[test]
    fn targeted_fields_are_structured_and_what_cannot_be_read_is_not_there() {
        let ours = HeaderName::from_static("pitcrew-cache-control");
        let cdn = HeaderName::from_static("cdn-cache-control");
        let targets = [ours.clone(), cdn.clone()];
        let of = |pairs: &[(&HeaderName, &str)]| {
            let mut headers = HeaderMap::new();
            for (name, value) in pairs {
                headers.append((*name).clone(), value.parse().unwrap());
            }
            Directives::targeted(&headers, &targets)
        };
        assert_eq!(of(&[]), None);
        assert_eq!(of(&[(&cdn, "")]), None, "empty");
        assert_eq!(of(&[(&cdn, "max-age=60, &")]), None, "no structured field");
        assert_eq!(of(&[(&cdn, "Max-Age=60")]), None, "keys are lower-case");
        assert_eq!(of(&[(&cdn, "max-age=60")]).unwrap().max_age, Some(60));
        let both = of(&[(&cdn, "max-age=60"), (&ours, "no-store")]).unwrap();
        assert!(
            both.no_store && both.max_age.is_none(),
            "the first target wins"
        );
        let lines = of(&[(&cdn, "max-age=60"), (&cdn, "must-revalidate")]).unwrap();
        assert!(
            lines.must_revalidate && lines.max_age == Some(60),
            "lines are one field"
        );
        assert!(!of(&[(&cdn, "no-store=?0, max-age=1")]).unwrap().no_store);
        assert!(of(&[(&cdn, "max-age=1.5")]).unwrap().malformed);
        assert!(of(&[(&cdn, "max-age=(1 2)")]).unwrap().malformed);
        assert_eq!(
            of(&[(&cdn, "private=\"x\"")]).unwrap().private,
            Scope::Fields(vec![HeaderName::from_static("x")])
        );
    }
}
