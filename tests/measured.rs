//! How the programs of measurements below this folder are called: one subcommand a measurement, so that each has a process of its own and
//! callgrind counts the same binary. Answers are numbers on one line.

use std::process::ExitCode;

/// Prints what `measure` answers to the words of the command line; `usage` where it has no answer.
pub(crate) fn main(usage: &str, measure: impl FnOnce(&[&str]) -> Option<Vec<f64>>) -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let Some(numbers) = measure(&words) else {
        eprintln!("{usage}");
        return ExitCode::from(2);
    };
    let line: Vec<String> = numbers.iter().map(f64::to_string).collect();
    println!("{}", line.join(" "));
    ExitCode::SUCCESS
}
