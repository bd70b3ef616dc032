//! The warnings of `plan` and `sync`: what was read is probably not what was meant.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use attrsync::clock::SystemClock;
use attrsync::config::PushConfig;
use attrsync::engine::{self, ForecastPorts, Options, Ports};
use attrsync::ledger::LedgerReader;
use attrsync::record::{Filter, Trigger, Warning};
use attrsync::sandbox::{Model, QuotaRule, SandboxOptions};
use attrsync::testing::memory_ledger::MemoryStore;
use attrsync::testing::memory_source::{MemoryRow, MemorySource};
use attrsync::testing::sandbox_destination::SandboxDestination;
use attrsync::waits::Waits;
use tokio::sync::watch;

use crate::ledger::postgres::store;

fn row(customer: i64, attribute: i64, value: &str) -> MemoryRow {
    (Some(customer), Some(attribute), Some(value.to_owned()))
}

/// Syncs the first rows, then returns what a plan and a sync of the second rows say. Both say the same.
async fn said(before: &[MemoryRow], now: &[MemoryRow], filter: Filter) -> Vec<String> {
    said_by(before, now, Options { filter, ..Options::default() }).await
}

/// The same with all options.
async fn said_by(before: &[MemoryRow], now: &[MemoryRow], options: Options) -> Vec<String> {
    let quota = QuotaRule { requests: 10_000, ..QuotaRule::default() };
    let sandbox =
        SandboxOptions { customers: 100, latency: Duration::ZERO, quota, ..SandboxOptions::default() };
    let model = Arc::new(Mutex::new(Model::new(sandbox)));
    let destination = SandboxDestination::new(model, Duration::from_secs(60), 0.2);
    let ledger = MemoryStore::new().lock(&store()).expect("the lock is free");
    let source = MemorySource::new(before.to_vec());
    let (clock, waits) = (&SystemClock, &Waits::default());
    let ports = Ports {
        source: &source,
        ledger: &ledger,
        destination: &destination,
        clock,
        waits,
        progress: &|_| {},
    };
    let (_ask, stop) = watch::channel(false);
    let push = PushConfig::default();
    engine::sync(ports, &push, &Options::default(), stop.clone()).await.expect("ends");

    source.replace(now.to_vec());
    let entries: Option<&dyn LedgerReader> = Some(&ledger);
    let ports_of_plan = ForecastPorts {
        source: &source,
        entries,
        destination: &destination,
        clock,
        waits,
        progress: &|_| {},
    };
    let planned = engine::plan(ports_of_plan, &push, &options, 20, None).await.expect("a plan");
    let report = engine::sync(ports, &push, &options, stop).await.expect("ends");
    assert_eq!(planned.warnings, report.warnings);
    report.warnings.iter().map(Warning::to_string).collect()
}

async fn said_of_all(before: &[MemoryRow], now: &[MemoryRow]) -> Vec<String> {
    said(before, now, Filter::default()).await
}

fn assert_one(said: &[String], words: &str) {
    assert!(said.len() == 1 && said[0].contains(words), "{words}: {said:?}");
}

#[tokio::test]
async fn nothing_read_is_not_success() {
    let three = [row(1, 1, "a"), row(2, 1, "b"), row(3, 1, "c")];
    let nulls: Vec<MemoryRow> = three.iter().map(|(c, a, _)| (*c, *a, None)).collect();
    assert!(said_of_all(&three, &three).await.is_empty());
    assert!(said_of_all(&three, &three[..1]).await.is_empty(), "rows may leave");
    assert_one(&said_of_all(&three, &[]).await, "has no rows, but the ledger has 3");
    assert_one(&said_of_all(&three, &nulls).await, "all 3 rows of the source are NULL, but the ledger has 3");
    assert_one(&said_of_all(&[], &[]).await, "has no rows: there is nothing to send");
    let filter = Filter { attributes: [2].into(), ..Filter::default() };
    assert_one(&said(&three, &three, filter).await, "no rows of these attributes");
    let filter = Filter { customers: [1].into(), ..Filter::default() };
    assert!(said(&three, &[], filter).await.is_empty(), "a single customer may leave");
}

#[tokio::test]
async fn a_source_with_more_invalid_rows_than_others_is_named() {
    let rows = [row(1, 1, "a"), row(2, 77, "b"), row(3, 77, "c")];
    assert_one(&said_of_all(&[], &rows).await, "2 of 3 rows of the source are invalid");
    assert!(said_of_all(&[], &[&rows[..2], &[row(4, 1, "d")]].concat()).await.is_empty());
}

#[tokio::test]
async fn a_customer_that_is_not_known_is_named() {
    let rows = [row(1, 1, "a"), row(2, 1, "b")];
    let filter =
        |customers: &[i64]| Filter { customers: customers.iter().copied().collect(), ..Filter::default() };
    assert_one(&said(&rows, &rows, filter(&[1, 99_999])).await, "customer 99999 is neither");
    assert!(said(&rows, &rows[..1], filter(&[1, 2])).await.is_empty(), "the ledger knows customer 2");
    assert!(said(&rows[..1], &rows, filter(&[2])).await.is_empty(), "the source has customer 2");
    let options = Options { filter: filter(&[99_999]), trigger: Trigger::Change, ..Options::default() };
    assert!(said_by(&rows, &rows, options).await.is_empty(), "no person has named the customer");
}

#[tokio::test]
async fn changed_values_that_are_no_number_or_date_are_counted() {
    let odd = [
        row(1, 2, "lots"),
        row(2, 2, "NaN"),
        row(2, 3, "31/12/2026"),
        row(3, 2, "7"),
        row(3, 3, "2026-12-31"),
    ];
    let said = said_of_all(&[], &odd).await;
    assert_eq!(said.len(), 2, "{said:?}");
    assert!(
        said[0].contains("2 values") && said[0].contains("(2)") && said[0].contains("customers 1, 2"),
        "{said:?}"
    );
    assert!(
        said[1].contains("1 value ") && said[1].contains("(3)") && said[1].contains("customer 2"),
        "{said:?}"
    );
    assert!(!said.concat().contains("lots"));
    assert!(said_of_all(&odd, &odd).await.is_empty(), "values that do not change are not checked again");
}
