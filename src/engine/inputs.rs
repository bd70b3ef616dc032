//! What a plan is made by: the filter, the policy of the diff, the size of a request.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};

use super::ports::{EngineError, Options};
use super::store_changes::StoreChanges;
use crate::config::{MissingConfig, PushConfig};
use crate::destination::Attribute;
use crate::ledger::LedgerReader;
use crate::plan::batch::Limit;
use crate::plan::diff::{DiffPolicy, MissingPolicy};
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
    missing: MissingPolicy,
    now: DateTime<Utc>,
) -> DiffPolicy {
    DiffPolicy {
        missing,
        attributes: attributes.iter().map(|attribute| attribute.id).collect(),
        requeued: changes.requeued(),
        deleted_attributes: changes.definitions.deleted,
        retry_rejected: options.retry_rejected,
        full: options.full,
        now,
    }
}

/// Returns what happens to values that the source does not desire, with attribute names resolved to ids.
///
/// # Errors
/// The store has no such attribute, or several of that name.
pub fn missing_policy(
    config: &MissingConfig,
    attributes: &[Attribute],
) -> Result<MissingPolicy, EngineError> {
    let mut by_id = BTreeMap::new();
    for (name, action) in &config.attributes {
        let id = match name.parse::<i64>() {
            Ok(id) if attributes.iter().any(|attribute| attribute.id == id) => id,
            Ok(id) => {
                return Err(no_such(
                    format!("[missing.attributes]: the store has no attribute {id}"),
                    LISTED,
                ));
            }
            Err(_) => named(name, attributes, "[missing.attributes]: ")?,
        };
        by_id.insert(id, *action);
    }
    Ok(MissingPolicy { action: config.action, attributes: by_id })
}

/// Returns the id of the attribute of this name. `place` begins the message if there is none, or several.
fn named(name: &str, attributes: &[Attribute], place: &str) -> Result<i64, EngineError> {
    let named: Vec<_> = attributes.iter().filter(|attribute| attribute.name == name).collect();
    match named.as_slice() {
        [attribute] => Ok(attribute.id),
        [] => Err(no_such(format!("{place}the store has no attribute named {name:?}"), LISTED)),
        _ => Err(no_such(
            format!("{place}the store has several attributes named {name:?}"),
            "name it by its id",
        )),
    }
}

const LISTED: &str = "`attrsync check` lists them";

fn no_such(problem: String, hint: &str) -> EngineError {
    EngineError::Attributes { is_of_name: true, problem, hint: hint.to_owned() }
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
    let mut filter = options.filter.clone();
    for name in &options.attribute_names {
        filter.attributes.insert(named(name, attributes, "")?);
    }
    match filter.attributes.iter().find(|id| !attributes.iter().any(|attribute| attribute.id == **id)) {
        Some(id) => Err(no_such(format!("the store has no attribute {id}"), LISTED)),
        None => Ok(filter),
    }
}
