//! One subcommand a measurement, so that each has a process of its own. Answers are numbers on one line.

mod ours;
mod queue;
mod server;

use std::process::ExitCode;

const USAGE: &str = "usage: load-peers serve [PER_S STALL_AT_S STALL_S] | truth RATE SECONDS PER_S STALL_AT_S STALL_S | \
                     open ADDRESS RATE SECONDS | closed ADDRESS CONNECTIONS SECONDS";

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
    let number = |word: &str| word.parse::<f64>().ok();
    let queue = |per_s: &str, at: &str, long: &str| {
        Some(queue::Rules {
            gap_s: 1.0 / number(per_s)?,
            stall_begin_s: number(at)?,
            stall_end_s: number(at)? + number(long)?,
        })
    };
    Some(match *words {
        ["serve"] => server::serve(None),
        ["serve", per_s, at, long] => server::serve(Some(queue(per_s, at, long)?)),
        ["truth", rate, seconds, per_s, at, long] => {
            queue::truth(number(rate)?, number(seconds)?, &queue(per_s, at, long)?)
        }
        ["open", address, rate, seconds] => ours::open(address, number(rate)?, number(seconds)?),
        ["closed", address, connections, seconds] => {
            ours::closed(address, connections.parse().ok()?, number(seconds)?)
        }
        _ => return None,
    })
}
