//! The first level: `quick_cache` under one byte bound, each key with up to 16 variants in one item.

use std::{
    hash::{BuildHasherDefault, Hasher},
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use http::HeaderMap;
use quick_cache::{Lifecycle, OptionsBuilder, Weighter, sync};

use super::{entry::Entry, key::CacheKey, policy::VaryNames, policy::request::Credentials};

/// Variants of one key at most; the oldest goes.
pub(super) const MAX_VARIANTS: usize = 16;
/// Locks that keep two writers of one key apart.
const WRITE_LOCKS: usize = 64;
/// What an item costs in the map itself.
const ITEM_OVERHEAD_BYTES: usize = 160;
/// From this an estimate of the number of items is made; it sizes the map, not the bound.
const TYPICAL_ITEM_BYTES: u64 = 4 << 10;

/// All variants of one key, the newest first. They agree on the names of `Vary`: an answer with other names replaces
/// them, because the newest answer says how to choose (RFC 9111, 4.1).
#[derive(Debug)]
pub(super) struct Slot {
    pub(super) vary: VaryNames,
    pub(super) variants: Vec<Arc<Entry>>,
    bytes: usize,
}

impl Slot {
    /// The variant that a request selects, whether it is fresh or not.
    pub(super) fn select(
        &self,
        request: &HeaderMap,
        credentials: Credentials,
    ) -> Option<&Arc<Entry>> {
        if self.vary.names.is_empty() {
            let entry = self.variants.first()?;
            return entry.share.allows(credentials).is_ok().then_some(entry);
        }
        self.variants
            .iter()
            .find(|entry| entry.matches(request, credentials))
    }
}

#[derive(Clone)]
struct ByBytes;

impl Weighter<Arc<CacheKey>, Arc<Slot>> for ByBytes {
    fn weight(&self, key: &Arc<CacheKey>, slot: &Arc<Slot>) -> u64 {
        (ITEM_OVERHEAD_BYTES + key.bytes().len() + slot.bytes) as u64
    }
}

/// Counts what is pushed out for room while it could still have been served.
#[derive(Clone, Default)]
struct Evictions(Arc<AtomicU64>);

/// The insertion under way, so that what it pushes out can be told from what it replaces.
#[derive(Default)]
struct Insertion {
    new: Option<(Arc<CacheKey>, Arc<Slot>)>,
    now: Duration,
}

impl Lifecycle<Arc<CacheKey>, Arc<Slot>> for Evictions {
    type RequestState = Insertion;

    /// Called for a replaced value too, and for a new one that does not fit at all.
    fn on_evict(&self, insertion: &mut Insertion, key: Arc<CacheKey>, slot: Arc<Slot>) {
        let is_replaced = insertion
            .new
            .as_ref()
            .is_some_and(|(new_key, new)| *new_key == key && !Arc::ptr_eq(new, &slot));
        let is_fresh = || {
            let mut variants = slot.variants.iter();
            variants.any(|entry| !entry.ttl(insertion.now).is_zero())
        };
        if !is_replaced && is_fresh() {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }
}

/// The key carries its own keyed hash; hashing that again would buy nothing.
#[derive(Clone, Default)]
pub(super) struct PassThrough(u64);

impl Hasher for PassThrough {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.0 = self.0.rotate_left(8) ^ u64::from(*byte);
        }
    }

    fn write_u64(&mut self, hash: u64) {
        self.0 = hash;
    }
}

pub(super) type PassThroughBuilder = BuildHasherDefault<PassThrough>;

type Items = sync::Cache<Arc<CacheKey>, Arc<Slot>, ByBytes, PassThroughBuilder, Evictions>;

/// The cache in this process.
pub(super) struct Store {
    items: Items,
    evictions: Evictions,
    writers: Box<[Mutex<()>]>,
}

impl Store {
    pub(super) fn new(capacity_bytes: u64) -> Self {
        let evictions = Evictions::default();
        let estimated = usize::try_from(capacity_bytes / TYPICAL_ITEM_BYTES)
            .unwrap_or(usize::MAX)
            .max(1);
        let options = OptionsBuilder::new()
            .weight_capacity(capacity_bytes)
            .estimated_items_capacity(estimated)
            // An item must fit into one shard: few shards for small caches, so that the largest body still fits.
            .shards(
                usize::try_from(capacity_bytes >> 23)
                    .unwrap_or(usize::MAX)
                    .clamp(1, 64),
            )
            .build();
        let items = match options {
            Ok(options) => Items::with_options(
                options,
                ByBytes,
                PassThroughBuilder::default(),
                evictions.clone(),
            ),
            Err(_) => Items::with(
                estimated,
                capacity_bytes,
                ByBytes,
                PassThroughBuilder::default(),
                evictions.clone(),
            ),
        };
        Self {
            items,
            evictions,
            writers: (0..WRITE_LOCKS).map(|_| Mutex::new(())).collect(),
        }
    }

    pub(super) fn get(&self, key: &CacheKey) -> Option<Arc<Slot>> {
        self.items.get(key)
    }

    /// Without it counting as use.
    pub(super) fn peek(&self, key: &CacheKey) -> Option<Arc<Slot>> {
        self.items.peek(key)
    }

    /// Puts an answer in the place of the variant that it replaces. Answers whether it is there: what is larger than a shard
    /// is not.
    pub(super) fn put(&self, key: &Arc<CacheKey>, entry: Arc<Entry>, now: Duration) -> bool {
        let lock = &self.writers[key.low() as usize % WRITE_LOCKS];
        let _writing = lock.lock().unwrap_or_else(PoisonError::into_inner);
        let vary = entry.vary.clone();
        let mut variants = Vec::with_capacity(1);
        variants.push(entry);
        if !vary.names.is_empty()
            && let Some(slot) = self.items.peek(key.as_ref())
            && slot.vary == vary
        {
            let new = variants[0].clone();
            let others = slot
                .variants
                .iter()
                .filter(|old| old.values != new.values && !old.useful_for(now).is_zero());
            variants.extend(others.take(MAX_VARIANTS - 1).cloned());
        }
        let bytes = variants.iter().map(|entry| entry.weight()).sum();
        let slot = Arc::new(Slot {
            vary,
            variants,
            bytes,
        });
        let mut insertion = Insertion {
            new: Some((key.clone(), slot.clone())),
            now,
        };
        self.items
            .insert_with_lifecycle(key.clone(), slot.clone(), &mut insertion);
        let kept = self.items.peek(key.as_ref());
        kept.is_some_and(|kept| Arc::ptr_eq(&kept, &slot))
    }

    pub(super) fn remove(&self, key: &CacheKey) -> Option<Arc<Slot>> {
        self.items.remove(key).map(|(_, slot)| slot)
    }

    /// Takes a key out where each of its variants is so.
    pub(super) fn remove_if(
        &self,
        key: &CacheKey,
        is_so: impl Fn(&Entry) -> bool,
    ) -> Option<Arc<Slot>> {
        let all = |slot: &Arc<Slot>| slot.variants.iter().all(|entry| is_so(entry));
        self.items.remove_if(key, all).map(|(_, slot)| slot)
    }

    /// Gives back a share of the bytes that are held, what is least likely to be asked for first; answers how many that were.
    pub(super) fn shrink(&self, share: f64) -> u64 {
        let share = if share > 0.0 { share.min(1.0) } else { 0.0 };
        let (capacity, before) = (self.items.capacity(), self.items.weight());
        if share >= 1.0 {
            self.items.clear();
        } else if share > 0.0 {
            // The policy decides what goes: for a moment there is room for less.
            self.items
                .set_capacity((before as f64 * (1.0 - share)) as u64);
            self.items.set_capacity(capacity);
        }
        before.saturating_sub(self.items.weight())
    }

    pub(super) fn entries(&self) -> u64 {
        self.items.len() as u64
    }

    /// How many variants are so. Goes through all of them.
    pub(super) fn count(&self, is_so: impl Fn(&Entry) -> bool) -> u64 {
        let count = |slot: &Slot| slot.variants.iter().filter(|entry| is_so(entry)).count() as u64;
        self.items.iter().map(|(_, slot)| count(&slot)).sum()
    }

    pub(super) fn bytes(&self) -> u64 {
        self.items.weight()
    }

    pub(super) fn evictions(&self) -> u64 {
        self.evictions.0.load(Ordering::Relaxed)
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use proptest::prelude::*;

    use super::*;
    use crate::cache::{entry, key::KeyMaker};

    fn entry(vary: &[&'static str], value: &str, body: usize) -> Arc<Entry> {
        let vary = VaryNames {
            names: vary
                .iter()
                .map(|name| http::HeaderName::from_static(name))
                .collect(),
            normalized: false,
        };
        let values = vary.values(&request(value)).unwrap();
        Arc::new(Entry {
            body: Bytes::from(vec![0; body]),
            vary,
            values,
            ..entry::example()
        })
    }

    fn request(value: &str) -> HeaderMap {
        let mut headers = HeaderMap::new();
        headers.insert("accept", value.parse().unwrap());
        headers
    }

    fn key(n: usize) -> Arc<CacheKey> {
        Arc::new(KeyMaker::new("").finish(n.to_le_bytes().to_vec()))
    }

    #[test]
    fn c3_sixteen_variants_a_key_and_the_oldest_goes() {
        let store = Store::new(1 << 20);
        let key = key(1);
        for n in 0..20 {
            store.put(&key, entry(&["accept"], &n.to_string(), 1), Duration::ZERO);
        }
        let slot = store.get(&key).unwrap();
        assert_eq!(slot.variants.len(), MAX_VARIANTS);
        let none = Credentials::default();
        assert!(slot.select(&request("3"), none).is_none());
        assert!(slot.select(&request("4"), none).is_some());
        assert!(slot.select(&request("19"), none).is_some());
    }

    #[test]
    fn c3_a_vary_that_changes_replaces_what_was_chosen_by_the_old_one() {
        let store = Store::new(1 << 20);
        let key = key(1);
        store.put(&key, entry(&["accept"], "a", 1), Duration::ZERO);
        store.put(&key, entry(&["accept-language"], "a", 2), Duration::ZERO);
        let slot = store.get(&key).unwrap();
        assert_eq!(slot.variants.len(), 1);
        assert_eq!(
            slot.select(&request("other"), Credentials::default())
                .unwrap()
                .body
                .len(),
            2
        );
    }

    #[test]
    fn a_variant_replaces_itself() {
        let store = Store::new(1 << 20);
        let key = key(1);
        store.put(&key, entry(&["accept"], "a", 1), Duration::ZERO);
        store.put(&key, entry(&["accept"], "a", 2), Duration::ZERO);
        let slot = store.get(&key).unwrap();
        assert_eq!(slot.variants.len(), 1);
        assert_eq!(slot.variants[0].body.len(), 2);
    }

    #[test]
    fn what_is_replaced_or_stale_is_no_eviction() {
        let store = Store::new(150_000);
        let keys: Vec<_> = (0..200).map(key).collect();
        for body in 0..100 {
            store.put(&keys[1], entry(&[], "a", body), Duration::ZERO);
        }
        assert_eq!(store.evictions(), 0, "replaced");
        let after_all_are_stale = Duration::from_secs(61);
        for key in &keys[..50] {
            store.put(key, entry(&[], "a", 1_000), Duration::ZERO);
        }
        let held = store.entries();
        assert_eq!(store.evictions(), 0, "all fit");
        for key in &keys[50..150] {
            store.put(key, entry(&[], "a", 1_000), Duration::ZERO);
        }
        let pushed_out = store.evictions();
        assert_eq!(pushed_out, held + 100 - store.entries());
        for key in &keys[150..] {
            store.put(key, entry(&[], "a", 1_000), after_all_are_stale);
        }
        assert_eq!(store.evictions(), pushed_out, "stale ones");
    }

    #[test]
    fn shrinking_gives_a_share_back_and_leaves_the_bound_as_it_was() {
        let store = Store::new(4 << 20);
        let keys: Vec<_> = (0..200).map(key).collect();
        let fill = || {
            for key in &keys {
                store.put(key, entry(&[], "a", 10_000), Duration::ZERO);
            }
        };
        fill();
        let before = store.bytes();
        let given = store.shrink(0.5);
        assert!(
            store.bytes() <= before / 2 && given == before - store.bytes(),
            "{given} of {before}"
        );
        assert!(store.bytes() > before / 3, "no more than was asked for");
        fill();
        assert_eq!(store.bytes(), before);
        assert_eq!(
            (
                store.shrink(0.0),
                store.shrink(f64::NAN),
                store.shrink(-1.0)
            ),
            (0, 0, 0)
        );
        assert_eq!(store.shrink(7.0), before);
        assert_eq!(store.entries(), 0);
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(32))]
        /// Whatever is put, in whatever order, the bound holds after every single put, and what is held is what the
        /// items weigh.
        #[test]
        fn c10_the_byte_bound_holds(
            capacity in 10_000_u64..200_000,
            puts in proptest::collection::vec((0_usize..50, 0_usize..20_000, 0_u8..24, any::<bool>()), 1..200),
        ) {
            let store = Store::new(capacity);
            let keys: Vec<_> = (0..50).map(key).collect();
            for (at, body, value, varies) in puts {
                let names: &[&'static str] = if varies { &["accept"] } else { &[] };
                store.put(&keys[at], entry(names, &value.to_string(), body), Duration::ZERO);
                prop_assert!(store.bytes() <= capacity, "{} > {}", store.bytes(), capacity);
                let held: u64 = keys.iter().filter_map(|key| Some(ByBytes.weight(key, &store.items.peek(key.as_ref())?))).sum();
                prop_assert_eq!(held, store.bytes());
            }
        }
    }
}
