//! One request and what came of it, of any protocol.

use std::time::{Duration, Instant};

use crate::record::{Answer, ErrorKind};

/// Connecting takes at most a second: an unreachable target is to be known soon.
pub(super) const CONNECT_TIMEOUT: Duration = Duration::from_secs(1);
/// After a refused connection the next try waits, so that a dead target is not hammered.
const PAUSE_AFTER_REFUSAL: Duration = Duration::from_millis(50);

/// What came of one request.
pub(super) struct Exchange {
    pub(super) sent: Instant,
    pub(super) ended: Instant,
    pub(super) outcome: Result<Answer, ErrorKind>,
}

/// What came of one try to send it.
pub(super) enum Attempt {
    Made(Exchange),
    /// The connection had ended before the request was written.
    NeverSent {
        /// Whether the connection was there before.
        was_kept: bool,
    },
}

impl Exchange {
    /// Tries once more where a connection that was kept has ended meanwhile: what the target closed while nobody spoke is no
    /// error, for the request never left.
    pub(super) async fn of(mut attempt: impl AsyncFnMut(Instant) -> Attempt) -> Self {
        let begin = Instant::now();
        let made = match attempt(begin).await {
            Attempt::NeverSent { was_kept: true } => attempt(begin).await,
            other => other,
        };
        match made {
            Attempt::Made(exchange) => exchange,
            Attempt::NeverSent { .. } => Self {
                sent: begin,
                ended: Instant::now(),
                outcome: Err(ErrorKind::Reset),
            },
        }
    }

    /// There is no connection to send it on.
    pub(super) async fn refused(begin: Instant, outcome: Result<Answer, ErrorKind>) -> Self {
        let ended = Instant::now();
        pause_after_refusal().await;
        Self {
            sent: begin,
            ended,
            outcome,
        }
    }
}

pub(super) async fn pause_after_refusal() {
    tokio::time::sleep(PAUSE_AFTER_REFUSAL).await;
}
