//! A clock that is not set. Libraries would panic before 1970, and no certificate would be valid.

use std::time::SystemTime;

use super::failure::Failure;

/// Checks that the clock of this machine is set.
///
/// # Errors
/// It shows a time before 1970.
pub(super) fn check(clock: SystemTime) -> Result<(), Failure> {
    if clock >= SystemTime::UNIX_EPOCH {
        return Ok(());
    }
    Err(Failure::new("the clock of this machine shows a time before 1970")
        .hint("set it (`date`), and let it be kept by NTP: certificates and the times in the ledger need it"))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn a_clock_that_is_not_set_is_named() {
        assert!(check(SystemTime::now()).is_ok());
        let failure = check(SystemTime::UNIX_EPOCH - Duration::from_secs(1)).expect_err("before 1970");
        assert!(failure.whole().contains("before 1970"));
    }
}
