//! The second cache level in a real Redis Cluster: shared answers and purges, and what is left of them when a node goes.

#![allow(clippy::unwrap_used)]

mod instance;

use std::time::Duration;

use pitcrew::cache::{Purge, PurgeState, RedisStore, RedisStoreError};
use pitcrew_stack::{Redis, RedisCluster, require, testing::redis_cluster};

use self::instance::{
    Answers, FRESH, Instance, LONG, TAGGED, eventually, hears, hears_within, is_l1_hit, is_l2_hit,
    l2, purges_are_heard, unseen,
};

/// A replica takes over two seconds after its master, on an idle machine.
const FAIL_OVER: Duration = Duration::from_secs(60);
/// Where the purges of the namespace `demo` lie.
const PURGES: &str = "pitcrew:{demo}:purges:header";

fn store(cluster: &RedisCluster) -> RedisStore {
    let store = RedisStore::cluster(cluster.urls()).unwrap();
    store.namespace("demo").timeout(Duration::from_millis(500))
}

async fn connected(cluster: &RedisCluster, answers: Answers, name: &'static str) -> Instance {
    let instance = Instance::over(store(cluster), answers, name);
    hears(&instance).await;
    instance
}

/// Two instances, each with the second one's answer to `/a` in its process.
async fn pair(cluster: &RedisCluster) -> [Instance; 2] {
    let one = connected(cluster, TAGGED, "one").await;
    let two = connected(cluster, TAGGED, "two").await;
    two.ask("/a").await;
    stored(cluster, 1).await;
    assert!(is_l2_hit(&one.ask("/a").await.0));
    for instance in [&one, &two] {
        assert!(is_l1_hit(&instance.ask("/a").await.0));
    }
    [one, two]
}

/// How many entries a node has; none where it does not answer.
fn count(node: &Redis) -> usize {
    let keys = node.command(&["KEYS", "pitcrew:demo:e:*"]);
    keys.map_or(0, |keys| keys.lines().filter(|key| !key.is_empty()).count())
}

/// How many each master has that began as one.
fn entries(cluster: &RedisCluster) -> Vec<usize> {
    cluster.nodes()[..3].iter().map(count).collect()
}

fn all_entries(cluster: &RedisCluster) -> usize {
    entries(cluster).iter().sum()
}

async fn stored(cluster: &RedisCluster, count: usize) {
    eventually("entries in the cluster", LONG, || async {
        all_entries(cluster) == count
    })
    .await;
}

/// Waits until every master takes writes of an instance: where one was late when the connection was opened, its entries
/// are dropped until that is renewed.
async fn writes_everywhere(cluster: &RedisCluster, instance: &Instance) {
    eventually("every master takes writes", FAIL_OVER, || async {
        let before = all_entries(cluster);
        for _ in 0..30 {
            instance.ask(&unseen()).await;
        }
        for _ in 0..50 {
            tokio::time::sleep(Duration::from_millis(20)).await;
            if all_entries(cluster) == before + 30 {
                return true;
            }
        }
        false
    })
    .await;
}

/// A master that has entries and not the purges.
fn other_master(cluster: &RedisCluster) -> usize {
    (cluster.master_of(PURGES).unwrap() + 1) % 3
}

fn blocked(node: &Redis) -> usize {
    let clients = node.command(&["CLIENT", "LIST"]).unwrap_or_default();
    clients.matches("cmd=xread").count()
}

fn is_master(node: &Redis) -> bool {
    let role = node.command(&["ROLE"]);
    role.is_ok_and(|role| role.starts_with("master"))
}

#[tokio::test]
async fn instances_share_answers_that_lie_on_several_masters() {
    const VARY: Answers = Answers {
        headers: &[("cache-control", "max-age=60"), ("vary", "accept-language")],
        takes: Duration::ZERO,
    };
    require!(redis);
    let cluster = redis_cluster(false);
    let one = connected(&cluster, VARY, "one").await;
    // The answers, and what says how they vary: mostly on another master. A master that is late to be connected takes none
    // at first, so as many are asked for as it takes.
    let mut asked = 0;
    loop {
        one.ask_with(&format!("/{asked}"), "de").await;
        asked += 1;
        let spread = entries(&cluster);
        if spread.iter().all(|count| *count > 0) && spread.iter().sum::<usize>() >= 60 {
            break;
        }
        assert!(asked < 3_000, "{spread:?}");
    }
    let two = connected(&cluster, VARY, "two").await;
    let mut hits = 0;
    for path in 0..asked {
        let (status, body) = two.ask_with(&format!("/{path}"), "de").await;
        assert_eq!(is_l2_hit(&status), body.starts_with("one"), "{status}");
        hits += usize::from(is_l2_hit(&status));
    }
    assert!(hits >= 20, "{hits} of {asked}");
    assert_eq!(two.calls(), asked - hits);
}

#[tokio::test]
async fn a_purge_by_one_instance_is_heard_by_another_through_the_cluster() {
    require!(redis);
    let cluster = redis_cluster(false);
    for purge in [
        Purge::Tag("orders".into()),
        Purge::Path("/a".into()),
        Purge::Region("api".into()),
        Purge::All,
    ] {
        for node in cluster.nodes() {
            node.command(&["FLUSHALL"]).unwrap();
        }
        let [one, two] = pair(&cluster).await;
        let report = one.handle.purge(purge.clone()).await.unwrap();
        assert_eq!(report.l2, PurgeState::Done, "{purge:?}");
        eventually("the other instance lets go", LONG, || async {
            two.ask("/a").await.1 != "two0"
        })
        .await;
        assert_eq!(one.calls() + two.calls(), 2, "{purge:?}");
    }
    // What the scripts change together lies together, also the Stream that instances wait at.
    let at = cluster.master_of(PURGES).unwrap();
    for part in ["hard", "soft", "patterns", "stream"] {
        let key = format!("pitcrew:{{demo}}:purges:{part}");
        let there = cluster.nodes()[at].command(&["EXISTS", &key]);
        assert_eq!(there.unwrap(), "1", "{part}");
    }
}

#[tokio::test]
async fn a_fill_that_began_before_a_purge_is_not_found_in_the_cluster() {
    const SLOW: Answers = Answers {
        headers: FRESH.headers,
        takes: Duration::from_millis(300),
    };
    require!(redis);
    let cluster = redis_cluster(false);
    let one = connected(&cluster, SLOW, "one").await;
    let two = connected(&cluster, FRESH, "two").await;
    let purging = async {
        eventually("the handler runs", LONG, || async { one.calls() == 1 }).await;
        two.handle.purge(Purge::Path("/".into())).await.unwrap().l2
    };
    let ((_, body), purged) = tokio::join!(one.ask("/"), purging);
    assert_eq!((body.as_str(), purged), ("one0", PurgeState::Done));
    assert_eq!(one.ask("/").await.1, "one1");
    let three = connected(&cluster, FRESH, "three").await;
    assert_ne!(three.ask("/").await.1, "one0");
}

#[tokio::test]
async fn c12_a_lost_master_of_entries_takes_its_own_answers_along_and_no_others() {
    require!(redis);
    let mut cluster = redis_cluster(false);
    let one = connected(&cluster, FRESH, "one").await;
    let two = connected(&cluster, FRESH, "two").await;
    let paths: Vec<_> = (0..90).map(|n| format!("/{n}")).collect();
    writes_everywhere(&cluster, &one).await;
    let before = entries(&cluster);
    for path in &paths {
        one.ask(path).await;
    }
    stored(&cluster, before.iter().sum::<usize>() + paths.len()).await;
    let lost = other_master(&cluster);
    let after = entries(&cluster);
    cluster.nodes_mut()[lost].kill();
    let living = (0..after.len()).filter(|node| *node != lost);
    let left: usize = living.map(|node| after[node] - before[node]).sum();
    let mut hits = 0;
    for path in &paths {
        // A third of these go to nobody.
        for _ in 0..5 {
            let (status, _) = two.ask(&unseen()).await;
            assert_eq!(status, "pitcrew; fwd=uri-miss; stored");
        }
        hits += usize::from(is_l2_hit(&two.ask(path).await.0));
    }
    // A few slots share a circuit with those of the lost one.
    assert!(hits <= left && hits * 10 >= left * 9, "{hits} of {left}");
    assert_eq!(l2(&two).state, "up");
    assert!(l2(&two).errors > 0);
    purges_are_heard(&one, &two).await;
}

#[tokio::test]
async fn c12_a_hanging_master_of_entries_is_left_aside_and_used_again() {
    require!(redis);
    let cluster = redis_cluster(false);
    let one = connected(&cluster, FRESH, "one").await;
    let hanging = other_master(&cluster);
    cluster.nodes()[hanging].pause();
    for _ in 0..20 {
        let (status, _) = one.ask(&unseen()).await;
        assert_eq!(status, "pitcrew; fwd=uri-miss; stored");
    }
    assert!(l2(&one).errors > 0);
    assert_eq!(l2(&one).state, "up");
    let report = one.handle.purge(Purge::All).await.unwrap();
    assert_eq!(report.l2, PurgeState::Done);
    cluster.nodes()[hanging].resume();
    eventually("it is written again", FAIL_OVER, || async {
        let before = entries(&cluster)[hanging];
        one.ask(&unseen()).await;
        tokio::time::sleep(Duration::from_millis(20)).await;
        entries(&cluster)[hanging] > before
    })
    .await;
}

#[tokio::test]
async fn a_master_of_entries_that_vanishes_without_a_word_is_left_for_its_replica() {
    require!(redis);
    let cluster = redis_cluster(true);
    let one = connected(&cluster, FRESH, "one").await;
    let old = other_master(&cluster);
    let [old, new] = [&cluster.nodes()[old], &cluster.nodes()[old + 3]];
    // Its connections stay open, as those to a machine without power do.
    old.pause();
    eventually("entries reach the replica", FAIL_OVER, || async {
        one.ask(&unseen()).await;
        is_master(new) && count(new) > 0
    })
    .await;
    old.resume();
}

#[tokio::test]
async fn a_slot_that_moves_to_another_master_is_followed_there() {
    require!(redis);
    let cluster = redis_cluster(true);
    let [one, two] = pair(&cluster).await;
    let old = cluster.master_of(PURGES).unwrap();
    let [old, new] = [&cluster.nodes()[old], &cluster.nodes()[old + 3]];
    eventually("both follow", LONG, || async { blocked(old) == 2 }).await;
    // They change places without a loss, and no connection is closed.
    new.command(&["CLUSTER", "FAILOVER"]).unwrap();
    eventually("both follow there", FAIL_OVER, || async {
        is_master(new) && blocked(new) == 2 && blocked(old) == 0
    })
    .await;
    hears(&one).await;
    hears(&two).await;
    assert_eq!(one.ask("/a").await.1, "two0", "nothing was purged");
    purges_are_heard(&one, &two).await;
    purges_are_heard(&two, &one).await;
}

#[tokio::test]
async fn c20_a_purge_that_a_fail_over_of_the_cluster_loses_is_told_again() {
    require!(redis);
    let mut cluster = redis_cluster(true);
    let [one, two] = pair(&cluster).await;
    let old = cluster.master_of(PURGES).unwrap();
    let new = old + 3;
    // The purge is confirmed by a master whose replica does not hear of it.
    cluster.nodes()[new].pause();
    let cut = ["CLIENT", "KILL", "TYPE", "replica"];
    assert_eq!(cluster.nodes()[old].command(&cut).unwrap(), "1");
    // Nor does any other instance.
    drop(two);
    let report = one.handle.purge(Purge::Path("/a".into())).await.unwrap();
    assert_eq!(report.l2, PurgeState::Done);
    cluster.nodes_mut()[old].kill();
    cluster.nodes()[new].resume();
    eventually("the replica takes over", FAIL_OVER, || async {
        let (_, body) = one.ask("/a").await;
        assert_ne!(body, "two0", "purged here");
        is_master(&cluster.nodes()[new])
    })
    .await;
    hears_within(&one, FAIL_OVER).await;
    eventually("the new master is told", LONG, || async {
        l2(&one).pending_purges == 0
    })
    .await;
    // Who comes later learns it from the new master.
    let three = connected(&cluster, TAGGED, "three").await;
    assert_ne!(three.ask("/a").await.1, "two0");
    purges_are_heard(&one, &three).await;
}

#[tokio::test]
async fn instances_agree_again_after_the_master_of_the_purges_is_killed() {
    require!(redis);
    let mut cluster = redis_cluster(true);
    let [one, two] = pair(&cluster).await;
    let old = cluster.master_of(PURGES).unwrap();
    cluster.nodes_mut()[old].kill();
    let report = one.handle.purge(Purge::Tag("orders".into())).await.unwrap();
    assert_eq!(
        (report.local, report.l2),
        (PurgeState::Done, PurgeState::Pending)
    );
    eventually("the other instance lets go", FAIL_OVER, || async {
        assert_ne!(one.ask("/a").await.1, "two0", "here it holds at once");
        one.ask(&unseen()).await;
        two.ask("/a").await.1 != "two0"
    })
    .await;
    for instance in [&one, &two] {
        hears_within(instance, FAIL_OVER).await;
        assert_eq!(l2(instance).pending_purges, 0);
    }
    purges_are_heard(&two, &one).await;
    eventually("answers are shared again", LONG, || async {
        let path = unseen();
        one.ask(&path).await;
        tokio::time::sleep(Duration::from_millis(20)).await;
        is_l2_hit(&two.ask(&path).await.0)
    })
    .await;
}

#[test]
fn c12_an_instance_over_a_cluster_outlives_the_runtime_it_began_on() {
    require!(redis);
    let cluster = redis_cluster(false);
    let one = Instance::over(store(&cluster), FRESH, "one");
    for _ in 0..3 {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .unwrap();
        runtime.block_on(async {
            eventually("what is stored on this runtime is found", LONG, || async {
                let path = unseen();
                one.ask(&path).await;
                let two = connected(&cluster, FRESH, "two").await;
                is_l2_hit(&two.ask(&path).await.0)
            })
            .await;
        });
    }
}

#[tokio::test]
async fn one_node_that_answers_is_enough_to_begin() {
    require!(redis);
    let cluster = redis_cluster(false);
    let living = cluster.nodes()[0].url();
    let (secret, _) = living.rsplit_once('@').unwrap();
    let urls = [format!("{secret}@127.0.0.1:1/0"), living.clone()];
    let store = RedisStore::cluster(urls).unwrap().namespace("demo");
    let one = Instance::over(store.timeout(Duration::from_millis(500)), FRESH, "one");
    hears(&one).await;
    writes_everywhere(&cluster, &one).await;
}

#[test]
fn a_cluster_store_says_what_it_cannot_do() {
    let error = |urls: &[&str]| RedisStore::cluster(urls).unwrap_err();
    assert!(matches!(error(&[]), RedisStoreError::NoUrl));
    assert!(matches!(error(&["http://x"]), RedisStoreError::Url(_)));
    let tls = error(&["redis://x", "rediss://:secret@y"]);
    assert!(matches!(tls, RedisStoreError::Tls(_)), "{tls}");
    assert!(!tls.to_string().contains("secret"));
    let socket = error(&["redis+unix:///tmp/redis"]);
    assert!(matches!(socket, RedisStoreError::Url(_)));
    let two_passwords = error(&["redis://:a@x", "redis://:b@y"]);
    assert!(matches!(two_passwords, RedisStoreError::Url(_)));
    let store = RedisStore::cluster(["redis://:secret@x", "redis://:secret@y"]).unwrap();
    assert!(!format!("{store:?}").contains("secret"));
}
