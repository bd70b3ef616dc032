//! Signals, and two runs for the same store.

use std::io::Read as _;
use std::net::TcpListener;
use std::time::Duration;

use attrsync::sandbox::Fault;

use super::world::{LedgerKind, World, until};

#[test]
fn promise_7_a_polite_stop_records_the_requests_in_flight_and_balances() {
    for (kind, signal) in [
        (LedgerKind::File, "TERM"),
        (LedgerKind::File, "INT"),
        (LedgerKind::File, "HUP"),
        (LedgerKind::Postgres, "TERM"),
        (LedgerKind::Postgres, "INT"),
    ] {
        let world = World::with_customers(kind, 300);
        world.store().options.latency = Duration::from_millis(60);
        world.use_long_timeout();
        let running = world.start(&["sync", "--json"]);
        until("some requests were applied", || world.store().tally().applied >= 4);
        running.signal(signal);
        let said = running.end().exits(1).balances().tells(&["stopping"]);
        assert_eq!(said.json()["status"], "stopped");
        assert!(said.count("deferred") > 100 && said.count("unknown") == 0, "{said:#?}");
        assert_eq!(said.count("confirmed"), world.values().len() as i64);
        assert!(world.writes().iter().all(|write| write.status == Some(200)));
        world.store().options.latency = Duration::from_millis(2);
        let rest = world.sync().exits(0).balances();
        assert_eq!(rest.count("planned"), said.count("deferred"));
        world.assert_landed(300, "first");
    }
}

#[test]
fn promise_5_a_second_signal_ends_the_program_at_once() {
    let world = World::with_customers(LedgerKind::File, 100);
    world.script(&[Fault::Silent; 3]);
    world.use_long_timeout();
    let mut running = world.start(&["sync", "--json"]);
    until("requests are in flight", || world.writes().len() == 3);
    // Two signals at the same time count as one, so they are repeated until the program has ended.
    until("the program ends", || {
        let ended = running.has_ended();
        if !ended {
            running.signal("TERM");
        }
        ended
    });
    assert_eq!(world.writes().len(), 3);
    let report = running.end().exits(1).tells(&["ended at once"]).json();
    assert_eq!((&report["run_id"], &report["status"]), (&1.into(), &"interrupted".into()));
    world.configure("");
    world.sync().exits(0).balances();
    world.assert_landed(100, "first");
}

#[test]
fn promise_12_a_command_that_a_signal_stops_says_what_it_was_doing() {
    let mut world = World::with_customers(LedgerKind::File, 1);
    world.sync().exits(0);
    // A database that takes connections and says nothing.
    let silent = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = silent.local_addr().expect("its address");
    world.source_url = format!("postgres://reader@{address}/shop");
    world.configure("");
    for (arguments, signal, doing) in [
        (&["plan", "--json"][..], "INT", "SIGINT while reading the source"),
        (&["check", "--json"], "TERM", "SIGTERM while checking the source"),
        (&["explain", "1", "--json"], "HUP", "SIGHUP while looking up the desired values"),
    ] {
        let running = world.start(arguments);
        let _session = silent.accept().expect("it connects");
        running.signal(signal);
        let said = running.end().exits(1).tells(&[&format!("error: stopped by {doing}")]);
        let failure = said.json();
        assert_eq!((&failure["status"], &failure["exit_code"]), (&"stopped".into(), &1.into()), "{said:#?}");
        assert!(failure["message"].as_str().is_some_and(|message| message.contains(doing)), "{failure}");
    }
}

#[test]
fn a_command_without_a_reader_of_its_output_is_stopped_by_a_signal_too() {
    let world = World::with_customers(LedgerKind::File, 1);
    world.sync().exits(0);
    let endless =
        "with recursive numbers (n) as (select 1 union all select n + 1 from numbers) select n from numbers";
    let mut running = world.start(&["sql", "--csv", endless]);
    let mut stdout = running.take_stdout();
    stdout.read_exact(&mut [0]).expect("the query runs");
    // The rest stays in the pipe, which is full soon.
    running.signal("TERM");
    running.end().exits(1).tells(&["stopped by SIGTERM while running the query"]);
    drop(stdout);
}

#[test]
fn promise_2_a_second_run_names_the_run_that_has_the_store() {
    for kind in LedgerKind::BOTH {
        let world = World::with_customers(kind, 600);
        world.use_long_timeout();
        world.store().options.latency = Duration::from_millis(400);
        let first = world.start(&["sync", "--json"]);
        until("it sends", || world.store().tally().applied >= 1);
        let second =
            world.run(&["sync"]).exits(5).tells(&["another run holds this store", "run 1", "--wait"]);
        assert!(second.out.is_empty());
        // Reading commands run meanwhile.
        world.run(&["runs"]).exits(0).tells(&["running"]);
        world.run(&["plan"]).exits(0);

        world.change("second", "1, 2, 3");
        let waiting = world.start_heard(&["sync", "--json", "--wait"], "stderr");
        until("the second waits", || world.heard("stderr").contains("waiting for run 1"));
        world.store().options.latency = Duration::from_millis(10);
        let first = first.end().exits(0).balances();
        let waited = waiting.end().exits(0).balances();
        assert_eq!((first.count("confirmed"), waited.count("confirmed")), (600, 3), "{waited:#?}");
        assert_eq!(world.store().tally().max_in_flight, 3);
        assert_eq!(world.value(1, 1).as_deref(), Some("second"));
        assert_eq!(world.number("select count(*) as n from runs"), 2);
    }
}

#[test]
fn a_report_that_cannot_be_printed_does_not_change_how_the_run_ended() {
    let world = World::with_customers(LedgerKind::File, 3);
    let full = || std::fs::OpenOptions::new().write(true).open("/dev/full").expect("/dev/full");
    for arguments in [&["sync"][..], &["sync", "--json"]] {
        let mut program = world.program(arguments);
        let output = program.stdout(full()).output().expect("the program runs");
        let stderr = String::from_utf8(output.stderr).expect("UTF-8");
        assert_eq!(output.status.code(), Some(0), "{stderr}");
        assert!(
            stderr.contains("report could not be printed") && stderr.contains("itself succeeded"),
            "{stderr}"
        );
    }
    world.assert_landed(3, "first");
}

#[test]
fn a_report_without_a_reader_is_no_error() {
    let world = World::with_customers(LedgerKind::File, 3);
    let mut child = world.program(&["sync", "--quiet"]).spawn().expect("the program starts");
    drop(child.stdout.take());
    let output = child.wait_with_output().expect("it ends");
    let stderr = String::from_utf8(output.stderr).expect("UTF-8");
    assert_eq!(output.status.code(), Some(0), "{stderr}");
    assert!(!stderr.contains("printed"), "{stderr}");
}
