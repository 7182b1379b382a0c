//! A connection that is there, and one request on it.

use std::future::poll_fn;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::super::exchange::CONNECT_TIMEOUT;
use super::super::presence::Presence;
use super::super::socket::Socket;
use super::super::thread::Thread;
use super::Work;
use super::answer::{Answers, Ended, Wrong};
use crate::record::ErrorKind;

pub(super) struct Live {
    socket: Socket,
    answers: Answers,
    presence: Presence,
}

/// Why a request has no answer.
pub(super) enum Fault {
    /// Not one byte of it could be written.
    NeverSent,
    Of(ErrorKind),
}

/// How much of a request has been written.
#[derive(Default)]
struct Written {
    bytes: usize,
    is_flushed: bool,
    /// The other side takes no more; it may have answered all the same.
    has_failed: bool,
}

impl Live {
    pub(super) async fn connect(thread: &Rc<Thread>, work: &Work) -> Result<Self, ErrorKind> {
        let connecting = async {
            Ok(Self {
                socket: Socket::connect(&work.target).await?,
                answers: Answers::new(work.have_body),
                presence: Presence::new(thread),
            })
        };
        let connected = tokio::time::timeout(CONNECT_TIMEOUT, connecting)
            .await
            .unwrap_or(Err(ErrorKind::Connect));
        if connected.is_err() {
            thread.count(|details| details.refused += 1);
        }
        connected
    }

    /// Whether it is as the last answer left it: not ended, and with nothing said that nobody asked for.
    pub(super) fn is_quiet(&mut self) -> bool {
        self.socket.is_quiet()
    }

    /// Nobody here wanted it to end.
    pub(super) fn lost(mut self) {
        self.presence.lost();
    }

    /// Writes the request and reads its answer, both at once: some answer a body that they have not read.
    pub(super) async fn exchange(&mut self, request: &[u8]) -> Result<Ended, Fault> {
        let mut written = Written::default();
        poll_fn(|cx| {
            self.poll_write(cx, request, &mut written)?;
            self.poll_read(cx).map_ok(|ended| Ended {
                is_kept: ended.is_kept && written.is_flushed,
                ..ended
            })
        })
        .await
    }

    fn poll_write(
        &mut self,
        cx: &mut Context<'_>,
        request: &[u8],
        written: &mut Written,
    ) -> Result<(), Fault> {
        if written.is_flushed || written.has_failed {
            return Ok(());
        }
        let mut socket = Pin::new(&mut self.socket);
        while written.bytes < request.len() {
            match socket.as_mut().poll_write(cx, &request[written.bytes..]) {
                Poll::Ready(Ok(bytes)) if bytes > 0 => written.bytes += bytes,
                Poll::Ready(_) if written.bytes == 0 => return Err(Fault::NeverSent),
                Poll::Ready(_) => {
                    written.has_failed = true;
                    return Ok(());
                }
                Poll::Pending => return Ok(()),
            }
        }
        match socket.poll_flush(cx) {
            Poll::Ready(Ok(())) => written.is_flushed = true,
            Poll::Ready(Err(_)) => written.has_failed = true,
            Poll::Pending => {}
        }
        Ok(())
    }

    fn poll_read(&mut self, cx: &mut Context<'_>) -> Poll<Result<Ended, Fault>> {
        let mut buffer = self.presence.thread.buffer();
        loop {
            let mut read = ReadBuf::new(&mut buffer);
            let ended = match Pin::new(&mut self.socket).poll_read(cx, &mut read) {
                Poll::Pending => return Poll::Pending,
                Poll::Ready(Ok(())) if !read.filled().is_empty() => {
                    match self.answers.take(read.filled()) {
                        Ok(None) => continue,
                        Ok(Some(ended)) => Ok(ended),
                        Err(Wrong) => Err(Fault::Of(ErrorKind::Protocol)),
                    }
                }
                Poll::Ready(Ok(())) => self.answers.end().ok_or(Fault::Of(ErrorKind::Reset)),
                Poll::Ready(Err(_)) => Err(Fault::Of(ErrorKind::Reset)),
            };
            return Poll::Ready(ended);
        }
    }
}
