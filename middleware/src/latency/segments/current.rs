//! The request that is being polled on this thread.
//!
//! A poll stays on one thread, so a thread-local that is set for the time of the poll belongs to that request alone, on any
//! runtime. It is one word, const, without a destructor; who uses no segment pays for setting it and putting it back.

use std::{
    cell::{Cell, RefCell},
    marker::PhantomData,
    ptr,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
};

use super::{
    accounts::Accounts,
    book::RouteKey,
    timeline::{ROOT, Timeline},
};
use crate::latency::recorder::owners::LayerId;

/// Timelines that a thread keeps for its next requests.
const MAX_SPARE: usize = 64;
/// Ids that a thread takes at once.
const IDS: u64 = 1 << 20;

thread_local! {
    static CURRENT: Cell<*const Frame> = const { Cell::new(ptr::null()) };
    #[expect(clippy::vec_box, reason = "a box goes to a request and comes back; what is in it need not move")]
    static SPARE: RefCell<Vec<Box<Kept>>> = const { RefCell::new(Vec::new()) };
    static NEXT_ID: Cell<u64> = const { Cell::new(0) };
}

/// Where a request keeps its timeline between polls. There is none until the first segment.
#[derive(Debug, Default)]
pub(crate) enum Place {
    #[default]
    Unused,
    Own(Box<Kept>),
    /// Also of tasks that it spawned.
    Shared(Arc<Carried>),
}

/// A timeline, and where it is left at the end.
#[derive(Debug)]
pub(crate) struct Kept {
    timeline: Timeline,
    /// `None` of one that waits for its next request.
    accounts: Option<Arc<Accounts>>,
}

/// The same for several tasks.
#[derive(Debug)]
pub(crate) struct Carried {
    timeline: Mutex<Timeline>,
    accounts: Arc<Accounts>,
}

impl Place {
    #[inline]
    pub(crate) fn is_used(&self) -> bool {
        !matches!(self, Self::Unused)
    }

    #[inline]
    fn id(&self) -> u64 {
        match self {
            Self::Unused => 0,
            Self::Own(kept) => kept.timeline.id,
            Self::Shared(carried) => lock(&carried.timeline).id,
        }
    }

    /// The request has ended, `took` nanoseconds after it began: its timeline ends too, and is counted for its route.
    #[cold]
    pub(crate) fn end(&mut self, key: RouteKey, took: u64) {
        match std::mem::take(self) {
            Self::Unused => {}
            Self::Own(mut kept) => {
                if let Some(accounts) = kept.accounts.take() {
                    kept.timeline.end(accounts.now());
                    accounts.count(key, &kept.timeline, took);
                }
                // A thread that is ending keeps nothing.
                let _ = SPARE.try_with(|spare| {
                    let mut spare = spare.borrow_mut();
                    if spare.len() < MAX_SPARE {
                        spare.push(kept);
                    }
                });
            }
            Self::Shared(carried) => {
                let mut timeline = lock(&carried.timeline);
                timeline.end(carried.accounts.now());
                carried.accounts.count(key, &timeline, took);
            }
        }
    }
}

/// What a request is of: where its timeline is left. It is asked at a request's first segment.
pub(crate) trait Origin: 'static {
    /// `None` where nobody can read it any more.
    fn accounts(&self) -> Option<Arc<Accounts>>;
}

impl Origin for LayerId {
    fn accounts(&self) -> Option<Arc<Accounts>> {
        LayerId::accounts(*self)
    }
}

/// One poll of a request, on the stack of that poll.
struct Frame {
    place: *mut Place,
    origin: *const dyn Origin,
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

/// One poll of a request that is about to begin.
pub(crate) struct Stage<'a> {
    frame: Frame,
    request: PhantomData<&'a mut Place>,
}

impl<'a> Stage<'a> {
    #[inline]
    pub(crate) fn new(place: &'a mut Place, origin: &'a impl Origin, parent: u8) -> Self {
        Self {
            frame: Frame {
                id: Cell::new(place.id()),
                place,
                origin,
                parent: Cell::new(parent),
            },
            request: PhantomData,
        }
    }

    /// Makes the request current until the guard is dropped, also by a panic. A guard and not a closure: what a poll gives is large, and would be moved
    /// once more. Whoever holds the guard drops it: forgotten, it would leave the thread with a frame that is gone.
    #[inline]
    pub(crate) fn enter(&self) -> Entered<'_> {
        let outer = CURRENT.try_with(|current| current.replace(&raw const self.frame));
        // Past its locals, a thread has nothing to put back.
        Entered {
            outer: outer.ok(),
            stage: PhantomData,
        }
    }
}

/// A request is current. What was so before is again when this is dropped.
#[must_use]
pub(crate) struct Entered<'a> {
    outer: Option<*const Frame>,
    stage: PhantomData<&'a Frame>,
}

impl Drop for Entered<'_> {
    #[inline]
    fn drop(&mut self) {
        if let Some(outer) = self.outer {
            let _ = CURRENT.try_with(|current| current.set(outer));
        }
    }
}

/// Runs `work` as a part of the request at `place`.
#[inline]
pub(crate) fn within<R>(
    place: &mut Place,
    origin: &impl Origin,
    parent: u8,
    work: impl FnOnce() -> R,
) -> R {
    let stage = Stage::new(place, origin, parent);
    let _entered = stage.enter();
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
    let frame = CURRENT
        .try_with(|current| current.replace(ptr::null()))
        .ok()?;
    if frame.is_null() {
        return None;
    }
    let _restore = Restore(frame);
    // SAFETY: the pointer is set by `Stage` alone, to a frame on the stack below this call, and is taken back before that
    // frame ends, by a guard that runs on a panic too. It never leaves its thread.
    Some(work(unsafe { &*frame }))
}

/// Runs `work` with the timeline of the current request, which is made if need be, and the segment that is being polled.
pub(crate) fn with_timeline<R>(work: impl FnOnce(&mut Timeline, &Accounts, u8) -> R) -> Option<R> {
    with_frame(|frame| {
        // SAFETY: `Stage` has the only reference to it for as long as the frame is current, does not use it meanwhile, and
        // `with_frame` lets nobody else come here at the same time.
        let place = unsafe { &mut *frame.place };
        let parent = frame.parent.get();
        if let Place::Unused = place {
            let kept = frame.fresh()?;
            frame.id.set(kept.timeline.id);
            *place = Place::Own(kept);
        }
        match place {
            Place::Own(kept) => {
                let Kept { timeline, accounts } = &mut **kept;
                accounts
                    .as_deref()
                    .map(|accounts| work(timeline, accounts, parent))
            }
            Place::Shared(carried) => {
                let mut timeline = lock(&carried.timeline);
                Some(work(&mut timeline, &carried.accounts, parent))
            }
            Place::Unused => None,
        }
    })
    .flatten()
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
pub(super) fn share() -> Option<(Arc<Carried>, u8)> {
    with_frame(|frame| {
        // SAFETY: as in `with_timeline`.
        let place = unsafe { &mut *frame.place };
        let carried = match std::mem::take(place) {
            Place::Shared(carried) => carried,
            Place::Own(kept) => Carried::of(*kept)?,
            Place::Unused => Carried::of(*frame.fresh()?)?,
        };
        *place = Place::Shared(carried.clone());
        frame.id.set(place.id());
        Some((carried, frame.parent.get()))
    })
    .flatten()
}

impl Carried {
    fn of(kept: Kept) -> Option<Arc<Self>> {
        Some(Arc::new(Self {
            timeline: Mutex::new(kept.timeline),
            accounts: kept.accounts?,
        }))
    }
}

/// A task that takes part in a request has its timeline already.
impl Origin for () {
    fn accounts(&self) -> Option<Arc<Accounts>> {
        None
    }
}

impl Frame {
    /// A timeline that nobody has used, in a box that somebody may have.
    #[cold]
    fn fresh(&self) -> Option<Box<Kept>> {
        // SAFETY: `Stage` holds a reference to it for as long as the frame is current.
        let accounts = unsafe { &*self.origin }.accounts()?;
        let timeline = Timeline::new(next_id());
        let accounts = Some(accounts);
        let spare = SPARE.try_with(|spare| spare.borrow_mut().pop());
        Some(match spare.ok().flatten() {
            Some(mut kept) => {
                *kept = Kept { timeline, accounts };
                kept
            }
            None => Box::new(Kept { timeline, accounts }),
        })
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
