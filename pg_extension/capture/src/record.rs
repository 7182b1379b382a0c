//! What is known of one execution.

use crate::{Key, Packed, Typed};

/// How an execution ended.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Ended {
    /// It was run to its end, or as far as the client wanted.
    #[default]
    Ok,
    /// It raised an error, or its portal was open when its transaction was undone.
    Failed,
    /// It was cancelled, timed out, or its session was terminated.
    Cancelled,
}

impl Ended {
    /// As the views show it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Failed => "failed",
            Self::Cancelled => "cancelled",
        }
    }

    pub(crate) fn number(self) -> u8 {
        match self {
            Self::Ok => 0,
            Self::Failed => 1,
            Self::Cancelled => 2,
        }
    }

    pub(crate) fn from_number(number: u8) -> Self {
        match number {
            0 => Self::Ok,
            1 => Self::Failed,
            _ => Self::Cancelled,
        }
    }
}

/// Blocks of 8 KiB that an execution touched.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(C)]
pub struct Blocks {
    /// Found in shared buffers.
    pub hit: u64,
    /// Read into them.
    pub read: u64,
    /// Made dirty there.
    pub dirtied: u64,
    /// Written by this execution itself.
    pub written: u64,
    /// Of temporary files, read.
    pub temp_read: u64,
    /// Of temporary files, written.
    pub temp_written: u64,
}

/// What one execution took.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Measured {
    /// How it ended.
    pub ended: Ended,
    /// Nanoseconds; 0 where they are not known.
    pub ns: u64,
    /// Rows that were answered or written.
    pub rows: u64,
    /// Blocks.
    pub blocks: Blocks,
}

/// One execution, ready to be kept.
#[derive(Clone, Copy, Debug, Default)]
pub struct Record<'a> {
    /// Whose statement.
    pub key: Key,
    /// What it took.
    pub measured: Measured,
    /// Rows and blocks are known: not so where it was swept.
    pub is_measured: bool,
    /// When the statement began, in microseconds of the server's epoch.
    pub started_at: i64,
    /// Hash of the plan's shape; 0 where it is not known.
    pub shape: u64,
    /// The text, as it was sent.
    pub text: &'a [u8],
    /// `search_path` it ran under, as it was set; `None` where that is not known.
    pub search_path: Option<&'a [u8]>,
    /// The parameters.
    pub values: Packed<'a>,
    /// Literals stay in the text, and values are kept.
    pub keep_literals: bool,
}

/// One execution, read back.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Captured {
    /// Whose statement.
    pub key: Key,
    /// Its place in the order in which executions were kept, from 1.
    pub number: u64,
    /// What it took.
    pub measured: Measured,
    /// Rows and blocks are known.
    pub is_measured: bool,
    /// When the statement began, in microseconds of the server's epoch.
    pub started_at: i64,
    /// Hash of the plan's shape; 0 where it is not known.
    pub shape: u64,
    /// The text.
    pub text: Vec<u8>,
    /// Literals were taken out before it was kept, and so were values.
    pub is_without_literals: bool,
    /// `search_path` it ran under.
    pub search_path: Option<Vec<u8>>,
    /// Types and bytes of the parameters.
    pub values: Vec<Typed>,
}
