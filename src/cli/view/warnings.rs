//! The warnings of a plan, as text and as JSON.

use serde_json::{Value, json};

use super::paint::Paint;
use super::text::{brief, tame};
use crate::record::Warning;

/// The warnings as a person reads them, with samples of values.
pub(crate) fn lines(warnings: &[Warning], paint: Paint) -> Vec<String> {
    let mut lines = Vec::new();
    for warning in warnings {
        lines.push(format!("{} {}", paint.notable("warning:"), tame(&warning.to_string())));
        lines.extend(
            sample(warning)
                .iter()
                .map(|(customer, value)| format!("  customer {customer}: {}", brief(value))),
        );
    }
    lines
}

/// The warnings for programs. Keys are only ever added.
pub(crate) fn json(warnings: &[Warning]) -> Value {
    let warning = |warning: &Warning| {
        json!({
            "kind": warning.kind(),
            "message": warning.to_string(),
            "sample": sample(warning).iter().map(|(customer, value)| json!({
                "customer_id": customer, "value": value,
            })).collect::<Vec<_>>(),
        })
    };
    warnings.iter().map(warning).collect()
}

fn sample(warning: &Warning) -> &[(i64, String)] {
    match warning {
        Warning::WrongType { sample, .. } => sample,
        _ => &[],
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_of_the_wrong_type_is_shown_with_its_customer() {
        let warning = Warning::WrongType {
            attribute_id: 3,
            name: "birthday".to_owned(),
            kind: "date".to_owned(),
            count: 1,
            sample: vec![(12, "31/12/2026".to_owned())],
        };
        assert_eq!(
            lines(std::slice::from_ref(&warning), Paint::default()),
            [
                "warning: 1 value for birthday (3), an attribute of type date, is not written as a date such as 2026-12-31: \
                 customer 12",
                "  customer 12: \"31/12/2026\""
            ]
        );
        let json = json(&[warning]);
        assert_eq!(
            (&json[0]["kind"], &json[0]["sample"][0]["value"]),
            (&json!("wrong_type"), &json!("31/12/2026"))
        );
    }
}
