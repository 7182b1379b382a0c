//! What must never be.

use super::{
    Fault, KEYS, Truth,
    node::{Link, Node},
    world::{Step, World},
};

impl World<'_> {
    /// Whatever an instance would serve now, from L1 or L2, is no older than a purge that it has applied.
    pub(super) fn check(&self) -> Result<(), &'static str> {
        self.check_at_rest()?;
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

    /// Where everything is connected and at rest, nothing is alive anywhere that Redis or any instance knows to be purged.
    fn check_at_rest(&self) -> Result<(), &'static str> {
        if self.settling().is_some() {
            return Ok(());
        }
        let mut known = self.server.truth;
        self.nodes.iter().for_each(|node| known.merge(node.applied));
        self.nodes
            .iter()
            .try_for_each(|node| self.check_node(node, known))
    }

    /// Rest comes, if nothing new happens.
    pub(super) fn check_rest_comes(&self) -> Result<(), &'static str> {
        let mut world = self.clone();
        for _ in 0..100 {
            let Some(step) = world.settling() else {
                return Ok(());
            };
            world.take(step)?;
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
