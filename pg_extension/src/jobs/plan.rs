//! Which commands a job is: one, or one for each partition or relation, in order.
//!
//! The list is made once, when the job starts; each command is built, and its rights are checked, just before it runs.

use std::collections::{HashMap, HashSet};

use pgrx::prelude::*;

use super::board::MAX_TOUCHED;
use super::command::{self, Command};
use super::spec::{Choice, Many, Over, Spec, Statistics, Vacuum};
use super::statistics;
use crate::failure::{Failure, read_one, spi};

/// One command of a job.
#[derive(Debug, Clone)]
pub(super) enum Step {
    /// The job itself, on its target.
    Whole(Spec, Option<pg_sys::Oid>),
    /// A relation that a job over many chose. When it is gone by now, nothing is left to do.
    Chosen(Spec, pg_sys::Oid),
    /// The index of one partition.
    Part {
        /// What the index is over.
        over: Over,
        /// The partitioned table.
        parent: pg_sys::Oid,
        /// The partition.
        part: pg_sys::Oid,
    },
    /// What ANALYZE keeps of some columns is changed. Where it is so already, nothing is left to do.
    Keep(Statistics, pg_sys::Oid),
    /// Those columns are analyzed.
    Collect(Statistics, pg_sys::Oid),
    /// A partition's index becomes a part of its parent's.
    Attach {
        /// The partitioned table.
        parent: pg_sys::Oid,
        /// The partition.
        part: pg_sys::Oid,
    },
    /// Those that partitions had already do so, all or none, as the last act of the job: until then the job can be undone, which
    /// takes its parents with all their parts, and these are somebody else's.
    AttachFound,
}

/// What the steps of a job came to so far.
#[derive(Debug, Default)]
pub(super) struct Built {
    /// The index that was made on each table.
    made: HashMap<u32, pg_sys::Oid>,
    /// Indexes that partitions had already, each with the partitioned table whose index it is to be a part of.
    found: Vec<(pg_sys::Oid, pg_sys::Oid)>,
    /// The partitions that have them, and those below.
    served: HashSet<u32>,
}

impl Built {
    pub(super) fn made(&mut self, table: pg_sys::Oid, index: pg_sys::Oid) {
        self.made.insert(table.to_u32(), index);
    }

    fn index(&self, table: pg_sys::Oid) -> Result<pg_sys::Oid, Failure> {
        let made = self.made.get(&table.to_u32()).copied();
        made.ok_or_else(|| {
            Failure::new(
                PgSqlErrorCode::ERRCODE_INTERNAL_ERROR,
                "the index of a partition was not seen",
            )
        })
    }

    /// Whether a partition needs no index of the job's: it has one that is the same, or what it is a part of has.
    fn serves(&mut self, part: pg_sys::Oid, parent: pg_sys::Oid) -> bool {
        let is_below = self.served.contains(&parent.to_u32());
        if !is_below {
            let Some(of_parent) = self.made.get(&parent.to_u32()).copied() else {
                return false;
            };
            let query = include_str!("../../sql/queries/index_of_part.sql");
            let arguments = [part.into(), of_parent.into()];
            let Some(index) = read_one("pg_index", query, &arguments) else {
                return false;
            };
            self.found.push((parent, index));
        }
        self.served.insert(part.to_u32());
        true
    }
}

impl Step {
    /// The command, or `None` when nothing is left to do.
    ///
    /// # Errors
    /// As [`command::build`].
    pub(super) fn command(
        &self,
        built: &mut Built,
        role: pg_sys::Oid,
    ) -> Result<Option<Command>, Failure> {
        match self {
            Self::Whole(spec, target) => command::build(spec, *target, role).map(Some),
            Self::Chosen(spec, target) => match command::build(spec, Some(*target), role) {
                Err(failure) if failure.code == PgSqlErrorCode::ERRCODE_UNDEFINED_TABLE => Ok(None),
                other => other.map(Some),
            },
            Self::Part { over, parent, part } => {
                let command = command::create_part(over, *part, role)?;
                Ok((!built.serves(*part, *parent)).then_some(command))
            }
            Self::Keep(wanted, table) => statistics::change(wanted, *table, role),
            Self::Collect(wanted, table) => statistics::analyze(wanted, *table, role).map(Some),
            Self::Attach { part, .. } if built.served.contains(&part.to_u32()) => Ok(None),
            Self::Attach { parent, part } => {
                command::attach(&[(built.index(*parent)?, built.index(*part)?)]).map(Some)
            }
            Self::AttachFound if built.found.is_empty() => Ok(None),
            Self::AttachFound => {
                let pairs = built.found.iter();
                let pairs: Vec<_> = pairs
                    .map(|(parent, index)| Ok((built.index(*parent)?, *index)))
                    .collect::<Result<_, Failure>>()?;
                command::attach(&pairs).map(Some)
            }
        }
    }
}

/// The steps of a job.
///
/// # Errors
/// A target where none is allowed, or too many partitions.
pub(super) fn steps(spec: &Spec, target: Option<pg_sys::Oid>) -> Result<Vec<Step>, Failure> {
    match (spec, target) {
        (Spec::Many(_), Some(_)) => Err(Failure::argument(
            "a job of this kind chooses its relations itself and takes no target",
        )),
        (Spec::Many(many), None) => Ok(chosen(many)),
        (Spec::Statistics(wanted), Some(table)) => Ok(vec![
            Step::Keep(wanted.clone(), table),
            Step::Collect(wanted.clone(), table),
        ]),
        (Spec::CreateIndex { over, .. }, Some(table)) if is_partitioned(table) => {
            let mut steps = vec![Step::Whole(spec.clone(), target)];
            let parts = partitions(table);
            if parts.len() >= MAX_TOUCHED {
                return Err(Failure::new(
                    PgSqlErrorCode::ERRCODE_PROGRAM_LIMIT_EXCEEDED,
                    format!(
                        "a job builds the indexes of {} partitions at most, and the table has {}",
                        MAX_TOUCHED - 1,
                        parts.len()
                    ),
                )
                .hint("Queue a job for each partition, or for each table a level below."));
            }
            for (part, parent) in parts {
                steps.push(Step::Part {
                    over: over.clone(),
                    parent,
                    part,
                });
                steps.push(Step::Attach { parent, part });
            }
            steps.push(Step::AttachFound);
            Ok(steps)
        }
        _ => Ok(vec![Step::Whole(spec.clone(), target)]),
    }
}

fn is_partitioned(table: pg_sys::Oid) -> bool {
    // SAFETY: a catalogue look-up that answers 0 for a relation that does not exist.
    (unsafe { pg_sys::get_rel_relkind(table) }) as u8 == b'p'
}

/// All partitions below a table with their parents, parents first. Foreign tables have no index, and the parent's is whole
/// without.
fn partitions(table: pg_sys::Oid) -> Vec<(pg_sys::Oid, pg_sys::Oid)> {
    let query = "SELECT p.relid::oid, p.parentrelid::oid FROM pg_partition_tree($1::oid::regclass) p \
                 JOIN pg_class c ON c.oid = p.relid AND c.relkind <> 'f' WHERE p.level > 0 ORDER BY p.level, p.relid::oid";
    Spi::connect(|client| {
        let rows = spi(
            "the partitions",
            client.select(query, None, &[table.into()]),
        );
        rows.filter_map(|row| {
            Some((
                spi("the partitions", row.get(1))?,
                spi("the partitions", row.get(2))?,
            ))
        })
        .collect()
    })
}

fn chosen(many: &Many) -> Vec<Step> {
    let (query, spec) = match many.choice {
        Choice::Stale => (
            over_relations!("../../sql/queries/stale_tables.sql"),
            Spec::Analyze,
        ),
        Choice::Due => (
            over_relations!("../../sql/queries/due_tables.sql"),
            Spec::Vacuum(Vacuum::default()),
        ),
        Choice::Oldest => (
            include_str!("../../sql/queries/oldest_tables.sql"),
            Spec::Vacuum(Vacuum {
                freeze: true,
                ..Vacuum::default()
            }),
        ),
        Choice::Bloated => (
            include_str!("../../sql/queries/bloated_indexes.sql"),
            Spec::Reindex,
        ),
        Choice::Invalid => (
            include_str!("../../sql/queries/invalid_indexes.sql"),
            Spec::Reindex,
        ),
    };
    let mut arguments = vec![i32::from(many.limit).into()];
    if many.choice == Choice::Bloated {
        arguments.push(many.min_bloat_percent.into());
        arguments.push(many.min_size_mb.into());
    }
    Spi::connect(|client| {
        let rows = spi("what needs work", client.select(query, None, &arguments));
        rows.filter_map(|row| spi::<Option<pg_sys::Oid>>("what needs work", row.get(1)))
            .map(|relation| Step::Chosen(spec.clone(), relation))
            .collect()
    })
}
