//! What a person should look at in a plan.

use super::planning::{NotWhole, Planned};
use crate::destination::Attribute;
use crate::record::{Filter, Trigger, Warning};

/// Returns the warnings of a plan, in the order in which a person should read them.
pub(super) fn warnings(
    planned: &Planned,
    filter: &Filter,
    attributes: &[Attribute],
    trigger: Trigger,
) -> Vec<Warning> {
    let Planned { counts, seen, summary, .. } = planned;
    let mut warnings = Vec::new();
    warnings.extend(seen.row_security.clone().map(|table| Warning::RowSecurity { table }));
    warnings
        .extend(seen.not_whole.map(|NotWhole { kept, without_key }| Warning::NotWhole { kept, without_key }));
    // Of single customers it is normal that they have no row.
    if counts.source_rows == counts.no_value && filter.customers.is_empty() {
        let filtered = !filter.attributes.is_empty();
        let (rows, stored, deletes) = (counts.source_rows, counts.stored_without_row, counts.deletes);
        warnings.push(Warning::NothingDesired { rows, stored, deletes, filtered });
    }
    // Without any known attribute every row counts as invalid, which says nothing of the rows.
    if !attributes.is_empty() && counts.invalid > counts.source_rows - counts.invalid {
        warnings.push(Warning::MostlyInvalid { invalid: counts.invalid, rows: counts.source_rows });
    }
    // A person has named these customers. A notification may be of rows that were deleted again.
    if !seen.unknown_customers.is_empty() && trigger != Trigger::Change {
        warnings.push(Warning::UnknownCustomers(seen.unknown_customers.iter().copied().collect()));
    }
    warnings.extend(summary.wrong_types.found.iter().map(|(&attribute_id, found)| {
        let attribute = attributes.iter().find(|attribute| attribute.id == attribute_id);
        Warning::WrongType {
            attribute_id,
            name: attribute.map(|attribute| attribute.name.clone()).unwrap_or_default(),
            kind: attribute.map(|attribute| attribute.kind.clone()).unwrap_or_default(),
            count: found.count,
            sample: found.sample.clone(),
        }
    }));
    warnings
}
