//! A timeout for one request after the other that costs a timer only when it is near.

use std::future::poll_fn;
use std::pin::{Pin, pin};
use std::task::Poll;
use std::time::{Duration, Instant};

use tokio::task::unconstrained;
use tokio::time::Sleep;

/// Waits no longer than a fixed time for each of many futures. The timer is set once and moved on only when it fires, so
/// that a request which is answered soon touches no timer wheel.
pub(super) struct Patience {
    timeout: Duration,
    timer: Option<Pin<Box<Sleep>>>,
}

impl Patience {
    pub(super) fn new(timeout: Duration) -> Self {
        Self {
            timeout,
            timer: None,
        }
    }

    /// The future's output; `None` when it is not there in time after `begin`.
    pub(super) async fn wait<F: Future>(&mut self, begin: Instant, future: F) -> Option<F::Output> {
        let deadline = begin + self.timeout;
        let timer = self
            .timer
            .get_or_insert_with(|| Box::pin(tokio::time::sleep_until(deadline.into())));
        let mut future = pin!(future);
        poll_fn(|cx| {
            if let Poll::Ready(output) = future.as_mut().poll(cx) {
                return Poll::Ready(Some(output));
            }
            // It was set for a request before, so it is never too late for this one. Asked outside of the task's budget (tokio's
            // cooperative scheduling): a peer that always has something to say would use that up, and no timer would ever fire.
            while pin!(unconstrained(timer.as_mut())).poll(cx).is_ready() {
                if Instant::now() >= deadline {
                    return Poll::Ready(None);
                }
                timer.as_mut().reset(deadline.into());
            }
            Poll::Pending
        })
        .await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_future_that_uses_up_the_task_s_budget_has_no_more_time_than_another() {
        let mut patience = Patience::new(Duration::from_millis(20));
        let busy = async {
            loop {
                tokio::task::consume_budget().await;
            }
        };
        assert!(patience.wait(Instant::now(), busy).await.is_none());
    }

    #[tokio::test]
    async fn each_future_has_its_own_time_from_its_own_beginning() {
        let mut patience = Patience::new(Duration::from_millis(40));
        for _ in 0..5 {
            let begin = Instant::now();
            let soon = tokio::time::sleep(Duration::from_millis(15));
            assert!(patience.wait(begin, soon).await.is_some());
        }
        let begin = Instant::now();
        let never = std::future::pending::<()>();
        assert!(patience.wait(begin, never).await.is_none());
        assert!(begin.elapsed() >= Duration::from_millis(40));
        // And the next one has all of it again.
        let begin = Instant::now();
        let soon = tokio::time::sleep(Duration::from_millis(15));
        assert!(patience.wait(begin, soon).await.is_some());
    }
}
