//! Memory: figures, trend, release.

use super::support::*;

#[tokio::test]
async fn memory_figures_are_those_of_this_process() {
    let (app, _admin) = app(|builder| builder);
    let usage = ask(&app, Method::GET, "/memory/usage", None).await.json();
    assert!(usage["process"]["rss_bytes"].as_u64().expect("a number") > 1 << 20);
    let released = ask(&app, Method::POST, "/memory/gc", None).await.json();
    assert!(released["report"]["detail"].is_string());
    let trend = ask(&app, Method::GET, "/memory/trend", None).await.json();
    assert!(trend["seconds"][0]["rss_bytes"].as_u64().expect("a number") > 1 << 20);
    let leak = ask(&app, Method::GET, "/memory/leak", None).await.json();
    assert_eq!(leak["state"], "unknown");
    assert!(
        leak["detail"]
            .as_str()
            .expect("a sentence")
            .contains("114 minutes")
    );
}

#[cfg(not(feature = "jemalloc-pprof"))]
#[tokio::test]
async fn a_heap_profile_that_cannot_be_says_what_to_do() {
    let (app, _admin) = app(|builder| builder);
    let answer = ask(&app, Method::POST, "/memory/heap-profile", None).await;
    assert_eq!(answer.status, StatusCode::NOT_FOUND);
    let detail = answer.json()["detail"].to_string();
    assert!(detail.contains("jemalloc-pprof"), "{detail}");
}
