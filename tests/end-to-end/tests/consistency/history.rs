//! What clients and writers saw, and what in it breaks a promise.

use std::collections::BTreeMap;
use std::time::Duration;

/// A purge that has returned. Every version below `version` was purged.
#[derive(Clone, Debug)]
pub(crate) struct Purge {
    pub(crate) instance: usize,
    pub(crate) key: usize,
    pub(crate) version: u64,
    /// Time when it returned.
    pub(crate) returned: Duration,
    /// Redis has confirmed it.
    pub(crate) confirmed: bool,
}

/// An answer that a client got.
#[derive(Clone, Debug)]
pub(crate) struct Read {
    pub(crate) instance: usize,
    pub(crate) key: usize,
    pub(crate) version: u64,
    /// Time when it was asked for.
    pub(crate) began: Duration,
    /// What the client's own token promises.
    pub(crate) own: u64,
    pub(crate) status: String,
}

#[derive(Debug, Default)]
pub(crate) struct History {
    pub(crate) purges: Vec<Purge>,
    pub(crate) reads: Vec<Read>,
}

/// The highest version that was purged up to a time: `(returned, version)`, both rising.
#[derive(Default)]
struct Floor(Vec<(Duration, u64)>);

impl Floor {
    fn raise(&mut self, returned: Duration, version: u64) {
        let highest = self.0.last().map_or(0, |(_, version)| *version);
        self.0.push((returned, highest.max(version)));
    }

    fn before(&self, time: Duration) -> u64 {
        let count = self.0.partition_point(|(returned, _)| *returned < time);
        count.checked_sub(1).map_or(0, |last| self.0[last].1)
    }
}

impl History {
    /// Every read that is older than it may be. `bound` is after how long an instance serves nothing older than what another
    /// has purged, once Redis has confirmed that; `None` where a fail-over may have lost it.
    pub(crate) fn violations(&self, bound: Option<Duration>) -> Vec<String> {
        let mut purges = self.purges.clone();
        purges.sort_by_key(|purge| purge.returned);
        let mut here: BTreeMap<(usize, usize), Floor> = BTreeMap::new();
        let mut anywhere: BTreeMap<usize, Floor> = BTreeMap::new();
        for purge in purges {
            let own = here.entry((purge.instance, purge.key)).or_default();
            own.raise(purge.returned, purge.version);
            if purge.confirmed {
                let all = anywhere.entry(purge.key).or_default();
                all.raise(purge.returned, purge.version);
            }
        }
        let none = Floor::default();
        let mut violations = Vec::new();
        for read in &self.reads {
            let own = here.get(&(read.instance, read.key)).unwrap_or(&none);
            let all = anywhere.get(&read.key).unwrap_or(&none);
            let late = bound.map_or(0, |bound| all.before(read.began.saturating_sub(bound)));
            for (rule, floor) in [
                ("the instance that purged it", own.before(read.began)),
                ("another instance, past the bound", late),
                ("a client with a token", read.own),
            ] {
                if read.version < floor {
                    violations.push(format!(
                        "{rule}: {floor} was purged, and then read: {read:?}"
                    ));
                }
            }
        }
        violations
    }
}

#[test]
fn each_broken_promise_is_found() {
    let at = Duration::from_millis;
    let purge = |instance, returned, confirmed| Purge {
        instance,
        key: 1,
        version: 5,
        returned: at(returned),
        confirmed,
    };
    let read = |instance, version, began, own| Read {
        instance,
        key: 1,
        version,
        began: at(began),
        own,
        status: String::new(),
    };
    let broken = |purges: &[Purge], read: Read| {
        let history = History {
            purges: purges.to_vec(),
            reads: vec![read],
        };
        history.violations(Some(at(100))).len()
    };
    let confirmed = [purge(0, 10, true)];
    assert_eq!(
        broken(&confirmed, read(0, 4, 11, 0)),
        1,
        "where it was purged"
    );
    assert_eq!(broken(&confirmed, read(0, 4, 9, 0)), 0, "it began before");
    assert_eq!(broken(&confirmed, read(0, 5, 11, 0)), 0, "it is new");
    assert_eq!(
        broken(&confirmed, read(1, 4, 100, 0)),
        0,
        "within the bound"
    );
    assert_eq!(broken(&confirmed, read(1, 4, 111, 0)), 1, "past it");
    assert_eq!(broken(&[purge(0, 10, false)], read(1, 4, 999, 0)), 0);
    assert_eq!(broken(&[], read(1, 4, 9, 5)), 1, "the client's own");
    let other = Read {
        key: 2,
        ..read(0, 0, 999, 0)
    };
    assert_eq!(broken(&confirmed, other), 0);
}
