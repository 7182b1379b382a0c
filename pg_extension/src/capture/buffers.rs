//! Text and parameters of open executions, copied when they begin: whatever an error frees, these stay.

use std::ffi::{CStr, c_char};

use pg_pitcrew_capture::{Form, MAX_BYTES, Packed, Value, pack};
use pgrx::pg_sys;

use super::settings;

/// Texts that clients sent and that can be open in one session: cursors, as a rule one statement.
const BUFFERS: usize = 8;

static mut BYTES: [[u8; MAX_BYTES]; BUFFERS] = [[0; MAX_BYTES]; BUFFERS];
/// One bit for each that is taken.
static mut TAKEN: u8 = 0;

/// What lies in a buffer.
#[derive(Clone, Copy)]
pub(super) struct Written {
    buffer: Option<u8>,
    /// Bytes of the text.
    text: u16,
    /// Bytes of the values behind it.
    values: u16,
    count: u16,
    is_whole: bool,
    /// The text is longer than a buffer.
    pub(super) is_too_long: bool,
}

impl Written {
    /// Nothing.
    pub(super) const NOTHING: Self = Self {
        buffer: None,
        text: 0,
        values: 0,
        count: 0,
        is_whole: true,
        is_too_long: false,
    };

    /// Nothing was copied.
    pub(super) fn is_nothing(&self) -> bool {
        self.buffer.is_none()
    }

    unsafe fn bytes(&self) -> &'static [u8] {
        let buffer = usize::from(self.buffer.unwrap_or(0));
        // SAFETY: on the only thread; a buffer is not written while somebody has it.
        unsafe {
            let all: &'static [[u8; MAX_BYTES]; BUFFERS] = &*(&raw const BYTES);
            all.get(buffer).map_or(&[], |bytes| &bytes[..])
        }
    }

    /// The text.
    ///
    /// # Safety
    /// The buffer was not given back.
    pub(super) unsafe fn text(&self) -> &'static [u8] {
        // SAFETY: the caller's promise.
        let bytes = unsafe { self.bytes() };
        bytes.get(..usize::from(self.text)).unwrap_or_default()
    }

    /// The parameters.
    ///
    /// # Safety
    /// As `text`.
    pub(super) unsafe fn values(&self) -> Packed<'static> {
        // SAFETY: the caller's promise.
        let bytes = unsafe { self.bytes() };
        let start = usize::from(self.text);
        let values = bytes.get(start..start + usize::from(self.values));
        Packed {
            bytes: values.unwrap_or_default(),
            count: self.count,
            is_whole: self.is_whole,
        }
    }
}

/// The statement's own part of a text that may hold several.
///
/// # Safety
/// `text` is a NUL-terminated string that outlives the result.
pub(super) unsafe fn part<'a>(text: *const c_char, (location, length): (i32, i32)) -> &'a [u8] {
    // SAFETY: the caller's promise.
    let whole = unsafe { CStr::from_ptr(text) }.to_bytes();
    let Ok(start) = usize::try_from(location) else {
        return whole;
    };
    let rest = whole.get(start..).unwrap_or_default();
    match usize::try_from(length) {
        Ok(length) if length > 0 => rest.get(..length).unwrap_or(rest),
        _ => rest,
    }
}

/// Copies a text and its parameters.
///
/// # Safety
/// `text` is a NUL-terminated string, `parameters` null or a list that is there, on the server's only thread.
pub(super) unsafe fn fill(
    text: *const c_char,
    place: (i32, i32),
    parameters: pg_sys::ParamListInfo,
) -> Written {
    // SAFETY: the caller's promise.
    unsafe {
        let text = part(text, place);
        if text.len() > MAX_BYTES {
            return Written {
                is_too_long: true,
                ..Written::NOTHING
            };
        }
        let number = (!TAKEN).trailing_zeros() as usize;
        let all = &mut *(&raw mut BYTES);
        let Some(buffer) = all.get_mut(number) else {
            return Written::NOTHING;
        };
        let Some((place, behind)) = buffer.split_at_mut_checked(text.len()) else {
            return Written::NOTHING;
        };
        place.copy_from_slice(text);
        TAKEN |= 1 << number;
        let keeps_values = *settings::VALUES.as_ptr();
        let packed = if parameters.is_null() || !keeps_values {
            Packed::default()
        } else {
            let count = usize::try_from((*parameters).numParams).unwrap_or(0);
            let list = (*parameters).params.as_ptr();
            pack(behind, (0..count).map(|number| value(&*list.add(number))))
        };
        Written {
            buffer: Some(number as u8),
            text: text.len() as u16,
            values: packed.bytes.len() as u16,
            count: packed.count,
            is_whole: packed.is_whole,
            is_too_long: false,
        }
    }
}

/// Lets the next one have it.
///
/// # Safety
/// On the server's only thread.
pub(super) unsafe fn give_back(written: &Written) {
    if let Some(number) = written.buffer {
        // SAFETY: the caller's promise.
        unsafe { TAKEN &= !(1 << number) };
    }
}

/// The bytes of one parameter, where they can be found without asking a catalogue.
unsafe fn value(parameter: &pg_sys::ParamExternData) -> Value<'_> {
    let oid = parameter.ptype.to_u32();
    if parameter.isnull {
        return Value::Null(oid);
    }
    // SAFETY: the type says how its datum is read.
    unsafe {
        match Form::of(oid) {
            Some(Form::ByValue(length)) => {
                let bytes = std::slice::from_raw_parts((&raw const parameter.value).cast(), 8);
                // The low bytes come first.
                match bytes.get(..length) {
                    Some(bytes) if cfg!(target_endian = "little") => Value::Bytes(oid, bytes),
                    _ => Value::Unknown(oid),
                }
            }
            Some(Form::Fixed(length)) => {
                let bytes: *const u8 = parameter.value.cast_mut_ptr();
                if bytes.is_null() {
                    return Value::Unknown(oid);
                }
                Value::Bytes(oid, std::slice::from_raw_parts(bytes, length))
            }
            Some(Form::Varlena) => {
                let bytes: *const u8 = parameter.value.cast_mut_ptr();
                match varlena_bytes(bytes) {
                    Some(length) => Value::Bytes(oid, std::slice::from_raw_parts(bytes, length)),
                    None => Value::Unknown(oid),
                }
            }
            None => Value::Unknown(oid),
        }
    }
}

/// The length of a varlena with its header; `None` for one that points elsewhere.
unsafe fn varlena_bytes(bytes: *const u8) -> Option<usize> {
    if bytes.is_null() || cfg!(target_endian = "big") {
        return None;
    }
    // SAFETY: a varlena has a header of one or four bytes (varatt.h, little endian).
    unsafe {
        let first = *bytes;
        if first == 1 {
            // A pointer to a toasted or expanded value.
            None
        } else if first & 1 == 1 {
            Some(usize::from(first >> 1))
        } else {
            let header = bytes.cast::<u32>().read_unaligned();
            Some((header >> 2) as usize)
        }
    }
}
