//! What stands around every action: the audit, and keys that make a repeated request the same request.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use axum::body::{Body, Bytes, to_bytes};
use axum::extract::{Extension, Request, State};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use http::request::Parts;
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header};

use crate::Inner;
use crate::audit::entry;
use crate::history::MarkKind;
use crate::security::identity::{Hash, Identity, hash};
use crate::security::problem::{self, Problem};

/// The header by which a client says that a request is the one it has sent before (draft-ietf-httpapi-idempotency-key-header).
const KEY: HeaderName = HeaderName::from_static("idempotency-key");
/// On an answer that was given before.
const REPLAYED: HeaderName = HeaderName::from_static("idempotent-replayed");
/// Answers are remembered for so long,
const REMEMBERED: Duration = Duration::from_secs(24 * 60 * 60);
/// at most so many,
const MAX_ANSWERS: usize = 1_000;
/// of at most so many bytes each. A larger one is not remembered.
const MAX_ANSWER_BYTES: usize = 16 * 1024;

/// Answers to requests with a key.
#[derive(Debug, Default)]
pub(crate) struct Answers(Mutex<VecDeque<Answer>>);

#[derive(Debug)]
struct Answer {
    /// Of who asked, what for, and the key.
    id: Hash,
    /// Of the request's body: a key stands for one request.
    body: Hash,
    at: Instant,
    /// None while the first request is under way.
    given: Option<(StatusCode, HeaderMap, Bytes)>,
}

/// A key that is held for one action; it is free again where the action comes to no good end.
struct Claim {
    inner: Arc<Inner>,
    id: Option<Hash>,
}

impl Drop for Claim {
    fn drop(&mut self) {
        if let Some(id) = self.id {
            self.inner.answers.lock().retain(|answer| answer.id != id);
        }
    }
}

impl Answers {
    fn lock(&self) -> MutexGuard<'_, VecDeque<Answer>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Claim {
    /// The key is ours now, or the answer that was given to it.
    fn take(inner: &Arc<Inner>, id: Hash, body: Hash) -> Result<Self, Box<Response>> {
        let now = Instant::now();
        let mut answers = inner.answers.lock();
        answers.retain(|answer| now.saturating_duration_since(answer.at) < REMEMBERED);
        if let Some(answer) = answers.iter().find(|answer| answer.id == id) {
            return Err(Box::new(repeated(answer, body)));
        }
        if answers.len() >= MAX_ANSWERS {
            // One that is under way is not forgotten, or its twin would run beside it.
            let oldest = answers.iter().position(|answer| answer.given.is_some());
            match oldest {
                Some(place) => drop(answers.remove(place)),
                None => {
                    let detail = "too many requests with a key are under way: try again later";
                    let problem = Problem::new(StatusCode::SERVICE_UNAVAILABLE, detail);
                    return Err(Box::new(problem.into_response()));
                }
            }
        }
        answers.push_back(Answer {
            id,
            body,
            at: now,
            given: None,
        });
        Ok(Self {
            inner: Arc::clone(inner),
            id: Some(id),
        })
    }

    /// Remembers the answer, if it is a good one.
    async fn keep(mut self, response: Response) -> Result<Response, Problem> {
        if !response.status().is_success() {
            return Ok(response);
        }
        let (parts, body) = response.into_parts();
        // The answers of actions are short JSON, but for one that is a file.
        let Ok(bytes) = to_bytes(body, 64 << 20).await else {
            let detail = "the answer could not be read";
            return Err(Problem::new(StatusCode::INTERNAL_SERVER_ERROR, detail));
        };
        if bytes.len() <= MAX_ANSWER_BYTES {
            let id = self.id.take();
            let mut answers = self.inner.answers.lock();
            if let Some(answer) = answers.iter_mut().find(|answer| Some(answer.id) == id) {
                answer.given = Some((parts.status, parts.headers.clone(), bytes.clone()));
            }
        }
        Ok(Response::from_parts(parts, Body::from(bytes)))
    }
}

fn repeated(answer: &Answer, body: Hash) -> Response {
    if answer.body != body {
        let detail = "this `Idempotency-Key` was sent with another request: take a new one";
        return Problem::new(StatusCode::UNPROCESSABLE_ENTITY, detail).into_response();
    }
    match &answer.given {
        None => {
            let detail = "the request with this `Idempotency-Key` is under way";
            let problem = Problem::new(StatusCode::CONFLICT, detail);
            problem
                .with_header(header::RETRY_AFTER, "1")
                .into_response()
        }
        Some((status, headers, bytes)) => {
            let mut headers = headers.clone();
            headers.insert(REPLAYED, HeaderValue::from_static("true"));
            (*status, headers, bytes.clone()).into_response()
        }
    }
}

/// The key of a request: 1 to 255 visible characters, no space among them.
fn key(headers: &HeaderMap) -> Result<Option<String>, Problem> {
    let mut keys = headers.get_all(KEY).iter();
    let Some(key) = keys.next() else {
        return Ok(None);
    };
    let is_visible = key.as_bytes().iter().all(u8::is_ascii_graphic);
    let text = key.to_str().unwrap_or_default();
    if !is_visible || text.is_empty() || text.len() > 255 || keys.next().is_some() {
        let detail = "`Idempotency-Key` is one value of 1 to 255 visible ASCII characters";
        return Err(Problem::bad_request(detail));
    }
    Ok(Some(text.to_owned()))
}

/// An action that is to be done, and by whom.
struct Work {
    inner: Arc<Inner>,
    name: Arc<str>,
    who: Identity,
    parts: Parts,
    body: Bytes,
    next: Next,
}

impl Work {
    /// Does it, written down before it begins and after it has ended.
    async fn run(self) -> Result<Response, Problem> {
        let Self {
            inner,
            name,
            who,
            parts,
            body,
            next,
        } = self;
        let (method, path) = (parts.method.clone(), parts.uri.path().to_owned());
        // None of them looks at one, so nobody is to think that it was a dry run.
        if method == Method::DELETE && !body.trim_ascii().is_empty() && body.trim_ascii() != b"{}" {
            let detail = "DELETE takes no body, and has no dry run: leave the body out";
            return Err(Problem::new(StatusCode::UNPROCESSABLE_ENTITY, detail));
        }
        let dry_run = serde_json::from_slice::<serde_json::Value>(&body)
            .is_ok_and(|body| body["dry_run"] == true);
        let asked = entry::asked(&body);
        let pending = inner
            .audit
            .begin(&who, &name, &path, dry_run, asked.clone())
            .map_err(|error| {
                tracing::error!(%error, "an action is refused: the audit's file cannot be written");
                let detail = "the audit cannot be written, so nothing is done: see the app's log";
                Problem::new(StatusCode::SERVICE_UNAVAILABLE, detail)
            })?;
        let response = next.run(Request::from_parts(parts, Body::from(body))).await;
        pending.end(response.status().as_u16());
        if response.status().is_success() && !dry_run {
            let asked = asked.filter(|asked| asked != "{}").unwrap_or_default();
            let what = format!("{method} {path} by {} {asked}", who.name);
            let now = inner.observed.unix_s();
            let kind = MarkKind::of_action(&name);
            inner.history.mark(now, kind, what.trim_end());
        }
        Ok(response)
    }
}

/// What stands around an action. A key that has been sent before gets the answer of then; and an action with a key is done to its end,
/// also when the client goes meanwhile, so that whoever asks again learns what came of it.
pub(crate) async fn act(
    State((inner, name)): State<(Arc<Inner>, Arc<str>)>,
    Extension(who): Extension<Identity>,
    request: Request,
    next: Next,
) -> Result<Response, Problem> {
    let key = key(request.headers())?;
    let (parts, body) = problem::take_body(request).await?;
    let claim = match key {
        None => None,
        Some(key) => {
            let id = hash(&format!(
                "{}\n{name}\n{}\n{key}",
                who.name,
                parts.uri.path()
            ));
            let digest = hash(&String::from_utf8_lossy(&body));
            match Claim::take(&inner, id, digest) {
                Ok(claim) => Some(claim),
                Err(answer) => return Ok(*answer),
            }
        }
    };
    let work = Work {
        inner,
        name,
        who,
        parts,
        body,
        next,
    };
    let Some(claim) = claim else {
        return work.run().await;
    };
    let done = tokio::spawn(async move { claim.keep(work.run().await?).await });
    done.await.unwrap_or_else(|error| {
        if let Ok(panic) = error.try_into_panic() {
            std::panic::resume_unwind(panic);
        }
        let detail = "the app ends, and the action with it";
        Err(Problem::new(StatusCode::SERVICE_UNAVAILABLE, detail))
    })
}
