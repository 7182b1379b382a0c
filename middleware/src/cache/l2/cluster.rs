//! Redis Cluster: entries and purges go through the `redis` crate's cluster connection, which knows where each slot is;
//! the follower has a connection of its own to the master of the purges.

use std::{
    io,
    sync::atomic::{AtomicUsize, Ordering},
    time::Duration,
};

use redis::{
    AsyncConnectionConfig, Client, ConnectionAddr, ConnectionInfo, ErrorKind, RedisError,
    ServerErrorKind,
    aio::MultiplexedConnection,
    cluster::{ClusterClient, ClusterClientBuilder},
    cluster_async::ClusterConnection,
};

use super::{BACKGROUND_TIMEOUT, error::RedisStoreError};

/// Longest time to connect to one node. Two rounds of it, the nodes that were named and those that they know, lie within
/// the time to open a connection, so a node that hangs keeps nobody from the others.
const NODE_TIMEOUT: Duration = Duration::from_millis(250);
/// Tries again within one call: one for a slot that moved, one for a node that was lost. More would outlast the timeout.
const RETRIES: u32 = 2;
/// Longest pause before one of these.
const RETRY_WAIT_MS: u64 = 10;
/// A connection that fails is replaced when it is this old. It repairs its nodes by itself, but one that vanished without
/// a word it asks for as long as TCP believes in it, also when the slots have moved to another node. While a
/// node hangs, each renewal costs the others some half a second of misses.
const RENEW_AFTER: Duration = Duration::from_secs(10);
/// A node that has just learnt of a move may name one that has not.
const MAX_REDIRECTS: usize = 3;

pub(super) struct Cluster {
    client: ClusterClient,
    nodes: Vec<ConnectionInfo>,
    /// Which node is asked first next time: one that hangs uses up all the time there is.
    next: AtomicUsize,
}

impl Cluster {
    pub(super) fn new(nodes: Vec<ConnectionInfo>) -> Result<Self, RedisStoreError> {
        let client = ClusterClientBuilder::new(nodes.clone())
            .retries(RETRIES)
            .min_retry_wait(1)
            .max_retry_wait(RETRY_WAIT_MS)
            .connection_timeout(NODE_TIMEOUT)
            // Without one, a node that hangs would stop the refresh of the slots, and with it every call.
            .response_timeout(BACKGROUND_TIMEOUT)
            .overall_response_timeout(None)
            .build()
            .map_err(RedisStoreError::Url)?;
        Ok(Self {
            client,
            nodes,
            next: AtomicUsize::new(0),
        })
    }

    pub(super) async fn connect(&self) -> Result<ClusterConnection, RedisError> {
        self.client.get_async_connection().await
    }

    /// Asks one node after the other who the master of a key's slot is, and connects there.
    pub(super) async fn connect_to_master_of(
        &self,
        key: &str,
    ) -> Result<MultiplexedConnection, RedisError> {
        let first = self.next.fetch_add(1, Ordering::Relaxed);
        let mut fault = None;
        for turn in 0..self.nodes.len() {
            let node = &self.nodes[first.wrapping_add(turn) % self.nodes.len()];
            match to_master_of(key, node.clone()).await {
                Ok(connection) => return Ok(connection),
                Err(error) => fault = Some(error),
            }
        }
        Err(fault.unwrap_or_else(nowhere))
    }
}

/// A node that is not the master of the slot names it, a replica too.
async fn to_master_of(
    key: &str,
    mut node: ConnectionInfo,
) -> Result<MultiplexedConnection, RedisError> {
    let config = AsyncConnectionConfig::new().set_connection_timeout(Some(NODE_TIMEOUT));
    for _ in 0..=MAX_REDIRECTS {
        let client = Client::open(node.clone())?;
        let mut connection = client
            .get_multiplexed_async_connection_with_config(&config)
            .await?;
        let mut asking = redis::cmd("EXISTS");
        let asked = asking.arg(key).query_async::<bool>(&mut connection).await;
        let Err(error) = asked else {
            return Ok(connection);
        };
        match moved_to(&error, node.addr()) {
            Some(master) => node = node.set_addr(master),
            None => return Err(error),
        }
    }
    Err(nowhere())
}

fn nowhere() -> RedisError {
    io::Error::new(io::ErrorKind::NotFound, "no node names the slot's master").into()
}

/// The node that `MOVED` names: of an unknown host (Redis 7), the one that was asked.
fn moved_to(error: &RedisError, asked: &ConnectionAddr) -> Option<ConnectionAddr> {
    if error.kind() != ErrorKind::Server(ServerErrorKind::Moved) {
        return None;
    }
    let (host, port) = error.redirect_node()?.0.rsplit_once(':')?;
    let host = match (host, asked) {
        ("" | "?", ConnectionAddr::Tcp(asked, _)) => asked,
        (host, _) => host,
    };
    Some(ConnectionAddr::Tcp(host.to_owned(), port.parse().ok()?))
}

/// Whether the whole connection must be replaced: one node's trouble is not the others'.
pub(super) fn is_broken_by(error: &RedisError, age: Duration) -> bool {
    // So it is when its task has gone with the runtime that it ran on. Of a node that is lost it tries another.
    let has_ended = error.is_connection_dropped() && !error.is_connection_refusal();
    let is_trouble =
        error.is_io_error() || error.is_unrecoverable_error() || error.is_cluster_error();
    has_ended || is_trouble && age >= RENEW_AFTER
}

#[cfg(test)]
mod tests {
    use super::*;

    fn server(error: &str) -> RedisError {
        let value = redis::parse_redis_value(format!("-{error}\r\n").as_bytes()).unwrap();
        value.extract_error().unwrap_err()
    }

    #[test]
    fn a_move_names_the_master_and_nothing_else_does() {
        let asked = ConnectionAddr::Tcp("10.0.0.1".into(), 7000);
        let moved = |error| moved_to(&server(error), &asked).map(|address| address.to_string());
        assert_eq!(moved("MOVED 5 10.0.0.2:7001").unwrap(), "10.0.0.2:7001");
        assert_eq!(moved("MOVED 5 ::1:7001").unwrap(), "::1:7001");
        assert_eq!(moved("MOVED 5 :7001").unwrap(), "10.0.0.1:7001");
        // While a slot is on its way its keys lie on both sides.
        assert_eq!(moved("ASK 5 10.0.0.2:7001"), None);
        assert_eq!(moved("CLUSTERDOWN The cluster is down"), None);
    }

    #[test]
    fn one_node_s_trouble_breaks_no_young_connection() {
        let refused = RedisError::from(io::Error::from(io::ErrorKind::ConnectionRefused));
        let ended = RedisError::from(io::Error::from(io::ErrorKind::BrokenPipe));
        let down = server("CLUSTERDOWN The cluster is down");
        let late = RedisError::from(io::Error::from(io::ErrorKind::TimedOut));
        for error in [&late, &refused, &down] {
            assert!(!is_broken_by(error, Duration::ZERO), "{error:?}");
            assert!(is_broken_by(error, RENEW_AFTER), "{error:?}");
        }
        assert!(is_broken_by(&ended, Duration::ZERO));
        let foreign = server("WRONGTYPE Operation against a key of another type");
        assert!(!is_broken_by(&foreign, RENEW_AFTER));
    }
}
