//! A Redis master with a replica, watched by sentinels.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use crate::error::{Error, Result};
use crate::place::Slot;
use crate::process;
use crate::random;
use crate::redis::Redis;

/// What the sentinels call the master.
const NAME: &str = "mymaster";

/// Three outlive the loss of one: two agree that the master is down, and elect who promotes the replica.
const SENTINELS: usize = 3;

/// How long they may take to find each other; they greet every two seconds.
const AGREED_WITHIN: Duration = Duration::from_secs(60);

/// A private master, its replica and three sentinels that share one password; ended and removed when dropped. A master that
/// does not answer for half a second is replaced by the replica.
#[derive(Debug)]
pub struct RedisSentinel {
    servers: Vec<Redis>,
    sentinels: Vec<Redis>,
    password: String,
}

impl RedisSentinel {
    /// Starts five servers, and waits until the sentinels know all of them.
    ///
    /// # Errors
    /// As [`Redis::start`]; [`Error::Start`] where they do not find each other within a minute.
    pub fn start(slot: &Arc<Slot>, program: &Path) -> Result<Self> {
        let password = random::secret()?;
        let mut all = Self {
            servers: Vec::new(),
            sentinels: Vec::new(),
            password,
        };
        let auth = ("masterauth", all.password.as_str());
        let master = Redis::start_as(slot, program, &all.password, &[auth])?;
        let address = format!("127.0.0.1 {}", master.port());
        let follows = [auth, ("replicaof", &address)];
        let replica = Redis::start_as(slot, program, &all.password, &follows)?;
        all.servers = vec![master, replica];
        all.agree("the replica has what the master has", || {
            all.servers[1]
                .command(&["INFO", "replication"])
                .is_ok_and(|info| info.contains("master_link_status:up"))
        })?;
        let settings = [
            format!("monitor {NAME} {address} 2"),
            format!("auth-pass {NAME} {}", all.password),
            format!("down-after-milliseconds {NAME} 500"),
            format!("failover-timeout {NAME} 5000"),
            format!("sentinel-pass {}", all.password),
        ];
        let settings = settings.each_ref().map(|line| ("sentinel", line.as_str()));
        all.sentinels = (0..SENTINELS)
            .map(|_| Redis::start_as(slot, program, &all.password, &settings))
            .collect::<Result<_>>()?;
        all.agree("every sentinel knows the others and the replica", || {
            all.sentinels.iter().all(|sentinel| {
                let others = (SENTINELS - 1).to_string();
                let known = [("num-slaves", "1"), ("num-other-sentinels", &others)];
                sentinel
                    .command(&["SENTINEL", "MASTER", NAME])
                    .is_ok_and(|answer| {
                        let lines: Vec<_> = answer.lines().collect();
                        known.iter().all(|(name, value)| {
                            lines.windows(2).any(|pair| pair == [*name, *value])
                        })
                    })
            })
        })?;
        Ok(all)
    }

    fn agree(&self, what: &str, holds: impl Fn() -> bool) -> Result<()> {
        process::poll(AGREED_WITHIN, || holds().then_some(())).ok_or_else(|| Error::Start {
            server: "Redis with sentinels".into(),
            reason: format!("not within {} s: {what}", AGREED_WITHIN.as_secs()),
            log: String::new(),
        })
    }

    /// The URLs of the sentinels.
    #[must_use]
    pub fn urls(&self) -> Vec<String> {
        self.sentinels.iter().map(Redis::url).collect()
    }

    /// The master by its name, with the password that it wants.
    #[must_use]
    pub fn master_url(&self) -> String {
        format!("redis://:{}@{NAME}/0", self.password)
    }

    /// The number of the server that each of these sentinels names as the master; `None` as long as they differ.
    #[must_use]
    pub fn master(&self) -> Option<usize> {
        let named = self.sentinels.iter().map(|sentinel| {
            let asked = ["SENTINEL", "GET-MASTER-ADDR-BY-NAME", NAME];
            let address = sentinel.command(&asked).ok()?;
            let port: u16 = address.lines().nth(1)?.parse().ok()?;
            self.servers.iter().position(|server| server.port() == port)
        });
        named.reduce(|one, other| if one == other { one } else { None })?
    }

    /// Makes every sentinel watch another master from now on, without telling the servers.
    ///
    /// # Errors
    /// [`Error::Program`] where a sentinel does not answer.
    pub fn watch(&self, number: usize) -> Result<()> {
        let port = self.servers[number].port().to_string();
        for sentinel in &self.sentinels {
            sentinel.command(&["SENTINEL", "REMOVE", NAME])?;
            sentinel.command(&["SENTINEL", "MONITOR", NAME, "127.0.0.1", &port, "2"])?;
            sentinel.command(&["SENTINEL", "SET", NAME, "auth-pass", &self.password])?;
        }
        Ok(())
    }

    /// The servers, to ask or pause one; the first began as the master.
    #[must_use]
    pub fn servers(&self) -> &[Redis] {
        &self.servers
    }

    /// The servers, to kill or start one.
    pub fn servers_mut(&mut self) -> &mut [Redis] {
        &mut self.servers
    }

    /// The sentinels, to pause one.
    #[must_use]
    pub fn sentinels(&self) -> &[Redis] {
        &self.sentinels
    }
}
