//! A B-tree whose size follows from statistics and from what was measured: no rows are read for it.

use std::ffi::CStr;

use pg_pitcrew_advisor::{Candidate, Of};

use super::confidence::Confidence;
use super::definition;
use super::guarded::guarded;
use super::measured::Measured;
use super::predict::{Predicted, of_columns};
use super::table::Table;
use crate::workload::analysis::{self, Context};

/// The index that `text`, which is the definition of `candidate`, makes on a table that is not partitioned.
///
/// # Errors
/// The reason why it cannot be built, or why its size cannot be told.
pub(crate) fn estimate(
    text: &CStr,
    candidate: &Candidate,
    table: &Table,
    measured: &Measured,
    context: &Context,
) -> Result<Predicted, String> {
    let read = guarded(|| {
        analysis::enter(context);
        analysis::qualify();
        let definition = definition::read(text, context)?;
        let trusted = definition.parts.first().map(of_columns);
        Ok::<_, String>((definition, trusted.unwrap_or_default()))
    });
    let (mut definition, mut trusted) = read.map_err(|caught| caught.message)??;
    let [part] = definition.parts.as_mut_slice() else {
        return Err("the table is partitioned".to_owned());
    };
    let size = table
        .size_of(candidate, measured)
        .ok_or("its size cannot be told")?;
    part.index.pages = size.pages;
    part.index.height = size.height;
    let mut share = 1.0;
    if let Some(predicate) = &candidate.predicate {
        share = table
            .share(&predicate.sql, measured)
            .ok_or("how many rows meet its predicate cannot be told")?;
        part.index.tuples = Some((share * table.rows()).max(1.0));
        match measured.share(&predicate.sql) {
            Some(share) => trusted.merge(share.trusted()),
            None => trusted.at_most(
                Confidence::Medium,
                "how many rows meet the predicate comes from the column's statistics".to_owned(),
            ),
        }
    } else {
        // Those of a partial index say nothing of the whole table: the planner leaves them alone (`examine_variable`).
        for (position, key) in candidate.keys.iter().enumerate() {
            if let Of::Expression(expression) = &key.of {
                part.index.statistics[position] = measured.statistics(&expression.sql);
            }
        }
    }
    Ok(Predicted {
        bytes: size.bytes(),
        pages: u64::from(size.pages),
        height: size.height,
        entries: share * table.rows(),
        entries_a_row: share,
        trusted,
        definition,
    })
}
