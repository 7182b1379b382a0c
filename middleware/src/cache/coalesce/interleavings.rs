//! Every order of the steps of up to three requests for one key, by `loom`; in the four largest tests every order with at
//! most four preemptions.
//!
//! What is looked at in each of them: whoever waits is told in the end (else `loom` finds that nobody can move), a flight
//! has one leader at a time and two in all, and nothing stays in the map. To see that the tests can fail, these were
//! tried by hand, each found by the tests named:
//!
//! | broken on purpose | found by |
//! |---|---|
//! | `vacate` wakes the first waiter alone | `a_waiter_that_leaves_takes_nobody_s_turn` |
//! | `vacate` wakes nobody | `a_leader_that_goes_away_is_replaced_once` |
//! | `poll` leaves `Vacant` standing when it elects | `a_leader_that_goes_away_is_replaced_once` |
//! | no bound on re-elections | `when_every_leader_goes_away_all_are_released` |
//! | `leave` does not look whether it was the last | `all_may_leave` |
//! | `enter` waits for a flight that has ended as if it ran | `a_newcomer_leads_what_all_others_left` |
//! | `remove` takes out whatever stands under the key | `a_leader_that_hangs_is_replaced` |
//! | `poll` looks at the state, frees the lock, then leaves its waker | every test in which somebody waits |
//! | a waiter takes what it is told without asking the table | `whoever_waits_takes_nothing_that_was_purged_before_the_hand_over` |
//! | `release` elects again instead of telling all | `an_error_releases_all_at_once` |
//! | `head` or `vacate` goes on where the flight has ended | `an_answer_from_beside_is_final` |

use std::{sync::Mutex as StdMutex, task::Waker};

use loom::{
    future::block_on,
    sync::atomic::{AtomicBool, Ordering},
    thread,
};

use super::*;
use crate::cache::{
    entry,
    invalidation::{Invalidation, Kind, Life, Name, Position},
    key::KeyMaker,
};

const PATIENCE: Duration = Duration::from_secs(5);

/// What a request does when it leads.
#[derive(Clone, Copy)]
enum Leads {
    Done,
    Fails,
    GoesAway,
}

/// What became of a request that waited or led.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fate {
    Led,
    Shared,
    Alone,
}

/// The flights, and who has led each: looked at by the test, not by the code under test, so it is no part of the orders.
struct World {
    flights: Arc<Flights>,
    key: FlightKey,
    led: StdMutex<Vec<Led>>,
}

struct Led {
    flight: Arc<Flight>,
    now: usize,
    ever: usize,
}

impl World {
    fn new() -> Arc<Self> {
        Arc::new(Self {
            flights: Arc::new(Flights::new(PATIENCE)),
            key: FlightKey {
                key: Arc::new(KeyMaker::new("").finish(vec![1])),
                variant: Box::default(),
                class: 0,
            },
            led: StdMutex::default(),
        })
    }

    fn join(&self, now: Duration) -> Join {
        self.flights.join(self.key.clone(), now)
    }

    /// Joins where nobody leads yet.
    fn first(&self) -> Leader {
        match self.join(Duration::ZERO) {
            Join::Lead(leader) => leader,
            Join::Wait(_) => panic!("another leads"),
        }
    }

    fn second(&self) -> Waiter {
        match self.join(Duration::ZERO) {
            Join::Wait(waiter) => waiter,
            Join::Lead(_) => panic!("nobody leads"),
        }
    }

    fn lead(&self, leader: Leader, leads: Leads) -> Fate {
        let flight = leader.flight.clone();
        self.count(&flight, 1);
        match leads {
            Leads::Done => leader.done(an_entry()),
            Leads::Fails => leader.release(),
            // From here on another may lead.
            Leads::GoesAway => {
                self.count(&flight, -1);
                drop(leader);
                return Fate::Led;
            }
        }
        self.count(&flight, -1);
        Fate::Led
    }

    fn count(&self, flight: &Arc<Flight>, change: isize) {
        let mut all = self.led.lock().unwrap();
        let at = all.iter().position(|led| Arc::ptr_eq(&led.flight, flight));
        let at = at.unwrap_or_else(|| {
            all.push(Led {
                flight: flight.clone(),
                now: 0,
                ever: 0,
            });
            all.len() - 1
        });
        let led = &mut all[at];
        led.now = led.now.checked_add_signed(change).unwrap();
        led.ever += usize::from(change > 0);
        assert!(led.now <= 1, "two leaders of one flight");
        assert!(led.ever <= 2, "a flight was led a third time");
    }

    fn wait(&self, mut waiter: Waiter, leads: Leads) -> Fate {
        match block_on(waiter.told(std::future::pending())) {
            Told::Head(_) => panic!("no head was given"),
            Told::Entry(_) => Fate::Shared,
            Told::Alone => Fate::Alone,
            Told::Late => unreachable!("nobody has a deadline here"),
            Told::Lead(leader) => self.lead(leader, leads),
        }
    }

    fn request(&self, now: Duration, leads: Leads) -> Fate {
        match self.join(now) {
            Join::Lead(leader) => self.lead(leader, leads),
            Join::Wait(waiter) => self.wait(waiter, leads),
        }
    }

    fn is_empty(&self) {
        assert_eq!(self.flights.len(), 0, "a flight was left behind");
    }
}

fn head() -> Head {
    Head {
        vary: VaryNames::default(),
        values: Box::default(),
        share: Share::default(),
    }
}

fn an_entry() -> Arc<Entry> {
    entry_at(Position::default(), false)
}

/// An entry of slot 0; whether it shows the change that was purged.
fn entry_at(stamp: Position, changed: bool) -> Arc<Entry> {
    Arc::new(Entry {
        values: Box::new([u8::from(changed)]),
        slots: Box::new([0]),
        stamp,
        ..entry::example()
    })
}

/// Every order in which no more than four times a thread is stopped in the middle of what it could go on with. For the
/// tests that would else take hours; `LOOM_MAX_PREEMPTIONS` sets another number.
fn bounded(test: impl Fn() + Send + Sync + 'static) {
    let mut builder = loom::model::Builder::new();
    builder.preemption_bound.get_or_insert(4);
    builder.check(test);
}

/// Runs three at once, the first in this thread.
fn at_once(
    world: &Arc<World>,
    here: impl FnOnce(&World) -> Fate,
    one: impl FnOnce(&World) -> Fate + 'static,
    other: impl FnOnce(&World) -> Fate + 'static,
) -> (Fate, Fate, Fate) {
    let (first, second) = (world.clone(), world.clone());
    let first = thread::spawn(move || one(&first));
    let second = thread::spawn(move || other(&second));
    let here = here(world);
    (here, first.join().unwrap(), second.join().unwrap())
}

fn waits(waiter: Waiter, leads: Leads) -> impl FnOnce(&World) -> Fate + 'static {
    move |world| world.wait(waiter, leads)
}

fn comes(leads: Leads) -> impl FnOnce(&World) -> Fate + 'static {
    move |world| world.request(Duration::ZERO, leads)
}

#[test]
fn newcomers_share_or_lead() {
    bounded(|| {
        let world = World::new();
        let (a, b, c) = at_once(
            &world,
            comes(Leads::Done),
            comes(Leads::Done),
            comes(Leads::Done),
        );
        assert!([a, b, c].contains(&Fate::Led) && ![a, b, c].contains(&Fate::Alone));
        world.is_empty();
    });
}

#[test]
fn a_head_is_told_before_its_answer_or_not_at_all() {
    loom::model(|| {
        let world = World::new();
        let leader = world.first();
        let mut waiter = world.second();
        let leads = thread::spawn(move || {
            leader.head(head());
            leader.done(an_entry());
        });
        let told = block_on(waiter.told(std::future::pending()));
        if matches!(told, Told::Head(_)) {
            assert!(matches!(
                block_on(waiter.told(std::future::pending())),
                Told::Entry(_)
            ));
        } else {
            assert!(matches!(told, Told::Entry(_)));
        }
        leads.join().unwrap();
        world.is_empty();
    });
}

#[test]
fn a_leader_that_goes_away_is_replaced_once() {
    bounded(|| {
        let world = World::new();
        let leader = world.first();
        let (first, second) = (world.second(), world.second());
        let (_, first, second) = at_once(
            &world,
            |world| world.lead(leader, Leads::GoesAway),
            waits(first, Leads::Done),
            waits(second, Leads::Done),
        );
        assert!(matches!(
            (first, second),
            (Fate::Led, Fate::Shared) | (Fate::Shared, Fate::Led)
        ));
        world.is_empty();
    });
}

#[test]
fn when_every_leader_goes_away_all_are_released() {
    bounded(|| {
        let world = World::new();
        let leader = world.first();
        let waiter = world.second();
        let (_, waited, came) = at_once(
            &world,
            |world| world.lead(leader, Leads::GoesAway),
            waits(waiter, Leads::GoesAway),
            comes(Leads::GoesAway),
        );
        assert!(waited != Fate::Shared && came != Fate::Shared);
        world.is_empty();
    });
}

#[test]
fn a_waiter_that_leaves_takes_nobody_s_turn() {
    loom::model(|| {
        let world = World::new();
        let leader = world.first();
        let (mut leaves, stays) = (world.second(), world.second());
        let (_, _, stayed) = at_once(
            &world,
            |world| world.lead(leader, Leads::GoesAway),
            // Elected and gone at once: then the other is released.
            move |_| match leaves.poll(&mut Context::from_waker(Waker::noop())) {
                Poll::Ready(Told::Lead(_)) => Fate::Led,
                _ => Fate::Alone,
            },
            waits(stays, Leads::Done),
        );
        assert!(stayed != Fate::Shared);
        world.is_empty();
    });
}

#[test]
fn a_newcomer_leads_what_all_others_left() {
    loom::model(|| {
        let world = World::new();
        let leader = world.first();
        let waiter = world.second();
        let (_, _, came) = at_once(
            &world,
            |world| world.lead(leader, Leads::GoesAway),
            |_| {
                drop(waiter);
                Fate::Alone
            },
            comes(Leads::Done),
        );
        assert_eq!(came, Fate::Led);
        world.is_empty();
    });
}

#[test]
fn all_may_leave() {
    loom::model(|| {
        let world = World::new();
        let leader = world.first();
        let (first, second) = (world.second(), world.second());
        let leaves = |waiter: Waiter| {
            move |_: &World| {
                drop(waiter);
                Fate::Alone
            }
        };
        at_once(
            &world,
            |world| world.lead(leader, Leads::GoesAway),
            leaves(first),
            leaves(second),
        );
        world.is_empty();
    });
}

#[test]
fn an_error_releases_all_at_once() {
    bounded(|| {
        let world = World::new();
        let leader = world.first();
        let (first, second) = (world.second(), world.second());
        let (_, first, second) = at_once(
            &world,
            |world| world.lead(leader, Leads::Fails),
            waits(first, Leads::Fails),
            waits(second, Leads::Fails),
        );
        // A convoy would be one that waits for the other, which leads in its turn.
        assert_eq!((first, second), (Fate::Alone, Fate::Alone));
        world.is_empty();
    });
}

#[test]
fn a_leader_that_hangs_is_replaced() {
    loom::model(|| {
        let world = World::new();
        let hanging = world.first();
        let waiter = world.second();
        let (_, waited, _) = at_once(
            &world,
            |world| world.lead(hanging, Leads::Done),
            waits(waiter, Leads::Done),
            |world| {
                let Join::Lead(leader) = world.join(PATIENCE) else {
                    panic!("joined a flight that hangs")
                };
                // The old leader may end now; then this flight has its answer, and is over too.
                assert!(world.flights.len() <= 2);
                world.lead(leader, Leads::Done)
            },
        );
        assert_eq!(waited, Fate::Shared);
        world.is_empty();
    });
}

/// One that is late leads beside the first; whoever waits for either, or comes meanwhile, has an answer.
#[test]
fn who_is_late_leads_too_and_nobody_waits_for_ever() {
    bounded(|| {
        let world = World::new();
        let hanging = world.first();
        let late = world.second();
        let (first, _, _) = at_once(
            &world,
            |world| world.lead(hanging, Leads::Done),
            |world| match late.rejoin(Duration::ZERO) {
                Join::Lead(leader) => world.lead(leader, Leads::GoesAway),
                Join::Wait(waiter) => world.wait(waiter, Leads::Done),
            },
            |world| world.request(Duration::ZERO, Leads::Done),
        );
        assert_eq!(first, Fate::Led);
        world.is_empty();
    });
}

/// What another has answered stays answered, whatever its own leader does then.
#[test]
fn an_answer_from_beside_is_final() {
    bounded(|| {
        let world = World::new();
        let hanging = world.first();
        let mut waiter = world.second();
        let Join::Lead(beside) = world.join(PATIENCE) else {
            panic!("joined a flight that hangs")
        };
        let answered = Arc::new(AtomicBool::new(false));
        let seen = answered.clone();
        let late = thread::spawn(move || {
            let was_answered = seen.load(Ordering::Acquire);
            hanging.head(head());
            drop(hanging);
            was_answered
        });
        let answers = thread::spawn(move || {
            beside.done(an_entry());
            answered.store(true, Ordering::Release);
        });
        let told = loop {
            match block_on(waiter.told(std::future::pending())) {
                Told::Head(_) => {}
                told => break told,
            }
        };
        let was_answered = late.join().unwrap();
        answers.join().unwrap();
        assert!(!was_answered || matches!(told, Told::Entry(_)));
        drop(waiter);
        drop(told);
        world.is_empty();
    });
}

/// Flights and table together: what a waiter takes is alive when it is handed over (rule 11 of the invalidation).
#[test]
fn whoever_waits_takes_nothing_that_was_purged_before_the_hand_over() {
    loom::model(|| {
        let world = World::new();
        let positions = Arc::new(Invalidation::small());
        let [changed, purged] = [(); 2].map(|()| Arc::new(AtomicBool::new(false)));
        let stamp = positions.now();
        let leader = world.first();
        let reads = changed.clone();
        let leads = thread::spawn(move || {
            leader.done(entry_at(stamp, reads.load(Ordering::Relaxed)));
        });
        let purging = positions.clone();
        let returned = purged.clone();
        let purges = thread::spawn(move || {
            changed.store(true, Ordering::Relaxed);
            purging.purge(vec![Name::slot(Kind::Hard, 0)]);
            returned.store(true, Ordering::Release);
        });
        if let Join::Wait(mut waiter) = world.join(Duration::ZERO)
            && let Told::Entry(entry) = block_on(waiter.told(std::future::pending()))
        {
            let purged = purged.load(Ordering::Acquire);
            let (made, now) = (Duration::ZERO, Duration::ZERO);
            let alive = positions.life(entry.stamp, entry.subject(), made, now) != Life::Dead;
            assert!(!(purged && alive) || *entry.values == [1]);
        }
        leads.join().unwrap();
        purges.join().unwrap();
    });
}
