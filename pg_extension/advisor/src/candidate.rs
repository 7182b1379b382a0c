//! An index that could be built.

use std::rc::Rc;

/// Share of its statements' cost that an index has to save beside one that answers the same.
pub const LEAST_BESIDE: f64 = 0.2;
/// The same of GIN, which takes an entry for each element of a value: no method is dearer to write.
const LEAST_BESIDE_GIN: f64 = 0.5;

/// Access methods of candidates.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Method {
    /// Ordered: look-ups, ranges, order.
    Btree,
    /// Equality alone; as large for a long key as for a short one.
    Hash,
    /// What is inside a value: elements of arrays and documents, words, trigrams.
    Gin,
    /// The least and the greatest value of each range of pages.
    Brin,
}

impl Method {
    /// Its name in SQL.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Btree => "btree",
            Self::Hash => "hash",
            Self::Gin => "gin",
            Self::Brin => "brin",
        }
    }
}

/// SQL over the columns of one table, as the server writes it, in parentheses.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Expression {
    /// The text.
    pub sql: Rc<str>,
    /// Columns that it reads, ascending.
    pub columns: Vec<i16>,
}

/// What a key holds.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Of {
    /// A column, by its number.
    Column(i16),
    /// What is computed from columns.
    Expression(Expression),
}

/// One key of an index.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Key {
    /// What it holds.
    pub of: Of,
    /// Operator class as SQL; the type's default one where there is none.
    pub class: Option<Rc<str>>,
    /// `DESC`.
    pub descends: bool,
    /// `NULLS FIRST`.
    pub nulls_first: bool,
}

impl Expression {
    /// The same of a table whose columns have the same names and other numbers; `None` where it lacks one.
    pub fn on(&self, number: &impl Fn(i16) -> Option<i16>) -> Option<Self> {
        let mut columns: Vec<i16> = self
            .columns
            .iter()
            .copied()
            .map(number)
            .collect::<Option<_>>()?;
        columns.sort_unstable();
        let sql = Rc::clone(&self.sql);
        Some(Self { sql, columns })
    }
}

impl Of {
    /// As [`Expression::on`].
    pub fn on(&self, number: &impl Fn(i16) -> Option<i16>) -> Option<Self> {
        match self {
            Self::Column(column) => number(*column).map(Self::Column),
            Self::Expression(expression) => expression.on(number).map(Self::Expression),
        }
    }
}

impl Key {
    /// As [`Expression::on`].
    pub fn on(&self, number: &impl Fn(i16) -> Option<i16>) -> Option<Self> {
        let of = self.of.on(number)?;
        Some(Self { of, ..self.clone() })
    }

    /// Ascending, of the default operator class.
    pub fn new(of: Of) -> Self {
        Self {
            of,
            class: None,
            descends: false,
            nulls_first: false,
        }
    }

    /// A column, ascending.
    pub fn column(number: i16) -> Self {
        Self::new(Of::Column(number))
    }

    /// Whether it reads as the server sorts when nothing is said.
    pub fn is_plain(&self) -> bool {
        matches!(self.of, Of::Column(_))
            && self.class.is_none()
            && !self.descends
            && !self.nulls_first
    }
}

/// An index on one table.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Candidate {
    /// The table, by the caller's own number.
    pub table: u32,
    /// Access method.
    pub method: Method,
    /// One to three keys.
    pub keys: Vec<Key>,
    /// Columns that are only stored (`INCLUDE`), ascending: with them the statement needs no look at the table.
    pub included: Vec<i16>,
    /// What the rows in it meet; all rows where there is none.
    pub predicate: Option<Expression>,
}

impl Candidate {
    /// A B-tree over all rows.
    pub fn btree(table: u32, keys: Vec<Key>, included: Vec<i16>) -> Self {
        Self {
            table,
            method: Method::Btree,
            keys,
            included,
            predicate: None,
        }
    }

    /// The same on another table, as [`Expression::on`].
    pub fn on(&self, table: u32, number: &impl Fn(i16) -> Option<i16>) -> Option<Self> {
        let mut included: Vec<i16> = self
            .included
            .iter()
            .copied()
            .map(number)
            .collect::<Option<_>>()?;
        included.sort_unstable();
        let predicate = match &self.predicate {
            Some(predicate) => Some(predicate.on(number)?),
            None => None,
        };
        Some(Self {
            table,
            method: self.method,
            keys: self
                .keys
                .iter()
                .map(|key| key.on(number))
                .collect::<Option<_>>()?,
            included,
            predicate,
        })
    }

    /// The key columns, where it is a B-tree over all rows whose keys are columns in ascending order.
    pub fn plain_columns(&self) -> Option<Vec<i16>> {
        if self.method != Method::Btree || self.predicate.is_some() {
            return None;
        }
        let column = |key: &Key| match key.of {
            Of::Column(number) if key.is_plain() => Some(number),
            _ => None,
        };
        self.keys.iter().map(column).collect()
    }

    /// Columns whose change has to be written into it, ascending: those of its keys, of its predicate and what is stored.
    pub fn columns(&self) -> Vec<i16> {
        let mut found = self.included.clone();
        for key in &self.keys {
            match &key.of {
                Of::Column(number) => found.push(*number),
                Of::Expression(expression) => found.extend(&expression.columns),
            }
        }
        found.extend(
            self.predicate
                .iter()
                .flat_map(|predicate| &predicate.columns),
        );
        found.sort_unstable();
        found.dedup();
        found
    }

    /// Columns that can be read from it without a look at the table.
    pub fn stores(&self, column: i16) -> bool {
        self.method == Method::Btree
            && (self.included.contains(&column)
                || self.keys.iter().any(|key| key.of == Of::Column(column)))
    }

    /// Whether `self` does less than `other` on the same table, and takes fewer bytes for it: the first of its keys, or its
    /// keys without all that is stored beside them, or for some of the rows, or the first key by a smaller method.
    pub fn is_narrower_than(&self, other: &Self) -> bool {
        if self == other || self.table != other.table || other.method != Method::Btree {
            return false;
        }
        let does_no_more = self.predicate == other.predicate
            || (self.predicate.is_some() && other.predicate.is_none());
        match self.method {
            Method::Btree => {
                let stores_no_more = self.included.iter().all(|column| other.stores(*column));
                does_no_more && other.keys.starts_with(&self.keys) && stores_no_more
            }
            Method::Hash | Method::Brin => does_no_more && other.keys.first() == self.keys.first(),
            Method::Gin => false,
        }
    }

    /// One that does what both do: the keys of the longer one, and beside them what either stores. `None` where the keys of one
    /// do not begin with those of the other, where they hold other rows, or where one of them does it all.
    pub fn merged(&self, other: &Self) -> Option<Self> {
        let (short, long) = if self.keys.len() <= other.keys.len() {
            (self, other)
        } else {
            (other, self)
        };
        let is_fit = short.table == long.table
            && short.method == Method::Btree
            && long.method == Method::Btree
            && short.predicate == long.predicate
            && long.keys.starts_with(&short.keys);
        if !is_fit {
            return None;
        }
        let mut merged = long.clone();
        let more = short
            .included
            .iter()
            .filter(|column| !long.stores(**column));
        merged.included.extend(more);
        merged.included.sort_unstable();
        (merged != *long && merged != *short).then_some(merged)
    }

    /// Where another one answers the same look-ups, the share of their cost that this one has to save beside it to be worth having too.
    /// Its keys begin with all of this one's, in whatever directions, over the same rows; or both look into the same, and it does so by
    /// the type's default operator class, which answers what the others do.
    pub fn least_beside(&self, other: &Self) -> Option<f64> {
        let is_of_one_kind = self != other
            && self.table == other.table
            && self.method == other.method
            && self.predicate == other.predicate
            && self.keys.len() <= other.keys.len();
        let mut pairs = self.keys.iter().zip(&other.keys);
        let least = match self.method {
            Method::Btree => pairs
                .all(|(own, theirs)| own.of == theirs.of && own.class == theirs.class)
                .then_some(LEAST_BESIDE),
            Method::Gin => (self.keys.len() == other.keys.len()
                && pairs.all(|(own, theirs)| own.of == theirs.of && theirs.class.is_none()))
            .then_some(LEAST_BESIDE_GIN),
            Method::Hash | Method::Brin => None,
        };
        least.filter(|_| is_of_one_kind)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(columns: &[i16], included: &[i16]) -> Candidate {
        let keys = columns.iter().copied().map(Key::column).collect();
        Candidate::btree(1, keys, included.to_vec())
    }

    fn some_rows(mut candidate: Candidate) -> Candidate {
        candidate.predicate = Some(Expression {
            sql: "(flagged)".into(),
            columns: vec![9],
        });
        candidate
    }

    #[test]
    fn narrower_is_a_prefix_that_stores_no_more() {
        let wide = of(&[1, 2], &[3]);
        for narrow in [of(&[1, 2], &[]), of(&[1], &[]), of(&[1], &[2, 3])] {
            assert!(narrow.is_narrower_than(&wide), "{narrow:?}");
            assert!(!wide.is_narrower_than(&narrow), "{narrow:?}");
        }
        for other in [of(&[2], &[]), of(&[1, 2], &[4]), wide.clone()] {
            assert!(!other.is_narrower_than(&wide), "{other:?}");
        }
    }

    #[test]
    fn alike_is_what_begins_the_same_whatever_the_directions() {
        let mut descending = of(&[1, 2], &[]);
        descending.keys[1].descends = true;
        for other in [of(&[1, 2], &[3]), of(&[1, 2, 3], &[]), descending] {
            assert!(of(&[1, 2], &[]).least_beside(&other).is_some(), "{other:?}");
            assert!(of(&[1], &[9]).least_beside(&other).is_some(), "{other:?}");
        }
        for other in [
            of(&[1], &[2]),
            of(&[2, 1], &[]),
            of(&[1, 2], &[]),
            some_rows(of(&[1, 2], &[3])),
        ] {
            assert!(of(&[1, 2], &[]).least_beside(&other).is_none(), "{other:?}");
        }
    }

    #[test]
    fn of_two_classes_that_look_into_the_same_the_default_one_answers_more() {
        let inside = |column: i16, class: Option<&str>| {
            let mut candidate = Candidate {
                method: Method::Gin,
                ..of(&[column], &[])
            };
            candidate.keys[0].class = class.map(Into::into);
            candidate
        };
        let paths = inside(1, Some("jsonb_path_ops"));
        assert!(paths.least_beside(&inside(1, None)).is_some());
        assert!(inside(1, None).least_beside(&paths).is_none());
        for other in [inside(2, None), of(&[1], &[]), paths.clone()] {
            assert!(paths.least_beside(&other).is_none(), "{other:?}");
        }
        assert!(of(&[1], &[]).least_beside(&inside(1, None)).is_none());
    }

    #[test]
    fn merged_is_the_longer_one_with_all_that_is_stored() {
        for (one, other, wanted) in [
            (of(&[1], &[2]), of(&[1], &[3]), Some(of(&[1], &[2, 3]))),
            (
                of(&[1], &[4]),
                of(&[1, 2], &[3]),
                Some(of(&[1, 2], &[3, 4])),
            ),
            (of(&[1], &[2]), of(&[1, 2], &[]), None),
            (of(&[1], &[2]), of(&[2], &[3]), None),
            (of(&[1], &[2]), some_rows(of(&[1], &[3])), None),
        ] {
            assert_eq!(one.merged(&other), wanted, "{one:?} {other:?}");
            assert_eq!(other.merged(&one), wanted, "{one:?} {other:?}");
        }
    }

    #[test]
    fn some_rows_are_narrower_than_all_and_not_than_other_ones() {
        assert!(some_rows(of(&[1], &[])).is_narrower_than(&of(&[1, 2], &[])));
        assert!(some_rows(of(&[1], &[])).is_narrower_than(&some_rows(of(&[1, 2], &[]))));
        assert!(!of(&[1], &[]).is_narrower_than(&some_rows(of(&[1, 2], &[]))));
    }

    #[test]
    fn a_smaller_method_is_narrower_for_the_first_key_alone() {
        for method in [Method::Brin, Method::Hash] {
            let small = |column| Candidate {
                method,
                ..of(&[column], &[])
            };
            assert!(small(1).is_narrower_than(&of(&[1, 2], &[])));
            assert!(!small(2).is_narrower_than(&of(&[1, 2], &[])));
            assert!(!of(&[1], &[]).is_narrower_than(&small(1)));
        }
    }

    #[test]
    fn on_another_table_columns_have_its_numbers() {
        let number = |column: i16| (column < 9).then_some(column + 10);
        assert_eq!(
            of(&[1, 2], &[3]).on(7, &number),
            Some(Candidate {
                table: 7,
                ..of(&[11, 12], &[13])
            })
        );
        assert_eq!(some_rows(of(&[1], &[])).on(7, &number), None);
    }

    #[test]
    fn what_is_plain_has_nothing_but_columns() {
        assert_eq!(of(&[1, 2], &[3]).plain_columns(), Some(vec![1, 2]));
        assert_eq!(some_rows(of(&[1], &[])).plain_columns(), None);
        let mut descending = of(&[1], &[]);
        descending.keys[0].descends = true;
        assert_eq!(descending.plain_columns(), None);
        assert_eq!(some_rows(of(&[2, 1], &[3])).columns(), [1, 2, 3, 9]);
    }
}
