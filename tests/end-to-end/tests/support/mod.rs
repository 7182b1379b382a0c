//! What the extension's tests share: statements that may fail, sessions that stay open, jobs that are waited for.

#![allow(
    dead_code,
    unreachable_pub,
    clippy::unwrap_used,
    reason = "each test binary uses a part; a test ends where something unexpected happens"
)]

pub mod capture;
pub mod history;
pub mod jobs;

use std::future::poll_fn;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use pitcrew_stack::{Postgres, PostgresOptions, testing};
use tokio_postgres::{AsyncMessage, Client, NoTls, SimpleQueryMessage};

/// Rows as text.
pub type Rows = Vec<Vec<Option<String>>>;

/// Longest wait for something that has to happen: a bug, not a slow machine, takes longer.
const PATIENCE: Duration = Duration::from_secs(90);

/// What a statement failed with.
#[derive(Debug)]
pub struct Failure {
    /// SQLSTATE.
    pub code: String,
    /// Message.
    pub message: String,
    /// HINT, or nothing.
    pub hint: String,
}

/// One open session.
pub struct Session {
    runtime: tokio::runtime::Runtime,
    client: Client,
    notices: Arc<Mutex<Vec<String>>>,
}

impl Session {
    /// Connects.
    pub fn open(url: &str) -> Self {
        // Its connection task runs only while a statement does: enough for a test.
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .unwrap();
        let notices = Arc::new(Mutex::new(Vec::new()));
        let heard = Arc::clone(&notices);
        let client = runtime.block_on(async {
            let (client, mut connection) = tokio_postgres::connect(url, NoTls).await.unwrap();
            tokio::spawn(async move {
                while let Some(Ok(message)) = poll_fn(|task| connection.poll_message(task)).await {
                    if let AsyncMessage::Notice(notice) = message {
                        heard.lock().unwrap().push(notice.message().to_owned());
                    }
                }
            });
            client
        });
        Self {
            runtime,
            client,
            notices,
        }
    }

    /// Notices and warnings since the last call.
    pub fn notices(&self) -> Vec<String> {
        std::mem::take(&mut self.notices.lock().unwrap())
    }

    /// Waits until the server has ended this session.
    pub fn until_ended(&self) {
        let begin = Instant::now();
        while self
            .runtime
            .block_on(self.client.simple_query("SELECT 1"))
            .is_ok()
        {
            assert!(begin.elapsed() < PATIENCE, "the session lives on");
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    /// Runs a script; answers the last statement's rows.
    pub fn try_run(&self, script: &str) -> Result<Rows, Failure> {
        let messages = self
            .runtime
            .block_on(self.client.simple_query(script))
            .map_err(|error| {
                let Some(db) = error.as_db_error() else {
                    panic!("{script}: {error}")
                };
                Failure {
                    code: db.code().code().to_owned(),
                    message: db.message().to_owned(),
                    hint: db.hint().unwrap_or_default().to_owned(),
                }
            })?;
        let mut rows = Rows::new();
        for message in messages {
            match message {
                SimpleQueryMessage::RowDescription(_) => rows.clear(),
                SimpleQueryMessage::Row(row) => {
                    rows.push(
                        (0..row.len())
                            .map(|i| row.get(i).map(str::to_owned))
                            .collect(),
                    );
                }
                _ => {}
            }
        }
        Ok(rows)
    }

    /// Runs a script that has to succeed.
    pub fn run(&self, script: &str) -> Rows {
        self.try_run(script)
            .unwrap_or_else(|error| panic!("{script}: {error:?}"))
    }

    /// The first column of the first row.
    pub fn value(&self, script: &str) -> Option<String> {
        self.run(script).first().and_then(|row| row[0].clone())
    }

    /// The first column of the first row, which has to be there.
    pub fn text(&self, script: &str) -> String {
        self.value(script)
            .unwrap_or_else(|| panic!("{script}: no value"))
    }

    /// A number.
    pub fn number(&self, script: &str) -> f64 {
        self.text(script).parse().unwrap()
    }

    /// What a script that has to fail fails with.
    pub fn failure(&self, script: &str) -> Failure {
        match self.try_run(script) {
            Ok(rows) => panic!("{script}: succeeded with {rows:?}"),
            Err(failure) => failure,
        }
    }

    /// Runs a statement through the extended protocol with parameters, as applications do.
    pub fn prepared(
        &self,
        statement: &str,
        parameters: &[&(dyn tokio_postgres::types::ToSql + Sync)],
    ) {
        self.runtime
            .block_on(self.client.query(statement, parameters))
            .unwrap_or_else(|error| panic!("{statement}: {error}"));
    }

    /// Runs a statement with parameters that has to fail.
    pub fn prepared_failure(
        &self,
        statement: &str,
        parameters: &[&(dyn tokio_postgres::types::ToSql + Sync)],
    ) {
        let result = self
            .runtime
            .block_on(self.client.query(statement, parameters));
        assert!(
            result.is_err_and(|error| error.as_db_error().is_some()),
            "{statement}: no error of the server"
        );
        // The error comes before the server undoes what failed.
        self.run("RESET application_name");
    }

    /// Asks until the answer is `wanted`.
    pub fn until(&self, query: &str, wanted: &str) {
        let begin = Instant::now();
        loop {
            let rows = self.run(query);
            let value = rows.first().and_then(|row| row[0].as_deref());
            if value == Some(wanted) {
                return;
            }
            assert!(
                begin.elapsed() < PATIENCE,
                "{query}: still {value:?}, not {wanted}; jobs: {:?}",
                self.try_run("TABLE pitcrew.jobs")
            );
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    /// Queues a job and answers its id.
    pub fn submit(&self, arguments: &str) -> String {
        self.text(&format!("SELECT pitcrew.submit_job({arguments})"))
    }

    /// Waits until a job is in a final state and answers (state, SQLSTATE, error).
    pub fn ended(&self, job: &str) -> (String, String, String) {
        self.until(
            &format!(
                "SELECT state NOT IN ('queued', 'waiting_for_lock', 'running') FROM pitcrew.jobs WHERE id = {job}"
            ),
            "t",
        );
        let row = self.run(&format!(
            "SELECT state, coalesce(sqlstate, ''), coalesce(error, '') FROM pitcrew.jobs WHERE id = {job}"
        ));
        let mut cells = row[0].iter().map(|cell| cell.clone().unwrap());
        (
            cells.next().unwrap(),
            cells.next().unwrap(),
            cells.next().unwrap(),
        )
    }

    /// Waits until a job is done.
    pub fn done(&self, job: &str) {
        let ended = self.ended(job);
        assert_eq!(ended.0, "done", "job {job}: {ended:?}");
    }
}

/// A server of the test's own with one database `shop` that has the extension.
pub fn server(settings: &[(&str, &str)]) -> Postgres {
    let mut options = PostgresOptions::with_extension(testing::server());
    options.settings.extend(
        settings
            .iter()
            .map(|(name, value)| ((*name).to_owned(), (*value).to_owned())),
    );
    let postgres = testing::postgres(options);
    postgres.create_database("shop").unwrap();
    // Some builds come without contrib.
    if testing::server().has_extension("pg_stat_statements") {
        postgres
            .run("shop", &["CREATE EXTENSION pg_stat_statements"])
            .unwrap();
    }
    postgres
        .run("shop", &["CREATE EXTENSION pg_pitcrew"])
        .unwrap();
    postgres
}

/// A role of this test's own, with LOGIN and the right to make tables in `public`.
pub fn role(session: &Session, name: &str, level: Option<&str>) -> String {
    let database = session.text("SELECT current_database()");
    let role = format!("{name}_{database}");
    session.run(&format!(
        "CREATE ROLE {role} LOGIN; GRANT CREATE ON SCHEMA public TO {role}"
    ));
    if let Some(level) = level {
        session.run(&format!("SELECT pitcrew.grant_access('{role}', '{level}')"));
    }
    role
}
