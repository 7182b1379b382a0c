//! From a query's rows to the rows of a report.

use std::collections::BTreeSet;

use crate::catalogue::Check;

/// Findings shown a check; how many more there are is said.
pub const MAX_FINDINGS: usize = 100;

/// One row of a report.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// The check's name.
    pub check: String,
    /// `critical`, `warn`, `info`, `ok` or `skipped`.
    pub severity: String,
    /// What is concerned, quoted as SQL wants it; none for the whole server or database.
    pub object: Option<String>,
    /// What the check is called.
    pub title: String,
    /// A sentence with the numbers; for `skipped` the reason, for `ok` what was looked at.
    pub detail: String,
    /// The numbers, as JSON.
    pub evidence: Option<String>,
    /// Statements that mend it, each on a line of its own, with a semicolon between them: as they are pasted into `psql`. Some
    /// (`CONCURRENTLY`, `ALTER SYSTEM`) run outside of a transaction only.
    pub fix_sql: Option<String>,
    /// `kind`, `target` and `options` for `pitcrew.submit_job`, as JSON.
    pub fix_job: Option<String>,
    /// `high`, `medium` or `low`: how sure it is that the fix helps.
    pub confidence: Option<String>,
    /// What to suppress it by: the check's name, and `:object`.
    pub cache_key: String,
}

/// A row as the query answers it.
#[derive(Debug, Clone, Default)]
pub struct Raw {
    /// Severity, object, detail, evidence, fix_sql, fix_job, confidence.
    pub cells: [Option<String>; 7],
    /// Rows that there are, before the limit.
    pub found: i64,
}

impl Finding {
    /// A row without an object.
    fn plain(check: &Check, severity: &str, detail: String) -> Self {
        Self {
            check: check.name.to_owned(),
            severity: severity.to_owned(),
            object: None,
            title: check.title().to_owned(),
            detail,
            evidence: None,
            fix_sql: None,
            fix_job: None,
            confidence: None,
            cache_key: check.name.to_owned(),
        }
    }

    /// The check did not look, for this reason.
    pub fn skipped(check: &Check, reason: &str) -> Self {
        Self::plain(check, "skipped", reason.to_owned())
    }

    /// The check's query failed.
    pub fn failed(check: &Check, sqlstate: &str, message: &str) -> Self {
        Self::skipped(
            check,
            &format!("the query failed with SQLSTATE {sqlstate}: {message}"),
        )
    }
}

/// The rows of one check. `suppressed` holds keys that are left out: a check's name leaves out all of it.
pub fn assemble(check: &Check, raws: Vec<Raw>, suppressed: &BTreeSet<String>) -> Vec<Finding> {
    let mut looked_at = None;
    let mut findings = Vec::new();
    let (mut found, mut left_out) = (0, 0);
    let whole = suppressed.contains(check.name);
    for raw in raws {
        let [
            severity,
            object,
            detail,
            evidence,
            fix_sql,
            fix_job,
            confidence,
        ] = raw.cells;
        let severity = severity.unwrap_or_default();
        let detail = detail.unwrap_or_default();
        if severity == "ok" {
            looked_at = Some(detail);
            continue;
        }
        found = raw.found;
        let mut finding = Finding::plain(check, &severity, detail);
        if let Some(object) = &object {
            finding.cache_key = format!("{}:{object}", check.name);
        }
        if suppressed.contains(&finding.cache_key) {
            left_out += 1;
            continue;
        }
        findings.push(Finding {
            object,
            evidence,
            fix_sql,
            fix_job,
            confidence,
            ..finding
        });
    }
    if whole {
        return vec![Finding::skipped(
            check,
            &format!("suppressed by the key {}", check.name),
        )];
    }
    findings.truncate(MAX_FINDINGS);
    let more = found - left_out - findings.len() as i64;
    if more > 0 {
        findings.push(Finding::plain(
            check,
            "info",
            format!(
                "{more} more rows of this check are not shown; these {MAX_FINDINGS} come first"
            ),
        ));
    }
    if findings.is_empty() {
        let looked_at = looked_at.unwrap_or_default();
        let beside = match left_out {
            0 => String::new(),
            1 => " beside 1 suppressed row".to_owned(),
            many => format!(" beside {many} suppressed rows"),
        };
        findings.push(Finding::plain(
            check,
            "ok",
            format!("nothing found{beside}; looked at {looked_at}"),
        ));
    }
    findings
}

/// Puts the worst first; rows of one severity stay in the order of the catalogue.
pub fn sort(findings: &mut [Finding]) {
    let rank = |finding: &Finding| {
        ["critical", "warn", "info", "skipped", "ok"]
            .iter()
            .position(|severity| *severity == finding.severity)
    };
    findings.sort_by_key(rank);
}
