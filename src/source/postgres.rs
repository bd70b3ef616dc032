//! The source in Postgres: one ordered COPY in one read-only snapshot, read and decoded on a thread of its own.
//!
//! All statements use the simple protocol, so that a pooler in transaction mode may be in between.

mod addresses;
mod column;
mod columns;
mod digest;
mod email;
mod failure;
mod header;
mod inspect;
mod listen;
mod lock_holder;
mod names;
mod part;
mod read;
mod session;
mod sql;
mod unfinished;
mod watched;
mod wide;

use std::time::Duration;

use async_trait::async_trait;
use tokio::sync::mpsc;

use self::columns::Columns;
use self::failure::{Reading, unreadable, unusable};
pub use self::inspect::{RowCount, SourceShape, Unsampled};
use self::read::Reader;
#[cfg(any(test, feature = "fuzzing"))]
pub(crate) use self::read::push;
use self::session::{Snapshot, text};
use self::sql::RowsQuery;
use self::unfinished::OpenReads;
use super::{Addresses, Digested, Heard, Source, SourceError, SourcePages};
use crate::config::{Relation, SourceColumns, SourceConfig};
use crate::database::{Address, CONNECT_TIMEOUT};
use crate::record::{AttributeNames, Filter, SourceDigest, SourcePage, WaitReason};
use crate::waits::Waits;
use crate::worker_thread::WorkerThread;

/// Decoded pages that may wait for the caller.
const PAGES_AHEAD: usize = 4;

/// The shortest and the longest time at once for which a lock of another session is waited for. Many last for a moment.
const LOCK_WAIT: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(30));

/// A source that is a table, view or query in Postgres.
#[derive(Debug, Clone)]
pub struct PostgresSource {
    address: Address,
    relation: String,
    is_query: bool,
    columns: SourceColumns,
    /// The relation as it is configured, for hints.
    reading: Reading,
    give_up_after: Duration,
    waits: Waits,
    reads: OpenReads,
}

impl PostgresSource {
    /// Prepares a source. It connects when it is read.
    ///
    /// # Errors
    /// The address or the table's name is not valid.
    pub fn new(config: &SourceConfig) -> Result<Self, SourceError> {
        let address = Address::parse(config.url.expose(), &|name| std::env::var(name).ok())
            .map_err(|(problem, hint)| unusable(format!("[source] url {problem}"), hint))?;
        Ok(Self {
            address,
            relation: sql::relation(&config.relation)?,
            is_query: matches!(config.relation, Relation::Query(_)),
            columns: config.columns.clone(),
            reading: Reading::of(&config.relation),
            give_up_after: config.give_up_after,
            waits: Waits::default(),
            reads: OpenReads::default(),
        })
    }

    /// Notes in `waits` when the database makes a read wait.
    #[must_use]
    pub fn with_waits(self, waits: Waits) -> Self {
        Self { waits, ..self }
    }

    /// Waits until no query runs any more. One that was abandoned is cancelled, so that it does not go on in the database
    /// after the process has ended; that takes a few seconds at most.
    pub async fn ended(&self) {
        self.reads.ended().await;
    }

    /// Listens for notifications on a channel until the receiver is dropped. Must be called within a runtime.
    #[must_use]
    pub fn listen(&self, channel: &str) -> mpsc::Receiver<Heard> {
        let (address, reading, channel) = (self.address.clone(), self.reading.clone(), channel.to_owned());
        let (sender, heard) = mpsc::channel(listen::HEARD_AHEAD);
        tokio::spawn(async move { listen::listen(&address, &reading, &channel, &sender).await });
        heard
    }

    /// Checks whether notifications arrive on a session with this source.
    ///
    /// # Errors
    /// Why they do not, with what to do.
    pub async fn check_listening(&self, channel: &str) -> Result<(), SourceError> {
        listen::ListeningSession::open(&self.address, &self.reading, channel).await.map(drop)
    }

    /// The variables of the environment that psql would read and that are not used, a sentence each.
    #[must_use]
    pub fn unused_variables(&self) -> &[String] {
        self.address.unused_variables()
    }

    /// Connects, opens the snapshot, and checks the columns' types. Waits for a lock at most so long each time.
    async fn open(&self, lock_wait: Duration) -> Result<(Snapshot, Columns), SourceError> {
        let connecting = self.waits.begin(WaitReason::Source, Some(CONNECT_TIMEOUT), "connecting");
        let (reading, waits, reads) = (self.reading.clone(), &self.waits, &self.reads);
        let mut snapshot = Snapshot::open(&self.address, reading, lock_wait, waits, reads).await?;
        drop(connecting);
        let columns = self.columns(&mut snapshot).await?;
        Ok((snapshot, columns))
    }

    /// Sends all rows, then closes the snapshot and the session. Stops early once the receiver is dropped.
    async fn send_rows(
        &self,
        filter: &Filter,
        names: &AttributeNames,
        lock_wait: Duration,
        pages: &mpsc::Sender<SourcePage>,
    ) -> Result<ReadEnd, SourceError> {
        let (mut snapshot, columns) = self.open(lock_wait).await?;
        let query = self.query(&mut snapshot, &columns, filter, names).await?;
        let row_security = snapshot.row_security(&query.all()).await?;
        let made_by = self.made_by(&snapshot, &columns);
        let unnamed = columns.unnamed(names);
        let rows = Reader::new(snapshot, query, unnamed, pages).read_all().await?;
        let digest = rows.filter(|_| filter.is_empty()).map(|rows| SourceDigest::new(rows, &made_by));
        Ok(ReadEnd { row_security, digest })
    }

    /// Looks at the columns.
    async fn columns(&self, snapshot: &mut Snapshot) -> Result<Columns, SourceError> {
        let found = match snapshot.try_rows(columns::types(&self.relation, &self.columns)).await? {
            Ok(found) => found,
            Err(error) => return Err(self.without_columns(snapshot, error).await?),
        };
        Columns::new(&self.columns, &found)
    }

    /// Writes the query that reads the rows.
    async fn query(
        &self,
        snapshot: &mut Snapshot,
        columns: &Columns,
        filter: &Filter,
        names: &AttributeNames,
    ) -> Result<RowsQuery, SourceError> {
        let small = columns.has_text() && !self.is_query && {
            let found = snapshot.rows(sql::has_small_values(&self.relation)).await?;
            found.first().map(|row| text(row, 0)).transpose()?.as_deref() == Some("true")
        };
        let usable = match columns.name_attributes() {
            true => names::usable(snapshot, names).await?,
            false => Vec::new(),
        };
        Ok(RowsQuery::new(columns.rows(&self.relation, small, names, &usable)?, filter))
    }
}

#[async_trait]
impl Source for PostgresSource {
    fn give_up_after(&self) -> Duration {
        self.give_up_after
    }

    async fn read(
        &self,
        filter: &Filter,
        names: &AttributeNames,
    ) -> Result<Box<dyn SourcePages>, SourceError> {
        self.read_within(filter, names, self.give_up_after).await
    }

    async fn read_within(
        &self,
        filter: &Filter,
        names: &AttributeNames,
        lock_wait: Duration,
    ) -> Result<Box<dyn SourcePages>, SourceError> {
        let (source, filter, names) = (self.clone(), filter.clone(), names.clone());
        let lock_wait = lock_wait.clamp(LOCK_WAIT.0, LOCK_WAIT.1);
        let pages = PostgresPages::start(move |sender| async move {
            source.send_rows(&filter, &names, lock_wait, &sender).await
        });
        Ok(Box::new(pages?))
    }

    async fn digest(&self, names: &AttributeNames) -> Result<Option<Digested>, SourceError> {
        self.digest_of_all(names).await
    }

    fn addresses(&self) -> Option<&dyn Addresses> {
        self.columns.by_email().then_some(self as &dyn Addresses)
    }
}

/// What is known at the end of a read.
#[derive(Debug, Default)]
struct ReadEnd {
    /// The table whose row security applies.
    row_security: Option<String>,
    /// The digest, if every row of the source was read.
    digest: Option<SourceDigest>,
}

/// The pages of one read. Dropping it ends the session.
struct PostgresPages {
    pages: mpsc::Receiver<SourcePage>,
    /// `None` once its result was returned.
    reader: Option<WorkerThread<Result<ReadEnd, SourceError>>>,
    end: ReadEnd,
}

impl PostgresPages {
    /// Starts a read on a thread of its own.
    fn start<F: Future<Output = Result<ReadEnd, SourceError>>>(
        read: impl FnOnce(mpsc::Sender<SourcePage>) -> F + Send + 'static,
    ) -> Result<Self, SourceError> {
        let (sender, pages) = mpsc::channel(PAGES_AHEAD);
        let reader = WorkerThread::start("source", move || read(sender)).map_err(unreadable)?;
        Ok(Self { pages, reader: Some(reader), end: ReadEnd::default() })
    }
}

#[async_trait]
impl SourcePages for PostgresPages {
    async fn next(&mut self) -> Result<Option<SourcePage>, SourceError> {
        if let Some(page) = self.pages.recv().await {
            return Ok(Some(page));
        }
        // The channel also closes when the reader fails. Only the reader's result shows that all rows were read.
        let Some(mut reader) = self.reader.take() else { return Ok(None) };
        self.end = reader.result().await.map_err(unreadable)??;
        Ok(None)
    }

    fn row_security(&self) -> Option<String> {
        self.end.row_security.clone()
    }

    fn digest(&self) -> Option<SourceDigest> {
        self.end.digest.clone()
    }
}
