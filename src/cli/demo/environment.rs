//! The demo's environment: a folder with sync.toml and the ledger, a private Postgres, the simulator.

use std::fs;
use std::io::{ErrorKind, Write as _};
use std::net::SocketAddr;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use url::Url;

use crate::cli::failure::Failure;
use crate::cli::init;
use crate::cli::wiring;
use crate::config::{Config, Secret};
use crate::ledger::LedgerReader as _;
use crate::private_postgres::{PrivatePostgres, ServerError, ServerOptions};
use crate::record::{Belief, Filter};
use crate::sandbox::{Counting, Model, SandboxOptions, Server};

/// How many customers the demo's store has.
pub(crate) const CUSTOMERS: i64 = 1000;

/// The database's folder in the demo's folder.
const DATABASE: &str = "postgres";

const HASH: &str = "demo";
const TOKEN: &str = "demo-token";

/// The demo's folder and its running servers. Dropping it stops the servers.
#[derive(Debug)]
pub(crate) struct Environment {
    folder: PathBuf,
    postgres: PrivatePostgres,
    _store: Server,
}

impl Environment {
    /// Makes the folder, starts both servers, and fills the table.
    pub(crate) async fn create(folder: &Path) -> Result<Self, Failure> {
        fs::create_dir(folder).map_err(|error| {
            let folder = folder.display();
            match error.kind() {
                ErrorKind::AlreadyExists => {
                    Failure::new(format!("{folder} is there already, so the demo does not make it again"))
                        .hint(format!(
                            "go on with the one in there by `attrsync demo --serve --dir {folder}`, \
                         or make a new one by `attrsync demo --dir {folder}-2`"
                        ))
                }
                _ => Failure::new(format!("could not make the demo's folder {folder}: {error}")),
            }
        })?;
        let folder = fs::canonicalize(folder)?;
        let place = folder.join(DATABASE);
        let postgres = blocking(move || PrivatePostgres::create(&place, ServerOptions::default())).await?;
        postgres.execute(&format!("{}{}", init::DDL, seed())).await.map_err(database_failure)?;
        let store = serve(Model::new(store_options()), ([127, 0, 0, 1], 0).into()).await?;
        let config = configuration(&postgres.url("postgres"), store.addr);
        let path = folder.join("sync.toml");
        // The file has the database's password, so only this user may read it.
        fs::OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(path)?
            .write_all(config.as_bytes())?;
        Ok(Self { folder, postgres, _store: store })
    }

    /// Starts the servers of an earlier demo again. The store holds what the ledger has confirmed.
    pub(crate) async fn restart(folder: &Path) -> Result<Self, Failure> {
        let hint = "run `attrsync demo` first; --serve starts what it left behind";
        let folder = fs::canonicalize(folder).map_err(|error| {
            Failure::new(format!("there is no demo in {}: {error}", folder.display())).hint(hint)
        })?;
        let config = wiring::config(&folder.join("sync.toml"))?;
        let database = address(config.source.url.expose())?;
        let store = address(&config.store.name.api_url)?;
        let password = database.password().unwrap_or_default().to_owned();
        let (place, port_number) = (folder.join(DATABASE), port(&database)?);
        let start = move || PrivatePostgres::again(&place, port_number, &password, ServerOptions::default());
        let postgres = blocking(start).await?;
        let model = restored_model(&config).await?;
        let store = serve(model, ([127, 0, 0, 1], port(&store)?).into()).await?;
        Ok(Self { folder, postgres, _store: store })
    }

    /// The demo's folder.
    pub(crate) fn folder(&self) -> &Path {
        &self.folder
    }

    /// Edits the table.
    pub(crate) async fn edit(&self, sql: &str) -> Result<(), Failure> {
        self.postgres.execute(sql).await.map_err(database_failure)
    }
}

/// Starts the database on a thread where it may block.
async fn blocking(
    start: impl FnOnce() -> Result<PrivatePostgres, ServerError> + Send + 'static,
) -> Result<PrivatePostgres, Failure> {
    let started = tokio::task::spawn_blocking(start).await.map_err(Failure::caused_by)?;
    started.map_err(database_failure)
}

fn database_failure(error: ServerError) -> Failure {
    let hint = error.hint();
    Failure::caused_by(error).maybe_hint(hint)
}

fn store_options() -> SandboxOptions {
    let mut options = SandboxOptions {
        hash: HASH.to_owned(),
        token: Secret::new(TOKEN),
        customers: CUSTOMERS,
        latency: Duration::from_millis(20),
        ..SandboxOptions::default()
    };
    options.limits.counting = Counting::Customers;
    // The demo shows no rate limit, because waiting for the quota would make it slow.
    options.quota.requests = 100_000;
    options
}

async fn serve(model: Model, address: SocketAddr) -> Result<Server, Failure> {
    Server::start(address, Arc::new(Mutex::new(model))).await.map_err(Failure::caused_by)
}

/// Returns a store that holds what the ledger has confirmed.
async fn restored_model(config: &Config) -> Result<Model, Failure> {
    let mut model = Model::new(store_options());
    let Some(audit) = wiring::audit(&config.ledger).await? else { return Ok(model) };
    let Some(store_id) = audit.store_id(&config.store.name).await? else { return Ok(model) };
    let mut pages = audit.entries_of(store_id).entries(&Filter::default()).await?;
    while let Some(page) = pages.next().await? {
        for index in 0..page.len() {
            let entry = page.row(index);
            if entry.belief == Belief::Confirmed {
                model.set_value(entry.key, entry.last_known());
            }
        }
    }
    Ok(model)
}

fn address(text: &str) -> Result<Url, Failure> {
    // The message shows the parser's error, and not the text, which may have a password.
    Url::parse(text).map_err(|error| Failure::new(format!("an address in the demo's sync.toml: {error}")))
}

fn port(address: &Url) -> Result<u16, Failure> {
    address.port().ok_or_else(|| Failure::new("an address in the demo's sync.toml has no port"))
}

/// Three values for each customer.
fn seed() -> String {
    format!(
        "insert into customer_attribute_values (customer_id, attribute_id, value)
         select customer, 1, (array['bronze', 'silver', 'gold'])[1 + customer % 3] from generate_series(1, {CUSTOMERS}) customer
         union all
         select customer, 2, (customer * 37 % 5000)::text from generate_series(1, {CUSTOMERS}) customer
         union all
         select customer, 3, (date '2026-01-01' + customer % 180)::text from generate_series(1, {CUSTOMERS}) customer;"
    )
}

fn configuration(database: &str, store: SocketAddr) -> String {
    format!(
        "# Made by `attrsync demo`: a private Postgres and the simulator. `attrsync init` writes one for your own.\n\
         [source]\nurl = {database:?}\ntable = \"customer_attribute_values\"\n\n\
         [store]\nhash = {HASH:?}\naccess_token = {TOKEN:?}\napi_url = \"http://{store}\"\n\n\
         [ledger]\nurl = \"sqlite:ledger.db\"\n"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_configuration_is_toml() {
        let text =
            configuration("postgres://demo:secret@127.0.0.1:5432/postgres", ([127, 0, 0, 1], 80).into());
        let table: toml::Table = text.parse().expect("TOML");
        assert_eq!(table["store"]["hash"].as_str(), Some("demo"));
        assert_eq!(table["ledger"]["url"].as_str(), Some("sqlite:ledger.db"));
    }
}
