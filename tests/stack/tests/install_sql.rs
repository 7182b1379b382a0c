//! The install script that is committed is the one that the code makes.

#![allow(
    clippy::unwrap_used,
    reason = "a test ends where something unexpected happens"
)]

use pitcrew_stack::{Extension, checkout, require, testing};

/// Set to write the file instead of comparing.
const BLESS: &str = "PITCREW_BLESS";

#[test]
fn the_committed_install_script_is_what_the_code_makes() {
    require!(extension);
    let root = checkout();
    let made = Extension::of_build(&root, &testing::server().pg_config).unwrap();
    let path = root.join(format!("pg_extension/sql/pg_pitcrew--{}.sql", made.version));
    if std::env::var_os(BLESS).is_some() {
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, &made.sql).unwrap();
    }
    let committed = std::fs::read_to_string(&path).unwrap_or_default();
    let first = made
        .sql
        .lines()
        .zip(committed.lines())
        .position(|(new, old)| new != old);
    assert!(
        made.sql == committed,
        "{} differs from the code (first at line {}); `{BLESS}=1 ./pitcrew test install_sql` writes it anew",
        path.display(),
        first.unwrap_or_else(|| made.sql.lines().count().min(committed.lines().count())) + 1,
    );
}
