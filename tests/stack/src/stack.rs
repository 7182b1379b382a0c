//! The whole stack: Postgres with the extension, and Redis, in one slot.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};
use crate::extension::Extension;
use crate::place::{self, Place, Slot};
use crate::postgres::{PgConfig, Postgres, PostgresOptions, Server};
use crate::progress::Progress;
use crate::redis::{self, Redis};
use crate::sql;

/// The database that fresh ones are cloned from: it has `pg_stat_statements` and the extension.
pub const TEMPLATE: &str = "pitcrew_template";

/// What a stack is made of.
#[derive(Clone, Debug)]
pub struct Options {
    /// Which server; `None` looks for one ([`PgConfig::find`]).
    pub pg_config: Option<PgConfig>,
    /// Start a Postgres at all; on by default.
    pub postgres: bool,
    /// Build the extension and preload it; on by default.
    pub extension: bool,
    /// Start a Redis; on by default.
    pub redis: bool,
    /// Keep `fsync` on: for measurements; off by default.
    pub durable: bool,
    /// The checkout whose extension is built; by default this one.
    pub checkout: PathBuf,
    /// Show steps; quiet by default.
    pub progress: Progress,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            pg_config: None,
            postgres: true,
            extension: true,
            redis: true,
            durable: false,
            checkout: place::checkout(),
            progress: Progress::Quiet,
        }
    }
}

/// A running stack; ended and removed when dropped.
///
/// ```no_run
/// use pitcrew_stack::{Options, Stack};
///
/// let stack = Stack::start(Options { extension: false, ..Options::default() })?;
/// let postgres = stack.postgres().expect("asked for");
/// postgres.create_database("shop")?;
/// println!("{}", postgres.url("shop"));
/// # Ok::<(), pitcrew_stack::Error>(())
/// ```
#[derive(Debug)]
pub struct Stack {
    // Dropped in this order: servers first, the slot they live in last.
    postgres: Option<Postgres>,
    redis: Option<Redis>,
    redis_program: Option<PathBuf>,
    extension: bool,
    statements: bool,
    checkout: PathBuf,
    slot: Arc<Slot>,
}

impl Stack {
    /// Prepares, builds and starts what the options ask for. Seconds when warm.
    ///
    /// # Errors
    /// [`Error::Missing`] where a server is not installed, [`Error::Program`] where the build fails,
    /// [`Error::Start`] where a server ends at once.
    #[expect(
        clippy::needless_pass_by_value,
        reason = "options are made for one call"
    )]
    pub fn start(options: Options) -> Result<Self> {
        let progress = options.progress;
        let place = Place::open(&options.checkout)?;
        let swept = place.sweep()?;
        if swept > 0 {
            progress.say(format!(
                "ended {swept} processes that a killed run had left"
            ));
        }
        let slot = Arc::new(place.slot()?);
        let mut stack = Self {
            postgres: None,
            redis: None,
            redis_program: None,
            extension: options.postgres && options.extension,
            statements: false,
            checkout: options.checkout.clone(),
            slot,
        };
        if options.postgres {
            let pg_config = options.pg_config.clone().map_or_else(PgConfig::find, Ok)?;
            let server = Server::prepare(&place, pg_config, progress)?;
            let mut setup = PostgresOptions::default();
            if options.extension {
                Extension::build(&options.checkout, &server.pg_config, progress)?
                    .install(&server)?;
                setup = PostgresOptions::with_extension(&server);
            }
            setup.durable = options.durable;
            let postgres = progress.step(format!("start {}", server.pg_config.version), || {
                let postgres = Postgres::start(&stack.slot, &server, setup)?;
                stack.statements = make_template(&postgres, options.extension)?;
                Ok::<_, Error>(postgres)
            })?;
            stack.postgres = Some(postgres);
        }
        if options.redis {
            let program = redis::prepare(&place)?;
            stack.redis =
                Some(progress.step("start Redis", || Redis::start(&stack.slot, &program))?);
            stack.redis_program = Some(program);
        }
        Ok(stack)
    }

    /// The private Postgres, where one was asked for.
    #[must_use]
    pub fn postgres(&self) -> Option<&Postgres> {
        self.postgres.as_ref()
    }

    /// The private Postgres, to stop, kill or restart it.
    pub fn postgres_mut(&mut self) -> Option<&mut Postgres> {
        self.postgres.as_mut()
    }

    /// The private Redis, where one was asked for.
    #[must_use]
    pub fn redis(&self) -> Option<&Redis> {
        self.redis.as_ref()
    }

    /// The private Redis, to kill or pause it.
    pub fn redis_mut(&mut self) -> Option<&mut Redis> {
        self.redis.as_mut()
    }

    /// The slot, in which further servers can be started.
    #[must_use]
    pub fn slot(&self) -> &Arc<Slot> {
        &self.slot
    }

    /// What other processes need to know to use this stack.
    #[must_use]
    pub fn describe(&self) -> Description {
        Description {
            checkout: self.checkout.clone(),
            program: std::env::current_exe().unwrap_or_default(),
            postgres: self.postgres.as_ref().map(|postgres| PostgresDescription {
                server: postgres.server().clone(),
                socket_dir: postgres.socket_dir().to_path_buf(),
                port: postgres.port(),
                password: postgres.password().to_owned(),
                template: TEMPLATE.to_owned(),
                extension: self.extension,
                statements: self.statements,
            }),
            redis_program: self.redis_program.clone(),
            redis_url: self.redis.as_ref().map(Redis::url),
        }
    }

    /// Writes the description where `PITCREW_STACK` can point to, readable by this user alone (it holds a password); answers the file.
    ///
    /// # Errors
    /// [`Error::Io`].
    pub fn write_description(&self) -> Result<PathBuf> {
        let path = self.slot.path().join("stack.json");
        let text = serde_json::to_vec_pretty(&self.describe()).map_err(|error| Error::Format {
            path: path.clone(),
            detail: error.to_string(),
        })?;
        crate::files::replace(&path, &text, 0o600)?;
        Ok(path)
    }
}

/// Makes the template database; answers whether it has `pg_stat_statements`.
fn make_template(postgres: &Postgres, extension: bool) -> Result<bool> {
    postgres.create_database(TEMPLATE)?;
    let statements = postgres.server().has_extension("pg_stat_statements");
    if statements && extension {
        postgres.run(TEMPLATE, &["CREATE EXTENSION pg_stat_statements"])?;
    }
    if extension {
        postgres.run(TEMPLATE, &["CREATE EXTENSION pg_pitcrew"])?;
    }
    // Nobody works in it, so that it can be cloned at any moment; workers of the extension stay out of templates.
    let name = sql::identifier(TEMPLATE);
    postgres.run(
        "postgres",
        &[&format!(
            "ALTER DATABASE {name} IS_TEMPLATE true ALLOW_CONNECTIONS false"
        )],
    )?;
    Ok(statements && extension)
}

/// A running stack, as its JSON file tells it.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Description {
    /// The checkout that it was started from.
    pub checkout: PathBuf,
    /// The program that started it; its other verbs can be tried with it.
    pub program: PathBuf,
    /// The Postgres, if one runs.
    pub postgres: Option<PostgresDescription>,
    /// The copied Redis program, if Redis is there.
    pub redis_program: Option<PathBuf>,
    /// The shared Redis's URL.
    pub redis_url: Option<String>,
}

/// How to reach a running Postgres, and how to start another one like it.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct PostgresDescription {
    /// The prepared server tree.
    pub server: Server,
    /// The folder of its socket.
    pub socket_dir: PathBuf,
    /// Its port, of the socket and on 127.0.0.1.
    pub port: u16,
    /// The superuser's password on 127.0.0.1.
    pub password: String,
    /// The database to clone.
    pub template: String,
    /// Whether the extension is installed and preloaded.
    pub extension: bool,
    /// Whether `pg_stat_statements` is there.
    pub statements: bool,
}

impl Description {
    /// Reads a description.
    ///
    /// # Errors
    /// [`Error::Io`], [`Error::Format`].
    pub fn read(path: &Path) -> Result<Self> {
        let text = fs::read(path).map_err(Error::io("read", path))?;
        serde_json::from_slice(&text).map_err(|error| Error::Format {
            path: path.to_path_buf(),
            detail: error.to_string(),
        })
    }
}
