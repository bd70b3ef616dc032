//! Customers and attributes that the store no longer has. After three refusals in a row for one of them the store is
//! asked, so that the rest of its values need not be refused one by one.

use std::collections::{BTreeMap, BTreeSet};

use crate::destination::{Destination, ReadError};
use crate::record::Key;

/// Refusals in a row after which the store is asked.
const REFUSALS: u32 = 3;

/// A customer or an attribute.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Owner {
    Customer(i64),
    Attribute(i64),
}

/// What is known of owners whose values are being refused.
#[derive(Debug, Default)]
pub(super) struct Gone {
    refusals: BTreeMap<Owner, u32>,
    asked: BTreeSet<Owner>,
    gone: BTreeSet<Owner>,
}

impl Gone {
    /// A value was refused.
    pub(super) fn refused(&mut self, key: Key) {
        for owner in owners(key) {
            *self.refusals.entry(owner).or_default() += 1;
        }
    }

    /// A value was taken: its customer and its attribute are there.
    pub(super) fn confirmed(&mut self, key: Key) {
        if !self.refusals.is_empty() {
            self.refusals.retain(|owner, _| !owners(key).contains(owner));
        }
    }

    /// Why a value need not be sent, if its customer or attribute is gone.
    pub(super) fn reason(&self, key: Key) -> Option<String> {
        let owner = owners(key).into_iter().find(|owner| self.gone.contains(owner))?;
        let what = match owner {
            Owner::Customer(id) => format!("customer {id}"),
            Owner::Attribute(id) => format!("attribute {id}"),
        };
        Some(format!("the store has no {what} any more; asked after {REFUSALS} refusals in a row"))
    }

    /// Whether anything is known to be gone.
    pub(super) fn is_empty(&self) -> bool {
        self.gone.is_empty()
    }

    /// Asks the store about those that were refused three times in a row, each once a run.
    pub(super) async fn ask(&mut self, destination: &dyn Destination) -> Result<(), ReadError> {
        let due: Vec<_> =
            self.refusals.iter().filter(|(_, n)| **n >= REFUSALS).map(|(owner, _)| *owner).collect();
        for owner in due {
            self.refusals.remove(&owner);
            if !self.asked.insert(owner) {
                continue;
            }
            let exists = match owner {
                Owner::Customer(id) => destination.customers(&[id]).await?.contains(&id),
                Owner::Attribute(id) => {
                    destination.attributes().await?.iter().any(|attribute| attribute.id == id)
                }
            };
            if !exists {
                self.gone.insert(owner);
            }
        }
        Ok(())
    }
}

fn owners(key: Key) -> [Owner; 2] {
    [Owner::Customer(key.customer_id), Owner::Attribute(key.attribute_id)]
}
