//! Text in the database's own encoding. In here it is UTF-8, there it is what the database has.
//!
//! | the database's encoding | here |
//! |---|---|
//! | UTF8 | the same |
//! | SQL_ASCII, which takes any bytes | the same where it is UTF-8; each other byte is a character of its own, and becomes that byte again |
//! | another one | converted, as for a client; what has no UTF-8 is an error of the server's (22P05) |

use std::borrow::Cow;
use std::ffi::CStr;

use pgrx::callconv::{Arg, ArgAbi, BoxRet, FcInfo};
use pgrx::datum::{Datum, UnboxDatum};
use pgrx::nullable::Nullable;
use pgrx::pgrx_sql_entity_graph::metadata::{
    ArgumentError, ReturnsError, ReturnsRef, SqlMappingRef, SqlTranslatable, TypeOrigin,
};
use pgrx::prelude::*;
use pgrx::{FromDatum, IntoDatum, varlena_to_byte_slice};

const UTF8: i32 = pg_sys::pg_enc::PG_UTF8 as i32;
const SQL_ASCII: i32 = pg_sys::pg_enc::PG_SQL_ASCII as i32;

/// The characters that stand for bytes which are no UTF-8: at the end of what Unicode leaves to private use.
const BYTES: u32 = 0x10_FF00;

/// What stands where a text was cut or could not be read.
const UNREADABLE: &str = "?";

fn encoding() -> i32 {
    // SAFETY: a plain read of the session's state.
    unsafe { pg_sys::GetDatabaseEncoding() }
}

/// A text of the server's.
///
/// Call it in a transaction, and [`to_server`] too: the server looks its conversions up.
pub(crate) fn from_server(bytes: &[u8]) -> Cow<'_, str> {
    match encoding() {
        _ if bytes.is_ascii() => String::from_utf8_lossy(bytes),
        UTF8 => String::from_utf8_lossy(bytes),
        SQL_ASCII => from_any_bytes(bytes),
        // SAFETY: the server answers the bytes that it was given, or a new string that ends with a NUL.
        _ => unsafe {
            let from = bytes.as_ptr().cast();
            let to = pg_sys::pg_server_to_any(from, bytes.len() as i32, UTF8);
            if std::ptr::eq(to, from) {
                String::from_utf8_lossy(bytes)
            } else {
                Cow::Owned(CStr::from_ptr(to).to_string_lossy().into_owned())
            }
        },
    }
}

/// A text for the server.
pub(crate) fn to_server(text: &str) -> Cow<'_, [u8]> {
    let encoding = encoding();
    if encoding == UTF8 || text.is_ascii() {
        return Cow::Borrowed(text.as_bytes());
    }
    if encoding == SQL_ASCII {
        return Cow::Owned(to_any_bytes(text));
    }
    let text = text.replace(char::REPLACEMENT_CHARACTER, UNREADABLE);
    // SAFETY: as above, the other way.
    unsafe {
        let from = text.as_ptr().cast();
        let to = pg_sys::pg_any_to_server(from, text.len() as i32, UTF8);
        if std::ptr::eq(to, from) {
            Cow::Owned(text.into_bytes())
        } else {
            Cow::Owned(CStr::from_ptr(to).to_bytes().to_vec())
        }
    }
}

fn from_any_bytes(bytes: &[u8]) -> Cow<'_, str> {
    if let Ok(text) = std::str::from_utf8(bytes) {
        return Cow::Borrowed(text);
    }
    let mut text = String::with_capacity(bytes.len());
    for chunk in bytes.utf8_chunks() {
        text.push_str(chunk.valid());
        let stands_for = |byte: &u8| char::from_u32(BYTES + u32::from(*byte));
        text.extend(chunk.invalid().iter().filter_map(stands_for));
    }
    Cow::Owned(text)
}

fn to_any_bytes(text: &str) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(text.len());
    for character in text.chars() {
        match byte(character) {
            Some(byte) => bytes.push(byte),
            None => bytes.extend(character.encode_utf8(&mut [0; 4]).bytes()),
        }
    }
    bytes
}

/// The byte that a character stands for.
fn byte(character: char) -> Option<u8> {
    let byte = u32::from(character).checked_sub(BYTES)?;
    u8::try_from(byte).ok().filter(|byte| *byte >= 0x80)
}

/// A text for an error, which pgrx hands over as it is: what would not arrive as what it is is written as SQL's `U&''` has it.
pub(crate) fn for_error(text: String) -> String {
    let encoding = encoding();
    if encoding == UTF8 || text.is_ascii() {
        return text;
    }
    escaped(&text, encoding == SQL_ASCII)
}

fn escaped(text: &str, takes_any_bytes: bool) -> String {
    let mut escaped = String::with_capacity(text.len());
    for character in text.chars() {
        match byte(character) {
            Some(byte) => escaped.push_str(&format!("\\x{byte:02X}")),
            None if character.is_ascii() || takes_any_bytes => escaped.push(character),
            None if character == char::REPLACEMENT_CHARACTER => escaped.push_str(UNREADABLE),
            None => escaped.push_str(&format!("\\{:04X}", u32::from(character))),
        }
    }
    escaped
}

/// A `text` that may hold names or values of users, where pgrx's own type panics in a database that is not UTF8.
#[derive(Debug)]
pub(crate) struct Text(pub(crate) String);

impl From<String> for Text {
    fn from(text: String) -> Self {
        Self(text)
    }
}

impl From<&str> for Text {
    fn from(text: &str) -> Self {
        Self(text.to_owned())
    }
}

/// Texts for the server.
pub(crate) fn all(texts: Vec<String>) -> Vec<Text> {
    texts.into_iter().map(Text).collect()
}

/// What was read, as a string.
pub(crate) fn plain(text: Option<Text>) -> Option<String> {
    text.map(|Text(text)| text)
}

impl FromDatum for Text {
    unsafe fn from_polymorphic_datum(
        datum: pg_sys::Datum,
        is_null: bool,
        _: pg_sys::Oid,
    ) -> Option<Self> {
        if is_null {
            return None;
        }
        // SAFETY: the caller's promise: a text.
        let bytes =
            unsafe { varlena_to_byte_slice(pg_sys::pg_detoast_datum_packed(datum.cast_mut_ptr())) };
        Some(Self(from_server(bytes).into_owned()))
    }
}

impl IntoDatum for Text {
    fn into_datum(self) -> Option<pg_sys::Datum> {
        let bytes = to_server(&self.0);
        // SAFETY: copies so many bytes.
        let text =
            unsafe { pg_sys::cstring_to_text_with_len(bytes.as_ptr().cast(), bytes.len() as i32) };
        Some(text.into())
    }

    fn type_oid() -> pg_sys::Oid {
        pg_sys::TEXTOID
    }

    fn is_compatible_with(other: pg_sys::Oid) -> bool {
        other == pg_sys::TEXTOID || other == pg_sys::VARCHAROID
    }
}

// SAFETY: an argument is read as its datum is.
unsafe impl<'fcx> ArgAbi<'fcx> for Text {
    unsafe fn unbox_arg_unchecked(arg: Arg<'_, 'fcx>) -> Self {
        // SAFETY: the caller's promise: the argument is a text.
        let read: Option<Self> = unsafe { arg.unbox_arg_using_from_datum() };
        read.unwrap_or_else(|| Self(String::new()))
    }

    unsafe fn unbox_nullable_arg(arg: Arg<'_, 'fcx>) -> Nullable<Self> {
        // SAFETY: as above.
        unsafe { arg.unbox_arg_using_from_datum() }.into()
    }
}

// SAFETY: the server gives a text where one is asked for.
unsafe impl UnboxDatum for Text {
    type As<'src> = Self;

    unsafe fn unbox<'src>(datum: Datum<'src>) -> Self
    where
        Self: 'src,
    {
        // SAFETY: the caller's promise: a text, and not NULL.
        let read = unsafe { Self::from_datum(datum.sans_lifetime(), false) };
        read.unwrap_or_else(|| Self(String::new()))
    }
}

// SAFETY: returned as its datum.
unsafe impl BoxRet for Text {
    unsafe fn box_into<'fcx>(self, fcinfo: &mut FcInfo<'fcx>) -> Datum<'fcx> {
        match self.into_datum() {
            // SAFETY: a text, which is what the function returns.
            Some(datum) => unsafe { fcinfo.return_raw_datum(datum) },
            None => fcinfo.return_null(),
        }
    }
}

// SAFETY: the type is text.
unsafe impl SqlTranslatable for Text {
    const TYPE_IDENT: &'static str = pgrx::pgrx_resolved_type!(Text);
    const TYPE_ORIGIN: TypeOrigin = TypeOrigin::External;
    const ARGUMENT_SQL: Result<SqlMappingRef, ArgumentError> = Ok(SqlMappingRef::literal("text"));
    const RETURN_SQL: Result<ReturnsRef, ReturnsError> =
        Ok(ReturnsRef::One(SqlMappingRef::literal("text")));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn any_bytes_come_back_as_they_were() {
        for bytes in [
            &b"plain"[..],
            "caf\u{e9}".as_bytes(),
            b"caf\xe9",
            b"\xe9\xc3\xa9\xff",
            b"\xf0\x9f",
            &(0x80..=0xff).collect::<Vec<u8>>(),
        ] {
            assert_eq!(to_any_bytes(&from_any_bytes(bytes)), bytes, "{bytes:?}");
        }
        assert_eq!(from_any_bytes("caf\u{e9}".as_bytes()), "caf\u{e9}");
    }

    #[test]
    fn an_error_says_what_it_cannot_show() {
        let text = from_any_bytes(b"caf\xe9 \xc3\xa9");
        assert_eq!(escaped(&text, true), "caf\\xE9 \u{e9}");
        assert_eq!(escaped("caf\u{e9} \u{fffd}", false), "caf\\00E9 ?");
    }
}
