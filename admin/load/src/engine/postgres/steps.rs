//! The statements of a visit on one connection.

use std::pin::pin;
use std::time::Instant;

use futures_util::TryStreamExt;
use tokio_postgres::types::{FromSql, Type};
use tokio_postgres::{Client, Error, Row};

use super::super::exchange::Exchange;
use super::Connection;
use super::kind::Fault;
use super::live::{ANSWER, Live, Parameter};
use crate::plan::{PlanError, wrong};
use crate::postgres_target::sentence;
use crate::record::ErrorKind;
use crate::script::{Prepared, Reply, Sql};

impl Connection {
    /// Executes a step's statement. The first of a visit connects where it has to; a later one goes over the connection of those
    /// before it or over none, for it may be in their transaction.
    pub(in super::super) async fn send_step(
        &mut self,
        sql: &Sql,
        is_first: bool,
        reply: &mut Reply,
    ) -> Exchange {
        let begin = Instant::now();
        if is_first && self.live.as_ref().is_some_and(Live::has_ended) {
            self.drop_live();
        }
        let (mut live, sent) = match self.live.take() {
            Some(live) => (live, begin),
            None if is_first => match Live::connect(&self.thread, &self.work).await {
                // Where each visit connects, connecting is part of its first step.
                Ok(live) if self.work.plan.keep_alive => (live, Instant::now()),
                Ok(live) => (live, begin),
                Err(kind) => return Exchange::refused(begin, Err(kind)).await,
            },
            None => {
                return Exchange {
                    sent: begin,
                    ended: Instant::now(),
                    outcome: Err(ErrorKind::Reset),
                };
            }
        };
        let answer = self
            .patience
            .wait(sent, live.execute_step(sql, reply))
            .await;
        let ended = Instant::now();
        let outcome = match answer {
            Some(Ok(())) => Ok(ANSWER),
            Some(Err(error)) => match self.work.fault(&error, live.fate(), ended - sent) {
                Fault::NeverSent => Err(ErrorKind::Reset),
                Fault::Of(kind, code) => {
                    self.thread.count_sql_state(code.as_ref());
                    Err(kind)
                }
            },
            None => Err(ErrorKind::Timeout),
        };
        if matches!(outcome, Ok(_) | Err(ErrorKind::Sql)) && !live.has_ended() {
            self.live = Some(live);
        } else {
            live.lost();
        }
        Exchange {
            sent,
            ended,
            outcome,
        }
    }

    /// After a visit that failed nothing of its transaction is left. That is no request and counts as none.
    pub(in super::super) async fn visited(&mut self, is_good: bool) {
        let Some(mut live) = self.live.take() else {
            return;
        };
        let begin = Instant::now();
        if !self.work.plan.keep_alive {
            let _ = self.patience.wait(begin, live.disconnect()).await;
            return;
        }
        if !is_good {
            let rolled_back = self.patience.wait(begin, live.roll_back()).await;
            if !matches!(rolled_back, Some(Ok(()))) {
                live.lost();
                return;
            }
        }
        self.live = Some(live);
    }

    fn drop_live(&mut self) {
        if let Some(live) = self.live.take() {
            live.lost();
        }
    }
}

impl Live {
    async fn execute_step(&mut self, sql: &Sql, reply: &mut Reply) -> Result<(), Error> {
        reply.begin();
        let parameters: Vec<_> = sql.parameters.iter().cloned().map(Parameter).collect();
        let statement = &self.statements[sql.statement];
        let client = &self.client;
        let executing = async {
            let mut rows = pin!(client.query_raw(statement, &parameters).await?);
            let mut is_first = reply.wants_columns();
            while let Some(row) = rows.try_next().await? {
                if is_first {
                    take_columns(&row, reply);
                    is_first = false;
                }
            }
            reply.set_rows(rows.rows_affected().unwrap_or(0));
            Ok(())
        };
        self.driver.until(executing).await
    }

    async fn roll_back(&mut self) -> Result<(), Error> {
        let rolling_back = self.client.batch_execute("ROLLBACK");
        self.driver.until(rolling_back).await
    }
}

/// Those that can be told as text.
fn take_columns(row: &Row, reply: &mut Reply) {
    for (number, column) in row.columns().iter().enumerate() {
        if let Ok(Some(Cell(Some(text)))) = row.try_get::<_, Option<Cell>>(number) {
            reply.add_column(column.name(), text);
        }
    }
}

/// A value as text, of the types that it is known of.
struct Cell(Option<String>);

impl<'a> FromSql<'a> for Cell {
    fn from_sql(
        of: &Type,
        raw: &'a [u8],
    ) -> Result<Self, Box<dyn std::error::Error + Sync + Send>> {
        Ok(Self(text_of(of, raw)))
    }

    fn accepts(_: &Type) -> bool {
        true
    }
}

fn is_known(of: &Type) -> bool {
    const TEXTS: [Type; 5] = [
        Type::TEXT,
        Type::VARCHAR,
        Type::BPCHAR,
        Type::NAME,
        Type::UNKNOWN,
    ];
    const OTHERS: [Type; 6] = [
        Type::INT2,
        Type::INT4,
        Type::INT8,
        Type::OID,
        Type::BOOL,
        Type::UUID,
    ];
    TEXTS.contains(of) || OTHERS.contains(of)
}

/// From PostgreSQL's binary form ("Message Formats", and the types' `send` functions).
fn text_of(of: &Type, raw: &[u8]) -> Option<String> {
    if !is_known(of) {
        return None;
    }
    Some(match *of {
        Type::INT2 => i16::from_be_bytes(raw.try_into().ok()?).to_string(),
        Type::INT4 => i32::from_be_bytes(raw.try_into().ok()?).to_string(),
        Type::INT8 => i64::from_be_bytes(raw.try_into().ok()?).to_string(),
        Type::OID => u32::from_be_bytes(raw.try_into().ok()?).to_string(),
        Type::BOOL => (*raw.first()? != 0).to_string(),
        Type::UUID => {
            let hex = format!("{:032x}", u128::from_be_bytes(raw.try_into().ok()?));
            let parts = [
                &hex[..8],
                &hex[8..12],
                &hex[12..16],
                &hex[16..20],
                &hex[20..],
            ];
            parts.join("-")
        }
        _ => String::from_utf8(raw.to_vec()).ok()?,
    })
}

/// Has each statement prepared, and looks whether the steps fit it.
pub(super) async fn try_out(client: &Client, all: &[Prepared]) -> Result<(), PlanError> {
    for prepared in all {
        let field = |name: &str| format!("{}.{name}", prepared.field);
        let statement = match client.prepare(&prepared.sql).await {
            Ok(statement) => statement,
            Err(error) => {
                return wrong(&field("sql"), format!("is not taken: {}", sentence(&error)));
            }
        };
        let wanted = statement.params().len();
        if wanted != prepared.parameters {
            return wrong(
                &field("parameters"),
                format!(
                    "wants {wanted}, as many as the statement has, has {}",
                    prepared.parameters
                ),
            );
        }
        for (field, name) in &prepared.columns {
            let columns = statement.columns();
            match columns.iter().find(|column| column.name() == name) {
                Some(column) if is_known(column.type_()) => {}
                Some(column) => {
                    return wrong(
                        field,
                        format!(
                            "is of type {}: cast it to text in the statement",
                            column.type_()
                        ),
                    );
                }
                None => {
                    let names: Vec<_> = columns.iter().map(|column| column.name()).collect();
                    return wrong(
                        field,
                        format!(
                            "there is no column `{name}`; there are {}",
                            names.join(", ")
                        ),
                    );
                }
            }
        }
    }
    Ok(())
}
