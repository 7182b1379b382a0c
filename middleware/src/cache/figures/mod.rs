//! What is counted, and how it is told: by region, route and reason.

pub(super) mod count;
pub(super) mod series;
pub(super) mod stats;
pub(super) mod tally;
