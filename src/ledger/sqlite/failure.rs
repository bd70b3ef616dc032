//! What can go wrong inside a transaction, before it is known what the transaction was for.

use crate::ledger::LedgerError;
use crate::record::Key;

/// Why a transaction was rolled back.
#[derive(Debug)]
pub(super) enum Failure {
    /// SQLite's error.
    Sql(rusqlite::Error),
    /// An error that already is the ledger's.
    Ledger(LedgerError),
    /// The request does not fit what the ledger holds.
    Wrong(String),
}

impl Failure {
    /// A change does not have the outcome that the step needs.
    pub(super) fn unexpected_outcome(key: Key, run_id: i64, expected: &str) -> Self {
        Self::Wrong(format!("the change of {key} in run {run_id} is not {expected}"))
    }

    /// The ledger's error, now that the operation is known.
    pub(super) fn into_error(self, doing: &'static str) -> LedgerError {
        match self {
            Self::Sql(error) => LedgerError::Database { doing, source: error.into() },
            Self::Ledger(error) => error,
            Self::Wrong(problem) => LedgerError::Database { doing, source: problem.into() },
        }
    }
}

impl From<rusqlite::Error> for Failure {
    fn from(error: rusqlite::Error) -> Self {
        Self::Sql(error)
    }
}

impl From<LedgerError> for Failure {
    fn from(error: LedgerError) -> Self {
        Self::Ledger(error)
    }
}
