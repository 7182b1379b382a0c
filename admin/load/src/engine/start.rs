//! Checks a plan of one protocol and starts it.

use std::sync::Arc;

use super::connection::Work;
#[cfg(feature = "http2")]
use super::http2;
#[cfg(feature = "postgres")]
use super::postgres;
use super::run::Place;
#[cfg(feature = "websocket")]
use super::websocket;
use super::{Run, http1, run};
use crate::plan::{CheckedLoad, HttpPlan, PlanError};
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

    pub(super) fn run(self, id: String, place: Place) -> Result<Run, PlanError> {
        run(id, self.load, &self.work, place)
    }
}

/// Checks the plan and starts it. Returns at once; the run goes on in threads of its own.
///
/// `id` is sent in the header [`RUN_HEADER`](crate::RUN_HEADER) of every request.
///
/// # Errors
/// [`PlanError`] when a field is out of its range, or when no thread can be started; nothing has been sent then.
pub fn start(id: impl Into<String>, plan: &HttpPlan, target: &Target) -> Result<Run, PlanError> {
    let id = id.into();
    of_http(&id, plan, target)?.run(id, Place::alone())
}

pub(super) fn of_http(id: &str, plan: &HttpPlan, target: &Target) -> Result<Ready, PlanError> {
    let plan = plan.checked()?;
    let load = plan.load.clone();
    #[cfg(feature = "http2")]
    if plan.streams.is_some() {
        let target = target.speaking(b"h2");
        let work = Work::Http2(Arc::new(http2::Work { plan, target }));
        return Ok(Ready { load, work });
    }
    let target = target.speaking(b"http/1.1");
    let work = Work::Http1(Arc::new(http1::Work::new(&plan, target, id)));
    Ok(Ready { load, work })
}

/// Checks the plan and starts it. Connects once before, so that a target which cannot be reached and a statement that the server
/// does not take are known; needs a Tokio runtime for that, with I/O and time. The run goes on in threads of its own.
///
/// Sessions are named `pitcrew-load` and `id`, unless the target's configuration gives them an `application_name`.
///
/// # Errors
/// [`PlanError`] when a field is out of its range, the target (`target`) or the statement (`sql`, `parameters`) is refused, or
/// when no thread can be started; nothing has been executed then.
#[cfg(feature = "postgres")]
pub async fn start_postgres(
    id: impl Into<String>,
    plan: &crate::PostgresPlan,
    target: &crate::PostgresTarget,
) -> Result<Run, PlanError> {
    let id = id.into();
    of_postgres(&id, plan, target)
        .await?
        .run(id, Place::alone())
}

#[cfg(feature = "postgres")]
pub(super) async fn of_postgres(
    id: &str,
    plan: &crate::PostgresPlan,
    target: &crate::PostgresTarget,
) -> Result<Ready, PlanError> {
    let work = postgres::Work::new(plan.checked()?, target, id);
    postgres::try_out(&work).await?;
    Ok(Ready {
        load: work.plan.load.clone(),
        work: Work::Postgres(Arc::new(work)),
    })
}

/// Checks the plan and starts it, as [`start`]. `id` is sent in the header [`RUN_HEADER`](crate::RUN_HEADER) of every handshake.
///
/// # Errors
/// [`PlanError`] as [`start`], and when this process may not open as many files as the plan has connections (`idle`).
#[cfg(feature = "websocket")]
pub fn start_websocket(
    id: impl Into<String>,
    plan: &crate::WebSocketPlan,
    target: &Target,
) -> Result<Run, PlanError> {
    let id = id.into();
    of_websocket(plan, target)?.run(id, Place::alone())
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
