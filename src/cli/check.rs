//! `attrsync check`: verifies everything that a sync needs, one thing after the other, and goes on after a failure.

mod addresses;

use chrono::{DateTime, Utc};

use super::context::Context;
use super::exit::Exit;
use super::failure::{Failure, is_page, store_hint};
use super::view::check::Finding;
use super::view::console::Console;
use super::{view, wiring};
use crate::clock::{Clock as _, SystemClock};
use crate::config::{Config, LedgerConfig, OnChange};
use crate::destination::{Attribute, Destination as _, ReadError, Response};
use crate::engine::{Surroundings, drift_policies, missing_policy, survey};
use crate::ledger::audit::{AuditLog, Progress, SCHEMA_ADVICE, Verification};
use crate::ledger::{LedgerError, LedgerReader as _};
use crate::one_line::one_line;
use crate::record::{AttributeNames, Filter, RequestSizes, StoreName, Warning};
use crate::source::postgres::{RowCount, SourceShape};
use crate::waits::Waits;

/// What `--help` adds.
const EXAMPLES: &str = "\
Examples:
  attrsync check           before the first sync, and after an edit of sync.toml
  attrsync check --ledger  after a disk failure, a restore, or an edit by hand

Exit codes: 0 all is well, 1 a check failed, 64 wrong usage or configuration.";

/// Arguments of `check`.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct Args {
    /// Verify the ledger itself instead: its database, counts and beliefs; also while a run is active
    #[arg(long)]
    ledger: bool,
    #[command(flatten)]
    transport: wiring::TransportPolicy,
    /// Print JSON
    #[arg(long)]
    pub(super) json: bool,
}

pub(super) async fn run(context: &Context, args: &Args) -> Result<Exit, Failure> {
    let console = &context.console;
    let checked =
        if args.ledger { ledger_only(context).await } else { everything(context, args.transport).await };
    let (findings, exit) = match checked {
        Ok(mut findings) => {
            findings.insert(0, Finding::good("configuration", context.config.display()));
            let failed = findings.iter().any(|finding| !finding.ok);
            (findings, if failed { Exit::Failed } else { Exit::Done })
        }
        Err(failure) => (vec![bad("configuration", &failure)], failure.exit),
    };
    if args.json {
        console.json(&view::check::json(&findings, exit))?;
    } else {
        if console.is_quiet() && exit == Exit::Done {
            findings
                .iter()
                .filter_map(|finding| finding.attention.as_ref())
                .for_each(|line| console.warning(line));
        }
        let warnings = findings.iter().flat_map(|finding| &finding.warnings);
        console.report_or_warnings(&view::check::text(&findings, console.paint()), exit, warnings)?;
    }
    Ok(exit)
}

/// Checks everything that a sync needs. Fails if the configuration is wrong.
async fn everything(context: &Context, transport: wiring::TransportPolicy) -> Result<Vec<Finding>, Failure> {
    let console = &context.console;
    let config = wiring::config_to_send(&context.config, transport)?;
    console.begin("checking the ledger");
    let (ledger, audit) = ledger(&config.ledger, Some(&config.store.name), false).await;
    // A source that names attributes is read by the store's names.
    console.begin("asking the store for its attributes");
    let (store, attributes) = store(&config).await;
    console.begin("checking the source");
    let (source, shape) = source(&config, &attributes).await;
    let mut findings = vec![source, ledger];
    if let Some(on_change) = &config.on_change {
        console.begin("listening to the source");
        findings.push(listening(&config, on_change).await);
    }
    findings.extend(store);
    console.begin("reading the ledger");
    if let Some(shape) = shape {
        findings.push(rows(&config, audit.as_ref(), shape, &attributes).await);
    }
    findings.push(size(&config, audit.as_ref()).await);
    Ok(findings)
}

/// Checks the ledger itself. Fails if the configuration is wrong.
async fn ledger_only(context: &Context) -> Result<Vec<Finding>, Failure> {
    let config = wiring::audit_config(&context.config)?;
    context.console.begin("verifying the ledger");
    let (ledger, audit) = ledger(&config.ledger, config.store.as_ref(), true).await;
    let mut findings = vec![ledger];
    if let Some(audit) = audit {
        findings.extend(verifications(&context.console, &audit).await);
    }
    Ok(findings)
}

fn bad(name: &'static str, failure: &Failure) -> Finding {
    Finding::bad(name, failure.whole(), failure.hint.clone())
}

/// What the names of the store's attributes mean.
fn names(attributes: &[Attribute]) -> AttributeNames {
    AttributeNames::of(&attributes.iter().map(Attribute::known).collect::<Vec<_>>())
}

/// Connects to the source and inspects the columns of the table or query, and its first rows.
async fn source(config: &Config, attributes: &[Attribute]) -> (Finding, Option<SourceShape>) {
    let source = match wiring::source(&config.source, &Waits::default()) {
        Ok(source) => source,
        Err(failure) => return (bad("source", &failure), None),
    };
    let (mut finding, shape) = match source.inspect(&names(attributes)).await {
        Ok(shape) => (inspected(&shape, attributes), Some(shape)),
        Err(error) => (bad("source", &error.into()), None),
    };
    for sentence in source.unused_variables() {
        finding.detail += &format!("\n{sentence}");
    }
    (finding, shape)
}

/// The columns of the source. The names of attributes in the configuration are compared with those of the store, if these
/// are known.
fn inspected(shape: &SourceShape, attributes: &[Attribute]) -> Finding {
    let columns = view::check::shape(shape);
    match shape.unnamed.as_slice() {
        unnamed if !unnamed.is_empty() && !attributes.is_empty() => {
            let detail = format!("{columns}\n{}", unnamed.join("\n"));
            Finding::bad("source", detail, Some("correct the names in [source.attributes]".to_owned()))
        }
        _ => Finding::good("source", columns),
    }
}

/// A notification of the source arrives.
async fn listening(config: &Config, on_change: &OnChange) -> Finding {
    let OnChange { channel, .. } = on_change;
    let checked = match wiring::source(&config.source, &Waits::default()) {
        Ok(source) => source.check_listening(channel).await.map_err(Failure::from),
        Err(failure) => Err(failure),
    };
    match checked {
        Ok(()) => {
            let detail = format!(
                "notifications arrive; the channel is {}\nwhether triggers notify of changes is not checked: \
                 `attrsync init --trigger` prints them",
                one_line(channel)
            );
            Finding::good("listen", detail)
        }
        Err(failure) => bad("listen", &failure),
    }
}

/// Says how many rows the source has, and what a sync would make of the first ones.
async fn rows(
    config: &Config,
    audit: Option<&AuditLog>,
    shape: SourceShape,
    attributes: &[Attribute],
) -> Finding {
    let SourceShape { rows, mut sample, row_security, .. } = shape;
    let known = match config.source.columns.by_email() {
        true => {
            sample = sample.map(|sample| addresses::numbered(&sample));
            addresses::known(config, audit).await
        }
        false => Ok(String::new()),
    };
    let known = match known {
        Ok(known) => known,
        Err(error) => return bad("rows", &error.into()),
    };
    // Only of an empty source it matters how many values the ledger has.
    let stored = match audit.filter(|_| rows == RowCount::Exactly(0)) {
        Some(audit) => stored(config, audit, attributes).await,
        None => Ok(0),
    };
    let surveyed = match (stored, sample) {
        (Err(error), _) => return bad("rows", &error.into()),
        (_, Err(unsampled)) => {
            let warnings = row_security.map(|table| Warning::RowSecurity { table }).into_iter().collect();
            let detail = view::check::rows_unsampled(rows, &unsampled) + &known;
            return Finding::good("rows", detail).warn(warnings);
        }
        (Ok(stored), Ok(sample)) => {
            survey(sample, Surroundings { row_security, stored }, attributes, SystemClock.now())
        }
    };
    match surveyed {
        Ok(survey) => {
            let detail = view::check::rows(rows, &survey, !attributes.is_empty()) + &known;
            let attention = view::plan::attention(&survey.counts).into_iter().next();
            Finding { attention, ..Finding::good("rows", detail).warn(survey.warnings) }
        }
        Err(error) => bad("rows", &Failure::caused_by(error)),
    }
}

/// Counts the entries that the store may hold: of a deleted attribute it holds none.
async fn stored(config: &Config, audit: &AuditLog, attributes: &[Attribute]) -> Result<i64, LedgerError> {
    let Some(store_id) = audit.store_id(&config.store.name).await? else { return Ok(0) };
    let mut pages = audit.entries_of(store_id).entries(&Filter::default()).await?;
    let known = |id| attributes.is_empty() || attributes.iter().any(|attribute| attribute.id == id);
    let mut stored = 0;
    while let Some(page) = pages.next().await? {
        let rows = (0..page.len()).map(|at| page.row(at));
        stored += rows.filter(|row| row.may_be_stored() && known(row.key.attribute_id)).count();
    }
    Ok(i64::try_from(stored).unwrap_or(i64::MAX))
}

/// This version can read the ledger, and a sync could write it or make it. Takes no lock and makes nothing. To verify a
/// ledger, the right to read is enough.
async fn ledger(
    config: &LedgerConfig,
    store: Option<&StoreName>,
    verify: bool,
) -> (Finding, Option<AuditLog>) {
    let place = wiring::ledger_place(config);
    let audit = match AuditLog::open(config).await {
        Ok(audit) => audit,
        Err(error) => return (bad("ledger", &error.into()), None),
    };
    let usable = match verify && audit.is_some() {
        true => AuditLog::check_place(config),
        false => AuditLog::check_writable(config).await,
    };
    let (altered, mut cautions) = match (&usable, &audit) {
        (Ok(()), Some(audit)) if !verify => tables(audit).await,
        _ => (Ok(Vec::new()), Vec::new()),
    };
    let older = match &audit {
        Some(audit) => older_copy(audit, store).await,
        None => Ok(None),
    };
    let (usable, older) = match older {
        Ok(older) => (usable, older),
        Err(error) => (usable.and(Err(error)), None),
    };
    cautions.extend(older);
    cautions.extend(AuditLog::caution(config));
    let caution: String = cautions.iter().map(|caution| format!("\n{caution}")).collect();
    let finding = match (usable.and(altered), &audit) {
        (Err(error), _) => bad("ledger", &error.into()),
        (Ok(altered), Some(_)) if !altered.is_empty() => {
            Finding::bad("ledger", altered.join("\n"), Some(SCHEMA_ADVICE.to_owned()))
        }
        (Ok(_), Some(_)) => Finding::good("ledger", place + &caution),
        (Ok(_), None) => {
            Finding::good("ledger", format!("none yet at {place}; the first sync makes it{caution}"))
        }
    };
    (finding, audit)
}

/// Returns why the ledger may believe what the store does not hold.
async fn older_copy(audit: &AuditLog, store: Option<&StoreName>) -> Result<Option<String>, LedgerError> {
    let store_id = match store {
        Some(name) => audit.store_id(name).await?,
        None => None,
    };
    audit.older_copy(store_id).await
}

/// Compares the ledger's tables with those that a sync writes. Also returns what makes them less safe.
async fn tables(audit: &AuditLog) -> (Result<Vec<String>, LedgerError>, Vec<String>) {
    let altered = audit.altered_tables().await;
    match audit.unsafe_tables().await {
        Ok(cautions) => (altered, cautions),
        Err(error) => (altered.and(Err(error)), Vec::new()),
    }
}

/// The ledger is consistent.
async fn verifications(console: &Console, audit: &AuditLog) -> Vec<Finding> {
    let progress = Progress::default();
    let verified = view::verifying::show(console, &progress, audit.verify(&progress)).await;
    let verifications = match verified {
        Ok(verifications) => verifications,
        Err(error) => return vec![bad("database", &error.into())],
    };
    let finding = |Verification { name, good, flaws, advice }| match flaws.as_slice() {
        [] => Finding::good(name, good),
        flaws => Finding::bad(name, flaws.join("\n"), Some(advice.to_owned())),
    };
    verifications.into_iter().map(finding).collect()
}

/// Lists the store's attributes. A list proves that address, hash and token are right.
async fn store(config: &Config) -> (Vec<Finding>, Vec<Attribute>) {
    let listed = match wiring::store(config, &Waits::default()) {
        Ok(store) => store.attributes().await,
        Err(failure) => return (vec![bad("store", &failure)], Vec::new()),
    };
    match listed {
        Ok(attributes) => {
            let mut findings = vec![
                Finding::good("store", &config.store.name),
                Finding::good("token", "may read customers (only a sync can show whether it may write)"),
                listing(&attributes),
            ];
            if let Err(error) = missing_policy(&config.missing, &attributes) {
                findings.push(bad("missing", &Failure::from(error)));
            }
            if let Err(error) = drift_policies(&config.drift, &attributes) {
                findings.push(bad("drift", &Failure::from(error)));
            }
            (findings, attributes)
        }
        Err(error) => (not_listed(config, &error), Vec::new()),
    }
}

/// Returns what a failed listing proves: a 401 or 403 of the store concerns the token, any other response the store.
fn not_listed(config: &Config, error: &ReadError) -> Vec<Finding> {
    let failed = |name| Finding::bad(name, Failure::new(error).whole(), Some(store_hint(error).to_owned()));
    match &error.0 {
        Response::Received(response) if matches!(response.status, 401 | 403) && !is_page(response) => {
            vec![Finding::good("store", &config.store.name), failed("token")]
        }
        _ => vec![failed("store")],
    }
}

fn listing(attributes: &[Attribute]) -> Finding {
    if attributes.is_empty() {
        let hint = "make them first: POST /v3/customers/attributes; the table refers to them by their ids";
        return Finding::bad("attributes", "the store has no customer attributes", Some(hint.to_owned()));
    }
    let list: Vec<String> = attributes
        .iter()
        .map(|attribute| one_line(&format!("{} = {} ({})", attribute.id, attribute.name, attribute.kind)))
        .collect();
    Finding::good("attributes", list.join(", "))
}

/// Returns the largest size of a call, as configured or as learned from the store.
async fn size(config: &Config, audit: Option<&AuditLog>) -> Finding {
    if let Some(values) = config.push.values_per_request {
        return Finding::good("size", format!("{values} values a call, as configured"));
    }
    let sizes = match audit {
        Some(audit) => request_sizes(config, audit).await,
        None => Ok(RequestSizes::default()),
    };
    match sizes {
        Ok(sizes) => {
            Finding::good("size", size_text(config.push.customers_per_request, &sizes, SystemClock.now()))
        }
        Err(error) => bad("size", &error.into()),
    }
}

async fn request_sizes(config: &Config, audit: &AuditLog) -> Result<RequestSizes, LedgerError> {
    match audit.store_id(&config.store.name).await? {
        Some(store_id) => audit.entries_of(store_id).request_sizes().await,
        None => Ok(RequestSizes::default()),
    }
}

fn size_text(customers: usize, sizes: &RequestSizes, now: DateTime<Utc>) -> String {
    let Some(learned) = sizes.learned.filter(|_| sizes.believed(now).is_some()) else {
        return format!("{customers} customers a call; the store has not asked for less");
    };
    format!(
        "{} values a call, learned from the store on {}; larger calls are tried again from {} on",
        learned.values,
        learned.at.format("%Y-%m-%d"),
        (learned.at + sizes.validity()).format("%Y-%m-%d")
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::DatedSize;

    #[test]
    fn a_store_without_attributes_fails() {
        assert!(!listing(&[]).ok);
        let tier = Attribute { id: 1, name: "tier".to_owned(), kind: "string".to_owned() };
        assert_eq!(listing(&[tier]).detail, "1 = tier (string)");
    }

    #[test]
    fn the_size_says_where_it_comes_from() {
        let (at, none) = (DateTime::UNIX_EPOCH, RequestSizes::default());
        assert!(size_text(10, &none, at).starts_with("10 customers a call"));
        let learned = RequestSizes { learned: Some(DatedSize { values: 10, at }), ..none };
        let text = size_text(10, &learned, at);
        assert!(text.contains("learned from the store on 1970-01-01"), "{text}");
        assert!(text.ends_with("tried again from 1970-01-08 on"), "{text}");
    }
}
