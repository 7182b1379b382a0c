//! The handler's answer, or its failure: what is stored of it, what those who wait get, what the client gets.

use std::{sync::Arc, task::Context};

use http::{
    HeaderMap, Response, StatusCode,
    header::{AGE, RANGE, SET_COOKIE},
    response::Parts,
};
use http_body::Body;

use crate::cache::{
    body::ResponseBody,
    coalesce::Head,
    entry::tags::MAX_TAGS,
    entry::{self, Entry, Origin},
    figures::tally::Amount,
    hit::answer::not_modified,
    invalidation::{asked_slot, group_slot, tag_slot, target_slot},
    miss::fill::{Collected, Fill, collect},
    miss::forward::Forward,
    outcome::{BypassReason, Outcome},
    policy::request::Credentials,
    policy::{
        Verdict, conditional, date,
        groups::{self, MAX_GROUPS},
        judge,
    },
};

/// Slots of one answer: path, region, groups, tags, and as many of earlier groups.
const MAX_SLOTS: usize = 3 + 2 * MAX_GROUPS + MAX_TAGS;

/// What the head of an answer comes to for one request.
struct Judged {
    verdict: Verdict,
    /// What the request holds in the fields of `Vary`.
    values: Box<[u8]>,
    /// Path, region and groups.
    slots: Vec<u32>,
}

impl Forward {
    /// The handler failed without an answer. What stands in for one, where there is such.
    pub(in crate::cache) fn failed<R: Body>(&mut self) -> Option<Response<ResponseBody<R>>> {
        if let Some(response) = self.stand_in() {
            return Some(response);
        }
        if !self.uncounted {
            self.shared.count_error(self.series);
        }
        // An error is not `Clone` and is nobody else's: all who wait run, none queues.
        if let Some(leader) = self.leader.take() {
            leader.release();
        }
        None
    }

    /// The stale answer, where it may stand in for an error (RFC 5861, 4).
    fn stand_in<R: Body>(&mut self) -> Option<Response<ResponseBody<R>>> {
        let stale = self.stale.as_ref()?;
        let staleness = stale.staleness(self.shared.clock.now());
        if staleness >= stale.stale.if_error || !self.shared.is_alive(stale) {
            return None;
        }
        let stale = stale.clone();
        if let Some(leader) = self.leader.take() {
            leader.done(stale.clone());
        }
        Some(self.reply(&stale, &self.request, Outcome::StaleIfError))
    }

    /// The handler's answer is there.
    pub(in crate::cache) fn answered<R>(
        mut self,
        response: Response<R>,
        cx: &mut Context<'_>,
    ) -> Response<ResponseBody<R>>
    where
        R: Body + Send + 'static,
        R::Error: Send,
    {
        let (mut parts, body) = response.into_parts();
        if parts.status == StatusCode::NOT_MODIFIED
            && self.validating
            && let Some(stale) = self.stale.take()
        {
            return self.validated(&stale, &parts.headers);
        }
        if matches!(parts.status.as_u16(), 500 | 502 | 503 | 504)
            && let Some(response) = self.stand_in()
        {
            return response;
        }
        let shared = self.shared.clone();
        let region = shared.region(self.region);
        let judged = self.judged(parts.status, &parts.headers);
        let headers = parts.headers.clone();
        entry::strip_own(&mut parts.headers);
        let Judged {
            verdict,
            values,
            slots,
        } = match judged {
            Ok(judged) => judged,
            Err(reason) => {
                if let Some(leader) = self.leader.take() {
                    leader.release();
                }
                self.remember(parts.status, reason);
                if let Some(stale) = self.stale.take()
                    && self.is_no_longer(parts.status, reason)
                {
                    shared.forget(&self.key, &stale);
                }
                let outcome = Outcome::Unstorable(self.miss, reason);
                self.count(outcome);
                return self.client(parts, ResponseBody::passing(body), outcome);
            }
        };
        // A part is for the one who asked for it; those who wait ask for the whole.
        if verdict.span.is_some()
            && let Some(leader) = self.leader.take()
        {
            leader.release();
        }
        if self.lookup.head {
            self.head_answered(&headers);
            self.count(Outcome::Miss(self.miss));
            Outcome::Miss(self.miss).write(&mut parts.headers, None);
            return Response::from_parts(parts, ResponseBody::passing(body));
        }
        if verdict.is_fresh() {
            if verdict.span.is_none() {
                shared
                    .uncacheable
                    .forget(&self.key, self.lookup.credentials);
            }
            if let Some(leader) = &self.leader {
                leader.head(Head {
                    vary: verdict.vary.clone(),
                    values: values.clone(),
                    share: verdict.share,
                });
            }
        } else {
            // Only for the one who asked; whoever comes next validates it.
            if let Some(leader) = self.leader.take() {
                leader.release();
            }
            self.remember(parts.status, BypassReason::NotFresh);
        }
        let key = if verdict.span.is_some() {
            shared.keys.of_part(&self.key).kept()
        } else {
            self.key.clone()
        };
        let fill = Fill {
            shared: shared.clone(),
            key,
            region: self.region,
            status: parts.status,
            headers,
            verdict,
            origin: self.origin(values, slots),
            leader: self.leader.take(),
            tags: std::mem::take(&mut self.tags),
            begun: self.begun,
        };
        let (body, outcome) = match collect(body, region.max_body_bytes, fill, cx) {
            Collected::Whole(body, true) => (body, Outcome::Stored(self.miss)),
            Collected::Whole(body, false) => (body, Outcome::Miss(self.miss)),
            Collected::Going(body) => (body, Outcome::Streaming(self.miss)),
        };
        self.count(outcome);
        self.client(parts, body, outcome)
    }

    /// Those who ask for it next do not wait for one another. An answer to POST says nothing of the answers to GET.
    fn remember(&self, status: StatusCode, reason: BypassReason) {
        if self.begun.is_some() {
            return;
        }
        let (shared, credentials) = (&self.shared, self.lookup.credentials);
        let now = shared.clock.now();
        shared
            .uncacheable
            .remember(&self.key, credentials, status, reason, now);
    }

    /// Whether an answer that is not stored says that what is stored must not be given any more: it was for everybody, and is
    /// not now, or there is nothing (RFC 9110, 15.5.4, 15.5.5, 15.5.11; RFC 7725). Who brings credentials may be refused what
    /// is everybody's.
    fn is_no_longer(&self, status: StatusCode, reason: BypassReason) -> bool {
        match reason {
            BypassReason::NoStore
            | BypassReason::Private
            | BypassReason::Vary
            | BypassReason::SetCookie => true,
            BypassReason::Status => {
                let is_anybody = self.lookup.credentials == Credentials::default();
                is_anybody && matches!(status.as_u16(), 403 | 404 | 410 | 451)
            }
            _ => false,
        }
    }

    /// What the client gets of the handler's whole answer: a 304 where its own conditions, which the handler did not see,
    /// say so. The body is given up then; a fill goes on without it.
    fn client<R: Body>(
        &self,
        mut parts: Parts,
        body: ResponseBody<R>,
        outcome: Outcome,
    ) -> Response<ResponseBody<R>> {
        let unix_ms = self.shared.clock.unix_ms();
        let has_it = self.lookup.conditional
            && conditional::is_not_modified(&self.request, parts.status, &parts.headers, unix_ms);
        if has_it {
            let mut response = not_modified(&parts.headers);
            outcome.write(response.headers_mut(), None);
            return response;
        }
        outcome.write(&mut parts.headers, None);
        Response::from_parts(parts, body)
    }

    fn judged(&self, status: StatusCode, headers: &HeaderMap) -> Result<Judged, BypassReason> {
        let shared = &self.shared;
        let region = shared.region(self.region);
        let unix_ms = shared.clock.unix_ms();
        let verdict = judge(&self.lookup, status, headers, region, unix_ms)?;
        let values = verdict
            .vary
            .values(&self.request)
            .ok_or(BypassReason::Vary)?;
        // What belongs to more groups than are kept could not be found again.
        let groups =
            groups::names(headers, &groups::CACHE_GROUPS).ok_or(BypassReason::Malformed)?;
        Ok(Judged {
            verdict,
            values,
            slots: self.slots(&groups),
        })
    }

    /// What purges name its answer by, but for tags.
    pub(in crate::cache) fn slots(&self, groups: &[String]) -> Vec<u32> {
        let (host, target) = (&self.resource.host, &self.resource.target);
        let mut slots = vec![
            self.resource.path_slot,
            target_slot(target),
            asked_slot(host, target),
            self.shared.region_slot(self.region),
        ];
        slots.extend(groups.iter().map(|name| group_slot(host, name)));
        slots
    }

    /// The same, with the tags that are known with its head; `None` where it is not known what it belongs to.
    pub(in crate::cache) fn named(&self, headers: &HeaderMap) -> Option<Vec<u32>> {
        let mut slots = self.slots(&groups::names(headers, &groups::CACHE_GROUPS)?);
        let mut tags = self.tags.clone();
        tags.add_field(headers);
        slots.extend(tags.names.iter().map(|tag| tag_slot(tag)));
        slots.extend(&tags.slots);
        Some(slots)
    }

    fn origin(&self, values: Box<[u8]>, slots: Vec<u32>) -> Origin {
        Origin {
            values,
            slots,
            target: self.resource.target.clone(),
            stamp: self.stamp,
            made: self.shared.clock.now(),
            made_unix_ms: self.shared.clock.unix_ms(),
            asked: self.request.get(RANGE).cloned(),
            called: self.called,
            series: self.series,
        }
    }

    /// The handler says that the stored answer still holds (RFC 9111, 4.3.4).
    fn validated<R: Body>(
        mut self,
        stale: &Arc<Entry>,
        not_modified: &HeaderMap,
    ) -> Response<ResponseBody<R>> {
        let shared = self.shared.clone();
        let renewed = conditional::confirms(not_modified, &stale.headers)
            .then(|| self.renewed(stale, not_modified))
            .flatten();
        let Some(entry) = renewed else {
            // It may not be kept any longer; this client asked for it and has it from the handler's own word, with the fields
            // that this gives it.
            shared.forget(&self.key, stale);
            if let Some(leader) = self.leader.take() {
                leader.release();
            }
            let outcome = Outcome::Miss(self.miss);
            self.count(outcome);
            let mut response = shared.answer(stale, self.asked(&self.request), outcome);
            let mut new = not_modified.clone();
            entry::strip_own(&mut new);
            let new = entry::storable_headers(&new);
            *response.headers_mut() = conditional::updated(response.headers(), &new);
            return response;
        };
        shared.add(self.series, Amount::Revalidated, 1);
        if shared.is_alive(&entry) {
            shared.store(&self.key, &entry, self.region);
        }
        if let Some(leader) = self.leader.take() {
            if entry.ttl(shared.clock.now()).is_zero() {
                leader.release();
            } else {
                leader.done(entry.clone());
            }
        }
        let outcome = Outcome::Revalidated(self.miss);
        self.count(outcome);
        let mut response = shared.answer(&entry, self.asked(&self.request), outcome);
        // Stored for nobody, but meant for this client.
        if not_modified.contains_key(SET_COOKIE) {
            response.headers_mut().remove(SET_COOKIE);
        }
        for value in not_modified.get_all(SET_COOKIE) {
            response.headers_mut().append(SET_COOKIE, value.clone());
        }
        response
    }

    /// The stored answer with the fields of a 304, or of an answer to HEAD, and the freshness that they give it; `None`
    /// where they say that it is not to be stored.
    fn renewed(&mut self, stale: &Entry, new: &HeaderMap) -> Option<Arc<Entry>> {
        let mut new_headers = entry::storable_headers(new);
        if !self.shared.region(self.region).insecure_set_cookie {
            new_headers.remove(SET_COOKIE);
        }
        // Without a date of its own it is of now; the stored one's would make it as old as that.
        date::add_date(&mut new_headers, self.shared.clock.unix_ms());
        let mut headers = conditional::updated(&stale.headers.stored(), &new_headers);
        for value in new.get_all(AGE) {
            headers.append(AGE, value.clone());
        }
        let Judged {
            verdict,
            values,
            mut slots,
        } = self.judged(stale.status, &headers).ok()?;
        let mut tags = std::mem::take(&mut self.tags);
        tags.add_field(new);
        if tags.overflowed {
            return None;
        }
        // Tags that it names anew stand in the place of the stored ones, as its fields do.
        if tags.names.is_empty() {
            slots.extend(&stale.slots);
        } else {
            slots.extend(tags.names.iter().map(|tag| tag_slot(tag)));
        }
        slots.sort_unstable();
        slots.dedup();
        // Groups that change each time would heap up.
        if slots.len() > MAX_SLOTS {
            return None;
        }
        let mut origin = self.origin(values, slots);
        origin.is_made_from(&tags);
        let body = stale.body.clone();
        let mut entry = entry::with_body(stale.status, &headers, body, verdict, origin);
        // A confirmation is quicker than the answer that a hit saves.
        entry.credit.saves_us = stale.credit.saves_us;
        Some(Arc::new(entry))
    }

    /// An answer to HEAD renews the stored answer to GET, or shows that it is old (RFC 9111, 4.3.5).
    fn head_answered(&mut self, headers: &HeaderMap) {
        let Some(stale) = self.stale.take() else {
            return;
        };
        let shared = self.shared.clone();
        let renewed = conditional::head_confirms(headers, &stale.headers)
            .then(|| self.renewed(&stale, headers))
            .flatten();
        match renewed {
            Some(entry) if shared.is_alive(&entry) => {
                shared.store(&self.key, &entry, self.region);
            }
            Some(_) => {}
            None => shared.forget(&self.key, &stale),
        }
    }
}
