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

/// What has ended in one series between two folds; never nothing.
#[derive(Clone, Debug)]
#[allow(dead_code, reason = "read by objectives and verdicts")]
pub(crate) struct Difference {
    pub(crate) key: Arc<SeriesKey>,
    /// `body_end.count()` requests.
    pub(crate) sums: Sums,
}
