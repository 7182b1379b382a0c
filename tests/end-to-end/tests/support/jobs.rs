//! What the tests of jobs share.

use super::Session;

/// Indexes that nobody can use.
pub const INVALID_INDEXES: &str = "SELECT count(*) FROM pg_index WHERE NOT indisvalid";
/// Workers of this database.
pub const WORKERS: &str = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND backend_type = 'pitcrew job'";

/// Makes VACUUM in a database take minutes, so that something can happen in the middle.
pub fn slow_vacuum(admin: &Session, database: &str) {
    admin.run(&format!(
        "ALTER DATABASE {database} SET vacuum_cost_delay = '100ms'; ALTER DATABASE {database} SET vacuum_cost_limit = 1"
    ));
}

/// A table of some hundred pages with something to vacuum.
pub fn table(session: &Session, name: &str) {
    session.run(&format!(
        "CREATE TABLE {name} (id int, filler text) WITH (autovacuum_enabled = off); \
         INSERT INTO {name} SELECT g, repeat('x', 500) FROM generate_series(1, 5000) g; DELETE FROM {name} WHERE id % 3 = 0"
    ));
}

/// Submits a job in a transaction that ends after `then`: so what `then` does is not known when the job is checked.
pub fn submitted_before(session: &Session, job: &str, then: impl FnOnce()) -> String {
    session.run("BEGIN");
    let id = session.submit(job);
    then();
    session.run("COMMIT");
    id
}
