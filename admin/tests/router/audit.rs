//! The audit, and keys of repeated requests.

use std::path::PathBuf;

use tower::ServiceExt;

use super::support::*;

/// A file of this test alone, gone at its end.
struct Scratch(PathBuf);

impl Scratch {
    fn new(name: &str) -> Self {
        let name = format!("pitcrew-audit-{}-{name}", std::process::id());
        Self(std::env::temp_dir().join(name))
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.0);
    }
}

async fn clear(app: &Router, tag: &str) -> Answer {
    ask(
        app,
        Method::POST,
        "/cache/clear",
        Some(json!({ "tag": tag })),
    )
    .await
}

#[tokio::test]
async fn a20_an_action_is_written_before_and_completed_after() {
    let (app, _admin) = app(|builder| builder);
    clear(&app, "orders").await;
    let body = Some(json!({"nonsense": 1}));
    ask(&app, Method::POST, "/cache/clear", body).await;
    let refused = request(Method::POST, "/performance/cache/clear", Some(READER), None);
    assert_eq!(send(&app, refused).await.status, StatusCode::FORBIDDEN);
    ask(&app, Method::PUT, "/cache/clear", None).await;
    let audit = read(&app, "/audit").await;
    let entries = audit["entries"].as_array().expect("a list");
    let told: Vec<_> = entries
        .iter()
        .map(|entry| {
            (
                entry["kind"].as_str(),
                entry["action"].as_u64(),
                entry["status"].as_u64(),
            )
        })
        .collect();
    assert_eq!(
        told,
        [
            (Some("ended"), Some(3), Some(422)),
            (Some("begun"), Some(3), None),
            (Some("ended"), Some(1), Some(200)),
            (Some("begun"), Some(1), None),
        ],
        "neither what is refused for want of a role nor a wrong method is an action"
    );
    let first = &entries[3];
    assert_eq!(
        (&first["who"], &first["name"], &first["asked"]),
        (
            &json!("operator-1"),
            &json!("POST /cache/clear"),
            &json!("{\"tag\":\"orders\"}")
        )
    );
    assert_eq!(audit["chain"]["is_intact"], true);
}

#[tokio::test]
async fn the_audit_is_read_in_pages_filtered_and_as_csv() {
    let (app, _admin) = app(|builder| builder);
    for tag in ["a", "=2+2"] {
        clear(&app, tag).await;
    }
    ask(
        &app,
        Method::POST,
        "/memory/gc",
        Some(json!({"dry_run": true})),
    )
    .await;
    let (mut path, mut seen) = ("/audit?limit=4".to_owned(), Vec::new());
    loop {
        let page = read(&app, &path).await;
        let entries = page["entries"].as_array().expect("a list");
        seen.extend(entries.iter().filter_map(|entry| entry["seq"].as_u64()));
        let Some(cursor) = page["next_cursor"].as_str() else {
            break;
        };
        // What comes in between moves no page.
        ask(
            &app,
            Method::POST,
            "/memory/gc",
            Some(json!({"dry_run": true})),
        )
        .await;
        path = format!("/audit?limit=4&cursor={cursor}");
    }
    assert_eq!(seen, [6, 5, 4, 3, 2, 1]);
    let only = read(&app, "/audit?name=POST%20/memory/gc&who=operator-1").await;
    assert!(
        only["entries"]
            .as_array()
            .expect("a list")
            .iter()
            .all(|entry| entry["dry_run"] == true)
    );
    for (query, is_empty) in [
        ("since=2000-01-01T00:00:00Z", false),
        ("until=2000-01-01T00:00:00Z", true),
        ("who=nobody", true),
    ] {
        let page = read(&app, &format!("/audit?{query}")).await;
        assert_eq!(page["entries"] == json!([]), is_empty, "{query}");
    }
    for wrong in [
        "limit=0",
        "limit=1001",
        "cursor=x",
        "since=now",
        "format=xml",
        "whom=ann",
    ] {
        let answer = ask(&app, Method::GET, &format!("/audit?{wrong}"), None).await;
        assert_eq!(answer.status, StatusCode::BAD_REQUEST, "{wrong}");
    }
    let csv = ask(&app, Method::GET, "/audit?format=csv", None).await;
    assert_eq!(csv.headers[header::CONTENT_TYPE], "text/csv; charset=utf-8");
    assert!(csv.text.starts_with("seq,at,kind,"), "{}", csv.text);
    assert!(
        csv.text.contains("\"{\"\"tag\"\":\"\"=2+2\"\"}\""),
        "{}",
        csv.text
    );
}

#[tokio::test]
async fn a20_the_file_goes_on_after_a_restart_and_tampering_shows() {
    let scratch = Scratch::new("restart");
    let begin = || app(|builder| builder.audit_file(&scratch.0));
    for expected in [2, 4] {
        let (app, _admin) = begin();
        clear(&app, "orders").await;
        let chain = read(&app, "/audit").await["chain"].clone();
        assert_eq!(
            (&chain["is_intact"], &chain["entries"], &chain["kept_in"]),
            (&json!(true), &json!(expected), &json!("file"))
        );
    }
    let good = std::fs::read_to_string(&scratch.0).expect("a file");
    let (app, _admin) = begin();
    let broken = async || read(&app, "/audit").await["chain"]["first_broken_seq"].clone();
    let write = |text: &str| std::fs::write(&scratch.0, text).expect("written");
    write(&good.replacen("orders", "nothing", 1));
    assert_eq!(broken().await, 1, "changed");
    let lines: Vec<_> = good.lines().collect();
    write(&[&lines[..1], &lines[2..]].concat().join("\n"));
    assert_eq!(broken().await, 3, "one is gone");
    write(&lines[..3].join("\n"));
    assert_eq!(broken().await, 4, "the last is gone");
    write(&format!("nonsense\n{good}"));
    assert_eq!(broken().await, 1, "a line that is none");
    write(&lines[2..].join("\n"));
    assert_eq!(broken().await, 2, "the first are gone");
    let (later, _later) = begin();
    let told = read(&later, "/audit").await;
    assert_eq!(
        told["chain"]["first_broken_seq"], 2,
        "and a restart hides it not"
    );
    write(&good);
    assert_eq!(broken().await, Value::Null);
}

#[tokio::test]
async fn a20_what_is_put_in_the_place_of_the_file_is_written_to_and_shows() {
    let scratch = Scratch::new("replaced");
    let (app, _admin) = app(|builder| builder.audit_file(&scratch.0));
    clear(&app, "before").await;
    // As an editor or a rotation of others' does it.
    std::fs::remove_file(&scratch.0).expect("removed");
    clear(&app, "after").await;
    let text = std::fs::read_to_string(&scratch.0).expect("made anew");
    assert!(text.contains("after") && !text.contains("before"), "{text}");
    let chain = read(&app, "/audit").await["chain"].clone();
    assert_eq!(chain["is_intact"], false, "{chain}");
}

#[cfg(target_os = "linux")]
#[tokio::test]
async fn what_cannot_be_written_down_is_not_done() {
    // Every write to it fails, as on a full disk.
    let (app, _admin) = app(|builder| builder.audit_file("/dev/full"));
    visit(&app, "/items/1").await;
    let answer = ask(
        &app,
        Method::POST,
        "/cache/clear",
        Some(json!({"all": true})),
    )
    .await;
    assert_eq!(
        answer.status,
        StatusCode::SERVICE_UNAVAILABLE,
        "{}",
        answer.text
    );
    assert!(answer.text.contains("nothing is done"), "{}", answer.text);
    visit(&app, "/items/1").await;
    assert_eq!(read(&app, "/cache/stats").await["hits"], 1);
}

#[tokio::test]
async fn a_repeated_key_is_answered_and_not_done_again() {
    let (app, _admin) = app(|builder| builder);
    let post = async |key: &str, body: Value| {
        let request = request(
            Method::POST,
            "/performance/cache/clear",
            Some(OPERATOR),
            Some(body),
        );
        send(&app, with(request, "idempotency-key", key)).await
    };
    let purges = async || read(&app, "/cache/stats").await["purges"].clone();
    let first = post("k1", json!({"all": true})).await;
    let second = post("k1", json!({"all": true})).await;
    assert_eq!((first.status, first.text), (second.status, second.text));
    assert_eq!(second.headers["idempotent-replayed"], "true");
    assert_eq!(purges().await, 1);
    let other = post("k1", json!({"tag": "a"})).await;
    assert_eq!(other.status, StatusCode::UNPROCESSABLE_ENTITY);
    post("k2", json!({"all": true})).await;
    assert_eq!(purges().await, 2);
    for _ in 0..2 {
        let refused = post("k3", json!({})).await;
        assert_eq!(refused.status, StatusCode::UNPROCESSABLE_ENTITY);
        assert!(
            !refused.headers.contains_key("idempotent-replayed"),
            "nothing was done"
        );
    }
    for wrong in ["", "a b", "a\tb", &"k".repeat(256)] {
        let answer = post(wrong, json!({"all": true})).await;
        assert_eq!(answer.status, StatusCode::BAD_REQUEST);
    }
    let audit = read(&app, "/audit").await;
    assert_eq!(
        audit["entries"].as_array().expect("a list").len(),
        2 * 4,
        "{audit}"
    );
}

#[tokio::test]
async fn an_action_with_a_key_is_done_to_its_end_also_when_its_client_goes() {
    let (app, _admin) = app(|builder| builder);
    let post = || {
        let body = Some(json!({}));
        let request = request(Method::POST, "/performance/memory/gc", Some(OPERATOR), body);
        with(request, "idempotency-key", "once")
    };
    {
        let mut first = std::pin::pin!(app.clone().oneshot(post()));
        tokio::select! {
            biased;
            answer = &mut first => panic!("it ended before its client went: {answer:?}"),
            () = std::future::ready(()) => {}
        }
    }
    let again = loop {
        let answer = send(&app, post()).await;
        if answer.status != StatusCode::CONFLICT {
            break answer;
        }
        tokio::task::yield_now().await;
    };
    assert_eq!(again.status, StatusCode::OK, "{}", again.text);
    assert_eq!(again.headers["idempotent-replayed"], "true");
    let audit = read(&app, "/audit").await;
    let kinds: Vec<_> = audit["entries"]
        .as_array()
        .expect("a list")
        .iter()
        .map(|entry| entry["kind"].clone())
        .collect();
    assert_eq!(kinds, ["ended", "begun"], "{audit}");
}

#[tokio::test]
async fn what_has_left_the_memory_is_found_in_the_file_and_csv_has_all_of_it() {
    let scratch = Scratch::new("beyond");
    let (app, _admin) = app(|builder| builder.audit_file(&scratch.0));
    clear(&app, "first").await;
    for _ in 0..600 {
        let body = Some(json!({"dry_run": true}));
        ask(&app, Method::POST, "/memory/gc", body).await;
    }
    let seqs = |page: &Value| -> Vec<u64> {
        let entries = page["entries"].as_array().expect("a list");
        entries
            .iter()
            .filter_map(|entry| entry["seq"].as_u64())
            .collect()
    };
    let only = read(&app, "/audit?name=POST%20/cache/clear").await;
    assert_eq!(seqs(&only), [2, 1]);
    let (mut path, mut seen) = ("/audit?limit=700".to_owned(), Vec::new());
    loop {
        let page = read(&app, &path).await;
        seen.extend(seqs(&page));
        let Some(cursor) = page["next_cursor"].as_str() else {
            break;
        };
        path = format!("/audit?limit=700&cursor={cursor}");
    }
    assert_eq!(seen, (1..=1_202).rev().collect::<Vec<_>>());
    let rows = async |query: &str| {
        let path = format!("/audit?format=csv{query}");
        let csv = ask(&app, Method::GET, &path, None).await;
        csv.text.lines().count() - 1
    };
    assert_eq!(rows("").await, 1_202);
    assert_eq!(rows("&limit=3").await, 3);
    assert_eq!(rows("&name=POST%20/cache/clear").await, 2);
    assert_eq!(rows("&who=nobody").await, 0);
}
