//! A few slots that a statement may lie in: small enough to be looked through, and locked as one.

use std::sync::atomic::{AtomicU64, Ordering};

use crate::plans::Plans;
use crate::slot::Slot;
use crate::{Blocks, Captured, Ended, Kept, Key, Measured, Outline, Record, SeenPlan};

/// Slots of a set, and statements that are counted in it.
pub const WAYS: usize = 8;

/// Counts of one statement. All zero: nobody's.
#[derive(Debug, Default)]
#[repr(C)]
struct Count {
    key: Key,
    is_used: bool,
    /// Some execution of it is in a slot here.
    has_text: bool,
    /// Calls that no longer speak for it: half of those that did, each time that another statement needed room here.
    forgiven: u64,
    calls: AtomicU64,
    failed: AtomicU64,
    cancelled: AtomicU64,
    ns: AtomicU64,
    max_ns: AtomicU64,
    rows: AtomicU64,
    hit: AtomicU64,
    read: AtomicU64,
    dirtied: AtomicU64,
    written: AtomicU64,
    temp_read: AtomicU64,
    temp_written: AtomicU64,
}

/// Counts of one statement, read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Total {
    /// Whose.
    pub key: Key,
    /// Executions that ended, however.
    pub calls: u64,
    /// Of them, with an error.
    pub failed: u64,
    /// Of them, cancelled.
    pub cancelled: u64,
    /// Nanoseconds of all together.
    pub ns: u64,
    /// Of the longest.
    pub max_ns: u64,
    /// Rows.
    pub rows: u64,
    /// Blocks.
    pub blocks: Blocks,
}

fn add(place: &AtomicU64, number: u64) {
    if number != 0 {
        place.fetch_add(number, Ordering::Relaxed);
    }
}

impl Count {
    fn add(&self, measured: &Measured) {
        add(&self.calls, 1);
        match measured.ended {
            Ended::Ok => {}
            Ended::Failed => add(&self.failed, 1),
            Ended::Cancelled => add(&self.cancelled, 1),
        }
        add(&self.ns, measured.ns);
        if measured.ns > self.max_ns.load(Ordering::Relaxed) {
            self.max_ns.fetch_max(measured.ns, Ordering::Relaxed);
        }
        add(&self.rows, measured.rows);
        let Blocks {
            hit,
            read,
            dirtied,
            written,
            temp_read,
            temp_written,
        } = measured.blocks;
        add(&self.hit, hit);
        add(&self.read, read);
        add(&self.dirtied, dirtied);
        add(&self.written, written);
        add(&self.temp_read, temp_read);
        add(&self.temp_written, temp_written);
    }

    /// How much it is used.
    fn usage(&self) -> u64 {
        let calls = self.calls.load(Ordering::Relaxed);
        calls.saturating_sub(self.forgiven)
    }

    fn total(&self) -> Total {
        let of = |place: &AtomicU64| place.load(Ordering::Relaxed);
        Total {
            key: self.key,
            calls: of(&self.calls),
            failed: of(&self.failed),
            cancelled: of(&self.cancelled),
            ns: of(&self.ns),
            max_ns: of(&self.max_ns),
            rows: of(&self.rows),
            blocks: Blocks {
                hit: of(&self.hit),
                read: of(&self.read),
                dirtied: of(&self.dirtied),
                written: of(&self.written),
                temp_read: of(&self.temp_read),
                temp_written: of(&self.temp_written),
            },
        }
    }
}

/// Whether the statement has a text in its set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Counted {
    /// It has.
    WithText,
    /// It has not.
    WithoutText,
}

/// A few slots and counts. All zero: empty.
#[repr(C)]
pub struct Set {
    counts: [Count; WAYS],
    plans: Plans,
    slots: [Slot; WAYS],
}

impl Set {
    /// Adds to a statement's counts, together with others; `None` where it has none here.
    #[must_use]
    pub fn count(&self, key: &Key, measured: &Measured) -> Option<Counted> {
        let count = self
            .counts
            .iter()
            .find(|count| count.is_used && count.key == *key)?;
        count.add(measured);
        Some(if count.has_text {
            Counted::WithText
        } else {
            Counted::WithoutText
        })
    }

    /// Makes room for a statement's counts. Answers whether another statement lost its own.
    pub fn admit(&mut self, key: &Key) -> bool {
        let is_there = |count: &Count| count.is_used && count.key == *key;
        if self.counts.iter().any(is_there) {
            return false;
        }
        let usage = |count: &Count| match count.is_used {
            false => 0,
            true => 1 + count.usage(),
        };
        let Some(place) = self.counts.iter_mut().min_by_key(|count| usage(count)) else {
            return false;
        };
        let is_displaced = place.is_used;
        *place = Count {
            key: *key,
            is_used: true,
            ..Count::default()
        };
        if is_displaced {
            for count in &mut self.counts {
                count.forgiven += count.usage() / 2;
            }
        }
        self.look_for_texts();
        is_displaced
    }

    /// Keeps one more execution. `number` must not be 0.
    pub fn keep(&mut self, number: u64, record: &Record<'_>) -> Kept {
        let slot = self.place(&record.key, record.measured.ended, record.shape);
        let kept = slot.write(number, record);
        self.look_for_texts();
        kept
    }

    /// Adds an execution to what is known of a statement's plans. Answers whether another plan was forgotten for it.
    pub fn see_plan(&mut self, key: &Key, outline: &Outline, ns: u64, at: i64) -> bool {
        self.plans.see(key, outline, ns, at)
    }

    /// The plans of the statements that `wanted` names.
    pub fn plans(&self, wanted: impl Fn(&Key) -> bool) -> impl Iterator<Item = SeenPlan> {
        let seen = self.plans.seen();
        seen.filter(move |plan| wanted(&plan.key)).copied()
    }

    fn look_for_texts(&mut self) {
        for count in &mut self.counts {
            let mut slots = self.slots.iter();
            count.has_text = slots.any(|slot| slot.is_used() && *slot.key() == count.key);
        }
    }

    /// The slot for one more execution of a statement: a free one, else one of the statement that has most here, of the
    /// kind (how it ended, shape of its plan) that there is most of, the oldest; where each has one, the oldest.
    fn place(&mut self, key: &Key, ended: Ended, shape: u64) -> &mut Slot {
        let class = (ended.number(), shape);
        let slots = &self.slots;
        let worth = |slot: &Slot| {
            if !slot.is_used() {
                return (0, 0, 0);
            }
            let own = slots
                .iter()
                .filter(|other| other.is_used() && other.key() == slot.key());
            let mut of_statement = own.clone().count();
            let mut of_class = own.filter(|other| other.class() == slot.class()).count();
            // The one that comes counts too.
            if slot.key() == key {
                of_statement += 1;
                of_class += usize::from(slot.class() == class);
            }
            (WAYS * 4 - of_statement, WAYS * 4 - of_class, slot.number())
        };
        let found = slots.iter().enumerate().min_by_key(|(_, slot)| worth(slot));
        let position = found.map_or(0, |(position, _)| position);
        &mut self.slots[position]
    }

    /// The slots.
    #[must_use]
    pub fn slots(&self) -> &[Slot] {
        &self.slots
    }

    /// What is kept of the executions that `wanted` names.
    pub fn captured(&self, wanted: impl Fn(&Key) -> bool) -> impl Iterator<Item = Captured> {
        let slots = self.slots.iter();
        slots
            .filter(move |slot| wanted(slot.key()))
            .filter_map(Slot::read)
    }

    /// What is counted of the statements that `wanted` names.
    pub fn totals(&self, wanted: impl Fn(&Key) -> bool) -> impl Iterator<Item = Total> {
        let counts = self.counts.iter().filter(|count| count.is_used);
        counts
            .filter(move |count| wanted(&count.key))
            .map(Count::total)
    }

    /// Forgets what `wanted` names; answers how many executions that were.
    pub fn forget(&mut self, wanted: impl Fn(&Key) -> bool) -> u64 {
        let mut forgotten = 0;
        for slot in self.slots.iter_mut().filter(|slot| wanted(slot.key())) {
            forgotten += u64::from(slot.is_used());
            slot.clear();
        }
        for count in self.counts.iter_mut().filter(|count| wanted(&count.key)) {
            *count = Count::default();
        }
        self.plans.forget(wanted);
        self.look_for_texts();
        forgotten
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::slot::tests::empty;

    fn set() -> Box<Set> {
        Box::new(Set {
            counts: Default::default(),
            plans: crate::plans::tests::none(),
            slots: std::array::from_fn(|_| *empty()),
        })
    }

    fn key(query: u64) -> Key {
        Key {
            query,
            database: 5,
            user: 10,
            kind: crate::Kind::new(true, false),
        }
    }

    fn keep(set: &mut Set, number: u64, query: u64, ended: Ended, shape: u64) {
        let record = Record {
            key: key(query),
            measured: Measured {
                ended,
                ..Measured::default()
            },
            shape,
            text: b"SELECT",
            keep_literals: true,
            ..Record::default()
        };
        set.keep(number, &record);
    }

    fn numbers(set: &Set, query: u64) -> Vec<u64> {
        let of = set.captured(move |key| key.query == query);
        let mut numbers: Vec<u64> = of.map(|captured| captured.number).collect();
        numbers.sort_unstable();
        numbers
    }

    #[test]
    fn a_statement_that_floods_pushes_itself_out() {
        let mut set = set();
        keep(&mut set, 1, 1, Ended::Ok, 0);
        keep(&mut set, 2, 2, Ended::Ok, 0);
        for number in 3..100 {
            keep(&mut set, number, 3, Ended::Ok, 0);
        }
        assert_eq!(numbers(&set, 1), [1]);
        assert_eq!(numbers(&set, 2), [2]);
        assert_eq!(numbers(&set, 3), [94, 95, 96, 97, 98, 99]);
        // Others take from the one that has most.
        for query in 4..9 {
            keep(&mut set, 100 + query, query, Ended::Ok, 0);
        }
        for query in 1..9 {
            assert_eq!(numbers(&set, query).len(), 1, "{query}");
        }
        // Where each has one the oldest goes.
        keep(&mut set, 200, 9, Ended::Ok, 0);
        assert_eq!(numbers(&set, 1), [] as [u64; 0]);
        assert_eq!(numbers(&set, 2), [2]);
    }

    #[test]
    fn what_is_rare_of_a_statement_stays() {
        let mut set = set();
        keep(&mut set, 1, 1, Ended::Cancelled, 0);
        keep(&mut set, 2, 1, Ended::Ok, 77);
        for number in 3..50 {
            keep(&mut set, number, 1, Ended::Ok, 5);
        }
        assert_eq!(numbers(&set, 1), [1, 2, 44, 45, 46, 47, 48, 49]);
    }

    #[test]
    fn counts_add_up_and_the_least_used_make_room() {
        let mut set = set();
        let one = Measured {
            ended: Ended::Failed,
            ns: 5,
            rows: 2,
            blocks: Blocks {
                hit: 3,
                ..Blocks::default()
            },
        };
        assert_eq!(set.count(&key(1), &one), None);
        for query in 1..=WAYS as u64 {
            assert!(!set.admit(&key(query)));
            for _ in 0..query * 10 {
                assert_eq!(set.count(&key(query), &one), Some(Counted::WithoutText));
            }
        }
        keep(&mut set, 1, 2, Ended::Ok, 0);
        assert_eq!(set.count(&key(2), &one), Some(Counted::WithText));
        let total = set.totals(|key| key.query == 2).next().unwrap();
        assert_eq!(
            (total.calls, total.failed, total.ns, total.max_ns),
            (21, 21, 105, 5)
        );
        assert_eq!((total.rows, total.blocks.hit), (42, 63));
        assert!(set.admit(&key(100)));
        assert_eq!(set.totals(|key| key.query == 1).count(), 0);
        assert_eq!(set.totals(|_| true).count(), WAYS);
        assert_eq!(set.forget(|key| key.query == 2), 1);
        assert_eq!(set.totals(|_| true).count(), WAYS - 1);
        assert_eq!(set.captured(|_| true).count(), 0);
    }
}
