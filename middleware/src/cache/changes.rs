//! An unsafe request on its way: what it makes old, and what it leaves behind, shows with its answer.

use std::{
    sync::{Arc, atomic::AtomicU64},
    task::Context,
};

use http::{HeaderMap, Response, StatusCode, header::CONTENT_LOCATION, request::Parts};
use http_body::Body;

#[cfg(feature = "redis")]
use super::own_writes::{Telling, Token, Writes};
use super::{
    body::ResponseBody,
    entry,
    invalidation::{ALL, Subject, asked_slot, group_slot},
    key::asked::{asked_host, asked_target},
    miss::forward::Forward,
    outcome::{BypassReason, Miss, Outcome},
    policy::{Fields, groups, invalidated, request, response::has_explicit_lifetime},
    shared::{Belonging, Shared},
};

/// What is known of an unsafe request before its answer.
pub(super) struct Changes {
    shared: Arc<Shared>,
    /// Path and query as the client asked for them.
    target: String,
    host: Option<String>,
    /// For an answer to POST that a later GET may be given (RFC 9110, 9.3.3).
    kept: Option<Box<Forward>>,
    is_answered: bool,
    /// The client's writes before.
    #[cfg(feature = "redis")]
    before: Option<Token>,
    /// What this request purges.
    #[cfg(feature = "redis")]
    writes: Writes,
}

impl Changes {
    /// `None` for a safe request, which changes nothing; also for one that its region calls safe.
    pub(super) fn of(shared: &Arc<Shared>, parts: &Parts, belonging: &Belonging) -> Option<Self> {
        let region = belonging.region;
        if !invalidated::is_unsafe(&parts.method) {
            return None;
        }
        let settings = shared.region(region);
        let fields = Fields::of(&parts.headers);
        let is_safe = settings.content_in_key(&parts.method, fields).is_some();
        if is_safe && belonging.unknown.is_none() {
            return None;
        }
        Some(Self {
            target: asked_target(parts).to_owned(),
            host: asked_host(parts).map(str::to_owned),
            kept: kept(shared, parts, region),
            is_answered: false,
            #[cfg(feature = "redis")]
            before: None,
            #[cfg(feature = "redis")]
            writes: Writes::default(),
            shared: shared.clone(),
        })
    }

    /// Where its client carries a token.
    #[cfg(feature = "redis")]
    pub(super) fn after(mut self, before: Option<Token>) -> Self {
        self.before = before;
        self
    }

    /// Runs `work` of the handler, so that its purges and tags count as this request's.
    pub(super) fn scope<T>(&mut self, work: impl FnOnce() -> T) -> T {
        #[cfg(feature = "redis")]
        let work = || self.writes.scope(work);
        match &mut self.kept {
            Some(kept) => kept.tags.scope(work),
            None => work(),
        }
    }

    /// Comes to the token of what this request has purged, as soon as Redis has confirmed it or is late; `None` where there
    /// is nothing to tell.
    #[cfg(feature = "redis")]
    pub(super) fn telling(&mut self) -> Option<Telling> {
        let l2 = self.shared.l2.clone()?;
        let carrier = self.shared.own_writes.clone()?;
        if self.writes.is_empty() {
            return None;
        }
        let (shared, before) = (self.shared.clone(), self.before.take());
        let writes = std::mem::take(&mut self.writes);
        Some(Box::pin(async move {
            let confirmed = l2.confirmed(&writes.numbers).await;
            let position = |slot| shared.positions.purged_at(slot);
            let position = confirmed.then_some(&position as &dyn Fn(u32) -> u64);
            let now_s = shared.clock.unix_ms() / 1_000;
            let token = Token::new(before.as_ref(), writes.purges(position, now_s), now_s);
            carrier.field(&token, shared.token_lifetime())
        }))
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
        self.is_answered = true;
        let (status, headers) = (response.status(), response.headers());
        let old = self.old_slots(status, headers);
        let is_kept = self.says_what_a_get_would(status, headers);
        let kept = self.kept.take().filter(|_| is_kept);
        let kept = kept.and_then(|forward| Some((forward.named(headers)?, forward)));
        let shared = self.shared.clone();
        let Some((slots, mut forward)) = kept else {
            if !old.is_empty() {
                self.scope(|| shared.invalidate(&old));
            }
            return passed(response, BypassReason::Method);
        };
        let begun = forward.stamp;
        let answer = Subject {
            slots: &slots,
            target: &forward.resource.target,
            checked: &AtomicU64::new(0),
        };
        let stamp = self.scope(|| shared.invalidate_by(&old, begun, answer));
        let Some(stamp) = stamp else {
            return passed(response, BypassReason::Method);
        };
        forward.begun = Some(begun);
        forward.stamp = stamp;
        forward.answered(response, cx)
    }

    fn old_slots(&self, status: StatusCode, headers: &HeaderMap) -> Vec<u32> {
        let host = self.host.as_deref();
        let targets = invalidated::targets(&self.target, host, status, headers);
        if targets.is_empty() {
            return Vec::new();
        }
        let Some(groups) = groups::names(headers, &groups::CACHE_GROUP_INVALIDATION) else {
            // More than is read: everything, which is never too little.
            return vec![ALL];
        };
        let host = host.unwrap_or_default();
        let groups = groups.iter().map(|name| group_slot(host, name));
        let slots = targets.iter().flat_map(|target| self.slots_of(target));
        slots.chain(groups).collect()
    }

    /// A target is one in each spelling that a region gives it.
    fn slots_of(&self, target: &str) -> Vec<u32> {
        let host = self.host.as_deref().unwrap_or_default();
        let mut slots: Vec<u32> = self
            .shared
            .spellings(target)
            .iter()
            .map(|target| asked_slot(host, target))
            .collect();
        slots.dedup();
        slots
    }

    fn says_what_a_get_would(&self, status: StatusCode, headers: &HeaderMap) -> bool {
        let host = self.host.as_deref();
        let named = invalidated::named(&self.target, host, headers, &CONTENT_LOCATION);
        status == StatusCode::OK
            && named.as_ref() == Some(&self.target)
            && has_explicit_lifetime(headers)
    }
}

impl Drop for Changes {
    /// Given up before its answer: the client hung up, or the handler failed or panicked. The change may have been made all
    /// the same, so its target counts as old.
    fn drop(&mut self) {
        if !self.is_answered {
            self.shared.invalidate(&self.slots_of(&self.target));
        }
    }
}

/// An answer that the cache stayed out of.
pub(super) fn passed<R: Body>(
    mut response: Response<R>,
    reason: BypassReason,
) -> Response<ResponseBody<R>> {
    // What is for this cache is read by its copy that stands further out.
    if reason != BypassReason::Nested {
        entry::strip_own(response.headers_mut());
    }
    Outcome::Bypass(reason).write(response.headers_mut(), None);
    response.map(ResponseBody::passing)
}

fn kept(shared: &Arc<Shared>, parts: &Parts, region: usize) -> Option<Box<Forward>> {
    let settings = shared.region(region);
    // With parameters that keys leave out or sort it is no GET's: that one's handler does not see them so.
    let is_as_keyed = settings.key.target_of(parts) == asked_target(parts);
    if !settings.post || !is_as_keyed {
        return None;
    }
    let identity = settings.key.identity_of(parts);
    let fields = Fields::of(&parts.headers);
    let lookup = request::as_get(parts, fields, settings, identity.is_some())?;
    let key = shared
        .keys
        .key(parts, fields, settings, identity.as_deref(), None);
    let key = key.ok()?;
    let mut forward = Forward::new(shared, lookup, key, region, parts);
    forward.miss = Miss::Method;
    forward.uncounted = true;
    forward.asks(parts);
    Some(Box::new(forward))
}
