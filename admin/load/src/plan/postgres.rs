//! Plans of PostgreSQL.

#[cfg(feature = "scripts")]
use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::flat::flat;
use super::load::{CheckedLoad, Load};
use super::statement::{check_parameters, check_sql};
use super::{PlanError, wrong};

/// The most statements under way on one pipelined connection: 256.
pub const MAX_DEPTH: u32 = 256;
/// Of a pipelined connection that does not say.
const USUAL_DEPTH: u32 = 8;

/// How a statement is sent (the protocol's names, PostgreSQL's documentation, "Message Flow").
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum PostgresMode {
    /// As text that is parsed and planned each time. It may hold several statements, and has no parameters.
    Simple,
    /// Prepared once a connection, then bound and executed.
    #[default]
    Prepared,
    /// As prepared, with several statements under way on each connection at once.
    Pipelined,
}

/// A PostgreSQL run, in a closed model or in an open one. One request is one execution of the statement.
///
/// Serialised field names are stable. Unknown fields are refused, so that a mistyped limit is never ignored.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields, default, remote = "Self")]
pub struct PostgresPlan {
    /// The statement. Default `SELECT 1`.
    pub sql: String,
    /// How it is sent. Default prepared.
    pub mode: PostgresMode,
    /// Statements under way on each pipelined connection: 1 to [`MAX_DEPTH`]. Default 8.
    pub depth: Option<u32>,
    /// Its parameters `$1`, `$2`, ... in PostgreSQL's own text form, whatever their types are; none is NULL. Together at most
    /// [`MAX_BODY_BYTES`](crate::MAX_BODY_BYTES).
    pub parameters: Vec<Option<String>>,
    /// Without it, sessions begin with `default_transaction_read_only = on`. That keeps a statement from writing by mistake; one
    /// that sets it off is kept from writing by its role's privileges alone. Default false.
    pub allow_writes: bool,
    /// Whether connections are kept. If not, each request connects, executes the statement once and disconnects, and the time
    /// that connecting takes is part of the request. Default true.
    pub keep_alive: bool,
    /// Several statements, one after the other, in the place of `sql` and `parameters`. Its fields stand among the others
    /// in JSON.
    #[cfg(feature = "scripts")]
    #[serde(flatten, skip_deserializing)]
    #[cfg_attr(feature = "schema", schemars(!skip_deserializing))]
    pub visits: super::Visits<crate::PostgresStep>,
    /// How much load, and when. Its fields stand among the others in JSON.
    #[serde(flatten, skip_deserializing)]
    #[cfg_attr(feature = "schema", schemars(!skip_deserializing))]
    pub load: Load,
}

impl Default for PostgresPlan {
    fn default() -> Self {
        Self {
            sql: "SELECT 1".to_owned(),
            mode: PostgresMode::default(),
            depth: None,
            parameters: Vec::new(),
            allow_writes: false,
            keep_alive: true,
            #[cfg(feature = "scripts")]
            visits: super::Visits::default(),
            load: Load::default(),
        }
    }
}

flat!(PostgresPlan, crate::PostgresStep);

/// A PostgreSQL plan whose every field was checked.
#[derive(Debug, Clone)]
pub(crate) struct CheckedPostgres {
    pub(crate) sql: String,
    pub(crate) is_simple: bool,
    /// Of a pipelined connection.
    pub(crate) depth: Option<u32>,
    pub(crate) parameters: Vec<Option<String>>,
    pub(crate) allow_writes: bool,
    pub(crate) keep_alive: bool,
    pub(crate) load: CheckedLoad,
    /// In the place of the one statement above.
    #[cfg(feature = "scripts")]
    pub(crate) script: Option<std::sync::Arc<crate::script::Script>>,
}

impl CheckedPostgres {
    /// Whether it is prepared, and the plan's one.
    pub(crate) fn has_one_statement(&self) -> bool {
        #[cfg(feature = "scripts")]
        if self.script.is_some() {
            return false;
        }
        !self.is_simple
    }
}

impl PostgresPlan {
    /// Checks every field without sending anything. Whether the server takes the statement is checked when it is started.
    ///
    /// # Errors
    /// [`PlanError`] names the first field that is out of its range.
    pub fn check(&self) -> Result<(), PlanError> {
        self.checked().map(|_| ())
    }

    pub(crate) fn checked(&self) -> Result<CheckedPostgres, PlanError> {
        check_sql(&self.sql, "sql")?;
        let is_simple = self.mode == PostgresMode::Simple;
        let is_pipelined = self.mode == PostgresMode::Pipelined;
        if is_simple && !self.parameters.is_empty() {
            return wrong(
                "parameters",
                "are of a prepared statement; the simple protocol has none",
            );
        }
        check_parameters(&self.parameters, "parameters")?;
        if self.depth.is_some() && !is_pipelined {
            return wrong("depth", "is of mode `pipelined`; leave it out");
        }
        let depth = self.depth.unwrap_or(USUAL_DEPTH);
        if !(1..=MAX_DEPTH).contains(&depth) {
            return wrong("depth", format!("wants 1 to {MAX_DEPTH}"));
        }
        if is_pipelined && self.load.open.is_some() {
            return wrong(
                "mode",
                "`pipelined` is of a closed model; with `open` say `prepared`",
            );
        }
        if is_pipelined && !self.keep_alive {
            return wrong(
                "keep_alive",
                "false leaves nothing to pipeline; with it say mode `prepared` or `simple`",
            );
        }
        let load = self.load.checked()?;
        if self.mode == PostgresMode::Pipelined && load.users.is_some() {
            let field = if self.load.closed.is_some() {
                "closed"
            } else {
                "ramp_up_s"
            };
            return wrong(field, "is not of pipelined connections; leave it out");
        }
        Ok(CheckedPostgres {
            sql: self.sql.clone(),
            is_simple,
            depth: is_pipelined.then_some(depth),
            parameters: self.parameters.clone(),
            allow_writes: self.allow_writes,
            keep_alive: self.keep_alive,
            load,
            #[cfg(feature = "scripts")]
            script: self.script()?,
        })
    }

    #[cfg(feature = "scripts")]
    fn script(&self) -> Result<Option<std::sync::Arc<crate::script::Script>>, PlanError> {
        let usual = Self::default();
        let alone = [
            ("sql", self.sql != usual.sql),
            ("parameters", !self.parameters.is_empty()),
            ("mode", self.mode != usual.mode),
        ];
        super::visits::script(&self.visits, &BTreeMap::new(), self.load.part(), &alone)
    }
}

#[cfg(test)]
mod tests {
    use super::super::MAX_BODY_BYTES;
    use super::super::statement::MAX_PARAMETERS;
    use super::*;

    #[test]
    fn each_wrong_field_is_named() {
        let plan = PostgresPlan::default;
        assert_eq!(plan().check(), Ok(()));
        let open = || {
            serde_json::from_str(r#"{"stages": [{"duration_s": 1.0, "rate_per_s": 1.0}]}"#)
                .expect("stages")
        };
        let wrong = [
            (
                "sql",
                PostgresPlan {
                    sql: " \n".to_owned(),
                    ..plan()
                },
            ),
            (
                "sql",
                PostgresPlan {
                    sql: "SELECT '\0'".to_owned(),
                    ..plan()
                },
            ),
            (
                "sql",
                PostgresPlan {
                    sql: "x".repeat(MAX_BODY_BYTES + 1),
                    ..plan()
                },
            ),
            (
                "parameters",
                PostgresPlan {
                    mode: PostgresMode::Simple,
                    parameters: vec![None],
                    ..plan()
                },
            ),
            (
                "parameters",
                PostgresPlan {
                    parameters: vec![None; MAX_PARAMETERS + 1],
                    ..plan()
                },
            ),
            (
                "parameters",
                PostgresPlan {
                    parameters: vec![Some("x".repeat(MAX_BODY_BYTES)), Some("x".to_owned())],
                    ..plan()
                },
            ),
            (
                "parameters[1]",
                PostgresPlan {
                    parameters: vec![None, Some("\0".to_owned())],
                    ..plan()
                },
            ),
            (
                "depth",
                PostgresPlan {
                    depth: Some(4),
                    ..plan()
                },
            ),
            (
                "depth",
                PostgresPlan {
                    mode: PostgresMode::Pipelined,
                    depth: Some(0),
                    ..plan()
                },
            ),
            (
                "depth",
                PostgresPlan {
                    mode: PostgresMode::Pipelined,
                    depth: Some(MAX_DEPTH + 1),
                    ..plan()
                },
            ),
            (
                "mode",
                PostgresPlan {
                    mode: PostgresMode::Pipelined,
                    load: Load {
                        open: Some(open()),
                        ..plan().load
                    },
                    ..plan()
                },
            ),
            (
                "keep_alive",
                PostgresPlan {
                    mode: PostgresMode::Pipelined,
                    keep_alive: false,
                    ..plan()
                },
            ),
            (
                "connections",
                PostgresPlan {
                    load: Load {
                        connections: Some(0),
                        ..plan().load
                    },
                    ..plan()
                },
            ),
            (
                "timeout_ms",
                PostgresPlan {
                    load: Load {
                        timeout_ms: 60_001,
                        ..plan().load
                    },
                    ..plan()
                },
            ),
        ];
        for (field, plan) in wrong {
            let error = plan.check().expect_err(field);
            assert_eq!(error.field, field, "{error}");
        }
    }

    #[test]
    fn an_unknown_field_or_mode_is_refused() {
        for text in [r#"{"sqll": "SELECT 1"}"#, r#"{"mode": "extended"}"#] {
            assert!(
                serde_json::from_str::<PostgresPlan>(text).is_err(),
                "{text}"
            );
        }
    }
}
