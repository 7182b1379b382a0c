//! Whether an answer may be stored, for how long, and for whom (RFC 9111, 3 and 4.2, for a shared cache).

use std::time::Duration;

use http::{
    HeaderMap, StatusCode,
    header::{AGE, CONTENT_LENGTH, CONTENT_TYPE, DATE, EXPIRES, PRAGMA, SET_COOKIE, TRAILER},
};
use jiff::fmt::rfc2822::DateTimeParser;

use super::{directives::Directives, request::Credentials, vary::VaryNames};
use crate::cache::{outcome::BypassReason, region::Region};

/// What the head of an answer says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Verdict {
    /// Freshness lifetime from the answer's making on.
    pub(crate) fresh_for: Duration,
    /// How old it was when it came.
    pub(crate) age: Duration,
    pub(crate) vary: VaryNames,
    pub(crate) share: Share,
    /// Bytes that the body must have, where the head says so.
    pub(crate) content_length: Option<u64>,
}

/// Which requests with credentials may be given a stored answer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Share {
    /// `public` or `s-maxage` (SECURITY C1).
    pub(crate) cookie: bool,
    /// `public`, `s-maxage` or `must-revalidate` (RFC 9111, 3.5).
    pub(crate) authorization: bool,
}

impl Share {
    /// Whether a request with these credentials may have the answer; the reason where it may not.
    pub(crate) fn allows(self, credentials: Credentials) -> Result<(), BypassReason> {
        if credentials.authorization && !self.authorization {
            return Err(BypassReason::Authorization);
        }
        if credentials.cookie && !self.cookie {
            return Err(BypassReason::Cookie);
        }
        Ok(())
    }
}

/// Final answers that are stored when their head says how long (RFC 9110, 15.1). Not 206 and 304, which are no whole
/// answer; nor 4xx and 5xx, so that a provoked error never becomes everyone's (SECURITY C8).
const STORABLE: [u16; 9] = [200, 203, 204, 300, 301, 302, 303, 307, 308];

/// Judges the head of an answer to a request with these credentials. `unix_ms` is now.
pub(crate) fn judge(
    credentials: Credentials,
    status: StatusCode,
    headers: &HeaderMap,
    region: &Region,
    unix_ms: u64,
) -> Result<Verdict, BypassReason> {
    if status == StatusCode::SWITCHING_PROTOCOLS {
        return Err(BypassReason::Upgrade);
    }
    if !STORABLE.contains(&status.as_u16()) {
        return Err(BypassReason::Status);
    }
    if headers.contains_key(SET_COOKIE) {
        return Err(BypassReason::SetCookie);
    }
    let directives = Directives::of(headers);
    if directives.no_store {
        return Err(BypassReason::NoStore);
    }
    if directives.private {
        return Err(BypassReason::Private);
    }
    let pragma = !directives.present && headers.contains_key(PRAGMA);
    if directives.no_cache || pragma {
        return Err(BypassReason::NoCache);
    }
    if directives.malformed {
        return Err(BypassReason::Malformed);
    }
    let event_stream = headers.get(CONTENT_TYPE).is_some_and(|value| {
        value
            .as_bytes()
            .get(..17)
            .is_some_and(|start| start.eq_ignore_ascii_case(b"text/event-stream"))
    });
    if event_stream || headers.contains_key(TRAILER) {
        return Err(BypassReason::Stream);
    }
    let content_length = content_length(headers)?;
    if content_length.is_some_and(|length| length > region.max_body_bytes as u64) {
        return Err(BypassReason::TooLarge);
    }
    let vary = VaryNames::of(headers).ok_or(BypassReason::Vary)?;
    let explicit = directives.public || directives.s_maxage.is_some();
    let share = Share {
        cookie: explicit,
        authorization: explicit || directives.must_revalidate,
    };
    share.allows(credentials)?;

    let fresh_for =
        lifetime(status, headers, &directives, region, unix_ms).ok_or(BypassReason::NotFresh)?;
    let age = age(headers, unix_ms);
    if fresh_for <= age {
        return Err(BypassReason::NotFresh);
    }
    Ok(Verdict {
        fresh_for,
        age,
        vary,
        share,
        content_length,
    })
}

/// RFC 9111, 4.2.1: the first that applies. No heuristics.
fn lifetime(
    status: StatusCode,
    headers: &HeaderMap,
    directives: &Directives,
    region: &Region,
    unix_ms: u64,
) -> Option<Duration> {
    if let Some(seconds) = directives.s_maxage.or(directives.max_age) {
        return Some(Duration::from_secs(seconds));
    }
    let mut expires = headers.get_all(EXPIRES).iter();
    if let Some(first) = expires.next() {
        // 5.3: an invalid date, "0" above all, is in the past; two dates are one too many.
        if expires.next().is_some() {
            return None;
        }
        let expires = http_date_ms(first.to_str().ok()?)?;
        let date = date_ms(headers).unwrap_or(unix_ms);
        return Some(Duration::from_millis(expires.checked_sub(date)?));
    }
    if directives.present || status != StatusCode::OK {
        return None;
    }
    region.ttl
}

/// RFC 9111, 4.2.3: the larger of what `Age` says and what `Date` shows. The handler's own time counts as making the
/// answer, not as age: it is the origin.
fn age(headers: &HeaderMap, unix_ms: u64) -> Duration {
    let apparent = date_ms(headers).map_or(0, |date| unix_ms.saturating_sub(date));
    // 5.1: of a list the first counts, what is no number is ignored.
    let said = headers
        .get(AGE)
        .and_then(|value| value.to_str().ok())
        .and_then(|text| {
            let first = text.split(',').next().unwrap_or_default().trim();
            let digits = !first.is_empty() && first.bytes().all(|byte| byte.is_ascii_digit());
            digits.then(|| first.parse::<u64>().unwrap_or(u64::MAX / 2_000))
        });
    // `Date` has seconds: an answer made within this second is not old.
    let apparent = if apparent < 1_000 { 0 } else { apparent };
    Duration::from_millis(apparent.max(said.unwrap_or(0).saturating_mul(1_000)))
}

fn date_ms(headers: &HeaderMap) -> Option<u64> {
    http_date_ms(headers.get(DATE)?.to_str().ok()?)
}

/// An IMF-fixdate (RFC 9110, 5.6.7) in milliseconds. The two obsolete forms count as unreadable, so as stale.
fn http_date_ms(text: &str) -> Option<u64> {
    static PARSER: DateTimeParser = DateTimeParser::new();
    if !text.trim_end().ends_with("GMT") {
        return None;
    }
    u64::try_from(PARSER.parse_timestamp(text.trim()).ok()?.as_millisecond()).ok()
}

fn content_length(headers: &HeaderMap) -> Result<Option<u64>, BypassReason> {
    let mut values = headers.get_all(CONTENT_LENGTH).iter();
    let Some(first) = values.next() else {
        return Ok(None);
    };
    if values.next().is_some() {
        return Err(BypassReason::Malformed);
    }
    let length = first
        .to_str()
        .ok()
        .filter(|text| text.bytes().all(|byte| byte.is_ascii_digit()));
    length
        .and_then(|text| text.parse().ok())
        .map(Some)
        .ok_or(BypassReason::Malformed)
}

#[cfg(test)]
#[path = "response_tests.rs"]
mod tests;
