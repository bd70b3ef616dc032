//! The built program with a store over HTTP, a real Postgres and both kinds of ledger.
//!
//! A test is named for the promise that it checks.

mod apply;
mod audit;
mod backup;
mod bad_values;
mod bisection;
mod blocked_serve;
mod columns;
mod crashes;
mod deletes;
mod digest;
mod emails;
mod echoes;
mod guard;
mod lost_lock;
mod on_change;
mod notify;
mod odd_bodies;
mod only_changes;
mod outages;
mod plan_output;
mod pooler;
mod program;
mod proof;
mod quota;
mod reconcile;
mod requeue;
mod responses;
mod schedule;
mod secrets;
mod serve;
mod setup;
mod signals;
mod sources;
mod status;
mod torture;
mod traces;
mod undo;
mod world;
