//! Looking entries up: in the memory, and beyond it in the file.

use std::io;

use super::{Audit, Entry, Fact, file};

/// Which entries are wanted; none of these takes all.
#[derive(Debug, Clone, Default)]
pub(crate) struct Filter {
    pub(crate) who: Option<String>,
    pub(crate) name: Option<String>,
    pub(crate) since: Option<jiff::Timestamp>,
    pub(crate) until: Option<jiff::Timestamp>,
}

impl Filter {
    fn takes(&self, fact: &Fact) -> bool {
        let at = fact.at.parse::<jiff::Timestamp>().ok();
        self.who.as_ref().is_none_or(|who| *who == fact.who)
            && self.name.as_ref().is_none_or(|name| *name == fact.name)
            && self
                .since
                .is_none_or(|since| at.is_some_and(|at| at >= since))
            && self
                .until
                .is_none_or(|until| at.is_some_and(|at| at < until))
    }
}

/// Entries, the newest first, and whether there are more of them.
#[derive(Debug, Default)]
pub(crate) struct Found {
    pub(crate) entries: Vec<Entry>,
    pub(crate) is_more: bool,
    /// Everything from this number on has been looked through.
    pub(crate) looked_to: Option<u64>,
}

impl Found {
    pub(crate) fn of<'a>(
        newest_first: impl Iterator<Item = &'a Entry>,
        before: Option<u64>,
        limit: usize,
        filter: &Filter,
    ) -> Self {
        let mut looked_to = None;
        let mut found = newest_first
            .inspect(|entry| looked_to = Some(entry.fact.seq))
            .filter(|entry| before.is_none_or(|before| entry.fact.seq < before))
            .filter(|entry| filter.takes(&entry.fact));
        let entries: Vec<_> = found.by_ref().take(limit).cloned().collect();
        let is_more = found.next().is_some();
        Self {
            entries,
            is_more,
            looked_to,
        }
    }
}

impl Audit {
    /// Entries in the memory, older than `before`, the newest first; at most `limit`.
    pub(crate) fn page(&self, before: Option<u64>, limit: usize, filter: &Filter) -> Found {
        Found::of(self.state().entries.iter().rev(), before, limit, filter)
    }

    /// The same of the file, where there is one.
    ///
    /// # Errors
    /// The file cannot be read.
    pub(crate) async fn page_of_file(
        &self,
        before: Option<u64>,
        limit: usize,
        filter: &Filter,
    ) -> io::Result<Option<Found>> {
        let Some(path) = self.path.clone() else {
            return Ok(None);
        };
        let filter = filter.clone();
        let reading = tokio::task::spawn_blocking(move || {
            let (entries, _) = file::read(&path)?;
            let newest_first = entries.iter().rev();
            Ok(Some(Found::of(newest_first, before, limit, &filter)))
        });
        reading.await.map_err(io::Error::other)?
    }
}
