//! Redis behind Sentinel: each connection is opened to whom the sentinels name as the master at that moment.

use std::sync::atomic::{AtomicUsize, Ordering};

use redis::{
    ConnectionAddr, ConnectionInfo, ErrorKind, IntoConnectionInfo, RedisError,
    aio::MultiplexedConnection,
    sentinel::{Sentinel as Sentinels, SentinelNodeConnectionInfo},
};

use super::error::RedisStoreError;

pub(super) struct Sentinel {
    sentinels: Vec<ConnectionInfo>,
    master: String,
    /// User, password and database at the master.
    login: SentinelNodeConnectionInfo,
    /// Which sentinel is asked first next time.
    next: AtomicUsize,
}

impl Sentinel {
    /// `master` is a name, or a URL with the name as its host.
    pub(super) fn new(
        sentinels: Vec<ConnectionInfo>,
        master: &str,
    ) -> Result<Self, RedisStoreError> {
        if sentinels.iter().any(|info| info.redis_settings().db() != 0) {
            return Err(RedisStoreError::Url(RedisError::from((
                ErrorKind::InvalidClientConfig,
                "a sentinel has no databases; name that of the master: redis://mymaster/2",
            ))));
        }
        let mut login = SentinelNodeConnectionInfo::default();
        let mut name = master.to_owned();
        if master.contains("://") {
            let info = master
                .into_connection_info()
                .map_err(RedisStoreError::Url)?;
            name = match info.addr() {
                ConnectionAddr::Tcp(host, _) => host.clone(),
                _ => String::new(),
            };
            login = login.set_redis_connection_info(info.redis_settings().clone());
        }
        if name.is_empty() {
            return Err(RedisStoreError::MasterName);
        }
        Ok(Self {
            sentinels,
            master: name,
            login,
            next: AtomicUsize::new(0),
        })
    }

    pub(super) async fn connect(&self) -> Result<MultiplexedConnection, RedisError> {
        // Several are asked at once, but the answer of the first is waited for; one that hangs would use up all the time
        // there is, each time.
        let mut sentinels = self.sentinels.clone();
        let first = self.next.fetch_add(1, Ordering::Relaxed);
        sentinels.rotate_left(first % self.sentinels.len());
        let master = Sentinels::build(sentinels)?
            .async_master_for(&self.master, Some(&self.login))
            .await?;
        master.get_multiplexed_async_connection().await
    }
}
