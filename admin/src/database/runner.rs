//! One instance at a time runs cycles on a database.

use tokio_postgres::Client;

use super::client::{CONNECT_TIMEOUT, Database};
use super::error::DatabaseError;

/// The key of the advisory lock of cycles: "pitcrew" in ASCII.
const RUNNER_LOCK: i64 = 0x70_6974_6372_6577;

/// Says that we are the one who runs cycles on a database.
#[derive(Debug)]
pub(crate) struct Runner {
    /// Its end would end the connection.
    #[expect(dead_code, reason = "held, not used")]
    client: Client,
    connection: tokio::task::JoinHandle<()>,
}

impl Drop for Runner {
    fn drop(&mut self) {
        self.connection.abort();
    }
}

impl Database {
    /// Makes us the one who runs cycles on this database, until what is given back is dropped; none where somebody else is.
    ///
    /// The lock is a session's, on a connection of its own: it goes with that connection, whatever becomes of us.
    pub(crate) async fn become_runner(&self) -> Result<Option<Runner>, DatabaseError> {
        let (config, tls) = &self.apart;
        let connecting = tokio::time::timeout(CONNECT_TIMEOUT, config.connect(tls.clone()));
        let Ok(Ok((client, connection))) = connecting.await else {
            return Err(DatabaseError::Unreachable);
        };
        let connection = tokio::spawn(async move { drop(connection.await) });
        let row = client.query_one(
            "SELECT pg_catalog.pg_try_advisory_lock($1)",
            &[&RUNNER_LOCK],
        );
        let is_ours: bool = row.await?.try_get(0)?;
        Ok(is_ours.then_some(Runner { client, connection }))
    }
}
