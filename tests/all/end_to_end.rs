//! The built program against a store over HTTP, a real Postgres and both kinds of ledger.
//!
//! A test is named for the promise that it holds the program to.

mod responses;
mod audit;
mod backup;
mod bad_values;
mod crashes;
mod echoes;
mod bisection;
mod lost_lock;
mod only_changes;
mod pooler;
mod proof;
mod quota;
mod requeue;
mod secrets;
mod setup;
mod signals;
mod sources;
mod torture;
mod world;
