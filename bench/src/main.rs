//! The benchmark: what the product does on this machine, beside what the machine can do, in one run.

mod cli;
mod error;
mod load;
mod machine;
mod processes;
mod product;
mod report;
mod run;
mod scenarios;

use std::process::ExitCode;

fn main() -> ExitCode {
    cli::run()
}
