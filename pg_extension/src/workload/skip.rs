//! Statements that are left out.

/// Why a statement is not planned. A clause that reads on after "skipped:".
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Skip {
    /// A reason to show.
    Because(String),
    /// A statement on system catalogues or pitcrew's own tables: not part of the workload at all.
    System,
}

impl Skip {
    pub(super) fn because(reason: impl Into<String>) -> Self {
        Self::Because(reason.into())
    }
}
