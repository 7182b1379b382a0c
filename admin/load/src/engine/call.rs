//! What the host calls itself, such as a statement through a pool of its own.

use std::fmt;
use std::pin::Pin;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::runtime::Handle;
use tokio_util::task::AbortOnDropHandle;

use super::exchange::Exchange;
use super::patience::Patience;
use crate::record::{Answer, ErrorKind};

type Called = Pin<Box<dyn Future<Output = Result<(), ErrorKind>> + Send>>;

/// What is called, and where.
pub(super) struct Work {
    call: Box<dyn Fn() -> Called + Send + Sync>,
    runtime: Handle,
    timeout: Duration,
}

impl fmt::Debug for Work {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Work").finish_non_exhaustive()
    }
}

impl Work {
    pub(super) fn new<F, C>(call: F, runtime: Handle, timeout: Duration) -> Self
    where
        F: Fn() -> C + Send + Sync + 'static,
        C: Future<Output = Result<(), ErrorKind>> + Send + 'static,
    {
        Self {
            call: Box::new(move || Box::pin(call())),
            runtime,
            timeout,
        }
    }
}

/// One caller, which calls again once its last call has ended.
pub(super) struct Connection {
    work: Arc<Work>,
    patience: Patience,
}

impl Connection {
    pub(super) fn new(work: Arc<Work>) -> Self {
        Self {
            patience: Patience::new(work.timeout),
            work,
        }
    }

    /// Calls once. On the host's runtime: what the host keeps between its calls, such as connections, lives there.
    pub(super) async fn send(&mut self) -> Exchange {
        let sent = Instant::now();
        let call = Arc::clone(&self.work);
        // Ended with whoever waits for it: a run that is over leaves no call behind.
        let task = self.work.runtime.spawn(async move { (call.call)().await });
        let outcome = match self.patience.wait(sent, AbortOnDropHandle::new(task)).await {
            Some(Ok(outcome)) => outcome.map(|()| Answer::BARE),
            // It panicked, or its runtime has ended.
            Some(Err(_)) => Err(ErrorKind::Protocol),
            None => Err(ErrorKind::Timeout),
        };
        Exchange {
            sent,
            ended: Instant::now(),
            outcome,
        }
    }
}
