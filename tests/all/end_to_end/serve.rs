//! Promise 13 with real processes: several schedulers over one ledger, killed, stopped and reloaded.

#![allow(clippy::print_stdout, reason = "a figure is printed")]

use std::fs;
use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::path::Path;

use chrono::{DateTime, TimeDelta, Utc};
use tempfile::TempDir;

use super::world::{LedgerKind, Running, World, until};
use crate::support::postgres::Postgres;

/// Several processes are on this machine.
pub(super) const ANY_PORT: &str = "127.0.0.1:0";

/// Several stores with one ledger in Postgres, and a folder with their configurations.
struct Stores {
    worlds: Vec<World>,
    folder: TempDir,
}

impl Stores {
    /// Stores with 40 customers each, which are synced every second.
    fn new(count: usize) -> Self {
        let ledger = Postgres::start().database();
        let worlds = (0..count).map(|_| World::among(Postgres::start().database(), ledger.clone()));
        let stores = Self { worlds: worlds.collect(), folder: tempfile::tempdir().expect("a folder") };
        for (number, world) in stores.worlds.iter().enumerate() {
            world.use_long_timeout();
            world.store().options.latency = std::time::Duration::from_millis(50);
            world.execute(
                "insert into customer_attribute_values select c, 1, '0' from generate_series(1, 40) c",
            );
            let config = format!("{}[schedule]\nevery = \"1s\"\n", world.config(""));
            fs::write(stores.folder.path().join(format!("store{number}.toml")), config).expect("a file");
        }
        stores
    }

    fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// Starts a process and waits until it serves. Its stderr goes to a file of this name.
    fn serve(&self, file: &str) -> Running {
        let folder = self.folder().to_str().expect("UTF-8");
        let arguments = ["serve", "--config-dir", folder, "--address", ANY_PORT];
        let running = self.worlds[0].start_heard(&arguments, file);
        until("it is ready", || self.worlds[0].heard(file).contains("ready"));
        running
    }

    /// Makes every value of every store another one.
    fn change(&self, value: u32) {
        for world in &self.worlds {
            world.execute(&format!("update customer_attribute_values set value = '{value}'"));
        }
    }

    /// Waits until every store has the value.
    fn wait_for(&self, value: u32) {
        let value = value.to_string();
        until("every store has the newest values", || {
            self.worlds
                .iter()
                .all(|world| world.values().values().filter(|found| **found == value).count() == 40)
        });
    }

    /// How long it took, after these kills, until another process had opened a run in place of each interrupted one. The
    /// shortest comes first.
    fn takeovers(&self, kills: &[DateTime<Utc>]) -> Vec<TimeDelta> {
        self.worlds[0].write_config(&self.worlds[0].config(""));
        let next_runs = self.worlds[0].ask(
            "select (select min(n.started_at) from runs n where n.store_id = r.store_id and n.id > r.id) as next
             from runs r where r.status = 'interrupted'",
        );
        let next_runs = next_runs.iter().filter_map(|row| row["next"].as_str());
        let times = next_runs.map(|next| DateTime::parse_from_rfc3339(next).expect("a time").to_utc());
        let mut takeovers: Vec<TimeDelta> = times
            .map(|next| {
                let kill = kills.iter().filter(|kill| **kill <= next).max();
                next - *kill.expect("a kill before the run")
            })
            .collect();
        takeovers.sort();
        takeovers
    }

    /// How many scheduled times have this many runs that were not interrupted.
    fn number(&self, sql: &str) -> i64 {
        self.worlds[0].write_config(&self.worlds[0].config(""));
        self.worlds[0].number(sql)
    }
}

/// A scheduled time that more than one run has ended, or that a run was interrupted at and none has repeated.
const TWICE: &str = "select count(*) as n from (
    select 1 from runs where scheduled_for is not null and status <> 'interrupted'
    group by store_id, scheduled_for having count(*) > 1) twice";
const NOT_REPEATED: &str = "select count(*) as n from runs r
    where status = 'interrupted' and not exists (
        select 1 from runs o where o.store_id = r.store_id and o.scheduled_for = r.scheduled_for and o.status <> 'interrupted')";

const INTERRUPTED: &str = "select count(*) as n from runs where status = 'interrupted'";

/// A number that a longer run of this test may set.
fn setting(name: &str, default: usize) -> usize {
    std::env::var(name).ok().and_then(|number| number.parse().ok()).unwrap_or(default)
}

/// `ATTRSYNC_SERVE_STORES` and `ATTRSYNC_SERVE_KILLS` make it longer.
#[test]
fn promise_13_schedulers_that_share_a_ledger_miss_no_time_and_run_none_twice() {
    let stores = Stores::new(setting("ATTRSYNC_SERVE_STORES", 3));
    let kills = setting("ATTRSYNC_SERVE_KILLS", 3);
    let files = ["first", "second"];
    let mut processes = files.map(|file| stores.serve(file));
    let (mut value, mut killed_at) = (0, Vec::new());
    // The process that is killed may run nothing just then, so there may be more kills than were asked for.
    for (round, signal) in ["STOP"].into_iter().chain(vec!["KILL"; kills + 10]).enumerate() {
        if round > kills && stores.number(INTERRUPTED) > 0 {
            break;
        }
        value += 1;
        stores.change(value);
        until("requests are in flight", || {
            stores.worlds.iter().any(|world| world.writes().iter().any(|write| write.status.is_none()))
        });
        let victim = round % 2;
        killed_at.extend((signal == "KILL").then(Utc::now));
        processes[victim].signal(signal);
        value += 1;
        if signal == "KILL" {
            stores.change(value);
            stores.wait_for(value);
            processes[victim] = stores.serve(files[victim]);
        } else {
            processes[victim].signal("CONT");
            stores.change(value);
            stores.wait_for(value);
        }
    }
    for process in processes {
        process.signal("TERM");
        process.end().exits(0);
    }
    assert_eq!(stores.number(TWICE), 0);
    assert_eq!(stores.number(NOT_REPEATED), 0);
    assert!(stores.worlds.iter().all(|world| world.store().tally().max_in_flight <= 3));
    let takeovers = stores.takeovers(&killed_at);
    let milliseconds: Vec<i64> = takeovers.iter().map(TimeDelta::num_milliseconds).collect();
    println!("milliseconds from a kill to the run in place of an interrupted one: {milliseconds:?}");
    assert!(!takeovers.is_empty(), "a kill hit no run");
    // Five seconds on a machine that does nothing else.
    assert!(takeovers.iter().all(|takeover| *takeover < TimeDelta::seconds(15)), "{milliseconds:?}");
}

#[test]
fn a_reload_takes_new_files_and_keeps_the_old_ones_if_one_is_wrong() {
    let world = World::with_customers(LedgerKind::File, 10);
    let file = world.path().join("syncs/main.toml");
    fs::create_dir(world.path().join("syncs")).expect("a folder");
    let config = |rest: &str| {
        let config = world.config("").replace("sqlite:ledger.db", "sqlite:../ledger.db");
        format!("{config}{rest}")
    };
    fs::write(&file, config("")).expect("a file");
    let arguments = ["serve", "--config-dir", "syncs", "--address", ANY_PORT];
    let broken = world.path().join("syncs/broken.toml");
    fs::rename(&file, world.path().join("main.toml")).expect("ours");
    fs::write(&broken, "nonsense = 1").expect("a file");
    world.run(&arguments).exits(64).tells(&["broken.toml cannot be used"]);
    fs::rename(world.path().join("main.toml"), &file).expect("ours");
    world.run(&["serve", "--check", "--config-dir", "syncs"]).exits(64).tells(&["broken.toml"]);

    let serve = world.start_heard(&arguments, "stderr");
    until("it is ready", || world.heard("stderr").contains("ready"));
    assert!(world.heard("stderr").contains("its sync does not run"), "{}", world.heard("stderr"));
    let usable = |name: &str, usable: u8| {
        let line = format!("attrsync_config_usable{{sync=\"{name}\"}} {usable}");
        site(&world, "/metrics").lines().any(|found| found == line)
    };
    assert!(usable("main", 1) && usable("broken", 0), "{}", site(&world, "/metrics"));
    let overview = site(&world, "/");
    assert!(overview.contains("broken.toml") && overview.contains("1 configuration cannot be used"));
    fs::remove_file(&broken).expect("ours");
    fs::write(&file, config("[schedule]\nevry = \"1s\"\n")).expect("a file");
    serve.signal("HUP");
    until("the file is refused", || world.heard("stderr").contains("schedule.evry"));
    until("it is shown", || usable("main", 0) && !site(&world, "/metrics").contains("broken"));
    let overview = site(&world, "/");
    assert!(overview.contains("schedule.evry") && overview.contains("stays in force"), "{overview}");
    let serve_section = "[serve]\nmax_concurrent_runs = 2\n";
    fs::write(&file, config(&format!("[schedule]\nevery = \"1s\"\n{serve_section}"))).expect("a file");
    assert!(!world.heard("stderr").contains("[serve] has changed"));
    serve.signal("HUP");
    until("[serve] is told to need a restart", || world.heard("stderr").contains("[serve] has changed"));
    until("the sync runs", || world.values().len() == 10);
    until("the correction is shown", || usable("main", 1));
    serve.signal("TERM");
    serve.end().exits(0);
}

/// Reads a page of the process whose stderr is in the file `stderr`.
pub(super) fn site(world: &World, path: &str) -> String {
    let heard = world.heard("stderr");
    let address = heard.split("http://").nth(1).and_then(|rest| rest.split('/').next()).expect("an address");
    let mut stream = TcpStream::connect(address).expect("it listens");
    write!(stream, "GET {path} HTTP/1.1\r\nhost: {address}\r\nconnection: close\r\n\r\n").expect("it reads");
    let mut response = String::new();
    stream.read_to_string(&mut response).expect("it responds");
    response
}

#[test]
fn a_stop_ends_runs_politely() {
    let world = World::with_customers(LedgerKind::File, 300);
    world.store().options.latency = std::time::Duration::from_millis(60);
    world.use_long_timeout();
    let config = fs::read_to_string(world.path().join("sync.toml")).expect("the configuration");
    world.write_config(&format!("{config}[schedule]\nevery = \"1h\"\n"));
    let serve = world.start(&["serve", "--address", ANY_PORT]);
    until("some requests were applied", || world.store().tally().applied >= 4);
    serve.signal("TERM");
    serve.end().exits(0);
    let runs = world.ask("select status, trigger, unknown, scheduled_for from runs");
    assert_eq!(
        (&runs[0]["status"], &runs[0]["trigger"]),
        (&"stopped".into(), &"schedule".into()),
        "{runs:?}"
    );
    assert_eq!(runs[0]["unknown"], 0);
    assert!(runs[0]["scheduled_for"].is_string());
}

#[test]
fn what_changed_while_nothing_listened_is_sent_when_serve_starts_and_reloads() {
    let world = World::with_customers(LedgerKind::File, 10);
    world.write_config(&format!("{}[schedule]\nlisten = \"changes\"\n", world.config("")));
    let serve = world.start(&["serve", "--address", ANY_PORT]);
    until("the values from before the start are sent", || world.values().len() == 10);
    world.change("second", "4");
    world.execute("notify changes, '4'");
    until("the notified change is sent", || world.value(4, 1).as_deref() == Some("second"));
    world.change("third", "5");
    serve.signal("HUP");
    until("the change without a notification is sent", || world.value(5, 1).as_deref() == Some("third"));
    serve.signal("TERM");
    serve.end().exits(0);
}

#[test]
fn promise_12_serve_says_what_a_run_waits_for() {
    let mut world = World::with_customers(LedgerKind::File, 10);
    world.stop_store();
    let patient = world.config("").replace("10ms", "20s").replace("50ms", "20s").replace("\"1s\"", "\"60s\"");
    world.write_config(&format!("{patient}[schedule]\nevery = \"1h\"\n"));
    let serve = world.start_heard(&["-v", "serve", "--address", ANY_PORT], "stderr");
    until("the wait is said", || world.heard("stderr").contains("waiting at most"));
    serve.signal("TERM");
    serve.end().exits(0);
}
