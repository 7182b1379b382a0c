//! A TCP connection, in clear or by TLS.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;

use crate::record::ErrorKind;
use crate::targets::Target;

pub(super) enum Socket {
    Clear(TcpStream),
    #[cfg(feature = "tls")]
    Tls(Box<tokio_rustls::client::TlsStream<TcpStream>>),
}

impl Socket {
    /// Connects to the address that the target was resolved to, and makes the TLS handshake where it is asked for.
    pub(super) async fn connect(target: &Target) -> Result<Self, ErrorKind> {
        let stream = TcpStream::connect(target.address)
            .await
            .map_err(|_| ErrorKind::Connect)?;
        stream.set_nodelay(true).map_err(|_| ErrorKind::Connect)?;
        #[cfg(feature = "tls")]
        if let Some(tls) = &target.tls {
            let stream = tls.connect(stream).await.map_err(|_| ErrorKind::Tls)?;
            return Ok(Self::Tls(Box::new(stream)));
        }
        Ok(Self::Clear(stream))
    }
}

impl Socket {
    /// Whether nothing has come and nothing has ended. Does not wait, and asks the system only where that may be so.
    pub(super) fn is_quiet(&mut self) -> bool {
        match self {
            Self::Clear(stream) => {
                let read = stream.try_read(&mut [0]);
                matches!(read, Err(error) if error.kind() == io::ErrorKind::WouldBlock)
            }
            #[cfg(feature = "tls")]
            Self::Tls(stream) => {
                // No task is woken by what comes later: whoever sends next looks again.
                let mut cx = Context::from_waker(std::task::Waker::noop());
                let mut byte = [0];
                let mut buffer = ReadBuf::new(&mut byte);
                Pin::new(&mut **stream)
                    .poll_read(&mut cx, &mut buffer)
                    .is_pending()
            }
        }
    }
}

/// Both are `Unpin`.
macro_rules! of_either {
    ($socket:expr, $stream:ident => $call:expr) => {
        match $socket.get_mut() {
            Socket::Clear($stream) => {
                let $stream = Pin::new($stream);
                $call
            }
            #[cfg(feature = "tls")]
            Socket::Tls($stream) => {
                let $stream = Pin::new(&mut **$stream);
                $call
            }
        }
    };
}

impl AsyncRead for Socket {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        of_either!(self, stream => stream.poll_read(cx, buffer))
    }
}

impl AsyncWrite for Socket {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        of_either!(self, stream => stream.poll_write(cx, bytes))
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        parts: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        of_either!(self, stream => stream.poll_write_vectored(cx, parts))
    }

    fn is_write_vectored(&self) -> bool {
        match self {
            Self::Clear(stream) => stream.is_write_vectored(),
            #[cfg(feature = "tls")]
            Self::Tls(stream) => stream.is_write_vectored(),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        of_either!(self, stream => stream.poll_flush(cx))
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        of_either!(self, stream => stream.poll_shutdown(cx))
    }
}
