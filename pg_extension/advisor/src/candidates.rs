//! Which indexes could help a statement, from how it uses one table.

use crate::candidate::{Candidate, Expression, Key, Method, Of};

/// How one occurrence of a table in a statement uses it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Used {
    /// Compared with `=`, `IN` or `IS NULL`, or joined on.
    pub equal: Vec<Key>,
    /// Compared with `<`, `<=`, `>`, `>=`, `BETWEEN` or the beginning of a pattern.
    pub range: Vec<Key>,
    /// Leading keys that the result is ordered, grouped or made distinct by; several lists when a statement has
    /// several levels.
    pub ordered: Vec<Vec<Key>>,
    /// Looked into: what an array, a document or a text has inside.
    pub inside: Vec<Key>,
    /// Pairs of what is compared that no wanted row has to meet both of: they stand in different arms of an OR.
    pub apart: Vec<(Of, Of)>,
    /// What all rows that it wants meet, and an index may leave the others out for.
    pub conditions: Vec<Condition>,
    /// Each equal to one value in all rows that it wants.
    pub single: Vec<i16>,
    /// All columns that are read.
    pub read: Vec<i16>,
    /// Read as a whole row, or by a system column: no index has it all.
    pub is_read_whole: bool,
}

/// A condition that all wanted rows meet.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Condition {
    /// As SQL.
    pub expression: Expression,
    /// The column that has one value in all rows that meet it: in an index over those rows it is no key.
    pub pinned: Option<i16>,
}

impl Condition {
    /// As [`Expression::on`].
    pub fn on(&self, number: &impl Fn(i16) -> Option<i16>) -> Option<Self> {
        let pinned = match self.pinned {
            Some(column) => Some(number(column)?),
            None => None,
        };
        let expression = self.expression.on(number)?;
        Some(Self { expression, pinned })
    }
}

/// What a table's statistics say of its columns.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Facts {
    /// Rows lie in the order of these, and there are many: a BRIN index tells pages apart.
    pub in_order: Vec<i16>,
    /// A hash index on these is much smaller than a B-tree, or a B-tree is not possible.
    pub long: Vec<i16>,
    /// Keys of which no two rows have the same.
    pub unique: Vec<Vec<i16>>,
    /// Mostly NULL, each with the condition that it is not.
    pub mostly_null: Vec<(i16, Expression)>,
}

impl Used {
    /// The same of a table whose columns have the same names and other numbers; `None` where it lacks one.
    pub fn on(&self, number: &impl Fn(i16) -> Option<i16>) -> Option<Self> {
        let keys =
            |keys: &[Key]| -> Option<Vec<Key>> { keys.iter().map(|key| key.on(number)).collect() };
        let numbers =
            |columns: &[i16]| -> Option<Vec<i16>> { columns.iter().copied().map(number).collect() };
        Some(Self {
            equal: keys(&self.equal)?,
            range: keys(&self.range)?,
            ordered: self
                .ordered
                .iter()
                .map(|list| keys(list))
                .collect::<Option<_>>()?,
            inside: keys(&self.inside)?,
            apart: self
                .apart
                .iter()
                .map(|(one, other)| Some((one.on(number)?, other.on(number)?)))
                .collect::<Option<_>>()?,
            conditions: self
                .conditions
                .iter()
                .map(|one| one.on(number))
                .collect::<Option<_>>()?,
            single: numbers(&self.single)?,
            read: numbers(&self.read)?,
            is_read_whole: self.is_read_whole,
        })
    }

    /// Whether an index that stores what `candidate` does answers all of it.
    pub fn is_covered_by(&self, candidate: &Candidate) -> bool {
        !self.is_read_whole
            && !self.read.is_empty()
            && self.read.iter().all(|column| candidate.stores(*column))
    }

    /// Whether an index of `candidate` may change how it is read.
    pub fn is_served_by(&self, candidate: &Candidate) -> bool {
        let has = |keys: &[Key], key: &Key| keys.iter().any(|own| own.of == key.of);
        let ordered = || {
            self.ordered
                .iter()
                .any(|list| candidate.keys.iter().any(|key| has(list, key)))
        };
        let keys = candidate.keys.iter();
        let is_used = match candidate.method {
            Method::Gin => keys.clone().any(|key| has(&self.inside, key)),
            Method::Hash => keys.clone().any(|key| has(&self.equal, key)),
            Method::Btree | Method::Brin => {
                keys.clone()
                    .any(|key| has(&self.equal, key) || has(&self.range, key))
                    || ordered()
            }
        };
        let meets = |predicate: &Expression| {
            let mut conditions = self.conditions.iter();
            conditions.any(|condition| condition.expression == *predicate)
                || predicate.columns.iter().any(|column| {
                    let column = Key::column(*column);
                    has(&self.equal, &column) || has(&self.range, &column)
                })
        };
        match &candidate.predicate {
            None => is_used || self.is_covered_by(candidate),
            Some(predicate) => meets(predicate),
        }
    }
}

/// Keys of a kind that are combined; a statement with more still gets its single-key candidates.
const MAX_COMBINED: usize = 8;
/// Columns of a covering index; wider ones are tables of their own.
const MAX_COVERED: usize = 8;
/// Conditions of one occurrence that predicates are made of.
const MAX_CONDITIONS: usize = 4;

/// Candidates for one occurrence of a table, without duplicates, in a stable order: those with fewer columns first.
///
/// None for one row that a unique index finds: all that could be saved is the look at the table for it.
///
/// An equality key always comes before a range or an order key: behind a range the second key narrows nothing.
pub fn candidates(table: u32, used: &Used, facts: &Facts) -> Vec<Candidate> {
    let is_pinned = |key: &Vec<i16>| key.iter().all(|column| used.single.contains(column));
    let mut found = Vec::new();
    if facts.unique.iter().any(is_pinned) {
        return found;
    }
    for keys in keys(used) {
        add(&mut found, Candidate::btree(table, keys, Vec::new()));
    }
    let lacks_few = !used.is_read_whole && used.read.len() <= MAX_COVERED;
    for candidate in found.clone() {
        let mut included = used.read.clone();
        included.retain(|column| !candidate.stores(*column));
        included.sort_unstable();
        if lacks_few && !included.is_empty() {
            add(
                &mut found,
                Candidate {
                    included,
                    ..candidate
                },
            );
        }
    }
    for candidate in some_rows(table, &found, used, facts) {
        add(&mut found, candidate);
    }
    for candidate in other_methods(table, used, facts) {
        add(&mut found, candidate);
    }
    found
}

fn add(found: &mut Vec<Candidate>, candidate: Candidate) {
    if !found.contains(&candidate) {
        found.push(candidate);
    }
}

/// The same over the rows that meet a condition, over those that meet all of them, and over those where a column that is
/// looked up is not NULL.
fn some_rows(table: u32, whole: &[Candidate], used: &Used, facts: &Facts) -> Vec<Candidate> {
    let mut found = Vec::new();
    let conditions = &used.conditions[..used.conditions.len().min(MAX_CONDITIONS)];
    let mut predicates: Vec<(Expression, Vec<i16>)> = conditions
        .iter()
        .map(|one| (one.expression.clone(), one.pinned.into_iter().collect()))
        .collect();
    if conditions.len() > 1 {
        let all: Vec<&Expression> = conditions.iter().map(|one| &one.expression).collect();
        let pinned = conditions.iter().filter_map(|one| one.pinned).collect();
        predicates.push((together(&all), pinned));
    }
    for (predicate, pinned) in predicates {
        // An index has a key, whatever its rows are.
        let alone = pinned.first().or(predicate.columns.first());
        let alone =
            alone.map(|column| Candidate::btree(table, vec![Key::column(*column)], Vec::new()));
        for candidate in whole.iter().chain(&alone) {
            let mut candidate = candidate.clone();
            let is_pinned =
                |key: &Key| matches!(key.of, Of::Column(column) if pinned.contains(&column));
            if candidate.keys.iter().all(is_pinned) {
                candidate.keys.truncate(1);
            } else {
                candidate.keys.retain(|key| !is_pinned(key));
            }
            candidate.predicate = Some(predicate.clone());
            found.push(candidate);
        }
    }
    for (column, predicate) in &facts.mostly_null {
        let first = Key::column(*column);
        let is_compared = used.equal.contains(&first) || used.range.contains(&first);
        for candidate in whole.iter().filter(|_| is_compared) {
            if candidate.keys.first() == Some(&first) {
                found.push(Candidate {
                    predicate: Some(predicate.clone()),
                    ..candidate.clone()
                });
            }
        }
    }
    found
}

fn together(all: &[&Expression]) -> Expression {
    let texts: Vec<&str> = all.iter().map(|one| &*one.sql).collect();
    let mut columns: Vec<i16> = all.iter().flat_map(|one| &one.columns).copied().collect();
    columns.sort_unstable();
    columns.dedup();
    Expression {
        sql: format!("({})", texts.join(" AND ")).into(),
        columns,
    }
}

fn other_methods(table: u32, used: &Used, facts: &Facts) -> Vec<Candidate> {
    let of = |method, key: &Key| Candidate {
        method,
        ..Candidate::btree(table, vec![key.clone()], Vec::new())
    };
    let listed = |key: &Key, columns: &[i16]| {
        key.is_plain() && matches!(key.of, Of::Column(column) if columns.contains(&column))
    };
    let inside = used.inside.iter().map(|key| of(Method::Gin, key));
    let in_order = used.range.iter().filter(|key| listed(key, &facts.in_order));
    let long = used.equal.iter().filter(|key| listed(key, &facts.long));
    inside
        .chain(in_order.map(|key| of(Method::Brin, key)))
        .chain(long.map(|key| of(Method::Hash, key)))
        .collect()
}

/// Lists of keys, the shorter ones first.
fn keys(used: &Used) -> Vec<Vec<Key>> {
    let mut found: Vec<Vec<Key>> = Vec::new();
    let mut put = |keys: &[&Key]| {
        let fits = |one: &Key, other: &Key| {
            let is_pair = |(a, b): &(Of, Of)| {
                (*a == one.of && *b == other.of) || (*b == one.of && *a == other.of)
            };
            one.of != other.of && !used.apart.iter().any(is_pair)
        };
        let is_apart = (1..keys.len()).any(|end| {
            let mut before = keys[..end].iter();
            before.any(|key| !fits(key, keys[end]))
        });
        if !is_apart
            && !found
                .iter()
                .any(|known| known.iter().eq(keys.iter().copied()))
        {
            found.push(keys.iter().copied().cloned().collect());
        }
    };
    let few = |keys: &'_ [Key]| keys.len().min(MAX_COMBINED);
    let (equal, range) = (
        &used.equal[..few(&used.equal)],
        &used.range[..few(&used.range)],
    );
    let leading = used.ordered.iter().filter_map(|list| list.first());
    for key in used.equal.iter().chain(&used.range).chain(leading) {
        put(&[key]);
    }
    for first in equal {
        for second in equal.iter().chain(range) {
            put(&[first, second]);
        }
        for list in used.ordered.iter().take(MAX_COMBINED) {
            // What is equal to one value is in order already.
            if let Some(second) = list.iter().find(|key| key.of != first.of) {
                put(&[first, second]);
            }
        }
    }
    for list in &used.ordered {
        put(&list.iter().take(2).collect::<Vec<_>>());
    }
    // In one order only: which of two equalities comes first matters where another statement has one of them alone, and
    // that one brings its own candidate.
    for (position, first) in equal.iter().enumerate() {
        for second in &equal[position + 1..] {
            for third in equal[position + 1..].iter().chain(range) {
                put(&[first, second, third]);
            }
        }
    }
    for list in &used.ordered {
        put(&list.iter().take(3).collect::<Vec<_>>());
        // Sorting by some of them in the wrong direction is no help.
        let is_mixed = list.iter().any(|key| key.descends || key.nulls_first);
        for first in equal.iter().filter(|_| is_mixed && list.len() > 1) {
            put(&[first, &list[0], &list[1]]);
        }
    }
    found
}

/// Whether an index with the key columns `existing` already does what `candidate` would: it begins with the same
/// columns in the same order.
pub fn is_covered(candidate: &[i16], existing: &[i16]) -> bool {
    existing.starts_with(candidate)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn columns(numbers: &[i16]) -> Vec<Key> {
        numbers.iter().copied().map(Key::column).collect()
    }

    fn found(used: &Used) -> Vec<Vec<i16>> {
        candidates(7, used, &Facts::default())
            .iter()
            .filter(|candidate| candidate.included.is_empty())
            .map(|candidate| candidate.plain_columns().unwrap_or_default())
            .collect()
    }

    fn flag() -> Condition {
        Condition {
            expression: Expression {
                sql: "(flagged)".into(),
                columns: vec![9],
            },
            pinned: Some(9),
        }
    }

    #[test]
    fn equality_comes_before_range_and_order() {
        let used = Used {
            equal: columns(&[1]),
            range: columns(&[2]),
            ordered: vec![columns(&[3, 4])],
            ..Used::default()
        };
        assert_eq!(
            found(&used),
            [
                vec![1],
                vec![2],
                vec![3],
                vec![1, 2],
                vec![1, 3],
                vec![3, 4]
            ]
        );
    }

    #[test]
    fn one_row_that_a_unique_index_finds_needs_no_other() {
        let facts = Facts {
            unique: vec![vec![1, 2]],
            ..Facts::default()
        };
        let of = |single: &[i16]| {
            let used = Used {
                equal: columns(&[1, 2, 3]),
                single: single.to_vec(),
                read: vec![1, 2, 3, 4],
                ..Used::default()
            };
            candidates(7, &used, &facts)
        };
        assert!(of(&[2, 3, 1]).is_empty());
        assert!(!of(&[1, 3]).is_empty());
    }

    #[test]
    fn two_equalities_are_tried_both_ways() {
        let used = Used {
            equal: columns(&[1, 2]),
            ..Used::default()
        };
        assert_eq!(found(&used), [vec![1], vec![2], vec![1, 2], vec![2, 1]]);
    }

    #[test]
    fn arms_of_an_or_each_get_their_own() {
        let used = Used {
            equal: columns(&[1, 2, 3]),
            apart: vec![(Of::Column(1), Of::Column(2))],
            ..Used::default()
        };
        let both = |keys: &Vec<i16>| keys.contains(&1) && keys.contains(&2);
        let found = found(&used);
        assert!(found.contains(&vec![1]) && found.contains(&vec![2, 3]));
        assert!(!found.iter().any(both), "{found:?}");
    }

    #[test]
    fn what_is_read_is_stored_beside_the_keys() {
        let used = Used {
            equal: columns(&[1]),
            range: columns(&[2]),
            read: vec![5, 1, 2],
            ..Used::default()
        };
        let found = candidates(7, &used, &Facts::default());
        let stored: Vec<(Vec<i16>, Vec<i16>)> = found
            .iter()
            .filter(|candidate| !candidate.included.is_empty())
            .filter_map(|candidate| Some((candidate.plain_columns()?, candidate.included.clone())))
            .collect();
        assert_eq!(
            stored,
            [
                (vec![1], vec![2, 5]),
                (vec![2], vec![1, 5]),
                (vec![1, 2], vec![5])
            ]
        );
        let covers = |keys: &[i16]| Candidate::btree(7, columns(keys), Vec::new());
        assert!(used.is_covered_by(&covers(&[1, 2, 5])) && !used.is_covered_by(&covers(&[1, 2])));
        let whole = Used {
            is_read_whole: true,
            ..used
        };
        let of_whole = candidates(7, &whole, &Facts::default());
        assert!(
            of_whole
                .iter()
                .all(|candidate| candidate.included.is_empty())
        );
        assert!(!whole.is_covered_by(&covers(&[1, 2, 5])));
    }

    #[test]
    fn a_condition_is_a_predicate_and_what_it_pins_is_no_key() {
        let used = Used {
            equal: columns(&[9, 1]),
            conditions: vec![flag()],
            ..Used::default()
        };
        let some: Vec<Vec<Key>> = candidates(7, &used, &Facts::default())
            .into_iter()
            .filter(|candidate| candidate.predicate.is_some())
            .map(|candidate| candidate.keys)
            .collect();
        // Alone, because an index has a key; and on what else is compared.
        assert_eq!(some, [columns(&[9]), columns(&[1])]);
        let partial = Candidate {
            predicate: Some(flag().expression),
            ..Candidate::btree(7, columns(&[1]), Vec::new())
        };
        assert!(used.is_served_by(&partial));
        let others = Used {
            equal: columns(&[1]),
            ..Used::default()
        };
        assert!(!others.is_served_by(&partial));
    }

    #[test]
    fn conditions_also_come_together() {
        let mut second = flag();
        second.expression.sql = "(done IS NULL)".into();
        second.pinned = None;
        let used = Used {
            equal: columns(&[1]),
            conditions: vec![flag(), second],
            ..Used::default()
        };
        let texts: Vec<String> = candidates(7, &used, &Facts::default())
            .into_iter()
            .filter_map(|candidate| Some(candidate.predicate?.sql.to_string()))
            .collect();
        for wanted in [
            "(flagged)",
            "(done IS NULL)",
            "((flagged) AND (done IS NULL))",
        ] {
            assert!(
                texts.iter().any(|text| text == wanted),
                "{wanted}: {texts:?}"
            );
        }
    }

    #[test]
    fn statistics_bring_other_methods() {
        let used = Used {
            equal: columns(&[1]),
            range: columns(&[2]),
            inside: columns(&[3]),
            ..Used::default()
        };
        let methods = |facts: &Facts| -> Vec<(Method, Vec<Key>)> {
            candidates(7, &used, facts)
                .into_iter()
                .filter(|candidate| candidate.method != Method::Btree)
                .map(|candidate| (candidate.method, candidate.keys))
                .collect()
        };
        assert_eq!(methods(&Facts::default()), [(Method::Gin, columns(&[3]))]);
        let facts = Facts {
            in_order: vec![1, 2],
            long: vec![1, 2],
            ..Facts::default()
        };
        assert_eq!(
            methods(&facts),
            [
                (Method::Gin, columns(&[3])),
                (Method::Brin, columns(&[2])),
                (Method::Hash, columns(&[1]))
            ]
        );
    }

    #[test]
    fn mixed_directions_stand_behind_what_is_equal() {
        let mut list = columns(&[2, 3]);
        list[1].descends = true;
        let used = Used {
            equal: columns(&[1]),
            ordered: vec![list.clone()],
            ..Used::default()
        };
        let found = candidates(7, &used, &Facts::default());
        let wanted = [columns(&[1]), list].concat();
        assert!(
            found.iter().any(|candidate| candidate.keys == wanted),
            "{found:?}"
        );
    }

    #[test]
    fn an_index_covers_its_prefixes_only() {
        assert!(is_covered(&[1], &[1, 2]));
        assert!(is_covered(&[1, 2], &[1, 2]));
        assert!(!is_covered(&[2], &[1, 2]));
        assert!(!is_covered(&[1, 2], &[1]));
    }
}
