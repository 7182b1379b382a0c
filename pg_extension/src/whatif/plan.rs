//! One what-if: the cost of a statement, or its plan, when some indexes exist and others do not.

use std::ffi::CStr;

use pgrx::prelude::*;

use super::guarded::{Caught, guarded};
use super::hypothetical::{Supposed, with};
use super::in_memory;
use super::used::used;
use crate::compat;
use crate::names;
use crate::workload::analysis::{self, Analysed};
use crate::workload::skip::Skip;
use crate::workload::source::Source;

/// A plan, or why it cannot be had.
pub(crate) type Planning = Result<Result<Planned, Skip>, Caught>;

/// What the planner chose.
pub(crate) struct Planned {
    /// Total cost of one execution.
    pub(crate) cost: f64,
    /// Positions of the supposed indexes that it uses.
    pub(crate) used: Vec<usize>,
}

/// Plans a text under what is supposed. Parameters that are not known stay so: it is the generic plan.
pub(crate) fn plan(source: &Source, context: &analysis::Context, supposed: &Supposed) -> Planning {
    // SAFETY: a statement that was just made.
    look(source, context, supposed, |statement| unsafe {
        Planned {
            cost: (*(*statement).planTree).total_cost,
            used: used(statement),
        }
    })
}

/// What the plan takes where all is in memory, in rows of a sequential scan; `None` where that cannot be told.
pub(crate) fn in_memory(
    source: &Source,
    context: &analysis::Context,
    supposed: &Supposed,
) -> Option<f64> {
    // SAFETY: a statement that was just made.
    let rows = look(source, context, supposed, |statement| unsafe {
        in_memory::rows(statement)
    });
    rows.ok()?.ok()?
}

/// Looks at a plan.
///
/// The text is analysed anew each time (30 us): then no lock or tree is held between two plans, and whether planning
/// is safe is checked on the very tree that is planned.
fn look<T>(
    source: &Source,
    context: &analysis::Context,
    supposed: &Supposed,
    read: impl FnOnce(*mut pg_sys::PlannedStmt) -> T,
) -> Result<Result<T, Skip>, Caught> {
    guarded(|| {
        analysis::enter_for(context, source);
        let Analysed { query, bound, .. } = analysis::analyse(source, context)?;
        with(supposed, || {
            // SAFETY: the tree was just made, in the scratch context.
            Ok(read(unsafe { planned(query, &source.text, bound) }))
        })
    })
}

/// The plan as EXPLAIN shows it.
pub(crate) fn explained(
    source: &Source,
    context: &analysis::Context,
    supposed: &Supposed,
) -> Result<Result<String, Skip>, Caught> {
    guarded(|| {
        analysis::enter_for(context, source);
        let Analysed { query, bound, .. } = analysis::analyse(source, context)?;
        with(supposed, || {
            // SAFETY: everything lives in the scratch context, and the subtransaction ends the executor's resources; no
            // hook of another extension sees a start that is no execution.
            unsafe {
                let plan = planned(query, &source.text, bound);
                let state = pg_sys::NewExplainState();
                let description = pg_sys::CreateQueryDesc(
                    plan,
                    source.text.as_ptr(),
                    pg_sys::GetActiveSnapshot(),
                    std::ptr::null_mut(),
                    pg_sys::CreateDestReceiver(pg_sys::CommandDest::DestNone),
                    std::ptr::null_mut(),
                    std::ptr::null_mut(),
                    0,
                );
                (*state).costs = true;
                pg_sys::standard_ExecutorStart(description, compat::explain_flags());
                pg_sys::ExplainPrintPlan(state, description);
                let shown = names::text((*(*state).str_).data).unwrap_or_default();
                pg_sys::standard_ExecutorEnd(description);
                Ok(shown)
            }
        })
    })
}

unsafe fn planned(
    query: *mut pg_sys::Query,
    text: &CStr,
    bound: pg_sys::ParamListInfo,
) -> *mut pg_sys::PlannedStmt {
    // SAFETY: an analysed and rewritten tree in the current context.
    unsafe {
        let options = pg_sys::CURSOR_OPT_PARALLEL_OK as i32;
        pg_sys::planner(query, text.as_ptr(), options, bound)
    }
}
