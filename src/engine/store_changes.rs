//! What the store did by itself since the run before: attributes that were redefined, deleted or created again,
//! customers that were deleted or restored. Values that were rejected because of it are sent again.

use std::collections::BTreeSet;

use super::ports::{EngineError, Ports};
use super::{existence, read_retry};
use crate::config::PushConfig;
use crate::destination::{Attribute, Destination};
use crate::ledger::LedgerReader;
use crate::plan::definitions::{self, Definitions};
use crate::record::{AttributeNames, BeliefEdit, EditKind, Filter, KeyScope, KnownAttribute, WaitReason};
use crate::waits::Waits;

/// The store changes that a run found.
#[derive(Debug, Default)]
pub(super) struct StoreChanges {
    /// How the attributes have changed.
    pub(super) definitions: Definitions,
    /// What the names of attributes mean now.
    pub(super) names: AttributeNames,
    /// Customers who were deleted and exist again.
    restored: Vec<i64>,
}

impl StoreChanges {
    /// No change, where the ledger knows nothing of the store.
    pub(super) fn none(listed: &[Attribute]) -> Self {
        Self { names: AttributeNames::of(&known(listed)), ..Self::default() }
    }

    /// The scopes in which rejected values are sent again.
    pub(super) fn requeued(&self) -> BTreeSet<KeyScope> {
        let attributes = self.definitions.changed.keys().map(|id| attribute(*id));
        attributes.chain(self.restored.iter().map(|id| customer(*id))).collect()
    }

    /// Names the customers who exist again. `None` if there are none.
    pub(super) fn restored_notice(&self) -> Option<String> {
        const NAMED: usize = 5;
        let named: Vec<String> = self.restored.iter().take(NAMED).map(i64::to_string).collect();
        let named = named.join(", ");
        match self.restored.len() {
            0 => None,
            1 => Some(format!("customer {named} exists again: the values are sent again")),
            count if count > NAMED => {
                Some(format!("{count} customers exist again ({named}, …): their values are sent again"))
            }
            _ => Some(format!("customers {named} exist again: their values are sent again")),
        }
    }

    /// What a person should know.
    pub(super) fn notices(&self) -> impl Iterator<Item = &String> {
        self.definitions.newly_deleted.values().chain(self.definitions.changed.values())
    }
}

const fn customer(id: i64) -> KeyScope {
    KeyScope { customer_id: Some(id), attribute_id: None }
}

const fn attribute(id: i64) -> KeyScope {
    KeyScope { customer_id: None, attribute_id: Some(id) }
}

/// Lists the store's attributes. A list that lacks an attribute that the store had before is read once more: a single
/// list that is not complete must not make all values of an attribute invalid.
pub(super) async fn attributes(
    ledger: Option<&dyn LedgerReader>,
    destination: &dyn Destination,
    config: &PushConfig,
    waits: &Waits,
) -> Result<Vec<Attribute>, EngineError> {
    let list = || read_retry::tried(config, waits, WaitReason::Attributes, || destination.attributes());
    let mut listed = list().await?;
    let Some(ledger) = ledger else { return Ok(listed) };
    let before = ledger.attributes().await?;
    let lacks = |listed: &[Attribute], id| !listed.iter().any(|attribute| attribute.id == id);
    if before.iter().any(|before| !before.deleted && lacks(&listed, before.id)) {
        let again = list().await?;
        let missing: Vec<_> = again.into_iter().filter(|found| lacks(&listed, found.id)).collect();
        listed.extend(missing);
    }
    Ok(listed)
}

/// Finds the store changes, and writes nothing.
pub(super) async fn look(
    ledger: &dyn LedgerReader,
    destination: &dyn Destination,
    config: &PushConfig,
    waits: &Waits,
    listed: &[Attribute],
    filter: &Filter,
) -> Result<StoreChanges, EngineError> {
    let before = ledger.attributes().await?;
    let listed = definitions::with_former_names(&before, known(listed));
    let definitions = definitions::compare(&before, &listed);
    let restored = existence::restored_customers(ledger, destination, config, waits, filter).await?;
    Ok(StoreChanges { definitions, names: names(&before, &listed), restored })
}

/// Finds the store changes and edits the beliefs that they concern, before the plan is made.
pub(super) async fn record(
    ports: Ports<'_>,
    config: &PushConfig,
    run_id: i64,
    listed: &[Attribute],
    filter: &Filter,
) -> Result<StoreChanges, EngineError> {
    let before = ports.ledger.attributes().await?;
    let listed = definitions::with_former_names(&before, known(listed));
    let definitions = definitions::compare(&before, &listed);
    let edit = async |id, edit, reason| {
        let edit = BeliefEdit { scope: attribute(id), edit, reason, in_doubt_until: None };
        ports.ledger.edit_beliefs(run_id, &edit, ports.clock.now()).await
    };
    for (id, notice) in &definitions.changed {
        let requeued = edit(*id, EditKind::Requeue, notice.clone()).await?;
        let again = if requeued > 0 { "; its rejected values are sent again" } else { "" };
        tracing::warn!(requeued, "{notice}{again}");
    }
    for (id, notice) in &definitions.newly_deleted {
        let cleared =
            edit(*id, EditKind::Clear, format!("attribute {id} was deleted from the store")).await?;
        tracing::warn!(cleared, "{notice}");
    }
    ports.ledger.record_attributes(run_id, &listed, ports.clock.now()).await?;
    let restored = existence::check_before_planning(ports, config, run_id, filter).await?;
    Ok(StoreChanges { definitions, names: names(&before, &listed), restored })
}

/// What names mean, given the attributes that the ledger knows and those that the store lists.
fn names(before: &[KnownAttribute], listed: &[KnownAttribute]) -> AttributeNames {
    let is_listed = |before: &KnownAttribute| listed.iter().any(|listed| listed.id == before.id);
    let deleted = before.iter().filter(|before| !is_listed(before));
    let deleted: Vec<KnownAttribute> =
        deleted.map(|before| KnownAttribute { deleted: true, ..before.clone() }).collect();
    AttributeNames::of(listed.iter().chain(&deleted))
}

fn known(listed: &[Attribute]) -> Vec<KnownAttribute> {
    listed.iter().map(Attribute::known).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn customers_that_exist_again_are_named() {
        let said = |restored: &[i64]| {
            StoreChanges { restored: restored.to_vec(), ..StoreChanges::default() }.restored_notice()
        };
        assert_eq!(said(&[]), None);
        assert_eq!(said(&[7]).unwrap(), "customer 7 exists again: the values are sent again");
        assert_eq!(said(&[7, 8]).unwrap(), "customers 7, 8 exist again: their values are sent again");
        let many = said(&[1, 2, 3, 4, 5, 6]).unwrap();
        assert_eq!(many, "6 customers exist again (1, 2, 3, 4, 5, …): their values are sent again");
    }
}
