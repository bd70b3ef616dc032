//! The engine over a ledger in memory or in a file, and the in-process sandbox.

mod attributes;
mod emails;
mod existence;
mod giving_up;
mod live;
mod lost_lock;
mod reconcile;
mod stopping;
mod store;
mod sweep;
mod warnings;
