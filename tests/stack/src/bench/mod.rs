//! How figures are taken and written: paired rounds, their interval, servers to compare with, and the report of a suite.

pub mod choices;
mod paired;
mod report;
mod server;

pub use paired::{Interval, ROUNDS, Reading, interval, paired, quotients, rounds};
pub use report::{Figure, write};
pub use server::{HttpServer, free_address};
