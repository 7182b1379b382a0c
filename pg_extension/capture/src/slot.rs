//! One execution in 8 KiB.

use crate::literals::without_literals;
use crate::values;
use crate::{Blocks, Captured, Ended, Key, Measured, Record};

/// Bytes of a slot.
pub const SLOT_BYTES: usize = 8192;
const HEADER_BYTES: usize = 128;
/// Bytes of text, search path and values together. An execution whose text does not fit is not kept.
pub const MAX_BYTES: usize = SLOT_BYTES - HEADER_BYTES;
/// Longest `search_path` that is kept; under a longer one the statement is not planned.
const MAX_PATH_BYTES: usize = 512;
const NO_PATH: u16 = u16::MAX;

const IS_MEASURED: u8 = 1;
const IS_WITHOUT_LITERALS: u8 = 2;

/// What became of an execution.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kept {
    /// All of it is there.
    Whole,
    /// Some values did not fit.
    WithoutValues,
    /// Its text did not fit: nothing is there.
    TooLong,
}

/// One execution, packed. All zero: nobody's.
#[repr(C)]
pub struct Slot {
    /// Place in the order; 0 while the slot is free.
    number: u64,
    key: Key,
    ns: u64,
    rows: u64,
    blocks: Blocks,
    started_at: i64,
    shape: u64,
    text_bytes: u16,
    path_bytes: u16,
    value_bytes: u16,
    value_count: u16,
    ended: u8,
    flags: u8,
    _pad: [u8; 6],
    data: [u8; MAX_BYTES],
}

const _: () = assert!(size_of::<Slot>() == SLOT_BYTES);

/// Appends to the data of a slot.
struct Writer<'a> {
    data: &'a mut [u8],
    length: usize,
}

impl Writer<'_> {
    /// Adds all of it, or nothing.
    fn add(&mut self, bytes: &[u8]) -> bool {
        let end = self.length.saturating_add(bytes.len());
        match self.data.get_mut(self.length..end) {
            Some(place) => {
                place.copy_from_slice(bytes);
                self.length = end;
                true
            }
            None => false,
        }
    }
}

impl Slot {
    /// Whether somebody's execution is there.
    #[must_use]
    pub fn is_used(&self) -> bool {
        self.number != 0
    }

    /// Whose.
    #[must_use]
    pub fn key(&self) -> &Key {
        &self.key
    }

    /// Place in the order in which executions were kept.
    pub(crate) fn number(&self) -> u64 {
        self.number
    }

    /// What executions of one statement are told apart by when some have to go.
    pub(crate) fn class(&self) -> (u8, u64) {
        (self.ended, self.shape)
    }

    /// Overwrites it with nothing, so that no value stays in memory.
    pub fn clear(&mut self) {
        self.number = 0;
        self.key = Key::default();
        self.shape = 0;
        self.data.fill(0);
        (
            self.text_bytes,
            self.path_bytes,
            self.value_bytes,
            self.value_count,
        ) = (0, 0, 0, 0);
    }

    /// Whether the text fits. Without its literals it is no longer, so that this may be asked before.
    #[must_use]
    pub fn fits(record: &Record<'_>) -> bool {
        record.text.len() <= MAX_BYTES
    }

    /// Writes an execution over what is there. `number` must not be 0.
    pub fn write(&mut self, number: u64, record: &Record<'_>) -> Kept {
        self.number = 0;
        let mut writer = Writer {
            data: &mut self.data,
            length: 0,
        };
        let is_added = if record.keep_literals {
            writer.add(record.text)
        } else {
            without_literals(record.text, &mut |part| writer.add(part))
        };
        if !is_added {
            self.clear();
            return Kept::TooLong;
        }
        let text_end = writer.length;
        let path = record
            .search_path
            .filter(|path| path.len() <= MAX_PATH_BYTES);
        let path_bytes = match path {
            Some(path) if writer.add(path) => path.len() as u16,
            _ => NO_PATH,
        };
        let path_end = writer.length;
        let packed = record.values;
        let has_values = record.keep_literals && writer.add(packed.bytes);
        let count = if has_values { packed.count } else { 0 };
        let is_whole = packed.is_whole && (has_values || packed.count == 0);
        let end = writer.length;
        self.key = record.key;
        self.ns = record.measured.ns;
        self.rows = record.measured.rows;
        self.blocks = record.measured.blocks;
        self.started_at = record.started_at;
        self.shape = record.shape;
        self.text_bytes = text_end as u16;
        self.path_bytes = path_bytes;
        self.value_bytes = (end - path_end) as u16;
        self.value_count = count;
        self.ended = record.measured.ended.number();
        self.flags = if record.is_measured { IS_MEASURED } else { 0 }
            | if record.keep_literals {
                0
            } else {
                IS_WITHOUT_LITERALS
            };
        // What was there before is nobody's business any more.
        if let Some(behind) = self.data.get_mut(end..) {
            behind.fill(0);
        }
        self.number = number;
        if is_whole || !record.keep_literals {
            Kept::Whole
        } else {
            Kept::WithoutValues
        }
    }

    /// Reads it back; `None` where it is free.
    #[must_use]
    pub fn read(&self) -> Option<Captured> {
        if !self.is_used() {
            return None;
        }
        let text_end = usize::from(self.text_bytes);
        let path_length = match self.path_bytes {
            NO_PATH => None,
            length => Some(usize::from(length)),
        };
        let path_end = text_end + path_length.unwrap_or(0);
        let values_end = path_end + usize::from(self.value_bytes);
        Some(Captured {
            key: self.key,
            number: self.number,
            measured: Measured {
                ended: Ended::from_number(self.ended),
                ns: self.ns,
                rows: self.rows,
                blocks: self.blocks,
            },
            is_measured: self.flags & IS_MEASURED != 0,
            started_at: self.started_at,
            shape: self.shape,
            text: self.data.get(..text_end)?.to_vec(),
            is_without_literals: self.flags & IS_WITHOUT_LITERALS != 0,
            search_path: match path_length {
                Some(_) => Some(self.data.get(text_end..path_end)?.to_vec()),
                None => None,
            },
            values: values::unpack(self.data.get(path_end..values_end)?, self.value_count),
        })
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::{Packed, Value, pack};
    use proptest::prelude::*;

    pub(crate) fn empty() -> Box<Slot> {
        Box::new(Slot {
            number: 0,
            key: Key::default(),
            ns: 0,
            rows: 0,
            blocks: Blocks::default(),
            started_at: 0,
            shape: 0,
            text_bytes: 0,
            path_bytes: 0,
            value_bytes: 0,
            value_count: 0,
            ended: 0,
            flags: 0,
            _pad: [0; 6],
            data: [0; MAX_BYTES],
        })
    }

    fn record<'a>(text: &'a [u8], path: Option<&'a [u8]>, values: Packed<'a>) -> Record<'a> {
        Record {
            key: Key {
                query: 7,
                database: 5,
                user: 10,
                kind: crate::Kind::new(true, false),
            },
            measured: Measured {
                ended: Ended::Cancelled,
                ns: 9,
                rows: 8,
                blocks: Blocks {
                    hit: 1,
                    temp_written: 6,
                    ..Blocks::default()
                },
            },
            is_measured: true,
            started_at: -4,
            shape: 3,
            text,
            search_path: path,
            values,
            keep_literals: true,
        }
    }

    proptest! {
        #[test]
        fn what_was_written_is_read(
            text in proptest::collection::vec(1_u8.., 0..MAX_BYTES),
            path in proptest::option::of(proptest::collection::vec(1_u8.., 0..MAX_PATH_BYTES)),
            values in proptest::collection::vec((any::<u32>(), proptest::option::of(proptest::option::of(
                proptest::collection::vec(any::<u8>(), 0..200)))), 0..60),
        ) {
            let mut slot = empty();
            let given = values.iter().map(|(oid, value)| match value {
                None => Value::Unknown(*oid),
                Some(None) => Value::Null(*oid),
                Some(Some(bytes)) => Value::Bytes(*oid, bytes),
            });
            let mut buffer = [0; MAX_BYTES];
            let packed = pack(&mut buffer, given);
            let record = record(&text, path.as_deref(), packed);
            let kept = slot.write(12, &record);
            let read = slot.read().unwrap();
            prop_assert_eq!(&read.text, &text);
            prop_assert_eq!(read.measured, record.measured);
            prop_assert_eq!((read.key, read.number, read.started_at, read.shape), (record.key, 12, -4, 3));
            if read.search_path.is_some() {
                prop_assert_eq!(&read.search_path, &path);
            }
            // Values are right or not known, never others.
            prop_assert!(read.values.len() <= values.len());
            for (read, given) in read.values.iter().zip(&values) {
                prop_assert_eq!(read.0, given.0);
                prop_assert!(read.1.is_none() || read.1 == given.1);
            }
            if kept == Kept::Whole {
                prop_assert_eq!(read.values, values);
            }
        }
    }

    #[test]
    fn what_is_too_long_leaves_nothing() {
        let mut slot = empty();
        let short = [b'x'; MAX_BYTES];
        let fitting = record(&short, Some(b"public"), Packed::default());
        assert!(Slot::fits(&fitting));
        assert_eq!(slot.write(1, &fitting), Kept::Whole);
        assert_eq!(slot.read().unwrap().search_path, None);
        let long = [b'x'; MAX_BYTES + 1];
        let long = record(&long, None, Packed::default());
        assert!(!Slot::fits(&long));
        assert_eq!(slot.write(2, &long), Kept::TooLong);
        assert_eq!(slot.read(), None);
        assert!(slot.data.iter().all(|byte| *byte == 0));
    }

    #[test]
    fn values_and_literals_can_be_kept_out() {
        let mut slot = empty();
        let mut buffer = [0; 100];
        let packed = pack(&mut buffer, [Value::Bytes(25, b"secret")].into_iter());
        let mut record = record(b"SELECT 'secret', $1", Some(b"a, b"), packed);
        slot.write(1, &record);
        record.keep_literals = false;
        slot.write(2, &record);
        let read = slot.read().unwrap();
        assert_eq!(read.text, b"SELECT ?, $1");
        assert!(read.is_without_literals && read.values.is_empty());
        // Nor is anything left of what was there before.
        assert!(!slot.data.windows(6).any(|window| window == b"secret"));
    }
}
