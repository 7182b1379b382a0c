//! The reports that are kept: those of this process, and before them those that an earlier one has left.

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};

use serde_json::Value;

use super::report::CycleReport;

/// So many reports are kept; the oldest goes.
pub(crate) const KEPT: usize = 48;

/// A report as it is shown.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Shown {
    pub(crate) id: u64,
    /// RFC 3339, UTC.
    pub(crate) started_at: String,
    pub(crate) report: Value,
}

impl Shown {
    /// What was kept; none where it is no report.
    pub(crate) fn read(id: u64, report: &Value) -> Option<Self> {
        let started_at = report["started_at"].as_str()?.to_owned();
        let shown = Self {
            id,
            started_at,
            report: report.clone(),
        };
        Some(shown.numbered(id))
    }

    fn numbered(mut self, id: u64) -> Self {
        self.id = id;
        self.report["id"] = id.into();
        self
    }
}

#[derive(Debug, Default)]
pub(super) struct Reports(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    /// The last id that was given to a cycle.
    last_id: u64,
    list: VecDeque<Shown>,
}

impl Reports {
    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn next_id(&self) -> u64 {
        let mut state = self.state();
        state.last_id += 1;
        state.last_id
    }

    pub(super) fn add(&self, report: &CycleReport) {
        let value = serde_json::to_value(report).unwrap_or_default();
        let Some(shown) = Shown::read(report.id, &value) else {
            return;
        };
        let mut state = self.state();
        // It began before it was known how far an earlier process had counted.
        let last = state.list.back().map_or(0, |last| last.id);
        let shown = match shown.id {
            id if id > last => shown,
            _ => shown.numbered(last + 1),
        };
        state.last_id = state.last_id.max(shown.id);
        state.list.push_back(shown);
        state.shorten();
    }

    /// Reports older than `before`, the newest first, at most `limit`; and whether there are more.
    pub(super) fn page(&self, before: Option<u64>, limit: usize) -> (Vec<Shown>, bool) {
        let state = self.state();
        let mut found = state
            .list
            .iter()
            .rev()
            .filter(|shown| before.is_none_or(|before| shown.id < before));
        let page = found.by_ref().take(limit).cloned().collect();
        (page, found.next().is_some())
    }

    pub(super) fn find(&self, id: u64) -> Option<Shown> {
        let state = self.state();
        state.list.iter().find(|shown| shown.id == id).cloned()
    }

    pub(super) fn last(&self) -> Option<Shown> {
        self.state().list.back().cloned()
    }

    /// Reports that came after that id, the oldest first.
    pub(super) fn after(&self, id: u64) -> Vec<Shown> {
        let state = self.state();
        let after = state.list.iter().filter(|shown| shown.id > id);
        after.cloned().collect()
    }

    /// Goes on from reports of an earlier process, of which `last` was the last: those of this one that came after `written` come after
    /// them.
    pub(super) fn go_on(&self, kept: Vec<Shown>, last: u64, written: u64) {
        let mut state = self.state();
        let state = &mut *state;
        let own = state.list.drain(..).filter(|shown| shown.id > written);
        let own: Vec<_> = own.collect();
        state.list.extend(kept);
        let mut before = last;
        for shown in own {
            before = shown.id.max(before + 1);
            state.list.push_back(shown.numbered(before));
        }
        state.last_id = state.last_id.max(before);
        state.shorten();
    }
}

impl State {
    fn shorten(&mut self) {
        while self.list.len() > KEPT {
            self.list.pop_front();
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn shown(id: u64) -> Shown {
        let report = json!({"id": id, "started_at": format!("2026-11-28T12:00:{id:02}Z")});
        Shown::read(id, &report).expect("a report")
    }

    fn ids(reports: &Reports) -> Vec<u64> {
        let (page, _) = reports.page(None, 100);
        assert!(page.iter().all(|shown| shown.report["id"] == shown.id));
        page.iter().map(|shown| shown.id).collect()
    }

    #[test]
    fn reports_of_an_earlier_process_come_before_those_of_this_one() {
        let reports = Reports::default();
        assert_eq!(reports.next_id(), 1);
        reports.state().list.push_back(shown(1));
        reports.go_on(vec![shown(1), shown(2)], 2, 0);
        assert_eq!(ids(&reports), [3, 2, 1]);
        assert_eq!(reports.next_id(), 4);
        let after = reports.after(2);
        assert_eq!(after.len(), 1);
        let last = reports.last().expect("one");
        assert_eq!(
            (last.id, last.started_at.as_str()),
            (3, "2026-11-28T12:00:01Z")
        );
        assert_eq!(reports.find(2), Some(shown(2)));
        // Where nothing was left the ids stay what clients were told.
        let reports = Reports::default();
        reports.state().list.push_back(shown(5));
        reports.go_on(Vec::new(), 0, 0);
        assert_eq!(ids(&reports), [5]);
        let many = (1..=100).map(|id| shown(id % 60)).collect();
        reports.go_on(many, 100, 0);
        assert_eq!(reports.page(None, 100).0.len(), KEPT);
    }
}
