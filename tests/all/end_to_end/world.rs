//! What a run of the program needs: a folder, a configuration, a source, a ledger, and a store with faults.

use std::collections::BTreeMap;
use std::fs;
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::{Arc, Mutex, MutexGuard, Once, PoisonError};
use std::time::Duration;

use attrsync::config::{LedgerConfig, Secret};
use attrsync::record::Key;
use attrsync::sandbox::{Counting, Fault, Limits, Logged, Model, QuotaRule, SandboxOptions, Server};
use serde_json::Value;
use sqlx::{AssertSqlSafe, ConnectOptions, Connection};
use tempfile::TempDir;
use tokio::runtime::Runtime;

pub(super) use super::program::{Running, Said, until};
use crate::support::postgres::Postgres;

/// The store's token. No output or file may contain it.
pub(super) const TOKEN: &str = "token-5e6c2e7f00d";

/// The password of the role `guarded`. No output or file may contain it.
pub(super) const PASSWORD: &str = "password-71aa0b5e";

/// Makes the server ask for the password of the role `guarded`. Every other role still needs none.
const GUARD: &str = r"
create role guarded login password 'password-71aa0b5e';
do $$ begin
    execute format(
        'copy (values (''host all guarded all scram-sha-256''), (''host all all all trust'')) to %L',
        current_setting('hba_file')
    );
end $$;
select pg_reload_conf();";

/// The database of the ledger.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum LedgerKind {
    File,
    Postgres,
}

impl LedgerKind {
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
    // Dropped after the server.
    runtime: Runtime,
}

impl World {
    /// A store with 1,000 customers and 3 attributes, which counts customers and responds in 2 ms.
    pub(super) fn new(kind: LedgerKind) -> Self {
        let ledger_url = match kind {
            LedgerKind::File => "sqlite:ledger.db".to_owned(),
            LedgerKind::Postgres => Postgres::start().database(),
        };
        Self::among(Postgres::start().database(), ledger_url)
    }

    /// The same with this source and this ledger.
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

    /// The same with this number of customers in the source, each with the value `first` of attribute 1.
    pub(super) fn with_customers(kind: LedgerKind, customers: usize) -> Self {
        let world = Self::new(kind);
        world.execute(&format!(
            "insert into customer_attribute_values select c, 1, 'first' from generate_series(1, {customers}) c"
        ));
        world
    }

    /// Writes the configuration. `push` is added to the section `[push]`.
    pub(super) fn configure(&self, push: &str) {
        self.write_config(&self.config(push));
    }

    pub(super) fn config(&self, push: &str) -> String {
        format!(
            "[source]\nurl = \"{}\"\ntable = \"customer_attribute_values\"\ngive_up_after = \"0s\"\n\
             [store]\nhash = \"sandbox\"\naccess_token = \"{TOKEN}\"\napi_url = \"http://{}\"\n\
             [ledger]\nurl = \"{}\"\n\
             [push]\nrequest_timeout = \"1s\"\nbackoff = \"10ms\"\nbackoff_max = \"50ms\"\ngive_up_after = \"1s\"\n{push}\n",
            self.source_url, self.address, self.ledger_url
        )
    }

    /// Sets a time-out that a busy machine does not reach, for tests that count requests.
    pub(super) fn use_long_timeout(&self) {
        self.time_out_after(60);
    }

    /// Sets the time-out. The store applies its delayed requests between once and twice this time.
    pub(super) fn time_out_after(&self, seconds: u64) {
        let timeout = format!("request_timeout = \"{seconds}s\"");
        self.write_config(&self.config("").replace("request_timeout = \"1s\"", &timeout));
        self.store().options.client_timeout = Duration::from_secs(seconds);
    }

    /// Turns the guard off, for tests that change nearly every value.
    pub(super) fn disable_guard(&self) {
        let config = fs::read_to_string(self.path().join("sync.toml")).expect("a configuration");
        self.write_config(&(config + "[guard]\nenabled = false\n"));
    }

    pub(super) fn write_config(&self, text: &str) {
        fs::write(self.path().join("sync.toml"), text).expect("a configuration");
    }

    pub(super) fn path(&self) -> &Path {
        self.folder.path()
    }

    /// The configuration that opens the ledger for reading.
    pub(super) fn ledger_config(&self) -> LedgerConfig {
        if self.ledger_url.starts_with("sqlite:") {
            return LedgerConfig::Sqlite(self.path().join("ledger.db"));
        }
        LedgerConfig::Postgres(Secret::new(self.ledger_url.as_str()))
    }

    /// The number of ledgers in the folder.
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

    /// The address of the same database with a password.
    pub(super) fn guarded(&self, url: &str) -> String {
        static DONE: Once = Once::new();
        let with = |password: &str| url.replace("postgres@", &format!("guarded:{password}@"));
        DONE.call_once(|| {
            self.execute_at(url, GUARD);
            until("the server asks for the password", || !self.opens(&with("wrong")));
        });
        let database = url.rsplit('/').next().expect("a database");
        self.execute_at(url, &format!("grant create on database {database} to guarded"));
        self.execute_at(url, "grant select on all tables in schema public to guarded");
        with(PASSWORD)
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

    /// The state of the store.
    pub(super) fn store(&self) -> MutexGuard<'_, Model> {
        self.model.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Sets the faults of the next writes.
    pub(super) fn script(&self, faults: &[Fault]) {
        self.store().script.extend(faults);
    }

    /// The write requests so far.
    pub(super) fn writes(&self) -> Vec<Logged> {
        self.store()
            .requests()
            .filter(|request| matches!(request.method, "PUT" | "DELETE"))
            .cloned()
            .collect()
    }

    /// The store's values of attribute 1, by customer.
    pub(super) fn values(&self) -> BTreeMap<i64, String> {
        let store = self.store();
        let values = store.values().filter(|(key, _)| key.attribute_id == 1);
        values.map(|(key, value)| (key.customer_id, value.to_owned())).collect()
    }

    pub(super) fn value(&self, customer: i64, attribute: i64) -> Option<String> {
        self.store().value(Key::new(customer, attribute)).map(str::to_owned)
    }

    /// Asserts that this number of customers has the value in the store and a confirmed entry in the ledger.
    #[track_caller]
    pub(super) fn assert_landed(&self, customers: usize, value: &str) {
        let values = self.values();
        assert_eq!(values.values().filter(|found| *found == value).count(), customers, "{values:?}");
        let sql = format!(
            "select count(*) as n from entries where belief = 'confirmed' and attribute_id = 1 and value = '{value}'"
        );
        assert_eq!(self.number(&sql), customers as i64);
    }

    /// Stops the store.
    pub(super) fn stop_store(&mut self) {
        if let Some(server) = self.server.take() {
            self.runtime.block_on(server.stop());
        }
    }

    /// Starts the store again at the same address.
    pub(super) fn start_store(&mut self) {
        let started = self.runtime.block_on(Server::start(self.address, Arc::clone(&self.model)));
        self.server = Some(started.expect("the store listens again"));
    }

    /// Starts another store with the same hash and token.
    pub(super) fn second_store(&self) -> (Server, Arc<Mutex<Model>>) {
        let model = Arc::new(Mutex::new(Model::new(self.store().options.clone())));
        let server = self.runtime.block_on(Server::start("127.0.0.1:0", Arc::clone(&model)));
        (server.expect("the second store listens"), model)
    }

    /// The program with these arguments, not started yet.
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
        Running::start(&mut self.program(arguments))
    }

    /// Starts the program in the background. Its stderr goes to a file, so that it can be read meanwhile.
    pub(super) fn start_heard(&self, arguments: &[&str], file: &str) -> Running {
        let file = fs::File::create(self.path().join(file)).expect("a file");
        Running::start(self.program(arguments).stderr(file))
    }

    /// The content of the file so far.
    pub(super) fn heard(&self, file: &str) -> String {
        fs::read_to_string(self.path().join(file)).expect("the file")
    }

    /// The rows of a query, run with `attrsync sql`.
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
