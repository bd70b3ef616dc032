//! Reads the values that were modified since the last look. Which values these are is the store's word, so it is used only
//! as long as the store was seen to list our own writes, and nothing that cannot have been modified.

use std::collections::BTreeSet;

use chrono::{DateTime, TimeDelta, Utc};

use super::drift::{Suspect, Suspects, examine, is_shown_by};
use super::finding::Reconciled;
use super::reads::{End, Reads};
use crate::destination::{Echo, ValueList};
use crate::plan::drift::{Comparable, comparable};
use crate::record::{Entry, Filter, Key, Reading, ReadingKind};

/// How much the clocks of this machine and of the store may differ.
const CLOCKS: TimeDelta = TimeDelta::hours(1);

/// How many of our own writes the store is asked for.
const OWN_WRITES: usize = 40;

/// The most pages of one look. If more was modified, the sweep finds the rest.
const PAGES_MAX: u64 = 4_000;

/// Looks at what was modified since the last look, if the store honours that.
pub(super) async fn look(reads: &Reads<'_>, found: &mut Reconciled) -> Result<(), End> {
    let now = reads.ports.clock.now();
    let readings = reads.ports.ledger.readings().await?;
    let before = readings.into_iter().find(|reading| reading.kind == ReadingKind::Modified);
    let is_honoured = match is_honoured(reads, now).await? {
        Some(is_honoured) => is_honoured,
        None => before.is_some_and(|before| before.position == 1),
    };
    if let Some(before) = before.filter(|_| is_honoured) {
        read_since(reads, found, before.started_at - CLOCKS).await?;
    }
    let position = i64::from(is_honoured);
    let reading = Reading { kind: ReadingKind::Modified, started_at: now, position, at: now };
    Ok(reads.ports.ledger.keep_reading(reads.run_id, &reading).await?)
}

/// Returns whether the store lists what the newest sync changed as modified since then, and nothing as modified after
/// tomorrow. `None` if no sync has changed anything.
async fn is_honoured(reads: &Reads<'_>, now: DateTime<Utc>) -> Result<Option<bool>, End> {
    let own = reads.ports.ledger.lately_confirmed(OWN_WRITES).await?;
    let Some((_, since)) = own.first().copied() else { return Ok(None) };
    let keys: BTreeSet<Key> = own.into_iter().map(|(key, _)| key).collect();
    let filter = Filter {
        customers: keys.iter().map(|key| key.customer_id).collect(),
        attributes: keys.iter().map(|key| key.attribute_id).collect(),
    };
    let list = |since| ValueList { filter: filter.clone(), modified_since: Some(since) };
    let destination = reads.ports.destination;
    let (lately, tomorrow) = (list(since - CLOCKS), list(now + TimeDelta::days(1)));
    if !reads.read(|| destination.values(&tomorrow, 1)).await?.values.is_empty() {
        return Ok(Some(false));
    }
    let mut missing = keys;
    for number in 1..=PAGES_MAX {
        let page = reads.read(|| destination.values(&lately, number)).await?;
        for echo in &page.values {
            missing.remove(&echo.key);
        }
        if page.is_last || missing.is_empty() {
            break;
        }
    }
    Ok(Some(missing.is_empty()))
}

/// Reads the pages of what was modified since a time, and compares them with the entries.
async fn read_since(reads: &Reads<'_>, found: &mut Reconciled, since: DateTime<Utc>) -> Result<(), End> {
    let list = ValueList { filter: Filter::default(), modified_since: Some(since) };
    let destination = reads.ports.destination;
    for number in 1..=PAGES_MAX {
        reads.go_on()?;
        let page = reads.read(|| destination.values(&list, number)).await?;
        found.pages += 1;
        found.values += page.values.len() as u64;
        compare(reads, found, &page.values).await?;
        if page.is_last {
            return Ok(());
        }
    }
    Ok(())
}

/// Compares a page with the entries, and reads directly what differs.
async fn compare(reads: &Reads<'_>, found: &mut Reconciled, echoes: &[Echo]) -> Result<(), End> {
    let customers: BTreeSet<i64> = echoes.iter().map(|echo| echo.key.customer_id).collect();
    let customers: Vec<i64> = customers.into_iter().collect();
    let now = reads.ports.clock.now();
    let mut suspects = Suspects::default();
    for entry in reads.ports.ledger.entries_of(&customers).await? {
        if !is_other(&entry, echoes) || comparable(&entry, now) != Comparable::Yes {
            continue;
        }
        let (first, last) =
            (Key::new(entry.key.customer_id, entry.key.attribute_id - 1), entry.key.customer_id);
        let reported = reads.ports.ledger.reported_after(first, last, 1).await?;
        let reported = reported.into_iter().find(|drift| drift.key == entry.key);
        suspects.add(Suspect { entry, reported });
        if suspects.is_full() {
            examine(reads, found, std::mem::take(&mut suspects)).await?;
        }
    }
    examine(reads, found, suspects).await
}

/// Whether the page shows the key, and another value of it than the entry says.
fn is_other(entry: &Entry, echoes: &[Echo]) -> bool {
    echoes.iter().any(|echo| echo.key == entry.key) && !is_shown_by(entry, echoes)
}
