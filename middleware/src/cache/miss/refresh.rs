//! Fetches in the background, while a stale answer is given (RFC 5861, 3).

use std::{sync::Arc, time::Duration};

use http::Response;
use http_body::Body;

use crate::cache::{body::ResponseBody, shared::Shared, tasks::Slot};

/// Fetches at one time; past that the stale answer is given and nothing is fetched.
pub(in crate::cache) const MAX_REFRESHES: usize = 256;

/// Time that a fetch in the background may take, its body included: one that hangs must not keep its place for ever.
pub(in crate::cache) const REFRESH_DEADLINE: Duration = Duration::from_secs(30);

/// Runs a miss to the end of its body, so that it is stored. `None` where there is no runtime, or too many run.
pub(in crate::cache) fn spawn<F, R, E>(shared: &Arc<Shared>, fetch: F) -> Option<()>
where
    F: Future<Output = Result<Response<ResponseBody<R>>, E>> + Send + 'static,
    R: Body + Send + 'static,
    R::Error: Send,
{
    let slot = Slot::take(shared, |shared| &shared.refreshes)?;
    slot.run(async move {
        // What went wrong shows in the counters of the fetch itself; here nobody waits for it.
        let whole = async {
            let response = fetch.await.ok();
            if let Some(response) = response {
                let mut body = std::pin::pin!(response.into_body());
                while let Some(Ok(_)) =
                    std::future::poll_fn(|cx| body.as_mut().poll_frame(cx)).await
                {}
            }
        };
        let _ = tokio::time::timeout(REFRESH_DEADLINE, whole).await;
    });
    Some(())
}
