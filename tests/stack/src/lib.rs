//! The ground that tests and the demo stand on: a private PostgreSQL with the extension and a private Redis, started
//! without root and without touching the machine's own servers, and gone without a trace afterwards.
//!
//! - [`Stack`] starts both; [`Postgres`] and [`Redis`] can be had one by one, any number of them.
//! - [`testing`] gives a test a database or a server of its own and counts what was skipped.
//!
//! # What is where
//! One folder below the temporary directory a user and checkout ([`Place`]): copied server trees, and a slot a live process ([`Slot`]).
//! Only the user that servers run as and root may enter a server's folder.

mod account;
pub mod bench;
pub mod error;
pub mod extension;
mod files;
pub mod hostile;
pub mod install_sql;
mod place;
pub mod postgres;
pub mod process;
pub mod progress;
mod random;
pub mod redis;
mod redis_cluster;
mod redis_sentinel;
pub mod signals;
pub mod sql;
mod stack;
mod suites;
pub mod testing;

pub use account::Account;
pub use error::{Error, Result};
pub use extension::Extension;
pub use files::replace_world_readable as replace_file;
pub use place::{Place, Slot, checkout};
pub use postgres::{PgConfig, Postgres, PostgresOptions, Server};
pub use progress::Progress;
pub use redis::Redis;
pub use redis_cluster::RedisCluster;
pub use redis_sentinel::RedisSentinel;
pub use stack::{Description, Options, PostgresDescription, Stack, TEMPLATE};
pub use suites::{fetch_tests, find_or_fetch_major, find_or_fetch_newest};
