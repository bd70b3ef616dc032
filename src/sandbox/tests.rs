//! The model without time and transport: rules, limits, listings, settings.

use super::*;
use crate::record::Key;

mod deletes;

fn model() -> Model {
    Model::new(SandboxOptions::default())
}

fn put(items: &[(i64, i64, &str)]) -> Request {
    let items = items
        .iter()
        .map(|&(customer, attribute, value)| PutItem {
            key: Key::new(customer, attribute),
            value: value.to_owned(),
        })
        .collect();
    request(Operation::PutValues(Ok(items)))
}

fn request(operation: Operation) -> Request {
    Request { hash: "sandbox".into(), token: Some("sandbox-token".into()), path: "/".into(), operation }
}

fn send(model: &mut Model, request: &Request) -> StoreResponse {
    let active = model.arrive(0, request);
    let response = model.serve(0, &active, request);
    model.end(&active);
    response
}

fn errors(response: &StoreResponse) -> Vec<&str> {
    match &response.content {
        Content::Problem { errors, .. } => errors.iter().map(|(field, _)| field.as_str()).collect(),
        other => panic!("no problem but {other:?}"),
    }
}

#[test]
fn a_write_is_stored_and_echoed_and_a_new_value_has_a_new_id() {
    let mut model = model();
    let response = send(&mut model, &put(&[(1, 1, "gold"), (2, 1, "")]));
    assert_eq!(response.status, 200);
    assert_eq!(model.values().collect::<Vec<_>>(), [(Key::new(1, 1), "gold"), (Key::new(2, 1), "")]);
    let first = model.value_id(Key::new(1, 1));
    model.delete_customer(1);
    assert_eq!(model.value(Key::new(1, 1)), None);
    assert_eq!(send(&mut model, &put(&[(1, 1, "gold")])).status, 422);
    model.add_customer(1);
    send(&mut model, &put(&[(1, 1, "gold")]));
    assert!(model.value_id(Key::new(1, 1)) > first);
    model.delete_attribute(1);
    assert_eq!(model.values().count(), 0);
}

#[test]
fn one_bad_item_refuses_the_whole_request() {
    let mut model = model();
    let long = "é".repeat(256);
    for (bad, field) in [
        ((9999, 1, "x"), "1.customer_id"),
        ((2, 9, "x"), "1.attribute_id"),
        ((2, 1, long.as_str()), "1.value"),
        ((2, 1, "a !reject b"), "1.value"),
    ] {
        let response = send(&mut model, &put(&[(1, 1, "good"), bad, bad]));
        assert_eq!((response.status, errors(&response)), (422, vec![field]));
        assert_eq!(model.values().count(), 0);
    }
    assert_eq!(send(&mut model, &put(&[(1, 1, "good"), (2, 1, "!poison")])).status, 500);
    assert_eq!(send(&mut model, &put(&[(1, 1, &"é".repeat(255))])).status, 200);
    assert_eq!(model.tally().applied, 1);
}

#[test]
fn a_refusal_can_have_every_documented_form() {
    let bad = put(&[(1, 1, "good"), (2, 1, "!reject"), (3, 1, "!reject")]);
    let mut model = model();
    model.options.rules.report_all = true;
    assert_eq!(errors(&send(&mut model, &bad)), ["1.value", "2.value"]);
    model.options.rules.blame = Blame::FieldOnly;
    assert_eq!(errors(&send(&mut model, &bad)), ["value", "value"]);
    model.options.rules.blame = Blame::WrongIndex;
    assert_eq!(errors(&send(&mut model, &bad)), ["2.value", "0.value"]);
    model.options.rules.apply_before_bad = true;
    send(&mut model, &bad);
    assert_eq!(model.value(Key::new(1, 1)), Some("good"));
    let twice = put(&[(4, 1, "a"), (4, 1, "b")]);
    assert_eq!(send(&mut model, &twice).status, 200);
    assert_eq!(model.value(Key::new(4, 1)), Some("b"));
    model.options.rules.repeated_pair = RepeatedPair::Refused;
    assert_eq!(send(&mut model, &twice).status, 422);
}

#[test]
fn the_size_counts_items_or_customers() {
    let mut model = model();
    let eleven: Vec<_> = (1..=11).map(|index| (index % 4 + 1, index % 3 + 1, "x")).collect();
    assert_eq!(send(&mut model, &put(&eleven)).status, 413);
    model.options.limits.size_refusal = SizeRefusal::Unprocessable;
    let response = send(&mut model, &put(&eleven));
    assert_eq!(
        response,
        StoreResponse {
            content: Content::Problem { title: "Max batch size allowed is 10".into(), errors: vec![] },
            ..response.clone()
        }
    );
    model.options.limits.counting = Counting::Customers;
    assert_eq!(send(&mut model, &put(&eleven)).status, 200);
    let tally = model.tally();
    assert_eq!((tally.over_size, tally.max_items, tally.max_customers), (2, 11, 4));
}

#[test]
fn the_fourth_write_in_flight_is_refused() {
    let mut model = model();
    let request = put(&[(1, 1, "x")]);
    let tickets: Vec<_> = (0..3).map(|_| model.arrive(0, &request)).collect();
    assert!(matches!(
        model.arrive(0, &request).admission,
        Admission::Refused(StoreResponse { status: 429, .. })
    ));
    model.end(&tickets[0]);
    assert_eq!(model.arrive(0, &request).admission, Admission::Admitted);
    assert_eq!((model.tally().max_in_flight, model.tally().over_in_flight), (4, 1));
}

#[test]
fn an_empty_quota_refuses_until_the_window_ends() {
    let mut model = model();
    model.options.quota = QuotaRule { requests: 1, retry_after: true, ..QuotaRule::default() };
    let request = put(&[(1, 1, "x")]);
    assert_eq!(send(&mut model, &request).rate.map(|rate| rate.left), Some(0));
    let refused = send(&mut model, &request);
    assert_eq!((refused.status, refused.retry_after), (429, Some(30)));
    assert_eq!(model.arrive(30_000, &request).admission, Admission::Admitted);
}

#[test]
fn tokens_and_hashes_are_checked() {
    let mut model = model();
    model.options.read_only_token = Some(crate::config::Secret::new("reader"));
    let write = put(&[(1, 1, "x")]);
    let status = |model: &mut Model, request: &Request| send(model, request).status;
    assert_eq!(status(&mut model, &Request { token: None, ..write.clone() }), 401);
    assert_eq!(status(&mut model, &Request { token: Some("reader".into()), ..write.clone() }), 403);
    assert_eq!(status(&mut model, &Request { hash: "other".into(), ..write.clone() }), 404);
    model.options.rules.revoked = true;
    assert_eq!(status(&mut model, &write), 401);
    assert_eq!(model.values().count(), 0);
}

#[test]
fn values_are_stored_in_the_form_of_the_switches() {
    let mut model = model();
    model.options.rules.keeping = Keeping { trim: true, numbers: true, narrow: true, drop_empty: true };
    send(&mut model, &put(&[(1, 1, " a😀 "), (1, 2, "10.50"), (1, 3, "10.50"), (2, 1, " ")]));
    let kept: Vec<_> = model.values().map(|(_, value)| value).collect();
    assert_eq!(kept, ["a?", "10.5", "10.50"]);
}

#[test]
fn shapes_are_refused_as_the_api_does() {
    let refusal = |body: &str| PutItem::read(body.as_bytes()).unwrap_err().to_string();
    assert_eq!(refusal("[{"), "the body is not JSON");
    assert_eq!(refusal("{}"), "obj: error.expected.jsarray");
    assert_eq!(refusal(r#"[{"attribute_id":1,"value":"x"}]"#), "customer_id: error.path.missing");
    let number = r#"[{"attribute_id":1,"customer_id":1,"value":10}]"#;
    assert_eq!(refusal(number), "value: error.expected.jsstring");
}

#[test]
fn unknown_filters_are_refused_and_lists_are_paged() {
    let mut model = model();
    for customer in 1..=60 {
        model.set_value(Key::new(customer, 1), Some("x"));
    }
    let list =
        |model: &mut Model, query: &str| send(model, &request(Operation::GetValues(Query::parse(query))));
    let count = |response: StoreResponse| match response.content {
        Content::Values(rows, _) => rows.len(),
        other => panic!("no values but {other:?}"),
    };
    assert_eq!(count(list(&mut model, "")), 50);
    assert_eq!(count(list(&mut model, "page=2")), 10);
    assert_eq!(count(list(&mut model, "page=3")), 0);
    assert_eq!(count(list(&mut model, "customer_id:in=3,7,99&attribute_id:in=1")), 2);
    assert_eq!(count(list(&mut model, "name=lifetime_value")), 0);
    assert_eq!(count(list(&mut model, "date_modified:min=2999-01-01")), 0);
    assert_eq!(list(&mut model, "limit=251").status, 413);
    let refused = list(&mut model, "customer_id=1&&page=1").content;
    let title = "The filter(s): customer_id,  are not valid filter parameter(s).".to_owned();
    assert_eq!(refused, Content::Problem { title, errors: vec![] });
}

#[test]
fn dates_are_those_of_the_creation() {
    let mut model = model();
    model.arrive(90_000, &request(Operation::GetCustomers(Query::default())));
    model.add_customer(5000);
    model.add_attribute(AttributeSpec::new(4, "birthday", "date"));
    let made = |date: chrono::DateTime<chrono::Utc>| date.format("%T").to_string();
    let listed = send(
        &mut model,
        &request(Operation::GetAttributes(Query::parse("date_created:min=2026-01-01T00:01:00"))),
    );
    match listed.content {
        Content::Attributes(rows, _) => {
            let rows: Vec<_> = rows.iter().map(|row| (row.spec.id, made(row.date_created))).collect();
            assert_eq!(rows, [(4, "00:01:30".to_owned())]);
        }
        other => panic!("no attributes but {other:?}"),
    }
    match send(&mut model, &request(Operation::GetCustomers(Query::parse("id:in=5000,7")))).content {
        Content::Customers(rows, _) => {
            let rows: Vec<_> = rows.iter().map(|row| (row.id, made(row.date_created))).collect();
            assert_eq!(rows, [(7, "00:00:00".to_owned()), (5000, "00:01:30".to_owned())]);
        }
        other => panic!("no customers but {other:?}"),
    }
}

#[test]
fn settings_are_applied_all_or_none() {
    let mut model = model();
    let apply = |model: &mut Model, json: &str| {
        let settings: FaultSettings = serde_json::from_str(json).unwrap();
        settings.apply(model).map_err(|error| error.to_string())
    };
    apply(&mut model, r#"{"lost": 0.5, "script": ["429", "none"], "revoked": true, "status": 503}"#).unwrap();
    assert_eq!(model.script, [Fault::Limited, Fault::None]);
    assert!(model.options.rules.revoked && model.options.rules.fixed_status == Some(503));
    let error = apply(&mut model, r#"{"heal": true, "lots": 1}"#).unwrap_err();
    assert!(error.contains("lots") && error.contains("lost"), "{error}");
    assert!(model.options.rules.revoked);
    apply(&mut model, r#"{"heal": true, "counting": "customers"}"#).unwrap();
    assert!(!model.options.rules.revoked && model.script.is_empty());
    assert_eq!(model.options.limits.counting, Counting::Customers);
}

#[test]
fn an_ignored_item_is_echoed_with_the_stored_value() {
    let mut model = model();
    send(&mut model, &put(&[(1, 1, "old")]));
    model.script.push_back(Fault::Ignored);
    let response = send(&mut model, &put(&[(1, 1, "new")]));
    let Content::Values(rows, _) = response.content else { panic!("no values") };
    assert_eq!((response.status, rows[0].value.as_str()), (200, "old"));
    assert_eq!(model.value(Key::new(1, 1)), Some("old"));
}

#[test]
fn events_are_logged_once_the_model_is_watched() {
    let mut model = model();
    send(&mut model, &put(&[(1, 1, "unseen")]));
    model.watch();
    assert_eq!(model.events(), []);
    send(&mut model, &put(&[(1, 1, "a"), (2, 1, "b")]));
    send(&mut model, &put(&[(3, 1, "!reject")]));
    model.set_value(Key::new(2, 1), None);
    model.delete_customer(1);
    let written = |customer_id, value: &str| Event::Written {
        at_ms: 0,
        arrived_ms: 0,
        key: Key::new(customer_id, 1),
        value: value.to_owned(),
        stored: value.to_owned(),
    };
    assert_eq!(
        model.events(),
        [
            written(1, "a"),
            written(2, "b"),
            Event::Refused { key: Key::new(3, 1), value: "!reject".to_owned() },
            Event::Edited { key: Key::new(2, 1), value: None },
            Event::Edited { key: Key::new(1, 1), value: None },
        ]
    );
    assert_eq!(model.events(), []);
}
