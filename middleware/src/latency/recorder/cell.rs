//! [`Cell`]: what one thread has recorded of one series, ever.
//!
//! One thread writes it, whoever folds reads it, and neither waits. Its numbers only grow (and wrap): a reader keeps what it
//! saw and takes the difference, so nothing is ever reset and nothing can be lost between reading and resetting. A *stamp*
//! is odd while a record is being written (a seqlock): a reader that sees the same even stamp before and after has seen
//! whole records only. The writer's side is plain loads and stores, without one read-modify-write instruction.
//!
//! Counts lie in chunks of [`CHUNK`] buckets that come into being when a time first falls in them. Where there is no room for one, a
//! record counts in a coarser bucket, one for each doubling, at its upper edge.

use std::sync::Arc;

use super::{
    super::{
        buckets::{self, BUCKETS},
        sync::{AtomicU32, AtomicU64, Mutex, Ordering, fence, lock},
    },
    reading::Place,
};

/// Buckets of a chunk: half a doubling. In a model each counter is a choice to go through, so there it is one.
pub(crate) const CHUNK: usize = if cfg!(pitcrew_loom) { 1 } else { 64 };
/// Chunks of a histogram.
pub(crate) const CHUNKS: usize = BUCKETS.div_ceil(CHUNK);
/// Coarse buckets of a histogram: one a doubling.
const COARSE: usize = if cfg!(pitcrew_loom) {
    1
} else {
    BUCKETS.div_ceil(buckets::OCTAVE)
};
/// Histograms of a cell.
pub(crate) const HISTOGRAMS: usize = 2;
/// The histogram of times to the end of the body.
pub(crate) const BODY_END: usize = 0;
/// The histogram of times to the head.
pub(crate) const FIRST_BYTE: usize = 1;
/// In place of a time to the head where there was none. No request lasts 584 years.
pub(crate) const NO_HEAD: u64 = u64::MAX;

/// What is counted of one request.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Measured {
    /// Nanoseconds to the end of the body.
    pub(crate) body_end: u64,
    /// Nanoseconds to the head; [`NO_HEAD`] where there was no head.
    pub(crate) first_byte: u64,
    pub(crate) request_bytes: u64,
    pub(crate) response_bytes: u64,
    /// The clock's reading at the end.
    pub(crate) at: u64,
}

/// Sums beside the histograms.
#[derive(Debug)]
pub(super) struct Numbers {
    pub(super) body_end: AtomicU64,
    pub(super) first_byte: AtomicU64,
    pub(super) request_bytes: AtomicU64,
    pub(super) response_bytes: AtomicU64,
    pub(super) min: AtomicU64,
    pub(super) max: AtomicU64,
    /// The clock's reading when the last record ended.
    pub(super) last: AtomicU64,
}

/// Counts of neighbouring buckets.
#[derive(Debug)]
pub(crate) struct Chunk {
    /// Histogram and place in it: `histogram * CHUNKS + bucket / CHUNK`.
    pub(super) place: usize,
    pub(super) counts: [AtomicU32; CHUNK],
}

impl Chunk {
    fn new(place: usize) -> Self {
        Self {
            place,
            counts: std::array::from_fn(|_| AtomicU32::new(0)),
        }
    }
}

/// The half that both sides see.
#[derive(Debug)]
#[repr(align(64))]
pub(crate) struct Cell {
    series: u32,
    pub(super) stamp: AtomicU32,
    pub(super) numbers: Numbers,
    pub(super) coarse: [[AtomicU32; COARSE]; HISTOGRAMS],
    /// Locked by the writer when it adds one, and by a reader while it looks for new ones.
    pub(super) chunks: Mutex<Vec<Arc<Chunk>>>,
}

impl Cell {
    pub(crate) fn new(series: u32) -> Self {
        Self {
            series,
            stamp: AtomicU32::new(0),
            numbers: Numbers {
                body_end: AtomicU64::new(0),
                first_byte: AtomicU64::new(0),
                request_bytes: AtomicU64::new(0),
                response_bytes: AtomicU64::new(0),
                min: AtomicU64::new(u64::MAX),
                max: AtomicU64::new(0),
                last: AtomicU64::new(0),
            },
            coarse: std::array::from_fn(|_| std::array::from_fn(|_| AtomicU32::new(0))),
            chunks: Mutex::default(),
        }
    }

    pub(crate) fn series(&self) -> u32 {
        self.series
    }
}

/// Bytes of a cell with what its writer and a reader keep of it, in lists that may have twice the place they need, and a fold of its coarse buckets;
/// chunks not counted.
pub(crate) const CELL_BYTES: usize =
    size_of::<Cell>() + size_of::<Writer>() + HISTOGRAMS * COARSE * SEEN_BYTES + 288;
/// Bytes of a chunk, with the references to it.
pub(crate) const CHUNK_BYTES: usize = size_of::<Chunk>() + 16 + 4 * size_of::<usize>();
/// Bytes that a fold remembers of a place, once all buckets of its chunks were met: once for all threads.
pub(crate) const SEEN_CHUNK_BYTES: usize = CHUNK * SEEN_BYTES;
/// Bytes that a fold remembers of a bucket.
const SEEN_BYTES: usize = size_of::<(Place, u32)>();

/// The writing half: one at a time for a cell, which whoever makes it sees to.
#[derive(Debug)]
pub(crate) struct Writer {
    cell: Arc<Cell>,
    /// For each place the number of its chunk in `chunks`, or [`NO_CHUNK`].
    index: [u8; HISTOGRAMS * CHUNKS_INDEXED],
    chunks: Vec<Arc<Chunk>>,
}

/// Places that are indexed. A model has a chunk a bucket, too many for a byte, and few that are met: there it looks.
const CHUNKS_INDEXED: usize = if cfg!(pitcrew_loom) { 0 } else { CHUNKS };
/// The number of no chunk.
const NO_CHUNK: usize = u8::MAX as usize;
const _: () = assert!(HISTOGRAMS * CHUNKS_INDEXED < NO_CHUNK);

impl Writer {
    /// Goes on where the writer before it stopped.
    pub(crate) fn new(cell: Arc<Cell>) -> Self {
        let chunks = lock(&cell.chunks).clone();
        let mut writer = Self {
            cell,
            index: [NO_CHUNK as u8; HISTOGRAMS * CHUNKS_INDEXED],
            chunks: Vec::new(),
        };
        for chunk in chunks {
            writer.keep(chunk);
        }
        writer
    }

    pub(crate) fn cell(&self) -> &Arc<Cell> {
        &self.cell
    }

    /// Counts one request. `room` is asked for each new chunk, by its series and place.
    #[inline]
    pub(crate) fn record(&mut self, measured: &Measured, room: impl Fn(u32, usize) -> bool) {
        // What may allocate or wait goes first: between the stamps there are stores alone.
        let body_end = self.place(BODY_END, buckets::index_of(measured.body_end), &room);
        let has_head = measured.first_byte != NO_HEAD;
        let first_byte = if has_head {
            self.place(FIRST_BYTE, buckets::index_of(measured.first_byte), &room)
        } else {
            body_end
        };

        let cell = &*self.cell;
        let numbers = &cell.numbers;
        let stamp = cell.stamp.load(Ordering::Relaxed);
        cell.stamp.store(stamp.wrapping_add(1), Ordering::Relaxed);
        // Whoever sees a store below sees the odd stamp too.
        fence(Ordering::Release);
        bump(self.counter(BODY_END, body_end));
        add(&numbers.body_end, measured.body_end);
        if has_head {
            bump(self.counter(FIRST_BYTE, first_byte));
            add(&numbers.first_byte, measured.first_byte);
        }
        if measured.request_bytes != 0 {
            add(&numbers.request_bytes, measured.request_bytes);
        }
        add(&numbers.response_bytes, measured.response_bytes);
        if measured.body_end < numbers.min.load(Ordering::Relaxed) {
            numbers.min.store(measured.body_end, Ordering::Relaxed);
        }
        if measured.body_end > numbers.max.load(Ordering::Relaxed) {
            numbers.max.store(measured.body_end, Ordering::Relaxed);
        }
        numbers.last.store(measured.at, Ordering::Relaxed);
        cell.stamp.store(stamp.wrapping_add(2), Ordering::Release);
    }

    /// Where a bucket is counted: with the number of its chunk, which comes into being if there is room.
    #[inline(always)]
    fn place(
        &mut self,
        histogram: usize,
        bucket: usize,
        room: &impl Fn(u32, usize) -> bool,
    ) -> (usize, usize) {
        let place = histogram * CHUNKS + bucket / CHUNK;
        match self.find(place) {
            NO_CHUNK => (self.make(place, room), bucket),
            chunk => (chunk, bucket),
        }
    }

    #[cold]
    #[inline(never)]
    fn make(&mut self, place: usize, room: &impl Fn(u32, usize) -> bool) -> usize {
        if room(self.cell.series, place) {
            self.add_chunk(place);
        }
        self.find(place)
    }

    #[cold]
    fn add_chunk(&mut self, place: usize) {
        let chunk = Arc::new(Chunk::new(place));
        lock(&self.cell.chunks).push(chunk.clone());
        self.keep(chunk);
    }

    fn keep(&mut self, chunk: Arc<Chunk>) {
        let place = chunk.place;
        self.chunks.push(chunk);
        if let Some(index) = self.index.get_mut(place) {
            *index = (self.chunks.len() - 1) as u8;
        }
    }

    #[inline(always)]
    fn find(&self, place: usize) -> usize {
        if CHUNKS_INDEXED == 0 {
            let found = self.chunks.iter().position(|chunk| chunk.place == place);
            return found.unwrap_or(NO_CHUNK);
        }
        self.index
            .get(place)
            .map_or(NO_CHUNK, |&chunk| usize::from(chunk))
    }

    #[inline(always)]
    fn counter(&self, histogram: usize, (chunk, bucket): (usize, usize)) -> &AtomicU32 {
        match self.chunks.get(chunk) {
            Some(chunk) => &chunk.counts[bucket % CHUNK],
            None => &self.cell.coarse[histogram][(bucket / buckets::OCTAVE).min(COARSE - 1)],
        }
    }
}

/// The one writer needs no read-modify-write to add.
#[inline]
fn add(number: &AtomicU64, by: u64) {
    number.store(
        number.load(Ordering::Relaxed).wrapping_add(by),
        Ordering::Relaxed,
    );
}

#[inline]
fn bump(counter: &AtomicU32) {
    counter.store(
        counter.load(Ordering::Relaxed).wrapping_add(1),
        Ordering::Relaxed,
    );
}
