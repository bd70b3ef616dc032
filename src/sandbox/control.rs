//! The control surface: another process reads the store's state and sets its faults.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::{Value, json};

use super::faults::{Fault, FaultsError};
use super::model::Model;
use super::options::{AttributeSpec, Counting, SizeRefusal};
use crate::record::Key;

/// The number of last requests that `state` shows.
const REQUESTS_SHOWN: usize = 100;

/// The body of `POST /_sandbox/faults`. Only the keys that it has change the store. A key that is none of these fields
/// is the rate of the fault of that name.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub struct FaultSettings {
    /// Ends all faults and switches before the other keys apply.
    pub heal: bool,
    /// The names of the faults of the next writes, appended to those that have not occurred yet.
    pub script: Vec<String>,
    /// The token is revoked.
    pub revoked: Option<bool>,
    /// The token loses its scope.
    pub scope_missing: Option<bool>,
    /// Every write is echoed as if it were applied, and is not.
    pub forgets: Option<bool>,
    /// Every write has a response of this status; 0 ends that.
    pub status: Option<u16>,
    /// A delete has a response of 204 and deletes nothing.
    pub deletes_nothing: Option<bool>,
    /// What the size limit of a request counts: `items` or `customers`.
    pub counting: Option<String>,
    /// The status that refuses a request above the size limit: 413 or 422.
    pub size_refusal: Option<u16>,
    /// The largest number of items or customers in a request.
    pub max_per_request: Option<usize>,
    /// Requests in a window of the quota.
    pub quota: Option<u32>,
    /// The number of them that other apps use.
    pub others: Option<u32>,
    /// Each page of a list of values is of another order.
    pub shifts_pages: Option<bool>,
    /// `date_modified:min` is ignored.
    pub ignores_modified: Option<bool>,
    /// The latency of a request, in milliseconds.
    pub latency_ms: Option<u64>,
    /// Rates by the names of faults.
    #[serde(flatten)]
    pub rates: BTreeMap<String, Value>,
}

/// A request to the control surface is invalid. For `faults`, nothing of it was applied.
#[derive(Debug, thiserror::Error)]
pub enum ControlError {
    /// A fault's name or rate is wrong.
    #[error(transparent)]
    Faults(#[from] FaultsError),
    /// The body is not what the path takes.
    #[error("the body is not what this path takes: {0}")]
    Shape(#[from] serde_json::Error),
    /// A switch has no such value.
    #[error("{key} must be {allowed}")]
    Value {
        /// Which switch.
        key: &'static str,
        /// Its values.
        allowed: &'static str,
    },
    /// There is no such path.
    #[error(
        "unknown path; try GET /_sandbox/state, POST /_sandbox/faults, reset-log, values, customers, emails or attributes"
    )]
    NoSuchPath,
}

impl FaultSettings {
    /// Applies all settings, or none.
    ///
    /// # Errors
    /// The first invalid setting.
    pub fn apply(&self, model: &mut Model) -> Result<(), ControlError> {
        let script = self.script.iter().map(|name| name.parse()).collect::<Result<Vec<Fault>, _>>()?;
        let mut faults = if self.heal { Default::default() } else { model.options.faults.clone() };
        for (name, rate) in &self.rates {
            // A rate that is not a number is refused with the fault's name.
            faults.set(name, rate.as_f64().unwrap_or(f64::NAN))?;
        }
        let mut limits = model.options.limits;
        limits.counting = match self.counting.as_deref() {
            None => limits.counting,
            Some("items") => Counting::Items,
            Some("customers") => Counting::Customers,
            Some(_) => return Err(ControlError::Value { key: "counting", allowed: "items or customers" }),
        };
        limits.size_refusal = match self.size_refusal {
            None => limits.size_refusal,
            Some(413) => SizeRefusal::TooLarge,
            Some(422) => SizeRefusal::Unprocessable,
            Some(_) => return Err(ControlError::Value { key: "size_refusal", allowed: "413 or 422" }),
        };
        if self.status.is_some_and(|status| status != 0 && !(200..600).contains(&status)) {
            return Err(ControlError::Value { key: "status", allowed: "0 or a status from 200 to 599" });
        }
        limits.max_per_request = self.max_per_request.unwrap_or(limits.max_per_request);
        if self.heal {
            model.heal();
        }
        let options = &mut model.options;
        (options.faults, options.limits) = (faults, limits);
        options.rules.revoked = self.revoked.unwrap_or(options.rules.revoked);
        options.rules.scope_missing = self.scope_missing.unwrap_or(options.rules.scope_missing);
        options.rules.forgets = self.forgets.unwrap_or(options.rules.forgets);
        options.rules.deletes_nothing = self.deletes_nothing.unwrap_or(options.rules.deletes_nothing);
        options.rules.shifts_pages = self.shifts_pages.unwrap_or(options.rules.shifts_pages);
        options.rules.ignores_modified = self.ignores_modified.unwrap_or(options.rules.ignores_modified);
        if let Some(status) = self.status {
            options.rules.fixed_status = (status != 0).then_some(status);
        }
        options.quota.requests = self.quota.unwrap_or(options.quota.requests);
        options.quota.others = self.others.unwrap_or(options.quota.others);
        if let Some(latency_ms) = self.latency_ms {
            options.latency = std::time::Duration::from_millis(latency_ms);
        }
        model.script.extend(script);
        Ok(())
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Edit {
    customer_id: i64,
    attribute_id: i64,
    value: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Population<T> {
    #[serde(default = "Vec::new")]
    delete: Vec<i64>,
    #[serde(default = "Vec::new")]
    add: Vec<T>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Definition {
    id: i64,
    name: String,
    #[serde(rename = "type")]
    kind: String,
}

/// Performs a request to the control surface, and returns the response's body. `path` follows `/_sandbox/`.
pub(super) fn control(
    model: &mut Model,
    method: &str,
    path: &str,
    query: &str,
    body: &[u8],
) -> Result<Value, ControlError> {
    match (method, path) {
        ("GET", "state") => return Ok(state(model, query != "values=0")),
        ("POST", "faults") => serde_json::from_slice::<FaultSettings>(body)?.apply(model)?,
        ("POST", "reset-log") => model.reset_log(),
        ("POST", "values") => {
            for edit in serde_json::from_slice::<Vec<Edit>>(body)? {
                model.set_value(Key::new(edit.customer_id, edit.attribute_id), edit.value.as_deref());
            }
        }
        ("POST", "customers") => {
            let population: Population<i64> = serde_json::from_slice(body)?;
            population.delete.into_iter().for_each(|id| model.delete_customer(id));
            population.add.into_iter().for_each(|id| model.add_customer(id));
        }
        ("POST", "emails") => {
            for (id, email) in serde_json::from_slice::<BTreeMap<i64, String>>(body)? {
                model.set_email(id, &email);
            }
        }
        ("POST", "attributes") => {
            let population: Population<Definition> = serde_json::from_slice(body)?;
            population.delete.into_iter().for_each(|id| model.delete_attribute(id));
            for made in population.add {
                model.add_attribute(AttributeSpec { id: made.id, name: made.name, kind: made.kind });
            }
        }
        _ => return Err(ControlError::NoSuchPath),
    }
    Ok(json!({ "done": true }))
}

fn state(model: &Model, with_values: bool) -> Value {
    let value = |(key, value): (Key, &str)| {
        json!({
            "id": model.value_id(key), "customer_id": key.customer_id, "attribute_id": key.attribute_id, "value": value,
        })
    };
    let attributes: Vec<_> = model
        .attributes()
        .iter()
        .map(|known| json!({ "id": known.id, "name": known.name, "type": known.kind }))
        .collect();
    let mut requests: Vec<_> = model.log.kept.iter().rev().take(REQUESTS_SHOWN).collect();
    requests.reverse();
    let mut state = json!({
        "customers": model.customers().count(),
        "attributes": attributes,
        "value_count": model.values.len(),
        "tally": model.tally(),
        "requests": requests,
    });
    if with_values {
        state["values"] = model.values().map(value).collect();
    }
    state
}
