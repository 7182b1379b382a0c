//! One flight: where it stands, who waits for it, and who is woken when it moves on.
//!
//! Each step is taken whole under one lock, so there is no moment between "is anybody left?" and "then take it out".
//! Wakers run and are dropped after the lock is free: either may end a task that waits for this very flight.

use std::{
    sync::{Arc, PoisonError},
    task::{Context, Poll, Waker},
    time::Duration,
};

use super::{
    super::entry::Entry,
    super::sync::{Mutex, MutexGuard},
    Head,
};

/// Leaders that may take over from one that went away.
const RE_ELECTIONS: u8 = 1;

enum State {
    Running,
    Head(Arc<Head>),
    Vacant,
    Ended(End),
}

/// How a flight ends.
#[derive(Clone)]
pub(super) enum End {
    Done(Arc<Entry>),
    Released,
}

/// How a request that comes takes part.
pub(super) enum Entered {
    /// The leader went away and nobody has taken its place yet.
    Lead,
    Wait(Ticket),
    /// It has ended; whoever ended it has not taken it out yet.
    Late,
}

/// What one who waits is told.
pub(super) enum News {
    Head(Arc<Head>),
    Lead,
    End(End),
}

/// The place of one who waits.
pub(super) struct Ticket {
    seat: usize,
    /// Heads that were told: a leader that takes over may have another one.
    heads: u8,
}

pub(super) struct Flight {
    pub(super) began: Duration,
    inner: Mutex<Inner>,
}

struct Inner {
    state: State,
    heads: u8,
    re_elections: u8,
    seats: Seats,
}

impl Inner {
    fn has_ended(&self) -> bool {
        matches!(self.state, State::Ended(_))
    }
}

impl Flight {
    /// `began` is monotonic time.
    pub(super) fn new(began: Duration) -> Self {
        Self {
            began,
            inner: Mutex::new(Inner {
                state: State::Running,
                heads: 0,
                re_elections: 0,
                seats: Seats::default(),
            }),
        }
    }

    pub(super) fn enter(&self) -> Entered {
        let mut inner = self.inner();
        match inner.state {
            State::Running | State::Head(_) => Entered::Wait(Ticket {
                seat: inner.seats.take(),
                heads: 0,
            }),
            State::Vacant => {
                inner.state = State::Running;
                Entered::Lead
            }
            State::Ended(_) => Entered::Late,
        }
    }

    /// The leader's head may be shared. A flight that another one has answered has its end already; so in what follows.
    pub(super) fn head(&self, head: Head) {
        let mut inner = self.inner();
        if inner.has_ended() {
            return;
        }
        inner.heads += 1;
        inner.state = State::Head(Arc::new(head));
        wake(inner);
    }

    pub(super) fn end(&self, end: End) {
        let mut inner = self.inner();
        if inner.has_ended() {
            return;
        }
        inner.state = State::Ended(end);
        wake(inner);
    }

    /// The leader went away. Answers whether one of those who wait may lead; else the flight has ended.
    pub(super) fn vacate(&self) -> bool {
        let mut inner = self.inner();
        if inner.has_ended() {
            return false;
        }
        let goes_on = inner.re_elections < RE_ELECTIONS && inner.seats.taken() > 0;
        if goes_on {
            inner.re_elections += 1;
            inner.state = State::Vacant;
        } else {
            inner.state = State::Ended(End::Released);
        }
        // All of them, not one: the one might be leaving.
        wake(inner);
        goes_on
    }

    pub(super) fn poll(&self, ticket: &mut Ticket, cx: &mut Context<'_>) -> Poll<News> {
        let mut inner = self.inner();
        match &inner.state {
            State::Ended(end) => Poll::Ready(News::End(end.clone())),
            State::Head(head) if inner.heads > ticket.heads => {
                ticket.heads = inner.heads;
                Poll::Ready(News::Head(head.clone()))
            }
            State::Vacant => {
                inner.state = State::Running;
                Poll::Ready(News::Lead)
            }
            State::Running | State::Head(_) => {
                let before = inner.seats.wait(ticket.seat, cx.waker());
                drop(inner);
                drop(before);
                Poll::Pending
            }
        }
    }

    /// One who waited goes. Answers whether the flight ended with that: vacant, and nobody is left to lead it.
    pub(super) fn leave(&self, ticket: &Ticket) -> bool {
        let mut inner = self.inner();
        let waker = inner.seats.leave(ticket.seat);
        let abandoned = matches!(inner.state, State::Vacant) && inner.seats.taken() == 0;
        if abandoned {
            inner.state = State::Ended(End::Released);
        }
        drop(inner);
        drop(waker);
        abandoned
    }

    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Frees the lock, then wakes all who wait.
fn wake(mut inner: MutexGuard<'_, Inner>) {
    let wakers = inner.seats.wakers();
    drop(inner);
    wakers.into_iter().for_each(Waker::wake);
}

/// Those who wait, each with the waker of its last poll.
#[derive(Default)]
struct Seats {
    wakers: Vec<Option<Waker>>,
    free: Vec<usize>,
}

impl Seats {
    fn take(&mut self) -> usize {
        self.free.pop().unwrap_or_else(|| {
            self.wakers.push(None);
            self.wakers.len() - 1
        })
    }

    fn leave(&mut self, seat: usize) -> Option<Waker> {
        self.free.push(seat);
        self.wakers[seat].take()
    }

    fn taken(&self) -> usize {
        self.wakers.len() - self.free.len()
    }

    /// Answers the waker that it replaces.
    fn wait(&mut self, seat: usize, waker: &Waker) -> Option<Waker> {
        let known = &mut self.wakers[seat];
        match known {
            Some(known) if known.will_wake(waker) => None,
            _ => known.replace(waker.clone()),
        }
    }

    fn wakers(&mut self) -> Vec<Waker> {
        self.wakers.iter_mut().filter_map(Option::take).collect()
    }
}
