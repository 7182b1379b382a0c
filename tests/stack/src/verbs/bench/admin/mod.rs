//! Suite `admin`: how long `GET /status` takes, what two hundred who listen to `GET /events` cost, and what all of pitcrew costs a
//! service that nobody asks.
//!
//! Each server is a process of its own, asked over real sockets; its processor time and memory are the kernel's account of it. What is
//! told of is the whole process, its own HTTP server included, but for `pitcrew_cost_...`: that is the demo's service less the same
//! service without pitcrew, both over the same time.

mod client;
mod rest;
mod service;
mod status;
mod streams;

use std::process::Command;

use pitcrew_stack::bench::Figure;
use pitcrew_stack::process::output_of;
use pitcrew_stack::signals::Signals;
use pitcrew_stack::{Error, Options, Progress, Result, Slot, Stack, checkout};

use super::super::child;
use service::Service;

/// What the figures have to stay within.
const BARS: [(&str, f64); 4] = [
    ("status_ms", 20.0),
    ("sse_200_core_percent", 1.0),
    ("pitcrew_cost_cpu_percent", 0.5),
    ("pitcrew_cost_mb", 40.0),
];

pub(super) fn run(signals: &Signals) -> Result<Vec<Figure>> {
    let root = checkout();
    let mut build = child::cargo(&root, &["build", "--release"]);
    build.args(["--bin", "admin-service", "--bin", "demo"]);
    build.args(child::SELECTION);
    Progress::Print.step("build the services", || output_of(&mut build))?;
    signals.check()?;
    let stack = Stack::start(Options {
        durable: true,
        progress: Progress::Print,
        ..Options::default()
    })?;
    let service = Service::start(&stack, signals)?;
    let mut figures = status::figures(&service, signals)?;
    figures.extend(streams::figures(&service, signals)?);
    drop(service);
    figures.extend(rest::figures(&stack, signals)?);
    for (figure, bar) in BARS {
        Progress::Print.say(format!("{figure}: the bar is {bar}"));
    }
    Ok(figures)
}

/// A program of ours that was built before, in a folder of its own: the checkout may be closed to the account that it runs as.
fn installed(slot: &Slot, name: &str) -> Result<(std::path::PathBuf, Command)> {
    let built = child::target_dir(&checkout()).join("release").join(name);
    let dir = slot.folder(name)?;
    let copy = dir.join("program");
    std::fs::copy(&built, &copy).map_err(|source| Error::Io {
        action: "copy",
        path: built,
        source,
    })?;
    let command = Command::new(copy);
    Ok((dir, command))
}

/// What went wrong between us and a server.
fn fault(what: impl std::fmt::Display) -> Error {
    Error::Program {
        program: "the suite `admin`".into(),
        detail: what.to_string(),
    }
}
