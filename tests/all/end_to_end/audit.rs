//! The commands that only read: they change nothing, and they show what happened.

use std::fs;
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use super::world::{LedgerKind, World};

#[test]
fn promise_9_a_plan_writes_nothing_anywhere() {
    let world = World::with_customers(LedgerKind::File, 30);
    let plan = world.run(&["plan", "--json", "--detailed-exitcode"]).exits(2).json();
    assert_eq!((&plan["creates"], &plan["updates"], &plan["requests"]), (&30.into(), &0.into(), &3.into()));
    assert_eq!(plan["counts"]["planned"], 30);
    let files: Vec<_> =
        fs::read_dir(world.path()).expect("the folder").map(|e| e.expect("an entry").file_name()).collect();
    assert_eq!(files, ["sync.toml"]);

    world.sync().exits(0);
    let ledger = || fs::read(world.path().join("ledger.db")).expect("the ledger");
    let before = ledger();
    world.store().reset_log();
    world.run(&["plan", "--detailed-exitcode"]).exits(0).tells(&["0 to create", "30 unchanged"]);
    world.change("second", "1, 2");
    world.execute("insert into customer_attribute_values values (31, 2, 'new')");
    let said = world.run(&["plan", "--detailed-exitcode"]).exits(2);
    let said = said.tells(&[
        "+ customer 31",
        "lifetime_value",
        "~ customer 1 ",
        "\"first\" → \"second\"",
        "1 to create, 2 to update",
    ]);
    assert!(said.out.lines().any(|line| line.starts_with("Plan: ")), "{said:#?}");
    world.run(&["plan"]).exits(0);
    let plan = world.run(&["plan", "--json", "--customer", "1"]).exits(0).json();
    assert_eq!(plan["updates"], 1);
    assert_eq!(plan["sample"][0]["previous_value"], "first");
    assert_eq!(ledger(), before);
    assert!(world.writes().is_empty());
}

#[test]
fn promise_9_a_plan_makes_no_ledger_in_postgres() {
    let world = World::with_customers(LedgerKind::Postgres, 30);
    world.run(&["plan", "--detailed-exitcode"]).exits(2);
    world.execute_at(
        &world.ledger_url,
        "do $$ begin if to_regnamespace('attrsync') is not null then raise 'a schema was made'; end if; end $$",
    );
    world.sync().exits(0);
    world.run(&["plan", "--detailed-exitcode"]).exits(0);
    assert_eq!(world.number("select count(*) as n from runs"), 1);
}

#[test]
fn promise_12_the_history_is_shown() {
    for kind in LedgerKind::BOTH {
        let world = World::with_customers(kind, 25);
        world.sync().exits(0);
        world.change("second", "7");
        world.change("!reject", "8");
        world.sync().exits(3);

        let runs = world.run(&["runs", "--json"]).exits(0).json();
        assert_eq!(runs["runs"].as_array().map(Vec::len), Some(2));
        assert_eq!((&runs["runs"][0]["id"], &runs["runs"][0]["status"]), (&2.into(), &"partial".into()));
        assert!(runs["runs"][0]["duration_ms"].is_number());
        assert_eq!(runs["runs"][0]["needs_attention"], true);
        world.run(&["runs"]).exits(0).tells(&["succeeded", "partial"]);
        let last = world.run(&["runs", "last", "--json"]).exits(0).json();
        assert_eq!(last["run"]["id"], 2);

        let run = world.run(&["runs", "2", "--json"]).exits(0).json();
        assert_eq!((&run["run"]["confirmed"], &run["run"]["rejected"]), (&1.into(), &1.into()));
        assert_eq!(run["failures"][0]["customer_id"], 8);
        let requests = run["requests"].as_array().expect("requests");
        assert!(
            requests.iter().any(|request| request["http_status"] == 422 && request["outcome"] == "refused"),
            "{requests:?}"
        );
        assert!(requests.iter().any(|request| request["outcome"] == "accepted"), "{requests:?}");
        assert!(requests.iter().all(|request| request["store_request_id"].is_string()), "{requests:?}");
        world.run(&["runs", "2"]).exits(0).tells(&["422", "refused", "not allowed here"]);
        world.run(&["runs", "99"]).exits(1).tells(&["no run 99", "hint:"]);

        let explained = world.run(&["explain", "7", "1", "--json"]).exits(0).json();
        assert_eq!(explained["desired"][0]["value"], "second");
        assert_eq!(explained["ledger"]["entries"][0]["belief"], "confirmed");
        assert_eq!(explained["ledger"]["history"].as_array().map(Vec::len), Some(2));
        world.run(&["explain", "7"]).exits(0).tells(&[
            "desired",
            "believed",
            "\"first\" → \"second\"",
            "(200, accepted)",
        ]);
        world.run(&["explain", "8"]).exits(0).tells(&["rejected", "not allowed here"]);
        let quiet = world.run(&["-q", "explain", "999"]).exits(0);
        assert!(quiet.out.is_empty() && quiet.err.is_empty(), "{quiet:#?}");
        world.run(&["-q", "runs", "99"]).exits(1).tells(&["no run 99", "hint:"]);
        world.run(&["explain", "999"]).exits(0).tells(&["neither the source nor the ledger", "customer 999"]);
        world.run(&["explain", "7", "99"]).exits(0).tells(&["a value of attribute 99 of customer 7"]);
        let names = world.ask("select name from attributes where attribute_id = 1");
        let name = names[0]["name"].as_str().expect("a name");
        let named = world.run(&["explain", "7", name, "--json"]).exits(0).json();
        assert_eq!(named, world.run(&["explain", "7", "1", "--json"]).exits(0).json());
        world.run(&["explain", "7", "teir"]).exits(1).tells(&["no attribute named teir", name]);
        world.run(&["sql", "-- how many\nselect count(*) from runs"]).exits(0);

        let check = world.run(&["check", "--json"]).exits(0).json();
        assert_eq!(check["ok"], true);
        let checks: Vec<_> =
            check["checks"].as_array().expect("checks").iter().map(|c| c["name"].clone()).collect();
        assert_eq!(
            checks,
            ["configuration", "source", "ledger", "store", "token", "attributes", "rows", "size"]
        );
        world.run(&["check"]).exits(0).tells(&["1 = loyalty_tier (string)", "customer_id bigint"]);
    }
}

#[test]
fn promise_12_a_row_that_cannot_be_sent_is_explained() {
    for kind in LedgerKind::BOTH {
        let world = World::with_customers(kind, 5);
        world.execute(
            "insert into customer_attribute_values values (3, 99, 'x'), (3, 2, '1'), (3, 2, '2'), (3, null, 'y')",
        );
        world.sync().exits(3);
        // A requeue is a run without a plan.
        world.run(&["rejected", "--retry"]).exits(1);
        let said = world.run(&["explain", "3"]).exits(0);
        let lines = said.out.lines().filter(|line| line.starts_with("  invalid   run 1, "));
        let lines: Vec<_> =
            lines.filter_map(|line| line.split_once("did not send ")).map(|(_, rest)| rest).collect();
        assert_eq!(lines.len(), 4, "{said:#?}");
        assert!(lines[0].starts_with("\"y\": ") && lines[3].starts_with("\"x\": "), "{said:#?}");
        let asked = world.run(&["explain", "3", "99", "--json"]).exits(0).json();
        let invalid = asked["ledger"]["invalid"].as_array().expect("rows");
        assert_eq!(invalid.len(), 1, "{asked}");
        assert_eq!((&invalid[0]["attribute_id"], &invalid[0]["run_id"]), (&99.into(), &1.into()));
        assert!(invalid[0]["reason"].as_str().is_some_and(|reason| !reason.is_empty()), "{asked}");
        assert!(!world.run(&["explain", "4"]).exits(0).out.contains("invalid"), "another customer's");

        // A row that a later run could send is not shown any more.
        world.execute(
            "delete from customer_attribute_values where customer_id = 3 and attribute_id is distinct from 1",
        );
        world.sync().exits(0);
        assert!(!world.run(&["explain", "3"]).exits(0).out.contains("invalid"));
    }
}

#[test]
fn promise_12_the_runs_of_several_stores_are_distinguished() {
    let world = World::with_customers(LedgerKind::File, 5);
    world.sync().exits(0);
    let alone = world.run(&["runs"]).exits(0);
    assert!(!alone.out.contains("store"), "{alone:#?}");
    let (other, _model) = world.second_store();
    let (first, second) = (world.address.to_string(), other.addr.to_string());
    world.write_config(&world.config("").replace(&first, &second));
    world.sync().exits(0);
    let said = world.run(&["runs"]).exits(0);
    let lines: Vec<_> = said.out.lines().collect();
    assert!(lines[0].starts_with("run  store        kind "), "{said:#?}");
    assert!(lines[2].contains("sandbox (2)") && lines[3].contains("sandbox (1)"), "{said:#?}");
    let said = world.run(&["runs", "--wide"]).exits(0);
    let lines: Vec<_> = said.out.lines().collect();
    assert!(lines[0].starts_with("run  kind  store    at "), "{said:#?}");
    assert!(lines[2].contains(&second) && lines[3].contains(&first), "{said:#?}");
}

#[test]
fn promise_3_sql_only_reads() {
    for kind in LedgerKind::BOTH {
        let world = World::with_customers(kind, 5);
        world.sync().exits(0);
        let state = "select * from entries order by customer_id";
        let before = world.ask(state);
        for write in [
            "delete from entries",
            "update entries set value = 'x'",
            "insert into stores (api_url, hash) values ('a', 'b')",
            "drop table entries",
            "create table mine (x integer)",
            "select 1; delete from entries",
            "commit; delete from entries",
            "vacuum",
        ] {
            let said = world.run(&["sql", write]);
            assert_eq!(said.code, Some(1), "{write}: {said:#?}");
            assert!(said.out.is_empty() && said.err.starts_with("error: "), "{write}: {said:#?}");
        }
        if kind == LedgerKind::Postgres {
            world.run(&["sql", "with gone as (delete from entries returning *) select * from gone"]).exits(1);
        }
        assert_eq!(world.ask(state), before);
        assert_eq!(world.ask(state).len(), 5);
        let table =
            world.run(&["sql", "select customer_id, value from entries where customer_id = 3"]).exits(0);
        assert!(table.out.contains("customer_id") && table.out.contains("first"), "{table:#?}");
        let csv = world
            .run(&["sql", "--csv", "select customer_id, value from entries where customer_id = 3"])
            .exits(0);
        assert_eq!(csv.out.replace('\r', ""), "customer_id,value\n3,first\n");
        world.run(&["sql", "select nonsense"]).exits(1).tells(&["nonsense"]);
        let two = "select 1 as n, 2 as n";
        let refused = world.run(&["sql", "--json", two]).exits(1).tells(&["hint: rename one of them"]);
        assert_eq!(
            refused.json()["message"],
            "two columns of the result are named n, and a JSON object can have one"
        );
        assert_eq!(world.run(&["sql", "--csv", two]).exits(0).out, "n,n\n1,2\n");
        let empty = "select '' as a, null as b";
        assert_eq!(world.run(&["sql", "--csv", empty]).exits(0).out, "a,b\n\"\",\n");
    }
}

#[test]
fn promise_7_entries_are_a_fold_of_the_changes() {
    for kind in LedgerKind::BOTH {
        let world = World::with_customers(kind, 40);
        // The values in doubt wait longer than the world's usual patience.
        world.write_config(&world.config("").replace("give_up_after = \"1s\"", "give_up_after = \"1m\""));
        world.script(&[attrsync::sandbox::Fault::Lost, attrsync::sandbox::Fault::Missing]);
        world.sync().exits(0);
        world.execute("update customer_attribute_values set value = 'second' where customer_id % 3 = 0");
        world.change("!reject", "5");
        world.change("!poison", "6");
        world.sync().exits(3);
        // The entry of a key follows from its last change that was sent.
        let wrong = world.ask(
            "select e.customer_id, e.belief, e.value, o.outcome, o.value as sent
             from entries e join outcomes o on o.customer_id = e.customer_id and o.attribute_id = e.attribute_id
             where o.run_id = (select max(l.run_id) from outcomes l
                               where l.customer_id = e.customer_id and l.outcome <> 'deferred')
               and (e.value <> o.value or e.belief <> case o.outcome when 'unknown' then 'unconfirmed' else o.outcome end)",
        );
        assert_eq!(wrong, Vec::<serde_json::Value>::new());
        let runs = world.ask(
            "select r.id, r.confirmed, r.rejected, r.unknown, r.deferred, count(*) as planned,
               sum(case when o.outcome = 'confirmed' then 1 else 0 end) as c,
               sum(case when o.outcome = 'rejected' then 1 else 0 end) as j,
               sum(case when o.outcome = 'unknown' then 1 else 0 end) as u
             from runs r join outcomes o on o.run_id = r.id group by r.id, r.confirmed, r.rejected, r.unknown, r.deferred",
        );
        for run in &runs {
            assert_eq!(
                (&run["confirmed"], &run["rejected"], &run["unknown"]),
                (&run["c"], &run["j"], &run["u"]),
                "{run}"
            );
        }
    }
}

#[test]
fn beliefs_that_were_edited_are_explained() {
    for kind in LedgerKind::BOTH {
        let world = World::with_customers(kind, 5);
        world.change("no !reject", "3");
        world.sync().exits(3);
        world.run(&["rejected", "--retry", "3:1"]).exits(0);
        world.run(&["sync", "--full", "--customer", "3"]).exits(3);
        let history = world.run(&["explain", "3", "--json"]).exits(0).json();
        let edits = history["ledger"]["belief_edits"].as_array().expect("edits");
        let edits: Vec<_> =
            edits.iter().map(|edit| (&edit["run_id"], &edit["edit"], &edit["count"])).collect();
        assert_eq!(
            edits,
            [(&3.into(), &"invalidate".into(), &1.into()), (&2.into(), &"requeue".into(), &1.into())]
        );
        world.run(&["explain", "3"]).exits(0).tells(&["run 3     invalidate", "run 2     requeue"]);
        let run = world.run(&["runs", "2", "--json"]).exits(0).json();
        assert_eq!(
            (&run["run"]["kind"], run["belief_edits"].as_array().map(Vec::len)),
            (&"requeue".into(), Some(1))
        );
        world.run(&["runs", "2"]).exits(0).tells(&["belief edits", "requeue"]);
        let other = world.run(&["explain", "4", "--json"]).exits(0).json();
        assert_eq!(other["ledger"]["belief_edits"].as_array().map(Vec::len), Some(0), "{other}");
    }
}

/// Counts the connections that are made through it to a server on this machine.
struct CountingProxy {
    port: u16,
    connections: Arc<AtomicUsize>,
}

impl CountingProxy {
    fn start(server: u16) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let port = listener.local_addr().expect("a bound port").port();
        let connections = Arc::new(AtomicUsize::new(0));
        let counter = Arc::clone(&connections);
        thread::spawn(move || {
            for client in listener.incoming() {
                counter.fetch_add(1, Ordering::SeqCst);
                let client = client.expect("a connection");
                let server = TcpStream::connect(("127.0.0.1", server)).expect("the server listens");
                let returning =
                    (server.try_clone().expect("a stream"), client.try_clone().expect("a stream"));
                for (from, to) in [(client, server), returning] {
                    thread::spawn(move || {
                        let _ = std::io::copy(&mut &from, &mut &to);
                        let _ = to.shutdown(Shutdown::Write);
                    });
                }
            }
        });
        Self { port, connections }
    }

    fn count(&self, command: impl FnOnce()) -> usize {
        self.connections.store(0, Ordering::SeqCst);
        command();
        self.connections.load(Ordering::SeqCst)
    }
}

#[test]
fn a_command_reads_a_postgres_ledger_through_one_session() {
    let world = World::with_customers(LedgerKind::Postgres, 30);
    world.change("no !reject", "3");
    world.sync().exits(3);
    let mut url = url::Url::parse(&world.ledger_url).expect("an address");
    let proxy = CountingProxy::start(url.port().expect("a port"));
    url.set_host(Some("127.0.0.1")).expect("an address with a host");
    url.set_port(Some(proxy.port)).expect("an address with a port");
    world.write_config(&world.config("").replace(&world.ledger_url, url.as_str()));

    // The second connection looks for a pooler and ends at once. A plan also streams the entries, ad-hoc SQL has a
    // session of its own, and `check` asks for the rights of a sync over a session that may write.
    for (command, connections) in [
        (&["plan"][..], 3),
        (&["check"], 4),
        (&["check", "--ledger"], 2),
        (&["runs"], 2),
        (&["runs", "1"], 2),
        (&["rejected"], 2),
        (&["explain", "3", "loyalty_tier"], 2),
        (&["sql", "select 1"], 3),
    ] {
        assert_eq!(proxy.count(|| drop(world.run(command).exits(0))), connections, "{command:?}");
    }
}
