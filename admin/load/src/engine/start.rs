//! Checks a plan of one protocol and starts it.

use std::sync::Arc;

use super::call;
use super::connection::Work;
#[cfg(feature = "http2")]
use super::http2;
#[cfg(feature = "postgres")]
use super::postgres;
use super::shared::Place;
#[cfg(feature = "websocket")]
use super::websocket;
use super::{Run, http1, run};
use crate::plan::{CheckedLoad, HttpPlan, Load, PlanError, wrong};
use crate::record::ErrorKind;
use crate::run_name::RunName;
use crate::targets::Target;

/// A plan that can be run.
pub(super) struct Ready {
    load: CheckedLoad,
    work: Work,
}

impl Ready {
    pub(super) const fn is_open(&self) -> bool {
        self.load.arrivals.is_some()
    }

    pub(super) fn run(self, name: RunName, place: Place) -> Result<Run, PlanError> {
        run(name, self.load, &self.work, place)
    }
}

/// Checks the plan and starts it. Returns at once; the run goes on in threads of its own.
///
/// `name` marks every request, in the header [`RUN_HEADER`](crate::RUN_HEADER).
///
/// # Errors
/// [`PlanError`] when a field is out of its range, or when no thread can be started; nothing has been sent then.
pub fn start(name: impl Into<RunName>, plan: &HttpPlan, target: &Target) -> Result<Run, PlanError> {
    let name = name.into();
    of_http(&name, plan, target)?.run(name, Place::alone())
}

pub(super) fn of_http(
    name: &RunName,
    plan: &HttpPlan,
    target: &Target,
) -> Result<Ready, PlanError> {
    let plan = plan.checked()?;
    let load = plan.load.clone();
    #[cfg(feature = "http2")]
    if plan.streams.is_some() {
        let target = target.speaking(b"h2");
        let work = Work::Http2(Arc::new(http2::Work { plan, target }));
        return Ok(Ready { load, work });
    }
    let target = target.speaking(b"http/1.1");
    let work = Work::Http1(Arc::new(http1::Work::new(&plan, target, name)));
    Ok(Ready { load, work })
}

/// Calls `call` where a plan would send a request: a statement through the app's own pool, so that the pool itself is tested, or a client
/// of a protocol that is not spoken here. `connections` are callers, each with one call after the other.
///
/// Calls are tasks of the runtime in which this is called, which keeps what outlives them, such as the connections of a pool. Past
/// `timeout_ms`, and at the run's end, a call is dropped. One that panics is an error of kind `protocol`.
///
/// ```
/// use pitcrew_load::{ErrorKind, Load, start_calls};
///
/// # tokio::runtime::Builder::new_multi_thread().build()?.block_on(async {
/// let permits = std::sync::Arc::new(tokio::sync::Semaphore::new(2));
/// let load = Load { connections: Some(8), requests: Some(100), ..Load::default() };
/// let run = start_calls("1", &load, move || {
///     let permits = permits.clone();
///     async move { permits.acquire().await.map(drop).map_err(|_| ErrorKind::Connect) }
/// })?;
/// assert_eq!(run.finished().await.ok, 100);
/// # Ok::<_, Box<dyn std::error::Error>>(())
/// # })?;
/// # Ok::<_, Box<dyn std::error::Error>>(())
/// ```
///
/// # Errors
/// [`PlanError`] when a field is out of its range, there is no runtime (`call`), or no thread can be started; nothing has been called then.
pub fn start_calls<F, C>(name: impl Into<RunName>, load: &Load, call: F) -> Result<Run, PlanError>
where
    F: Fn() -> C + Send + Sync + 'static,
    C: Future<Output = Result<(), ErrorKind>> + Send + 'static,
{
    let load = load.checked()?;
    let Ok(runtime) = tokio::runtime::Handle::try_current() else {
        return wrong("call", "wants a Tokio runtime around its start");
    };
    let work = call::Work::new(call, runtime, load.timeout);
    let work = Work::Call(Arc::new(work));
    Ready { load, work }.run(name.into(), Place::alone())
}

/// Checks the plan and starts it. Connects once before, so that a target which cannot be reached and a statement that the server
/// does not take are known; needs a Tokio runtime for that, with I/O and time. The run goes on in threads of its own.
///
/// Sessions are named `pitcrew-load` and the run's id, unless the target's configuration gives them an `application_name`.
///
/// # Errors
/// [`PlanError`] when a field is out of its range, the target (`target`) or the statement (`sql`, `parameters`) is refused, or
/// when no thread can be started; nothing has been executed then.
#[cfg(feature = "postgres")]
pub async fn start_postgres(
    name: impl Into<RunName>,
    plan: &crate::PostgresPlan,
    target: &crate::PostgresTarget,
) -> Result<Run, PlanError> {
    let name = name.into();
    of_postgres(&name, plan, target)
        .await?
        .run(name, Place::alone())
}

#[cfg(feature = "postgres")]
pub(super) async fn of_postgres(
    name: &RunName,
    plan: &crate::PostgresPlan,
    target: &crate::PostgresTarget,
) -> Result<Ready, PlanError> {
    let work = postgres::Work::new(plan.checked()?, target, name.id());
    postgres::try_out(&work).await?;
    Ok(Ready {
        load: work.plan.load.clone(),
        work: Work::Postgres(Arc::new(work)),
    })
}

/// Checks the plan and starts it, as [`start`]. `name` marks every handshake, in the header [`RUN_HEADER`](crate::RUN_HEADER).
///
/// # Errors
/// [`PlanError`] as [`start`], and when this process may not open as many files as the plan has connections (`idle`).
#[cfg(feature = "websocket")]
pub fn start_websocket(
    name: impl Into<RunName>,
    plan: &crate::WebSocketPlan,
    target: &Target,
) -> Result<Run, PlanError> {
    of_websocket(plan, target)?.run(name.into(), Place::alone())
}

#[cfg(feature = "websocket")]
pub(super) fn of_websocket(
    plan: &crate::WebSocketPlan,
    target: &Target,
) -> Result<Ready, PlanError> {
    let plan = plan.checked()?;
    let wanted = u64::from(plan.idle) + u64::from(plan.load.connections) + OTHER_FILES;
    let files = open_files();
    if wanted > files {
        return crate::plan::wrong(
            "idle",
            format!(
                "and `connections` want {wanted} open files, this process may have {files}: ask for less or raise \
                 the limit (ulimit -n)"
            ),
        );
    }
    let load = plan.load.clone();
    let target = target.speaking(b"http/1.1");
    let work = Work::WebSocket(Arc::new(websocket::Work { plan, target }));
    Ok(Ready { load, work })
}

/// Files that a process has open besides.
#[cfg(feature = "websocket")]
const OTHER_FILES: u64 = 64;

/// How many files this process may have open.
#[cfg(feature = "websocket")]
fn open_files() -> u64 {
    let mut limit = libc::rlimit {
        rlim_cur: 0,
        rlim_max: 0,
    };
    // SAFETY: fills the struct; an error leaves it at nothing.
    let told = unsafe { libc::getrlimit(libc::RLIMIT_NOFILE, &raw mut limit) };
    if told == 0 { limit.rlim_cur } else { u64::MAX }
}
