//! What outlives the process in the database, where the app wants it there: alerts, the audit, minutes and hours of the key figures.
//!
//! The parts go on in memory as they do without it; a task copies what is new each second, and reads what an earlier process of the
//! same instance has left before it writes the first of its own. While the database is away the copies wait for it.

mod table;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::{Duration, Instant};

use serde::Serialize;
use serde_json::{Value, json};
use tokio::time::MissedTickBehavior;

use crate::Inner;
use crate::alerts::Alert;
use crate::audit::{Chain, Entry, KEPT};
use crate::database::{Database, DatabaseError};
use crate::history::{Point, STEPS};
use crate::observe::metrics::METRICS;
use crate::observe::{number, time};
pub(crate) use table::Row;

/// The pause between two copies.
const EVERY: Duration = Duration::from_secs(1);
/// How long alerts wait for what an earlier process has left.
const PATIENCE: Duration = Duration::from_secs(30);
/// What is too old, or too much, goes once an hour.
const PRUNED_EVERY: u32 = 3_600;

/// What an instance keeps in the database.
#[derive(Debug)]
pub(crate) struct Keep {
    /// None where the app does not want it.
    instance: Option<String>,
    began: Instant,
    state: Mutex<State>,
}

#[derive(Debug, Clone, Default)]
struct State {
    /// Whether what was left is known, so that it is gone on from.
    is_loaded: bool,
    /// What is there up to these.
    alert: u64,
    audit: u64,
    points: [i64; STEPS.len()],
    /// Why nothing could be kept the last time.
    trouble: Option<DatabaseError>,
}

/// Whether and where it is kept, for `GET /config`.
#[derive(Debug, Serialize)]
pub(crate) struct Told {
    is_wanted: bool,
    /// Whether all of it is there, but for the last second.
    is_kept: bool,
    detail: String,
}

impl Keep {
    pub(crate) fn new(instance: Option<String>) -> Self {
        let state = State {
            points: [i64::MIN; STEPS.len()],
            ..State::default()
        };
        Self {
            instance,
            began: Instant::now(),
            state: Mutex::new(state),
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether what an earlier process has left is known, or cannot be: until then nobody is told of an alert that may be an old one.
    pub(crate) fn is_ready(&self) -> bool {
        if self.instance.is_none() || self.began.elapsed() > PATIENCE {
            return true;
        }
        let state = self.state();
        state.is_loaded || state.trouble.is_some()
    }

    pub(crate) fn told(&self) -> Told {
        let state = self.state();
        let is_kept = state.is_loaded && state.trouble.is_none();
        let detail = match (&self.instance, &state.trouble) {
            (None, _) => "alerts, audit and history end with the process".to_owned(),
            (Some(_), Some(trouble)) => format!("nothing is kept now: {trouble}"),
            (Some(name), None) if is_kept => format!("in pitcrew_admin.kept, as `{name}`"),
            (Some(_), None) => "the database has not been asked yet".to_owned(),
        };
        Told {
            is_wanted: self.instance.is_some(),
            is_kept,
            detail,
        }
    }

    /// Looks through the last entries of the audit that are kept, and takes down in `chain` what is not as it was written.
    pub(crate) async fn look_through(&self, inner: &Inner, chain: &mut Chain) {
        let (Some(instance), Some(database)) = (&self.instance, &inner.database) else {
            return;
        };
        let until = self.state().audit;
        if until == 0 {
            return;
        }
        let from = until.saturating_sub(KEPT as u64);
        let broken = match table::read(database, instance, "audit", from as i64, until as i64).await
        {
            Ok(rows) => inner.audit.broken_copy(&entries(&rows), from, until),
            Err(error) => {
                chain.detail = format!("{}; the database was not looked at: {error}", chain.detail);
                return;
            }
        };
        chain.kept_in = "database";
        if let Some(seq) = broken {
            chain.is_intact = false;
            chain.first_broken_seq = Some(seq);
            chain.detail = format!(
                "entry {seq} in the database is not what was written there: somebody has changed the audit"
            );
        }
    }

    /// Copies what is new; reads first what was left.
    pub(crate) async fn copy(&self, inner: &Inner) {
        let (Some(instance), Some(database)) = (&self.instance, &inner.database) else {
            return;
        };
        let done = async {
            if !self.state().is_loaded {
                self.load(inner, database, instance).await?;
            }
            self.write(inner, database, instance).await
        };
        let done = done.await;
        let mut state = self.state();
        if let Err(DatabaseError::Twice) = &done {
            // Another process of this name has written meanwhile: go on from there.
            state.is_loaded = false;
        }
        state.trouble = done.err().filter(|error| *error != DatabaseError::Twice);
    }

    async fn load(
        &self,
        inner: &Inner,
        database: &Database,
        instance: &str,
    ) -> Result<(), DatabaseError> {
        table::make(database).await?;
        let last = |kind, count: usize| table::last(database, instance, kind, count as i64);
        let alerts = last("alert", crate::alerts::KEPT).await?;
        let audit = last("audit", KEPT).await?;
        let mut kept = Vec::new();
        for step in &STEPS[1..] {
            kept.push(last(step.name, step.points).await?);
        }
        let written = self.state().clone();
        let alerts: Vec<_> = alerts
            .iter()
            .filter_map(|row| Alert::read(&row.body))
            .collect();
        let alert = inner.alerts.go_on(alerts, written.alert);
        let audit = inner.audit.go_on(entries(&audit), written.audit);
        let mut state = self.state();
        (state.alert, state.audit) = (alert, audit);
        for (place, rows) in (1..).zip(&kept) {
            if let Some(last) = rows.last() {
                state.points[place] = state.points[place].max(last.id);
            }
            inner.history.go_on(&STEPS[place], rows.iter().map(point));
        }
        state.is_loaded = true;
        Ok(())
    }

    async fn write(
        &self,
        inner: &Inner,
        database: &Database,
        instance: &str,
    ) -> Result<(), DatabaseError> {
        let mut next = self.state().clone();
        let mut rows = Vec::new();
        for alert in inner.alerts.after(next.alert) {
            next.alert = alert.id;
            rows.push(Row::new("alert", alert.id as i64, &alert.at, json!(alert)));
        }
        for entry in inner.audit.after(next.audit) {
            let seq = entry.fact.seq;
            next.audit = seq;
            rows.push(Row::new("audit", seq as i64, &entry.fact.at, json!(entry)));
        }
        for (place, step) in STEPS.iter().enumerate().skip(1) {
            for point in inner.history.closed_after(step, next.points[place]) {
                next.points[place] = point.unix_s;
                rows.push(Row::new(
                    step.name,
                    point.unix_s,
                    &time(point.unix_s),
                    body(&point),
                ));
            }
        }
        if !rows.is_empty() {
            table::write(database, instance, &rows).await?;
            let mut state = self.state();
            (state.alert, state.audit, state.points) = (next.alert, next.audit, next.points);
        }
        Ok(())
    }
}

/// Copies each second for as long as there is somebody to copy for.
pub(crate) async fn watch(inner: Weak<Inner>) {
    let mut ticks = tokio::time::interval(EVERY);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    for tick in 0_u32.. {
        ticks.tick().await;
        let Some(inner) = inner.upgrade() else { return };
        let (Some(instance), Some(database)) = (&inner.keep.instance, &inner.database) else {
            return std::future::pending().await;
        };
        inner.keep.copy(&inner).await;
        if tick % PRUNED_EVERY == PRUNED_EVERY - 1 {
            // What was not taken away now is the next time.
            let _ = table::prune(database, instance).await;
        }
    }
}

fn entries(rows: &[Row]) -> Vec<Entry> {
    let read = |row: &Row| serde_json::from_value(row.body.clone()).ok();
    rows.iter().filter_map(read).collect()
}

/// The figures that are known, by name: mean and maximum.
fn body(point: &Point) -> Value {
    let known = METRICS.iter().enumerate();
    let known = known.filter(|(place, _)| point.mean[*place].is_finite());
    let known = known.map(|(place, metric)| {
        let both = json!([number(point.mean[place]), number(point.max[place])]);
        (metric.name.to_owned(), both)
    });
    Value::Object(known.collect())
}

fn point(row: &Row) -> Point {
    let figure = |name: &str, which: usize| {
        let kept = row.body.get(name).and_then(|both| both[which].as_f64());
        kept.map_or(f32::NAN, |value| value as f32)
    };
    Point {
        unix_s: row.id,
        mean: METRICS.map(|metric| figure(metric.name, 0)),
        max: METRICS.map(|metric| figure(metric.name, 1)),
    }
}

/// The last copy of a process that ends.
pub(crate) async fn last(inner: &Arc<Inner>) {
    inner.keep.copy(inner).await;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_point_is_read_as_it_was_written_and_what_was_not_known_stays_so() {
        let mut point = Point {
            unix_s: 60,
            mean: [f32::NAN; METRICS.len()],
            max: [f32::NAN; METRICS.len()],
        };
        (point.mean[3], point.max[3]) = (1.5, 2.25);
        let row = Row::new("minute", 60, "1970-01-01T00:01:00Z", body(&point));
        let read = super::point(&row);
        assert_eq!((read.unix_s, read.mean[3], read.max[3]), (60, 1.5, 2.25));
        assert_eq!(
            read.mean.iter().filter(|value| value.is_finite()).count(),
            1
        );
    }
}
