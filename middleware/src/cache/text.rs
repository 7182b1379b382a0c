//! Header values from numbers, written where they stand: a hit makes two.

use http::HeaderValue;

/// Room for the longest value that is written so.
const ROOM: usize = 96;

/// A value under construction. What does not fit is left out; [`ROOM`] is more than any of ours needs.
pub(super) struct Text {
    bytes: [u8; ROOM],
    length: usize,
}

impl Text {
    pub(super) fn new(begin: &str) -> Self {
        let text = Self {
            bytes: [0; ROOM],
            length: 0,
        };
        text.add(begin)
    }

    pub(super) fn add(mut self, text: &str) -> Self {
        let end = self.length + text.len();
        debug_assert!(end <= ROOM, "{text} does not fit");
        if let Some(room) = self.bytes.get_mut(self.length..end) {
            room.copy_from_slice(text.as_bytes());
            self.length = end;
        }
        self
    }

    pub(super) fn number(self, number: i64) -> Self {
        self.add(itoa::Buffer::new().format(number))
    }

    pub(super) fn value(&self) -> HeaderValue {
        // Our own words and digits: always a value.
        HeaderValue::from_bytes(&self.bytes[..self.length])
            .unwrap_or_else(|_| HeaderValue::from_static(""))
    }
}

pub(super) fn decimal(number: u64) -> HeaderValue {
    let mut buffer = itoa::Buffer::new();
    HeaderValue::from_bytes(buffer.format(number).as_bytes())
        .unwrap_or_else(|_| HeaderValue::from_static("0"))
}
