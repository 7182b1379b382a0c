//! Suite `hostile`: random and hostile SQL from seven sessions of five roles, for ten minutes (`PITCREW_HOSTILE_SECONDS` sets another time), and
//! the server's own regression tests with the extension (`regress`).
//!
//! The seed is printed; `PITCREW_SEED` repeats what each session sends. The suite fails where something happened that must not happen, after it
//! has shown what it was.

mod regress;

use std::time::{Duration, Instant};

use pitcrew_stack::bench::{Figure, Interval};
use pitcrew_stack::hostile::{Kind, SETTINGS, Verdict, World};
use pitcrew_stack::signals::Signals;
use pitcrew_stack::{Error, Options, Postgres, PostgresOptions, Progress, Result, Stack};

use super::super::child;
use super::choices::Choices;

/// Names another time, in seconds.
const SECONDS: &str = "PITCREW_HOSTILE_SECONDS";
const DEFAULT_SECONDS: u64 = 600;
/// Times that each function has to be reached.
const CALLS: u64 = 20;

pub(super) fn run(signals: &Signals) -> Result<Vec<Figure>> {
    let seconds = match std::env::var(SECONDS) {
        Ok(text) => text
            .parse()
            .map_err(|_| Error::Usage(format!("{SECONDS} is a number of seconds, not `{text}`")))?,
        Err(_) => DEFAULT_SECONDS,
    };
    let seed = Choices::from_environment()?.seed();
    Progress::Print.say(format!("PITCREW_SEED={seed}"));
    let stack = Stack::start(Options {
        redis: false,
        progress: Progress::Print,
        ..Options::default()
    })?;
    let server = stack
        .postgres()
        .ok_or_else(|| Error::Extension("the stack has no Postgres".into()))?
        .server();
    let mut options = PostgresOptions::with_extension(server);
    options
        .settings
        .extend(SETTINGS.map(|(name, value)| (name.to_owned(), value.to_owned())));
    let postgres = Postgres::start(stack.slot(), server, options)?;
    let world = World::build(&postgres)?;
    let end = Instant::now() + Duration::from_secs(seconds);
    let (trace, held) =
        Progress::Print.step(format!("hostile sessions for {seconds} s"), || {
            world.run(seed, usize::MAX, || {
                Instant::now() < end && signals.check().is_ok()
            })
        })?;
    signals.check()?;
    let verdict = Verdict::of(&world, trace, held, CALLS)?;
    Progress::Print.say(verdict.summary());
    let mut counts = vec![
        ("hostile_crashes", verdict.crash_count() as u64),
        ("hostile_panics", verdict.panics as u64),
        (
            "hostile_internal_errors",
            verdict.internal_errors(Kind::Extension) + verdict.internal_errors(Kind::Called),
        ),
        ("hostile_functions_missed", verdict.missed.len() as u64),
        ("hostile_stuck", verdict.trace.stuck.len() as u64),
        ("hostile_held_while_idle", verdict.held.len() as u64),
    ];
    drop(postgres);
    let results = child::results_dir(&pitcrew_stack::checkout())?.join("bench/regress");
    let regress = regress::run(&stack, server, &results, signals)?;
    counts.extend(regress.map(|failed| ("regress_failed", failed)));
    let broken: Vec<String> = counts
        .iter()
        .filter(|(_, count)| *count != 0)
        .map(|(name, count)| format!("{name} is {count}"))
        .collect();
    if !broken.is_empty() {
        return Err(Error::Extension(format!(
            "{}; PITCREW_SEED={seed}",
            broken.join(", ")
        )));
    }
    counts.push(("hostile_statements", verdict.trace.statements));
    counts.push((
        "hostile_server_internal_errors",
        verdict.internal_errors(Kind::Server),
    ));
    Ok(counts
        .into_iter()
        .map(|(name, count)| {
            let value = count as f64;
            let reading = Interval {
                value,
                low: value,
                high: value,
            };
            Figure::own(name, "count", reading)
        })
        .collect())
}
