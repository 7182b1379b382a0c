//! Rows of a query, cached like answers: same store, same purges, same coalescing, tags of the tables that it reads.

#[cfg(any(test, fuzzing))]
pub(super) mod fuzzing;
mod refusal;
mod statement;
mod volatile;

use std::{
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use http::{HeaderMap, StatusCode};
use quick_cache::sync;
use serde::{Serialize, de::DeserializeOwned};

pub use self::refusal::Refusal;
use self::statement::{DEFAULT_SCHEMA, Readable, read};
use super::{
    coalesce::{FlightKey, Join, Leader, Told},
    entry::tags::{self, MAX_TAG_BYTES},
    entry::{self, Entry, Origin},
    figures::series::Series,
    figures::tally::Amount,
    hit::answer::Asked,
    hit::look::Look,
    invalidation::{Life, Position, tag_slot},
    key::CacheKey,
    outcome::{Miss, Outcome},
    policy::{Lookup, Share, Stale, VaryNames, Verdict},
    runtime,
    shared::Shared,
    timed::timed,
};

/// Statements that are remembered with what was read from them.
const READ_STATEMENTS: usize = 1_024;

type Read = Arc<Result<Readable, Refusal>>;

/// What was read from statements, by their text and search path.
pub(super) struct Statements(sync::Cache<(Box<str>, Box<str>), Read>);

impl Statements {
    pub(super) fn new() -> Self {
        Self(sync::Cache::new(READ_STATEMENTS))
    }

    fn read(&self, sql: &str, search_path: &str) -> Read {
        let key: (Box<str>, Box<str>) = (sql.into(), search_path.into());
        if let Some(known) = self.0.get(&key) {
            return known;
        }
        let found = Arc::new(read(sql, search_path));
        self.0.insert(key, found.clone());
        found
    }
}

/// Where the rows of a query came from.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum QueryOutcome {
    /// From the cache.
    Hit,
    /// From another caller's query that was under way.
    Collapsed,
    /// From the database, and stored.
    Stored,
    /// From the database, not stored: they cannot be written as CBOR, are too large, or were purged meanwhile.
    NotStored,
    /// From the database: the statement is not cached.
    Refused(Refusal),
}

/// One call of [`CacheHandle::query`](super::CacheHandle::query).
pub(super) struct Call<'a> {
    pub(super) shared: &'a Arc<Shared>,
    pub(super) region: usize,
    pub(super) sql: &'a str,
    pub(super) parameters: Option<Vec<u8>>,
    pub(super) more_tags: &'a [&'a str],
}

impl Call<'_> {
    pub(super) async fn run<T, E, F>(self, fetch: F) -> (Result<T, E>, QueryOutcome)
    where
        T: Serialize + DeserializeOwned,
        F: AsyncFnOnce() -> Result<T, E>,
    {
        let shared = self.shared;
        let region = shared.region(self.region);
        let statement = shared.statements.read(
            self.sql,
            region.search_path.as_deref().unwrap_or(DEFAULT_SCHEMA),
        );
        let planned = match (&*statement, region.ttl) {
            (Err(refusal), _) => Err(refusal.clone()),
            (Ok(_), None) => Err(Refusal::NoTtl),
            (Ok(readable), Some(ttl)) => Ok((readable, ttl)),
        };
        let (readable, ttl) = match planned {
            Ok(planned) => planned,
            Err(refusal) => {
                refused(shared, self.region);
                return (fetch().await, QueryOutcome::Refused(refusal));
            }
        };
        let slots = self.slots(readable);
        let cache = Arc::as_ptr(shared) as usize;
        // What is made from these rows goes with them (rule 6 of the invalidation).
        let made_from = |stamp| tags::made_from(cache, &slots, stamp);
        // Before anything is read: what is fetched from now on is new to every purge before.
        let mut stamp = shared.now();
        // Rows under a tag that no purge can name would outlive it.
        let are_named = self
            .more_tags
            .iter()
            .all(|tag| tag.trim().len() <= MAX_TAG_BYTES);
        let Some(parameters) = self.parameters.as_ref().filter(|_| are_named) else {
            let fetched = fetch().await;
            made_from(stamp);
            return (fetched, QueryOutcome::NotStored);
        };
        let key = shared
            .keys
            .of_query(region, &readable.normal, parameters)
            .kept();
        let miss = match self.stored(&key) {
            Ok((entry, rows)) => {
                shared.count_hit(&entry, Outcome::Hit);
                made_from(entry.stamp);
                return (Ok(rows), QueryOutcome::Hit);
            }
            Err(miss) => miss,
        };
        let flight = FlightKey {
            key: key.clone(),
            variant: Box::default(),
            class: QUERY_CLASS,
        };
        let mut leader = None;
        let mut join = shared.flights.join(flight, shared.clock.now());
        loop {
            let mut waiter = match join {
                Join::Lead(lead) => {
                    leader = Some(lead);
                    break;
                }
                Join::Wait(waiter) => waiter,
            };
            // Without a runtime there is nothing to wait by.
            let told = if runtime::has_one() {
                timed(waiter.told(tokio::time::sleep(shared.wait_deadline))).await
            } else {
                Told::Alone
            };
            match told {
                Told::Entry(entry) if shared.life(&entry, shared.clock.now()) == Life::Fresh => {
                    if let Ok(rows) = ciborium::from_reader(&*entry.body) {
                        shared.count_hit(&entry, Outcome::Collapsed(miss));
                        made_from(entry.stamp);
                        return (Ok(rows), QueryOutcome::Collapsed);
                    }
                    break;
                }
                Told::Lead(lead) => {
                    leader = Some(lead);
                    break;
                }
                Told::Late => {
                    let timeouts = &shared.counters.wait_timeouts;
                    timeouts.fetch_add(1, Ordering::Relaxed);
                    join = waiter.rejoin(shared.clock.now());
                }
                Told::Entry(_) | Told::Head(_) | Told::Alone => break,
            }
        }
        if let Some(lead) = leader.take() {
            // A whole flight may have ended between the look and this; else another instance may have the rows.
            let stored = self.stored(&key).ok();
            let mut found = stored.map(|(entry, rows)| (entry, rows, Outcome::Hit));
            if found.is_none() {
                let stored = self.stored_in_l2(&key, &mut stamp).await;
                found = stored.map(|(entry, rows)| (entry, rows, Outcome::L2));
            }
            if let Some((entry, rows, outcome)) = found {
                shared.count_hit(&entry, outcome);
                made_from(entry.stamp);
                lead.done(entry);
                return (Ok(rows), QueryOutcome::Hit);
            }
            leader = Some(lead);
        }
        let begin = Begin {
            stamp,
            called: shared.clock.now(),
        };
        let fetched = fetch().await;
        made_from(begin.stamp);
        let outcome = match &fetched {
            Ok(rows) => {
                let outcome = self.store(&key, rows, slots.clone(), ttl, begin, leader);
                let counted = match outcome {
                    QueryOutcome::Stored => Outcome::Stored(miss),
                    _ => Outcome::Miss(miss),
                };
                shared.count(self.series(), counted);
                outcome
            }
            Err(_) => {
                shared.count_error(self.series());
                // An error is nobody else's.
                if let Some(leader) = leader {
                    leader.release();
                }
                QueryOutcome::NotStored
            }
        };
        (fetched, outcome)
    }

    fn slots(&self, readable: &Readable) -> Vec<u32> {
        let tables = readable.tables.iter();
        // As a purge spells them.
        let tables = tables.map(|table| tag_slot(format!("table:{table}").trim()));
        let mut slots = vec![self.shared.region_slot(self.region)];
        slots.extend(tables.chain(self.more_tags.iter().map(|tag| tag_slot(tag.trim()))));
        slots
    }

    fn series(&self) -> Series {
        self.shared.query_series(self.region)
    }

    fn stored<T: DeserializeOwned>(&self, key: &CacheKey) -> Result<(Arc<Entry>, T), Miss> {
        let look = self.shared.look(
            key,
            Asked {
                headers: &HeaderMap::new(),
                lookup: &Lookup::default(),
                region: self.region,
                now: self.shared.clock.now(),
            },
        );
        // Rows that are purged softly, or stale, are fetched anew by whoever asks; those of an early refresh are fresh.
        let entry = match look {
            Look::Hit(entry, _) | Look::Refresh(entry, _, Outcome::Hit) => entry,
            Look::Refresh(..) => return Err(Miss::Stale),
            Look::Miss(miss, ..) => {
                if miss == Miss::Purged {
                    self.shared.forget_purged(key);
                }
                return Err(miss);
            }
        };
        // Rows of another type are for other callers.
        let rows = ciborium::from_reader(&*entry.body).map_err(|_| Miss::Vary)?;
        Ok((entry, rows))
    }

    /// What is fetched after this look begins where it began.
    async fn stored_in_l2<T: DeserializeOwned>(
        &self,
        key: &Arc<CacheKey>,
        stamp: &mut Position,
    ) -> Option<(Arc<Entry>, T)> {
        let found = self.shared.look_in_l2(key)?.await;
        *stamp = found.begin;
        let now = self.shared.clock.now();
        let usable = found.entry.and_then(|entry| {
            let is_usable = self.shared.is_usable(&entry, &Lookup::default(), now);
            let rows = ciborium::from_reader(&*entry.body).ok();
            is_usable.then_some(entry).zip(rows)
        });
        self.shared.looked_in_l2(usable.is_some());
        let (entry, rows) = usable?;
        let entry = entry::credited(entry, self.series());
        self.shared.keep(key, &entry, now);
        Some((entry, rows))
    }

    fn store<T: Serialize>(
        &self,
        key: &Arc<CacheKey>,
        rows: &T,
        slots: Vec<u32>,
        ttl: Duration,
        begin: Begin,
        leader: Option<Leader>,
    ) -> QueryOutcome {
        let release = |leader: Option<Leader>| {
            if let Some(leader) = leader {
                leader.release();
            }
            QueryOutcome::NotStored
        };
        let shared = self.shared;
        // In CBOR, where a float that is no number and one that is infinite stay what they are.
        let mut body = Vec::new();
        let is_written = ciborium::into_writer(rows, &mut body).is_ok();
        if !is_written || body.len() > shared.region(self.region).max_body_bytes {
            return release(leader);
        }
        let origin = Origin {
            values: Box::default(),
            slots,
            target: Box::default(),
            stamp: begin.stamp,
            made: shared.clock.now(),
            made_unix_ms: shared.clock.unix_ms(),
            asked: None,
            called: begin.called,
            series: self.series(),
        };
        let entry = Arc::new(entry_of(body, ttl, origin));
        let is_stored = shared.is_alive(&entry) && shared.store(key, &entry, self.region);
        if let Some(leader) = leader {
            leader.done(entry);
        }
        if is_stored {
            QueryOutcome::Stored
        } else {
            QueryOutcome::NotStored
        }
    }
}

/// Counts a statement that is not cached.
pub(super) fn refused(shared: &Shared, region: usize) {
    shared.add(shared.query_series(region), Amount::RefusedQueries, 1);
}

/// Apart from the classes of credentials: a query's key is never an answer's anyway.
const QUERY_CLASS: u8 = u8::MAX;

/// Where a fetch begins.
#[derive(Clone, Copy)]
struct Begin {
    stamp: Position,
    /// Monotonic time.
    called: Duration,
}

fn entry_of(body: Vec<u8>, ttl: Duration, origin: Origin) -> Entry {
    let verdict = Verdict {
        fresh_for: ttl,
        age: Duration::ZERO,
        stale: Stale::default(),
        span: None,
        vary: VaryNames::default(),
        share: Share::default(),
        left_out: Vec::new(),
        content_length: None,
    };
    entry::with_body(
        StatusCode::OK,
        &HeaderMap::new(),
        body.into(),
        verdict,
        origin,
    )
}
