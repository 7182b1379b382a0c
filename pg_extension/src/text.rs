//! Text in the database's own encoding.

use pgrx::callconv::{BoxRet, FcInfo};
use pgrx::datum::Datum;
use pgrx::pgrx_sql_entity_graph::metadata::{
    ArgumentError, ReturnsError, ReturnsRef, SqlMappingRef, SqlTranslatable, TypeOrigin,
};
use pgrx::prelude::*;
use pgrx::{FromDatum, IntoDatum, varlena_to_byte_slice};

/// A text that may hold names or values of users. It is converted from the encoding of the database and to it, as it is for a client; what
/// has no UTF-8 (in a database that takes any bytes) is an error 22021 of the server's, where pgrx's own type panics.
#[derive(Debug)]
pub(crate) struct Text(String);

const UTF8: i32 = pg_sys::pg_enc::PG_UTF8 as i32;

impl FromDatum for Text {
    unsafe fn from_polymorphic_datum(
        datum: pg_sys::Datum,
        is_null: bool,
        _: pg_sys::Oid,
    ) -> Option<Self> {
        if is_null {
            return None;
        }
        // SAFETY: the caller's promise: a text. The server answers the bytes that it was given, or a new string that ends with a NUL.
        unsafe {
            let bytes =
                varlena_to_byte_slice(pg_sys::pg_detoast_datum_packed(datum.cast_mut_ptr()));
            let from = bytes.as_ptr().cast();
            let to = pg_sys::pg_server_to_any(from, bytes.len() as i32, UTF8);
            let bytes = if std::ptr::eq(to, from) {
                bytes
            } else {
                std::ffi::CStr::from_ptr(to).to_bytes()
            };
            Some(Self(String::from_utf8_lossy(bytes).into_owned()))
        }
    }
}

impl IntoDatum for Text {
    fn into_datum(self) -> Option<pg_sys::Datum> {
        // SAFETY: as above, the other way.
        unsafe {
            let from = self.0.as_ptr().cast();
            let to = pg_sys::pg_any_to_server(from, self.0.len() as i32, UTF8);
            let length = if std::ptr::eq(to, from) {
                self.0.len()
            } else {
                std::ffi::CStr::from_ptr(to).to_bytes().len()
            };
            Some(pg_sys::cstring_to_text_with_len(to, length as i32).into())
        }
    }

    fn type_oid() -> pg_sys::Oid {
        pg_sys::TEXTOID
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
