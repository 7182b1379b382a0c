//! `pitcrew-load`: the load tester on the command line.
//!
//! Exit codes: 0 all thresholds held, 1 one did not or a figure became worse, 2 something is wrong with the command line, the
//! target or a file, 3 nothing can be said (the tester itself was late, or a comparison is too noisy), 130 interrupted.

mod arguments;
mod compared;
mod files;
mod live;
mod plan_file;
mod search;
mod show;
mod work;

use std::process::ExitCode;
use std::time::{Duration, SystemTime};

use clap::Parser;
use pitcrew_load::{Breach, Results, Run, Watch, merge};

use self::arguments::{Arguments, Command};
use self::live::Live;
use self::work::Work;

const BROKEN: u8 = 1;
const WRONG: u8 = 2;
const LATE: u8 = 3;
const INTERRUPTED: u8 = 130;

/// How often the run is looked at while it goes on.
const LOOK_EVERY: Duration = Duration::from_millis(200);

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let code = match &arguments.command {
        None => run(&arguments),
        Some(Command::Merge { results, output }) => files::read_all(results)
            .and_then(|parts| merge(&parts).map_err(|error| error.to_string()))
            .and_then(|merged| {
                files::write(output, &merged)?;
                print!("{}", show::results(&merged, output.markdown));
                Ok(code(&merged, false))
            }),
        Some(Command::Schema) => {
            println!("{:#}", pitcrew_load::schema());
            Ok(0)
        }
        Some(Command::Compare {
            baseline,
            result,
            small,
        }) => compared::files(baseline, result, *small),
    };
    match code {
        Ok(code) => ExitCode::from(code),
        Err(message) => {
            eprintln!("pitcrew-load: {message}");
            ExitCode::from(WRONG)
        }
    }
}

fn run(arguments: &Arguments) -> Result<u8, String> {
    let file = arguments.plan.as_deref().map(plan_file::read).transpose()?;
    let work = arguments.work(file)?;
    if arguments.capacity && arguments.output.is_asked() {
        return Err(
            "--capacity makes many runs and writes none of them: leave --json, --html, --junit, --hdr and --markdown out"
                .to_owned(),
        );
    }
    let baseline = arguments.compare.as_deref().map(files::read).transpose()?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| error.to_string())?;
    runtime.block_on(async {
        work.reachable().await?;
        // What would be wrong with a file only after the run is known before it; and one that cannot begin leaves none behind.
        files::check(&arguments.output)?;
        if arguments.capacity {
            return search::run(arguments, &work).await;
        }
        let began = SystemTime::now();
        let run = work.start().await.map_err(|error| error.to_string())?;
        let end = watched(&run, arguments, &work).await;
        let Some(mut results) = work.results(began, &run) else {
            return Err("the run did not end".to_owned());
        };
        if let End::Breach(scenario, breach) = end {
            let broken = match scenario {
                None => &mut results,
                Some(number) => &mut results.scenarios[number],
            };
            broken.stopped_by = Some(breach);
        }
        files::write(&arguments.output, &results)?;
        print!("{}", show::results(&results, arguments.output.markdown));
        let own = code(&results, end == End::Interrupted);
        let Some(baseline) = baseline else {
            return Ok(own);
        };
        let compared = compared::results(&baseline, &results, compared::USUAL_SMALL_PERCENT);
        Ok(if own == 0 { compared } else { own })
    })
}

/// How a run came to its end.
#[derive(Debug, PartialEq)]
enum End {
    Usual,
    Interrupted,
    /// By the number of its scenario, or of the whole.
    Breach(Option<usize>, Breach),
}

/// Shows the run while it goes on, and ends it when it is interrupted or breaks a threshold that should end it.
async fn watched(run: &Run, arguments: &Arguments, work: &Work) -> End {
    let mut live = Live::new(work.plan.length_s(), arguments.quiet);
    let scenarios = work.plan.scenarios.iter().zip(run.scenarios()).enumerate();
    let mut watches = vec![(None, run, Watch::new(&work.plan.thresholds))];
    watches.extend(
        scenarios
            .map(|(number, (plan, (_, run)))| (Some(number), run, Watch::new(&plan.thresholds))),
    );
    let mut end = End::Usual;
    let mut ticks = tokio::time::interval(LOOK_EVERY);
    let interrupted = interrupted();
    tokio::pin!(interrupted);
    let report = loop {
        tokio::select! {
            report = run.finished() => break report,
            () = &mut interrupted, if end == End::Usual => {
                end = End::Interrupted;
                run.cancel();
            }
            _ = ticks.tick() => {
                let seconds = run.intervals();
                live.show(&run.progress(), &seconds);
                for (scenario, own, watch) in &mut watches {
                    let breach = watch.look(&own.intervals());
                    if let (End::Usual, Some(breach)) = (&end, breach) {
                        end = End::Breach(*scenario, breach);
                        run.cancel();
                    }
                }
            }
        }
    };
    live.end(&report.intervals);
    end
}

fn code(results: &Results, is_interrupted: bool) -> u8 {
    if is_interrupted {
        INTERRUPTED
    } else if results.report.generator_limited.is_some() {
        LATE
    } else if !results.hold() {
        BROKEN
    } else {
        0
    }
}

async fn interrupted() {
    if tokio::signal::ctrl_c().await.is_err() {
        // Without a handler Ctrl-C ends the process as usual.
        std::future::pending::<()>().await;
    }
}
