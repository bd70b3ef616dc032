//! What a read shows of a value that is to be deleted. A response to a delete proves nothing, so only reads count.

use super::echo::may_be_form_of;
use crate::destination::Echo;
use crate::record::PlannedChange;

/// What a read shows of a value that is to be deleted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Shown {
    /// The store holds no value.
    Nothing,
    /// The store holds this value under the id of the change.
    Same(String),
    /// The store holds a value that attrsync sent, under another id than the change has.
    Ours {
        /// That id, if the store names one.
        value_id: Option<i64>,
    },
    /// The store holds this value, which attrsync did not send.
    Foreign(String),
}

/// Returns what the rows of a read show of the value of a delete.
#[must_use]
pub fn shown(planned: &PlannedChange, rows: &[Echo]) -> Shown {
    let of_key: Vec<&Echo> = rows.iter().filter(|row| row.key == planned.change.key).collect();
    let has_same_id = |row: &&&Echo| {
        // A row without an id may be the one with the id of the change.
        planned.change.value_id.is_some()
            && (row.value_id.is_none() || row.value_id == planned.change.value_id)
    };
    if let Some(row) = of_key.iter().find(has_same_id) {
        return Shown::Same(row.value.clone());
    }
    if let Some(row) = of_key.iter().find(|row| !is_ours(planned, &row.value)) {
        return Shown::Foreign(row.value.clone());
    }
    match of_key.first() {
        Some(row) => Shown::Ours { value_id: row.value_id },
        None => Shown::Nothing,
    }
}

/// Whether attrsync sent this value, as far as the ledger knows: the store held it, or may hold it, or keeps it in this
/// form. A value that was observed once, and is no form of what was sent, may be of others. So may be what the store held
/// before the value that is in doubt, if it is there under another id than the ledger has of it.
fn is_ours(planned: &PlannedChange, shown: &str) -> bool {
    let had_other_id = planned.is_in_doubt && planned.change.value_id.is_some();
    let previous = planned.change.previous_value.as_ref().filter(|_| !had_other_id);
    let known = [previous, planned.in_doubt_value.as_ref()];
    known.into_iter().flatten().any(|known| known == shown || may_be_form_of(shown, known))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::{Action, Change, Key};

    fn planned(value_id: Option<i64>) -> PlannedChange {
        let text = |text: &str| Some(text.to_owned());
        PlannedChange {
            change: Change {
                key: Key::new(1, 1),
                action: Action::Delete,
                value: None,
                previous_value: text("gold"),
                previous_in_doubt: false,
                source_value: None,
                value_id,
                in_doubt_until: None,
            },
            is_in_doubt: true,
            in_doubt_value: text(" 7.0 "),
            observed_value: text("lead"),
        }
    }

    fn row(customer: i64, value: &str, value_id: Option<i64>) -> Echo {
        Echo { key: Key::new(customer, 1), value: value.to_owned(), value_id }
    }

    #[test]
    fn a_value_is_found_by_its_id_and_else_by_what_was_sent() {
        let (known, unknown) = (planned(Some(5)), planned(None));
        for planned in [&known, &unknown] {
            assert_eq!(shown(planned, &[row(2, "gold", Some(5))]), Shown::Nothing, "another customer's");
            assert_eq!(shown(planned, &[row(1, "7", Some(9))]), Shown::Ours { value_id: Some(9) });
            for theirs in ["iron", "lead"] {
                let found = shown(planned, &[row(1, theirs, Some(9))]);
                assert_eq!(found, Shown::Foreign(theirs.to_owned()));
            }
        }
        assert_eq!(shown(&unknown, &[row(1, "gold", Some(9))]), Shown::Ours { value_id: Some(9) });
        assert_eq!(shown(&known, &[row(1, "iron", Some(5))]), Shown::Same("iron".to_owned()));
        assert_eq!(shown(&known, &[row(1, "gold", None)]), Shown::Same("gold".to_owned()));
        assert_eq!(shown(&unknown, &[row(1, "gold", None)]), Shown::Ours { value_id: None });
    }

    #[test]
    fn promise_14_what_the_store_held_before_is_ours_under_its_own_id_only() {
        let mut planned = planned(Some(5));
        let found = shown(&planned, &[row(1, "gold", Some(9))]);
        assert_eq!(
            found,
            Shown::Foreign("gold".to_owned()),
            "others may have written it before the last value"
        );
        planned.is_in_doubt = false;
        assert_eq!(shown(&planned, &[row(1, "gold", Some(9))]), Shown::Ours { value_id: Some(9) });
    }

    #[test]
    fn promise_14_a_value_beside_one_of_others_counts_as_theirs() {
        let rows = [row(1, "gold", Some(8)), row(1, "iron", Some(9))];
        assert_eq!(shown(&planned(None), &rows), Shown::Foreign("iron".to_owned()));
        assert_eq!(shown(&planned(Some(8)), &rows), Shown::Same("gold".to_owned()));
    }
}
