//! What the story begins with: a database that is filled, or a small copy of the data in memory.

use tokio_postgres::config::{Config, Host};
use tokio_postgres::{Error, NoTls};

use super::say;
use crate::Failure;
use crate::app::{Setup, Store};
use crate::args::{Args, DATABASE_VARIABLE};
use crate::data::{self, SCALE};

/// Says loudly what is off, and fills the database where there is one.
pub(super) async fn prepare(args: &Args, begin: std::time::Instant) -> Result<Setup, Failure> {
    let store = match &args.database_url {
        None => {
            println!(
                "NO DATABASE: a small copy of the data in memory; index suggestions and jobs are off."
            );
            Store::memory()
        }
        Some(url) if args.filled => Store::connect(url).await?,
        Some(url) => {
            let rows = fill(url).await?;
            say(
                begin,
                &format!("Loaded TPC-H at scale {SCALE}: {rows} rows, primary keys only."),
            );
            Store::connect(url).await?
        }
    };
    if args.redis_url.is_none() {
        println!("NO REDIS: the cache lives in this process alone.");
    }
    Ok(Setup {
        store,
        database_url: args.database_url.clone(),
        redis_url: args.redis_url.clone(),
    })
}

async fn fill(url: &str) -> Result<u64, Failure> {
    let config: Config = url
        .parse()
        .map_err(|error| format!("{DATABASE_VARIABLE} is no URL: {}", explained(&error)))?;
    let server = server(&config);
    let (client, connection) = config.connect(NoTls).await.map_err(|error| {
        format!(
            "PostgreSQL at {server} cannot be used: {}; see that it runs there, or correct {DATABASE_VARIABLE}",
            explained(&error)
        )
    })?;
    let connection = tokio::spawn(connection);
    let rows = data::load(&client, SCALE).await.map_err(|error| {
        format!(
            "the database at {server} could not be filled: {}; {DATABASE_VARIABLE} wants an empty one",
            explained(&error)
        )
    })?;
    drop(client);
    connection.await??;
    Ok(rows)
}

/// Where the URL points to, without its password.
fn server(config: &Config) -> String {
    let hosts = config.get_hosts().iter().map(|host| match host {
        Host::Tcp(name) => name.clone(),
        Host::Unix(folder) => folder.display().to_string(),
    });
    let ports = config.get_ports();
    let each = hosts.enumerate().map(|(at, host)| {
        let port = ports.get(at).or(ports.first()).copied().unwrap_or(5432);
        format!("{host}:{port}")
    });
    each.collect::<Vec<_>>().join(", ")
}

/// With the reason, which `tokio_postgres::Error` leaves to its source.
fn explained(error: &Error) -> String {
    match std::error::Error::source(error) {
        Some(reason) => format!("{error}: {reason}"),
        None => error.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_server_that_is_not_there_is_named_with_the_reason_and_without_the_password() {
        // Nobody listens on port 1.
        let error = fill("postgresql://me:secret@127.0.0.1:1/sales")
            .await
            .expect_err("nobody listens there")
            .to_string();
        assert!(error.contains("127.0.0.1:1 "), "{error}");
        assert!(error.contains("refused"), "{error}");
        assert!(error.contains(DATABASE_VARIABLE), "{error}");
        assert!(!error.contains("secret"), "{error}");

        let error = fill("postgresql://me:secret@/?port=none")
            .await
            .expect_err("this is no URL")
            .to_string();
        assert!(
            error.contains(DATABASE_VARIABLE) && !error.contains("secret"),
            "{error}"
        );
    }
}
