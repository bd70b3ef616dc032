//! Comparing source and ledger, and cutting the difference into calls. Pure: no I/O, no clock.
//!
//! [`diff`] merges two streams in key order, [`batch`] fills calls with changes, [`summary`] counts what a
//! plan would do.

pub mod batch;
pub mod definitions;
pub mod diff;
pub mod summary;
