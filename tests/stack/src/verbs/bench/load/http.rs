//! HTTP: what the load tester costs beside wrk, and whether its percentiles are true where the truth is computed.

use std::path::Path;
use std::process::Command;

use pitcrew_stack::bench::{Figure, Reading, interval, rounds};
use pitcrew_stack::process::{find_program, output_of};
use pitcrew_stack::signals::Signals;
use pitcrew_stack::{Error, Progress, Result};

use super::super::peers::Peers;
use super::{Server, children_cpu, on_core, ours, seconds, stall};

/// Connections of the closed model.
const CONNECTIONS: &str = "64";
const CLOSED_SECONDS: &str = "3";
/// Another load tester. Each of them tells its rate in the same words.
struct Peer {
    name: &'static str,
    words: &'static [&'static str],
    /// Of its version.
    version: &'static str,
    seed: u64,
}

const PEERS: &[Peer] = &[
    Peer {
        name: "wrk",
        words: &["-t", "1", "-c", CONNECTIONS, "-d", CLOSED_SECONDS],
        version: "-v",
        seed: 14,
    },
    Peer {
        name: "oha",
        words: &["--no-tui", "-c", CONNECTIONS, "-z", "3s"],
        version: "--version",
        seed: 17,
    },
];

impl Peer {
    /// wrk tells its version with its usage, and ends with 1 then.
    fn version(&self, program: &Path) -> String {
        let said = Command::new(program).arg(self.version).output().ok();
        let text = said.map(|said| String::from_utf8_lossy(&said.stdout).into_owned());
        text.and_then(|text| Some(text.split_whitespace().nth(1)?.to_owned()))
            .unwrap_or_else(|| "unknown".to_owned())
    }
}

/// Of the run that shows that memory stays: it ends with the requests.
const LONG_SECONDS: &str = "60";

pub(super) fn run(peers: &Peers<'_>, signals: &Signals) -> Result<Vec<Figure>> {
    let mut figures =
        Progress::Print.step("an open model and a stall", || stall::run(peers, signals))?;
    figures.extend(
        Progress::Print.step("a closed model beside wrk and oha", || {
            closed(peers, signals)
        })?,
    );
    figures.extend(Progress::Print.step("memory of a long run", || memory(peers, signals))?);
    Ok(figures)
}

fn closed(peers: &Peers<'_>, signals: &Signals) -> Result<Vec<Figure>> {
    let mut figures = Vec::new();
    for peer in PEERS {
        let Some(program) = find_program(peer.name) else {
            Progress::Print.say(format!(
                "skipped: what is measured against {0}: {0} is not installed",
                peer.name
            ));
            continue;
        };
        figures.extend(closed_beside(peer, &program, peers, signals)?);
    }
    Ok(figures)
}

fn closed_beside(
    peer: &Peer,
    program: &Path,
    peers: &Peers<'_>,
    signals: &Signals,
) -> Result<Vec<Figure>> {
    let server = Server::start(peers, &["serve"])?;
    // Rates of the same runs, in the order of `measured`.
    let rates = std::cell::RefCell::new([const { Vec::new() }; 3]);
    let cpu_of_ours = |place: usize| {
        let words = ["closed", &server.address, CONNECTIONS, CLOSED_SECONDS];
        let told = ours(peers, signals, &words)?;
        rates.borrow_mut()[place].push(told[0]);
        Ok(1e6 * told[1] / told[3])
    };
    let mut measured: [Reading<'_, Error>; 3] = [
        Box::new(|| cpu_of_ours(0)),
        // The control: the same thing twice.
        Box::new(|| cpu_of_ours(1)),
        Box::new(|| {
            let (rate, spent) = by(peer, program, &server.address, signals)?;
            rates.borrow_mut()[2].push(rate);
            Ok(1e6 * spent / (rate * seconds(CLOSED_SECONDS)))
        }),
    ];
    let read = rounds(peer.seed, &mut measured)?;
    drop(measured);
    let rates = rates.into_inner();
    let version = peer.version(program);
    let figure = |what: &str, of: [&[f64]; 3]| {
        let name = format!("{what}_vs_{}", peer.name);
        Figure::ratio(&name, of[0], of[1], of[2]).against(peer.name, &version)
    };
    Ok(vec![
        figure("cpu", [&read[0], &read[1], &read[2]]),
        figure("rps", [&rates[0], &rates[1], &rates[2]]),
    ])
}

/// Requests a second and CPU seconds of one run.
fn by(peer: &Peer, program: &Path, address: &str, signals: &Signals) -> Result<(f64, f64)> {
    signals.check()?;
    let before = children_cpu();
    let mut command = on_core("1", program);
    command.args(peer.words).arg(format!("http://{address}/"));
    let (said, _) = output_of(&mut command)?;
    let rate = said
        .lines()
        .find_map(|line| {
            line.trim()
                .strip_prefix("Requests/sec:")?
                .trim()
                .parse()
                .ok()
        })
        .ok_or_else(|| Error::Program {
            program: peer.name.into(),
            detail: format!("answered {said}"),
        })?;
    Ok((rate, children_cpu() - before))
}

/// Resident memory after a run of minutes: no request is kept.
fn memory(peers: &Peers<'_>, signals: &Signals) -> Result<Vec<Figure>> {
    let server = Server::start(peers, &["serve"])?;
    let short = ours(
        peers,
        signals,
        &["closed", &server.address, CONNECTIONS, CLOSED_SECONDS],
    )?;
    let long = ours(
        peers,
        signals,
        &["closed", &server.address, CONNECTIONS, LONG_SECONDS],
    )?;
    Progress::Print.say(format!(
        "rss_mb: {:.1} after {:.0} requests, {:.1} after {:.0}",
        short[2], short[3], long[2], long[3]
    ));
    Ok(vec![Figure::own("rss_mb", "MiB", interval(&[long[2]]))])
}
