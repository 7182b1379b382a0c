//! The capacity search against servers whose limit is known.

use pitcrew_stack::bench::{Figure, interval};
use pitcrew_stack::signals::Signals;
use pitcrew_stack::{Error, Progress, Result};

use super::super::peers::Peers;
use super::{Server, ours};

/// Of a probe.
const SECONDS: &str = "4";
/// Searches of one server: a machine that is busy may leave one without an end.
const TRIES: usize = 3;

/// A server, the threshold that is looked for, and the rate at which that breaks.
struct Known {
    name: &'static str,
    server: &'static [&'static str],
    threshold: &'static str,
    limit_per_s: f64,
}

/// A bucket of 2,000/s that saves up 40, so that a server which has no core for 20 ms refuses nothing for that, refuses 1 % of
/// the 4 s that count where 5 s of arrivals, the one to settle with them, are more than 10,040 by that. Of what waits in a crowd,
/// 92 ms are reached at 4,000 (1 - 20 / 92).
const KNOWN: [Known; 2] = [
    Known {
        name: "a token bucket of 2,000/s",
        server: &["serve-bucket", "2000", "40"],
        threshold: "error_rate < 1%",
        limit_per_s: (2_000.0 * 5.0 + 40.0) / (5.0 - 0.01 * 4.0),
    },
    Known {
        name: "a crowd that slows down",
        server: &["serve-crowded", "20", "4000"],
        threshold: "p95 < 92ms",
        limit_per_s: 4_000.0 * (1.0 - 20.0 / 92.0),
    },
];

pub(super) fn run(peers: &Peers<'_>, signals: &Signals) -> Result<Vec<Figure>> {
    let (mut errors, mut inside) = (Vec::new(), 0.0);
    for known in &KNOWN {
        let [low, high] = Progress::Print.step(known.name, || found(known, peers, signals))?;
        let limit = known.limit_per_s;
        errors.push(100.0 * ((low + high) / 2.0 / limit - 1.0).abs());
        let is_inside = low <= limit && limit <= high;
        inside += f64::from(u8::from(is_inside)) * 100.0 / KNOWN.len() as f64;
        Progress::Print.say(format!(
            "{}: {low:.0} - {high:.0} a second is stated, {limit:.0} is true",
            known.name
        ));
    }
    Ok(vec![
        Figure::own("capacity_error_pct", "%", interval(&errors)),
        Figure::own("capacity_inside_pct", "%", interval(&[inside])),
    ])
}

fn found(known: &Known, peers: &Peers<'_>, signals: &Signals) -> Result<[f64; 2]> {
    for _ in 0..TRIES {
        let server = Server::start(peers, known.server)?;
        let words = ["capacity", &server.address, known.threshold, SECONDS];
        if let [low, high, _] = ours(peers, signals, &words)?[..] {
            return Ok([low, high]);
        }
        Progress::Print.say(format!("{}: a search stated no interval", known.name));
    }
    Err(Error::Program {
        program: "load-peers capacity".into(),
        detail: format!(
            "{TRIES} searches of {} stated no interval: this machine was too busy",
            known.name
        ),
    })
}
