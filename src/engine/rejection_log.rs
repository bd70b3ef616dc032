//! Log lines about rejected values: the first ones of a run each, the others as a number at its end.
//!
//! The store's words are left out, because they may repeat a customer's value.

use std::collections::BTreeMap;

use crate::one_line::one_line;
use crate::record::{Key, KnownAttribute};

/// How many rejected values of a run are logged.
const LOGGED: u64 = 20;

/// Logs the rejected values of one run.
#[derive(Debug)]
pub(super) struct RejectionLog {
    names: BTreeMap<i64, String>,
    rejected: u64,
}

impl RejectionLog {
    pub(super) fn new(attributes: Vec<KnownAttribute>) -> Self {
        Self { names: attributes.into_iter().map(|known| (known.id, known.name)).collect(), rejected: 0 }
    }

    /// Logs a rejected value, unless there were many already.
    pub(super) fn rejected(&mut self, key: Key) {
        let Key { customer_id, attribute_id } = key;
        if let Some(line) = self.line(key) {
            tracing::warn!(customer_id, attribute_id, "{line}");
        }
    }

    /// Logs how many more there were.
    pub(super) fn end(&self) {
        if let Some(line) = self.rest() {
            tracing::warn!("{line}");
        }
    }

    fn line(&mut self, key: Key) -> Option<String> {
        self.rejected += 1;
        let Key { customer_id, attribute_id } = key;
        let attribute = match self.names.get(&attribute_id) {
            Some(name) => format!("{} ({attribute_id})", one_line(name)),
            None => format!("attribute {attribute_id}"),
        };
        (self.rejected <= LOGGED).then(|| {
            format!("customer {customer_id} · {attribute}: rejected by the store; `attrsync rejected` has the reason")
        })
    }

    fn rest(&self) -> Option<String> {
        let rest = self.rejected.checked_sub(LOGGED).filter(|rest| *rest > 0)?;
        let (values, them) = if rest == 1 { ("value", "it") } else { ("values", "them") };
        Some(format!("and {rest} more rejected {values}: `attrsync rejected` lists {them}"))
    }
}

/// Says which customers the store does not have.
pub(super) fn deleted_customers(ids: &[i64]) -> String {
    const NAMED: usize = 5;
    match ids {
        [id] => format!("customer {id} is not in the store: its values stay rejected until it is"),
        ids => {
            let named: Vec<String> = ids.iter().take(NAMED).map(i64::to_string).collect();
            let more = if ids.len() > NAMED { ", …" } else { "" };
            format!(
                "{} customers are not in the store ({}{more}): their values stay rejected until they are",
                ids.len(),
                named.join(", ")
            )
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_rejected_values_are_named_and_the_others_counted() {
        let (name, kind) = ("loyalty\ntier".to_owned(), "string".to_owned());
        let mut log =
            RejectionLog::new(vec![KnownAttribute { id: 2, name, kind, former_name: None, deleted: false }]);
        let reason = "rejected by the store; `attrsync rejected` has the reason";
        let line = log.line(Key::new(5_000, 2));
        assert_eq!(line, Some(format!("customer 5000 · loyalty\\ntier (2): {reason}")));
        assert_eq!(log.line(Key::new(1, 9)), Some(format!("customer 1 · attribute 9: {reason}")));
        assert_eq!((2..21).filter_map(|id| log.line(Key::new(id, 2))).count(), 18);
        assert_eq!(log.rest().as_deref(), Some("and 1 more rejected value: `attrsync rejected` lists it"));
        assert_eq!((21..60).filter_map(|id| log.line(Key::new(id, 2))).count(), 0);
        assert_eq!(
            log.rest().as_deref(),
            Some("and 40 more rejected values: `attrsync rejected` lists them")
        );
    }

    #[test]
    fn customers_that_are_not_in_the_store_are_named() {
        assert_eq!(
            deleted_customers(&[5_000]),
            "customer 5000 is not in the store: its values stay rejected until it is"
        );
        assert_eq!(
            deleted_customers(&[1, 2, 3, 4, 5, 6]),
            "6 customers are not in the store (1, 2, 3, 4, 5, …): their values stay rejected until they are"
        );
    }
}
