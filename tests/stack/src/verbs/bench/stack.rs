//! Suite `stack`: what a test pays for its servers.

use std::time::Instant;

use pitcrew_stack::bench::{Figure, interval};
use pitcrew_stack::signals::Signals;
use pitcrew_stack::{
    Error, Options, Place, Postgres, PostgresOptions, Progress, Redis, Result, Stack, TEMPLATE,
};

/// Repetitions of a start.
const STARTS: usize = 9;

/// Repetitions of a start that has nothing prepared.
const COLD_STARTS: usize = 3;

/// Copying the server and initialising a cluster included, in a place that is new each time.
fn cold_start(round: usize) -> Result<f64> {
    let checkout =
        std::env::temp_dir().join(format!("pitcrew-cold-{}-{round}", std::process::id()));
    let files = |source| Error::Io {
        action: "make or remove",
        path: checkout.clone(),
        source,
    };
    std::fs::create_dir(&checkout).map_err(files)?;
    let options = Options {
        extension: false,
        checkout: checkout.clone(),
        ..Options::default()
    };
    let begin = Instant::now();
    let stack = Stack::start(options)?;
    let seconds = begin.elapsed().as_secs_f64();
    drop(stack);
    let place = Place::open(&checkout)?;
    std::fs::remove_dir_all(place.path())
        .and_then(|()| std::fs::remove_dir(&checkout))
        .map_err(files)?;
    Ok(seconds * 1e3)
}

/// What a test pays for its servers.
pub(super) fn run(signals: &Signals) -> Result<Vec<Figure>> {
    let cold = (0..COLD_STARTS)
        .map(|round| signals.check().and_then(|()| cold_start(round)))
        .collect::<Result<Vec<_>>>()?;
    let options = Options {
        extension: false,
        progress: Progress::Print,
        ..Options::default()
    };
    // The first start may copy the server and initialise a cluster; those after it are warm.
    let stack = Stack::start(options.clone())?;
    let postgres = stack
        .postgres()
        .ok_or_else(|| Error::Extension("the stack has no Postgres".into()))?;
    let program = stack.describe().redis_program.unwrap_or_default();
    let repeat = |work: &mut dyn FnMut(usize) -> Result<()>| -> Result<Vec<f64>> {
        let mut readings = Vec::with_capacity(STARTS);
        for round in 0..STARTS {
            signals.check()?;
            let begin = Instant::now();
            work(round)?;
            readings.push(begin.elapsed().as_secs_f64() * 1e3);
        }
        Ok(readings)
    };
    // What was started is kept until after the clock stopped: ending it is not part of a start.
    let mut started = Vec::new();
    let warm = repeat(&mut |_| {
        started.push(Stack::start(Options {
            progress: Progress::Quiet,
            ..options.clone()
        })?);
        Ok(())
    })?;
    drop(started);
    let mut started = Vec::new();
    let postgres_start = repeat(&mut |_| {
        started.push(Postgres::start(
            stack.slot(),
            postgres.server(),
            PostgresOptions::default(),
        )?);
        Ok(())
    })?;
    drop(started);
    let mut started = Vec::new();
    let redis_start = repeat(&mut |_| {
        started.push(Redis::start(stack.slot(), &program)?);
        Ok(())
    })?;
    drop(started);
    let clone =
        repeat(&mut |round| postgres.create_database_from(&format!("clone{round}"), TEMPLATE))?;
    Ok(vec![
        Figure::own("stack_cold_start_ms", "ms", interval(&cold)),
        Figure::own("stack_warm_start_ms", "ms", interval(&warm)),
        Figure::own("stack_postgres_start_ms", "ms", interval(&postgres_start)),
        Figure::own("stack_redis_start_ms", "ms", interval(&redis_start)),
        Figure::own("stack_database_clone_ms", "ms", interval(&clone)),
    ])
}
