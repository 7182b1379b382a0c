//! An unsafe request on its way: what it makes old, and what it leaves behind, shows with its answer.

use std::{sync::Arc, task::Context};

use http::{
    HeaderMap, Response, StatusCode,
    header::{CONTENT_LOCATION, HOST},
    request::Parts,
};
use http_body::Body;

use super::{
    body::ResponseBody,
    entry,
    forward::Forward,
    invalidation::path_slot,
    key::asked_uri,
    outcome::{BypassReason, Miss, Outcome},
    policy::{invalidated, request, response::has_explicit_lifetime},
    shared::Shared,
};

/// What is known of an unsafe request before its answer.
pub(super) struct Changes {
    shared: Arc<Shared>,
    /// As the client asked for it.
    path: String,
    query: Option<String>,
    host: Option<String>,
    /// For an answer to POST that a later GET may be given (RFC 9110, 9.3.3).
    kept: Option<Box<Forward>>,
}

impl Changes {
    /// `None` for a safe request, which changes nothing.
    pub(super) fn of(shared: &Arc<Shared>, parts: &Parts, region: usize) -> Option<Self> {
        if !invalidated::is_unsafe(&parts.method) {
            return None;
        }
        let uri = asked_uri(parts);
        let host = uri.authority().map(|authority| authority.as_str());
        let host = host.or_else(|| parts.headers.get(HOST)?.to_str().ok());
        Some(Self {
            path: uri.path().to_owned(),
            query: uri.query().map(str::to_owned),
            host: host.map(str::to_owned),
            kept: kept(shared, parts, region),
            shared: shared.clone(),
        })
    }

    /// The answer is there. What it makes old is dead before the client reads it.
    pub(super) fn answered<R>(
        &mut self,
        response: Response<R>,
        cx: &mut Context<'_>,
    ) -> Response<ResponseBody<R>>
    where
        R: Body + Send + 'static,
        R::Error: Send,
    {
        let (status, headers) = (response.status(), response.headers());
        let paths = invalidated::paths(&self.path, self.host.as_deref(), status, headers);
        if !paths.is_empty() {
            self.shared.invalidate_paths(&paths);
        }
        let is_kept = self.says_what_a_get_would(status, headers);
        match self.kept.take().filter(|_| is_kept) {
            Some(mut forward) => {
                // It shows what this very request has changed.
                forward.stamp = self.shared.now();
                forward.answered(response, cx)
            }
            None => passed(response, BypassReason::Method),
        }
    }

    fn says_what_a_get_would(&self, status: StatusCode, headers: &HeaderMap) -> bool {
        let named = headers
            .get(CONTENT_LOCATION)
            .and_then(|value| value.to_str().ok());
        let is_target = named.is_some_and(|named| {
            let query = named
                .split('#')
                .next()
                .and_then(|named| named.split_once('?'))
                .map(|(_, query)| query);
            let path = invalidated::path_of(&self.path, self.host.as_deref(), named);
            path.as_ref() == Some(&self.path) && query == self.query.as_deref()
        });
        status == StatusCode::OK && is_target && has_explicit_lifetime(headers)
    }
}

/// An answer that the cache stayed out of.
pub(super) fn passed<R: Body>(
    mut response: Response<R>,
    reason: BypassReason,
) -> Response<ResponseBody<R>> {
    entry::strip_own(response.headers_mut());
    Outcome::Bypass(reason).write(response.headers_mut(), None);
    response.map(ResponseBody::passing)
}

fn kept(shared: &Arc<Shared>, parts: &Parts, region: usize) -> Option<Box<Forward>> {
    let settings = shared.region(region);
    if !settings.post {
        return None;
    }
    let lookup = request::as_get(parts, settings)?;
    let key = shared.keys.key(parts, settings.name()).ok()?;
    let mut forward = Forward::new(
        shared,
        lookup,
        key,
        region,
        path_slot(asked_uri(parts).path()),
    );
    forward.miss = Miss::Method;
    forward.request = parts.headers.clone();
    Some(Box::new(forward))
}
