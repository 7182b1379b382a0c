//! One what-if: the cost of a statement when some indexes exist.

use std::ffi::CStr;

use pgrx::prelude::*;

use super::guarded::{Caught, guarded};
use super::hypothetical::{Hypothetical, with_indexes};
use crate::workload::analysis::{self, Analysed};
use crate::workload::skip::Skip;

/// The planner's total cost of one execution, or why it cannot be had.
pub(crate) type Cost = Result<Result<f64, Skip>, Caught>;

/// Plans `text` with `indexes` beside what is there. Parameters stay unknown, so it is the generic plan.
///
/// The text is analysed anew each time (30 us): then no lock or tree is held between two plans, and whether planning
/// is safe is checked on the very tree that is planned.
pub(crate) fn cost(text: &CStr, context: &analysis::Context, indexes: &[Hypothetical]) -> Cost {
    guarded(|| {
        analysis::enter(context);
        let Analysed { query, .. } = analysis::analyse(text, context)?;
        with_indexes(indexes, || {
            // SAFETY: the tree was just made, in the scratch context.
            unsafe {
                let options = pg_sys::CURSOR_OPT_PARALLEL_OK as i32;
                let plan = pg_sys::planner(query, text.as_ptr(), options, std::ptr::null_mut());
                Ok((*(*plan).planTree).total_cost)
            }
        })
    })
}
