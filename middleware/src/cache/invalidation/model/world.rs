//! Two instances, Redis and its lagging copy; what may happen next, and what must never be.

use std::{
    hash::{Hash, Hasher},
    rc::Rc,
};

use super::{
    Bounds, Budget, Fault,
    node::{Fill, Link, Look, Node},
    server::Server,
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
pub(super) type Token = (u32, u64, u8);

#[derive(Clone)]
pub(super) struct World<'a> {
    pub(super) bounds: &'a Bounds,
    pub(super) nodes: Vec<Rc<Node>>,
    pub(super) server: Rc<Server>,
    copy: Rc<Server>,
    pub(super) versions: [u8; 2],
    pub(super) time: u64,
    instances: u64,
    pub(super) left: Budget,
    pub(super) token: Option<Token>,
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
            nodes: (0..bounds.nodes as u64)
                .map(|at| Rc::new(Node::new(at)))
                .collect(),
            server: Rc::default(),
            copy: Rc::default(),
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

    pub(super) fn fault(&self, fault: Fault) -> bool {
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
                may(
                    Step::Purge(at, name),
                    left.purges > 0 && at + self.bounds.purging >= self.bounds.nodes,
                );
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
                may(
                    Step::Begin(at, key),
                    left.fills > 0 && node.fill.is_none() && at < self.bounds.asked,
                );
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
            (
                Step::Copy,
                left.fail_overs.min(u8::from(self.bounds.copies)),
            ),
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
                Rc::make_mut(&mut self.nodes[at]).sent.remove(&number);
            }
            Step::Reply(at) => self.reply(at),
            Step::Connect(at) => {
                let node = Rc::make_mut(&mut self.nodes[at]);
                let actions = node.log.connected(&node.table);
                node.run(actions);
            }
            Step::Disconnect(at) => {
                self.left.disconnects -= 1;
                let node = Rc::make_mut(&mut self.nodes[at]);
                node.link = Link::Away;
                node.log.disconnected(&node.table);
            }
            Step::Read(at) => self.read(at),
            Step::Answer(at) => self.answer(at),
            Step::Follow(at) => self.follow(at),
            Step::Lapse(at) => {
                self.left.lapses -= 1;
                Rc::make_mut(&mut self.nodes[at]).lapse();
            }
            Step::Restart(at) => {
                self.left.restarts -= 1;
                self.nodes[at] = Rc::new(Node::new(self.instances));
                self.instances += 1;
            }
            Step::Begin(at, key) => {
                self.left.fills -= 1;
                let begin = self.nodes[at].table.now();
                Rc::make_mut(&mut self.nodes[at]).fill = Some(Fill {
                    key,
                    begin,
                    fetched: None,
                    awaited: false,
                });
            }
            Step::Wait(at) => {
                self.left.waits -= 1;
                if let Some(fill) = &mut Rc::make_mut(&mut self.nodes[at]).fill {
                    fill.awaited = true;
                }
            }
            Step::Fetch(at) => self.fetch(at),
            Step::Store(at) => self.store(at),
            Step::HandOver(at) => return self.hand_over(at),
            Step::Hit(at, key) => {
                let node = Rc::make_mut(&mut self.nodes[at]);
                if let Some(mut entry) = node.l1[key].take() {
                    entry.checked = node.life(key, &entry).1;
                    node.l1[key] = Some(entry);
                }
            }
            Step::Look(at, key) => {
                self.left.looks -= 1;
                let node = Rc::make_mut(&mut self.nodes[at]);
                node.look = self.server.l2[key].clone().map(|found| Look {
                    key,
                    begin: node.table.now(),
                    found,
                });
            }
            Step::Arrive(at) => return self.arrive(at),
            Step::Write(at) => {
                if let Some((key, stored)) = Rc::make_mut(&mut self.nodes[at]).write.take() {
                    Rc::make_mut(&mut self.server).l2[key] = Some(stored);
                }
            }
            Step::Trim => {
                self.left.trims -= 1;
                Rc::make_mut(&mut self.server).trim();
            }
            Step::Flush => {
                self.left.flushes -= 1;
                Rc::make_mut(&mut self.server).flush();
            }
            Step::Copy => self.copy = self.server.clone(),
            Step::FailOver => {
                self.left.fail_overs -= 1;
                self.server = self.copy.clone();
            }
        }
        Ok(())
    }
}
