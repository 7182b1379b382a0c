//! Where statements come from: pg_stat_statements, in whatever schema it lives, or the caller.

use std::collections::BTreeMap;
use std::rc::Rc;

use pgrx::prelude::*;

use super::source::Source;
use super::user::Under;
use crate::PRELOAD_LINE;
use crate::capture;
use crate::failure::{Failure, or_raise, read_one, read_text, spi};
use crate::guc;
use crate::names;
use crate::text::plain;

/// One statement and how often it ran.
#[derive(Debug, Clone)]
pub(crate) struct Statement {
    /// pg_stat_statements' identifier; `None` for a given text, or where it is hidden.
    pub(crate) queryid: Option<i64>,
    /// Normalised text; `None` where there is none for the current role.
    pub(crate) text: Option<String>,
    /// Why there may be none.
    pub(crate) textless: &'static str,
    /// The text can be parsed: not so one whose literals were taken out here.
    pub(crate) is_parsable: bool,
    /// What it runs under, where another role runs it.
    pub(crate) under: Option<Rc<Under>>,
    /// Executions that were captured, the newest first.
    pub(crate) samples: Vec<Source>,
    /// Executions.
    pub(crate) calls: i64,
    /// How much one execution's cost counts: its calls, or what the caller said.
    pub(crate) weight: f64,
    /// Rows of one execution that were answered or written, on average.
    pub(crate) rows: f64,
    /// Time of all executions together.
    pub(crate) total_ms: f64,
    /// Mean time of one.
    pub(crate) mean_ms: f64,
    /// Pages that all executions touched, each as often as it was; `None` where nobody counted them.
    pub(crate) pages: Option<f64>,
}

impl Statement {
    /// What may stand for it in a plan, the best first.
    pub(crate) fn sources(&self) -> Vec<Source> {
        let text = self.text.as_deref().filter(|_| self.is_parsable);
        let plain = text.and_then(|text| names::c_string(text).ok());
        let sample = self.samples.first().cloned();
        let plain = plain.map(|text| Source {
            under: self.under.clone(),
            ..Source::plain(text)
        });
        sample.into_iter().chain(plain).collect()
    }
}

/// The view of pg_stat_statements, quoted.
///
/// # Errors
/// It is not installed in this database, or the server does not run it.
pub(crate) fn view() -> Result<String, Failure> {
    let missing = |what: &str| {
        Failure::new(PgSqlErrorCode::ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE, format!("pg_stat_statements is not {what}"))
            .hint(format!(
                "Put {PRELOAD_LINE} into postgresql.conf, restart the server and run CREATE EXTENSION pg_stat_statements."
            ))
    };
    let schema = read_text(
        "pg_extension",
        "SELECT (SELECT n.nspname::text FROM pg_extension e JOIN pg_namespace n ON n.oid = e.extnamespace \
             WHERE e.extname = 'pg_stat_statements')",
        &[],
    );
    let schema = schema.ok_or_else(|| missing("installed in this database"))?;
    let runs: Option<bool> = read_one(
        "the settings",
        "SELECT current_setting('pg_stat_statements.max', true) IS NOT NULL",
        &[],
    );
    if runs != Some(true) {
        return Err(missing("preloaded"));
    }
    Ok(format!("{}.pg_stat_statements", names::quote(&schema)))
}

/// The workload of the current database, most total time first, at most `pitcrew.max_statements`: from pg_stat_statements,
/// with captured executions where there are some, or from captured executions alone.
///
/// # Errors
/// As [`view`], where nothing was captured either.
pub(crate) fn recorded() -> Result<Vec<Statement>, Failure> {
    match view() {
        Ok(view) => {
            let mut samples = capture::samples();
            let mut statements = of_view(&view);
            for statement in &mut statements {
                let known = statement.queryid.and_then(|id| samples.remove(&id));
                statement.samples = known.unwrap_or_default();
            }
            Ok(statements)
        }
        Err(failure) => match capture::workload(guc::MAX_STATEMENTS.get() as usize) {
            statements if statements.is_empty() => Err(failure),
            statements => Ok(statements),
        },
    }
}

/// How long pg_stat_statements has counted; `None` where it does not run, or is too old to tell.
pub(crate) fn recorded_seconds() -> Option<f64> {
    let schema = read_text(
        "pg_stat_statements",
        include_str!("../../sql/queries/statements_schema.sql"),
        &[],
    );
    let query = format!(
        "SELECT extract(epoch FROM clock_timestamp() - stats_reset)::float8 FROM {}.pg_stat_statements_info()",
        schema?
    );
    read_one("pg_stat_statements_info", &query, &[])
}

fn of_view(view: &str) -> Vec<Statement> {
    let query = include_str!("../../sql/queries/workload.sql").replace("{view}", view);
    let query = or_raise(names::c_string(&query));
    let most = i64::from(guc::MAX_STATEMENTS.get());
    let mut users: BTreeMap<u32, Option<Rc<Under>>> = BTreeMap::new();
    Spi::connect(|client| {
        let rows = spi(
            "pg_stat_statements",
            client.select(query.as_c_str(), None, &[most.into()]),
        );
        rows.map(|row| {
            let calls: i64 = spi("pg_stat_statements", row.get(3)).unwrap_or(0);
            let user: Option<pg_sys::Oid> = spi("pg_stat_statements", row.get(8));
            Statement {
                queryid: spi("pg_stat_statements", row.get(1)),
                text: plain(spi("pg_stat_statements", row.get(2))),
                textless: "its text is hidden from this role, which is not a member of pg_read_all_stats",
                is_parsable: true,
                under: user.and_then(|user| {
                    users
                        .entry(user.to_u32())
                        .or_insert_with(|| Under::of(user))
                        .clone()
                }),
            samples: Vec::new(),
                calls,
                weight: calls as f64,
                rows: spi::<Option<f64>>("pg_stat_statements", row.get(6)).unwrap_or(0.0)
                    / calls.max(1) as f64,
                total_ms: spi("pg_stat_statements", row.get(4)).unwrap_or(0.0),
                mean_ms: spi("pg_stat_statements", row.get(5)).unwrap_or(0.0),
                pages: spi("pg_stat_statements", row.get(7)),
            }
        })
        .collect()
    })
}

/// What the server asks itself so many times while statements run.
pub(crate) fn asked_by_server(text: String, times: f64) -> Statement {
    Statement {
        queryid: None,
        text: Some(text),
        textless: "",
        is_parsable: true,
        under: None,
        samples: Vec::new(),
        calls: times as i64,
        weight: times,
        rows: 1.0,
        total_ms: 0.0,
        mean_ms: 0.0,
        pages: None,
    }
}

/// Texts given by the caller with their weights, each as one call; NULLs are left out.
pub(crate) fn given(texts: Vec<(Option<String>, f64)>) -> Vec<Statement> {
    texts
        .into_iter()
        .filter_map(|(text, weight)| Some((text?, weight)))
        .map(|(text, weight)| Statement {
            queryid: None,
            text: Some(text),
            textless: "",
            is_parsable: true,
            under: None,
            samples: Vec::new(),
            calls: 1,
            weight,
            rows: 1.0,
            total_ms: 0.0,
            mean_ms: 0.0,
            pages: None,
        })
        .collect()
}
