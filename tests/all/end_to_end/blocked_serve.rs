//! A run of `serve` that a guard blocks, as each of those sees it who could be awake.

use serde_json::Value;

use super::serve::{ANY_PORT, site};
use super::world::{LedgerKind, Running, World, until};
use crate::support::http::{Act, HttpServer, response};

/// A `serve` of 300 values, which syncs when it is notified.
struct Night {
    world: World,
    hook: HttpServer,
    serve: Running,
}

impl Night {
    fn begin(kind: LedgerKind) -> Self {
        let world = World::with_customers(kind, 300);
        world.execute("update customer_attribute_values set value = 'platinum'");
        let hook = HttpServer::start(vec![Act::Respond(response(200, &[], "ok")); 20]);
        let notify = format!("[notify]\nwebhook = \"{}/hook\"\n", hook.url());
        let schedule = "[schedule]\nlisten = \"changes\"\ndebounce = \"1ms\"\n";
        world.write_config(&(world.config("") + schedule + &notify));
        let serve = world.start_heard(&["serve", "--address", ANY_PORT], "stderr");
        let night = Self { world, hook, serve };
        until("the values are sent", || night.world.values().len() == 300);
        night.wait_until_fine();
        night
    }

    /// Lets a sync of all rows start.
    fn sync(&self) {
        self.world.execute("notify changes");
    }

    /// How many runs of this process a guard has blocked.
    fn blocked_runs(&self) -> u32 {
        let shown = site(&self.world, "/metrics");
        let line = "attrsync_runs_total{status=\"blocked\",sync=\"sync\"} ";
        let count = shown.lines().find_map(|found| found.strip_prefix(line)).expect("the metric is shown");
        count.parse().expect("a number")
    }

    fn has_metric(&self, line: &str) -> bool {
        site(&self.world, "/metrics").lines().any(|found| found == line)
    }

    fn wait_until_fine(&self) {
        until("no run is active", || self.has_metric("attrsync_run_active{sync=\"sync\"} 0"));
        until("all is fine", || site(&self.world, "/").contains("The sync is fine"));
    }

    /// The events that the webhook was told of, each with what is to be done.
    fn told(&self) -> Vec<(String, String)> {
        let bodies = self.hook.seen().into_iter().map(|request| request.body);
        let event = |body: String| {
            assert!(!body.contains("platinum"), "promise 11: {body}");
            let body: Value = serde_json::from_str(&body).expect("JSON");
            (
                body["event"].as_str().expect("an event").to_owned(),
                body["text"].as_str().expect("a text").to_owned(),
            )
        };
        bodies.map(event).collect()
    }
}

fn everybody_sees_the_limit_and_the_way_on(kind: LedgerKind) {
    let night = Night::begin(kind);
    let Night { world, .. } = &night;
    world.store().reset_log();
    world.execute("update customer_attribute_values set value = '' where customer_id <= 200");
    night.sync();
    until("the run is blocked", || night.blocked_runs() == 1);
    until("it is told", || night.told().len() == 1);
    let status = world.run(&["status", "--json"]).exits(1).json();
    let sync = &status["syncs"][0];
    assert_eq!((&sync["state"], &sync["needs"][0]["kind"]), (&"blocked".into(), &"blocked".into()), "{sync}");
    let first = sync["last_run"]["id"].as_i64().expect("an id");
    let limit = "200 of 300 values of loyalty_tier (1) would become empty (66.7%; max_emptied allows 5%)";
    let apply = format!("attrsync apply {first}");
    assert!(night.has_metric("attrsync_needs_attention{kind=\"blocked\",sync=\"sync\"} 1"));
    assert!(night.has_metric("attrsync_last_run_status{status=\"blocked\",sync=\"sync\"} 1"));
    let (event, text) = night.told().remove(0);
    assert!(event == "blocked" && text.contains(limit) && text.contains(&apply), "{event}: {text}");
    for page in ["/", "/syncs/sync", &format!("/syncs/sync/runs/{first}")] {
        let shown = site(world, page);
        assert!(shown.contains(limit) && shown.contains(&apply), "{page}: {shown}");
    }
    let line =
        world.run(&["status"]).exits(1).tells(&["hint:", &format!("a guard blocked run {first}"), &apply]);
    assert!(line.out.starts_with(&format!("sync  blocked  run {first} blocked ")), "{line:#?}");
    assert_eq!(line.out.matches("blocked").count(), 2, "it is said once: {line:#?}");
    let log = world.heard("stderr");
    assert!(log.contains(limit) && log.contains(&apply) && !log.contains("platinum"), "{log}");

    // The next sync finds the same, and no person is told again. Its plan is now the one to apply.
    night.sync();
    until("it is blocked again", || night.blocked_runs() == 2);
    let newest = world.run(&["status", "--json"]).exits(1).json()["syncs"][0]["last_run"]["id"].clone();
    world.run(&["apply", &first.to_string()]).exits(1).tells(&[
        &format!("the plan of run {first} is outdated: run {newest} has planned all rows since"),
        "`attrsync status` names the newest run",
    ]);
    assert_eq!((night.told().len(), world.store().tally().writes), (1, 0));

    world.run(&["apply", &newest.to_string()]).exits(0);
    world.assert_landed(200, "");
    night.wait_until_fine();
    world.run(&["status"]).exits(0);
    assert!(night.has_metric("attrsync_needs_attention{kind=\"blocked\",sync=\"sync\"} 0"));
    let events: Vec<String> = night.told().into_iter().map(|(event, _)| event).collect();
    assert_eq!(events, ["blocked", "recovered"]);
    world.change("second", "4");
    night.sync();
    until("syncs go on", || world.value(4, 1).as_deref() == Some("second"));
    night.serve.signal("TERM");
    night.serve.end().exits(0);
}

#[test]
fn promise_12_everybody_sees_the_limit_and_the_way_on_with_a_ledger_file() {
    everybody_sees_the_limit_and_the_way_on(LedgerKind::File);
}

#[test]
fn promise_12_everybody_sees_the_limit_and_the_way_on_with_a_ledger_in_postgres() {
    everybody_sees_the_limit_and_the_way_on(LedgerKind::Postgres);
}
