//! Marks on the time axis: what happened when.

use std::collections::VecDeque;

use serde::Serialize;
use serde_json::{Value, json};

use super::History;
use crate::observe::time;

/// So many marks are kept; the oldest goes.
pub(crate) const MARKS: usize = 500;
/// The longest text of a mark, in letters.
pub(super) const MARK_LETTERS: usize = 200;

/// What a mark is of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum MarkKind {
    /// The process.
    Start,
    /// An operator submitted a job of the database, or a cycle did.
    Job,
    /// An operator had an advised index built.
    Advice,
    LoadTest,
    /// What else an operator did.
    Action,
    Cycle,
    /// It fires.
    Alert,
    AlertResolved,
}

impl MarkKind {
    const ALL: [Self; 8] = [
        Self::Start,
        Self::Job,
        Self::Advice,
        Self::LoadTest,
        Self::Action,
        Self::Cycle,
        Self::Alert,
        Self::AlertResolved,
    ];

    /// What an operator's action is.
    pub(crate) fn of_action(name: &str) -> Self {
        match name {
            "POST /database/maintenance" => Self::Job,
            "POST /database/indexes/{id}/apply" => Self::Advice,
            "POST /load-test" => Self::LoadTest,
            _ => Self::Action,
        }
    }
}

/// Something that happened at a moment.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct Mark {
    /// Rises by one from mark to mark.
    #[serde(skip)]
    pub(crate) id: u64,
    /// RFC 3339, UTC.
    pub(crate) at: String,
    #[serde(skip)]
    pub(crate) unix_s: i64,
    pub(crate) kind: MarkKind,
    pub(crate) detail: String,
}

impl Mark {
    /// What is kept of it, beside its id and its time.
    pub(crate) fn body(&self) -> Value {
        json!({"unix_s": self.unix_s, "kind": self.kind, "detail": self.detail})
    }

    /// As it was kept; none where it is of a kind that is not known.
    pub(crate) fn read(id: u64, body: &Value) -> Option<Self> {
        let unix_s = body["unix_s"].as_i64()?;
        let mut kinds = MarkKind::ALL.into_iter();
        let kind = kinds.find(|kind| json!(kind) == body["kind"])?;
        let detail = body["detail"].as_str()?;
        Some(Self::new(id, unix_s, kind, detail))
    }

    fn new(id: u64, unix_s: i64, kind: MarkKind, detail: &str) -> Self {
        Self {
            id,
            at: time(unix_s),
            unix_s,
            kind,
            detail: detail.chars().take(MARK_LETTERS).collect(),
        }
    }
}

/// The last marks.
#[derive(Debug, Default)]
pub(super) struct Marks {
    list: VecDeque<Mark>,
    last_id: u64,
    dropped: u64,
}

impl Marks {
    fn add(&mut self, unix_s: i64, kind: MarkKind, detail: &str) {
        self.last_id += 1;
        self.list
            .push_back(Mark::new(self.last_id, unix_s, kind, detail));
        self.shorten();
    }

    fn shorten(&mut self) {
        while self.list.len() > MARKS {
            self.list.pop_front();
            self.dropped += 1;
        }
    }
}

impl History {
    pub(crate) fn mark(&self, unix_s: i64, kind: MarkKind, detail: &str) {
        self.state().marks.add(unix_s, kind, detail);
    }

    /// Marks from `since` on and before `until`, the oldest first; and how many were dropped.
    pub(crate) fn marks(&self, since: i64, until: i64) -> (Vec<Mark>, u64) {
        let state = self.state();
        let wanted = state.marks.list.iter();
        let wanted = wanted.filter(|mark| (since..until).contains(&mark.unix_s));
        (wanted.cloned().collect(), state.marks.dropped)
    }

    /// Marks that came after that id, the oldest first.
    pub(crate) fn marks_after(&self, id: u64) -> Vec<Mark> {
        let state = self.state();
        let after = state.marks.list.iter().filter(|mark| mark.id > id);
        after.cloned().collect()
    }

    /// Goes on from marks of an earlier process, of which `last` was the last: those of this one that came after `written` come after
    /// them.
    pub(crate) fn go_on_marks(&self, kept: Vec<Mark>, last: u64, written: u64) {
        let mut state = self.state();
        let marks = &mut state.marks;
        let own = marks.list.drain(..);
        let mut own: Vec<_> = own.filter(|mark| mark.id > written).collect();
        for (id, mark) in (last + 1..).zip(&mut own) {
            mark.id = id;
        }
        marks.last_id = own.last().map_or(last, |mark| mark.id);
        marks.list.extend(kept);
        marks.list.extend(own);
        marks.shorten();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn marks_are_bounded_and_counted() {
        let history = History::new();
        for second in 0..600 {
            history.mark(second, MarkKind::Action, &"x".repeat(1_000));
        }
        let (marks, dropped) = history.marks(0, 600);
        assert_eq!((marks.len(), dropped, marks[0].unix_s), (500, 100, 100));
        assert_eq!(marks[0].detail.len(), MARK_LETTERS);
    }

    #[test]
    fn what_was_kept_is_gone_on_from_and_read_as_it_was_written() {
        let before = History::new();
        before.mark(1, MarkKind::Start, "a start");
        before.mark(2, MarkKind::LoadTest, "a load test");
        let kept = before.marks_after(0);
        let read = kept.iter().map(|mark| Mark::read(mark.id, &mark.body()));
        let read: Vec<_> = read.map(|mark| mark.expect("a mark")).collect();
        assert_eq!(read, kept);

        let history = History::new();
        history.mark(3, MarkKind::Start, "the next start");
        history.go_on_marks(read, 2, 0);
        history.mark(4, MarkKind::Cycle, "a cycle");
        let ids = |marks: &[Mark]| marks.iter().map(|mark| (mark.id, mark.unix_s)).collect();
        let told: Vec<_> = ids(&history.marks(0, 10).0);
        assert_eq!(told, [(1, 1), (2, 2), (3, 3), (4, 4)]);
        let after: Vec<_> = ids(&history.marks_after(2));
        assert_eq!(after, [(3, 3), (4, 4)]);
    }

    #[test]
    fn a_kept_mark_that_somebody_has_spoilt_is_left_out() {
        let body = |kind: &str| json!({"unix_s": 1, "kind": kind, "detail": "d"});
        assert!(Mark::read(1, &body("alert")).is_some());
        assert!(Mark::read(1, &body("party")).is_none());
        assert!(Mark::read(1, &json!([])).is_none());
        let far = json!({"unix_s": i64::MAX, "kind": "alert", "detail": "d"});
        assert!(Mark::read(1, &far).is_some_and(|mark| mark.at.starts_with("1970")));
    }
}
