//! The schema and its migrations, through refinery over the ledger's own connection.
//!
//! refinery takes no lock between two migrators, so this takes an advisory lock.

use refinery_core::traits::r#async::{AsyncMigrate, AsyncQuery, AsyncTransaction};
use refinery_core::{Migration, SchemaVersion};
use sqlx::{AssertSqlSafe, Connection, PgConnection, Row};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use super::schema::is_ledger;
use super::session::{self, failed};
use crate::database::{DatabaseError, Purpose};
use crate::failpoint;
use crate::ledger::{LedgerError, Result, tables};

mod embedded {
    #![allow(missing_docs, reason = "generated")]
    refinery::embed_migrations!("migrations/postgres");
}

/// The connection as refinery needs it.
struct Migrator<'a>(&'a mut PgConnection);

impl AsyncTransaction for Migrator<'_> {
    type Error = DatabaseError;

    async fn execute<'a, T: Iterator<Item = &'a str> + Send + 'a>(
        &'a mut self,
        queries: T,
    ) -> Result<usize, DatabaseError> {
        let mut transaction = self.0.begin().await.map_err(explained)?;
        let mut count = 0;
        for query in queries {
            sqlx::raw_sql(AssertSqlSafe(query)).execute(&mut *transaction).await.map_err(explained)?;
            count += 1;
        }
        failpoint::reach("migrating");
        transaction.commit().await.map_err(explained)?;
        Ok(count)
    }
}

impl AsyncQuery<Vec<Migration>> for Migrator<'_> {
    async fn query<'a>(&'a mut self, query: &'a str) -> Result<Vec<Migration>, DatabaseError> {
        let rows = sqlx::query(AssertSqlSafe(query)).fetch_all(&mut *self.0).await.map_err(explained)?;
        rows.iter().map(|row| applied(row).map_err(explained)).collect()
    }
}

impl AsyncMigrate for Migrator<'_> {}

fn explained(error: sqlx::Error) -> DatabaseError {
    DatabaseError::of(Purpose::Ledger, error)
}

fn applied(row: &sqlx::postgres::PgRow) -> Result<Migration, sqlx::Error> {
    let applied_on: String = row.try_get(2)?;
    let applied_on =
        OffsetDateTime::parse(&applied_on, &Rfc3339).map_err(|error| sqlx::Error::Decode(error.into()))?;
    let checksum: String = row.try_get(3)?;
    let checksum = checksum.parse().map_err(|error| sqlx::Error::Decode(Box::new(error)))?;
    Ok(Migration::applied(row.try_get(0)?, row.try_get(1)?, applied_on, checksum))
}

/// The version of the schema that this build writes and reads.
pub(in crate::ledger) fn known_version() -> SchemaVersion {
    embedded::migrations::runner().get_migrations().iter().map(Migration::version).max().unwrap_or_default()
}

/// The migrations that this build applies: version, name and checksum of each.
pub(in crate::ledger) fn known_migrations() -> Vec<(i64, String, String)> {
    tables::recorded(embedded::migrations::runner().get_migrations())
}

/// The query of a view, as the newest migration that makes it has it.
pub(in crate::ledger) fn view_query(name: &str) -> Option<String> {
    let begin = format!("create view {name} as");
    let migrations = embedded::migrations::runner();
    let queries = migrations.get_migrations().iter().filter_map(|migration| {
        let (_, query) = migration.sql()?.rsplit_once(&begin)?;
        Some((migration.version(), query.split(';').next()?.to_owned()))
    });
    queries.max_by_key(|(version, _)| *version).map(|(_, query)| query)
}

/// The version of the schema in the database; `None` if there is no ledger.
pub(in crate::ledger) async fn present_version(
    connection: &mut PgConnection,
) -> Result<Option<SchemaVersion>> {
    if !is_ledger(connection).await? {
        return Ok(None);
    }
    sqlx::query_scalar("select max(version) from attrsync.refinery_schema_history")
        .fetch_one(connection)
        .await
        .map_err(failed("read its version"))
}

/// The names of all tables that the migrations make.
pub(super) fn table_names() -> Vec<String> {
    tables::names(embedded::migrations::runner().get_migrations())
}

/// Migrates the schema to this build's version, and returns whether it was created. Refuses a schema of a newer build.
pub(super) async fn migrate(connection: &mut PgConnection) -> Result<bool> {
    session::lock_migrations(connection).await?;
    let migrated = migrate_locked(connection).await;
    session::unlock_migrations(connection).await?;
    migrated
}

async fn migrate_locked(connection: &mut PgConnection) -> Result<bool> {
    let present = present_version(connection).await?;
    if let Some(present) = present {
        refuse_newer(present)?;
        if present == known_version() {
            return Ok(false);
        }
    }
    // `create schema if not exists` needs the right to create a schema even if it exists.
    let there: bool = sqlx::query_scalar("select to_regnamespace('attrsync') is not null")
        .fetch_one(&mut *connection)
        .await
        .map_err(failed("look for its schema"))?;
    if !there {
        sqlx::query("create schema attrsync").execute(&mut *connection).await.map_err(failed(
            "create its schema `attrsync` (let an administrator create it, owned by this user)",
        ))?;
    }
    embedded::migrations::runner()
        .set_grouped(true)
        .run_async(&mut Migrator(connection))
        .await
        .map_err(|error| LedgerError::Database { doing: "migrate its tables", source: Box::new(error) })?;
    Ok(present.is_none())
}

/// Refuses a schema that this build does not know.
pub(in crate::ledger) fn refuse_newer(present: SchemaVersion) -> Result<()> {
    let known = known_version();
    if present > known {
        return Err(LedgerError::Version { present: present.into(), known: known.into() });
    }
    Ok(())
}
