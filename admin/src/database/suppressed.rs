//! What somebody does not want to see again: findings of the checks, and suggested indexes, by their keys.

use serde::{Deserialize, Serialize};

use super::client::Database;
use super::error::DatabaseError;
use super::jobs::said;

/// So many are listed.
const LISTED: i64 = 1_000;

/// A row of `pitcrew.suppressed_findings`.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Suppressed {
    cache_key: String,
    reason: Option<String>,
    /// When it shows again; never where there is none.
    until: Option<String>,
    suppressed_by: String,
    suppressed_at: String,
}

const LIST: &str = "SELECT cache_key, reason, until, suppressed_by, suppressed_at FROM pitcrew.suppressed_findings \
                    ORDER BY suppressed_at DESC, cache_key LIMIT $1";
const IS_THERE: &str =
    "SELECT EXISTS (SELECT FROM pitcrew.suppressed_findings WHERE cache_key = $1)";
const SUPPRESS: &str = "INSERT INTO pitcrew.suppressed_findings (cache_key, reason, until) \
     VALUES ($1, $2, pg_catalog.clock_timestamp() + $3::float8 * interval '1 second') RETURNING cache_key";
const SHOW_AGAIN: &str =
    "DELETE FROM pitcrew.suppressed_findings WHERE cache_key = $1 RETURNING cache_key";

impl Database {
    /// The newest first.
    pub(crate) async fn suppressed(&self) -> Result<Vec<Suppressed>, DatabaseError> {
        self.rows(LIST, &[&LISTED]).await
    }

    pub(crate) async fn is_suppressed(&self, key: &str) -> Result<bool, DatabaseError> {
        let found = self.value::<bool>(IS_THERE, &[&key]).await;
        Ok(found.map_err(said)?.unwrap_or(false))
    }

    /// Leaves a finding, a check or an index out: for so long, or for good.
    ///
    /// # Errors
    /// [`DatabaseError::Twice`] where it is left out already.
    pub(crate) async fn suppress(
        &self,
        key: &str,
        reason: Option<&str>,
        for_s: Option<f64>,
    ) -> Result<(), DatabaseError> {
        let done = self
            .value::<String>(SUPPRESS, &[&key, &reason, &for_s])
            .await;
        done.map(drop).map_err(|error| operators(said(error)))
    }

    /// Shows it again. False where it is not left out.
    pub(crate) async fn show_again(&self, key: &str) -> Result<bool, DatabaseError> {
        let gone = self.value::<String>(SHOW_AGAIN, &[&key]).await;
        let gone = gone.map_err(|error| operators(said(error)))?;
        Ok(gone.is_some())
    }
}

/// It takes more than looking.
fn operators(error: DatabaseError) -> DatabaseError {
    match error {
        DatabaseError::NotAllowed => DatabaseError::Refused(
            "the role of the admin router may only look: SELECT pitcrew.grant_access(role, 'operator') as the extension's owner"
                .to_owned(),
        ),
        other => other,
    }
}
