//! Identifiers, quoted by the server's own rules.

use std::ffi::{CStr, CString};

use pgrx::pg_sys;

use crate::failure::Failure;

/// Copies a server string. Text in an encoding other than UTF-8 is refused rather than changed, for a changed
/// identifier names another object.
///
/// # Safety
/// `text` is null or a NUL-terminated string.
pub(crate) unsafe fn text(text: *const std::ffi::c_char) -> Option<String> {
    if text.is_null() {
        return None;
    }
    // SAFETY: the caller's promise.
    unsafe { CStr::from_ptr(text) }
        .to_str()
        .ok()
        .map(str::to_owned)
}

/// A C string; a NUL inside is an argument error.
pub(crate) fn c_string(text: &str) -> Result<CString, Failure> {
    CString::new(text).map_err(|_| Failure::argument("a name holds a NUL byte"))
}

/// `name` quoted where it needs to be.
pub(crate) fn quote(name: &str) -> String {
    let Ok(name) = CString::new(name) else {
        return "\"\"".to_owned();
    };
    // SAFETY: quote_identifier returns its argument or a fresh NUL-terminated string.
    unsafe { text(pg_sys::quote_identifier(name.as_ptr())) }.unwrap_or_default()
}

/// `text` as a literal.
pub(crate) fn literal(text: &str) -> String {
    let Ok(text) = CString::new(text) else {
        return "''".to_owned();
    };
    // SAFETY: quote_literal_cstr returns a fresh NUL-terminated string.
    unsafe { self::text(pg_sys::quote_literal_cstr(text.as_ptr())) }.unwrap_or_default()
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
