//! `Range` from a whole stored answer (RFC 9110, 14). One range is served; of several the whole answer is sent, as 14.2
//! allows: several small ones cost more than they save, and are a way to make a server work (14.2, CVE-2011-3192).

use std::ops::Range;

use http::{
    HeaderMap, HeaderValue,
    header::{CONTENT_RANGE, RANGE},
};

/// What a request asks of an answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Part {
    /// All of it: no `Range`, one that cannot be read, another unit, or several.
    Whole,
    /// These bytes, never none.
    Bytes(Range<usize>),
    /// Bytes beyond its end (416).
    Unsatisfiable,
}

/// A stored part (206): where its bytes stand in the whole.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Span {
    pub(crate) first: usize,
    /// Length of the whole, where the answer says it.
    pub(crate) total: Option<usize>,
}

impl Span {
    /// From `Content-Range` (14.4). The last position is not taken from there: as many bytes are stored as came.
    pub(crate) fn of(headers: &HeaderMap) -> Option<Self> {
        let mut values = headers.get_all(CONTENT_RANGE).iter();
        let (Some(value), None) = (values.next(), values.next()) else {
            return None;
        };
        let text = value.to_str().ok()?.trim();
        let (unit, rest) = text.split_once(' ')?;
        let (positions, total) = rest.trim().split_once('/')?;
        let (first, last) = positions.split_once('-')?;
        let (first, last) = (number(first)??, number(last)??);
        let total = match total.trim() {
            "*" => None,
            total => Some(number(total)??),
        };
        let is_sound = unit.eq_ignore_ascii_case("bytes")
            && first <= last
            && total.is_none_or(|total| last < total);
        is_sound.then_some(Self { first, total })
    }

    /// The bytes of the whole that a request asks for, where this part holds them all: `length` bytes are stored.
    pub(crate) fn covers(self, request: &HeaderMap, length: usize) -> Option<Range<usize>> {
        let end = self.first.checked_add(length)?;
        // Without a total only a range with both ends can be placed; one byte more than is stored shows whether it is.
        let total = self.total.or(end.checked_add(1))?;
        let Part::Bytes(asked) = Part::of(request, total) else {
            return None;
        };
        (self.first <= asked.start && asked.end <= end).then_some(asked)
    }
}

impl Part {
    /// `length` is that of the whole answer.
    pub(crate) fn of(request: &HeaderMap, length: usize) -> Self {
        let mut values = request.get_all(RANGE).iter();
        let (Some(value), None) = (values.next(), values.next()) else {
            return Self::Whole;
        };
        parse(value, length).unwrap_or(Self::Whole)
    }
}

fn parse(value: &HeaderValue, length: usize) -> Option<Part> {
    let text = value.to_str().ok()?.trim();
    let (unit, set) = text.split_once('=')?;
    if !unit.trim().eq_ignore_ascii_case("bytes") || set.contains(',') {
        return None;
    }
    let (first, last) = set.trim().split_once('-')?;
    let (first, last) = (number(first.trim())?, number(last.trim())?);
    let range = match (first, last) {
        (None, None) => return None,
        (Some(first), Some(last)) if last < first => return None,
        (Some(first), last) => {
            first..last.map_or(length, |last| last.saturating_add(1).min(length))
        }
        (None, Some(suffix)) => length.saturating_sub(suffix)..length,
    };
    Some(if range.is_empty() {
        Part::Unsatisfiable
    } else {
        Part::Bytes(range)
    })
}

/// Digits, or nothing. A number past what memory holds is as good as the largest.
fn number(text: &str) -> Option<Option<usize>> {
    if text.is_empty() {
        return Some(None);
    }
    let digits = text.bytes().all(|byte| byte.is_ascii_digit());
    digits.then(|| Some(text.parse().unwrap_or(usize::MAX)))
}

/// `Content-Range` of a part (14.4); of a whole whose length is not known without a total.
pub(crate) fn content_range(range: &Range<usize>, total: Option<usize>) -> Option<HeaderValue> {
    let total = total.map_or_else(|| "*".to_owned(), |total| total.to_string());
    HeaderValue::try_from(format!("bytes {}-{}/{total}", range.start, range.end - 1)).ok()
}

/// `Content-Range` of a 416.
pub(crate) fn unsatisfied_range(length: usize) -> Option<HeaderValue> {
    HeaderValue::try_from(format!("bytes */{length}")).ok()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn part(range: &str, length: usize) -> Part {
        let mut headers = HeaderMap::new();
        headers.insert(RANGE, range.parse().unwrap());
        Part::of(&headers, length)
    }

    #[test]
    fn c9_first_last_open_and_suffix_ranges() {
        assert_eq!(part("bytes=0-0", 10), Part::Bytes(0..1));
        assert_eq!(part("Bytes = 2 - 4", 10), Part::Bytes(2..5));
        assert_eq!(part("bytes=5-", 10), Part::Bytes(5..10));
        assert_eq!(part("bytes=5-99", 10), Part::Bytes(5..10));
        assert_eq!(part("bytes=-3", 10), Part::Bytes(7..10));
        assert_eq!(part("bytes=-30", 10), Part::Bytes(0..10));
        assert_eq!(
            part("bytes=0-99999999999999999999999", 10),
            Part::Bytes(0..10)
        );
    }

    #[test]
    fn c9_what_lies_beyond_the_end_is_unsatisfiable() {
        for range in [
            "bytes=10-",
            "bytes=10-20",
            "bytes=-0",
            "bytes=99999999999999999999999-",
        ] {
            assert_eq!(part(range, 10), Part::Unsatisfiable, "{range}");
        }
        assert_eq!(part("bytes=0-", 0), Part::Unsatisfiable);
    }

    #[test]
    fn c9_what_cannot_be_read_or_is_several_is_the_whole() {
        for range in [
            "bytes=-",
            "bytes=4-2",
            "bytes=a-b",
            "bytes=+1-2",
            "bytes=0-1,3-4",
            "items=0-1",
            "bytes",
            "bytes=1",
        ] {
            assert_eq!(part(range, 10), Part::Whole, "{range}");
        }
        let mut twice = HeaderMap::new();
        twice.append(RANGE, HeaderValue::from_static("bytes=0-1"));
        twice.append(RANGE, HeaderValue::from_static("bytes=2-3"));
        assert_eq!(Part::of(&twice, 10), Part::Whole);
    }

    #[test]
    fn c9_a_stored_part_gives_what_it_holds_and_no_more() {
        let span = |text: &str| {
            let mut headers = HeaderMap::new();
            headers.insert(CONTENT_RANGE, text.parse().unwrap());
            Span::of(&headers)
        };
        let covers = |span: Span, range: &str| {
            let mut headers = HeaderMap::new();
            headers.insert(RANGE, range.parse().unwrap());
            span.covers(&headers, 5)
        };
        let known = span("bytes 5-9/20").unwrap();
        assert_eq!(covers(known, "bytes=5-9"), Some(5..10));
        assert_eq!(covers(known, "bytes=6-7"), Some(6..8));
        for beyond in [
            "bytes=4-9",
            "bytes=5-10",
            "bytes=5-",
            "bytes=-5",
            "bytes=20-",
        ] {
            assert_eq!(covers(known, beyond), None, "{beyond}");
        }
        let end = span("bytes 15-19/20").unwrap();
        assert_eq!(covers(end, "bytes=-5"), Some(15..20));
        assert_eq!(covers(end, "bytes=16-"), Some(16..20));
        let unknown = span("bytes 5-9/*").unwrap();
        assert_eq!(covers(unknown, "bytes=6-7"), Some(6..8));
        for unplaced in ["bytes=6-", "bytes=-2", "bytes=5-10"] {
            assert_eq!(covers(unknown, unplaced), None, "{unplaced}");
        }
        for wrong in [
            "",
            "bytes",
            "bytes 5-4/20",
            "bytes 5-20/20",
            "bytes */20",
            "items 0-1/2",
            "bytes a-b/c",
        ] {
            assert_eq!(span(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn c9_a_part_at_the_end_of_what_can_be_counted_gives_nothing() {
        let span = Span {
            first: usize::MAX - 5,
            total: None,
        };
        let mut headers = HeaderMap::new();
        let range = format!("bytes={}-", usize::MAX - 3);
        headers.insert(RANGE, range.parse().unwrap());
        assert_eq!(span.covers(&headers, 5), None);
    }

    proptest! {
        /// Whatever is asked, a part lies within the answer and is never empty.
        #[test]
        fn c9_a_part_lies_within(range in "bytes=[0-9]{0,4}-[0-9]{0,4}", length in 0_usize..2_000) {
            if let Part::Bytes(bytes) = part(&range, length) {
                prop_assert!(!bytes.is_empty() && bytes.end <= length, "{bytes:?}");
            }
        }
    }
}
