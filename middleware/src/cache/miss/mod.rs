//! The way to the handler and back: whoever fetches, whoever waits, what is stored.

pub(super) mod answered;
pub(super) mod fill;
pub(super) mod forward;
pub(super) mod looking;
pub(super) mod refresh;
pub(super) mod uncacheable;
pub(super) mod unread;
mod waiting;
pub(super) mod within;
