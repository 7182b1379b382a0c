//! A check from both sides: by the extension and over a plain connection, which have to agree.

#![allow(
    dead_code,
    unreachable_pub,
    clippy::unwrap_used,
    reason = "each test binary uses a part; a test ends where something unexpected happens"
)]

use std::collections::BTreeSet;

use pg_pitcrew_checks::{Check, Finding, Thresholds, find, plain};
use pitcrew_stack::sql::literal;
use tokio_postgres::NoTls;

use crate::support::Session;

/// What one finding of a check has to say.
pub struct Sick<'a> {
    pub check: &'a str,
    /// JSON, for both sides.
    pub thresholds: &'a str,
    pub object: &'a str,
    pub severity: &'a str,
    /// Numbers and names that stand in the detail.
    pub detail: &'a [&'a str],
}

/// The rows by the extension.
pub fn check(session: &Session, name: &str, thresholds: &str) -> Vec<Finding> {
    let rows = session.run(&format!(
        "SELECT * FROM pitcrew.check({}, {})",
        literal(name),
        literal(thresholds)
    ));
    findings(rows)
}

/// The whole report by the extension.
pub fn report(session: &Session, thresholds: &str) -> Vec<Finding> {
    findings(session.run(&format!(
        "SELECT * FROM pitcrew.report({})",
        literal(thresholds)
    )))
}

fn findings(rows: crate::support::Rows) -> Vec<Finding> {
    let read = |row: Vec<Option<String>>| {
        let mut cells = row.into_iter();
        let mut next = || cells.next().unwrap();
        Finding {
            check: next().unwrap(),
            severity: next().unwrap(),
            object: next(),
            title: next().unwrap(),
            detail: next().unwrap(),
            evidence: next(),
            fix_sql: next(),
            fix_job: next(),
            confidence: next(),
            cache_key: next().unwrap(),
        }
    };
    rows.into_iter().map(read).collect()
}

/// The rows over a plain connection.
pub fn over_plain<'a>(
    url: &str,
    checks: impl IntoIterator<Item = &'a Check>,
    thresholds: &Thresholds,
) -> Vec<Finding> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    runtime.block_on(async {
        let (client, connection) = tokio_postgres::connect(url, NoTls).await.unwrap();
        tokio::spawn(connection);
        plain::report(&client, checks, thresholds, &BTreeSet::new())
            .await
            .unwrap()
    })
}

/// The same thresholds for the plain side.
pub fn thresholds(check: &Check, json: &str) -> Thresholds {
    let mut thresholds = Thresholds::default();
    let values: serde_json::Value = serde_json::from_str(json).unwrap();
    for (name, value) in values.as_object().unwrap() {
        thresholds
            .set(check, name, value.as_f64().unwrap())
            .unwrap();
    }
    thresholds
}

impl Sick<'_> {
    /// The finding, seen from both sides alike.
    pub fn seen(&self, session: &Session, url: &str) -> Finding {
        let found = self.both(session, url);
        let finding = found
            .into_iter()
            .find(|finding| finding.object.as_deref() == Some(self.object));
        let finding = finding.unwrap_or_else(|| {
            panic!(
                "{}: nothing about {}: {:#?}",
                self.check,
                self.object,
                check(session, self.check, self.thresholds)
            )
        });
        assert_eq!(finding.severity, self.severity, "{finding:?}");
        for part in self.detail {
            assert!(
                finding.detail.contains(part),
                "{part} is not in {finding:?}"
            );
        }
        assert_eq!(finding.cache_key, format!("{}:{}", self.check, self.object));
        assert!(finding.evidence.is_some(), "{finding:?}");
        // A job that is offered is one that would run.
        if let Some(job) = &finding.fix_job {
            session.run(&format!(
                "SELECT pitcrew.dry_run(j ->> 'kind', (j ->> 'target')::regclass, coalesce(j -> 'options', '{{}}')) FROM CAST({} AS jsonb) j",
                literal(job)
            ));
        }
        finding
    }

    /// No finding about the object, from both sides alike; and the check did look.
    pub fn healed(&self, session: &Session, url: &str) {
        let found = self.both(session, url);
        assert!(
            found.iter().all(|finding| finding.severity != "skipped"
                && finding.object.as_deref() != Some(self.object)),
            "{found:#?}"
        );
        assert!(!found.is_empty());
    }

    /// Waits until the finding is there, or is gone: counters and changed settings reach another session a moment later.
    pub fn soon(&self, session: &Session, wanted: bool) {
        session.until(
            &format!(
                "SELECT count(*) FROM pitcrew.check({}, {}) f WHERE f.object = {}",
                literal(self.check),
                literal(self.thresholds),
                literal(self.object)
            ),
            if wanted { "1" } else { "0" },
        );
    }

    /// All that the check finds, from both sides alike.
    pub fn both(&self, session: &Session, url: &str) -> Vec<Finding> {
        let definition = find(self.check).unwrap();
        let own = check(session, self.check, self.thresholds);
        let changed = thresholds(definition, self.thresholds);
        let plain = over_plain(url, [definition], &changed);
        let said = |findings: &[Finding]| -> Vec<_> {
            let rows = findings.iter();
            rows.map(|row| {
                (
                    row.severity.clone(),
                    row.object.clone(),
                    row.fix_sql.clone(),
                )
            })
            .collect()
        };
        assert_eq!(said(&own), said(&plain), "the two sides of {}", self.check);
        own
    }
}

/// A sick situation, and what mends it.
pub struct Case<'a> {
    /// Statements, a line each, that make it.
    pub build: &'a str,
    pub sick: Sick<'a>,
    /// Statements, a line each; without any the finding's own fix.
    pub heal: Option<&'a str>,
}

/// Goes through the cases one after the other on one database.
pub fn walk(session: &Session, url: &str, cases: &[Case<'_>]) {
    for case in cases {
        statements(session, case.build);
        case.sick.soon(session, true);
        let finding = case.sick.seen(session, url);
        match case.heal {
            Some(heal) => statements(session, heal),
            None => mend(session, &finding),
        }
        case.sick.soon(session, false);
        case.sick.healed(session, url);
    }
}

/// Runs statements, a line each: not in one transaction.
pub fn statements(session: &Session, lines: &str) {
    for statement in lines.lines() {
        session.run(statement);
    }
}

/// Runs the statements of a fix one by one, as CONCURRENTLY wants it.
pub fn mend(session: &Session, finding: &Finding) {
    let fix = finding.fix_sql.as_deref().expect("a fix");
    let (others, last) = fix.rsplit_once('\n').unwrap_or(("", fix));
    for statement in others.lines() {
        assert!(statement.ends_with(';'), "nobody can paste this: {fix}");
        session.run(statement);
    }
    session.run(last);
}

/// Has the job that a finding offers done.
pub fn done(session: &Session, job: &str) {
    session.done(&session.submit(&arguments(job)));
}

/// What `pitcrew.submit_job` and `pitcrew.dry_run` take, of the job that a finding offers.
pub fn arguments(job: &str) -> String {
    let job: serde_json::Value = serde_json::from_str(job).unwrap();
    format!(
        "{}, {}, {}",
        literal(job["kind"].as_str().unwrap()),
        literal(job["target"].as_str().unwrap()),
        literal(&job["options"].to_string())
    )
}
