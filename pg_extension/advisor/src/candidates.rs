//! Which indexes could help a statement, from how it uses the columns of one table.

/// A B-tree on one table: column numbers in index order.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Candidate {
    /// The table, by the caller's own number.
    pub table: u32,
    /// One or two column numbers.
    pub columns: Vec<i16>,
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
}

/// Columns of a kind that are paired; a statement with more still gets its single-column candidates.
const MAX_PAIRED: usize = 8;

/// One- and two-column candidates for one occurrence of a table, without duplicates, in a stable order.
///
/// An equality column always comes before a range or an order column: behind a range the second column narrows nothing.
pub fn candidates(table: u32, used: &Columns) -> Vec<Candidate> {
    let mut found = Vec::new();
    let mut add = |columns: &[i16]| {
        let has_duplicate = columns.len() == 2 && columns[0] == columns[1];
        let candidate = Candidate {
            table,
            columns: columns.to_vec(),
        };
        if !has_duplicate && !found.contains(&candidate) {
            found.push(candidate);
        }
    };
    let leading = used.ordered.iter().filter_map(|list| list.first());
    for &column in used.equal.iter().chain(&used.range).chain(leading) {
        add(&[column]);
    }
    for &first in used.equal.iter().take(MAX_PAIRED) {
        for &second in used.equal.iter().take(MAX_PAIRED) {
            add(&[first, second]);
        }
        for &second in used.range.iter().take(MAX_PAIRED) {
            add(&[first, second]);
        }
        for list in used.ordered.iter().take(MAX_PAIRED) {
            // What is equal to one value is in order already.
            if let Some(&second) = list.iter().find(|column| **column != first) {
                add(&[first, second]);
            }
        }
    }
    for list in &used.ordered {
        if let [first, second, ..] = list.as_slice() {
            add(&[*first, *second]);
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
    fn an_index_covers_its_prefixes_only() {
        assert!(is_covered(&[1], &[1, 2]));
        assert!(is_covered(&[1, 2], &[1, 2]));
        assert!(!is_covered(&[2], &[1, 2]));
        assert!(!is_covered(&[1, 2], &[1]));
    }
}
