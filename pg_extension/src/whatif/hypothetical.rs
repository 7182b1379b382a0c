//! The planner hook: while a plan is made with [`with_indexes`], the planner sees these indexes too.

use pgrx::prelude::*;

/// An index that does not exist.
#[derive(Debug, Clone)]
pub(crate) struct Hypothetical {
    /// Table that it would be on.
    pub(crate) table: pg_sys::Oid,
    /// Key columns in index order.
    pub(crate) columns: Vec<Key>,
    /// Pages, the meta page included.
    pub(crate) pages: u32,
    /// Levels above the leaves. The planner charges a descent by it: unset, nested loops look cheap.
    pub(crate) height: u32,
}

/// One key column.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Key {
    /// Column number.
    pub(crate) number: i16,
    /// Type and modifier of the column.
    pub(crate) type_oid: pg_sys::Oid,
    /// Type modifier of the column.
    pub(crate) typmod: i32,
    /// Collation of the column, and so of the index.
    pub(crate) collation: pg_sys::Oid,
    /// B-tree operator family of the type's default operator class.
    pub(crate) family: pg_sys::Oid,
    /// Input type of that class.
    pub(crate) input_type: pg_sys::Oid,
}

/// Indexes of the plan being made; null between plans.
static mut ACTIVE: *const [Hypothetical] = std::ptr::slice_from_raw_parts(std::ptr::null(), 0);
static mut PREVIOUS: pg_sys::get_relation_info_hook_type = None;

/// OIDs that catalogues do not reach before four billion objects; only the plan tree carries them.
const FIRST_FAKE_OID: u32 = u32::MAX - 0xffff;

/// Sets the hook, in front of whoever did so earlier. Called from `_PG_init`, preloaded or not.
pub(crate) fn install() {
    // SAFETY: called once a process tree, on the only thread.
    unsafe {
        PREVIOUS = pg_sys::get_relation_info_hook;
        pg_sys::get_relation_info_hook = Some(on_relation_info);
    }
}

/// Runs `work` while the planner sees `indexes`, also when it ends in an error.
pub(crate) fn with_indexes<R>(indexes: &[Hypothetical], work: impl FnOnce() -> R) -> R {
    struct Reset;
    impl Drop for Reset {
        fn drop(&mut self) {
            // SAFETY: single-threaded; errors unwind through here.
            unsafe { ACTIVE = std::ptr::slice_from_raw_parts(std::ptr::null(), 0) };
        }
    }
    let _reset = Reset;
    // SAFETY: single-threaded; the slice outlives `work`.
    unsafe { ACTIVE = indexes };
    work()
}

#[pg_guard]
unsafe extern "C-unwind" fn on_relation_info(
    root: *mut pg_sys::PlannerInfo,
    relation: pg_sys::Oid,
    is_parent: bool,
    info: *mut pg_sys::RelOptInfo,
) {
    // SAFETY: the server passes valid structures; ACTIVE is null or points to a live slice.
    unsafe {
        if let Some(previous) = PREVIOUS {
            pg_sys::ffi::pg_guard_ffi_boundary(|| previous(root, relation, is_parent, info));
        }
        let active = ACTIVE;
        if active.is_null() || is_parent {
            return;
        }
        for (number, index) in (&*active).iter().enumerate() {
            if index.table == relation {
                let described = describe(index, number, info);
                // In front, where the server puts a newer index: ties in cost then fall the same way.
                (*info).indexlist = pg_sys::lcons(described.cast(), (*info).indexlist);
            }
        }
    }
}

/// Builds what `get_relation_info` builds for a real B-tree on plain columns.
unsafe fn describe(
    index: &Hypothetical,
    number: usize,
    info: *mut pg_sys::RelOptInfo,
) -> *mut pg_sys::IndexOptInfo {
    // SAFETY: palloc'd in the planner's context and filled completely.
    unsafe {
        let count = index.columns.len();
        let routine = pg_sys::GetIndexAmRoutineByAmId(pg_sys::BTREE_AM_OID, false);
        let node =
            pg_sys::palloc0(size_of::<pg_sys::IndexOptInfo>()).cast::<pg_sys::IndexOptInfo>();
        let out = &mut *node;
        out.type_ = pg_sys::NodeTag::T_IndexOptInfo;
        out.indexoid = pg_sys::Oid::from(FIRST_FAKE_OID.saturating_add(number as u32));
        out.reltablespace = (*info).reltablespace;
        out.rel = info;
        out.pages = index.pages;
        out.tuples = (*info).tuples;
        out.tree_height = index.height as i32;
        out.ncolumns = count as i32;
        out.nkeycolumns = count as i32;
        out.relam = pg_sys::BTREE_AM_OID;

        out.indexkeys = array(&index.columns, |key| i32::from(key.number));
        out.indexcollations = array(&index.columns, |key| key.collation);
        out.opfamily = array(&index.columns, |key| key.family);
        out.opcintype = array(&index.columns, |key| key.input_type);
        // B-trees are ordered by their own family.
        out.sortopfamily = array(&index.columns, |key| key.family);
        out.reverse_sort = array(&index.columns, |_| false);
        out.nulls_first = array(&index.columns, |_| false);
        out.canreturn = array(&index.columns, |_| true);
        out.opclassoptions = array(&index.columns, |_| std::ptr::null_mut());
        for (position, key) in index.columns.iter().enumerate() {
            let variable = pg_sys::makeVar(
                (*info).relid as _,
                key.number,
                key.type_oid,
                key.typmod,
                key.collation,
                0,
            );
            let entry = pg_sys::makeTargetEntry(
                variable.cast(),
                position as i16 + 1,
                std::ptr::null_mut(),
                false,
            );
            out.indextlist = pg_sys::lappend(out.indextlist, entry.cast());
        }
        out.immediate = true;
        out.hypothetical = true;
        out.amcanorderbyop = (*routine).amcanorderbyop;
        out.amoptionalkey = (*routine).amoptionalkey;
        out.amsearcharray = (*routine).amsearcharray;
        out.amsearchnulls = (*routine).amsearchnulls;
        out.amhasgettuple = (*routine).amgettuple.is_some();
        out.amhasgetbitmap = (*routine).amgetbitmap.is_some();
        out.amcanparallel = (*routine).amcanparallel;
        out.amcanmarkpos = (*routine).ammarkpos.is_some();
        // The header declares the field without its arguments before 18; it is the same function.
        #[allow(clippy::missing_transmute_annotations, clippy::useless_transmute)]
        {
            out.amcostestimate = std::mem::transmute((*routine).amcostestimate);
        }
        node
    }
}

unsafe fn array<T>(keys: &[Key], value: impl Fn(&Key) -> T) -> *mut T {
    // SAFETY: palloc aborts the statement when there is no memory; every element is written.
    unsafe {
        let out = pg_sys::palloc(size_of::<T>() * keys.len()).cast::<T>();
        for (position, key) in keys.iter().enumerate() {
            out.add(position).write(value(key));
        }
        out
    }
}
