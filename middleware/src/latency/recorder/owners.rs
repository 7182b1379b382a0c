//! A thread's slots, one a layer; and the list of layers, where a thread finds one that it meets for the first time.
//!
//! Services and requests know their layer by a number alone. A reference would have to be counted with each request, by all
//! threads in one place, which costs more than all the rest of a record when four of them do it.

use std::{
    cell::{Cell, RefCell},
    sync::{
        Arc, Mutex, MutexGuard, PoisonError, Weak,
        atomic::{AtomicU32, Ordering},
    },
    time::Duration,
};

use super::{super::segments::Accounts, owner::Owner, shared::Shared};

/// A layer's number: never another's, also when it is gone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct LayerId(u32);

impl LayerId {
    /// No layer's.
    pub(crate) const NONE: Self = Self(0);
}

static NEXT: AtomicU32 = AtomicU32::new(1);

/// The layers that are alive. Locked when one is built or dropped, and when a thread meets one.
static LAYERS: Mutex<Vec<(LayerId, Weak<Shared>)>> = Mutex::new(Vec::new());

thread_local! {
    /// Dropped with the thread, which hands its slots over.
    static OWNERS: RefCell<Vec<Owner>> = const { RefCell::new(Vec::new()) };
    /// The last layer that was looked for in vain: services may outlive their handle, and must not look again each time.
    static GONE: Cell<LayerId> = const { Cell::new(LayerId::NONE) };
}

fn layers() -> MutexGuard<'static, Vec<(LayerId, Weak<Shared>)>> {
    LAYERS.lock().unwrap_or_else(PoisonError::into_inner)
}

impl LayerId {
    /// For a new layer.
    pub(crate) fn enlist(shared: &Weak<Shared>) -> Self {
        let id = Self(NEXT.fetch_add(1, Ordering::Relaxed));
        layers().push((id, shared.clone()));
        id
    }

    /// The layer goes.
    pub(crate) fn strike_off(self) {
        layers().retain(|(id, _)| *id != self);
    }

    /// The time of a layer with a manual clock; zero where it is gone.
    pub(crate) fn manual_time(self) -> Duration {
        let shared = self.find();
        shared.map_or(Duration::ZERO, |shared| shared.clock().now())
    }

    /// Where requests of the layer leave their segments.
    pub(crate) fn accounts(self) -> Option<Arc<Accounts>> {
        let shared = self.with_owner(|owner| owner.slot().shared().upgrade())?;
        Some(shared.accounts().clone())
    }

    #[cold]
    fn find(self) -> Option<Arc<Shared>> {
        if GONE.try_with(Cell::get) == Ok(self) {
            return None;
        }
        let shared = layers()
            .iter()
            .find(|(id, _)| *id == self)
            .and_then(|(_, shared)| shared.upgrade());
        if shared.is_none() {
            let _ = GONE.try_with(|gone| gone.set(self));
        }
        shared
    }

    /// Does something with this thread's part of the layer. Where it has none yet it gets one; where it cannot have one, or
    /// `act` declines, `act` gets the part that threads share. Nothing where the layer is gone.
    pub(crate) fn with_owner<T>(self, act: impl Fn(&mut Owner) -> Option<T>) -> Option<T> {
        self.with_own(&act).or_else(|| self.without_own(act))
    }

    /// The part of [`with_owner`](Self::with_owner) that nearly every request takes: `None` where the thread has no part yet, or
    /// `act` declines. With [`without_own`](Self::without_own) by hand, for a closure that is handed to both is inlined in neither.
    #[inline(always)]
    pub(crate) fn with_own<T>(self, act: impl FnOnce(&mut Owner) -> Option<T>) -> Option<T> {
        let own = OWNERS.try_with(|owners| {
            // Nothing that runs while it is borrowed comes back here; if it ever does, it shares the common part.
            let mut owners = owners.try_borrow_mut().ok()?;
            let owner = owners.iter_mut().find(|owner| owner.layer() == self)?;
            act(owner)
        });
        own.ok().flatten()
    }

    /// The rest of [`with_owner`](Self::with_owner).
    #[cold]
    pub(crate) fn without_own<T>(self, act: impl Fn(&mut Owner) -> Option<T>) -> Option<T> {
        let shared = self.find()?;
        // A thread that is past its locals gets no slot: nothing would hand it over.
        let own = OWNERS.try_with(|owners| {
            let mut owners = owners.try_borrow_mut().ok()?;
            if owners.iter().any(|owner| owner.layer() == self) {
                return None;
            }
            // What is left of layers that are gone.
            owners.retain(|owner| owner.slot().shared().strong_count() > 0);
            owners.push(shared.take_slot()?);
            owners.last_mut().and_then(&act)
        });
        match own {
            Ok(Some(done)) => Some(done),
            _ => shared.with_common(act),
        }
    }
}
