//! Each outcome is an event. The only test of its file: what is cached about a call site's subscribers is the whole
//! process's.

#![allow(clippy::unwrap_used)]

mod support;

use std::{
    fmt::Write,
    sync::{Arc, Mutex},
};

use pitcrew::{CacheLayer, cache::Region};
use tower::ServiceExt;
use tracing::{Level, Metadata, Subscriber, field::Field, span};

use support::*;

/// Keeps the events of `pitcrew::cache`, as text.
#[derive(Clone, Default)]
struct Events(Arc<Mutex<Vec<String>>>);

impl Subscriber for Events {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.target() == "pitcrew::cache" && *metadata.level() <= Level::DEBUG
    }
    fn new_span(&self, _: &span::Attributes<'_>) -> span::Id {
        span::Id::from_u64(1)
    }
    fn record(&self, _: &span::Id, _: &span::Record<'_>) {}
    fn record_follows_from(&self, _: &span::Id, _: &span::Id) {}
    fn event(&self, event: &tracing::Event<'_>) {
        struct Text(String);
        impl tracing::field::Visit for Text {
            fn record_debug(&mut self, field: &Field, value: &dyn std::fmt::Debug) {
                write!(self.0, "{}={value:?} ", field.name()).unwrap();
            }
        }
        let mut text = Text(String::new());
        event.record(&mut text);
        self.0.lock().unwrap().push(text.0.trim_end().to_owned());
    }
    fn enter(&self, _: &span::Id) {}
    fn exit(&self, _: &span::Id) {}
}

#[tokio::test]
async fn each_outcome_is_an_event_and_none_tells_a_query_a_field_or_a_key() {
    let events = Events::default();
    let _default = tracing::subscriber::set_default(events.clone());
    let handler = Handler::new(|request, _| {
        if request.uri().path() == "/broken/s3cret" {
            return Box::pin(std::future::ready(Err("s3cret")));
        }
        ready(answer(
            &[("cache-control", "max-age=60"), ("x-own", "s3cret")],
            "s3cret",
        ))
    });
    let builder = CacheLayer::builder()
        .route_label(|parts| {
            let first = parts.uri.path().split('/').nth(1)?;
            Some(format!("/{first}/{{id}}"))
        })
        .region(Region::api().per_identity(|_| Some("s3cret".into())));
    let (app, _handle) = cached(&handler, builder);
    let secret = [("authorization", "s3cret"), ("cookie", "a=s3cret")];
    for (verb, path) in [
        ("GET", "/orders/s3cret?token=s3cret"),
        ("GET", "/orders/s3cret?token=s3cret"),
        ("POST", "/orders/s3cret?token=s3cret"),
        ("GET", "/orders/s3cret?token=s3cret"),
    ] {
        ask(&app, method(verb, path, &secret)).await;
    }
    assert!(app.clone().oneshot(get("/broken/s3cret")).await.is_err());
    let seen = events.0.lock().unwrap().clone();
    let of = |route: &str, outcome: &str, reason: &str| {
        format!(
            "message=request region=\"api\" route=\"{route}\" outcome=\"{outcome}\" reason=\"{reason}\""
        )
    };
    assert_eq!(
        seen,
        [
            of("/orders/{id}", "stored", "uri-miss"),
            of("/orders/{id}", "hit", "fresh"),
            of("/orders/{id}", "bypass", "method"),
            of("/orders/{id}", "stored", "purged"),
            of("/broken/{id}", "error", ""),
        ]
    );
    assert!(seen.iter().all(|event| !event.contains("s3cret")));
}
