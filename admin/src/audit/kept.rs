//! The audit beyond the process: one chain, that the next process goes on with.

use super::{Audit, Entry, KEPT, entry};

impl Audit {
    /// Entries after that number, the oldest first; none where a file has them.
    pub(crate) fn after(&self, seq: u64) -> Vec<Entry> {
        if self.path.is_some() {
            return Vec::new();
        }
        let state = self.state();
        let after = state.entries.iter().filter(|entry| entry.fact.seq > seq);
        after.cloned().collect()
    }

    /// Goes on from what is kept: the entries of this process that came after `written` are chained to the last of those. Answers the
    /// number of that last one. With a file of its own the audit goes on from there instead.
    pub(crate) fn go_on(&self, kept: Vec<Entry>, written: u64) -> u64 {
        let mut state = self.state();
        let state = &mut *state;
        let (seq, head) = match kept.last() {
            _ if self.path.is_some() => return 0,
            None => return written,
            Some(last) => (last.fact.seq, last.hash.clone()),
        };
        let own = state.entries.drain(..);
        let own: Vec<_> = own.filter(|entry| entry.fact.seq > written).collect();
        state.entries.extend(kept);
        (state.last_seq, state.head) = (seq, head);
        for Entry { mut fact, .. } in own {
            let was = fact.seq;
            fact.seq = state.last_seq + 1;
            if was != fact.seq {
                state.moved.insert(was, fact.seq);
            }
            if let Some(moved) = state.moved.get(&fact.action) {
                fact.action = *moved;
            }
            let entry = Entry::new(fact, &state.head);
            (state.last_seq, state.head) = (entry.fact.seq, entry.hash.clone());
            state.entries.push_back(entry);
        }
        while state.entries.len() > KEPT {
            state.entries.pop_front();
            state.dropped += 1;
        }
        seq
    }

    /// The first of the copies after `from`, up to `until`, that is not what was written or is not there.
    pub(crate) fn broken_copy(&self, copies: &[Entry], from: u64, until: u64) -> Option<u64> {
        if let Some(broken) = entry::first_broken(copies) {
            return Some(broken);
        }
        let state = self.state();
        let known = state.entries.iter();
        let mut known = known.filter(|entry| (from + 1..=until).contains(&entry.fact.seq));
        known.find_map(|entry| {
            let seq = entry.fact.seq;
            let copy = copies.iter().find(|copy| copy.fact.seq == seq);
            (copy != Some(entry)).then_some(seq)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::security::identity::{Identity, Role};
    use std::sync::Arc;

    fn audit() -> Arc<Audit> {
        Arc::new(Audit::new(None).expect("in memory"))
    }

    fn begin(audit: &Arc<Audit>, path: &str) -> super::super::Pending {
        let who = Identity::new("ann", Role::Operator);
        audit
            .begin(&who, "POST /x", path, false, None)
            .expect("in memory")
    }

    #[test]
    fn what_was_written_before_the_past_was_known_comes_after_it_in_one_chain() {
        let before = audit();
        begin(&before, "/1").end(200);
        begin(&before, "/2").end(200);
        let kept = before.after(0);
        let after = audit();
        let under_way = begin(&after, "/3");
        begin(&after, "/4").end(200);
        assert_eq!(after.go_on(kept.clone(), 0), 4);
        under_way.end(204);
        let all = after.after(0);
        assert_eq!(entry::first_broken(&all), None);
        assert_eq!(all[..4], kept);
        let facts: Vec<_> = all[4..]
            .iter()
            .map(|one| (one.fact.seq, one.fact.action, &*one.fact.path))
            .collect();
        assert_eq!(
            facts,
            [(5, 5, "/3"), (6, 6, "/4"), (7, 6, "/4"), (8, 5, "/3")]
        );
    }

    #[test]
    fn a_copy_that_was_changed_or_taken_away_is_found() {
        let audit = audit();
        for _ in 0..3 {
            begin(&audit, "/1").end(200);
        }
        let copies = audit.after(0);
        assert_eq!(audit.broken_copy(&copies, 0, 6), None);
        assert_eq!(
            audit.broken_copy(&copies[..5], 0, 6),
            Some(6),
            "the last is gone"
        );
        assert_eq!(
            audit.broken_copy(&copies[..5], 0, 5),
            None,
            "it was not yet written"
        );
        let mut changed = copies.clone();
        changed[2].fact.who = "bob".to_owned();
        assert_eq!(audit.broken_copy(&changed, 0, 6), Some(3));
        let mut without = copies;
        without.remove(0);
        assert_eq!(audit.broken_copy(&without, 0, 6), Some(1));
    }
}
