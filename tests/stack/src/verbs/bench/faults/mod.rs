//! Suite `faults`: a thousand maintenance jobs while somebody cancels, locks, kills and restarts at random.
//!
//! Nothing is timed. The figures count what must never happen, and the suite fails where one of them is not zero. The
//! seed is printed; `PITCREW_SEED` repeats the same choices (the moments at which they strike are the machine's).

mod verdict;
mod world;

use pitcrew_stack::bench::Figure;
use pitcrew_stack::signals::Signals;
use pitcrew_stack::{Error, Options, Progress, Result, Stack};

use super::choices::Choices;
use world::World;

/// Jobs that are accepted by the server, in all.
const JOBS: usize = 1_000;
/// Jobs between two faults.
const BATCH: usize = 20;

pub(super) fn run(signals: &Signals) -> Result<Vec<Figure>> {
    let mut choices = Choices::from_environment()?;
    Progress::Print.say(format!("PITCREW_SEED={}", choices.seed()));
    let stack = Stack::start(Options {
        redis: false,
        progress: Progress::Print,
        ..Options::default()
    })?;
    let postgres = stack
        .postgres()
        .ok_or_else(|| Error::Extension("the stack has no Postgres".into()))?;
    let mut world = World::build(stack.slot(), postgres.server(), JOBS)?;
    while world.accepted() < JOBS {
        signals.check()?;
        let batch = BATCH.min(JOBS - world.accepted());
        world.submit(&mut choices, batch)?;
        world.strike(&mut choices)?;
    }
    // What is queued by now is struck as well.
    while world.unfinished()? > JOBS / 10 {
        signals.check()?;
        world.strike(&mut choices)?;
    }
    world.strike_what_is_missing(&mut choices)?;
    world.until_all_ended(signals)?;
    Progress::Print.say(world.summary()?);
    verdict::figures(&world, choices.seed())
}
