//! `Cache-Control` and its targeted forms, and what an answer's freshness becomes by them.

use std::{collections::BTreeSet, time::Duration};

use http::{
    HeaderMap, HeaderName, StatusCode,
    header::{CACHE_CONTROL, ETAG, EXPIRES},
};

use super::{
    bounded,
    input::{fields, lines, with_lines},
};
use crate::cache::{
    outcome::BypassReason,
    policy::{
        Lookup, OWN_TARGET, Verdict,
        directives::{Directives, Scope},
        judge,
    },
    region::Region,
};

/// When the answers of this target come: Sun, 06 Nov 1994 08:49:37 GMT, as in the examples of RFC 9110.
const NOW_MS: u64 = 784_111_777_000;

/// An answer's fields. The directives mean the same in any case, order, space and number of lines; none that forbids is
/// overlooked; what cannot be read is never stored, and what is added never makes an answer fresher.
pub fn directives(data: &[u8]) {
    let headers = fields(data);
    let read = bounded(32, data.len(), || Directives::of(&headers));
    means_the_same_in_any_form(&headers, &read);
    overlooks_nothing_that_forbids(&headers, &read);
    for region in regions() {
        let verdict = bounded(512, data.len(), || judged(&headers, &region));
        if let Ok(verdict) = &verdict {
            says_as_long(&headers, &read, verdict);
        }
        is_no_fresher_with_more(&headers, &region, &verdict);
    }
}

fn regions() -> [Region; 2] {
    let minute = Duration::from_secs(60);
    [
        Region::api(),
        Region::api()
            .ttl(minute)
            .heuristic(true)
            .stale_while_revalidate(minute)
            .stale_if_error(minute),
    ]
}

fn judged(headers: &HeaderMap, region: &Region) -> Result<Verdict, BypassReason> {
    judge(&Lookup::default(), StatusCode::OK, headers, region, NOW_MS)
}

/// Directives, with names in one order: which came first says nothing.
fn sorted(mut directives: Directives) -> Directives {
    for scope in [&mut directives.no_cache, &mut directives.private] {
        if let Scope::Fields(names) = scope {
            names.sort_by(|a, b| a.as_str().cmp(b.as_str()));
        }
    }
    directives
}

fn means_the_same_in_any_form(headers: &HeaderMap, read: &Directives) {
    let own = lines(headers, &CACHE_CONTROL);
    let again = |lines: Vec<Vec<u8>>| Directives::of(&with_lines(headers, &CACHE_CONTROL, lines));
    let upper = own.iter().map(|line| line.to_ascii_uppercase()).collect();
    assert_eq!(again(upper), *read, "in capitals: {own:?}");
    let spaced = own.iter().map(|line| [b" \t", &line[..], b"\t "].concat());
    assert_eq!(again(spaced.collect()), *read, "space around: {own:?}");
    let reversed = own.iter().rev().cloned().collect();
    assert_eq!(sorted(again(reversed)), sorted(read.clone()), "{own:?}");
    // Where a quote does not end it is not known which commas separate.
    if read.malformed || own.is_empty() {
        return;
    }
    let joined = own.join(&b","[..]);
    assert_eq!(again(vec![joined.clone()]), *read, "as one line: {own:?}");
    let members = members(&joined);
    let spaced = members.join(&b" ,\t, "[..]);
    assert_eq!(again(vec![spaced]), *read, "space between: {own:?}");
    let apart = members.iter().map(|member| member.to_vec());
    assert_eq!(again(apart.collect()), *read, "a line each: {own:?}");
}

/// The members of a list, read a second way: a comma separates unless it stands in a quoted string, and that stands only
/// where the grammar has one, `token "=" quoted-string` (RFC 9110, 5.6.6; RFC 9111, 5.2).
fn members(text: &[u8]) -> Vec<&[u8]> {
    let mut members = Vec::new();
    let mut rest = text;
    loop {
        let end = argument_end(rest).unwrap_or(0);
        let comma = rest[end..].iter().position(|byte| *byte == b',');
        let Some(comma) = comma else {
            members.push(rest);
            return members;
        };
        members.push(&rest[..end + comma]);
        rest = &rest[end + comma + 1..];
    }
}

/// Where the quoted string ends that is the argument of the first member.
fn argument_end(text: &[u8]) -> Option<usize> {
    let equals = text.iter().position(|byte| *byte == b'=')?;
    let is_token = |name: &[u8]| HeaderName::from_bytes(name).is_ok();
    if !is_token(text[..equals].trim_ascii()) {
        return None;
    }
    let argument = text[equals + 1..].trim_ascii_start();
    let begin = text.len() - argument.len();
    let mut bytes = argument.strip_prefix(b"\"")?.iter().enumerate();
    while let Some((at, byte)) = bytes.next() {
        match byte {
            b'\\' => drop(bytes.next()),
            b'"' => return Some(begin + at + 2),
            _ => {}
        }
    }
    None
}

fn overlooks_nothing_that_forbids(headers: &HeaderMap, read: &Directives) {
    if read.malformed {
        return;
    }
    let own = lines(headers, &CACHE_CONTROL);
    let names: BTreeSet<Vec<u8>> = own
        .iter()
        .flat_map(|line| members(line))
        .map(|member| {
            let name = member.split(|byte| *byte == b'=').next();
            name.unwrap_or_default().trim_ascii().to_ascii_lowercase()
        })
        .collect();
    for (name, is_seen) in [
        ("no-store", read.no_store),
        ("no-cache", read.no_cache != Scope::Nothing),
        ("private", read.private != Scope::Nothing),
        ("must-revalidate", read.must_revalidate),
        ("proxy-revalidate", read.proxy_revalidate),
        ("max-age", read.max_age.is_some()),
        ("s-maxage", read.s_maxage.is_some()),
    ] {
        let is_there = names.contains(name.as_bytes());
        assert_eq!(is_seen, is_there, "{name} in {own:?}");
    }
}

/// What is stored is allowed to be, for no longer than it says.
fn says_as_long(headers: &HeaderMap, read: &Directives, verdict: &Verdict) {
    if headers.contains_key(OWN_TARGET) || headers.contains_key("cdn-cache-control") {
        return;
    }
    assert!(!read.malformed, "{headers:?}");
    assert!(!read.no_store || read.must_understand, "{headers:?}");
    assert_ne!(read.private, Scope::Everything, "{headers:?}");
    for scope in [&read.private, &read.no_cache] {
        if let Scope::Fields(names) = scope {
            assert!(names.iter().all(|name| verdict.left_out.contains(name)));
        }
    }
    if let Some(seconds) = read.s_maxage.or(read.max_age) {
        assert!(verdict.fresh_for <= Duration::from_secs(seconds));
    }
    if read.no_cache == Scope::Everything {
        assert_eq!(verdict.fresh_for, Duration::ZERO, "{headers:?}");
    }
    if read.must_revalidate || read.proxy_revalidate {
        assert!(verdict.stale.forbidden && verdict.stale.while_revalidate.is_zero());
    }
}

/// One line more, and the verdict is the same or stricter.
fn is_no_fresher_with_more(
    headers: &HeaderMap,
    region: &Region,
    verdict: &Result<Verdict, BypassReason>,
) {
    let with = |name: &HeaderName, line: &str| {
        let mut own = lines(headers, name);
        own.push(line.into());
        judged(&with_lines(headers, name, own), region)
    };
    let targets = [OWN_TARGET, HeaderName::from_static("cdn-cache-control")];
    if !targets.iter().any(|target| headers.contains_key(target)) {
        for line in ["max-age=-1", "s-maxage", "max-age=\"9", "x\", max-age=9"] {
            assert!(with(&CACHE_CONTROL, line).is_err(), "{line} {headers:?}");
        }
        assert!(with(&CACHE_CONTROL, "private").is_err(), "{headers:?}");
        // With `must-understand` it is meant for others (RFC 9111, 5.2.2.3).
        let refused = with(&CACHE_CONTROL, "no-store");
        assert!(refused.is_err() || Directives::of(headers).must_understand);
        let read = Directives::of(headers);
        if let (Ok(before), true) = (verdict, read.max_age.or(read.s_maxage).is_some()) {
            for line in ["max-age=0", "max-age=4294967296", "extension=\"a, b\""] {
                if let Ok(after) = with(&CACHE_CONTROL, line) {
                    assert!(after.fresh_for <= before.fresh_for, "{line} {headers:?}");
                }
            }
        }
    }
    // RFC 9213, 2.2: what cannot be read is not there; what can stands before all else, `Expires` too.
    if !headers.contains_key(OWN_TARGET) {
        assert_eq!(with(&OWN_TARGET, "&"), *verdict, "{headers:?}");
        assert!(with(&OWN_TARGET, "no-store").is_err());
        let mut tagged = with_lines(headers, &OWN_TARGET, [b"max-age=7".to_vec()]);
        tagged.insert(ETAG, http::HeaderValue::from_static("\"x\""));
        let before = judged(&tagged, region);
        for name in [CACHE_CONTROL, EXPIRES] {
            tagged.remove(name);
        }
        if let (Ok(before), Ok(after)) = (before, judged(&tagged, region)) {
            assert_eq!(before.fresh_for, after.fresh_for, "{headers:?}");
        }
    }
}
