//! Storability and freshness against `http-cache-semantics`: what this cache stores, the oracle would store, and for as
//! long at least. This cache stores less (no heuristics, no 4xx, doubts count against storing), so the property has
//! one direction; where nothing is in doubt, a second property has the other.
//!
//! Decided against the oracle: it never uses an answer with `proxy-revalidate` and no `s-maxage`. RFC 9111, 5.2.2.8 asks
//! for validation once it is stale, and not before; so the directive is not among the generated ones. Its heuristic for
//! `immutable` is switched off, as all heuristics are here. It reads the names of directives as they are written; they
//! mean the same in any case (5.2), so it is shown lower-case ones. It takes `private` and `no-cache` with field names for
//! those without: 5.2.2.4 and 5.2.2.7 keep back the named fields alone, so they are not among the generated ones either.

#![allow(clippy::unwrap_used)]

mod support;

use std::time::{Duration, SystemTime};

use http::{Request, Response};
use http_cache_semantics::{CacheOptions, CachePolicy};
use pitcrew::{CacheLayer, clock::Clock};
use proptest::prelude::*;
use support::*;

const DIRECTIVES: &[&str] = &[
    "no-store",
    "no-cache",
    "private",
    "public",
    "must-revalidate",
    "max-age=0",
    "max-age=5",
    "max-age=60",
    "max-age=600",
    "s-maxage=0",
    "s-maxage=7",
    "s-maxage=70",
    "max-age=-1",
    "max-age=x",
    "immutable",
    "no-transform",
    "stale-while-revalidate=5",
    "unknown",
    "MAX-AGE=9",
];

#[derive(Clone, Debug)]
struct Case {
    cache_control: Vec<&'static str>,
    age: Option<u32>,
    status: u16,
    authorization: bool,
    vary: Option<&'static str>,
}

fn cases() -> impl Strategy<Value = Case> {
    (
        proptest::collection::vec(proptest::sample::select(DIRECTIVES), 0..4),
        proptest::option::of(0_u32..100),
        proptest::sample::select(vec![
            200_u16, 203, 204, 206, 301, 302, 304, 307, 308, 404, 410, 500, 503,
        ]),
        any::<bool>(),
        proptest::option::of(proptest::sample::select(vec!["accept", "*", "Accept, x-a"])),
    )
        .prop_map(|(cache_control, age, status, authorization, vary)| Case {
            cache_control,
            age,
            status,
            authorization,
            vary,
        })
}

impl Case {
    fn headers(&self) -> Vec<(&'static str, String)> {
        let mut headers = Vec::new();
        if !self.cache_control.is_empty() {
            headers.push(("cache-control", self.cache_control.join(", ")));
        }
        headers.extend(self.age.map(|age| ("age", age.to_string())));
        headers.extend(self.vary.map(|vary| ("vary", vary.to_owned())));
        headers
    }

    fn request_headers(&self) -> &'static [(&'static str, &'static str)] {
        if self.authorization {
            &[("authorization", "Bearer a")]
        } else {
            &[]
        }
    }

    /// Seconds for which the oracle would use the answer; `None` where it would not store it.
    fn oracle(&self) -> Option<u64> {
        let mut request = Request::builder().uri("http://app.example/");
        for (name, value) in self.request_headers() {
            request = request.header(*name, *value);
        }
        let mut response = Response::builder().status(self.status);
        for (name, value) in self.headers() {
            response = response.header(name, value.to_lowercase());
        }
        let options = CacheOptions {
            shared: true,
            cache_heuristic: 0.0,
            immutable_min_time_to_live: Duration::ZERO,
            ..CacheOptions::default()
        };
        let now = SystemTime::now();
        let policy = CachePolicy::new_options(
            &request.body(()).unwrap(),
            &response.body(()).unwrap(),
            now,
            options,
        );
        policy
            .is_storable()
            .then(|| policy.time_to_live(now).as_secs())
    }

    /// Seconds for which this cache uses the answer; `None` where it does not store it.
    fn ours(&self) -> Option<u64> {
        let (status, headers) = (self.status, self.headers());
        let handler = Handler::new(move |_, _| {
            let headers: Vec<_> = headers
                .iter()
                .map(|(name, value)| (*name, value.as_str()))
                .collect();
            let mut response = answer(&headers, if status == 204 { "" } else { "x" });
            *response.status_mut() = status.try_into().unwrap();
            ready(response)
        });
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .unwrap();
        runtime.block_on(async {
            let (app, _) = cached(&handler, CacheLayer::builder().clock(Clock::manual()));
            ask(&app, get_with("/", self.request_headers())).await;
            let second = ask(&app, get_with("/", self.request_headers())).await;
            let ttl = second.cache_status().strip_prefix("pitcrew; hit; ttl=")?;
            Some(ttl.parse().unwrap())
        })
    }

    fn in_doubt(&self) -> bool {
        let names: Vec<_> = self
            .cache_control
            .iter()
            .map(|text| text.to_lowercase().split('=').next().unwrap().to_owned())
            .collect();
        let twice = names
            .iter()
            .enumerate()
            .any(|(i, name)| names[i + 1..].contains(name));
        let malformed = self
            .cache_control
            .iter()
            .any(|text| ["max-age=-1", "max-age=x"].contains(text));
        // Stored for revalidation only, a status that is not stored by policy, or one without explicit freshness.
        twice
            || malformed
            || names.iter().any(|name| name == "no-cache")
            || ![200, 203, 301, 308].contains(&self.status)
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1_000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn what_is_stored_the_oracle_would_store_for_as_long(case in cases()) {
        if let Some(ours) = case.ours() {
            let oracle = case.oracle();
            prop_assert!(oracle.is_some_and(|ttl| ours <= ttl), "ours {ours}, oracle {oracle:?}");
        }
    }

    #[test]
    fn what_the_oracle_would_use_is_used_where_nothing_is_in_doubt(case in cases()) {
        let oracle = case.oracle().filter(|ttl| *ttl > 0);
        if !case.in_doubt() && let Some(oracle) = oracle {
            prop_assert_eq!(case.ours(), Some(oracle));
        }
    }
}
