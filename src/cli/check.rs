//! `attrsync check`: proves in turn everything that a sync needs, and goes on after a failure where it can.

use super::failure::{Failure, store_hint};
use super::view::check::Finding;
use super::{Common, Exit, view, wiring};
use crate::config::{Config, LedgerConfig};
use crate::destination::{Attribute, Destination as _, ReadError, Response};
use crate::ledger::LedgerError;
use crate::ledger::audit::{AuditLog, Learned, Proof};

/// Arguments of `check`.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Prove the ledger itself instead, also while a run goes on: its database, its books, its beliefs
    #[arg(long)]
    ledger: bool,
    #[command(flatten)]
    reach: wiring::Reach,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

pub(super) async fn run(common: &Common, args: &Args) -> Result<Exit, Failure> {
    let config = match args.ledger {
        true => wiring::config(&common.config),
        false => wiring::config_to_send(&common.config, args.reach),
    };
    let (findings, exit) = match config {
        Ok(config) => {
            let mut findings = vec![Finding::good("configuration", common.config.display())];
            let (found, audit) = ledger(&config).await;
            if args.ledger {
                findings.push(found);
                if let Some(audit) = audit {
                    findings.extend(proofs(&audit).await);
                }
            } else {
                findings.push(source(&config).await);
                findings.push(found);
                findings.extend(store(&config).await);
                findings.push(size(&config, audit.as_ref()).await);
            }
            let failed = findings.iter().any(|finding| !finding.ok);
            (findings, if failed { Exit::Failed } else { Exit::Done })
        }
        Err(failure) => (vec![Finding::failed("configuration", &failure)], failure.exit),
    };
    if args.json {
        view::json(&view::check::json(&findings))?;
    } else {
        view::out(&view::check::text(&findings, view::paint()))?;
    }
    Ok(exit)
}

/// The database answers, and the table or query has the columns that are read.
async fn source(config: &Config) -> Finding {
    let inspected = match wiring::source(config) {
        Ok(source) => source.inspect().await.map_err(Failure::from),
        Err(failure) => Err(failure),
    };
    match inspected {
        Ok(shape) => Finding::good("source", view::check::shape(&shape)),
        Err(failure) => Finding::failed("source", &failure),
    }
}

/// The ledger can be read by this version. Takes no lock and creates nothing.
async fn ledger(config: &Config) -> (Finding, Option<AuditLog>) {
    let place = match &config.ledger {
        LedgerConfig::Sqlite(path) => path.display().to_string(),
        LedgerConfig::Postgres(_) => "Postgres, schema attrsync".to_owned(),
    };
    match wiring::audit(config).await {
        Ok(Some(audit)) => (Finding::good("ledger", place), Some(audit)),
        Ok(None) => match AuditLog::makeable(&config.ledger).await {
            Ok(()) => {
                (Finding::good("ledger", format!("none yet at {place}; the first sync makes it")), None)
            }
            Err(error) => (Finding::failed("ledger", &error.into()), None),
        },
        Err(failure) => (Finding::failed("ledger", &failure), None),
    }
}

/// The ledger is whole, and believes nothing that it has not written down.
async fn proofs(audit: &AuditLog) -> Vec<Finding> {
    let proofs = match audit.prove().await {
        Ok(proofs) => proofs,
        Err(error) => return vec![Finding::failed("database", &error.into())],
    };
    let finding = |proof: Proof| match proof.flaws.as_slice() {
        [] => Finding::good(proof.name, proof.good),
        flaws => Finding::failed(proof.name, &Failure::new(flaws.join("\n")).hint(proof.advice)),
    };
    proofs.into_iter().map(finding).collect()
}

/// Address and hash lead to a store, the token opens it, and it has attributes.
async fn store(config: &Config) -> Vec<Finding> {
    let listed = match wiring::store(config) {
        Ok(store) => store.attributes().await,
        Err(failure) => return vec![Finding::failed("store", &failure)],
    };
    match listed {
        Ok(attributes) => vec![
            Finding::good("store", &config.store.name),
            Finding::good("token", "may read customers (whether it may write only a sync can show)"),
            listing(&attributes),
        ],
        Err(error) => refused(config, &error),
    }
}

/// What an answer that is no list proves of store and token.
fn refused(config: &Config, error: &ReadError) -> Vec<Finding> {
    let failure = Failure::new(error);
    let failure = match store_hint(error) {
        Some(hint) => failure.hint(hint),
        None => failure,
    };
    match &error.0 {
        Response::Received(answer) if matches!(answer.status, 401 | 403) => {
            vec![Finding::good("store", &config.store.name), Finding::failed("token", &failure)]
        }
        _ => vec![Finding::failed("store", &failure)],
    }
}

fn listing(attributes: &[Attribute]) -> Finding {
    if attributes.is_empty() {
        let failure = Failure::new("the store defines no customer attributes")
            .hint("make them first: POST /v3/customers/attributes; the table refers to them by their ids");
        return Finding::failed("attributes", &failure);
    }
    let list: Vec<String> = attributes
        .iter()
        .map(|attribute| format!("{} = {} ({})", attribute.id, attribute.name, attribute.kind))
        .collect();
    Finding::good("attributes", list.join(", "))
}

/// How much a call may carry: as configured, or as the store taught.
async fn size(config: &Config, audit: Option<&AuditLog>) -> Finding {
    if let Some(values) = config.push.values_per_request {
        return Finding::good("size", format!("{values} values a call, as configured"));
    }
    let learned = match audit {
        Some(audit) => learned(config, audit).await,
        None => Ok(None),
    };
    match learned {
        Ok(learned) => Finding::good("size", size_words(config.push.customers_per_request, learned.as_ref())),
        Err(error) => Finding::failed("size", &error.into()),
    }
}

async fn learned(config: &Config, audit: &AuditLog) -> Result<Option<Learned>, LedgerError> {
    match audit.store_id(&config.store.name).await? {
        Some(store_id) => audit.learned_size(store_id).await,
        None => Ok(None),
    }
}

fn size_words(customers: usize, learned: Option<&Learned>) -> String {
    match learned {
        Some(Learned { values_per_request, learned_at }) => format!(
            "{values_per_request} values a call, learnt from the store on {}; tried anew after seven days",
            learned_at.format("%Y-%m-%d")
        ),
        None => format!("{customers} customers a call; the store has not asked for less"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_store_without_attributes_fails() {
        assert!(!listing(&[]).ok);
        let tier = Attribute { id: 1, name: "tier".to_owned(), kind: "string".to_owned() };
        assert_eq!(listing(&[tier]).detail, "1 = tier (string)");
    }

    #[test]
    fn the_size_says_where_it_comes_from() {
        assert!(size_words(10, None).starts_with("10 customers a call"));
        let learned = Learned { values_per_request: 10, learned_at: chrono::DateTime::UNIX_EPOCH };
        assert!(size_words(10, Some(&learned)).contains("learnt from the store on 1970-01-01"));
    }
}
