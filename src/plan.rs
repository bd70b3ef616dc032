//! Compares source and ledger, and divides the difference into requests. Pure: no I/O, no clock.
//!
//! [`diff`] merges two streams in key order, [`batch`] fills requests with changes, [`summary`] counts the changes of
//! a plan, [`extent`] compares them with what the store holds, [`guard`] compares that with its limits,
//! [`definitions`] compares the store's attributes with the ledger's, [`saved`]
//! compares an earlier plan with the plan of now, and [`undo`] finds the way back from a run.

pub mod batch;
pub mod definitions;
pub mod diff;
pub mod drift;
pub mod extent;
pub mod guard;
mod mangled;
pub mod saved;
pub mod summary;
pub mod undo;
pub mod wrong_type;
