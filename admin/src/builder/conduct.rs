//! What the router is called, what it does by itself, and what it keeps.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use super::AdminBuilder;
use crate::BenchmarkTargets;
use crate::alerts::{AlertRule, AlertSink};
use crate::optimizer::Policy;

impl AdminBuilder {
    /// The values that `/benchmarks` and `/status` measure against.
    pub fn targets(mut self, targets: BenchmarkTargets) -> Self {
        self.targets = targets;
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

    /// Keeps the audit in this file, which is made where it is not there, readable for its owner alone; beyond 8 MiB it is set
    /// aside as `NAME.1`. Without it the last 1,000 entries are kept in memory. One process writes a file.
    pub fn audit_file(mut self, path: impl Into<PathBuf>) -> Self {
        self.audit_file = Some(path.into());
        self
    }

    /// Keeps alerts, the audit (where it has no [file](Self::audit_file)), minutes and hours of the history, marks and the map of heat
    /// in the [database](Self::database), so that they outlive the process: in the table `pitcrew_admin.kept`, which is made where it
    /// is not there. It wants an [instance](Self::instance), by whose name the next process finds them. Default: they end with the
    /// process.
    ///
    /// They are copied once a second. While the database is away they wait in memory for it, the last 500 alerts and marks, 1,000
    /// entries of the audit, and a day; `GET /config` says whether all is kept.
    pub fn keep_in_database(mut self, keep: bool) -> Self {
        self.keep_in_database = keep;
        self
    }

    /// The pause between optimisation cycles: at least 10 seconds, default 30 minutes.
    pub fn cycle_interval(mut self, interval: Duration) -> Self {
        self.cycle_interval = Some(interval);
        self
    }

    /// How far a cycle may go by itself. Default: [`Policy::Observe`].
    pub fn policy(mut self, policy: Policy) -> Self {
        self.policy = policy;
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
}
