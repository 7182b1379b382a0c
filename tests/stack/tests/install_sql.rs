//! The install script that is committed is the one that the code makes.

#![allow(
    clippy::unwrap_used,
    reason = "a test ends where something unexpected happens"
)]

use std::collections::BTreeSet;

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
    let (new, old) = (blocks(&made.sql), blocks(&committed));
    let changed: Vec<_> = new.symmetric_difference(&old).collect();
    assert!(
        changed.is_empty(),
        "{} differs from the code; `{BLESS}=1 ./pitcrew test install_sql` writes it anew: {changed:#?}",
        path.display(),
    );
}

/// What pgrx keeps together. It orders by what needs what, and where nothing does by chance.
fn blocks(sql: &str) -> BTreeSet<&str> {
    sql.split("/* <begin connected objects> */\n")
        .map(str::trim)
        .collect()
}
