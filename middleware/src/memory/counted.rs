//! [`counted`]: work of a request on another task.

use std::{
    fmt,
    future::Future,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use pin_project::{pin_project, pinned_drop};

use super::{
    allocator::Reading,
    scope::{each_current, is_current, measure},
    tally::Tally,
};

/// Layers within one another that a task is counted for at most, the innermost first.
pub const MAX_NESTED_LAYERS: usize = 4;

/// Counts what `future` allocates and frees, its drop included, to the route whose handler calls this, on whatever task it
/// is polled. In the sums alone ([`RouteAllocation::bytes_allocated`](super::RouteAllocation::bytes_allocated),
/// `allocations`, `net_bytes`), since it may outlive its request.
///
/// Called outside of a handler under a [`MemoryLayer`](super::MemoryLayer), or without
/// [`CountingAlloc`](super::CountingAlloc), it changes nothing. Polled inside of a handler of the same route it is counted
/// once; polled inside of another route's it counts for both.
///
/// ```
/// # async fn handler() {
/// tokio::spawn(pitcrew::memory::counted(async {
///     // ... work that the answer does not wait for
/// }));
/// # }
/// ```
pub fn counted<F>(future: F) -> Counted<F> {
    let mut tallies = [const { None }; MAX_NESTED_LAYERS];
    let mut free = tallies.iter_mut();
    each_current(|tally| {
        if let Some(free) = free.next() {
            *free = Some(tally.clone());
        }
    });
    Counted {
        inner: Some(future),
        tallies,
    }
}

/// Made by [`counted`].
#[pin_project(PinnedDrop)]
pub struct Counted<F> {
    #[pin]
    inner: Option<F>,
    tallies: [Option<Arc<Tally>>; MAX_NESTED_LAYERS],
}

impl<F: Future> Future for Counted<F> {
    type Output = F::Output;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<F::Output> {
        let mut this = self.project();
        charged(this.tallies, || {
            // Polled after its end: never ready, as nothing can be given twice.
            let Some(inner) = this.inner.as_mut().as_pin_mut() else {
                return Poll::Pending;
            };
            let polled = inner.poll(cx);
            if polled.is_ready() {
                this.inner.set(None);
            }
            polled
        })
    }
}

#[pinned_drop]
impl<F> PinnedDrop for Counted<F> {
    fn drop(self: Pin<&mut Self>) {
        let mut this = self.project();
        if this.inner.is_some() {
            charged(this.tallies, || this.inner.set(None));
        }
    }
}

/// Runs `work` within the frames of all `tallies`, the last of which is the outermost.
fn charged<T>(tallies: &[Option<Arc<Tally>>], work: impl FnOnce() -> T) -> T {
    let Some((last, inner)) = tallies.split_last() else {
        return work();
    };
    match last {
        Some(tally) if !is_current(tally.series) => {
            let mut charge = Charge(tally, Reading::default());
            measure(tally, &mut charge.1, || charged(inner, work))
        }
        _ => charged(inner, work),
    }
}

/// Added to its route when dropped, after a panic too.
struct Charge<'a>(&'a Tally, Reading);

impl Drop for Charge<'_> {
    fn drop(&mut self) {
        self.0.work(&self.1);
    }
}

impl<F> fmt::Debug for Counted<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Counted").finish_non_exhaustive()
    }
}
