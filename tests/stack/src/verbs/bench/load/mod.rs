//! Suite `load`: what the load tester costs beside its peers, and whether what it says is true.
//!
//! Server and client have a core each where `taskset` is there.

mod capacity;
mod http;
mod postgres;
mod stall;
mod websocket;

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};

use pitcrew_stack::bench::Figure;
use pitcrew_stack::process::{find_program, output_of};
use pitcrew_stack::signals::Signals;
use pitcrew_stack::{Error, Result, checkout};

use super::peers::Peers;

pub(super) fn run(signals: &Signals) -> Result<Vec<Figure>> {
    let peers = Peers::build(&checkout(), signals, "load-peers", None)?;
    let mut figures = http::run(&peers, signals)?;
    figures.extend(capacity::run(&peers, signals)?);
    figures.extend(postgres::run(&peers, signals)?);
    figures.extend(websocket::run(&peers, signals)?);
    Ok(figures)
}

/// A program on one core.
fn on_core(core: &str, program: &Path) -> Command {
    match find_program("taskset") {
        Some(taskset) => {
            let mut command = Command::new(taskset);
            command.args(["-c", core]).arg(program);
            command
        }
        None => Command::new(program),
    }
}

/// A server of ours; ended when dropped.
struct Server {
    child: Child,
    address: String,
}

impl Server {
    fn start(peers: &Peers<'_>, words: &[&str]) -> Result<Self> {
        let failed = |detail: String| Error::Program {
            program: format!("load-peers {}", words.join(" ")),
            detail,
        };
        let mut child = on_core("0", peers.program())
            .args(words)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .map_err(|error| failed(error.to_string()))?;
        let mut line = String::new();
        if let Some(stdout) = child.stdout.take() {
            BufReader::new(stdout)
                .read_line(&mut line)
                .map_err(|error| failed(error.to_string()))?;
        }
        Ok(Self {
            child,
            address: line.trim().to_owned(),
        })
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The numbers that the load tester answers, on the client's core.
fn ours(peers: &Peers<'_>, signals: &Signals, words: &[&str]) -> Result<Vec<f64>> {
    signals.check()?;
    let (answer, _) = output_of(on_core("1", peers.program()).args(words))?;
    let numbers: Option<Vec<f64>> = answer
        .split_whitespace()
        .map(|word| word.parse().ok())
        .collect();
    numbers.ok_or_else(|| Error::Program {
        program: format!("load-peers {}", words.join(" ")),
        detail: format!("answered {answer}"),
    })
}

fn seconds(text: &str) -> f64 {
    text.parse().unwrap_or(f64::NAN)
}

/// CPU seconds of children that have ended and were waited for.
fn children_cpu() -> f64 {
    // SAFETY: getrusage fills the struct.
    let usage = unsafe {
        let mut usage: libc::rusage = std::mem::zeroed();
        libc::getrusage(libc::RUSAGE_CHILDREN, &raw mut usage);
        usage
    };
    #[expect(clippy::cast_precision_loss, reason = "seconds of a measurement")]
    let seconds = |time: libc::timeval| time.tv_sec as f64 + time.tv_usec as f64 / 1e6;
    seconds(usage.ru_utime) + seconds(usage.ru_stime)
}
