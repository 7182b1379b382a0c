//! end-to-end
//! The dashboard in a real browser, over a service with a cache, latency, memory and a database with the extension: every page
//! shows its data, loads nothing from elsewhere, and can be used by whoever cannot see it; every action does what it says.
//!
//! Pictures of all pages are kept in `target/pitcrew/dashboard`. `PITCREW_PICTURES=1 ./pitcrew test -y dashboard` makes those of the
//! README anew.

#![allow(
    clippy::unwrap_used,
    reason = "a test ends where something unexpected happens"
)]

#[path = "support/target.rs"]
mod target;

mod browser;
mod pages;
mod shop;

use std::fs;
use std::time::Duration;

use browser::{Browser, Scheme};
use http::{Method, StatusCode};
use pages::{PAGES, log_in, visit};
use pitcrew_stack::require;
use serde_json::{Value, json};
use shop::{OPERATOR, READER, Shop};

/// Longest wait for something that has to happen: a bug, not a slow machine, takes longer.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

/// A cycle has run and somebody has done something, so that no page is empty that need not be.
async fn with_a_past(shop: &Shop) {
    let (status, started) = shop.ask(Method::POST, "/optimize", Some(json!({}))).await;
    assert_eq!(status, StatusCode::ACCEPTED, "{started}");
    let is_past = |told: &Value| told["cycles"][0]["id"].is_number() && told["is_running"] == false;
    shop.until("/cycles?limit=1", is_past).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn every_page_shows_its_data_to_everybody_and_asks_nobody_else() {
    require!(database, extension, statements, browser);
    let shop = Shop::open().await;
    with_a_past(&shop).await;
    let browser = Browser::start().await;
    log_in(&browser, &shop, OPERATOR).await;
    let folder = target::folder("dashboard");
    let mut faults = Vec::new();
    for page in &PAGES {
        let name = match page.0.trim_matches('/') {
            "" => "overview".to_owned(),
            path => path
                .split(|letter: char| !letter.is_ascii_alphanumeric())
                .filter(|part| !matches!(*part, "" | "tab"))
                .take(2)
                .collect::<Vec<_>>()
                .join("-"),
        };
        for (scheme, width, kind) in [
            (Scheme::Light, 1280, "light"),
            (Scheme::Dark, 1280, "dark"),
            (Scheme::Light, 390, "390px"),
        ] {
            browser.prefer(scheme).await;
            browser.resize(width, 900).await;
            faults.extend(visit(&browser, &shop, page).await.err());
            let overflow = browser.overflow().await;
            if overflow["pixels"] != 0 {
                faults.push(format!("{} at {width} px: {overflow}", page.0));
            }
            let violations = browser.violations().await.into_iter();
            faults.extend(violations.map(|one| format!("{} {kind}: {one}", page.0)));
            let picture = browser.picture(true).await;
            fs::write(folder.join(format!("{name}-{kind}.png")), picture).unwrap();
        }
    }
    assert_eq!(faults, Vec::<String>::new());
    assert_eq!(
        browser.complaints(&shop.origin()).await,
        Vec::<String>::new()
    );
    browser.quit().await;
    shop.close().await;
}

/// The pixels of each map of heat that have a colour, and whose name stands in the head.
const DRAWN: &str = "const coloured = (canvas) => {
        const pixels = canvas.getContext('2d').getImageData(0, 0, canvas.width, canvas.height).data;
        return pixels.filter((value, place) => place % 4 === 3 && value > 0).length;
    };
    return { maps: [...document.querySelectorAll('.heat canvas')].map(coloured),
        rows: [...document.querySelectorAll('.heat tbody')].map((body) => body.rows.length),
        where: document.querySelector('.where').innerText };";

#[tokio::test(flavor = "multi_thread")]
async fn the_heat_of_all_routes_and_of_one_is_drawn_under_the_name_of_the_instance() {
    require!(database, extension, statements, browser);
    let shop = Shop::open().await;
    let browser = Browser::start().await;
    log_in(&browser, &shop, READER).await;
    for (page, maps) in [(2, 1), (3, 2)] {
        assert_eq!(visit(&browser, &shop, &PAGES[page]).await, Ok(()));
        let is_drawn = |told: &Value| {
            let all = |what: &str| told[what].as_array().unwrap().clone();
            let is_more = |value: &Value| value.as_f64() > Some(0.0);
            all("maps").len() == maps
                && all("maps").iter().all(is_more)
                && all("rows").iter().all(is_more)
        };
        let drawn = browser.until(DRAWN, is_drawn).await;
        assert!(is_drawn(&drawn), "{}: {drawn}", PAGES[page].0);
        assert_eq!(drawn["where"], "shop-1 · test");
    }
    browser.quit().await;
    shop.close().await;
}

/// What the open dialog says would be done, by the names that it shows.
async fn plan(browser: &Browser) -> Value {
    browser.find("//dialog//h3[.='What would be done']").await;
    let facts = "return Object.fromEntries([...document.querySelectorAll('dialog dl.facts > div')].map((one) =>
        [one.querySelector('dt').innerText, one.querySelector('dd').innerText]));";
    browser.run(facts, json!([])).await
}

/// Does what the open dialog is for, once it can be done, after typing the word that it wants.
async fn confirm(browser: &Browser, word: Option<&str>) {
    let go = "//dialog//button[@type='submit']";
    if let Some(word) = word {
        assert!(!browser.is_enabled(go).await, "{word} has not been typed");
        browser.write("//dialog//input", word).await;
    }
    browser.click(go).await;
    browser.find("//dialog//h3[.='Done']").await;
    browser.click("//dialog//button[.='Close']").await;
}

/// The indexes of the shop's table that can be used.
const BUILT: &str =
    "SELECT count(*) FROM pg_index WHERE indrelid = 'orders'::regclass AND indisvalid";

#[tokio::test(flavor = "multi_thread")]
async fn what_an_operator_does_is_planned_first_and_done() {
    require!(database, extension, statements, browser);
    let shop = Shop::open().await;
    let browser = Browser::start().await;
    log_in(&browser, &shop, OPERATOR).await;
    let open = async |at: &str| {
        browser
            .open(&format!("{}/performance#{at}", shop.origin()))
            .await;
    };

    // A purge: the plan counts and does nothing, the end makes the entry old.
    let decision = async || {
        let path = "/cache/explain?path=/customers/1/orders";
        shop.ask(Method::GET, path, None).await.1["decision"].clone()
    };
    let purge = "//section[@aria-label='Purge']";
    open("/cache").await;
    browser
        .write(&format!("{purge}//input"), "/customers/1/orders")
        .await;
    shop.leave().await;
    assert_eq!(decision().await, "hit");
    browser.click(&format!("{purge}//button[.='Purge']")).await;
    assert_eq!(plan(&browser).await["named entries"], "1");
    assert_eq!(decision().await, "hit", "a plan purges nothing");
    confirm(&browser, None).await;
    assert_ne!(decision().await, "hit");

    // A cycle, from its button to its row.
    open("/cycles").await;
    browser.click("//button[.='Start one now']").await;
    confirm(&browser, None).await;
    browser
        .find("//table[caption='Cycles, the newest first']/tbody/tr[1]/td[.='request']")
        .await;

    // An index: planned, built by a job, and there.
    open("/database?tab=indexes").await;
    browser.click("//button[.='Plan and build it']").await;
    let planned = plan(&browser).await;
    assert!(planned.to_string().contains("customer"), "{planned}");
    assert_eq!(shop.database.run(&[BUILT]), [[Some("0".to_owned())]]);
    confirm(&browser, None).await;
    open("/database?tab=jobs").await;
    browser
        .find("//table[caption='The last jobs']//tr[td[.='create_index'] and td/span[.='done']]")
        .await;
    assert_eq!(shop.database.run(&[BUILT]), [[Some("1".to_owned())]]);
    open("/advice").await;
    browser
        .find("//table[caption='Indexes that jobs have built']//tr[td[2]='orders' or td[2]='public.orders']")
        .await;

    // A load test, and its report.
    open("/load").await;
    browser
        .write(
            "//section[@aria-label='Start a load test']//label[@class='wide']/textarea",
            r#"{"http": {"duration_s": 2, "connections": 2}, "thresholds": ["max < 60s"]}"#,
        )
        .await;
    browser
        .click("//section[@aria-label='Start a load test']//button[.='Start']")
        .await;
    plan(&browser).await;
    confirm(&browser, Some("load")).await;
    shop.until("/load-test", |told| told["runs"][0]["state"] == "finished")
        .await;
    browser
        .click("//section[@aria-label='Runs']//tbody//button")
        .await;
    for shown in [
        "dt[starts-with(., 'ok')]",
        "figure[figcaption='Answers a second']//tbody/tr",
        "table[caption='Thresholds']//span[.='held']",
        "a[.='html']",
        "div[@class='sparks']/figure[figcaption='memory rss mib']/div[@role='img']",
    ] {
        let report = "//section[@aria-label='Run 1']";
        browser.find(&format!("{report}//{shown}")).await;
    }
    assert_eq!(
        browser.complaints(&shop.origin()).await,
        Vec::<String>::new()
    );
    browser.quit().await;
    shop.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reader_looks_at_all_of_it_and_changes_nothing() {
    require!(database, extension, statements, browser);
    let shop = Shop::open().await;
    with_a_past(&shop).await;
    let browser = Browser::start().await;
    log_in(&browser, &shop, READER).await;
    browser.find("//*[@class='badge' and .='read-only']").await;
    let refused = "return [...document.querySelectorAll('button[title=\"An operator\\'s token may do this\"]')].map((one) => one.disabled)";
    let (mut actions, mut faults) = (0, Vec::new());
    for page in &PAGES {
        faults.extend(visit(&browser, &shop, page).await.err());
        let buttons = browser.run(refused, json!([])).await;
        let buttons = buttons.as_array().unwrap();
        assert!(
            buttons.iter().all(|disabled| disabled == true),
            "{}",
            page.0
        );
        actions += buttons.len();
        assert_eq!(
            browser
                .run(
                    "return document.querySelectorAll('dialog').length",
                    json!([])
                )
                .await,
            0
        );
    }
    assert_eq!(faults, Vec::<String>::new());
    assert!(actions > 10, "only {actions} actions were looked at");
    assert_eq!(
        browser.complaints(&shop.origin()).await,
        Vec::<String>::new()
    );
    // Nor by hand, with the session of the page.
    let by_hand = "const done = arguments[arguments.length - 1];
        fetch('cache/clear', { method: 'POST', headers: { 'content-type': 'application/json' }, body: '{}' })
            .then((answer) => done(answer.status), (error) => done(String(error)));";
    assert_eq!(browser.run_until_it_calls_back(by_hand).await, 403);

    browser.click("//button[.='Log out']").await;
    browser.find("//h1[.='Log in']").await;
    browser
        .open(&format!("{}/performance", shop.origin()))
        .await;
    assert!(browser.address().await.ends_with("/performance/login"));
    browser.quit().await;
    shop.close().await;
}

/// The README's pictures: the name, the page, the colours.
const PICTURES: [(&str, usize, Scheme); 3] = [
    ("overview", 0, Scheme::Light),
    ("response-times", 2, Scheme::Dark),
    ("advice", 1, Scheme::Light),
];
/// A page of the README loads all of them.
const MOST_BYTES: usize = 200_000;

#[tokio::test(flavor = "multi_thread")]
async fn the_readme_shows_the_dashboard_in_small_pictures() {
    let root = pitcrew_stack::checkout();
    if std::env::var_os("PITCREW_PICTURES").is_some() {
        require!(database, extension, statements, browser);
        take_pictures(&root.join("docs/pictures")).await;
    }
    let readme = fs::read_to_string(root.join("README.md")).unwrap();
    for (name, _, _) in PICTURES {
        let path = format!("docs/pictures/{name}.png");
        assert!(readme.contains(&path), "{path}");
        let picture = fs::read(root.join(&path)).unwrap();
        assert!(picture.starts_with(b"\x89PNG"), "{path}");
        assert!(picture.len() < MOST_BYTES, "{path}: {}", picture.len());
    }
}

async fn take_pictures(folder: &std::path::Path) {
    let shop = Shop::open().await;
    with_a_past(&shop).await;
    // Enough for lines to be lines, and for targets to be judged.
    shop.until("/history?step=second&metric=requests_per_s", |told| {
        told["at"].as_array().is_some_and(|at| at.len() > 50)
    })
    .await;
    let browser = Browser::start().await;
    browser.resize(1120, 760).await;
    log_in(&browser, &shop, OPERATOR).await;
    fs::create_dir_all(folder).unwrap();
    for (name, page, scheme) in PICTURES {
        browser.prefer(scheme).await;
        assert_eq!(visit(&browser, &shop, &PAGES[page]).await, Ok(()));
        let picture = browser.picture(false).await;
        fs::write(folder.join(format!("{name}.png")), picture).unwrap();
    }
    browser.quit().await;
    shop.close().await;
}
