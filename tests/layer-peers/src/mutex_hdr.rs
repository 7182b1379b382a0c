//! What an app writes for itself: `from_fn`, one histogram behind one lock.

use std::sync::{Arc, Mutex};
use std::time::Instant;

use axum::extract::{Request, State};
use axum::middleware::Next;
use axum::response::Response;
use hdrhistogram::Histogram;

pub(crate) type Shared = Arc<Mutex<Histogram<u64>>>;

pub(crate) fn shared() -> Shared {
    let histogram = Histogram::new_with_bounds(1, 3_600_000_000_000, 2).expect("bounds");
    Arc::new(Mutex::new(histogram))
}

pub(crate) async fn measure(
    State(shared): State<Shared>,
    request: Request,
    next: Next,
) -> Response {
    let begin = Instant::now();
    let response = next.run(request).await;
    let nanos = u64::try_from(begin.elapsed().as_nanos()).unwrap_or(u64::MAX);
    if let Ok(mut histogram) = shared.lock() {
        histogram.saturating_record(nanos);
    }
    response
}
