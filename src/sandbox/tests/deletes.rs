//! Requests that delete values.

use super::*;

fn delete(ids: &[i64]) -> Request {
    let listed = ids.iter().map(i64::to_string).collect::<Vec<_>>().join(",");
    request(Operation::DeleteValues(Query::of(&[("id:in", listed)])))
}

/// A store with the values of these customers, and the ids of the values.
fn stored(values: &[&str]) -> (Model, Vec<i64>) {
    let mut model = model();
    model.watch();
    for (customer, value) in (1..).zip(values) {
        model.set_value(Key::new(customer, 1), Some(value));
    }
    let ids = model.values().map(|(key, _)| key).collect::<Vec<_>>();
    let ids = ids.into_iter().filter_map(|key| model.value_id(key)).collect();
    model.events();
    (model, ids)
}

#[test]
fn values_are_deleted_by_their_ids_and_unknown_ids_are_no_error() {
    let (mut model, ids) = stored(&["a", "b", "c"]);
    let response = send(&mut model, &delete(&[ids[0], ids[2], 999]));
    assert_eq!((response.status, &response.content), (204, &Content::Empty));
    assert_eq!(model.values().collect::<Vec<_>>(), [(Key::new(2, 1), "b")]);
    let deleted = |customer, value: &str| Event::Deleted {
        at_ms: 0,
        arrived_ms: 0,
        key: Key::new(customer, 1),
        value: value.to_owned(),
    };
    assert_eq!(model.events(), [deleted(1, "a"), deleted(3, "c")]);
    let logged = model.requests().last().expect("a request");
    assert_eq!((logged.customers, logged.items, logged.applied), (2, 3, true));
    send(&mut model, &put(&[(1, 1, "a")]));
    assert_ne!(model.value_id(Key::new(1, 1)), Some(ids[0]), "a value that returns has a new id");
}

#[test]
fn a_delete_counts_among_the_writes_in_flight() {
    let (mut model, ids) = stored(&["a"]);
    let requests: Vec<Request> = (0..3).map(|customer| put(&[(customer + 1, 2, "x")])).collect();
    let active: Vec<_> = requests.iter().map(|request| model.arrive(0, request)).collect();
    assert_eq!(send(&mut model, &delete(&ids)).status, 429);
    active.iter().for_each(|active| model.end(active));
    assert_eq!(send(&mut model, &delete(&ids)).status, 204);
    assert_eq!((model.tally().writes, model.tally().max_in_flight), (5, 4));
}

#[test]
fn too_many_ids_and_a_value_that_cannot_be_deleted_are_refused() {
    let (mut model, ids) = stored(&["a", "!keep"]);
    let many: Vec<i64> = (1..=51).collect();
    assert_eq!(send(&mut model, &delete(&many)).status, 414);
    model.options.limits.size_refusal = SizeRefusal::Unprocessable;
    assert_eq!(send(&mut model, &delete(&many)).status, 422);
    let refused = send(&mut model, &delete(&ids));
    assert_eq!((refused.status, errors(&refused)), (422, vec!["1.id"]));
    assert_eq!(model.values().count(), 2, "nothing was deleted");
    let without = request(Operation::DeleteValues(Query::default()));
    assert_eq!(send(&mut model, &without).status, 422);
}

#[test]
fn a_store_may_delete_nothing_and_say_204() {
    let (mut model, ids) = stored(&["a"]);
    model.options.rules.deletes_nothing = true;
    assert_eq!(send(&mut model, &delete(&ids)).status, 204);
    assert_eq!(model.values().count(), 1);
    model.heal();
    model.script.extend([Fault::Lost, Fault::Refused, Fault::Skipped]);
    assert!(send(&mut model, &delete(&ids)).status >= 500);
    assert_eq!(model.values().count(), 0, "applied before its response was lost");
    model.set_value(Key::new(1, 1), Some("a"));
    let ids: Vec<i64> = model.value_id(Key::new(1, 1)).into_iter().collect();
    assert!(send(&mut model, &delete(&ids)).status >= 500);
    assert_eq!(send(&mut model, &delete(&ids)).status, 204);
    assert_eq!(model.values().count(), 1, "neither refused nor skipped requests delete it");
}
