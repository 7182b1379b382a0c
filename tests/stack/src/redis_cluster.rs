//! Three Redis servers that share the slots of one cluster.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use crate::error::{Error, Result};
use crate::place::Slot;
use crate::process;
use crate::redis::Redis;

/// The fewest masters that Redis Cluster works with.
const NODES: usize = 3;

/// Hash slots of a cluster (Redis Cluster specification).
const SLOTS: usize = 16_384;

/// How long the nodes may take to agree; a second or two on an idle machine.
const AGREED_WITHIN: Duration = Duration::from_secs(60);

/// A private cluster of three masters without replicas; ended and removed when dropped.
#[derive(Debug)]
pub struct RedisCluster {
    nodes: Vec<Redis>,
}

impl RedisCluster {
    /// Starts three servers and joins them.
    ///
    /// # Errors
    /// As [`Redis::start`]; [`Error::Start`] where they do not agree within a minute.
    pub fn start(slot: &Arc<Slot>, program: &Path) -> Result<Self> {
        let settings = [("cluster-enabled", "yes"), ("cluster-node-timeout", "2000")];
        let nodes = (0..NODES)
            .map(|_| Redis::start_with(slot, program, &settings))
            .collect::<Result<Vec<_>>>()?;
        for (number, node) in nodes.iter().enumerate() {
            let (first, end) = (number * SLOTS / NODES, (number + 1) * SLOTS / NODES);
            // One by one instead of as a range: Redis 6 knows no ranges.
            let slots: Vec<String> = (first..end).map(|slot| slot.to_string()).collect();
            let words: Vec<&str> = ["CLUSTER", "ADDSLOTS"]
                .into_iter()
                .chain(slots.iter().map(String::as_str))
                .collect();
            node.command(&words)?;
            let port = nodes[0].port().to_string();
            if number > 0 {
                node.command(&["CLUSTER", "MEET", "127.0.0.1", &port])?;
            }
        }
        let known = format!("cluster_known_nodes:{NODES}");
        let agreed = process::poll(AGREED_WITHIN, || {
            let all = nodes.iter().all(|node| {
                node.command(&["CLUSTER", "INFO"])
                    .is_ok_and(|info| info.contains("cluster_state:ok") && info.contains(&known))
            });
            all.then_some(())
        });
        match agreed {
            Some(()) => Ok(Self { nodes }),
            None => Err(Error::Start {
                server: "the Redis cluster".into(),
                reason: format!(
                    "its nodes did not agree within {} s",
                    AGREED_WITHIN.as_secs()
                ),
                log: nodes[0].command(&["CLUSTER", "INFO"]).unwrap_or_default(),
            }),
        }
    }

    /// The nodes, to ask, kill or pause one.
    #[must_use]
    pub fn nodes(&self) -> &[Redis] {
        &self.nodes
    }

    /// The nodes, to kill or start one.
    pub fn nodes_mut(&mut self) -> &mut [Redis] {
        &mut self.nodes
    }
}
