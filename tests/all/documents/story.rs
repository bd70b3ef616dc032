//! Runs the commands whose output the documents show, in two small shops.
//!
//! A shop is a folder with a `sync.toml` that `attrsync init` wrote, a table in Postgres, and a simulated store
//! (`attrsync sandbox`). A step may edit the table before its command runs.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpStream;
use std::path::Path;
use std::process::{Child, Command, Stdio};

use sqlx::{AssertSqlSafe, ConnectOptions as _, Connection as _, Executor as _};
use tempfile::TempDir;

use super::normalise::normalise;
use crate::support::postgres::Postgres;

/// The output of a command. A document names it by its title.
pub(super) struct Output {
    pub(super) title: &'static str,
    /// The command line and the normalised output.
    pub(super) text: String,
}

/// A command with the edits that come before it: of the table, and of the store by others.
struct Step {
    title: &'static str,
    edit: &'static str,
    others: &'static str,
    command: &'static [&'static str],
}

const fn step(title: &'static str, edit: &'static str, command: &'static [&'static str]) -> Step {
    Step { title, edit, others: "", command }
}

/// A step after others have changed the store.
const fn step_after_others(
    title: &'static str,
    edit: &'static str,
    others: &'static str,
    command: &'static [&'static str],
) -> Step {
    Step { title, edit, others, command }
}

/// The first days of a small shop.
const FIRST_DAYS: &[Step] = &[
    step(
        "check",
        "insert into customer_attribute_values values
             (12, 1, 'silver'), (12, 2, '250'), (13, 1, 'gold'), (14, 1, 'bronze'),
             (14, 3, '2026-10-01'), (15, 1, 'gold'), (15, 2, null)",
        &["check"],
    ),
    step("plan", "", &["plan"]),
    step("sync, the first", "", &["sync"]),
    step("sync, nothing changed", "", &["sync"]),
    step(
        "plan of one customer",
        "update customer_attribute_values set value = 'silver' where customer_id = 13",
        &["plan", "--customer", "13"],
    ),
    step("plan, JSON", "", &["plan", "--json"]),
    step(
        "sync, a bad value",
        "update customer_attribute_values set value = 'gold !reject' where customer_id = 14 and attribute_id = 1;
         insert into customer_attribute_values values (15, 9, 'x')",
        &["sync"],
    ),
    step("status", "", &["status"]),
    step("rejected", "", &["rejected"]),
    step("explain", "", &["explain", "14", "1"]),
    step("runs", "", &["runs"]),
    step("runs, one", "", &["runs", "3"]),
    step("check --ledger", "", &["check", "--ledger"]),
    step(
        "sql",
        "",
        &["sql", "select status, count(*) as runs, sum(confirmed) as confirmed from runs group by status order by 1"],
    ),
    step("rejected --retry", "", &["rejected", "--retry", "14:1"]),
    step(
        "sync, JSON",
        "update customer_attribute_values set value = 'gold' where customer_id = 14 and attribute_id = 1",
        &["sync", "--json"],
    ),
    step(
        "plan, saved",
        "update customer_attribute_values set value = 'platinum' where customer_id in (12, 13) and attribute_id = 1",
        &["plan", "--save"],
    ),
    step(
        "apply, a conflict",
        "update customer_attribute_values set value = 'bronze' where customer_id = 13 and attribute_id = 1",
        &["apply", "6"],
    ),
    step("apply, without the conflict", "", &["apply", "6", "--skip-conflicts"]),
];

/// One night of a shop with a thousand customers. No document shows its first sync.
const A_NIGHT: &[Step] = &[
    step(
        "",
        "insert into customer_attribute_values
             select n, 1, (array['bronze', 'silver', 'gold'])[1 + n % 3] from generate_series(1, 1000) n
             union all select n, 2, (n * 37 % 5000)::text from generate_series(1, 1000) n
             union all select n, 3, (date '2026-01-01' + n % 180)::text from generate_series(1, 1000) n",
        &["sync"],
    ),
    step(
        "sync, a night",
        "update customer_attribute_values set value = 'platinum' where attribute_id = 1 and customer_id % 80 = 0;
         update customer_attribute_values set value = 'gold !reject' where attribute_id = 1 and customer_id = 7",
        &["sync"],
    ),
    step(
        "sync, blocked",
        "update customer_attribute_values set value = '' where attribute_id = 1",
        &["sync"],
    ),
];

/// A shop whose rows leave. No document shows its first sync.
const LEAVING: &[Step] = &[
    step(
        "",
        "insert into customer_attribute_values values (12, 1, 'silver'), (12, 2, '250'), (13, 1, 'gold'), (14, 1, 'bronze')",
        &["sync"],
    ),
    step(
        "plan, deletes",
        "delete from customer_attribute_values where customer_id = 13;
         update customer_attribute_values set value = null where customer_id = 12 and attribute_id = 2;
         update customer_attribute_values set value = 'gold' where customer_id = 14",
        &["plan"],
    ),
    step("sync, deletes", "", &["sync"]),
];

/// A store that holds values before attrsync comes.
const A_LIVE_STORE: &[Step] = &[
    step_after_others(
        "plan, a live store",
        "insert into customer_attribute_values values
             (12, 1, 'silver'), (12, 2, '250'), (13, 1, 'gold'), (14, 1, 'bronze'), (15, 1, 'gold')",
        r#"[{"customer_id": 12, "attribute_id": 1, "value": "silver"},
            {"customer_id": 12, "attribute_id": 2, "value": "250"},
            {"customer_id": 13, "attribute_id": 1, "value": "silver"},
            {"customer_id": 14, "attribute_id": 1, "value": "bronze"},
            {"customer_id": 20, "attribute_id": 3, "value": "2020-02-02"}]"#,
        &["plan"],
    ),
    step("reconcile --adopt", "", &["reconcile", "--adopt"]),
    step("sync, after an adoption", "", &["sync"]),
    step_after_others(
        "reconcile, drift",
        "",
        r#"[{"customer_id": 13, "attribute_id": 1, "value": "none"},
            {"customer_id": 14, "attribute_id": 1, "value": null}]"#,
        &["reconcile"],
    ),
];

/// A shop that takes a run back. No document shows its first syncs.
const TAKEN_BACK: &[Step] = &[
    step(
        "",
        "insert into customer_attribute_values values (12, 1, 'silver'), (13, 1, 'silver'), (14, 1, 'gold')",
        &["sync"],
    ),
    step(
        "",
        "update customer_attribute_values set value = 'bronze' where customer_id in (12, 13);
         insert into customer_attribute_values values (15, 1, 'bronze')",
        &["sync"],
    ),
    step("", "update customer_attribute_values set value = 'gold' where customer_id = 13", &["sync"]),
    step("undo, the way back", "", &["undo", "2"]),
    step("undo, applied", "", &["undo", "2", "--apply"]),
    step("undo, the next sync", "", &["sync"]),
    step("undo, explained", "", &["explain", "12"]),
];

/// Runs every step and returns what the documents may show.
pub(super) fn outputs() -> Vec<Output> {
    let mut outputs = Vec::new();
    let shop = Shop::open(&[]);
    outputs.push(Output { title: "init", text: shop.shown(&["init"], &shop.init) });
    outputs.push(Output { title: "sandbox", text: shop.shown(&["sandbox"], &shop.sandbox) });
    shop.go_through(FIRST_DAYS, &mut outputs);
    Shop::open(&["--quota", "100000"]).go_through(A_NIGHT, &mut outputs);
    let shop = Shop::open(&[]);
    shop.delete_missing();
    shop.go_through(LEAVING, &mut outputs);
    Shop::open(&[]).go_through(A_LIVE_STORE, &mut outputs);
    Shop::open(&[]).go_through(TAKEN_BACK, &mut outputs);
    outputs
}

/// A configured shop. Its store ends with this value.
struct Shop {
    folder: TempDir,
    database: String,
    /// What `attrsync init` printed.
    init: String,
    /// What `attrsync sandbox` printed.
    sandbox: String,
    store: Child,
}

impl Drop for Shop {
    fn drop(&mut self) {
        let _ = self.store.kill();
        let _ = self.store.wait();
    }
}

impl Shop {
    /// Makes the table, starts the store and points `sync.toml` at it.
    fn open(options: &[&str]) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let database = Postgres::start().database();
        let init = run(folder.path(), &database, &["init"]);
        let (ddl, _) = init.split_once("\n\n").expect("the DDL, then the next steps");
        execute(&database, ddl);
        let mut store = program(folder.path(), &database)
            .args(["sandbox", "--port", "0", "--latency", "1ms"])
            .args(options)
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("the sandbox starts");
        let printed = BufReader::new(store.stdout.take().expect("stdout is piped")).lines().take(7);
        let sandbox: String = printed.map(|line| line.expect("a line") + "\n").collect();
        configure(folder.path(), &sandbox);
        Self { folder, database, init, sandbox, store }
    }

    /// Has values deleted whose row has left the table.
    fn delete_missing(&self) {
        let path = self.folder.path().join("sync.toml");
        let config = std::fs::read_to_string(&path).expect("sync.toml");
        std::fs::write(path, config.replace("action = \"keep\"", "action = \"delete\"")).expect("sync.toml");
    }

    fn go_through(&self, steps: &[Step], outputs: &mut Vec<Output>) {
        for step in steps {
            if !step.edit.is_empty() {
                // `check` shows the planner's estimate of the rows.
                execute(&self.database, &format!("{}; analyze customer_attribute_values", step.edit));
            }
            if !step.others.is_empty() {
                self.change_store(step.others);
            }
            let printed = run(self.folder.path(), &self.database, step.command);
            if !step.title.is_empty() {
                outputs.push(Output { title: step.title, text: self.shown(step.command, &printed) });
            }
        }
    }

    /// Changes values of the store as others would.
    fn change_store(&self, values: &str) {
        let lines = self.sandbox.lines().find_map(|line| line.strip_prefix("api_url = \"http://"));
        let address = lines.and_then(|rest| rest.strip_suffix('"')).expect("its address");
        let mut stream = TcpStream::connect(address).expect("the sandbox listens");
        let length = values.len();
        let head = format!("POST /_sandbox/values HTTP/1.1\r\nHost: {address}\r\nConnection: close");
        write!(stream, "{head}\r\nContent-Length: {length}\r\n\r\n{values}").expect("it is sent");
        let mut response = String::new();
        stream.read_to_string(&mut response).expect("a response");
        assert!(response.starts_with("HTTP/1.1 200"), "{response}");
    }

    /// A command and its normalised output, as a document shows them.
    fn shown(&self, command: &[&str], printed: &str) -> String {
        let quoted =
            |word: &&str| if word.contains(' ') { format!("\"{word}\"") } else { (*word).to_owned() };
        let words: Vec<String> = command.iter().map(quoted).collect();
        format!("$ attrsync {}\n{}", words.join(" "), normalise(printed, self.folder.path()))
    }
}

/// Puts the lines that the sandbox printed in the place of the section `[store]`.
fn configure(folder: &Path, sandbox: &str) {
    let path = folder.join("sync.toml");
    let config = std::fs::read_to_string(&path).expect("sync.toml");
    let (before, rest) = config.split_once("[store]").expect("a section for the store");
    let (_, after) = rest.split_once("\n[").expect("a section after it");
    std::fs::write(path, format!("{before}{sandbox}\n[{after}")).expect("sync.toml");
}

fn program(folder: &Path, database: &str) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_attrsync"));
    command.current_dir(folder).env("DATABASE_URL", database).stdin(Stdio::null());
    for name in ["ATTRSYNC_CONFIG", "NO_COLOR", "BIGCOMMERCE_STORE_HASH", "BIGCOMMERCE_ACCESS_TOKEN"] {
        command.env_remove(name);
    }
    command
}

/// Runs a command and returns what it prints to stdout and stderr, in that order of time.
fn run(folder: &Path, database: &str, arguments: &[&str]) -> String {
    let (mut reader, writer) = std::io::pipe().expect("a pipe");
    let mut command = program(folder, database);
    command.args(arguments).stdout(writer.try_clone().expect("a pipe")).stderr(writer);
    let mut child = command.spawn().expect("the program starts");
    // The command keeps the writing end open, and the reader would wait for ever.
    drop(command);
    let mut printed = String::new();
    reader.read_to_string(&mut printed).expect("UTF-8");
    child.wait().expect("it ends");
    printed
}

/// Runs statements in a database.
fn execute(database: &str, sql: &str) {
    let options: sqlx::postgres::PgConnectOptions = database.parse().expect("a Postgres address");
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    runtime.block_on(async {
        let mut connection = options.connect().await.expect("the test server takes connections");
        connection
            .execute(AssertSqlSafe(sql.to_owned()))
            .await
            .unwrap_or_else(|error| panic!("{error}\n{sql}"));
        connection.close().await.expect("the connection closes");
    });
}
