//! What the cache would do with a request, without doing it.

use bytes::Bytes;
use http::{HeaderName, request::Parts};
use serde::Serialize;

use super::{
    hit::answer::Asked,
    hit::look::Look,
    key::asked::{asked_host, asked_uri},
    outcome::{BypassReason, Miss, Outcome},
    policy::{Content, Fields, classify, invalidated},
    region::Region,
    shared::Shared,
};

/// What [`CacheHandle::explain`](super::CacheHandle::explain) tells of a request.
#[derive(Clone, Debug, Serialize)]
#[non_exhaustive]
pub struct Explanation {
    /// `hit`, `stale` (given while a new one is fetched, or because the client takes it), `miss`, or `bypass`.
    pub decision: &'static str,
    /// The rule that decided, as a sentence.
    pub because: String,
    /// The region that the request belongs to.
    pub region: String,
    /// The key in readable form: host, path and query as they count; of a safe POST or QUERY also the method, and how long its
    /// content is. After that the other parts that are set, in brackets: mount, forwarded fields and the region's own fields
    /// with what the request holds, cookies and identity by name alone.
    pub key: String,
    /// Path and query that an unsafe request makes old where it succeeds; `None` of a safe one.
    pub makes_old: Option<String>,
    /// What is stored for this very request, fresh or not.
    pub stored: Option<StoredAnswer>,
}

/// A stored answer, as far as it says why it is used or not.
#[derive(Clone, Debug, Serialize)]
#[non_exhaustive]
pub struct StoredAnswer {
    /// Its status.
    pub status: u16,
    /// Seconds since it was made.
    pub age_s: u64,
    /// Seconds for which it stays fresh; below zero when it is stale.
    pub ttl_s: i64,
    /// Bytes of its body.
    pub body_bytes: usize,
    /// The fields that it varies on.
    pub vary: Vec<String>,
    /// What the request holds in these fields, by which this variant is chosen; a missing one is left out.
    pub variant: Vec<String>,
    /// Whether the handler can be asked if it still holds.
    pub has_validator: bool,
}

/// A field as the request has it.
fn held(parts: &Parts, name: &HeaderName) -> String {
    let values = parts.headers.get_all(name).iter();
    let values: Vec<_> = values
        .map(|value| String::from_utf8_lossy(value.as_bytes()))
        .collect();
    format!("{name}: {}", values.join(", "))
}

impl Shared {
    fn other_parts(
        &self,
        region: &Region,
        parts: &Parts,
        fields: Fields,
        has_identity: bool,
    ) -> Vec<String> {
        let mount = self.keys.mount();
        let mut others = Vec::new();
        if !mount.is_empty() {
            others.push(format!("mount {mount}"));
        }
        let forwarded = fields.forwarded().1.map(|name| held(parts, name));
        others.extend(forwarded);
        let own = region.key.headers.iter();
        others.extend(own.map(|name| held(parts, name)));
        let cookies = region.key.cookies.iter();
        others.extend(cookies.map(|name| format!("cookie {name}")));
        if region.key.by.is_some() {
            others.push("what key_by says".to_owned());
        }
        if has_identity {
            others.push("who asks".to_owned());
        }
        others
    }

    /// `parts` as they reach the layer. Redis is not asked.
    pub(super) fn explain(&self, parts: &Parts, body: Option<&[u8]>) -> Explanation {
        let mut parts = parts.clone();
        let belonging = self.region_of(&parts);
        let index = belonging.region;
        let region = self.region(index);
        let fields = Fields::of(&parts.headers);
        let content = match (body, region.content_in_key(&parts.method, fields)) {
            (None, _) | (Some([]), None) => Content::Nothing,
            (Some(_), None) => Content::Unread(BypassReason::RequestBody),
            (Some(body), Some(max)) if body.len() > max => {
                Content::Unread(BypassReason::RequestTooLarge)
            }
            (Some(body), Some(_)) => Content::Whole(Bytes::copy_from_slice(body)),
        };
        let identity = region.key.identity_of(&parts);
        let classified = belonging
            .checked()
            .and_then(|()| classify(&parts, fields, &content, region, identity.is_some()));
        region.key.rewrite(&mut parts);
        let uri = asked_uri(&parts);
        let target = uri.path_and_query().map_or("/", |target| target.as_str());
        let mut readable = format!("{}{target}", asked_host(&parts).unwrap_or_default());
        if let Some(content) = content.in_key() {
            let (method, bytes) = (&parts.method, content.len());
            readable = format!("{method} {readable} with {bytes} bytes of content");
        }
        let others = self.other_parts(region, &parts, fields, identity.is_some());
        if !others.is_empty() {
            readable = format!("{readable} [{}]", others.join("; "));
        }
        let is_safe = region.content_in_key(&parts.method, fields).is_some()
            || !invalidated::is_unsafe(&parts.method);
        let makes_old = (!is_safe).then(|| region.key.target_of(&parts));
        let changes = makes_old.as_ref().map(|target| {
            format!(
                "; where it succeeds, `{target}` is old then, and what its answer names within the same origin (Location, Content-Location, Cache-Group-Invalidation)"
            )
        });
        let explained = |decision, because: String, stored| Explanation {
            decision,
            because,
            makes_old,
            region: region.name().to_owned(),
            key: readable,
            stored,
        };
        let judged = classified.and_then(|lookup| {
            let (identity, content) = (identity.as_deref(), content.in_key());
            let key = self.keys.key(&parts, fields, region, identity, content)?;
            Ok((lookup, key))
        });
        let (lookup, key) = match judged {
            Ok(judged) => judged,
            Err(reason) => {
                let is_open = matches!(content, Content::Nothing)
                    && reason == BypassReason::RequestBody
                    && region.content_in_key(&parts.method, fields).is_some();
                let because = if let Some(name) = &belonging.unknown {
                    format!(
                        "region_for names the region `{name}`, which there is not: the cache stays out of it"
                    )
                } else if is_open {
                    "its content is part of its key: explain_with_body can tell".to_owned()
                } else {
                    format!("the cache stays out of it: {}", reason.as_str())
                };
                let because = because + changes.as_deref().unwrap_or_default();
                return explained("bypass", because, None);
            }
        };
        let now = self.clock.now();
        let describe = |entry: &super::entry::Entry| StoredAnswer {
            status: entry.status.as_u16(),
            age_s: entry.age(now).as_secs(),
            ttl_s: entry.ttl_s(now),
            body_bytes: entry.body.len(),
            vary: entry.vary.names.iter().map(ToString::to_string).collect(),
            variant: entry
                .vary
                .names
                .iter()
                .filter(|name| parts.headers.contains_key(*name))
                .map(|name| held(&parts, name))
                .collect(),
            has_validator: super::policy::conditional::has_validator(&entry.headers),
        };
        let asked = Asked {
            headers: &parts.headers,
            lookup: &lookup,
            region: index,
            now,
        };
        match self.look(&key, asked) {
            Look::Hit(entry, Outcome::Stale) => explained(
                "stale",
                "it is stale, and the client takes it so (max-stale)".to_owned(),
                Some(describe(&entry)),
            ),
            Look::Refresh(entry, _, Outcome::StaleWhileRevalidate) => explained(
                "stale",
                "it is stale and within stale-while-revalidate: given, while a new one is fetched"
                    .to_owned(),
                Some(describe(&entry)),
            ),
            Look::Refresh(entry, _, Outcome::PurgedSoftly) => explained(
                "stale",
                "it was purged softly: given, while a new one is fetched".to_owned(),
                Some(describe(&entry)),
            ),
            Look::Hit(entry, _) | Look::Refresh(entry, ..) => explained(
                "hit",
                format!("fresh for {} s more", entry.ttl_s(now)),
                Some(describe(&entry)),
            ),
            Look::Miss(miss, _, stale) => {
                let because = match (miss, &stale) {
                    (Miss::Request, _) => "the client asks for a new answer",
                    (Miss::Vary, _) => {
                        "answers under this key are stored, but for other requests (Vary, or credentials)"
                    }
                    (Miss::Stale, Some(_)) => "what is stored is stale: the handler is asked",
                    (Miss::Purged, _) => "what is stored was purged",
                    (Miss::Stale, None) => {
                        "what is stored was purged, or may have been while others' purges could not be heard"
                    }
                    _ if self.uncacheable.knows(&key, lookup.credentials, now) => {
                        "nothing is stored, and the last answer forbade storing"
                    }
                    _ => "nothing is stored in this process",
                };
                explained("miss", because.to_owned(), stale.as_deref().map(describe))
            }
        }
    }
}
