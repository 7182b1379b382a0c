//! Live gauges of the app's own connection pools, and what they say.

use std::fmt;
use std::pin::Pin;
use std::sync::Arc;

use serde::Serialize;

use super::swap_pool::{ResizeError, SwapPool};

/// What a pool tells about itself. All counts are totals since its start but `connections` and `idle`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize)]
pub struct PoolGauges {
    /// Connections it may hold.
    pub max_connections: u32,
    /// Connections it holds now.
    pub connections: u32,
    /// Of these, not in use now.
    pub idle: u32,
    /// Check-outs that got a connection at once.
    pub direct: u64,
    /// Check-outs that had to wait.
    pub waited: u64,
    /// Check-outs that gave up.
    pub timed_out: u64,
    /// Time spent waiting by all check-outs together, in milliseconds.
    pub wait_ms: f64,
}

type Resizing = Pin<Box<dyn Future<Output = Result<(), ResizeError>> + Send>>;
/// Gives a pool another size.
pub(crate) type Resize = Arc<dyn Fn(u32) -> Resizing + Send + Sync>;

/// A pool with the name that the app gave it.
pub(crate) struct NamedPool {
    pub(crate) name: String,
    pub(crate) gauges: Arc<dyn Fn() -> PoolGauges + Send + Sync>,
    /// None where it cannot be resized.
    pub(crate) resize: Option<Resize>,
}

impl NamedPool {
    /// A bb8 pool that can be resized.
    pub(crate) fn swapped<M: bb8::ManageConnection>(name: String, pool: Arc<SwapPool<M>>) -> Self {
        let shown = Arc::clone(&pool);
        Self {
            name,
            gauges: Arc::new(move || {
                let state = shown.pool().state();
                PoolGauges {
                    max_connections: shown.max_connections(),
                    connections: state.connections,
                    idle: state.idle_connections,
                    direct: state.statistics.get_direct,
                    waited: state.statistics.get_waited,
                    timed_out: state.statistics.get_timed_out,
                    wait_ms: state.statistics.get_wait_time.as_secs_f64() * 1e3,
                }
            }),
            resize: Some(Arc::new(move |max| {
                let pool = Arc::clone(&pool);
                Box::pin(async move { pool.resize(max).await })
            })),
        }
    }
}

impl fmt::Debug for NamedPool {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("NamedPool")
            .field("name", &self.name)
            .finish_non_exhaustive()
    }
}

/// A pool's gauges and what they say.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct PoolReport {
    pub(crate) name: String,
    #[serde(flatten)]
    pub(crate) gauges: PoolGauges,
    /// Waiting check-outs among all, in per cent.
    pub(crate) waited_percent: f64,
    pub(crate) advice: String,
    pub(crate) is_resizable: bool,
}

/// Below so many check-outs nothing is said about a pool.
const ENOUGH_CHECK_OUTS: u64 = 100;
/// A share of waiting check-outs above which a pool is called short, in per cent.
const SHORT_PERCENT: f64 = 5.0;

impl NamedPool {
    pub(crate) fn report(&self) -> PoolReport {
        let gauges = (self.gauges)();
        let check_outs = gauges.direct + gauges.waited;
        let waited_percent = if check_outs == 0 {
            0.0
        } else {
            gauges.waited as f64 * 100.0 / check_outs as f64
        };
        let mean_ms = if gauges.waited == 0 {
            0.0
        } else {
            gauges.wait_ms / gauges.waited as f64
        };
        let advice = if check_outs < ENOUGH_CHECK_OUTS {
            format!("{check_outs} check-outs so far: too few to judge")
        } else if waited_percent > SHORT_PERCENT {
            format!(
                "{waited_percent:.1} % of {check_outs} check-outs waited, {mean_ms:.1} ms on average: make the \
                 statements faster first, then raise the maximum above {}",
                gauges.max_connections
            )
        } else {
            format!("{waited_percent:.1} % of {check_outs} check-outs waited: the size is right")
        };
        PoolReport {
            name: self.name.clone(),
            gauges,
            waited_percent,
            advice,
            is_resizable: self.resize.is_some(),
        }
    }

    pub(crate) fn is_short(report: &PoolReport) -> bool {
        report.gauges.direct + report.gauges.waited >= ENOUGH_CHECK_OUTS
            && report.waited_percent > SHORT_PERCENT
    }
}
