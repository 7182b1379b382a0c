//! The server's `List`, read as a slice of pointers.

use pgrx::pg_sys;

/// The pointers in a list; an empty slice for NIL.
///
/// # Safety
/// `list` is NIL or a valid list of pointers to `T` that outlives the result.
pub(crate) unsafe fn pointers<'a, T>(list: *mut pg_sys::List) -> &'a [*mut T] {
    if list.is_null() {
        return &[];
    }
    // SAFETY: a ListCell is a union as large as a pointer, and a pointer list stores `ptr_value` in each.
    unsafe {
        std::slice::from_raw_parts((*list).elements.cast::<*mut T>(), (*list).length as usize)
    }
}
