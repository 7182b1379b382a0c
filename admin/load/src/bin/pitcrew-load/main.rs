//! `pitcrew-load`: the load tester on the command line.
//!
//! Exit codes: 0 all thresholds held, 1 one did not, 2 the plan or the target is wrong, 3 the tester itself was late, so that
//! nothing can be said, 130 interrupted.

mod arguments;
mod search;
mod show;

use std::process::ExitCode;

use clap::Parser;
use pitcrew_load::{Report, Target, Verdict, contradiction, start};

use self::arguments::Arguments;

const BROKEN: u8 = 1;
const WRONG: u8 = 2;
const LATE: u8 = 3;
const INTERRUPTED: u8 = 130;

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    match run(&arguments) {
        Ok(code) => ExitCode::from(code),
        Err(message) => {
            eprintln!("pitcrew-load: {message}");
            ExitCode::from(WRONG)
        }
    }
}

fn run(arguments: &Arguments) -> Result<u8, String> {
    let (target, plan) = arguments.target_and_plan()?;
    plan.check().map_err(|error| error.to_string())?;
    if let Some((one, other)) = contradiction(&arguments.thresholds) {
        return Err(format!("no run can keep both `{one}` and `{other}`"));
    }
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| error.to_string())?;
    runtime.block_on(async {
        reachable(&target).await?;
        if arguments.capacity {
            return search::run(arguments, &plan, &target).await;
        }
        let run = start("command-line", &plan, &target).map_err(|error| error.to_string())?;
        let (report, is_interrupted) = tokio::select! {
            report = run.finished() => (report.clone(), false),
            () = interrupted() => {
                run.cancel();
                (run.finished().await.clone(), true)
            }
        };
        let verdicts: Vec<_> = arguments
            .thresholds
            .iter()
            .map(|threshold| threshold.judge(&report))
            .collect();
        print!("{}", show::markdown(&report, &verdicts));
        if let Some(path) = &arguments.json {
            let text = show::json(&report, &verdicts)?;
            std::fs::write(path, text)
                .map_err(|error| format!("cannot write {}: {error}", path.display()))?;
        }
        Ok(code(&report, &verdicts, is_interrupted))
    })
}

fn code(report: &Report, verdicts: &[Verdict], is_interrupted: bool) -> u8 {
    if is_interrupted {
        INTERRUPTED
    } else if report.generator_limited.is_some() {
        LATE
    } else if verdicts.iter().any(|verdict| !verdict.holds) {
        BROKEN
    } else {
        0
    }
}

/// An unreachable target is known within a second, and with the reason.
async fn reachable(target: &Target) -> Result<(), String> {
    let limit = std::time::Duration::from_secs(1);
    let connecting = tokio::net::TcpStream::connect(target.address());
    match tokio::time::timeout(limit, connecting).await {
        Ok(Ok(_)) => Ok(()),
        Ok(Err(error)) => Err(format!("cannot connect to {}: {error}", target.authority())),
        Err(_) => Err(format!(
            "{} does not take a connection within a second",
            target.authority()
        )),
    }
}

async fn interrupted() {
    if tokio::signal::ctrl_c().await.is_err() {
        // Without a handler Ctrl-C ends the process as usual.
        std::future::pending::<()>().await;
    }
}
