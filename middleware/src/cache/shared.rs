//! What a layer, its services, its tasks and its handle share.

use std::{
    borrow::Cow,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use http::{HeaderMap, request::Parts};

#[cfg(feature = "redis")]
use super::own_writes::{ReadYourWrites, Token};
use super::{
    coalesce::Flights,
    entry::Entry,
    figures::count::Counters,
    figures::series::AllSeries,
    figures::tally::Amount,
    invalidation::{
        Command, Invalidation, Kind, Name, Position, Purge, PurgeError, Subject, Target,
        region_slot,
    },
    key::{CacheKey, KeyMaker},
    miss::looking::Looking,
    miss::refresh::MAX_REFRESHES,
    miss::uncacheable::Uncacheable,
    miss::unread::Unread,
    outcome::BypassReason,
    policy::{Fields, VaryNames},
    region::{Region, may_be_safe},
    store::{Slot, Store},
    tasks::Tasks,
    truth::{MAX_RECOMPUTATIONS, Truth},
};
use crate::{clock::Clock, route::Labeler};

/// How much longer than the longest service of what is purged unheard a client's token counts: clocks may differ by a minute.
#[cfg(feature = "redis")]
const TOKEN_MARGIN: Duration = Duration::from_secs(60);

pub(super) type RegionFn = dyn Fn(&Parts) -> Option<Cow<'static, str>> + Send + Sync;

/// Where a request belongs.
pub(super) struct Belonging {
    /// The default one where the other is set.
    pub(super) region: usize,
    /// The region that it was meant for, which there is not.
    pub(super) unknown: Option<Cow<'static, str>>,
}

impl Belonging {
    pub(super) fn checked(&self) -> Result<(), BypassReason> {
        match self.unknown {
            Some(_) => Err(BypassReason::UnknownRegion),
            None => Ok(()),
        }
    }
}

fn hard(slots: &[u32]) -> Vec<Name> {
    let names = slots.iter().map(|slot| Name::slot(Kind::Hard, *slot));
    names.collect()
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
    pub(super) unread: Arc<Unread>,
    /// Bytes of content that requests wait for, to put it into their keys.
    pub(super) reading_bytes: AtomicUsize,
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
    pub(super) uncacheable: Uncacheable,
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
            unread: Arc::default(),
            reading_bytes: AtomicUsize::new(0),
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
            uncacheable: Uncacheable::new(),
            #[cfg(feature = "redis")]
            l2,
            #[cfg(feature = "redis")]
            own_writes: parameters.own_writes,
            clock: parameters.clock,
        }
    }

    // Regions

    pub(super) fn region_of(&self, parts: &Parts) -> Belonging {
        let name = self
            .region_for
            .as_ref()
            .and_then(|region_for| region_for(parts));
        let known = name.as_ref().map(|name| self.region_named(name));
        Belonging {
            region: known.flatten().unwrap_or(self.default_region),
            unknown: name.filter(|_| known == Some(None)),
        }
    }

    pub(super) fn region(&self, index: usize) -> &Region {
        &self.regions[index].region
    }

    /// Bytes of this request's content that its key holds; `None` where it holds none.
    pub(super) fn content_in_key(&self, parts: &Parts) -> Option<usize> {
        if !may_be_safe(&parts.method) {
            return None;
        }
        let belonging = self.region_of(parts);
        if belonging.unknown.is_some() {
            return None;
        }
        let region = self.region(belonging.region);
        region.content_in_key(&parts.method, Fields::of(&parts.headers))
    }

    pub(super) fn region_slot(&self, index: usize) -> u32 {
        self.regions[index].slot
    }

    pub(super) fn region_names(&self) -> impl Iterator<Item = &str> {
        self.regions.iter().map(|state| state.region.name())
    }

    pub(super) fn region_named(&self, name: &str) -> Option<usize> {
        let mut regions = self.regions.iter();
        regions.position(|state| state.region.name() == name)
    }

    #[cfg(feature = "query")]
    pub(super) fn default_region(&self) -> usize {
        self.default_region
    }

    // Invalidating

    /// Kills what was stored with these slots. Redis is told in the background; until it knows, this instance reads nothing
    /// from it.
    pub(super) fn invalidate(&self, slots: &[u32]) {
        let names = hard(slots);
        let commands = self.purge(&names);
        self.invalidated(slots, commands);
    }

    /// The same by a request whose own answer may be kept; answers with which stamp, if so ([`Invalidation::purge_by`]).
    pub(super) fn invalidate_by(
        &self,
        slots: &[u32],
        begun: Position,
        answer: Subject<'_>,
    ) -> Option<Position> {
        let names = hard(slots);
        let (commands, stamp) = self.positions.purge_by(names.clone(), begun, answer);
        #[cfg(feature = "redis")]
        super::own_writes::purged(&names, &commands);
        self.invalidated(slots, commands);
        stamp
    }

    fn invalidated(&self, slots: &[u32], commands: Vec<Command>) {
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

    /// What a purge names. A key is one in each spelling that a region gives it.
    pub(super) fn targets(&self, purge: &Purge) -> Result<Vec<Target>, PurgeError> {
        purge.check()?;
        match purge {
            Purge::Region(name) if !self.region_names().any(|known| known == name) => {
                Err(PurgeError::Region {
                    name: name.clone(),
                    known: self.region_names().map(str::to_owned).collect(),
                })
            }
            Purge::Key(key) => {
                let spellings = self.spellings(key).into_iter();
                Ok(spellings.map(|key| Purge::Key(key).target()).collect())
            }
            _ => Ok(vec![purge.target()]),
        }
    }

    /// Path and query in each form that the regions' keys give them.
    pub(super) fn spellings(&self, target: &str) -> Vec<String> {
        let mut spellings = Vec::with_capacity(1);
        for state in &self.regions {
            let spelled = state.region.key.spelled(target);
            if !spellings.contains(&spelled) {
                spellings.push(spelled);
            }
        }
        spellings
    }

    /// Purges in this process; Redis is to be told what this answers.
    pub(super) fn purge(&self, names: &[Name]) -> Vec<Command> {
        let commands = self.positions.purge(names.to_vec());
        #[cfg(feature = "redis")]
        super::own_writes::purged(names, &commands);
        commands
    }

    // Own writes of clients

    /// Takes a client's token out of its request; with whether this instance has reached what it says.
    #[cfg(feature = "redis")]
    pub(super) fn token(&self, request: &mut HeaderMap) -> Option<(Token, bool)> {
        let text = self.own_writes.as_ref()?.take(request)?;
        let now_s = self.clock.unix_ms() / 1_000;
        let token = Token::read(&text, now_s, self.token_lifetime())?;
        // Without Redis there is no other instance to be behind.
        self.l2.as_ref()?;
        let is_reached = token.is_reached(|purges| self.positions.has_reached(purges));
        Some((token, is_reached))
    }

    /// For as long as an instance that does not hear of a purge may serve what is older.
    #[cfg(feature = "redis")]
    pub(super) fn token_lifetime(&self) -> Duration {
        self.positions.serve_while_away() + TOKEN_MARGIN
    }

    // Storing

    /// Puts an answer of the handler into both levels. Answers whether one of them has taken it.
    #[cfg_attr(not(feature = "redis"), allow(unused_variables))]
    pub(super) fn store(&self, key: &Arc<CacheKey>, entry: &Arc<Entry>, region: usize) -> bool {
        #[cfg_attr(not(feature = "redis"), allow(unused_mut))]
        let mut is_taken = self.keep(key, entry, self.clock.now());
        #[cfg(feature = "redis")]
        if let Some(l2) = &self.l2 {
            l2.write(key, entry, self.region(region).compress_above);
            is_taken = true;
        }
        let series = entry.credit.series;
        if is_taken {
            self.add(series, Amount::Stores, 1);
            self.add(series, Amount::StoredBytes, entry.weight() as u64);
        } else {
            self.counters.fills_failed.fetch_add(1, Ordering::Relaxed);
        }
        is_taken
    }

    /// Forgets everything under a key in this process, and in Redis what is known to stand there: the answers may not be given
    /// any more.
    #[cfg_attr(not(feature = "redis"), allow(unused_variables))]
    pub(super) fn forget(&self, key: &Arc<CacheKey>, known: &Arc<Entry>) {
        self.deleted(self.store.remove(key).as_deref());
        #[cfg(feature = "redis")]
        if let Some(l2) = &self.l2 {
            l2.forget(key, known);
        }
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

    /// Puts an answer into L1. Answers whether it fits.
    pub(super) fn keep(&self, key: &Arc<CacheKey>, entry: &Arc<Entry>, now: Duration) -> bool {
        self.store.put(key, entry.clone(), now)
    }

    #[cfg_attr(not(feature = "redis"), allow(clippy::unused_self, unused_variables))]
    pub(super) fn look_in_l2(&self, key: &Arc<CacheKey>) -> Option<Looking> {
        #[cfg(feature = "redis")]
        if let Some(l2) = &self.l2
            // Looking waits, by the runtime's timers.
            && super::runtime::has_one()
        {
            return l2.look(key.clone());
        }
        None
    }

    /// Looks on, after a look-up in L2 that has found how answers vary.
    #[cfg_attr(
        not(feature = "redis"),
        allow(clippy::unused_self, clippy::needless_pass_by_value, unused_variables)
    )]
    pub(super) fn look_on_in_l2(
        &self,
        key: &Arc<CacheKey>,
        vary: (VaryNames, Duration),
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
}
