//! One session that sends a prepared statement many times in one message, and reads how long its server process ran: nothing of
//! the client counts, and no system call a statement.

use std::fs;
use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::path::Path;

use pitcrew_stack::{Error, Result};

/// Executions in one go: their messages and answers fit into the socket's buffers, so that nobody waits for the other.
const IN_ONE_GO: usize = 400;

/// A session at the level of messages (PostgreSQL's protocol 3.0).
pub(super) struct Wire {
    stream: UnixStream,
    /// The server process.
    pid: u32,
    go: Vec<u8>,
}

fn message(kind: u8, body: &[u8]) -> Vec<u8> {
    let mut whole = vec![kind];
    whole.extend((body.len() as u32 + 4).to_be_bytes());
    whole.extend(body);
    whole
}

fn fault(detail: impl std::fmt::Display) -> Error {
    Error::Sql {
        statement: "the measured session".into(),
        detail: detail.to_string(),
    }
}

impl Wire {
    /// Connects through the socket, where nobody is asked for a password, and prepares `statement` with one `int`.
    pub(super) fn open(socket: &Path, database: &str, statement: &str) -> Result<Self> {
        let stream = UnixStream::connect(socket).map_err(fault)?;
        let mut wire = Self {
            stream,
            pid: 0,
            go: Vec::new(),
        };
        let mut body = 196_608_u32.to_be_bytes().to_vec();
        body.extend(format!("user\0postgres\0database\0{database}\0\0").bytes());
        let mut start = (body.len() as u32 + 4).to_be_bytes().to_vec();
        start.extend(body);
        wire.send(&start)?;
        let mut parse = format!("s\0{statement}\0").into_bytes();
        parse.extend([0, 1]);
        parse.extend(23_u32.to_be_bytes());
        let mut prepare = message(b'P', &parse);
        prepare.extend(message(b'S', &[]));
        wire.send(&prepare)?;
        for number in 0..IN_ONE_GO {
            // Unnamed portal, statement `s`, one parameter as text, all results as text.
            let value = (number % 100).to_string();
            let mut bind = b"\0s\0\0\0\0\x01".to_vec();
            bind.extend((value.len() as u32).to_be_bytes());
            bind.extend(value.bytes());
            bind.extend([0, 0]);
            wire.go.extend(message(b'B', &bind));
            wire.go.extend(message(b'E', b"\0\0\0\0\0"));
        }
        wire.go.extend(message(b'S', &[]));
        Ok(wire)
    }

    /// Runs statements of the simple protocol.
    pub(super) fn run(&mut self, text: &str) -> Result<()> {
        let mut body = text.as_bytes().to_vec();
        body.push(0);
        self.send(&message(b'Q', &body))
    }

    /// Sends, and reads until the server is ready for more.
    fn send(&mut self, bytes: &[u8]) -> Result<()> {
        self.stream.write_all(bytes).map_err(fault)?;
        loop {
            let mut header = [0; 5];
            self.stream.read_exact(&mut header).map_err(fault)?;
            let length = u32::from_be_bytes([header[1], header[2], header[3], header[4]]);
            let mut body = vec![0; length.saturating_sub(4) as usize];
            self.stream.read_exact(&mut body).map_err(fault)?;
            match header[0] {
                b'E' => return Err(fault(String::from_utf8_lossy(&body))),
                b'K' => {
                    let four = body.get(..4).and_then(|four| four.try_into().ok());
                    self.pid = u32::from_be_bytes(four.unwrap_or_default());
                }
                b'Z' => return Ok(()),
                _ => {}
            }
        }
    }

    /// Nanoseconds of processor time of one execution, the least of so many goes.
    pub(super) fn measure(&mut self, goes: usize) -> Result<f64> {
        let go = std::mem::take(&mut self.go);
        let mut least = f64::INFINITY;
        for _ in 0..goes {
            let before = self.ran()?;
            self.send(&go)?;
            least = least.min(self.ran()? - before);
        }
        self.go = go;
        Ok(least / IN_ONE_GO as f64)
    }

    /// What the server process ran until now, in nanoseconds.
    fn ran(&self) -> Result<f64> {
        let path = format!("/proc/{}/schedstat", self.pid);
        let text = fs::read_to_string(&path).map_err(|source| Error::Io {
            action: "read",
            path: path.into(),
            source,
        })?;
        let first = text.split_whitespace().next();
        first
            .and_then(|first| first.parse().ok())
            .ok_or_else(|| fault("no processor time in /proc"))
    }
}
