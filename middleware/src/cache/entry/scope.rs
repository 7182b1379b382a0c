//! Task scope without a runtime's help: a poll stays on one thread, so a thread-local that is set for the time of the
//! poll belongs to that task alone.

use std::{cell::RefCell, thread::LocalKey};

/// Where what is said within a scope lands; `None` outside of any.
pub(in crate::cache) type Place<T> = RefCell<Option<T>>;

/// Runs `work` with what is `mine` in `place`. The scope around it is put back afterwards, also when `work` panics.
pub(in crate::cache) fn within<T: Default + 'static, R>(
    place: &'static LocalKey<Place<T>>,
    mine: &mut T,
    work: impl FnOnce() -> R,
) -> R {
    struct Restore<'a, T: Default + 'static> {
        place: &'static LocalKey<Place<T>>,
        outer: Option<T>,
        inner: &'a mut T,
    }
    impl<T: Default + 'static> Drop for Restore<'_, T> {
        fn drop(&mut self) {
            let outer = self.outer.take();
            let swapped = self
                .place
                .try_with(|place| std::mem::replace(&mut *place.borrow_mut(), outer));
            if let Ok(Some(mine)) = swapped {
                *self.inner = mine;
            }
        }
    }
    let own = std::mem::take(mine);
    let outer = place
        .try_with(|place| place.borrow_mut().replace(own))
        .unwrap_or_default();
    let _restore = Restore {
        place,
        outer,
        inner: mine,
    };
    work()
}

/// Tells the scope around; `None` where there is none.
pub(in crate::cache) fn tell<T, R>(
    place: &'static LocalKey<Place<T>>,
    event: impl FnOnce(&mut T) -> R,
) -> Option<R> {
    let told = place.try_with(|place| place.borrow_mut().as_mut().map(event));
    told.ok().flatten()
}
