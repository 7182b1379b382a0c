//! The size that an index would have, and the statistics of its expressions, from a sample of its table.

use std::collections::HashSet;
use std::ffi::CStr;
use std::hash::{DefaultHasher, Hash, Hasher};

use pg_pitcrew_advisor::{
    BrinShape, BtreeShape, Frequencies, GinShape, HashShape, IndexSize, brin_size, btree_size,
    gin_size, groups, hash_size, tuple_bytes,
};
use pgrx::prelude::*;

use super::confidence::{self, Confidence, Trusted};
use super::definition::{self, Definition, Method, Part};
use super::gin_keys::gin_keys;
use super::guarded::guarded;
use super::hypothetical::Hypothetical;
use super::sample::{self, Layout, Sample, Wanted};
use super::statistics::statistics;
use super::table;
use crate::workload::analysis::{self, Context};
use crate::workload::trust::Path;

/// Longest key of a B-tree (`BTMaxItemSize`).
const MAX_KEY: usize = 2704;
/// Pages of a BRIN index' range, unless it says otherwise.
const PAGES_A_RANGE: f64 = 128.0;
/// Rows in a sample from which a share is told.
const ENOUGH_ROWS: usize = 100;

/// An index that was thought through.
#[derive(Debug, Clone)]
pub(crate) struct Predicted {
    /// What its definition says.
    pub(crate) definition: Definition,
    /// Bytes of all its parts.
    pub(crate) bytes: u64,
    /// Pages of all its parts.
    pub(crate) pages: u64,
    /// Levels above the leaves, of the highest part.
    pub(crate) height: u32,
    /// Entries of all its parts.
    pub(crate) entries: f64,
    /// What a new row writes, in entries: the keys of a GIN index, one for a range of pages of a BRIN index.
    pub(crate) entries_a_row: f64,
    /// How far this can be relied on.
    pub(crate) trusted: Trusted,
}

impl Predicted {
    /// Its pages and height.
    pub(crate) fn size(&self) -> IndexSize {
        IndexSize {
            pages: u32::try_from(self.pages).unwrap_or(u32::MAX),
            height: self.height,
        }
    }

    /// Its parts for the planner.
    pub(crate) fn indexes(&self) -> impl Iterator<Item = &Hypothetical> {
        self.definition.parts.iter().map(|part| &part.index)
    }
}

/// Whose names a definition is written in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Names {
    /// The session's, found by its search path.
    Session,
    /// The advisor's own: of what is not in `pg_catalog` with its schema.
    Qualified,
}

impl Names {
    fn enter(self, context: &Context) {
        analysis::enter(context);
        if self == Self::Qualified {
            analysis::qualify();
        }
    }
}

/// Reads a definition and predicts its size, as if `absent` were not there. Nothing is built.
///
/// # Errors
/// The reason why it cannot be told.
pub(crate) fn predict(
    text: &CStr,
    names: Names,
    absent: &[pg_sys::Oid],
    context: &Context,
) -> Result<Predicted, String> {
    let read = guarded(|| {
        names.enter(context);
        definition::read(text, context)
    });
    let mut definition = read.map_err(|caught| caught.message)??;
    if let Some(taken) = definition.taken.filter(|taken| !absent.contains(taken)) {
        let (_, name) = crate::names::relation(taken).unwrap_or_default();
        return Err(format!("relation \"{name}\" already exists"));
    }
    let mut predicted = Predicted {
        bytes: 0,
        pages: 0,
        height: 0,
        entries: 0.0,
        entries_a_row: 1.0,
        trusted: Trusted::default(),
        definition: definition.clone(),
    };
    let (mut written, mut rows) = (0.0, 0.0);
    for part in &mut definition.parts {
        pgrx::check_for_interrupts!();
        // Index expressions, constraints and policies of the table run while it is read.
        context
            .trust()
            .check_relations(&[part.index.table], Path::Own)?;
        let measured = guarded(|| {
            names.enter(context);
            measure(part, definition.method, context)
        });
        let measured = measured.map_err(|caught| caught.message)??;
        let size = measured.size;
        part.index.pages = size.pages;
        part.index.height = size.height;
        predicted.bytes += size.bytes();
        predicted.pages += u64::from(size.pages);
        predicted.height = predicted.height.max(size.height);
        predicted.entries += measured.entries;
        written += measured.rows * measured.entries_a_row;
        rows += measured.rows;
        predicted.trusted.merge(measured.trusted);
    }
    predicted.entries_a_row = written / rows.max(1.0);
    predicted.definition = definition;
    Ok(predicted)
}

/// Reads a definition without looking at rows: its size is not predicted, and is 0.
///
/// # Errors
/// The reason why it cannot be told.
pub(crate) fn from_statistics(text: &CStr, context: &Context) -> Result<Predicted, String> {
    let read = guarded(|| {
        analysis::enter(context);
        let definition = definition::read(text, context)?;
        let mut trusted = Trusted::default();
        for part in &definition.parts {
            trusted.merge(of_columns(part));
        }
        Ok::<_, String>((definition, trusted))
    });
    let (definition, trusted) = read.map_err(|caught| caught.message)??;
    Ok(Predicted {
        bytes: 0,
        pages: 0,
        height: 0,
        entries: 0.0,
        entries_a_row: 1.0,
        trusted,
        definition,
    })
}

/// What the statistics of its keys, or their lack, say.
pub(super) fn of_columns(part: &Part) -> Trusted {
    let mut trusted = Trusted::default();
    for (position, key) in part.index.columns[..part.index.keys].iter().enumerate() {
        if key.number == 0 {
            trusted.at_most(
                Confidence::Medium,
                format!(
                    "statistics of {} come from a sample",
                    part.columns[position]
                ),
            );
        } else if !table::has_statistics(part.index.table, key.number) {
            trusted.at_most(
                Confidence::Low,
                format!(
                    "column {} has no statistics: run ANALYZE",
                    part.columns[position]
                ),
            );
        }
    }
    trusted
}

/// What the rows of one table say.
struct Measure {
    size: IndexSize,
    /// Rows of the table.
    rows: f64,
    /// Of them those that are in it.
    entries: f64,
    /// What a new row of the table writes.
    entries_a_row: f64,
    trusted: Trusted,
}

/// Fills in what only the table's rows tell: size, entries, statistics of expressions.
fn measure(part: &mut Part, method: Method, context: &Context) -> Result<Measure, String> {
    let (pages, rows) = table::measure(part.index.table).ok_or("the table is gone")?;
    let mut trusted = of_columns(part);
    match method {
        Method::Gin => trusted.at_most(
            Confidence::Low,
            "the planner knows the inside of a GIN index only once it is built".to_owned(),
        ),
        Method::Brin => trusted.at_most(
            Confidence::Low,
            "the planner knows the ranges of a BRIN index only once it is built".to_owned(),
        ),
        Method::Btree | Method::Hash => {}
    }
    let (columns, predicate) = (part.columns.clone(), part.predicate.clone());
    let wanted = Wanted {
        table: part.index.table,
        columns: &columns,
        predicate: predicate.as_deref(),
        pages,
        rows,
        enough: sample::ROWS,
    };
    sample::take(wanted, context, |sample| {
        of_sample(part, method, (pages, rows), sample, trusted)
    })?
}

fn of_sample(
    part: &mut Part,
    method: Method,
    (pages, rows): (f64, f64),
    mut sample: Sample,
    mut trusted: Trusted,
) -> Result<Measure, String> {
    let kept = sample.kept();
    let hides_rows = table::hides_rows(part.index.table);
    if hides_rows {
        trusted.at_most(
            Confidence::Low,
            "row security hides rows of the table from this role".to_owned(),
        );
    }
    // The index holds the hidden rows too.
    let scale = if (sample.is_whole && !hides_rows) || sample.seen == 0 {
        1.0
    } else {
        rows / sample.seen as f64
    };
    let entries = kept as f64 * scale;
    if part.predicate.is_some() {
        part.index.tuples = Some(entries.max(1.0));
        trusted.at_most(
            Confidence::Medium,
            format!("{kept} of {} sampled rows meet the predicate", sample.seen),
        );
        if !sample.is_whole && kept < ENOUGH_ROWS {
            trusted.at_most(
                Confidence::Low,
                format!("only {kept} sampled rows meet the predicate"),
            );
        }
    }
    for (position, key) in part.index.columns[..part.index.keys].iter().enumerate() {
        // Those of a partial index say nothing of the whole table: the planner leaves them alone (`examine_variable`).
        if key.number == 0 && part.predicate.is_none() {
            part.index.statistics[position] =
                statistics(key, &mut sample.columns[position], entries);
        }
    }
    let mut entries_a_row = 1.0;
    let size = match method {
        Method::Btree => {
            let seen = keys(part, &sample)?;
            if part.deduplicates {
                trusted.merge(confidence::of_keys(&seen, sample.is_whole));
            }
            btree_size(&BtreeShape {
                groups: groups(&seen, entries),
                deduplicates: part.deduplicates,
                fill_percent: part.fill_percent,
                key_tuple: key_tuple(part, &sample),
            })
        }
        Method::Hash => {
            let seen = keys(part, &sample)?;
            let kept = seen.rows() as f64 * scale;
            hash_size(&HashShape {
                rows: kept,
                table_rows: rows,
                groups: groups(&seen, kept),
                fill_percent: part.fill_percent,
            })
        }
        Method::Brin => {
            let ranges = pages / part.pages_a_range.unwrap_or(PAGES_A_RANGE);
            entries_a_row = (ranges / rows.max(1.0)).min(1.0);
            brin_size(&BrinShape {
                table_pages: pages,
                pages_a_range: part.pages_a_range,
                widths: widths(part, &sample),
            })
        }
        Method::Gin => {
            let keys = gin_keys(part, &sample, scale)?;
            let all: f64 = keys.iter().map(|key| key.values * key.rows).sum();
            entries_a_row = all / entries.max(1.0);
            gin_size(&GinShape {
                table_pages: pages,
                keys,
            })
        }
    };
    Ok(Measure {
        size,
        rows,
        entries,
        entries_a_row: entries_a_row * entries / rows.max(1.0),
        trusted,
    })
}

/// How often each key occurs in the sample. A hash index leaves NULLs out.
fn keys(part: &Part, sample: &Sample) -> Result<Frequencies, String> {
    let layouts: Vec<Layout> = part.index.columns.iter().map(Layout::of_key).collect();
    let skips_null = part.index.method == pg_sys::HASH_AM_OID;
    let mut seen = Frequencies::default();
    // NULLs are no duplicates of each other.
    let mut unique = HashSet::new();
    let mut columns = vec![None; layouts.len()];
    for row in 0..sample.kept() {
        if row % 1000 == 0 {
            pgrx::check_for_interrupts!();
        }
        let mut hasher = DefaultHasher::new();
        let mut key = 0;
        for (position, layout) in layouts.iter().enumerate() {
            let column = &sample.columns[position];
            columns[position] = (!column.nulls[row])
                // SAFETY: a value of the column's type.
                .then(|| unsafe { layout.bytes(column.values[row], &mut hasher) });
            column.nulls[row].hash(&mut hasher);
            if position + 1 == part.index.keys {
                key = hasher.finish();
            }
        }
        if skips_null && columns[0].is_none() {
            continue;
        }
        let is_null = columns[..part.index.keys].iter().any(Option::is_none);
        if part.index.unique && !is_null && !unique.insert(key) {
            return Err("building it fails: rows have the same key".to_owned());
        }
        let bytes = tuple_bytes(&columns);
        if bytes > MAX_KEY && part.index.method == pg_sys::BTREE_AM_OID {
            return Err(format!(
                "building it fails: a row's key takes {bytes} bytes, a B-tree's at most {MAX_KEY}"
            ));
        }
        seen.add(hasher.finish(), bytes as f64);
    }
    Ok(seen)
}

/// Mean bytes of a tuple without what is only stored; `None` where nothing is.
fn key_tuple(part: &Part, sample: &Sample) -> Option<f64> {
    if part.index.columns.len() == part.index.keys {
        return None;
    }
    let layouts: Vec<Layout> = part.index.columns[..part.index.keys]
        .iter()
        .map(Layout::of_key)
        .collect();
    let mut hasher = DefaultHasher::new();
    let (mut sum, mut columns) = (0, vec![None; layouts.len()]);
    for row in 0..sample.kept() {
        for (position, layout) in layouts.iter().enumerate() {
            let column = &sample.columns[position];
            columns[position] = (!column.nulls[row])
                // SAFETY: a value of the column's type.
                .then(|| unsafe { layout.bytes(column.values[row], &mut hasher) });
        }
        sum += tuple_bytes(&columns);
    }
    Some(sum as f64 / sample.kept().max(1) as f64)
}

/// Mean bytes of each column.
fn widths(part: &Part, sample: &Sample) -> Vec<f64> {
    part.index
        .columns
        .iter()
        .zip(&sample.columns)
        .map(|(key, column)| {
            let layout = Layout::of_key(key);
            let mut hasher = DefaultHasher::new();
            let (mut sum, mut count) = (0, 0);
            for (value, _) in column
                .values
                .iter()
                .zip(&column.nulls)
                .filter(|(_, null)| !**null)
            {
                // SAFETY: a value of the column's type.
                sum += unsafe { layout.bytes(*value, &mut hasher) }.0;
                count += 1;
            }
            sum as f64 / f64::from(count.max(1))
        })
        .collect()
}
