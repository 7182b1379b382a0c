//! The memory measurements with the counting allocator around the system's.

#[path = "../cost.rs"]
mod cost;

use std::alloc::System;
use std::process::ExitCode;

use pitcrew::memory::CountingAlloc;

#[global_allocator]
static ALLOCATOR: CountingAlloc<System> = CountingAlloc::new(System);

fn main() -> ExitCode {
    cost::main()
}
