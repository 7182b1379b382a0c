//! What a sample of a table says of expressions and conditions: one sample for all of them.

use std::collections::{BTreeMap, BTreeSet};
use std::hash::{DefaultHasher, Hasher};
use std::rc::Rc;

use pg_pitcrew_advisor::{
    BtreeShape, ColumnWidth, Frequencies, IndexSize, btree_size, groups, tuple_bytes,
};

use super::column::Content;
use super::confidence::{self, Confidence, Trusted};
use super::definition::{self, Part};
use super::guarded::guarded;
use super::hypothetical::Key;
use super::sample::{self, Layout, Sample, Wanted};
use super::statistics::{StoredTuple, statistics};
use super::table::{self, Table};
use crate::names;
use crate::workload::analysis::{self, Context};
use crate::workload::trust::Path;

/// Expressions and conditions of one table that are measured.
const MAX_TEXTS: usize = 40;
/// Values that are looked at for their width.
const MAX_WIDTHS: usize = 64;
/// Wider values are no keys of a B-tree.
const MAX_WIDTH: f64 = 1000.0;
/// Rows in a sample from which a share is told.
const ENOUGH_ROWS: usize = 100;

/// Expressions and conditions over one table.
#[derive(Debug, Default)]
pub(crate) struct Measured {
    expressions: BTreeMap<Rc<str>, Computed>,
    shares: BTreeMap<Rc<str>, Share>,
}

#[derive(Debug)]
struct Computed {
    content: Content,
    statistics: Option<Rc<StoredTuple>>,
}

/// Rows of a sample that meet a condition.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Share {
    kept: usize,
    seen: usize,
    is_whole: bool,
}

impl Share {
    /// From 0 to 1.
    pub(crate) fn share(self) -> f64 {
        self.kept as f64 / self.seen.max(1) as f64
    }

    /// How far it can be relied on.
    pub(super) fn trusted(self) -> Trusted {
        let Self { kept, seen, .. } = self;
        let mut trusted = Trusted::default();
        trusted.at_most(
            Confidence::Medium,
            format!("{kept} of {seen} sampled rows meet the predicate"),
        );
        if !self.is_whole && kept < ENOUGH_ROWS {
            let because = format!("only {kept} sampled rows meet the predicate");
            trusted.at_most(Confidence::Low, because);
        }
        trusted
    }
}

impl Measured {
    /// What an index would hold of the expression.
    pub(super) fn content(&self, expression: &str) -> Option<&Content> {
        Some(&self.expressions.get(expression)?.content)
    }

    /// The statistics that it would have.
    pub(super) fn statistics(&self, expression: &str) -> Option<Rc<StoredTuple>> {
        self.expressions.get(expression)?.statistics.clone()
    }

    /// How many rows meet the condition.
    pub(crate) fn share(&self, condition: &str) -> Option<Share> {
        self.shares.get(condition).copied()
    }
}

/// Measures expressions and conditions, each as SQL in parentheses. What no index can have is left out.
///
/// # Errors
/// Why the table's rows cannot be read.
pub(crate) fn measure(
    table: pgrx::pg_sys::Oid,
    expressions: &BTreeSet<Rc<str>>,
    conditions: &BTreeSet<Rc<str>>,
    context: &Context,
) -> Result<Measured, String> {
    // Index expressions, constraints and policies of the table run while it is read.
    context.trust().check_relations(&[table], Path::Own)?;
    let name = names::qualified(table).ok_or("the table is gone")?;
    let part = |text: &Rc<str>| -> Option<(Rc<str>, Part)> {
        let ddl = names::c_string(&format!("CREATE INDEX ON {name} ({text})")).ok()?;
        let read = guarded(|| {
            analysis::enter(context);
            analysis::qualify();
            definition::read(&ddl, context)
        });
        let part = read.ok()?.ok()?.parts.pop()?;
        Some((Rc::clone(text), part))
    };
    let all = |texts: &BTreeSet<Rc<str>>| -> Vec<(Rc<str>, Part)> {
        texts.iter().filter_map(part).take(MAX_TEXTS).collect()
    };
    let (expressions, conditions) = (all(expressions), all(conditions));
    match of_rows(table, &expressions, &conditions, context) {
        // One that fails on some row must not take the others along.
        Err(_) if expressions.len() + conditions.len() > 1 => {
            let mut measured = Measured::default();
            for one in &expressions {
                let found = of_rows(table, std::slice::from_ref(one), &[], context);
                measured
                    .expressions
                    .extend(found.unwrap_or_default().expressions);
            }
            for one in &conditions {
                let found = of_rows(table, &[], std::slice::from_ref(one), context);
                measured.shares.extend(found.unwrap_or_default().shares);
            }
            Ok(measured)
        }
        measured => measured,
    }
}

/// The keys of an index, each as SQL with what it is.
pub(crate) type Keys = Vec<(String, Key)>;

/// What a sample says of how often keys occur.
pub(crate) struct Counted {
    /// Of a B-tree that stores equal keys once.
    pub(crate) size: IndexSize,
    /// How far it can be relied on.
    pub(crate) trusted: Trusted,
}

/// What B-trees on these keys, which are equal where their bytes are, would have for a size: statistics of single columns do not say which
/// values go together, nor how often the uncommon ones occur.
///
/// # Errors
/// Why the table's rows cannot be read.
pub(crate) fn count(
    table: &Table,
    lists: &[Keys],
    context: &Context,
) -> Result<Vec<Counted>, String> {
    context.trust().check_relations(&[table.oid], Path::Own)?;
    if table::hides_rows(table.oid) {
        return Err("row security hides rows of the table from this role".to_owned());
    }
    let keys: BTreeMap<&str, &Key> = lists
        .iter()
        .flatten()
        .map(|(text, key)| (text.as_str(), key))
        .collect();
    let places: BTreeMap<&str, usize> = keys.keys().copied().zip(0..).collect();
    let columns: Vec<String> = keys.keys().map(|text| (*text).to_owned()).collect();
    let read = guarded(|| {
        analysis::enter(context);
        analysis::qualify();
        let wanted = Wanted {
            table: table.oid,
            columns: &columns,
            predicate: None,
            pages: f64::from(table.pages),
            rows: table.rows(),
            enough: sample::ROWS,
        };
        sample::take(wanted, context, |sample| {
            let of = |list: &Keys| {
                let layouts: Vec<(usize, Layout)> = list
                    .iter()
                    .map(|(text, key)| (places[text.as_str()], Layout::of_key(key)))
                    .collect();
                let seen = frequencies(&sample, &layouts);
                Counted {
                    size: btree_size(&BtreeShape {
                        groups: groups(&seen, table.rows()),
                        deduplicates: true,
                        fill_percent: None,
                        key_tuple: None,
                    }),
                    trusted: confidence::of_keys(&seen, sample.is_whole),
                }
            };
            lists.iter().map(of).collect()
        })
    });
    read.map_err(|caught| caught.message)?
}

/// How often keys of these columns of a sample occur.
fn frequencies(sample: &Sample, columns: &[(usize, Layout)]) -> Frequencies {
    let mut seen = Frequencies::default();
    let mut tuple = vec![None; columns.len()];
    for row in 0..sample.kept() {
        if row % 1000 == 0 {
            pgrx::check_for_interrupts!();
        }
        let mut hasher = DefaultHasher::new();
        for (position, (place, layout)) in columns.iter().enumerate() {
            let column = &sample.columns[*place];
            tuple[position] = (!column.nulls[row])
                // SAFETY: a value of the column's type.
                .then(|| unsafe { layout.bytes(column.values[row], &mut hasher) });
            hasher.write_u8(u8::from(column.nulls[row]));
        }
        seen.add(hasher.finish(), tuple_bytes(&tuple) as f64);
    }
    seen
}

fn of_rows(
    table: pgrx::pg_sys::Oid,
    expressions: &[(Rc<str>, Part)],
    conditions: &[(Rc<str>, Part)],
    context: &Context,
) -> Result<Measured, String> {
    if expressions.is_empty() && conditions.is_empty() {
        return Ok(Measured::default());
    }
    let texts = expressions.iter().chain(conditions);
    let columns: Vec<String> = texts.map(|(text, _)| text.to_string()).collect();
    let read = guarded(|| {
        analysis::enter(context);
        analysis::qualify();
        let (pages, rows) = table::measure(table).ok_or("the table is gone")?;
        let wanted = Wanted {
            table,
            columns: &columns,
            predicate: None,
            pages,
            rows,
            enough: sample::ROWS,
        };
        sample::take(wanted, context, |sample| {
            of_sample(sample, rows, expressions, conditions)
        })
    });
    read.map_err(|caught| caught.message)?
}

fn of_sample(
    mut sample: Sample,
    rows: f64,
    expressions: &[(Rc<str>, Part)],
    conditions: &[(Rc<str>, Part)],
) -> Measured {
    let mut measured = Measured::default();
    let kept = sample.kept();
    let scale = if sample.is_whole || kept == 0 {
        1.0
    } else {
        rows / kept as f64
    };
    for (at, (text, part)) in expressions.iter().enumerate() {
        if let Some(computed) = computed(part, &mut sample, at, kept as f64 * scale) {
            measured.expressions.insert(Rc::clone(text), computed);
        }
    }
    for (at, (text, _)) in conditions.iter().enumerate() {
        let values = &sample.columns[expressions.len() + at];
        let met = values.values.iter().zip(&values.nulls);
        let share = Share {
            kept: met
                .filter(|(value, null)| !**null && value.value() & 0xff != 0)
                .count(),
            seen: kept,
            is_whole: sample.is_whole,
        };
        measured.shares.insert(Rc::clone(text), share);
    }
    measured
}

fn computed(part: &Part, sample: &mut Sample, at: usize, rows: f64) -> Option<Computed> {
    let key = part.index.columns.first()?;
    let layout = Layout::of_key(key);
    let mut seen = Frequencies::default();
    let mut widths = Vec::new();
    let (mut sum, mut count) = (0.0, 0_usize);
    let column = &sample.columns[at];
    let step = (column.values.len() / MAX_WIDTHS).max(1);
    for (row, (value, null)) in column.values.iter().zip(&column.nulls).enumerate() {
        if row % 1000 == 0 {
            pgrx::check_for_interrupts!();
        }
        let mut hasher = DefaultHasher::new();
        let mut bytes = (0, 1);
        if *null {
            hasher.write_u8(1);
        } else {
            // SAFETY: a value of the expression's type.
            bytes = unsafe { layout.bytes(*value, &mut hasher) };
            sum += bytes.0 as f64;
            count += 1;
            if row % step == 0 {
                widths.push((1.0, bytes.0 as f64));
            }
        }
        seen.add(hasher.finish(), bytes.0 as f64);
    }
    let mean = sum / count.max(1) as f64;
    if mean > MAX_WIDTH {
        return None;
    }
    let distinct: f64 = groups(&seen, rows).iter().map(|group| group.values).sum();
    let width = match layout.fixed() {
        Some((bytes, align)) => ColumnWidth::Fixed(bytes, align),
        None if widths.is_empty() => ColumnWidth::Sampled(vec![(1.0, mean)]),
        None => ColumnWidth::Sampled(widths),
    };
    Some(Computed {
        content: Content {
            width,
            distinct: distinct.max(1.0),
            is_equal_image: part.deduplicates,
            known: 0.0,
        },
        statistics: statistics(key, &mut sample.columns[at], rows),
    })
}
