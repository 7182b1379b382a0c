//! `Range` and `Content-Range`.

use http::{
    HeaderMap, HeaderValue,
    header::{CONTENT_LENGTH, CONTENT_RANGE, RANGE},
};

use super::{
    blocks, bounded,
    input::{fields, lines, with_lines},
};
use crate::cache::policy::range::{Part, Span, content_range, unsatisfied_range};

/// A request's fields and an answer's. A part lies within the answer, is what plain arithmetic says, and is what a stored
/// part of these very bytes gives; a stored part gives nothing that it does not hold.
pub fn ranges(data: &[u8]) {
    let (request, answer) = blocks(data);
    let (request, answer) = (fields(request), fields(answer));
    let length = number(answer.get(CONTENT_LENGTH)).unwrap_or(0);
    let part = bounded(4, data.len(), || Part::of(&request, length));
    is_read_alike(&request, &part, length);
    if let Some(expected) = expected(&request, length) {
        assert_eq!(part, expected, "{request:?} of {length}");
    }
    match &part {
        Part::Bytes(range) => {
            assert!(!range.is_empty() && range.end <= length, "{range:?}");
            let mut headers = HeaderMap::new();
            headers.insert(CONTENT_RANGE, written(content_range(range, Some(length))));
            let span = Span::of(&headers).expect("what we write we read");
            assert_eq!((span.first, span.total), (range.start, Some(length)));
            assert_eq!(span.covers(&request, range.len()), Some(range.clone()));
            let shorter = span.covers(&request, range.len() - 1);
            assert_eq!(shorter, None, "a byte is missing");
        }
        Part::Unsatisfiable => {
            let mut headers = HeaderMap::new();
            headers.insert(CONTENT_RANGE, written(unsatisfied_range(length)));
            assert_eq!(Span::of(&headers), None, "no part at all");
        }
        Part::Whole => {}
    }
    if let Some(span) = bounded(4, data.len(), || Span::of(&answer)) {
        assert!(
            span.total.is_none_or(|total| span.first < total),
            "{span:?}"
        );
        if let Some(range) = span.covers(&request, length) {
            let end = span.first.checked_add(length);
            let is_held = span.first <= range.start && end.is_some_and(|end| range.end <= end);
            assert!(is_held && !range.is_empty(), "{range:?} of {span:?}");
            assert!(span.total.is_none_or(|total| range.end <= total));
            // The length of the whole is needed only where the range counts from its end or has none.
            let whole = span.total.unwrap_or(usize::MAX);
            assert_eq!(Part::of(&request, whole), Part::Bytes(range));
        }
    }
}

fn written(value: Option<HeaderValue>) -> HeaderValue {
    value.expect("digits are a value")
}

fn number(value: Option<&HeaderValue>) -> Option<usize> {
    value?.to_str().ok()?.parse().ok()
}

fn is_read_alike(request: &HeaderMap, part: &Part, length: usize) {
    let own = lines(request, &RANGE);
    let again = |lines: Vec<Vec<u8>>| Part::of(&with_lines(request, &RANGE, lines), length);
    let upper = own.iter().map(|line| line.to_ascii_uppercase());
    assert_eq!(again(upper.collect()), *part, "in capitals: {own:?}");
    let spaced = own.iter().map(|line| [b" ", &line[..], b"\t"].concat());
    assert_eq!(again(spaced.collect()), *part, "space around: {own:?}");
    let twice = own.iter().chain(&own).cloned().collect();
    assert_eq!(again(twice), Part::Whole, "two lines: {own:?}");
    // Whether it can be read does not hang on the answer.
    let other = Part::of(request, length / 2);
    assert_eq!(other == Part::Whole, *part == Part::Whole, "{own:?}");
}

/// One range in the plain form of RFC 9110, 14.1.2, by arithmetic that cannot overflow.
fn expected(request: &HeaderMap, length: usize) -> Option<Part> {
    let mut own = request.get_all(RANGE).iter();
    let text = own.next()?.to_str().ok()?;
    let (first, last) = text.strip_prefix("bytes=")?.split_once('-')?;
    let is_plain =
        |digits: &str| digits.len() < 30 && digits.bytes().all(|byte| byte.is_ascii_digit());
    if own.next().is_some() || !is_plain(first) || !is_plain(last) {
        return None;
    }
    let (first, last) = (first.parse::<u128>().ok(), last.parse::<u128>().ok());
    let length = length as u128;
    let (begin, end) = match (first, last) {
        (None, None) => return Some(Part::Whole),
        (Some(first), Some(last)) if last < first => return Some(Part::Whole),
        (Some(first), last) => (first, last.map_or(length, |last| length.min(last + 1))),
        (None, Some(suffix)) => (length.saturating_sub(suffix), length),
    };
    Some(if begin < end {
        Part::Bytes(begin as usize..end as usize)
    } else {
        Part::Unsatisfiable
    })
}
