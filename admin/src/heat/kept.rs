//! The map of heat beyond the process: columns by the names of their routes, since numbers are each process's own.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::{COLUMN_S, COLUMNS, Column, Counts, Heat, ROUTES, STEPS};

/// A column as it is kept.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct KeptColumn {
    /// When it began, in seconds since 1970: the row's id.
    #[serde(skip)]
    pub(crate) unix_s: i64,
    whole: Counts,
    /// Step and requests, by route.
    routes: BTreeMap<String, Vec<(u8, u32)>>,
}

impl Heat {
    /// So many columns are kept.
    pub(crate) const KEPT: usize = COLUMNS;

    /// Columns that have ended and began after that moment, the oldest first.
    pub(crate) fn closed_after(&self, unix_s: i64) -> Vec<KeptColumn> {
        let state = self.state();
        let new = |column: &&Column| column.unix_s > unix_s;
        if !state.columns.back().as_ref().is_some_and(new) {
            return Vec::new();
        }
        let numbered = state.routes.iter();
        let names: BTreeMap<u16, &str> = numbered
            .map(|(name, (number, _))| (*number, name.as_str()))
            .collect();
        let columns = state.columns.iter().filter(new);
        let kept = columns.map(|column| {
            let mut routes: BTreeMap<String, Vec<(u8, u32)>> = BTreeMap::new();
            for (number, step, count) in &column.cells {
                if let Some(name) = names.get(number) {
                    let cells = routes.entry((*name).to_owned()).or_default();
                    cells.push((*step, *count));
                }
            }
            KeptColumn {
                unix_s: column.unix_s,
                whole: column.whole,
                routes,
            }
        });
        kept.collect()
    }

    /// Puts columns of an earlier process, the oldest first, before those of this one, as far as there is room. What cannot be one of
    /// ours is left out: somebody else may have written it.
    pub(crate) fn go_on(&self, kept: Vec<KeptColumn>, now: i64) {
        let mut state = self.state();
        let state = &mut *state;
        let first = state.columns.front().map_or(now, |column| column.unix_s);
        let wanted = first.min(now) - COLUMN_S * COLUMNS as i64..first;
        let mut earlier = Vec::new();
        for column in kept {
            let follows = earlier
                .last()
                .is_none_or(|last: &Column| last.unix_s < column.unix_s);
            if !follows || !wanted.contains(&column.unix_s) {
                continue;
            }
            let mut cells = Vec::new();
            for (route, steps) in column.routes {
                let known = state.routes.len();
                let number = match state.routes.get(&route) {
                    Some((number, _)) => *number,
                    None if known < ROUTES => {
                        // Below the bound, which a number of 16 bits holds.
                        let number = known as u16;
                        state.routes.insert(route, (number, [0; STEPS]));
                        number
                    }
                    None => {
                        state.dropped += steps.len() as u64;
                        continue;
                    }
                };
                let steps = steps.into_iter();
                let steps = steps.filter(|(step, _)| usize::from(*step) < STEPS);
                cells.extend(steps.map(|(step, count)| (number, step, count)));
            }
            cells.sort_unstable();
            earlier.push(Column {
                unix_s: column.unix_s,
                whole: column.whole,
                cells,
            });
        }
        for column in earlier.into_iter().rev() {
            state.cells += column.cells.len();
            state.columns.push_front(column);
        }
        state.shorten();
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use super::super::tests::{met, of};
    use super::*;

    fn written(columns: Vec<KeptColumn>) -> Vec<KeptColumn> {
        let read = columns.into_iter().map(|column| {
            let text = serde_json::to_string(&column).expect("JSON");
            let read: KeptColumn = serde_json::from_str(&text).expect("a column");
            KeptColumn {
                unix_s: column.unix_s,
                ..read
            }
        });
        read.collect()
    }

    #[test]
    fn the_next_process_has_the_columns_of_the_one_before_by_the_names_of_routes() {
        let before = Heat::default();
        before.close(0, HashMap::from([("/a", of(&[1.5])), ("/b", of(&[40.0]))]));
        before.close(60, HashMap::from([("/a", of(&[1.5, 3.0]))]));
        assert_eq!(before.closed_after(60), []);
        let kept = before.closed_after(i64::MIN);
        assert_eq!(written(kept.clone()), kept);

        let heat = Heat::default();
        heat.close(120, HashMap::from([("/b", of(&[40.0]))]));
        heat.go_on(kept, 180);
        heat.close(180, HashMap::from([("/b", of(&[40.0, 40.0]))]));
        let told = |route| {
            let columns = heat.closed(route, i64::MIN).columns.into_iter();
            columns
                .map(|(at, counts)| (at, met(&counts)))
                .collect::<Vec<_>>()
        };
        assert_eq!(
            told(Some("/b")),
            [
                (0, vec![(8, 1)]),
                (60, vec![]),
                (120, vec![(8, 1)]),
                (180, vec![(8, 1)])
            ]
        );
        assert_eq!(told(Some("/a"))[1], (60, vec![(5, 1)]));
        assert_eq!(told(None)[0], (0, vec![(4, 1), (8, 1)]));
        let after: Vec<_> = heat.closed_after(60).iter().map(|one| one.unix_s).collect();
        assert_eq!(after, [120, 180]);
    }

    #[test]
    fn kept_columns_have_the_bounds_of_others_and_what_somebody_spoilt_is_left_out() {
        let column = |unix_s, step| KeptColumn {
            unix_s,
            whole: [1; STEPS],
            routes: BTreeMap::from([("/a".to_owned(), vec![(step, 1)])]),
        };
        let heat = Heat::default();
        let now = 100_000 * COLUMN_S;
        let many = (0..400).map(|minute| column(now - (400 - minute) * COLUMN_S, 3));
        heat.go_on(many.collect(), now);
        assert_eq!(heat.closed(None, i64::MIN).columns.len(), COLUMNS);

        let heat = Heat::default();
        let odd = [
            column(i64::MIN, 3),
            column(now - 2 * COLUMN_S, 255),
            column(now - 2 * COLUMN_S, 3),
            column(now + COLUMN_S, 3),
            column(i64::MAX, 3),
        ];
        heat.go_on(odd.into(), now);
        let told = heat.closed(Some("/a"), i64::MIN).columns;
        assert_eq!(told.len(), 1);
        assert_eq!(met(&told[0].1), []);
    }
}
