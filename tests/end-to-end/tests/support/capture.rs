//! For tests of the capture: a server that captures, and what it captured.

use pitcrew_stack::{Postgres, PostgresOptions, testing};

use super::Session;

/// A server that captures every execution, with a database `shop`.
pub fn server(settings: &[(&str, &str)]) -> Postgres {
    let mut all = vec![
        ("pitcrew.capture", "all"),
        ("pitcrew.capture_min_duration", "0"),
        ("autovacuum", "off"),
    ];
    all.extend(settings);
    super::server(&all)
}

/// The same without pg_stat_statements.
pub fn server_alone(settings: &[(&str, &str)]) -> Postgres {
    let mut options = PostgresOptions {
        preload: vec!["pg_pitcrew".to_owned()],
        ..PostgresOptions::default()
    };
    let own = [
        ("pitcrew.capture", "all"),
        ("pitcrew.capture_min_duration", "0"),
        ("autovacuum", "off"),
    ];
    let all = own.iter().chain(settings);
    options.settings = all
        .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
        .collect();
    let postgres = testing::postgres(options);
    postgres.create_database("shop").unwrap();
    postgres
        .run("shop", &["CREATE EXTENSION pg_pitcrew"])
        .unwrap();
    postgres
}

/// A superuser's session whose own statements are not captured.
pub fn watcher(postgres: &Postgres) -> Session {
    let session = Session::open(&postgres.socket_url("postgres", "shop"));
    session.run("SET pitcrew.capture = off");
    session
}

/// What was captured of the texts that hold `part`, the oldest first: `columns` by commas.
pub fn captured(watcher: &Session, part: &str, columns: &str) -> Vec<String> {
    let rows = watcher.run(&format!(
        "SELECT concat_ws(',', {columns}) FROM pitcrew.captured WHERE query LIKE '%{part}%' ORDER BY id"
    ));
    let first = rows.into_iter().filter_map(|row| row.into_iter().next()?);
    first.collect()
}

/// Runs a script that has to fail, and waits until the server is through with that: its error comes before what it undoes.
pub fn fails(session: &Session, script: &str) -> super::Failure {
    let failure = session.failure(script);
    // In a transaction that failed this fails too, which says as much.
    let _ = session.try_run("RESET application_name");
    failure
}
