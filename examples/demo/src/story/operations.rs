//! The acts of the operator: the guard, a load test, memory, and the overview.

use std::time::Duration;

use http::StatusCode;
use serde_json::json;

use super::{Story, Verdict};
use crate::Failure;

impl Story {
    /// Nobody gets in without the token; health is public.
    pub(super) async fn guard(&self, verdict: &mut Verdict) -> Result<(), Failure> {
        let status = self.operator.stranger("/status").await?;
        verdict.check(
            "a wrong token is refused",
            status == StatusCode::UNAUTHORIZED,
            status.to_string(),
        );
        let health = self.operator.get("/health").await?;
        verdict.check("health is UP", health["status"] == "UP", health.to_string());
        Ok(())
    }

    /// The load tester, against this service itself.
    pub(super) async fn load_test(&self, verdict: &mut Verdict) -> Result<(), Failure> {
        let body =
            json!({"plan": {"path": "/customers/1/orders", "duration_s": 2.0, "connections": 8}});
        let started = self.operator.post("/load-test", body).await?;
        let path = format!("/load-test/{}", started["id"].as_str().unwrap_or("?"));
        let report = self
            .operator
            .until(&path, Duration::from_secs(20), |run| {
                (run["state"] == "finished").then(|| run["report"].clone())
            })
            .await?;
        self.say(format!(
            "Load test of a warm route: {:.0} requests/s, p50 {:.2} ms, p99 {:.2} ms, {} errors.",
            report["rate_per_s"].as_f64().unwrap_or(0.0),
            report["response"]["p50_ms"].as_f64().unwrap_or(0.0),
            report["response"]["p99_ms"].as_f64().unwrap_or(0.0),
            report["requests"].as_u64().unwrap_or(0) - report["ok"].as_u64().unwrap_or(0)
        ));
        let is_right = report["ok"].as_u64() > Some(100)
            && report["error_percent"] == 0.0
            && report["response"]["p50_ms"].as_f64() > Some(0.0);
        verdict.check(
            "the load test ran against this service",
            is_right,
            format!("{} answers", report["ok"]),
        );
        Ok(())
    }

    /// Memory: what the process holds, and what one release gives back.
    pub(super) async fn memory(&self, verdict: &mut Verdict) -> Result<(), Failure> {
        let usage = self.operator.get("/memory/usage").await?;
        let routes = usage["routes"].as_array().map_or(0, Vec::len);
        let rss_mb = usage["process"]["rss_bytes"]
            .as_f64()
            .map(|bytes| bytes / 1e6);
        let is_right = usage["counting"] == true && routes > 0 && rss_mb.is_some_and(|mb| mb > 1.0);
        verdict.check(
            "memory is sampled and counted by route",
            is_right,
            format!("{routes} routes"),
        );
        verdict.figures.rss_mb = rss_mb;

        let released = self.operator.post("/memory/gc", json!({})).await?;
        let report = &released["report"];
        let mb = |name: &str| report[name].as_f64().map(|bytes| bytes / 1e6);
        verdict.figures.rss_released_mb = mb("released_bytes");
        self.say(format!(
            "Release: {:.0} MB resident before, {:.0} MB after, in {:.1} ms ({}).",
            mb("before_bytes").unwrap_or(0.0),
            mb("after_bytes").unwrap_or(0.0),
            report["took_ms"].as_f64().unwrap_or(0.0),
            report["method"].as_str().unwrap_or("?")
        ));
        let is_told = report["supported"] == true || report["detail"].is_string();
        verdict.check(
            "a release reports before and after",
            is_told,
            report.to_string(),
        );
        Ok(())
    }

    /// Status and benchmarks speak of what has just happened.
    pub(super) async fn overview(&self, verdict: &mut Verdict) -> Result<(), Failure> {
        let status = self.operator.get("/status").await?;
        let sentence = status["verdict"].as_str().unwrap_or_default();
        self.say(format!("Status: {sentence}"));
        let count = status["response_times"]["count"].as_u64();
        verdict.check(
            "status has the live figures",
            !sentence.is_empty() && count > Some(1_000),
            format!("{count:?}"),
        );
        let benchmarks = self.operator.get("/benchmarks").await?;
        let list = benchmarks["benchmarks"]
            .as_array()
            .map_or(&[][..], Vec::as_slice);
        let measured = list.iter().filter(|one| one["value"].is_number()).count();
        let met = list.iter().filter(|one| one["verdict"] == "met").count();
        self.say(format!(
            "Benchmarks: {met} of {measured} measured targets are met."
        ));
        verdict.check(
            "benchmarks are measured",
            measured >= 7,
            format!("{measured} measured, {met} met"),
        );
        Ok(())
    }
}
