//! Many writers, readers and instances, and a Redis that suffers every fault at random: then the whole history is checked.
//!
//! After a purge has returned, the instance that made it serves nothing older; others serve nothing older past the bound
//! that the documentation states, once Redis has confirmed it; and a client with a token never reads behind its own
//! writes, wherever it asks. `PITCREW_SEED` runs one seed again, `PITCREW_FAULTS` sets the number of faults.

#![allow(
    clippy::unwrap_used,
    reason = "a test ends where something unexpected happens"
)]

mod consistency;
mod instance;

use std::time::Duration;

use consistency::{History, World};
use pitcrew::cache::RedisStore;
use pitcrew_stack::{
    Redis, require,
    testing::{redis, redis_sentinel},
};
use rand::{RngExt, SeedableRng, rngs::StdRng};

/// Short, so that a run of seconds gets past it.
const SERVE_WHILE_AWAY: Duration = Duration::from_secs(1);
/// How long an instance takes itself for connected after Redis was last heard (three heartbeats).
const LEASE: Duration = Duration::from_secs(3);
/// For clocks that are read one after the other.
const SLACK: Duration = Duration::from_millis(50);

fn from_environment(name: &str) -> Option<u64> {
    std::env::var(name).ok()?.parse().ok()
}

fn seed() -> u64 {
    let seed = from_environment("PITCREW_SEED").unwrap_or_else(rand::random);
    println!("PITCREW_SEED={seed}");
    seed
}

fn faults(default: u64) -> u64 {
    from_environment("PITCREW_FAULTS").unwrap_or(default)
}

fn limited(store: RedisStore) -> RedisStore {
    let store = store.timeout(Duration::from_millis(200));
    store.serve_while_away(SERVE_WHILE_AWAY)
}

fn store(redis: &Redis) -> RedisStore {
    limited(RedisStore::connect(&redis.url()).unwrap())
}

async fn for_ms(random: &mut StdRng, range: std::ops::Range<u64>) {
    tokio::time::sleep(Duration::from_millis(random.random_range(range))).await;
}

/// One fault, and at times the end of it.
async fn strike(redis: &mut Redis, random: &mut StdRng) {
    match random.random_range(0..6) {
        0 => {
            redis.pause();
            for_ms(random, 10..1_500).await;
            redis.resume();
        }
        1 => {
            redis.kill();
            for_ms(random, 10..1_000).await;
            redis.start_again().unwrap();
        }
        2 => drop(redis.command(&["FLUSHALL"])),
        3 => drop(redis.command(&["CLIENT", "KILL", "TYPE", "normal"])),
        4 => {
            let pause = random.random_range(10..800).to_string();
            drop(redis.command(&["CLIENT", "PAUSE", &pause, "ALL"]));
        }
        // A part of what stands there is evicted.
        _ => {
            let script = "for _, key in ipairs(redis.call('KEYS', '*')) do if math.random(2) == 1 then redis.call('DEL', key) end end";
            drop(redis.command(&["EVAL", script, "0"]));
        }
    }
}

fn check(history: &History, bound: Option<Duration>) {
    let hits = history
        .reads
        .iter()
        .filter(|read| read.status.contains("hit"));
    let (purges, hits) = (history.purges.len(), hits.count());
    println!(
        "{} reads, {hits} of them hits, {purges} purges",
        history.reads.len()
    );
    assert!(hits > 100 && purges > 20, "too little happened");
    let violations = history.violations(bound);
    let first: Vec<_> = violations.iter().take(5).collect();
    assert!(
        violations.is_empty(),
        "{} violations: {first:#?}",
        violations.len()
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_history_keeps_the_promises_whatever_redis_goes_through() {
    require!(redis);
    let (mut redis, seed) = (redis(), seed());
    let mut random = StdRng::seed_from_u64(seed);
    let world = World::new(&store(&redis), seed);
    let suffering = async {
        for _ in 0..faults(12) {
            for_ms(&mut random, 50..900).await;
            strike(&mut redis, &mut random).await;
        }
    };
    let history = world.run(seed, suffering).await;
    check(&history, Some(LEASE.max(SERVE_WHILE_AWAY) + SLACK));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_history_keeps_the_promises_through_fail_overs() {
    require!(redis);
    let (redis, seed) = (redis_sentinel(), seed());
    let mut random = StdRng::seed_from_u64(seed);
    let store = RedisStore::sentinel(redis.urls(), &redis.master_url()).unwrap();
    let world = World::new(&limited(store), seed);
    let suffering = async {
        for_ms(&mut random, 500..1_500).await;
        // What the replica does not hear of is lost.
        let [master, replica] = redis.servers() else {
            panic!("two servers")
        };
        if random.random_range(0..2) == 0 {
            replica.pause();
            drop(master.command(&["CLIENT", "KILL", "TYPE", "replica"]));
            for_ms(&mut random, 50..300).await;
        }
        master.pause();
        replica.resume();
        for_ms(&mut random, 4_000..6_000).await;
        master.resume();
        for_ms(&mut random, 1_000..2_000).await;
    };
    let history = world.run(seed, suffering).await;
    // What a fail-over lost is told again by whoever has it, once that one is connected: no bound holds meanwhile.
    check(&history, None);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_writer_that_forgets_to_purge_is_found() {
    require!(redis);
    let (redis, seed) = (redis(), seed());
    let mut world = World::new(&store(&redis), seed);
    world.forgets = true;
    let history = world
        .run(seed, tokio::time::sleep(Duration::from_secs(1)))
        .await;
    assert!(!history.violations(None).is_empty());
}
