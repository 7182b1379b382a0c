//! Why a statement's rows are not cached.

use std::fmt;

use crate::sql::MAX_TEXT_BYTES;

/// Why a statement's rows are not cached.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Refusal {
    /// The text is longer than 64 KiB.
    TooLong,
    /// It cannot be read as one statement of PostgreSQL.
    NotReadable,
    /// It is more than one statement.
    Several,
    /// It is no `SELECT`, `VALUES` or `TABLE`, or it writes in a `WITH`.
    Writes,
    /// It takes row locks, which only the database can give.
    Locks,
    /// It calls this function, whose value is another one each time or for each session.
    Volatile(String),
    /// There is no such region.
    Region(String),
    /// It has this literal, which is another date or time each day.
    Literal(String),
    /// Its region has no TTL, and nothing else says how long rows are good for.
    NoTtl,
    /// A table has more parts in its name than schema and name.
    TableName(String),
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TooLong => write!(f, "the text is longer than {MAX_TEXT_BYTES} bytes"),
            Self::NotReadable => f.write_str("it cannot be read as a statement of PostgreSQL"),
            Self::Several => f.write_str("it is more than one statement"),
            Self::Writes => f.write_str("it is no plain SELECT, or writes in its WITH"),
            Self::Locks => f.write_str("it locks rows (FOR UPDATE, FOR SHARE)"),
            Self::Volatile(name) => {
                write!(
                    f,
                    "it calls {name}(), which is another value each time or session"
                )
            }
            Self::Region(name) => write!(
                f,
                "there is no region `{name}`: name one that is, or add it to the builder"
            ),
            Self::Literal(text) => write!(
                f,
                "its literal '{text}' is another time each day: give the time itself as a parameter"
            ),
            Self::NoTtl => f.write_str("its region has no TTL: set one with Region::ttl"),
            Self::TableName(name) => write!(f, "the table name {name} has too many parts"),
        }
    }
}
