//! One session: what it sends, and what it was answered.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use bytes::Bytes;
use futures_util::SinkExt as _;
use tokio::task::JoinHandle;
use tokio_postgres::error::DbError;
use tokio_postgres::{Client, NoTls};

use super::stream::{How, Sent};

/// Statements that are remembered, for the moment in which the server is gone.
const LAST: usize = 5;
/// How much of a statement is shown.
const SHOWN: usize = 400;
/// Different messages that are kept apart; more are one.
const MESSAGES: usize = 100;
/// Far above every timeout that the sessions have: what takes longer does not listen to cancels.
const PATIENCE: Duration = Duration::from_secs(60);
/// Between two tries to connect while the server recovers.
const CONNECT_AGAIN: Duration = Duration::from_millis(20);

/// Where an internal error (class XX) comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// Raised by a file of the extension.
    Extension,
    /// Raised by the server while it ran a function of the extension.
    Called,
    /// Raised by the server in a statement that calls none.
    Server,
}

/// A session that ended otherwise than with what an administrator's command says to the client.
#[derive(Clone, Debug)]
pub struct Lost {
    /// Its server process, to look it up in the log: a client that was writing does not see what it was told.
    pub pid: i32,
    /// Its last statements.
    pub statements: String,
}

/// What a session was answered.
#[derive(Debug, Default)]
pub struct Trace {
    /// Statements that were sent.
    pub statements: u64,
    /// Answers by SQLSTATE; `00000` is success.
    pub codes: BTreeMap<String, u64>,
    /// By function: calls that it was reached by, and those that succeeded.
    pub calls: Vec<[u64; 2]>,
    /// Internal errors: how many, and a statement that had one.
    pub internal: BTreeMap<(Kind, String), (u64, String)>,
    /// Statements during which the connection ended without a word, or with that of a crash.
    pub lost: Vec<Lost>,
    /// Statements that did not end, although their timeout had come.
    pub stuck: Vec<String>,
    last: VecDeque<String>,
}

impl Trace {
    pub(super) fn of(functions: usize) -> Self {
        Self {
            calls: vec![[0; 2]; functions],
            ..Self::default()
        }
    }

    fn count(&mut self, code: &str, sent: &Sent) {
        *self.codes.entry(code.to_owned()).or_default() += 1;
        let Some(calls) = sent.function.and_then(|number| self.calls.get_mut(number)) else {
            return;
        };
        // In a transaction that failed, without the right, without the function, without a session: it was not reached.
        if !["25P02", "42501", "42883", "3F000"].contains(&code) && !code.starts_with("57P") {
            calls[0] += 1;
            calls[1] += u64::from(code == "00000");
        }
    }

    fn note_internal(&mut self, error: &DbError, sent: &Sent) {
        let file = error.file().unwrap_or_default();
        let kind = kind_of(file, sent.text.contains("pitcrew."));
        let mut message = format!(
            "{} ({file}, {})",
            without_numbers(error.message()),
            error.routine().unwrap_or_default()
        );
        if self.internal.len() >= MESSAGES {
            message = "(more)".into();
        }
        let example = || (0, shown(&sent.text));
        self.internal
            .entry((kind, message))
            .or_insert_with(example)
            .0 += 1;
    }

    /// Adds what another one was answered.
    pub(super) fn add(&mut self, other: Self) {
        self.statements += other.statements;
        for (code, count) in other.codes {
            *self.codes.entry(code).or_default() += count;
        }
        for (calls, more) in self.calls.iter_mut().zip(other.calls) {
            calls[0] += more[0];
            calls[1] += more[1];
        }
        for (key, (count, example)) in other.internal {
            self.internal.entry(key).or_insert((0, example)).0 += count;
        }
        self.lost.extend(other.lost);
        self.stuck.extend(other.stuck);
    }
}

/// By the file that raised an error, and whether the statement calls the extension.
pub(super) fn kind_of(file: &str, calls: bool) -> Kind {
    if file.ends_with(".rs") {
        Kind::Extension
    } else if calls {
        Kind::Called
    } else {
        Kind::Server
    }
}

/// A message as its kind: every number is `#`.
pub(super) fn without_numbers(message: &str) -> String {
    let mut text = String::new();
    for letter in message.chars().take(300) {
        let letter = if letter.is_ascii_digit() { '#' } else { letter };
        if letter != '#' || !text.ends_with('#') {
            text.push(letter);
        }
    }
    text
}

fn shown(text: &str) -> String {
    text.chars().take(SHOWN).collect()
}

/// A connection.
struct Open {
    client: Client,
    /// What reads from it.
    driver: JoinHandle<Result<(), tokio_postgres::Error>>,
    /// Its server process.
    pid: i32,
}

async fn connect(url: &str) -> Result<Open, tokio_postgres::Error> {
    let begin = std::time::Instant::now();
    loop {
        match open(url).await {
            Err(_) if begin.elapsed() < PATIENCE => tokio::time::sleep(CONNECT_AGAIN).await,
            other => return other,
        }
    }
}

async fn open(url: &str) -> Result<Open, tokio_postgres::Error> {
    let (client, connection) = tokio_postgres::connect(url, NoTls).await?;
    let driver = tokio::spawn(connection);
    let pid = client.query_one("SELECT pg_backend_pid()", &[]).await?;
    Ok(Open {
        pid: pid.get(0),
        client,
        driver,
    })
}

async fn send(client: &Client, sent: &Sent) -> Result<(), tokio_postgres::Error> {
    match sent.how {
        How::Simple => client.batch_execute(&sent.text).await,
        How::Extended => client.query(&sent.text, &[]).await.map(drop),
        How::CopyIn => {
            let sink = client.copy_in::<_, Bytes>(&sent.text).await?;
            let mut sink = std::pin::pin!(sink);
            for row in ["2001\t1\n", "2002\t\\N\n"] {
                sink.send(Bytes::from_static(row.as_bytes())).await?;
            }
            // Half of the streams end with a row that is none.
            if sent.text.contains("no_log") || sent.text.contains("line") {
                sink.send(Bytes::from_static(b"not a number\n")).await?;
            }
            sink.finish().await.map(drop)
        }
    }
}

/// Sends what `stream` has until it ends or `go_on` says so.
pub(super) async fn run(
    url: &str,
    functions: usize,
    stream: impl Iterator<Item = Sent>,
    go_on: impl Fn() -> bool,
) -> Result<Trace, tokio_postgres::Error> {
    let mut trace = Trace::of(functions);
    let mut open = connect(url).await?;
    for sent in stream {
        if !go_on() {
            break;
        }
        if trace.last.len() == LAST {
            trace.last.pop_front();
        }
        trace.last.push_back(shown(&sent.text));
        trace.statements += 1;
        let mut fatal = None;
        match tokio::time::timeout(PATIENCE, send(&open.client, &sent)).await {
            Ok(Ok(())) => trace.count("00000", &sent),
            Ok(Err(error)) => match error.as_db_error() {
                Some(db) => {
                    let code = db.code().code().to_owned();
                    trace.count(&code, &sent);
                    if code.starts_with("XX") {
                        trace.note_internal(db, &sent);
                    }
                    if code == "25P02" {
                        // Whether that works too is seen by what comes next.
                        let _ = open.client.batch_execute("ROLLBACK").await;
                    }
                    fatal = (db.severity() == "FATAL").then_some(code);
                    // The client does not find its way back from a COPY that failed in the middle.
                    if sent.how == How::CopyIn && fatal.is_none() {
                        open = connect(url).await?;
                    }
                }
                None => trace.count("client", &sent),
            },
            Err(_) => {
                trace.stuck.push(shown(&sent.text));
                let _ = open.client.cancel_token().cancel_query(NoTls).await;
                open = connect(url).await?;
            }
        }
        if open.client.is_closed() {
            let ended = open.driver.await;
            if let Ok(Err(error)) = ended {
                let code = error.as_db_error().map(|db| db.code().code().to_owned());
                fatal = Some(code.unwrap_or_else(|| error.to_string()));
            }
            // Terminated by an administrator, or with its database.
            if fatal.as_deref() != Some("57P01") {
                let last: Vec<String> = trace.last.iter().cloned().collect();
                trace.lost.push(Lost {
                    pid: open.pid,
                    statements: format!("{fatal:?}: {}", last.join("\n        ")),
                });
            }
            open = connect(url).await?;
        }
    }
    Ok(trace)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_are_told_apart_by_words_and_not_by_numbers() {
        assert_eq!(
            without_numbers("cache lookup failed for relation 16384 of 3"),
            "cache lookup failed for relation # of #"
        );
        assert_eq!(kind_of("src/explain_with.rs", true), Kind::Extension);
        assert_eq!(kind_of("relcache.c", true), Kind::Called);
        assert_eq!(kind_of("relcache.c", false), Kind::Server);
    }

    #[test]
    fn a_call_counts_only_where_the_function_was_reached() {
        let sent = Sent {
            text: String::new(),
            how: How::Simple,
            function: Some(0),
        };
        let mut trace = Trace::of(1);
        for code in ["00000", "22023", "25P02", "42501", "57P01"] {
            trace.count(code, &sent);
        }
        assert_eq!(trace.calls, [[2, 1]]);
        let mut sum = Trace::of(1);
        sum.add(trace);
        assert_eq!(sum.calls, [[2, 1]]);
        assert_eq!(sum.codes["25P02"], 1);
    }
}
