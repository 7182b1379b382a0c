//! Lists in pages: a cursor names the last thing that was shown, so that a page never shows it twice however the list grows.

use http::StatusCode;

use crate::security::problem::Problem;

/// What a page holds where nothing is said.
const DEFAULT_LIMIT: usize = 100;
/// The most that a page holds.
const MAX_LIMIT: usize = 1_000;

/// `?limit=`: 1 to 1,000.
pub(super) fn limit(asked: Option<&str>) -> Result<usize, Problem> {
    let Some(text) = asked else {
        return Ok(DEFAULT_LIMIT);
    };
    let limit = text
        .parse()
        .ok()
        .filter(|limit| (1..=MAX_LIMIT).contains(limit));
    limit.ok_or_else(|| Problem::bad_request(format!("`limit` is a number from 1 to {MAX_LIMIT}")))
}

/// `?cursor=`: what the page before gave as `next_cursor`.
pub(super) fn cursor(asked: Option<&str>) -> Result<Option<u64>, Problem> {
    let parsed = |text: &str| {
        text.parse().map_err(|_| {
            let detail = "`cursor` is none that a page has given: leave it out to begin anew";
            Problem::new(StatusCode::BAD_REQUEST, detail)
        })
    };
    asked.map(parsed).transpose()
}
