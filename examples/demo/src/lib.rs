//! The full stack on real data: a small sales-analytics service, before and after pitcrew.
//!
//! The program `demo` tells its story; as a library it is the service and its visitors, for tests.

mod app;
mod args;
mod data;
mod story;
mod visitors;

pub use app::{App, Setup, Store};
pub use args::{Args, USAGE};
pub use data::{Population, load};
pub use story::{Story, Verdict, prepare};
pub use visitors::{Answer, Client, PAST_THE_CACHE, Visit, Visitor};

/// Why the demo cannot go on; each is a sentence.
pub type Failure = Box<dyn std::error::Error + Send + Sync>;
