//! Why the ledger could not do its work.

use crate::database::DatabaseError;

/// Why the ledger could not do its work.
#[derive(Debug, thiserror::Error)]
pub enum LedgerError {
    /// Another run owns this store now; nothing was written.
    #[error("another run has taken over this store: run {run_id} owns it now")]
    LostLock {
        /// The run that owns the store.
        run_id: i64,
    },
    /// Another process holds the lock.
    #[error("another run holds this store: {holder}")]
    Locked {
        /// What is known of the holder, for a person: `run 12, started 2026-01-02 03:04:05 UTC`.
        holder: String,
    },
    /// The ledger's tables are of another version of attrsync.
    #[error("the ledger has version {present}, and this attrsync has version {known}: {}", for_version(*present, *known))]
    Version {
        /// The version of the tables.
        present: i64,
        /// The version that this attrsync reads and writes.
        known: i64,
    },
    /// The address or the kind of connection cannot be used.
    #[error("{0}")]
    Unusable(String),
    /// The database's file is damaged.
    #[error("the ledger is damaged: it failed to {doing}")]
    Damaged {
        /// The operation that failed: `record an intent`.
        doing: &'static str,
        /// The database's error.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// The database failed.
    #[error("the ledger failed to {doing}")]
    Database {
        /// The operation that failed: `record an intent`.
        doing: &'static str,
        /// The database's error.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
}

impl LedgerError {
    /// What to do about a failure of the database, if Postgres said what failed.
    #[must_use]
    pub fn hint(&self) -> Option<&str> {
        self.of_postgres().map(DatabaseError::hint).filter(|hint| !hint.is_empty())
    }

    /// Whether the database may take the operation later, without a change by a person.
    #[must_use]
    pub fn may_pass(&self) -> bool {
        self.of_postgres().is_some_and(DatabaseError::may_pass)
    }

    /// Whether another session kept a table or a row locked for too long.
    pub(crate) fn is_of_lock(&self) -> bool {
        self.of_postgres().is_some_and(|error| error.code() == Some("55P03"))
    }

    /// The same error of Postgres with another hint.
    pub(crate) fn with_hint(self, hint: String) -> Self {
        match self {
            Self::Database { doing, source } => Self::Database {
                doing,
                source: match source.downcast::<DatabaseError>() {
                    Ok(error) => Box::new(error.with_hint(hint)),
                    Err(source) => source,
                },
            },
            error => error,
        }
    }

    fn of_postgres(&self) -> Option<&DatabaseError> {
        let mut cause = std::error::Error::source(self);
        while let Some(error) = cause {
            if let Some(error) = error.downcast_ref() {
                return Some(error);
            }
            cause = error.source();
        }
        None
    }
}

/// Returns what to do about tables of another version.
const fn for_version(present: i64, known: i64) -> &'static str {
    if present > known {
        "install the newer attrsync that migrated it"
    } else {
        "run `attrsync sync` once to migrate it"
    }
}

/// The result of a ledger operation.
pub type Result<T, E = LedgerError> = std::result::Result<T, E>;
