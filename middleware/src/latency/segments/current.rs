//! The request that is being polled on this thread.
//!
//! A poll stays on one thread, so a thread-local that is set for the time of the poll belongs to that request alone, on any
//! runtime. It is one word, const, without a destructor; who uses no segment pays for setting it and putting it back.

use std::{
    cell::{Cell, RefCell},
    ptr,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
};

use super::{
    accounts::Accounts,
    timeline::{ROOT, Timeline},
};

/// Timelines that a thread keeps for its next requests.
const MAX_SPARE: usize = 64;
/// Ids that a thread takes at once.
const IDS: u64 = 1 << 20;

thread_local! {
    static CURRENT: Cell<*const Frame> = const { Cell::new(ptr::null()) };
    static SPARE: RefCell<Vec<Box<Timeline>>> = const { RefCell::new(Vec::new()) };
    static NEXT_ID: Cell<u64> = const { Cell::new(0) };
}

/// Where a request keeps its timeline between polls. There is none until the first segment.
#[derive(Debug, Default)]
pub(crate) enum Place {
    #[default]
    Unused,
    Own(Box<Timeline>),
    /// Also of tasks that it spawned.
    Shared(Arc<Mutex<Timeline>>),
}

impl Place {
    fn id(&self) -> u64 {
        match self {
            Self::Unused => 0,
            Self::Own(timeline) => timeline.id,
            Self::Shared(timeline) => lock(timeline).id,
        }
    }

    #[inline]
    pub(crate) fn is_used(&self) -> bool {
        !matches!(self, Self::Unused)
    }

    /// Ends the timeline, and hands it to `read`.
    pub(crate) fn end(&mut self, now: u64, read: impl FnOnce(&Timeline)) {
        match std::mem::take(self) {
            Self::Unused => {}
            Self::Own(mut timeline) => {
                timeline.end(now);
                read(&timeline);
                // A thread that is ending keeps nothing.
                let _ = SPARE.try_with(|spare| {
                    let mut spare = spare.borrow_mut();
                    if spare.len() < MAX_SPARE {
                        spare.push(timeline);
                    }
                });
            }
            Self::Shared(timeline) => {
                let mut timeline = lock(&timeline);
                timeline.end(now);
                read(&timeline);
            }
        }
    }
}

/// One poll of a request, on the stack of that poll.
struct Frame {
    place: *mut Place,
    accounts: *const Arc<Accounts>,
    /// The timeline's id; 0 while there is none.
    id: Cell<u64>,
    /// The segment that is being polled.
    parent: Cell<u8>,
}

/// A segment that is open in some request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Token {
    pub(crate) id: u64,
    pub(crate) slot: u8,
}

/// Runs `work` as a part of the request at `place`. What was current before is so again afterwards, also when `work` panics.
#[inline]
pub(crate) fn within<R>(
    place: &mut Place,
    accounts: &Arc<Accounts>,
    parent: u8,
    work: impl FnOnce() -> R,
) -> R {
    struct Restore(*const Frame);
    impl Drop for Restore {
        fn drop(&mut self) {
            let _ = CURRENT.try_with(|current| current.set(self.0));
        }
    }
    let frame = Frame {
        id: Cell::new(place.id()),
        place,
        accounts,
        parent: Cell::new(parent),
    };
    let outer = CURRENT.try_with(|current| current.replace(&raw const frame));
    // Put back before `frame` goes: locals are dropped in reverse order. Past its locals, a thread has nothing to put back.
    let _restore = outer.ok().map(Restore);
    work()
}

/// Runs `work` with the current frame, of which no other reference is made meanwhile. `None` outside of any.
fn with_frame<R>(work: impl FnOnce(&Frame) -> R) -> Option<R> {
    struct Restore(*const Frame);
    impl Drop for Restore {
        fn drop(&mut self) {
            let _ = CURRENT.try_with(|current| current.set(self.0));
        }
    }
    // Taken out for the time of `work`: were it to come here again, it would find nothing.
    let frame = CURRENT.try_with(|current| current.replace(ptr::null())).ok()?;
    if frame.is_null() {
        return None;
    }
    let _restore = Restore(frame);
    // SAFETY: the pointer is set by `within` alone, to a frame on the stack below this call, and is taken back before that
    // frame ends, by a guard that runs on a panic too. It never leaves its thread.
    Some(work(unsafe { &*frame }))
}

/// Runs `work` with the timeline of the current request, which is made if need be, and the segment that is being polled.
pub(crate) fn with_timeline<R>(work: impl FnOnce(&mut Timeline, &Accounts, u8) -> R) -> Option<R> {
    with_frame(|frame| {
        // SAFETY: `within` has the only reference to both for as long as the frame is current, does not use them
        // meanwhile, and `with_frame` lets nobody else come here at the same time.
        let (place, accounts) = unsafe { (&mut *frame.place, &*frame.accounts) };
        let parent = frame.parent.get();
        match place {
            Place::Own(timeline) => work(timeline, accounts, parent),
            Place::Shared(timeline) => work(&mut lock(timeline), accounts, parent),
            Place::Unused => {
                let mut timeline = fresh();
                frame.id.set(timeline.id);
                let result = work(&mut timeline, accounts, parent);
                *place = Place::Own(timeline);
                result
            }
        }
    })
}

/// Runs `work` with the timeline of the current request if it is the one that `token` is of.
pub(crate) fn with_timeline_of<R>(
    token: Token,
    work: impl FnOnce(&mut Timeline, &Accounts) -> R,
) -> Option<R> {
    if with_frame(|frame| frame.id.get())? != token.id {
        return None;
    }
    with_timeline(|timeline, accounts, _| work(timeline, accounts))
}

/// Makes `token` the segment that is being polled, for the time of `work`, where it is one of the current request.
pub(super) fn inside<R>(token: Token, work: impl FnOnce() -> R) -> R {
    struct Restore(Token, Option<u8>);
    impl Drop for Restore {
        fn drop(&mut self) {
            if let Some(outer) = self.1 {
                enter(self.0.id, outer);
            }
        }
    }
    let _restore = Restore(token, enter(token.id, token.slot));
    work()
}

/// Sets the segment that is being polled and answers the one that was; `None` in another request.
pub(super) fn enter(id: u64, slot: u8) -> Option<u8> {
    with_frame(|frame| (frame.id.get() == id).then(|| frame.parent.replace(slot))).flatten()
}

/// The current request for others to take part in: from now on its timeline is shared.
pub(super) fn share() -> Option<(Arc<Mutex<Timeline>>, Arc<Accounts>, u8)> {
    with_frame(|frame| {
        // SAFETY: as in `with_timeline`.
        let (place, accounts) = unsafe { (&mut *frame.place, &*frame.accounts) };
        let shared = match std::mem::take(place) {
            Place::Shared(shared) => shared,
            Place::Own(timeline) => Arc::new(Mutex::new(*timeline)),
            Place::Unused => Arc::new(Mutex::new(*fresh())),
        };
        *place = Place::Shared(shared.clone());
        frame.id.set(place.id());
        (shared, accounts.clone(), frame.parent.get())
    })
}

/// A timeline that nobody has used, in a box that somebody may have.
fn fresh() -> Box<Timeline> {
    let id = next_id();
    let spare = SPARE.try_with(|spare| spare.borrow_mut().pop());
    match spare.ok().flatten() {
        Some(mut timeline) => {
            *timeline = Timeline::new(id);
            timeline
        }
        None => Box::new(Timeline::new(id)),
    }
}

/// An id that no other timeline of this process has; never 0.
fn next_id() -> u64 {
    static BLOCKS: AtomicU64 = AtomicU64::new(1);
    let block = || BLOCKS.fetch_add(1, Ordering::Relaxed) * IDS;
    NEXT_ID
        .try_with(|next| {
            let id = match next.get() {
                used_up if used_up.is_multiple_of(IDS) => block(),
                id => id,
            };
            next.set(id + 1);
            id
        })
        .unwrap_or_else(|_| block())
}

/// A panic while it is held leaves at worst times that are given out wrongly.
fn lock(timeline: &Mutex<Timeline>) -> std::sync::MutexGuard<'_, Timeline> {
    timeline.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Whether a request is current on this thread; for tests.
#[cfg(test)]
pub(super) fn is_any() -> bool {
    with_frame(|_| ()).is_some()
}

/// The request itself, outside of any segment.
pub(crate) const OUTSIDE: u8 = ROOT;
