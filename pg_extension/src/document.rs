//! JSON in the database's encoding.

use std::ffi::{CStr, CString};

use pgrx::callconv::{Arg, ArgAbi, BoxRet, FcInfo};
use pgrx::datum::Datum;
use pgrx::pgrx_sql_entity_graph::metadata::{
    ArgumentError, ReturnsError, ReturnsRef, SqlMappingRef, SqlTranslatable, TypeOrigin,
};
use pgrx::prelude::*;
use pgrx::{FromDatum, IntoDatum, direct_function_call, direct_function_call_as_datum};
use serde_json::Value;

use crate::failure::Failure;
use crate::text::{from_server, to_server};

/// A `jsonb`. The server takes numbers of any size and thousands of levels; what is more than we read is told as a wrong argument,
/// where pgrx's own type panics, as it does in a database that is not UTF8.
#[derive(Debug)]
pub(crate) struct Document(pub(crate) Value);

impl FromDatum for Document {
    unsafe fn from_polymorphic_datum(
        datum: pg_sys::Datum,
        is_null: bool,
        _: pg_sys::Oid,
    ) -> Option<Self> {
        if is_null {
            return None;
        }
        // SAFETY: the caller's promise: a jsonb. The function detoasts it.
        let text = unsafe { direct_function_call::<&CStr>(pg_sys::jsonb_out, &[Some(datum)]) }?;
        let unread = |error: &dyn std::fmt::Display| -> ! {
            Failure::argument(format!("the JSON cannot be read: {error}"))
                .hint("Numbers have to fit a double precision, and at most 127 arrays and objects may lie in one another.")
                .raise()
        };
        let text = from_server(text.to_bytes());
        Some(Self(
            serde_json::from_str(&text).unwrap_or_else(|error| unread(&error)),
        ))
    }
}

impl IntoDatum for Document {
    fn into_datum(self) -> Option<pg_sys::Datum> {
        // No NUL is in it: JSON writes one as an escape.
        let text = CString::new(to_server(&self.0.to_string())).unwrap_or_default();
        // SAFETY: a string that ends with a NUL, as input functions want it.
        unsafe { direct_function_call_as_datum(pg_sys::jsonb_in, &[Some(text.as_ptr().into())]) }
    }

    fn type_oid() -> pg_sys::Oid {
        pg_sys::JSONBOID
    }
}

// SAFETY: returned as its datum.
unsafe impl BoxRet for Document {
    unsafe fn box_into<'fcx>(self, fcinfo: &mut FcInfo<'fcx>) -> Datum<'fcx> {
        match self.into_datum() {
            // SAFETY: a jsonb, which is what the function returns.
            Some(datum) => unsafe { fcinfo.return_raw_datum(datum) },
            None => fcinfo.return_null(),
        }
    }
}

// SAFETY: an argument is read as its datum is.
unsafe impl<'fcx> ArgAbi<'fcx> for Document {
    unsafe fn unbox_arg_unchecked(arg: Arg<'_, 'fcx>) -> Self {
        // SAFETY: the caller's promise: the argument is a jsonb.
        let read = unsafe { arg.unbox_arg_using_from_datum() };
        read.unwrap_or_else(|| Failure::argument("the JSON is NULL").raise())
    }

    unsafe fn unbox_nullable_arg(arg: Arg<'_, 'fcx>) -> pgrx::nullable::Nullable<Self> {
        // SAFETY: as above.
        unsafe { arg.unbox_arg_using_from_datum() }.into()
    }
}

// SAFETY: the type is jsonb.
unsafe impl SqlTranslatable for Document {
    const TYPE_IDENT: &'static str = pgrx::pgrx_resolved_type!(Document);
    const TYPE_ORIGIN: TypeOrigin = TypeOrigin::External;
    const ARGUMENT_SQL: Result<SqlMappingRef, ArgumentError> = Ok(SqlMappingRef::literal("jsonb"));
    const RETURN_SQL: Result<ReturnsRef, ReturnsError> =
        Ok(ReturnsRef::One(SqlMappingRef::literal("jsonb")));
}
