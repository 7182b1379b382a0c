//! A connection that is there, and one statement on it.

use std::cell::OnceCell;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, ready};

use bytes::BytesMut;
use tokio_postgres::types::{Format, IsNull, ToSql, Type, to_sql_checked};
use tokio_postgres::{Client, Config, Error, NoTls, Statement};

use super::super::driver::Driver;
use super::super::exchange::CONNECT_TIMEOUT;
use super::super::presence::Presence;
use super::super::thread::Thread;
use crate::plan::{CheckedPostgres, PlanError, wrong};
use crate::postgres_target::{PostgresTarget, sentence};
use crate::record::{Answer, ErrorKind};

/// A statement that was executed. Rows are read and not kept, nor are their bytes counted.
pub(super) const ANSWER: Answer = Answer::BARE;

/// What is sent, and where.
#[derive(Debug)]
pub(in super::super) struct Work {
    pub(in super::super) plan: CheckedPostgres,
    pub(super) config: Config,
    #[cfg(feature = "postgres-tls")]
    tls: Option<crate::tls::Tls>,
    pub(super) parameters: Vec<Parameter>,
}

impl Work {
    /// Sessions are named after the run where the target's configuration gives no name.
    pub(in super::super) fn new(plan: CheckedPostgres, target: &PostgresTarget, run: &str) -> Self {
        let mut config = target.config.clone();
        let mut options = config.get_options().unwrap_or_default().to_owned();
        options += &format!(" -c statement_timeout={}", plan.load.timeout.as_millis());
        if !plan.allow_writes {
            options += " -c default_transaction_read_only=on";
        }
        config.options(options).connect_timeout(CONNECT_TIMEOUT);
        if config.get_application_name().is_none() {
            config.application_name(format!("pitcrew-load {run}"));
        }
        Self {
            parameters: plan.parameters.iter().cloned().map(Parameter).collect(),
            config,
            #[cfg(feature = "postgres-tls")]
            tls: target.tls.clone(),
            plan,
        }
    }

    /// What is prepared on each connection, in the order in which it is named.
    fn statements(&self) -> Vec<&str> {
        #[cfg(feature = "scripts")]
        if let Some(script) = &self.plan.script {
            let all = script.statements().iter();
            return all.map(|statement| statement.sql.as_str()).collect();
        }
        if self.plan.is_simple {
            Vec::new()
        } else {
            vec![&self.plan.sql]
        }
    }

    /// One execution, which ends with its last row.
    pub(super) async fn execute(
        &self,
        client: &Client,
        statement: Option<&Statement>,
    ) -> Result<(), Error> {
        match statement {
            Some(statement) => client
                .execute_raw(statement, &self.parameters)
                .await
                .map(drop),
            None => client.batch_execute(&self.plan.sql).await,
        }
    }
}

/// A parameter in PostgreSQL's text form, which the server reads as whatever type it wants there.
#[derive(Debug)]
pub(super) struct Parameter(pub(super) Option<String>);

impl ToSql for Parameter {
    fn to_sql(
        &self,
        _: &Type,
        out: &mut BytesMut,
    ) -> Result<IsNull, Box<dyn std::error::Error + Sync + Send>> {
        let Some(text) = &self.0 else {
            return Ok(IsNull::Yes);
        };
        out.extend_from_slice(text.as_bytes());
        Ok(IsNull::No)
    }

    fn accepts(_: &Type) -> bool {
        true
    }

    fn encode_format(&self, _: &Type) -> Format {
        Format::Text
    }

    to_sql_checked!();
}

/// How a connection ended.
type Fate = Rc<OnceCell<Result<(), Error>>>;

/// The library's own, in clear or by TLS.
type LibraryConnection = Pin<Box<dyn Future<Output = Result<(), Error>> + Send>>;

/// The library's connection, which notes how it ended.
pub(super) struct Moving {
    connection: LibraryConnection,
    fate: Fate,
}

impl Future for Moving {
    type Output = ();

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let this = self.get_mut();
        let ended = ready!(this.connection.as_mut().poll(cx));
        let _ = this.fate.set(ended);
        Poll::Ready(())
    }
}

pub(super) struct Live {
    pub(super) client: Client,
    pub(super) driver: Driver<Moving>,
    /// The plan's one, or those of its steps; none in simple mode.
    pub(super) statements: Vec<Statement>,
    pub(super) fate: Fate,
    presence: Presence,
}

impl Live {
    /// Connects, and prepares the statement where the plan wants that.
    pub(super) async fn connect(thread: &Rc<Thread>, work: &Work) -> Result<Self, ErrorKind> {
        let connecting = async {
            let (client, driver, fate) = open(work).await.map_err(|error| {
                thread.count_sql_state(error.code());
                kind_of_refusal(&error)
            })?;
            let mut live = Self {
                client,
                driver,
                statements: Vec::new(),
                fate,
                presence: Presence::new(thread),
            };
            for sql in work.statements() {
                let prepared =
                    live.driver
                        .until(live.client.prepare(sql))
                        .await
                        .map_err(|error| {
                            thread.count_sql_state(error.code());
                            match error.code() {
                                Some(_) => ErrorKind::Sql,
                                None => ErrorKind::Connect,
                            }
                        })?;
                live.statements.push(prepared);
            }
            Ok(live)
        };
        let connected = tokio::time::timeout(CONNECT_TIMEOUT, connecting)
            .await
            .unwrap_or(Err(ErrorKind::Connect));
        if matches!(connected, Err(ErrorKind::Connect | ErrorKind::Tls)) {
            thread.count(|details| details.refused += 1);
        }
        connected
    }

    pub(super) async fn execute(&mut self, work: &Work) -> Result<(), Error> {
        let executed = work.execute(&self.client, self.statements.first());
        self.driver.until(executed).await
    }

    /// Says goodbye, as the protocol wants it, and waits until the connection has ended.
    pub(super) async fn disconnect(self) {
        let Self {
            client, mut driver, ..
        } = self;
        drop(client);
        driver.end().await;
    }

    /// Nobody here wanted it to end. Where the server said why, and to no statement, that is counted too.
    pub(super) fn lost(mut self) {
        if let Some(Err(last)) = self.fate.get() {
            self.presence.thread.count_sql_state(last.code());
        }
        self.presence.lost();
    }

    pub(super) fn has_ended(&self) -> bool {
        self.fate.get().is_some()
    }

    pub(super) fn fate(&self) -> Option<&Result<(), Error>> {
        self.fate.get()
    }
}

async fn open(work: &Work) -> Result<(Client, Driver<Moving>, Fate), Error> {
    let (client, connection) = connect(work).await?;
    let fate = Fate::default();
    let moving = Moving {
        connection,
        fate: Rc::clone(&fate),
    };
    Ok((client, Driver::new(moving), fate))
}

type Connected = (Client, LibraryConnection);

async fn connect(work: &Work) -> Result<Connected, Error> {
    #[cfg(feature = "postgres-tls")]
    if let Some(tls) = &work.tls {
        let (client, connection) = work.config.connect(tls.of_postgres()).await?;
        return Ok((client, Box::pin(connection)));
    }
    let (client, connection) = work.config.connect(NoTls).await?;
    Ok((client, Box::pin(connection)))
}

/// The library tells apart a handshake that failed and a connection that could not be made by its words alone.
fn kind_of_refusal(error: &Error) -> ErrorKind {
    if error
        .to_string()
        .starts_with("error performing TLS handshake")
    {
        ErrorKind::Tls
    } else {
        ErrorKind::Connect
    }
}

/// Connects once and has the statement prepared, so that a wrong plan is refused before the run.
pub(in super::super) async fn try_out(work: &Work) -> Result<(), PlanError> {
    let trying = async {
        let (client, mut driver) = match connect(work).await {
            Ok((client, connection)) => (client, Driver::new(connection)),
            Err(error) => return wrong("target", format!("cannot connect: {}", sentence(&error))),
        };
        #[cfg(feature = "scripts")]
        if let Some(script) = &work.plan.script {
            driver
                .until(super::steps::try_out(&client, script.statements()))
                .await?;
        }
        if work.plan.has_one_statement() {
            let statement = match driver.until(client.prepare(&work.plan.sql)).await {
                Ok(statement) => statement,
                Err(error) => {
                    return wrong("sql", format!("is not taken: {}", sentence(&error)));
                }
            };
            let (wanted, has) = (statement.params().len(), work.parameters.len());
            if wanted != has {
                return wrong(
                    "parameters",
                    format!("wants {wanted}, as many as the statement has, has {has}"),
                );
            }
        }
        drop(client);
        driver.end().await;
        Ok(())
    };
    match tokio::time::timeout(CONNECT_TIMEOUT, trying).await {
        Ok(tried) => tried,
        Err(_) => wrong("target", "does not answer within a second"),
    }
}
