//! HTTP dates.

use http::{HeaderMap, HeaderValue, header::DATE};

use super::bounded;
use crate::cache::policy::date::{add_date, only_ms, parse_ms};

/// The last second of the year 9999, past which an HTTP date cannot be written.
const LAST_MS: u64 = 253_402_300_799_000;

/// Each line is a value. What is read is a whole second that can be written, and is then read as the same.
pub fn dates(data: &[u8]) {
    for line in data.split(|byte| *byte == b'\n') {
        let Ok(value) = HeaderValue::from_bytes(line) else {
            continue;
        };
        let read = bounded(2, line.len(), || parse_ms(&value));
        let spaced = [b" \t", line, b"\t "].concat();
        let spaced = HeaderValue::from_bytes(&spaced).expect("space is allowed in a value");
        assert_eq!(read, parse_ms(&spaced), "space around {value:?}");
        let Some(ms) = read else { continue };
        assert!(ms <= LAST_MS && ms % 1_000 == 0, "{value:?} is {ms}");
        let mut headers = HeaderMap::new();
        add_date(&mut headers, ms);
        assert_eq!(only_ms(&headers, &DATE), Some(ms), "{headers:?}");
        headers.append(DATE, value);
        assert_eq!(only_ms(&headers, &DATE), None, "two are one too many");
    }
}
