//! The memory measurements without counting: the system's allocator, named as `counting` names its own.

#[path = "../cost.rs"]
mod cost;

use std::alloc::System;
use std::process::ExitCode;

#[global_allocator]
static ALLOCATOR: System = System;

fn main() -> ExitCode {
    cost::main()
}
