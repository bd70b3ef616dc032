//! The control surface: how whoever rehearses in another process looks at the store and makes it misbehave.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::{Value, json};

use super::faults::{Fault, FaultsError};
use super::model::Model;
use super::options::{AttributeSpec, Counting, SizeRefusal};
use crate::record::Key;

/// How many of the last requests `state` shows.
const REQUESTS_SHOWN: usize = 100;

/// The body of `POST /_sandbox/faults`. Only what is named changes; every other key is the rate of the fault of
/// that name.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub struct Orders {
    /// Ends all faults and switches first.
    pub heal: bool,
    /// What befalls the next writes, by names; appended to what is still to come.
    pub script: Vec<String>,
    /// The token stops holding.
    pub revoked: Option<bool>,
    /// The token loses its scope.
    pub scope_missing: Option<bool>,
    /// Every write is answered by this status; 0 ends that.
    pub status: Option<u16>,
    /// What the limit of a call counts: `items` or `customers`.
    pub counting: Option<String>,
    /// How a call that is too big is refused: 413 or 422.
    pub size_refusal: Option<u16>,
    /// At most so many items or customers in a call.
    pub max_per_call: Option<usize>,
    /// Requests in a window of the quota.
    pub quota: Option<u32>,
    /// How many of them other apps use up.
    pub others: Option<u32>,
    /// How long a call takes, in milliseconds.
    pub latency_ms: Option<u64>,
    /// Rates by the names of faults.
    #[serde(flatten)]
    pub rates: BTreeMap<String, Value>,
}

/// An order that cannot be carried out; nothing of it was.
#[derive(Debug, thiserror::Error)]
pub enum OrderError {
    /// A fault's name or rate is wrong.
    #[error(transparent)]
    Faults(#[from] FaultsError),
    /// The body is not what the path takes.
    #[error("the body is not what this path takes: {0}")]
    Shape(#[from] serde_json::Error),
    /// A switch has no such position.
    #[error("{key} can be {allowed}")]
    Position {
        /// Which switch.
        key: &'static str,
        /// Its positions.
        allowed: &'static str,
    },
    /// There is no such path.
    #[error(
        "there is nothing here; try GET /_sandbox/state, POST /_sandbox/faults, reset-log, values, customers or attributes"
    )]
    NoSuchPath,
}

impl Orders {
    /// Carries the orders out, all or none.
    ///
    /// # Errors
    /// The first order that cannot be.
    pub fn carry_out(&self, model: &mut Model) -> Result<(), OrderError> {
        let script = self.script.iter().map(|name| name.parse()).collect::<Result<Vec<Fault>, _>>()?;
        let mut faults = if self.heal { Default::default() } else { model.options.faults.clone() };
        for (name, rate) in &self.rates {
            // What is no number is refused as a rate, with the number's name.
            faults.set(name, rate.as_f64().unwrap_or(f64::NAN))?;
        }
        let mut limits = model.options.limits;
        limits.counting = match self.counting.as_deref() {
            None => limits.counting,
            Some("items") => Counting::Items,
            Some("customers") => Counting::Customers,
            Some(_) => return Err(OrderError::Position { key: "counting", allowed: "items or customers" }),
        };
        limits.size_refusal = match self.size_refusal {
            None => limits.size_refusal,
            Some(413) => SizeRefusal::TooLarge,
            Some(422) => SizeRefusal::Unprocessable,
            Some(_) => return Err(OrderError::Position { key: "size_refusal", allowed: "413 or 422" }),
        };
        if self.status.is_some_and(|status| status != 0 && !(200..600).contains(&status)) {
            return Err(OrderError::Position { key: "status", allowed: "0 or a status from 200 to 599" });
        }
        limits.max_per_call = self.max_per_call.unwrap_or(limits.max_per_call);
        if self.heal {
            model.heal();
        }
        let options = &mut model.options;
        (options.faults, options.limits) = (faults, limits);
        options.rules.revoked = self.revoked.unwrap_or(options.rules.revoked);
        options.rules.scope_missing = self.scope_missing.unwrap_or(options.rules.scope_missing);
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

/// Answers a request to the control surface; `path` is what follows `/_sandbox/`.
pub(super) fn control(
    model: &mut Model,
    method: &str,
    path: &str,
    query: &str,
    body: &[u8],
) -> Result<Value, OrderError> {
    match (method, path) {
        ("GET", "state") => return Ok(state(model, query != "values=0")),
        ("POST", "faults") => serde_json::from_slice::<Orders>(body)?.carry_out(model)?,
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
        ("POST", "attributes") => {
            let population: Population<Definition> = serde_json::from_slice(body)?;
            population.delete.into_iter().for_each(|id| model.delete_attribute(id));
            for made in population.add {
                model.add_attribute(AttributeSpec { id: made.id, name: made.name, kind: made.kind });
            }
        }
        _ => return Err(OrderError::NoSuchPath),
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
