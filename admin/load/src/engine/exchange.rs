//! One request and what came of it, of any protocol.

use std::time::{Duration, Instant};

use crate::record::{Answer, ErrorKind};

/// Connecting takes at most a second: an unreachable target is to be known soon.
pub(super) const CONNECT_TIMEOUT: Duration = Duration::from_secs(1);
/// After a refused connection the next try waits, so that a dead target is not hammered.
const PAUSE_AFTER_REFUSAL: Duration = Duration::from_millis(50);

/// So often a request that never left is sent again.
const MAX_AGAIN: u32 = 10;

/// What came of one request.
pub(super) struct Exchange {
    pub(super) sent: Instant,
    pub(super) ended: Instant,
    pub(super) outcome: Result<Answer, ErrorKind>,
}

/// Whoever wants to know more of an answer than how it ended.
pub(super) trait Listen {
    /// An answer begins; what was heard before was of another.
    fn begin(&mut self) {}
    fn header(&mut self, name: &str, value: &[u8]) {
        let _ = (name, value);
    }
    /// Some of its body.
    fn data(&mut self, bytes: &[u8]) {
        let _ = bytes;
    }
}

/// Nobody.
impl Listen for () {}

#[cfg(feature = "scripts")]
impl Listen for crate::script::Reply {
    fn begin(&mut self) {
        Self::begin(self);
    }

    fn header(&mut self, name: &str, value: &[u8]) {
        Self::header(self, name, value);
    }

    fn data(&mut self, bytes: &[u8]) {
        Self::data(self, bytes);
    }
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
    /// Tries again where a connection that was kept has ended meanwhile: what the target closed while nobody spoke is no error, for the
    /// request never left. A target that ends every connection so is tried [`MAX_AGAIN`] times.
    pub(super) async fn of(mut attempt: impl AsyncFnMut(Instant) -> Attempt) -> Self {
        let begin = Instant::now();
        for _ in 0..=MAX_AGAIN {
            match attempt(begin).await {
                Attempt::Made(exchange) => return exchange,
                Attempt::NeverSent { was_kept: true } => {}
                Attempt::NeverSent { was_kept: false } => break,
            }
        }
        Self {
            sent: begin,
            ended: Instant::now(),
            outcome: Err(ErrorKind::Reset),
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
