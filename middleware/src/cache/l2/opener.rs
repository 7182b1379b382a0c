//! How connections to Redis are opened: to one server, into a cluster, or to the master that sentinels name.

use std::time::Duration;

use bb8::ManageConnection;
use bb8_redis::RedisConnectionManager;
use redis::{
    Cmd, ErrorKind, FromRedisValue, Pipeline, RedisError, ServerErrorKind,
    aio::{ConnectionLike, MultiplexedConnection},
};

/// Longest time to open one connection, in the background.
pub(super) const CONNECT_TIMEOUT: Duration = Duration::from_secs(1);

/// Where Redis is.
#[derive(Clone)]
pub(super) enum Opener {
    Plain(RedisConnectionManager),
    #[cfg(feature = "redis-tls")]
    Tls(Box<super::tls::Tls>),
    #[cfg(feature = "redis-cluster")]
    Cluster(std::sync::Arc<super::cluster::Cluster>),
    #[cfg(feature = "redis-sentinel")]
    Sentinel(std::sync::Arc<super::sentinel::Sentinel>),
}

impl Opener {
    /// A connection for entries and purges.
    pub(super) async fn open(&self) -> Result<Link, RedisError> {
        #[cfg(feature = "redis-cluster")]
        if let Self::Cluster(cluster) = self {
            return in_time(cluster.connect()).await.map(Link::Cluster);
        }
        in_time(self.connect("")).await.map(Link::Server)
    }

    /// A connection to the one server that takes writes of `key`, for commands that block it.
    pub(super) async fn open_at(&self, key: &str) -> Result<MultiplexedConnection, RedisError> {
        in_time(self.connect(key)).await
    }

    #[cfg_attr(
        not(feature = "redis-cluster"),
        expect(unused_variables, reason = "one server has all keys")
    )]
    async fn connect(&self, key: &str) -> Result<MultiplexedConnection, RedisError> {
        match self {
            Self::Plain(manager) => manager.connect().await,
            #[cfg(feature = "redis-tls")]
            Self::Tls(tls) => tls.connect().await,
            #[cfg(feature = "redis-cluster")]
            Self::Cluster(cluster) => cluster.connect_to_master_of(key).await,
            #[cfg(feature = "redis-sentinel")]
            Self::Sentinel(sentinel) => sentinel.connect().await,
        }
    }

    /// Whether keys lie on several masters.
    pub(super) fn is_cluster(&self) -> bool {
        #[cfg(feature = "redis-cluster")]
        return matches!(self, Self::Cluster(_));
        #[cfg(not(feature = "redis-cluster"))]
        false
    }

    /// Whether another server may become the master while connections to the old one last.
    pub(super) fn fails_over(&self) -> bool {
        #[cfg(feature = "redis-sentinel")]
        if matches!(self, Self::Sentinel(_)) {
            return true;
        }
        self.is_cluster()
    }
}

/// A server that accepts and says nothing would be waited for as long as it lasts, also by bb8.
async fn in_time<T>(opening: impl Future<Output = Result<T, RedisError>>) -> Result<T, RedisError> {
    let opened = tokio::time::timeout(CONNECT_TIMEOUT, opening).await;
    opened.map_err(|_| std::io::Error::from(std::io::ErrorKind::TimedOut))?
}

/// A command, or several in one round trip.
pub(super) trait Question {
    async fn ask<T: FromRedisValue>(
        &self,
        connection: &mut impl ConnectionLike,
    ) -> Result<T, RedisError>;
}

impl Question for Cmd {
    async fn ask<T: FromRedisValue>(
        &self,
        connection: &mut impl ConnectionLike,
    ) -> Result<T, RedisError> {
        self.query_async(connection).await
    }
}

impl Question for Pipeline {
    async fn ask<T: FromRedisValue>(
        &self,
        connection: &mut impl ConnectionLike,
    ) -> Result<T, RedisError> {
        self.query_async(connection).await
    }
}

/// What commands go through; a clone is the same connection.
#[derive(Clone)]
pub(super) enum Link {
    Server(MultiplexedConnection),
    #[cfg(feature = "redis-cluster")]
    Cluster(redis::cluster_async::ClusterConnection),
}

impl Link {
    /// Waits for `timeout` at most.
    pub(super) async fn query<T: FromRedisValue>(
        &mut self,
        question: &impl Question,
        timeout: Duration,
    ) -> Result<T, RedisError> {
        match self {
            Self::Server(connection) => {
                // The connection has a timer for each answer anyhow.
                connection.set_response_timeout(timeout);
                question.ask(connection).await
            }
            #[cfg(feature = "redis-cluster")]
            Self::Cluster(connection) => {
                let answered = tokio::time::timeout(timeout, question.ask(connection)).await;
                answered.map_err(|_| std::io::Error::from(std::io::ErrorKind::TimedOut))?
            }
        }
    }

    /// Whether it must be replaced after this error, opened so long ago.
    #[cfg_attr(
        not(feature = "redis-cluster"),
        expect(unused_variables, reason = "one server's connection breaks at any age")
    )]
    pub(super) fn is_broken_by(&self, error: &RedisError, age: Duration) -> bool {
        match self {
            Self::Server(_) => {
                error.is_io_error() || error.is_unrecoverable_error() || is_read_only(error)
            }
            #[cfg(feature = "redis-cluster")]
            Self::Cluster(_) => super::cluster::is_broken_by(error, age),
        }
    }
}

/// So is a master that was demoted; its connections may last.
fn is_read_only(error: &RedisError) -> bool {
    // Redis 6 says it within the message of a script's error.
    error.kind() == ErrorKind::Server(ServerErrorKind::ReadOnly)
        || error.to_string().contains("-READONLY")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_demoted_master_is_told_from_one_that_refuses_something_else() {
        for (error, is_demoted) in [
            (
                "READONLY You can't write against a read only replica.",
                true,
            ),
            (
                "ERR Error running script (call to f_8f): @user_script:9: @user_script: 9: -READONLY You can't write",
                true,
            ),
            (
                "OOM command not allowed when used memory > 'maxmemory'.",
                false,
            ),
            ("NOREPLICAS Not enough good replicas to write.", false),
        ] {
            let value = redis::parse_redis_value(format!("-{error}\r\n").as_bytes()).unwrap();
            let read = value.extract_error().unwrap_err();
            assert_eq!(is_read_only(&read), is_demoted, "{error}");
        }
    }
}
