//! Statements that a request runs again and again, where one would do.

use std::sync::Arc;

use serde::Serialize;

use super::counts::Repeat;
use crate::{
    glob::{Match, matches},
    latency::{
        Window,
        layer::BuildError,
        routes::{MAX_ALLOWED, RouteGlob, is_usable},
        segments::{Account, Accounts, Read, name_of, when},
    },
};

/// Executions of one statement in one request from which it counts as repeated, unless told otherwise. Sentry's detector and Digma's
/// begin at five as well (docs.sentry.io, "N+1 Queries"; docs.digma.ai, "Suspected N+1"); three or less also finds a handler that looks up
/// two or three rows by design.
pub const DEFAULT_REPEATED_TIMES: u32 = 5;
/// Requests of a route that must have repeated a statement in the window, unless told otherwise: one odd request names no route.
pub const DEFAULT_REPEATED_REQUESTS: u64 = 5;
/// The share of a route's requests that must have repeated it, unless told otherwise: lists differ in length, and short ones hide it.
pub const DEFAULT_REPEATED_SHARE: f64 = 0.1;

/// When repeated statements are called N+1.
///
/// | a statement | is |
/// |---|---|
/// | `SELECT`, `INSERT`, `UPDATE`, `DELETE`, `MERGE`, `WITH`, `VALUES`, `TABLE`, run `times` or more in a request | repeated |
/// | repeated in `requests` or more of a route's requests and in `share` or more of them | named |
/// | with a route or a form that is allowed | not named |
/// | `FETCH`, `BEGIN`, `SAVEPOINT` and others; `COPY`; a batch in one text; what cannot be read | never repeated |
///
/// Constants, parameters and the lengths of their lists make no other statement; so `WHERE id = ANY($1)` and `INSERT ... SELECT FROM
/// unnest($1)` are one execution however many rows they are about.
#[derive(Clone, Debug)]
pub struct NPlusOne {
    pub(crate) times: u32,
    requests: u64,
    share: f64,
    routes: Vec<RouteGlob>,
    forms: Vec<Box<str>>,
}

impl Default for NPlusOne {
    fn default() -> Self {
        Self {
            times: DEFAULT_REPEATED_TIMES,
            requests: DEFAULT_REPEATED_REQUESTS,
            share: DEFAULT_REPEATED_SHARE,
            routes: Vec::new(),
            forms: Vec::new(),
        }
    }
}

impl NPlusOne {
    /// Executions in one request from which a statement counts as repeated; at least 2. Default [`DEFAULT_REPEATED_TIMES`].
    #[must_use]
    pub fn times(mut self, times: u32) -> Self {
        self.times = times.max(2);
        self
    }

    /// Requests in the window that must have repeated it; at least 1. Default [`DEFAULT_REPEATED_REQUESTS`].
    #[must_use]
    pub fn requests(mut self, requests: u64) -> Self {
        self.requests = requests.max(1);
        self
    }

    /// The share of the route's requests that must have repeated it, 0 to 1. Default [`DEFAULT_REPEATED_SHARE`]. What is out of the range counts as the
    /// nearest end of it, and what is no number as the default; [`LatencyBuilder::try_build`](crate::latency::LatencyBuilder::try_build) refuses both.
    #[must_use]
    pub fn share(mut self, share: f64) -> Self {
        self.share = share;
        self
    }

    /// Names no statement of these routes: an export that goes through pages, an import that goes row by row. A route template or a glob (`*` any run
    /// of characters, `?` any one); with a space in it, it is held against `METHOD /route`, as in `GET /export/*`. At most [`MAX_ALLOWED`](crate::latency::MAX_ALLOWED), of 1,024 bytes each; others are left out, and
    /// refused by [`LatencyBuilder::try_build`](crate::latency::LatencyBuilder::try_build).
    #[must_use]
    pub fn allow_route(mut self, glob: &str) -> Self {
        self.routes.push(RouteGlob::new(glob));
        self
    }

    /// Does not name statements of this form, in whatever route. A glob over the form that is told, as in `*from pages where id > ?*`; here
    /// `?` is any one character, so also itself. Bounds as of [`allow_route`](Self::allow_route).
    #[must_use]
    pub fn allow_statement(mut self, glob: &str) -> Self {
        self.forms.push(glob.into());
        self
    }

    /// Refuses what is out of its range.
    pub(crate) fn check(&self) -> Result<(), BuildError> {
        if !(0.0..=1.0).contains(&self.share) {
            return Err(BuildError::RepeatedShare(self.share));
        }
        let most = self.routes.len().max(self.forms.len());
        if most > MAX_ALLOWED {
            return Err(BuildError::Allowed(most));
        }
        let routes = self.routes.iter().all(RouteGlob::is_usable);
        if !routes || !self.forms.iter().all(|form| is_usable(form)) {
            return Err(BuildError::AllowedGlob);
        }
        Ok(())
    }

    /// Takes what is out of its range for the nearest that is within, and leaves out what is too many.
    pub(crate) fn keep_bounds(&mut self) {
        self.share = if self.share.is_nan() {
            DEFAULT_REPEATED_SHARE
        } else {
            self.share.clamp(0.0, 1.0)
        };
        self.routes.retain(RouteGlob::is_usable);
        self.routes.truncate(MAX_ALLOWED);
        self.forms.retain(|form| is_usable(form));
        self.forms.truncate(MAX_ALLOWED);
    }

    fn is_allowed(&self, method: &str, route: &str, form: &str) -> bool {
        let mut forms = self.forms.iter();
        self.routes.iter().any(|glob| glob.names(method, route))
            || forms.any(|glob| matches(glob, form) == Match::Yes)
    }
}

/// Repeated statements, by route.
#[derive(Clone, Debug, Default, Serialize)]
#[non_exhaustive]
pub struct NPlusOneReport {
    /// The window that the figures are of.
    pub window: Window,
    /// The most executions first.
    pub findings: Vec<RepeatedStatement>,
    /// Statements that are told apart so far.
    pub statements: usize,
    /// Statements that were not told apart, since the start: more than [`MAX_STATEMENTS`](super::MAX_STATEMENTS).
    pub overflowed_statements: u64,
    /// Requests that repeated a statement for which their route had no room, in the window.
    pub dropped_requests: u64,
}

/// A statement that requests of a route run again and again.
#[derive(Clone, Debug, Default, Serialize)]
#[non_exhaustive]
pub struct RepeatedStatement {
    /// Route template.
    pub route: String,
    /// Request method.
    pub method: String,
    /// The statement without its values.
    pub statement: String,
    /// Requests that repeated it.
    pub requests: u64,
    /// Requests of the route with a segment or a statement.
    pub of_requests: u64,
    /// Executions a request, over those that repeated it.
    pub executions_mean: f64,
    /// The most of one request.
    pub executions_max: u32,
    /// Whether it was with the same parameters each time; `None` where they were not told.
    pub same_parameters: Option<bool>,
    /// What the executions took together, a request.
    pub mean_ms: f64,
    /// The same in a sentence, with what to do.
    pub verdict: String,
}

impl NPlusOneReport {
    /// `names` tells those of the layer's routes, by number. It is asked once the accounts are read, so that none is missing.
    pub(crate) fn of(
        accounts: &Accounts,
        settings: &NPlusOne,
        names: impl FnOnce() -> Vec<Arc<str>>,
        window: Window,
    ) -> Self {
        let Read { rows, .. } = accounts.read(window);
        let names = names();
        let mut report = Self {
            window,
            statements: accounts.statements.known(),
            overflowed_statements: accounts.statements.overflowed(),
            ..Self::default()
        };
        for ((route, method), account) in &rows {
            report.dropped_requests += account.statements.dropped;
            let named = (name_of(&names, *route), *method);
            let repeats = account.statements.repeats.iter();
            let found = repeats
                .filter_map(|repeat| finding(accounts, settings, named, account, repeat, window));
            report.findings.extend(found);
        }
        let executions = |row: &RepeatedStatement| row.executions_mean * row.requests as f64;
        report
            .findings
            .sort_by(|a, b| executions(b).total_cmp(&executions(a)));
        report
    }
}

fn finding(
    accounts: &Accounts,
    settings: &NPlusOne,
    (route, method): (&str, &str),
    account: &Account,
    repeat: &Repeat,
    window: Window,
) -> Option<RepeatedStatement> {
    let share = repeat.requests as f64 / account.requests as f64;
    if repeat.requests < settings.requests || share < settings.share {
        return None;
    }
    let form = accounts.statements.shown(repeat.id)?;
    if settings.is_allowed(method, route, form) {
        return None;
    }
    let later = repeat.executions - repeat.requests;
    let mut row = RepeatedStatement {
        route: route.to_string(),
        method: method.to_owned(),
        statement: form.to_owned(),
        requests: repeat.requests,
        of_requests: account.requests,
        executions_mean: repeat.executions as f64 / repeat.requests as f64,
        executions_max: repeat.max,
        same_parameters: (repeat.untold == 0).then_some(repeat.same == later),
        mean_ms: repeat.nanos as f64 / repeat.requests as f64 / 1e6,
        verdict: String::new(),
    };
    row.verdict = row.sentence(window);
    Some(row)
}

impl RepeatedStatement {
    fn sentence(&self, window: Window) -> String {
        let (with, instead) = match self.same_parameters {
            Some(true) => (
                " with the same parameters each time",
                "run it once and keep its rows for the request",
            ),
            same => {
                let with = if same.is_some() {
                    " with other parameters each time"
                } else {
                    ""
                };
                (with, self.instead())
            }
        };
        format!(
            "{} {} runs `{}` {:.0} times a request (at most {}){with}, in {} of {} requests {}, {:.1} ms a request: {instead}",
            self.method,
            self.route,
            self.statement,
            self.executions_mean,
            self.executions_max,
            self.requests,
            self.of_requests,
            when(window),
            self.mean_ms,
        )
    }

    fn instead(&self) -> &'static str {
        match self.statement.split(' ').next() {
            Some("insert") => "write all rows with one, from UNNEST of arrays or with COPY",
            Some("update" | "delete" | "merge") => {
                "change all rows with one, joined with UNNEST of arrays"
            }
            _ => "ask for all rows with one, by a JOIN or `= ANY($1)`",
        }
    }
}
