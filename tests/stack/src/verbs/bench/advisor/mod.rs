//! Suite `advisor`: what the index advisor predicts against what is then there, what it suggests against what others do, and how
//! long it takes where there is more to look at.

mod advice;
mod cases;
mod execution;
mod extend;
mod large;
mod oltp;
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
    ("shared_buffers", "2GB"),
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
    let mut figures = Vec::new();
    if is_wanted("oltp")? {
        figures.extend(oltp::measure(&stack, server, signals)?);
    }
    figures.extend(runtime.block_on(measure(&postgres, signals))?);
    Ok(figures)
}

/// The parts: what is predicted, what is suggested for TPC-H, how that runs, a larger workload, many writes.
const PARTS: [&str; 5] = ["prediction", "tpch", "execution", "large", "oltp"];

/// All parts, or the one that `PITCREW_ADVISOR_PART` names, for a try.
fn is_wanted(part: &str) -> Result<bool> {
    match std::env::var("PITCREW_ADVISOR_PART") {
        Err(_) => Ok(true),
        Ok(named) if PARTS.contains(&named.as_str()) => Ok(named == part),
        Ok(named) => Err(Error::Usage(format!(
            "PITCREW_ADVISOR_PART is one of {}, not `{named}`",
            PARTS.join(", ")
        ))),
    }
}

async fn measure(postgres: &Postgres, signals: &Signals) -> Result<Vec<Figure>> {
    let root = checkout();
    let (sets, queries) = (tpch::peers(&root)?, tpch::queries(&root)?);
    let mut figures = Vec::new();
    if is_wanted("prediction")? {
        let client = connect(postgres, "cases").await?;
        let mut found = prediction::cases(&client, signals).await?;
        let client = connect(postgres, "tpch").await?;
        tpch::load(&client, &root, SCALE).await?;
        found.extend(prediction::sets(&client, &sets, &queries, signals).await?);
        figures.extend(prediction::figures(&found)?);
    }
    let has_peer = extend::is_there(postgres.server())?;
    if !has_peer {
        Progress::Print.say("skipped: what plain Extend is compared in: HypoPG is not installed");
    }
    let (tpch, execution) = (is_wanted("tpch")?, is_wanted("execution")?);
    if tpch || execution {
        let client = connect(postgres, "advice").await?;
        tpch::load(&client, &root, advice_scale()?).await?;
        if tpch {
            figures.extend(advice::measure(&client, &sets, &queries, signals).await?);
            figures.extend(optimum::measure(&client, &queries, signals).await?);
        }
        if execution {
            let peer = peer(postgres, "advice", has_peer).await?;
            figures.extend(
                execution::measure(&client, peer.as_ref(), &sets, &queries, signals).await?,
            );
        }
    }
    if is_wanted("large")? {
        let client = connect(postgres, "warehouse").await?;
        let peer = peer(postgres, "warehouse", has_peer).await?;
        figures.extend(large::measure(&client, peer.as_ref(), signals).await?);
    }
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
    let client = session(postgres, database).await?;
    run(&client, "CREATE EXTENSION pg_pitcrew").await?;
    Ok(client)
}

/// A connection for the peer: its library stays in the session that it was loaded into.
async fn peer(postgres: &Postgres, database: &str, is_there: bool) -> Result<Option<Client>> {
    if !is_there {
        return Ok(None);
    }
    session(postgres, database).await.map(Some)
}

async fn session(postgres: &Postgres, database: &str) -> Result<Client> {
    let url = postgres.socket_url("postgres", database);
    let (client, connection) = tokio_postgres::connect(&url, NoTls)
        .await
        .map_err(|error| fault("connect", &error))?;
    tokio::spawn(connection);
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
