//! `attrsync plan --output` writes the whole plan, and never half of it.

use std::fs;

use super::world::{LedgerKind, World};

/// The names of the files of the folder, without the configuration and the ledger.
fn files(world: &World) -> Vec<String> {
    let names = fs::read_dir(world.path()).expect("the folder");
    let mut names: Vec<String> =
        names.map(|entry| entry.expect("an entry").file_name().into_string().expect("UTF-8")).collect();
    names.retain(|name| name.contains("plan"));
    names.sort();
    names
}

#[test]
fn the_whole_plan_is_written_as_csv_or_json_lines() {
    let world = World::with_customers(LedgerKind::File, 20_000);
    world.change("a, \"b\"", "2");
    world.run(&["plan", "--output", "plan.csv"]).exits(0).tells(&["Plan: 20,000 to create"]);
    let csv = fs::read_to_string(world.path().join("plan.csv")).expect("a file");
    assert_eq!(csv.lines().count(), 20_001, "more than a page of the plan");
    let mut lines = csv.split("\r\n");
    assert_eq!(lines.next(), Some("customer_id,attribute_id,action,value,previous_value"));
    assert_eq!(lines.next(), Some("1,1,create,\"first\","));
    assert_eq!(lines.next(), Some("2,1,create,\"a, \"\"b\"\"\","));

    let said = world.run(&["plan", "--output", "-"]).exits(0);
    assert_eq!(said.out.lines().count(), 20_000, "stdout has nothing else");
    let line: serde_json::Value =
        serde_json::from_str(said.out.lines().nth(1).expect("a line")).expect("JSON");
    assert_eq!(
        line,
        serde_json::json!({
            "customer_id": 2, "attribute_id": 1, "action": "create", "value": "a, \"b\"", "previous_value": null,
        })
    );
    assert!(said.err.contains("Plan: 20,000 to create"), "{said:#?}");

    // A plan that is saved has the same changes.
    let said = world.run(&["plan", "--save", "--output", "plan.jsonl", "--json"]).exits(0);
    let run = said.json()["run_id"].as_i64().expect("a run");
    let lines = fs::read_to_string(world.path().join("plan.jsonl")).expect("a file");
    assert_eq!(
        lines.lines().count() as i64,
        world.number(&format!("select count(*) as n from changes where run_id = {run}"))
    );
    assert_eq!(files(&world), ["plan.csv", "plan.jsonl"], "no temporary file stays");
}

#[test]
fn a_plan_that_fails_leaves_the_file_as_it_was() {
    let world = World::with_customers(LedgerKind::File, 3);
    world.run(&["plan", "--output", "plan.csv"]).exits(0);
    let before = fs::read(world.path().join("plan.csv")).expect("a file");
    world.execute("drop table customer_attribute_values");
    world.run(&["plan", "--output", "plan.csv"]).exits(1);
    world.run(&["plan", "--output", "other-plan.jsonl"]).exits(1);
    assert_eq!(fs::read(world.path().join("plan.csv")).expect("a file"), before);
    assert_eq!(files(&world), ["plan.csv"]);
    world.run(&["plan", "--output", "plan.txt"]).exits(64).tells(&[".csv", ".jsonl"]);
    world.run(&["plan", "--output", "-", "--json"]).exits(64);
    world.run(&["plan", "--output", "/dev/null"]).exits(64).tells(&["is a device"]);
    world.run(&["plan", "--output", "none/plan.csv"]).exits(1).tells(&["cannot be written"]);
}
