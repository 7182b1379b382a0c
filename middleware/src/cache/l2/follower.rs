//! Following the purges of all instances.
//!
//! A connection of its own blocks on the Stream (`XREAD BLOCK`), so a purge is heard as soon as it was made, and an idle
//! instance asks once a second; polling as fast would be a hundred times the commands. Once a second a script reads
//! records and header together, so that what counts as the last record is known to be all there was.

use std::{
    collections::VecDeque,
    sync::{Arc, Weak, atomic::Ordering},
    time::{Duration, Instant},
};

use redis::aio::MultiplexedConnection;

use super::{
    BACKGROUND_TIMEOUT, L2,
    opener::Opener,
    pool::CallError,
    script::{self, BATCH, FollowReply, TableReply, WaitReply},
    task::Running,
};
use crate::cache::{invalidation::Action, runtime};

/// Longest time between two looks at the header.
const HEARTBEAT: Duration = Duration::from_secs(1);
/// Pause before a connection that was lost is opened again.
const RETRY_AFTER: Duration = Duration::from_millis(250);

/// Starts the task unless it runs.
pub(super) fn ensure(l2: &Arc<L2>) {
    if l2.ended.load(Ordering::Acquire) {
        return;
    }
    let Some(runtime) = runtime::current() else {
        return;
    };
    let Some(running) = Running::claim(l2, |l2| &l2.following) else {
        return;
    };
    let opener = l2.pool.opener().clone();
    runtime.spawn(async move {
        while let Err(error) = follow(&running.l2, &opener).await {
            let Some(l2) = running.l2.upgrade() else {
                return;
            };
            l2.lost(&error);
            drop(l2);
            tokio::time::sleep(RETRY_AFTER).await;
        }
    });
}

/// Follows as long as the connection lasts; `Ok` when nobody wants it any more.
async fn follow(level: &Weak<L2>, opener: &Opener) -> Result<(), CallError> {
    let Some(key) = wanted(level).map(|l2| l2.scripts.key().to_owned()) else {
        return Ok(());
    };
    let mut connection = opener.open_at(&key).await?;
    connection.set_response_timeout(HEARTBEAT + BACKGROUND_TIMEOUT);
    let mut place = Place {
        cursor: 0,
        heartbeat: Instant::now(),
    };
    let mut actions = match wanted(level) {
        Some(l2) => l2.invalidation.tell(|log, table| log.connected(table)),
        None => return Ok(()),
    };
    loop {
        // Held only between the waits: the task must not keep a dropped level alive.
        let Some(l2) = wanted(level) else {
            return Ok(());
        };
        l2.carry_out(actions, &mut place, &mut connection).await?;
        let longest = HEARTBEAT.saturating_sub(place.heartbeat.elapsed());
        let waiting = l2.scripts.wait(place.cursor, longest);
        drop(l2);
        let reply: WaitReply = waiting.query_async(&mut connection).await?;
        let Some(l2) = wanted(level) else {
            return Ok(());
        };
        actions = l2.heard(reply, &mut place)?;
        if place.heartbeat.elapsed() >= HEARTBEAT {
            actions.extend(l2.read_on(&mut place, &mut connection).await?);
        }
    }
}

/// How far a connection has come.
struct Place {
    /// All records up to this one were read.
    cursor: u64,
    /// When the log was told what the header says. Told with each record it would send again what is under way, and that
    /// would be a record for everybody.
    heartbeat: Instant,
}

fn wanted(level: &Weak<L2>) -> Option<Arc<L2>> {
    let level = level.upgrade()?;
    (!level.ended.load(Ordering::Acquire)).then_some(level)
}

impl L2 {
    /// Does what the log asks for.
    async fn carry_out(
        self: &Arc<Self>,
        actions: Vec<Action>,
        place: &mut Place,
        connection: &mut MultiplexedConnection,
    ) -> Result<(), CallError> {
        let mut commands = Vec::new();
        let mut actions = VecDeque::from(actions);
        while let Some(action) = actions.pop_front() {
            match action {
                Action::Send(command) => commands.push(command),
                Action::Follow(after) => place.cursor = after,
                Action::ReadTable(highest) => {
                    let asked = self.clock.now();
                    let reply: TableReply =
                        self.scripts.table(highest).query_async(connection).await?;
                    let snapshot = script::snapshot(reply)?;
                    self.counters.table_reads.fetch_add(1, Ordering::Relaxed);
                    actions.extend(
                        self.invalidation
                            .tell(|log, table| log.snapshot(table, asked, &snapshot)),
                    );
                }
            }
        }
        self.settled.store(true, Ordering::Release);
        self.moved.notify_waiters();
        self.purge_in_background(commands);
        Ok(())
    }

    /// Tells the log the records that the blocking read has brought. Each names the one before it, so a gap shows.
    fn heard(&self, reply: WaitReply, place: &mut Place) -> Result<Vec<Action>, CallError> {
        let records = reply.into_iter().flatten().flat_map(|(_, records)| records);
        let mut actions = Vec::new();
        for record in records {
            let record = script::record(&record)?;
            place.cursor = record.position;
            actions.extend(
                self.invalidation
                    .tell(|log, table| log.record(table, &record)),
            );
        }
        Ok(actions)
    }

    /// Tells the log the records after the cursor, and what the header says.
    async fn read_on(
        &self,
        place: &mut Place,
        connection: &mut MultiplexedConnection,
    ) -> Result<Vec<Action>, CallError> {
        let asked = self.clock.now();
        let reply: FollowReply = self
            .scripts
            .follow(place.cursor)
            .query_async(connection)
            .await?;
        let (last, records) = reply;
        let records: Vec<_> = records
            .iter()
            .map(script::record)
            .collect::<Result<_, _>>()?;
        if let Some(record) = records.last() {
            place.cursor = record.position;
        }
        Ok(self.invalidation.tell(|log, table| {
            let told = records.iter().flat_map(|record| log.record(table, record));
            let mut actions: Vec<_> = told.collect();
            // Short of the last record the header's word would look like a gap.
            if records.len() < BATCH {
                place.heartbeat = Instant::now();
                actions.extend(log.heartbeat(table, asked, last));
            }
            actions
        }))
    }

    fn lost(&self, error: &CallError) {
        let was_connected = self.invalidation.is_connected(self.clock.now());
        self.invalidation.tell(|log, table| log.disconnected(table));
        self.settled.store(true, Ordering::Release);
        self.moved.notify_waiters();
        self.counters.failed(error);
        if was_connected || matches!(error, CallError::Foreign) {
            tracing::warn!(%error, "purges of other instances cannot be heard; nothing is read from Redis");
        } else {
            tracing::debug!(%error, "purges of other instances still cannot be heard");
        }
    }
}
