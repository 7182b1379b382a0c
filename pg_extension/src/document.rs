//! JSON as an argument.

use std::ffi::CStr;

use pgrx::callconv::{Arg, ArgAbi};
use pgrx::pgrx_sql_entity_graph::metadata::{
    ArgumentError, ReturnsError, ReturnsRef, SqlMappingRef, SqlTranslatable, TypeOrigin,
};
use pgrx::prelude::*;
use pgrx::{FromDatum, direct_function_call};
use serde_json::Value;

use crate::failure::Failure;

/// A `jsonb` argument. The server takes numbers of any size and thousands of levels; what is more than we read is told as a wrong argument,
/// where pgrx's own type panics.
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
                .hint("Numbers have to fit a double precision, text has to be UTF-8, and at most 127 arrays and objects may lie in one another.")
                .raise()
        };
        let text = text.to_str().unwrap_or_else(|error| unread(&error));
        Some(Self(
            serde_json::from_str(text).unwrap_or_else(|error| unread(&error)),
        ))
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
