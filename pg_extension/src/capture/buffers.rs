//! Text and parameters of executions that an error hit, copied before their memory goes; and of those that are kept.

use std::ffi::{CStr, c_char};

use pg_pitcrew_capture::{Form, MAX_BYTES, Packed, Value, pack};
use pgrx::pg_sys;

use super::settings;

/// Executions of one session that one error can hit: as a rule it is one.
const BUFFERS: usize = 8;

static mut BUFFERED: [Written; BUFFERS] = [Written::NOTHING; BUFFERS];

/// A text with its parameters.
struct Written {
    is_taken: bool,
    /// The shape of the plan.
    shape: u64,
    /// Bytes of the text.
    text: u16,
    /// Bytes of the values behind it.
    values: u16,
    count: u16,
    is_whole: bool,
    bytes: [u8; MAX_BYTES],
}

impl Written {
    const NOTHING: Self = Self {
        is_taken: false,
        shape: 0,
        text: 0,
        values: 0,
        count: 0,
        is_whole: true,
        bytes: [0; MAX_BYTES],
    };
}

/// A buffer that somebody has, or why there is none.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Buffer {
    /// Its number.
    Taken(u8),
    /// The text is longer than a buffer.
    TooLong,
    /// All are taken.
    NoneLeft,
}

impl Buffer {
    unsafe fn written(self) -> Option<&'static mut Written> {
        let Self::Taken(number) = self else {
            return None;
        };
        // SAFETY: on the only thread; nobody holds what this answers for longer than a call.
        unsafe {
            let all = &raw mut BUFFERED;
            let all = &mut *all;
            all.get_mut(usize::from(number))
        }
    }

    /// Text, parameters and the plan's shape; `None` where there is no buffer.
    ///
    /// # Safety
    /// On the server's only thread, until it is given back.
    pub(super) unsafe fn read(self) -> Option<(&'static [u8], Packed<'static>, u64)> {
        // SAFETY: the caller's promise.
        let written: &'static Written = unsafe { self.written() }?;
        let end = usize::from(written.text);
        let text = written.bytes.get(..end)?;
        let values = Packed {
            bytes: written.bytes.get(end..end + usize::from(written.values))?,
            count: written.count,
            is_whole: written.is_whole,
        };
        Some((text, values, written.shape))
    }

    /// Lets the next one have it.
    ///
    /// # Safety
    /// On the server's only thread.
    pub(super) unsafe fn give_back(self) {
        // SAFETY: the caller's promise.
        if let Some(written) = unsafe { self.written() } {
            written.is_taken = false;
        }
    }
}

/// The statement's own part of a text that may hold several.
///
/// # Safety
/// The execution's memory is there.
pub(super) unsafe fn text_of<'a>(description: *mut pg_sys::QueryDesc) -> &'a [u8] {
    // SAFETY: the caller's promise.
    unsafe {
        let (text, plan) = ((*description).sourceText, (*description).plannedstmt);
        if text.is_null() || plan.is_null() {
            return &[];
        }
        part(text, ((*plan).stmt_location, (*plan).stmt_len))
    }
}

unsafe fn part<'a>(text: *const c_char, (location, length): (i32, i32)) -> &'a [u8] {
    // SAFETY: the caller's text ends with a NUL.
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

/// Copies the text and the parameters of an execution; `plan` is the shape of its plan.
///
/// # Safety
/// The execution has begun and its memory is there, on the server's only thread.
pub(super) unsafe fn fill(description: *mut pg_sys::QueryDesc, plan: u64) -> Buffer {
    // SAFETY: the caller's promise.
    unsafe {
        let text = text_of(description);
        if text.len() > MAX_BYTES {
            return Buffer::TooLong;
        }
        let all = &raw mut BUFFERED;
        let all = &mut *all;
        let Some((number, written)) = (0_u8..).zip(all).find(|(_, written)| !written.is_taken)
        else {
            return Buffer::NoneLeft;
        };
        let Some((place, behind)) = written.bytes.split_at_mut_checked(text.len()) else {
            return Buffer::TooLong;
        };
        place.copy_from_slice(text);
        let parameters = (*description).params;
        let packed = if parameters.is_null() || !*settings::VALUES.as_ptr() {
            Packed::default()
        } else {
            let count = usize::try_from((*parameters).numParams).unwrap_or(0);
            let list = (*parameters).params.as_ptr();
            pack(behind, (0..count).map(|number| value(&*list.add(number))))
        };
        written.text = text.len() as u16;
        written.values = packed.bytes.len() as u16;
        written.count = packed.count;
        written.is_whole = packed.is_whole;
        written.shape = plan;
        written.is_taken = true;
        Buffer::Taken(number)
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
