//! Passwords and port numbers.

use std::fs::File;
use std::io::Read;
use std::net::{Ipv4Addr, TcpListener};

use crate::error::{Error, Result};

/// Ports handed out: below Linux's ephemeral range (32768-60999), so that a server that is down for a moment never loses
/// its port to somebody's outgoing connection.
const PORTS: std::ops::Range<u16> = 20_000..32_000;

/// Ports tried before giving up.
const PORT_TRIES: usize = 200;

/// 32 hexadecimal digits from the kernel.
///
/// # Errors
/// [`Error::Io`] where `/dev/urandom` cannot be read.
pub(crate) fn secret() -> Result<String> {
    Ok(bytes::<16>()?
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect())
}

/// A loopback port that nobody listens on at this moment. Between this answer and the server's own `bind` somebody may
/// take it, so callers retry.
///
/// # Errors
/// [`Error::Start`] where no port can be bound.
pub(crate) fn free_port() -> Result<u16> {
    for _ in 0..PORT_TRIES {
        let port = PORTS.start + u16::from_le_bytes(bytes()?) % (PORTS.end - PORTS.start);
        if is_free(port) {
            return Ok(port);
        }
    }
    Err(Error::Start {
        server: "a server".into(),
        reason: format!("no free port on 127.0.0.1 among {PORT_TRIES} tried from {PORTS:?}"),
        log: String::new(),
    })
}

/// Whether `port` can be bound on 127.0.0.1.
#[must_use]
pub(crate) fn is_free(port: u16) -> bool {
    TcpListener::bind((Ipv4Addr::LOCALHOST, port)).is_ok()
}

fn bytes<const N: usize>() -> Result<[u8; N]> {
    let mut bytes = [0; N];
    File::open("/dev/urandom")
        .and_then(|mut source| source.read_exact(&mut bytes))
        .map_err(Error::io("read", "/dev/urandom"))?;
    Ok(bytes)
}
