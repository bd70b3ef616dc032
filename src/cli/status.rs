//! `attrsync status`: how each sync stands, for people and for monitoring.

use std::path::Path;

use chrono::{DateTime, Utc};

use super::config_files::ConfigFiles;
use super::context::Context;
use super::exit::Exit;
use super::failure::Failure;
use super::known_store::known_store;
use super::standing::standing;
use super::view::status::SyncStatus;
use super::{view, wiring};
use crate::attention::{Facts, Standing};
use crate::clock::{Clock as _, SystemClock};
use crate::config::{AuditConfig, LedgerConfig};
use crate::ledger::audit::AuditLog;
use crate::record::StoreName;

/// What `--help` adds.
const EXAMPLES: &str = "\
One line for each sync on stdout; what to do about it on stderr. It reads the
ledger only: no secret, no lock, no request.

Examples:
  attrsync status                                    the sync of sync.toml
  attrsync status --config eu.toml --config us.toml  two syncs
  attrsync status --config-dir /etc/attrsync --json  all of a folder, as JSON

Exit codes: 0 all is fine, 1 a sync needs attention or its ledger cannot be
read, 64 wrong usage or configuration.";

/// Arguments of `status`.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct Args {
    #[command(flatten)]
    files: ConfigFiles,
    /// Print JSON
    #[arg(long)]
    pub(super) json: bool,
}

pub(super) async fn run(context: &Context, args: &Args) -> Result<Exit, Failure> {
    let console = &context.console;
    console.begin("reading the ledger");
    let now = SystemClock.now();
    let mut ledgers = Ledgers::default();
    let mut syncs = Vec::new();
    let mut exit = Exit::Done;
    for path in args.files.paths(context)? {
        let (sync, of_sync) = status_of(&path, &mut ledgers, now).await;
        syncs.push(sync);
        exit = [exit, of_sync].into_iter().max_by_key(|exit| *exit as u8).unwrap_or(exit);
    }
    if args.json {
        console.json(&view::status::json(&syncs, exit, now))?;
    } else {
        console.report(&view::status::text(&syncs, now, console.paint()), exit)?;
        for hint in view::status::hints(&syncs) {
            console.remedy(&hint);
        }
    }
    Ok(exit)
}

/// Returns how one sync stands, with its exit code. What cannot be read is a problem of this sync only.
async fn status_of(path: &Path, ledgers: &mut Ledgers, now: DateTime<Utc>) -> (SyncStatus, Exit) {
    let (name, store, standing) = match wiring::audit_config(path) {
        Ok(config) => {
            let standing = standing_of(&config, ledgers, now).await;
            (config.name, config.store, standing)
        }
        Err(failure) => {
            let name = path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
            (name, None, Err(failure))
        }
    };
    let exit = match &standing {
        Ok((_, standing)) if standing.needs.is_empty() => Exit::Done,
        Ok(_) => Exit::Failed,
        Err(failure) => failure.exit,
    };
    let file = path.to_owned();
    let sync = match standing {
        Ok((of_ledger, standing)) => {
            SyncStatus { name, file, store: store.or(of_ledger), standing: Ok(standing), what_to_do: None }
        }
        Err(failure) => {
            SyncStatus { name, file, store, standing: Err(failure.whole()), what_to_do: failure.hint }
        }
    };
    (sync, exit)
}

/// Returns how the configured store stands, with its name if it is known. Without a ledger there was no sync.
async fn standing_of(
    config: &AuditConfig,
    ledgers: &mut Ledgers,
    now: DateTime<Utc>,
) -> Result<(Option<StoreName>, Standing), Failure> {
    let Some(audit) = ledgers.open(&config.ledger).await? else {
        return Ok((None, Standing::of(Facts::default(), None, now)));
    };
    let store = match &config.store {
        Some(store) => store.clone(),
        None => known_store(audit, config).await?.name,
    };
    let standing = standing(audit, &store, config.schedule.as_ref(), now).await?;
    Ok((Some(store), standing))
}

/// The ledgers of all syncs, each opened once. One that cannot be opened is not tried again.
#[derive(Default)]
struct Ledgers(Vec<(LedgerConfig, Result<Option<AuditLog>, Failure>)>);

impl Ledgers {
    async fn open(&mut self, config: &LedgerConfig) -> Result<Option<&AuditLog>, Failure> {
        let at = match self.0.iter().position(|(known, _)| known == config) {
            Some(at) => at,
            None => {
                self.0.push((config.clone(), wiring::audit(config).await));
                self.0.len() - 1
            }
        };
        match &self.0[at].1 {
            Ok(audit) => Ok(audit.as_ref()),
            Err(failure) => Err(Failure::new(failure.whole()).maybe_hint(failure.hint.as_deref())),
        }
    }
}
