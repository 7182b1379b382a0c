//! What the admin router keeps in the database: the next process of the same name goes on from it, and somebody who changes it shows.

#![allow(clippy::unwrap_used)]

#[path = "support/router.rs"]
mod router;

use std::time::Duration;

use http::{Method, StatusCode};
use pitcrew::LatencyLayer;
use pitcrew_admin::{Admin, AdminBuilder, AlertRule};
use pitcrew_stack::{require, testing};
use router::{ask, get, until};
use serde_json::{Value, json};

/// One process of the instance `web-1`; its rule fires at the first look.
fn process(url: &str, configure: impl FnOnce(AdminBuilder) -> AdminBuilder) -> Admin {
    let rule = AlertRule::above("always", "admin_failed_logins_per_min", -1.0);
    router::admin(url, |builder| {
        let builder = builder.instance("web-1").keep_in_database(true);
        configure(builder.alert(rule.lasting(Duration::ZERO)))
    })
}

/// A minute of an hour ago, as an earlier process kept it: its figures, and its times.
const KEPT: &str = "INSERT INTO pitcrew_admin.kept SELECT 'web-1', kind, m, to_timestamp(m), body::jsonb FROM \
    (SELECT extract(epoch FROM date_trunc('minute', now()) - interval '1 hour')::bigint AS m) AS earlier, \
    (VALUES ('minute', '{\"cpu_percent\": [12.5, 30]}'), \
     ('heat', '{\"whole\": [0, 0, 0, 0, 0, 7, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0], \"routes\": {\"/orders\": [[5, 7]]}}')) AS kept (kind, body)";

async fn kept(admin: &Admin) -> Value {
    let is_kept = |_, told: &Value| told["kept"]["is_kept"] == true;
    until(admin, "/config", "nothing is kept", is_kept).await
}

fn rule(alerts: &Value) -> &Value {
    let rules = alerts["rules"].as_array().unwrap();
    rules.iter().find(|rule| rule["name"] == "always").unwrap()
}

/// An action that is written down.
async fn act(admin: &Admin) {
    let body = Some(json!({"for_s": 60}));
    let (status, told) = ask(admin, Method::POST, "/cycles/pause", body).await;
    assert_eq!(status, StatusCode::OK, "{told}");
}

#[tokio::test]
async fn the_next_process_goes_on_with_alerts_audit_and_history() {
    require!(database);
    let database = testing::database();
    let first = process(&database.url, |builder| builder);
    let has_fired = |_, told: &Value| rule(told)["state"] == "firing";
    let fired = until(&first, "/alerts", "it does not fire", has_fired).await;
    act(&first).await;
    act(&first).await;
    kept(&first).await;
    // What has not been copied yet is by now.
    first.shutdown(Duration::from_secs(10)).await;
    database.run(&[KEPT]);

    let (_, latency) = LatencyLayer::builder().build();
    let second = process(&database.url, |builder| builder.latency(latency));
    // Something happens before it can know what was.
    act(&second).await;
    kept(&second).await;
    let goes_on = |_, told: &Value| rule(told)["since"] == rule(&fired)["since"];
    let alerts = until(&second, "/alerts", "it fires anew", goes_on).await;
    let audit = get(&second, "/audit").await;
    let entries = audit["entries"].as_array().unwrap();
    let seqs: Vec<_> = entries
        .iter()
        .map(|entry| entry["seq"].as_u64().unwrap())
        .collect();
    assert_eq!(seqs, [6, 5, 4, 3, 2, 1], "{audit}");
    assert_eq!(entries[0]["action"], 5, "{audit}");
    let history = get(&second, "/history?step=minute&metric=cpu_percent").await;
    let series = &history["series"][0];
    assert_eq!(
        (&series["mean"][0], &series["max"][0]),
        (&json!(12.5), &json!(30.0))
    );

    let marks: Vec<_> = history["marks"]
        .as_array()
        .unwrap()
        .iter()
        .map(|mark| mark["kind"].as_str().unwrap())
        .collect();
    let of = |kind: &str| marks.iter().filter(|known| **known == kind).count();
    assert_eq!(
        (of("start"), of("action"), of("alert")),
        (2, 3, 1),
        "{history}"
    );
    assert_eq!(marks[0], "start", "the oldest first: {history}");
    let heat = get(&second, "/response-times/heat-map?route=/orders").await;
    let columns = heat["counts"].as_array().unwrap();
    let met = columns.iter().filter(|counts| counts[5] == 7).count();
    assert_eq!(met, 1, "{heat}");

    // Its own is kept behind it.
    let is_whole = |_, told: &Value| {
        told["chain"]["kept_in"] == "database" && told["chain"]["is_intact"] == true
    };
    until(&second, "/audit", "the audit is not kept", is_whole).await;
    second.shutdown(Duration::from_secs(10)).await;
    let counted = |kind: &str| {
        let count = format!("SELECT count(*) FROM pitcrew_admin.kept WHERE kind = '{kind}'");
        database.run(&[&count])[0][0].clone().unwrap()
    };
    assert_eq!(counted("audit"), "6");
    assert!(counted("mark").parse::<usize>().unwrap() >= marks.len());
    let told = alerts["history"].as_array().unwrap().len();
    assert!(
        counted("alert").parse::<usize>().unwrap() >= told,
        "{alerts}"
    );
}

#[tokio::test]
async fn what_an_operator_has_suppressed_and_paused_and_what_cycles_did_is_there_in_the_next_process()
 {
    require!(database);
    let database = testing::database();
    // An alert's cycle would be in the way of the one that is asked for.
    let quiet = |builder: AdminBuilder| builder.alerts_start_cycles(false);
    let first = process(&database.url, quiet);
    let order = async |admin: &Admin, path: &str, seconds: u64| {
        let body = Some(json!({"for_s": seconds}));
        let (status, told) = ask(admin, Method::POST, path, body).await;
        assert_eq!(status, StatusCode::OK, "{told}");
        told
    };
    let suppressed = order(&first, "/alerts/cpu/suppress", 3_600).await;
    order(&first, "/alerts/memory-rss/suppress", 3_600).await;
    let paused = order(&first, "/cycles/pause", 7_200).await;
    let report = router::cycle(&first, json!({"parts": ["cache"], "dry_run": true})).await;
    kept(&first).await;
    first.shutdown(Duration::from_secs(10)).await;

    let second = process(&database.url, |builder| {
        quiet(builder).without_alert("memory-rss")
    });
    kept(&second).await;
    let until_of = |alerts: &Value, name: &str| {
        let rules = alerts["rules"].as_array().unwrap();
        let rule = rules.iter().find(|rule| rule["name"] == name).unwrap();
        rule["suppressed_until"].clone()
    };
    let alerts = get(&second, "/alerts").await;
    assert_eq!(until_of(&alerts, "cpu"), suppressed["suppressed_until"]);
    assert_eq!(until_of(&alerts, "database-down"), Value::Null);
    let cycles = get(&second, "/cycles").await;
    assert_eq!(cycles["paused_until"], paused["paused_until"]);
    let path = format!("/cycles/{}", report["id"]);
    assert_eq!(get(&second, &path).await, report);
    assert_eq!(
        get(&second, "/status").await["last_cycle_at"],
        cycles["cycles"][0]["started_at"]
    );
    let next = router::cycle(&second, json!({"parts": ["cache"]})).await;
    assert!(next["id"].as_u64() > report["id"].as_u64(), "{next}");
    // What ends an order is kept too.
    for path in ["/alerts/cpu/suppress", "/cycles/pause"] {
        let (status, told) = ask(&second, Method::DELETE, path, None).await;
        assert_eq!(status, StatusCode::OK, "{told}");
    }
    second.shutdown(Duration::from_secs(10)).await;
    let third = process(&database.url, quiet);
    kept(&third).await;
    let alerts = get(&third, "/alerts").await;
    assert_eq!(until_of(&alerts, "cpu"), Value::Null);
    assert_eq!(get(&third, "/cycles").await["paused_until"], Value::Null);
    third.shutdown(Duration::from_secs(10)).await;
}

#[tokio::test]
async fn a_copy_of_the_audit_that_somebody_changes_shows() {
    require!(database);
    let database = testing::database();
    let admin = process(&database.url, |builder| builder);
    act(&admin).await;
    kept(&admin).await;
    let of = |wanted: bool| {
        move |_, told: &Value| {
            told["chain"]["kept_in"] == "database" && told["chain"]["is_intact"] == wanted
        }
    };
    until(&admin, "/audit", "it is not kept", of(true)).await;
    let change = "UPDATE pitcrew_admin.kept SET body = jsonb_set(body, '{who}', '\"somebody-else\"') WHERE kind = 'audit' AND id = 1";
    let own = database
        .run(&["SELECT body ->> 'who' FROM pitcrew_admin.kept WHERE kind = 'audit' AND id = 1"]);
    database.run(&[change]);
    let changed = until(&admin, "/audit", "the change does not show", of(false)).await;
    assert_eq!(changed["chain"]["first_broken_seq"], 1, "{changed}");
    let back = format!(
        "UPDATE pitcrew_admin.kept SET body = jsonb_set(body, '{{who}}', '\"{}\"') WHERE kind = 'audit' AND id = 1",
        own[0][0].as_deref().unwrap()
    );
    database.run(&[&back]);
    until(&admin, "/audit", "it is as it was", of(true)).await;
    database.run(&["DELETE FROM pitcrew_admin.kept WHERE kind = 'audit' AND id = 2"]);
    until(&admin, "/audit", "what is gone does not show", of(false)).await;
    admin.shutdown(Duration::from_secs(10)).await;
}

#[tokio::test]
async fn a_role_that_may_not_keep_anything_is_told_what_to_do_and_the_rest_goes_on() {
    require!(database);
    let database = testing::database();
    let role = format!("keeps_nothing_{}", std::process::id());
    database.run(&[&format!(
        "CREATE ROLE {role} LOGIN PASSWORD 'keeps-nothing'"
    )]);
    let (scheme, rest) = database.url.split_once("://").unwrap();
    let (_, place) = rest.split_once('@').unwrap();
    let url = format!("{scheme}://{role}:keeps-nothing@{place}");
    let admin = process(&url, |builder| builder);
    act(&admin).await;
    let is_told = |_, told: &Value| {
        let detail = told["kept"]["detail"].as_str().unwrap_or_default();
        detail.contains("GRANT CREATE ON DATABASE")
    };
    let told = until(&admin, "/config", "nobody says why", is_told).await;
    assert_eq!(told["kept"]["is_kept"], false, "{told}");
    act(&admin).await;
    let audit = get(&admin, "/audit").await;
    assert_eq!(
        (&audit["chain"]["is_intact"], &audit["chain"]["kept_in"]),
        (&json!(true), &json!("memory"))
    );
    // Once it may, what has waited is kept.
    database.run(&[&format!("CREATE SCHEMA pitcrew_admin AUTHORIZATION {role}")]);
    kept(&admin).await;
    admin.shutdown(Duration::from_secs(10)).await;
    let count = database.run(&["SELECT count(*) FROM pitcrew_admin.kept WHERE kind = 'audit'"]);
    assert_eq!(count[0][0].as_deref(), Some("4"));
    database.run(&[
        "DROP SCHEMA pitcrew_admin CASCADE",
        &format!("DROP ROLE {role}"),
    ]);
}
