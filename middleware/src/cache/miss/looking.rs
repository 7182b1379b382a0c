//! A look-up in the second level, whatever that is.

use std::{future::Future, pin::Pin, sync::Arc, time::Duration};

use crate::cache::{entry::Entry, invalidation::Position, policy::VaryNames};

/// What a look-up in L2 brought.
pub(in crate::cache) struct Found {
    pub(in crate::cache) entry: Option<Arc<Entry>>,
    /// The position when the look-up began: where it brought nothing, the request begins here.
    pub(in crate::cache) begin: Position,
    /// Where answers under this key vary: by which fields, and how long to look on.
    pub(in crate::cache) vary: Option<(VaryNames, Duration)>,
}

pub(in crate::cache) type Looking = Pin<Box<dyn Future<Output = Found> + Send>>;
