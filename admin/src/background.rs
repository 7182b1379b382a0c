//! Everything that runs by itself: started inside a runtime, started again where that runtime has died, and ended together.

use std::future::Future;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use tokio::sync::watch;
use tokio::task::JoinHandle;

use crate::{Inner, keep, observe, optimizer};

type Work = Pin<Box<dyn Future<Output = ()> + Send>>;
/// What makes a task's work. It holds the state weakly, so that the last handle ends it.
type Make = fn(Weak<Inner>) -> Work;

const TASKS: [Make; 4] = [
    |inner| Box::pin(optimizer::schedule(inner)),
    |inner| Box::pin(observe::watch(inner)),
    |inner| Box::pin(observe::watch_database(inner)),
    |inner| Box::pin(keep::watch(inner)),
];

/// The tasks of one admin router.
#[derive(Debug)]
pub(crate) struct Background {
    stopped: watch::Sender<bool>,
    is_stopped: AtomicBool,
    panics: AtomicU64,
    tasks: Mutex<Vec<JoinHandle<()>>>,
}

impl Background {
    pub(crate) fn new() -> Self {
        Self {
            stopped: watch::Sender::new(false),
            is_stopped: AtomicBool::new(false),
            panics: AtomicU64::new(0),
            tasks: Mutex::default(),
        }
    }

    fn tasks(&self) -> MutexGuard<'_, Vec<JoinHandle<()>>> {
        self.tasks.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Counts a panic that a task has caught.
    pub(crate) fn panicked(&self) {
        self.panics.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn panics(&self) -> u64 {
        self.panics.load(Ordering::Relaxed)
    }

    /// Tells when everything ends: streams to clients end with it.
    pub(crate) fn stopping(&self) -> watch::Receiver<bool> {
        self.stopped.subscribe()
    }

    pub(crate) fn is_stopped(&self) -> bool {
        self.is_stopped.load(Ordering::Acquire)
    }

    pub(crate) async fn stop(&self) {
        self.is_stopped.store(true, Ordering::Release);
        self.stopped.send_replace(true);
        let tasks = std::mem::take(&mut *self.tasks());
        for task in tasks {
            task.abort();
            // An aborted task ends with an error, which is what was asked for.
            let _ = task.await;
        }
    }
}

/// Starts what is not running: at first use inside a runtime, and again where that runtime has died.
pub(crate) fn ensure_running(inner: &Arc<Inner>) {
    let Ok(runtime) = tokio::runtime::Handle::try_current() else {
        return;
    };
    let background = &inner.background;
    if background.is_stopped() {
        return;
    }
    let mut tasks = background.tasks();
    for (place, make) in TASKS.iter().enumerate() {
        match tasks.get(place) {
            Some(task) if !task.is_finished() => {}
            Some(_) => {
                background.panicked();
                tasks[place] = runtime.spawn(make(Arc::downgrade(inner)));
            }
            None => tasks.push(runtime.spawn(make(Arc::downgrade(inner)))),
        }
    }
}
