//! The rules of a push as tables: events in, actions out. No runtime, no clock, no ledger.

mod bisection;
mod canary;
mod deletes;
mod driver;
mod ends;
mod in_doubt;
mod partial;
mod responses;
mod size;
mod slots;
mod store;
mod store_changes;
mod waits;
