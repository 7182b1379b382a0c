//! Reads answers as they come, in pieces of any size, and keeps nothing but an unfinished head.

use std::mem::MaybeUninit;

use httparse::{ParserConfig, Response, Status};

use super::super::exchange::Listen;
use super::chunks::Chunks;
use crate::record::Answer;

/// So many headers are read; an answer with more is a protocol error.
const MAX_HEADERS: usize = 100;
/// A longer head is a protocol error.
const MAX_HEAD_BYTES: usize = 256 * 1_024;

/// More interim answers than these before an answer are a protocol error: a server that sends them for ever answers never.
const MAX_INTERIM: u32 = 100;

/// The answer is not of the protocol.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Wrong;

/// An answer whose body has ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Ended {
    pub(super) answer: Answer,
    /// Whether the connection can be sent on again.
    pub(super) is_kept: bool,
}

/// The answers of one connection.
#[derive(Debug)]
pub(super) struct Answers {
    /// Answers to HEAD have none, whatever their headers say.
    have_body: bool,
    /// The beginning of a head.
    held: Vec<u8>,
    body: Option<Body>,
    /// Interim answers since the last one that was none.
    interim: u32,
}

#[derive(Debug)]
struct Body {
    status: u16,
    is_kept: bool,
    bytes: u64,
    left: Left,
}

/// How its end is known (RFC 9112, 6.3).
#[derive(Debug)]
enum Left {
    Bytes(u64),
    Chunks(Chunks),
    UntilClose,
}

impl Answers {
    pub(super) fn new(have_body: bool) -> Self {
        Self {
            have_body,
            held: Vec::new(),
            body: None,
            interim: 0,
        }
    }

    /// The next request is another one than the last.
    pub(super) fn expect(&mut self, have_body: bool) {
        self.have_body = have_body;
    }

    /// Takes what was read. `None` while more is to come.
    pub(super) fn take(
        &mut self,
        bytes: &[u8],
        heard: &mut impl Listen,
    ) -> Result<Option<Ended>, Wrong> {
        if self.held.is_empty() {
            return self.take_from_head(bytes, heard);
        }
        let mut head = std::mem::take(&mut self.held);
        head.extend_from_slice(bytes);
        self.take_from_head(&head, heard)
    }

    /// `bytes` begin with a head, or within a body.
    fn take_from_head(
        &mut self,
        mut bytes: &[u8],
        heard: &mut impl Listen,
    ) -> Result<Option<Ended>, Wrong> {
        loop {
            if let Some(body) = &mut self.body {
                let Some(rest) = body.take(bytes, heard)? else {
                    return Ok(None);
                };
                let ended = body.ended(rest == 0);
                self.body = None;
                return Ok(Some(ended));
            }
            let Some((length, body)) = self.head(bytes, heard)? else {
                if bytes.len() > MAX_HEAD_BYTES {
                    return Err(Wrong);
                }
                bytes.clone_into(&mut self.held);
                return Ok(None);
            };
            bytes = &bytes[length..];
            // An interim answer has no body, and another one follows it (RFC 9110, 15.2).
            if matches!(body.status, 100..=199) {
                // Nobody asked for another protocol (RFC 9110, 15.2.2), and what follows would be of that.
                if body.status == 101 {
                    return Err(Wrong);
                }
                self.interim += 1;
                if self.interim > MAX_INTERIM {
                    return Err(Wrong);
                }
            } else {
                self.interim = 0;
                self.body = Some(body);
            }
        }
    }

    /// The other side says no more. What it has said so far is an answer only where its end was to be known by that.
    pub(super) fn end(&mut self) -> Option<Ended> {
        match &self.body {
            Some(
                body @ Body {
                    left: Left::UntilClose,
                    ..
                },
            ) => Some(body.ended(false)),
            _ => None,
        }
    }

    /// A head and its length; `None` where it is not whole.
    fn head(&self, bytes: &[u8], heard: &mut impl Listen) -> Result<Option<(usize, Body)>, Wrong> {
        let mut headers = [const { MaybeUninit::uninit() }; MAX_HEADERS];
        let mut head = Response::new(&mut []);
        let parsed = ParserConfig::default()
            .parse_response_with_uninit_headers(&mut head, bytes, &mut headers)
            .map_err(|_| Wrong)?;
        let Status::Complete(length) = parsed else {
            return Ok(None);
        };
        let status = head
            .code
            .filter(|code| (100..=999).contains(code))
            .ok_or(Wrong)?;
        let is_old = head.version == Some(0);
        let (mut is_kept, mut content_length, mut is_chunked) = (!is_old, None, None);
        heard.begin();
        for header in head.headers.iter() {
            heard.header(header.name, header.value);
            match header.name.len() {
                10 if header.name.eq_ignore_ascii_case("connection") => {
                    for word in words(header.value) {
                        if word.eq_ignore_ascii_case(b"close") {
                            is_kept = false;
                        } else if is_old && word.eq_ignore_ascii_case(b"keep-alive") {
                            is_kept = true;
                        }
                    }
                }
                14 if header.name.eq_ignore_ascii_case("content-length") => {
                    // Several are one when they are the same (RFC 9112, 6.3).
                    for word in words(header.value) {
                        let value = number(word)?;
                        if content_length.is_some_and(|before| before != value) {
                            return Err(Wrong);
                        }
                        content_length = Some(value);
                    }
                }
                17 if header.name.eq_ignore_ascii_case("transfer-encoding") => {
                    let last = words(header.value).last();
                    is_chunked =
                        Some(last.is_some_and(|last| last.eq_ignore_ascii_case(b"chunked")));
                }
                _ => {}
            }
        }
        let left = match (is_chunked, content_length) {
            _ if !self.have_body || matches!(status, 100..=199 | 204 | 304) => Left::Bytes(0),
            // HTTP/1.0 has no such thing (RFC 9112, 6.1).
            (Some(_), _) if is_old => return Err(Wrong),
            (Some(true), _) => Left::Chunks(Chunks::new()),
            (None, Some(length)) => Left::Bytes(length),
            _ => Left::UntilClose,
        };
        let body = Body {
            status,
            // After 101 another protocol is spoken, and nobody asked for one.
            is_kept: is_kept && status != 101,
            bytes: 0,
            left,
        };
        Ok(Some((length, body)))
    }
}

impl Body {
    /// How many bytes come after its end; `None` where it goes on.
    fn take(&mut self, bytes: &[u8], heard: &mut impl Listen) -> Result<Option<usize>, Wrong> {
        let rest = match &mut self.left {
            Left::Bytes(left) => {
                let now = (bytes.len() as u64).min(*left);
                *left -= now;
                self.bytes += now;
                heard.data(&bytes[..now as usize]);
                (*left == 0).then_some(bytes.len() - now as usize)
            }
            Left::Chunks(chunks) => {
                let count = &mut self.bytes;
                chunks.take(bytes, |data| {
                    *count += data.len() as u64;
                    heard.data(data);
                })?
            }
            Left::UntilClose => {
                self.bytes += bytes.len() as u64;
                heard.data(bytes);
                None
            }
        };
        Ok(rest)
    }

    /// `is_last`: nothing was said after it. What was is no answer to anything.
    fn ended(&self, is_last: bool) -> Ended {
        Ended {
            answer: Answer {
                status: Some(self.status),
                body_bytes: self.bytes,
            },
            is_kept: self.is_kept && is_last,
        }
    }
}

/// The parts of a list (RFC 9110, 5.6.1).
fn words(value: &[u8]) -> impl Iterator<Item = &[u8]> {
    value.split(|byte| *byte == b',').map(<[u8]>::trim_ascii)
}

/// Digits alone: no sign, and no more than there can be.
fn number(word: &[u8]) -> Result<u64, Wrong> {
    if word.is_empty() {
        return Err(Wrong);
    }
    word.iter().try_fold(0_u64, |number, byte| {
        let digit = byte.is_ascii_digit().then(|| u64::from(byte - b'0'));
        number
            .checked_mul(10)
            .zip(digit)
            .and_then(|(tens, digit)| tens.checked_add(digit))
            .ok_or(Wrong)
    })
}
