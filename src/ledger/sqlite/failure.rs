//! What can go wrong inside a transaction, before it is known what the transaction was for.

use rusqlite::ErrorCode;
use rusqlite::ffi::code_to_str;

use crate::ledger::LedgerError;
use crate::record::Key;

/// Why a transaction was rolled back.
#[derive(Debug)]
pub(in crate::ledger) enum Failure {
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
    pub(in crate::ledger) fn into_error(self, doing: &'static str) -> LedgerError {
        match self {
            Self::Sql(error) => error_of(doing, error),
            Self::Ledger(error) => error,
            Self::Wrong(problem) => LedgerError::Database { doing, source: problem.into() },
        }
    }
}

/// Returns the ledger's error for an error of SQLite, in words that help.
fn error_of(doing: &'static str, error: rusqlite::Error) -> LedgerError {
    let source = match (error.sqlite_error_code(), &error) {
        (Some(ErrorCode::CannotOpen), _) => {
            "SQLite cannot open the file, or one beside it (-wal, -shm): check the rights and the disk"
                .to_owned()
        }
        (_, rusqlite::Error::SqliteFailure(code, None)) => code_to_str(code.extended_code).to_owned(),
        // The message alone: the error's own cause repeats it with a number.
        _ => error.to_string(),
    };
    match error.sqlite_error_code() {
        Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase) => {
            LedgerError::Damaged { doing, source: source.into() }
        }
        _ => LedgerError::Database { doing, source: source.into() },
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
