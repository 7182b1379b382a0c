//! A thread's slots, one a layer.

use std::{cell::RefCell, sync::Arc};

use super::{shared::Shared, slot::Owner};

thread_local! {
    /// Dropped with the thread, which hands its slots over.
    static OWNERS: RefCell<Vec<Owner>> = const { RefCell::new(Vec::new()) };
}

/// Does something with this thread's part of the layer that lies at `layer`. `shared` is asked for only where the thread
/// meets it for the first time. `None` where the layer is gone.
///
/// An address is the layer's as long as a slot has a reference, weak though it be, and an owner has its slot.
#[inline]
pub(crate) fn with_owner<T>(
    layer: *const Shared,
    shared: impl Fn() -> Option<Arc<Shared>>,
    act: impl Fn(&mut Owner) -> T,
) -> Option<T> {
    let mine = OWNERS.try_with(|owners| {
        // Nothing that runs while it is borrowed comes back here; if it ever does, it shares the common slot.
        let mut owners = owners.try_borrow_mut().ok()?;
        let known = owners.iter_mut().find(|owner| owner.layer() == layer);
        match known {
            Some(owner) => Some(act(owner)),
            None => first(&mut owners, &*shared()?).map(&act),
        }
    });
    match mine {
        Ok(Some(done)) => Some(done),
        // One thread too many, or one past its locals.
        _ => Some(shared()?.with_common(act)),
    }
}

#[cold]
fn first<'a>(owners: &'a mut Vec<Owner>, shared: &Shared) -> Option<&'a mut Owner> {
    // What is left of layers that are gone.
    owners.retain(|owner| owner.slot().shared().strong_count() > 0);
    owners.push(shared.take_slot()?);
    owners.last_mut()
}
