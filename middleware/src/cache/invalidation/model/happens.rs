//! What the steps do: purging, following, serving.

use std::rc::Rc;

use super::{
    super::{
        log::{Action, Record},
        name::{Kind, Name, Target},
        position::Position,
        table::Life,
    },
    Fault, INNER, OUTER, SLOTS_OF, SLOTS_OF_OUTER_ALONE, Truth,
    node::{Entry, Fill, Link, Look},
    server::Stored,
    world::World,
};

impl World<'_> {
    // Purging

    pub(super) fn purge(&mut self, at: usize, name: usize) {
        self.left.purges -= 1;
        let name = self.bounds.names[name].clone();
        for datum in Truth::shown_by(&name) {
            self.versions[datum] += 1;
        }
        let node = Rc::make_mut(&mut self.nodes[at]);
        let seen = Truth {
            hard: self.versions,
            soft: self.versions,
        };
        node.applied.merge(seen.of(std::slice::from_ref(&name)));
        let actions = node.log.purge(&node.table, vec![name.clone()]);
        node.run(actions);
        if self.bounds.fault == Some(Fault::NotMadeUp) {
            node.log.make_up_for_nothing(&node.table);
        }
        if self.bounds.fault == Some(Fault::OneSpace) {
            let next = Position::from_redis(node.table.now().redis() + 1);
            node.table.raise(&[name], next);
            node.table.advance(next);
        }
    }

    /// The time of Redis is above all that was given before.
    fn tick(&mut self) -> u64 {
        self.time += u64::from(self.bounds.clock);
        self.time
    }

    pub(super) fn deliver(&mut self, at: usize, number: u64) {
        let Some((command, truth)) = Rc::make_mut(&mut self.nodes[at]).sent.remove(&number) else {
            return;
        };
        let time = self.tick();
        let position =
            Rc::make_mut(&mut self.server).purge(&command, truth, time, self.bounds.fault);
        self.time = self.time.max(if self.bounds.clock { position } else { 0 });
        Rc::make_mut(&mut self.nodes[at]).reply = Some((command, position));
        if !self.bounds.replies {
            self.reply(at);
        }
    }

    pub(super) fn reply(&mut self, at: usize) {
        let node = Rc::make_mut(&mut self.nodes[at]);
        let Some((command, position)) = node.reply.take() else {
            return;
        };
        if let [
            Name {
                kind: Kind::Hard,
                target: Target::Slot(slot),
            },
        ] = command.names[..]
            && self.bounds.token
            && self.token.is_none()
            && (slot as usize) < 2
        {
            self.token = Some((slot, position, node.applied.hard[slot as usize]));
        }
        node.log.accepted(command.number, position);
        if self.bounds.fault == Some(Fault::ReplyConfirms) {
            node.log.read_back(&node.table, command.number);
        }
        if let (Some(Fault::ReplyJumps), Link::Following(cursor)) =
            (self.bounds.fault, node.link.clone())
        {
            let record = Record {
                position,
                before: cursor,
                instance: command.instance,
                number: command.number,
                names: command.names,
            };
            let actions = node.log.record(&node.table, &record);
            node.link = Link::Following(position);
            node.run(actions);
        }
    }

    // Following

    pub(super) fn read(&mut self, at: usize) {
        let Link::Asked { highest, asked } = self.nodes[at].link else {
            return;
        };
        // Time passes where a position is given; else worlds that differ in nothing else would count apart.
        let time = if self.server.last().is_none() {
            self.tick()
        } else {
            0
        };
        let (snapshot, truth) =
            Rc::make_mut(&mut self.server).read_table(highest, time, self.bounds.fault);
        self.time = self.time.max(if self.bounds.clock {
            snapshot.counter
        } else {
            0
        });
        Rc::make_mut(&mut self.nodes[at]).link = Link::Answered {
            snapshot,
            truth,
            asked,
        };
    }

    pub(super) fn answer(&mut self, at: usize) {
        let last = self.server.last();
        let node = Rc::make_mut(&mut self.nodes[at]);
        let Link::Answered {
            mut snapshot,
            truth,
            asked,
        } = std::mem::replace(&mut node.link, Link::Away)
        else {
            return;
        };
        if self.bounds.fault == Some(Fault::CursorApart) {
            snapshot.last = last.unwrap_or(snapshot.last);
        }
        if self.bounds.fault == Some(Fault::NeverHealed) {
            for (slot, position) in (0..).zip(&mut snapshot.hard.slots) {
                *position = node.table.at(Kind::Hard, slot).redis().max(*position);
            }
        }
        let actions = node.log.snapshot(&node.table, asked, &snapshot);
        node.applied.merge(truth);
        if self.bounds.fault == Some(Fault::SlotsFall) {
            node.force(&snapshot);
        }
        self.run(at, actions);
    }

    pub(super) fn follow(&mut self, at: usize) {
        let forgets = self.fault(Fault::NoPredecessor);
        let deaf = self.fault(Fault::NoHeartbeat);
        let node = Rc::make_mut(&mut self.nodes[at]);
        let Link::Following(cursor) = node.link else {
            return;
        };
        let actions = if let Some((record, truth)) = self.server.after(cursor) {
            let before = if forgets { cursor } else { record.before };
            let record = Record {
                before,
                ..record.clone()
            };
            let actions = node.log.record(&node.table, &record);
            if before == cursor {
                node.link = Link::Following(record.position);
                node.applied.merge(*truth);
            }
            actions
        } else {
            let last = if deaf {
                Some(cursor)
            } else {
                self.server.last()
            };
            node.log.heartbeat(&node.table, node.now, last)
        };
        self.run(at, actions);
    }

    fn run(&mut self, at: usize, mut actions: Vec<Action>) {
        if self.fault(Fault::NeverSentAgain) {
            actions.retain(|action| !matches!(action, Action::Send(_)));
        }
        Rc::make_mut(&mut self.nodes[at]).run(actions);
    }

    // Serving

    pub(super) fn fetch(&mut self, at: usize) {
        let own = self.bounds.fault;
        let versions = self.versions;
        let node = &self.nodes[at];
        let Some(mut fill) = node.fill.clone() else {
            return;
        };
        let mut entry = Entry {
            versions,
            stamp: fill.begin,
            slots: SLOTS_OF[fill.key],
            checked: 0,
        };
        // Rule 6: the outer answer is built from the inner one where that is stored, stale or not.
        if fill.key == OUTER
            && let Some(inner) = &node.l1[INNER]
            && node.life(INNER, inner).0 != Life::Dead
        {
            entry.versions[0] = inner.versions[0];
            if own != Some(Fault::OwnStamp) {
                entry.stamp = entry.stamp.min(inner.stamp);
            }
            if own == Some(Fault::OwnTags) {
                entry.slots = SLOTS_OF_OUTER_ALONE;
            }
        }
        fill.fetched = Some(entry);
        Rc::make_mut(&mut self.nodes[at]).fill = Some(fill);
    }

    pub(super) fn store(&mut self, at: usize) {
        let node = Rc::make_mut(&mut self.nodes[at]);
        let Some(Fill {
            key,
            fetched: Some(entry),
            awaited,
            ..
        }) = node.fill.take()
        else {
            return;
        };
        if node.life(key, &entry).0 != Life::Dead {
            let may_write = self.bounds.l2 && !node.table.is_borrowing();
            node.write = may_write.then(|| {
                let stored = Stored {
                    versions: entry.versions,
                    stamp: entry.stamp.redis(),
                    slots: entry.slots,
                };
                (key, stored)
            });
            node.l1[key] = Some(entry.clone());
        }
        if awaited {
            node.handed = Some((key, entry));
        }
    }

    /// Rule 11: looked at now, not when it was stored.
    pub(super) fn hand_over(&mut self, at: usize) -> Result<(), &'static str> {
        let blind = self.fault(Fault::NoCheckAtHandOver);
        let node = Rc::make_mut(&mut self.nodes[at]);
        let Some((key, entry)) = node.handed.take() else {
            return Ok(());
        };
        let life = if blind {
            Life::Fresh
        } else {
            node.life(key, &entry).0
        };
        if node.is_wrong(key, &entry, life) {
            return Err("a waiter was handed an answer that was purged");
        }
        Ok(())
    }

    pub(super) fn arrive(&mut self, at: usize) -> Result<(), &'static str> {
        let fault = self.bounds.fault;
        let node = Rc::make_mut(&mut self.nodes[at]);
        let Some(Look { key, begin, found }) = node.look.take() else {
            return Ok(());
        };
        let entry = node.import(&found, begin, fault);
        let life = node.life(key, &entry).0;
        if node.is_wrong(key, &entry, life) {
            return Err("L2 brought an answer that was purged");
        }
        if life != Life::Dead {
            node.l1[key] = Some(entry);
        }
        Ok(())
    }
}
