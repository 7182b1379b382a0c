//! Bytes as header fields, and what reading them may allocate.

use http::{HeaderMap, HeaderName, HeaderValue};

/// What reading may allocate beside a multiple of its input.
const ALLOWANCE_BYTES: u64 = 4 << 10;

/// The two blocks of an input; the second is empty where there is no empty line.
pub(in crate::cache) fn blocks(data: &[u8]) -> (&[u8], &[u8]) {
    match data.windows(2).position(|pair| pair == b"\n\n") {
        Some(at) => (&data[..at], &data[at + 2..]),
        None => (data, &[]),
    }
}

/// The fields of a block. A line that a server would refuse is left out.
pub(super) fn fields(block: &[u8]) -> HeaderMap {
    let mut headers = HeaderMap::new();
    for line in block.split(|byte| *byte == b'\n') {
        let Some(colon) = line.iter().position(|byte| *byte == b':') else {
            continue;
        };
        let name = HeaderName::from_bytes(&line[..colon]);
        let value = HeaderValue::from_bytes(line[colon + 1..].trim_ascii());
        if let (Ok(name), Ok(value)) = (name, value) {
            headers.append(name, value);
        }
    }
    headers
}

/// The fields of a message, but for the lines of one, which are what `with` makes of each.
pub(super) fn with_lines(
    headers: &HeaderMap,
    name: &HeaderName,
    lines: impl IntoIterator<Item = Vec<u8>>,
) -> HeaderMap {
    let mut headers = headers.clone();
    headers.remove(name);
    for line in lines {
        if let Ok(value) = HeaderValue::from_bytes(&line) {
            headers.append(name.clone(), value);
        }
    }
    headers
}

/// The lines of a field.
pub(super) fn lines(headers: &HeaderMap, name: &HeaderName) -> Vec<Vec<u8>> {
    let lines = headers.get_all(name).iter();
    lines.map(|value| value.as_bytes().to_vec()).collect()
}

/// Runs `work`, which may allocate `factor` bytes a byte of its input of `length` bytes, all allocations added up.
pub(in crate::cache) fn bounded<T>(factor: u64, length: usize, work: impl FnOnce() -> T) -> T {
    let before = allocated();
    let result = work();
    let bytes = allocated().wrapping_sub(before);
    let most = factor * length as u64 + ALLOWANCE_BYTES;
    assert!(bytes <= most, "{bytes} bytes allocated to read {length}");
    result
}

#[cfg(feature = "memory")]
fn allocated() -> u64 {
    crate::memory::allocated_bytes()
}

/// Nothing counts without the feature `memory`.
#[cfg(not(feature = "memory"))]
fn allocated() -> u64 {
    0
}
