//! What can go wrong inside a transaction, before it is known what the transaction was for.

use crate::ledger::LedgerError;
use crate::record::Key;

/// Why a transaction was rolled back.
#[derive(Debug)]
pub(super) enum Failure {
    /// SQLite said no.
    Sql(rusqlite::Error),
    /// Another run owns the store.
    Lost {
        /// The run that owns it.
        owner: i64,
    },
    /// The ledger's file is not where it was opened.
    Moved(String),
    /// What was asked does not fit what the ledger holds.
    Wrong(String),
}

impl Failure {
    /// A change is not where it must be for what was asked.
    pub(super) fn misplaced(key: Key, run_id: i64, wanted: &str) -> Self {
        Self::Wrong(format!("the change of {key} in run {run_id} is not {wanted}"))
    }

    /// The ledger's error, once it is known what was being done.
    pub(super) fn into_error(self, doing: &'static str) -> LedgerError {
        match self {
            Self::Sql(error) => LedgerError::Database { doing, source: error.into() },
            Self::Lost { owner } => LedgerError::LostLock { owner },
            Self::Moved(problem) => LedgerError::Unusable(problem),
            Self::Wrong(problem) => LedgerError::Database { doing, source: problem.into() },
        }
    }
}

impl From<rusqlite::Error> for Failure {
    fn from(error: rusqlite::Error) -> Self {
        Self::Sql(error)
    }
}
