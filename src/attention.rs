//! What a store needs a person for, from what its ledger says. Pure: times are passed in.
//!
//! [`Facts`] are what the ledger's runs say. [`Standing::of`] weighs them with the
//! schedule, if there is one.

mod need;
mod standing;
mod timing;
#[cfg(test)]
mod tests;

pub use self::need::Attention;
pub use self::standing::{Facts, PastRun, Standing, State, UNCONFIRMED_AFTER};
pub use self::timing::Timing;
