//! What a plan would say of some rows of the source, without a ledger. For `attrsync check`.

use chrono::{DateTime, Utc};

use super::inputs::{policy, wrong_types};
use super::planning::{Planned, Seen};
use super::ports::Options;
use super::store_changes::StoreChanges;
use super::warnings::warnings;
use crate::destination::Attribute;
use crate::plan::batch::Limit;
use crate::plan::diff::{Cursor, Diff, Need, OutOfOrder, PlanPage};
use crate::plan::summary::Summary;
use crate::record::{Counts, Filter, SourcePage, Warning};

/// What is known of a source besides the rows that are looked at.
#[derive(Debug, Clone, Default)]
pub struct Surroundings {
    /// The table whose row security applies to the reader.
    pub row_security: Option<String>,
    /// The number of entries in the ledger.
    pub entries: u64,
}

/// Returns the counts of planning for these rows, which are in key order, and the warnings of the plan.
///
/// # Errors
/// The rows are not in key order.
pub fn survey(
    rows: SourcePage,
    surroundings: Surroundings,
    attributes: &[Attribute],
    now: DateTime<Utc>,
) -> Result<(Counts, Vec<Warning>), OutOfOrder> {
    let mut diff = Diff::new(policy(attributes, StoreChanges::default(), &Options::default(), now));
    let mut summary = Summary::new(Limit { customers: 10, values: None }, 0, wrong_types(attributes));
    let (mut source, mut known, mut page) = (Cursor::default(), Cursor::default(), PlanPage::default());
    source.advance(Some(rows));
    known.advance(None);
    loop {
        match diff.step(&mut source, &mut known, &mut page)? {
            Need::Source => source.advance(None),
            Need::Entries => known.advance(None),
            Need::Room => summary.add(&std::mem::take(&mut page)),
            Need::Nothing => break,
        }
    }
    summary.add(&page);
    let Surroundings { row_security, entries } = surroundings;
    let seen = Seen { entries, row_security, ..Seen::default() };
    let planned =
        Planned { counts: diff.counts(), desired: diff.desired(), has_in_doubt: false, summary, seen };
    Ok((planned.counts, warnings(&planned, &Filter::default(), attributes)))
}
