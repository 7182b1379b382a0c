//! The request that is being polled on this thread.
//!
//! A poll stays on one thread, so a thread-local that is set for the time of the poll belongs to that request alone, on any
//! runtime. What a request keeps is two words; they move there for the time of the poll and back at its end, so that nothing
//! points into a future. The thread-local is const, without a destructor; who uses no segment pays for the two moves.

use std::{
    cell::{Cell, RefCell},
    mem::ManuallyDrop,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
};

use super::{
    accounts::Accounts,
    book::RouteKey,
    timeline::{MAX_OPEN, ROOT, Timeline},
};
use crate::latency::recorder::owners::LayerId;

/// Timelines that a thread keeps for its next requests.
const MAX_SPARE: usize = 64;
/// Ids that a thread takes at once.
const IDS: u64 = 1 << 20;

thread_local! {
    /// Nobody's between polls, so that there is nothing to drop at a thread's end.
    static CURRENT: Cell<ManuallyDrop<Frame>> = const { Cell::new(ManuallyDrop::new(Frame::NOBODY)) };
    #[expect(clippy::vec_box, reason = "a box goes to a request and comes back; what is in it need not move")]
    static SPARE: RefCell<Vec<Box<Kept>>> = const { RefCell::new(Vec::new()) };
    static NEXT_ID: Cell<u64> = const { Cell::new(0) };
}

/// A request's timeline.
#[derive(Debug)]
#[expect(
    clippy::large_enum_variant,
    reason = "it is always in a box, which goes to the thread's next request"
)]
enum Kept {
    Own {
        timeline: Timeline,
        /// Where it is left at the end; `None` of one that waits for its next request.
        accounts: Option<Arc<Accounts>>,
    },
    /// Also of tasks that it spawned.
    Shared(Arc<Carried>),
}

/// The same for several tasks.
#[derive(Debug)]
pub(crate) struct Carried {
    id: u64,
    timeline: Mutex<Timeline>,
    accounts: Arc<Accounts>,
}

impl Kept {
    fn id(&self) -> u64 {
        match self {
            Self::Own { timeline, .. } => timeline.id,
            Self::Shared(carried) => carried.id,
        }
    }

    #[cold]
    fn end(mut self: Box<Self>, key: RouteKey, took: u64) {
        match &mut *self {
            Self::Own { timeline, accounts } => {
                if let Some(accounts) = accounts.take() {
                    timeline.end(accounts.now());
                    accounts.count(key, timeline, took);
                }
                // A thread that is ending keeps nothing.
                let _ = SPARE.try_with(|spare| {
                    let mut spare = spare.borrow_mut();
                    if spare.len() < MAX_SPARE {
                        spare.push(self);
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

/// A request between its polls: where its timeline is kept, and what it is of. While it is polled, its thread has it.
#[derive(Debug)]
pub(crate) struct Frame {
    /// Its timeline, of which there is none until the first segment. Dropped by hand, out of line: nearly every request leaves
    /// nothing in it.
    kept: ManuallyDrop<Option<Box<Kept>>>,
    /// Whose timeline it is; [`LayerId::NONE`] where nobody can read it any more.
    pub(crate) layer: LayerId,
    /// The segment that is being polled, or [`NO_REQUEST`].
    parent: u8,
}

/// In place of a segment where no request is polled.
const NO_REQUEST: u8 = ROOT - 1;
const _: () = assert!(MAX_OPEN < NO_REQUEST as usize);

/// A segment that is open in some request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Token {
    pub(crate) id: u64,
    pub(crate) slot: u8,
}

impl Frame {
    /// In place of a request.
    const NOBODY: Self = Self {
        kept: ManuallyDrop::new(None),
        layer: LayerId::NONE,
        parent: NO_REQUEST,
    };

    /// Of a request that has had no segment.
    #[inline]
    pub(crate) fn new(layer: LayerId) -> Self {
        Self {
            kept: ManuallyDrop::new(None),
            layer,
            parent: ROOT,
        }
    }

    /// Of a task that takes part in a request from its segment `parent`.
    pub(super) fn part_of(carried: Arc<Carried>) -> Self {
        Self {
            kept: ManuallyDrop::new(Some(Box::new(Kept::Shared(carried)))),
            layer: LayerId::NONE,
            parent: ROOT,
        }
    }

    /// Makes the request current, in its segment `parent`, until the guard is dropped, also by a panic. A guard and not a closure: what
    /// a poll gives is large, and would be moved once more.
    #[inline]
    pub(crate) fn enter(&mut self, parent: u8) -> Entered<'_> {
        let mut own = std::mem::replace(self, Self::NOBODY);
        own.parent = parent;
        Entered {
            other: swap_current(own),
            frame: self,
        }
    }

    /// The request goes on elsewhere, and leaves nothing here.
    #[inline]
    pub(crate) fn hand_on(&mut self) -> Self {
        Self {
            kept: ManuallyDrop::new(self.kept.take()),
            layer: std::mem::replace(&mut self.layer, LayerId::NONE),
            parent: ROOT,
        }
    }

    /// The request has ended, `took` nanoseconds after it began: its timeline ends too, and is counted for its route.
    #[inline]
    pub(crate) fn end(&mut self, key: impl FnOnce() -> RouteKey, took: u64) {
        if let Some(kept) = self.kept.take() {
            kept.end(key(), took);
        }
    }

    /// Whether no segment of it was met; for tests.
    #[cfg(test)]
    pub(super) fn is_unused(&self) -> bool {
        self.kept.is_none()
    }

    /// 0 while there is no timeline.
    fn id(&self) -> u64 {
        self.kept.as_ref().map_or(0, |kept| kept.id())
    }

    #[cold]
    fn drop_kept(&mut self) {
        drop(self.kept.take());
    }
}

impl Drop for Frame {
    #[inline]
    fn drop(&mut self) {
        if self.kept.is_some() {
            self.drop_kept();
        }
    }
}

/// Exchanges the current request for another.
#[inline(always)]
fn swap_current(other: Frame) -> Frame {
    ManuallyDrop::into_inner(CURRENT.with(|current| current.replace(ManuallyDrop::new(other))))
}

/// A request is current. What was so before is again when this is dropped.
#[must_use]
pub(crate) struct Entered<'a> {
    /// What was current before.
    other: Frame,
    /// Where the request goes back to.
    frame: &'a mut Frame,
}

impl Drop for Entered<'_> {
    #[inline]
    fn drop(&mut self) {
        let other = std::mem::replace(&mut self.other, Frame::NOBODY);
        *self.frame = swap_current(other);
    }
}

/// Runs `work` with the current frame. `None` outside of any.
fn with_frame<R>(work: impl FnOnce(&mut Frame) -> R) -> Option<R> {
    /// Taken out for the time of `work`: were it to come here again, it would find nothing.
    struct TakenOut(Frame);
    impl Drop for TakenOut {
        fn drop(&mut self) {
            swap_current(std::mem::replace(&mut self.0, Frame::NOBODY));
        }
    }
    let mut taken = TakenOut(swap_current(Frame::NOBODY));
    (taken.0.parent != NO_REQUEST).then(|| work(&mut taken.0))
}

/// Runs `work` with the timeline of the current request, which is made if need be, and the segment that is being polled.
pub(crate) fn with_timeline<R>(work: impl FnOnce(&mut Timeline, &Accounts, u8) -> R) -> Option<R> {
    with_frame(|frame| {
        if frame.kept.is_none() {
            *frame.kept = Some(fresh(frame.layer)?);
        }
        match frame.kept.as_deref_mut()? {
            Kept::Own { timeline, accounts } => accounts
                .as_deref()
                .map(|accounts| work(timeline, accounts, frame.parent)),
            Kept::Shared(carried) => {
                let mut timeline = lock(&carried.timeline);
                Some(work(&mut timeline, &carried.accounts, frame.parent))
            }
        }
    })
    .flatten()
}

/// Runs `work` with the timeline of the current request if it is the one that `token` is of.
pub(crate) fn with_timeline_of<R>(
    token: Token,
    work: impl FnOnce(&mut Timeline, &Accounts) -> R,
) -> Option<R> {
    if with_frame(|frame| frame.id())? != token.id {
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
    with_frame(|frame| (frame.id() == id).then(|| std::mem::replace(&mut frame.parent, slot)))
        .flatten()
}

/// The current request for others to take part in: from now on its timeline is shared.
pub(super) fn share() -> Option<(Arc<Carried>, u8)> {
    with_frame(|frame| {
        let kept = match frame.kept.take() {
            Some(kept) => kept,
            None => fresh(frame.layer)?,
        };
        let carried = match *kept {
            Kept::Shared(carried) => carried,
            Kept::Own { timeline, accounts } => Arc::new(Carried {
                id: timeline.id,
                timeline: Mutex::new(timeline),
                accounts: accounts?,
            }),
        };
        *frame.kept = Some(Box::new(Kept::Shared(carried.clone())));
        Some((carried, frame.parent))
    })
    .flatten()
}

/// A timeline that nobody has used, in a box that somebody may have. `None` where the layer is gone.
#[cold]
fn fresh(layer: LayerId) -> Option<Box<Kept>> {
    let accounts = Some(layer.accounts()?);
    let timeline = Timeline::new(next_id());
    let spare = SPARE.try_with(|spare| spare.borrow_mut().pop());
    let own = Kept::Own { timeline, accounts };
    Some(match spare.ok().flatten() {
        Some(mut kept) => {
            *kept = own;
            kept
        }
        None => Box::new(own),
    })
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
