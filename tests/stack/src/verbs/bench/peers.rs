//! A program of measurements, in a workspace of its own below `tests`: built once, then run for each reading.

use std::path::{Path, PathBuf};
use std::process::Command;

use pitcrew_stack::process::{find_program, output_of};
use pitcrew_stack::signals::Signals;
use pitcrew_stack::{Error, Result};

use super::super::child;

/// Calls that callgrind counts. The same number again is taken away, so that what comes before them drops out.
const COUNTED_CALLS: usize = 4_096;

#[derive(Clone)]
pub(super) struct Peers<'a> {
    program: PathBuf,
    lock: toml::Table,
    signals: &'a Signals,
}

impl<'a> Peers<'a> {
    /// Builds `tests/NAME` in a target directory of its own, for its crates are not the workspace's. `feature`: one that it is built
    /// with, in a directory of its own again.
    pub(super) fn build(
        root: &Path,
        signals: &'a Signals,
        name: &str,
        feature: Option<&str>,
    ) -> Result<Self> {
        let folder = root.join("tests").join(name);
        let target = child::target_dir(root).join(match feature {
            Some(feature) => format!("{name}-{feature}"),
            None => name.to_owned(),
        });
        let mut command =
            child::cargo(&folder, &["build", "--release", "--locked", "--target-dir"]);
        command.arg(&target);
        if let Some(feature) = feature {
            command.args(["--features", feature]);
        }
        let status = child::foreground(command, signals)?;
        signals.check()?;
        if !status.success() {
            return Err(Error::Program {
                program: format!("cargo build in {}", folder.display()),
                detail: status.to_string(),
            });
        }
        let path = folder.join("Cargo.lock");
        let lock = std::fs::read_to_string(&path).map_err(|source| Error::Io {
            action: "read",
            path: path.clone(),
            source,
        })?;
        Ok(Self {
            program: target.join("release").join(name),
            lock: toml::from_str(&lock).map_err(|error| Error::Format {
                path,
                detail: error.to_string(),
            })?,
            signals,
        })
    }

    /// Another program of the same build.
    pub(super) fn beside(&self, name: &str) -> Self {
        Self {
            program: self.program.with_file_name(name),
            ..self.clone()
        }
    }

    /// The version of a crate that is compared with.
    pub(super) fn version(&self, name: &str) -> &str {
        let packages = self.lock.get("package").and_then(toml::Value::as_array);
        packages
            .into_iter()
            .flatten()
            .find(|package| package.get("name").and_then(toml::Value::as_str) == Some(name))
            .and_then(|package| package.get("version")?.as_str())
            .unwrap_or("unknown")
    }

    pub(super) fn program(&self) -> &Path {
        &self.program
    }

    /// The numbers that one measurement answers.
    pub(super) fn read(&self, words: &[&str]) -> Result<Vec<f64>> {
        self.signals.check()?;
        let mut command = Command::new(&self.program);
        command.args(words);
        let (answer, _) = output_of(&mut command)?;
        let numbers: Option<Vec<f64>> = answer
            .split_whitespace()
            .map(|word| word.parse().ok())
            .collect();
        numbers.ok_or_else(|| self.fault(words, &answer))
    }

    /// The one number that it answers.
    pub(super) fn number(&self, words: &[&str]) -> Result<f64> {
        match self.read(words)?.as_slice() {
            [number] => Ok(*number),
            other => Err(self.fault(words, &format!("{other:?}"))),
        }
    }

    /// Instructions of one call of a measurement whose last argument is how many are made. `None` without valgrind.
    pub(super) fn instructions(&self, words: &[&str]) -> Result<Option<f64>> {
        let Some(valgrind) = find_program("valgrind") else {
            return Ok(None);
        };
        let counted = |calls: usize| -> Result<f64> {
            self.signals.check()?;
            let mut command = Command::new(&valgrind);
            command
                .args(["--tool=callgrind", "--callgrind-out-file=/dev/null"])
                .arg(&self.program)
                .args(words)
                .arg(calls.to_string());
            let (_, said) = output_of(&mut command)?;
            said.lines()
                .find_map(|line| line.split_once("Collected : ")?.1.trim().parse().ok())
                .ok_or_else(|| self.fault(words, &said))
        };
        let (once, twice) = (counted(COUNTED_CALLS)?, counted(2 * COUNTED_CALLS)?);
        #[expect(clippy::cast_precision_loss, reason = "a few thousand")]
        Ok(Some((twice - once) / COUNTED_CALLS as f64))
    }

    /// Instructions of one call of a measurement whose last argument is how many are made, counted inside the functions of a name alone.
    /// `None` without valgrind.
    pub(super) fn instructions_inside(
        &self,
        function: &str,
        words: &[&str],
    ) -> Result<Option<f64>> {
        let Some(valgrind) = find_program("valgrind") else {
            return Ok(None);
        };
        self.signals.check()?;
        let mut command = Command::new(valgrind);
        command
            .args(["--tool=callgrind", "--callgrind-out-file=/dev/null"])
            .arg("--collect-atstart=no")
            .arg(format!("--toggle-collect=*{function}*"))
            .arg(&self.program)
            .args(words)
            .arg(COUNTED_CALLS.to_string());
        let (_, said) = output_of(&mut command)?;
        let collected = said
            .lines()
            .find_map(|line| {
                line.split_once("Collected : ")?
                    .1
                    .trim()
                    .parse::<f64>()
                    .ok()
            })
            .filter(|collected| *collected > 0.0)
            .ok_or_else(|| self.fault(words, &said))?;
        #[expect(clippy::cast_precision_loss, reason = "a few thousand")]
        Ok(Some(collected / COUNTED_CALLS as f64))
    }

    fn fault(&self, words: &[&str], answer: &str) -> Error {
        Error::Program {
            program: format!("{} {}", self.program.display(), words.join(" ")),
            detail: format!("answered {answer}"),
        }
    }
}
