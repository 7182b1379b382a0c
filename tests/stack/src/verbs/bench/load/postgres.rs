//! PostgreSQL, `SELECT 1`, beside pgbench.

use std::path::{Path, PathBuf};
use std::process::Command;

use pitcrew_stack::bench::{Figure, Reading, interval, rounds};
use pitcrew_stack::process::{find_program, output_of};
use pitcrew_stack::signals::Signals;
use pitcrew_stack::{Error, Options, Postgres, Progress, Result, Stack};

use super::super::peers::Peers;
use super::{children_cpu, on_core, ours, seconds};

const CONNECTIONS: &str = "16";
const SECONDS: &str = "3";
/// Of the open model: arrivals a second, for so many seconds.
const RATE: [&str; 2] = ["2000", "5"];
const RATE_ROUNDS: usize = 3;
/// pgbench skips what is later than this before it is sent, and counts that only where there is a limit. Ours gives up nothing that
/// it can still send, so a limit that only a stall reaches makes the two alike.
const LATENCY_LIMIT_MS: &str = "1000";

pub(super) fn run(peers: &Peers<'_>, signals: &Signals) -> Result<Vec<Figure>> {
    let Some(pgbench) = find_program("pgbench") else {
        Progress::Print.say(
            "skipped: qps_vs_pgbench_prepared and what goes with it: pgbench is not installed",
        );
        return Ok(Vec::new());
    };
    let stack = Stack::start(Options {
        extension: false,
        redis: false,
        progress: Progress::Print,
        ..Options::default()
    })?;
    let postgres = stack
        .postgres()
        .ok_or_else(|| Error::Extension("the stack has no Postgres".into()))?;
    pin(postgres)?;
    let pgbench = Pgbench::new(pgbench, postgres, stack.slot().path())?;
    let url = postgres.url("postgres");
    let mut figures = Progress::Print.step("SELECT 1 beside pgbench", || {
        closed(peers, &pgbench, &url, signals)
    })?;
    figures.extend(Progress::Print.step("a rate beside pgbench", || {
        open(peers, &pgbench, &url, signals)
    })?);
    Ok(figures)
}

/// Backends are forked from the postmaster and stay on its core.
fn pin(postgres: &Postgres) -> Result<()> {
    if let (Some(taskset), Some(pid)) = (find_program("taskset"), postgres.pid()) {
        output_of(Command::new(taskset).args(["-cp", "0", &pid.to_string()]))?;
    }
    Ok(())
}

fn closed(
    peers: &Peers<'_>,
    pgbench: &Pgbench<'_>,
    url: &str,
    signals: &Signals,
) -> Result<Vec<Figure>> {
    // Rates of the same runs, in the order of `measured`.
    let rates = std::cell::RefCell::new([const { Vec::new() }; 4]);
    let cpu_of_ours = |mode: &str, place: usize| {
        let words = ["postgres", mode, url, CONNECTIONS, SECONDS];
        let told = ours(peers, signals, &words)?;
        rates.borrow_mut()[place].push(told[0]);
        Ok(1e6 * told[1] / told[3])
    };
    let mut measured: [Reading<'_, Error>; 4] = [
        Box::new(|| cpu_of_ours("prepared", 0)),
        // The control: the same thing twice.
        Box::new(|| cpu_of_ours("prepared", 1)),
        Box::new(|| cpu_of_ours("pipelined", 2)),
        Box::new(|| {
            signals.check()?;
            let before = children_cpu();
            let said = pgbench.run(&["-T", SECONDS])?;
            let spent = children_cpu() - before;
            let rate = number_after(&said, "tps = ")?;
            rates.borrow_mut()[3].push(rate);
            Ok(1e6 * spent / (rate * seconds(SECONDS)))
        }),
    ];
    let read = rounds(15, &mut measured)?;
    drop(measured);
    let rates = rates.into_inner();
    let figure = |name: &str, of: [&[f64]; 3]| {
        Figure::ratio(name, of[0], of[1], of[2]).against("pgbench", &pgbench.version)
    };
    Ok(vec![
        figure("qps_vs_pgbench_prepared", [&rates[0], &rates[1], &rates[3]]),
        figure("cpu_vs_pgbench", [&read[0], &read[1], &read[3]]),
        Figure {
            control: None,
            ..figure(
                "qps_pipelined_vs_pgbench",
                [&rates[2], &rates[2], &rates[3]],
            )
        },
    ])
}

/// pgbench spaces arrivals as visitors who know nothing of one another, so its count is a random one around the rate.
fn open(
    peers: &Peers<'_>,
    pgbench: &Pgbench<'_>,
    url: &str,
    signals: &Signals,
) -> Result<Vec<Figure>> {
    let words = ["postgres-rate", url, RATE[0], RATE[1]];
    let (mut sent_pct, mut missed) = (Vec::new(), Vec::new());
    let (mut lag, mut their_lag, mut skipped) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..RATE_ROUNDS {
        let told = ours(peers, signals, &words)?;
        let [due, sent, lag_mean, lag_p99, own_missed] = told[..] else {
            return Err(odd("load-peers postgres-rate", &format!("{told:?}")));
        };
        signals.check()?;
        let limit = ["-R", RATE[0], "-T", RATE[1], "-L", LATENCY_LIMIT_MS];
        let said = pgbench.run(&limit)?;
        let their = number_after(&said, "schedule lag: avg ")?;
        let own_skipped = number_after(&said, "transactions skipped: ")?;
        Progress::Print.say(format!(
            "ours: {sent:.0} of {due:.0} sent, {own_missed:.0} missed, lag mean {lag_mean:.3} p99 {lag_p99:.3} ms; pgbench: \
             {:.0} sent, {own_skipped:.0} skipped, lag mean {their} ms",
            number_after(&said, "actually processed: ")?,
        ));
        sent_pct.push(100.0 * sent / due);
        missed.push(own_missed);
        lag.push(lag_mean);
        their_lag.push(their);
        skipped.push(own_skipped);
    }
    Ok(vec![
        Figure::own("pg_rate_sent_pct", "%", interval(&sent_pct)),
        Figure {
            control: None,
            ..Figure::ratio("pg_rate_lag_vs_pgbench", &lag, &lag, &their_lag)
        }
        .against("pgbench", &pgbench.version),
        Figure {
            ours: Some(interval(&missed).value),
            peer: Some(interval(&skipped).value),
            ..Figure::own("pg_rate_missed", "executions", interval(&missed))
        }
        .against("pgbench", &pgbench.version),
    ])
}

struct Pgbench<'a> {
    program: PathBuf,
    postgres: &'a Postgres,
    script: PathBuf,
    version: String,
}

impl<'a> Pgbench<'a> {
    fn new(program: PathBuf, postgres: &'a Postgres, folder: &Path) -> Result<Self> {
        let script = folder.join("select-1.sql");
        std::fs::write(&script, "SELECT 1;\n").map_err(|source| Error::Io {
            action: "write",
            path: script.clone(),
            source,
        })?;
        let (said, _) = output_of(Command::new(&program).arg("--version"))?;
        let version = said.split_whitespace().nth(2).unwrap_or("unknown");
        Ok(Self {
            version: version.to_owned(),
            program,
            postgres,
            script,
        })
    }

    /// By the same transport as ours, on one thread, as ours.
    fn run(&self, more: &[&str]) -> Result<String> {
        let mut command = on_core("1", &self.program);
        command
            .args(["-n", "-M", "prepared", "-c", CONNECTIONS, "-j", "1", "-f"])
            .arg(&self.script)
            .args(["-h", "127.0.0.1", "-U", "postgres", "-p"])
            .arg(self.postgres.port().to_string())
            .args(more)
            .arg("postgres")
            .env("PGPASSWORD", self.postgres.password());
        output_of(&mut command).map(|(said, _)| said)
    }
}

fn number_after(said: &str, words: &str) -> Result<f64> {
    let number = said.split_once(words).and_then(|(_, rest)| {
        let end = rest.find(|letter: char| !letter.is_ascii_digit() && letter != '.');
        rest[..end.unwrap_or(rest.len())].parse().ok()
    });
    number.ok_or_else(|| odd("pgbench", said))
}

fn odd(program: &str, said: &str) -> Error {
    Error::Program {
        program: program.into(),
        detail: format!("answered {said}"),
    }
}
