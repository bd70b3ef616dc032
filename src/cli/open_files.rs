//! How many files this process may have open. The runtime panics if there are too few, and every error that comes later
//! would be told as one of the ledger, the source or the configuration.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use super::failure::Failure;

/// More than any command has open at once.
const NEEDED: u64 = 64;

/// Raises this process' limit if it is too low.
///
/// # Errors
/// This user may not raise it that far.
pub(super) fn allow_enough() -> Result<(), Failure> {
    let limit = getrlimit(Resource::Nofile);
    let Some(most) = limit.current.filter(|&most| most < NEEDED) else { return Ok(()) };
    setrlimit(Resource::Nofile, Rlimit { current: Some(NEEDED), ..limit }).map_err(|_| {
        Failure::new(format!("this process may open only {most} files at once, and needs {NEEDED}"))
            .hint("raise the limit: `ulimit -n 256`, or LimitNOFILE=256 in the systemd unit")
    })
}
