//! Whether an answer may be stored, for how long, and for whom (RFC 9111, 3 and 4.2, for a shared cache).

use std::time::Duration;

use http::{
    HeaderMap, HeaderName, StatusCode,
    header::{
        AGE, CONTENT_LENGTH, CONTENT_TYPE, DATE, EXPIRES, LAST_MODIFIED, PRAGMA, SET_COOKIE,
        TRAILER,
    },
};

use super::{
    conditional, date,
    directives::{Directives, Scope},
    range::Span,
    request::{Credentials, Lookup},
    vary::VaryNames,
};
use crate::cache::{outcome::BypassReason, region::Region};

/// Directives for this cache alone; not sent on.
pub(crate) const OWN_TARGET: HeaderName = HeaderName::from_static("pitcrew-cache-control");
/// Fields with directives for us, the first that is there wins (RFC 9213, 2.2).
const TARGETS: [HeaderName; 2] = [OWN_TARGET, HeaderName::from_static("cdn-cache-control")];

/// Fields of an answer that is stored; a map of headers holds no more than some 24,000, and panics beyond.
pub(crate) const MAX_FIELDS: usize = 8_192;

/// What the head of an answer says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Verdict {
    /// Freshness lifetime from the answer's making on; zero where each use has to be validated.
    pub(crate) fresh_for: Duration,
    /// How old it was when it came.
    pub(crate) age: Duration,
    pub(crate) stale: Stale,
    /// Of a part.
    pub(crate) span: Option<Span>,
    pub(crate) vary: VaryNames,
    pub(crate) share: Share,
    /// Fields that are not stored, because the answer says so (`private` and `no-cache` with names).
    pub(crate) left_out: Vec<HeaderName>,
    /// Bytes that the body must have, where the head says so.
    pub(crate) content_length: Option<u64>,
}

impl Verdict {
    /// Whether those who ask at the same time may have it too: one that is not fresh is for the one who asked.
    pub(crate) fn is_fresh(&self) -> bool {
        self.fresh_for > self.age
    }
}

/// What may be done with a stored answer that is no longer fresh (RFC 9111, 4.2.4; RFC 5861).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Stale {
    /// It must not be used without validation, whatever the client takes.
    pub(crate) forbidden: bool,
    /// Time after freshness for which it is served while a new one is fetched in the background.
    pub(crate) while_revalidate: Duration,
    /// Time after freshness for which it stands in for an error.
    pub(crate) if_error: Duration,
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

/// Statuses that may be fresh without saying so (RFC 9110, 15.1), as far as they are stored at all.
const HEURISTIC: [u16; 11] = [200, 203, 204, 300, 301, 308, 404, 405, 410, 414, 501];
/// The share of the time since the last change for which an answer counts as fresh (RFC 9111, 4.2.2: "a typical setting
/// of this fraction might be 10%"), and the longest time.
const HEURISTIC_SHARE: u64 = 10;
const HEURISTIC_MAX: Duration = Duration::from_secs(24 * 60 * 60);

/// Final answers that are stored when they say how long: successes and redirections, but for 304, and 206 only where the
/// region wants parts. Errors only where the region wants them, so that a provoked one never becomes everyone's (SECURITY C8).
fn is_storable(status: StatusCode, region: &Region) -> bool {
    match status.as_u16() {
        206 => region.partial,
        304 => false,
        200..=299 | 300..=303 | 307 | 308 => true,
        code => code >= 400 && (region.errors || region.negative_ttl_of(status).is_some()),
    }
}

/// Whether this cache knows what a status wants of it (RFC 9111, 5.2.2.3): those that are registered.
fn is_understood(status: StatusCode) -> bool {
    matches!(status.as_u16(), 200..=208 | 226 | 300..=308 | 400..=417 | 421..=426 | 428 | 429 | 431 | 451 | 500..=508 | 510 | 511)
}

/// Judges the head of an answer to such a request. `unix_ms` is now.
pub(crate) fn judge(
    lookup: &Lookup,
    status: StatusCode,
    headers: &HeaderMap,
    region: &Region,
    unix_ms: u64,
) -> Result<Verdict, BypassReason> {
    if status == StatusCode::SWITCHING_PROTOCOLS {
        return Err(BypassReason::Upgrade);
    }
    if !is_storable(status, region) {
        return Err(BypassReason::Status);
    }
    if headers.contains_key(SET_COOKIE) && !region.insecure_set_cookie {
        return Err(BypassReason::SetCookie);
    }
    let answers = region.answers.as_ref();
    if answers.is_some_and(|answers| !answers.holds(status, headers)) {
        return Err(BypassReason::ResponseRegion);
    }
    let targeted = Directives::targeted(headers, &TARGETS);
    let is_targeted = targeted.is_some();
    let directives = targeted.unwrap_or_else(|| Directives::of(headers));
    if directives.must_understand && !is_understood(status) {
        return Err(BypassReason::Status);
    }
    // `must-understand` comes with `no-store` for caches that do not know it (5.2.2.3).
    if directives.no_store && !directives.must_understand {
        return Err(BypassReason::NoStore);
    }
    if directives.private == Scope::Everything && !lookup.identity {
        return Err(BypassReason::Private);
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
    if headers.len() > MAX_FIELDS {
        return Err(BypassReason::TooLarge);
    }
    let content_length = content_length(headers)?;
    if content_length.is_some_and(|length| length > region.max_body_bytes as u64) {
        return Err(BypassReason::TooLarge);
    }
    let is_part = status == StatusCode::PARTIAL_CONTENT;
    let span = is_part.then(|| Span::of(headers)).flatten();
    // Several parts in one answer have no `Content-Range` of their own (RFC 9110, 15.3.7.2).
    if is_part && span.is_none() {
        return Err(BypassReason::Range);
    }
    let vary = VaryNames::of(headers, region.normalize_vary).ok_or(BypassReason::Vary)?;
    let explicit = directives.public || directives.s_maxage.is_some();
    let share = Share {
        cookie: explicit,
        authorization: explicit || directives.must_revalidate,
    };
    share.allows(lookup.credentials)?;

    let pragma = !directives.present && headers.contains_key(PRAGMA);
    let always = pragma || directives.no_cache == Scope::Everything;
    let reason = if always {
        BypassReason::NoCache
    } else {
        BypassReason::NotFresh
    };
    let lifetime = lifetime(status, headers, &directives, is_targeted, region, unix_ms);
    // 3: an answer with no sign that it may be reused is not stored.
    if lifetime.is_none() && !always {
        return Err(reason);
    }
    let age = age(headers, unix_ms);
    let fresh_for = match lifetime {
        Some(lifetime) if !always => lifetime,
        _ => Duration::ZERO,
    };
    // An age that cannot be read may be any: then it is stale.
    let (age, fresh_for) = age.map_or((Duration::ZERO, Duration::ZERO), |age| (age, fresh_for));
    let stale = stale(&directives, always, region);
    let verdict = Verdict {
        fresh_for,
        age,
        stale,
        span,
        vary,
        share,
        left_out: [directives.private, directives.no_cache]
            .into_iter()
            .flat_map(|scope| match scope {
                Scope::Fields(names) => names,
                Scope::Nothing | Scope::Everything => Vec::new(),
            })
            .collect(),
        content_length,
    };
    // What is not fresh is worth storing only where it can be validated; parts are not.
    if !verdict.is_fresh() && (is_part || !conditional::has_validator(headers)) {
        return Err(reason);
    }
    Ok(verdict)
}

/// Whether an answer itself says how long it is fresh.
pub(crate) fn has_explicit_lifetime(headers: &HeaderMap) -> bool {
    let targeted = Directives::targeted(headers, &TARGETS);
    let is_targeted = targeted.is_some();
    let directives = targeted.unwrap_or_else(|| Directives::of(headers));
    directives.max_age.is_some()
        || directives.s_maxage.is_some()
        || headers.contains_key(EXPIRES) && !is_targeted
}

/// RFC 9111, 4.2.1: the first that applies.
fn lifetime(
    status: StatusCode,
    headers: &HeaderMap,
    directives: &Directives,
    is_targeted: bool,
    region: &Region,
    unix_ms: u64,
) -> Option<Duration> {
    if let Some(seconds) = directives.s_maxage.or(directives.max_age) {
        return Some(Duration::from_secs(seconds));
    }
    // RFC 9213, 2.2: a targeted field stands for `Expires` too.
    if headers.contains_key(EXPIRES) && !is_targeted {
        // 5.3: an invalid date, "0" above all, is in the past; two dates are one too many.
        let date = date::only_ms(headers, &DATE).unwrap_or(unix_ms);
        let lifetime = date::only_ms(headers, &EXPIRES).and_then(|at| at.checked_sub(date));
        return Some(Duration::from_millis(lifetime.unwrap_or(0)));
    }
    if !directives.present {
        let unsaid = if status == StatusCode::OK {
            region.ttl
        } else {
            region.negative_ttl_of(status)
        };
        if unsaid.is_some() {
            return unsaid;
        }
    }
    let is_guessable = HEURISTIC.contains(&status.as_u16()) || directives.public;
    if region.heuristic && is_guessable {
        return heuristic(headers, unix_ms);
    }
    None
}

/// 4.2.2.
fn heuristic(headers: &HeaderMap, unix_ms: u64) -> Option<Duration> {
    let modified = date::only_ms(headers, &LAST_MODIFIED)?;
    let date = date::only_ms(headers, &DATE).unwrap_or(unix_ms);
    let unchanged = date.checked_sub(modified)?;
    Some(Duration::from_millis(unchanged / HEURISTIC_SHARE).min(HEURISTIC_MAX))
}

/// `s-maxage` forbids stale use as `proxy-revalidate` does (5.2.2.10). But an origin that writes both `s-maxage` and a
/// window of RFC 5861 has said what it wants, and every CDN does that: its own window holds, the region's does not.
fn stale(directives: &Directives, always: bool, region: &Region) -> Stale {
    if always || directives.must_revalidate || directives.proxy_revalidate {
        return Stale {
            forbidden: true,
            ..Stale::default()
        };
    }
    let forbidden = directives.s_maxage.is_some();
    let window = |said: Option<u64>, unsaid: Duration| match said {
        Some(seconds) => Duration::from_secs(seconds),
        None if forbidden => Duration::ZERO,
        None => unsaid,
    };
    Stale {
        forbidden,
        while_revalidate: window(
            directives.stale_while_revalidate,
            region.stale_while_revalidate,
        ),
        if_error: window(directives.stale_if_error, region.stale_if_error),
    }
}

/// RFC 9111, 4.2.3: the larger of what `Age` says and what `Date` shows. The handler's own time counts as making the
/// answer, not as age: it is the origin. `None` where `Age` is there and cannot be read: 5.1 lets a cache ignore it, but
/// then an answer of any age would pass for a new one.
fn age(headers: &HeaderMap, unix_ms: u64) -> Option<Duration> {
    let apparent = date::only_ms(headers, &DATE).map_or(0, |date| unix_ms.saturating_sub(date));
    let mut said = 0;
    let mut lines = headers.get_all(AGE).iter();
    if let Some(line) = lines.next() {
        // 5.1: of a list the first counts; two lines are no list that anybody can have meant.
        let text = line.to_str().ok()?;
        let first = text.split(',').next().unwrap_or_default().trim();
        if lines.next().is_some()
            || first.is_empty()
            || !first.bytes().all(|byte| byte.is_ascii_digit())
        {
            return None;
        }
        said = first.parse::<u64>().unwrap_or(u64::MAX / 2_000);
    }
    // `Date` has seconds: an answer made within this second is not old.
    let apparent = if apparent < 1_000 { 0 } else { apparent };
    Some(Duration::from_millis(
        apparent.max(said.saturating_mul(1_000)),
    ))
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
