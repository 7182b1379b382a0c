//! Looks at every part once a second, and at the database once a minute, and hands what it sees to history and alerts.
//! Nothing here waits for a part: handles are read, the database has a task of its own.

mod database;
pub(crate) mod metrics;
mod rates;
pub(crate) mod times;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::Duration;

use pitcrew::cache::CacheStats;
use pitcrew::memory::LeakState;
use tokio::sync::broadcast;
use tokio::time::{Instant, MissedTickBehavior};

pub(crate) use database::{DatabaseFigures, watch as watch_database};
use metrics::*;
use rates::Rates;
use times::{Taken, Times};

use crate::Inner;
use crate::alerts::Alert;
use crate::history::MarkKind;
use crate::targets::Since;

/// The pause between two looks.
const EVERY: Duration = Duration::from_secs(1);
/// The targets are looked at so often, in seconds.
const TARGETS_EVERY_S: i64 = 10;
/// A client that is so many messages behind is left.
const BEHIND: usize = 32;

/// What is sent to whoever listens.
#[derive(Debug, Clone)]
pub(crate) enum Event {
    /// The key figures, as JSON.
    Figures(Arc<str>),
    /// An alert fires, or has ended.
    Alert(Arc<Alert>),
}

/// What parts told at one moment: asked once for all that a page shows, since hundreds of routes make it dear.
#[derive(Debug)]
pub(crate) struct Seen {
    pub(crate) times: Option<Arc<Times>>,
    pub(crate) cache: Option<CacheStats>,
}

/// The last look, and those who listen.
#[derive(Debug)]
pub(crate) struct Observed {
    begin: Instant,
    begin_unix_ms: i64,
    last: Mutex<Option<(i64, Sample)>>,
    pub(crate) database: Mutex<DatabaseFigures>,
    rates: Mutex<Rates>,
    pub(crate) times: Arc<Taken>,
    /// Since when targets are met or missed.
    pub(crate) since: Since,
    pub(crate) events: broadcast::Sender<Event>,
}

impl Observed {
    pub(crate) fn new() -> Self {
        Self {
            begin: Instant::now(),
            begin_unix_ms: jiff::Timestamp::now().as_millisecond(),
            last: Mutex::default(),
            database: Mutex::default(),
            rates: Mutex::default(),
            times: Arc::default(),
            since: Since::default(),
            events: broadcast::Sender::new(BEHIND),
        }
    }

    /// Seconds since 1970 by one wall-clock anchor: the time axis never runs backwards.
    pub(crate) fn unix_s(&self) -> i64 {
        let elapsed = i64::try_from(self.begin.elapsed().as_millis()).unwrap_or(i64::MAX);
        self.begin_unix_ms.saturating_add(elapsed).div_euclid(1_000)
    }

    /// When it was looked last, in seconds since 1970, and what was seen.
    pub(crate) fn last(&self) -> Option<(i64, Sample)> {
        *self.last.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// RFC 3339 of seconds since 1970.
pub(crate) fn time(unix_s: i64) -> String {
    let time = jiff::Timestamp::from_second(unix_s).unwrap_or(jiff::Timestamp::UNIX_EPOCH);
    time.to_string()
}

/// Looks each second for as long as there is somebody to look for.
pub(crate) async fn watch(inner: Weak<Inner>) {
    let mut ticks = tokio::time::interval(EVERY);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Skip);
    loop {
        ticks.tick().await;
        let Some(inner) = inner.upgrade() else { return };
        // The app's own closures run here too (pool gauges), so a panic may be anybody's.
        let looked = catch_unwind(AssertUnwindSafe(|| look(&inner)));
        if looked.is_err() {
            inner.background.panicked();
        }
    }
}

/// Takes one sample and hands it on.
pub(crate) fn look(inner: &Arc<Inner>) {
    let observed = &inner.observed;
    let begin = std::time::Instant::now();
    let mut sample = sample(inner);
    sample[OWN_COST] = begin.elapsed().as_micros() as f32;
    let now = observed.unix_s();
    *observed.last.lock().unwrap_or_else(PoisonError::into_inner) = Some((now, sample));
    inner.history.add(now, &sample);
    if let Some(latency) = &inner.latency {
        inner.heat.look(now, || latency.snapshot());
    }
    if now % TARGETS_EVERY_S == 0 {
        observed
            .since
            .look(now, &inner.benchmarks(None, &inner.seen()));
    }
    let alerts = match inner.keep.is_ready() {
        true => inner.alerts.look(now, &sample),
        false => Vec::new(),
    };
    for alert in alerts {
        let kind = if alert.state == "firing" {
            MarkKind::Alert
        } else {
            MarkKind::AlertResolved
        };
        inner.history.mark(now, kind, &alert.sentence);
        let alert = Arc::new(alert);
        inner.alerts.tell(&alert);
        let _ = observed.events.send(Event::Alert(Arc::clone(&alert)));
        if alert.state == "firing" {
            crate::optimizer::on_alert(inner, &alert);
        }
    }
    if observed.events.receiver_count() > 0 {
        let figures = serde_json::json!({"at": time(now), "figures": named(&sample)});
        let _ = observed
            .events
            .send(Event::Figures(figures.to_string().into()));
    }
}

/// Tells a load test of the app, as of the last look.
pub(crate) fn of_app(inner: &Arc<Inner>) -> impl pitcrew_load::Observer + use<> {
    // A run may outlive the router.
    let inner = Arc::downgrade(inner);
    move |figures: &mut pitcrew_load::Figures| {
        let Some((_, sample)) = inner.upgrade().and_then(|inner| inner.observed.last()) else {
            return;
        };
        for (metric, value) in METRICS.iter().zip(sample) {
            // NaN is what is not known.
            if value.is_finite() {
                figures.set(metric.name, f64::from(value));
            }
        }
    }
}

/// The figures by name; what is not known is null.
pub(crate) fn named(sample: &Sample) -> serde_json::Map<String, serde_json::Value> {
    let pairs = METRICS.iter().zip(sample);
    pairs
        .map(|(metric, value)| (metric.name.to_owned(), number(*value)))
        .collect()
}

/// A figure as JSON, at the precision that it is kept in.
pub(crate) fn number(value: f32) -> serde_json::Value {
    if !value.is_finite() {
        return serde_json::Value::Null;
    }
    // A float of 32 bits has seven digits: the further ones of 64 bits would be noise.
    let value = f64::from(value);
    let scale = 10_f64.powi(6 - value.abs().max(1e-6).log10().floor() as i32);
    ((value * scale).round() / scale).into()
}

fn sample(inner: &Inner) -> Sample {
    let mut sample = [f32::NAN; METRICS.len()];
    let mut rates = inner
        .observed
        .rates
        .lock()
        .unwrap_or_else(PoisonError::into_inner);
    if let Some(latency) = &inner.latency {
        let counts = latency.counts();
        let times = inner.observed.times.at_look(latency, counts);
        let minute = &times.minute;
        sample[REQUESTS] = rates.per_tick(REQUESTS, counts.requests);
        sample[IN_FLIGHT] = counts.in_flight as f32;
        if minute.count > 0 {
            sample[MEAN] = minute.mean_ms as f32;
            sample[P95] = minute.p95_ms as f32;
            sample[P99] = minute.p99_ms as f32;
            sample[ERRORS] = minute.errors as f32 * 100.0 / minute.count as f32;
        }
        let objectives = times.objectives.iter();
        if let Some(urgency) = objectives.map(|one| one.state.urgency()).max() {
            sample[SLO] = f32::from(urgency);
        }
    }
    if let Some(cache) = &inner.cache {
        let stats = cache.stats();
        sample[HITS] = rates.percent(HITS, stats.hits, stats.hits + stats.misses);
        sample[CACHE_BYTES] = stats.l1.bytes as f32;
        if let Some(l2) = &stats.l2 {
            sample[L2_DOWN] = f32::from(u8::from(l2.state != "up"));
        }
    }
    if let Some(memory) = &inner.memory {
        let snapshot = memory.snapshot();
        if let Some(rss) = snapshot.process.rss_bytes {
            sample[RSS] = rss as f32 / (1 << 20) as f32;
        }
        if let Some(cpu) = snapshot.process.cpu_percent {
            sample[CPU] = cpu as f32;
        }
        if snapshot.leak.state != LeakState::Unknown {
            sample[LEAK] = f32::from(u8::from(snapshot.leak.state == LeakState::Leaking));
        }
    }
    let gauges: Vec<_> = inner.pools.iter().map(|pool| (pool.gauges)()).collect();
    if !gauges.is_empty() {
        let waited: u64 = gauges.iter().map(|pool| pool.waited).sum();
        let direct: u64 = gauges.iter().map(|pool| pool.direct).sum();
        sample[POOL_WAITED] = rates.percent(POOL_WAITED, waited, waited + direct);
        let used = gauges
            .iter()
            .filter(|pool| pool.max_connections > 0)
            .map(|pool| {
                let busy = pool.connections.saturating_sub(pool.idle);
                busy as f32 * 100.0 / pool.max_connections as f32
            });
        sample[POOL_USED] = used.fold(f32::NAN, f32::max);
    }
    if inner.database.is_some() {
        let known = inner
            .observed
            .database
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        known.put(&mut sample);
    }
    let (requests, logins) = inner.auth.failures();
    sample[LOGINS] = rates.in_a_minute(LOGINS, requests + logins);
    sample
}
