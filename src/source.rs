//! The desired values: one ordered query over a Postgres table, read in one short snapshot.

pub(crate) mod copy;
mod failure;
pub mod memory;
pub mod postgres;
mod sql;

use async_trait::async_trait;

use crate::record::{Filter, SourcePage};

/// Why the source could not be read.
#[derive(Debug, thiserror::Error)]
pub enum SourceError {
    /// The table, the query or a column is not as it must be; a person has to mend it.
    #[error("{problem}")]
    Unusable {
        /// What is wrong, with names.
        problem: String,
        /// What to do about it.
        hint: String,
    },
    /// A standby cancelled the snapshot in favour of replay; reading again may succeed.
    #[error("the standby cancelled the read in favour of replay (recovery conflict)")]
    RecoveryConflict,
    /// No connection could be made, for a reason that the other variants do not name.
    #[error("the source failed to connect")]
    Connection {
        /// What the database said.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// The database failed. `doing` says at what.
    #[error("the source failed to {doing}")]
    Database {
        /// What was being done: `read the table`.
        doing: &'static str,
        /// What the database said.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
}

/// Pages of source rows in key order.
#[async_trait]
pub trait SourcePages: Send {
    /// The next page; `None` once the snapshot is closed. A page is never empty.
    async fn next(&mut self) -> Result<Option<SourcePage>, SourceError>;
}

/// Where the desired values are read.
#[async_trait]
pub trait Source: Send + Sync {
    /// Reads all rows that the filter leaves in, ordered by customer id and attribute id with NULLs last, in one
    /// snapshot that is closed before `next` returns `None`. Rows come as they are: repeated keys, NULL ids, long values.
    async fn read(&self, filter: &Filter) -> Result<Box<dyn SourcePages>, SourceError>;
}
