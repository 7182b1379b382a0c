//! `Vary`, and the values that requests are told apart by.

use http::{
    HeaderMap,
    header::{ACCEPT_ENCODING, ACCEPT_LANGUAGE, VARY},
};

use super::{
    blocks, bounded,
    input::{fields, lines, with_lines},
};
use crate::cache::policy::vary::{MAX_VALUES_BYTES, MAX_VARY_NAMES, VaryNames, prefers};

/// A request's fields and an answer's. Names mean the same in any form; encoded values are read back as what the request
/// held; normalized ones stay as they are when normalized again, and keep what stands in quotes.
pub fn vary(data: &[u8]) {
    let (request, answer) = blocks(data);
    let (request, answer) = (fields(request), fields(answer));
    for normalized in [false, true] {
        let names = bounded(64, data.len(), || VaryNames::of(&answer, normalized));
        names_mean_the_same_in_any_form(&answer, normalized, names.as_ref());
        let Some(names) = names else { continue };
        let factor = 64 * (1 + names.names.len() as u64);
        let Some(values) = bounded(factor, data.len(), || names.values(&request)) else {
            continue;
        };
        assert!(values.len() <= MAX_VALUES_BYTES, "{}", values.len());
        if normalized {
            normalized_values_stay(&names, &request, &values);
            languages_differ_alone(&names, &request, &values);
        } else {
            values_are_read_back(&names, &request, &values);
        }
    }
    one_language_is_preferred(&request);
}

fn names_mean_the_same_in_any_form(
    answer: &HeaderMap,
    normalized: bool,
    names: Option<&VaryNames>,
) {
    let own = lines(answer, &VARY);
    let again = |lines: Vec<Vec<u8>>| VaryNames::of(&with_lines(answer, &VARY, lines), normalized);
    let upper = own.iter().map(|line| line.to_ascii_uppercase());
    assert_eq!(again(upper.collect()).as_ref(), names, "capitals: {own:?}");
    let members = own.join(&b","[..]);
    let members = members.split(|byte| *byte == b',').rev();
    let members: Vec<Vec<u8>> = members.map(|name| [b"\t", name, b" "].concat()).collect();
    assert_eq!(again(members).as_ref(), names, "reversed: {own:?}");
    let mut starred = own.clone();
    starred.push(b"*".to_vec());
    assert_eq!(again(starred), None, "with a star: {own:?}");
    let Some(names) = names else { return };
    assert!(names.names.len() <= MAX_VARY_NAMES);
    let is_sorted = names
        .names
        .windows(2)
        .all(|pair| pair[0].as_str() < pair[1].as_str());
    assert!(is_sorted, "{names:?}");
}

/// The next byte string of an encoding, behind its length.
fn string<'a>(bytes: &mut &'a [u8]) -> &'a [u8] {
    let (length, rest) = bytes.split_first_chunk().expect("a length");
    let (string, rest) = rest.split_at(u32::from_le_bytes(*length) as usize);
    *bytes = rest;
    string
}

fn byte(bytes: &mut &[u8]) -> u8 {
    let (first, rest) = bytes.split_first().expect("a byte for each name");
    *bytes = rest;
    *first
}

/// So requests with other values have another encoding.
fn values_are_read_back(names: &VaryNames, request: &HeaderMap, values: &[u8]) {
    let mut rest = values;
    for name in &names.names {
        let count = byte(&mut rest);
        let read: Vec<Vec<u8>> = (0..count).map(|_| string(&mut rest).to_vec()).collect();
        assert_eq!(read, lines(request, name), "{name}");
    }
    assert!(rest.is_empty());
}

fn normalized_values_stay(names: &VaryNames, request: &HeaderMap, values: &[u8]) {
    let mut again = request.clone();
    let mut rest = values;
    for name in &names.names {
        if byte(&mut rest) == 0 {
            assert!(!request.contains_key(name), "{name} is there");
            continue;
        }
        let value = string(&mut rest);
        again = with_lines(&again, name, [value.to_vec()]);
        let own = lines(request, name);
        if *name == ACCEPT_LANGUAGE || *name == ACCEPT_ENCODING {
            let shouted = own.iter().rev().map(|line| line.to_ascii_uppercase());
            let shouted = with_lines(request, name, shouted);
            assert_eq!(names.values(&shouted).as_deref(), Some(values), "{own:?}");
            continue;
        }
        let list = own.join(&b","[..]);
        let joined = with_lines(request, name, [list.clone()]);
        assert_eq!(names.values(&joined).as_deref(), Some(values), "{own:?}");
        // What a quote holds that does not end nobody knows.
        if let Some(strings) = quoted(&list) {
            assert_eq!(quoted(value), Some(strings), "{own:?}");
        }
        if own.iter().all(|line| quoted(line).is_some()) {
            let spaced = with_lines(request, name, [own.join(&b"\t, "[..])]);
            assert_eq!(names.values(&spaced).as_deref(), Some(values), "{own:?}");
        }
    }
    assert!(rest.is_empty());
    assert_eq!(names.values(&again).as_deref(), Some(values), "{request:?}");
}

/// The quoted strings of a line (RFC 9110, 5.6.4); `None` where one does not end.
fn quoted(line: &[u8]) -> Option<Vec<Vec<u8>>> {
    let mut strings = Vec::new();
    let mut bytes = line.iter();
    while bytes.any(|byte| *byte == b'"') {
        let mut string = Vec::new();
        loop {
            match bytes.next()? {
                b'"' => break,
                b'\\' => string.extend([b'\\', *bytes.next()?]),
                other => string.push(*other),
            }
        }
        strings.push(string);
    }
    Some(strings)
}

fn languages_differ_alone(names: &VaryNames, request: &HeaderMap, values: &[u8]) {
    for name in &names.names {
        let other = with_lines(request, name, [b"\"other\"".to_vec()]);
        let Some(other) = names.values(&other) else {
            continue;
        };
        let is_alone =
            *name == ACCEPT_LANGUAGE || *other == *values && names.names.contains(&ACCEPT_LANGUAGE);
        assert_eq!(
            names.differ_in_language_alone(values, &other),
            is_alone,
            "{name}"
        );
    }
}

fn one_language_is_preferred(request: &HeaderMap) {
    let own = lines(request, &ACCEPT_LANGUAGE);
    let text = String::from_utf8_lossy(&own.join(&b","[..])).into_owned();
    let ranges = text
        .split(',')
        .map(|member| member.split(';').next().unwrap_or(member));
    let preferred: std::collections::BTreeSet<String> = ranges
        .map(|range| range.trim().to_ascii_lowercase())
        .filter(|range| prefers(request, range))
        .inspect(|range| assert!(prefers(request, &format!(" {} ", range.to_uppercase()))))
        .collect();
    assert!(preferred.len() <= 1, "{preferred:?}");
    assert!(!prefers(&HeaderMap::new(), &text), "nobody asked");
}
