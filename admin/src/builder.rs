//! Configuration, checked as a whole before anything starts.

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use pitcrew::{CacheHandle, LatencyHandle, MemoryHandle};
use pitcrew_load::{Ceilings, Target, Targets};

use crate::actions::Answers;
use crate::alerts::{AlertRule, AlertSink, Alerts, built_in};
use crate::audit::Audit;
use crate::background::Background;
use crate::database::{Database, NamedPool, PoolGauges, SwapPool};
use crate::health::{Health, Probe};
use crate::heat::Heat;
use crate::history::History;
use crate::instance::Instance;
use crate::keep::Keep;
use crate::load_tests::{LoadDatabase, LoadTests};
use crate::observe::Observed;
use crate::optimizer::{Cycles, DEFAULT_INTERVAL, MIN_INTERVAL, Policy};
use crate::security::auth::{Auth, Hook};
use crate::security::host::Hosts;
use crate::security::identity::{Identity, Token, known, random_token};
use crate::{Admin, BenchmarkTargets, BuildError, Inner};

/// Builds an [`Admin`]. Every part is optional; routes of a part that is not there say which setter adds it.
#[derive(Default)]
#[must_use]
pub struct AdminBuilder {
    cache: Option<CacheHandle>,
    latency: Option<LatencyHandle>,
    memory: Option<MemoryHandle>,
    database: Option<String>,
    pools: Vec<NamedPool>,
    targets: BenchmarkTargets,
    self_address: Option<String>,
    load_targets: Vec<String>,
    load_ceilings: Ceilings,
    load_database: Option<String>,
    load_database_writes: bool,
    tokens: Vec<Token>,
    hook: Option<Hook>,
    insecure_cookies: bool,
    audit_file: Option<PathBuf>,
    alerts: Vec<AlertRule>,
    without_alerts: Vec<String>,
    sinks: Vec<Arc<dyn AlertSink>>,
    cycles_only_on_schedule: bool,
    policy: Policy,
    probes: Vec<Probe>,
    needs_database: bool,
    hosts: Hosts,
    cycle_interval: Option<Duration>,
    instance: Option<String>,
    environment: Option<String>,
    keep_in_database: bool,
}

impl fmt::Debug for AdminBuilder {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("AdminBuilder")
            .field("tokens", &self.tokens)
            .field("hosts", &self.hosts)
            .finish_non_exhaustive()
    }
}

impl AdminBuilder {
    /// The cache layer's handle.
    pub fn cache(mut self, handle: CacheHandle) -> Self {
        self.cache = Some(handle);
        self
    }

    /// The latency layer's handle.
    pub fn latency(mut self, handle: LatencyHandle) -> Self {
        self.latency = Some(handle);
        self
    }

    /// The memory layer's handle.
    pub fn memory(mut self, handle: MemoryHandle) -> Self {
        self.memory = Some(handle);
        self
    }

    /// The database's address: a URL or a libpq-style string. The admin router opens at most 3 connections of its own,
    /// when they are first needed.
    ///
    /// Connections are plain unless the address says `sslmode=require`; then they are encrypted and the server is verified
    /// against the system's root certificates.
    pub fn database(mut self, url: impl Into<String>) -> Self {
        self.database = Some(url.into());
        self
    }

    /// Shows one of the app's own connection pools. `gauges` is called for each answer and must not block.
    ///
    /// With bb8: `move || { let state = pool.state(); PoolGauges { connections: state.connections, .. } }`.
    pub fn pool(
        mut self,
        name: impl Into<String>,
        gauges: impl Fn() -> PoolGauges + Send + Sync + 'static,
    ) -> Self {
        self.pools.push(NamedPool {
            name: name.into(),
            gauges: Arc::new(gauges),
            resize: None,
        });
        self
    }

    /// Shows one of the app's own bb8 pools, which `POST /database/pools/{name}/resize` gives another size.
    pub fn swap_pool<M: bb8::ManageConnection>(
        mut self,
        name: impl Into<String>,
        pool: Arc<SwapPool<M>>,
    ) -> Self {
        self.pools.push(NamedPool::swapped(name.into(), pool));
        self
    }

    /// Another component of `GET /health`, such as a WebSocket hub: `probe` tells how it is, and must not block.
    pub fn probe(
        mut self,
        name: impl Into<String>,
        probe: impl Fn() -> Health + Send + Sync + 'static,
    ) -> Self {
        self.probes.push(Probe::new(name, probe));
        self
    }

    /// Whether `GET /health` says `DOWN`, and `GET /health/ready` answers 503, while the database is away. Default: no; the
    /// app goes on with what it has, and is `DEGRADED`.
    pub fn needs_database(mut self, needs: bool) -> Self {
        self.needs_database = needs;
        self
    }

    /// The values that `/benchmarks` and `/status` measure against.
    pub fn targets(mut self, targets: BenchmarkTargets) -> Self {
        self.targets = targets;
        self
    }

    /// This app's own address, such as `http://127.0.0.1:3000`: where `POST /load-test` goes unless a plan says another target. Its host is
    /// answered as if [allowed](Self::allow_host). It is never taken from a request's `Host`.
    pub fn self_address(mut self, address: impl Into<String>) -> Self {
        self.self_address = Some(address.into());
        self
    }

    /// Another address that load tests may go to, such as `http://10.0.0.7:3000`. Resolved once, when the router is built. May be called
    /// again. Default: none but this app's own.
    pub fn load_target(mut self, address: impl Into<String>) -> Self {
        self.load_targets.push(address.into());
        self
    }

    /// What a load test from the router may ask for at most: rate, connections, seconds, of each scenario and of all together, bytes of a
    /// body, memory. What a plan does not say is lowered to them. Default: what the tester itself allows.
    ///
    /// ```
    /// use pitcrew_admin::{Admin, load::Ceilings};
    ///
    /// let builder = Admin::builder().load_ceilings(Ceilings::default().rate_per_s(500.0).connections(32).seconds(60.0));
    /// ```
    pub fn load_ceilings(mut self, ceilings: Ceilings) -> Self {
        self.load_ceilings = ceilings;
        self
    }

    /// The database that load tests may send statements to, and the role they do it in: a URL or a libpq-style string, resolved once.
    /// Default: none, and plans with statements are refused.
    ///
    /// Give it a role of its own that may only read. Before each run the router asks the database whether the role can write
    /// anything, and refuses the run with the reason where it can. Sessions begin with `default_transaction_read_only = on` beside
    /// that. What every role may do (temporary tables, large objects of its own, advisory locks, `NOTIFY`, slow statements) is not
    /// kept from a plan.
    pub fn load_database(mut self, url: impl Into<String>) -> Self {
        self.load_database = Some(url.into());
        self
    }

    /// Whether the role of [`load_database`](Self::load_database) may write, and plans may say `allow_writes`. Default: neither.
    pub fn load_database_writes(mut self, allow: bool) -> Self {
        self.load_database_writes = allow;
        self
    }

    /// A token, with its role and its holder's name. May be called again; [`Admin::set_tokens`] changes them later.
    pub fn token(mut self, token: Token) -> Self {
        self.tokens.push(token);
        self
    }

    /// A token that may look and act: text of at least 16 bytes, or `sha256:` and the hash of one. May be called again.
    pub fn operator_token(self, token: impl Into<String>) -> Self {
        self.token(Token::operator(token))
    }

    /// A token that may only look, as [`operator_token`](Self::operator_token). May be called again.
    pub fn reader_token(self, token: impl Into<String>) -> Self {
        self.token(Token::reader(token))
    }

    /// The host's own authentication, asked where a request has neither a token of this router nor a session. `hook` sees the
    /// request's head, with what the host's own layers have put into its extensions, and must not block.
    ///
    /// A browser whose requests the host knows by a cookie is told from another site's page by `Origin` and
    /// `Sec-Fetch-Site`, which every browser sends.
    pub fn auth(
        mut self,
        hook: impl Fn(&http::request::Parts) -> Option<Identity> + Send + Sync + 'static,
    ) -> Self {
        self.hook = Some(Arc::new(hook));
        self
    }

    /// Lets the session's cookie go over plain HTTP to hosts that are not loopback. Default: it is marked `Secure` there, and a
    /// browser keeps it only from HTTPS.
    pub fn insecure_cookies(mut self, insecure: bool) -> Self {
        self.insecure_cookies = insecure;
        self
    }

    /// Keeps the audit in this file, which is made where it is not there, readable for its owner alone; beyond 8 MiB it is set
    /// aside as `NAME.1`. Without it the last 1,000 entries are kept in memory. One process writes a file.
    pub fn audit_file(mut self, path: impl Into<PathBuf>) -> Self {
        self.audit_file = Some(path.into());
        self
    }

    /// Answers requests for this host name too, whatever the port. Loopback names always are.
    pub fn allow_host(mut self, host: impl AsRef<str>) -> Self {
        self.hosts.allow(host.as_ref());
        self
    }

    /// What this process is called where several are looked at, such as `web-2`: 1 to 64 bytes. The dashboard and `GET /config` show it.
    /// Default: the environment's `PITCREW_INSTANCE`, else the address that the browser asks.
    pub fn instance(mut self, name: impl Into<String>) -> Self {
        self.instance = Some(name.into());
        self
    }

    /// Where it runs, such as `production`: 1 to 64 bytes, shown beside the instance. Default: the environment's
    /// `PITCREW_ENVIRONMENT`, else nothing.
    pub fn environment(mut self, name: impl Into<String>) -> Self {
        self.environment = Some(name.into());
        self
    }

    /// Keeps alerts, the audit (where it has no [file](Self::audit_file)), and minutes and hours of the history in the
    /// [database](Self::database), so that they outlive the process: in the table `pitcrew_admin.kept`, which is made where it is not
    /// there. It wants an [instance](Self::instance), by whose name the next process finds them. Default: they end with the process.
    ///
    /// They are copied once a second. While the database is away they wait in memory for it, the last 500 alerts, 1,000 entries of the
    /// audit, and a day; `GET /config` says whether all is kept.
    pub fn keep_in_database(mut self, keep: bool) -> Self {
        self.keep_in_database = keep;
        self
    }

    /// The pause between optimisation cycles: at least 10 seconds, default 30 minutes.
    pub fn cycle_interval(mut self, interval: Duration) -> Self {
        self.cycle_interval = Some(interval);
        self
    }

    /// A further alert; one with the name of another takes its place. `GET /alerts` lists all of them.
    pub fn alert(mut self, rule: AlertRule) -> Self {
        self.alerts.push(rule);
        self
    }

    /// Leaves one of the built-in alerts out.
    pub fn without_alert(mut self, name: impl Into<String>) -> Self {
        self.without_alerts.push(name.into());
        self
    }

    /// Somebody who is told of alerts, beside the log and the clients of `GET /events`. May be called again.
    pub fn alert_sink(mut self, sink: impl AlertSink) -> Self {
        self.sinks.push(Arc::new(sink));
        self
    }

    /// Whether an alert that fires starts a cycle, at most once in five minutes. Default: it does.
    pub fn alerts_start_cycles(mut self, start: bool) -> Self {
        self.cycles_only_on_schedule = !start;
        self
    }

    /// How far a cycle may go by itself. Default: [`Policy::Observe`].
    pub fn policy(mut self, policy: Policy) -> Self {
        self.policy = policy;
        self
    }

    /// Checks everything. Spawns nothing and connects to nothing.
    ///
    /// Without a configured token and without [`auth`](Self::auth) a token is made, and logged once at level `WARN`: behind a local proxy every client looks like
    /// loopback, so there is no address that could be trusted without one.
    ///
    /// # Errors
    /// [`BuildError`] says which setting cannot work, and why.
    pub fn build(mut self) -> Result<Admin, BuildError> {
        let database = self.database.as_deref().map(Database::new).transpose()?;
        self.load_ceilings
            .check()
            .map_err(BuildError::LoadCeilings)?;
        let mut targets = Targets::none();
        if let Some(address) = &self.self_address {
            let own = Target::resolve(address)?;
            let host = own
                .authority()
                .rsplit_once(':')
                .map_or(own.authority(), |(host, _)| host);
            self.hosts.allow(host);
            targets.allow_own(own);
        }
        for address in &self.load_targets {
            targets.allow(Target::resolve(address).map_err(BuildError::LoadTarget)?);
        }
        let load_database = self
            .load_database
            .as_deref()
            .map(|url| LoadDatabase::new(url, self.load_database_writes))
            .transpose()?;
        let variable = |name: &str| std::env::var(name).ok();
        let instance = Instance::new(self.instance, self.environment, variable)?;
        let kept_as = self.keep_in_database.then(|| instance.name.clone());
        if kept_as.is_some() && (database.is_none() || instance.name.is_none()) {
            return Err(BuildError::Keep);
        }
        let interval = self.cycle_interval.unwrap_or(DEFAULT_INTERVAL);
        if interval < MIN_INTERVAL {
            return Err(BuildError::CycleInterval);
        }
        let mut generated_token = None;
        if self.tokens.is_empty() && self.hook.is_none() {
            let token = random_token().map_err(|error| BuildError::Random(error.to_string()))?;
            tracing::warn!(%token, "no admin token is configured: this one is valid until the process ends");
            self.tokens.push(Token::operator(&token));
            generated_token = Some(token);
        }
        let mut rules = built_in(&self.targets);
        rules.retain(|rule| !self.without_alerts.contains(&rule.name));
        for rule in self.alerts {
            if let Some(fault) = rule.fault() {
                return Err(BuildError::Alert(fault));
            }
            rules.retain(|known| known.name != rule.name);
            rules.push(rule);
        }
        let (observed, history) = (Observed::new(), History::new());
        history.mark(observed.unix_s(), "start", "the admin router was built");
        let inner = Inner {
            cache: self.cache,
            latency: self.latency,
            memory: self.memory,
            database: database.map(Arc::new),
            pools: self.pools,
            targets: self.targets,
            load_tests: LoadTests::new(targets, load_database, self.load_ceilings),
            cycles: Cycles::new(interval),
            background: Background::new(),
            observed,
            history,
            heat: Heat::default(),
            instance,
            keep: Keep::new(kept_as.flatten()),
            alerts: Alerts::new(rules, self.sinks),
            alerts_start_cycles: !self.cycles_only_on_schedule,
            policy: self.policy,
            probes: self.probes,
            needs_database: self.needs_database,
            audit: Arc::new(Audit::new(self.audit_file.as_deref()).map_err(BuildError::AuditFile)?),
            answers: Answers::default(),
            auth: Auth::new(known(&self.tokens)?, self.hook, self.insecure_cookies),
            hosts: self.hosts,
            started: Instant::now(),
        };
        Ok(Admin {
            inner: Arc::new(inner),
            is_configured: generated_token.is_none(),
            generated_token,
        })
    }
}
