//! The overview, kept for a while: whoever shows it waits for a fresh one only so long, and says how old it is.

use std::sync::Arc;
use std::time::{Duration, Instant};

use serde::Serialize;
use tokio::sync::{Mutex, watch};

use super::analysis::Overview;
use super::client::Database;
use super::error::DatabaseError;

/// An answer passes for fresh for so long.
const FRESH: Duration = Duration::from_secs(2);
/// How long a page waits for a fresh one where there is an older one to show.
const PATIENCE: Duration = Duration::from_millis(10);

type Found = Result<Overview, DatabaseError>;

/// What was answered, and when it was asked for.
type Known = Option<(Instant, Found)>;

/// An answer that may be older than the question.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Recent<T> {
    /// Seconds since the database was asked.
    pub(crate) age_s: f64,
    #[serde(flatten)]
    pub(crate) value: T,
}

/// The last overview.
#[derive(Debug)]
pub(super) struct Kept {
    known: watch::Sender<Known>,
    /// Held by the one who asks.
    asking: Arc<Mutex<()>>,
}

impl Kept {
    pub(super) fn new() -> Self {
        Self {
            known: watch::Sender::new(None),
            asking: Arc::default(),
        }
    }

    fn known(&self) -> Option<Recent<Found>> {
        let known = self.known.borrow();
        known.as_ref().map(|(asked, found)| Recent {
            age_s: tenths(asked.elapsed()),
            value: found.clone(),
        })
    }

    fn fresh(&self) -> Option<Recent<Found>> {
        let is_fresh = is_fresh(&self.known.borrow());
        is_fresh.then(|| self.known()).flatten()
    }
}

fn is_fresh(known: &Known) -> bool {
    known
        .as_ref()
        .is_some_and(|(asked, _)| asked.elapsed() < FRESH)
}

fn tenths(age: Duration) -> f64 {
    (age.as_secs_f64() * 10.0).round() / 10.0
}

impl Database {
    /// The overview: at most two seconds old where the database answers at once, else the last one that there is. The first one is
    /// waited for.
    pub(crate) async fn recent_overview(self: &Arc<Self>) -> Recent<Found> {
        if let Some(fresh) = self.kept.fresh() {
            return fresh;
        }
        if self.kept.known().is_none() {
            return self.fresh_overview().await;
        }
        // One asks, for all who come meanwhile, and goes on when they have gone.
        if let Ok(asking) = Arc::clone(&self.kept.asking).try_lock_owned() {
            let database = Arc::clone(self);
            tokio::spawn(async move {
                database.ask_and_keep().await;
                drop(asking);
            });
        }
        let mut known = self.kept.known.subscribe();
        let _ = tokio::time::timeout(PATIENCE, known.wait_for(is_fresh)).await;
        match self.kept.known() {
            Some(known) => known,
            None => self.fresh_overview().await,
        }
    }

    /// The overview, two seconds old at most; kept for those who do not wait.
    pub(crate) async fn fresh_overview(&self) -> Recent<Found> {
        let _asking = self.kept.asking.lock().await;
        match self.kept.fresh() {
            Some(fresh) => fresh,
            None => self.ask_and_keep().await,
        }
    }

    async fn ask_and_keep(&self) -> Recent<Found> {
        let asked = Instant::now();
        let found = self.overview().await;
        self.kept.known.send_replace(Some((asked, found.clone())));
        Recent {
            age_s: tenths(asked.elapsed()),
            value: found,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_page_shows_the_last_overview_while_the_database_takes_its_time() {
        // Nobody listens on port 1.
        let database = Database::new("postgres://user@127.0.0.1:1/db").expect("parses");
        let database = Arc::new(database);
        let old = Overview {
            server_version: "15.0".to_owned(),
            database: "db".to_owned(),
            size_bytes: 1,
            connections: 1,
            max_connections: 100,
            buffer_hit_percent: None,
            extension_version: None,
            mean_ms: None,
        };
        let asked = Instant::now().checked_sub(Duration::from_secs(60));
        let known = (asked.expect("the clock is older"), Ok(old));
        database.kept.known.send_replace(Some(known));
        let asking = database.kept.asking.lock().await;
        let shown = database.recent_overview().await;
        assert!(shown.age_s >= 60.0 && shown.value.is_ok(), "{shown:?}");
        drop(asking);
        // One is asked for from now on, and whoever comes later has it.
        let begin = Instant::now();
        while database.recent_overview().await.value.is_ok() {
            assert!(begin.elapsed() < Duration::from_secs(60), "nobody asks");
            tokio::task::yield_now().await;
        }
        let shown = database.recent_overview().await;
        assert!(shown.age_s < 60.0 && shown.value.is_err(), "{shown:?}");
    }
}
