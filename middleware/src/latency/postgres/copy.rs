//! [`CopyIn`] and [`CopyOut`]: what is copied into the database and out of it, bit by bit.

use std::{
    fmt,
    pin::Pin,
    task::{Context, Poll},
};

use bytes::{Buf, Bytes};
use futures_util::{Sink, Stream};
use pin_project::pin_project;
use tokio_postgres::{CopyInSink, CopyOutStream, Error};

use super::{database, waiting::Waiting};

/// A `COPY ... FROM STDIN`: a [`CopyInSink`] whose waiting counts as [`DATABASE`](crate::latency::DATABASE). What the app does to make its data does not.
#[pin_project]
pub struct CopyIn<U: Buf + 'static + Send> {
    #[pin]
    inner: CopyInSink<U>,
    waiting: Waiting,
}

impl<U: Buf + 'static + Send> CopyIn<U> {
    pub(super) fn new(inner: CopyInSink<U>) -> Self {
        Self {
            inner,
            waiting: Waiting::default(),
        }
    }

    /// The sink itself, for a [`BinaryCopyInWriter`](tokio_postgres::binary_copy::BinaryCopyInWriter). What is waited for there is not measured.
    #[must_use]
    pub fn into_inner(self) -> CopyInSink<U> {
        self.inner
    }

    /// Ends the copy; the number of rows that came in. Dropped before, it fails and nothing is kept.
    ///
    /// # Errors
    ///
    /// As [`CopyInSink::finish`].
    pub async fn finish(self: Pin<&mut Self>) -> Result<u64, Error> {
        let this = self.project();
        database(this.inner.finish()).await
    }
}

impl<U: Buf + 'static + Send> Sink<U> for CopyIn<U> {
    type Error = Error;

    fn poll_ready(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<(), Error>> {
        let this = self.project();
        this.waiting.seen(this.inner.poll_ready(cx))
    }

    fn start_send(self: Pin<&mut Self>, item: U) -> Result<(), Error> {
        self.project().inner.start_send(item)
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<(), Error>> {
        let this = self.project();
        this.waiting.seen(this.inner.poll_flush(cx))
    }

    fn poll_close(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<(), Error>> {
        let this = self.project();
        this.waiting.seen(this.inner.poll_close(cx))
    }
}

/// A `COPY ... TO STDOUT`: a [`CopyOutStream`] whose waiting counts as [`DATABASE`](crate::latency::DATABASE). What the app does between two pieces does not.
#[pin_project]
pub struct CopyOut {
    #[pin]
    inner: CopyOutStream,
    waiting: Waiting,
}

impl CopyOut {
    pub(super) fn new(inner: CopyOutStream) -> Self {
        Self {
            inner,
            waiting: Waiting::default(),
        }
    }

    /// The stream itself, for a [`BinaryCopyOutStream`](tokio_postgres::binary_copy::BinaryCopyOutStream). What is waited for there is not measured.
    #[must_use]
    pub fn into_inner(self) -> CopyOutStream {
        self.inner
    }
}

impl Stream for CopyOut {
    type Item = Result<Bytes, Error>;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let this = self.project();
        this.waiting.seen(this.inner.poll_next(cx))
    }
}

impl<U: Buf + 'static + Send> fmt::Debug for CopyIn<U> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CopyIn").finish_non_exhaustive()
    }
}

impl fmt::Debug for CopyOut {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CopyOut").finish_non_exhaustive()
    }
}
