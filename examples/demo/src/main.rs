//! Tells the story: `./pitcrew demo` starts it with a private PostgreSQL and Redis; `cargo run -p demo` alone runs on the
//! embedded defaults.

use std::alloc::System;
use std::process::ExitCode;

use demo::{App, Args, Failure, Story, USAGE, prepare};
use pitcrew::memory::CountingAlloc;

// Lets the memory layer tell how many bytes each route allocates.
#[global_allocator]
static ALLOC: CountingAlloc<System> = CountingAlloc::new(System);

#[tokio::main]
async fn main() -> ExitCode {
    tracing_subscriber::fmt()
        .with_env_filter("error")
        .with_writer(std::io::stderr)
        .init();
    let variable = |name: &str| std::env::var(name).ok();
    let args = match Args::parse(std::env::args().skip(1), variable) {
        Ok(args) => args,
        Err(error) => {
            eprintln!("demo: {error}\n{USAGE}");
            return ExitCode::from(2);
        }
    };
    if args.help {
        println!("{USAGE}");
        return ExitCode::SUCCESS;
    }
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

/// Tells the story and its verdict; then ends with it (`--check`), or serves until Ctrl-C.
async fn run(args: &Args) -> Result<bool, Failure> {
    if let Some(address) = args.listen {
        let setup = prepare(args).await?;
        if args.plain {
            return Err(App::serve_plain(&setup, address).await);
        }
        let app = App::start_at(&setup, axum::Router::new(), address).await?;
        return serve(&app).await;
    }
    let story = Story::begin(args).await?;
    let verdict = story.tell().await?;
    verdict.write(args.json())?;
    let holds = verdict.print();
    let app = story.app();
    if args.check {
        app.stop().await;
        return Ok(holds);
    }
    serve(app).await
}

/// Says where the service is, and goes on for ever.
async fn serve(app: &App) -> Result<bool, Failure> {
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
