//! Fetches in the background, while a stale answer is given (RFC 5861, 3).

use std::sync::{Arc, atomic::Ordering};

use http::Response;
use http_body::Body;

use super::{body::ResponseBody, shared::Shared};

/// Fetches at one time; past that the stale answer is given and nothing is fetched.
pub(super) const MAX_REFRESHES: usize = 256;

/// Runs a miss to the end of its body, so that it is stored. `None` where there is no runtime, or too many run.
pub(super) fn spawn<F, R, E>(shared: &Arc<Shared>, fetch: F) -> Option<()>
where
    F: Future<Output = Result<Response<ResponseBody<R>>, E>> + Send + 'static,
    R: Body + Send + 'static,
    R::Error: Send,
{
    let runtime = tokio::runtime::Handle::try_current().ok()?;
    let slot = RefreshSlot::take(shared)?;
    shared.counters.refreshes.fetch_add(1, Ordering::Relaxed);
    runtime.spawn(async move {
        // What went wrong shows in the counters of the fetch itself; here nobody waits for it.
        let response = fetch.await.ok();
        if let Some(response) = response {
            let mut body = std::pin::pin!(response.into_body());
            while let Some(Ok(_)) = std::future::poll_fn(|cx| body.as_mut().poll_frame(cx)).await {}
        }
        drop(slot);
    });
    Some(())
}

/// One of [`MAX_REFRESHES`].
struct RefreshSlot(Arc<Shared>);

impl RefreshSlot {
    fn take(shared: &Arc<Shared>) -> Option<Self> {
        let before = shared.refreshes.fetch_add(1, Ordering::AcqRel);
        let slot = Self(shared.clone());
        if before < MAX_REFRESHES {
            return Some(slot);
        }
        shared
            .counters
            .dropped_refreshes
            .fetch_add(1, Ordering::Relaxed);
        None
    }
}

impl Drop for RefreshSlot {
    fn drop(&mut self) {
        self.0.refreshes.fetch_sub(1, Ordering::AcqRel);
    }
}
