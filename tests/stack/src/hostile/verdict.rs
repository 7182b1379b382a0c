//! What must not have happened, counted.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

use super::session::{Kind, Trace, kind_of, without_numbers};
use super::world::World;
use crate::error::{Error, Result};

/// Of a list that is shown.
const SHOWN: usize = 12;

/// Signs of a process that died in the server's log.
const SIGNS: [&str; 4] = [
    "was terminated by signal",
    "exited with exit code 2",
    "PANIC:",
    "all server processes terminated; reinitializing",
];

/// What came of it.
#[derive(Debug)]
pub struct Verdict {
    /// What the sessions were answered.
    pub trace: Trace,
    /// Lines of the log that tell of a crash.
    pub crashes: Vec<String>,
    /// Panics that the hooks caught.
    pub panics: i64,
    /// Internal errors by origin and message, workers' included, with an example.
    pub internal: BTreeMap<(Kind, String), (u64, String)>,
    /// Functions that were not reached often enough.
    pub missed: Vec<String>,
    /// Functions of which no call succeeded.
    pub never_succeeded: Vec<String>,
    /// Who held a lock or a transaction while it did nothing.
    pub held: BTreeSet<String>,
}

impl Verdict {
    /// Reads the log and asks the server. Each function has to be reached `calls` times.
    ///
    /// # Errors
    /// Those of the log's file, and of a server that does not answer.
    pub fn of(
        world: &World<'_>,
        mut trace: Trace,
        held: BTreeSet<String>,
        calls: u64,
    ) -> Result<Self> {
        let path = world.postgres().log_path();
        let log = std::fs::read(&path).map_err(Error::io("read", &path))?;
        let log = String::from_utf8_lossy(&log);
        trace.lost.retain(|lost| !was_ended(&log, lost.pid));
        for lost in &mut trace.lost {
            let mark = format!("[{}] ", lost.pid);
            let told: Vec<&str> = log
                .lines()
                .filter(|line| line.contains(&mark))
                .take(4)
                .collect();
            lost.statements += &format!("\n        log: {told:?}");
        }
        let mut internal = trace.internal.clone();
        for ((kind, message), count) in workers(&log) {
            internal
                .entry((kind, message))
                .or_insert((0, "a worker".into()))
                .0 += count;
        }
        let panics = world.rows("SELECT panics FROM pitcrew.capture_status()")?;
        let panics = panics
            .first()
            .and_then(|row| row.first()?.as_deref()?.parse().ok());
        let list = |is_bad: &dyn Fn(&[u64; 2]) -> bool| -> Vec<String> {
            world
                .functions()
                .iter()
                .zip(&trace.calls)
                .filter(|(_, calls)| is_bad(calls))
                .map(|(function, calls)| format!("{} ({} calls)", function.signature, calls[0]))
                .collect()
        };
        Ok(Self {
            crashes: crashes(&log),
            panics: panics.ok_or_else(|| Error::Extension("no count of panics".into()))?,
            internal,
            missed: list(&|found| found[0] < calls),
            never_succeeded: list(&|found| found[1] == 0),
            held,
            trace,
        })
    }

    /// Internal errors of one origin.
    #[must_use]
    pub fn internal_errors(&self, kind: Kind) -> u64 {
        let of_kind = self
            .internal
            .iter()
            .filter(|((found, _), _)| *found == kind);
        of_kind.map(|(_, (count, _))| count).sum()
    }

    /// Crashes: processes that died, and sessions that ended without a word.
    #[must_use]
    pub fn crash_count(&self) -> usize {
        self.crashes.len().max(self.trace.lost.len())
    }

    /// All of it for people.
    #[must_use]
    pub fn summary(&self) -> String {
        let mut text = String::new();
        let mut list = |title: &str, items: &mut dyn Iterator<Item = String>| {
            let items: Vec<String> = items.collect();
            if !items.is_empty() {
                let more = items.len().saturating_sub(SHOWN);
                let _ = writeln!(text, "{title} ({}):", items.len());
                for item in items.iter().take(SHOWN) {
                    let _ = writeln!(text, "    {item}");
                }
                if more > 0 {
                    let _ = writeln!(text, "    and {more} more");
                }
            }
        };
        list("lines of a crash", &mut self.crashes.iter().cloned());
        list(
            "sessions that were lost, with their last statements",
            &mut self.trace.lost.iter().map(|lost| lost.statements.clone()),
        );
        list(
            "statements that did not end",
            &mut self.trace.stuck.iter().cloned(),
        );
        for (kind, title) in [
            (Kind::Extension, "internal errors of the extension"),
            (
                Kind::Called,
                "internal errors of the server in a function of the extension",
            ),
            (Kind::Server, "internal errors of the server alone"),
        ] {
            let found = self.internal.iter().filter(|((of, _), _)| *of == kind);
            list(
                title,
                &mut found.map(|((_, message), (count, example))| {
                    format!("{count} x {message}\n        {example}")
                }),
            );
        }
        list("held while idle", &mut self.held.iter().cloned());
        list(
            "functions that were not reached",
            &mut self.missed.iter().cloned(),
        );
        list(
            "functions of which no call succeeded",
            &mut self.never_succeeded.iter().cloned(),
        );
        let mut codes: Vec<(&String, &u64)> = self.trace.codes.iter().collect();
        codes.sort_by_key(|(_, count)| std::cmp::Reverse(**count));
        let codes: Vec<String> = codes
            .iter()
            .take(40)
            .map(|(code, count)| format!("{code} {count}"))
            .collect();
        let _ = write!(
            text,
            "{} statements: {}",
            self.trace.statements,
            codes.join(", ")
        );
        text
    }
}

/// Whether the log says that somebody, or a timeout, ended this process.
fn was_ended(log: &str, pid: i32) -> bool {
    let by_command = format!("[{pid}] 57P01 ");
    let by_timeout = format!("[{pid}] 25P03 ");
    log.contains(&by_command) || log.contains(&by_timeout)
}

fn crashes(log: &str) -> Vec<String> {
    let is_sign = |line: &&str| SIGNS.iter().any(|sign| line.contains(sign));
    log.lines().filter(is_sign).map(str::to_owned).collect()
}

/// Internal errors of processes that no client has: `... XX000 pitcrew history: ERROR:  XX000: message`, with a line `LOCATION` behind.
fn workers(log: &str) -> BTreeMap<(Kind, String), u64> {
    let mut found = BTreeMap::new();
    let mut lines = log.lines();
    while let Some(line) = lines.next() {
        let Some((before, message)) = line.split_once(":  XX0") else {
            continue;
        };
        // A warning is none: REINDEX says with a code of this class that it leaves out an index that somebody's cancel left invalid.
        let is_error = ["ERROR", "FATAL", "PANIC"]
            .iter()
            .any(|level| before.ends_with(level));
        if !is_error || before.contains("client backend") {
            continue;
        }
        let location = lines
            .clone()
            .take(20)
            .find_map(|line| line.split_once("LOCATION:  "));
        let location = location.map(|(_, location)| location).unwrap_or_default();
        let file = location.rsplit(", ").next().unwrap_or_default();
        let file = file.rsplit_once(':').map_or(file, |(file, _)| file);
        let who = before.split("] ").nth(1).unwrap_or(before);
        let kind = kind_of(file, who.contains("pitcrew"));
        let message = format!("{who}: {} ({location})", without_numbers(message));
        *found.entry((kind, without_numbers(&message))).or_default() += 1;
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    const LOG: &str = "\
2026-01-01 00:00:00.000 UTC [12] XX000 pitcrew history: ERROR:  XX000: cache lookup failed for relation 77
2026-01-01 00:00:00.000 UTC [12] XX000 pitcrew history: LOCATION:  pg_get_x, ruleutils.c:99
2026-01-01 00:00:00.000 UTC [12] XX000 client backend: ERROR:  XX000: told to the client
2026-01-01 00:00:00.000 UTC [13] XX002 pitcrew job: WARNING:  XX002: cannot reindex invalid index, skipping
2026-01-01 00:00:00.000 UTC [13] XX000 pitcrew job: ERROR:  XX000: a panic
2026-01-01 00:00:00.000 UTC [13] XX000 pitcrew job: LOCATION:  pg_extension/src/jobs/worker.rs:5
2026-01-01 00:00:00.000 UTC [1] 00000 postmaster: LOG:  00000: server process (PID 5) was terminated by signal 11: Segmentation fault
";

    #[test]
    fn crashes_and_workers_errors_are_read_from_the_log() {
        assert_eq!(crashes(LOG).len(), 1);
        let found = workers(LOG);
        assert_eq!(found.len(), 2, "{found:?}");
        let kinds: Vec<Kind> = found.keys().map(|(kind, _)| *kind).collect();
        assert_eq!(kinds, [Kind::Extension, Kind::Called]);
    }
}
