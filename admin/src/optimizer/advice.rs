//! The rules that turn what was observed into advice. Each piece of advice is a sentence with its numbers, and where
//! something can be done about it here, the request that does it.

use pitcrew::LatencyHandle;
use pitcrew::latency::{ObjectiveState, SlowBy, Window};
use pitcrew::memory::{LeakReport, LeakState};
use serde::Serialize;
use serde_json::{Value, json};

use crate::Inner;
use crate::database::{JobRequest, NamedPool, Suggestion, TableStats};
use crate::targets::{ENOUGH_LOOK_UPS, ENOUGH_REQUESTS};

/// How much it matters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Severity {
    Warn,
    Critical,
}

/// One piece of advice.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Advice {
    /// Names the finding, the same in each cycle.
    pub(crate) id: String,
    pub(crate) part: &'static str,
    pub(crate) severity: Severity,
    pub(crate) title: String,
    pub(crate) detail: String,
    /// The request that acts on it.
    pub(crate) action: Option<Action>,
    /// Bytes that the action adds to the database, by an estimate; none where it adds none or nobody knows.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) estimated_bytes: Option<u64>,
}

/// A request that an operator may send.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Action {
    method: &'static str,
    /// Under the prefix.
    path: &'static str,
    body: Body,
}

#[derive(Debug, Clone, Serialize)]
#[serde(untagged)]
enum Body {
    Job(JobRequest),
    Empty {},
}

impl Action {
    fn job(kind: &str, target: String, options: Value) -> Self {
        Self {
            method: "POST",
            path: "/database/maintenance",
            body: Body::Job(JobRequest {
                kind: kind.to_owned(),
                target: Some(target),
                options,
                dry_run: false,
            }),
        }
    }

    /// The job that it submits, where it submits one.
    pub(crate) fn as_job(&self) -> Option<&JobRequest> {
        match &self.body {
            Body::Job(job) => Some(job),
            Body::Empty {} => None,
        }
    }
}

/// What one step found: advice, or the reason why there was nothing to look at.
pub(super) enum Found {
    Advice(String, Vec<Advice>),
    Nothing(String),
    Failed(String),
}

/// A table with fewer dead rows is never worth a job.
const ENOUGH_DEAD_ROWS: i64 = 1_000;
/// Autovacuum's own default begins at 20 % (`autovacuum_vacuum_scale_factor`); past that it is behind.
const DEAD_PERCENT: f64 = 25.0;

/// What verdicts on response times are about.
const WINDOW: Window = Window::FifteenMinutes;

/// Looks at one part.
pub(super) async fn observe(inner: &Inner, step: &str) -> Found {
    match step {
        "response_times" => response_times(inner),
        "cache" => cache(inner).await,
        "memory" => memory(inner),
        _ => database(inner).await,
    }
}

/// What the parts in this process have to advise now.
pub(crate) async fn look_again(inner: &Inner) -> Vec<Advice> {
    let found = [response_times(inner), cache(inner).await, memory(inner)];
    let advice = found.into_iter().flat_map(|found| match found {
        Found::Advice(_, advice) => advice,
        Found::Nothing(_) | Found::Failed(_) => Vec::new(),
    });
    advice.chain(pools(inner)).collect()
}

fn response_times(inner: &Inner) -> Found {
    let Some(latency) = &inner.latency else {
        return Found::Nothing("no latency handle".to_owned());
    };
    let snapshot = latency.snapshot();
    let slow = snapshot.series.iter().filter(|series| {
        series.count >= ENOUGH_REQUESTS
            && (series.p99_ms > inner.targets.api_p99_ms
                || series.p95_ms > inner.targets.api_p95_ms)
    });
    let mut advice: Vec<_> = slow
        .map(|series| Advice {
            id: format!("slow-route:{} {}", series.method, series.route),
            part: "response_times",
            severity: Severity::Warn,
            title: format!("{} {} is slow", series.method, series.route),
            detail: format!(
                "p95 {:.0} ms and p99 {:.0} ms over {} requests; the targets are {:.0} and {:.0} ms",
                series.p95_ms, series.p99_ms, series.count, inner.targets.api_p95_ms, inner.targets.api_p99_ms
            ),
            action: None,
            estimated_bytes: None,
        })
        .collect();
    let slow = advice.len();
    advice.extend(verdicts(latency));
    Found::Advice(
        format!("{} series, {slow} slow", snapshot.series.len()),
        advice,
    )
}

/// What the latency layer itself has to say: routes that are over a target or got slower, objectives whose budget goes or is gone, and statements that are
/// run again and again. Each is a sentence with its numbers.
fn verdicts(latency: &LatencyHandle) -> Vec<Advice> {
    let told = |id: String, severity, title: String, detail: String| Advice {
        id,
        part: "response_times",
        severity,
        title,
        detail,
        action: None,
        estimated_bytes: None,
    };
    let mut advice = Vec::new();
    for slow in latency.slow_endpoints(WINDOW).findings {
        let route = format!("{} {}", slow.method, slow.route);
        let (kind, title) = match slow.by {
            SlowBy::Target { .. } => ("over-target", format!("{route} is over its target")),
            SlowBy::Change { .. } => ("slower", format!("{route} got slower")),
            // Told below, with its severity.
            _ => continue,
        };
        let id = format!("{kind}:{route}");
        advice.push(told(id, Severity::Warn, title, slow.verdict));
    }
    for objective in latency.objectives() {
        let (severity, title) = match objective.state {
            ObjectiveState::Page => (Severity::Critical, "its error budget burns fast"),
            ObjectiveState::Exhausted => (Severity::Critical, "its error budget is gone"),
            ObjectiveState::Ticket => (Severity::Warn, "its error budget will not last"),
            _ => continue,
        };
        let id = format!("slo:{}", objective.name);
        let title = format!("{}: {title}", objective.name);
        advice.push(told(id, severity, title, objective.verdict));
    }
    for repeated in latency.n_plus_one(WINDOW).findings {
        let route = format!("{} {}", repeated.method, repeated.route);
        let id = format!("n-plus-one:{route}:{}", repeated.statement);
        let title = format!("{route} asks the database again and again");
        advice.push(told(id, Severity::Warn, title, repeated.verdict));
    }
    advice
}

async fn cache(inner: &Inner) -> Found {
    let Some(cache) = &inner.cache else {
        return Found::Nothing("no cache handle".to_owned());
    };
    inner.is_l2_up().await;
    let stats = cache.stats();
    let mut advice = Vec::new();
    let looked_up = stats.hits + stats.misses;
    let percent = stats.hit_ratio * 100.0;
    if looked_up >= ENOUGH_LOOK_UPS && percent < inner.targets.cache_hit_percent {
        advice.push(Advice {
            id: "cache-hit-ratio".to_owned(),
            part: "cache",
            severity: Severity::Warn,
            title: "few answers come from the cache".to_owned(),
            detail: format!(
                "{percent:.1} % of {looked_up} look-ups were hits, {:.0} % are wanted; {} entries were evicted from {} MiB",
                inner.targets.cache_hit_percent,
                stats.l1.evictions,
                stats.l1.capacity_bytes >> 20
            ),
            action: None,
            estimated_bytes: None,
        });
    }
    if let Some(l2) = stats.l2.as_ref().filter(|l2| l2.state != "up") {
        advice.push(Advice {
            id: "cache-l2-down".to_owned(),
            part: "cache",
            severity: Severity::Warn,
            title: "Redis is away".to_owned(),
            detail: format!(
                "{} errors so far; the app serves from its own memory meanwhile",
                l2.errors
            ),
            action: None,
            estimated_bytes: None,
        });
    }
    Found::Advice(
        format!("{percent:.1} % hits of {looked_up} look-ups"),
        advice,
    )
}

fn memory(inner: &Inner) -> Found {
    let Some(memory) = &inner.memory else {
        return Found::Nothing("no memory handle".to_owned());
    };
    let snapshot = memory.snapshot();
    let Some(rss) = snapshot.process.rss_bytes else {
        return Found::Nothing("the resident set size is not known".to_owned());
    };
    let rss_mib = rss as f64 / f64::from(1 << 20);
    let mut advice = Vec::new();
    if rss_mib > inner.targets.memory_mib {
        advice.push(Advice {
            id: "memory-over-target".to_owned(),
            part: "memory",
            severity: Severity::Warn,
            title: "the process is larger than its target".to_owned(),
            detail: format!(
                "{rss_mib:.0} MiB resident, {:.0} MiB wanted",
                inner.targets.memory_mib
            ),
            action: Some(Action {
                method: "POST",
                path: "/memory/gc",
                body: Body::Empty {},
            }),
            estimated_bytes: None,
        });
    }
    advice.extend(leak(&snapshot.leak));
    if let Some(guard) = snapshot.guard.filter(|guard| guard.level == "hard") {
        advice.push(Advice {
            id: "memory-guard".to_owned(),
            part: "memory",
            severity: Severity::Critical,
            title: "requests are refused for want of memory".to_owned(),
            detail: guard.detail,
            action: None,
            estimated_bytes: None,
        });
    }
    Found::Advice(
        format!("{rss_mib:.0} MiB resident; {}", snapshot.leak.detail),
        advice,
    )
}

/// Within so many hours of the limit a leak is urgent.
const URGENT_HOURS: f64 = 24.0;

/// The leak verdict, with the heap profile as what to do about it where there is one.
fn leak(report: &LeakReport) -> Option<Advice> {
    if report.state != LeakState::Leaking {
        return None;
    }
    let is_urgent = report
        .hours_to_limit
        .is_some_and(|hours| hours < URGENT_HOURS);
    Some(Advice {
        id: "memory-leak".to_owned(),
        part: "memory",
        severity: if is_urgent {
            Severity::Critical
        } else {
            Severity::Warn
        },
        title: "memory leaks".to_owned(),
        detail: report.detail.clone(),
        action: report.profile.then_some(Action {
            method: "POST",
            path: "/memory/heap-profile",
            body: Body::Empty {},
        }),
        estimated_bytes: None,
    })
}

async fn database(inner: &Inner) -> Found {
    let Some(database) = &inner.database else {
        return Found::Nothing("no database".to_owned());
    };
    let suggestions = match database.suggestions().await {
        Ok(found) => found,
        Err(error) => return Found::Failed(error.to_string()),
    };
    let tables = match database.tables().await {
        Ok(found) => found,
        Err(error) => return Found::Failed(error.to_string()),
    };
    let detail = format!(
        "{} tables, {} index suggestions",
        tables.len(),
        suggestions.len()
    );
    let mut advice: Vec<_> = suggestions.iter().map(index).collect();
    advice.extend(tables.iter().filter_map(table));
    advice.extend(pools(inner));
    Found::Advice(detail, advice)
}

fn pools(inner: &Inner) -> impl Iterator<Item = Advice> {
    let reports = inner.pools.iter().map(NamedPool::report);
    reports.filter(NamedPool::is_short).map(|pool| Advice {
        id: format!("pool:{}", pool.name),
        part: "database",
        severity: Severity::Warn,
        title: format!("the pool `{}` is short", pool.name),
        detail: pool.advice,
        action: None,
        estimated_bytes: None,
    })
}

fn index(suggestion: &Suggestion) -> Advice {
    let mut options = json!({"columns": suggestion.columns, "name": suggestion.index_name});
    let mut stored = String::new();
    if !suggestion.included.is_empty() {
        options["include"] = json!(suggestion.included);
        stored = format!(" with {}", suggestion.included.join(", "));
    }
    Advice {
        id: format!("index:{}", suggestion.id),
        part: "database",
        severity: if suggestion.gain_percent >= 50.0 {
            Severity::Critical
        } else {
            Severity::Warn
        },
        title: format!(
            "an index on {} ({}){stored}",
            suggestion.table_name,
            suggestion.columns.join(", ")
        ),
        detail: suggestion.detail.clone(),
        action: Some(Action::job(
            "create_index",
            suggestion.table_name.clone(),
            options,
        )),
        estimated_bytes: u64::try_from(suggestion.estimated_size_bytes).ok(),
    }
}

fn table(table: &TableStats) -> Option<Advice> {
    let name = format!(
        "{}.{}",
        quoted(&table.schema_name),
        quoted(&table.table_name)
    );
    let dead_percent = table.dead_percent.unwrap_or(0.0);
    let never_analyzed = table.last_analyze.is_none() && table.last_autoanalyze.is_none();
    let (kind, why) = if table.dead_rows >= ENOUGH_DEAD_ROWS && dead_percent > DEAD_PERCENT {
        (
            "vacuum",
            format!(
                "{dead_percent:.0} % of its rows are dead ({} rows)",
                table.dead_rows
            ),
        )
    } else if never_analyzed && table.live_rows >= ENOUGH_DEAD_ROWS {
        (
            "analyze",
            format!(
                "it was never analyzed, and has {} rows: the planner guesses",
                table.live_rows
            ),
        )
    } else {
        return None;
    };
    Some(Advice {
        id: format!("{kind}:{name}"),
        part: "database",
        severity: Severity::Warn,
        title: format!("{kind} {name}"),
        detail: why,
        action: Some(Action::job(kind, name, json!({}))),
        estimated_bytes: None,
    })
}

/// A name as it has to be written in SQL; quoting one that needs none does no harm.
fn quoted(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

/// Advice to build an index.
#[cfg(test)]
pub(super) fn index_for_tests(table: &str, estimated_bytes: Option<u64>) -> Advice {
    Advice {
        id: format!("index:{table}"),
        part: "database",
        severity: Severity::Warn,
        title: String::new(),
        detail: String::new(),
        action: Some(Action::job("create_index", table.to_owned(), json!({}))),
        estimated_bytes,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn report(state: LeakState, hours: Option<f64>, profile: bool) -> LeakReport {
        let mut report = LeakReport::default();
        report.state = state;
        report.hours_to_limit = hours;
        report.profile = profile;
        "live memory leaks: 8.00 MiB an hour".clone_into(&mut report.detail);
        report
    }

    #[test]
    fn a_leak_is_advice_with_its_sentence_and_growth_is_none() {
        for state in [LeakState::Steady, LeakState::Growing, LeakState::Unknown] {
            assert!(leak(&report(state, Some(1.0), true)).is_none());
        }
        let far = leak(&report(LeakState::Leaking, Some(500.0), false)).expect("advice");
        assert_eq!((far.severity, far.action.is_none()), (Severity::Warn, true));
        assert_eq!(far.detail, "live memory leaks: 8.00 MiB an hour");
        let near = leak(&report(LeakState::Leaking, Some(3.0), true)).expect("advice");
        assert_eq!(near.severity, Severity::Critical);
        let action = serde_json::to_value(near.action).expect("JSON");
        assert_eq!(
            (&action["method"], &action["path"]),
            (&json!("POST"), &json!("/memory/heap-profile"))
        );
    }
}
