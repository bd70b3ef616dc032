//! Finds drift: entries that are confirmed, and whose value the store does not hold any more.

use super::finding::{Finding, FindingKind, Reconciled};
use super::reads::{End, Reads};
use super::rows::{self, ranges};
use crate::destination::{Echo, LISTED_CUSTOMERS_MAX};
use crate::failpoint;
use crate::plan::drift::{Comparable, agrees, comparable};
use crate::record::{EditKind, Entry, Key, ReportedDrift, ValueEdit};

/// The most keys of one direct read.
const SUSPECTS_MAX: usize = 500;

/// An entry that may have drifted.
pub(super) struct Suspect {
    pub(super) entry: Entry,
    pub(super) reported: Option<ReportedDrift>,
}

/// Entries that may have drifted, of few enough customers for one direct read.
#[derive(Default)]
pub(super) struct Suspects {
    entries: Vec<Suspect>,
    customers: usize,
}

impl Suspects {
    pub(super) fn add(&mut self, suspect: Suspect) {
        let last = self.entries.last().map(|last| last.entry.key.customer_id);
        self.customers += usize::from(last != Some(suspect.entry.key.customer_id));
        self.entries.push(suspect);
    }

    pub(super) fn is_full(&self) -> bool {
        self.customers >= LISTED_CUSTOMERS_MAX || self.entries.len() >= SUSPECTS_MAX
    }
}

/// Compares the entries with what the pages showed, and reads directly what differs.
pub(super) async fn compare(reads: &mut Reads<'_>, found: &mut Reconciled) -> Result<(), End> {
    let mut suspects = Suspects::default();
    for range in ranges(&reads.filter) {
        let ledger = reads.ports.ledger;
        let (mut entries, mut observed) = (rows::entries(ledger, range), rows::observed(ledger, range));
        let mut reported = rows::reported(ledger, range);
        let mut passed = 0;
        while let Some(entry) = entries.next().await? {
            reads.go_on()?;
            let key = entry.key;
            let value = observed.at(key, &mut found.not_in_ledger).await?;
            let reported = reported.at(key, &mut passed).await?;
            if !reads.has_attribute(key.attribute_id) {
                continue;
            }
            match comparable(&entry, reads.ports.clock.now()) {
                Comparable::No => found.unconfirmed += 1,
                Comparable::Never => {}
                Comparable::Yes if agrees(&entry, value.as_ref().map(|value| value.value.as_str())) => {
                    agreed(reads, found, &entry, reported.is_some()).await?;
                }
                Comparable::Yes => suspects.add(Suspect { entry, reported }),
            }
            if suspects.is_full() {
                examine(reads, found, std::mem::take(&mut suspects)).await?;
            }
        }
        while observed.next().await?.is_some() {
            found.not_in_ledger += 1;
        }
    }
    examine(reads, found, suspects).await
}

/// The store holds what the entry says.
pub(super) async fn agreed(
    reads: &Reads<'_>,
    found: &mut Reconciled,
    entry: &Entry,
    was_reported: bool,
) -> Result<(), End> {
    found.agreeing += 1;
    if !was_reported {
        return Ok(());
    }
    let (key, value_id) = (entry.key, entry.value_id);
    let value = entry.stored_value.clone().or_else(|| entry.value.clone());
    let finding = Finding {
        key,
        kind: FindingKind::DriftReturn,
        expected: value.clone(),
        observed: value.clone(),
        value_id,
    };
    reads.found(found, finding);
    reads.edit(&[ValueEdit { key, edit: EditKind::Return, value, value_id }]).await
}

/// Whether a direct read showed what the entry says. A key may be there more than once.
pub(super) fn is_shown_by(entry: &Entry, echoes: &[Echo]) -> bool {
    let mut of_key = echoes.iter().filter(|echo| echo.key == entry.key).peekable();
    match of_key.peek() {
        None => agrees(entry, None),
        Some(_) => of_key.any(|echo| agrees(entry, Some(&echo.value))),
    }
}

/// The value that a direct read showed for a key, and its id.
fn shown(key: Key, echoes: &[Echo]) -> (Option<String>, Option<i64>) {
    let of_key = echoes.iter().rev().find(|echo| echo.key == key);
    (of_key.map(|echo| echo.value.clone()), of_key.and_then(|echo| echo.value_id))
}

/// Reads the suspects directly, and edits the beliefs about those that the store really holds something else of.
pub(super) async fn examine(
    reads: &Reads<'_>,
    found: &mut Reconciled,
    suspects: Suspects,
) -> Result<(), End> {
    if suspects.entries.is_empty() {
        return Ok(());
    }
    let keys: Vec<Key> = suspects.entries.iter().map(|suspect| suspect.entry.key).collect();
    let destination = reads.ports.destination;
    let echoes = reads.read(|| destination.fetch(&keys)).await?;
    found.direct_reads += 1;
    let mut edits = Vec::new();
    for Suspect { entry, reported } in suspects.entries {
        if is_shown_by(&entry, &echoes) {
            agreed(reads, found, &entry, reported.is_some()).await?;
            continue;
        }
        let (value, value_id) = shown(entry.key, &echoes);
        let policy = reads.policy(entry.key.attribute_id);
        let edit = ValueEdit { key: entry.key, edit: policy.edit(), value: value.clone(), value_id };
        let is_known = edit.edit == EditKind::Report
            && reported.is_some_and(|drift| {
                drift.run_id > entry.run_id && (drift.value, drift.value_id) == (value.clone(), value_id)
            });
        if !is_known {
            edits.push(edit);
        }
        let expected = entry.stored_value.or(entry.value);
        let (key, kind) = (entry.key, FindingKind::of_drift(policy));
        reads.found(found, Finding { key, kind, expected, observed: value, value_id });
    }
    reads.edit(&edits).await?;
    failpoint::reach("drift-edited");
    Ok(())
}
