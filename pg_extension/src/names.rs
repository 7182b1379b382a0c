//! Identifiers, quoted by the server's own rules.

use std::ffi::{CStr, CString};

use pgrx::pg_sys;

use crate::failure::Failure;
use crate::text::{from_server, to_server};

/// Copies a string of the server's, converted from the database's encoding (`crate::text`). What is no UTF-8 where it should be is
/// refused rather than changed, for a changed identifier names another object.
///
/// # Safety
/// `text` is null or a NUL-terminated string.
pub(crate) unsafe fn text(text: *const std::ffi::c_char) -> Option<String> {
    if text.is_null() {
        return None;
    }
    // SAFETY: the caller's promise.
    let bytes = unsafe { CStr::from_ptr(text) }.to_bytes();
    let text = from_server(bytes);
    (!text.contains(char::REPLACEMENT_CHARACTER) || std::str::from_utf8(bytes).is_ok())
        .then(|| text.into_owned())
}

/// A string for the server, in the database's encoding; a NUL inside is an argument error.
pub(crate) fn c_string(text: &str) -> Result<CString, Failure> {
    CString::new(to_server(text)).map_err(|_| Failure::argument("a name holds a NUL byte"))
}

/// Bytes of an identifier, in the database's encoding (`NAMEDATALEN - 1`).
const MAX_BYTES: usize = 63;

/// # Errors
/// The server would cut the name, and then nobody finds what was asked for.
pub(crate) fn fits(name: &str) -> Result<(), Failure> {
    if to_server(name).len() <= MAX_BYTES {
        return Ok(());
    }
    Err(Failure::argument(format!(
        "the name \"{name}\" is longer than {MAX_BYTES} bytes"
    )))
}

/// `name` quoted where it needs to be.
pub(crate) fn quote(name: &str) -> String {
    let Ok(name) = CString::new(name) else {
        return "\"\"".to_owned();
    };
    // SAFETY: quote_identifier returns its argument or a fresh NUL-terminated string. It looks at ASCII alone.
    unsafe { utf8(pg_sys::quote_identifier(name.as_ptr())) }
}

/// `text` as a literal.
pub(crate) fn literal(text: &str) -> String {
    let Ok(text) = CString::new(text) else {
        return "''".to_owned();
    };
    // SAFETY: quote_literal_cstr returns a fresh NUL-terminated string. It looks at ASCII alone.
    unsafe { utf8(pg_sys::quote_literal_cstr(text.as_ptr())) }
}

/// What was UTF-8 before the server wrote quotes around it.
unsafe fn utf8(text: *const std::ffi::c_char) -> String {
    // SAFETY: the caller's promise: a NUL-terminated string.
    unsafe { CStr::from_ptr(text) }
        .to_string_lossy()
        .into_owned()
}

/// Schema and name of a relation, unquoted; `None` when it is gone.
pub(crate) fn relation(oid: pg_sys::Oid) -> Option<(String, String)> {
    // SAFETY: system cache look-ups that answer null for what does not exist.
    unsafe {
        let name = text(pg_sys::get_rel_name(oid))?;
        let schema = text(pg_sys::get_namespace_name(pg_sys::get_rel_namespace(oid)))?;
        Some((schema, name))
    }
}

/// `schema.name`, each quoted where it needs to be; `None` when the relation is gone.
pub(crate) fn qualified(oid: pg_sys::Oid) -> Option<String> {
    relation(oid).map(|(schema, name)| format!("{}.{}", quote(&schema), quote(&name)))
}

/// SQL without parentheses around the whole: what a function call has in one place it lacks in another.
pub(crate) fn without_parentheses(sql: &str) -> &str {
    let inner = sql.strip_prefix('(').and_then(|sql| sql.strip_suffix(')'));
    let is_whole = |inner: &str| {
        let mut depth = 0_i32;
        inner.bytes().all(|byte| {
            depth += i32::from(byte == b'(') - i32::from(byte == b')');
            depth >= 0
        })
    };
    match inner {
        Some(inner) if is_whole(inner) => without_parentheses(inner),
        _ => sql,
    }
}

#[cfg(test)]
mod tests {
    use super::without_parentheses;

    #[test]
    fn what_surrounds_the_whole_is_taken_off() {
        for (sql, wanted) in [
            ("(lower(city))", "lower(city)"),
            ("((a + b))", "a + b"),
            ("(a) + (b)", "(a) + (b)"),
            ("city", "city"),
        ] {
            assert_eq!(without_parentheses(sql), wanted);
        }
    }
}
