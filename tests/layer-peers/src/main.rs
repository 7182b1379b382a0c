//! One subcommand a measurement, so that each has a process of its own and callgrind counts the same binary. Answers are
//! numbers on one line.

mod contenders;
mod cost;
mod ledger;
mod mutex_hdr;
mod noop;

use std::process::ExitCode;

/// hotpath's own counting allocator, in the build that measures it with allocations counted.
#[cfg(feature = "hotpath-alloc")]
#[global_allocator]
static ALLOCATOR: hotpath::CountingAllocator = hotpath::CountingAllocator::new();

const USAGE: &str =
    "usage: layer-peers service LAYER COUNT | router LAYER THREADS COUNT | ledger SERIES THREADS";

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let Some(numbers) = measure(&words) else {
        eprintln!("{USAGE}");
        return ExitCode::from(2);
    };
    let line: Vec<String> = numbers.iter().map(f64::to_string).collect();
    println!("{}", line.join(" "));
    ExitCode::SUCCESS
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
