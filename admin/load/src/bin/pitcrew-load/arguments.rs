//! The command line.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};
use pitcrew_load::{Part, PostgresMode, Stage, Threshold, UserStage, seconds};

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
    pub(super) url: Option<String>,
    /// Target, plan and thresholds from a file, .toml or .json, in the place of the options that say what is sent and when
    #[arg(long, value_name = "FILE", conflicts_with_all = [
        "url", "connections", "duration", "requests", "rate", "stage", "poisson", "seed", "method", "header", "body",
        "timeout", "capacity", "sql", "mode", "message", "users", "ramp_up", "http2", "streams", "no_keep_alive",
        "parameter", "depth", "allow_writes", "idle", "hold",
    ])]
    pub(crate) plan: Option<PathBuf>,
    /// Connections: as many as send in a closed model, the most in an open one
    #[arg(short, long)]
    pub(super) connections: Option<u32>,
    /// How long, as 10s or 1.5m [default: 10s]
    #[arg(short, long, value_parser = seconds)]
    pub(super) duration: Option<f64>,
    /// End a closed model after so many requests
    #[arg(short = 'n', long)]
    pub(super) requests: Option<u64>,
    /// Arrivals a second of an open model
    #[arg(short, long, group = "open", conflicts_with_all = ["stage", "requests"])]
    pub(super) rate: Option<f64>,
    /// A stage of an open model, as 1000/s:30s or 0..1000/s:30s; one after the other
    #[arg(short, long, group = "open", conflicts_with_all = ["duration", "requests"])]
    pub(super) stage: Vec<Stage>,
    /// A stage of a closed model whose number of users changes, as 50:30s or 0..50:30s; one after the other
    #[arg(short, long, conflicts_with_all = ["connections", "duration", "rate", "stage", "ramp_up"])]
    pub(super) users: Vec<UserStage>,
    /// The connections of a closed model begin one after the other over this time
    #[arg(long, value_name = "TIME", value_parser = seconds, conflicts_with_all = ["rate", "stage"])]
    pub(super) ramp_up: Option<f64>,
    /// Space the arrivals of an open model as visitors who know nothing of one another
    #[arg(long, requires = "open")]
    pub(super) poisson: bool,
    /// Of --poisson: the same seed gives the same arrivals [default: 0]
    #[arg(long, requires = "poisson")]
    pub(super) seed: Option<u64>,
    /// Request method [default: GET]
    #[arg(short = 'X', long)]
    pub(super) method: Option<String>,
    /// A request header, as `name: value`
    #[arg(short = 'H', long)]
    pub(super) header: Vec<String>,
    /// Request body
    #[arg(short, long)]
    pub(super) body: Option<String>,
    /// Speak HTTP/2: in clear with prior knowledge, else as TLS agrees
    #[arg(long)]
    pub(super) http2: bool,
    /// Requests under way at once on each HTTP/2 connection [default: 1]
    #[arg(long, value_name = "COUNT", requires = "http2")]
    pub(super) streams: Option<u32>,
    /// Connect anew for each request of HTTP/1.1 or PostgreSQL; the time that takes is part of it
    #[arg(long)]
    pub(super) no_keep_alive: bool,
    /// The statement that PostgreSQL is sent [default: SELECT 1]; sessions are read-only
    #[arg(long)]
    pub(super) sql: Option<String>,
    /// How PostgreSQL is sent it [default: prepared]
    #[arg(long, value_enum)]
    pub(super) mode: Option<Mode>,
    /// The statement's parameter $1, then $2, ..., as text
    #[arg(long, value_name = "VALUE")]
    pub(super) parameter: Vec<String>,
    /// Statements under way at once on each pipelined connection [default: 8]
    #[arg(long, value_name = "COUNT")]
    pub(super) depth: Option<u32>,
    /// Do not begin sessions of PostgreSQL as read-only
    #[arg(long)]
    pub(super) allow_writes: bool,
    /// The text that a WebSocket is sent, and sends back [default: ping]
    #[arg(long)]
    pub(super) message: Option<String>,
    /// So many more WebSockets are held without a message
    #[arg(long, value_name = "COUNT")]
    pub(super) idle: Option<u32>,
    /// Close a WebSocket and make it anew after this time
    #[arg(long, value_name = "TIME", value_parser = seconds)]
    pub(super) hold: Option<f64>,
    /// An answer that has not ended by then is an error
    #[arg(long, value_parser = seconds, default_value = "10s")]
    pub(super) timeout: f64,
    /// What has to hold, as 'p99 < 500ms', 'error_rate < 1% over 10s' (in each 10 seconds) or 'rate >= 1000/s abort' (or the
    /// run ends there); else the exit code is 1
    #[arg(short, long = "threshold")]
    pub(crate) thresholds: Vec<Threshold>,
    /// Look for the highest rate at which the thresholds hold
    #[arg(long, group = "open", conflicts_with_all = ["rate", "stage", "requests", "users", "ramp_up"])]
    pub(crate) capacity: bool,
    /// Of --capacity: the first rate that is tried [default: 100]
    #[arg(long, value_name = "RATE", requires = "capacity")]
    pub(super) from: Option<f64>,
    /// Of --capacity: no rate above is tried [default: 100000]
    #[arg(long, value_name = "RATE", requires = "capacity")]
    pub(super) to: Option<f64>,
    /// Of --capacity: how close the interval's ends come, in per cent [default: 2]
    #[arg(long, value_name = "PERCENT", requires = "capacity")]
    pub(super) resolution: Option<f64>,
    /// Have the usual targets of the protocol hold too: of HTTP mean 200 ms, p95 500 ms, p99 1 s, 1000/s, errors below 1 %; of
    /// PostgreSQL 100, 300, 500 ms, 500/s, 0.1 %; of WebSocket 50, 100, 200 ms, 2000/s, 2 %
    #[arg(long)]
    pub(super) usual_thresholds: bool,
    /// Load may go to this HOST:PORT (of PostgreSQL HOST:PORT/DATABASE), which is not on this machine; may be given again
    #[arg(long, value_name = "HOST:PORT")]
    pub(super) allow_target: Vec<String>,
    /// Run one of several parts of the plan, as 1/4: give each process the same command and its own part, start them together,
    /// and make one result with `pitcrew-load merge`
    #[arg(long, value_name = "N/OF", conflicts_with = "capacity")]
    pub(super) part: Option<Part>,
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
pub(super) enum Mode {
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
}
