//! Which indexes could help a statement, from how it uses the columns of one table.

/// A B-tree on one table: column numbers in index order.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Candidate {
    /// The table, by the caller's own number.
    pub table: u32,
    /// One to three key columns.
    pub columns: Vec<i16>,
    /// Columns that are only stored (`INCLUDE`), ascending: with them the statement needs no look at the table.
    pub included: Vec<i16>,
}

impl Candidate {
    /// Whether `self` does less than `other` on the same table, and takes fewer bytes for it: the first of its key
    /// columns, or its key columns without all that is stored beside them.
    pub fn is_narrower_than(&self, other: &Self) -> bool {
        let stores_no_more = self
            .included
            .iter()
            .all(|column| other.included.contains(column) || other.columns.contains(column));
        self != other
            && self.table == other.table
            && other.columns.starts_with(&self.columns)
            && stores_no_more
    }
}

/// How one occurrence of a table in a statement uses its columns.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Columns {
    /// Compared with `=`, `IN` or `IS NULL`, or joined on.
    pub equal: Vec<i16>,
    /// Compared with `<`, `<=`, `>`, `>=` or `BETWEEN`.
    pub range: Vec<i16>,
    /// Leading columns that the result is ordered, grouped or made distinct by; several lists when a statement has
    /// several levels.
    pub ordered: Vec<Vec<i16>>,
    /// All columns that are read.
    pub read: Vec<i16>,
    /// Read as a whole row, or by a system column: no index has it all.
    pub is_read_whole: bool,
}

impl Columns {
    /// Whether an index that stores these columns answers all of it.
    pub fn is_covered_by(&self, stored: &[i16]) -> bool {
        !self.is_read_whole
            && !self.read.is_empty()
            && self.read.iter().all(|column| stored.contains(column))
    }
}

/// Columns of a kind that are combined; a statement with more still gets its single-column candidates.
const MAX_COMBINED: usize = 8;
/// Columns of a covering index; wider ones are tables of their own.
const MAX_COVERED: usize = 8;

/// Candidates for one occurrence of a table, without duplicates, in a stable order: those with fewer columns first.
///
/// An equality column always comes before a range or an order column: behind a range the second column narrows nothing.
pub fn candidates(table: u32, used: &Columns) -> Vec<Candidate> {
    let mut found = Vec::new();
    for columns in keys(used) {
        add(&mut found, table, columns, Vec::new());
    }
    if used.is_read_whole || used.read.len() > MAX_COVERED {
        return found;
    }
    for candidate in found.clone() {
        let mut included = used.read.clone();
        included.retain(|column| !candidate.columns.contains(column));
        included.sort_unstable();
        if !included.is_empty() {
            add(&mut found, table, candidate.columns, included);
        }
    }
    found
}

fn add(found: &mut Vec<Candidate>, table: u32, columns: Vec<i16>, included: Vec<i16>) {
    let candidate = Candidate {
        table,
        columns,
        included,
    };
    if !found.contains(&candidate) {
        found.push(candidate);
    }
}

/// Lists of key columns, the shorter ones first.
fn keys(used: &Columns) -> Vec<Vec<i16>> {
    let mut found: Vec<Vec<i16>> = Vec::new();
    let mut put = |columns: &[i16]| {
        let is_repeated = (1..columns.len()).any(|end| columns[..end].contains(&columns[end]));
        if !is_repeated && !found.iter().any(|known| known == columns) {
            found.push(columns.to_vec());
        }
    };
    let few = |columns: &[i16]| columns[..columns.len().min(MAX_COMBINED)].to_vec();
    let (equal, range) = (few(&used.equal), few(&used.range));
    let leading = used.ordered.iter().filter_map(|list| list.first());
    for &column in used.equal.iter().chain(&used.range).chain(leading) {
        put(&[column]);
    }
    for &first in &equal {
        for &second in &equal {
            put(&[first, second]);
        }
        for &second in &range {
            put(&[first, second]);
        }
        for list in used.ordered.iter().take(MAX_COMBINED) {
            // What is equal to one value is in order already.
            if let Some(&second) = list.iter().find(|column| **column != first) {
                put(&[first, second]);
            }
        }
    }
    for list in &used.ordered {
        put(&list[..list.len().min(2)]);
    }
    // In one order only: which of two equalities comes first matters where another statement has one of them alone, and
    // that one brings its own candidate.
    for (position, &first) in equal.iter().enumerate() {
        for &second in &equal[position + 1..] {
            for &third in equal[position + 1..].iter().chain(&range) {
                put(&[first, second, third]);
            }
        }
    }
    for list in &used.ordered {
        put(&list[..list.len().min(3)]);
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

    fn columns(found: &[Candidate]) -> Vec<Vec<i16>> {
        found
            .iter()
            .map(|candidate| candidate.columns.clone())
            .collect()
    }

    #[test]
    fn equality_comes_before_range_and_order() {
        let used = Columns {
            equal: vec![1],
            range: vec![2],
            ordered: vec![vec![3, 4]],
            ..Columns::default()
        };
        let found = columns(&candidates(7, &used));
        assert_eq!(
            found,
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
    fn two_equalities_are_tried_both_ways() {
        let used = Columns {
            equal: vec![1, 2],
            ..Columns::default()
        };
        assert_eq!(
            columns(&candidates(7, &used)),
            [vec![1], vec![2], vec![1, 2], vec![2, 1]]
        );
    }

    #[test]
    fn what_is_read_is_stored_beside_the_keys() {
        let used = Columns {
            equal: vec![1],
            range: vec![2],
            read: vec![5, 1, 2],
            ..Columns::default()
        };
        let found = candidates(7, &used);
        let stored: Vec<(Vec<i16>, Vec<i16>)> = found
            .iter()
            .filter(|candidate| !candidate.included.is_empty())
            .map(|candidate| (candidate.columns.clone(), candidate.included.clone()))
            .collect();
        assert_eq!(
            stored,
            [
                (vec![1], vec![2, 5]),
                (vec![2], vec![1, 5]),
                (vec![1, 2], vec![5])
            ]
        );
        assert!(used.is_covered_by(&[1, 2, 5]) && !used.is_covered_by(&[1, 2]));
        let whole = Columns {
            is_read_whole: true,
            ..used
        };
        assert!(
            candidates(7, &whole)
                .iter()
                .all(|candidate| candidate.included.is_empty())
        );
        assert!(!whole.is_covered_by(&[1, 2, 5]));
    }

    #[test]
    fn narrower_is_a_prefix_that_stores_no_more() {
        let of = |columns: &[i16], included: &[i16]| Candidate {
            table: 1,
            columns: columns.to_vec(),
            included: included.to_vec(),
        };
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
    fn an_index_covers_its_prefixes_only() {
        assert!(is_covered(&[1], &[1, 2]));
        assert!(is_covered(&[1, 2], &[1, 2]));
        assert!(!is_covered(&[2], &[1, 2]));
        assert!(!is_covered(&[1, 2], &[1]));
    }
}
