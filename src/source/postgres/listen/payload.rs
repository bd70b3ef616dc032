//! What the payload of a notification says.

use crate::record::Notified;

/// Returns the customers of a payload: ids, separated by commas or blanks, also as a JSON list. An empty payload is
/// everything. `None` for a text that is neither.
pub(super) fn customers(payload: &str) -> Option<Notified> {
    let text = payload.trim();
    let is_list = text.starts_with('[') && text.ends_with(']') && text.len() > 1;
    let ids = if is_list { &text[1..text.len() - 1] } else { text };
    let ids = ids.split(|c: char| c == ',' || c.is_whitespace()).filter(|id| !id.is_empty());
    let notified = ids.map(|id| id.parse::<i64>().ok()).collect::<Option<Notified>>()?;
    Some(if notified.is_nothing() { Notified::Everything } else { notified })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_payload_is_ids_or_everything() {
        let ids = |ids: &[i64]| Some(ids.iter().copied().collect::<Notified>());
        for (payload, expect) in [
            ("12", ids(&[12])),
            (" 12 ", ids(&[12])),
            ("12,13", ids(&[12, 13])),
            ("12, 13 12\n14", ids(&[12, 13, 14])),
            ("[12, 13]", ids(&[12, 13])),
            ("", Some(Notified::Everything)),
            (" ", Some(Notified::Everything)),
            ("[]", Some(Notified::Everything)),
            ("[", None),
            ("customer 12", None),
            ("{\"customer_id\": 12}", None),
            ("[\"12\"]", None),
            ("12.5", None),
            ("99999999999999999999", None),
        ] {
            assert_eq!(customers(payload), expect, "{payload:?}");
        }
    }
}
