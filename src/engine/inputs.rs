//! What a plan is made by: the filter, the policy of the diff, the size of a request.

use chrono::{DateTime, Utc};

use super::ports::{EngineError, Options};
use super::store_changes::StoreChanges;
use crate::config::PushConfig;
use crate::destination::Attribute;
use crate::ledger::LedgerReader;
use crate::plan::batch::Limit;
use crate::plan::diff::DiffPolicy;
use crate::plan::wrong_type::WrongTypes;
use crate::record::Filter;

/// How much a request may carry: as configured, or less if a smaller size was learned and is still believed.
pub(super) async fn request_limit(
    ledger: Option<&dyn LedgerReader>,
    config: &PushConfig,
    now: DateTime<Utc>,
) -> Result<Limit, EngineError> {
    let learned = match ledger {
        Some(ledger) => ledger.request_sizes().await?.believed(now),
        None => None,
    };
    let sizes = learned.into_iter().chain(config.values_per_request);
    Ok(Limit { customers: config.customers_per_request, values: sizes.min() })
}

pub(super) fn policy(
    attributes: &[Attribute],
    changes: StoreChanges,
    options: &Options,
    now: DateTime<Utc>,
) -> DiffPolicy {
    DiffPolicy {
        attributes: attributes.iter().map(|attribute| attribute.id).collect(),
        requeued: changes.requeued(),
        deleted_attributes: changes.definitions.deleted,
        retry_rejected: options.retry_rejected,
        full: options.full,
        now,
    }
}

/// The check of values against the types of their attributes.
pub(super) fn wrong_types(attributes: &[Attribute]) -> WrongTypes {
    WrongTypes::new(attributes.iter().map(|attribute| (attribute.id, attribute.kind.as_str())))
}

/// Returns the filter with attribute names resolved to ids.
pub(super) fn resolve(options: &Options, attributes: &[Attribute]) -> Result<Filter, EngineError> {
    if attributes.is_empty() {
        return Err(EngineError::Attributes {
            is_of_name: false,
            problem: "the store has no customer attributes at all".to_owned(),
            hint: "create them in the control panel or by the API first; or [store] hash is that of another store"
                .to_owned(),
        });
    }
    let fail = |problem: String, hint: &str| {
        Err(EngineError::Attributes { is_of_name: true, problem, hint: hint.to_owned() })
    };
    let listed = "`attrsync check` lists them";
    let mut filter = options.filter.clone();
    for name in &options.attribute_names {
        let named: Vec<_> = attributes.iter().filter(|attribute| attribute.name == *name).collect();
        match named.as_slice() {
            [attribute] => filter.attributes.insert(attribute.id),
            [] => return fail(format!("the store has no attribute named {name:?}"), listed),
            _ => {
                return fail(format!("the store has several attributes named {name:?}"), "name it by its id");
            }
        };
    }
    match filter.attributes.iter().find(|id| !attributes.iter().any(|attribute| attribute.id == **id)) {
        Some(id) => fail(format!("the store has no attribute {id}"), listed),
        None => Ok(filter),
    }
}
