//! Writing the extension's own tables as its owner, for callers who may not.

use pgrx::prelude::*;

/// Runs `work` as `owner` in a security-restricted operation, as ANALYZE works as a table's owner. `work` runs none but the
/// extension's own statements, on tables of which is known that nobody else has code on them.
///
/// An error goes on its way: the end of the transaction, or of the subtransaction, puts the role back.
pub(crate) fn as_owner<R>(owner: pg_sys::Oid, work: impl FnOnce() -> R) -> R {
    // SAFETY: inside a transaction.
    unsafe {
        let (mut user, mut context) = (pg_sys::InvalidOid, 0);
        pg_sys::GetUserIdAndSecContext(&mut user, &mut context);
        let restricted = context | pg_sys::SECURITY_RESTRICTED_OPERATION as i32;
        pg_sys::SetUserIdAndSecContext(owner, restricted);
        let level = pg_sys::NewGUCNestLevel();
        let result = work();
        pg_sys::AtEOXact_GUC(false, level);
        pg_sys::SetUserIdAndSecContext(user, context);
        result
    }
}
