//! The server's own regression tests, as its source package brings them: once without the extension, once with it preloaded and every execution
//! captured. What fails in both says something of this machine, and nothing of the extension.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::Command;

use pitcrew_stack::signals::Signals;
use pitcrew_stack::{
    Error, Postgres, PostgresOptions, Progress, Result, Server, Stack, fetch_tests,
};

/// Fewer tests than any supported server has mean that they did not run.
const TESTS_AT_LEAST: usize = 150;

/// Both runs have these. Query ids stay out of plans, as the tests expect it.
const SETTINGS: [(&str, &str); 2] = [("compute_query_id", "regress"), ("track_io_timing", "off")];
const CAPTURE: [(&str, &str); 2] = [
    ("pitcrew.capture", "all"),
    ("pitcrew.capture_min_duration", "0"),
];

/// What came of one run.
#[derive(Debug, Default, PartialEq, Eq)]
struct Ran {
    passed: usize,
    failed: BTreeSet<String>,
}

/// Tests that fail with the extension and pass without it; `None` where the tests cannot be had, which is said.
pub(super) fn run(
    stack: &Stack,
    server: &Server,
    results: &Path,
    signals: &Signals,
) -> Result<Option<u64>> {
    let tests = match fetch_tests(stack.slot().place(), &server.pg_config, Progress::Print) {
        Ok(tests) => tests,
        Err(error) => {
            Progress::Print.say(format!(
                "the server's own tests cannot be had, so regress_failed is left out: {error}"
            ));
            return Ok(None);
        }
    };
    let plain = PostgresOptions::default();
    let mut preloaded = PostgresOptions::with_extension(server);
    preloaded.settings.extend(owned(&CAPTURE));
    let mut runs = Vec::new();
    for (name, mut options) in [("without", plain), ("with", preloaded)] {
        signals.check()?;
        options.settings.extend(owned(&SETTINGS));
        let ran = Progress::Print.step(
            format!("the server's own tests {name} the extension"),
            || one(stack, server, options, &tests, &results.join(name)),
        )?;
        Progress::Print.say(format!(
            "{name}: {} passed, {} failed {:?}",
            ran.passed,
            ran.failed.len(),
            ran.failed
        ));
        runs.push(ran);
    }
    let ours: Vec<&String> = runs[1].failed.difference(&runs[0].failed).collect();
    if !ours.is_empty() {
        Progress::Print.say(format!(
            "with the extension alone {ours:?} failed; see {}",
            results.join("with/regression.diffs").display()
        ));
    }
    Ok(Some(ours.len() as u64))
}

fn owned(settings: &[(&str, &str)]) -> Vec<(String, String)> {
    let own = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
    settings.iter().map(own).collect()
}

fn one(
    stack: &Stack,
    server: &Server,
    options: PostgresOptions,
    tests: &Path,
    kept: &Path,
) -> Result<Ran> {
    let postgres = Postgres::start(stack.slot(), server, options)?;
    let written = stack.slot().folder("regress")?;
    let input = tests.join("regress");
    let mut command = Command::new(program(server));
    command
        .arg(format!("--inputdir={}", input.display()))
        .arg(format!("--outputdir={}", written.display()))
        .arg(format!("--bindir={}", server.bin.display()))
        .arg(format!("--dlpath={}", tests.join("lib").display()))
        .arg(format!(
            "--schedule={}",
            input.join("parallel_schedule").display()
        ))
        .arg(format!("--host={}", postgres.socket_dir().display()))
        .arg(format!("--port={}", postgres.port()))
        .args([
            "--user=postgres",
            "--encoding=UTF8",
            "--no-locale",
            "--max-concurrent-tests=20",
        ])
        .current_dir(&written)
        .env_clear()
        .env("PATH", "/usr/bin:/bin")
        .env("LC_ALL", "C.UTF-8");
    stack.slot().place().account().apply(&mut command);
    let done = command.output().map_err(|error| Error::Program {
        program: "pg_regress".into(),
        detail: error.to_string(),
    })?;
    let said = String::from_utf8_lossy(&done.stdout).into_owned();
    keep(kept, &written, &said)?;
    let ran = read(&said);
    if ran.passed + ran.failed.len() < TESTS_AT_LEAST {
        return Err(Error::Program {
            program: "pg_regress".into(),
            detail: format!(
                "{}{}",
                tail(&said),
                tail(&String::from_utf8_lossy(&done.stderr))
            ),
        });
    }
    // A server that crashed and came back is no failed test alone.
    postgres.check_running()?;
    Ok(ran)
}

fn program(server: &Server) -> PathBuf {
    server
        .pg_config
        .pkglib
        .join("pgxs/src/test/regress/pg_regress")
}

/// What the tests said and how answers differed, for whoever looks into it.
fn keep(kept: &Path, written: &Path, said: &str) -> Result<()> {
    let fault = |source| Error::Io {
        action: "keep what the tests said in",
        path: kept.to_owned(),
        source,
    };
    std::fs::create_dir_all(kept).map_err(fault)?;
    std::fs::write(kept.join("output"), said).map_err(fault)?;
    let diffs = std::fs::read(written.join("regression.diffs")).unwrap_or_default();
    std::fs::write(kept.join("regression.diffs"), diffs).map_err(fault)
}

fn tail(text: &str) -> String {
    let lines: Vec<&str> = text.lines().collect();
    lines[lines.len().saturating_sub(8)..].join("\n")
}

/// Reads what pg_regress prints: until 15 `name ... ok 12 ms` or `FAILED`, since 16 `ok 1 - name 12 ms` or `not ok 1 - name`.
fn read(said: &str) -> Ran {
    let mut ran = Ran::default();
    for line in said.lines() {
        let found = if let Some((name, result)) = line.split_once(" ... ") {
            let name = name.trim().trim_start_matches("test ").trim();
            let result = result.trim_start();
            if result.starts_with("ok") {
                Some((name, true))
            } else {
                result.starts_with("FAILED").then_some((name, false))
            }
        } else {
            let (is_ok, rest) = match line.strip_prefix("not ok ") {
                Some(rest) => (false, Some(rest)),
                None => (true, line.strip_prefix("ok ")),
            };
            // The number, a `-` or in a parallel group a `+`, the name.
            rest.and_then(|rest| rest.split_whitespace().nth(2))
                .map(|name| (name, is_ok))
        };
        match found {
            Some((_, true)) => ran.passed += 1,
            Some((name, false)) => {
                ran.failed.insert(name.to_owned());
            }
            None => {}
        }
    }
    ran
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_ways_of_telling_are_read() {
        let old = "test tablespace                   ... ok          332 ms\nparallel group (2 tests):  char oid\n     \
                   char                         ... FAILED       20 ms\n     oid                          ... ok           19 ms\n";
        let new = "ok 1         - tablespace                332 ms\n# parallel group (2 tests):  char oid\nnot ok 2     + char  20 ms\n\
                   ok 3         + oid  19 ms\n1..3\n";
        for said in [old, new] {
            let ran = read(said);
            assert_eq!(ran.passed, 2, "{said}");
            assert_eq!(ran.failed.iter().collect::<Vec<_>>(), ["char"], "{said}");
        }
    }
}
