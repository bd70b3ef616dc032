use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;

fn problem(text: &str) -> (String, Vec<(String, String)>) {
    match error_body(text) {
        Body::Problem { title, errors } => (title, errors),
        other => panic!("{text} was read as {other:?}"),
    }
}

fn pairs(pairs: &[(&str, &str)]) -> Vec<(String, String)> {
    pairs.iter().map(|(field, text)| ((*field).to_owned(), (*text).to_owned())).collect()
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
    assert_eq!(upsert_response(200, text), Body::Echoes(expected));
    assert_eq!(page(text, super::echo).unwrap().unread, 5);
}

#[test]
fn a_success_without_a_list_is_unreadable() {
    for text in ["", "[]", "{}", r#"{"data":{}}"#, r#"{"data":[}"#, r#"{"title":"x","errors":{}}"#, "<html>"]
    {
        assert_eq!(upsert_response(200, text), Body::Unreadable(text.to_owned()));
    }
    assert_eq!(upsert_response(200, r#"{"data":[]}"#), Body::Echoes(vec![]));
}

#[test]
fn errors_keep_their_order() {
    let text = r#"{"status":422,"title":"Update failed.","type":"t",
        "errors":{"9.value":"too long","0.customer_id":"unknown","":"whole"}}"#;
    let expected = pairs(&[("9.value", "too long"), ("0.customer_id", "unknown"), ("", "whole")]);
    assert_eq!(problem(text), ("Update failed.".to_owned(), expected));
}

#[test]
fn errors_may_be_missing_empty_nested_or_a_list() {
    let check = |text: &str, title: &str, errors: &[(&str, &str)]| {
        assert_eq!(problem(text), (title.to_owned(), pairs(errors)), "{text}");
    };
    check(r#"{"status":403,"title":"Authentication Required"}"#, "Authentication Required", &[]);
    check(r#"{"status":429,"title":"Too many requests","errors":{}}"#, "Too many requests", &[]);
    check(r#"{"status":504,"title":"","errors":null}"#, "", &[]);
    check(r#"{"status":422,"errors":{"0.id":"gone"}}"#, "", &[("0.id", "gone")]);
    check(r#"{"title":"Input is invalid","detail":"Syntax error"}"#, "Input is invalid: Syntax error", &[]);
    check(
        r#"{"title":"t","errors":{"1":{"value":["long","odd"]},"n":3,"b":true}}"#,
        "t",
        &[("1.value", "long"), ("1.value", "odd"), ("n", "3"), ("b", "true")],
    );
    check(r#"{"title":"t","errors":["a",{"2.value":"b"}]}"#, "t", &[("", "a"), ("2.value", "b")]);
    check(r#"{"title":"t","errors":"all"}"#, "t", &[("", "all")]);
}

#[test]
fn other_bodies_are_unreadable() {
    for text in ["", "null", "7", r#"[{"status":413,"message":"m"}]"#, r#"{"message":"m"}"#, "<h1>404</h1>"] {
        assert_eq!(error_body(text), Body::Unreadable(text.to_owned()));
    }
}

#[test]
fn excerpts_are_cut_between_characters_and_clean() {
    assert_eq!(excerpt("a\0b\r\n\u{1b}[31mc"), "a b \n [31mc");
    let long = format!("a{}", "é".repeat(4000));
    let cut = excerpt(&long);
    assert_eq!(cut.len(), 2047);
    assert!(long.starts_with(&cut));
    let (title, errors) = problem(r#"{"title":"a\u0000b","errors":{"v\u0000":"c\u0000"}}"#);
    assert_eq!((title.as_str(), errors), ("a b", pairs(&[("v ", "c ")])));
}

#[test]
fn a_page_has_the_number_of_pages() {
    let text = r#"{"data":[{"id":4,"name":"Tier","type":"string"},{"id":5,"name":"Age"}],
        "meta":{"pagination":{"total_pages":2}}}"#;
    let page = page(text, attribute).unwrap();
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
