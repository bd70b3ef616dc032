//! Reads the distinct e-mail addresses of the source.

use std::collections::BTreeSet;
use std::time::Duration;

use async_trait::async_trait;
use tokio::sync::mpsc;

use super::read::Reader;
use super::sql::RowsQuery;
use super::{LOCK_WAIT, PostgresPages, PostgresSource, ReadEnd};
use crate::record::{Filter, SourcePage};
use crate::source::{Addresses, SourceError, SourcePages};

impl PostgresSource {
    /// Sends the addresses, then closes the snapshot and the session.
    async fn send_addresses(
        &self,
        numbers: &BTreeSet<i64>,
        after: i64,
        lock_wait: Duration,
        pages: &mpsc::Sender<SourcePage>,
    ) -> Result<ReadEnd, SourceError> {
        let (snapshot, columns) = self.open(lock_wait).await?;
        let filter = Filter { customers: numbers.clone(), ..Filter::default() };
        let query = RowsQuery::new(columns.addresses(&self.relation), &filter).after(after);
        Reader::new(snapshot, query, None, pages).read_all().await?;
        Ok(ReadEnd::default())
    }
}

#[async_trait]
impl Addresses for PostgresSource {
    async fn read_addresses(
        &self,
        numbers: &BTreeSet<i64>,
        after: i64,
        lock_wait: Duration,
    ) -> Result<Box<dyn SourcePages>, SourceError> {
        let (source, numbers) = (self.clone(), numbers.clone());
        let lock_wait = lock_wait.clamp(LOCK_WAIT.0, LOCK_WAIT.1);
        let pages = PostgresPages::start(move |sender| async move {
            source.send_addresses(&numbers, after, lock_wait, &sender).await
        });
        Ok(Box::new(pages?))
    }
}
