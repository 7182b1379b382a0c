//! An index that could be built.

use std::rc::Rc;

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

impl Key {
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

    /// Whether another one answers the same look-ups: its keys begin with all of this one's, in whatever directions, over the same rows.
    pub fn is_alike(&self, other: &Self) -> bool {
        let begins = || {
            let mut pairs = self.keys.iter().zip(&other.keys);
            pairs.all(|(own, theirs)| own.of == theirs.of && own.class == theirs.class)
        };
        self != other
            && self.table == other.table
            && self.method == Method::Btree
            && other.method == Method::Btree
            && self.predicate == other.predicate
            && self.keys.len() <= other.keys.len()
            && begins()
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
            assert!(of(&[1, 2], &[]).is_alike(&other), "{other:?}");
            assert!(of(&[1], &[9]).is_alike(&other), "{other:?}");
        }
        for other in [
            of(&[1], &[2]),
            of(&[2, 1], &[]),
            of(&[1, 2], &[]),
            some_rows(of(&[1, 2], &[3])),
        ] {
            assert!(!of(&[1, 2], &[]).is_alike(&other), "{other:?}");
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
    fn what_is_plain_has_nothing_but_columns() {
        assert_eq!(of(&[1, 2], &[3]).plain_columns(), Some(vec![1, 2]));
        assert_eq!(some_rows(of(&[1], &[])).plain_columns(), None);
        let mut descending = of(&[1], &[]);
        descending.keys[0].descends = true;
        assert_eq!(descending.plain_columns(), None);
        assert_eq!(some_rows(of(&[2, 1], &[3])).columns(), [1, 2, 3, 9]);
    }
}
