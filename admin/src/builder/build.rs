//! Everything checked together, and made into an [`Admin`].

use std::sync::Arc;
use std::time::Instant;

use pitcrew_load::{Target, Targets};

use super::AdminBuilder;
use crate::actions::Answers;
use crate::alerts::{Alerts, built_in};
use crate::audit::Audit;
use crate::background::Background;
use crate::database::Database;
use crate::heat::Heat;
use crate::history::{History, MarkKind};
use crate::instance::Instance;
use crate::keep::Keep;
use crate::load_tests::{LoadDatabase, LoadTests};
use crate::observe::Observed;
use crate::optimizer::{Cycles, DEFAULT_INTERVAL, MIN_INTERVAL};
use crate::security::auth::Auth;
use crate::security::identity::{Token, known, random_token};
use crate::{Admin, BuildError, Inner};

impl AdminBuilder {
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
        history.mark(
            observed.unix_s(),
            MarkKind::Start,
            "the admin router was built",
        );
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
