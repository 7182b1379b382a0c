//! Which plans statements were seen to run with, and how long they took then.

use crate::{Key, Outline};

/// Plans that are known in one set: of its statements, two each on average.
pub(crate) const PLANS: usize = 16;

/// One plan of one statement. All zero: nobody's.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(C)]
pub struct SeenPlan {
    /// Whose.
    pub key: Key,
    /// The plan.
    pub outline: Outline,
    /// Executions that were looked at; 0 where the place is free.
    pub executions: u64,
    /// Nanoseconds of all of them.
    pub ns: u64,
    /// Of the shortest.
    pub min_ns: u64,
    /// Of the longest.
    pub max_ns: u64,
    /// When the first of them began, in microseconds of the server's epoch.
    pub first_at: i64,
    /// When the last one did.
    pub last_at: i64,
}

/// The plans of a set's statements. All zero: none.
#[derive(Debug)]
#[repr(C)]
pub(crate) struct Plans([SeenPlan; PLANS]);

impl Plans {
    /// Adds an execution. Answers whether another plan that is younger than an hour had to go for it.
    pub(crate) fn see(&mut self, key: &Key, outline: &Outline, ns: u64, at: i64) -> bool {
        /// In microseconds.
        const HOUR: i64 = 3_600_000_000;
        let is_same = |plan: &SeenPlan| {
            plan.executions > 0 && plan.key == *key && plan.outline.shape == outline.shape
        };
        if let Some(plan) = self.0.iter_mut().find(|plan| is_same(plan)) {
            plan.executions += 1;
            plan.ns = plan.ns.saturating_add(ns);
            plan.min_ns = plan.min_ns.min(ns);
            plan.max_ns = plan.max_ns.max(ns);
            plan.last_at = plan.last_at.max(at);
            return false;
        }
        // A free place, else the one that was not seen for longest.
        let age = |plan: &&mut SeenPlan| (plan.executions > 0, plan.last_at);
        let Some(place) = self.0.iter_mut().min_by_key(age) else {
            return false;
        };
        let is_displaced = place.executions > 0 && at.saturating_sub(place.last_at) < HOUR;
        *place = SeenPlan {
            key: *key,
            outline: *outline,
            executions: 1,
            ns,
            min_ns: ns,
            max_ns: ns,
            first_at: at,
            last_at: at,
        };
        is_displaced
    }

    pub(crate) fn seen(&self) -> impl Iterator<Item = &SeenPlan> {
        self.0.iter().filter(|plan| plan.executions > 0)
    }

    pub(crate) fn forget(&mut self, wanted: impl Fn(&Key) -> bool) {
        for plan in self.0.iter_mut().filter(|plan| wanted(&plan.key)) {
            *plan = SeenPlan::default();
        }
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    pub(crate) fn none() -> Plans {
        Plans([SeenPlan::default(); PLANS])
    }

    #[test]
    fn plans_are_told_apart_and_the_oldest_makes_room() {
        let mut plans = none();
        let key = |query| Key {
            query,
            ..Key::default()
        };
        let plan = Outline::of_shape;
        assert!(!plans.see(&key(1), &plan(3), 10, 5));
        assert!(!plans.see(&key(1), &plan(3), 30, 7));
        assert!(!plans.see(&key(1), &plan(5), 400, 9));
        let first = plans.seen().next().unwrap();
        assert_eq!(
            (
                first.executions,
                first.ns,
                first.min_ns,
                first.max_ns,
                first.first_at,
                first.last_at
            ),
            (2, 40, 10, 30, 5, 7)
        );
        for query in 2..16 {
            assert!(!plans.see(&key(query), &plan(3), 1, 10));
        }
        // Full: what was not seen for longest goes, and is counted where it was still of use.
        assert!(plans.see(&key(100), &plan(3), 1, 11));
        assert!(plans.seen().all(|plan| plan.last_at > 7));
        assert!(!plans.see(&key(101), &plan(3), 1, 4_000_000_000));
        plans.forget(|key| key.query < 100);
        assert_eq!(plans.seen().count(), 2);
    }
}
