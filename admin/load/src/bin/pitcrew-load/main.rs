//! `pitcrew-load`: the load tester on the command line.
//!
//! Exit codes: 0 all thresholds held, 1 one did not or a figure became worse, 2 something is wrong with the command line, the
//! target or a file, 3 nothing can be said (the tester itself was late,
//! the run was too short for a percentile, or a comparison is too noisy), 130 interrupted.

mod arguments;
mod asked;
mod compared;
mod files;
mod live;
mod plan_file;
mod search;
mod show;
mod work;

use std::io::Write as _;
use std::process::ExitCode;
use std::time::{Duration, SystemTime};

use clap::Parser;
use pitcrew_load::{Results, Run, Stopped, merge, watch};

use self::arguments::{Arguments, Command};
use self::live::Live;
use self::work::Work;

const BROKEN: u8 = 1;
const WRONG: u8 = 2;
const LATE: u8 = 3;
const TOO_SHORT: u8 = 3;
const INTERRUPTED: u8 = 130;

/// How often the run is shown while it goes on.
const SHOW_EVERY: Duration = Duration::from_millis(200);

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let code = match &arguments.command {
        None => run(&arguments),
        Some(Command::Merge { results, output }) => files::read_all(results)
            .and_then(|parts| merge(&parts).map_err(|error| error.to_string()))
            .and_then(|merged| {
                files::check(output, results)?;
                files::write(output, &merged)?;
                say(&show::results(&merged, output.markdown))?;
                Ok(code(&merged, false))
            }),
        Some(Command::Schema) => say(&format!("{:#}\n", pitcrew_load::schema())).map(|()| 0),
        Some(Command::Compare {
            baseline,
            result,
            small,
        }) => compared::files(baseline, result, *small),
    };
    match code {
        Ok(code) => ExitCode::from(code),
        Err(message) => {
            let mut message = shown(&message);
            if message.len() > MAX_MESSAGE {
                message.truncate(message.floor_char_boundary(MAX_MESSAGE));
                message.push_str(" ...");
            }
            // Who closed standard error does not want to hear it.
            let _ = writeln!(std::io::stderr(), "pitcrew-load: {message}");
            ExitCode::from(WRONG)
        }
    }
}

fn run(arguments: &Arguments) -> Result<u8, String> {
    let file = arguments.plan.as_deref().map(plan_file::read).transpose()?;
    let work = arguments.work(file)?;
    let of_one_run = [&arguments.output.junit, &arguments.output.hdr];
    if arguments.capacity && of_one_run.into_iter().any(Option::is_some) {
        return Err(
            "--capacity makes many runs: it writes --json, --html and --markdown; leave --junit and --hdr out"
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
        files::check(&arguments.output, arguments.read())?;
        if arguments.capacity {
            return search::run(arguments, &work).await;
        }
        let began = SystemTime::now();
        let run = work.start().await.map_err(|error| error.to_string())?;
        let (stopped, is_interrupted) = followed(&run, arguments, &work).await;
        let Some(mut results) = work.results(began, &run) else {
            return Err("the run did not end".to_owned());
        };
        if let Some(stopped) = stopped {
            results = results.with_stop(stopped);
        }
        files::write(&arguments.output, &results)?;
        say(&show::results(&results, arguments.output.markdown))?;
        let own = code(&results, is_interrupted);
        let Some(baseline) = baseline else {
            return Ok(own);
        };
        let compared = compared::results(&baseline, &results, compared::USUAL_SMALL_PERCENT)?;
        Ok(if own == 0 { compared } else { own })
    })
}

/// Shows the run while it goes on, and ends it when it is interrupted or breaks a threshold that should end it. That threshold, and
/// whether it was interrupted.
async fn followed(run: &Run, arguments: &Arguments, work: &Work) -> (Option<Stopped>, bool) {
    let mut live = Live::new(work.plan.length_s(), arguments.quiet);
    let mut is_interrupted = false;
    let mut ticks = tokio::time::interval(SHOW_EVERY);
    let interrupted = interrupted();
    let watch = watch(run, &work.plan);
    tokio::pin!(interrupted, watch);
    let stopped = loop {
        tokio::select! {
            stopped = &mut watch => break stopped,
            () = &mut interrupted, if !is_interrupted => {
                is_interrupted = true;
                run.cancel();
            }
            _ = ticks.tick() => live.show(&run.progress(), &run.intervals()),
        }
    };
    live.end(&run.intervals());
    (stopped.filter(|_| !is_interrupted), is_interrupted)
}

fn code(results: &Results, is_interrupted: bool) -> u8 {
    if is_interrupted {
        INTERRUPTED
    } else if results.report.generator_limited.is_some() {
        LATE
    } else if results.are_broken() {
        BROKEN
    } else if !results.hold() {
        TOO_SHORT
    } else {
        0
    }
}

/// Prints what was asked for. Who closed the pipe has read enough; a full disk has not.
fn say(text: &str) -> Result<(), String> {
    let mut out = std::io::stdout().lock();
    match out
        .write_all(shown(text).as_bytes())
        .and_then(|()| out.flush())
    {
        Err(error) if error.kind() != std::io::ErrorKind::BrokenPipe => {
            Err(format!("cannot write to standard output: {error}"))
        }
        _ => Ok(()),
    }
}

/// Of a message: a target that fails may say a megabyte.
const MAX_MESSAGE: usize = 4_096;

/// Names come from plans, and errors from targets: what a terminal would obey is shown and not sent.
fn shown(text: &str) -> String {
    let harmless = |letter: char| match letter {
        '\n' | '\t' => letter,
        letter if letter.is_control() => '\u{fffd}',
        letter => letter,
    };
    text.chars().map(harmless).collect()
}

/// By Ctrl-C, or by whoever ends the process in peace (SIGTERM) or closes its terminal (SIGHUP): what was found is told then.
async fn interrupted() {
    use tokio::signal::unix::{SignalKind, signal};
    let asked = async |kind: SignalKind| match signal(kind) {
        Ok(mut signal) => {
            signal.recv().await;
        }
        // Without a handler the signal ends the process as usual.
        Err(_) => std::future::pending().await,
    };
    tokio::select! {
        () = asked(SignalKind::interrupt()) => {}
        () = asked(SignalKind::terminate()) => {}
        () = asked(SignalKind::hangup()) => {}
    }
}
