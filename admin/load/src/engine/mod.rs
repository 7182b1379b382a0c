//! Runs a plan on threads of its own, at most one a core, each with a current-thread runtime.
//!
//! | file | role |
//! |---|---|
//! | `run` | the handle on a run, and what its threads share |
//! | `thread` | what one thread has at hand and hands in |
//! | `closed`, `open` | the two models of load |
//! | `pace` | the thread that says when requests of an open model are due |
//! | `connection` | one connection of any protocol |
//! | `sender` | what goes over it for each arrival |
//! | `exchange` | one request on it, and what came of that |
//! | `http1`, `http2`, `postgres`, `websocket` | one of a protocol |
//! | `socket` | TCP in clear or by TLS |
//! | `driver` | what moves a connection's bytes |
//! | `presence` | that it is there, counted |
//! | `patience` | its timeout |

mod closed;
mod connection;
#[cfg(feature = "postgres")]
mod driver;
mod exchange;
mod http1;
#[cfg(feature = "http2")]
mod http2;
mod open;
mod pace;
mod patience;
#[cfg(feature = "postgres")]
mod postgres;
mod presence;
mod run;
mod sender;
mod socket;
mod thread;
#[cfg(feature = "websocket")]
mod websocket;

use std::sync::Arc;
use std::time::Duration;

use tokio::runtime::LocalOptions;
use tokio::sync::mpsc;

use self::connection::{Connections, Work};
use self::run::Shared;
pub use self::run::{Run, RunState};
use self::thread::Thread;
use crate::plan::{CheckedLoad, HttpPlan, PlanError};
use crate::targets::Target;

/// After a cancel, requests under way get so long before their connections are dropped.
const GRACE: Duration = Duration::from_millis(500);

/// Checks the plan and starts it. Returns at once; the run goes on in threads of its own.
///
/// `id` is sent in the header [`RUN_HEADER`](crate::RUN_HEADER) of every request.
///
/// # Errors
/// [`PlanError`] when a field is out of its range, or when no thread can be started; nothing has been sent then.
pub fn start(id: impl Into<String>, plan: &HttpPlan, target: &Target) -> Result<Run, PlanError> {
    let plan = plan.checked()?;
    let load = plan.load.clone();
    #[cfg(feature = "http2")]
    if plan.streams.is_some() {
        let target = target.speaking(b"h2");
        let work = Arc::new(http2::Work { plan, target });
        return run(id.into(), load, &Work::Http2(work));
    }
    let target = target.speaking(b"http/1.1");
    let id = id.into();
    let work = Arc::new(http1::Work::new(&plan, target, &id));
    run(id, load, &Work::Http1(work))
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
    let work = postgres::Work::new(plan.checked()?, target, &id);
    postgres::try_out(&work).await?;
    let load = work.plan.load.clone();
    run(id, load, &Work::Postgres(Arc::new(work)))
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
    let work = Arc::new(websocket::Work { plan, target });
    run(id.into(), load, &Work::WebSocket(work))
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

fn run(id: String, load: CheckedLoad, work: &Work) -> Result<Run, PlanError> {
    let load = Arc::new(load);
    let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    let threads = cores.min(load.connections as usize);
    let shared = Arc::new(Shared::new(id, threads, &load, work));
    let no_thread = |error: std::io::Error| {
        shared.cancel.cancel();
        PlanError {
            field: "connections".to_owned(),
            wants: format!("could not start a thread for the run: {error}"),
        }
    };
    let (mut takers, mut arrivals) = (Vec::new(), Vec::new());
    if load.arrivals.is_some() {
        (takers, arrivals) = (0..threads)
            .map(|_| mpsc::channel(pace::MAX_BACKLOG))
            .unzip();
    }
    let mut arrivals = arrivals.into_iter();
    for index in 0..threads {
        let thread = (Arc::clone(&shared), Arc::clone(&load), work.clone());
        let share = Share {
            connections: share_of(load.connections as usize, threads, index),
            idle: share_of(work.idle(), threads, index),
        };
        let arrivals = arrivals.next();
        std::thread::Builder::new()
            .name(format!("pitcrew-load-{index}"))
            .spawn(move || {
                let (shared, load, work) = thread;
                run_thread(
                    &Connections::new(Thread::new(shared, load, index), work),
                    share,
                    arrivals,
                );
            })
            .map_err(no_thread)?;
    }
    if let Some(open) = &load.arrivals {
        pace::start(
            open.clone(),
            shared.begin,
            takers,
            Arc::clone(&shared.paced),
            shared.cancel.clone(),
        )
        .map_err(no_thread)?;
    }
    Ok(Run { shared })
}

/// What a thread has of the plan's connections.
#[derive(Clone, Copy)]
struct Share {
    connections: usize,
    idle: usize,
}

/// The connections of thread `index`: an exact split.
fn share_of(connections: usize, threads: usize, index: usize) -> usize {
    connections / threads + usize::from(index < connections % threads)
}

fn run_thread(
    connections: &Connections,
    share: Share,
    arrivals: Option<mpsc::Receiver<std::time::Instant>>,
) {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build_local(LocalOptions::default());
    let Ok(runtime) = runtime else {
        return;
    };
    let thread = &connections.thread;
    let streams = connections.work.streams();
    runtime.block_on(async {
        let work = async {
            match arrivals {
                Some(arrivals) => {
                    open::run(connections, share.connections * streams, arrivals).await
                }
                None => closed::run(connections, share.connections * streams).await,
            }
        };
        let cancelled = async {
            thread.shared.cancel.cancelled().await;
            tokio::time::sleep(GRACE).await;
        };
        tokio::select! {
            () = work => {}
            () = cancelled => {}
            () = thread.hand_in() => {}
            () = hold(connections, share.idle) => {}
        }
        thread.give_up();
    });
    // Connections that are still open end here, and when the last of them is gone the thread hands in.
    drop(runtime);
}

/// Holds connections that send nothing, for ever.
async fn hold(connections: &Connections, idle: usize) {
    #[cfg(feature = "websocket")]
    if let Work::WebSocket(work) = &connections.work {
        websocket::hold(&connections.thread, work, idle).await;
    }
    let _ = (connections, idle);
    std::future::pending::<()>().await;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn connections_are_split_exactly() {
        for (connections, threads) in [(1, 1), (16, 2), (17, 4), (3, 2), (1_024, 7)] {
            let shares: Vec<_> = (0..threads)
                .map(|index| share_of(connections, threads, index))
                .collect();
            assert_eq!(shares.iter().sum::<usize>(), connections);
            assert!(
                shares
                    .iter()
                    .max()
                    .zip(shares.iter().min())
                    .is_some_and(|(most, least)| most - least <= 1)
            );
        }
    }
}
