//! [`Reader`] and [`Reading`]: what cells hold, seen from outside.

use std::sync::Arc;

use super::{
    super::{
        buckets::{self, BUCKETS},
        sync::{AtomicU64, Ordering, fence, lock},
    },
    cell::{CHUNK, CHUNKS, Cell, Chunk, HISTOGRAMS},
};

/// How often a reader tries for whole records before it leaves the cell for the next fold.
const TRIES: u32 = if cfg!(pitcrew_loom) { 2 } else { 256 };

/// The reading half.
#[derive(Debug)]
pub(crate) struct Reader {
    cell: Arc<Cell>,
    chunks: Vec<Arc<Chunk>>,
    /// The stamp of what was read last.
    stamp: u32,
}

impl Reader {
    pub(crate) fn new(cell: Arc<Cell>) -> Self {
        Self {
            cell,
            chunks: Vec::new(),
            stamp: 0,
        }
    }

    /// Whether anything was recorded since it was last read.
    pub(crate) fn is_new(&self) -> bool {
        self.cell.stamp.load(Ordering::Acquire) != self.stamp
    }

    /// Adds up all that was ever recorded. `false` where no whole state was to be had, because the writer is too busy or was
    /// interrupted while it wrote; then `into` is as before. With `at_any_price` the last try counts even so: counts are right,
    /// and the sums beside them may lack what the last record brings.
    pub(crate) fn read(&mut self, into: &mut Reading, at_any_price: bool) -> bool {
        for attempt in 1..=TRIES {
            let stamp = self.cell.stamp.load(Ordering::Acquire);
            let is_last = at_any_price && attempt == TRIES;
            if stamp % 2 == 1 && !is_last {
                std::hint::spin_loop();
                #[cfg(pitcrew_loom)]
                loom::thread::yield_now();
                continue;
            }
            self.copy(into);
            // The loads above are done before the stamp is looked at again.
            fence(Ordering::Acquire);
            if self.cell.stamp.load(Ordering::Relaxed) == stamp || is_last {
                // An odd stamp is never that of a whole state: the next fold reads again.
                self.stamp = stamp;
                into.accept();
                return true;
            }
        }
        false
    }

    fn copy(&mut self, into: &mut Reading) {
        {
            let known = lock(&self.cell.chunks);
            self.chunks.extend_from_slice(&known[self.chunks.len()..]);
        }
        let numbers = &self.cell.numbers;
        let load = |number: &AtomicU64| number.load(Ordering::Relaxed);
        into.pending.clear();
        into.fresh = Summed {
            body_end: load(&numbers.body_end),
            first_byte: load(&numbers.first_byte),
            request_bytes: load(&numbers.request_bytes),
            response_bytes: load(&numbers.response_bytes),
            min: load(&numbers.min),
            max: load(&numbers.max),
            last: load(&numbers.last),
            coarse: 0,
        };
        for chunk in &self.chunks {
            let counts = std::array::from_fn(|at| chunk.counts[at].load(Ordering::Relaxed));
            into.pending.push((chunk.place, counts));
        }
        for (histogram, counters) in self.cell.coarse.iter().enumerate() {
            for (octave, counter) in counters.iter().enumerate() {
                let count = counter.load(Ordering::Relaxed);
                if count != 0 {
                    let highest = ((octave + 1) * buckets::OCTAVE - 1).min(BUCKETS - 1);
                    let mut counts = [0; CHUNK];
                    counts[highest % CHUNK] = count;
                    let place = histogram * CHUNKS + highest / CHUNK;
                    into.pending.push((place, counts));
                    into.fresh.coarse = into.fresh.coarse.wrapping_add(u64::from(count));
                }
            }
        }
    }
}

/// What several cells of one series hold together. All wraps.
#[derive(Debug)]
pub(crate) struct Reading {
    /// By place.
    counts: Box<[[u32; CHUNK]]>,
    /// Which places may be other than 0.
    met: Box<[bool]>,
    sums: Summed,
    /// Of the cell that is being read.
    pending: Vec<(usize, [u32; CHUNK])>,
    fresh: Summed,
}

/// A histogram's bucket: `histogram * CHUNKS * CHUNK + bucket`, so that those of one histogram follow each other.
pub(crate) type Place = u16;

const _: () = assert!(HISTOGRAMS * CHUNKS * CHUNK <= Place::MAX as usize);

/// The histogram of a place, and its bucket there.
pub(crate) fn bucket_of(place: Place) -> (usize, usize) {
    let width = CHUNKS * CHUNK;
    (usize::from(place) / width, usize::from(place) % width)
}

/// The sums of a [`Reading`].
#[derive(Clone, Copy, Debug)]
pub(crate) struct Summed {
    pub(crate) body_end: u64,
    pub(crate) first_byte: u64,
    pub(crate) request_bytes: u64,
    pub(crate) response_bytes: u64,
    pub(crate) min: u64,
    pub(crate) max: u64,
    pub(crate) last: u64,
    /// Counts in coarse buckets, of both histograms.
    pub(crate) coarse: u64,
}

impl Summed {
    pub(crate) const NOTHING: Self = Self {
        body_end: 0,
        first_byte: 0,
        request_bytes: 0,
        response_bytes: 0,
        min: u64::MAX,
        max: 0,
        last: 0,
        coarse: 0,
    };

    fn add(&mut self, other: &Self) {
        self.body_end = self.body_end.wrapping_add(other.body_end);
        self.first_byte = self.first_byte.wrapping_add(other.first_byte);
        self.request_bytes = self.request_bytes.wrapping_add(other.request_bytes);
        self.response_bytes = self.response_bytes.wrapping_add(other.response_bytes);
        self.min = self.min.min(other.min);
        self.max = self.max.max(other.max);
        self.last = self.last.max(other.last);
        self.coarse = self.coarse.wrapping_add(other.coarse);
    }
}

impl Reading {
    pub(crate) fn new() -> Self {
        Self {
            counts: vec![[0; CHUNK]; HISTOGRAMS * CHUNKS].into(),
            met: vec![false; HISTOGRAMS * CHUNKS].into(),
            sums: Summed::NOTHING,
            pending: Vec::new(),
            fresh: Summed::NOTHING,
        }
    }

    fn accept(&mut self) {
        for (place, counts) in self.pending.drain(..) {
            self.met[place] = true;
            for (known, count) in self.counts[place].iter_mut().zip(counts) {
                *known = known.wrapping_add(count);
            }
        }
        self.sums.add(&self.fresh);
    }

    pub(crate) fn sums(&self) -> &Summed {
        &self.sums
    }

    /// All counts that are not 0, in ascending order. Empties it.
    pub(crate) fn drain(&mut self) -> Vec<(Place, u32)> {
        self.sums = Summed::NOTHING;
        let mut all = Vec::new();
        for (place, met) in self.met.iter_mut().enumerate() {
            if !std::mem::take(met) {
                continue;
            }
            for (at, count) in self.counts[place].iter_mut().enumerate() {
                if *count != 0 {
                    // Checked above: all places fit.
                    all.push(((place * CHUNK + at) as Place, std::mem::take(count)));
                }
            }
        }
        all
    }
}
