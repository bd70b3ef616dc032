//! Customers and attributes that the store no longer has. After three refusals in a row for one of them the store is
//! asked, so that the rest of its values need not be refused one by one.

use std::collections::{BTreeMap, BTreeSet};

use super::read_retry;
use crate::config::PushConfig;
use crate::destination::{Destination, ReadError};
use crate::record::Key;

/// Refusals in a row after which the store is asked.
const REFUSALS: u32 = 3;

/// How many customers are remembered. The plan goes by customer, so the lowest are the ones that are through; one
/// that is forgotten costs calls, not truth.
const REMEMBERED: usize = 1_000;

/// A customer or an attribute.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Owner {
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
        // Customers sort before attributes, of which there are fifty at most.
        if self.refusals.len() > REMEMBERED {
            self.refusals.pop_first();
        }
    }

    /// A value was taken: its customer and its attribute are there.
    pub(super) fn confirmed(&mut self, key: Key) {
        for owner in owners(key) {
            self.refusals.remove(&owner);
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

    /// Those to ask the store about now: each is asked about once a run.
    pub(super) fn due(&mut self) -> Vec<Owner> {
        let refused = self.refusals.iter().filter(|(_, refusals)| **refusals >= REFUSALS);
        let due: Vec<_> = refused.map(|(owner, _)| *owner).collect();
        self.refusals.retain(|owner, _| !due.contains(owner));
        let due = due.into_iter().filter(|owner| self.asked.insert(*owner)).collect();
        if self.asked.len() > REMEMBERED {
            self.asked.pop_first();
        }
        due
    }

    /// What the store said.
    pub(super) fn learn(&mut self, gone: Vec<Owner>) {
        self.gone.extend(gone);
        while self.gone.len() > REMEMBERED {
            self.gone.pop_first();
        }
    }
}

/// Asks the store which of these it has no more.
pub(super) async fn ask(
    destination: &dyn Destination,
    config: &PushConfig,
    due: Vec<Owner>,
) -> Result<Vec<Owner>, ReadError> {
    let mut gone = Vec::new();
    for owner in due {
        let exists = match owner {
            Owner::Customer(id) => {
                let ids = [id];
                read_retry::repeat(config, || destination.customers(&ids)).await?.contains(&id)
            }
            Owner::Attribute(id) => {
                let attributes = read_retry::repeat(config, || destination.attributes()).await?;
                attributes.iter().any(|attribute| attribute.id == id)
            }
        };
        if !exists {
            gone.push(owner);
        }
    }
    Ok(gone)
}

fn owners(key: Key) -> [Owner; 2] {
    [Owner::Customer(key.customer_id), Owner::Attribute(key.attribute_id)]
}
