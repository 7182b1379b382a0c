//! The command line, and the plan that it makes.

use std::collections::BTreeMap;
use std::path::PathBuf;

use super::work::Work;
use clap::{Args, Parser, Subcommand, ValueEnum};
use pitcrew_load::{
    AnyTarget, HttpPlan, Load, Open, Part, Plan, PostgresMode, PostgresPlan, PostgresTarget,
    Spacing, Stage, Target, Threshold, WebSocketMessage, WebSocketPlan, seconds,
};

/// Sends load to an HTTP server, PostgreSQL or a WebSocket and tells the truth about its latency.
///
/// Without --rate or --stage the model is closed: each connection sends its next request when the last answer has ended.
/// With one of them it is open: requests go out when they are due, and response times count from that moment.
///
/// Exit codes: 0 all thresholds held, 1 one did not or a figure became worse, 2 something is wrong with the command line, the
/// target or a file, 3 nothing can be said (the tester itself was late, or a comparison is too noisy), 130 interrupted.
#[derive(Debug, Parser)]
#[command(
    version,
    args_conflicts_with_subcommands = true,
    subcommand_negates_reqs = true
)]
pub(crate) struct Arguments {
    #[command(subcommand)]
    pub(crate) command: Option<Command>,
    /// What to load: http://HOST[:PORT]/PATH, postgres://USER@HOST/DATABASE, ws://HOST[:PORT]/PATH; https:// and wss:// too
    #[arg(required_unless_present = "plan")]
    url: Option<String>,
    /// Target, plan and thresholds from a file, .toml or .json, in the place of the options that say what is sent and when
    #[arg(long, value_name = "FILE", conflicts_with_all = [
        "url", "connections", "duration", "requests", "rate", "stage", "poisson", "seed", "method", "header", "body",
        "timeout", "capacity", "sql", "mode", "message",
    ])]
    pub(crate) plan: Option<PathBuf>,
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
    /// Request method [default: GET]
    #[arg(short = 'X', long)]
    method: Option<String>,
    /// A request header, as `name: value`
    #[arg(short = 'H', long)]
    header: Vec<String>,
    /// Request body
    #[arg(short, long)]
    body: Option<String>,
    /// The statement that PostgreSQL is sent [default: SELECT 1]; sessions are read-only
    #[arg(long)]
    sql: Option<String>,
    /// How PostgreSQL is sent it [default: prepared]
    #[arg(long, value_enum)]
    mode: Option<Mode>,
    /// The text that a WebSocket is sent, and sends back [default: ping]
    #[arg(long)]
    message: Option<String>,
    /// An answer that has not ended by then is an error
    #[arg(long, value_parser = seconds, default_value = "10s")]
    timeout: f64,
    /// What has to hold, as 'p99 < 500ms', 'error_rate < 1% over 10s' (in each 10 seconds) or 'rate >= 1000/s abort' (or the
    /// run ends there); else the exit code is 1
    #[arg(short, long = "threshold")]
    pub(crate) thresholds: Vec<Threshold>,
    /// Look for the highest rate at which the thresholds hold
    #[arg(long, requires = "thresholds", conflicts_with_all = ["rate", "stage", "requests"])]
    pub(crate) capacity: bool,
    /// Load may go to this HOST:PORT (of PostgreSQL HOST:PORT/DATABASE), which is not on this machine; may be given again
    #[arg(long, value_name = "HOST:PORT")]
    allow_target: Vec<String>,
    /// Run one of several parts of the plan, as 1/4: give each process the same command and its own part, start them together,
    /// and make one result with `pitcrew-load merge`
    #[arg(long, value_name = "N/OF", conflicts_with = "capacity")]
    part: Option<Part>,
    /// Compare with the results of an earlier run: exit code 1 where a figure became worse
    #[arg(long, value_name = "BASELINE.json", conflicts_with = "capacity")]
    pub(crate) compare: Option<PathBuf>,
    /// Say nothing while the run goes on
    #[arg(short, long)]
    pub(crate) quiet: bool,
    #[command(flatten)]
    pub(crate) output: Output,
}

/// How a statement is sent.
#[derive(Debug, Clone, Copy, ValueEnum)]
enum Mode {
    /// As text, parsed and planned each time
    Simple,
    /// Prepared once a connection
    Prepared,
    /// Prepared, several under way at once on each connection
    Pipelined,
}

impl From<Mode> for PostgresMode {
    fn from(mode: Mode) -> Self {
        match mode {
            Mode::Simple => Self::Simple,
            Mode::Prepared => Self::Prepared,
            Mode::Pipelined => Self::Pipelined,
        }
    }
}

/// A WebSocket's URL as that of its handshake (RFC 6455, 3).
fn in_http(url: &str) -> String {
    match url.strip_prefix("ws") {
        Some(rest) if rest.starts_with("://") || rest.starts_with("s://") => format!("http{rest}"),
        _ => url.to_owned(),
    }
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Make one result of those of a plan's parts, each run with its own --part
    Merge {
        /// What --json wrote, of each part
        #[arg(required = true, num_args = 1..=1000)]
        results: Vec<PathBuf>,
        #[command(flatten)]
        output: Output,
    },
    /// Print the JSON Schema of plans, for editors
    Schema,
    /// Tell how a run differs from an earlier one, with the noise of both in view
    Compare {
        /// What --json wrote of the earlier run
        baseline: PathBuf,
        /// And of this one
        result: PathBuf,
        /// A change of less is no change, in per cent
        #[arg(long, value_name = "PERCENT", default_value_t = 5.0)]
        small: f64,
    },
}

/// Where the results go.
#[derive(Debug, Clone, Args)]
pub(crate) struct Output {
    /// Write the results as JSON, which `merge` and `compare` read
    #[arg(long, value_name = "FILE")]
    pub(crate) json: Option<PathBuf>,
    /// Write the results as one HTML page that needs nothing else
    #[arg(long, value_name = "FILE")]
    pub(crate) html: Option<PathBuf>,
    /// Write the thresholds as test cases, as JUnit XML
    #[arg(long, value_name = "FILE")]
    pub(crate) junit: Option<PathBuf>,
    /// Write an HDR log, a line a second
    #[arg(long, value_name = "FILE")]
    pub(crate) hdr: Option<PathBuf>,
    /// Print the results as Markdown
    #[arg(long)]
    pub(crate) markdown: bool,
}

impl Output {
    /// The files, in the order of the options.
    pub(crate) fn paths(&self) -> [&Option<PathBuf>; 4] {
        [&self.json, &self.html, &self.junit, &self.hdr]
    }

    pub(crate) fn is_asked(&self) -> bool {
        self.markdown || self.paths().into_iter().any(Option::is_some)
    }
}

impl Arguments {
    /// Where load goes, and what is sent.
    pub(crate) fn work(&self, file: Option<Plan>) -> Result<Work, String> {
        let mut plan = match file {
            Some(plan) => plan,
            None => self.of_options()?,
        };
        if let Some(part) = self.part {
            plan = plan.part(part);
        }
        plan.thresholds
            .splice(0..0, self.thresholds.iter().copied());
        plan.check().map_err(|error| error.to_string())?;
        let scenarios = if plan.scenarios.is_empty() {
            std::slice::from_ref(&plan)
        } else {
            &plan.scenarios
        };
        let targets = scenarios.iter().map(|one| self.target_of(one));
        let targets = targets.collect::<Result<_, _>>()?;
        Ok(Work { plan, targets })
    }

    fn target_of(&self, plan: &Plan) -> Result<AnyTarget, String> {
        if plan.postgres.is_some() {
            return self.allowed_postgres(&plan.target).map(AnyTarget::from);
        }
        self.allowed(&in_http(&plan.target)).map(AnyTarget::from)
    }

    fn of_options(&self) -> Result<Plan, String> {
        let url = self.url.as_deref().unwrap_or_default();
        let scheme = url.split_once("://").map_or("", |(scheme, _)| scheme);
        let is_postgres = matches!(scheme, "postgres" | "postgresql");
        let is_websocket = matches!(scheme, "ws" | "wss");
        for (option, of, is_said, is_right) in [
            ("--sql", "postgres://", self.sql.is_some(), is_postgres),
            ("--mode", "postgres://", self.mode.is_some(), is_postgres),
            ("--message", "ws://", self.message.is_some(), is_websocket),
            (
                "--method and --body",
                "http://",
                self.method.is_some() || self.body.is_some(),
                !is_postgres && !is_websocket,
            ),
            (
                "--header",
                "http:// and ws://",
                !self.header.is_empty(),
                !is_postgres,
            ),
        ] {
            if is_said && !is_right {
                return Err(format!(
                    "{option} is for {of}, and this is {scheme}://: leave it out"
                ));
            }
        }
        let load = self.load();
        if is_postgres {
            let plan = PostgresPlan {
                sql: self.sql.clone().unwrap_or_else(|| "SELECT 1".to_owned()),
                mode: self.mode.map(PostgresMode::from).unwrap_or_default(),
                load,
                ..PostgresPlan::default()
            };
            return Ok(Plan::postgres(url, plan));
        }
        let spelled = in_http(url);
        let uri: http::Uri = spelled
            .parse()
            .map_err(|error| format!("`{url}` is no URL: {error}"))?;
        let Some(authority) = uri.authority() else {
            return Err(format!("`{url}` is no URL: write http://HOST[:PORT]/PATH"));
        };
        let scheme = uri.scheme_str().unwrap_or_default();
        let target = format!("{scheme}://{authority}");
        let path = uri
            .path_and_query()
            .map_or("/", |path| path.as_str())
            .to_owned();
        let mut headers = BTreeMap::new();
        for header in &self.header {
            let (name, value) = header
                .split_once(':')
                .ok_or_else(|| format!("`{header}` is no header: write `name: value`"))?;
            let name = name.trim().to_ascii_lowercase();
            if headers.contains_key(&name) {
                return Err(format!(
                    "the header `{name}` is given twice: write its values as one, `{name}: a, b`"
                ));
            }
            headers.insert(name, value.trim().to_owned());
        }
        if is_websocket {
            let usual = WebSocketPlan::default();
            let message = self.message.clone().map(WebSocketMessage::Text);
            let plan = WebSocketPlan {
                path,
                headers,
                message: message.unwrap_or(usual.message),
                load,
                ..WebSocketPlan::default()
            };
            return Ok(Plan::websocket(target, plan));
        }
        let plan = HttpPlan {
            path,
            method: self.method.clone().unwrap_or_else(|| "GET".to_owned()),
            headers,
            body: self.body.clone(),
            load,
            ..HttpPlan::default()
        };
        Ok(Plan::http(target, plan))
    }

    fn load(&self) -> Load {
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "checked with the plan"
        )]
        let timeout_ms = (self.timeout * 1e3) as u64;
        let open = self.open();
        Load {
            connections: self.connections,
            duration_s: self.duration.filter(|_| open.is_none()),
            requests: self.requests,
            open,
            part: None,
            timeout_ms,
        }
    }

    fn open(&self) -> Option<Open> {
        let mut stages = self.stage.clone();
        if let Some(rate_per_s) = self.rate {
            stages.push(Stage {
                duration_s: self.duration.unwrap_or(10.0),
                rate_per_s,
                to_rate_per_s: None,
            });
        }
        (!stages.is_empty()).then(|| Open {
            stages,
            spacing: self.spacing(),
            seed: self.seed,
        })
    }

    /// A target on this machine, or one that the command line names once more.
    fn allowed(&self, text: &str) -> Result<Target, String> {
        let target = Target::resolve(text).map_err(|error| error.to_string())?;
        let authority = target.authority();
        if !target.address().ip().is_loopback() && !self.is_allowed(authority) {
            return Err(format!(
                "{authority} ({}) is not on this machine: where you may load it, say --allow-target {authority}",
                target.address().ip()
            ));
        }
        Ok(target)
    }

    fn allowed_postgres(&self, text: &str) -> Result<PostgresTarget, String> {
        let target = PostgresTarget::anywhere(text).map_err(|error| error.to_string())?;
        let authority = target.authority();
        if !target.is_local() && !self.is_allowed(&authority) {
            return Err(format!(
                "{authority} is not on this machine: where you may load it, say --allow-target {authority}"
            ));
        }
        Ok(target)
    }

    fn is_allowed(&self, authority: &str) -> bool {
        let mut allowed = self.allow_target.iter();
        allowed.any(|allowed| allowed.eq_ignore_ascii_case(authority))
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
