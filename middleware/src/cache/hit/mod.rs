//! Looking into the cache in this process, and what is given from it.

pub(super) mod answer;
pub(super) mod early;
pub(super) mod look;
