//! For tests: a database and servers of a test's own, and skips that are counted.
//!
//! `./pitcrew test` starts one stack and names its description in `PITCREW_STACK`. Without it (plain `cargo test` on a machine with Rust
//! alone) a test that needs a server is skipped, and the skip is printed and counted: libtest would call it passed.
//!
//! ```no_run
//! # // The macros name their test, so they stand in one.
//! #[test]
//! fn counts_orders() {
//!     pitcrew_stack::require!(database);
//!     let database = pitcrew_stack::testing::database();
//!     database.run(&["CREATE TABLE orders (id int)"]);
//! }
//! ```

pub mod needs;

use std::fs::File;
use std::io::Write;
use std::path::Path;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::extension::Extension;
use crate::place::{Place, Slot};
use crate::postgres::{self, PgConfig, Postgres, PostgresOptions, Server};
use crate::progress::Progress;
use crate::redis::Redis;
use crate::redis_cluster::RedisCluster;
use crate::redis_sentinel::RedisSentinel;
use crate::sql;
use crate::stack::{Description, PostgresDescription};

/// Names the description of a running stack.
pub const STACK_VARIABLE: &str = "PITCREW_STACK";

/// Names the file that skips are added to, one a line: test, reason, `yes` where it is allowed under `--strict`, by tabs.
pub const SKIPS_VARIABLE: &str = "PITCREW_SKIPS";

/// The shared stack, if one runs.
///
/// # Panics
/// Where `PITCREW_STACK` is set and its file cannot be read.
#[must_use]
pub fn stack() -> Option<&'static Description> {
    static STACK: OnceLock<Option<Description>> = OnceLock::new();
    STACK
        .get_or_init(|| {
            let path = std::env::var_os(STACK_VARIABLE)?;
            match Description::read(Path::new(&path)) {
                Ok(description) => Some(description),
                Err(error) => panic!("{STACK_VARIABLE}: {error}"),
            }
        })
        .as_ref()
}

/// Why a test cannot run here.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reason {
    /// What is missing.
    pub text: String,
    /// It cannot be had for this server at all, so that it is no failure under `--strict`.
    pub allowed: bool,
}

impl Reason {
    fn no_stack() -> Self {
        Self {
            text: "no stack runs; `./pitcrew test` starts one".into(),
            allowed: false,
        }
    }
}

impl<T: Into<String>> From<T> for Reason {
    fn from(text: T) -> Self {
        Self {
            text: text.into(),
            allowed: false,
        }
    }
}

/// Ends the test as skipped, counted with its reason.
#[macro_export]
macro_rules! skip {
    ($reason:expr) => {{
        $crate::testing::record_skip(module_path!(), &$crate::testing::Reason::from($reason));
        return;
    }};
}

/// Goes on where the stack has what is named (`database`, `extension`, `statements`, `maintain`, `not_null_constraints`, `older_server`,
/// `redis`, `browser`, `python`), else skips the test.
#[macro_export]
macro_rules! require {
    ($($need:ident),+ $(,)?) => {
        $(if let Some(reason) = $crate::testing::needs::$need() {
            $crate::testing::record_skip(module_path!(), &reason);
            return;
        })+
    };
}

/// Counts and prints a skip. Called by the macros.
pub fn record_skip(module: &str, reason: &Reason) {
    static SKIPPED: AtomicU64 = AtomicU64::new(0);
    let count = SKIPPED.fetch_add(1, Ordering::Relaxed) + 1;
    let thread = std::thread::current();
    let krate = module.split("::").next().unwrap_or(module);
    let test = format!("{krate}::{}", thread.name().unwrap_or("?"));
    // libtest captures what `eprintln!` prints in a test that passes, but not this.
    let _ = writeln!(
        std::io::stderr(),
        "skipped ({count} in this binary): {test}: {}",
        reason.text
    );
    if let Some(path) = std::env::var_os(SKIPS_VARIABLE) {
        let line = format!(
            "{test}\t{}\t{}\n",
            reason.text,
            if reason.allowed { "yes" } else { "no" }
        );
        // One write of a short line at the end of a file is whole, also between processes.
        let written = File::options()
            .create(true)
            .append(true)
            .open(&path)
            .and_then(|mut file| file.write_all(line.as_bytes()));
        if let Err(error) = written {
            panic!("cannot count a skip in {}: {error}", path.display());
        }
    }
}

/// A database of a test's own, dropped at its end.
#[derive(Debug)]
pub struct TestDatabase {
    /// The superuser's URL.
    pub url: String,
    /// Its name.
    pub name: String,
    postgres: &'static PostgresDescription,
}

/// Clones the template (with the extension) into a fresh database.
///
/// # Panics
/// Where no stack runs (call `require!(database)` first), or the server fails.
#[must_use]
pub fn database() -> TestDatabase {
    static NEXT: AtomicU64 = AtomicU64::new(1);
    let postgres = described();
    let name = format!(
        "test_{}_{}",
        std::process::id(),
        NEXT.fetch_add(1, Ordering::Relaxed)
    );
    let admin = postgres::socket_url(&postgres.socket_dir, postgres.port, "postgres", "postgres");
    fine(postgres::create_database(&admin, &name, &postgres.template));
    let url = format!(
        "postgresql://postgres:{}@127.0.0.1:{}/{name}",
        postgres.password, postgres.port
    );
    TestDatabase {
        url,
        name,
        postgres,
    }
}

impl TestDatabase {
    /// The URL for another role, through the socket, where no password is asked.
    #[must_use]
    pub fn url_as(&self, role: &str) -> String {
        postgres::socket_url(
            &self.postgres.socket_dir,
            self.postgres.port,
            role,
            &self.name,
        )
    }

    /// Runs statements as the superuser; answers the last one's rows as text.
    ///
    /// # Panics
    /// Where one fails.
    pub fn run(&self, statements: &[&str]) -> Vec<Vec<Option<String>>> {
        fine(sql::run(&self.url_as("postgres"), statements))
    }
}

impl Drop for TestDatabase {
    fn drop(&mut self) {
        let admin = postgres::socket_url(
            &self.postgres.socket_dir,
            self.postgres.port,
            "postgres",
            "postgres",
        );
        // The stack's end removes it too.
        let _ = postgres::drop_database(&admin, &self.name);
    }
}

/// A Redis of the test's own.
///
/// # Panics
/// Where no stack runs (call `require!(redis)` first), or it does not start.
#[must_use]
pub fn redis() -> Redis {
    fine(Redis::start(&slot(), redis_program()))
}

fn redis_program() -> &'static Path {
    let Some(stack) = stack() else {
        panic!("{}", Reason::no_stack().text)
    };
    match &stack.redis_program {
        Some(program) => program,
        None => panic!("the stack was started without Redis"),
    }
}

/// A Redis Cluster of the test's own: three masters, with a replica each where that is asked for.
///
/// # Panics
/// As [`redis`].
#[must_use]
pub fn redis_cluster(has_replicas: bool) -> RedisCluster {
    let start = if has_replicas {
        RedisCluster::start_with_replicas
    } else {
        RedisCluster::start
    };
    fine(start(&slot(), redis_program()))
}

/// A master with a replica and sentinels, all the test's own.
///
/// # Panics
/// As [`redis`].
#[must_use]
pub fn redis_sentinel() -> RedisSentinel {
    fine(RedisSentinel::start(&slot(), redis_program()))
}

/// A Redis of the test's own that also listens with TLS, on the port that is answered. All are PEM texts.
///
/// # Panics
/// As [`redis`].
#[must_use]
pub fn redis_with_tls(certificate: &str, key: &str, authority: &str) -> (Redis, u16) {
    fine(Redis::start_with_tls(
        &slot(),
        redis_program(),
        [certificate, key, authority],
    ))
}

/// A whole Postgres of the test's own, for tests that kill or restart it; about half a second.
///
/// # Panics
/// As [`redis`].
#[must_use]
pub fn postgres(options: PostgresOptions) -> Postgres {
    fine(Postgres::start(&slot(), server(), options))
}

/// The stack's server tree, with the extension installed.
///
/// # Panics
/// Where no stack runs.
#[must_use]
pub fn server() -> &'static Server {
    &described().server
}

/// An older server that is installed here, with the extension compiled for it; the newest there is. Compiling takes
/// minutes where the tests have not run on that version before.
///
/// # Panics
/// Where no stack runs, or it cannot be prepared.
#[must_use]
pub fn older_server() -> Option<Server> {
    let Some(stack) = stack() else {
        panic!("{}", Reason::no_stack().text)
    };
    let newest = server().pg_config.major;
    let older = PgConfig::all()
        .into_iter()
        .filter(|found| found.major < newest && found.is_complete())
        .max_by_key(|found| found.major)?;
    let place = fine(Place::open(&stack.checkout));
    let server = fine(Server::prepare(&place, older, Progress::Quiet));
    let extension = Extension::build(&stack.checkout, &server.pg_config, Progress::Quiet);
    fine(fine(extension).install(&server));
    Some(server)
}

/// The same server with another system identifier: clusters of [`server`] are copies of one, as a snapshot of a disk is.
///
/// # Panics
/// Where no stack runs, or it cannot be prepared.
#[must_use]
pub fn another_server() -> Server {
    let Some(stack) = stack() else {
        panic!("{}", Reason::no_stack().text)
    };
    let place = fine(Place::open(&stack.checkout));
    let same = server().pg_config.clone();
    let extension = fine(Extension::of_build(&stack.checkout, &same));
    let other = fine(Server::prepare_apart(
        &place,
        same,
        "other",
        Progress::Quiet,
    ));
    fine(extension.install(&other));
    other
}

/// This process's slot beside the stack's.
///
/// # Panics
/// Where it cannot be had.
#[must_use]
pub fn slot() -> std::sync::Arc<Slot> {
    let Some(stack) = stack() else {
        panic!("{}", Reason::no_stack().text)
    };
    fine(Place::open(&stack.checkout).and_then(|place| Slot::of_this_process(&place)))
}

fn described() -> &'static PostgresDescription {
    match stack().and_then(|stack| stack.postgres.as_ref()) {
        Some(postgres) => postgres,
        None => panic!("{}", Reason::no_stack().text),
    }
}

fn fine<T>(result: crate::Result<T>) -> T {
    match result {
        Ok(value) => value,
        Err(error) => panic!("{error}"),
    }
}
