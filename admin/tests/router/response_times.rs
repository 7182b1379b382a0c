//! Response times, slow routes and objectives.

use super::support::*;
use pitcrew::LatencyLayer;
use pitcrew::clock::Clock;
use pitcrew::latency::{Objective, Target, statement};

#[tokio::test]
async fn response_times_are_those_of_the_app() {
    let (app, _admin) = app(|builder| builder);
    for _ in 0..3 {
        visit(&app, "/items/1").await;
    }
    let times = ask(&app, Method::GET, "/response-times", None).await.json();
    assert_eq!(times["requests"], 3);
    assert_eq!(times["series"][0]["count"], 3);
    assert_eq!(times["series"][0]["status_class"], "2xx");
    assert!(times["total"]["p99_ms"].as_f64().expect("a number") > 0.0);
}

#[tokio::test]
async fn how_long_requests_took_is_told_by_steps_and_minute_by_minute() {
    let (app, _admin) = app(|builder| builder);
    for _ in 0..3 {
        visit(&app, "/items/1").await;
    }
    send(&app, request(Method::GET, "/nowhere", None, None)).await;
    let sum = |counts: &Value| -> u64 {
        let counts = counts.as_array().expect("counts");
        counts.iter().filter_map(Value::as_u64).sum()
    };
    let all = |map: &Value| -> u64 {
        map["counts"]
            .as_array()
            .expect("columns")
            .iter()
            .map(sum)
            .sum()
    };
    let map = read(&app, "/response-times/heat-map").await;
    assert_eq!((all(&map), &map["column_s"]), (4, &json!(60)), "{map}");
    let steps = map["bounds_ms"].as_array().expect("bounds").len() + 1;
    let columns = map["counts"].as_array().expect("columns");
    assert_eq!(columns.len(), map["at"].as_array().expect("times").len());
    assert!(
        columns
            .iter()
            .all(|column| column.as_array().map(Vec::len) == Some(steps))
    );
    let times = read(&app, "/response-times").await;
    let route = times["series"].as_array().expect("series").iter();
    let route = route
        .filter_map(|row| row["route"].as_str())
        .find(|route| route.starts_with("/items"));
    let route = route
        .expect("the route")
        .replace('/', "%2F")
        .replace('{', "%7B")
        .replace('}', "%7D");
    let of_route = read(&app, &format!("/response-times/heat-map?route={route}")).await;
    assert_eq!(all(&of_route), 3, "{of_route}");
    let later = read(&app, "/response-times/heat-map?since=2100-01-01T00:00:00Z").await;
    assert_eq!((all(&later), &later["at"]), (0, &json!([])));
    let one = read(&app, &format!("/response-times/{route}")).await;
    assert_eq!(sum(&one["histogram"]["counts"]), 3, "{one}");
}

#[tokio::test]
async fn the_config_says_which_instance_it_is_and_what_is_kept() {
    let (app, _admin) = app(|builder| builder.instance("web-2").environment("production"));
    let config = read(&app, "/config").await;
    assert_eq!(
        config["instance"],
        json!({"name": "web-2", "environment": "production"})
    );
    assert_eq!(config["kept"]["is_wanted"], false);
    for wrong in [
        builder().instance("two\nlines"),
        builder().environment(""),
        // Nowhere to keep anything, or no name to find it by.
        builder().instance("web-2").keep_in_database(true),
        builder()
            .database("postgres://127.0.0.1/x")
            .keep_in_database(true),
    ] {
        assert!(wrong.build().is_err());
    }
}

/// A slow route that asks the database again and again and has an objective: each of its faults is an answer's, and the next cycle's advice.
#[tokio::test]
async fn slow_routes_their_parts_and_objectives_are_told_and_become_advice() {
    let clock = Clock::manual();
    let target = Target::new("/orders*", 0.95, Duration::from_millis(50)).expect("a target");
    let objective = Objective::latency("/orders*", Duration::from_millis(50), 0.99);
    let (layer, latency) = LatencyLayer::builder()
        .clock(clock.clone())
        .target(target)
        .objective(Objective::availability("*", 0.999).expect("an objective"))
        .objective(objective.expect("an objective").name("orders are fast"))
        .build();
    let admin = builder().latency(latency).build().expect("builds");
    let orders = move || {
        let clock = clock.clone();
        async move {
            for id in 0..12 {
                let read = async { clock.advance(Duration::from_millis(10)) };
                let line = statement("SELECT part FROM lines WHERE id = $1").parameters(&id);
                line.run(read).await;
            }
        }
    };
    let app = Router::new()
        .route("/orders", get(orders))
        .layer(layer)
        .nest("/performance", admin.router());
    for _ in 0..120 {
        visit(&app, "/orders").await;
    }
    let read = async |path: &str| ask(&app, Method::GET, path, None).await.json();

    let slow = read("/response-times/slow").await;
    assert_eq!(slow["findings"][0]["by"]["kind"], "target", "{slow}");
    assert_eq!(slow["findings"][1]["by"]["kind"], "objective", "{slow}");
    let parts = read("/response-times/parts?window=1h").await;
    let route = &parts["routes"][0];
    assert_eq!(
        (&route["route"], &route["parts"][0]["name"]),
        (&json!("/orders"), &json!("database"))
    );
    assert_eq!(
        (&route["mean_ms"], &route["rest_mean_ms"]),
        (&json!(120.0), &json!(0.0))
    );
    let repeated = read("/response-times/n-plus-one?window=total").await;
    assert_eq!(
        repeated["findings"][0]["statement"],
        "select part from lines where id = ?"
    );
    assert_eq!(repeated["findings"][0]["executions_max"], 12);
    let slos = read("/slos").await;
    assert_eq!(slos["objectives"][0]["name"], "orders are fast");
    assert_eq!(
        (
            &slos["objectives"][0]["state"],
            &slos["objectives"][1]["state"]
        ),
        (&json!("page"), &json!("ok"))
    );

    let steps = json!({"parts": ["response_times"]});
    ask(&app, Method::POST, "/optimize", Some(steps)).await;
    let report = loop {
        if let Some(report) = read("/cycles").await["cycles"].get(0) {
            break report.to_string();
        }
        tokio::task::yield_now().await;
    };
    for id in [
        "over-target:GET /orders",
        "slo:orders are fast",
        "n-plus-one:GET /orders:select part from lines where id = ?",
    ] {
        assert!(report.contains(id), "{id}: {report}");
    }
    for bad in ["?window=2h", "?window=", "?window=1m&window=5m"] {
        let answer = ask(
            &app,
            Method::GET,
            &format!("/response-times/slow{bad}"),
            None,
        )
        .await;
        assert_eq!(
            answer.status,
            StatusCode::BAD_REQUEST,
            "{bad}: {}",
            answer.text
        );
    }
}

#[tokio::test]
async fn response_times_are_of_the_window_that_is_asked_for() {
    let (app, _admin) = app(|builder| builder);
    visit(&app, "/items/1").await;
    for window in ["1m", "5m", "15m", "1h", "total"] {
        let path = format!("/response-times?window={window}");
        let times = ask(&app, Method::GET, &path, None).await.json();
        assert_eq!(times["total"]["window"], window);
        assert_eq!(
            (&times["total"]["count"], &times["series"][0]["count"]),
            (&json!(1), &json!(1)),
            "{window}"
        );
    }
    for wrong in ["window=2m", "window=", "window=1m&window=5m"] {
        let answer = ask(&app, Method::GET, &format!("/response-times?{wrong}"), None).await;
        assert_eq!(answer.status, StatusCode::BAD_REQUEST, "{wrong}");
        let detail = answer.json()["detail"].to_string();
        assert!(detail.contains("window"), "{detail}");
    }
}

#[tokio::test]
async fn one_route_is_told_with_its_windows_and_compared() {
    let (app, _admin) = app(|builder| builder);
    visit(&app, "/items/1").await;
    let route = read(
        &app,
        "/response-times/%2Fitems%2F%7Bid%7D?window=1m&against=1h",
    )
    .await;
    assert_eq!(
        (&route["route"], &route["window"]),
        (&json!("/items/{id}"), &json!("1m"))
    );
    for window in ["1m", "5m", "15m", "1h", "total"] {
        assert_eq!(route["figures"][window]["count"], 1, "{window}");
    }
    assert_eq!(route["series"][0]["method"], "GET");
    assert_eq!(route["change"]["against"], "1h");
    let unknown = ask(&app, Method::GET, "/response-times/%2Fnothing", None).await;
    assert_eq!(unknown.status, StatusCode::NOT_FOUND);
    let wrong = ask(
        &app,
        Method::GET,
        "/response-times/%2Fitems?against=2h",
        None,
    )
    .await;
    assert_eq!(wrong.status, StatusCode::BAD_REQUEST);
}
