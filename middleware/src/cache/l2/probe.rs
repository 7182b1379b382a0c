//! Whether Redis answers, asked on behalf of a health check: without traffic nobody else would notice.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use tokio::sync::Mutex;

use super::{BACKGROUND_TIMEOUT, L2, follower};
use crate::cache::runtime;

/// A probe's answer is at most so old.
const PROBE_AGE: Duration = Duration::from_secs(2);

/// When Redis was probed last, and whether it answered.
#[derive(Default)]
pub(super) struct Probe(Mutex<Option<(Instant, bool)>>);

impl L2 {
    /// Asked at most once in [`PROBE_AGE`], whoever wants to know. What it finds the breaker learns too, so that requests
    /// need not find it out by their own time-outs.
    pub(in crate::cache) async fn probe(self: &Arc<Self>) -> bool {
        if !runtime::has_one() {
            return false;
        }
        follower::ensure(self);
        let key = self.scripts.key();
        let breaker = self.breakers.of(key);
        let mut last = self.probe.0.lock().await;
        if let Some((at, answered)) = *last
            && at.elapsed() < PROBE_AGE
        {
            // Traffic may know better meanwhile.
            return answered && !breaker.is_open();
        }
        // In a cluster, the master of the purges: without it nothing is read from any.
        let mut ping = redis::cmd("EXISTS");
        ping.arg(key);
        let asked = self.call::<()>(&ping, 0, BACKGROUND_TIMEOUT).await;
        let answered = self.judged(key, asked).is_some();
        if !answered {
            breaker.open();
        }
        *last = Some((Instant::now(), answered));
        answered
    }
}
