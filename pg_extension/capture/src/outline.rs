//! A plan in few bytes: a number for its shape, and its first nodes.

/// Nodes that are kept of a plan.
pub(crate) const MAX_NODES: usize = 24;

/// What is kept of a plan. All zero: none.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(C)]
pub struct Outline {
    /// Hash of the shape; 0 where it is not known.
    pub shape: u64,
    length: u64,
    nodes: [u64; MAX_NODES],
}

/// One node of a plan.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PlanNode {
    /// Nodes above it.
    pub depth: u16,
    /// Its tag in the server.
    pub tag: u16,
    /// The index or the table that it reads; 0 where it reads none.
    pub relation: u32,
}

impl Outline {
    /// Without nodes.
    #[cfg(test)]
    pub(crate) fn of_shape(shape: u64) -> Self {
        Self {
            shape,
            ..Self::default()
        }
    }

    /// Nodes that are kept.
    #[must_use]
    pub fn len(&self) -> usize {
        self.length as usize
    }

    /// Whether no node is.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.length == 0
    }

    /// Adds a node, where there is room.
    pub fn add(&mut self, node: PlanNode) {
        if let Some(place) = self.nodes.get_mut(self.length as usize) {
            *place =
                u64::from(node.depth) << 48 | u64::from(node.tag) << 32 | u64::from(node.relation);
            self.length += 1;
        }
    }

    /// Takes the nodes from `length` on back.
    pub fn truncate(&mut self, length: usize) {
        self.length = self.length.min(length as u64);
    }

    /// The nodes, outermost first.
    pub fn nodes(&self) -> impl Iterator<Item = PlanNode> + '_ {
        self.nodes.iter().take(self.len()).map(|node| PlanNode {
            depth: (node >> 48) as u16,
            tag: (node >> 32) as u16,
            relation: *node as u32,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nodes_are_kept_as_long_as_there_is_room() {
        let mut outline = Outline::default();
        let node = |number: u16| PlanNode {
            depth: number,
            tag: 400 - number,
            relation: u32::MAX - u32::from(number),
        };
        for number in 0..50 {
            outline.add(node(number));
        }
        assert_eq!(outline.len(), MAX_NODES);
        outline.truncate(2);
        outline.add(node(7));
        let read: Vec<PlanNode> = outline.nodes().collect();
        assert_eq!(read, [node(0), node(1), node(7)]);
    }
}
