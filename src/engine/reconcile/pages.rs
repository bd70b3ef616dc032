//! Reads the pages of the store's values, and keeps what they show in the ledger.

use std::collections::BTreeMap;

use chrono::TimeDelta;

use super::finding::Reconciled;
use super::reads::{End, Reads};
use crate::destination::{Body, Echo, HttpResponse, LISTED_CUSTOMERS_MAX, ReadError, Response, ValueList};
use crate::engine::ports::{EngineError, GaveUp, Progress};
use crate::failpoint;
use crate::record::{Filter, Key, ObservedValue, Reading, ReadingKind};

/// What older pages showed is read again.
const CONTINUED_FOR: TimeDelta = TimeDelta::hours(24);

/// Reads all pages. A whole reading that was killed or stopped goes on after its last page.
pub(super) async fn read(reads: &mut Reads<'_>, found: &mut Reconciled) -> Result<(), End> {
    let now = reads.ports.clock.now();
    let before = reads.ports.ledger.readings().await?;
    let before = before.into_iter().find(|reading| reading.kind == ReadingKind::Whole);
    let age = before.map(|reading| now - reading.started_at);
    let is_young = age.is_some_and(|age| (TimeDelta::zero()..CONTINUED_FOR).contains(&age));
    let mut reading = match before.filter(|_| is_young && reads.filter.is_empty()) {
        Some(reading) => {
            found.continued_after = Some(reading.position.abs());
            reading
        }
        None => {
            while reads.ports.ledger.remove_observed(reads.run_id).await? {}
            Reading { kind: ReadingKind::Whole, started_at: now, position: 0, at: now }
        }
    };
    // All pages were read, and the run was killed afterwards.
    if reading.position < 0 {
        return Ok(());
    }
    for list in lists(&reads.filter) {
        read_list(reads, &list, &mut reading, found).await?;
    }
    reading.position = -reading.position.max(1);
    Ok(reads.ports.ledger.keep_reading(reads.run_id, &reading).await?)
}

/// The lists that together have the values of a filter.
fn lists(filter: &Filter) -> Vec<ValueList> {
    let list = |customers: &[i64]| {
        let filter = Filter { customers: customers.iter().copied().collect(), ..filter.clone() };
        ValueList { filter, modified_since: None }
    };
    if filter.customers.is_empty() {
        return vec![list(&[])];
    }
    let customers: Vec<i64> = filter.customers.iter().copied().collect();
    customers.chunks(LISTED_CUSTOMERS_MAX).map(list).collect()
}

/// Reads the pages of one list, after those that were read before.
async fn read_list(
    reads: &mut Reads<'_>,
    list: &ValueList,
    reading: &mut Reading,
    found: &mut Reconciled,
) -> Result<(), End> {
    let mut page = if reads.filter.is_empty() { reading.position.unsigned_abs() + 1 } else { 1 };
    let mut previous: Vec<Echo> = Vec::new();
    loop {
        reads.go_on()?;
        let destination = reads.ports.destination;
        let read = reads.read(|| destination.values(list, page)).await?;
        if !read.values.is_empty() && read.values == previous {
            return Err(End::Failed(repeats(page)));
        }
        found.pages += 1;
        found.values += read.values.len() as u64;
        if reads.filter.is_empty() {
            reading.position = i64::try_from(page).unwrap_or(i64::MAX);
        }
        reading.at = reads.ports.clock.now();
        let values = observed(&read.values);
        reads.ports.ledger.keep_observed(reads.run_id, &values, reading).await?;
        failpoint::reach("values-observed");
        (reads.ports.progress)(Progress::Reading(found.values));
        if read.is_last {
            return Ok(());
        }
        previous = read.values;
        page += 1;
    }
}

/// The values of a page, each key once.
fn observed(echoes: &[Echo]) -> Vec<ObservedValue> {
    let by_key: BTreeMap<Key, &Echo> = echoes.iter().map(|echo| (echo.key, echo)).collect();
    let observed =
        |echo: &Echo| ObservedValue { key: echo.key, value: echo.value.clone(), value_id: echo.value_id };
    by_key.into_values().map(observed).collect()
}

/// The error of a store that returns the same page again and again.
fn repeats(page: u64) -> EngineError {
    let problem = format!("page {page} of the list repeats the page before it");
    let response = HttpResponse { status: 200, request_id: None, wait: None, body: Body::Invalid(problem) };
    let error = ReadError(Response::Received(response));
    let (took, asked) = (std::time::Duration::ZERO, None);
    EngineError::Store(Box::new(GaveUp { what: "values", error, tries: 1, took, asked }))
}
