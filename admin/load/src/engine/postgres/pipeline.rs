//! Connections with several statements under way at once.

use std::cell::Cell;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Instant;

use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;

use super::super::exchange::pause_after_refusal;
use super::super::patience::Patience;
use super::super::thread::Thread;
use super::kind::Fault;
use super::live::{ANSWER, Live, Work};
use crate::record::{Answer, ErrorKind, Sample};

/// Executes statements until the plan's end on one connection, `depth` of them at a time.
pub(in super::super) async fn run(thread: Rc<Thread>, work: Arc<Work>, depth: u32) {
    loop {
        let begin = Instant::now();
        match Live::connect(&thread, &work).await {
            Ok(live) => {
                if !lanes(&thread, &work, live, depth).await {
                    return;
                }
            }
            Err(kind) => {
                if !thread.may_send() {
                    return;
                }
                record(&thread, begin, Err(kind));
                pause_after_refusal().await;
            }
        }
    }
}

/// Each lane has one statement under way at a time; what several of them have to send goes out in one write. Whether the
/// connection broke before the plan's end.
async fn lanes(thread: &Thread, work: &Work, mut live: Live, depth: u32) -> bool {
    let is_broken = Cell::new(false);
    {
        let Live {
            client,
            driver,
            statements,
            fate,
            ..
        } = &mut live;
        let lane = async || {
            let mut patience = Patience::new(work.plan.load.timeout);
            while !is_broken.get() && thread.may_send() {
                let under_way = thread.under_way();
                let sent = Instant::now();
                let executed = work.execute(client, statements.first());
                let answer = patience.wait(sent, executed).await;
                drop(under_way);
                let outcome = match answer {
                    Some(Ok(())) => Ok(ANSWER),
                    Some(Err(error)) => match work.fault(&error, fate.get(), sent.elapsed()) {
                        Fault::NeverSent => Err(ErrorKind::Reset),
                        Fault::Of(kind, code) => {
                            thread.count_sql_state(code.as_ref());
                            Err(kind)
                        }
                    },
                    None => Err(ErrorKind::Timeout),
                };
                if !matches!(outcome, Ok(_) | Err(ErrorKind::Sql)) {
                    is_broken.set(true);
                }
                record(thread, sent, outcome);
            }
        };
        let mut lanes: FuturesUnordered<_> = (0..depth).map(|_| lane()).collect();
        driver
            .until(async { while lanes.next().await.is_some() {} })
            .await;
    }
    if is_broken.get() {
        live.lost();
    }
    is_broken.get()
}

fn record(thread: &Thread, sent: Instant, outcome: Result<Answer, ErrorKind>) {
    thread.record(&Sample {
        intended: sent,
        lag: None,
        sent,
        ended: Instant::now(),
        outcome,
    });
}
