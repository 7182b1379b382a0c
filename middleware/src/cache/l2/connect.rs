//! Where Redis is and how this app uses it.

use std::{
    fmt,
    hash::{BuildHasher, RandomState},
    sync::Arc,
    time::Duration,
};

use bb8_redis::RedisConnectionManager;

use super::{L2, error::RedisStoreError, opener::Opener, pool::Pool};
use crate::{cache::invalidation::Invalidation, clock::Clock};

/// Longest time a request waits for Redis unless told otherwise.
pub const DEFAULT_TIMEOUT: Duration = Duration::from_millis(50);

/// How long an answer is served from this process without news of others' purges, unless told otherwise.
pub const DEFAULT_SERVE_WHILE_AWAY: Duration = Duration::from_secs(30);

/// A cache level in Redis or Valkey, shared by every instance that uses the same namespace.
///
/// | Redis is | made by | feature |
/// |---|---|---|
/// | one server | [`connect`](Self::connect) | `redis`; for `rediss://` also `redis-tls` |
/// | a cluster | `cluster` | `redis-cluster` |
/// | a master and its replicas, watched by sentinels | `sentinel` | `redis-sentinel` |
///
/// Replicas are not read. After a fail-over each instance reads all purges anew from the new master. Replication is
/// asynchronous, so the last purges may be lost there: what an instance was told is done stays done in that instance,
/// and it tells the new master again; until it has, instances that had not heard of it may serve what is older, no longer
/// than its lifetime.
///
/// # Rights
///
/// A user of Redis' access control lists (ACL) that does what is needed, and nothing else, in the namespace `default`:
///
/// ```text
/// ACL SETUSER pitcrew on >PASSWORD ~pitcrew:default:* ~pitcrew:{default}:* +get +mget +set +unlink +exists +ping +eval +evalsha +script|load
///   +type +del +getrange +setrange +strlen +hget +hset +hmget +hdel +xadd +xrange +xread +zadd +zcard +zpopmin +zrange
///   +time
/// ```
///
/// A cluster wants `+cluster` besides, a master that sentinels name `+role`. Without `+mget` each look-up that comes together
/// with others costs a refusal more.
#[derive(Clone)]
pub struct RedisStore {
    opener: Opener,
    namespace: String,
    timeout: Duration,
    serve_while_away: Duration,
}

impl RedisStore {
    /// A store at `url`; connects when first used, so it never fails because Redis is down.
    ///
    /// `rediss://` (feature `redis-tls`) encrypts, and verifies the server against the system's root certificates or
    /// those given to `trust`; there is no way to leave the verification out.
    ///
    /// # Errors
    ///
    /// [`RedisStoreError::Url`] where the URL cannot be read, [`RedisStoreError::Tls`] for `rediss://` without the feature
    /// `redis-tls` or to a host that no certificate can name.
    pub fn connect(url: &str) -> Result<Self, RedisStoreError> {
        let opener = if is_tls(url) { tls(url)? } else { plain(url)? };
        Ok(Self::over(opener))
    }

    /// A store in a Redis Cluster, of which `urls` are some nodes: those that are asked for the others. Connects when first
    /// used. Give several, or a name that stands for several, for while none of them answers no connection can be opened.
    ///
    /// Entries are spread over all masters. What purges need lies on one, the master of the namespace's slot: while that
    /// one is away nothing is read from the cluster, and purges wait (`l2: pending`) until its replica takes over. Any
    /// other master takes its own entries along: they are misses, and the others are still found. That needs
    /// `cluster-require-full-coverage no` where a master can be lost without a replica; by Redis' default all of the
    /// cluster stops then. A node that vanishes without a word is left by the requests for its slots about 10 s
    /// after another has them, at the latest.
    ///
    /// A namespace with braces would be a hash tag of its own, and keep all entries on one master.
    ///
    /// # Errors
    ///
    /// [`RedisStoreError::NoUrl`], [`RedisStoreError::Url`] where one cannot be read, is a socket, or has other credentials
    /// than the first; [`RedisStoreError::Tls`] for `rediss://`, which is there for single servers only.
    #[cfg(feature = "redis-cluster")]
    pub fn cluster<T: AsRef<str>>(
        urls: impl IntoIterator<Item = T>,
    ) -> Result<Self, RedisStoreError> {
        let cluster = super::cluster::Cluster::new(servers(urls)?)?;
        Ok(Self::over(Opener::Cluster(Arc::new(cluster))))
    }

    /// A store at the master that the sentinels at `urls` name, also after a fail-over. Connects when first used.
    ///
    /// `master` is the name by which the sentinels know it, such as `mymaster`; or a URL with that name as its host where
    /// the master wants a password or another database than 0: `redis://:secret@mymaster/2`. The credentials in `urls` are
    /// those of the sentinels. The user needs the commands `ROLE` or `INFO`.
    ///
    /// Until another master is named L2 answers nothing, and what a fail-over loses is healed as [`RedisStore`] says. An
    /// old master that is cut off from the sentinels, and not from this app, is believed until it learns of the new one:
    /// `min-replicas-to-write 1` at the masters bounds that, and is obeyed here for reads too.
    ///
    /// # Errors
    ///
    /// [`RedisStoreError::NoUrl`], [`RedisStoreError::MasterName`] where it is empty, [`RedisStoreError::Url`] where one
    /// cannot be read, or a sentinel's names a database; [`RedisStoreError::Tls`] for `rediss://`, which is there for single
    /// servers only.
    #[cfg(feature = "redis-sentinel")]
    pub fn sentinel<T: AsRef<str>>(
        urls: impl IntoIterator<Item = T>,
        master: &str,
    ) -> Result<Self, RedisStoreError> {
        refuse_tls(master)?;
        let sentinel = super::sentinel::Sentinel::new(servers(urls)?, master)?;
        Ok(Self::over(Opener::Sentinel(Arc::new(sentinel))))
    }

    fn over(opener: Opener) -> Self {
        Self {
            opener,
            namespace: "default".to_owned(),
            timeout: DEFAULT_TIMEOUT,
            serve_while_away: DEFAULT_SERVE_WHILE_AWAY,
        }
    }

    /// For `rediss://`: trusts the certificates of this PEM text instead of the system's.
    ///
    /// # Errors
    ///
    /// [`RedisStoreError::Tls`] where the text holds no usable certificate, or the URL was not `rediss://`.
    #[cfg(feature = "redis-tls")]
    pub fn trust(mut self, pem: &[u8]) -> Result<Self, RedisStoreError> {
        let Opener::Tls(tls) = &mut self.opener else {
            return Err(RedisStoreError::Tls(
                "the URL is not rediss://, so there is nothing to verify".into(),
            ));
        };
        tls.trust(pem)?;
        Ok(self)
    }

    /// Begins every Redis key of this app; two apps with different namespaces never see each other's entries. Default
    /// `default`.
    ///
    /// # Panics
    ///
    /// Where it is empty.
    #[must_use]
    pub fn namespace(mut self, namespace: &str) -> Self {
        assert!(
            !namespace.is_empty(),
            "a namespace wants a name that no other app in this Redis has"
        );
        namespace.clone_into(&mut self.namespace);
        self
    }

    /// Longest time a request waits for Redis. Default [`DEFAULT_TIMEOUT`].
    #[must_use]
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = timeout.min(crate::clock::LONGEST);
        self
    }

    /// How long an answer in this process may still be served when purges of other instances cannot be heard: counted
    /// from the handler's answer, or from when they were heard last, whichever is later. So what another instance purged
    /// meanwhile is served no longer than that, and Redis being away does not empty this cache. Default
    /// [`DEFAULT_SERVE_WHILE_AWAY`].
    #[must_use]
    pub fn serve_while_away(mut self, serve_while_away: Duration) -> Self {
        self.serve_while_away = serve_while_away.min(crate::clock::LONGEST);
        self
    }

    pub(in crate::cache) fn open(self, clock: Clock) -> (L2, Arc<Invalidation>) {
        // No other instance's number, nor that of an earlier process.
        let instance = RandomState::new().hash_one(std::process::id());
        let invalidation = Arc::new(Invalidation::in_cluster(instance, self.serve_while_away));
        let pool = Pool::new(self.opener);
        let following = invalidation.clone();
        let l2 = L2::new(pool, &self.namespace, self.timeout, clock, following);
        (l2, invalidation)
    }
}

fn is_tls(url: &str) -> bool {
    let scheme = url.split(':').next().unwrap_or_default();
    scheme.eq_ignore_ascii_case("rediss") || scheme.eq_ignore_ascii_case("valkeys")
}

/// The `redis` crate connects to nodes and sentinels by itself, and its TLS is not in this build (see `tls`).
#[cfg(any(feature = "redis-cluster", feature = "redis-sentinel"))]
fn refuse_tls(url: &str) -> Result<(), RedisStoreError> {
    if is_tls(url) {
        return Err(RedisStoreError::Tls(
            "rediss:// is not supported for Cluster and Sentinel; use redis://, or one server"
                .into(),
        ));
    }
    Ok(())
}

#[cfg(any(feature = "redis-cluster", feature = "redis-sentinel"))]
fn servers<T: AsRef<str>>(
    urls: impl IntoIterator<Item = T>,
) -> Result<Vec<redis::ConnectionInfo>, RedisStoreError> {
    use redis::IntoConnectionInfo;
    let servers = urls.into_iter().map(|url| {
        let url = url.as_ref();
        refuse_tls(url)?;
        url.into_connection_info().map_err(RedisStoreError::Url)
    });
    let servers: Vec<_> = servers.collect::<Result<_, _>>()?;
    if servers.is_empty() {
        return Err(RedisStoreError::NoUrl);
    }
    Ok(servers)
}

fn plain(url: &str) -> Result<Opener, RedisStoreError> {
    let manager = RedisConnectionManager::new(url).map_err(RedisStoreError::Url)?;
    Ok(Opener::Plain(manager))
}

#[cfg(feature = "redis-tls")]
fn tls(url: &str) -> Result<Opener, RedisStoreError> {
    use redis::IntoConnectionInfo;
    // Read as its plain twin, for the `redis` crate's own TLS is not in this build.
    let rest = url.split_once(':').map_or("", |(_, rest)| rest);
    if rest.contains('#') {
        return Err(RedisStoreError::Tls(
            "`#insecure` and other fragments are not supported: name the root certificates instead"
                .into(),
        ));
    }
    let info = format!("redis:{rest}")
        .into_connection_info()
        .map_err(RedisStoreError::Url)?;
    Ok(Opener::Tls(Box::new(super::tls::Tls::new(info)?)))
}

#[cfg(not(feature = "redis-tls"))]
fn tls(_: &str) -> Result<Opener, RedisStoreError> {
    Err(RedisStoreError::Tls(
        "this build has none: switch on the feature `redis-tls`, or use redis:// or redis+unix://"
            .into(),
    ))
}

impl fmt::Debug for RedisStore {
    /// Without the URL: it may hold a password.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RedisStore")
            .field("namespace", &self.namespace)
            .field("timeout", &self.timeout)
            .finish_non_exhaustive()
    }
}
