//! The benchmark: what the product does on this machine, beside what the machine can do and what one would pick instead, in
//! one run.

mod cli;
mod error;
mod grown;
mod load;
mod log;
mod machine;
mod peers;
mod processes;
mod product;
mod report;
mod run;
mod scenarios;
mod used;

use std::process::ExitCode;

fn main() -> ExitCode {
    cli::run()
}
