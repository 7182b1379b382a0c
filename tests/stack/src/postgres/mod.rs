//! A private PostgreSQL: a copied server tree ([`Server`]) and clusters that run from it ([`Postgres`]).

mod cluster;
mod config;
mod loader;
mod server;

pub use cluster::{Postgres, PostgresOptions};
pub(crate) use cluster::{create_database, drop_database, socket_url};
pub use server::{MAJORS, PgConfig, Server};
