//! Cache groups (RFC 9875).

use super::{
    bounded,
    input::{fields, lines, with_lines},
};
use crate::cache::policy::groups::{CACHE_GROUPS, MAX_GROUPS, MAX_NAME_BYTES, names};

/// An answer's fields. No more names are kept than the bounds say; they are those of the same list written anew, and of
/// one line where they stood in several.
pub fn groups(data: &[u8]) {
    let headers = fields(data);
    let read = bounded(512, data.len(), || names(&headers, &CACHE_GROUPS));
    let own = lines(&headers, &CACHE_GROUPS);
    if own.iter().all(|line| line.is_ascii()) {
        let joined = with_lines(&headers, &CACHE_GROUPS, [own.join(&b", "[..])]);
        assert_eq!(names(&joined, &CACHE_GROUPS), read, "as one line: {own:?}");
    }
    let Some(read) = read else { return };
    assert!(read.len() <= MAX_GROUPS);
    assert!(read.iter().all(|name| name.len() <= MAX_NAME_BYTES));
    let quoted = |name: &String| format!("\"{}\"", name.replace('\\', "\\\\").replace('"', "\\\""));
    let written = read.iter().map(|name| quoted(name).into_bytes());
    let written = with_lines(&headers, &CACHE_GROUPS, written);
    assert_eq!(names(&written, &CACHE_GROUPS), Some(read));
}
