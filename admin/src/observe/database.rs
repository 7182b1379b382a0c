//! The database's key figures: asked for once a minute, by a task of its own, since a server may take its time.

use std::sync::{PoisonError, Weak};
use std::time::Duration;

use serde::Deserialize;
use tokio::time::MissedTickBehavior;

use super::metrics::{
    DB_CONNECTIONS, DB_DOWN, DB_MEAN, FAILED_JOBS, REPLICATION, Sample, WRAPAROUND,
};
use crate::Inner;
use crate::database::{Database, DatabaseError};

/// The pause between two looks.
const EVERY: Duration = Duration::from_secs(60);

const FIGURES: &str = include_str!("../database/sql/figures.sql");
const FAILED: &str = "SELECT pg_catalog.count(*) AS failed FROM pitcrew.jobs \
                      WHERE state = 'failed' AND finished_at > pg_catalog.now() - interval '1 hour'";

/// As of the last look; none where it is not known.
#[derive(Debug, Default)]
pub(crate) struct DatabaseFigures {
    is_down: Option<bool>,
    server: Server,
    failed_jobs: Option<i64>,
    mean_ms: Option<f64>,
}

#[derive(Debug, Default, Deserialize)]
struct Server {
    connections_percent: Option<f64>,
    wraparound_percent: Option<f64>,
    replication_lag_s: Option<f64>,
}

#[derive(Debug, Deserialize)]
struct Failed {
    failed: i64,
}

impl DatabaseFigures {
    pub(super) fn put(&self, sample: &mut Sample) {
        let known = |value: Option<f64>| value.map_or(f32::NAN, |value| value as f32);
        sample[DB_DOWN] = self
            .is_down
            .map_or(f32::NAN, |down| f32::from(u8::from(down)));
        sample[DB_CONNECTIONS] = known(self.server.connections_percent);
        sample[WRAPAROUND] = known(self.server.wraparound_percent);
        sample[REPLICATION] = known(self.server.replication_lag_s);
        sample[FAILED_JOBS] = self.failed_jobs.map_or(f32::NAN, |jobs| jobs as f32);
        sample[DB_MEAN] = known(self.mean_ms);
    }
}

/// Asks each minute for as long as there is somebody to ask for.
pub(crate) async fn watch(inner: Weak<Inner>) {
    let mut ticks = tokio::time::interval(EVERY);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        let Some(inner) = inner.upgrade() else { return };
        let Some(database) = &inner.database else {
            return std::future::pending().await;
        };
        let figures = ask(database).await;
        *inner
            .observed
            .database
            .lock()
            .unwrap_or_else(PoisonError::into_inner) = figures;
    }
}

async fn ask(database: &Database) -> DatabaseFigures {
    let server = match database.rows::<Server>(FIGURES, &[]).await {
        Ok(rows) => rows.into_iter().next().unwrap_or_default(),
        Err(error) => {
            return DatabaseFigures {
                is_down: Some(error == DatabaseError::Unreachable),
                ..DatabaseFigures::default()
            };
        }
    };
    // Both need the extension: without it they are not known.
    let failed = database.rows::<Failed>(FAILED, &[]).await.ok();
    let overview = database.fresh_overview().await.value.ok();
    let _ = database.begin_pool_advice().await;
    DatabaseFigures {
        is_down: Some(false),
        server,
        failed_jobs: failed.and_then(|rows| rows.first().map(|row| row.failed)),
        mean_ms: overview.and_then(|overview| overview.mean_ms),
    }
}
