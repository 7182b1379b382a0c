//! The second cache level behind real sentinels: a fail-over costs no request anything, and takes no purge back.

#![allow(clippy::unwrap_used)]

mod instance;

use std::time::Duration;

use pitcrew::cache::{Purge, PurgeState, RedisStore, RedisStoreError};
use pitcrew_stack::{Redis, RedisSentinel, require, testing::redis_sentinel};

use self::instance::{
    Answers, FRESH, Instance, LONG, TAGGED, eventually, hears, hears_within, is_l1_hit, is_l2_hit,
    l2, purges_are_heard, unseen,
};

/// Half a second to notice, and a few to agree, on an idle machine.
const FAIL_OVER: Duration = Duration::from_secs(60);

fn store(redis: &RedisSentinel) -> RedisStore {
    let store = RedisStore::sentinel(redis.urls(), &redis.master_url()).unwrap();
    store.namespace("demo").timeout(Duration::from_millis(500))
}

async fn connected(redis: &RedisSentinel, answers: Answers, name: &'static str) -> Instance {
    let instance = Instance::over(store(redis), answers, name);
    hears(&instance).await;
    instance
}

/// Two instances, each with the second one's answer to `/a` in its process.
async fn pair(redis: &RedisSentinel) -> [Instance; 2] {
    let one = connected(redis, TAGGED, "one").await;
    let two = connected(redis, TAGGED, "two").await;
    two.ask("/a").await;
    instance::entries(&redis.servers()[0], "demo", 1).await;
    assert!(is_l2_hit(&one.ask("/a").await.0));
    for instance in [&one, &two] {
        assert!(is_l1_hit(&instance.ask("/a").await.0));
    }
    [one, two]
}

async fn answers_are_shared(one: &Instance, two: &Instance) {
    eventually("answers are shared", LONG, || async {
        let path = unseen();
        one.ask(&path).await;
        tokio::time::sleep(Duration::from_millis(20)).await;
        is_l2_hit(&two.ask(&path).await.0)
    })
    .await;
}

fn blocked(server: &Redis) -> usize {
    let clients = server.command(&["CLIENT", "LIST"]).unwrap_or_default();
    clients.matches("cmd=xread").count()
}

/// The purges are confirmed by the master, and its replica does not hear of them.
async fn purge_that_is_lost(redis: &RedisSentinel, instance: &Instance, others: usize) {
    let [master, replica] = redis.servers() else {
        panic!("two servers")
    };
    replica.pause();
    let cut = ["CLIENT", "KILL", "TYPE", "replica"];
    assert_eq!(master.command(&cut).unwrap(), "1");
    let report = instance
        .handle
        .purge(Purge::Path("/a".into()))
        .await
        .unwrap();
    assert_eq!(report.l2, PurgeState::Done);
    for n in 0..others {
        let tag = Purge::Tag(format!("other-{n}"));
        let report = instance.handle.purge(tag).await.unwrap();
        assert_eq!(report.l2, PurgeState::Done);
    }
}

/// More than are told again by name.
#[tokio::test]
async fn thousands_of_purges_that_a_fail_over_loses_hold() {
    require!(redis);
    let mut redis = redis_sentinel();
    let [one, two] = pair(&redis).await;
    drop(two);
    purge_that_is_lost(&redis, &one, 3_000).await;
    redis.servers_mut()[0].kill();
    redis.servers()[1].resume();
    eventually("the replica is promoted", FAIL_OVER, || async {
        one.ask(&unseen()).await;
        assert_ne!(one.ask("/a").await.1, "two0", "purged here");
        redis.master() == Some(1)
    })
    .await;
    hears_within(&one, FAIL_OVER).await;
    eventually("the new master is told", LONG, || async {
        l2(&one).pending_purges == 0
    })
    .await;
    let three = connected(&redis, TAGGED, "three").await;
    assert_ne!(three.ask("/a").await.1, "two0");
    purges_are_heard(&one, &three).await;
    purges_are_heard(&three, &one).await;
}

#[tokio::test]
async fn a_killed_master_is_replaced_and_its_purges_hold() {
    require!(redis);
    let mut redis = redis_sentinel();
    let [one, two] = pair(&redis).await;
    // Nobody else hears of it: the purge lives in this instance alone.
    drop(two);
    purge_that_is_lost(&redis, &one, 0).await;
    let last = |server: &Redis| server.command(&["HGET", "pitcrew:{demo}:purges:header", "last"]);
    let lost = last(&redis.servers()[0]).unwrap();
    redis.servers_mut()[0].kill();
    redis.servers()[1].resume();
    assert_ne!(last(&redis.servers()[1]).unwrap(), lost);
    eventually("the replica is promoted", FAIL_OVER, || async {
        let (status, _) = one.ask(&unseen()).await;
        assert_eq!(status, "pitcrew; fwd=uri-miss; stored");
        assert_ne!(one.ask("/a").await.1, "two0", "purged here");
        redis.master() == Some(1)
    })
    .await;
    hears_within(&one, FAIL_OVER).await;
    eventually("the new master is told", LONG, || async {
        l2(&one).pending_purges == 0
    })
    .await;
    // The replica had the answer, and learns of the purge from who made it.
    let three = connected(&redis, TAGGED, "three").await;
    assert_ne!(three.ask("/a").await.1, "two0");
    answers_are_shared(&one, &three).await;
    purges_are_heard(&one, &three).await;
    purges_are_heard(&three, &one).await;

    // The old master comes back, empty, and becomes the replica.
    redis.servers_mut()[0].start_again().unwrap();
    eventually("the old master is demoted", FAIL_OVER, || async {
        let role = redis.servers()[0].command(&["ROLE"]);
        role.is_ok_and(|role| role.starts_with("slave"))
    })
    .await;
    assert_eq!(redis.master(), Some(1));
    purges_are_heard(&one, &three).await;
}

#[tokio::test]
async fn a_master_that_hangs_is_replaced_and_left_alone_when_it_goes_on() {
    require!(redis);
    let redis = redis_sentinel();
    let [one, two] = pair(&redis).await;
    redis.servers()[0].pause();
    eventually("the replica is promoted", FAIL_OVER, || async {
        let (status, _) = one.ask(&unseen()).await;
        assert_eq!(status, "pitcrew; fwd=uri-miss; stored");
        redis.master() == Some(1)
    })
    .await;
    for instance in [&one, &two] {
        hears_within(instance, FAIL_OVER).await;
    }
    redis.servers()[0].resume();
    eventually("both follow the new master", FAIL_OVER, || async {
        blocked(&redis.servers()[1]) == 2 && blocked(&redis.servers()[0]) == 0
    })
    .await;
    purges_are_heard(&one, &two).await;
    answers_are_shared(&two, &one).await;
}

#[tokio::test]
async fn a_master_that_was_demoted_and_keeps_its_connections_is_left() {
    require!(redis);
    let redis = redis_sentinel();
    let [one, two] = pair(&redis).await;
    let [old, new] = redis.servers() else {
        panic!("two servers")
    };
    eventually("both follow", LONG, || async { blocked(old) == 2 }).await;
    // By hand: sentinels would close the connections, and without that they answer reads and refuse writes.
    new.command(&["REPLICAOF", "NO", "ONE"]).unwrap();
    let port = new.port().to_string();
    old.command(&["REPLICAOF", "127.0.0.1", &port]).unwrap();
    redis.watch(1).unwrap();
    eventually("both follow the new master", LONG, || async {
        blocked(new) == 2 && blocked(old) == 0
    })
    .await;
    // What one writes must reach the new master; through its old connection nothing would.
    answers_are_shared(&one, &two).await;
    purges_are_heard(&one, &two).await;
    purges_are_heard(&two, &one).await;
    for instance in [&one, &two] {
        assert_eq!(l2(instance).pending_purges, 0);
    }
}

#[tokio::test]
async fn a_master_that_takes_no_writes_is_not_followed() {
    require!(redis);
    let redis = redis_sentinel();
    let one = connected(&redis, FRESH, "one").await;
    one.ask("/a").await;
    let master = &redis.servers()[0];
    let set = |replicas| master.command(&["CONFIG", "SET", "min-replicas-to-write", replicas]);
    set("2").unwrap();
    eventually("it is not followed", LONG, || async {
        l2(&one).state == "down"
    })
    .await;
    set("0").unwrap();
    hears(&one).await;
}

#[tokio::test]
async fn a_sentinel_that_hangs_keeps_nobody_from_the_others() {
    require!(redis);
    let redis = redis_sentinel();
    redis.sentinels()[0].pause();
    let one = connected(&redis, FRESH, "one").await;
    let two = connected(&redis, FRESH, "two").await;
    answers_are_shared(&one, &two).await;
    redis.sentinels()[0].resume();
}

#[test]
fn a_store_behind_sentinels_says_what_it_cannot_do() {
    let sentinels = ["redis://:secret@127.0.0.1:1"];
    let error = |master| RedisStore::sentinel(sentinels, master).unwrap_err();
    assert!(matches!(error(""), RedisStoreError::MasterName));
    assert!(matches!(
        error("redis:///0"),
        RedisStoreError::Url(_) | RedisStoreError::MasterName
    ));
    assert!(matches!(error("http://mymaster"), RedisStoreError::Url(_)));
    assert!(matches!(
        error("rediss://mymaster"),
        RedisStoreError::Tls(_)
    ));
    let error = |urls: &[&str]| RedisStore::sentinel(urls, "mymaster").unwrap_err();
    assert!(matches!(error(&[]), RedisStoreError::NoUrl));
    assert!(matches!(error(&["http://x"]), RedisStoreError::Url(_)));
    assert!(matches!(error(&["redis://x/2"]), RedisStoreError::Url(_)));
    assert!(matches!(error(&["rediss://x"]), RedisStoreError::Tls(_)));
    let store = RedisStore::sentinel(sentinels, "redis://:secret@My_master-1.x/2").unwrap();
    assert!(!format!("{store:?}").contains("secret"));
}
