use super::*;
use crate::cache::{entry, key::KeyMaker};

const PATIENCE: Duration = Duration::from_secs(5);

fn flights() -> (Arc<Flights>, FlightKey) {
    let key = Arc::new(KeyMaker::new("").finish(vec![1]));
    (
        Arc::new(Flights::new(PATIENCE)),
        FlightKey {
            key,
            variant: Box::default(),
            class: 0,
        },
    )
}

fn lead(flights: &Arc<Flights>, key: &FlightKey) -> Leader {
    match flights.join(key.clone(), Duration::ZERO) {
        Join::Lead(leader) => leader,
        Join::Wait(_) => panic!("another leads"),
    }
}

fn wait(flights: &Arc<Flights>, key: &FlightKey) -> Waiter {
    match flights.join(key.clone(), Duration::ZERO) {
        Join::Wait(waiter) => waiter,
        Join::Lead(_) => panic!("nobody leads"),
    }
}

#[tokio::test]
async fn a_leader_that_goes_away_is_replaced_once_and_then_all_are_released() {
    let (flights, key) = flights();
    let leader = lead(&flights, &key);
    let (mut first, mut second) = (wait(&flights, &key), wait(&flights, &key));
    drop(leader);
    let Told::Lead(again) = first.told(std::future::pending()).await else {
        panic!("not elected")
    };
    drop(first);
    drop(again);
    assert!(matches!(
        second.told(std::future::pending()).await,
        Told::Alone
    ));
    assert_eq!(flights.len(), 0);
}

#[tokio::test]
async fn a_leader_without_waiters_leaves_nothing_behind() {
    let (flights, key) = flights();
    drop(lead(&flights, &key));
    assert_eq!(flights.len(), 0);
}

#[tokio::test]
async fn waiters_that_leave_a_vacant_flight_leave_nothing_behind() {
    let (flights, key) = flights();
    let leader = lead(&flights, &key);
    let waiter = wait(&flights, &key);
    drop(leader);
    drop(waiter);
    assert_eq!(flights.len(), 0);
}

#[tokio::test]
async fn a_release_frees_everyone_at_once() {
    let (flights, key) = flights();
    let leader = lead(&flights, &key);
    let mut waiters: Vec<_> = (0..10).map(|_| wait(&flights, &key)).collect();
    leader.release();
    for waiter in &mut waiters {
        assert!(matches!(
            waiter.told(std::future::pending()).await,
            Told::Alone
        ));
    }
    assert_eq!(flights.len(), 0);
}

#[tokio::test]
async fn a_flight_whose_leader_hangs_is_not_joined_any_more() {
    let (flights, key) = flights();
    let hanging = lead(&flights, &key);
    let Join::Lead(next) = flights.join(key.clone(), PATIENCE) else {
        panic!("joined a hanging flight")
    };
    drop(hanging);
    assert_eq!(
        flights.len(),
        1,
        "the old leader must not take the new flight out"
    );
    next.release();
    assert_eq!(flights.len(), 0);
}

/// Whoever answers first answers those who wait for the flights before its own, and for those after it.
#[tokio::test]
async fn an_answer_ends_all_that_fly_beside_it() {
    for answers in 0..3 {
        let (flights, key) = flights();
        let mut now = Duration::ZERO;
        let (mut leaders, mut waiters) = (Vec::new(), Vec::new());
        for _ in 0..3 {
            let Join::Lead(leader) = flights.join(key.clone(), now) else {
                panic!("joined a flight that hangs")
            };
            leaders.push(leader);
            waiters.push(match flights.join(key.clone(), now) {
                Join::Wait(waiter) => waiter,
                Join::Lead(_) => panic!("nobody leads"),
            });
            now += PATIENCE;
        }
        leaders.remove(answers).done(Arc::new(entry::example()));
        assert_eq!(flights.len(), 0);
        for waiter in &mut waiters {
            let told = waiter.told(std::future::pending()).await;
            assert!(matches!(told, Told::Entry(_)), "{answers}");
        }
    }
}
