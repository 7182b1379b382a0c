//! The full stack on real data: a small sales-analytics service, before and after pitcrew.
//!
//! `./pitcrew demo` starts it with a private PostgreSQL and Redis; `cargo run -p demo` alone runs on the embedded defaults.

mod app;
mod args;
mod data;
mod story;
mod visitors;

use std::alloc::System;
use std::process::ExitCode;

use pitcrew::memory::CountingAlloc;

use crate::args::Args;
use crate::story::Story;

// Lets the memory layer tell how many bytes each route allocates.
#[global_allocator]
static ALLOC: CountingAlloc<System> = CountingAlloc::new(System);

/// Why the demo cannot go on; each is a sentence.
pub(crate) type Failure = Box<dyn std::error::Error + Send + Sync>;

#[tokio::main]
async fn main() -> ExitCode {
    tracing_subscriber::fmt()
        .with_env_filter("error")
        .with_writer(std::io::stderr)
        .init();
    let args = match Args::parse(std::env::args().skip(1)) {
        Ok(args) => args,
        Err(error) => {
            eprintln!("demo: {error}\n{}", args::USAGE);
            return ExitCode::from(2);
        }
    };
    let told = tokio::select! {
        told = run(&args) => told,
        _ = tokio::signal::ctrl_c() => {
            println!("\nStopped.");
            return if args.check { ExitCode::FAILURE } else { ExitCode::SUCCESS };
        }
    };
    match told {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("demo: {error}");
            ExitCode::FAILURE
        }
    }
}

/// Tells the story; then ends with a verdict (`--check`), or serves until Ctrl-C.
async fn run(args: &Args) -> Result<bool, Failure> {
    let (story, app) = Story::begin(args).await?;
    let verdict = story.tell().await?;
    verdict.write(args.json.as_deref())?;
    if args.check {
        app.stop().await;
        return Ok(verdict.print());
    }
    println!();
    println!(
        "The service goes on at http://{}, until Ctrl-C. For example:",
        app.address
    );
    println!("  curl -i http://{}/customers/1/orders", app.address);
    println!(
        "  curl -H 'Authorization: Bearer {}' http://{}/performance/status",
        app.token, app.address
    );
    std::future::pending().await
}
