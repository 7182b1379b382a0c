//! What the install script runs besides creating objects: the guard against a schema that somebody prepared, and
//! `pitcrew.grant_access`.

use pgrx::prelude::*;

use crate::failure::{Failure, on_primary, or_raise, read_text, spi};
use crate::names;
use crate::text::Text;

/// Refuses a schema `pitcrew` that another role owns or that already holds objects: its owner could replace what the
/// extension installs (CVE-2018-1058 and its kin).
#[pg_extern(sql = r#"
CREATE FUNCTION pitcrew.install_guard() RETURNS void
    LANGUAGE c STRICT VOLATILE SET search_path = pg_catalog, pg_temp AS 'MODULE_PATHNAME', 'install_guard_wrapper';
SELECT pitcrew.install_guard();
DROP FUNCTION pitcrew.install_guard();
"#)]
fn install_guard() {
    let query = include_str!("../sql/queries/foreign_objects.sql");
    if let Some(found) = read_text("the schema pitcrew", query, &[]) {
        Failure::new(
            PgSqlErrorCode::ERRCODE_DUPLICATE_SCHEMA,
            format!("schema pitcrew cannot be used by the extension: {found}"),
        )
        .hint("Drop or rename the schema, then run CREATE EXTENSION pg_pitcrew again.")
        .raise();
    }
}

/// Lets a role use the extension: `reader` sees suggestions, statistics and jobs, `operator` also queues and cancels
/// jobs (which then run with that role's own rights).
#[pg_extern(sql = r#"
CREATE FUNCTION pitcrew.grant_access(role regrole, level text) RETURNS void
    LANGUAGE c STRICT VOLATILE SET search_path = pg_catalog, pg_temp AS 'MODULE_PATHNAME', 'grant_access_wrapper';
COMMENT ON FUNCTION pitcrew.grant_access(regrole, text) IS
    'Lets a role use pitcrew: level reader sees suggestions, statistics and jobs; operator also queues and cancels jobs.';
"#)]
#[allow(
    clippy::needless_pass_by_value,
    reason = "pgrx gives arguments by value"
)]
fn grant_access(role: pg_sys::Oid, level: Text) {
    or_raise(on_primary());
    let level = level.0.as_str();
    let reader = include_str!("../sql/queries/grant_reader.sql");
    let operator = include_str!("../sql/queries/grant_operator.sql");
    let scripts: &[&str] = match level {
        "reader" => &[reader],
        "operator" => &[reader, operator],
        _ => Failure::argument(format!("unknown access level \"{level}\""))
            .hint("Levels are 'reader' and 'operator'.")
            .raise(),
    };
    // SAFETY: a catalogue look-up that answers null for a role that does not exist.
    let name = unsafe { names::text(pg_sys::GetUserNameFromId(role, true)) };
    let name = or_raise(name.ok_or_else(|| {
        Failure::new(
            PgSqlErrorCode::ERRCODE_UNDEFINED_OBJECT,
            format!("role with OID {} does not exist", role.to_u32()),
        )
    }));
    let quoted = names::quote(&name);
    for script in scripts {
        run(&script.replace("{role}", &quoted));
    }
    for check in pg_pitcrew_checks::checks() {
        let grant = format!("GRANT SELECT ON pitcrew.check_{} TO {quoted}", check.name);
        run(&grant);
    }
}

/// The role's name stands in the text.
fn run(grant: &str) {
    let grant = or_raise(names::c_string(grant));
    Spi::connect_mut(|client| {
        let done = client.update(grant.as_c_str(), None, &[]);
        spi("the grants", done.map(drop));
    });
}

pgrx::extension_sql_file!("../sql/privileges.sql", name = "privileges", finalize);
