//! [`Rows`]: rows that come one after the other.

use std::{
    fmt,
    pin::Pin,
    task::{Context, Poll},
};

use futures_util::Stream;
use pin_project::pin_project;
use tokio_postgres::{Error, Row, RowStream};

use super::waiting::Waiting;

/// The rows of a query, as they come: a [`RowStream`] whose waiting counts as [`DATABASE`](crate::latency::DATABASE). What the app does between two rows does not.
#[pin_project]
pub struct Rows {
    #[pin]
    inner: RowStream,
    waiting: Waiting,
}

impl Rows {
    pub(super) fn new(inner: RowStream) -> Self {
        Self {
            inner,
            waiting: Waiting::default(),
        }
    }

    /// The number of rows that a statement without a result changed; `None` until the stream has ended.
    #[must_use]
    pub fn rows_affected(&self) -> Option<u64> {
        self.inner.rows_affected()
    }
}

impl Stream for Rows {
    type Item = Result<Row, Error>;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let this = self.project();
        this.waiting.seen(this.inner.poll_next(cx))
    }
}

impl fmt::Debug for Rows {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Rows").finish_non_exhaustive()
    }
}
