//! Parameter values in a run of bytes: type, length and bytes of each.

/// In front of each value: its type, and its length or one of the two below.
const HEADER_BYTES: usize = 8;
const LENGTH_OF_NULL: u32 = u32::MAX;
const LENGTH_OF_UNKNOWN: u32 = u32::MAX - 1;

/// The value of one parameter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Value<'a> {
    /// NULL of this type.
    Null(u32),
    /// Of this type, as the server keeps it.
    Bytes(u32, &'a [u8]),
    /// Of this type, and not kept: longer than fits, stored elsewhere, or of a type whose layout is not known here.
    Unknown(u32),
}

/// Values, packed.
#[derive(Clone, Copy, Debug)]
pub struct Packed<'a> {
    /// The run of bytes.
    pub bytes: &'a [u8],
    /// How many values are in it.
    pub count: u16,
    /// Nothing of any value was left out.
    pub is_whole: bool,
}

impl Default for Packed<'_> {
    fn default() -> Self {
        Self {
            bytes: &[],
            count: 0,
            is_whole: true,
        }
    }
}

/// Packs values into `buffer`. What does not fit is unknown, and once there is no room for even that, so is all behind it.
pub fn pack<'a, 'v>(buffer: &'a mut [u8], values: impl Iterator<Item = Value<'v>>) -> Packed<'a> {
    let (mut length, mut count, mut is_whole) = (0, 0_u16, true);
    for value in values {
        let (type_oid, marked, bytes): (u32, u32, &[u8]) = match value {
            Value::Null(oid) => (oid, LENGTH_OF_NULL, &[]),
            Value::Unknown(oid) => (oid, LENGTH_OF_UNKNOWN, &[]),
            Value::Bytes(oid, bytes) => (oid, bytes.len() as u32, bytes),
        };
        is_whole &= marked != LENGTH_OF_UNKNOWN;
        let added = add(buffer, length, type_oid, marked, bytes).or_else(|| {
            is_whole = false;
            add(buffer, length, type_oid, LENGTH_OF_UNKNOWN, &[])
        });
        let Some(end) = added else {
            break;
        };
        length = end;
        count = count.saturating_add(1);
    }
    Packed {
        bytes: buffer.get(..length).unwrap_or_default(),
        count,
        is_whole,
    }
}

fn add(buffer: &mut [u8], start: usize, type_oid: u32, marked: u32, bytes: &[u8]) -> Option<usize> {
    let end = start + HEADER_BYTES + bytes.len();
    let place = buffer.get_mut(start..end)?;
    let (header, body) = place.split_at_mut_checked(HEADER_BYTES)?;
    let (first, second) = header.split_at_mut_checked(4)?;
    first.copy_from_slice(&type_oid.to_ne_bytes());
    second.copy_from_slice(&marked.to_ne_bytes());
    body.copy_from_slice(bytes);
    Some(end)
}

/// A type with a value: outer `None` where the value is not known, inner `None` for NULL.
pub type Typed = (u32, Option<Option<Vec<u8>>>);

/// Reads packed values.
pub(crate) fn unpack(mut packed: &[u8], count: u16) -> Vec<Typed> {
    let mut found = Vec::with_capacity(usize::from(count));
    for _ in 0..count {
        let Some((header, rest)) = packed.split_at_checked(HEADER_BYTES) else {
            break;
        };
        let number = |from: usize| {
            let bytes = header.get(from..from + 4);
            u32::from_ne_bytes(
                bytes
                    .and_then(|four| four.try_into().ok())
                    .unwrap_or_default(),
            )
        };
        let (type_oid, length) = (number(0), number(4));
        packed = rest;
        let value = match length {
            LENGTH_OF_NULL => Some(None),
            LENGTH_OF_UNKNOWN => None,
            length => {
                let Some((bytes, rest)) = packed.split_at_checked(length as usize) else {
                    break;
                };
                packed = rest;
                Some(Some(bytes.to_vec()))
            }
        };
        found.push((type_oid, value));
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_does_not_fit_is_unknown() {
        let mut buffer = [0; 30];
        let values = [
            Value::Bytes(23, &[1, 2, 3, 4]),
            Value::Bytes(25, &[7; 20]),
            Value::Null(20),
            Value::Null(20),
        ];
        let packed = pack(&mut buffer, values.into_iter());
        assert!(!packed.is_whole);
        let read = unpack(packed.bytes, packed.count);
        assert_eq!(
            read,
            [
                (23, Some(Some(vec![1, 2, 3, 4]))),
                (25, None),
                (20, Some(None))
            ]
        );
    }
}
