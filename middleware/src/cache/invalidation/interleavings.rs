//! The table under `loom`: one writer, who holds the log, against requests that hold nothing; every order, and every
//! value that a load may see.
//!
//! To see that the tests can fail, these were tried by hand, each found by the tests named:
//!
//! | broken on purpose | found by |
//! |---|---|
//! | `advance` stores the position `Relaxed` | `a_fill_that_begins_after_a_purge_reads_what_is_new` |
//! | `purge` advances before it sets pending | `nothing_old_is_taken_from_l2` |
//! | `record` ends the pending before it raises | `nothing_old_is_taken_from_l2_when_a_purge_is_read_back` |
//! | a request asks for pending before it reads its position | `nothing_old_is_taken_from_l2` |
//! | `raise` looks whether a slot was ever raised, not how high | `nothing_old_is_taken_from_l2_when_a_purge_is_read_back` |
//! | a pattern's generation is published before its list | `a_pattern_is_never_taken_as_looked_at` |

use std::{
    sync::{Arc, atomic::AtomicU64 as Checked},
    time::Duration,
};

use loom::{
    sync::{
        Mutex as LoomMutex,
        atomic::{AtomicBool, Ordering},
    },
    thread,
};

use super::{
    log::{Record, Snapshot},
    name::Target,
    patterns::{Pattern, Subject},
    table::{LEASE, Slots},
    *,
};

const REGION: u32 = 1;
const DATUM: &[u32] = &[0];
const IN_REGION: &[u32] = &[0, REGION];
/// The position at which another instance, further on, has stored what it read before the purge.
const AHEAD: u64 = 6;

/// A small table, and what a handler would read.
struct World {
    table: Table,
    log: LoomMutex<Log>,
    changed: AtomicBool,
}

impl World {
    fn connected() -> Arc<Self> {
        let table = Table::with_bounds(2, 2);
        let mut log = Log::in_cluster(1);
        log.connected(&table);
        let slots = || Slots {
            all: 0,
            slots: vec![0; 2],
        };
        let snapshot = Snapshot {
            counter: 5,
            last: 5,
            hard: slots(),
            soft: slots(),
            patterns: Vec::new(),
        };
        log.snapshot(&table, Duration::ZERO, &snapshot);
        Arc::new(Self {
            table,
            log: LoomMutex::new(log),
            changed: AtomicBool::new(false),
        })
    }

    /// Changes the datum, then purges it. `Relaxed`: a purge must order the two by itself.
    fn purge(&self) {
        self.changed.store(true, Ordering::Relaxed);
        let mut log = self.log.lock().unwrap();
        log.purge(&self.table, vec![Name::slot(Kind::Hard, 0)]);
    }

    fn read_back(&self) {
        let record = Record {
            position: AHEAD + 1,
            before: 5,
            instance: 1,
            number: 1,
            names: vec![Name::slot(Kind::Hard, 0)],
        };
        let mut log = self.log.lock().unwrap();
        log.record(&self.table, &record);
    }

    /// What a request finds in L2, with its stamp, if it may look there: stored before the purge.
    fn import(&self) -> Option<Position> {
        let begin = self.table.now();
        let reads = self.table.reads_l2(LEASE / 2);
        reads.then(|| Position::imported(AHEAD, begin))
    }

    fn life(&self, stamp: Position) -> Life {
        let subject = Subject {
            slots: DATUM,
            target: "/a/b",
            checked: &Checked::new(0),
        };
        self.table.life(stamp, subject)
    }
}

/// Reads and writes at once. The writer goes first where nothing else decides: `loom` looks for other orders from the last
/// access alone, and a writer's own loads would hide a reader's.
fn at_once<T: 'static>(
    world: &Arc<World>,
    reads: impl FnOnce(&World) -> T + 'static,
    writes: impl FnOnce(&World),
) -> T {
    let reader = world.clone();
    let reader = thread::spawn(move || reads(&reader));
    writes(world);
    reader.join().unwrap()
}

#[test]
fn a_fill_that_begins_after_a_purge_reads_what_is_new() {
    loom::model(|| {
        let world = World::connected();
        let fill = |world: &World| {
            let stamp = world.table.now();
            (stamp, world.changed.load(Ordering::Relaxed))
        };
        let (stamp, changed) = at_once(&world, fill, World::purge);
        // Insert, stamp, read and purge in any order: what lives after the purge was read after the change.
        assert!(changed || world.life(stamp) == Life::Dead);
    });
}

#[test]
fn what_is_stored_is_dead_once_a_purge_has_returned() {
    loom::model(|| {
        let world = World::connected();
        let stamp = world.table.now();
        let returned = Arc::new(AtomicBool::new(false));
        let returns = returned.clone();
        let hit = move |world: &World| {
            let before = returned.load(Ordering::Acquire);
            (before, world.life(stamp))
        };
        let (before, life) = at_once(&world, hit, |world| {
            world.purge();
            returns.store(true, Ordering::Release);
        });
        assert!(!before || life == Life::Dead);
    });
}

#[test]
fn nothing_old_is_taken_from_l2() {
    loom::model(|| {
        let world = World::connected();
        let stamp = at_once(&world, World::import, World::purge);
        assert!(stamp.is_none_or(|stamp| world.life(stamp) == Life::Dead));
    });
}

#[test]
fn nothing_old_is_taken_from_l2_when_a_purge_is_read_back() {
    loom::model(|| {
        let world = World::connected();
        world.purge();
        // Whoever may look there again sees at this moment what is dead.
        let look = |world: &World| world.import().map(|stamp| world.life(stamp));
        let life = at_once(&world, look, World::read_back);
        assert!(life.is_none_or(|life| life == Life::Dead));
    });
}

#[test]
fn two_that_purge_at_once_both_count() {
    loom::model(|| {
        let world = World::connected();
        let stamp = world.table.now();
        let other = world.clone();
        let other = thread::spawn(move || other.purge());
        world.purge();
        let between = world.table.now();
        other.join().unwrap();
        assert_eq!(world.life(stamp), Life::Dead);
        assert!(world.table.now() == stamp.next_local().next_local() && between > stamp);
        assert!(!world.table.reads_l2(Duration::ZERO));
    });
}

#[test]
fn a_pattern_is_never_taken_as_looked_at() {
    loom::model(|| {
        let world = World::connected();
        let stamp = world.table.now();
        let purge = |writer: &World| {
            let pattern = Arc::new(Pattern {
                region: REGION,
                glob: "/a*".into(),
            });
            let target = Target::Pattern(pattern);
            let kind = Kind::Hard;
            let mut log = writer.log.lock().unwrap();
            log.purge(&writer.table, vec![Name { kind, target }]);
        };
        let look = move |world: &World, checked: &Checked| {
            let subject = Subject {
                slots: IN_REGION,
                target: "/a/b",
                checked,
            };
            world.table.life(stamp, subject)
        };
        // The first look may come too early; it must not spoil the second.
        let early = move |world: &World| {
            let checked = Checked::new(0);
            look(world, &checked);
            checked
        };
        let checked = at_once(&world, early, purge);
        assert_eq!(look(&world, &checked), Life::Dead);
    });
}
