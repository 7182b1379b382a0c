//! Statements run on a private server, callable from anywhere: also from inside a test's own async runtime.

use std::time::Duration;

use tokio_postgres::SimpleQueryMessage;

use crate::error::{Error, Result};

/// A connection that hangs is a bug of the server under test, not something to wait for.
const LIMIT: Duration = Duration::from_secs(60);

/// Runs `statements` (simple protocol) one after the other on the database that `url` names, each as its own message, and answers the last one's rows.
/// NULL is `None`.
///
/// # Errors
/// [`Error::Sql`] with the server's message, after 60 s at the latest.
pub fn run(url: &str, statements: &[&str]) -> Result<Vec<Vec<Option<String>>>> {
    // A runtime of its own on a thread of its own: `block_on` inside a runtime panics.
    std::thread::scope(|scope| {
        scope
            .spawn(|| on_this_thread(url, statements))
            .join()
            .unwrap_or_else(|_| {
                Err(Error::Sql {
                    statement: statements.join("; "),
                    detail: "the client panicked".into(),
                })
            })
    })
}

fn on_this_thread(url: &str, statements: &[&str]) -> Result<Vec<Vec<Option<String>>>> {
    let fault = |statement: &str, detail: String| Error::Sql {
        statement: statement.chars().take(200).collect(),
        detail,
    };
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| fault("connect", error.to_string()))?;
    runtime.block_on(async {
        let work = async {
            let (client, connection) = tokio_postgres::connect(url, tokio_postgres::NoTls)
                .await
                .map_err(|error| fault("connect", explain(&error)))?;
            let driver = tokio::spawn(connection);
            let mut rows = Vec::new();
            for statement in statements {
                let messages = client
                    .simple_query(statement)
                    .await
                    .map_err(|error| fault(statement, explain(&error)))?;
                rows = messages.iter().filter_map(row).collect();
            }
            // Leave in order: a database cannot be cloned or dropped while the server still sees this session.
            drop(client);
            let _ = driver.await;
            Ok(rows)
        };
        tokio::time::timeout(LIMIT, work).await.unwrap_or_else(|_| {
            Err(fault(
                &statements.join("; "),
                format!("no answer within {LIMIT:?}"),
            ))
        })
    })
}

fn row(message: &SimpleQueryMessage) -> Option<Vec<Option<String>>> {
    match message {
        SimpleQueryMessage::Row(row) => Some(
            (0..row.len())
                .map(|i| row.get(i).map(str::to_owned))
                .collect(),
        ),
        _ => None,
    }
}

/// `tokio_postgres::Error` prints "db error" alone; what the server said is one level deeper.
fn explain(error: &tokio_postgres::Error) -> String {
    match error.as_db_error() {
        Some(db) => {
            let hint = db
                .hint()
                .map(|hint| format!(" HINT: {hint}"))
                .unwrap_or_default();
            format!("{}: {}{hint}", db.code().code(), db.message())
        }
        None => {
            let source = std::error::Error::source(error)
                .map(|source| format!(": {source}"))
                .unwrap_or_default();
            format!("{error}{source}")
        }
    }
}

/// Quotes an identifier.
#[must_use]
pub fn identifier(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

/// Quotes a string literal.
#[must_use]
pub fn literal(text: &str) -> String {
    format!("'{}'", text.replace('\'', "''"))
}
