//! Gives entries to keys that the source desires, that the store holds a value of, and that the ledger does not know.
//!
//! An entry that exists is never touched: it may have a newer intent. Values that the source does not know stay unknown
//! to the ledger too, so that nothing ever deletes them.

use std::collections::BTreeSet;

use super::finding::{Finding, FindingKind, Reconciled};
use super::reads::{End, Reads};
use super::rows::{self, DesiredRows, Wish, ranges};
use crate::engine::emails::{ByEmail, Kept, LookUp, look_up};
use crate::engine::stop::asked_to_stop;
use crate::failpoint;
use crate::ledger::readings::VALUES_AT_ONCE;
use crate::record::{EditKind, ObservedValue, ValueEdit, WaitReason};
use crate::source::{Source, SourceError};
use crate::tries::Tries;

/// Adopts the observed values.
pub(super) async fn adopt(reads: &mut Reads<'_>, found: &mut Reconciled) -> Result<(), End> {
    let source = reads.ports.source;
    let by_email = ByEmail::over(source, Some(reads.ports.ledger));
    if by_email.is_some() {
        look_up_customers(reads).await?;
    }
    let mut desired = desired_rows(reads, by_email.as_ref().map_or(source, |source| source)).await?;
    let mut edits = Vec::new();
    for range in ranges(&reads.filter) {
        let ledger = reads.ports.ledger;
        let (mut entries, mut observed) = (rows::entries(ledger, range), rows::observed(ledger, range));
        let mut passed = 0;
        while let Some(value) = observed.next().await? {
            reads.go_on()?;
            let wish = desired.at(value.key).await?;
            if entries.at(value.key, &mut passed).await?.is_some()
                || !reads.has_attribute(value.key.attribute_id)
            {
                continue;
            }
            let finding = compared(&value, wish);
            if matches!(finding.kind, FindingKind::Equal | FindingKind::Different) {
                let ObservedValue { key, value, value_id } = value;
                edits.push(ValueEdit { key, edit: EditKind::Adopt, value: Some(value), value_id });
            }
            reads.found(found, finding);
            if edits.len() >= VALUES_AT_ONCE {
                reads.edit(&std::mem::take(&mut edits)).await?;
                failpoint::reach("values-adopted");
            }
        }
    }
    reads.edit(&edits).await?;
    failpoint::reach("values-adopted");
    Ok(())
}

/// What the store holds, compared with what the source desires.
fn compared(observed: &ObservedValue, wish: Wish) -> Finding {
    let (kind, expected) = match wish {
        Wish::Nothing => (FindingKind::UnknownToSource, None),
        Wish::Invalid => (FindingKind::Invalid, None),
        Wish::Value(value) if value == observed.value => (FindingKind::Equal, Some(value)),
        Wish::Value(value) => (FindingKind::Different, Some(value)),
    };
    Finding {
        key: observed.key,
        kind,
        expected,
        observed: Some(observed.value.clone()),
        value_id: observed.value_id,
    }
}

/// Looks up the customers of the source's e-mail addresses.
async fn look_up_customers(reads: &Reads<'_>) -> Result<(), End> {
    let with = LookUp::of_run(reads.ports, reads.config.push);
    let kept = Kept::InLedger(reads.ports.ledger, reads.run_id);
    let (mut stop, all) = (reads.stop.clone(), BTreeSet::new());
    tokio::select! {
        biased;
        () = asked_to_stop(&mut stop) => Err(End::Stopped),
        looked_up = look_up(with, &all, false, kept) => Ok(looked_up?),
    }
}

/// Starts to read the source. As long as it is unavailable, that is tried again.
async fn desired_rows(reads: &Reads<'_>, source: &dyn Source) -> Result<DesiredRows, End> {
    let mut tries = Tries::new(WaitReason::Source, source.give_up_after());
    loop {
        let started = async {
            let mut pages = source.read_within(&reads.filter, &reads.names, tries.left()).await?;
            let first = pages.next().await?;
            Ok((pages, first))
        };
        match started.await {
            Ok((pages, first)) => return Ok(DesiredRows::new(pages, first)),
            Err(error @ SourceError::Unavailable { .. }) => {
                reads.go_on()?;
                if !tries.wait(&error, reads.ports.waits).await {
                    return Err(error.into());
                }
            }
            Err(error) => return Err(error.into()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::Key;

    #[test]
    fn only_what_the_source_desires_is_adopted() {
        let observed = ObservedValue { key: Key::new(1, 2), value: "a".to_owned(), value_id: Some(3) };
        for (wish, kind) in [
            (Wish::Nothing, FindingKind::UnknownToSource),
            (Wish::Invalid, FindingKind::Invalid),
            (Wish::Value("a".to_owned()), FindingKind::Equal),
            (Wish::Value("b".to_owned()), FindingKind::Different),
        ] {
            assert_eq!(compared(&observed, wish).kind, kind);
        }
    }
}
