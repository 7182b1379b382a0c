//! `GET /events`: the key figures each second, and alerts as they come (server-sent events, HTML Living Standard 9.2).

use std::convert::Infallible;
use std::sync::{Arc, Weak};
use std::time::Instant;

use axum::extract::{Extension, State};
use axum::response::sse::{Event as Sent, KeepAlive, Sse};
use axum::response::{IntoResponse, Response};
use futures_util::stream;
use http::{StatusCode, header};
use serde_json::json;
use tokio::sync::broadcast::Receiver;
use tokio::sync::watch;

use super::App;
use super::operation::Operation;
use crate::Inner;
use crate::observe::Event;
use crate::security::auth::Credential;
use crate::security::problem::Problem;

/// So many clients at a time.
const MAX_CLIENTS: usize = 256;

pub(super) fn operations() -> Vec<Operation> {
    vec![
        Operation::get(
            "/events",
            "A stream: `figures` each second, and `alert` as they come. At most 256 clients; one that is 32 messages behind \
             is left, and comes again by itself. It ends with the token or the session that it was begun with.",
            events,
        )
        .gives_as(200, "text/event-stream", json!("event: figures\ndata: {\"at\":\"2026-11-28T12:00:00Z\",\"figures\":{}}\n\n"))
        .refuses(503, "There are as many clients as may be."),
    ]
}

async fn events(
    State(inner): App,
    Extension(credential): Extension<Credential>,
) -> Result<Response, Problem> {
    let observed = &inner.observed;
    let is_full = observed.events.receiver_count() >= MAX_CLIENTS;
    if is_full || inner.background.is_stopped() {
        let detail = "there are as many clients of /events as may be: try again later";
        let problem = Problem::new(StatusCode::SERVICE_UNAVAILABLE, detail);
        return Err(problem.with_header(header::RETRY_AFTER, "5"));
    }
    let first = observed.last().map(|(at, sample)| {
        let figures =
            json!({"at": crate::observe::time(at), "figures": crate::observe::named(&sample)});
        Event::Figures(figures.to_string().into())
    });
    let listening = Listening {
        first,
        events: observed.events.subscribe(),
        stopping: inner.background.stopping(),
        inner: Arc::downgrade(&inner),
        credential,
    };
    let stream = stream::unfold(listening, |mut listening| async {
        let event = listening.next().await?;
        Some((Ok::<_, Infallible>(sent(&event)), listening))
    });
    // A comment now and then tells a proxy that nobody has gone.
    let mut response = Sse::new(stream)
        .keep_alive(KeepAlive::default())
        .into_response();
    // Its own is weaker than what all answers have.
    response.headers_mut().remove(header::CACHE_CONTROL);
    Ok(response)
}

struct Listening {
    first: Option<Event>,
    events: Receiver<Event>,
    stopping: watch::Receiver<bool>,
    inner: Weak<Inner>,
    credential: Credential,
}

impl Listening {
    /// None ends the stream: everything ends, this client reads too slowly, or may look no more.
    async fn next(&mut self) -> Option<Event> {
        if let Some(first) = self.first.take() {
            return Some(first);
        }
        let event = tokio::select! {
            // One that is left behind (lagged) is left.
            event = self.events.recv() => event.ok(),
            _ = self.stopping.wait_for(|stopped| *stopped) => None,
        };
        event.filter(|_| self.may_look())
    }

    /// Whether the token, or the session, that it was begun with is still worth something.
    fn may_look(&self) -> bool {
        let inner = self.inner.upgrade();
        inner.is_some_and(|inner| inner.auth.is_good(&self.credential, Instant::now()))
    }
}

fn sent(event: &Event) -> Sent {
    match event {
        Event::Figures(json) => Sent::default().event("figures").data(Arc::clone(json)),
        Event::Alert(alert) => {
            let json = serde_json::to_string(&**alert).unwrap_or_default();
            Sent::default()
                .event("alert")
                .id(alert.id.to_string())
                .data(json)
        }
    }
}
