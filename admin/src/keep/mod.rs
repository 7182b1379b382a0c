//! What outlives the process in the database, where the app wants it there: alerts, the audit, minutes and hours of the key figures,
//! marks on the time axis, the map of heat, reports of cycles, and what operators have ordered for a while.
//!
//! The parts go on in memory as they do without it; a task copies what is new each second, and reads what an earlier process of the
//! same instance has left before it writes the first of its own. While the database is away the copies wait for it.

mod orders;
mod rows;
mod table;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::{Duration, Instant};

use serde::Serialize;
use tokio::time::MissedTickBehavior;

use crate::Inner;
use crate::audit::{Chain, Filter, Found, KEPT};
use crate::database::{Database, DatabaseError};
use crate::heat::Heat;
use crate::history::{MARKS, STEPS};
use crate::observe::time;
use orders::Orders;

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
    mark: u64,
    cycle: u64,
    heat: i64,
    points: [i64; STEPS.len()],
    /// The last orders that are there.
    orders: (i64, Orders),
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
            heat: i64::MIN,
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
            (None, _) => {
                "alerts, audit, history, marks and the map of heat end with the process".to_owned()
            }
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
        let broken = match table::read(database, instance, rows::AUDIT, from as i64, until as i64)
            .await
        {
            Ok(rows) => inner.audit.broken_copy(&rows::entries(&rows), from, until),
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

    /// Entries of the audit that are kept, older than `before`, the newest first; none where the database has none.
    pub(crate) async fn audit(
        &self,
        inner: &Inner,
        before: Option<u64>,
        limit: usize,
        filter: &Filter,
    ) -> Result<Option<Found>, DatabaseError> {
        let written = self.state().audit;
        let (Some(instance), Some(database), 1..) = (&self.instance, &inner.database, written)
        else {
            return Ok(None);
        };
        let before = before.map_or(i64::MAX, |before| i64::try_from(before).unwrap_or(i64::MAX));
        let one_more = limit as i64 + 1;
        let rows = table::audit(database, instance, before, one_more, filter).await?;
        let mut entries = rows::entries(&rows);
        entries.truncate(limit);
        Ok(Some(Found {
            is_more: rows.len() > limit,
            looked_to: entries.last().map(|entry| entry.fact.seq),
            entries,
        }))
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
        let alerts = last(rows::ALERT, crate::alerts::KEPT).await?;
        let audit = last(rows::AUDIT, KEPT).await?;
        let marks = last(rows::MARK, MARKS).await?;
        let cycles = last(rows::CYCLE, crate::optimizer::KEPT).await?;
        let heat = last(rows::HEAT, Heat::KEPT).await?;
        let orders = last(rows::ORDERS, 1).await?;
        let mut kept = Vec::new();
        for step in &STEPS[1..] {
            kept.push(last(step.name, step.points).await?);
        }
        let written = self.state().clone();
        let alert = rows::last_id(&alerts, written.alert);
        let mark = rows::last_id(&marks, written.mark);
        let cycle = rows::last_id(&cycles, written.cycle);
        inner
            .alerts
            .go_on(rows::alerts(&alerts), alert, written.alert);
        let audit = inner.audit.go_on(rows::entries(&audit), written.audit);
        inner
            .history
            .go_on_marks(rows::marks(&marks), mark, written.mark);
        inner
            .cycles
            .go_on(rows::cycles(&cycles), cycle, written.cycle);
        inner
            .heat
            .go_on(rows::columns(&heat), inner.observed.unix_s());
        let mut state = self.state();
        (state.alert, state.audit, state.mark) = (alert, audit, mark);
        state.cycle = cycle;
        if let Some(last) = orders.last() {
            let orders = rows::orders(last);
            state.orders = (last.id, orders.clone());
            orders.take_over(inner);
        }
        if let Some(last) = heat.last() {
            state.heat = state.heat.max(last.id);
        }
        for (place, kept) in (1..).zip(&kept) {
            if let Some(last) = kept.last() {
                state.points[place] = state.points[place].max(last.id);
            }
            let points = kept.iter().map(rows::point);
            inner.history.go_on(&STEPS[place], points);
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
        let mut new = Vec::new();
        for alert in inner.alerts.after(next.alert) {
            next.alert = alert.id;
            new.push(rows::of_alert(&alert));
        }
        for entry in inner.audit.after(next.audit) {
            next.audit = entry.fact.seq;
            new.push(rows::of_entry(&entry));
        }
        for mark in inner.history.marks_after(next.mark) {
            next.mark = mark.id;
            new.push(rows::of_mark(&mark));
        }
        for shown in inner.cycles.after(next.cycle) {
            next.cycle = shown.id;
            new.push(rows::of_cycle(&shown));
        }
        for column in inner.heat.closed_after(next.heat) {
            next.heat = column.unix_s;
            new.push(rows::of_column(&column));
        }
        for (place, step) in STEPS.iter().enumerate().skip(1) {
            for point in inner.history.closed_after(step, next.points[place]) {
                next.points[place] = point.unix_s;
                new.push(rows::of_point(step, &point));
            }
        }
        let orders = Orders::of(inner);
        if orders != next.orders.1 {
            next.orders = (next.orders.0 + 1, orders);
            let now = time(inner.observed.unix_s());
            new.push(rows::of_orders(&next.orders, &now));
        }
        if !new.is_empty() {
            table::write(database, instance, &new).await?;
            let mut state = self.state();
            let trouble = state.trouble.take();
            *state = State { trouble, ..next };
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

/// The last copy of a process that ends.
pub(crate) async fn last(inner: &Arc<Inner>) {
    inner.keep.copy(inner).await;
}
