//! How figures are taken and written: paired rounds, their interval, and the report of a suite.

mod paired;
mod report;

pub use paired::{Interval, ROUNDS, interval, paired};
pub use report::{Figure, write};
