//! Purges on their way to Redis.

use std::{
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use super::{BACKGROUND_TIMEOUT, DEFAULT_TIMEOUT, L2, follower};
use crate::cache::{
    invalidation::{Command, PurgeState},
    own_writes::Token,
    runtime,
};

/// Purges in one round trip.
const BATCH: usize = 64;

impl L2 {
    /// Tells Redis, and waits until this instance reads it back from the Stream: from there on L2 may be read again.
    pub(in crate::cache) async fn purge(self: &Arc<Self>, command: Command) -> PurgeState {
        follower::ensure(self);
        // Without one nothing can be waited for; the follower sends it when there is.
        if !runtime::has_one() {
            return PurgeState::Pending;
        }
        let number = command.number;
        let longest = self.timeout.max(DEFAULT_TIMEOUT);
        let telling = async {
            if self.send(&[command], longest).await {
                self.until(|l2| l2.invalidation.is_done(number)).await;
            }
        };
        // Where this takes longer, or fails, the follower sends it again.
        let _ = tokio::time::timeout(longest, telling).await;
        if self.invalidation.is_done(number) {
            PurgeState::Done
        } else {
            PurgeState::Pending
        }
    }

    /// Waits until these purges, which are on their way, are read back, as long as a request waits for Redis; answers
    /// whether they were.
    pub(in crate::cache) async fn confirmed(self: &Arc<Self>, numbers: &[u64]) -> bool {
        let is_done = |l2: &Self| {
            let mut numbers = numbers.iter();
            numbers.all(|number| l2.invalidation.is_done(*number))
        };
        if !runtime::has_one() {
            return is_done(self);
        }
        let confirming = self.until(is_done);
        let _ = tokio::time::timeout(self.timeout.max(DEFAULT_TIMEOUT), confirming).await;
        is_done(self)
    }

    /// Waits until this instance has applied the purges that a client has seen, as long as a request waits for Redis;
    /// answers whether it has.
    pub(in crate::cache) async fn reached(self: &Arc<Self>, token: &Token) -> bool {
        follower::ensure(self);
        let is_reached = |l2: &Self| token.is_reached(|purges| l2.invalidation.has_reached(purges));
        if runtime::has_one() && token.can_be_reached() {
            let reaching = self.until(is_reached);
            let _ = tokio::time::timeout(self.timeout, reaching).await;
        }
        is_reached(self)
    }

    /// [`Self::purge`] for those who do not wait. What is lost on the way the follower sends again.
    pub(in crate::cache) fn purge_in_background(self: &Arc<Self>, commands: Vec<Command>) {
        follower::ensure(self);
        let Some(runtime) = runtime::current() else {
            return;
        };
        if commands.is_empty() {
            return;
        }
        let l2 = self.clone();
        runtime.spawn(async move { l2.send(&commands, BACKGROUND_TIMEOUT).await });
    }

    async fn send(&self, commands: &[Command], timeout: Duration) -> bool {
        for commands in commands.chunks(BATCH) {
            let mut pipeline = redis::pipe();
            for command in commands {
                self.scripts.purge(&mut pipeline, command);
            }
            let sent = self.call::<Vec<u64>>(&pipeline, 0, timeout).await;
            let Some(positions) = self.judged(self.scripts.key(), sent) else {
                return false;
            };
            self.invalidation.tell(|log, _| {
                for (command, position) in commands.iter().zip(positions) {
                    log.accepted(command.number, position);
                }
            });
        }
        true
    }

    /// Waits for the follower to get so far.
    pub(super) async fn until(&self, holds: impl Fn(&Self) -> bool) {
        loop {
            let moved = self.moved.notified();
            if holds(self) {
                return;
            }
            moved.await;
        }
    }

    /// Whether it is known by now if there is a Redis to follow.
    pub(super) fn is_settled(&self) -> bool {
        self.settled.load(Ordering::Acquire)
    }
}
