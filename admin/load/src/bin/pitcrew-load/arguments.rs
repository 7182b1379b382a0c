//! The command line, and the plan that it makes.

use std::collections::BTreeMap;
use std::path::PathBuf;

use clap::Parser;
use pitcrew_load::{HttpPlan, Open, Spacing, Stage, Target, Threshold, seconds};

/// Sends load to an HTTP/1.1 server and tells the truth about its latency.
///
/// Without --rate or --stage the model is closed: each connection sends its next request when the last answer has ended.
/// With one of them it is open: requests go out when they are due, and response times count from that moment.
#[derive(Debug, Parser)]
#[command(version)]
pub(crate) struct Arguments {
    /// What to ask for: http://HOST[:PORT]/PATH
    url: String,
    /// Connections: as many as send in a closed model, the most in an open one
    #[arg(short, long)]
    connections: Option<u32>,
    /// How long, as 10s or 1.5m [default: 10s]
    #[arg(short, long, value_parser = seconds)]
    duration: Option<f64>,
    /// End a closed model after so many requests
    #[arg(short = 'n', long)]
    requests: Option<u64>,
    /// Arrivals a second of an open model
    #[arg(short, long, conflicts_with_all = ["stage", "requests"])]
    rate: Option<f64>,
    /// A stage of an open model, as 1000/s:30s or 0..1000/s:30s; one after the other
    #[arg(short, long, conflicts_with_all = ["duration", "requests"])]
    stage: Vec<Stage>,
    /// Space the arrivals of an open model as visitors who know nothing of one another
    #[arg(long)]
    poisson: bool,
    /// Of --poisson: the same seed gives the same arrivals
    #[arg(long, default_value_t = 0)]
    seed: u64,
    /// Request method
    #[arg(short = 'X', long, default_value = "GET")]
    method: String,
    /// A request header, as `name: value`
    #[arg(short = 'H', long)]
    header: Vec<String>,
    /// Request body
    #[arg(short, long)]
    body: Option<String>,
    /// An answer that has not ended by then is an error
    #[arg(long, value_parser = seconds, default_value = "10s")]
    timeout: f64,
    /// What has to hold, as 'p99 < 500ms', 'error_rate < 1%' or 'rate >= 1000/s'; else the exit code is 1
    #[arg(short, long = "threshold")]
    pub(crate) thresholds: Vec<Threshold>,
    /// Look for the highest rate at which the thresholds hold
    #[arg(long, requires = "thresholds", conflicts_with_all = ["rate", "stage", "requests"])]
    pub(crate) capacity: bool,
    /// Load may go to this HOST:PORT, which is not on this machine
    #[arg(long, value_name = "HOST:PORT")]
    allow_target: Option<String>,
    /// Write the report as JSON
    #[arg(long, value_name = "FILE")]
    pub(crate) json: Option<PathBuf>,
}

impl Arguments {
    /// Where load goes, and what is sent.
    pub(crate) fn target_and_plan(&self) -> Result<(Target, HttpPlan), String> {
        let uri: http::Uri = self
            .url
            .parse()
            .map_err(|error| format!("`{}` is no URL: {error}", self.url))?;
        let scheme = uri.scheme_str().unwrap_or_default();
        let Some(authority) = uri.authority() else {
            return Err(format!(
                "`{}` is no URL: write http://HOST[:PORT]/PATH",
                self.url
            ));
        };
        let target = Target::resolve(&format!("{scheme}://{authority}"))
            .map_err(|error| error.to_string())?;
        let is_allowed = self
            .allow_target
            .as_deref()
            .is_some_and(|allowed| allowed.eq_ignore_ascii_case(target.authority()));
        if !target.address().ip().is_loopback() && !is_allowed {
            return Err(format!(
                "{authority} ({}) is not on this machine: where you may load it, say --allow-target {authority}",
                target.address().ip()
            ));
        }
        let path = uri
            .path_and_query()
            .map_or("/", |path| path.as_str())
            .to_owned();
        let mut headers = BTreeMap::new();
        for header in &self.header {
            let (name, value) = header
                .split_once(':')
                .ok_or_else(|| format!("`{header}` is no header: write `name: value`"))?;
            headers.insert(name.trim().to_owned(), value.trim().to_owned());
        }
        let mut stages = self.stage.clone();
        if let Some(rate_per_s) = self.rate {
            stages.push(Stage {
                duration_s: self.duration.unwrap_or(10.0),
                rate_per_s,
                to_rate_per_s: None,
            });
        }
        let is_open = !stages.is_empty();
        let plan = HttpPlan {
            path,
            method: self.method.clone(),
            headers,
            body: self.body.clone(),
            connections: self.connections,
            duration_s: self.duration.filter(|_| !is_open),
            requests: self.requests,
            open: is_open.then(|| Open {
                stages,
                spacing: self.spacing(),
                seed: self.seed,
            }),
            #[expect(
                clippy::cast_possible_truncation,
                clippy::cast_sign_loss,
                reason = "checked with the plan"
            )]
            timeout_ms: (self.timeout * 1e3) as u64,
            ..HttpPlan::default()
        };
        Ok((target, plan))
    }

    /// Seconds of a probe of the capacity search.
    pub(crate) fn probe_s(&self) -> f64 {
        self.duration.unwrap_or(5.0)
    }

    pub(crate) fn spacing(&self) -> Spacing {
        if self.poisson {
            Spacing::Poisson
        } else {
            Spacing::Even
        }
    }
}
