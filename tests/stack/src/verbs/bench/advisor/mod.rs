//! Suite `advisor`: what the index advisor predicts against what is then there, what it suggests against what others do, and how
//! long it takes where there is more to look at.

mod advice;
mod cases;
mod large;
mod optimum;
mod parameters;
mod prediction;
mod tpch;

use pitcrew_stack::bench::Figure;
use pitcrew_stack::signals::Signals;
use pitcrew_stack::{Error, Options, Postgres, PostgresOptions, Progress, Result, Stack, checkout};
use tokio_postgres::{Client, NoTls, SimpleQueryMessage};

/// TPC-H's scale, for predictions.
const SCALE: f64 = 0.1;
/// And for advice; `PITCREW_TPCH_SCALE` sets another one, for a try.
const ADVICE_SCALE: f64 = 1.0;
/// The server's settings: those of the peers' measurements, and statistics that stay.
const SETTINGS: [(&str, &str); 8] = [
    ("autovacuum", "off"),
    ("shared_buffers", "512MB"),
    ("work_mem", "64MB"),
    ("effective_cache_size", "6GB"),
    ("random_page_cost", "1.1"),
    ("max_parallel_workers_per_gather", "0"),
    ("jit", "off"),
    ("max_wal_size", "4GB"),
];

pub(super) fn run_suite(signals: &Signals) -> Result<Vec<Figure>> {
    let stack = Stack::start(Options {
        redis: false,
        progress: Progress::Print,
        ..Options::default()
    })?;
    let server = stack
        .postgres()
        .ok_or_else(|| Error::Extension("the stack has no Postgres".into()))?
        .server();
    let mut options = PostgresOptions::with_extension(server);
    options
        .settings
        .extend(SETTINGS.map(|(name, value)| (name.to_owned(), value.to_owned())));
    let postgres = Postgres::start(stack.slot(), server, options)?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| Error::Extension(error.to_string()))?;
    runtime.block_on(measure(&postgres, signals))
}

async fn measure(postgres: &Postgres, signals: &Signals) -> Result<Vec<Figure>> {
    let client = connect(postgres, "cases").await?;
    let mut found = prediction::cases(&client, signals).await?;
    let client = connect(postgres, "tpch").await?;
    let root = checkout();
    tpch::load(&client, &root, SCALE).await?;
    let (sets, queries) = (tpch::peers(&root)?, tpch::queries(&root)?);
    found.extend(prediction::sets(&client, &sets, &queries, signals).await?);
    let mut figures = prediction::figures(&found)?;
    let client = connect(postgres, "advice").await?;
    tpch::load(&client, &root, advice_scale()?).await?;
    figures.extend(advice::measure(&client, &sets, &queries, signals).await?);
    figures.extend(optimum::measure(&client, &queries, signals).await?);
    let client = connect(postgres, "warehouse").await?;
    figures.extend(large::measure(&client, signals).await?);
    Ok(figures)
}

fn advice_scale() -> Result<f64> {
    match std::env::var("PITCREW_TPCH_SCALE") {
        Err(_) => Ok(ADVICE_SCALE),
        Ok(text) => match text.parse() {
            Ok(scale) if (0.01..=10.0).contains(&scale) => Ok(scale),
            _ => Err(Error::Usage(format!(
                "PITCREW_TPCH_SCALE is a number from 0.01 to 10, not `{text}`"
            ))),
        },
    }
}

/// A connection to a new database with the extension.
async fn connect(postgres: &Postgres, database: &str) -> Result<Client> {
    postgres.create_database(database)?;
    let url = postgres.socket_url("postgres", database);
    let (client, connection) = tokio_postgres::connect(&url, NoTls)
        .await
        .map_err(|error| fault("connect", &error))?;
    tokio::spawn(connection);
    run(&client, "CREATE EXTENSION pg_pitcrew").await?;
    Ok(client)
}

fn fault(statement: &str, error: &tokio_postgres::Error) -> Error {
    Error::Sql {
        statement: statement.into(),
        detail: error
            .as_db_error()
            .map_or_else(|| error.to_string(), |error| error.message().to_owned()),
    }
}

/// Runs statements.
async fn run(client: &Client, statement: &str) -> Result<()> {
    client
        .batch_execute(statement)
        .await
        .map_err(|error| fault(statement, &error))
}

/// The first row of a statement's result, NULLs as nothing.
async fn one(client: &Client, statement: &str) -> Result<Vec<String>> {
    let messages = client
        .simple_query(statement)
        .await
        .map_err(|error| fault(statement, &error))?;
    let row = messages.iter().find_map(|message| match message {
        SimpleQueryMessage::Row(row) => Some(row),
        _ => None,
    });
    let row = row.ok_or_else(|| Error::Extension(format!("no row: {statement}")))?;
    Ok((0..row.len())
        .map(|column| row.get(column).unwrap_or_default().to_owned())
        .collect())
}

/// A literal.
fn quoted(text: &str) -> String {
    pitcrew_stack::sql::literal(text)
}
