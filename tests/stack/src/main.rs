//! The verbs of `./pitcrew`.

mod verbs;

use std::process::ExitCode;

fn main() -> ExitCode {
    verbs::main()
}
