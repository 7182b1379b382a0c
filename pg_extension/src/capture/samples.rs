//! What of the capture the advisor plans: an execution a statement, with the values that it ran with.

use std::collections::BTreeMap;
use std::ffi::CString;
use std::rc::Rc;

use pg_pitcrew_capture::{Captured, Key, Kind};

use super::read::{self, Sight};
use crate::names;
use crate::text::from_server;
use crate::workload::source::{Ran, Source};
use crate::workload::statements::Statement;
use crate::workload::user::{self, Settings};

/// Executions of one statement that are looked at: enough to see which of its literals are always the same.
const MAX_SAMPLES: usize = 5;

/// Makes sources of executions.
struct Maker<'a> {
    sight: &'a Sight,
    /// Of each user, read once: its name, and its settings.
    users: BTreeMap<u32, Option<(String, Settings)>>,
}

impl<'a> Maker<'a> {
    fn new(sight: &'a Sight) -> Self {
        Self {
            sight,
            users: BTreeMap::new(),
        }
    }

    /// `None` for what cannot stand for itself: without its literals or its search path, or of a user that is gone.
    fn source(&mut self, captured: &Captured) -> Option<Source> {
        if captured.is_without_literals {
            return None;
        }
        let path = from_server(captured.search_path.as_deref()?);
        let (name, settings) = self
            .users
            .entry(captured.key.user)
            .or_insert_with_key(|user| user::named((*user).into()))
            .as_ref()?;
        // The path meant the user that ran the statement.
        let path = user::meant_by(name, &path);
        Some(Source {
            // As it was sent: in the database's encoding.
            text: CString::new(&*captured.text).ok()?,
            guessed: Rc::from([]),
            under: None,
            ran: Some(Rc::new(Ran {
                search_path: names::c_string(&path).ok()?,
                settings: Rc::clone(settings),
                values: captured.values.clone(),
                is_legible: self.sight.sees_values(&captured.key),
            })),
        })
    }
}

/// For each query id the newest executions, of different texts, that the role may see and that can be planned.
pub(crate) fn samples() -> BTreeMap<i64, Vec<Source>> {
    let sight = Sight::new();
    let mut maker = Maker::new(&sight);
    let mut found: BTreeMap<i64, Vec<Source>> = BTreeMap::new();
    for captured in read::captured(&sight) {
        let Some(id) = captured
            .key
            .query_id()
            .filter(|_| captured.key.kind.is_top())
        else {
            continue;
        };
        add(found.entry(id).or_default(), maker.source(&captured));
    }
    found
}

fn add(samples: &mut Vec<Source>, source: Option<Source>) {
    let is_new = |source: &Source| samples.iter().all(|known| known.text != source.text);
    if samples.len() < MAX_SAMPLES
        && let Some(source) = source.filter(is_new)
    {
        samples.push(source);
    }
}

/// What was counted of the statements that clients sent, most time first, at most so many: the workload of a server without
/// pg_stat_statements.
pub(crate) fn workload(most: usize) -> Vec<Statement> {
    let sight = Sight::new();
    let mut maker = Maker::new(&sight);
    let mut newest: BTreeMap<(u64, Kind), (Captured, Vec<Source>)> = BTreeMap::new();
    for captured in read::captured(&sight) {
        let Key { query, kind, .. } = captured.key;
        let source = maker.source(&captured);
        let entry = newest.entry((query, kind));
        let (_, samples) = entry.or_insert_with(|| (captured, Vec::new()));
        add(samples, source);
    }
    let mut found: BTreeMap<(u64, Kind), (Statement, u64)> = BTreeMap::new();
    let totals = read::totals(&sight).into_iter();
    for total in totals.filter(|total| total.key.kind.is_top()) {
        let place = (total.key.query, total.key.kind);
        let (statement, rows) = found.entry(place).or_insert_with(|| {
            let captured = newest.get(&place);
            let samples = captured.map_or_else(Vec::new, |(_, samples)| samples.clone());
            let statement = Statement {
                queryid: total.key.query_id(),
                text: captured.map(|(captured, _)| read::without_literals(captured)),
                textless: "its text made room for others in the capture",
                is_parsable: false,
                under: None,
                samples,
                calls: 0,
                weight: 0.0,
                rows: 0.0,
                total_ms: 0.0,
                mean_ms: 0.0,
                pages: None,
            };
            (statement, 0)
        });
        statement.calls += i64::try_from(total.calls).unwrap_or(i64::MAX);
        statement.total_ms += total.ns as f64 / 1e6;
        *rows += total.rows;
    }
    let mut statements: Vec<Statement> = found
        .into_values()
        .map(|(mut statement, rows)| {
            let calls = statement.calls.max(1) as f64;
            statement.weight = calls;
            statement.rows = rows as f64 / calls;
            statement.mean_ms = statement.total_ms / calls;
            if statement.text.is_some() && statement.samples.is_empty() {
                statement.textless = "its captured text is without its literals (pitcrew.capture_values) or without its search path";
            }
            statement
        })
        .collect();
    statements.sort_by(|a, b| b.total_ms.total_cmp(&a.total_ms));
    statements.truncate(most);
    statements
}
