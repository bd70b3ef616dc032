//! The desired values of some customers, looked up in the source by a command that reads the ledger.

use std::time::Duration;

use serde::Serialize;

use super::failure::Failure;
use super::wiring;
use crate::config::AuditConfig;
use crate::engine::ByEmail;
use crate::ledger::EmailReader;
use crate::record::{AttributeNames, Filter};
use crate::source::Source as _;
use crate::waits::Waits;

/// The most rows that are looked up.
const ROWS_MAX: usize = 100_000;

/// How long the look-up may take. A database that is down must not keep a person waiting for what the ledger knows.
const TIMEOUT: Duration = Duration::from_secs(10);

/// A row of the source.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(super) struct DesiredRow {
    /// The customer.
    #[serde(skip)]
    pub(super) customer_id: Option<i64>,
    /// The attribute, if the row has one.
    pub(super) attribute_id: Option<i64>,
    /// The value; `None` is NULL, unless there is a problem.
    pub(super) value: Option<String>,
    /// Why the value could not be read.
    pub(super) problem: Option<String>,
}

/// Returns the rows that the filter lets through. If the source names customers by e-mail address, `ledger` knows them.
///
/// # Errors
/// The source cannot be read, or its address needs a variable of the environment that is not set.
pub(super) async fn look_up(
    config: &AuditConfig,
    filter: &Filter,
    names: &AttributeNames,
    ledger: &dyn EmailReader,
) -> Result<Vec<DesiredRow>, Failure> {
    let source = config.source.as_ref().map_err(Failure::usage)?;
    let timed_out =
        |_| Failure::new(format!("the source did not respond within {} seconds", TIMEOUT.as_secs()));
    tokio::time::timeout(TIMEOUT, async {
        let source = wiring::source(source, &Waits::default())?;
        let mut pages = match ByEmail::over(&source, Some(ledger)) {
            Some(source) => source.read(filter, names).await?,
            None => source.read(filter, names).await?,
        };
        let mut rows = Vec::new();
        while let Some(page) = pages.next().await? {
            for index in 0..page.len().min(ROWS_MAX.saturating_sub(rows.len())) {
                let row = page.row(index);
                rows.push(DesiredRow {
                    customer_id: row.customer_id,
                    attribute_id: row.attribute_id,
                    value: row.value.map(str::to_owned),
                    problem: row.problem.map(str::to_owned),
                });
            }
        }
        Ok(rows)
    })
    .await
    .map_err(timed_out)?
}
