//! Plans with steps against a shop that wants to be visited properly: who did not log in, or says a token that was not given
//! to it, buys nothing.

#![cfg(all(feature = "scripts", feature = "http2", feature = "reports"))]

use std::collections::{BTreeMap, BTreeSet};
use std::convert::Infallible;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::SystemTime;

use bytes::Bytes;
use http::{HeaderMap, Method, Request, Response};
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use pitcrew_load::{ErrorKind, HttpPlan, Report, Results, Target, merge, start};
use tokio::net::TcpListener;

/// What it saw.
#[derive(Default)]
struct Shop {
    logins: AtomicU64,
    users: Mutex<BTreeMap<String, u64>>,
    bought: Mutex<BTreeSet<String>>,
    browsed: AtomicU64,
    faults: Mutex<Vec<String>>,
}

impl Shop {
    fn fault(&self, text: String) -> Response<Full<Bytes>> {
        let mut faults = self.faults.lock().unwrap_or_else(PoisonError::into_inner);
        faults.push(text);
        with(403, "no")
    }

    async fn answer(&self, request: Request<Incoming>) -> Response<Full<Bytes>> {
        let (parts, body) = request.into_parts();
        let Ok(body) = body.collect().await.map(|body| body.to_bytes()) else {
            return with(400, "half a body");
        };
        let header = |name: &str| text_of(&parts.headers, name);
        match (&parts.method, parts.uri.path()) {
            (&Method::POST, "/login") => {
                let number = self.logins.fetch_add(1, Relaxed);
                let told: serde_json::Value = serde_json::from_slice(&body).unwrap_or_default();
                let Some(user) = told["user"].as_str() else {
                    return self.fault(format!("login without a user: {told}"));
                };
                let mut users = self.users.lock().unwrap_or_else(PoisonError::into_inner);
                *users.entry(user.to_owned()).or_default() += 1;
                let mut response = with(200, format!(r#"{{"token": "t{number}"}}"#));
                let cookie = format!("session=s{number}; Path=/; HttpOnly");
                if let Ok(cookie) = cookie.parse() {
                    response.headers_mut().insert("set-cookie", cookie);
                }
                response
            }
            (&Method::GET, "/browse") => {
                // Every tenth is out of stock.
                let number = self.browsed.fetch_add(1, Relaxed);
                with(if number % 10 == 9 { 410 } else { 200 }, "goods")
            }
            (&Method::PUT, path) if path.starts_with("/orders/") => {
                let token = header("authorization").replace("Bearer t", "");
                if header("cookie") != format!("session=s{token}") {
                    return self.fault(format!("{token:?} with {:?}", header("cookie")));
                }
                let mut bought = self.bought.lock().unwrap_or_else(PoisonError::into_inner);
                if !bought.insert(path.to_owned()) {
                    return self.fault(format!("{path} a second time"));
                }
                with(201, format!(r#"{{"order": "{path}"}}"#))
            }
            (method, path) => self.fault(format!("{method} {path}")),
        }
    }
}

fn text_of(headers: &HeaderMap, name: &str) -> String {
    let value = headers.get(name).and_then(|value| value.to_str().ok());
    value.unwrap_or_default().to_owned()
}

fn with(status: u16, body: impl Into<Bytes>) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(body.into()));
    *response.status_mut() = status.try_into().expect("a status");
    response
}

async fn open_shop(is_http2: bool) -> (Target, Arc<Shop>) {
    let shop = Arc::new(Shop::default());
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("bound");
    let address = listener.local_addr().expect("address");
    let own = Arc::clone(&shop);
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let shop = Arc::clone(&own);
            let service = service_fn(move |request| {
                let shop = Arc::clone(&shop);
                async move { Ok::<_, Infallible>(shop.answer(request).await) }
            });
            let stream = TokioIo::new(stream);
            tokio::spawn(async move {
                if is_http2 {
                    let _ = hyper::server::conn::http2::Builder::new(TokioExecutor::new())
                        .serve_connection(stream, service)
                        .await;
                } else {
                    let _ = hyper::server::conn::http1::Builder::new()
                        .serve_connection(stream, service)
                        .await;
                }
            });
        }
    });
    let target = Target::resolve(&format!("http://{address}")).expect("resolves");
    (target, shop)
}

const STEPS: &str = r#"
    "data": {
        "user": {"rows": {"csv": "name\nann\nbob\ncem\n"}},
        "order": {"counter": {}}
    },
    "steps": [
        {"name": "login", "method": "POST", "path": "/login", "body": "{\"user\": {{user.name|json}}}",
         "capture": {"token": {"json": "/token"}}},
        {"name": "browse", "path": "/browse"},
        {"name": "buy", "method": "PUT", "path": "/orders/{{order}}", "body": "x", "headers": {"authorization": "Bearer {{token}}"},
         "expect": {"status": [201], "json": {"/order": "/orders/1"}, "headers": {"content-length": "22"}}}
    ]"#;

/// Where the order's number is not in the check.
fn plan(rest: &str) -> HttpPlan {
    let steps = STEPS.replace(
        r#""json": {"/order": "/orders/1"}, "headers": {"content-length": "22"}"#,
        r#""body_matches": "\"/orders/[0-9]+\"""#,
    );
    serde_json::from_str(&format!("{{{steps}, {rest}}}")).expect("a plan")
}

async fn visited(plan: &HttpPlan, target: &Target) -> Report {
    let run = start("9", plan, target).expect("starts");
    run.finished().await.clone()
}

#[tokio::test(flavor = "multi_thread")]
async fn visits_go_through_their_steps_with_cookies_tokens_and_data() {
    for (version, is_http2) in [("http1", false), ("http2", true)] {
        let (target, shop) = open_shop(is_http2).await;
        let plan = plan(&format!(
            r#""version": "{version}", "connections": 4, "requests": 100"#
        ));
        let report = visited(&plan, &target).await;
        let faults = shop.faults.lock().unwrap_or_else(PoisonError::into_inner);
        assert!(faults.is_empty(), "{version}: {faults:?}");
        let names: Vec<_> = report.steps.iter().map(|step| step.name.as_str()).collect();
        assert_eq!(names, ["login", "browse", "buy"]);
        let counts: Vec<_> = report
            .steps
            .iter()
            .map(|step| (step.requests, step.ok))
            .collect();
        // Who finds nothing in stock does not buy.
        assert_eq!(counts, [(100, 100), (100, 90), (90, 90)], "{version}");
        assert_eq!(report.requests, 290);
        assert_eq!(report.errors, [(ErrorKind::Status, 10)].into());
        assert_eq!(
            report.steps[1].unmet,
            [("status 410".to_owned(), 10)].into()
        );
        assert_eq!(report.statuses, [(200, 190), (201, 90), (410, 10)].into());
        // Rows go round over all visitors.
        let users = shop.users.lock().unwrap_or_else(PoisonError::into_inner);
        let wants = [("ann", 34), ("bob", 33), ("cem", 33)];
        assert!(
            users
                .iter()
                .map(|(name, count)| (name.as_str(), *count))
                .eq(wants),
            "{users:?}"
        );
        assert_eq!(report.connections.connected, 4);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_that_is_not_what_a_step_expects_is_an_error_of_that_step() {
    let (target, _shop) = open_shop(false).await;
    let plan: HttpPlan =
        serde_json::from_str(&format!(r#"{{{STEPS}, "connections": 1, "requests": 3}}"#))
            .expect("a plan");
    let report = visited(&plan, &target).await;
    let buy = &report.steps[2];
    assert_eq!((buy.requests, buy.ok), (3, 1));
    assert_eq!(buy.errors, [(ErrorKind::Check, 2)].into());
    assert_eq!(buy.unmet, [("json /order".to_owned(), 2)].into());
    assert_eq!(buy.statuses, [(201, 3)].into());
    assert_eq!(report.errors, [(ErrorKind::Check, 2)].into());
}

#[tokio::test(flavor = "multi_thread")]
async fn in_an_open_model_visits_are_due_and_their_later_steps_are_not() {
    let (target, shop) = open_shop(false).await;
    let plan =
        plan(r#""connections": 64, "open": {"stages": [{"duration_s": 0.5, "rate_per_s": 200}]}"#);
    let report = visited(&plan, &target).await;
    assert_eq!(report.due, 100);
    assert_eq!(
        report.steps[0].requests + report.missed + report.unfinished,
        100
    );
    assert_eq!(shop.logins.load(Relaxed), report.steps[0].requests);
    assert_eq!(report.steps[0].lag.count, report.steps[0].requests);
    assert_eq!(report.steps[1].lag.count, 0);
    assert_eq!(report.lag.count, report.steps[0].requests);
}

#[tokio::test(flavor = "multi_thread")]
async fn parts_of_a_plan_with_steps_merge_to_the_whole() {
    let (target, shop) = open_shop(false).await;
    let mut parts = Vec::new();
    for part in ["1/2", "2/2"] {
        let plan = plan(&format!(
            r#""connections": 4, "requests": 50, "part": "{part}""#
        ));
        let report = visited(&plan, &target).await;
        let results = Results::new("shop:80", &plan, SystemTime::UNIX_EPOCH, report);
        let read = Results::read(&results.json()).expect("what was written");
        assert_eq!(read, results);
        parts.push((part.to_owned(), read));
    }
    let merged = merge(&parts).expect("one plan");
    let faults = shop.faults.lock().unwrap_or_else(PoisonError::into_inner);
    assert!(faults.is_empty(), "each order once over both: {faults:?}");
    let steps = &merged.report.steps;
    assert_eq!(steps[0].requests, 50);
    for (at, step) in steps.iter().enumerate() {
        let of = |part: usize| &parts[part].1.report.steps[at];
        assert_eq!(step.requests, of(0).requests + of(1).requests);
        assert_eq!(
            step.response.count,
            of(0).response.count + of(1).response.count
        );
        assert_eq!(
            step.response.max_ms,
            of(0).response.max_ms.max(of(1).response.max_ms)
        );
    }
    assert!(
        merged.markdown().contains("| browse |"),
        "{}",
        merged.markdown()
    );
    let page = merged.html();
    assert!(
        page.contains("<td class=\"left\">browse</td><td>50</td>"),
        "{page}"
    );
    assert!(!page.contains("cem"), "rows may hold secrets: {page}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cancelled_visit_takes_no_further_step() {
    let (target, shop) = open_shop(false).await;
    let mut plan = plan(r#""connections": 2, "duration_s": 600"#);
    plan.visits.steps[1].think_ms = 60_000;
    let run = start("9", &plan, &target).expect("starts");
    while run.progress().finished < 2 {
        tokio::task::yield_now().await;
    }
    run.cancel();
    let report = run.finished().await;
    assert!(report.cancelled);
    assert_eq!(report.steps[1].requests, 0);
    assert_eq!(shop.browsed.load(Relaxed), 0);
    assert_eq!((report.unfinished, report.unfinished_follow_ups), (0, 0));
}
