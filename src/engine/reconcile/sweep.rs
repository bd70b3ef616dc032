//! Reads back a share of the values, so that each is read once in a time, and what was modified lately.

use chrono::{DateTime, TimeDelta, Utc};
use futures_util::future::BoxFuture;
use tokio::sync::watch;

use super::drift::{Suspect, Suspects, agreed, examine, is_shown_by};
use super::finding::Reconciled;
use super::life::{close, open, reads};
use super::modified;
use super::reads::{End, ReadConfig, Reads, ReconcileOptions};
use crate::destination::LISTED_CUSTOMERS_MAX;
use crate::engine::ports::{EngineError, Ports};
use crate::plan::drift::{Comparable, comparable};
use crate::record::{Entry, Key, Reading, ReadingKind, Trigger};

/// The shortest time between two sweeps, so that frequent syncs do not make a run of each.
const SHORTEST: TimeDelta = TimeDelta::hours(1);

/// The time that is assumed to lie before the first sweep.
const NIGHT: TimeDelta = TimeDelta::days(1);

/// The most entries of one direct read.
const SLICE_ROWS: usize = 500;

/// Reads back a share of the values after a sync, and what was modified since the last time. `None` if there is nothing to
/// read yet.
///
/// # Errors
/// What kept the run from reading or recording.
pub fn sweep<'a>(
    ports: Ports<'a>,
    config: ReadConfig<'a>,
    stop: watch::Receiver<bool>,
) -> BoxFuture<'a, Result<Option<Reconciled>, EngineError>> {
    Box::pin(sweep_once(ports, config, stop))
}

async fn sweep_once(
    ports: Ports<'_>,
    config: ReadConfig<'_>,
    stop: watch::Receiver<bool>,
) -> Result<Option<Reconciled>, EngineError> {
    let Some(every) = config.drift.sweep.and_then(|every| TimeDelta::from_std(every).ok()) else {
        return Ok(None);
    };
    let now = ports.clock.now();
    let readings = ports.ledger.readings().await?;
    let before = readings.into_iter().find(|reading| reading.kind == ReadingKind::Sweep);
    let is_soon = |reading: &Reading| (TimeDelta::zero()..SHORTEST).contains(&(now - reading.at));
    if before.as_ref().is_some_and(is_soon) || ports.ledger.count_entries_after(0).await? == 0 {
        return Ok(None);
    }
    let run_id = open(ports, Trigger::Schedule, true).await?;
    let mut found = Reconciled::new(run_id);
    let ended = both(ports, config, stop, run_id, (before, every), &mut found).await;
    close(ports, found, ended).await.map(Some)
}

async fn both(
    ports: Ports<'_>,
    config: ReadConfig<'_>,
    stop: watch::Receiver<bool>,
    run_id: i64,
    (before, every): (Option<Reading>, TimeDelta),
    found: &mut Reconciled,
) -> Result<(), End> {
    let reads = reads(ports, config, &ReconcileOptions::default(), None, stop, run_id).await?;
    modified::look(&reads, found).await?;
    let now = ports.clock.now();
    let reading = before.unwrap_or(Reading {
        kind: ReadingKind::Sweep,
        started_at: now,
        position: 0,
        at: now - NIGHT.min(every),
    });
    let left = ports.ledger.count_entries_after(reading.position).await?;
    read_share(&reads, found, reading, share(left, &reading, every, now)).await
}

/// Returns how many of the entries that are left are due now, if the next sweep comes after as much time as has passed since
/// the last one.
fn share(left: i64, reading: &Reading, every: TimeDelta, now: DateTime<Utc>) -> i64 {
    let zero = TimeDelta::zero();
    let passed = (now - reading.at).clamp(zero, every).num_seconds().max(1);
    let to_come = (reading.started_at + every - now).clamp(zero, every).num_seconds();
    let share = i128::from(left) * i128::from(passed);
    let share = (share + i128::from(passed + to_come) - 1) / i128::from(passed + to_come);
    i64::try_from(share).unwrap_or(i64::MAX)
}

/// Reads directly at least so many entries, in the order of their customers.
async fn read_share(
    reads: &Reads<'_>,
    found: &mut Reconciled,
    mut reading: Reading,
    due: i64,
) -> Result<(), End> {
    let ledger = reads.ports.ledger;
    let mut done = 0;
    while done < due {
        reads.go_on()?;
        let after = Key::new(reading.position, i64::MAX);
        let page = ledger.entries_after(after, i64::MAX, SLICE_ROWS).await?;
        let is_last = page.len() < SLICE_ROWS;
        let slice = whole_customers(page, is_last);
        let Some(last) = slice.last().map(|entry| entry.key.customer_id) else { break };
        done += i64::try_from(slice.len()).unwrap_or(i64::MAX);
        read_slice(reads, found, slice).await?;
        (reading.position, reading.at) = (last, reads.ports.clock.now());
        ledger.keep_reading(reads.run_id, &reading).await?;
    }
    if ledger.count_entries_after(reading.position).await? == 0 {
        let now = reads.ports.clock.now();
        reading = Reading { started_at: now, position: 0, at: now, ..reading };
        ledger.keep_reading(reads.run_id, &reading).await?;
    }
    Ok(())
}

/// The entries of the first customers, as many as one direct read takes. The entries of the last customer of a page may go
/// on after it.
fn whole_customers(mut page: Vec<Entry>, is_last: bool) -> Vec<Entry> {
    let mut customers: Vec<i64> = page.iter().map(|entry| entry.key.customer_id).collect();
    customers.dedup();
    if !is_last && customers.len() > 1 {
        customers.pop();
    }
    customers.truncate(LISTED_CUSTOMERS_MAX);
    let last = customers.last().copied().unwrap_or_default();
    page.retain(|entry| entry.key.customer_id <= last);
    page
}

/// Reads the entries of a slice. One that differs is read once more.
async fn read_slice(reads: &Reads<'_>, found: &mut Reconciled, slice: Vec<Entry>) -> Result<(), End> {
    let now = reads.ports.clock.now();
    let mut checked: Vec<Entry> = Vec::new();
    for entry in slice {
        match comparable(&entry, now) {
            Comparable::Yes => checked.push(entry),
            Comparable::No => found.unconfirmed += 1,
            Comparable::Never => {}
        }
    }
    let (Some(first), Some(last)) = (checked.first(), checked.last()) else { return Ok(()) };
    let (first, last) = (Key::new(first.key.customer_id, 0), last.key.customer_id);
    let reported = reads.ports.ledger.reported_after(first, last, SLICE_ROWS).await?;
    let keys: Vec<Key> = checked.iter().map(|entry| entry.key).collect();
    let destination = reads.ports.destination;
    let echoes = reads.read(|| destination.fetch(&keys)).await?;
    found.direct_reads += 1;
    found.values += echoes.len() as u64;
    let mut suspects = Suspects::default();
    for entry in checked {
        let reported = reported.iter().find(|drift| drift.key == entry.key).cloned();
        if is_shown_by(&entry, &echoes) {
            agreed(reads, found, &entry, reported.is_some()).await?;
        } else {
            suspects.add(Suspect { entry, reported });
        }
    }
    examine(reads, found, suspects).await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_value_is_read_once_in_the_time() {
        let start = DateTime::UNIX_EPOCH + TimeDelta::days(20_000);
        let every = TimeDelta::days(30);
        for entries in [1, 29, 30, 31, 1_000, 999_999] {
            let mut reading = Reading {
                kind: ReadingKind::Sweep,
                started_at: start,
                position: 0,
                at: start - TimeDelta::days(1),
            };
            let (mut left, mut largest) = (entries, 0);
            for night in 0..=30 {
                let now = start + TimeDelta::days(night);
                let due = share(left, &reading, every, now).min(left);
                assert!(left == 0 || due > 0, "each night reads something");
                largest = largest.max(due);
                left -= due;
                reading.at = now;
            }
            assert_eq!(left, 0, "{entries}");
            assert!(largest <= entries / 31 + 1, "{entries}: {largest}");
        }
    }

    #[test]
    fn a_clock_that_was_set_stops_no_sweep() {
        let now = DateTime::UNIX_EPOCH + TimeDelta::days(20_000);
        let every = TimeDelta::days(30);
        for (started, at) in [(-400, -400), (-400, 1), (3, 3), (90, 2), (0, 0)] {
            let time = |days| now + TimeDelta::days(days);
            let reading =
                Reading { kind: ReadingKind::Sweep, started_at: time(started), position: 0, at: time(at) };
            assert!((1..=1_000).contains(&share(1_000, &reading, every, now)), "{started} {at}");
        }
    }
}
