//! Where load tests may send statements: one database, in a role given for it, which may only read.

use std::fmt;

use pitcrew_load::PostgresTarget;
use serde::Deserialize;

use crate::BuildError;
use crate::database::{Database, DatabaseError};

/// Why the role may write, one row.
const MAY_WRITE: &str = include_str!("may_write.sql");

/// The database of load tests.
pub(crate) struct LoadDatabase {
    pub(crate) target: PostgresTarget,
    /// Its role's own look at what it may do.
    own: Database,
    /// Whether plans may write, as the app's own configuration says.
    pub(crate) allows_writes: bool,
}

impl fmt::Debug for LoadDatabase {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("LoadDatabase")
            .field("authority", &self.target.authority())
            .field("allows_writes", &self.allows_writes)
            .finish_non_exhaustive()
    }
}

#[derive(Deserialize)]
struct Row {
    reason: String,
}

impl LoadDatabase {
    pub(crate) fn new(url: &str, allows_writes: bool) -> Result<Self, BuildError> {
        Ok(Self {
            target: PostgresTarget::anywhere(url).map_err(BuildError::LoadDatabase)?,
            own: Database::new(url)?,
            allows_writes,
        })
    }

    /// What a run's sessions begin with (`default_transaction_read_only`) a statement can take back; what its role may do it cannot.
    /// So the role is looked at before each run: privileges change. A reason where it may write and must not.
    pub(crate) async fn refusal(&self) -> Result<Option<String>, DatabaseError> {
        if self.allows_writes {
            return Ok(None);
        }
        let rows: Vec<Row> = self.own.rows(MAY_WRITE, &[]).await?;
        Ok(rows.into_iter().next().map(|row| row.reason))
    }
}
