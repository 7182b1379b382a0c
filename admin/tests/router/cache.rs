//! The cache: figures and purges.

use super::support::*;

#[tokio::test]
async fn cache_figures_follow_the_app_and_a_purge_empties_what_it_names() {
    let (app, _admin) = app(|builder| builder);
    visit(&app, "/items/1").await;
    visit(&app, "/items/1").await;
    let stats = ask(&app, Method::GET, "/cache/stats", None).await.json();
    assert_eq!((&stats["hits"], &stats["misses"]), (&json!(1), &json!(1)));
    let route = &stats["routes"][0];
    assert_eq!(
        (
            &route["region"],
            &route["hit_kinds"],
            &route["miss_reasons"]
        ),
        (&json!("api"), &json!({"fresh": 1}), &json!({"uri-miss": 1}))
    );
    assert_eq!(stats["truth"], Value::Null);

    let dry = ask(
        &app,
        Method::POST,
        "/cache/clear",
        Some(json!({"path": "/items/1", "dry_run": true})),
    )
    .await;
    assert_eq!(dry.json()["report"], Value::Null);
    for (purge, wanted) in [
        (json!({"path": "/items/1"}), 1),
        (json!({"key": "/items/1"}), 1),
        (json!({"pattern": "/items/*"}), 1),
        (json!({"prefix": "/items/"}), 1),
        (json!({"region": "api"}), 1),
        (json!({"all": true}), 1),
        (json!({"path": "/items/2"}), 0),
        (json!({"pattern": "/orders/*"}), 0),
        (json!({"tag": "orders"}), 0),
        (json!({"region": "metrics"}), 0),
    ] {
        let mut body = purge.clone();
        body["dry_run"] = true.into();
        let preview = ask(&app, Method::POST, "/cache/invalidate", Some(body))
            .await
            .json();
        assert_eq!(preview["named_entries"], wanted, "{purge}");
    }
    visit(&app, "/items/1").await;
    assert_eq!(
        ask(&app, Method::GET, "/cache/stats", None).await.json()["hits"],
        2,
        "a dry run purges nothing"
    );

    let cleared = ask(
        &app,
        Method::POST,
        "/cache/clear",
        Some(json!({"path": "/items/1"})),
    )
    .await
    .json();
    assert_eq!(cleared["report"], json!({"local": "done", "l2": "off"}));
    visit(&app, "/items/1").await;
    assert_eq!(
        ask(&app, Method::GET, "/cache/stats", None).await.json()["misses"],
        2
    );

    let named = [
        json!({"key": "/items/1"}),
        json!({"prefix": "/items/"}),
        json!({"pattern": "/*/1"}),
        json!({"all": true}),
    ];
    for (purge, misses) in named.into_iter().zip(3..) {
        ask(&app, Method::POST, "/cache/clear", Some(purge.clone())).await;
        visit(&app, "/items/1").await;
        let stats = ask(&app, Method::GET, "/cache/stats", None).await.json();
        assert_eq!(stats["misses"], misses, "{purge}");
    }

    for wrong in [
        json!({}),
        json!({"path": "/", "all": true}),
        json!({"key": "/", "prefix": "/"}),
        json!({"region": "apy"}),
        json!({"path": "items/1"}),
        json!({"key": "http://localhost/items/1"}),
        json!({"prefix": "", "dry_run": true}),
        json!({"tag": " "}),
        json!({"all": false}),
    ] {
        let answer = ask(&app, Method::POST, "/cache/clear", Some(wrong.clone())).await;
        assert_eq!(answer.status, StatusCode::UNPROCESSABLE_ENTITY, "{wrong}");
    }
}

#[tokio::test]
async fn a_request_is_explained_without_being_made() {
    let (app, _admin) = app(|builder| builder);
    visit(&app, "/items/1").await;
    let explain = async |query: &str| read(&app, &format!("/cache/explain?{query}")).await;
    assert_eq!(explain("path=/items/1").await["decision"], "hit");
    assert_eq!(explain("path=/items/2").await["decision"], "miss");
    assert_eq!(
        explain("path=/items/1&host=other").await["decision"],
        "miss"
    );
    let private = explain("path=/items/1&headers=authorization:%20Bearer%20x").await;
    assert_eq!(private["decision"], "miss", "{private}");
    assert_eq!(
        explain("path=/items/1&method=DELETE").await["decision"],
        "bypass"
    );
    assert_eq!(read(&app, "/cache/stats").await["misses"], 1);
    for wrong in [
        "",
        "path=items",
        "path=/a&method=a%20b",
        "path=/a&headers=x",
        "path=/a%00",
        "path=/a&host=%0a",
    ] {
        let answer = ask(&app, Method::GET, &format!("/cache/explain?{wrong}"), None).await;
        assert_eq!(
            answer.status,
            StatusCode::BAD_REQUEST,
            "{wrong}: {}",
            answer.text
        );
    }
}
