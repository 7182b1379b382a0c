//! Redis servers that share the slots of one cluster.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use crate::error::{Error, Result};
use crate::place::Slot;
use crate::process;
use crate::random;
use crate::redis::Redis;

/// The fewest masters that Redis Cluster works with.
const MASTERS: usize = 3;

/// Hash slots of a cluster (Redis Cluster specification).
const SLOTS: usize = 16_384;

/// How long the nodes may take to agree; a second or two on an idle machine.
const AGREED_WITHIN: Duration = Duration::from_secs(60);

/// A private cluster of three masters that share one password; ended and removed when dropped. A master that is lost takes
/// its own slots along, and a replica takes over after about two seconds.
#[derive(Debug)]
pub struct RedisCluster {
    /// The masters, by slots; then their replicas in the same order.
    nodes: Vec<Redis>,
}

impl RedisCluster {
    /// Starts three servers and joins them.
    ///
    /// # Errors
    /// As [`Redis::start`]; [`Error::Start`] where they do not agree within a minute.
    pub fn start(slot: &Arc<Slot>, program: &Path) -> Result<Self> {
        Self::start_nodes(slot, program, MASTERS)
    }

    /// [`RedisCluster::start`] with a replica of each master.
    ///
    /// # Errors
    /// As [`RedisCluster::start`].
    pub fn start_with_replicas(slot: &Arc<Slot>, program: &Path) -> Result<Self> {
        let cluster = Self::start_nodes(slot, program, 2 * MASTERS)?;
        let (masters, replicas) = cluster.nodes.split_at(MASTERS);
        for (master, replica) in masters.iter().zip(replicas) {
            let id = master.command(&["CLUSTER", "MYID"])?;
            replica.command(&["CLUSTER", "REPLICATE", &id])?;
        }
        cluster.agree("every replica has what its master has", || {
            let are_fed = replicas.iter().all(|replica| {
                replica
                    .command(&["INFO", "replication"])
                    .is_ok_and(|info| info.contains("master_link_status:up"))
            });
            // Else nobody votes for them.
            let are_known = cluster.nodes.iter().all(|node| {
                node.command(&["CLUSTER", "NODES"])
                    .is_ok_and(|nodes| nodes.matches("slave ").count() == replicas.len())
            });
            are_fed && are_known
        })?;
        Ok(cluster)
    }

    fn start_nodes(slot: &Arc<Slot>, program: &Path, count: usize) -> Result<Self> {
        let password = random::secret()?;
        let settings = [
            ("cluster-enabled", "yes"),
            ("cluster-node-timeout", "2000"),
            ("cluster-require-full-coverage", "no"),
            // A replica takes over however long it has not heard of its master.
            ("cluster-replica-validity-factor", "0"),
            ("masterauth", &password),
        ];
        let nodes = (0..count)
            .map(|_| Redis::start_as(slot, program, &password, &settings))
            .collect::<Result<Vec<_>>>()?;
        let cluster = Self { nodes };
        for (number, node) in cluster.nodes.iter().enumerate() {
            if number < MASTERS {
                let (first, end) = (number * SLOTS / MASTERS, (number + 1) * SLOTS / MASTERS);
                // One by one instead of as a range: Redis 6 knows no ranges.
                let slots: Vec<String> = (first..end).map(|slot| slot.to_string()).collect();
                let words: Vec<&str> = ["CLUSTER", "ADDSLOTS"]
                    .into_iter()
                    .chain(slots.iter().map(String::as_str))
                    .collect();
                node.command(&words)?;
            }
            let port = cluster.nodes[0].port().to_string();
            if number > 0 {
                node.command(&["CLUSTER", "MEET", "127.0.0.1", &port])?;
            }
        }
        let known = format!("cluster_known_nodes:{count}");
        cluster.agree("every node knows every other one", || {
            cluster.nodes.iter().all(|node| {
                node.command(&["CLUSTER", "INFO"])
                    .is_ok_and(|info| info.contains("cluster_state:ok") && info.contains(&known))
            })
        })?;
        Ok(cluster)
    }

    fn agree(&self, what: &str, holds: impl Fn() -> bool) -> Result<()> {
        process::poll(AGREED_WITHIN, || holds().then_some(())).ok_or_else(|| Error::Start {
            server: "the Redis cluster".into(),
            reason: format!("not within {} s: {what}", AGREED_WITHIN.as_secs()),
            log: self.nodes[0]
                .command(&["CLUSTER", "NODES"])
                .unwrap_or_default(),
        })
    }

    /// The URLs of all nodes.
    #[must_use]
    pub fn urls(&self) -> Vec<String> {
        self.nodes.iter().map(Redis::url).collect()
    }

    /// The number of the master that began with the slot of `key`; its replica is three further.
    ///
    /// # Errors
    /// [`Error::Program`] where no node answers.
    pub fn master_of(&self, key: &str) -> Result<usize> {
        let answers = self
            .nodes
            .iter()
            .map(|node| node.command(&["CLUSTER", "KEYSLOT", key]));
        let slot = answers.reduce(Result::or).unwrap_or(Ok(String::new()))?;
        let slot: usize = slot.parse().unwrap_or_default();
        Ok((0..MASTERS)
            .rev()
            .find(|number| slot >= number * SLOTS / MASTERS)
            .unwrap_or_default())
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
