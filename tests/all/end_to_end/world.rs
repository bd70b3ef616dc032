//! What a run of the program needs: a folder, a configuration, a source, a ledger, and a store that tests can hurt.

use std::collections::BTreeMap;
use std::fs;
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};
use std::sync::{Arc, Mutex, MutexGuard, Once, PoisonError};
use std::time::{Duration, Instant};

use attrsync::config::Secret;
use attrsync::record::Key;
use attrsync::sandbox::{Counting, Fault, Limits, Logged, Model, QuotaRule, SandboxOptions, Server};
use serde_json::Value;
use sqlx::{AssertSqlSafe, ConnectOptions, Connection};
use tempfile::TempDir;
use tokio::runtime::Runtime;

use crate::support::postgres::Postgres;

/// The store's token. It must not be found anywhere.
pub(super) const TOKEN: &str = "token-5e6c2e7f00d";

/// The password of the role `guarded`. It must not be found anywhere.
pub(super) const PASSWORD: &str = "password-71aa0b5e";

/// Asks for the password of the role `guarded`, and lets everybody else in as before.
const GUARD: &str = r"
create role guarded login password 'password-71aa0b5e';
do $$ begin
    execute format(
        'copy (values (''host all guarded all scram-sha-256''), (''host all all all trust'')) to %L',
        current_setting('hba_file')
    );
end $$;
select pg_reload_conf();";

/// How long anything that a test waits for may take.
const PATIENCE: Duration = Duration::from_secs(20);

/// Where the ledger is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Books {
    File,
    Postgres,
}

impl Books {
    pub(super) const BOTH: [Self; 2] = [Self::File, Self::Postgres];
}

/// Everything around the program.
pub(super) struct World {
    pub(super) folder: TempDir,
    pub(super) model: Arc<Mutex<Model>>,
    pub(super) source_url: String,
    pub(super) ledger_url: String,
    pub(super) address: SocketAddr,
    server: Option<Server>,
    // Ends after the server.
    runtime: Runtime,
}

/// What a command ended with.
#[derive(Debug)]
pub(super) struct Said {
    pub(super) code: Option<i32>,
    pub(super) out: String,
    pub(super) err: String,
}

impl Said {
    pub(super) fn from(output: Output) -> Self {
        let text = |bytes| String::from_utf8(bytes).expect("UTF-8");
        Self { code: output.status.code(), out: text(output.stdout), err: text(output.stderr) }
    }

    /// The result, which was asked for as JSON.
    #[track_caller]
    pub(super) fn json(&self) -> Value {
        serde_json::from_str(&self.out).unwrap_or_else(|error| panic!("{error}: {self:#?}"))
    }

    /// A count of the run.
    #[track_caller]
    pub(super) fn count(&self, name: &str) -> i64 {
        self.json()["counts"][name].as_i64().unwrap_or_else(|| panic!("no count {name}: {self:#?}"))
    }

    /// The command ended so.
    #[track_caller]
    pub(super) fn exits(self, code: i32) -> Self {
        assert_eq!(self.code, Some(code), "{self:#?}");
        self
    }

    /// The run's books balance.
    #[track_caller]
    pub(super) fn balances(self) -> Self {
        let decided: i64 =
            ["confirmed", "rejected", "unknown", "deferred"].iter().map(|name| self.count(name)).sum();
        assert_eq!(self.count("planned"), decided, "{self:#?}");
        self
    }

    /// All of these words stand in what a person reads.
    #[track_caller]
    pub(super) fn tells(self, words: &[&str]) -> Self {
        let all = format!("{}{}", self.out, self.err);
        for word in words {
            assert!(all.contains(word), "{word:?} is not in {self:#?}");
        }
        self
    }
}

impl World {
    /// A store of a thousand customers and three attributes that counts customers and answers in two milliseconds.
    pub(super) fn new(books: Books) -> Self {
        let ledger_url = match books {
            Books::File => "sqlite:ledger.db".to_owned(),
            Books::Postgres => Postgres::start().database(),
        };
        Self::among(Postgres::start().database(), ledger_url)
    }

    /// The same, between this source and this ledger.
    pub(super) fn among(source_url: String, ledger_url: String) -> Self {
        let store = SandboxOptions {
            token: Secret::new(TOKEN),
            latency: Duration::from_millis(2),
            client_timeout: Duration::from_secs(1),
            limits: Limits { counting: Counting::Customers, ..Limits::default() },
            quota: QuotaRule { requests: 1_000_000, ..QuotaRule::default() },
            ..SandboxOptions::default()
        };
        let model = Arc::new(Mutex::new(Model::new(store)));
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()
            .expect("a runtime");
        let server =
            runtime.block_on(Server::start("127.0.0.1:0", Arc::clone(&model))).expect("the store listens");
        let world = Self {
            folder: tempfile::tempdir().expect("a temporary folder"),
            model,
            source_url,
            ledger_url,
            address: server.addr,
            server: Some(server),
            runtime,
        };
        world.execute(
            "create table customer_attribute_values (customer_id bigint, attribute_id bigint, value text)",
        );
        world.configure("");
        world
    }

    /// The same, with so many customers in the source, each with the value `first` of attribute 1.
    pub(super) fn with_customers(books: Books, customers: usize) -> Self {
        let world = Self::new(books);
        world.execute(&format!(
            "insert into customer_attribute_values select c, 1, 'first' from generate_series(1, {customers}) c"
        ));
        world
    }

    /// Writes the configuration; `push` is added to its last section.
    pub(super) fn configure(&self, push: &str) {
        self.write_config(&self.config(push));
    }

    pub(super) fn config(&self, push: &str) -> String {
        format!(
            "[source]\nurl = \"{}\"\ntable = \"customer_attribute_values\"\n\
             [store]\nhash = \"sandbox\"\naccess_token = \"{TOKEN}\"\napi_url = \"http://{}\"\n\
             [ledger]\nurl = \"{}\"\n\
             [push]\nrequest_timeout = \"1s\"\nbackoff = \"10ms\"\nbackoff_max = \"50ms\"\n{push}\n",
            self.source_url, self.address, self.ledger_url
        )
    }

    /// Time-outs long enough that a busy machine does not cause one, for tests that count calls.
    pub(super) fn be_patient(&self) {
        self.time_out_after(60);
    }

    /// Waits so long for an answer; the store's late answers, and late copies, come between once and twice that.
    pub(super) fn time_out_after(&self, seconds: u64) {
        let timeout = format!("request_timeout = \"{seconds}s\"");
        self.write_config(&self.config("").replace("request_timeout = \"1s\"", &timeout));
        self.store().options.client_timeout = Duration::from_secs(seconds);
    }

    pub(super) fn write_config(&self, text: &str) {
        fs::write(self.path().join("sync.toml"), text).expect("a configuration");
    }

    pub(super) fn path(&self) -> &Path {
        self.folder.path()
    }

    /// How many ledgers there are in the folder.
    pub(super) fn ledger_files(&self) -> usize {
        let entries = fs::read_dir(self.path()).expect("the folder");
        entries.filter(|entry| entry.as_ref().is_ok_and(|entry| entry.file_name() == "ledger.db")).count()
    }

    /// Runs SQL in the source.
    pub(super) fn execute(&self, sql: &str) {
        self.execute_at(&self.source_url, sql);
    }

    /// Runs SQL in any database.
    pub(super) fn execute_at(&self, url: &str, sql: &str) {
        self.runtime.block_on(async {
            let options: sqlx::postgres::PgConnectOptions = url.parse().expect("an address");
            let mut connection = options.connect().await.expect("the server takes connections");
            sqlx::raw_sql(AssertSqlSafe(sql.to_owned()))
                .execute(&mut connection)
                .await
                .expect("the SQL is right");
            connection.close().await.expect("the connection closes");
        });
    }

    /// The same database, entered with a password.
    pub(super) fn guarded(&self, url: &str) -> String {
        static DONE: Once = Once::new();
        let entered = |password: &str| url.replace("postgres@", &format!("guarded:{password}@"));
        DONE.call_once(|| {
            self.execute_at(url, GUARD);
            until("the server asks for the password", || !self.opens(&entered("wrong")));
        });
        let database = url.rsplit('/').next().expect("a database");
        self.execute_at(url, &format!("grant create on database {database} to guarded"));
        self.execute_at(url, "grant select on all tables in schema public to guarded");
        entered(PASSWORD)
    }

    fn opens(&self, url: &str) -> bool {
        self.runtime.block_on(async {
            let options: sqlx::postgres::PgConnectOptions = url.parse().expect("an address");
            options.connect().await.is_ok()
        })
    }

    /// Changes the values of these customers.
    pub(super) fn change(&self, value: &str, customers: &str) {
        self.execute(&format!(
            "update customer_attribute_values set value = '{value}' where customer_id in ({customers})"
        ));
    }

    /// The store, to look at and to hurt.
    pub(super) fn store(&self) -> MutexGuard<'_, Model> {
        self.model.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What befalls the next writes.
    pub(super) fn script(&self, faults: &[Fault]) {
        self.store().script.extend(faults);
    }

    /// The write calls seen so far.
    pub(super) fn writes(&self) -> Vec<Logged> {
        self.store().requests().filter(|request| request.method == "PUT").cloned().collect()
    }

    /// What the store holds for attribute 1, by customer.
    pub(super) fn held(&self) -> BTreeMap<i64, String> {
        let store = self.store();
        let values = store.values().filter(|(key, _)| key.attribute_id == 1);
        values.map(|(key, value)| (key.customer_id, value.to_owned())).collect()
    }

    pub(super) fn value(&self, customer: i64, attribute: i64) -> Option<String> {
        self.store().value(Key::new(customer, attribute)).map(str::to_owned)
    }

    /// Every one of these customers has this value in the store and a confirmed entry in the ledger.
    #[track_caller]
    pub(super) fn assert_landed(&self, customers: usize, value: &str) {
        let held = self.held();
        assert_eq!(held.values().filter(|held| *held == value).count(), customers, "{held:?}");
        let sql = format!(
            "select count(*) as n from entries where belief = 'confirmed' and attribute_id = 1 and value = '{value}'"
        );
        assert_eq!(self.number(&sql), customers as i64);
    }

    /// The store goes away.
    pub(super) fn stop_store(&mut self) {
        if let Some(server) = self.server.take() {
            self.runtime.block_on(server.stop());
        }
    }

    /// The store comes back where it was.
    pub(super) fn start_store(&mut self) {
        let started = self.runtime.block_on(Server::start(self.address, Arc::clone(&self.model)));
        self.server = Some(started.expect("the store listens again"));
    }

    /// Another store beside this one, of the same hash and token.
    pub(super) fn second_store(&self) -> (Server, Arc<Mutex<Model>>) {
        let model = Arc::new(Mutex::new(Model::new(self.store().options.clone())));
        let server = self.runtime.block_on(Server::start("127.0.0.1:0", Arc::clone(&model)));
        (server.expect("the second store listens"), model)
    }

    /// The program with these arguments, to be started.
    pub(super) fn program(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_attrsync"));
        command.args(arguments).current_dir(self.path()).stdin(Stdio::null());
        command.stdout(Stdio::piped()).stderr(Stdio::piped());
        for name in
            ["DATABASE_URL", "BIGCOMMERCE_STORE_HASH", "BIGCOMMERCE_ACCESS_TOKEN", "NO_COLOR", "PGPASSWORD"]
        {
            command.env_remove(name);
        }
        command
    }

    /// Runs the program to its end.
    pub(super) fn run(&self, arguments: &[&str]) -> Said {
        Said::from(self.program(arguments).output().expect("the program runs"))
    }

    /// `attrsync sync --json`
    pub(super) fn sync(&self) -> Said {
        self.run(&["sync", "--json"])
    }

    /// Starts the program in the background.
    pub(super) fn start(&self, arguments: &[&str]) -> Running {
        Running(Some(self.program(arguments).spawn().expect("the program starts")))
    }

    /// Starts the program in the background with a file to talk to, so that it can be listened to meanwhile.
    pub(super) fn start_heard(&self, arguments: &[&str], file: &str) -> Running {
        let talk = fs::File::create(self.path().join(file)).expect("a file");
        Running(Some(self.program(arguments).stderr(talk).spawn().expect("the program starts")))
    }

    /// What was said to the file so far.
    pub(super) fn heard(&self, file: &str) -> String {
        fs::read_to_string(self.path().join(file)).expect("the file")
    }

    /// The rows of a question to the ledger, asked through the program.
    #[track_caller]
    pub(super) fn ask(&self, sql: &str) -> Vec<Value> {
        let said = self.run(&["sql", sql, "--json"]).exits(0);
        said.json().as_array().cloned().unwrap_or_else(|| panic!("no rows: {said:#?}"))
    }

    /// The number `n` of the only row.
    #[track_caller]
    pub(super) fn number(&self, sql: &str) -> i64 {
        let rows = self.ask(sql);
        rows[0]["n"].as_i64().unwrap_or_else(|| panic!("{rows:?}"))
    }
}

/// The program while it runs. One that a test forgets is ended.
pub(super) struct Running(Option<Child>);

impl Running {
    /// Sends a signal by its name: `TERM`, `INT`, `KILL`.
    pub(super) fn signal(&self, name: &str) {
        let id = self.0.as_ref().expect("it runs").id().to_string();
        let status = Command::new("kill").args([&format!("-{name}"), &id]).status().expect("kill can be run");
        assert!(status.success(), "kill -{name} {id}");
    }

    /// Whether it has ended.
    pub(super) fn has_ended(&mut self) -> bool {
        self.0.as_mut().expect("it was started").try_wait().expect("it can be asked").is_some()
    }

    /// Waits for its end.
    pub(super) fn end(mut self) -> Said {
        Said::from(self.0.take().expect("it runs").wait_with_output().expect("it ends"))
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if let Some(mut child) = self.0.take() {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

/// Waits until something is so, and fails when it takes too long.
#[track_caller]
pub(super) fn until(what: &str, mut is_so: impl FnMut() -> bool) {
    let began = Instant::now();
    while !is_so() {
        assert!(began.elapsed() < PATIENCE, "waited too long until {what}");
        std::thread::sleep(Duration::from_millis(2));
    }
}
