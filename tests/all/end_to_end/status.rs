//! `attrsync status`: one line for each sync, and an exit code for monitoring.

use std::fs;

use attrsync::sandbox::Fault;
use serde_json::Value;

use super::world::{LedgerKind, World};

#[test]
fn promise_12_status_says_what_needs_attention_and_what_to_do() {
    for kind in LedgerKind::BOTH {
        let world = World::with_customers(kind, 25);
        world.run(&["status"]).exits(1).tells(&["needs attention", "no sync was made yet", "hint:"]);
        world.sync().exits(0);
        let fine = world.run(&["status"]).exits(0);
        assert_eq!(fine.out.lines().count(), 1, "{fine:#?}");
        assert!(fine.out.starts_with("sync  fine  run 1 succeeded ") && fine.err.is_empty(), "{fine:#?}");
        assert_eq!(world.run(&["-q", "status"]).exits(0).out, "");

        world.change("!reject", "8");
        world.execute("insert into customer_attribute_values values (9, 77, 'x')");
        world.sync().exits(3);
        world.run(&["-q", "status"]).exits(1).tells(&[
            "needs attention",
            "1 value rejected, 1 row invalid",
            "`attrsync rejected`",
            "correct them in the source",
        ]);
        world.run(&["status"]).exits(1).tells(&["`attrsync runs 2` lists them with the reasons"]);
        world.run(&["-q", "plan"]).exits(0).tells(&["1 row cannot be sent", "1 value still rejected"]);
        let check = world.run(&["-q", "check"]).exits(0).tells(&["1 row cannot be sent"]);
        assert_eq!(check.out, "", "{check:#?}");
        assert_eq!(world.run(&["check", "--json"]).exits(0).json()["needs_attention"], true);
        world.run(&["rejected", "--accept", "8"]).exits(0);
        world.execute("delete from customer_attribute_values where attribute_id = 77");
        let status = world.run(&["status", "--json"]).exits(1).json();
        assert_eq!(kinds(&status["syncs"][0]), ["invalid"], "as the last plan found it");
        world.sync().exits(0);
        world.run(&["status"]).exits(0);

        world.script(&[Fault::Status(401)]);
        world.change("second", "1");
        world.sync().exits(1);
        let status = world.run(&["status", "--json"]).exits(1).json();
        let sync = &status["syncs"][0];
        assert_eq!((&status["needs_attention"], &sync["state"]), (&true.into(), &"failing".into()));
        assert_eq!((kinds(sync), &sync["last_run"]["status"]), (vec!["failing"], &"failed".into()));
        assert_eq!((&sync["name"], &sync["store"]["hash"]), (&"sync".into(), &"sandbox".into()));
        assert!(sync["seconds_since_success"].is_number() && sync["oldest_unconfirmed_at"].is_string());
        world.run(&["status"]).exits(1).tells(&["failing", "run 5 failed", "`attrsync runs 5` says why"]);
        world.run(&["sync", "--customer", "3"]).exits(0);
        world.run(&["status"]).exits(1).tells(&["failing", "run 6 succeeded", "run 5 failed"]);
        world.sync().exits(0);
        world.run(&["status"]).exits(0).tells(&["fine"]);
    }
}

fn kinds(sync: &Value) -> Vec<&str> {
    let needs = sync["needs"].as_array().expect("a list");
    needs.iter().filter_map(|need| need["kind"].as_str()).collect()
}

#[test]
fn promise_12_status_shows_every_sync_whatever_is_wrong_with_one() {
    let world = World::with_customers(LedgerKind::File, 3);
    world.sync().exits(0);
    fs::create_dir(world.path().join("conf")).expect("a folder");
    let config = world.config("").replace("sqlite:ledger.db", "sqlite:../ledger.db");
    let write =
        |name: &str, text: &str| fs::write(world.path().join("conf").join(name), text).expect("a file");
    write("main.toml", &config);
    // Monitoring has no secrets.
    write(
        "other.toml",
        &config
            .replace("\"sandbox\"", "\"other\"")
            .replace("access_token = \"", "access_token = \"${NO_TOKEN}"),
    );
    let said = world.run(&["status", "--config-dir", "conf"]).exits(1);
    let lines: Vec<&str> = said.out.lines().collect();
    assert!(lines[0].starts_with("main   fine ") && lines[1].contains("no sync was made yet"), "{said:#?}");
    assert!(said.err.contains("other (--config conf/other.toml): no sync was made yet"), "{said:#?}");

    write("lost.toml", &config.replace("sqlite:../ledger.db", "postgres://reader@127.0.0.1:1/none"));
    let lost = world.run(&["status", "--config", "conf/lost.toml", "--config", "conf/main.toml"]).exits(1);
    assert!(lost.out.starts_with("lost  unknown  "), "{lost:#?}");
    assert!(lost.out.lines().any(|line| line.starts_with("main  fine ")), "{lost:#?}");
    let hint = lost.err.lines().find(|line| line.contains("lost (--config conf/lost.toml): "));
    assert!(
        hint.is_some_and(|hint| !hint.contains("could not connect")),
        "what to do, and not what is wrong: {lost:#?}"
    );

    write("timed.toml", &format!("name = \"shop-2\"\n{config}\n[schedule]\nevery = \"3h\"\n"));
    let timed = world.run(&["status", "--config", "conf/timed.toml"]).exits(0);
    assert!(timed.out.starts_with("shop-2  fine ") && timed.out.contains("(in 2 h)"), "{timed:#?}");

    write("bad.toml", "[source]\nurl = 5\n");
    let said = world.run(&["status", "--config-dir", "conf", "--json"]).exits(64).json();
    let syncs = said["syncs"].as_array().expect("a list");
    assert_eq!(syncs.len(), 5);
    assert!(syncs[0]["problem"].as_str().is_some_and(|text| text.contains("source.url")), "{syncs:?}");
    world.run(&["status", "--config-dir", "none"]).exits(64).tells(&["folder none cannot be used"]);
    let two = world.run(&["runs", "--config", "conf/main.toml", "--config", "conf/other.toml"]).exits(64);
    assert!(two.err.contains("`attrsync status` take several"), "{two:#?}");
}
