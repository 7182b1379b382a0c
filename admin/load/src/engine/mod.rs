//! Runs a plan on threads of its own, at most one a core, each with a current-thread runtime.
//!
//! | file | role |
//! |---|---|
//! | `start` | checks a plan and starts it |
//! | `scenarios` | several side by side |
//! | `observe` | the target's own figures beside those of the load |
//! | `run` | the handle on a run |
//! | `watch` | ends it where it breaks a threshold |
//! | `shared` | what its threads share |
//! | `thread` | what one thread has at hand and hands in |
//! | `closed`, `open` | the two models of load |
//! | `pace` | the thread that says when requests of an open model are due |
//! | `connection` | one connection of any protocol |
//! | `sender` | what goes over it for each arrival |
//! | `exchange` | one request on it, and what came of that |
//! | `http1`, `http2`, `postgres`, `websocket` | one of a protocol |
//! | `call` | what the host calls itself |
//! | `socket` | TCP in clear or by TLS |
//! | `driver` | what moves a connection's bytes |
//! | `presence` | that it is there, counted |
//! | `patience` | its timeout |

mod call;
mod closed;
mod connection;
#[cfg(feature = "postgres")]
mod driver;
mod exchange;
mod http1;
#[cfg(feature = "http2")]
mod http2;
mod observe;
mod open;
mod pace;
mod patience;
#[cfg(feature = "postgres")]
mod postgres;
mod presence;
mod run;
mod scenarios;
mod sender;
mod shared;
mod socket;
mod start;
mod thread;
mod watch;
#[cfg(feature = "websocket")]
mod websocket;

use std::sync::Arc;
use std::time::Duration;

use tokio::runtime::LocalOptions;
use tokio::sync::mpsc;

use self::connection::{Connections, Work};
#[cfg(feature = "reports")]
pub(crate) use self::observe::MAX_NAME;
pub use self::observe::{Figures, MAX_FIGURES, Observer};
pub use self::run::{Run, RunState};
pub use self::scenarios::{AnyTarget, start_plan};
use self::shared::{Place, Shared};
#[cfg(feature = "postgres")]
pub use self::start::start_postgres;
#[cfg(feature = "websocket")]
pub use self::start::start_websocket;
pub use self::start::{start, start_calls};
use self::thread::Thread;
pub use self::watch::{Stopped, watch};
use crate::plan::{CheckedLoad, PlanError};
use crate::run_name::RunName;

/// After a cancel, requests under way get so long before their connections are dropped.
const GRACE: Duration = Duration::from_millis(500);

fn run(name: RunName, load: CheckedLoad, work: &Work, place: Place) -> Result<Run, PlanError> {
    let load = Arc::new(load);
    let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    let threads = cores.min(load.connections as usize);
    let shared = Arc::new(Shared::new(name, threads, &load, work, place));
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
    Ok(Run {
        shared,
        scenarios: Arc::new([]),
    })
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
            tokio::time::sleep_until(thread.shared.begin.into()).await;
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
            () = thread.change_users() => {}
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
