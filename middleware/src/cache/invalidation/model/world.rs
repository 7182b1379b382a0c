//! Two instances, Redis and its lagging copy; what may happen next, and what must never be.

use std::hash::{Hash, Hasher};

use super::{
    super::{
        log::{Action, Record},
        name::{Kind, Name, Target},
        table::Life,
    },
    Bounds, Budget, Fault, INNER, KEYS, OUTER, SLOTS_OF, SLOTS_OF_OUTER_ALONE, Truth,
    node::{Entry, Fill, Link, Look, Node},
    server::{Server, Stored},
};

/// What may happen. The first number is the instance.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Step {
    /// Somebody changes the data that a name stands for, and purges it.
    Purge(usize, usize),
    Deliver(usize, u64),
    Lose(usize, u64),
    Reply(usize),
    Connect(usize),
    Disconnect(usize),
    /// The reading script runs, and its answer arrives.
    Read(usize),
    Answer(usize),
    /// The next record, or a heartbeat where there is none.
    Follow(usize),
    Lapse(usize),
    Restart(usize),
    Begin(usize, usize),
    Wait(usize),
    Fetch(usize),
    Store(usize),
    HandOver(usize),
    Hit(usize, usize),
    Look(usize, usize),
    Arrive(usize),
    Write(usize),
    Trim,
    Flush,
    Copy,
    FailOver,
}

/// A read-your-writes token: a slot, its position, and the data that its holder has seen.
type Token = (u32, u64, u8);

#[derive(Clone)]
pub(super) struct World<'a> {
    bounds: &'a Bounds,
    pub(super) nodes: Vec<Node>,
    server: Server,
    copy: Server,
    versions: [u8; 2],
    time: u64,
    instances: u64,
    left: Budget,
    token: Option<Token>,
}

impl Hash for World<'_> {
    fn hash<H: Hasher>(&self, state: &mut H) {
        (&self.nodes, &self.server, &self.copy, self.versions).hash(state);
        (self.time, self.instances, &self.left, self.token).hash(state);
    }
}

impl<'a> World<'a> {
    /// All are connected, and nothing has happened.
    pub(super) fn new(bounds: &'a Bounds) -> Self {
        let mut world = Self {
            bounds,
            nodes: (0..bounds.nodes as u64).map(Node::new).collect(),
            server: Server::default(),
            copy: Server::default(),
            versions: [0; 2],
            time: 0,
            instances: bounds.nodes as u64,
            left: bounds.budget.clone(),
            token: None,
        };
        for at in 0..bounds.nodes {
            for step in [Step::Connect(at), Step::Read(at), Step::Answer(at)] {
                let _ = world.take(step);
            }
        }
        world.copy = world.server.clone();
        world
    }

    fn fault(&self, fault: Fault) -> bool {
        self.bounds.fault == Some(fault)
    }

    // What may happen

    pub(super) fn steps(&self) -> Vec<Step> {
        let mut steps = Vec::new();
        let left = &self.left;
        for (at, node) in self.nodes.iter().enumerate() {
            let mut may = |step, allowed: bool| {
                if allowed {
                    steps.push(step);
                }
            };
            for name in 0..self.bounds.names.len() {
                may(Step::Purge(at, name), left.purges > 0);
            }
            for number in node.sent.keys() {
                may(Step::Deliver(at, *number), true);
                may(Step::Lose(at, *number), left.losses > 0);
            }
            may(Step::Reply(at), node.reply.is_some());
            may(Step::Connect(at), node.link == Link::Away);
            may(
                Step::Disconnect(at),
                left.disconnects > 0 && node.link != Link::Away,
            );
            may(Step::Read(at), matches!(node.link, Link::Asked { .. }));
            may(Step::Answer(at), matches!(node.link, Link::Answered { .. }));
            may(Step::Follow(at), matches!(node.link, Link::Following(_)));
            may(Step::Lapse(at), left.lapses > 0);
            may(Step::Restart(at), left.restarts > 0);
            for key in 0..self.bounds.keys {
                may(Step::Begin(at, key), left.fills > 0 && node.fill.is_none());
                may(
                    Step::Hit(at, key),
                    self.bounds.hits && node.l1[key].is_some(),
                );
                may(
                    Step::Look(at, key),
                    left.looks > 0 && node.look.is_none() && node.table.reads_l2(node.now),
                );
            }
            if let Some(fill) = &node.fill {
                may(
                    Step::Wait(at),
                    left.waits > 0 && !fill.awaited && node.handed.is_none(),
                );
                may(Step::Fetch(at), fill.fetched.is_none());
                may(Step::Store(at), fill.fetched.is_some());
            }
            may(Step::HandOver(at), node.handed.is_some());
            may(Step::Arrive(at), node.look.is_some());
            may(Step::Write(at), node.write.is_some());
        }
        let faults = [
            (Step::Trim, left.trims),
            (Step::Flush, left.flushes),
            (Step::FailOver, left.fail_overs),
            // Copying matters only as long as a copy may take over.
            (Step::Copy, left.fail_overs),
        ];
        steps.extend(
            faults
                .iter()
                .filter(|(_, left)| *left > 0)
                .map(|(step, _)| *step),
        );
        steps
    }

    /// Does one step. `Err` says what must never be.
    pub(super) fn take(&mut self, step: Step) -> Result<(), &'static str> {
        match step {
            Step::Purge(at, name) => self.purge(at, name),
            Step::Deliver(at, number) => self.deliver(at, number),
            Step::Lose(at, number) => {
                self.left.losses -= 1;
                self.nodes[at].sent.remove(&number);
            }
            Step::Reply(at) => self.reply(at),
            Step::Connect(at) => {
                let node = &mut self.nodes[at];
                let actions = node.log.connected(&node.table);
                node.run(actions);
            }
            Step::Disconnect(at) => {
                self.left.disconnects -= 1;
                let node = &mut self.nodes[at];
                node.link = Link::Away;
                node.log.disconnected(&node.table);
            }
            Step::Read(at) => self.read(at),
            Step::Answer(at) => self.answer(at),
            Step::Follow(at) => self.follow(at),
            Step::Lapse(at) => {
                self.left.lapses -= 1;
                self.nodes[at].lapse();
            }
            Step::Restart(at) => {
                self.left.restarts -= 1;
                self.nodes[at] = Node::new(self.instances);
                self.instances += 1;
            }
            Step::Begin(at, key) => {
                self.left.fills -= 1;
                let begin = self.nodes[at].table.now();
                self.nodes[at].fill = Some(Fill {
                    key,
                    begin,
                    fetched: None,
                    awaited: false,
                });
            }
            Step::Wait(at) => {
                self.left.waits -= 1;
                if let Some(fill) = &mut self.nodes[at].fill {
                    fill.awaited = true;
                }
            }
            Step::Fetch(at) => self.fetch(at),
            Step::Store(at) => self.store(at),
            Step::HandOver(at) => return self.hand_over(at),
            Step::Hit(at, key) => {
                let node = &mut self.nodes[at];
                if let Some(mut entry) = node.l1[key].take() {
                    entry.checked = node.life(key, &entry).1;
                    node.l1[key] = Some(entry);
                }
            }
            Step::Look(at, key) => {
                self.left.looks -= 1;
                let node = &mut self.nodes[at];
                node.look = self.server.l2[key].clone().map(|found| Look {
                    key,
                    begin: node.table.now(),
                    found,
                });
            }
            Step::Arrive(at) => return self.arrive(at),
            Step::Write(at) => {
                if let Some((key, stored)) = self.nodes[at].write.take() {
                    self.server.l2[key] = Some(stored);
                }
            }
            Step::Trim => {
                self.left.trims -= 1;
                self.server.trim();
            }
            Step::Flush => {
                self.left.flushes -= 1;
                self.server.flush();
            }
            Step::Copy => self.copy = self.server.clone(),
            Step::FailOver => {
                self.left.fail_overs -= 1;
                self.server = self.copy.clone();
            }
        }
        Ok(())
    }

    // Purging

    fn purge(&mut self, at: usize, name: usize) {
        self.left.purges -= 1;
        let name = self.bounds.names[name].clone();
        for datum in Truth::shown_by(&name) {
            self.versions[datum] += 1;
        }
        let node = &mut self.nodes[at];
        let seen = Truth {
            hard: self.versions,
            soft: self.versions,
        };
        node.applied.merge(seen.of(std::slice::from_ref(&name)));
        let actions = node.log.purge(&node.table, vec![name.clone()]);
        node.run(actions);
        if self.bounds.fault == Some(Fault::OneSpace) {
            let next = super::Position::from_redis(node.table.now().redis() + 1);
            node.table.raise(&[name], next);
            node.table.advance(next);
        }
    }

    /// The time of Redis is above all that was given before.
    fn tick(&mut self) -> u64 {
        self.time += u64::from(self.bounds.clock);
        self.time
    }

    fn deliver(&mut self, at: usize, number: u64) {
        let Some((command, truth)) = self.nodes[at].sent.remove(&number) else {
            return;
        };
        let time = self.tick();
        let position = self.server.purge(&command, truth, time, self.bounds.fault);
        self.time = self.time.max(if self.bounds.clock { position } else { 0 });
        self.nodes[at].reply = Some((command, position));
    }

    fn reply(&mut self, at: usize) {
        let node = &mut self.nodes[at];
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

    fn read(&mut self, at: usize) {
        let Link::Asked { highest, asked } = self.nodes[at].link else {
            return;
        };
        let time = self.tick();
        let (snapshot, truth) = self.server.read_table(highest, time, self.bounds.fault);
        self.time = self.time.max(if self.bounds.clock {
            snapshot.counter
        } else {
            0
        });
        self.nodes[at].link = Link::Answered {
            snapshot,
            truth,
            asked,
        };
    }

    fn answer(&mut self, at: usize) {
        let last = self.server.last();
        let node = &mut self.nodes[at];
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

    fn follow(&mut self, at: usize) {
        let forgets = self.fault(Fault::NoPredecessor);
        let deaf = self.fault(Fault::NoHeartbeat);
        let node = &mut self.nodes[at];
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
        self.nodes[at].run(actions);
    }

    // Serving

    fn fetch(&mut self, at: usize) {
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
        self.nodes[at].fill = Some(fill);
    }

    fn store(&mut self, at: usize) {
        let node = &mut self.nodes[at];
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
            node.write = self.bounds.l2.then(|| {
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
    fn hand_over(&mut self, at: usize) -> Result<(), &'static str> {
        let blind = self.fault(Fault::NoCheckAtHandOver);
        let node = &mut self.nodes[at];
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

    fn arrive(&mut self, at: usize) -> Result<(), &'static str> {
        let fault = self.bounds.fault;
        let node = &mut self.nodes[at];
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

    // What must never be

    /// Whatever an instance would serve now, from L1 or L2, is no older than a purge that it has applied.
    pub(super) fn check(&self) -> Result<(), &'static str> {
        for node in &self.nodes {
            self.check_node(node, node.applied)?;
            if let Some((slot, position, version)) = self.token {
                let satisfied = if self.fault(Fault::TokenByPosition) {
                    node.table.now().redis() >= position
                } else {
                    node.table.has_reached(&[(slot, position)])
                };
                let mut seen = Truth::default();
                seen.hard[slot as usize] = version;
                if satisfied {
                    self.check_node(node, seen)
                        .map_err(|_| "a client with a token saw its own write undone")?;
                }
            }
        }
        Ok(())
    }

    fn check_node(&self, node: &Node, truth: Truth) -> Result<(), &'static str> {
        for key in 0..KEYS {
            if let Some(entry) = &node.l1[key]
                && node.is_older(key, entry, node.life(key, entry).0, truth)
            {
                return Err("L1 holds an answer alive that was purged");
            }
            if let Some(stored) = &self.server.l2[key]
                && node.table.reads_l2(node.now)
            {
                let entry = node.import(stored, node.table.now(), self.bounds.fault);
                if node.is_older(key, &entry, node.life(key, &entry).0, truth) {
                    return Err("L2 holds an answer alive that was purged");
                }
            }
        }
        Ok(())
    }

    /// Lets everything come to rest, without anything new; then nothing old is alive anywhere that Redis or any
    /// instance knows to be purged.
    pub(super) fn check_at_rest(&self) -> Result<(), &'static str> {
        let mut world = self.clone();
        for _ in 0..100 {
            let Some(step) = world.settling() else {
                let mut known = world.server.truth();
                world
                    .nodes
                    .iter()
                    .for_each(|node| known.merge(node.applied));
                return world
                    .nodes
                    .iter()
                    .try_for_each(|node| world.check_node(node, known));
            };
            world.take(step)?;
            world.check()?;
        }
        Err("does not come to rest")
    }

    /// The next step of a world in which nothing new happens.
    fn settling(&self) -> Option<Step> {
        self.nodes.iter().enumerate().find_map(|(at, node)| {
            if let Some(number) = node.sent.keys().next() {
                return Some(Step::Deliver(at, *number));
            }
            let waits = [
                (Step::Reply(at), node.reply.is_some()),
                (Step::Write(at), node.write.is_some()),
                (Step::HandOver(at), node.handed.is_some()),
                (Step::Arrive(at), node.look.is_some()),
            ];
            if let Some((step, _)) = waits.into_iter().find(|(_, waits)| *waits) {
                return Some(step);
            }
            match node.link {
                Link::Away => Some(Step::Connect(at)),
                Link::Asked { .. } => Some(Step::Read(at)),
                Link::Answered { .. } => Some(Step::Answer(at)),
                Link::Following(cursor) => {
                    let silent = self.server.after(cursor).is_none()
                        && (self.server.last() == Some(cursor) || self.fault(Fault::NoHeartbeat));
                    (!silent || !node.table.reads_l2(node.now)).then_some(Step::Follow(at))
                }
            }
        })
    }
}
