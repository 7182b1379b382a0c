//! Locks and transactions that a session or a worker holds while it does nothing.

use std::collections::BTreeSet;
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::time::Duration;

use crate::sql;

/// Between two looks.
const EVERY: Duration = Duration::from_secs(1);

/// Who does nothing for a second and holds something. Its state is the same in two looks: what is read of one process comes from two moments.
const HOLDERS: &str = "SELECT format('%s [%s] since %s: %s', a.backend_type, a.pid, a.state_change, \
     coalesce(string_agg(DISTINCT concat_ws(' ', l.locktype, l.relation::regclass::text, l.mode), ', '), 'a transaction')) \
     FROM pg_stat_activity a LEFT JOIN pg_locks l ON l.pid = a.pid AND l.granted AND l.locktype <> 'virtualxid' \
     WHERE a.state_change < clock_timestamp() - interval '1 second' AND a.state = 'idle' \
     AND (l.pid IS NOT NULL OR a.backend_type LIKE 'pitcrew%' AND a.xact_start IS NOT NULL) \
     GROUP BY a.backend_type, a.pid, a.state_change";

/// Looks until `stop` is closed; answers what was seen twice.
pub(super) fn run(url: &str, stop: &Receiver<()>) -> BTreeSet<String> {
    let mut held = BTreeSet::new();
    let mut before = BTreeSet::new();
    while let Err(RecvTimeoutError::Timeout) = stop.recv_timeout(EVERY) {
        // While the server recovers there is nothing to see.
        let rows = sql::run(url, &["SET pitcrew.capture = off", HOLDERS]).unwrap_or_default();
        let now: BTreeSet<String> = rows
            .into_iter()
            .filter_map(|row| row.into_iter().next()?)
            .collect();
        held.extend(now.intersection(&before).cloned());
        before = now;
    }
    held
}
