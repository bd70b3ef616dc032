//! The composition root: makes a source, a ledger and a store of the configuration.

use std::path::{Component, Path, PathBuf};
use std::time::Duration;

use super::failure::Failure;
use crate::config::{AuditConfig, Config, LedgerConfig, SourceConfig};
use crate::destination::bigcommerce::{BigCommerce, BigCommerceError, BigCommerceOptions};
use crate::ledger::audit::AuditLog;
use crate::ledger::postgres::PostgresLedger;
use crate::ledger::sqlite::SqliteLedger;
use crate::ledger::{LEDGER_REPLACED, Ledger, LedgerError};
use crate::record::StoreName;
use crate::source::postgres::PostgresSource;
use crate::waits::Waits;

/// Reads the configuration.
///
/// # Errors
/// Wrong configuration, with all its problems.
pub(super) fn config(path: &Path) -> Result<Config, Failure> {
    Config::load(path).map_err(Failure::usage)
}

/// Reads the configuration of a command that reads the ledger only.
///
/// # Errors
/// Wrong configuration, with all its problems.
pub(super) fn audit_config(path: &Path) -> Result<AuditConfig, Failure> {
    AuditConfig::load(path).map_err(Failure::usage)
}

/// How the store may be reached.
#[derive(Debug, Clone, Copy, clap::Args)]
pub(super) struct TransportPolicy {
    /// Let [store] api_url be an http:// address of another machine: the token is not encrypted on its way
    #[arg(long)]
    allow_http: bool,
}

/// Reads the configuration of a command that calls the store.
///
/// # Errors
/// Wrong configuration, or wrong usage if the token would travel unencrypted without permission.
pub(super) fn config_to_send(path: &Path, transport: TransportPolicy) -> Result<Config, Failure> {
    let config = config(path)?;
    require_encryption(&config, transport)?;
    Ok(config)
}

/// Checks that the token does not travel unencrypted without permission.
///
/// # Errors
/// It would.
pub(super) fn require_encryption(config: &Config, transport: TransportPolicy) -> Result<(), Failure> {
    if !config.store.sends_token_unencrypted() {
        return Ok(());
    }
    if !transport.allow_http {
        let problem = "[store] api_url is an http:// address of another machine: the token would travel in clear, and \
                       anybody on the way could read it";
        return Err(Failure::usage(problem)
            .hint("use https://; if the network is protected by other means, add --allow-http"));
    }
    tracing::warn!("the token travels in clear to {}, as --allow-http allows", config.store.name.api_url);
    Ok(())
}

/// Makes the reader of the desired values.
pub(super) fn source(config: &SourceConfig, waits: &Waits) -> Result<PostgresSource, Failure> {
    Ok(PostgresSource::new(config)?.with_waits(waits.clone()))
}

/// Makes the store's client.
pub(super) fn store(config: &Config, waits: &Waits) -> Result<BigCommerce, Failure> {
    let options = BigCommerceOptions {
        name: config.store.name.clone(),
        token: config.store.access_token.clone(),
        request_timeout: config.push.request_timeout,
        quota_reserve: config.push.quota_reserve,
        workers: config.push.workers,
    };
    let store = BigCommerce::new(options).map_err(|error| match error {
        BigCommerceError::Proxy(_) => Failure::usage(error)
            .hint("write it as http://HOST:PORT, or unset it; NO_PROXY names the hosts that are reached without a proxy"),
        error => Failure::caused_by(error),
    })?;
    Ok(store.with_waits(waits.clone()))
}

/// A ledger whose lock this process holds.
pub(super) struct LockedLedger {
    /// The ledger.
    pub(super) ledger: Box<dyn Ledger>,
    /// Where the ledger is, if it was made by this call.
    pub(super) created: Option<String>,
}

/// Takes the store's lock and opens its ledger. Makes the ledger if there is none. An operation of a ledger in Postgres
/// waits for the lock of another session for at most `lock_wait`.
///
/// # Errors
/// [`LedgerError::Locked`] while another process holds the lock, and whatever keeps the ledger from being opened.
pub(super) async fn ledger(
    config: &LedgerConfig,
    store: &StoreName,
    lock_wait: Duration,
) -> Result<LockedLedger, LedgerError> {
    match config {
        LedgerConfig::Sqlite(path) => {
            let ledger = SqliteLedger::open(path, store).await?;
            let created = ledger.created().then(|| path.display().to_string());
            Ok(LockedLedger { ledger: Box::new(ledger), created })
        }
        LedgerConfig::Postgres(url) => {
            let ledger = PostgresLedger::open_waiting(url.expose(), store, lock_wait).await?;
            let created = ledger.created().then(|| "schema attrsync in Postgres".to_owned());
            Ok(LockedLedger { ledger: Box::new(ledger), created })
        }
    }
}

/// Opens the ledger for reading; `None` if there is none yet. Warns if what is read may be old.
pub(super) async fn audit(config: &LedgerConfig) -> Result<Option<AuditLog>, Failure> {
    let audit = AuditLog::open(config).await?;
    if let Some(caution) = audit.as_ref().and_then(|_| AuditLog::caution_of_reader(config)) {
        tracing::warn!(target: LEDGER_REPLACED, "{caution}");
    }
    Ok(audit)
}

/// Opens the ledger for reading. Fails if there is none yet.
pub(super) async fn existing_audit(config: &LedgerConfig) -> Result<AuditLog, Failure> {
    audit(config).await?.ok_or_else(|| {
        Failure::new(format!("there is no ledger yet at {}", ledger_place(config)))
            .hint("the first `attrsync sync` makes it; `attrsync plan` shows what that would do")
    })
}

/// Returns where the ledger is, for a person.
pub(super) fn ledger_place(config: &LedgerConfig) -> String {
    match config {
        LedgerConfig::Sqlite(path) => without_detours(path).display().to_string(),
        LedgerConfig::Postgres(_) => "Postgres, schema attrsync".to_owned(),
    }
}

/// Returns the path without `..`, as far as its folder is there. Any other path is returned as it was given.
fn without_detours(path: &Path) -> PathBuf {
    let has_detour = path.components().any(|part| part == Component::ParentDir);
    let plain = match (path.parent().filter(|_| has_detour), path.file_name()) {
        (Some(folder), Some(name)) => folder.canonicalize().ok().map(|folder| folder.join(name)),
        _ => None,
    };
    plain.unwrap_or_else(|| path.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_ledgers_path_is_shown_without_detours() {
        let folder = tempfile::tempdir().expect("a folder");
        let root = folder.path().canonicalize().expect("its path");
        std::fs::create_dir(root.join("conf")).expect("a folder");
        assert_eq!(without_detours(&root.join("conf/../ledger.db")), root.join("ledger.db"));
        assert_eq!(without_detours(Path::new("./ledger.db")), Path::new("./ledger.db"));
        assert_eq!(without_detours(Path::new("/none/../x.db")), Path::new("/none/../x.db"));
    }
}
