//! What Redis does: the two scripts, the Stream, the entries of L2. The scripts that go before a real Redis do the same.

use super::{
    super::{
        log::{Command, Record, Snapshot},
        name::{ALL, Kind, Target},
        table::Slots,
    },
    Fault, PATTERNS, SLOTS, Truth,
};

/// An entry in L2.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Stored {
    pub(super) versions: [u8; 2],
    pub(super) stamp: u64,
    pub(super) slots: &'static [u32],
}

/// What the scripts change together.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Header {
    snapshot: Snapshot,
    /// For the fault that numbers soft purges apart.
    soft_counter: u64,
}

/// One master, or its lagging copy.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub(super) struct Server {
    header: Option<Header>,
    stream: Vec<(Record, Truth)>,
    pub(super) l2: [Option<Stored>; 2],
    /// The model's own: the purges that were accepted here, also where the header is gone since. A fail-over loses it.
    pub(super) truth: Truth,
}

impl Server {
    /// The script that purges. `time` is that of Redis, in the model one more than any before, or always 0.
    pub(super) fn purge(
        &mut self,
        command: &Command,
        truth: Truth,
        time: u64,
        fault: Option<Fault>,
    ) -> u64 {
        let highest = if fault == Some(Fault::NoHighest) {
            0
        } else {
            command.highest
        };
        let soft_apart = fault == Some(Fault::SoftCountedApart)
            && command.names.iter().all(|name| name.kind == Kind::Soft);
        let counter = self.header.as_ref().map_or(0, |header| {
            if soft_apart {
                header.soft_counter
            } else {
                header.snapshot.counter
            }
        });
        // Rule 1.
        let position = if soft_apart {
            counter + 1
        } else {
            (counter.max(highest) + 1).max(time)
        };
        let header = self.header_at(position, fault);
        let table = &mut header.snapshot;
        for name in &command.names {
            let slots = match name.kind {
                Kind::Hard => &mut table.hard,
                Kind::Soft => &mut table.soft,
            };
            match &name.target {
                Target::Slot(slot) => raise(slots, *slot, position),
                Target::Pattern(_) => {
                    table.patterns.retain(|(known, _)| known != name);
                    table.patterns.push((name.clone(), position));
                }
            }
        }
        while table.patterns.len() > PATTERNS {
            let (oldest, at) = table.patterns.remove(0);
            let slots = match oldest.kind {
                Kind::Hard => &mut table.hard,
                Kind::Soft => &mut table.soft,
            };
            if let Target::Pattern(pattern) = oldest.target {
                raise(slots, pattern.region, at);
            }
        }
        // Rule 8: the header knows the last record, the record the one before it.
        let before = std::mem::replace(&mut table.last, position);
        if soft_apart {
            header.soft_counter = position;
        } else {
            table.counter = position;
        }
        let record = Record {
            position,
            before,
            instance: command.instance,
            number: command.number,
            names: command.names.clone(),
        };
        self.truth.merge(truth);
        self.stream.push((record, truth));
        position
    }

    /// The script that reads cursor and table at once (rule 7).
    pub(super) fn read_table(
        &mut self,
        highest: u64,
        time: u64,
        fault: Option<Fault>,
    ) -> (Snapshot, Truth) {
        let new = (highest + 1).max(time);
        let table = &mut self.header_at(new, fault).snapshot;
        table.counter = table.counter.max(highest);
        (table.clone(), self.truth)
    }

    /// Rule 10: a header that is missing is made, with "all" at the new position.
    fn header_at(&mut self, position: u64, fault: Option<Fault>) -> &mut Header {
        self.header.get_or_insert_with(|| {
            let made = if fault == Some(Fault::NoAllInNewHeader) {
                0
            } else {
                position
            };
            let slots = |all| Slots {
                all,
                slots: vec![0; SLOTS],
            };
            Header {
                snapshot: Snapshot {
                    counter: made,
                    last: made,
                    hard: slots(made),
                    soft: slots(0),
                    patterns: Vec::new(),
                },
                soft_counter: 0,
            }
        })
    }

    /// The record after a cursor, as a Stream gives it: by id, whatever is missing in between.
    pub(super) fn after(&self, cursor: u64) -> Option<&(Record, Truth)> {
        let mut later = self.stream.iter();
        later.find(|(record, _)| record.position > cursor)
    }

    pub(super) fn last(&self) -> Option<u64> {
        self.header.as_ref().map(|header| header.snapshot.last)
    }

    pub(super) fn trim(&mut self) {
        self.stream.clear();
    }

    pub(super) fn flush(&mut self) {
        *self = Self {
            truth: self.truth,
            ..Self::default()
        };
    }
}

fn raise(slots: &mut Slots, slot: u32, to: u64) {
    let cell = if slot == ALL {
        &mut slots.all
    } else {
        &mut slots.slots[slot as usize]
    };
    // Rule 12.
    *cell = (*cell).max(to);
}
