//! What a layer, its services, its tasks and its handle share.

use std::{
    future::Future,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use http::{HeaderMap, Response, StatusCode, request::Parts};
use http_body::Body;
use quick_cache::sync;

#[cfg(feature = "redis")]
use super::own_writes::{ReadYourWrites, Token};
use super::{
    answer::{Asked, answer, from_part},
    body::ResponseBody,
    coalesce::Flights,
    count::Counters,
    early,
    entry::Entry,
    invalidation::{Command, Invalidation, Kind, Life, Name, Position, region_slot},
    key::{CacheKey, KeyMaker},
    outcome::{BypassReason, Miss, Outcome},
    policy::{Lookup, VaryNames, request::Credentials},
    refresh::MAX_REFRESHES,
    region::Region,
    series::AllSeries,
    store::{PassThroughBuilder, Slot, Store},
    tally::Amount,
    tasks::Tasks,
    truth::{MAX_RECOMPUTATIONS, Truth},
};
use crate::{clock::Clock, route::Labeler};

/// Keys that are remembered as uncacheable at most; some 32 bytes each.
const UNCACHEABLE_KEYS: usize = 8_192;
/// How long a key is remembered as uncacheable: an app that changes its mind is noticed at the next answer anyway,
/// only its first requests after that do not coalesce.
const UNCACHEABLE_FOR: Duration = Duration::from_secs(60);

/// How much longer than the longest service of what is purged unheard a client's token counts: for clocks that differ.
#[cfg(feature = "redis")]
const TOKEN_MARGIN: Duration = Duration::from_secs(10);

pub(super) type RegionFn = dyn Fn(&Parts) -> Option<&'static str> + Send + Sync;
type Uncacheable = sync::Cache<u64, Duration, quick_cache::UnitWeighter, PassThroughBuilder>;

/// What a look-up in L2 brought.
pub(super) struct Found {
    pub(super) entry: Option<Arc<Entry>>,
    /// The position when the look-up began: where it brought nothing, the request begins here.
    pub(super) begin: Position,
    /// Where answers under this key vary: by which fields, and until when to look on.
    pub(super) vary: Option<(VaryNames, tokio::time::Instant)>,
}

pub(super) type Looking = Pin<Box<dyn Future<Output = Found> + Send>>;

/// What the cache in this process has for a request.
pub(super) enum Look {
    /// An answer.
    Hit(Arc<Entry>, Outcome),
    /// An answer that may be given while a new one is fetched: it is stale, or will be soon.
    Refresh(Arc<Entry>, VaryNames, Outcome),
    /// Nothing to answer from; by which fields answers under this key vary; and what may be validated, or stand in for
    /// an error.
    Miss(Miss, VaryNames, Option<Arc<Entry>>),
}

/// Whether a client takes an answer of this age.
fn is_young_enough(entry: &Entry, lookup: &Lookup, now: Duration) -> bool {
    lookup
        .max_age
        .is_none_or(|max_age| entry.age(now) <= Duration::from_secs(max_age))
}

fn is_fresh(entry: &Entry, lookup: &Lookup, now: Duration) -> bool {
    let ttl = entry.ttl(now);
    !ttl.is_zero()
        && is_young_enough(entry, lookup, now)
        && lookup
            .min_fresh
            .is_none_or(|min_fresh| ttl >= Duration::from_secs(min_fresh))
}

struct RegionState {
    region: Region,
    slot: u32,
}

pub(super) struct Shared {
    pub(super) keys: KeyMaker,
    pub(super) clock: Clock,
    pub(super) flights: Arc<Flights>,
    pub(super) counters: Counters,
    pub(super) series: AllSeries,
    pub(super) fills: AtomicUsize,
    pub(super) refreshes: Tasks,
    pub(super) recomputations: Tasks,
    /// `None` where nothing is sampled.
    pub(super) truth: Option<Truth>,
    pub(super) wait_deadline: Duration,
    pub(super) positions: Arc<Invalidation>,
    pub(super) store: Store,
    pub(super) capacity_bytes: u64,
    regions: Vec<RegionState>,
    default_region: usize,
    region_for: Option<Box<RegionFn>>,
    uncacheable: Uncacheable,
    #[cfg(feature = "query")]
    pub(super) statements: super::query::Statements,
    #[cfg(feature = "redis")]
    pub(super) l2: Option<Arc<super::l2::L2>>,
    #[cfg(feature = "redis")]
    pub(super) own_writes: Option<ReadYourWrites>,
}

/// What [`Shared`] is made from.
pub(super) struct Parameters {
    pub(super) mount: String,
    pub(super) clock: Clock,
    pub(super) capacity_bytes: u64,
    pub(super) wait_deadline: Duration,
    pub(super) regions: Vec<Region>,
    pub(super) region_for: Option<Box<RegionFn>>,
    pub(super) labeler: Labeler,
    pub(super) max_series: usize,
    pub(super) sample_truth: f64,
    #[cfg(feature = "redis")]
    pub(super) l2: Option<super::RedisStore>,
    #[cfg(feature = "redis")]
    pub(super) own_writes: Option<ReadYourWrites>,
}

impl Shared {
    pub(super) fn new(mut parameters: Parameters) -> Self {
        parameters.regions.sort_by(|a, b| a.name().cmp(b.name()));
        let default_region = parameters
            .regions
            .iter()
            .position(|region| region.name() == "api")
            .unwrap_or(0);
        let regions = parameters.regions.into_iter().map(|region| RegionState {
            slot: region_slot(region.name()),
            region,
        });
        let regions: Vec<_> = regions.collect();
        #[cfg(feature = "redis")]
        let (l2, positions) = match parameters.l2 {
            Some(store) => {
                let (l2, positions) = store.open(parameters.clock.clone());
                (Some(Arc::new(l2)), positions)
            }
            None => (None, Arc::new(Invalidation::alone())),
        };
        #[cfg(not(feature = "redis"))]
        let positions = Arc::new(Invalidation::alone());
        Self {
            keys: KeyMaker::new(&parameters.mount),
            flights: Arc::new(Flights::new(parameters.wait_deadline)),
            counters: Counters::default(),
            series: AllSeries::new(parameters.labeler, regions.len(), parameters.max_series),
            fills: AtomicUsize::new(0),
            refreshes: Tasks::new(MAX_REFRESHES),
            recomputations: Tasks::new(MAX_RECOMPUTATIONS),
            truth: Truth::new(parameters.sample_truth),
            wait_deadline: parameters.wait_deadline,
            positions,
            store: Store::new(parameters.capacity_bytes),
            capacity_bytes: parameters.capacity_bytes,
            regions,
            default_region,
            region_for: parameters.region_for,
            #[cfg(feature = "query")]
            statements: super::query::Statements::new(),
            uncacheable: Uncacheable::with(
                UNCACHEABLE_KEYS,
                UNCACHEABLE_KEYS as u64,
                quick_cache::UnitWeighter,
                PassThroughBuilder::default(),
                sync::DefaultLifecycle::default(),
            ),
            #[cfg(feature = "redis")]
            l2,
            #[cfg(feature = "redis")]
            own_writes: parameters.own_writes,
            clock: parameters.clock,
        }
    }

    // Regions

    pub(super) fn region_of(&self, parts: &Parts) -> usize {
        let name = self
            .region_for
            .as_ref()
            .and_then(|region_for| region_for(parts));
        let known = name.and_then(|name| {
            self.regions
                .iter()
                .position(|state| state.region.name() == name)
        });
        known.unwrap_or(self.default_region)
    }

    pub(super) fn region(&self, index: usize) -> &Region {
        &self.regions[index].region
    }

    pub(super) fn region_slot(&self, index: usize) -> u32 {
        self.regions[index].slot
    }

    pub(super) fn region_names(&self) -> impl Iterator<Item = &str> {
        self.regions.iter().map(|state| state.region.name())
    }

    #[cfg(feature = "query")]
    pub(super) fn region_named(&self, name: &str) -> usize {
        let known = self
            .regions
            .iter()
            .position(|state| state.region.name() == name);
        known.unwrap_or(self.default_region)
    }

    // Looking up

    /// The position now: what a request that begins now stamps its answer with.
    pub(super) fn now(&self) -> Position {
        self.positions.now()
    }

    pub(super) fn is_alive(&self, entry: &Entry) -> bool {
        self.life(entry, self.clock.now()) != Life::Dead
    }

    fn life(&self, entry: &Entry, now: Duration) -> Life {
        // What a handler said was true at the earliest when it was called.
        let made = entry.made.saturating_sub(entry.took);
        self.positions.life(entry.stamp, entry.subject(), made, now)
    }

    /// Not purged, fresh, and fresh enough for this client (RFC 9111, 4 and 5.2.1).
    pub(super) fn is_usable(&self, entry: &Entry, lookup: &Lookup) -> bool {
        let now = self.clock.now();
        is_fresh(entry, lookup, now) && self.life(entry, now) == Life::Fresh
    }

    /// Whether this very answer is still what a request would be given.
    pub(super) fn is_current(&self, key: &CacheKey, entry: &Arc<Entry>) -> bool {
        let slot = self.store.peek(key);
        let is_stored = slot.is_some_and(|slot| {
            let mut variants = slot.variants.iter();
            variants.any(|variant| Arc::ptr_eq(variant, entry))
        });
        is_stored && self.is_usable(entry, &Lookup::default())
    }

    /// What the cache in this process has for a request.
    pub(super) fn look(&self, key: &CacheKey, asked: Asked<'_>) -> Look {
        let Asked { lookup, now, .. } = asked;
        let Some(slot) = self.store.get(key) else {
            let miss = if lookup.refresh {
                Miss::Request
            } else {
                Miss::Uri
            };
            return Look::Miss(miss, VaryNames::default(), None);
        };
        let Some(entry) = slot.select(asked.headers, lookup.credentials) else {
            let miss = if lookup.refresh {
                Miss::Request
            } else {
                Miss::Vary
            };
            return Look::Miss(miss, slot.vary.clone(), None);
        };
        let life = self.life(entry, now);
        if !lookup.refresh && life != Life::Dead && is_fresh(entry, lookup, now) {
            if life == Life::Fresh {
                let beta = self.region(asked.region).early_refresh;
                if beta > 0.0 && early::is_due(entry, now, beta) {
                    return Look::Refresh(entry.clone(), slot.vary.clone(), Outcome::Hit);
                }
                return Look::Hit(entry.clone(), Outcome::Hit);
            }
            if !entry.stale.forbidden {
                return Look::Refresh(entry.clone(), slot.vary.clone(), Outcome::PurgedSoftly);
            }
        }
        // What was purged is not to come back, confirmed or not.
        if life == Life::Dead {
            let miss = if self.positions.is_purged(entry.stamp, entry.subject()) {
                Miss::Purged
            } else {
                Miss::Stale
            };
            return Look::Miss(miss, slot.vary.clone(), None);
        }
        let entry = entry.clone();
        if lookup.refresh {
            return Look::Miss(Miss::Request, slot.vary.clone(), Some(entry));
        }
        let staleness = entry.staleness(now);
        if lookup.min_fresh.is_none() && is_young_enough(&entry, lookup, now) {
            let taken = lookup.max_stale.map(Duration::from_secs);
            if !entry.stale.forbidden && taken.is_some_and(|taken| staleness <= taken) {
                return Look::Hit(entry, Outcome::Stale);
            }
            if staleness < entry.stale.while_revalidate {
                let outcome = Outcome::StaleWhileRevalidate;
                return Look::Refresh(entry, slot.vary.clone(), outcome);
            }
        }
        Look::Miss(Miss::Stale, slot.vary.clone(), Some(entry))
    }

    /// What a stored part gives of a request for a range.
    pub(super) fn part<R: Body>(
        &self,
        key: &CacheKey,
        asked: Asked<'_>,
    ) -> Option<Response<ResponseBody<R>>> {
        let Asked { lookup, region, .. } = asked;
        if !lookup.range || lookup.refresh || !self.region(region).partial {
            return None;
        }
        let slot = self.store.get(&self.keys.of_part(key))?;
        let entry = slot.select(asked.headers, lookup.credentials)?;
        if !self.is_usable(entry, lookup) {
            return None;
        }
        let response = from_part(entry, asked)?;
        self.count_hit(entry, Outcome::Hit);
        Some(response)
    }

    /// Counts a hit and builds its answer.
    pub(super) fn hit<R: Body>(
        &self,
        entry: &Entry,
        asked: Asked<'_>,
        outcome: Outcome,
    ) -> Response<ResponseBody<R>> {
        self.count_hit(entry, outcome);
        #[cfg(feature = "redis")]
        if let Some(l2) = &self.l2 {
            l2.served();
        }
        self.answer(entry, asked, outcome)
    }

    /// The answer from a stored entry.
    pub(super) fn answer<R: Body>(
        &self,
        entry: &Entry,
        asked: Asked<'_>,
        outcome: Outcome,
    ) -> Response<ResponseBody<R>> {
        answer(entry, asked, &self.clock, outcome)
    }

    // Invalidating

    /// Kills what was stored with these slots. Redis is told in the background; until it knows, this instance reads nothing
    /// from it.
    pub(super) fn invalidate(&self, slots: &[u32]) {
        let names = slots.iter().map(|slot| Name::slot(Kind::Hard, *slot));
        let commands = self.purge(names.collect());
        self.counters
            .invalidations
            .fetch_add(slots.len() as u64, Ordering::Relaxed);
        #[cfg(feature = "redis")]
        if let Some(l2) = &self.l2 {
            l2.purge_in_background(commands);
        }
        #[cfg(not(feature = "redis"))]
        drop(commands);
    }

    /// Purges in this process; Redis is to be told what this answers.
    pub(super) fn purge(&self, names: Vec<Name>) -> Vec<Command> {
        #[cfg(feature = "redis")]
        {
            let commands = self.positions.purge(names.clone());
            super::own_writes::purged(&names, &commands);
            commands
        }
        #[cfg(not(feature = "redis"))]
        self.positions.purge(names)
    }

    // Own writes of clients

    /// Takes a client's token out of its request: `Some` where this instance has not reached what it says.
    #[cfg(feature = "redis")]
    pub(super) fn unreached(&self, request: &mut HeaderMap) -> Option<Token> {
        let text = self.own_writes.as_ref()?.take(request)?;
        let now_s = self.clock.unix_ms() / 1_000;
        let token = Token::read(&text, now_s, self.token_lifetime())?;
        // Without Redis there is no other instance to be behind.
        self.l2.as_ref()?;
        let is_reached = token.is_reached(|purges| self.positions.has_reached(purges));
        (!is_reached).then_some(token)
    }

    /// For as long as an instance that does not hear of a purge may serve what is older.
    #[cfg(feature = "redis")]
    pub(super) fn token_lifetime(&self) -> Duration {
        self.positions.serve_while_away() + TOKEN_MARGIN
    }

    // Storing

    /// Puts an answer of the handler into both levels.
    #[cfg_attr(not(feature = "redis"), allow(unused_variables))]
    pub(super) fn store(&self, key: &Arc<CacheKey>, entry: &Arc<Entry>, region: usize) {
        self.keep(key, entry);
        let series = entry.credit.series;
        self.add(series, Amount::Stores, 1);
        self.add(series, Amount::StoredBytes, entry.weight() as u64);
        #[cfg(feature = "redis")]
        if let Some(l2) = &self.l2 {
            l2.write(key, entry, self.region(region).compress_above);
        }
    }

    /// Forgets everything under a key, in this process.
    pub(super) fn forget(&self, key: &CacheKey) {
        self.deleted(self.store.remove(key).as_deref());
    }

    /// Takes a key out whose answers are all purged: a purge itself looks at nothing that is stored.
    pub(super) fn forget_purged(&self, key: &CacheKey) {
        let purged = |entry: &Entry| self.positions.is_purged(entry.stamp, entry.subject());
        self.deleted(self.store.remove_if(key, purged).as_deref());
    }

    fn deleted(&self, slot: Option<&Slot>) {
        for entry in slot.into_iter().flat_map(|slot| &slot.variants) {
            self.add(entry.credit.series, Amount::Deletes, 1);
        }
    }

    /// Puts an answer into L1.
    pub(super) fn keep(&self, key: &Arc<CacheKey>, entry: &Arc<Entry>) {
        self.store.put(key, entry.clone(), self.clock.now());
    }

    #[cfg_attr(not(feature = "redis"), allow(clippy::unused_self, unused_variables))]
    pub(super) fn look_in_l2(&self, key: &Arc<CacheKey>) -> Option<Looking> {
        #[cfg(feature = "redis")]
        if let Some(l2) = &self.l2 {
            return l2.look(key.clone());
        }
        None
    }

    /// Looks on, after a look-up in L2 that has found how answers vary.
    #[cfg_attr(not(feature = "redis"), allow(clippy::unused_self, unused_variables))]
    pub(super) fn look_on_in_l2(
        &self,
        key: &Arc<CacheKey>,
        vary: (VaryNames, tokio::time::Instant),
        request: &HeaderMap,
        begin: Position,
    ) -> Option<Looking> {
        #[cfg(feature = "redis")]
        if let Some(l2) = &self.l2 {
            let values = vary.0.values(request)?;
            return Some(l2.look_for_variant(key.clone(), vary, values, begin));
        }
        None
    }

    #[cfg_attr(not(feature = "redis"), allow(clippy::unused_self, unused_variables))]
    pub(super) fn looked_in_l2(&self, is_hit: bool) {
        #[cfg(feature = "redis")]
        if let Some(l2) = &self.l2 {
            l2.looked(is_hit);
        }
    }

    // Uncacheable keys

    pub(super) fn is_uncacheable(&self, key: &CacheKey, credentials: Credentials) -> bool {
        let until = self.uncacheable.get(&mark(key, credentials));
        until.is_some_and(|until| until > self.clock.now())
    }

    /// Remembers a key whose answer cannot be shared, so that requests for it never wait for one another. Errors are
    /// passing, and 206 and 304 say nothing of the whole answer: they are not remembered.
    pub(super) fn remember_uncacheable(
        &self,
        key: &CacheKey,
        credentials: Credentials,
        status: StatusCode,
        reason: BypassReason,
    ) {
        let is_passing = status.is_server_error()
            || matches!(
                status,
                StatusCode::NOT_MODIFIED | StatusCode::PARTIAL_CONTENT
            );
        if !(is_passing && reason == BypassReason::Status) {
            self.uncacheable
                .insert(mark(key, credentials), self.clock.now() + UNCACHEABLE_FOR);
        }
    }

    pub(super) fn forget_uncacheable(&self, key: &CacheKey, credentials: Credentials) {
        self.uncacheable.remove(&mark(key, credentials));
    }
}

/// A key and a class of credentials in one number. Should two ever share it, requests run apart that could have
/// waited; nothing else.
fn mark(key: &CacheKey, credentials: Credentials) -> u64 {
    key.low() ^ u64::from(credentials.class())
}
