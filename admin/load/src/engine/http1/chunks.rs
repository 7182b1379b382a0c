//! A body in chunks (RFC 9112, 7.1).

use super::answer::Wrong;

/// Of extensions and trailers, which nobody reads, at most so many bytes a body.
const MAX_UNREAD_BYTES: usize = 16 * 1_024;

#[derive(Debug)]
pub(super) struct Chunks {
    at: At,
    unread: usize,
}

/// What comes next.
#[derive(Debug, Clone, Copy)]
enum At {
    /// A digit of a chunk's size, or the end of them where there was one.
    Size {
        size: u64,
        has_digit: bool,
    },
    /// The rest of the line behind the size.
    Extension {
        size: u64,
    },
    /// The line feed behind the size.
    SizeEnd {
        size: u64,
    },
    Data {
        left: u64,
    },
    DataReturn,
    DataEnd,
    /// The first byte of a line behind the last chunk.
    Trailer,
    /// The rest of such a line.
    TrailerRest,
    TrailerEnd,
    /// The line feed of the empty line.
    End,
}

impl Chunks {
    pub(super) fn new() -> Self {
        Self {
            at: SIZE,
            unread: 0,
        }
    }

    /// How many bytes of data there were, and how many bytes come after the end; `None` where the body goes on.
    pub(super) fn take(&mut self, bytes: &[u8]) -> Result<(u64, Option<usize>), Wrong> {
        let (mut data, mut place) = (0, 0);
        while let Some(byte) = bytes.get(place) {
            if let At::Data { left } = self.at {
                let now = ((bytes.len() - place) as u64).min(left);
                data += now;
                place += now as usize;
                self.at = match left - now {
                    0 => At::DataReturn,
                    left => At::Data { left },
                };
                continue;
            }
            place += 1;
            match self.after(*byte)? {
                Some(at) => self.at = at,
                None => return Ok((data, Some(bytes.len() - place))),
            }
        }
        Ok((data, None))
    }

    /// What comes after a byte that is no data; `None` where the body has ended.
    fn after(&mut self, byte: u8) -> Result<Option<At>, Wrong> {
        if matches!(
            self.at,
            At::Extension { .. } | At::Trailer | At::TrailerRest
        ) {
            self.unread += 1;
            if self.unread > MAX_UNREAD_BYTES {
                return Err(Wrong);
            }
        }
        Ok(Some(match (self.at, byte) {
            (At::Size { size, .. }, digit) if digit.is_ascii_hexdigit() => At::Size {
                size: size
                    .checked_mul(16)
                    .and_then(|size| size.checked_add(u64::from(value_of(digit))))
                    .ok_or(Wrong)?,
                has_digit: true,
            },
            (
                At::Size {
                    size,
                    has_digit: true,
                }
                | At::Extension { size },
                b'\r',
            ) => At::SizeEnd { size },
            (
                At::Size {
                    size,
                    has_digit: true,
                },
                b';' | b' ' | b'\t',
            ) => At::Extension { size },
            (At::Extension { size }, byte) if byte != b'\n' => At::Extension { size },
            (At::SizeEnd { size: 0 }, b'\n') => At::Trailer,
            (At::SizeEnd { size }, b'\n') => At::Data { left: size },
            (At::DataReturn, b'\r') => At::DataEnd,
            (At::DataEnd | At::TrailerEnd, b'\n') => match self.at {
                At::DataEnd => SIZE,
                _ => At::Trailer,
            },
            (At::Trailer, b'\r') => At::End,
            (At::Trailer | At::TrailerRest, byte) if byte != b'\n' && byte != b'\r' => {
                At::TrailerRest
            }
            (At::TrailerRest, b'\r') => At::TrailerEnd,
            (At::End, b'\n') => return Ok(None),
            _ => return Err(Wrong),
        }))
    }
}

const SIZE: At = At::Size {
    size: 0,
    has_digit: false,
};

/// Of a hexadecimal digit.
fn value_of(digit: u8) -> u8 {
    match digit {
        b'0'..=b'9' => digit - b'0',
        other => (other | 0x20) - b'a' + 10,
    }
}
