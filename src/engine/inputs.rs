//! What a plan is made by: the filter, the policy of the diff, the size of a request.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};

use super::ports::{EngineError, Options};
use super::store_changes::StoreChanges;
use crate::config::{DriftConfig, MissingConfig, PushConfig};
use crate::destination::Attribute;
use crate::ledger::LedgerReader;
use crate::plan::batch::Limit;
use crate::plan::diff::{DiffPolicy, MissingPolicy};
use crate::plan::wrong_type::WrongTypes;
use crate::record::{DriftPolicy, Filter};

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
/// As [`by_attribute`].
pub fn missing_policy(
    config: &MissingConfig,
    attributes: &[Attribute],
) -> Result<MissingPolicy, EngineError> {
    let by_id = by_attribute("missing.attributes", &config.attributes, attributes)?;
    Ok(MissingPolicy { action: config.action, attributes: by_id })
}

/// Returns the policies of single attributes about drift, by their ids.
///
/// # Errors
/// As [`by_attribute`].
pub fn drift_policies(
    config: &DriftConfig,
    attributes: &[Attribute],
) -> Result<BTreeMap<i64, DriftPolicy>, EngineError> {
    by_attribute("drift.attributes", &config.attributes, attributes)
}

/// Resolves the attributes of a section, which names each by its id or its name in the store.
///
/// # Errors
/// All names and ids that mean no attribute of the store, or several, or one that has another setting too.
fn by_attribute<T: Copy + PartialEq>(
    section: &str,
    settings: &BTreeMap<String, T>,
    attributes: &[Attribute],
) -> Result<BTreeMap<i64, T>, EngineError> {
    let (mut by_id, mut problems) = (BTreeMap::new(), Vec::new());
    for (name, setting) in settings {
        let id = match name.parse() {
            Ok(id) => existing(id, attributes),
            Err(_) => named(name, attributes),
        };
        match id.map(|id| (id, by_id.insert(id, *setting))) {
            Ok((id, Some(other))) if other != *setting => {
                problems.push(format!("attribute {id} is there twice, with different settings"));
            }
            Ok(_) => {}
            Err(problem) => problems.push(problem),
        }
    }
    if problems.is_empty() {
        return Ok(by_id);
    }
    let problem = format!("[{section}]: {}", problems.join("; "));
    Err(wrong_name(problem, "write each attribute once, by its name or its id in the store"))
}

/// Returns the id of the attribute of this name, or why there is none.
fn named(name: &str, attributes: &[Attribute]) -> Result<i64, String> {
    let named: Vec<_> = attributes.iter().filter(|attribute| attribute.name == name).collect();
    match named.as_slice() {
        [attribute] => Ok(attribute.id),
        [] => Err(format!("the store has no attribute named {name:?}; it has {}", listed(attributes))),
        several => {
            let ids: Vec<String> = several.iter().map(|attribute| attribute.id.to_string()).collect();
            Err(format!(
                "the store has several attributes named {name:?}: name it by its id, {}",
                ids.join(" or ")
            ))
        }
    }
}

/// Returns the id if the store has such an attribute, or else what it has.
fn existing(id: i64, attributes: &[Attribute]) -> Result<i64, String> {
    match attributes.iter().any(|attribute| attribute.id == id) {
        true => Ok(id),
        false => Err(format!("the store has no attribute {id}; it has {}", listed(attributes))),
    }
}

/// The most attributes that a message lists.
const LISTED_MAX: usize = 10;

/// Lists the attributes of the store.
fn listed(attributes: &[Attribute]) -> String {
    let shown = attributes.iter().take(LISTED_MAX);
    let mut shown: Vec<String> = shown.map(|Attribute { id, name, .. }| format!("{name:?} ({id})")).collect();
    if attributes.len() > LISTED_MAX {
        shown.push(format!("and {} more", attributes.len() - LISTED_MAX));
    }
    shown.join(", ")
}

fn wrong_name(problem: String, hint: &str) -> EngineError {
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
    let wrong = |problem| wrong_name(problem, "`attrsync check` lists the attributes of the store");
    let mut filter = options.filter.clone();
    for name in &options.attribute_names {
        filter.attributes.insert(named(name, attributes).map_err(wrong)?);
    }
    for id in &filter.attributes {
        existing(*id, attributes).map_err(wrong)?;
    }
    Ok(filter)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::OnMissing;

    fn attributes(names: &[&str]) -> Vec<Attribute> {
        let attribute =
            |(id, name): (i64, &&str)| Attribute { id, name: (*name).to_owned(), kind: "string".to_owned() };
        (1..).zip(names).map(attribute).collect()
    }

    fn policy_of(written: &[(&str, OnMissing)], names: &[&str]) -> Result<MissingPolicy, String> {
        let written = written.iter().map(|(name, action)| ((*name).to_owned(), *action));
        let config = MissingConfig { attributes: written.collect(), ..MissingConfig::default() };
        missing_policy(&config, &attributes(names)).map_err(|error| error.to_string())
    }

    #[test]
    fn an_attribute_is_named_by_its_name_or_its_id() {
        use OnMissing::{Delete, Keep};
        let policy = policy_of(&[("tier", Delete), ("2", Keep)], &["tier", "rank"]);
        assert_eq!(policy.expect("right").attributes, BTreeMap::from([(1, Delete), (2, Keep)]));
        let twice = policy_of(&[("tier", Delete), ("1", Delete)], &["tier"]);
        assert_eq!(twice.expect("the same").attributes, BTreeMap::from([(1, Delete)]));
    }

    #[test]
    fn promise_12_all_wrong_names_are_told_at_once_with_what_the_store_has() {
        use OnMissing::{Delete, Keep};
        let problem = policy_of(
            &[("Tier", Delete), ("twin", Keep), ("9", Keep), ("tier", Keep), ("1", Delete)],
            &["tier", "twin", "twin"],
        );
        assert_eq!(
            problem.expect_err("wrong"),
            "[missing.attributes]: the store has no attribute 9; it has \"tier\" (1), \"twin\" (2), \"twin\" (3); \
             the store has no attribute named \"Tier\"; it has \"tier\" (1), \"twin\" (2), \"twin\" (3); \
             attribute 1 is there twice, with different settings; \
             the store has several attributes named \"twin\": name it by its id, 2 or 3"
        );
        let many = ["a"; 12];
        assert!(policy_of(&[("b", Keep)], &many).expect_err("wrong").ends_with("\"a\" (10), and 2 more"));
    }
}
