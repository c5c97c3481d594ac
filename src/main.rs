//! The `transom` program: arguments in, exit code out. Everything else is in the library ([`transom::cli`]).

use std::process::ExitCode;

fn main() -> ExitCode {
    transom::cli::main()
}
