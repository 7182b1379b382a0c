//! Look-ups that come at once go to Redis as one `MGET`. Alone, each costs a message to the connection's task, a place in
//! its queue, a wake and a reply of its own; together they share them.

use std::{
    mem,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use bytes::Bytes;
use tokio::{
    runtime::{Handle, Id},
    sync::oneshot,
};

use super::{
    L2,
    pool::{CallError, FULL_BYTES},
};

/// Look-ups in one question at most.
const MAX_TOGETHER: usize = 32;
/// Look-ups under way from which the next ones gather: fewer go at once, each by itself.
const MANY: usize = 4;

#[derive(Default)]
pub(super) struct Gather {
    /// Look-ups that are not answered yet.
    under_way: AtomicUsize,
    forming: Mutex<Forming>,
}

/// Look-ups of one runtime: another one may be busy for longer than they wait.
#[derive(Default)]
struct Forming {
    runtime: Option<Id>,
    asked: Vec<Asked>,
}

struct Asked {
    redis_key: String,
    answer: oneshot::Sender<Option<Bytes>>,
}

struct UnderWay<'a>(&'a AtomicUsize);

impl Drop for UnderWay<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

enum Joined {
    /// Asks for all that come after it.
    First,
    Later,
    /// There is room for no other: these are asked for now.
    Full(Vec<Asked>),
    /// Others gather in another runtime.
    Alone,
}

/// The task that asks for those that gather. Gone before it did, it leaves none of them behind, or all who come would wait for it.
struct First(Option<Arc<L2>>);

impl First {
    fn take(mut self) -> Option<(Arc<L2>, Vec<Asked>)> {
        let l2 = self.0.take()?;
        let all = l2.gather.take();
        Some((l2, all))
    }
}

impl Drop for First {
    fn drop(&mut self) {
        if let Some(l2) = &self.0 {
            l2.gather.dissolve();
        }
    }
}

impl Gather {
    fn add(&self, runtime: Id, asked: Asked, room: usize) -> Joined {
        let mut forming = self.forming();
        if forming.asked.is_empty() {
            forming.runtime = Some(runtime);
        } else if forming.runtime != Some(runtime) {
            return Joined::Alone;
        }
        forming.asked.push(asked);
        match forming.asked.len() {
            length if length >= room => Joined::Full(mem::take(&mut forming.asked)),
            1 => Joined::First,
            _ => Joined::Later,
        }
    }

    fn take(&self) -> Vec<Asked> {
        mem::take(&mut self.forming().asked)
    }

    /// Those that gather go alone.
    fn dissolve(&self) {
        drop(self.take());
    }

    fn forming(&self) -> MutexGuard<'_, Forming> {
        self.forming.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl L2 {
    /// What stands under a Redis key, if anything, and if Redis answers; `usual` are about the bytes of it.
    pub(super) async fn get_bytes(
        self: &Arc<Self>,
        redis_key: &str,
        usual: usize,
        timeout: Duration,
    ) -> Option<Bytes> {
        let before = self.gather.under_way.fetch_add(1, Ordering::Relaxed);
        let _under_way = UnderWay(&self.gather.under_way);
        // What is large gathers less, so that a connection is never held longer than by what fills it.
        let room = (FULL_BYTES / usual.max(1)).min(MAX_TOGETHER);
        let gathers = before >= MANY && room > 1 && !self.pool.opener().is_cluster();
        let mut left = timeout;
        if gathers && let Ok(runtime) = Handle::try_current() {
            let began = Instant::now();
            if let Some(found) = self.join(&runtime, redis_key, room, timeout).await {
                return found;
            }
            left = timeout.saturating_sub(began.elapsed());
        }
        let mut get = redis::cmd("GET");
        get.arg(redis_key);
        let got = self.call(&get, usual, left).await;
        self.judged(redis_key, got)?
    }

    /// Joins those that wait to be asked for. `None` where their task has ended without an answer.
    async fn join(
        self: &Arc<Self>,
        runtime: &Handle,
        redis_key: &str,
        room: usize,
        timeout: Duration,
    ) -> Option<Option<Bytes>> {
        let (answer, answered) = oneshot::channel();
        let asked = Asked {
            redis_key: redis_key.to_owned(),
            answer,
        };
        // A task of its own asks, for whoever began may go away, or not be polled; and others wait for it.
        match self.gather.add(runtime.id(), asked, room) {
            Joined::First => {
                let first = First(Some(self.clone()));
                runtime.spawn(async move {
                    // Those that are ready to run come first, and join.
                    tokio::task::yield_now().await;
                    if let Some((l2, all)) = first.take() {
                        l2.ask_for(all).await;
                    }
                });
            }
            Joined::Full(all) => drop(runtime.spawn(self.clone().ask_for(all))),
            Joined::Later => {}
            Joined::Alone => return None,
        }
        // The task has a timer too, yet its runtime may stand still.
        match tokio::time::timeout(timeout, answered).await {
            Ok(answered) => answered.ok(),
            Err(_) => {
                self.gather.dissolve();
                // Whoever asks tells the breaker, once for all.
                self.missed(&CallError::Timeout);
                Some(None)
            }
        }
    }

    async fn ask_for(self: Arc<Self>, mut asked: Vec<Asked>) {
        // Those that were given up meanwhile.
        asked.retain(|asked| !asked.answer.is_closed());
        if asked.is_empty() {
            return;
        }
        let usual = self.usual_bytes.load(Ordering::Relaxed);
        let length = asked
            .iter()
            .map(|asked| asked.redis_key.len())
            .sum::<usize>();
        let mut mget = redis::Cmd::with_capacity(1 + asked.len(), "MGET".len() + length);
        mget.arg("MGET");
        asked.iter().for_each(|asked| {
            mget.arg(&asked.redis_key);
        });
        let got: Result<Vec<Option<Bytes>>, CallError> =
            self.call(&mget, usual * asked.len(), self.timeout).await;
        if let Err(CallError::Redis(error)) = &got
            && !error.is_io_error()
        {
            // Redis refuses the command, not the keys: each asks for its own.
            return;
        }
        if got.is_err() {
            // One of them may be large. Until small ones have come, each goes by itself, and takes no other along.
            self.usual_bytes.fetch_max(FULL_BYTES, Ordering::Relaxed);
        }
        let values = self.judged(&asked[0].redis_key, got);
        let mut values = values.into_iter().flatten();
        for asked in asked {
            let _ = asked.answer.send(values.next().flatten());
        }
    }
}
