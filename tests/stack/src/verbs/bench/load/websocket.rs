//! WebSocket, an echo of 64 bytes, beside the least of a client on each library.

use pitcrew_stack::bench::{Figure, Reading, interval, rounds};
use pitcrew_stack::signals::Signals;
use pitcrew_stack::{Error, Progress, Result};

use super::super::peers::Peers;
use super::{Server, ours};

const CONNECTIONS: &str = "64";
const SECONDS: &str = "3";

/// Connections that are held, and for how long after the first of them.
const IDLE: [&str; 2] = ["5000", "10"];

const PEERS: [&str; 3] = ["tokio-tungstenite", "fastwebsockets", "tokio-websockets"];

pub(super) fn run(peers: &Peers<'_>, signals: &Signals) -> Result<Vec<Figure>> {
    let mut figures =
        Progress::Print.step("an echo beside each library", || echo(peers, signals))?;
    figures.extend(Progress::Print.step("idle connections", || idle(peers, signals))?);
    Ok(figures)
}

fn idle(peers: &Peers<'_>, signals: &Signals) -> Result<Vec<Figure>> {
    let server = Server::start(peers, &["echo"])?;
    let told = ours(peers, signals, &["idle", &server.address, IDLE[0], IDLE[1]])?;
    let [held, lost, cpu, rss] = told[..] else {
        return Err(Error::Program {
            program: "load-peers idle".into(),
            detail: format!("answered {told:?}"),
        });
    };
    Progress::Print.say(format!(
        "{held:.0} idle connections held, {lost:.0} lost or refused, {cpu:.2} s of CPU, {rss:.1} MiB"
    ));
    Ok(vec![
        Figure::own("ws_idle_held", "connections", interval(&[held])),
        Figure::own("ws_idle_lost", "connections", interval(&[lost])),
    ])
}

fn echo(peers: &Peers<'_>, signals: &Signals) -> Result<Vec<Figure>> {
    let server = Server::start(peers, &["echo"])?;
    let cpu = |who: &str| {
        let words = ["websocket", who, &server.address, CONNECTIONS, SECONDS];
        let told = ours(peers, signals, &words)?;
        Ok::<_, Error>(1e6 * told[1] / told[3])
    };
    let mut measured: [Reading<'_, Error>; 5] = [
        Box::new(|| cpu("ours")),
        // The control: the same thing twice.
        Box::new(|| cpu("ours")),
        Box::new(|| cpu(PEERS[0])),
        Box::new(|| cpu(PEERS[1])),
        Box::new(|| cpu(PEERS[2])),
    ];
    let read = rounds(16, &mut measured)?;
    drop(measured);
    for (peer, column) in PEERS.iter().zip(&read[2..]) {
        let read = interval(column);
        Progress::Print.say(format!(
            "{peer} {}: {:.2} us a message ({:.2} - {:.2})",
            peers.version(peer),
            read.value,
            read.low,
            read.high
        ));
    }
    // The best is one library in all rounds: the best of each round would be luck.
    let best = (2..5)
        .min_by(|a, b| {
            let median = |which: &usize| interval(&read[*which]).value;
            median(a).total_cmp(&median(b))
        })
        .unwrap_or(2);
    let name = PEERS[best - 2];
    Ok(vec![
        Figure::ratio("ws_cpu_vs_best", &read[0], &read[1], &read[best])
            .against(name, peers.version(name)),
    ])
}
