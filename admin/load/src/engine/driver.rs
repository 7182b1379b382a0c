//! What moves a connection's bytes, in the task of whoever waits for an answer.

use std::future::poll_fn;
use std::pin::{Pin, pin};
use std::task::Poll;

/// A library's connection future. Were it a task of its own, each request would wake one task from another twice.
///
/// It is dropped once it has ended: only then those who wait for its answers learn of that.
pub(super) struct Driver<C>(Option<Pin<Box<C>>>);

impl<C: Future> Driver<C> {
    pub(super) fn new(connection: C) -> Self {
        Self(Some(Box::pin(connection)))
    }

    /// Drives the connection along until the future is done.
    pub(super) async fn until<F: Future>(&mut self, future: F) -> F::Output {
        let mut future = pin!(future);
        poll_fn(|cx| {
            if let Poll::Ready(output) = future.as_mut().poll(cx) {
                return Poll::Ready(output);
            }
            if let Some(connection) = &mut self.0
                && connection.as_mut().poll(cx).is_ready()
            {
                self.0 = None;
            }
            future.as_mut().poll(cx)
        })
        .await
    }

    /// Drives the connection along until it has ended.
    #[cfg(feature = "postgres")]
    pub(super) async fn end(&mut self) {
        if let Some(connection) = &mut self.0 {
            let _ = connection.await;
        }
        self.0 = None;
    }
}
