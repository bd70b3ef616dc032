//! The scheduler seen from outside, over HTTP: health, metrics, the status site, and the trigger of a run.
//!
//! Pages are made on this side, work without a script, and read a ledger with [`AuditLog`](crate::ledger::audit::AuditLog)
//! only, in bounded queries. Everything that is shown is escaped. [`server`] bounds connections, headers and times, so
//! that no client can keep a run from its work.

mod access;
mod admission;
mod assets;
mod csv;
mod failure;
mod format;
mod layout;
mod ledgers;
mod login;
mod pages;
mod probes;
mod router;
mod server;
mod sessions;
mod site;
mod sparkline;
mod syncs;
mod tries;
mod trigger;

pub use access::Access;
pub use ledgers::AuditOpener;
pub use router::router;
pub use server::{ServerError, WebServer};
pub use site::MetricsText;
pub use syncs::{LiveRun, SyncInfo, Syncs, Triggered, UnusableFile};
