//! The memory measurements with the counting allocator as the global one.

#[path = "../memory.rs"]
mod memory;

use std::alloc::System;
use std::process::ExitCode;

use pitcrew::memory::CountingAlloc;

#[global_allocator]
static ALLOCATOR: CountingAlloc<System> = CountingAlloc::new(System);

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let Some(numbers) = memory::measure(&words) else {
        eprintln!("usage: counting {}", memory::USAGE);
        return ExitCode::from(2);
    };
    let line: Vec<String> = numbers.iter().map(f64::to_string).collect();
    println!("{}", line.join(" "));
    ExitCode::SUCCESS
}
