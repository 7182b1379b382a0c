//! The dashboard's pages: what has to stand on each, and how one is visited.

use serde_json::{Value, json};

use crate::browser::Browser;
use crate::shop::Shop;

/// A page: its address behind `#`, its heading, and what has to stand on it, all of it.
pub(crate) type Page = (&'static str, &'static str, &'static [&'static str]);

pub(crate) const PAGES: [Page; 17] = [
    (
        "/",
        "Overview",
        &[
            "requests a second",
            "UP",
            "API p95",
            "Requests a second",
            "the last cycle began",
        ],
    ),
    (
        "/advice",
        "Advice",
        &["planned cost", "CREATE INDEX", "public.orders"],
    ),
    (
        "/times",
        "Response times",
        &[
            "/customers/{key}/orders",
            "GET",
            "2xx",
            "All routes; a column a minute",
        ],
    ),
    (
        "/times?route=%2Fcustomers%2F%7Bkey%7D%2Forders",
        "Response times",
        &[
            "Route /customers/{key}/orders",
            "Time by percentile",
            "Requests by time, 15m",
            "Route /customers/{key}/orders; a column a minute",
            "Slowest requests",
        ],
    ),
    (
        "/cache",
        "Cache",
        &["hit ratio", "/customers/{key}/orders", "api"],
    ),
    (
        "/database",
        "Database",
        &["buffer hits", "connections", "extension"],
    ),
    (
        "/database?tab=queries",
        "Database",
        &["FROM orders WHERE customer"],
    ),
    (
        "/database?tab=tables",
        "Database",
        &["public.orders", "Vacuum"],
    ),
    (
        "/database?tab=indexes",
        "Database",
        &["CREATE INDEX", "What the checks say"],
    ),
    (
        "/database?tab=sessions",
        "Database",
        &["Nobody waits for a lock", "Sessions of this database"],
    ),
    (
        "/database?tab=pools",
        "Database",
        &["app", "of 4", "What the database has use for"],
    ),
    ("/memory", "Memory", &["resident set", "Trend"]),
    ("/load", "Load test", &["Start a load test", "Runs"]),
    ("/cycles", "Cycles", &["One every 30 min", "Cycle"]),
    ("/alerts", "Alerts", &["Rules", "Suppress 1 h"]),
    (
        "/audit",
        "Audit",
        &["intact", "POST /optimize", "operator-1"],
    ),
    ("/api", "API", &["/cache/invalidate", "GET", "curl"]),
];

/// What may be empty here, for there is nothing of it: no route is slow, no objective is set, nothing fired.
const EMPTY: [&str; 12] = [
    "No job has built",
    "Nothing is suppressed",
    "No route is slow",
    "No part was timed",
    "No request ran the same statement",
    "No objective is set",
    "No cycle has done anything",
    "Nothing has fired",
    "None yet",
    "The checks found nothing",
    "No route was measured",
    "None within",
];

/// What the page is like: quiet where nothing is on its way.
const STATE: &str = "const all = (what) => [...document.querySelectorAll(what)].map((one) => one.innerText);
    const main = document.querySelector('main');
    return { title: document.title, heading: document.querySelector('h1')?.innerText, text: main?.innerText ?? '',
        busy: all('[aria-busy=true], .loading').length, missing: all('.missing'), trouble: all('.trouble'),
        empty_charts: all('[role=img]').length - document.querySelectorAll('[role=img] canvas').length };";

/// Logs in by the form, as a person does.
pub(crate) async fn log_in(browser: &Browser, shop: &Shop, token: &str) {
    browser
        .open(&format!("{}/performance", shop.origin()))
        .await;
    assert!(browser.address().await.ends_with("/performance/login"));
    browser.write("//input[@name='token']", token).await;
    browser.click("//button[.='Log in']").await;
    browser.find("//h1[.='Overview']").await;
}

/// Goes to a page and waits until all of it is there; else tells what it is.
pub(crate) async fn visit(browser: &Browser, shop: &Shop, page: &Page) -> Result<(), String> {
    let (at, heading, texts) = page;
    browser
        .open(&format!("{}/performance#{at}", shop.origin()))
        .await;
    let is_empty = |text: &Value| {
        let text = text.as_str().unwrap();
        !EMPTY.iter().any(|empty| text.starts_with(empty))
    };
    let is_whole = |state: &Value| {
        let text = state["text"].as_str().unwrap();
        state["heading"] == *heading
            && state["busy"] == 0
            && state["empty_charts"] == 0
            && !state["missing"].as_array().unwrap().iter().any(is_empty)
            && texts.iter().all(|wanted| text.contains(wanted))
    };
    let state = browser.until(STATE, is_whole).await;
    let is_well = is_whole(&state)
        && state["trouble"] == json!([])
        && state["title"] == format!("{heading} · pitcrew");
    is_well
        .then_some(())
        .ok_or_else(|| format!("{at} wants {texts:?}, but is {state:#}"))
}
