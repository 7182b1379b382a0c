//! Which keys are never asked for together: they stand in different arms of an OR, and each row is found by one of them. The server
//! puts what indexes on each find into one bitmap; one index on both would find rows of one arm alone.

use pg_pitcrew_advisor::Of;

/// Places of keys that are kept for an occurrence of a table. Of more nothing is told apart.
const MAX_PLACES: usize = 64;

/// The arms of OR around a condition, the outermost first: which OR, and which of its arms.
#[derive(Debug, Clone, Default)]
pub(super) struct Path {
    around: Vec<(usize, usize)>,
    /// How many there were so far.
    seen: usize,
}

impl Path {
    /// Into the first arm of another OR.
    pub(super) fn enter(&mut self) {
        self.around.push((self.seen, 0));
        self.seen += 1;
    }

    /// To its next arm.
    pub(super) fn next(&mut self) {
        if let Some((_, arm)) = self.around.last_mut() {
            *arm += 1;
        }
    }

    pub(super) fn leave(&mut self) {
        self.around.pop();
    }
}

/// Where the keys of an occurrence stand.
#[derive(Debug, Clone, Default)]
pub(super) struct Arms {
    places: Vec<(Of, Vec<(usize, usize)>)>,
    has_more: bool,
}

impl Arms {
    pub(super) fn note(&mut self, key: &Of, path: &Path) {
        let is_known = |(of, around): &(Of, Vec<_>)| of == key && *around == path.around;
        if self.places.iter().any(is_known) {
            return;
        }
        if self.places.len() >= MAX_PLACES {
            self.has_more = true;
            return;
        }
        self.places.push((key.clone(), path.around.clone()));
    }

    /// Pairs of keys of which no condition has both.
    pub(super) fn apart(&self) -> Vec<(Of, Of)> {
        if self.has_more {
            return Vec::new();
        }
        let mut keys: Vec<&Of> = self.places.iter().map(|(of, _)| of).collect();
        keys.sort_unstable();
        keys.dedup();
        let mut found = Vec::new();
        for (position, first) in keys.iter().enumerate() {
            for second in &keys[position + 1..] {
                if !self.meet(first, second) {
                    found.push(((*first).clone(), (*second).clone()));
                }
            }
        }
        found
    }

    /// Whether two keys stand somewhere where a row has to meet both.
    fn meet(&self, first: &Of, second: &Of) -> bool {
        let mut one = self.places.iter().filter(|(of, _)| of == first);
        one.any(|(_, one)| {
            let mut other = self.places.iter().filter(|(of, _)| of == second);
            other.any(|(_, other)| {
                let mut both = one.iter().zip(other);
                both.all(|((or, arm), (other_or, other_arm))| or != other_or || arm == other_arm)
            })
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arms_of_one_or_are_apart_and_what_stands_beside_it_is_not() {
        let (mut arms, mut path) = (Arms::default(), Path::default());
        // (1 OR (2 AND (3 OR 4))) AND 5 AND (6 OR 1)
        path.enter();
        arms.note(&Of::Column(1), &path);
        path.next();
        arms.note(&Of::Column(2), &path);
        path.enter();
        arms.note(&Of::Column(3), &path);
        path.next();
        arms.note(&Of::Column(4), &path);
        path.leave();
        path.leave();
        arms.note(&Of::Column(5), &path);
        path.enter();
        arms.note(&Of::Column(6), &path);
        path.next();
        arms.note(&Of::Column(1), &path);
        // What is 1 in one OR may be anything of the other one.
        assert_eq!(arms.apart(), [(Of::Column(3), Of::Column(4))]);
    }

    #[test]
    fn of_too_many_nothing_is_told_apart() {
        let (mut arms, mut path) = (Arms::default(), Path::default());
        path.enter();
        for column in 0..=MAX_PLACES {
            arms.note(&Of::Column(column as i16), &path);
            path.next();
        }
        assert_eq!(arms.apart(), []);
    }
}
