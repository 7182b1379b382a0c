//! The future of the cache service: wait, look up, call, judge.

use std::{
    fmt,
    future::Future,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
};

use http::{Request, Response, request::Parts};
use http_body::Body;
use pin_project::pin_project;
use tower_service::Service;

use super::{
    body::ResponseBody,
    changes::{Changes, passed},
    coalesce::{Told, Waiter},
    hit::look::Look,
    miss::forward::{Forward, Next, Step},
    miss::looking::Looking,
    miss::refresh,
    outcome::{BypassReason, Miss},
    policy::VaryNames,
    runtime,
    shared::Shared,
};
#[cfg(feature = "redis")]
use super::{
    own_writes::{Telling, Token},
    timed::timed,
};

/// Resolves to a stored answer, another request's answer, or the handler's own.
///
/// # Panics
///
/// Polled after it was done, as most futures do.
#[pin_project]
pub struct ResponseFuture<S, B, R>
where
    S: Service<Request<B>, Response = Response<R>>,
    R: Body,
{
    #[pin]
    state: State<S::Future, R>,
    /// The request, as long as the handler does not have it. Boxed, as is what follows: a hit has neither, and should not
    /// move the room for them.
    held: Option<Box<Held<S, B>>>,
    forward: Option<Box<Forward>>,
}

#[pin_project(project = StateProj)]
enum State<F, R: Body> {
    Reply(Option<Response<ResponseBody<R>>>),
    Bypass(#[pin] F, Arc<Shared>, BypassReason, Option<Changes>),
    /// The answer to an unsafe request waits for the token that goes with it.
    #[cfg(feature = "redis")]
    Telling(Option<Response<ResponseBody<R>>>, Telling),
    /// Waits for what its client has written elsewhere.
    #[cfg(feature = "redis")]
    Behind(Pin<Box<dyn Future<Output = bool> + Send>>),
    Waiting(Pin<Box<dyn Future<Output = (Waiter, Told)> + Send>>),
    Looking(Looking),
    Readying,
    Calling(#[pin] F),
}

pub(super) struct Held<S, B> {
    pub(super) inner: S,
    /// Whether `inner` has said that it is ready. One that waits must not be: it would hold a permit that the leader
    /// may need.
    pub(super) ready: bool,
    pub(super) parts: Parts,
    pub(super) body: B,
}

impl<S, B, R> ResponseFuture<S, B, R>
where
    S: Service<Request<B>, Response = Response<R>> + Clone,
    R: Body + Send + 'static,
    R::Error: Send,
{
    pub(super) fn reply(response: Response<ResponseBody<R>>) -> Self {
        Self {
            state: State::Reply(Some(response)),
            held: None,
            forward: None,
        }
    }

    pub(super) fn bypass(
        inner: S::Future,
        shared: Arc<Shared>,
        reason: BypassReason,
        changes: Option<Changes>,
    ) -> Self {
        Self {
            state: State::Bypass(inner, shared, reason, changes),
            held: None,
            forward: None,
        }
    }

    /// Its client has written what this instance has not heard of. `held` has a service that is not ready.
    #[cfg(feature = "redis")]
    pub(super) fn behind(held: Held<S, B>, forward: Forward, token: Token) -> Self {
        let l2 = forward.shared.l2.clone();
        let waiting = async move {
            match l2 {
                Some(l2) => l2.reached(&token).await,
                None => true,
            }
        };
        Self {
            state: State::Behind(Box::pin(timed(waiting))),
            held: Some(Box::new(held)),
            forward: Some(Box::new(forward)),
        }
    }

    /// What a look into this process comes to. `spare` makes a service that is not ready, for a request that has to wait.
    pub(super) fn looked(
        look: Look,
        held: Held<S, B>,
        mut forward: Forward,
        spare: impl FnOnce() -> S,
    ) -> Self
    where
        S: Send + 'static,
        S::Future: Send,
        B: Send + 'static,
    {
        let request = &held.parts.headers;
        match look {
            Look::Hit(entry, outcome) => Self::reply(forward.reply(&entry, request, outcome)),
            Look::Refresh(entry, vary, outcome) => {
                forward.miss = Miss::Stale;
                forward.stale = Some(entry.clone());
                // Without a runtime nothing can go on in the background: then this request fetches, as for any stale answer.
                if !runtime::has_one() {
                    return Self::miss(held, forward, &vary, spare);
                }
                let response = forward.reply(&entry, request, outcome);
                let shared = forward.shared.clone();
                if let Some(fetch) = Self::refresh(held, forward, &vary) {
                    refresh::spawn(&shared, fetch);
                }
                Self::reply(response)
            }
            Look::Miss(miss, vary, stale) => {
                let shared = &forward.shared;
                if let Some(response) = shared.part(&forward.key, forward.asked(request)) {
                    return Self::reply(response);
                }
                if miss == Miss::Purged {
                    shared.forget_purged(&forward.key);
                }
                if forward.lookup.only_if_cached {
                    return Self::reply(forward.only_if_cached());
                }
                forward.miss = miss;
                forward.stale = stale;
                Self::miss(held, forward, &vary, spare)
            }
        }
    }

    /// This instance has heard of what the client has written, or it takes too long: then the handler is asked, past all
    /// who ask the same (rule 9 of the invalidation).
    #[cfg(feature = "redis")]
    fn caught_up(is_reached: bool, held: Held<S, B>, mut forward: Forward) -> Self
    where
        S: Send + 'static,
        S::Future: Send,
        B: Send + 'static,
    {
        forward.stamp = forward.shared.now();
        if is_reached {
            let asked = forward.asked(&held.parts.headers);
            let look = forward.shared.look(&forward.key, asked);
            let spare = held.inner.clone();
            return Self::looked(look, held, forward, || spare);
        }
        forward.miss = Miss::Behind;
        if forward.lookup.only_if_cached {
            return Self::reply(forward.only_if_cached());
        }
        Self {
            state: State::Readying,
            held: Some(Box::new(held)),
            forward: Some(Box::new(forward)),
        }
    }

    /// A fetch in the background; `None` where somebody else fetches the same already.
    fn refresh(mut held: Held<S, B>, mut forward: Forward, vary: &VaryNames) -> Option<Self> {
        forward.uncounted = true;
        forward.for_all(&mut held.parts);
        let state = match forward.next(&held.parts.headers, vary) {
            Next::Wait(_) | Next::Reply(..) => return None,
            // A look into Redis would only find the same stale answer again.
            Next::Look(_) | Next::Call => State::Readying,
        };
        // Values that are too many to compare: nobody would keep the next one from fetching too.
        forward.leader.as_ref()?;
        Some(Self {
            state,
            held: Some(Box::new(held)),
            forward: Some(Box::new(forward)),
        })
    }

    fn miss(
        mut held: Held<S, B>,
        mut forward: Forward,
        vary: &VaryNames,
        spare: impl FnOnce() -> S,
    ) -> Self {
        let state = forward.next(&held.parts.headers, vary);
        let state = match state {
            Next::Wait(waiting) => {
                held.inner = spare();
                held.ready = false;
                State::Waiting(waiting)
            }
            Next::Look(looking) => State::Looking(looking),
            Next::Reply(entry, outcome) => {
                let response = forward.reply(&entry, &held.parts.headers, outcome);
                return Self::reply(response);
            }
            Next::Call => State::Readying,
        };
        Self {
            state,
            held: Some(Box::new(held)),
            forward: Some(Box::new(forward)),
        }
    }
}

impl<S, B, R> Future for ResponseFuture<S, B, R>
where
    S: Service<Request<B>, Response = Response<R>> + Clone + Send + 'static,
    S::Future: Send,
    B: Send + 'static,
    R: Body + Send + 'static,
    R::Error: Send,
{
    type Output = Result<Response<ResponseBody<R>>, S::Error>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut this = self.project();
        loop {
            let step = match this.state.as_mut().project() {
                StateProj::Reply(response) => {
                    let Some(response) = response.take() else {
                        panic!("polled after it was done")
                    };
                    return Poll::Ready(Ok(response));
                }
                StateProj::Bypass(inner, shared, reason, changes) => {
                    let Some(changes) = changes else {
                        let response = ready!(shared.watching(None, || inner.poll(cx)))?;
                        return Poll::Ready(Ok(passed(response, *reason)));
                    };
                    let response =
                        ready!(shared.watching(None, || changes.scope(|| inner.poll(cx))))?;
                    let response = changes.answered(response, cx);
                    #[cfg(feature = "redis")]
                    if let Some(telling) = changes.telling() {
                        this.state.set(State::Telling(Some(response), telling));
                        continue;
                    }
                    return Poll::Ready(Ok(response));
                }
                #[cfg(feature = "redis")]
                StateProj::Telling(response, telling) => {
                    let token = ready!(telling.as_mut().poll(cx));
                    let Some(mut response) = response.take() else {
                        panic!("polled after it was done")
                    };
                    if let Some((name, value)) = token {
                        response.headers_mut().append(name, value);
                    }
                    return Poll::Ready(Ok(response));
                }
                #[cfg(feature = "redis")]
                StateProj::Behind(waiting) => {
                    let is_reached = ready!(waiting.as_mut().poll(cx));
                    let (Some(held), Some(forward)) = (this.held.take(), this.forward.take())
                    else {
                        panic!("polled after it was done")
                    };
                    let next = Self::caught_up(is_reached, *held, *forward);
                    (*this.held, *this.forward) = (next.held, next.forward);
                    this.state.set(next.state);
                    continue;
                }
                StateProj::Calling(inner) => {
                    let Some(forward) = this.forward.as_mut() else {
                        panic!("polled after it was done")
                    };
                    let shared = forward.shared.clone();
                    let counted = forward.counted();
                    let poll = || forward.tags.scope(|| inner.poll(cx));
                    let result = ready!(shared.watching(counted, poll));
                    let Some(mut forward) = this.forward.take() else {
                        panic!("polled after it was done")
                    };
                    return Poll::Ready(match result {
                        // What is there of the body is read at once.
                        Ok(response) => {
                            Ok(shared.watching(counted, || forward.answered(response, cx)))
                        }
                        Err(error) => forward.failed().ok_or(error),
                    });
                }
                StateProj::Readying => {
                    let (Some(held), Some(forward)) = (this.held.as_mut(), this.forward.as_mut())
                    else {
                        panic!("polled after it was done")
                    };
                    if !held.ready {
                        ready!(held.inner.poll_ready(cx))?;
                    }
                    let Some(held) = this.held.take() else {
                        panic!("polled after it was done")
                    };
                    let Held {
                        mut inner,
                        mut parts,
                        body,
                        ..
                    } = *held;
                    forward.send(&mut parts);
                    let request = Request::from_parts(parts, body);
                    let shared = forward.shared.clone();
                    let counted = forward.counted();
                    let call = || forward.tags.scope(|| inner.call(request));
                    let inner = shared.watching(counted, call);
                    this.state.set(State::Calling(inner));
                    continue;
                }
                StateProj::Waiting(waiting) => {
                    let (waiter, told) = ready!(waiting.as_mut().poll(cx));
                    let (Some(held), Some(forward)) = (this.held.as_mut(), this.forward.as_mut())
                    else {
                        panic!("polled after it was done")
                    };
                    forward.told(waiter, told, &held.parts.headers)
                }
                StateProj::Looking(looking) => {
                    let found = ready!(looking.as_mut().poll(cx));
                    let (Some(held), Some(forward)) = (this.held.as_mut(), this.forward.as_mut())
                    else {
                        panic!("polled after it was done")
                    };
                    forward.found(found, &held.parts.headers)
                }
            };
            match step {
                Step::Reply(response) => {
                    // The request and a service that was ready for it are given up before anybody reads the answer.
                    *this.held = None;
                    *this.forward = None;
                    return Poll::Ready(Ok(response));
                }
                Step::Next(Next::Wait(waiting)) => this.state.set(State::Waiting(waiting)),
                Step::Next(Next::Look(looking)) => this.state.set(State::Looking(looking)),
                Step::Next(Next::Reply(entry, outcome)) => {
                    let (Some(held), Some(forward)) = (this.held.take(), this.forward.take())
                    else {
                        panic!("polled after it was done")
                    };
                    let response = forward.reply(&entry, &held.parts.headers, outcome);
                    return Poll::Ready(Ok(response));
                }
                Step::Next(Next::Call) => this.state.set(State::Readying),
            }
        }
    }
}

impl<S, B, R> fmt::Debug for ResponseFuture<S, B, R>
where
    S: Service<Request<B>, Response = Response<R>>,
    R: Body,
{
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ResponseFuture").finish_non_exhaustive()
    }
}
