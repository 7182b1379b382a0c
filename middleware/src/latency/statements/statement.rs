//! [`statement`]: a statement on its way to the database.

use std::{
    fmt::{self, Debug, Write},
    future::Future,
    hash::Hasher,
    pin::Pin,
    task::{Context, Poll},
};

use pin_project::pin_project;

use super::registry::{Id, UNREADABLE};
use crate::latency::segments::{
    Accounts, DATABASE, InSegment, Token, segment, with_timeline, with_timeline_of,
};

/// Bytes of parameters, as they are shown with `{:?}`, that decide whether two executions have the same ones.
const MAX_PARAMETER_BYTES: usize = 256;

/// Names the statement that a future runs, so that its time counts as [`DATABASE`](crate::latency::DATABASE) and it is counted for
/// the request.
///
/// For a client that has no wrapper here (sqlx, diesel-async and others):
///
/// ```
/// use pitcrew::latency::statement;
///
/// # async fn fetch(_: &str, _: i64) -> u32 { 7 }
/// async fn handler(id: i64) -> u32 {
///     const SQL: &str = "SELECT total FROM orders WHERE id = $1";
///     statement(SQL).parameters(&id).run(fetch(SQL, id)).await
/// }
/// ```
///
/// A text is read once (5 us for 200 bytes) and found by its hash afterwards. Its values are neither kept nor shown: two texts that differ
/// in constants alone are one statement.
#[must_use = "a statement is counted when it runs"]
pub fn statement(sql: &str) -> Statement {
    Statement::of(Some(sql))
}

/// A statement of the current request. Made by [`statement`].
#[derive(Clone, Copy, Debug)]
#[must_use = "a statement is counted when it runs"]
pub struct Statement {
    execution: Option<Execution>,
}

#[derive(Clone, Copy, Debug)]
struct Execution {
    /// The request's timeline.
    timeline: u64,
    id: Id,
    /// The hash of its text: constants are parameters too.
    text: u64,
    is_on_rows: bool,
    parameters: Option<u64>,
}

impl Statement {
    /// `None`: a prepared statement whose text is not known.
    pub(crate) fn of(sql: Option<&str>) -> Self {
        let execution = with_timeline(|timeline, accounts, _| {
            let (id, text) = sql.map_or((UNREADABLE, 0), |sql| accounts.statements.find(sql));
            Execution {
                timeline: timeline.id,
                id,
                text,
                is_on_rows: accounts.statements.is_on_rows(id),
                parameters: None,
            }
        });
        Self { execution }
    }

    /// Tells its parameters, so that a report can say whether a repeated statement had the same ones or others. A hash of the first 256
    /// bytes of their `Debug` form is kept until the request's end, and nothing else.
    pub fn parameters<P: Debug + ?Sized>(mut self, parameters: &P) -> Self {
        if let Some(execution) = self.execution.as_mut().filter(|known| known.is_on_rows) {
            let token = Token {
                id: execution.timeline,
                slot: 0,
            };
            let hasher = with_timeline_of(token, |_, accounts| accounts.statements.hasher());
            execution.parameters = hasher.map(|mut hasher| {
                hasher.write_u64(execution.text);
                let mut bounded = Bounded {
                    hasher,
                    left: MAX_PARAMETER_BYTES,
                };
                // It ends early where there is more than is looked at.
                let _ = write!(bounded, "{parameters:?}");
                bounded.hasher.finish()
            });
        }
        self
    }

    /// Runs it: measured from the first poll to the end.
    pub fn run<F: Future>(self, future: F) -> InStatement<F> {
        InStatement {
            inner: segment(DATABASE).run(future),
            execution: self.execution,
            began: None,
        }
    }
}

/// Hashes what is written to it, up to a bound.
struct Bounded<H> {
    hasher: H,
    left: usize,
}

impl<H: Hasher> Write for Bounded<H> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        let taken = text.len().min(self.left);
        self.hasher.write(&text.as_bytes()[..taken]);
        self.left -= taken;
        if taken < text.len() {
            Err(fmt::Error)
        } else {
            Ok(())
        }
    }
}

/// A statement that runs. Made by [`Statement::run`].
#[pin_project]
#[must_use = "futures do nothing unless polled"]
pub struct InStatement<F> {
    #[pin]
    inner: InSegment<F>,
    execution: Option<Execution>,
    began: Option<u64>,
}

impl Execution {
    fn within<R>(&self, work: impl FnOnce(&mut super::Counts, &Accounts) -> R) -> Option<R> {
        let token = Token {
            id: self.timeline,
            slot: 0,
        };
        with_timeline_of(token, |timeline, accounts| {
            work(&mut timeline.statements, accounts)
        })
    }
}

impl<F: Future> Future for InStatement<F> {
    type Output = F::Output;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<F::Output> {
        let this = self.project();
        let Some(execution) = this.execution else {
            return this.inner.poll(cx);
        };
        if this.began.is_none() {
            *this.began = execution.within(|counts, accounts| {
                if execution.is_on_rows {
                    counts.executed(execution.id, execution.parameters);
                } else {
                    counts.executed_otherwise();
                }
                accounts.now()
            });
        }
        let result = this.inner.poll(cx);
        if result.is_ready()
            && let (Some(began), Some(execution)) = (*this.began, this.execution.take())
            && execution.is_on_rows
        {
            execution.within(|counts, accounts| {
                counts.took(execution.id, accounts.now().saturating_sub(began));
            });
        }
        result
    }
}

impl<F> fmt::Debug for InStatement<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("InStatement").finish_non_exhaustive()
    }
}
