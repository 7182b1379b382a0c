//! Which indexes that are there could go: those that are twice there, that a longer one replaces, that two can be one of, and
//! those that nothing uses.

/// An index that is there, or one that is suggested.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct There {
    /// Its table, by the caller's own number.
    pub table: u32,
    /// Access method.
    pub method: String,
    /// Keys in order: each column or expression, and behind a space its operator class, collation and direction.
    pub keys: Vec<String>,
    /// Columns that are only stored.
    pub included: Vec<String>,
    /// What its rows meet.
    pub predicate: Option<String>,
    /// Column numbers of its keys; 0 for an expression.
    pub numbers: Vec<i16>,
    /// Equal keys are refused.
    pub is_unique: bool,
    /// Nothing but queries needs it: no constraint, no replica identity, no partitioned index.
    pub may_go: bool,
    /// It is suggested, and not there.
    pub is_suggested: bool,
    /// Times that it was read since its statistics began; negative where that is not counted.
    pub scans: i64,
    /// Bytes on disk.
    pub bytes: u64,
}

/// The referencing columns of a foreign key: without an index each change of a referenced row reads the whole table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ForeignKey {
    /// The referencing table.
    pub table: u32,
    /// Its columns.
    pub columns: Vec<i16>,
}

/// Why an index could go; others by their position.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Why {
    /// Another one is the same.
    Duplicate {
        /// Which.
        of: usize,
    },
    /// Another one begins with the same keys and stores as much.
    Covered {
        /// Which.
        by: usize,
    },
    /// One index could do what this one and another one do, which goes too.
    Merged {
        /// The other one; its keys are those of the new one.
        with: usize,
        /// What the new one stores beside its keys.
        included: Vec<String>,
    },
    /// It was never read.
    Unused,
}

/// An index that could go.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Superfluous {
    /// Which.
    pub index: usize,
    /// Why.
    pub why: Why,
}

impl Superfluous {
    /// Those that go with it.
    pub fn gone(&self) -> Vec<usize> {
        match self.why {
            Why::Merged { with, .. } => vec![self.index, with],
            _ => vec![self.index],
        }
    }
}

/// The indexes that could go, in the order in which they should be looked at: each one stands for itself, and what is looked
/// at later may assume that it is gone. `may_go` says of each of them, and of those that are gone by then, whether it really could.
///
/// What is the last help of a foreign key is never among them, nor what enforces a constraint that nothing else does.
pub fn superfluous(
    there: &[There],
    foreign_keys: &[ForeignKey],
    mut may_go: impl FnMut(&Superfluous, &[usize]) -> bool,
) -> Vec<Superfluous> {
    let mut gone: Vec<usize> = Vec::new();
    let mut found: Vec<Superfluous> = Vec::new();
    // What frees most first.
    let mut order: Vec<usize> = (0..there.len()).collect();
    order.sort_by_key(|index| (std::cmp::Reverse(there[*index].bytes), *index));
    let rules: [Rule; 4] = [duplicate, covered, merged, unused];
    for rule in rules {
        for &index in &order {
            if gone.contains(&index) || !there[index].may_go || there[index].is_suggested {
                continue;
            }
            let Some(why) = rule(there, &gone, index) else {
                continue;
            };
            let one = Superfluous { index, why };
            if is_needed(there, foreign_keys, &gone, &one) || !may_go(&one, &gone) {
                continue;
            }
            gone.extend(one.gone());
            found.push(one);
        }
    }
    found
}

/// Why the index at a position could go when those are gone.
type Rule = fn(there: &[There], gone: &[usize], index: usize) -> Option<Why>;

/// Positions of the others on the same table that are not gone.
fn others<'a>(
    there: &'a [There],
    gone: &'a [usize],
    index: usize,
) -> impl Iterator<Item = (usize, &'a There)> {
    let own = &there[index];
    there.iter().enumerate().filter(move |(position, other)| {
        *position != index
            && !gone.contains(position)
            && other.table == own.table
            && other.method == own.method
            && other.predicate == own.predicate
    })
}

fn duplicate(there: &[There], gone: &[usize], index: usize) -> Option<Why> {
    let own = &there[index];
    let same = others(there, gone, index).filter(|(_, other)| {
        other.keys == own.keys
            && other.included == own.included
            && !other.is_suggested
            && (other.is_unique || !own.is_unique)
    });
    // Which of two stays: what a constraint needs, what is unique, what takes less, what is read more, what was there first. The planner
    // reads the one that stays for what was read in the other.
    let rank = |index: usize, one: &There| {
        (
            !one.may_go,
            one.is_unique,
            std::cmp::Reverse(one.bytes),
            one.scans,
            std::cmp::Reverse(index),
        )
    };
    let (of, best) = same.max_by_key(|(position, other)| rank(*position, other))?;
    (rank(of, best) > rank(index, own)).then_some(Why::Duplicate { of })
}

/// Whether a column can be read from it.
fn stores(index: &There, column: &String) -> bool {
    let is_its = |key: &String| {
        let behind = key.strip_prefix(column.as_str());
        behind.is_some_and(|behind| behind.is_empty() || behind.starts_with(' '))
    };
    index.included.contains(column) || index.keys.iter().any(is_its)
}

fn stores_all_of(other: &There, own: &There) -> bool {
    own.included.iter().all(|column| stores(other, column))
}

fn covered(there: &[There], gone: &[usize], index: usize) -> Option<Why> {
    let own = &there[index];
    if own.method != "btree" || own.is_unique {
        return None;
    }
    let longer = others(there, gone, index).filter(|(_, other)| {
        let does_more =
            other.keys.len() > own.keys.len() || other.included.len() > own.included.len();
        does_more && other.keys.starts_with(&own.keys) && stores_all_of(other, own)
    });
    // The smallest one does it best.
    let (by, _) =
        longer.min_by_key(|(position, other)| (other.is_suggested, other.bytes, *position))?;
    Some(Why::Covered { by })
}

fn merged(there: &[There], gone: &[usize], index: usize) -> Option<Why> {
    let own = &there[index];
    if own.method != "btree" || own.is_unique {
        return None;
    }
    let (with, other) = others(there, gone, index).find(|(_, other)| {
        other.may_go && !other.is_suggested && !other.is_unique && other.keys.starts_with(&own.keys)
    })?;
    let mut included = other.included.clone();
    included.extend(
        own.included
            .iter()
            .filter(|column| !stores(other, column))
            .cloned(),
    );
    Some(Why::Merged { with, included })
}

fn unused(there: &[There], _: &[usize], index: usize) -> Option<Why> {
    let own = &there[index];
    (own.scans == 0 && !own.is_unique).then_some(Why::Unused)
}

/// Whether it is the only help of a foreign key that is left.
fn is_needed(
    there: &[There],
    foreign_keys: &[ForeignKey],
    gone: &[usize],
    one: &Superfluous,
) -> bool {
    let leaving = one.gone();
    let helps = |index: &There, key: &ForeignKey| {
        let leading = index.numbers.get(..key.columns.len());
        index.table == key.table
            && index.method == "btree"
            && index.predicate.is_none()
            && leading
                .is_some_and(|leading| key.columns.iter().all(|column| leading.contains(column)))
    };
    foreign_keys.iter().any(|key| {
        let helped = leaving.iter().any(|index| helps(&there[*index], key));
        let merged_helps = match one.why {
            Why::Merged { with, .. } => helps(&there[with], key),
            _ => false,
        };
        let left = there.iter().enumerate().any(|(position, other)| {
            !gone.contains(&position)
                && !leaving.contains(&position)
                && !other.is_suggested
                && helps(other, key)
        });
        helped && !merged_helps && !left
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn index(keys: &[&str], included: &[&str]) -> There {
        let owned = |texts: &[&str]| {
            texts
                .iter()
                .map(|text| (*text).to_owned())
                .collect::<Vec<_>>()
        };
        There {
            table: 1,
            method: "btree".to_owned(),
            keys: owned(keys),
            included: owned(included),
            predicate: None,
            numbers: (1..=keys.len() as i16).collect(),
            is_unique: false,
            may_go: true,
            is_suggested: false,
            scans: 7,
            bytes: 100,
        }
    }

    fn found(there: &[There], keys: &[ForeignKey]) -> Vec<Superfluous> {
        superfluous(there, keys, |_, _| true)
    }

    #[test]
    fn of_two_that_are_the_same_one_goes_and_never_the_one_that_is_needed() {
        let mut there = vec![index(&["a"], &[]), index(&["a"], &[])];
        there[1].scans = 9;
        let gone = |there: &[There]| -> Vec<usize> {
            found(there, &[]).iter().map(|one| one.index).collect()
        };
        assert_eq!(gone(&there), [0]);
        there[0].may_go = false;
        assert_eq!(gone(&there), [1]);
        there[0].may_go = true;
        there[0].is_unique = true;
        assert_eq!(gone(&there), [1]);
        // Another fill factor: what takes less stays, however often the other one is read, but not for a constraint's.
        let mut sizes = [index(&["a"], &[]), index(&["a"], &[]), index(&["a"], &[])];
        (sizes[0].bytes, sizes[0].scans) = (300, 99);
        (sizes[2].bytes, sizes[2].scans) = (200, 50);
        assert_eq!(gone(&sizes), [0, 2]);
        sizes[2].may_go = false;
        assert_eq!(gone(&sizes), [0, 1]);
        // Unique ones enforce something.
        there[1].predicate = Some("b".to_owned());
        assert!(gone(&there).is_empty());
    }

    #[test]
    fn the_beginning_of_a_longer_one_goes() {
        let there = [
            index(&["a"], &[]),
            index(&["a", "b"], &[]),
            index(&["b"], &[]),
        ];
        assert_eq!(
            found(&there, &[]),
            [Superfluous {
                index: 0,
                why: Why::Covered { by: 1 }
            }]
        );
        let mut unique = there.clone();
        unique[0].is_unique = true;
        assert!(found(&unique, &[]).is_empty());
        // In another order it is another one.
        let other = [
            index(&["a 1 0 3"], &[]),
            index(&["a 1 0 0", "b 1 0 0"], &[]),
        ];
        assert!(found(&other, &[]).is_empty());
    }

    #[test]
    fn what_two_store_apart_one_can_store() {
        let there = [index(&["a"], &["c"]), index(&["a", "b"], &["d"])];
        let merged = Why::Merged {
            with: 1,
            included: vec!["d".to_owned(), "c".to_owned()],
        };
        assert_eq!(
            found(&there, &[]),
            [Superfluous {
                index: 0,
                why: merged
            }]
        );
        let mut kept = there;
        kept[1].may_go = false;
        assert!(found(&kept, &[]).is_empty());
    }

    #[test]
    fn the_last_help_of_a_foreign_key_stays() {
        let mut there = vec![index(&["a"], &[])];
        there[0].scans = 0;
        let key = ForeignKey {
            table: 1,
            columns: vec![1],
        };
        assert_eq!(found(&there, &[]).len(), 1);
        assert!(found(&there, std::slice::from_ref(&key)).is_empty());
        // A longer one helps it as well.
        there.push(index(&["a", "b"], &[]));
        let left = found(&there, &[key]);
        assert_eq!(
            left,
            [Superfluous {
                index: 0,
                why: Why::Covered { by: 1 }
            }]
        );
    }

    #[test]
    fn each_is_looked_at_as_if_those_before_it_were_gone() {
        let there = [index(&["a"], &[]), index(&["a"], &[]), index(&["a"], &[])];
        assert_eq!(found(&there, &[]).len(), 2);
        let mut asked = Vec::new();
        superfluous(&there, &[], |one, gone| {
            asked.push((one.index, gone.to_vec()));
            true
        });
        assert_eq!(asked[1].1, [asked[0].0]);
        // What may not go stays.
        assert!(superfluous(&there, &[], |_, _| false).is_empty());
    }
}
