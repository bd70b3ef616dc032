use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;
use crate::config::Secret;
use crate::destination::Body;
use crate::destination::bigcommerce::write_response;

fn mask() -> Mask {
    Mask::new(Secret::new("tok_s3cret"))
}

#[test]
fn a_write_sends_three_fields_an_item() {
    let items = [Item { key: Key::new(7, 3), value: "" }, Item { key: Key::new(7, 4), value: "ä\"😀" }];
    assert_eq!(
        String::from_utf8(upsert_body(&items).unwrap()).unwrap(),
        r#"[{"customer_id":7,"attribute_id":3,"value":""},{"customer_id":7,"attribute_id":4,"value":"ä\"😀"}]"#
    );
}

#[test]
fn promise_3_an_item_with_an_error_of_its_own_is_no_echo() {
    let item = |errors: &str| {
        format!(r#"{{"data":[{{"customer_id":7,"attribute_id":3,"attribute_value":"a",{errors}}}]}}"#)
    };
    for (errors, read) in [
        (r#""errors":["not allowed"]"#, 0),
        (r#""error":"not allowed""#, 0),
        (r#""errors":{"value":"not allowed"}"#, 0),
        (r#""errors":[],"error":null"#, 1),
        (r#""errors":{},"error":"""#, 1),
    ] {
        assert_eq!(page(&item(errors), super::echo).unwrap().items.len(), read, "{errors}");
    }
}

#[test]
fn echoes_are_read_leniently() {
    let text = r#"{"data": [
        {"id": 5, "attribute_id": 3, "attribute_value": "a", "customer_id": 7, "date_created": "?", "new": {}},
        {"attribute_id": "3", "attribute_value": 10, "customer_id": "8"},
        {"attribute_id": 3, "attribute_value": null, "customer_id": 9},
        {"attribute_id": 3, "value": "b", "customer_id": 9},
        {"attribute_id": 3.5, "attribute_value": "b", "customer_id": 9},
        "?", null,
        {"id": null, "attribute_id": 3, "attribute_value": "x\u0000y", "customer_id": 10}
    ], "more": 1}"#;
    let echo = |customer_id, value: &str, value_id| Echo {
        key: Key::new(customer_id, 3),
        value: value.to_owned(),
        value_id,
    };
    let expected = vec![echo(7, "a", Some(5)), echo(8, "10", None), echo(10, "x\u{FFFD}y", None)];
    assert_eq!(write_response::read(200, text, 9, &mask()), Body::Echoes(expected));
    assert_eq!(page(text, super::echo).unwrap().unread, 5);
}

#[test]
fn no_text_of_an_item_is_kept_whole_if_it_is_too_long() {
    let long = "é".repeat(200_000);
    let text = format!(
        r#"{{"data":[{{"id":1,"customer_id":2,"attribute_id":3,"attribute_value":"{long}","name":"{long}","type":"{long}"}}]}}"#
    );
    let kept = format!("{}…", "é".repeat(TEXT_MAX_CHARS));
    assert_eq!(page(&text, echo).unwrap().items[0].value, kept);
    let attribute = page(&text, |item| attribute(item, &mask())).unwrap().items.remove(0);
    assert_eq!((attribute.name, attribute.kind), (kept.clone(), kept));
}

#[test]
fn a_list_of_too_many_values_has_unread_items() {
    let page = page(&format!(r#"{{"data":[{}0]}}"#, r#"{"":0},"#.repeat(100_000)), |_| Some(())).unwrap();
    assert!(page.unread > 0 && page.items.len() < 50_000);
}

#[test]
fn promise_11_the_token_is_masked_in_what_is_shown_and_a_value_stays_as_it_is() {
    let text = r#"{"data":[{"id":1,"customer_id":2,"attribute_id":3,
        "attribute_value":"tok_\u0073\u0033cret","name":"a tok_s3cre\u0074","type":"tok_s3cret"}]}"#;
    assert_eq!(page(text, echo).unwrap().items[0].value, "tok_s3cret");
    let attribute = page(text, |item| attribute(item, &mask())).unwrap().items.remove(0);
    assert_eq!((attribute.name.as_str(), attribute.kind.as_str()), ("a ***", "***"));
    assert_eq!(
        write_response::read(200, r#"{"more":"tok_\u00733cret"}"#, 1, &mask()),
        Body::Unreadable(r#"{"more":"***"}"#.to_owned())
    );
}

#[test]
fn a_success_without_a_list_is_unreadable() {
    for text in ["", "[]", "{}", r#"{"data":{}}"#, r#"{"data":[}"#, r#"{"title":"x","errors":{}}"#, "<html>"]
    {
        assert_eq!(write_response::read(200, text, 9, &mask()), Body::Unreadable(text.to_owned()));
    }
    assert_eq!(write_response::read(200, r#"{"data":[]}"#, 1, &mask()), Body::Echoes(vec![]));
}

#[test]
fn a_page_has_the_number_of_pages() {
    let text = r#"{"data":[{"id":4,"name":"Tier","type":"string"},{"id":5,"name":"Age"}],
        "meta":{"pagination":{"total_pages":2}}}"#;
    let page = page(text, |item| attribute(item, &mask())).unwrap();
    assert_eq!(page.total_pages, Some(2));
    let of = |id, name: &str, kind: &str| Attribute { id, name: name.to_owned(), kind: kind.to_owned() };
    assert_eq!(page.items, [of(4, "Tier", "string"), of(5, "Age", "")]);
}

/// Any JSON, with the known names of fields at any place.
fn json() -> impl Strategy<Value = Value> {
    let name = prop_oneof![
        "data|meta|pagination|total_pages|id|customer_id|attribute_id|attribute_value",
        ".{0,3}",
    ];
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<u64>().prop_map(Value::from),
        (-1.0e6..1.0e6).prop_map(Value::from),
        "[0-9]{1,4}|.{0,8}|\"\\\\\u{0}".prop_map(Value::from),
    ];
    leaf.prop_recursive(4, 48, 8, move |inner| {
        prop_oneof![
            proptest::collection::vec(inner.clone(), 0..6).prop_map(Value::from),
            proptest::collection::vec((name.clone(), inner), 0..6)
                .prop_map(|fields| Value::Object(fields.into_iter().collect())),
        ]
    })
}

/// Reads echoes with serde_json's own tree, and counts the items that cannot be read.
fn plainly(items: &[Value]) -> (Vec<Echo>, usize) {
    let id = |item: &Value, field: &str| match item.get(field)? {
        Value::Number(number) => number.as_i64(),
        Value::String(text) => text.parse().ok(),
        _ => None,
    };
    let read = |item: &Value| {
        let value = match item.get("attribute_value")? {
            Value::String(text) => text.replace('\0', "\u{FFFD}"),
            Value::Number(number) => number.to_string(),
            _ => return None,
        };
        let key = Key::new(id(item, "customer_id")?, id(item, "attribute_id")?);
        Some(Echo { key, value, value_id: id(item, "id") })
    };
    let echoes: Vec<_> = items.iter().filter_map(read).collect();
    let unread = items.len() - echoes.len();
    (echoes, unread)
}

proptest! {
    #[test]
    fn lists_are_read_as_serde_json_reads_them(
        data in proptest::collection::vec(json(), 0..8),
        items in proptest::collection::vec((json(), json(), json(), json()), 0..4),
        pages in json(),
    ) {
        let items = items.into_iter().map(|(id, customer, attribute, value)| json!({
            "id": id, "customer_id": customer, "attribute_id": attribute, "attribute_value": value,
        }));
        let data: Vec<Value> = data.into_iter().chain(items).collect();
        let text = json!({ "data": data, "meta": { "pagination": { "total_pages": pages } } }).to_string();
        let page = page(&text, echo).expect("a list");
        prop_assert_eq!((page.items, page.unread), plainly(&data));
        prop_assert_eq!(page.total_pages, pages.as_u64());
    }

    #[test]
    fn only_an_object_with_a_list_is_one(json in json()) {
        let is_list = json.get("data").is_some_and(Value::is_array);
        prop_assert_eq!(page(&json.to_string(), echo).is_some(), is_list);
    }
}

#[test]
fn promise_6_a_value_that_is_no_json_hides_no_other() {
    let body = |value: &str| {
        let first = format!(r#"{{"id":1,"customer_id":7,"attribute_id":3,"attribute_value":{value}}}"#);
        format!(
            r#"{{"data":[{first},{{"id":2,"customer_id":8,"attribute_id":3,"attribute_value":"gold"}}]}}"#
        )
    };
    for (value, read) in
        [(r#""a\ud83d""#, "a\u{FFFD}"), ("NaN", "NaN"), ("1e400", "1e400"), ("\"a\u{1}\"", "a\u{FFFD}")]
    {
        let Body::Echoes(echoes) = write_response::read(200, &body(value), 2, &mask()) else {
            panic!("{value}")
        };
        let values: Vec<_> = echoes.iter().map(|echo| echo.value.as_str()).collect();
        assert_eq!(values, [read, "gold"], "{value}");
    }
}
