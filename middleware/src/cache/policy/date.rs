//! HTTP dates (RFC 9110, 5.6.7).

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use http::{HeaderMap, HeaderName, HeaderValue, header::DATE};

/// All three forms, the two obsolete ones included, in milliseconds since 1970. What cannot be read, or lies before
/// that, is none.
pub(crate) fn parse_ms(value: &HeaderValue) -> Option<u64> {
    let date = httpdate::parse_http_date(value.to_str().ok()?.trim()).ok()?;
    let since = date.duration_since(UNIX_EPOCH).ok()?;
    u64::try_from(since.as_millis()).ok()
}

/// The only value of a field that holds a date; two are one too many.
pub(crate) fn only_ms(headers: &HeaderMap, name: &HeaderName) -> Option<u64> {
    let mut values = headers.get_all(name).iter();
    match (values.next(), values.next()) {
        (Some(value), None) => parse_ms(value),
        _ => None,
    }
}

/// Writes the time of an answer that does not say it (RFC 9110, 6.6.1).
pub(crate) fn add_date(headers: &mut HeaderMap, unix_ms: u64) {
    if headers.contains_key(DATE) {
        return;
    }
    let at: SystemTime = UNIX_EPOCH + Duration::from_millis(unix_ms);
    if let Ok(value) = HeaderValue::try_from(httpdate::fmt_http_date(at)) {
        headers.insert(DATE, value);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn c13_the_three_forms_are_read_and_nothing_else() {
        let of = |text: &str| parse_ms(&HeaderValue::from_str(text).unwrap());
        let at = Some(784_111_777_000);
        assert_eq!(of("Sun, 06 Nov 1994 08:49:37 GMT"), at);
        assert_eq!(of("Sunday, 06-Nov-94 08:49:37 GMT"), at);
        assert_eq!(of("Sun Nov  6 08:49:37 1994"), at);
        for wrong in [
            "",
            "0",
            "-1",
            "Sun, 06 Nov 1994 08:49:37 UTC",
            "Sun, 06 Nov 1994 08:49:37 +0100",
            "Sun, 99 Nov 1994 08:49:37 GMT",
            "1994-11-06T08:49:37Z",
        ] {
            assert_eq!(of(wrong), None, "{wrong}");
        }
    }
}
