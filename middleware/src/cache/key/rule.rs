//! What a region adds to its keys, and leaves out of them.

use std::{fmt, sync::Arc};

use http::{HeaderMap, HeaderName, Uri, header::COOKIE, request::Parts, uri::PathAndQuery};

use crate::cache::{
    key::asked::{asked_target, asked_uri},
    key::field,
};

type KeyFn = dyn Fn(&Parts) -> String + Send + Sync;
type IdentityFn = dyn Fn(&Parts) -> Option<String> + Send + Sync;

/// Settings of a region's keys; see the methods of [`Region`](crate::cache::Region) of the same names.
#[derive(Clone, Default)]
pub(in crate::cache) struct KeyRule {
    /// Names of query parameters; one that ends in `*` stands for all that begin so.
    pub(in crate::cache) ignored_query: Vec<Box<str>>,
    pub(in crate::cache) sort_query: bool,
    pub(in crate::cache) headers: Vec<HeaderName>,
    pub(in crate::cache) cookies: Vec<Box<str>>,
    pub(in crate::cache) by: Option<Arc<KeyFn>>,
    pub(in crate::cache) identity: Option<Arc<IdentityFn>>,
}

impl KeyRule {
    /// Who asks, where the region tells people apart.
    pub(in crate::cache) fn identity_of(&self, parts: &Parts) -> Option<String> {
        self.identity.as_ref().and_then(|identity| identity(parts))
    }

    /// Path and query as the client asked for them, as [`Self::rewrite`] leaves them.
    pub(in crate::cache) fn target_of(&self, parts: &Parts) -> String {
        let rewritten = self.rewritten(asked_uri(parts));
        let target = rewritten.as_ref().and_then(Uri::path_and_query);
        target
            .map_or(asked_target(parts), PathAndQuery::as_str)
            .to_owned()
    }

    /// Takes what is left out of the key out of the request as well: what the handler does not see cannot decide its answer,
    /// so nobody can put an answer for his own parameters into everyone's cache.
    pub(in crate::cache) fn rewrite(&self, parts: &mut Parts) {
        if self.ignored_query.is_empty() && !self.sort_query {
            return;
        }
        if let Some(uri) = self.rewritten(&parts.uri) {
            parts.uri = uri;
        }
        #[cfg(feature = "axum")]
        if let Some(original) = parts
            .extensions
            .get::<axum::extract::OriginalUri>()
            .and_then(|original| self.rewritten(&original.0))
        {
            parts
                .extensions
                .insert(axum::extract::OriginalUri(original));
        }
    }

    /// Path and query, given as a client asks for them, as [`Self::rewrite`] leaves them. What no client can ask for stays.
    pub(in crate::cache) fn spelled(&self, target: &str) -> String {
        let rewritten = PathAndQuery::try_from(target).ok();
        let rewritten = rewritten.and_then(|target| self.spelling(&target));
        rewritten.map_or(target.to_owned(), |target| target.as_str().to_owned())
    }

    /// `None` where nothing changes.
    fn rewritten(&self, uri: &Uri) -> Option<Uri> {
        let mut parts = uri.clone().into_parts();
        parts.path_and_query = Some(self.spelling(uri.path_and_query()?)?);
        Uri::from_parts(parts).ok()
    }

    /// `None` where nothing changes.
    fn spelling(&self, target: &PathAndQuery) -> Option<PathAndQuery> {
        let query = target.query()?;
        let mut kept: Vec<&str> = query
            .split('&')
            .filter(|parameter| !self.is_ignored(name_of(parameter)))
            .collect();
        if self.sort_query {
            // Stable: the order among parameters of one name may mean something.
            kept.sort_by_key(|parameter| name_of(parameter));
        }
        let kept = kept.join("&");
        if kept == query {
            return None;
        }
        let path = target.path();
        let target = if kept.is_empty() {
            path.to_owned()
        } else {
            format!("{path}?{kept}")
        };
        PathAndQuery::try_from(target).ok()
    }

    fn is_ignored(&self, name: &str) -> bool {
        self.ignored_query.iter().any(|ignored| {
            ignored
                .strip_suffix('*')
                .map_or(name == &**ignored, |prefix| name.starts_with(prefix))
        })
    }

    /// Writes what the region adds, each value with its length and each list with its count.
    pub(in crate::cache) fn write(
        &self,
        bytes: &mut Vec<u8>,
        parts: &Parts,
        identity: Option<&str>,
    ) {
        for name in &self.headers {
            let values = parts.headers.get_all(name);
            list(bytes, values.iter().map(|value| value.as_bytes()));
        }
        for name in &self.cookies {
            list(bytes, cookies(&parts.headers, name));
        }
        if let Some(by) = &self.by {
            field(bytes, by(parts).as_bytes());
        }
        list(bytes, identity.map(str::as_bytes).into_iter());
    }
}

/// How many there are, and then each with its length.
pub(in crate::cache) fn list<'a>(bytes: &mut Vec<u8>, values: impl Iterator<Item = &'a [u8]>) {
    let mut body = Vec::new();
    let mut count = 0_u32;
    for value in values {
        field(&mut body, value);
        count += 1;
    }
    bytes.extend_from_slice(&count.to_le_bytes());
    bytes.extend_from_slice(&body);
}

fn name_of(parameter: &str) -> &str {
    parameter.split('=').next().unwrap_or_default()
}

/// The values of all cookies of this name, in their order.
fn cookies<'a>(headers: &'a HeaderMap, name: &'a str) -> impl Iterator<Item = &'a [u8]> {
    headers
        .get_all(COOKIE)
        .iter()
        .flat_map(|line| line.as_bytes().split(|byte| *byte == b';'))
        .filter_map(move |pair| {
            let pair = pair.trim_ascii();
            let value = pair.strip_prefix(name.as_bytes())?;
            value.strip_prefix(b"=")
        })
}

impl fmt::Debug for KeyRule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("KeyRule")
            .field("ignored_query", &self.ignored_query)
            .field("sort_query", &self.sort_query)
            .field("headers", &self.headers)
            .field("cookies", &self.cookies)
            .field("by", &self.by.is_some())
            .field("identity", &self.identity.is_some())
            .finish()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn rewritten(rule: &KeyRule, uri: &str) -> String {
        let mut parts = http::Request::builder()
            .uri(uri)
            .body(())
            .unwrap()
            .into_parts()
            .0;
        rule.rewrite(&mut parts);
        parts.uri.to_string()
    }

    fn ignoring(names: &[&str]) -> KeyRule {
        KeyRule {
            ignored_query: names.iter().map(|name| (*name).into()).collect(),
            ..KeyRule::default()
        }
    }

    #[test]
    fn ignored_parameters_are_taken_out_and_nothing_else() {
        let rule = ignoring(&["utm_*", "gclid"]);
        for (uri, wanted) in [
            ("/a?utm_source=x&b=1&gclid=2", "/a?b=1"),
            ("/a?utm_source=x", "/a"),
            ("/a?gclid2=1&GCLID=1", "/a?gclid2=1&GCLID=1"),
            ("/a?b=utm_x&utm=1", "/a?b=utm_x&utm=1"),
            ("/a?", "/a?"),
            ("/a?b&utm_x", "/a?b"),
            ("http://h/a?utm_x=1&b=%26", "http://h/a?b=%26"),
            ("/a", "/a"),
        ] {
            assert_eq!(rewritten(&rule, uri), wanted);
        }
    }

    #[test]
    fn sorting_keeps_the_order_among_one_name() {
        let rule = KeyRule {
            sort_query: true,
            ..KeyRule::default()
        };
        assert_eq!(rewritten(&rule, "/?b=2&a=2&b=1&a=1"), "/?a=2&a=1&b=2&b=1");
        assert_eq!(rewritten(&KeyRule::default(), "/?b=1&a=1"), "/?b=1&a=1");
    }

    #[test]
    fn cookies_are_found_by_their_whole_name() {
        let mut headers = HeaderMap::new();
        headers.append(COOKIE, "sid=1; theme=dark".parse().unwrap());
        headers.append(COOKIE, "mytheme=x;theme=light".parse().unwrap());
        let found: Vec<_> = cookies(&headers, "theme").collect();
        assert_eq!(found, [&b"dark"[..], b"light"]);
    }

    proptest! {
        /// What is rewritten holds no ignored parameter, and rewriting it again changes nothing.
        #[test]
        fn rewriting_is_complete_and_idempotent(query in "[a-c=&_%2]{0,20}") {
            let rule = KeyRule { sort_query: true, ..ignoring(&["a*", "b"]) };
            let once = rewritten(&rule, &format!("/?{query}"));
            prop_assert_eq!(&rewritten(&rule, &once), &once);
            let uri: Uri = once.parse().unwrap();
            let names: Vec<_> = uri.query().unwrap_or_default().split('&').map(name_of).collect();
            prop_assert!(names.iter().all(|name| !name.starts_with('a') && *name != "b"), "{:?}", names);
        }
    }
}
