//! The consistency checker: a world, and the history that it leaves.

mod history;
mod world;

pub(crate) use self::{history::History, world::World};
