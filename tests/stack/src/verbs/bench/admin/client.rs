//! One connection of HTTP/1.1 that is kept: a request, its answer, the next request.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use pitcrew_stack::Result;

use super::fault;

/// Whatever takes longer hangs.
const PATIENCE: Duration = Duration::from_secs(60);

pub(super) struct Client {
    stream: BufReader<TcpStream>,
    address: String,
    token: String,
}

impl Client {
    pub(super) fn connect(address: &str, token: &str) -> Result<Self> {
        let stream = TcpStream::connect(address).map_err(fault)?;
        stream.set_nodelay(true).map_err(fault)?;
        stream.set_read_timeout(Some(PATIENCE)).map_err(fault)?;
        Ok(Self {
            stream: BufReader::new(stream),
            address: address.to_owned(),
            token: token.to_owned(),
        })
    }

    /// The body of an answer of 2xx.
    pub(super) fn get(&mut self, path: &str) -> Result<Vec<u8>> {
        self.send("GET", path, "")
    }

    pub(super) fn post(&mut self, path: &str, body: &str) -> Result<Vec<u8>> {
        self.send("POST", path, body)
    }

    /// A JSON answer.
    pub(super) fn told(&mut self, path: &str) -> Result<serde_json::Value> {
        let body = self.get(path)?;
        serde_json::from_slice(&body).map_err(|error| fault(format!("GET {path}: {error}")))
    }

    fn send(&mut self, method: &str, path: &str, body: &str) -> Result<Vec<u8>> {
        let request = head(method, path, &self.address, &self.token, body.len()) + body;
        let mut stream = self.stream.get_ref();
        stream.write_all(request.as_bytes()).map_err(fault)?;
        let (status, length) = self.answer_head(path)?;
        let mut body = vec![0; length];
        self.stream.read_exact(&mut body).map_err(fault)?;
        if (200..300).contains(&status) {
            return Ok(body);
        }
        let body = String::from_utf8_lossy(&body);
        Err(fault(format!("{method} {path} answered {status}: {body}")))
    }

    /// The status, and how long the body is.
    fn answer_head(&mut self, path: &str) -> Result<(u16, usize)> {
        let (mut status, mut length) = (0, None);
        let mut line = String::new();
        loop {
            line.clear();
            if self.stream.read_line(&mut line).map_err(fault)? == 0 {
                return Err(fault(format!("{path}: the connection was closed")));
            }
            let field = line.trim_end().to_ascii_lowercase();
            if let Some(rest) = field.strip_prefix("http/1.1 ") {
                status = rest
                    .get(..3)
                    .and_then(|code| code.parse().ok())
                    .unwrap_or(0);
            } else if let Some(bytes) = field.strip_prefix("content-length:") {
                length = bytes.trim().parse().ok();
            } else if field.is_empty() {
                let length = length.ok_or_else(|| fault(format!("{path}: no length")))?;
                return Ok((status, length));
            }
        }
    }
}

/// A request's head, up to its body.
pub(super) fn head(method: &str, path: &str, host: &str, token: &str, length: usize) -> String {
    let length = match length {
        0 => String::new(),
        length => format!("Content-Type: application/json\r\nContent-Length: {length}\r\n"),
    };
    format!(
        "{method} {path} HTTP/1.1\r\nHost: {host}\r\nAuthorization: Bearer {token}\r\n{length}\r\n"
    )
}
