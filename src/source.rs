//! The port to the desired values: rows in key order, read in one short snapshot.

pub mod postgres;

use std::collections::BTreeSet;
use std::time::Duration;

use async_trait::async_trait;

use crate::record::{AttributeNames, Filter, Notified, SourceDigest, SourcePage};

/// The cause of an error, as the database or the operating system reported it.
type Cause = Box<dyn std::error::Error + Send + Sync>;

/// An operation on the source's database.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Operation {
    /// Reading the columns' types and the query plan.
    InspectColumns,
    /// Reading the rows.
    ReadRows,
}

impl std::fmt::Display for Operation {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::InspectColumns => "look at the source's columns",
            Self::ReadRows => "read the rows",
        })
    }
}

/// Why the source could not be read.
#[derive(Debug, thiserror::Error)]
pub enum SourceError {
    /// The address, the table, the query, a column or a value cannot be used until a person changes it.
    #[error("{problem}")]
    Unusable {
        /// What is wrong, with names.
        problem: String,
        /// What to do about it.
        hint: String,
    },
    /// The database cannot be read now: it is not reachable, starts up, has no session left, or ended one. Reading again
    /// may succeed.
    #[error("{problem}")]
    Unavailable {
        /// What happened.
        problem: String,
        /// What to do if it does not pass.
        hint: String,
    },
    /// Rows by e-mail address could not be brought in the order of their customers.
    #[error("the source's rows could not be brought in the order of their customers: {doing}")]
    NotInOrder {
        /// What failed: `read the ledger`.
        doing: &'static str,
        /// Why.
        #[source]
        source: Cause,
    },
    /// What the database sent cannot be read.
    #[error("the source failed to {operation}")]
    Database {
        /// The operation.
        operation: Operation,
        /// The database's error.
        #[source]
        source: Cause,
    },
}

/// What is heard of a source's changes.
#[derive(Debug)]
pub enum Heard {
    /// Rows have changed, and the change is committed.
    Notified(Notified),
    /// From now on every notification is heard.
    Connected {
        /// Whether changes may have been missed before: since the session before was lost, or while none could be made.
        /// One run over the whole source makes up for them.
        missed_some: bool,
    },
    /// Nothing is heard now. Said once for each reason. The session is made again without end.
    Lost(SourceError),
}

/// Pages of source rows in key order.
#[async_trait]
pub trait SourcePages: Send {
    /// Returns the next page, which has at least one row; `None` once the snapshot is closed.
    ///
    /// # Errors
    /// Whatever ended the read before its last row. Nothing may be read afterwards.
    async fn next(&mut self) -> Result<Option<SourcePage>, SourceError>;

    /// The table whose row security applies to the reader and may hide rows; its name may be empty. Known once `next`
    /// returned `None`.
    fn row_security(&self) -> Option<String> {
        None
    }

    /// How many of the rows without a customer id are of no customer of the store, as far as the store knows: they may be the
    /// rows of no entry. Known once `next` returned `None`.
    fn without_customer(&self) -> i64 {
        0
    }

    /// The digest of the rows that `next` returned, if every row of the source was among them and could be read. Known
    /// once `next` returned `None`.
    fn digest(&self) -> Option<SourceDigest> {
        None
    }
}

/// What the source computes of all its rows without sending them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Digested {
    /// The digest.
    pub digest: SourceDigest,
    /// The table whose row security applies to the reader and may hide rows; its name may be empty.
    pub row_security: Option<String>,
}

/// The e-mail addresses by which a source names its customers.
#[async_trait]
pub trait Addresses: Send + Sync {
    /// Starts to read the distinct addresses that have these [numbers](crate::record::EmailHash::number), or all of them if there
    /// are no numbers, in the order of their numbers and only those with a number after `after`. A row has the address's number as
    /// its customer id, and the address in lower case and without blanks around it as its value. A lock of another session is waited for no longer than `lock_wait`.
    ///
    /// # Errors
    /// As [`Source::read`].
    async fn read_addresses(
        &self,
        numbers: &BTreeSet<i64>,
        after: i64,
        lock_wait: Duration,
    ) -> Result<Box<dyn SourcePages>, SourceError>;
}

/// Where the desired values are read.
#[async_trait]
pub trait Source: Send + Sync {
    /// How long a run may try again while the source is [`Unavailable`](SourceError::Unavailable).
    fn give_up_after(&self) -> Duration;

    /// Starts to read all rows that match the filter, ordered by customer id and attribute id with NULLs last, in one
    /// snapshot that is closed before `next` returns `None`. Rows are not checked: keys may repeat, ids may be NULL,
    /// values may be too long. A source that names attributes takes their ids from `names`; a row whose name means none has
    /// no attribute id and says why.
    ///
    /// # Errors
    /// The read could not be started. An implementation may also report that from the first `next`.
    async fn read(
        &self,
        filter: &Filter,
        names: &AttributeNames,
    ) -> Result<Box<dyn SourcePages>, SourceError>;

    /// Returns the digest of all rows in one snapshot: that of [`SourcePages::digest`] if `read` would return equal rows
    /// from the snapshot. `None` if this source cannot compute it.
    ///
    /// # Errors
    /// As of `read`.
    async fn digest(&self, names: &AttributeNames) -> Result<Option<Digested>, SourceError>;

    /// The addresses, if the source names its customers by them. Then the customer ids of filters and rows are the numbers of
    /// addresses.
    fn addresses(&self) -> Option<&dyn Addresses> {
        None
    }

    /// Starts to read as [`read`](Self::read) does, and waits for the lock of another session no longer than `lock_wait`.
    /// By default there are no locks.
    ///
    /// # Errors
    /// As [`read`](Self::read).
    async fn read_within(
        &self,
        filter: &Filter,
        names: &AttributeNames,
        _lock_wait: Duration,
    ) -> Result<Box<dyn SourcePages>, SourceError> {
        self.read(filter, names).await
    }
}
