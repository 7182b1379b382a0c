//! An open model against a server that stalls: whether percentiles are true where the truth is computed, and what other
//! load testers say of the same server.

use std::process::Command;

use pitcrew_stack::bench::{Figure, interval};
use pitcrew_stack::process::{find_program, output_of};
use pitcrew_stack::signals::Signals;
use pitcrew_stack::{Error, Progress, Result};
use serde_json::Value;

use super::super::peers::Peers;
use super::{Server, on_core, ours};

/// Arrivals a second, seconds, answers a second that the server can give, when it stalls and for how long.
const STALL: [&str; 5] = ["5000", "12", "20000", "5.5", "1"];
const STALL_RUNS: usize = 5;
/// Connections of the others; ours opens what it needs.
const CONNECTIONS: &str = "64";

pub(super) fn run(peers: &Peers<'_>, signals: &Signals) -> Result<Vec<Figure>> {
    let truth = peers.read(&[&["truth"], STALL.as_slice()].concat())?;
    let mut columns = vec![Vec::new(); 5];
    let mut limited = 0;
    for _ in 0..STALL_RUNS {
        let server = Server::start(peers, &[&["serve"], &STALL[2..]].concat())?;
        let words = ["open", &server.address, STALL[0], STALL[1]];
        let [sent, p95, p99, p999, lag, is_limited] = ours(peers, signals, &words)?[..] else {
            return Err(Error::Program {
                program: "load-peers open".into(),
                detail: "answered too few numbers".into(),
            });
        };
        if is_limited > 0.0 {
            limited += 1;
            continue;
        }
        let error = |value: f64, truth: f64| 100.0 * (value - truth).abs() / truth;
        let told = [
            sent,
            error(p95, truth[0]),
            error(p99, truth[1]),
            error(p999, truth[2]),
            lag,
        ];
        for (column, value) in columns.iter_mut().zip(told) {
            column.push(value);
        }
    }
    if columns[0].is_empty() {
        return Err(Error::Program {
            program: "load-peers open".into(),
            detail: format!("all of {limited} runs were flagged: this machine was too busy"),
        });
    }
    if limited > 0 {
        Progress::Print.say(format!(
            "{limited} of {STALL_RUNS} runs were flagged as limited by the tester and left out"
        ));
    }
    let names = [
        ("sent_pct", "%"),
        ("stall_p95_error_pct", "%"),
        ("stall_p99_error_pct", "%"),
        ("stall_p999_error_pct", "%"),
        ("lag_p50_us", "us"),
    ];
    others(peers, &truth, signals)?;
    Ok(names
        .iter()
        .zip(&columns)
        .map(|((name, unit), column)| Figure::own(name, unit, interval(column)))
        .collect())
}

/// What the others say of the same stall, beside the truth: p95, p99 and p99.9 in milliseconds.
fn others(peers: &Peers<'_>, truth: &[f64], signals: &Signals) -> Result<()> {
    tell("truth", [Some(truth[0]), Some(truth[1]), Some(truth[2])]);
    let duration = format!("{}s", STALL[1]);
    let rated = [
        "--no-tui",
        "--output-format",
        "json",
        "-c",
        CONNECTIONS,
        "-q",
        STALL[0],
        "-z",
        &duration,
    ];
    let corrected = [&["--latency-correction"], rated.as_slice()].concat();
    for (name, words) in [
        ("oha with its correction", corrected.as_slice()),
        ("oha without it", rated.as_slice()),
    ] {
        if let Some(said) = by("oha", words, peers, signals)? {
            let said: Value = serde_json::from_str(&said).map_err(|error| Error::Program {
                program: "oha".into(),
                detail: format!("answered no JSON: {error}"),
            })?;
            let of = |name: &str| said["latencyPercentiles"][name].as_f64().map(|s| s * 1e3);
            tell(name, [of("p95"), of("p99"), of("p99.9")]);
        }
    }
    // It has no rate: while the server stalls it asks nothing, and so has nothing to tell.
    let closed = ["--latency", "-t", "1", "-c", CONNECTIONS, "-d", &duration];
    if let Some(said) = by("wrk", &closed, peers, signals)? {
        let of = |percent: &str| {
            let line = said
                .lines()
                .map(str::trim)
                .find(|line| line.starts_with(percent))?;
            milliseconds(line.split_whitespace().nth(1)?)
        };
        tell("wrk, which has no rate", [None, of("99%"), None]);
    }
    Ok(())
}

/// What a program says of a server that stalls; `None` where it is not installed.
fn by(name: &str, words: &[&str], peers: &Peers<'_>, signals: &Signals) -> Result<Option<String>> {
    signals.check()?;
    let Some(program) = find_program(name) else {
        Progress::Print.say(format!(
            "skipped: what {name} says of the stall: {name} is not installed"
        ));
        return Ok(None);
    };
    let server = Server::start(peers, &[&["serve"], &STALL[2..]].concat())?;
    let mut command: Command = on_core("1", &program);
    command
        .args(words)
        .arg(format!("http://{}/", server.address));
    output_of(&mut command).map(|(said, _)| Some(said))
}

fn tell(name: &str, [p95, p99, p999]: [Option<f64>; 3]) {
    let shown = |value: Option<f64>| value.map_or("-".to_owned(), |value| format!("{value:.1}"));
    Progress::Print.say(format!(
        "{name}: p95 {} ms, p99 {} ms, p99.9 {} ms",
        shown(p95),
        shown(p99),
        shown(p999)
    ));
}

/// `1.23ms`, `4.56s`, `789.00us`.
fn milliseconds(text: &str) -> Option<f64> {
    for (unit, factor) in [("ms", 1.0), ("us", 1e-3), ("s", 1e3)] {
        if let Some(number) = text.strip_suffix(unit) {
            return number.parse::<f64>().ok().map(|number| number * factor);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::milliseconds;

    #[test]
    fn durations_of_wrk_are_read() {
        assert_eq!(milliseconds("1.50ms"), Some(1.5));
        assert_eq!(milliseconds("2.00s"), Some(2000.0));
        assert_eq!(milliseconds("250.00us"), Some(0.25));
        assert_eq!(milliseconds("-"), None);
    }
}
