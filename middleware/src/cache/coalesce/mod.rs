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
//! | `Vacant` | the leader went away (cancelled, panicked): the first waiter or newcomer to see it leads | `Running`, once |
//!
//! An error of the handler releases all at once: were each waiter to lead in turn, failing requests would queue up
//! behind one another. Each waiter has its own deadline besides; past it one of them leads beside the first, in a flight of its own, and
//! whichever answers first answers all that fly beside it.

mod flight;
#[cfg(all(test, pitcrew_loom))]
mod interleavings;
#[cfg(test)]
mod tests;

use std::{
    collections::HashMap,
    hash::{Hash, Hasher},
    pin::pin,
    sync::{Arc, PoisonError},
    task::{Context, Poll},
    time::Duration,
};

use self::flight::{End, Entered, Flight, News, Ticket};
use super::{
    entry::Entry,
    key::CacheKey,
    policy::{Share, VaryNames},
    store::PassThroughBuilder,
    sync::{Mutex, MutexGuard},
};

/// Locks that flights are spread over; touched on misses only.
const SHARDS: usize = if cfg!(pitcrew_loom) { 1 } else { 64 };

/// What is being fetched: a key, a variant of it, and the class of credentials.
#[derive(Clone, PartialEq, Eq)]
pub(super) struct FlightKey {
    pub(super) key: Arc<CacheKey>,
    pub(super) variant: Box<[u8]>,
    pub(super) class: u8,
}

/// For [`PassThrough`](super::store::PassThrough): begun with the key's own hash, which nobody outside knows, so that nobody
/// can choose variants that meet.
impl Hash for FlightKey {
    fn hash<H: Hasher>(&self, state: &mut H) {
        let odd = 0x9E37_79B9_7F4A_7C15;
        let mix = |hash: u64, word: u64| (hash ^ word).wrapping_mul(odd).rotate_left(29);
        let mut hash = mix(self.key.low(), u64::from(self.class));
        for part in self.variant.chunks(8) {
            let mut word = [0; 8];
            word[..part.len()].copy_from_slice(part);
            hash = mix(hash, u64::from_le_bytes(word));
        }
        state.write_u64(hash);
    }
}

/// What the head of a leader's answer says to those who wait.
#[derive(Clone, Debug)]
pub(super) struct Head {
    pub(super) vary: VaryNames,
    pub(super) values: Box<[u8]>,
    pub(super) share: Share,
}

/// Those of one key that fly beside one another, the newest last; never none.
type Shard = HashMap<FlightKey, Vec<Arc<Flight>>, PassThroughBuilder>;

/// All flights of one cache.
pub(super) struct Flights {
    shards: Box<[Mutex<Shard>]>,
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
    /// It takes too long: [`Waiter::rejoin`].
    Late,
}

impl Flights {
    pub(super) fn new(patience: Duration) -> Self {
        Self {
            shards: (0..SHARDS).map(|_| Mutex::new(Shard::default())).collect(),
            patience,
        }
    }

    /// `now` is monotonic time.
    pub(super) fn join(self: &Arc<Self>, key: FlightKey, now: Duration) -> Join {
        self.join_but(None, key, now)
    }

    /// Joins the newest flight, but for one that has taken too long: whoever comes first leads beside that.
    fn join_but(
        self: &Arc<Self>,
        late: Option<&Arc<Flight>>,
        key: FlightKey,
        now: Duration,
    ) -> Join {
        let mut shard = self.shard(&key);
        if let Some(flight) = shard.get(&key).and_then(|flights| flights.last())
            && late.is_none_or(|late| !Arc::ptr_eq(flight, late))
            && now.saturating_sub(flight.began) < self.patience
        {
            // Still under the lock: what replaces a flight that has ended must not replace its successor.
            match flight.enter() {
                Entered::Lead => return Join::Lead(self.leader(key, flight.clone())),
                Entered::Wait(ticket) => {
                    return Join::Wait(Waiter {
                        ticket,
                        flights: self.clone(),
                        flight: flight.clone(),
                        key,
                    });
                }
                Entered::Late => {}
            }
        }
        let flight = Arc::new(Flight::new(now));
        let beside = shard
            .entry(key.clone())
            .or_insert_with(|| Vec::with_capacity(1));
        beside.push(flight.clone());
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

    /// Takes a flight out, and leaves those beside it.
    fn remove(&self, key: &FlightKey, flight: &Arc<Flight>) {
        let mut shard = self.shard(key);
        let Some(flights) = shard.get_mut(key) else {
            return;
        };
        flights.retain(|known| !Arc::ptr_eq(known, flight));
        if flights.is_empty() {
            shard.remove(key);
        }
    }

    /// Takes all flights of a key out.
    fn take(&self, key: &FlightKey) -> Vec<Arc<Flight>> {
        self.shard(key).remove(key).unwrap_or_default()
    }

    fn shard(&self, key: &FlightKey) -> MutexGuard<'_, Shard> {
        let shard = &self.shards[key.key.low() as usize % SHARDS];
        shard.lock().unwrap_or_else(PoisonError::into_inner)
    }

    #[cfg(test)]
    fn len(&self) -> usize {
        self.shards
            .iter()
            .flat_map(|shard| {
                let shard = shard.lock().unwrap();
                shard.values().map(Vec::len).collect::<Vec<_>>()
            })
            .sum()
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
        self.flight.head(head);
    }

    /// The answer is there.
    pub(super) fn done(self, entry: Arc<Entry>) {
        self.finish(End::Done(entry));
    }

    /// There is nothing to share.
    pub(super) fn release(self) {
        self.finish(End::Released);
    }

    fn finish(mut self, end: End) {
        self.finished = true;
        // Out of the map first: who comes now begins anew, who waits is told.
        match &end {
            End::Done(_) => {
                // An answer that comes is the answer to all that fly beside this.
                for flight in self.flights.take(&self.key) {
                    flight.end(end.clone());
                }
            }
            End::Released => self.flights.remove(&self.key, &self.flight),
        }
        // Also where it was taken out with others already.
        self.flight.end(end);
    }
}

impl Drop for Leader {
    fn drop(&mut self) {
        if !self.finished && !self.flight.vacate() {
            self.flights.remove(&self.key, &self.flight);
        }
    }
}

/// Waits for a flight.
pub(super) struct Waiter {
    ticket: Ticket,
    flights: Arc<Flights>,
    key: FlightKey,
    flight: Arc<Flight>,
}

impl Waiter {
    /// What the flight says next: each head once, then its end; late where `deadline` comes first.
    pub(super) async fn told(&mut self, deadline: impl Future<Output = ()>) -> Told {
        let mut deadline = pin!(deadline);
        std::future::poll_fn(|cx| match self.poll(cx) {
            Poll::Pending => deadline.as_mut().poll(cx).map(|()| Told::Late),
            told => told,
        })
        .await
    }

    /// Joins once more; `now` is monotonic time.
    pub(super) fn rejoin(self, now: Duration) -> Join {
        let (flights, key) = (&self.flights, self.key.clone());
        flights.join_but(Some(&self.flight), key, now)
    }

    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Told> {
        self.flight
            .poll(&mut self.ticket, cx)
            .map(|news| match news {
                News::Head(head) => Told::Head(head),
                News::Lead => {
                    Told::Lead(self.flights.leader(self.key.clone(), self.flight.clone()))
                }
                News::End(End::Done(entry)) => Told::Entry(entry),
                News::End(End::Released) => Told::Alone,
            })
    }
}

impl Drop for Waiter {
    fn drop(&mut self) {
        if self.flight.leave(&self.ticket) {
            self.flights.remove(&self.key, &self.flight);
        }
    }
}
