//! Parameter values as text and as datums, once they are read.

use pg_pitcrew_capture::{Form, Typed};
use pgrx::prelude::*;
use serde_json::{Value, json};

use crate::names;
use crate::whatif::guarded::guarded;

/// OIDs whose by-value numbers have no sign.
const OID: u32 = 26;

/// A datum in the current memory context; `None` for bytes that are none of that type.
pub(crate) fn datum(type_oid: u32, bytes: &[u8]) -> Option<pg_sys::Datum> {
    match Form::of(type_oid)? {
        Form::ByValue(length) => {
            let bytes = bytes.get(..length)?;
            // As the server's own macros do: signed numbers fill the datum with their sign.
            let is_negative = type_oid != OID && bytes.last().is_some_and(|last| last & 0x80 != 0);
            let mut whole = [if is_negative && length > 1 { 0xff } else { 0 }; 8];
            whole.get_mut(..length)?.copy_from_slice(bytes);
            Some(pg_sys::Datum::from(u64::from_le_bytes(whole) as usize))
        }
        Form::Fixed(_) | Form::Varlena => {
            // SAFETY: fresh memory of that size.
            let copy = unsafe {
                let copy = pg_sys::palloc(bytes.len().max(4)).cast::<u8>();
                std::ptr::copy_nonoverlapping(bytes.as_ptr(), copy, bytes.len());
                copy
            };
            Some(pg_sys::Datum::from(copy))
        }
    }
}

/// The parameters as a document: type and value of each; without a value where it was not kept.
pub(super) fn shown(values: &[Typed]) -> Option<Value> {
    if values.is_empty() {
        return None;
    }
    let shown = guarded(|| values.iter().map(one).collect::<Vec<_>>());
    shown.ok().map(Value::Array)
}

fn one((type_oid, value): &Typed) -> Value {
    // SAFETY: a catalogue look-up, and the output function of a built-in type on a datum of it.
    unsafe {
        let oid = pg_sys::Oid::from(*type_oid);
        let name = names::text(pg_sys::format_type_be(oid)).unwrap_or_default();
        match value {
            None => json!({"type": name}),
            Some(None) => json!({"type": name, "value": null}),
            Some(Some(bytes)) => {
                let text = datum(*type_oid, bytes).and_then(|datum| {
                    let (mut output, mut is_varlena) = (pg_sys::InvalidOid, false);
                    pg_sys::getTypeOutputInfo(oid, &mut output, &mut is_varlena);
                    names::text(pg_sys::OidOutputFunctionCall(output, datum))
                });
                match text {
                    Some(text) => json!({"type": name, "value": text}),
                    None => json!({"type": name}),
                }
            }
        }
    }
}
