//! `up`: starts the stack, prints how to reach it, and keeps it until Ctrl-C.

use std::process::ExitCode;

use pitcrew_stack::signals::Signals;
use pitcrew_stack::{Error, Options, Progress, Result, Stack};

pub(crate) fn run(arguments: &[String]) -> Result<ExitCode> {
    let mut options = Options {
        progress: Progress::Print,
        ..Options::default()
    };
    for argument in arguments {
        match argument.as_str() {
            "--no-extension" => options.extension = false,
            "--no-db" => options.postgres = false,
            "--no-redis" => options.redis = false,
            "-y" => {}
            other => {
                return Err(Error::Usage(format!(
                    "up: what is `{other}`? it takes --no-extension, --no-db, --no-redis"
                )));
            }
        }
    }
    let signals = Signals::install()?;
    let stack = Stack::start(options)?;
    println!("PITCREW_STACK={}", stack.write_description()?.display());
    if let Some(postgres) = stack.postgres() {
        postgres.create_database_from("pitcrew", pitcrew_stack::TEMPLATE)?;
        println!("DATABASE_URL={}", postgres.url("pitcrew"));
        println!("DATABASE_LOG={}", postgres.log_path().display());
    }
    if let Some(redis) = stack.redis() {
        println!("REDIS_URL={}", redis.url());
    }
    println!("Ctrl-C ends it");
    while !signals.arrived() {
        signals.wait(None);
    }
    Ok(ExitCode::SUCCESS)
}
