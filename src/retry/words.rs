//! The store's words without the positions of items in their batch, so that one cause reads the same for every value.

/// Words that announce the position of an item: `item 4`, `index: 2`, `items[3]`, `position #7`.
const ANNOUNCING: [&str; 6] = ["item", "index", "row", "entry", "element", "position"];

/// Returns the position of an item that a field names: `3.value`, `items[3].value`, `data.3`, `[3]`.
#[must_use]
pub fn position(field: &str) -> Option<usize> {
    parts(field).find(|part| is_number(part))?.parse().ok()
}

/// Returns the store's words without positions. The words are those of `Response::describe`: sections divided by `·`,
/// details divided by `;`, each with its field before a colon.
#[must_use]
pub fn without_positions(words: &str) -> String {
    let details = |section: &str| section.split("; ").map(detail).collect::<Vec<_>>().join("; ");
    words.split(" · ").map(details).collect::<Vec<_>>().join(" · ")
}

/// A field with its text, or a text alone, without positions: `items[3].value: too long` is `value: too long`.
fn detail(detail: &str) -> String {
    match detail.split_once(": ") {
        Some((field, rest)) if !field.contains(' ') && position(field).is_some() => {
            let name: Vec<_> = parts(field).skip_while(|part| !is_number(part)).skip(1).collect();
            if name.is_empty() { text(rest) } else { format!("{}: {}", name.join("."), text(rest)) }
        }
        _ => text(detail),
    }
}

/// A text without positions: `item 4 is invalid` is `item is invalid`.
fn text(text: &str) -> String {
    let mut kept = String::with_capacity(text.len());
    let mut rest = text;
    while !rest.is_empty() {
        let word = &rest[..end_of(rest, char::is_alphanumeric)];
        rest = &rest[word.len()..];
        kept.push_str(word);
        if announces(word)
            && let Some(after) = after_position(rest)
        {
            rest = after;
        } else {
            let between = end_of(rest, |c| !c.is_alphanumeric());
            kept.push_str(&rest[..between]);
            rest = &rest[between..];
        }
    }
    kept
}

/// Whether the word announces a position. Its plural does so too: `items[3]`.
fn announces(word: &str) -> bool {
    let word = word.to_ascii_lowercase();
    ANNOUNCING.iter().any(|known| word.strip_prefix(known).is_some_and(|rest| matches!(rest, "" | "s")))
}

/// What follows a position, if the text begins with one: ` 4`, `: 2`, `[3]`, ` #7`.
fn after_position(text: &str) -> Option<&str> {
    let sign = end_of(text, |c| matches!(c, ' ' | ':' | '#' | '=' | '['));
    let digits = end_of(&text[sign..], |c| c.is_ascii_digit());
    let after = &text[sign + digits..];
    let is_position = sign > 0 && digits > 0 && !after.starts_with(char::is_alphanumeric);
    is_position.then(|| after.strip_prefix(']').unwrap_or(after))
}

/// Whether a text is about how many items a request may have.
#[must_use]
pub fn limit_items(text: &str) -> bool {
    let text = text.to_ascii_lowercase();
    let has = |words: &[&str]| words.iter().any(|word| text.contains(word));
    has(&["batch size", "batch limit", "number of items"])
        || has(&["too many", "at most", "no more than", "only", "maximum", "max ", "limit"])
            && has(&["items", "elements", "records", "entries", "objects", "attribute values"])
}

/// Where the first character is that is not such a one.
fn end_of(text: &str, is: impl Fn(char) -> bool) -> usize {
    text.find(|c| !is(c)).unwrap_or(text.len())
}

fn parts(field: &str) -> impl Iterator<Item = &str> {
    field.split(['.', '[', ']']).filter(|part| !part.is_empty())
}

fn is_number(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_cause_reads_the_same_wherever_the_value_was_in_its_batch() {
        for (words, expected) in [
            ("422 · No. · 0.value: too long; 17.id: invalid", "422 · No. · value: too long; id: invalid"),
            ("422 · items[3].value: too long", "422 · value: too long"),
            ("422 · data.3.value: too long", "422 · value: too long"),
            ("422 · [3]: too long", "422 · too long"),
            ("422 · 3: too long", "422 · too long"),
            ("422 · Item 4 is invalid", "422 · Item is invalid"),
            ("422 · no such customer (index: 2)", "422 · no such customer (index)"),
            (
                "422 · items[3] of the list; row #5, at position 7",
                "422 · items of the list; row, at position",
            ),
            ("422 · 0.value: item 4 is too long", "422 · value: item is too long"),
        ] {
            assert_eq!(without_positions(words), expected);
        }
    }

    #[test]
    fn numbers_that_are_no_position_stay() {
        for words in [
            "422 · at most 1.5 points",
            "400 · .customer_create: in use",
            "422 · at most 10 items",
            "422 · customer 5000: not found",
            "422 · value: longer than 255 characters",
            "422 · item 4a is unknown; arrow 5",
        ] {
            assert_eq!(without_positions(words), words);
        }
    }

    #[test]
    fn a_field_names_a_position_in_many_forms() {
        let fields = ["3.value", "items[3].value", "[3]", "data.3.customer_id", "3"];
        assert!(fields.iter().all(|field| position(field) == Some(3)));
        assert!(["value", ".customer_create", "v3.value", ""].iter().all(|field| position(field).is_none()));
    }
}
