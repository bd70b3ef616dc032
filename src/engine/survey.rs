//! What a plan would say of some rows of the source, without a ledger. For `attrsync check`.

use chrono::{DateTime, Utc};

use super::inputs::{policy, wrong_types};
use super::planning::{Planned, Seen};
use super::ports::Options;
use super::store_changes::StoreChanges;
use super::warnings::warnings;
use crate::destination::Attribute;
use crate::plan::batch::Limit;
use crate::plan::diff::{Cursor, Diff, MissingPolicy, Need, OutOfOrder, PlanPage};
use crate::plan::summary::Summary;
use crate::record::{Counts, Filter, InvalidRow, PlanParts, SourcePage, Trigger, Warning};

/// How many invalid rows are named.
const INVALID_SHOWN: usize = 3;

/// What is known of a source besides the rows that are looked at.
#[derive(Debug, Clone, Default)]
pub struct Surroundings {
    /// The table whose row security applies to the reader.
    pub row_security: Option<String>,
    /// The number of values in the ledger that the store may hold.
    pub stored: i64,
}

/// What a plan would say of the rows.
#[derive(Debug)]
pub struct Survey {
    /// The counts of planning.
    pub counts: Counts,
    /// The first invalid rows.
    pub invalid_sample: Vec<InvalidRow>,
    /// The warnings of the plan.
    pub warnings: Vec<Warning>,
}

/// Returns what a plan would say of these rows, which are in key order.
///
/// # Errors
/// The rows are not in key order.
pub fn survey(
    rows: SourcePage,
    surroundings: Surroundings,
    attributes: &[Attribute],
    now: DateTime<Utc>,
) -> Result<Survey, OutOfOrder> {
    let mut diff = Diff::new(policy(
        attributes,
        StoreChanges::default(),
        &Options::default(),
        MissingPolicy::default(),
        now,
    ));
    let mut summary =
        Summary::new(Limit { customers: 10, values: None }, INVALID_SHOWN, wrong_types(attributes));
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
    let Surroundings { row_security, stored } = surroundings;
    let seen = Seen { row_security, ..Seen::default() };
    let planned = Planned {
        counts: Counts { stored_without_row: stored, ..diff.counts() },
        desired: diff.desired(),
        parts: PlanParts::default(),
        waits_until: None,
        summary,
        ended_pins: Vec::new(),
        sends_pinned: false,
        extents: diff.into_extents(),
        seen,
    };
    let warnings = warnings(&planned, &Filter::default(), attributes, Trigger::Manual);
    Ok(Survey { counts: planned.counts, invalid_sample: planned.summary.invalid_sample, warnings })
}
