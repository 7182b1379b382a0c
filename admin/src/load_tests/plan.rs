//! A plan as `POST /load-test` takes it, and where its parts go.

use pitcrew_load::{AnyTarget, Ceilings, HttpPlan, Plan, PlanError, Targets};
use serde::Deserialize;
use serde::de::{DeserializeOwned, Deserializer, Error};
use serde_json::Value;

use super::{LoadDatabase, StartError};

/// What only a whole plan has; the plan of a protocol has none of them.
const OF_WHOLE: [&str; 8] = [
    "name",
    "target",
    "http",
    "postgres",
    "websocket",
    "start_s",
    "thresholds",
    "scenarios",
];

/// One plan of HTTP, or one of any protocol, or several side by side.
#[derive(Debug)]
pub(crate) struct AskedPlan {
    plan: Plan,
    /// Of HTTP, with nothing around it: that is how its fields are named in errors.
    is_bare: bool,
}

impl Default for AskedPlan {
    fn default() -> Self {
        Self::bare(HttpPlan::default())
    }
}

impl<'de> Deserialize<'de> for AskedPlan {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let value = Value::deserialize(deserializer)?;
        let is_whole = OF_WHOLE.iter().any(|name| value.get(name).is_some());
        if is_whole {
            let plan = read(value)?;
            return Ok(Self {
                plan,
                is_bare: false,
            });
        }
        read(value).map(Self::bare)
    }
}

/// With the path of the field in the error.
fn read<T: DeserializeOwned, E: Error>(value: Value) -> Result<T, E> {
    serde_path_to_error::deserialize(value).map_err(|error| {
        let path = error.path().to_string();
        let field = if path == "." {
            "plan".to_owned()
        } else {
            format!("plan.{path}")
        };
        E::custom(format!("{field}: {}", error.into_inner()))
    })
}

/// A part of the app that a plan may be of alone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Alone {
    Api,
    Database,
    WebSocket,
}

/// A plan that can be started.
#[derive(Debug)]
pub(crate) struct Placed {
    pub(crate) plan: Plan,
    pub(crate) targets: Vec<AnyTarget>,
    /// Whether some of it goes to this app.
    pub(crate) is_of_app: bool,
    /// Of which part of the app alone it is.
    pub(crate) alone: Option<Alone>,
    /// The path of the first part that sends statements.
    pub(crate) database_field: Option<String>,
}

impl AskedPlan {
    fn bare(plan: HttpPlan) -> Self {
        Self {
            plan: Plan::http("", plan),
            is_bare: true,
        }
    }

    /// Gives each part its target: its own, else `target`, else this app; what sends statements has the one database. Each is
    /// compared with the list, never resolved.
    /// What asks for more than `ceilings` is refused.
    pub(crate) fn place(
        &self,
        target: Option<&str>,
        listed: &Targets,
        database: Option<&LoadDatabase>,
        ceilings: &Ceilings,
    ) -> Result<Placed, StartError> {
        let mut plan = self.plan.clone();
        let mut targets = Vec::new();
        let mut is_of_app = false;
        let mut of = Vec::new();
        let mut database_field = None;
        let parts: Vec<(String, &mut Plan)> = if plan.scenarios.is_empty() {
            vec![(String::new(), &mut plan)]
        } else {
            let numbered = plan.scenarios.iter_mut().enumerate();
            numbered
                .map(|(number, part)| (format!("scenarios[{number}]."), part))
                .collect()
        };
        for (path, part) in parts {
            if let Some(postgres) = &part.postgres {
                let field = format!("plan.{path}postgres");
                let Some(database) = database else {
                    return Err(StartError::Forbidden(format!(
                        "{field}: this router has no database for load tests: build it with load_database(..), or run the plan \
                         with the program `pitcrew-load`"
                    )));
                };
                if !part.target.is_empty() {
                    return Err(StartError::Forbidden(format!(
                        "plan.{path}target: statements go to the router's own database for load tests: leave it out"
                    )));
                }
                if postgres.allow_writes && !database.allows_writes {
                    return Err(StartError::Forbidden(format!(
                        "{field}.allow_writes: this router was not built with load_database_writes(true)"
                    )));
                }
                part.target = format!("postgres://{}", database.target.authority());
                targets.push(AnyTarget::from(database.target.clone()));
                database_field.get_or_insert(field);
                of.push(Some(Alone::Database));
                continue;
            }
            let asked = if part.target.is_empty() {
                target
            } else {
                Some(part.target.as_str())
            };
            let found = asked.map_or_else(|| listed.own(), |text| listed.find(text));
            let found = found.map_err(StartError::Target)?;
            let is_here = listed.own() == Ok(found);
            is_of_app |= is_here;
            let spoken = if part.websocket.is_some() {
                Alone::WebSocket
            } else {
                Alone::Api
            };
            of.push(is_here.then_some(spoken));
            part.target = format!("http://{}", found.authority());
            targets.push(AnyTarget::from(found.clone()));
        }
        plan.check().map_err(|error| self.wrong(&error))?;
        let plan = plan.within(ceilings).map_err(|error| self.wrong(&error))?;
        Ok(Placed {
            plan,
            targets,
            is_of_app,
            alone: of
                .first()
                .copied()
                .flatten()
                .filter(|first| of.iter().all(|one| *one == Some(*first))),
            database_field,
        })
    }

    /// An error by the name that its field has in the request.
    pub(crate) fn wrong(&self, error: &PlanError) -> StartError {
        let field = match error.field.strip_prefix("http.") {
            Some(field) if self.is_bare => field,
            _ => &error.field,
        };
        StartError::Plan(format!("plan.{field}: {}", error.wants))
    }
}
