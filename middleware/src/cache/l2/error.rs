//! What a configuration of Redis can have wrong.

/// Why a [`RedisStore`](super::RedisStore) cannot be made.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RedisStoreError {
    /// The URL cannot be used.
    #[error(
        "the Redis URL cannot be used; write redis://[user:password@]host[:port][/db], rediss:// for TLS, or redis+unix:///path"
    )]
    Url(#[source] redis::RedisError),
    /// TLS is not in this build, or cannot be set up so.
    #[error("TLS to Redis: {0}")]
    Tls(String),
    /// No node of the cluster, or no sentinel, is named.
    #[error("no URL is given; name some of the cluster's nodes, or the sentinels")]
    NoUrl,
    /// The master that the sentinels are asked for has no name.
    #[error(
        "the master has no name; write what the sentinels call it, `mymaster` or redis://[user:password@]mymaster[/db]"
    )]
    MasterName,
}
