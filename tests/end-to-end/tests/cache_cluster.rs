//! Purges among several instances over a real Redis: what one purges, the others serve no more, whatever Redis goes
//! through.

#![allow(clippy::unwrap_used)]

mod instance;

use std::time::Duration;

use pitcrew::cache::{Purge, PurgeState};
use pitcrew_stack::{Redis, require, testing::redis};

use self::instance::{
    Answers, FRESH, Instance, LONG, TAGGED, entries, eventually, hears, is_l1_hit, is_l2_hit, l2,
    purges_are_heard, store,
};

/// An instance that hears the purges of others.
async fn connected(redis: &Redis, answers: Answers, name: &'static str) -> Instance {
    let instance = Instance::new(&redis.url(), "demo", answers, name);
    hears(&instance).await;
    instance
}

/// Two instances, each with an answer of its own to `/a` in its process.
async fn pair(redis: &Redis) -> [Instance; 2] {
    let one = connected(redis, TAGGED, "one").await;
    let two = connected(redis, TAGGED, "two").await;
    two.ask("/a").await;
    entries(redis, "demo", 1).await;
    assert!(is_l2_hit(&one.ask("/a").await.0));
    for instance in [&one, &two] {
        assert!(is_l1_hit(&instance.ask("/a").await.0));
    }
    [one, two]
}

/// Waits until an instance has let go of what it had of `/a`.
async fn lets_go(instance: &Instance) {
    eventually("the other instance hears of it", LONG, || async {
        instance.ask("/a").await.1 != "two0"
    })
    .await;
}

/// The client that blocks on the Stream: there is one an instance.
fn followers(redis: &Redis) -> Vec<String> {
    let clients = redis.command(&["CLIENT", "LIST"]).unwrap();
    let blocked = clients.lines().filter(|line| line.contains("cmd=xread"));
    let id = |line: &str| line.split([' ', '=']).nth(1).unwrap().to_owned();
    blocked.map(id).collect()
}

#[tokio::test]
async fn a_purge_by_one_instance_is_seen_by_the_process_of_another() {
    require!(redis);
    for purge in [
        Purge::Tag("orders".into()),
        Purge::Path("/a".into()),
        Purge::Key("/a".into()),
        Purge::Prefix("/".into()),
        Purge::Pattern("?a".into()),
        Purge::Region("api".into()),
        Purge::All,
    ] {
        let redis = redis();
        let [one, two] = pair(&redis).await;
        let report = one.handle.purge(purge.clone()).await.unwrap();
        assert_eq!(report.l2, PurgeState::Done, "{purge:?}");
        lets_go(&two).await;
        assert_eq!(one.calls() + two.calls(), 2, "{purge:?}");
    }
}

#[tokio::test]
async fn a_soft_purge_makes_another_process_fetch_in_the_background() {
    require!(redis);
    for purge in [
        Purge::Tag("orders".into()),
        Purge::Prefix("/".into()),
        Purge::All,
    ] {
        let redis = redis();
        let [one, two] = pair(&redis).await;
        one.handle.purge_softly(purge.clone()).await.unwrap();
        eventually("the other instance hears of it", LONG, || async {
            let (status, body) = two.ask("/a").await;
            assert_eq!(body, "two0", "given until it is replaced: {purge:?}");
            status.ends_with("soft-purge")
        })
        .await;
        lets_go(&two).await;
        assert_eq!(two.calls(), 2, "{purge:?}");
    }
}

#[tokio::test]
async fn another_name_is_left_alone_everywhere() {
    require!(redis);
    let redis = redis();
    let [one, two] = pair(&redis).await;
    one.handle.purge(Purge::Tag("parts".into())).await.unwrap();
    one.handle.purge(Purge::Path("/b".into())).await.unwrap();
    // Heard after the others, in the order of the Stream.
    two.ask("/c").await;
    one.handle.purge(Purge::Path("/c".into())).await.unwrap();
    eventually("it was heard", LONG, || async {
        two.ask("/c").await.1 != "two1"
    })
    .await;
    assert!(is_l1_hit(&two.ask("/a").await.0));
    assert!(is_l1_hit(&one.ask("/a").await.0));
}

#[tokio::test]
async fn an_unsafe_request_to_one_instance_is_seen_by_the_process_of_another() {
    require!(redis);
    let redis = redis();
    let [one, two] = pair(&redis).await;
    one.post("/a").await;
    lets_go(&two).await;
}

#[tokio::test]
async fn a_redis_that_is_killed_and_comes_back_empty_makes_every_process_let_go() {
    require!(redis);
    let mut redis = redis();
    let [one, two] = pair(&redis).await;
    redis.kill();
    let report = one.handle.purge(Purge::Path("/a".into())).await.unwrap();
    assert_eq!(
        (report.local, report.l2),
        (PurgeState::Done, PurgeState::Pending)
    );
    redis.start_again().unwrap();
    lets_go(&two).await;
    eventually("the purge is confirmed", LONG, || async {
        l2(&one).pending_purges == 0
    })
    .await;
    // And goes on as before.
    hears(&two).await;
    purges_are_heard(&one, &two).await;
}

#[tokio::test]
async fn a_flush_makes_every_process_let_go_and_purges_go_on() {
    require!(redis);
    let redis = redis();
    let [one, two] = pair(&redis).await;
    eventually("both follow", LONG, || async {
        followers(&redis).len() == 2
    })
    .await;
    let connections = followers(&redis);
    redis.command(&["FLUSHALL"]).unwrap();
    lets_go(&two).await;
    let before = two.ask("/b").await.1;
    let report = one.handle.purge(Purge::Path("/b".into())).await.unwrap();
    assert_eq!(report.local, PurgeState::Done);
    eventually("purges are heard after the flush", LONG, || async {
        two.ask("/b").await.1 != before
    })
    .await;
    eventually("the connections are those of before", LONG, || async {
        followers(&redis) == connections
    })
    .await;
}

#[tokio::test]
async fn a_part_of_the_table_that_is_evicted_takes_all_of_it() {
    require!(redis);
    for part in ["header", "hard", "soft", "patterns"] {
        let redis = redis();
        let [_one, two] = pair(&redis).await;
        let key = format!("pitcrew:{{demo}}:purges:{part}");
        assert_eq!(redis.command(&["DEL", &key]).unwrap(), "1");
        lets_go(&two).await;
    }
}

#[tokio::test]
async fn a_follower_that_is_cut_off_reads_what_it_missed() {
    require!(redis);
    let redis = redis();
    let [one, two] = pair(&redis).await;
    eventually("both follow", LONG, || async {
        followers(&redis).len() == 2
    })
    .await;
    let reads = l2(&two).table_reads;
    for id in followers(&redis) {
        redis.command(&["CLIENT", "KILL", "ID", &id]).unwrap();
    }
    one.handle.purge(Purge::Path("/a".into())).await.unwrap();
    lets_go(&two).await;
    eventually("the table is read again", LONG, || async {
        l2(&two).table_reads > reads
    })
    .await;
    assert_eq!(l2(&two).state, "up");
}

#[tokio::test]
async fn a_stream_that_is_trimmed_past_the_cursor_is_noticed() {
    require!(redis);
    let redis = redis();
    let [one, two] = pair(&redis).await;
    let reads = l2(&two).table_reads;
    // In one step, so that no follower reads the record: a purge whose record is gone at once.
    let script = "
        local position = '4000000000000000'
        redis.call('HSET', KEYS[1], 'counter', position, 'last', position, 'all', position)
        redis.call('XTRIM', KEYS[2], 'MAXLEN', 0)
        return 1";
    let [header, stream] =
        ["header", "stream"].map(|part| format!("pitcrew:{{demo}}:purges:{part}"));
    redis
        .command(&["EVAL", script, "2", &header, &stream])
        .unwrap();
    lets_go(&two).await;
    assert!(l2(&two).table_reads > reads);
    // The next position is above that one, though the clock is not.
    purges_are_heard(&one, &two).await;
}

#[tokio::test]
async fn a_purge_while_redis_stands_still_is_pending_and_then_delivered() {
    require!(redis);
    let redis = redis();
    let [one, two] = pair(&redis).await;
    redis.pause();
    let report = one.handle.purge(Purge::Path("/a".into())).await.unwrap();
    assert_eq!(
        (report.local, report.l2),
        (PurgeState::Done, PurgeState::Pending)
    );
    assert_ne!(one.ask("/a").await.1, "two0", "here it holds at once");
    assert_eq!(two.ask("/a").await.1, "two0", "there it is not known yet");
    redis.resume();
    lets_go(&two).await;
    eventually("the purge is confirmed", LONG, || async {
        l2(&one).pending_purges == 0
    })
    .await;
}

#[tokio::test]
async fn without_news_a_process_serves_what_it_has_for_a_while_only() {
    require!(redis);
    let mut redis = redis();
    let bound = Duration::from_millis(50);
    let one = Instance::over(
        store(&redis.url(), "demo").serve_while_away(bound),
        FRESH,
        "one",
    );
    let two = connected(&redis, FRESH, "two").await;
    hears(&one).await;
    for instance in [&one, &two] {
        instance.ask("/a").await;
    }
    redis.kill();
    eventually("one cannot know whether it is still true", LONG, || async {
        one.ask("/a").await.1 != "one0"
    })
    .await;
    // Thirty seconds, by default.
    assert!(is_l1_hit(&two.ask("/a").await.0));
    eventually("it knows that it hears nothing", LONG, || async {
        two.ask("/a").await;
        l2(&two).unconfirmed_hits > 0
    })
    .await;
    assert_eq!(l2(&two).state, "down");
}

#[tokio::test]
async fn an_instance_that_restarts_knows_every_purge_of_before() {
    require!(redis);
    let redis = redis();
    let [one, two] = pair(&redis).await;
    one.handle.purge(Purge::Tag("orders".into())).await.unwrap();
    drop(one);
    lets_go(&two).await;
    let restarted = Instance::new(&redis.url(), "demo", TAGGED, "restarted");
    assert_ne!(restarted.ask("/a").await.1, "two0");
    let report = restarted
        .handle
        .purge(Purge::Path("/a".into()))
        .await
        .unwrap();
    assert_eq!(report.l2, PurgeState::Done);
    let before = two.ask("/b").await.1;
    restarted
        .handle
        .purge(Purge::Path("/b".into()))
        .await
        .unwrap();
    eventually("its own purges are heard", LONG, || async {
        two.ask("/b").await.1 != before
    })
    .await;
}

#[tokio::test]
async fn dropped_instances_leave_no_follower_behind() {
    require!(redis);
    let redis = redis();
    let pair = pair(&redis).await;
    eventually("both follow", LONG, || async {
        followers(&redis).len() == 2
    })
    .await;
    drop(pair);
    eventually("both are gone", LONG, || async {
        followers(&redis).is_empty()
    })
    .await;
}

#[tokio::test]
async fn a_table_of_another_format_is_kept_out_of() {
    require!(redis);
    let redis = redis();
    let [one, two] = pair(&redis).await;
    let header = "pitcrew:{demo}:purges:header";
    redis.command(&["HSET", header, "format", "0-1-2"]).unwrap();
    eventually("it hears nothing", LONG, || async {
        l2(&one).state == "down"
    })
    .await;
    assert_eq!(
        one.handle.purge(Purge::Path("/a".into())).await.unwrap().l2,
        PurgeState::Pending
    );
    assert!(
        one.ask("/a").await.1.starts_with("one"),
        "its own handler's"
    );
    assert_eq!(
        redis.command(&["HGET", header, "format"]).unwrap(),
        "0-1-2",
        "left as it was"
    );
    drop(two);
}
