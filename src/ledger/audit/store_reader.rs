//! What a plan reads of one store of the ledger.

use async_trait::async_trait;

use super::log::{AuditLog, Location};
use crate::ledger::{
    CustomerToCheck, EmailReader, EntryPages, LedgerReader, Result, cold, cold_emails, last_finished, pins,
    postgres, sqlite, undo,
};
use crate::record::{
    Claimed, Counts, EmailCustomer, Filter, Key, KnownAttribute, Pin, RequestSizes, RunToUndo, SentChange,
};

impl AuditLog {
    /// What the ledger knows of one store, for a plan.
    #[must_use]
    pub fn entries_of(&self, store_id: i64) -> StoreReader<'_> {
        StoreReader { audit: self, store_id }
    }
}

/// One store of the ledger, read without its lock. Queries use the session of the [`AuditLog`]; each stream of
/// entries has a session of its own.
#[derive(Debug)]
pub struct StoreReader<'a> {
    audit: &'a AuditLog,
    store_id: i64,
}

#[async_trait]
impl EmailReader for StoreReader<'_> {
    async fn emails_after(&self, after: &str, limit: usize) -> Result<Vec<EmailCustomer>> {
        cold_emails::emails_after(&self.audit.session, self.store_id, after, limit).await
    }

    async fn emails_of(&self, customers: &[i64]) -> Result<Vec<EmailCustomer>> {
        cold_emails::emails_of(&self.audit.session, self.store_id, customers).await
    }
}

#[async_trait]
impl LedgerReader for StoreReader<'_> {
    async fn attributes(&self) -> Result<Vec<KnownAttribute>> {
        cold::attributes(&self.audit.session, self.store_id).await
    }

    async fn customers_to_check(&self, before_run: i64, limit: usize) -> Result<Vec<CustomerToCheck>> {
        cold::customers_to_check(&self.audit.session, self.store_id, before_run, limit).await
    }

    async fn request_sizes(&self) -> Result<RequestSizes> {
        cold::request_sizes(&self.audit.session, self.store_id).await
    }

    async fn last_finished(&self) -> Result<Option<Counts>> {
        last_finished::last_finished(&self.audit.session, self.store_id).await
    }

    async fn claimed(&self) -> Result<Claimed> {
        cold::claimed(&self.audit.session, self.store_id).await
    }

    async fn entries(&self, filter: &Filter) -> Result<Box<dyn EntryPages>> {
        match &self.audit.location {
            Location::Sqlite(path) => sqlite::scan(path, self.store_id, filter),
            Location::Postgres(url) => {
                postgres::scan(url.expose(), self.store_id, filter, postgres::LOCK_WAIT)
            }
        }
    }

    async fn pins(&self, filter: &Filter, after: Option<Key>, limit: usize) -> Result<Vec<Pin>> {
        pins::pins(&self.audit.session, self.store_id, filter, after, limit).await
    }

    async fn run_to_undo(&self, run_id: i64) -> Result<Option<RunToUndo>> {
        undo::run_to_undo(&self.audit.session, self.store_id, run_id).await
    }

    async fn sent_changes(&self, run_id: i64, after: Option<Key>, limit: usize) -> Result<Vec<SentChange>> {
        let sql = match &self.audit.location {
            Location::Sqlite(_) => undo::IN_SQLITE,
            Location::Postgres(_) => undo::IN_POSTGRES,
        };
        undo::sent_changes(&self.audit.session, sql, self.store_id, run_id, after, limit).await
    }
}
