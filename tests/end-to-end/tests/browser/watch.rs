//! What the browser's console and network say of the pages.

use std::collections::HashSet;

use serde_json::Value;

use super::Browser;

impl Browser {
    /// Whatever is wrong since the last call: errors and warnings of the console (a breach of the content security policy is
    /// one), requests to another origin, reports of the policy, requests that failed. Refusals that a test provokes itself are
    /// left out by their path.
    pub(crate) async fn complaints(&self, origin: &str) -> Vec<String> {
        let mut complaints = Vec::new();
        for entry in self.log("browser").await {
            let level = entry["level"].as_str().unwrap();
            if matches!(level, "WARNING" | "SEVERE") {
                complaints.push(format!("console: {level} {}", entry["message"]));
            }
        }
        // The browser's own first page may fail on its way out, from before anybody listened: that is none of ours.
        let mut seen = HashSet::new();
        for entry in self.log("performance").await {
            let event: Value = serde_json::from_str(entry["message"].as_str().unwrap()).unwrap();
            let event = &event["message"];
            let request = event["params"]["requestId"].to_string();
            let is_told = match event["method"].as_str() {
                Some("Network.requestWillBeSent") => {
                    seen.insert(request);
                    true
                }
                Some("Network.loadingFailed") => seen.contains(&request),
                _ => true,
            };
            if is_told {
                complaints.extend(complaint(event, origin));
            }
        }
        // Else silence would be the log's, not the pages'.
        assert!(!seen.is_empty(), "the network log is empty");
        complaints
    }
}

/// What is wrong with one event of the network, if anything.
fn complaint(event: &Value, origin: &str) -> Option<String> {
    let params = &event["params"];
    match event["method"].as_str()? {
        "Network.requestWillBeSent" => {
            let url = params["request"]["url"].as_str()?;
            let is_ours = url
                .strip_prefix(origin)
                .is_some_and(|rest| rest.starts_with('/'));
            let is_report = params["type"] == "CSPViolationReport";
            // The browser's own first page, which leaves this process for nothing.
            let is_internal = ["about:", "chrome:", "chrome-untrusted:", "data:"]
                .iter()
                .any(|scheme| url.starts_with(scheme));
            (!is_ours && !is_internal || is_report).then(|| format!("request to {url}"))
        }
        "Network.responseReceived" => {
            let response = &params["response"];
            let status = response["status"].as_u64()?;
            (status >= 400).then(|| format!("{status} for {}", response["url"]))
        }
        // What the page itself gave up, on its way to another, has not failed.
        "Network.loadingFailed" if params["canceled"] != true => Some(format!(
            "failed: {} {}",
            params["type"], params["errorText"]
        )),
        _ => None,
    }
}

#[test]
fn complaints_are_told_from_what_is_well() {
    use serde_json::json;
    let told = |method: &str, params: Value| {
        complaint(
            &json!({"method": method, "params": params}),
            "http://127.0.0.1:80",
        )
    };
    let asked = |url: &str| {
        told(
            "Network.requestWillBeSent",
            json!({"request": {"url": url}}),
        )
    };
    assert_eq!(asked("http://127.0.0.1:80/performance"), None);
    assert!(asked("http://127.0.0.1:8080/performance").is_some());
    assert!(asked("https://fonts.example/").is_some());
    assert_eq!(asked("chrome://new-tab-page/app.js"), None);
    let answered = |status: u16| {
        told(
            "Network.responseReceived",
            json!({"response": {"status": status}}),
        )
    };
    assert_eq!(answered(304), None);
    assert!(answered(404).is_some() && answered(503).is_some());
    let failed = |canceled: bool| told("Network.loadingFailed", json!({"canceled": canceled}));
    assert!(failed(false).is_some() && failed(true).is_none());
}
