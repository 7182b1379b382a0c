//! What layers cost beside ours.

mod contenders;
mod cost;
mod ledger;
mod mutex_hdr;
mod noop;

#[path = "../../measured.rs"]
mod measured;

use std::process::ExitCode;

/// hotpath's own counting allocator, in the build that measures it with allocations counted.
#[cfg(feature = "hotpath-alloc")]
#[global_allocator]
static ALLOCATOR: hotpath::CountingAllocator = hotpath::CountingAllocator::new();

const USAGE: &str =
    "usage: layer-peers service LAYER COUNT | router LAYER THREADS COUNT | ledger SERIES THREADS";

fn main() -> ExitCode {
    measured::main(USAGE, measure)
}

fn measure(words: &[&str]) -> Option<Vec<f64>> {
    let number = |word: &str| word.parse::<usize>().ok();
    Some(match *words {
        ["service", layer, count] => {
            cost::service(layer, number(count)?)?;
            Vec::new()
        }
        ["router", layer, threads, count] => {
            vec![cost::router(layer, number(threads)?, number(count)?)?]
        }
        ["ledger", series, threads] => ledger::measure(number(series)?, number(threads)?),
        _ => return None,
    })
}
