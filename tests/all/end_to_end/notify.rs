//! `[notify]`: a change of state is told once, and every good sync pings.

use attrsync::sandbox::Fault;
use serde_json::Value;

use super::world::{LedgerKind, World};
use crate::support::http::{Act, HttpServer, response};

/// Parts of the addresses that no output may show.
const HOOK: &str = "/hook-4f2a9c";
const PING: &str = "/ping-77e01b";

fn configure(world: &World, webhook: &str, ping: &str) {
    let notify = format!("[notify]\nwebhook = \"{webhook}{HOOK}\"\nping = \"{ping}{PING}\"\n");
    world.write_config(&(world.config("") + &notify));
}

#[test]
fn promise_12_a_change_of_state_is_told_once() {
    for kind in LedgerKind::BOTH {
        let world = World::with_customers(kind, 25);
        let server = HttpServer::start(vec![Act::Respond(response(200, &[], "ok")); 20]);
        configure(&world, &server.url(), &server.url());
        let seen = std::cell::Cell::new(0);
        // What a sync tells: the events, and `ping`.
        let sync = |code| {
            world.sync().exits(code);
            let all = server.seen();
            let told: Vec<String> = all[seen.replace(all.len())..]
                .iter()
                .map(|request| match request.path.as_str() {
                    PING => "ping".to_owned(),
                    HOOK => {
                        let body: Value = serde_json::from_str(&request.body).expect("JSON");
                        assert!(
                            !request.body.contains("!reject") && !request.body.contains("second"),
                            "{body}"
                        );
                        body["event"].as_str().expect("an event").to_owned()
                    }
                    other => panic!("{other}"),
                })
                .collect();
            told
        };
        assert_eq!(sync(0), ["ping"]);
        world.change("!reject", "8");
        assert_eq!(sync(3), ["needs_attention", "ping"]);
        assert_eq!(sync(3), ["ping"], "nothing changed");
        world.change("second", "1");
        world.script(&[Fault::Status(401)]);
        assert_eq!(sync(1), ["failing"]);
        world.script(&[Fault::Status(401)]);
        assert_eq!(sync(1), [""; 0], "still failing");
        world.execute("alter table customer_attribute_values rename to hidden");
        assert_eq!(sync(1), [""; 0], "still failing, for another reason");
        world.execute("alter table hidden rename to customer_attribute_values");
        world.change("second", "8");
        assert_eq!(sync(0), ["recovered", "ping"]);
        // A sync of one customer does not show that the nightly one goes on.
        world.run(&["sync", "--customer", "3"]).exits(0);
        assert_eq!(server.seen().len(), seen.get());
    }
}

#[test]
fn promise_11_a_webhook_that_fails_changes_nothing_and_shows_no_secret() {
    let world = World::with_customers(LedgerKind::File, 3);
    let server = HttpServer::start(vec![Act::Respond(response(404, &[], "")); 20]);
    configure(&world, &server.url(), &server.url());
    world.change("!reject", "2");
    let said = world.run(&["-q", "sync"]).exits(3);
    assert!(said.out.contains("run 1 partial"), "{said:#?}");
    for lost in [
        "the notification \"needs_attention\" was not delivered",
        "the ping of a good sync was not delivered",
    ] {
        assert!(said.err.contains(lost), "{said:#?}");
    }
    let loud = world.run(&["-vvv", "sync"]).exits(3);
    for secret in [HOOK, PING] {
        for said in [&said, &loud] {
            assert!(!said.err.contains(secret) && !said.out.contains(secret), "{said:#?}");
        }
    }
    world.write_config(
        &(world.config("") + "[notify]\nwebhook = \"hooks.example/secret-1\"\nformat = \"teams\"\n"),
    );
    let said = world.run(&["sync"]).exits(64).tells(&["notify.webhook", "notify.format", "\"slack\""]);
    assert!(!said.err.contains("secret-1"), "{said:#?}");
}
