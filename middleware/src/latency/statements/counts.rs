//! The statements of one request, and their sums over a route.

use super::registry::Id;

/// Statements that one request keeps apart. One that comes after takes the row of one that ran once, so what is repeated is kept.
pub(crate) const MAX_STATEMENTS_A_REQUEST: usize = 16;
/// Repeated statements that are kept apart for each route.
pub(crate) const MAX_REPEATS_A_ROUTE: usize = 8;

/// How often a request ran one statement.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Count {
    pub(crate) id: Id,
    pub(crate) executions: u32,
    /// Executions after the first whose parameters were those of the first.
    pub(crate) same: u32,
    /// Executions after the first whose parameters were not told.
    pub(crate) untold: u32,
    pub(crate) nanos: u64,
    first: Option<u64>,
}

/// How often a request ran which statements.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Counts {
    rows: [Count; MAX_STATEMENTS_A_REQUEST],
    used: u8,
    /// The row that is given up next.
    next: u8,
    /// All, also those that have no row.
    pub(crate) executions: u32,
    /// Executions that no row tells of.
    pub(crate) untracked: u32,
}

impl Counts {
    /// Counts one execution. `parameters` is a hash of them, `None` where nobody told them.
    pub(crate) fn executed(&mut self, id: Id, parameters: Option<u64>) {
        self.executions = self.executions.saturating_add(1);
        let known = self.rows[..usize::from(self.used)]
            .iter_mut()
            .find(|row| row.id == id);
        if let Some(row) = known {
            row.executions = row.executions.saturating_add(1);
            match parameters {
                None => row.untold += 1,
                Some(_) if parameters == row.first => row.same += 1,
                Some(_) => {}
            }
            return;
        }
        let Some(at) = self.free_row() else {
            self.untracked = self.untracked.saturating_add(1);
            return;
        };
        self.untracked = self.untracked.saturating_add(self.rows[at].executions);
        self.rows[at] = Count {
            id,
            executions: 1,
            first: parameters,
            ..Count::default()
        };
    }

    /// An execution that was not of rows: it is counted, and no more.
    pub(crate) fn executed_otherwise(&mut self) {
        self.executions = self.executions.saturating_add(1);
    }

    /// How long an execution took.
    pub(crate) fn took(&mut self, id: Id, nanos: u64) {
        let used = usize::from(self.used);
        if let Some(row) = self.rows[..used].iter_mut().find(|row| row.id == id) {
            row.nanos = row.nanos.saturating_add(nanos);
        }
    }

    pub(crate) fn rows(&self) -> &[Count] {
        &self.rows[..usize::from(self.used)]
    }

    fn free_row(&mut self) -> Option<usize> {
        if usize::from(self.used) < MAX_STATEMENTS_A_REQUEST {
            self.used += 1;
            return Some(usize::from(self.used) - 1);
        }
        for _ in 0..MAX_STATEMENTS_A_REQUEST {
            let at = usize::from(self.next);
            self.next = (self.next + 1) % MAX_STATEMENTS_A_REQUEST as u8;
            if self.rows[at].executions == 1 {
                return Some(at);
            }
        }
        None
    }
}

/// A statement that requests of a route ran often.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Repeat {
    pub(crate) id: Id,
    /// Requests that did.
    pub(crate) requests: u64,
    pub(crate) executions: u64,
    /// The most of one request.
    pub(crate) max: u32,
    /// Executions with the parameters of the request's first.
    pub(crate) same: u64,
    pub(crate) untold: u64,
    /// What they took, one after the other or at once.
    pub(crate) nanos: u64,
}

/// The sums of a route's statements.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct StatementSums {
    pub(crate) executions: u64,
    /// The most of one request.
    pub(crate) max: u64,
    pub(crate) repeats: Vec<Repeat>,
    /// Repeated statements that found no room.
    pub(crate) dropped: u64,
}

impl StatementSums {
    /// Counts one request; what it ran `times` or more is repeated.
    pub(crate) fn count(&mut self, counts: &Counts, times: u32) {
        self.executions += u64::from(counts.executions);
        self.max = self.max.max(u64::from(counts.executions));
        for row in counts.rows().iter().filter(|row| row.executions >= times) {
            self.add_repeat(&Repeat {
                id: row.id,
                requests: 1,
                executions: u64::from(row.executions),
                max: row.executions,
                same: u64::from(row.same),
                untold: u64::from(row.untold),
                nanos: row.nanos,
            });
        }
    }

    pub(crate) fn add(&mut self, other: &Self) {
        self.executions += other.executions;
        self.max = self.max.max(other.max);
        self.dropped += other.dropped;
        for repeat in &other.repeats {
            self.add_repeat(repeat);
        }
    }

    /// Bytes that it takes beyond itself.
    pub(crate) fn bytes(&self) -> usize {
        self.repeats.capacity() * size_of::<Repeat>()
    }

    pub(crate) fn clear(&mut self) {
        self.repeats.clear();
        (self.executions, self.max, self.dropped) = (0, 0, 0);
    }

    fn add_repeat(&mut self, more: &Repeat) {
        let known = self.repeats.iter().position(|known| known.id == more.id);
        match known {
            Some(at) => {
                let known = &mut self.repeats[at];
                known.requests += more.requests;
                known.executions += more.executions;
                known.max = known.max.max(more.max);
                known.same += more.same;
                known.untold += more.untold;
                known.nanos = known.nanos.saturating_add(more.nanos);
            }
            None if self.repeats.len() < MAX_REPEATS_A_ROUTE => self.repeats.push(*more),
            None => self.dropped += more.requests,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::latency::statements::Statements;

    #[test]
    fn what_is_repeated_is_kept_also_after_many_that_are_not() {
        let statements = Statements::default();
        let id = |table: usize| statements.id(&format!("select * from t{table}"));
        let mut counts = Counts::default();
        for table in 0..40 {
            counts.executed(id(table), None);
        }
        for parameters in 0..6 {
            counts.executed(id(99), Some(parameters));
        }
        for _ in 0..5 {
            counts.executed(id(98), Some(7));
        }
        for table in 40..80 {
            counts.executed(id(table), None);
        }
        counts.took(id(99), 11);
        assert_eq!(counts.executions, 91);
        let row = |wanted: Id| *counts.rows().iter().find(|row| row.id == wanted).unwrap();
        assert_eq!(
            (row(id(99)).executions, row(id(99)).same, row(id(99)).nanos),
            (6, 0, 11)
        );
        assert_eq!((row(id(98)).executions, row(id(98)).same), (5, 4));
        let in_rows: u32 = counts.rows().iter().map(|row| row.executions).sum();
        assert_eq!(in_rows + counts.untracked, counts.executions);

        let mut sums = StatementSums::default();
        sums.count(&counts, 5);
        sums.count(&counts, 5);
        assert_eq!((sums.executions, sums.max), (182, 91));
        assert_eq!(sums.repeats.len(), 2);
        let repeat = sums
            .repeats
            .iter()
            .find(|repeat| repeat.id == id(99))
            .unwrap();
        assert_eq!((repeat.requests, repeat.executions, repeat.max), (2, 12, 6));
    }
}
