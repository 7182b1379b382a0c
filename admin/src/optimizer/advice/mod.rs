//! The rules that turn what was observed into advice, a file for each part. Each piece of advice is a sentence with its numbers,
//! and where something can be done about it here, the request that does it.

mod cache;
mod database;
mod memory;
mod times;

use serde::Serialize;
use serde_json::Value;

use crate::Inner;
use crate::database::JobRequest;
use crate::observe::Seen;

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
        Self::of(JobRequest {
            kind: kind.to_owned(),
            target: Some(target),
            options,
            dry_run: false,
        })
    }

    fn of(job: JobRequest) -> Self {
        Self {
            method: "POST",
            path: "/database/maintenance",
            body: Body::Job(job),
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

/// Looks at one part.
pub(super) async fn observe(inner: &Inner, step: &str) -> Found {
    match step {
        "response_times" => times::advice(inner, &inner.seen()),
        "cache" => {
            // Its figures know it from then on.
            inner.is_l2_up().await;
            cache::advice(inner, &inner.seen())
        }
        "memory" => memory::advice(inner),
        _ => database::advice(inner).await,
    }
}

/// What the parts in this process have to advise now.
pub(crate) fn look_again(inner: &Inner, seen: &Seen) -> Vec<Advice> {
    let found = [
        times::advice(inner, seen),
        cache::advice(inner, seen),
        memory::advice(inner),
    ];
    let advice = found.into_iter().flat_map(|found| match found {
        Found::Advice(_, advice) => advice,
        Found::Nothing(_) | Found::Failed(_) => Vec::new(),
    });
    advice.chain(database::pools(inner)).collect()
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
        action: Some(Action::job(
            "create_index",
            table.to_owned(),
            serde_json::json!({}),
        )),
        estimated_bytes,
    }
}
