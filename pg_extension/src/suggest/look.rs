//! The statements of the workload, each analysed and planned once as things are.

use std::time::Instant;

use pgrx::pg_sys;

use super::{heirs, recurring};
use crate::whatif::guarded::{Caught, guarded};
use crate::whatif::hypothetical::Supposed;
use crate::whatif::plan;
use crate::workload::analysis::{self, Context};
use crate::workload::repair::repaired;
use crate::workload::skip::Skip;
use crate::workload::source::Source;
use crate::workload::statements::Statement;
use crate::workload::usage::{self, Reading, Use};

/// Why nothing more is planned, once `pitcrew.suggest_timeout` is over.
pub(super) const OUT_OF_TIME: &str = "pitcrew.suggest_timeout was over";

/// A statement of the workload, looked at once.
pub(super) struct Looked {
    pub(super) statement: Statement,
    pub(super) result: Result<Planned, Skip>,
}

/// A statement that can be planned.
pub(super) struct Planned {
    pub(super) source: Source,
    /// Without new indexes.
    pub(super) cost: f64,
    pub(super) uses: Vec<Use>,
    /// All relations that it reads, those without a use included.
    pub(super) relations: Vec<pg_sys::Oid>,
}

/// Analyses and plans each statement without new indexes, for half of the time that is left at most.
pub(super) fn look(
    statements: Vec<Statement>,
    context: &Context,
    deadline: Option<Instant>,
) -> Vec<Looked> {
    // What was looked at wants to be advised on too.
    let deadline = deadline.map(|deadline| {
        let now = Instant::now();
        now + deadline.saturating_duration_since(now) / 2
    });
    let mut looked: Vec<Looked> = statements
        .into_iter()
        .map(|statement| {
            pgrx::check_for_interrupts!();
            let result = look_at(&statement, context, deadline);
            Looked { statement, result }
        })
        .collect();
    recurring::across(&mut looked);
    for planned in looked
        .iter_mut()
        .filter_map(|looked| looked.result.as_mut().ok())
    {
        // Where they cannot be read now, what is asked of the table itself remains.
        let _ = guarded(|| heirs::add(planned));
    }
    looked
}

fn look_at(
    statement: &Statement,
    context: &Context,
    deadline: Option<Instant>,
) -> Result<Planned, Skip> {
    let because = |reason: &str| Skip::Because(reason.to_owned());
    if deadline.is_some_and(|deadline| Instant::now() >= deadline) {
        return Err(because(OUT_OF_TIME));
    }
    let mut found = Err(because(statement.textless));
    for source in statement.sources() {
        // What was captured is as it was written.
        let source = match source.ran {
            None if statement.queryid.is_some() => repaired(source, context),
            _ => source,
        };
        found = look_at_source(source, context);
        if !matches!(found, Err(Skip::Because(_))) {
            break;
        }
    }
    if let Ok(planned) = &mut found {
        recurring::within(planned, &statement.samples, context);
    }
    found
}

/// What a text does with its tables.
pub(super) struct Read {
    pub(super) uses: Vec<Use>,
    /// All relations that it reads.
    relations: Vec<pg_sys::Oid>,
}

/// Analyses a text.
pub(super) fn read(source: &Source, context: &Context) -> Result<Result<Read, Skip>, Caught> {
    guarded(|| {
        analysis::enter_for(context, source);
        let analysed = analysis::analyse(source, context)?;
        analysis::qualify();
        let reading = Reading {
            trigrams: context.trigrams(),
            bound: analysed.bound,
            shows_constants: source.is_legible(),
        };
        Ok(Read {
            uses: usage::uses(analysed.query, reading),
            relations: analysed.relations,
        })
    })
}

fn look_at_source(source: Source, context: &Context) -> Result<Planned, Skip> {
    // A message may quote what somebody wrote into his statement.
    let said = |caught: Caught| {
        Skip::Because(match source.ran {
            None => caught.message,
            Some(_) => format!(
                "its captured text cannot be planned (SQLSTATE {})",
                caught.sqlstate
            ),
        })
    };
    let Read { uses, relations } = read(&source, context).map_err(said)??;
    context
        .trust()
        .check_relations(&relations, source.path())
        .map_err(Skip::Because)?;
    let plan = plan::plan(&source, context, &Supposed::default()).map_err(said)??;
    Ok(Planned {
        source,
        cost: plan.cost,
        uses,
        relations,
    })
}
