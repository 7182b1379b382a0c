//! The steps, in the order that finds mistakes soonest.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::{Command, ExitCode};
use std::time::Instant;

use pitcrew_stack::signals::Signals;
use pitcrew_stack::testing::{SKIPS_VARIABLE, STACK_VARIABLE};
use pitcrew_stack::{Error, Extension, Options, PgConfig, Progress, Result, Stack};

use super::libtest::{Outcome, Reader};
use super::promises;
use super::report::{Report, read_skips};
use crate::verbs::{child, demo};

/// Which named feature combinations of which package must compile.
const FEATURES: &str = "tests/stack/features.toml";

/// Up to so many tests that failed are run again alone. More of them are no matter of what ran beside them.
const TRIED_AGAIN: usize = 3;

/// Test files of the package `end-to-end` that are about the extension, as cargo's patterns.
const EXTENSION: [&str; 4] = ["extension_*", "checks*", "autovacuum_advice", "pool_advice"];

/// Which tests.
#[derive(Clone, Copy)]
pub(super) enum Which<'a> {
    All,
    /// Those of one file, or whose names have this in them.
    Named(&'a str),
    /// Those of the extension.
    Extension,
}

/// One run of the tests.
pub(super) struct Run<'a> {
    pub(super) root: &'a Path,
    pub(super) pg_config: &'a PgConfig,
    pub(super) signals: &'a Signals,
    pub(super) report: &'a mut Report,
}

impl Run<'_> {
    /// All steps. A step that fails does not stop the others, so one run shows everything.
    pub(super) fn everything(&mut self) -> Result<()> {
        self.check(
            "format",
            child::cargo(self.root, &["fmt", "--all", "--check"]),
        )?;
        let mut clippy = child::cargo(self.root, &["clippy", "--all-targets"]);
        clippy.args(child::SELECTION).args(["--", "-D", "warnings"]);
        self.check("clippy", clippy)?;
        let mut clippy = Extension::cargo(self.root, self.pg_config, "clippy");
        clippy.args(["--all-targets", "--", "-D", "warnings"]);
        self.check("clippy of the extension", clippy)?;
        let mut docs = child::cargo(self.root, &["doc", "--no-deps"]);
        docs.args(child::SELECTION)
            .env("RUSTDOCFLAGS", "-D warnings");
        self.check("documentation", docs)?;
        let mut docs = Extension::cargo(self.root, self.pg_config, "doc");
        docs.arg("--no-deps").env("RUSTDOCFLAGS", "-D warnings");
        self.check("documentation of the extension", docs)?;
        self.tests(Which::All)?;
        self.interleavings()?;
        self.features()?;
        self.demo("demo --check", demo::Choice::check(true))?;
        self.demo(
            "demo --check --no-db --no-redis",
            demo::Choice::check(false),
        )?;
        self.promises()
    }

    /// The stack, and the tests on it.
    pub(super) fn tests(&mut self, which: Which<'_>) -> Result<()> {
        let begin = Instant::now();
        let started = Stack::start(Options {
            pg_config: Some(self.pg_config.clone()),
            checkout: self.root.to_path_buf(),
            progress: Progress::Print,
            ..Options::default()
        });
        self.report
            .took("start the stack", begin.elapsed().as_secs_f64());
        let stack = match started {
            Ok(stack) => stack,
            // Without it most tests would be skipped: one failure says more than a hundred skips.
            Err(error) => {
                Progress::Print.say(&error);
                self.report.fail(format!("start the stack: {error}"));
                return Ok(());
            }
        };
        let root = self.root;
        let tests = || {
            let mut tests = child::cargo(root, &["test", "--no-fail-fast"]);
            tests.args(child::SELECTION);
            tests
        };
        self.cargo_test("tests", &tests, which, &stack)?;
        if matches!(which, Which::Named(name) if is_test_file(self.root, name)) {
            return Ok(());
        }
        let pg_config = self.pg_config;
        let tests = || {
            let mut tests = Extension::cargo(root, pg_config, "test");
            tests.args(["--lib", "--no-fail-fast"]);
            tests
        };
        self.cargo_test(
            "tests of the extension's plain code",
            &tests,
            match which {
                Which::Extension => Which::All,
                other => other,
            },
            &stack,
        )
    }

    fn cargo_test(
        &mut self,
        step: &str,
        tests: &dyn Fn() -> Command,
        which: Which<'_>,
        stack: &Stack,
    ) -> Result<()> {
        let description = stack.write_description()?;
        let skips = description.with_file_name("skips.tsv");
        let on_the_stack = || {
            let mut command = tests();
            command
                .env(STACK_VARIABLE, &description)
                .env(SKIPS_VARIABLE, &skips);
            command
        };
        let _ = std::fs::remove_file(&skips);
        let mut command = on_the_stack();
        match which {
            Which::All => {}
            Which::Extension => {
                command.args(EXTENSION.iter().flat_map(|file| ["--test", file]));
            }
            // Names as the report prints them: a file of tests, or BINARY::PATH.
            Which::Named(name) if is_test_file(self.root, name) => {
                command.args(["--test", name]);
            }
            Which::Named(name) => {
                let path = name.split_once("::").map_or(name, |(_, path)| path);
                command.args(["--", name, path]);
            }
        }
        let failed = self.libtest(step, command, Some(&skips))?;
        // What fails beside a thousand others and holds alone is told apart from what is broken: both are told.
        if failed.len() > TRIED_AGAIN {
            return Ok(());
        }
        for name in failed {
            let Some((binary, path)) = name.split_once("::") else {
                continue;
            };
            let mut command = on_the_stack();
            if is_test_file(self.root, binary) {
                command.args(["--test", binary]);
            }
            command.args(["--", "--exact", path]);
            self.alone(&name, command)?;
        }
        Ok(())
    }

    /// Runs one test that failed beside the others a second time, with nothing beside it.
    fn alone(&mut self, name: &str, command: Command) -> Result<()> {
        let mut reader = Reader::default();
        let signals = self.signals;
        self.timed(&format!("{name} again, alone"), || {
            child::stream(command, signals, &mut |line| reader.line(line))
        })?;
        let mut again = reader.tests.iter().filter(|test| test.name == name);
        if again.any(|test| test.outcome == Outcome::Passed) {
            self.report.passed_alone(name);
        }
        Ok(())
    }

    /// Runs tests and counts them; answers which failed.
    fn libtest(
        &mut self,
        step: &str,
        command: Command,
        skips: Option<&Path>,
    ) -> Result<Vec<String>> {
        let mut reader = Reader::default();
        let signals = self.signals;
        let status = self.timed(step, || {
            child::stream(command, signals, &mut |line| reader.line(line))
        })?;
        let skipped = skips.and_then(|skips| std::fs::read_to_string(skips).ok());
        let skipped = read_skips(&skipped.unwrap_or_default());
        let failed = reader
            .tests
            .iter()
            .filter(|test| test.outcome == Outcome::Failed)
            .map(|test| test.name.clone())
            .collect::<Vec<_>>();
        self.report.tests(&reader.tests, &skipped);
        if !status.success() && failed.is_empty() {
            // It did not compile, or a test binary crashed.
            self.report
                .fail(format!("{step}: cargo test ended with {status}"));
        }
        Ok(failed)
    }

    /// The tests that go through every order of two threads' steps. Their locks and atomics are not the standard library's,
    /// so they are built apart, with no more than they need.
    fn interleavings(&mut self) -> Result<()> {
        let mut flags = std::env::var("RUSTFLAGS").unwrap_or_default();
        flags.push_str(" --cfg pitcrew_loom");
        let target = child::target_dir(self.root).join("loom");
        let mut command = child::cargo(self.root, &["test", "--locked", "-p", "pitcrew", "--lib"]);
        command
            .args(["--no-default-features", "--features", "cache,latency"])
            .arg("--target-dir")
            .arg(target)
            .args(["--", "interleavings"])
            .env("RUSTFLAGS", flags.trim())
            // Optimised: there are many orders.
            .env("CARGO_PROFILE_DEV_OPT_LEVEL", "3");
        self.libtest("interleavings", command, None)?;
        Ok(())
    }

    /// `cargo check` of every named combination, without warnings.
    fn features(&mut self) -> Result<()> {
        let path = self.root.join(FEATURES);
        let text = std::fs::read_to_string(&path).map_err(|source| Error::Io {
            action: "read",
            path: path.clone(),
            source,
        })?;
        let combinations: BTreeMap<String, Vec<String>> =
            toml::from_str(&text).map_err(|error| Error::Format {
                path,
                detail: error.to_string(),
            })?;
        for (package, list) in combinations {
            for features in list {
                let name = format!("{package} with features `{features}`");
                let mut command = child::cargo(
                    self.root,
                    &["check", "--locked", "--no-default-features", "-p", &package],
                );
                command.args(["--features", &features]);
                let mut warned = false;
                let signals = self.signals;
                let status = self.timed(&name, || {
                    child::stream(command, signals, &mut |line| {
                        warned |= line.starts_with("warning: unused") || is_count(line)
                    })
                })?;
                self.report.check(&name, status.success() && !warned);
            }
        }
        Ok(())
    }

    fn promises(&mut self) -> Result<()> {
        match promises::broken(self.root, self.report) {
            Ok(broken) if broken.is_empty() => self.report.check("promises", true),
            Ok(broken) => broken.into_iter().for_each(|line| self.report.fail(line)),
            Err(error) => self.report.fail(error.to_string()),
        }
        Ok(())
    }

    fn demo(&mut self, name: &str, choice: demo::Choice) -> Result<()> {
        let (signals, pg_config) = (self.signals, self.pg_config.clone());
        let result = self.timed(name, || demo::run_with(choice, signals, Some(pg_config)));
        self.signals.check()?;
        match result {
            Ok(code) => self.report.check(name, code == ExitCode::SUCCESS),
            Err(error) => self.report.fail(format!("{name}: {error}")),
        }
        Ok(())
    }

    fn check(&mut self, name: &str, command: Command) -> Result<()> {
        let signals = self.signals;
        let status = self.timed(name, || child::stream(command, signals, &mut |_| {}))?;
        self.report.check(name, status.success());
        Ok(())
    }

    fn timed<T>(&mut self, name: &str, work: impl FnOnce() -> Result<T>) -> Result<T> {
        println!("\n== {name}");
        let begin = Instant::now();
        let result = work();
        let seconds = begin.elapsed().as_secs_f64();
        println!("== {name}: {seconds:.1} s");
        self.report.took(name, seconds);
        result
    }
}

/// Whether a package of the workspace has `tests/NAME.rs`.
fn is_test_file(root: &Path, name: &str) -> bool {
    let below = |dir: &Path| -> Vec<std::path::PathBuf> {
        let entries = std::fs::read_dir(dir).into_iter().flatten().flatten();
        entries
            .map(|entry| entry.path())
            .filter(|path| path.is_dir() && !path.ends_with("target"))
            .collect()
    };
    let file = format!("tests/{name}.rs");
    let plain = !name.is_empty()
        && name
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'-');
    plain
        && below(root).iter().any(|dir| {
            dir.join(&file).exists() || below(dir).iter().any(|dir| dir.join(&file).exists())
        })
}

/// `warning: `pitcrew` (lib) generated 2 warnings`.
fn is_count(line: &str) -> bool {
    line.starts_with("warning: `") && line.contains("` (") && line.contains(" generated ")
}
