//! end-to-end
//! What the dashboard makes of data in a real browser: of what a process kept that is gone, and of names that are meant to be more than
//! text.

#![allow(
    dead_code,
    clippy::unwrap_used,
    reason = "a part of the browser and of the pages is other tests'; a test ends where something unexpected happens"
)]

mod browser;
mod pages;
mod shop;

use std::time::Duration;

use browser::Browser;
use http::{Method, StatusCode};
use pages::log_in;
use pitcrew_stack::require;
use serde_json::{Value, json};
use shop::{OPERATOR, READER, Shop};

/// Longest wait for something that has to happen: a bug, not a slow machine, takes longer.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

/// A minute of half an hour ago, as a process kept it that is gone: its figures, and its times.
const KEPT: &str = "INSERT INTO pitcrew_admin.kept SELECT 'shop-1', kind, m, pg_catalog.to_timestamp(m), body::jsonb FROM \
    (SELECT extract(epoch FROM date_trunc('minute', now()) - interval '30 minutes')::bigint AS m) AS earlier, \
    (VALUES ('minute', '{\"cpu_percent\": [12.5, 30], \"requests_per_s\": [7, 9]}'), \
     ('heat', '{\"whole\": [0, 0, 0, 0, 0, 4321, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0], \"routes\": {\"/\": [[5, 4321]]}}')) AS kept (kind, body)";

#[tokio::test(flavor = "multi_thread")]
async fn what_a_process_kept_is_on_the_pages_of_the_next_one() {
    require!(database, extension, statements, browser);
    let shop = Shop::open().await;
    let (status, told) = shop
        .ask(Method::POST, "/cycles/pause", Some(json!({"for_s": 77})))
        .await;
    assert_eq!(status, StatusCode::OK, "{told}");
    shop.until("/config", |told| told["kept"]["is_kept"] == true)
        .await;
    let shop = shop.reopen(&[KEPT]).await;
    shop.until("/config", |told| told["kept"]["is_kept"] == true)
        .await;
    let browser = Browser::start().await;
    log_in(&browser, &shop, READER).await;
    // The two starts, and what was done before the second of them.
    let past = "//section[@aria-label='What happened']//tbody";
    browser
        .find(&format!(
            "{past}[count(tr[td[2]='start'])=2]/tr[td[2]='action' and contains(td[3], '/cycles/pause by operator-1')]"
        ))
        .await;
    for (page, shown) in [
        (
            "/times",
            "//section[@aria-label='Minute by minute']//tbody/tr[td[2]='4,321']",
        ),
        (
            "/times?route=%2F",
            "//section[@aria-label='Route /']//figure[contains(figcaption, 'a column a minute')]//tbody/tr[td[2]='4,321']",
        ),
        // A line from half an hour ago to now, and what happened meanwhile.
        (
            "/times?span=24+h",
            "//section[@aria-label='Over time']//li[contains(., '/cycles/pause by operator-1')]",
        ),
        (
            "/?span=24+h",
            "//section[@aria-label='Over time']//figure[figcaption='Requests a second']/div[@role='img']",
        ),
    ] {
        browser
            .open(&format!("{}/performance#{page}", shop.origin()))
            .await;
        // A table behind a picture is there for whoever opens it.
        let path = json!(format!("boolean({shown})"));
        let is_there = format!(
            "return document.evaluate({path}, document, null, XPathResult.BOOLEAN_TYPE).booleanValue;"
        );
        let told = browser.until(&is_there, |told| *told == true).await;
        assert_eq!(told, true, "{page}: {shown}");
    }
    assert_eq!(
        browser.complaints(&shop.origin()).await,
        Vec::<String>::new()
    );
    browser.quit().await;
    shop.close().await;
}

/// A name that is a script wherever somebody takes it for markup.
const HOSTILE: &str = "<img src=x onerror=owned()>";

/// Where the name stands as text, and what has become of it otherwise.
const MADE_OF_IT: &str = "const main = document.querySelector('main');
    return { shown: (main?.innerText.split(name).length ?? 1) - 1, title: document.title,
        made: document.querySelectorAll('main :is(img, script, iframe, object, embed, svg)').length };";

#[tokio::test(flavor = "multi_thread")]
async fn a12_hostile_names_are_text_on_every_page_and_no_script_runs() {
    require!(database, extension, statements, browser);
    let shop = Shop::open().await;
    shop.database.run(&[&format!(
        "CREATE TABLE \"{HOSTILE}\" AS SELECT generate_series(1, 5000) AS id"
    )]);
    let mut config: tokio_postgres::Config = shop.database.url.parse().unwrap();
    config.application_name(HOSTILE);
    let (client, connection) = config.connect(tokio_postgres::NoTls).await.unwrap();
    tokio::spawn(connection);
    for (path, body) in [
        ("/cache/clear", json!({"tag": HOSTILE})),
        (
            "/database/suppressed",
            json!({"cache_key": HOSTILE, "reason": HOSTILE}),
        ),
    ] {
        let (status, told) = shop.ask(Method::POST, path, Some(body)).await;
        assert_eq!(status, StatusCode::OK, "{told}");
    }
    let browser = Browser::start().await;
    log_in(&browser, &shop, OPERATOR).await;
    let script = format!("const name = {}; {MADE_OF_IT}", json!(HOSTILE));
    for page in [
        "/",
        "/advice",
        "/database?tab=tables",
        "/database?tab=sessions",
        "/audit",
        "/times?route=%3Cimg+src%3Dx+onerror%3Downed%28%29%3E",
    ] {
        browser
            .open(&format!("{}/performance#{page}", shop.origin()))
            .await;
        let is_shown = |told: &Value| told["shown"].as_u64() > Some(0);
        let told = browser.until(&script, is_shown).await;
        assert!(is_shown(&told), "{page}: {told}");
        assert_eq!(told["made"], 0, "{page}: {told}");
        let title = told["title"].as_str().unwrap();
        assert!(title.ends_with(" · pitcrew"), "{page}: {told}");
    }
    let complaints = browser.complaints(&shop.origin()).await;
    // There is no such route, which the page says.
    let others = complaints
        .iter()
        .filter(|one| !one.contains("404") || !one.contains("/response-times/"));
    assert_eq!(others.collect::<Vec<_>>(), Vec::<&String>::new());
    drop(client);
    browser.quit().await;
    shop.close().await;
}
