//! The `attrsync` program: everything is in the library's `cli`.

use std::process::ExitCode;

fn main() -> ExitCode {
    attrsync::cli::run(std::env::args_os()).into()
}
