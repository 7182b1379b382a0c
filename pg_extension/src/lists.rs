//! The server's `List`, read as a slice of pointers, and its trees, walked.

use std::ffi::c_void;

use pgrx::pg_sys;

/// What the server's `expression_tree_walker` calls for each node, guarded for that (`#[pg_guard]`).
pub(crate) type Walker = unsafe extern "C-unwind" fn(*mut pg_sys::Node, *mut c_void) -> bool;

/// Gives the root of a tree to a walker.
///
/// An error leaves a walker as a jump, since the server's C code called it. Where Rust calls it, the jump has to land before it goes on as a panic:
/// else it passes by every Rust frame, and leaves open the subtransaction that one of them began.
///
/// # Safety
/// The walker's own.
pub(crate) unsafe fn walk<T>(walker: Walker, root: *mut pg_sys::Node, state: *mut T) -> bool {
    // SAFETY: the caller's promise; nothing is dropped by the jump.
    unsafe { pg_sys::ffi::pg_guard_ffi_boundary(|| walker(root, state.cast())) }
}

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

/// The OIDs in a list of them.
///
/// # Safety
/// `list` is NIL or a valid list of OIDs.
pub(crate) unsafe fn oids(list: *mut pg_sys::List) -> Vec<pg_sys::Oid> {
    if list.is_null() {
        return Vec::new();
    }
    // SAFETY: a list of OIDs stores `oid_value` in each cell.
    unsafe {
        std::slice::from_raw_parts((*list).elements, (*list).length as usize)
            .iter()
            .map(|cell| cell.oid_value)
            .collect()
    }
}
