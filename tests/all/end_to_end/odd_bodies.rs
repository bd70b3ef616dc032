//! Responses whose bodies no sandbox sends: the program over a real port, against a server with a script.

use serde_json::{Value, json};

use super::program::Said;
use super::world::{LedgerKind, World};
use crate::support::http::{Act, HttpServer, response};

fn ok(body: &Value) -> Act {
    Act::Respond(response(200, &[], body.to_string()))
}

fn list(rows: &[Value]) -> Act {
    ok(&json!({ "data": rows, "meta": { "pagination": { "total_pages": 1 } } }))
}

fn attributes() -> Act {
    list(&[json!({ "id": 1, "name": "Tier", "type": "string" })])
}

fn customers() -> Act {
    list(&[json!({ "id": 1 }), json!({ "id": 2 })])
}

fn row(customer: i64) -> Value {
    json!({ "id": customer, "customer_id": customer, "attribute_id": 1, "attribute_value": "first" })
}

/// Runs a sync of two customers against a new store that sends these responses: its attributes first. It holds no values: a
/// first sync reads whether it does.
fn sync(world: &World, mut script: Vec<Act>) -> (Said, HttpServer) {
    script.insert(1, list(&[]));
    sync_exactly(world, script)
}

/// Runs a sync of two customers against a new store that sends these responses and no other.
fn sync_exactly(world: &World, script: Vec<Act>) -> (Said, HttpServer) {
    let server = HttpServer::start(script);
    let config = world.config("workers = 1").replace(&format!("http://{}", world.address), &server.url());
    world.write_config(&config);
    (world.sync(), server)
}

fn writes(server: &HttpServer) -> usize {
    server.seen().iter().filter(|request| request.method == "PUT").count()
}

#[test]
fn promise_6_an_error_of_an_item_within_a_success_rejects_that_item_with_the_stores_words() {
    let world = World::with_customers(LedgerKind::File, 2);
    let bad = json!({ "status": 422, "message": "not allowed" });
    let named = json!({ "customer_id": 2, "attribute_id": 1, "reason": "not allowed" });
    for body in [
        json!([row(1), bad]),
        json!([{ "status": 200, "data": row(1) }, bad]),
        json!({ "data": [row(1), bad] }),
        json!({ "data": [row(1)], "failed": [named] }),
        json!({ "data": [row(1)], "meta": { "errors": [{ "index": 1, "message": "not allowed" }] } }),
        json!({ "data": [row(1)], "error": { "message": "not allowed", "customer_id": 2 } }),
    ] {
        let multi_status = Act::Respond(response(207, &[], body.to_string()));
        let (said, server) = sync(&world, vec![attributes(), multi_status, customers()]);
        said.exits(3).balances();
        let rejected = world.run(&["rejected"]).exits(0).tells(&["not allowed", "       2  Tier"]);
        assert!(!rejected.out.contains("       1  Tier"), "{body}: {rejected:#?}");
        assert_eq!(writes(&server), 1, "{body}");
    }
}

#[test]
fn promise_6_a_list_of_errors_in_place_of_values_is_about_one_of_them() {
    let world = World::with_customers(LedgerKind::File, 2);
    let errors = json!([{ "status": 400, "message": "not allowed" }]);
    let refusal = |status| Act::Respond(response(status, &[], errors.to_string()));
    let halves = [ok(&json!({ "data": [row(1)] })), refusal(400), customers()];
    let within_success = [attributes(), refusal(200), list(&[])].into_iter().chain(halves.clone());
    let refused = [attributes(), refusal(400)].into_iter().chain(halves);
    for script in [within_success.collect(), refused.collect()] {
        let (said, server) = sync(&world, script);
        let said = said.exits(3).balances();
        assert_eq!((said.count("confirmed"), said.count("rejected")), (1, 1), "{said:#?}");
        world.run(&["rejected"]).exits(0).tells(&["not allowed"]);
        assert_eq!(writes(&server), 3);
    }
}

#[test]
fn promise_12_a_store_that_refuses_a_read_is_quoted() {
    let world = World::with_customers(LedgerKind::File, 2);
    let problem = |status: u16, body: Value| Act::Respond(response(status, &[], body.to_string()));
    for (act, words) in [
        (
            problem(402, json!({ "status": 402, "errors": { "store": "the trial is over" } })),
            "the trial is over",
        ),
        (
            problem(422, json!({ "title": "Invalid", "errors": { "limit": "at most 50" } })),
            "limit: at most 50",
        ),
        (ok(&json!({ "data": [], "errors": [{ "message": "no access" }] })), "no access"),
    ] {
        let (said, server) = sync_exactly(&world, vec![act; 8]);
        said.exits(1).tells(&[words, "hint:"]);
        assert_eq!(writes(&server), 0);
    }
}

fn page(status: u16) -> Act {
    let headers = if status == 302 { [("Location", "https://block.example/why")].as_slice() } else { &[] };
    Act::Respond(response(status, headers, "<html><title>Blocked</title></html>"))
}

#[test]
fn promise_6_a_firewall_that_blocks_one_value_harms_no_other() {
    let world = World::with_customers(LedgerKind::File, 2);
    for status in [302, 405, 501] {
        // Both values, one, the other; and a read after each block.
        let one = ok(&json!({ "data": [row(1)] }));
        let script =
            vec![attributes(), page(status), attributes(), one, page(status), attributes(), customers()];
        let (said, server) = sync(&world, script);
        let said = said.exits(3).balances();
        assert_eq!((said.count("confirmed"), said.count("rejected")), (1, 1), "{said:#?}");
        world.run(&["rejected"]).exits(0).tells(&["       2  Tier", "before the store", &status.to_string()]);
        assert_eq!(writes(&server), 3);
    }
}

#[test]
fn promise_6_a_proxy_that_passes_no_writes_rejects_nothing() {
    let world = World::with_customers(LedgerKind::File, 2);
    let script = (0..16).map(|at| if at % 2 == 0 { attributes() } else { page(405) }).collect();
    let (said, server) = sync(&world, script);
    let said = said.exits(1).balances().tells(&["405", "PUT and DELETE requests", "while reads succeed"]);
    assert_eq!((said.count("deferred"), said.count("rejected")), (2, 0), "{said:#?}");
    assert!(writes(&server) < 7);
}

#[test]
fn a_store_that_asks_to_wait_longer_than_a_run_may_last_is_named_when_its_patience_is_over() {
    let world = World::with_customers(LedgerKind::File, 2);
    let busy = |status| Act::Respond(response(status, &[("Retry-After", "250s")], ""));
    for (script, written, in_all) in [
        (vec![attributes(), list(&[]), busy(429)], 1, 3),
        (vec![attributes(), list(&[]), busy(503)], 1, 3),
        (vec![busy(429)], 0, 1),
        (vec![busy(503)], 0, 1),
    ] {
        let (said, server) = sync_exactly(&world, script);
        said.exits(1).tells(&["asks to wait for", "[push] give_up_after"]);
        assert_eq!((writes(&server), server.seen().len()), (written, in_all));
    }
}
