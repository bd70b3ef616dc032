//! The Postgres reader: one `repeatable read, read only` transaction, one ordered binary COPY.
//!
//! A read is a task of its own that decodes while the merge works. The order is asked of the columns as they are, so
//! that an index on them serves; what is cast is only what is selected.

mod error;

use std::collections::BTreeSet;
use std::time::Duration;

use async_trait::async_trait;
use futures_util::StreamExt;
use sqlx::postgres::{PgConnectOptions, PgConnection};
use sqlx::{AssertSqlSafe, Column, ConnectOptions, Connection, Executor, SqlSafeStr, Statement, TypeInfo};
use tokio::sync::mpsc;
use tokio::time::timeout;

use self::error::{failed, unusable};
use super::copy::Decoder;
use super::{Source, SourceError, SourcePages};
use crate::config::{Relation, SourceConfig, table_parts};
use crate::record::{Filter, SourcePage};

/// Rows a page, and the bytes of values after which a page is handed over early.
const PAGE_ROWS: usize = 2_000;
const PAGE_BYTES: usize = 256 * 1_024;

/// Pages decoded ahead of the merge.
const PAGES_AHEAD: usize = 4;

const CONNECT_TIMEOUT: Duration = Duration::from_secs(30);

/// The columns that a source must have.
const COLUMNS: [&str; 3] = ["customer_id", "attribute_id", "value"];

/// A Postgres table, view or query.
#[derive(Debug, Clone)]
pub struct PostgresSource {
    options: PgConnectOptions,
    relation: Relation,
}

/// What `attrsync check` shows of a source.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct SourceShape {
    /// The server's version, as it says it.
    pub server_version: String,
    /// Whether the server is a standby.
    pub standby: bool,
    /// The three columns with their types.
    pub columns: Vec<(String, String)>,
    /// The planner's estimate of the number of rows.
    pub estimated_rows: Option<i64>,
}

impl PostgresSource {
    /// A source that has not been connected to yet.
    ///
    /// # Errors
    /// The address is not one of Postgres.
    pub fn new(config: &SourceConfig) -> Result<Self, SourceError> {
        let options: PgConnectOptions = config.url.expose().parse().map_err(|_| {
            unusable(
                "[source] url is not a Postgres address",
                "write it as postgres://user@host:5432/database",
            )
        })?;
        let options = options.application_name("attrsync").disable_statement_logging();
        Ok(Self { options, relation: config.relation.clone() })
    }

    /// What the source looks like, without reading its rows.
    ///
    /// # Errors
    /// It cannot be reached or is not as it must be.
    pub async fn inspect(&self) -> Result<SourceShape, SourceError> {
        let mut connection = self.begin().await?;
        let columns = self.check_columns(&mut connection).await?;
        let (server_version, standby): (String, bool) =
            sqlx::query_as("select current_setting('server_version'), pg_is_in_recovery()")
                .fetch_one(&mut connection)
                .await
                .map_err(|error| failed("ask the server's version", error))?;
        let estimated_rows = self.estimate(&mut connection).await;
        end(connection).await?;
        Ok(SourceShape { server_version, standby, columns, estimated_rows })
    }

    async fn begin(&self) -> Result<PgConnection, SourceError> {
        let connected = timeout(CONNECT_TIMEOUT, PgConnection::connect_with(&self.options)).await;
        let mut connection = connected
            .map_err(|_| unusable("the source did not answer within 30 seconds", "look at [source] url"))?
            .map_err(|error| failed("connect", error))?;
        // The read takes as long as it takes; a limit set on the role is for other people's queries.
        let settings = "begin isolation level repeatable read read only; set local statement_timeout = 0; \
                        set local idle_in_transaction_session_timeout = 0; set local lock_timeout = '60s'; \
                        set local client_encoding = 'UTF8'";
        connection.execute(settings).await.map_err(|error| failed("begin its snapshot", error))?;
        Ok(connection)
    }

    /// The columns with their types, checked: a value may be anything, an id must be an integer.
    async fn check_columns(
        &self,
        connection: &mut PgConnection,
    ) -> Result<Vec<(String, String)>, SourceError> {
        let probe = format!("select * from {} limit 0", self.from());
        let probe = connection.prepare(AssertSqlSafe(probe).into_sql_str()).await;
        let probe = probe.map_err(|error| failed("read its columns", error))?;
        let found: Vec<_> =
            probe.columns().iter().map(|c| (c.name().to_owned(), c.type_info().name().to_owned())).collect();
        let mut columns = Vec::new();
        for name in COLUMNS {
            let mut named = found.iter().filter(|(column, _)| column == name);
            let Some(column) = named.next() else {
                let names: Vec<_> = found.iter().map(|(name, _)| name.as_str()).collect();
                let problem =
                    format!("the source has no column {name}; its columns are {}", names.join(", "));
                return Err(unusable(
                    &problem,
                    "name the columns customer_id, attribute_id and value, by `as` in a query",
                ));
            };
            if named.next().is_some() {
                return Err(unusable(&format!("the source has several columns {name}"), "keep one of them"));
            }
            if name != "value" && !["INT2", "INT4", "INT8"].contains(&column.1.as_str()) {
                let problem =
                    format!("the column {name} is of type {}, not an integer type", column.1.to_lowercase());
                return Err(unusable(
                    &problem,
                    "use smallint, integer or bigint, or cast it in a [source] query",
                ));
            }
            columns.push(column.clone());
        }
        Ok(columns)
    }

    async fn estimate(&self, connection: &mut PgConnection) -> Option<i64> {
        let explain = format!("explain select 1 from {}", self.from());
        let (plan,): (String,) = sqlx::query_as(AssertSqlSafe(explain)).fetch_one(connection).await.ok()?;
        plan.split("rows=").nth(1)?.split(' ').next()?.parse().ok()
    }

    /// What stands behind `from`, named `source`. A query gets lines of its own, so that a comment at its end
    /// does not take the parenthesis along.
    fn from(&self) -> String {
        match &self.relation {
            Relation::Table(table) => format!("{} as source", quoted(table)),
            Relation::Query(query) => format!("(\n{query}\n) as source"),
        }
    }

    /// A value over 1,020 bytes is over 255 characters. It is cut, so that one huge value does not fill the memory,
    /// to a length that still shows that it is too long.
    fn copy(&self, filter: &Filter) -> String {
        let value = "source.value::text";
        format!(
            "copy (select source.customer_id::int8, source.attribute_id::int8, \
             case when octet_length({value}) > 1020 then left({value}, 301) else {value} end \
             from {}{} order by source.customer_id, source.attribute_id) to stdout (format binary)",
            self.from(),
            condition(filter)
        )
    }
}

#[async_trait]
impl Source for PostgresSource {
    async fn read(&self, filter: &Filter) -> Result<Box<dyn SourcePages>, SourceError> {
        let mut connection = self.begin().await?;
        self.check_columns(&mut connection).await?;
        let copy = self.copy(filter);
        let (sender, pages) = mpsc::channel(PAGES_AHEAD);
        tokio::spawn(async move {
            if let Err(error) = stream(connection, &copy, &sender).await {
                // The reader may be gone; then nobody wants to know.
                let _ = sender.send(Err(error)).await;
            }
        });
        Ok(Box::new(Pages(pages)))
    }
}

struct Pages(mpsc::Receiver<Result<SourcePage, SourceError>>);

#[async_trait]
impl SourcePages for Pages {
    async fn next(&mut self) -> Result<Option<SourcePage>, SourceError> {
        self.0.recv().await.transpose()
    }
}

/// Reads all rows into pages. The snapshot is closed before the channel is.
async fn stream(
    mut connection: PgConnection,
    copy: &str,
    pages: &mpsc::Sender<Result<SourcePage, SourceError>>,
) -> Result<(), SourceError> {
    let mut decoder = Decoder::default();
    let mut page = SourcePage::with_capacity(PAGE_ROWS);
    {
        let mut rows = connection.copy_out_raw(copy).await.map_err(|error| failed("read its rows", error))?;
        while let Some(bytes) = rows.next().await {
            let bytes = bytes.map_err(|error| failed("read its rows", error))?;
            decoder.feed(&bytes, &mut page).map_err(|error| failed("read its rows", error))?;
            if page.len() >= PAGE_ROWS || page.text_len() >= PAGE_BYTES {
                let full = std::mem::replace(&mut page, SourcePage::with_capacity(PAGE_ROWS));
                if pages.send(Ok(full)).await.is_err() {
                    return Ok(());
                }
            }
        }
    }
    if !decoder.is_complete() {
        return Err(unusable("the source's rows ended in the middle", "run the command again"));
    }
    end(connection).await?;
    if !page.is_empty() {
        // A reader that is gone does not miss it.
        let _ = pages.send(Ok(page)).await;
    }
    Ok(())
}

async fn end(mut connection: PgConnection) -> Result<(), SourceError> {
    connection.execute("commit").await.map_err(|error| failed("end its snapshot", error))?;
    connection.close().await.map_err(|error| failed("end its snapshot", error))
}

fn condition(filter: &Filter) -> String {
    let list = |ids: &BTreeSet<i64>| ids.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
    let columns = [("customer_id", &filter.customers), ("attribute_id", &filter.attributes)];
    let parts = columns.iter().filter(|(_, ids)| !ids.is_empty());
    let parts: Vec<_> = parts.map(|(column, ids)| format!("source.{column} in ({})", list(ids))).collect();
    if parts.is_empty() { String::new() } else { format!(" where {}", parts.join(" and ")) }
}

/// A table's name with each part quoted.
fn quoted(table: &str) -> String {
    // A name that is not one was refused with the configuration; here the server would say so.
    let parts = table_parts(table).unwrap_or_else(|_| vec![table.to_owned()]);
    parts.iter().map(|part| format!("\"{}\"", part.replace('"', "\"\""))).collect::<Vec<_>>().join(".")
}
