//! The limits that a plan exceeds, as text and as JSON.

use serde_json::{Value, json};

use super::paint::Paint;
use super::text::{brief, tame};
use crate::plan::guard::Exceeded;
use crate::record::Change;

/// The limits as a person reads them, with samples of keys and values.
pub(crate) fn lines(exceeded: &[Exceeded], paint: Paint) -> Vec<String> {
    let mut lines = Vec::new();
    let mut shown: &[Change] = &[];
    for found in exceeded {
        lines.push(format!("{} {}", paint.bad("guard:"), tame(&found.to_string())));
        // Values that become empty exceed two limits, and are shown once.
        if found.sample != shown {
            lines.extend(found.sample.iter().map(|change| sample_line(change, found)));
        }
        shown = &found.sample;
    }
    lines
}

/// `customer 12 · loyalty_tier (1): "silver" → "gold"`.
fn sample_line(change: &Change, found: &Exceeded) -> String {
    match &found.attribute {
        Some((id, name)) => {
            format!("  customer {} · {} ({id}): {}", change.key.customer_id, tame(name), values(change))
        }
        None => format!("  {}: {}", change.key, values(change)),
    }
}

/// `"silver" → "gold"`.
fn values(change: &Change) -> String {
    let new = change.value.as_deref().map_or_else(|| "deleted".to_owned(), brief);
    match &change.previous_value {
        Some(previous) => format!("{} → {new}", brief(previous)),
        None => new,
    }
}

/// The limits for programs. Keys are only ever added.
pub(crate) fn json(exceeded: &[Exceeded]) -> Value {
    let limit = |found: &Exceeded| {
        let (attribute_id, attribute) = found.attribute.clone().unzip();
        json!({
            "limit": found.limit.key(),
            "attribute_id": attribute_id,
            "attribute": attribute,
            "found": found.found,
            "of": found.of,
            "percent": (found.percent() * 10.0).round() / 10.0,
            "allowed": found.allowed.to_string(),
            "needed": found.needed.to_string(),
            "message": found.to_string(),
            "sample": found.sample.iter().map(|change| json!({
                "customer_id": change.key.customer_id,
                "attribute_id": change.key.attribute_id,
                "value": change.value,
                "previous_value": change.previous_value,
            })).collect::<Vec<_>>(),
        })
    };
    exceeded.iter().map(limit).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Share;
    use crate::plan::guard::Limit;
    use crate::record::{Action, Key};

    fn exceeded() -> Exceeded {
        let change = Change {
            key: Key::new(12, 1),
            action: Action::Update,
            value: Some(String::new()),
            previous_value: Some("gold".to_owned()),
            previous_in_doubt: false,
            source_value: None,
            value_id: None,
            in_doubt_until: None,
        };
        Exceeded {
            limit: Limit::Emptied,
            attribute: Some((1, "loyalty_tier".to_owned())),
            found: 812,
            of: 1_000,
            allowed: Share::percent(5.0),
            needed: Share::percent(85.0),
            sample: vec![change],
        }
    }

    #[test]
    fn a_person_sees_the_limit_the_figures_and_a_sample() {
        assert_eq!(
            lines(&[exceeded()], Paint::default()),
            [
                "guard: 812 of 1000 values of loyalty_tier (1) would become empty (81.2%; max_emptied allows 5%)",
                "  customer 12 · loyalty_tier (1): \"gold\" → \"\""
            ]
        );
    }

    #[test]
    fn programs_get_the_same() {
        let value = json(&[exceeded()]);
        assert_eq!((&value[0]["limit"], &value[0]["percent"]), (&json!("max_emptied"), &json!(81.2)));
        assert_eq!(value[0]["sample"][0]["previous_value"], "gold");
    }
}
