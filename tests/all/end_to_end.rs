//! The built program against a store over HTTP, a real Postgres and both kinds of ledger.
//!
//! A test is named for the promise that it holds the program to.

mod world;

mod answers;
mod audit;
mod bad_values;
mod crashes;
mod echoes;
mod only_changes;
mod quota;
mod secrets;
mod setup;
mod signals;
mod sources;
mod torture;
