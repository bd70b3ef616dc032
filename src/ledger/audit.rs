//! The read side of a ledger, for commands and people, over both databases.
//!
//! Every query is written once: SQLite and Postgres take the same text with `$1` parameters, which therefore appear in
//! rising order. An [`AuditLog`] has one session, which is read-only, and asks all its queries there.

mod activity;
mod ad_hoc;
mod claims;
mod drift;
mod emails;
mod explain;
mod facts;
mod groups;
mod log;
mod paged;
mod queries;
mod rows;
mod run_lists;
mod schema;
mod session;
mod store_reader;
mod verify;

pub use super::cells::Value;
pub use activity::DayOfRuns;
pub use ad_hoc::SqlRows;
pub use claims::StoreClaims;
pub use drift::LastingDrift;
pub use groups::{COUNTED_MAX, PlanGroup, ReasonGroup, ResponseGroup};
pub use log::AuditLog;
pub use rows::{
    BeliefEditRow, EntryHistory, FailedChange, PastChange, PastInvalidRow, Rejection, Rejections, RequestRow,
    RunRow, RunTotals, StoreRow,
};
pub use run_lists::RunList;
pub(crate) use schema::ADVICE as SCHEMA_ADVICE;
pub use store_reader::StoreReader;
pub use verify::{Progress, Verification};
