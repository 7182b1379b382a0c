//! Who did what: written before an action and completed after it. The entries are chained by hashes, so that one that was
//! changed, moved or taken away shows.
//!
//! The last [`KEPT`] entries are in memory; with a file ([`crate::AdminBuilder::audit_file`]) they outlive the process, and
//! an action whose beginning cannot be written there does not begin.

pub(crate) mod entry;
mod file;
mod kept;
mod search;

use std::collections::{BTreeMap, VecDeque};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use serde::Serialize;

pub(crate) use entry::{Entry, Fact};
pub(crate) use search::{Filter, Found};

use crate::security::identity::Identity;
use file::Log;

/// So many entries are in memory; the oldest goes.
pub(crate) const KEPT: usize = 1_000;

/// The audit of this process.
#[derive(Debug)]
pub(crate) struct Audit {
    path: Option<PathBuf>,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    entries: VecDeque<Entry>,
    last_seq: u64,
    head: String,
    dropped: u64,
    failed: u64,
    log: Option<Log>,
    /// Entries that have another number since they were written: see [`Audit::go_on`].
    moved: BTreeMap<u64, u64>,
}

/// Whether the chain holds.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Chain {
    pub(crate) is_intact: bool,
    /// The first entry that is not what was written.
    pub(crate) first_broken_seq: Option<u64>,
    /// The hash of the last entry: who has noted it elsewhere can tell whether the whole was written anew.
    pub(crate) head: String,
    pub(crate) entries: u64,
    /// `memory`, `file` or `database`.
    pub(crate) kept_in: &'static str,
    /// Entries that have left the memory.
    pub(crate) dropped_total: u64,
    /// Entries that could not be written to the file.
    pub(crate) failed_writes_total: u64,
    pub(crate) detail: String,
}

impl Audit {
    /// Goes on where the file ends.
    pub(crate) fn new(path: Option<&Path>) -> std::io::Result<Self> {
        let mut state = State {
            entries: VecDeque::new(),
            last_seq: 0,
            head: entry::BEGINNING.to_owned(),
            dropped: 0,
            failed: 0,
            log: None,
            moved: BTreeMap::new(),
        };
        if let Some(path) = path {
            state.log = Some(Log::open(path)?);
            let (mut entries, _) = file::read(path)?;
            if let Some(last) = entries.last() {
                state.last_seq = last.fact.seq;
                state.head.clone_from(&last.hash);
            }
            let old = entries.len().saturating_sub(KEPT);
            state.entries = entries.split_off(old).into();
        }
        Ok(Self {
            path: path.map(Path::to_owned),
            state: Mutex::new(state),
        })
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self, mut fact: Fact) -> std::io::Result<u64> {
        let mut state = self.state();
        fact.seq = state.last_seq + 1;
        while let Some(moved) = state.moved.get(&fact.action) {
            fact.action = *moved;
        }
        if fact.action == 0 {
            fact.action = fact.seq;
        }
        let entry = Entry::new(fact, &state.head);
        if let Some(log) = &mut state.log
            && let Err(error) = log.append(&entry)
        {
            state.failed += 1;
            return Err(error);
        }
        let seq = entry.fact.seq;
        state.last_seq = seq;
        state.head.clone_from(&entry.hash);
        state.entries.push_back(entry);
        if state.entries.len() > KEPT {
            state.entries.pop_front();
            state.dropped += 1;
        }
        Ok(seq)
    }

    /// Writes that an action begins. What it gives back writes that it has ended.
    pub(crate) fn begin(
        self: &Arc<Self>,
        who: &Identity,
        name: &str,
        path: &str,
        dry_run: bool,
        asked: Option<String>,
    ) -> std::io::Result<Pending> {
        // A name or a path may be anything; a line of the audit is one line.
        let plain = |text: &str| -> String {
            let letters = text.chars().take(512);
            letters
                .map(|letter| if letter.is_control() { '?' } else { letter })
                .collect()
        };
        let fact = Fact {
            seq: 0,
            at: jiff::Timestamp::now().to_string(),
            kind: "begun".to_owned(),
            action: 0,
            who: plain(&who.name),
            role: who.role.as_str().to_owned(),
            name: name.to_owned(),
            path: plain(path),
            dry_run,
            asked,
            status: None,
            took_us: None,
            outcome: None,
        };
        let seq = self.write(fact.clone())?;
        Ok(Pending {
            audit: Arc::clone(self),
            fact: Some(Fact {
                action: seq,
                asked: None,
                ..fact
            }),
            began: Instant::now(),
        })
    }

    /// Looks at every entry that there is, in the file where there is one. Blocks while it reads.
    pub(crate) fn verify(&self) -> Chain {
        let state = self.state();
        let (entries, odd) = match &self.path {
            None => (state.entries.iter().cloned().collect(), 0),
            Some(path) => match file::read(path) {
                Ok(read) => read,
                Err(error) => {
                    tracing::error!(%error, "the audit's file cannot be read");
                    (Vec::new(), 0)
                }
            },
        };
        let mut broken = entry::first_broken(&entries);
        // Entries cut off at the end leave a chain that holds: only the memory knows better.
        let last = entries.last().map_or(entry::BEGINNING, |last| &last.hash);
        if broken.is_none() && last != state.head {
            broken = Some(entries.last().map_or(1, |last| last.fact.seq + 1));
        }
        // And entries taken away at the beginning one that holds too. Without a file that was set aside there is the first of all, and
        // what the memory has is always there.
        let first = entries.first().map(|first| first.fact.seq);
        let is_whole = self
            .path
            .as_deref()
            .is_some_and(|path| !file::is_set_aside(path));
        let known = state.entries.front().map(|front| front.fact.seq);
        if broken.is_none()
            && let Some(first) = first
            && (is_whole && first > 1 || known.is_some_and(|known| first > known))
        {
            broken = Some(first - 1);
        }
        if broken.is_none() && odd > 0 {
            broken = entries.first().map(|first| first.fact.seq).or(Some(1));
        }
        let detail = match broken {
            None => format!("all {} entries are as they were written", entries.len()),
            Some(seq) => {
                format!("entry {seq} is not what was written there: somebody has changed the audit")
            }
        };
        Chain {
            is_intact: broken.is_none(),
            first_broken_seq: broken,
            head: state.head.clone(),
            entries: entries.len() as u64,
            kept_in: if self.path.is_some() {
                "file"
            } else {
                "memory"
            },
            dropped_total: state.dropped,
            failed_writes_total: state.failed,
            detail,
        }
    }
}

/// An action that has begun. Dropped before its end is told, it was abandoned: the client has gone, or the handler panicked.
#[derive(Debug)]
pub(crate) struct Pending {
    audit: Arc<Audit>,
    fact: Option<Fact>,
    began: Instant,
}

impl Pending {
    pub(crate) fn end(mut self, status: u16) {
        self.complete("ended", Some(status));
    }

    /// Of what has an end of its own, long after its request was answered.
    pub(crate) fn end_with(mut self, outcome: &str) {
        if let Some(fact) = &mut self.fact {
            fact.outcome = Some(outcome.to_owned());
        }
        self.complete("ended", None);
    }

    fn complete(&mut self, kind: &str, status: Option<u16>) {
        let Some(mut fact) = self.fact.take() else {
            return;
        };
        kind.clone_into(&mut fact.kind);
        fact.at = jiff::Timestamp::now().to_string();
        fact.status = status;
        fact.took_us = u64::try_from(self.began.elapsed().as_micros()).ok();
        if let Err(error) = self.audit.write(fact) {
            tracing::error!(%error, "the end of an action could not be written to the audit's file");
        }
    }
}

impl Drop for Pending {
    fn drop(&mut self) {
        self.complete("abandoned", None);
    }
}
