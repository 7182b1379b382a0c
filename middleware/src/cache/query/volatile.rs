//! What in a statement has another value each time, or for each session.

use sqlparser::ast::{DataType, Expr, Value};

/// Built-in functions whose value is another one each time, or another one in another session or transaction (PostgreSQL,
/// 9.9.5, 9.17, 9.27, 9.28 and pgcrypto's `gen_random_*`). A function that is not built in is taken for what it should be: the
/// page says so.
const VOLATILE: [&str; 42] = [
    "array_sample",
    "array_shuffle",
    "gen_salt",
    "set_config",
    "system_user",
    "user",
    "cursor_to_xml",
    // Of one argument it counts from today; of two it is refused along.
    "age",
    "clock_timestamp",
    "current_catalog",
    "current_database",
    "current_date",
    "current_query",
    "current_role",
    "current_schema",
    "current_schemas",
    "current_setting",
    "current_time",
    "current_timestamp",
    "current_user",
    "currval",
    "gen_random_bytes",
    "gen_random_uuid",
    "inet_client_addr",
    "inet_client_port",
    "lastval",
    "localtime",
    "localtimestamp",
    "nextval",
    "now",
    "pg_backend_pid",
    "pg_current_wal_lsn",
    "pg_sleep",
    "random",
    "random_normal",
    "session_user",
    "setseed",
    "setval",
    "statement_timestamp",
    "timeofday",
    "transaction_timestamp",
    "txid_current",
];
/// Beginnings of the names of whole families of such functions.
const VOLATILE_PREFIXES: [&str; 9] = [
    // The server's own state: locks, sessions, settings, replication, files, statistics.
    "pg_",
    "dblink",
    "lo_",
    "query_to_",
    "table_to_",
    "schema_to_",
    "txid_",
    "uuid_generate_",
    "uuidv",
];

pub(super) fn is_volatile(name: &str) -> bool {
    VOLATILE.contains(&name)
        || VOLATILE_PREFIXES
            .iter()
            .any(|prefix| name.starts_with(prefix))
}

/// Functions that the grammar lets stand without parentheses (PostgreSQL, appendix C: reserved words).
pub(super) fn is_bare_keyword(name: &str) -> bool {
    matches!(
        name,
        "current_catalog"
            | "current_date"
            | "current_role"
            | "current_schema"
            | "current_time"
            | "current_timestamp"
            | "current_user"
            | "localtime"
            | "localtimestamp"
            | "session_user"
            | "system_user"
            | "user"
    )
}

/// Words that a date or time is read by when the statement runs (PostgreSQL, 8.5.1.4).
const MOVING: [&str; 4] = ["now", "today", "tomorrow", "yesterday"];
/// Words that may stand beside them.
const OF_TIME: [&str; 6] = ["allballs", "am", "pm", "utc", "gmt", "z"];

/// A literal that is another date or time each day. Of one that is cast to such a type a word is enough. Any other may become one
/// by the column that it is compared with: it counts if it can be read as nothing else.
pub(super) fn moving_literal(expr: &Expr) -> Option<String> {
    let (value, is_time) = match expr {
        Expr::Value(value) => (&value.value, false),
        Expr::TypedString(typed) => (&typed.value.value, is_of_time(&typed.data_type)),
        Expr::Cast {
            expr, data_type, ..
        } => match &**expr {
            Expr::Value(value) => (&value.value, is_of_time(data_type)),
            _ => return None,
        },
        _ => return None,
    };
    let text = text_of(value)?;
    let lower = text.to_ascii_lowercase();
    let words = lower.split(|c: char| !c.is_ascii_alphabetic());
    let words: Vec<&str> = words.filter(|word| !word.is_empty()).collect();
    let is_moving = |word: &&str| MOVING.contains(word);
    let may_stand = |word: &&str| is_time || is_moving(word) || OF_TIME.contains(word);
    let reads_as_time = words.iter().any(is_moving) && words.iter().all(may_stand);
    reads_as_time.then(|| text.to_owned())
}

fn text_of(value: &Value) -> Option<&str> {
    match value {
        Value::SingleQuotedString(text)
        | Value::EscapedStringLiteral(text)
        | Value::UnicodeStringLiteral(text)
        | Value::NationalStringLiteral(text) => Some(text),
        Value::DollarQuotedString(text) => Some(&text.value),
        _ => None,
    }
}

/// A type that is not known may be a domain over one of them.
fn is_of_time(data_type: &DataType) -> bool {
    matches!(
        data_type,
        DataType::Date
            | DataType::Time(..)
            | DataType::Timestamp(..)
            | DataType::Datetime(..)
            | DataType::Custom(..)
    )
}
