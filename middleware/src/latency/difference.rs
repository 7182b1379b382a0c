//! [`Difference`]: what has ended between two folds.

use std::sync::Arc;

use super::{class::StatusClass, figures::Sums};

/// Which requests are counted together.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct SeriesKey {
    pub(crate) route: Arc<str>,
    pub(crate) method: &'static str,
    pub(crate) class: StatusClass,
}

/// What has ended in one series between two folds, that is judged by its end or by its head; never nothing.
#[derive(Clone, Debug)]
pub(crate) struct Difference {
    pub(crate) key: Arc<SeriesKey>,
    /// `body_end.count()` requests.
    pub(crate) sums: Sums,
    /// Whether objectives judge them by their head: event streams, and what its client left after the head.
    pub(crate) is_by_head: bool,
}
