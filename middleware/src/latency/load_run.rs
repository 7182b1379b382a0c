//! [`LoadRun`]: requests of a load test of one's own, told from everybody else's by a secret.

use std::sync::{PoisonError, RwLock};

use http::{HeaderMap, HeaderName};

/// The request header by which a load test marks its requests: what it carries is known to [`LoadRun::begin`] alone.
pub const LOAD_RUN_HEADER: &str = "x-pitcrew-load-run";
/// So many runs are known at one time, in the whole process.
pub const MAX_LOAD_RUNS: usize = 8;
/// A mark has at least so many bytes: 128 bits as hexadecimal digits.
pub const MIN_LOAD_MARK_BYTES: usize = 32;
/// And at most so many.
pub const MAX_LOAD_MARK_BYTES: usize = 128;

static NAME: HeaderName = HeaderName::from_static(LOAD_RUN_HEADER);

/// Of the whole process: whoever starts a load test need not know the layers of the app that it loads.
static KNOWN: RwLock<[Option<Box<str>>; MAX_LOAD_RUNS]> = RwLock::new([const { None }; _]);

/// A load test of this process, for as long as it lasts: layers built with
/// [`leave_out_load_tests`](super::LatencyBuilder::leave_out_load_tests) count no request that carries its mark.
///
/// `pitcrew-admin` does this for the load tests that it starts. A mark holds a secret, so nobody hides behind the header: a request
/// that guesses is counted as any other.
#[derive(Debug)]
#[must_use = "the run is known until this is dropped"]
pub struct LoadRun {
    place: usize,
}

impl LoadRun {
    /// The run is known from now on. None where `mark` has not [`MIN_LOAD_MARK_BYTES`] to [`MAX_LOAD_MARK_BYTES`], so may be
    /// guessed, or [`MAX_LOAD_RUNS`] are known already: its requests are counted then.
    pub fn begin(mark: &str) -> Option<Self> {
        if !(MIN_LOAD_MARK_BYTES..=MAX_LOAD_MARK_BYTES).contains(&mark.len()) {
            return None;
        }
        let mut known = KNOWN.write().unwrap_or_else(PoisonError::into_inner);
        let place = known.iter().position(Option::is_none)?;
        known[place] = Some(mark.into());
        Some(Self { place })
    }
}

impl Drop for LoadRun {
    fn drop(&mut self) {
        KNOWN.write().unwrap_or_else(PoisonError::into_inner)[self.place] = None;
    }
}

/// Whether a request is of a run that is known.
pub(super) fn is_known(headers: &HeaderMap) -> bool {
    headers
        .get(&NAME)
        .is_some_and(|mark| is_mark(mark.as_bytes()))
}

#[cold]
fn is_mark(asked: &[u8]) -> bool {
    let known = KNOWN.read().unwrap_or_else(PoisonError::into_inner);
    let marks = known.iter().flatten();
    // All of them are looked at, each to its end: how long it takes tells nothing of how near a guess was.
    marks.fold(false, |is_it, mark| is_it | is_same(mark.as_bytes(), asked))
}

fn is_same(mark: &[u8], asked: &[u8]) -> bool {
    let pairs = mark.iter().zip(asked);
    mark.len() == asked.len() && pairs.fold(0, |differ, (a, b)| differ | (a ^ b)) == 0
}
