//! Look-ups that come at once share their questions to Redis, and nothing else.

#![allow(clippy::unwrap_used)]

mod instance;

use http::Request;
use http_body_util::{BodyExt, Full};
use pitcrew_stack::{Redis, require, testing::redis};
use tower::ServiceExt;

use self::instance::{FRESH, Instance, entries, hears, is_l2_hit, l2};

const MANY: usize = 256;

fn path(n: usize) -> String {
    format!("/{n}")
}

/// An instance that has nothing, and what another one has left for it in Redis.
async fn filled(redis: &Redis) -> (Instance, Vec<String>) {
    let one = Instance::new(&redis.url(), "demo", FRESH, "one");
    hears(&one).await;
    let mut bodies = Vec::new();
    for n in 0..MANY {
        bodies.push(one.ask(&path(n)).await.1);
    }
    entries(redis, "demo", MANY).await;
    let two = Instance::new(&redis.url(), "demo", FRESH, "two");
    hears(&two).await;
    (two, bodies)
}

type Asked = tokio::task::JoinHandle<(String, String)>;

fn ask(instance: &Instance, n: usize) -> Asked {
    let app = instance.app.clone();
    let request = Request::builder()
        .uri(path(n))
        .header("host", "app.example");
    let request = request.body(Full::default()).unwrap();
    tokio::spawn(async move {
        let response = app.oneshot(request).await.unwrap();
        let status = response.headers()["cache-status"]
            .to_str()
            .unwrap()
            .to_owned();
        let body = response.into_body().collect().await.unwrap().to_bytes();
        (status, String::from_utf8(body.to_vec()).unwrap())
    })
}

fn calls(redis: &Redis, command: &str) -> usize {
    let stats = redis.command(&["INFO", "commandstats"]).unwrap();
    let of = format!("cmdstat_{command}:calls=");
    let count = stats
        .split(&of)
        .nth(1)
        .and_then(|rest| rest.split(',').next());
    count.map_or(0, |count| count.parse().unwrap())
}

#[tokio::test]
async fn each_of_many_at_once_has_its_own_answer_and_they_share_their_questions() {
    require!(redis);
    let redis = redis();
    let (two, bodies) = filled(&redis).await;
    redis.command(&["CONFIG", "RESETSTAT"]).unwrap();
    let asked: Vec<_> = (0..MANY).map(|n| ask(&two, n)).collect();
    for (asked, body) in asked.into_iter().zip(bodies) {
        let (status, found) = asked.await.unwrap();
        assert!(is_l2_hit(&status), "{status}");
        assert_eq!(found, body);
    }
    let (alone, together) = (calls(&redis, "get"), calls(&redis, "mget"));
    assert!(
        together > 0 && alone + together <= MANY / 4,
        "{alone} and {together}"
    );
    assert_eq!(two.calls(), 0);
}

#[tokio::test]
async fn who_goes_away_takes_nobody_along() {
    require!(redis);
    let redis = redis();
    let (two, bodies) = filled(&redis).await;
    let asked: Vec<_> = (0..MANY).map(|n| ask(&two, n)).collect();
    // Each has begun; those that began each of the questions are among them.
    tokio::task::yield_now().await;
    asked.iter().step_by(2).for_each(Asked::abort);
    for (n, (asked, body)) in asked.into_iter().zip(bodies).enumerate() {
        match asked.await {
            Ok((status, found)) => {
                assert!(is_l2_hit(&status), "{status}");
                assert_eq!(found, body);
            }
            Err(error) => assert!(error.is_cancelled() && n % 2 == 0),
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_runtime_that_ends_leaves_the_others_their_answers() {
    require!(redis);
    let redis = redis();
    let (two, bodies) = filled(&redis).await;
    // At every number of steps of the other runtime: before, while and after it asks.
    for steps in 0..16 {
        let begin = steps * 16;
        let other = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .unwrap();
        let app = &two;
        tokio::task::block_in_place(|| {
            other.block_on(async {
                for n in begin..begin + 6 {
                    drop(ask(app, n));
                }
                for _ in 0..steps {
                    tokio::task::yield_now().await;
                }
            });
            drop(other);
        });
        let here: Vec<_> = (begin + 6..begin + 16).map(|n| (n, ask(&two, n))).collect();
        for (n, asked) in here {
            let (status, found) = asked.await.unwrap();
            assert!(is_l2_hit(&status), "{status} after {steps}");
            assert_eq!(found, bodies[n]);
        }
    }
    assert_eq!(l2(&two).errors, 0);
}

/// Another runtime goes on, though those that gather are of one that does not.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_runtime_that_stands_still_keeps_no_other_waiting() {
    require!(redis);
    let redis = redis();
    let (two, bodies) = filled(&redis).await;
    let other = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    let app = &two;
    let stuck: Vec<_> = tokio::task::block_in_place(|| {
        other.block_on(async {
            let stuck = (0..8).map(|n| ask(app, n)).collect();
            tokio::task::yield_now().await;
            stuck
        })
    });
    for (n, body) in bodies.iter().enumerate().skip(8) {
        let (status, found) = ask(&two, n).await.unwrap();
        assert!(is_l2_hit(&status), "{status}");
        assert_eq!(found, *body);
    }
    assert_eq!(l2(&two).errors, 0);
    tokio::task::block_in_place(|| {
        other.block_on(async {
            for asked in stuck {
                asked.await.unwrap();
            }
        });
        drop(other);
    });
}

/// A user of Redis that may `GET` alone (ACL).
#[tokio::test]
async fn where_redis_refuses_to_be_asked_for_many_each_asks_for_itself() {
    require!(redis);
    let redis = redis();
    let (two, bodies) = filled(&redis).await;
    redis
        .command(&["ACL", "SETUSER", "default", "-mget"])
        .unwrap();
    let asked: Vec<_> = (0..MANY).map(|n| ask(&two, n)).collect();
    for (asked, body) in asked.into_iter().zip(bodies) {
        let (status, found) = asked.await.unwrap();
        assert!(is_l2_hit(&status), "{status}");
        assert_eq!(found, body);
    }
    assert_eq!((l2(&two).errors, two.calls()), (0, 0));
}

/// Something large may have been among them: the next ones do not wait for it.
#[tokio::test]
async fn after_a_question_that_failed_each_goes_by_itself_at_first() {
    require!(redis);
    let redis = redis();
    let (two, bodies) = filled(&redis).await;
    redis.pause();
    for asked in (0..16).map(|n| ask(&two, n)).collect::<Vec<_>>() {
        asked.await.unwrap();
    }
    redis.resume();
    hears(&two).await;
    redis.command(&["CONFIG", "RESETSTAT"]).unwrap();
    let many = 16..32;
    let asked: Vec<_> = many.clone().map(|n| ask(&two, n)).collect();
    for (asked, body) in asked.into_iter().zip(&bodies[many]) {
        let (status, found) = asked.await.unwrap();
        assert!(is_l2_hit(&status), "{status}");
        assert_eq!(found, *body);
    }
    assert_eq!((calls(&redis, "get"), calls(&redis, "mget")), (16, 0));
}

#[tokio::test]
async fn while_redis_hangs_all_are_answered_and_later_all_are_found() {
    require!(redis);
    let redis = redis();
    let (two, bodies) = filled(&redis).await;
    redis.pause();
    let asked: Vec<_> = (0..MANY / 2).map(|n| ask(&two, n)).collect();
    for asked in asked {
        let (status, _) = asked.await.unwrap();
        assert!(!is_l2_hit(&status), "{status}");
    }
    assert_eq!(two.calls(), MANY / 2);
    redis.resume();
    hears(&two).await;
    for (n, body) in bodies.iter().enumerate().skip(MANY / 2) {
        let (status, found) = two.ask(&path(n)).await;
        assert!(is_l2_hit(&status), "{status}");
        assert_eq!(found, *body);
    }
}
