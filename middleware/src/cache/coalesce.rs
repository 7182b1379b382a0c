//! One request leads, the others wait for its answer.
//!
//! States of a flight, and who moves it on:
//!
//! | state | meaning | next |
//! |---|---|---|
//! | `Running` | the leader awaits the head | `Head`, `Done`, `Released`, `Vacant` |
//! | `Head` | the head may be shared; its body is being collected | `Done`, `Released`, `Vacant` |
//! | `Done` | the answer is there | end |
//! | `Released` | there will be no answer to share: every waiter runs alone | end |
//! | `Vacant` | the leader went away (cancelled, panicked): the first waiter to see it leads | `Running`, once |
//!
//! An error of the handler releases all at once: were each waiter to lead in turn, failing requests would queue up
//! behind one another. Each waiter has its own deadline besides.

use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU32, Ordering},
    },
    time::Duration,
};

use tokio::sync::watch;

use super::{
    entry::Entry,
    key::CacheKey,
    policy::{Share, VaryNames},
};

/// Locks that flights are spread over; touched on misses only.
const SHARDS: usize = 64;
/// Leaders that may take over from one that went away.
const RE_ELECTIONS: u32 = 1;

/// What is being fetched: a key, a variant of it, and the class of credentials.
#[derive(Clone, PartialEq, Eq, Hash)]
pub(super) struct FlightKey {
    pub(super) key: Arc<CacheKey>,
    pub(super) variant: Box<[u8]>,
    pub(super) class: u8,
}

/// What the head of a leader's answer says to those who wait.
#[derive(Clone, Debug)]
pub(super) struct Head {
    pub(super) vary: VaryNames,
    pub(super) values: Box<[u8]>,
    pub(super) share: Share,
}

#[derive(Clone)]
enum State {
    Running,
    Head(Arc<Head>),
    Done(Arc<Entry>),
    Vacant,
    Released,
}

struct Flight {
    state: watch::Sender<State>,
    began: Duration,
    re_elections: AtomicU32,
}

type Shard = Mutex<HashMap<FlightKey, Arc<Flight>>>;

/// All flights of one cache.
pub(super) struct Flights {
    shards: Box<[Shard]>,
    /// A flight older than this is not joined any more: its leader hangs, and another takes its place.
    patience: Duration,
}

/// How a request joins.
pub(super) enum Join {
    Lead(Leader),
    Wait(Waiter),
}

/// What a waiter is told.
pub(super) enum Told {
    /// The head is there; the waiter looks whether it fits.
    Head(Arc<Head>),
    /// The answer is there; the waiter looks whether it is still alive.
    Entry(Arc<Entry>),
    /// The waiter leads now.
    Lead(Leader),
    /// There is nothing to wait for.
    Alone,
}

impl Flights {
    pub(super) fn new(patience: Duration) -> Self {
        Self {
            shards: (0..SHARDS).map(|_| Mutex::default()).collect(),
            patience,
        }
    }

    /// `now` is monotonic time.
    pub(super) fn join(self: &Arc<Self>, key: FlightKey, now: Duration) -> Join {
        let mut shard = self.shard(&key);
        if let Some(flight) = shard.get(&key)
            && now.saturating_sub(flight.began) < self.patience
        {
            let flight = flight.clone();
            drop(shard);
            // Left by a leader that went away, and nobody has taken it yet.
            if flight.take_lead() {
                return Join::Lead(self.leader(key, flight));
            }
            return Join::Wait(Waiter {
                state: flight.state.subscribe(),
                flights: self.clone(),
                key,
                flight,
            });
        }
        let flight = Arc::new(Flight {
            state: watch::Sender::new(State::Running),
            began: now,
            re_elections: AtomicU32::new(0),
        });
        shard.insert(key.clone(), flight.clone());
        drop(shard);
        Join::Lead(self.leader(key, flight))
    }

    fn leader(self: &Arc<Self>, key: FlightKey, flight: Arc<Flight>) -> Leader {
        Leader {
            flights: self.clone(),
            key,
            flight,
            finished: false,
        }
    }

    /// Takes a flight out, unless another has taken its place already.
    fn remove(&self, key: &FlightKey, flight: &Arc<Flight>) {
        let mut shard = self.shard(key);
        if shard
            .get(key)
            .is_some_and(|known| Arc::ptr_eq(known, flight))
        {
            shard.remove(key);
        }
    }

    fn shard(&self, key: &FlightKey) -> MutexGuard<'_, HashMap<FlightKey, Arc<Flight>>> {
        let shard = &self.shards[key.key.low() as usize % SHARDS];
        shard.lock().unwrap_or_else(PoisonError::into_inner)
    }

    #[cfg(test)]
    fn len(&self) -> usize {
        self.shards
            .iter()
            .map(|shard| shard.lock().unwrap().len())
            .sum()
    }
}

impl Flight {
    /// `Vacant` to `Running`; only one caller sees `true`.
    fn take_lead(&self) -> bool {
        self.state.send_if_modified(|state| {
            let vacant = matches!(state, State::Vacant);
            if vacant {
                *state = State::Running;
            }
            vacant
        })
    }
}

/// Leads a flight. Dropped without an end, it leaves the flight to a waiter, once.
pub(super) struct Leader {
    flights: Arc<Flights>,
    key: FlightKey,
    flight: Arc<Flight>,
    finished: bool,
}

impl Leader {
    /// The head may be shared: those whom it does not fit go their own way now.
    pub(super) fn head(&self, head: Head) {
        self.flight.state.send_replace(State::Head(Arc::new(head)));
    }

    /// The answer is there.
    pub(super) fn done(mut self, entry: Arc<Entry>) {
        self.finish(State::Done(entry));
    }

    /// There is nothing to share.
    pub(super) fn release(mut self) {
        self.finish(State::Released);
    }

    fn finish(&mut self, state: State) {
        self.finished = true;
        // Out of the map first: who comes now begins anew, who waits is told.
        self.flights.remove(&self.key, &self.flight);
        self.flight.state.send_replace(state);
    }
}

impl Drop for Leader {
    fn drop(&mut self) {
        if self.finished {
            return;
        }
        let again = self.flight.re_elections.fetch_add(1, Ordering::AcqRel) < RE_ELECTIONS;
        if again && self.flight.state.receiver_count() > 0 {
            self.flight.state.send_replace(State::Vacant);
            // All waiters may have gone between the two lines; then nobody is left to take the flight out.
            if self.flight.state.receiver_count() > 0 {
                return;
            }
        }
        self.finish(State::Released);
    }
}

/// Waits for a flight.
pub(super) struct Waiter {
    state: watch::Receiver<State>,
    flights: Arc<Flights>,
    key: FlightKey,
    flight: Arc<Flight>,
}

impl Waiter {
    /// What the flight says next, from what it says now on. `heard` is whether its head has been told already.
    pub(super) async fn told(&mut self, heard: bool) -> Told {
        loop {
            let state = self.state.borrow_and_update().clone();
            match state {
                State::Done(entry) => return Told::Entry(entry),
                State::Released => return Told::Alone,
                State::Head(head) if !heard => return Told::Head(head),
                State::Vacant => {
                    if self.flight.take_lead() {
                        return Told::Lead(
                            self.flights.leader(self.key.clone(), self.flight.clone()),
                        );
                    }
                    continue;
                }
                State::Head(_) | State::Running => {}
            }
            if self.state.changed().await.is_err() {
                return Told::Alone;
            }
        }
    }
}

impl Drop for Waiter {
    fn drop(&mut self) {
        // The last to leave a vacant flight takes it out. A new one may join meanwhile; it then leads another flight.
        if self.flight.state.receiver_count() <= 1
            && matches!(*self.flight.state.borrow(), State::Vacant)
        {
            self.flights.remove(&self.key, &self.flight);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cache::key::KeyMaker;

    const PATIENCE: Duration = Duration::from_secs(5);

    fn flights() -> (Arc<Flights>, FlightKey) {
        let key = Arc::new(KeyMaker::new("").finish(vec![1]));
        (
            Arc::new(Flights::new(PATIENCE)),
            FlightKey {
                key,
                variant: Box::default(),
                class: 0,
            },
        )
    }

    fn lead(flights: &Arc<Flights>, key: &FlightKey) -> Leader {
        match flights.join(key.clone(), Duration::ZERO) {
            Join::Lead(leader) => leader,
            Join::Wait(_) => panic!("another leads"),
        }
    }

    fn wait(flights: &Arc<Flights>, key: &FlightKey) -> Waiter {
        match flights.join(key.clone(), Duration::ZERO) {
            Join::Wait(waiter) => waiter,
            Join::Lead(_) => panic!("nobody leads"),
        }
    }

    #[tokio::test]
    async fn a_leader_that_goes_away_is_replaced_once_and_then_all_are_released() {
        let (flights, key) = flights();
        let leader = lead(&flights, &key);
        let (mut first, mut second) = (wait(&flights, &key), wait(&flights, &key));
        drop(leader);
        let Told::Lead(again) = first.told(false).await else {
            panic!("not elected")
        };
        drop(first);
        drop(again);
        assert!(matches!(second.told(false).await, Told::Alone));
        assert_eq!(flights.len(), 0);
    }

    #[tokio::test]
    async fn a_leader_without_waiters_leaves_nothing_behind() {
        let (flights, key) = flights();
        drop(lead(&flights, &key));
        assert_eq!(flights.len(), 0);
    }

    #[tokio::test]
    async fn waiters_that_leave_a_vacant_flight_leave_nothing_behind() {
        let (flights, key) = flights();
        let leader = lead(&flights, &key);
        let waiter = wait(&flights, &key);
        drop(leader);
        drop(waiter);
        assert_eq!(flights.len(), 0);
    }

    #[tokio::test]
    async fn a_release_frees_everyone_at_once() {
        let (flights, key) = flights();
        let leader = lead(&flights, &key);
        let mut waiters: Vec<_> = (0..10).map(|_| wait(&flights, &key)).collect();
        leader.release();
        for waiter in &mut waiters {
            assert!(matches!(waiter.told(false).await, Told::Alone));
        }
        assert_eq!(flights.len(), 0);
    }

    #[tokio::test]
    async fn a_flight_whose_leader_hangs_is_not_joined_any_more() {
        let (flights, key) = flights();
        let hanging = lead(&flights, &key);
        let Join::Lead(next) = flights.join(key.clone(), PATIENCE) else {
            panic!("joined a hanging flight")
        };
        drop(hanging);
        assert_eq!(
            flights.len(),
            1,
            "the old leader must not take the new flight out"
        );
        next.release();
        assert_eq!(flights.len(), 0);
    }
}
