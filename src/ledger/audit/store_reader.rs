//! What a plan reads of one store of the ledger.

use async_trait::async_trait;
use chrono::{DateTime, Utc};

use super::log::{AuditLog, Location};
use super::session::Value;
use crate::ledger::{
    EntryPages, LearnedSize, LedgerReader, Result, TIMEOUTS, TimeOut, postgres, sqlite, unclear,
};
use crate::record::{Filter, KnownAttribute};

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
impl LedgerReader for StoreReader<'_> {
    async fn known_attributes(&self) -> Result<Vec<KnownAttribute>> {
        let sql = "select attribute_id, name, type, gone_run_id from attributes where store_id = $1
            order by attribute_id";
        self.audit
            .query(sql, vec![Value::Int(self.store_id)], |row| {
                let (id, name, kind) = (row.int()?, row.text()?, row.text()?);
                Ok(KnownAttribute { id, name, kind, gone: row.maybe_int()?.is_some() })
            })
            .await
    }

    async fn missing_customers(&self, limit: usize) -> Result<Vec<i64>> {
        let sql = "select customer_id from missing_customers where store_id = $1
            order by asked_run_id, customer_id limit $2";
        let limit = i64::try_from(limit).unwrap_or(i64::MAX);
        self.audit.query(sql, vec![Value::Int(self.store_id), Value::Int(limit)], |row| row.int()).await
    }

    async fn learned_size(&self) -> Result<Option<LearnedSize>> {
        let sql = "select values_per_request, values_per_request_learned_at from stores
            where id = $1 and values_per_request is not null and values_per_request_learned_at is not null";
        let sizes = self.audit.query(sql, vec![Value::Int(self.store_id)], |row| {
            let (size, learned_at) = (row.int()?, row.time()?);
            Ok(LearnedSize { values_per_request: usize::try_from(size).unwrap_or(usize::MAX), learned_at })
        });
        Ok(sizes.await?.pop())
    }

    async fn has_unclear(&self, since: DateTime<Utc>) -> Result<bool> {
        Ok(!self.audit.session.rows(unclear(since), vec![Value::Int(self.store_id)]).await?.is_empty())
    }

    async fn timeouts(&self) -> Result<Vec<TimeOut>> {
        self.audit
            .query(TIMEOUTS, vec![Value::Int(self.store_id)], |row| {
                let (millis, last_ended, open) = (row.int()?, row.maybe_time()?, row.int()?);
                Ok(TimeOut::of(millis, last_ended.filter(|_| open == 0)))
            })
            .await
    }

    async fn entries(&self, filter: &Filter) -> Result<Box<dyn EntryPages>> {
        match &self.audit.location {
            Location::Sqlite(path) => sqlite::scan(path, self.store_id, filter),
            Location::Postgres(url) => postgres::scan(url.expose(), self.store_id, filter),
        }
    }
}
