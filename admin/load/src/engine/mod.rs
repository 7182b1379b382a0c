//! Runs a plan on threads of its own, at most one a core, each with a current-thread runtime.
//!
//! | file | role |
//! |---|---|
//! | `run` | the handle on a run, and what its threads share |
//! | `thread` | what one thread has at hand and hands in |
//! | `closed`, `open` | the two models of load |
//! | `pace` | the thread that says when requests of an open model are due |
//! | `http1` | one connection |
//! | `patience` | its timeout |

mod closed;
mod http1;
mod open;
mod pace;
mod patience;
mod run;
mod thread;

use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use tokio::runtime::LocalOptions;
use tokio::sync::mpsc;

use self::run::Shared;
pub use self::run::{Run, RunState};
use self::thread::Thread;
use crate::plan::{HttpPlan, PlanError};
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
    let plan = Arc::new(plan.checked()?);
    let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    let threads = cores.min(plan.connections as usize);
    let shared = Arc::new(Shared::new(id.into(), threads, plan.arrivals.is_some()));
    let no_thread = |error: std::io::Error| {
        shared.cancel.cancel();
        PlanError {
            field: "connections".to_owned(),
            wants: format!("could not start a thread for the run: {error}"),
        }
    };
    let (mut takers, mut arrivals) = (Vec::new(), Vec::new());
    if plan.arrivals.is_some() {
        (takers, arrivals) = (0..threads)
            .map(|_| mpsc::channel(pace::MAX_BACKLOG))
            .unzip();
    }
    let mut arrivals = arrivals.into_iter();
    for index in 0..threads {
        let thread = (Arc::clone(&shared), Arc::clone(&plan), target.clone());
        let connections = share_of(plan.connections as usize, threads, index);
        let arrivals = arrivals.next();
        std::thread::Builder::new()
            .name(format!("pitcrew-load-{index}"))
            .spawn(move || {
                let (shared, plan, target) = thread;
                run_thread(Thread::new(shared, plan, target), connections, arrivals);
            })
            .map_err(no_thread)?;
    }
    if let Some(open) = &plan.arrivals {
        pace::start(
            open.arrivals(),
            shared.begin,
            takers,
            Arc::clone(&shared.paced),
            shared.cancel.clone(),
        )
        .map_err(no_thread)?;
    }
    Ok(Run { shared })
}

/// The connections of thread `index`: an exact split.
fn share_of(connections: usize, threads: usize, index: usize) -> usize {
    connections / threads + usize::from(index < connections % threads)
}

fn run_thread(
    thread: Thread,
    connections: usize,
    arrivals: Option<mpsc::Receiver<std::time::Instant>>,
) {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build_local(LocalOptions::default());
    let Ok(runtime) = runtime else {
        return;
    };
    let thread = Rc::new(thread);
    runtime.block_on(async {
        let work = async {
            match arrivals {
                Some(arrivals) => open::run(&thread, connections, arrivals).await,
                None => closed::run(&thread, connections).await,
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
        }
        thread.give_up();
    });
    // Connections that are still open end here, and with the last of them the thread hands in.
    drop(runtime);
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
