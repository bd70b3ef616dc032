//! What the store did by itself since the run before: attributes renamed, deleted or made anew, customers deleted or
//! back. What was set aside for it is sent again; what is gone is said.
//!
//! Customers whose values a run found to be refused are asked about at its end, forty at a time: that is one read for
//! forty refusals at most. A run that did not get there, since it was killed or stopped, leaves that to those that follow,
//! which ask about a bounded number before they plan. Customers that the store has no more are asked about again by every
//! run, a bounded number in each, until they are back.

use std::collections::BTreeSet;

use super::{EngineError, Ports, read_retry};
use crate::config::PushConfig;
use crate::destination::{Attribute, Destination};
use crate::ledger::LedgerReader;
use crate::plan::definitions::{self, Definitions};
use crate::record::{KeyScope, KnownAttribute};
use crate::{record, retry};

/// Customers in one question.
const ASKED_AT_ONCE: usize = 40;

/// How many missing customers a run asks about, in thirteen calls: those first that were asked about longest ago.
const ASKED_A_RUN: usize = 500;

/// How many customers a run asks about at its beginning since earlier runs left them unasked, in thirteen calls.
const LEFT_UNASKED: usize = 500;

/// What is new.
#[derive(Debug, Default)]
pub(super) struct News {
    pub(super) definitions: Definitions,
    /// Those that were missing, and are no more.
    back: Vec<i64>,
    /// Those that were asked about and are still missing.
    missing: Vec<i64>,
}

impl News {
    /// KeyScope rejected values are sent again.
    pub(super) fn released(&self) -> BTreeSet<KeyScope> {
        let attributes = self.definitions.changed.keys().map(|id| attribute(*id));
        attributes.chain(self.back.iter().map(|id| customer(*id))).collect()
    }

    /// What a person should know.
    pub(super) fn notices(&self) -> impl Iterator<Item = &String> {
        self.definitions.gone.values().chain(self.definitions.changed.values())
    }
}

const fn attribute(id: i64) -> KeyScope {
    KeyScope { customer_id: None, attribute_id: Some(id) }
}

const fn customer(id: i64) -> KeyScope {
    KeyScope { customer_id: Some(id), attribute_id: None }
}

/// Finds out what is new, and writes nothing.
pub(super) async fn look(
    ledger: &dyn LedgerReader,
    destination: &dyn Destination,
    push: &PushConfig,
    listed: &[Attribute],
) -> Result<News, EngineError> {
    let definitions = definitions::compare(&ledger.known_attributes().await?, &known(listed));
    let (mut back, mut missing) = (Vec::new(), Vec::new());
    for asked in ledger.missing_customers(ASKED_A_RUN).await?.chunks(ASKED_AT_ONCE) {
        match read_retry::repeat(push, || destination.customers(asked)).await {
            Ok(found) => {
                let (there, gone): (Vec<i64>, Vec<i64>) = asked.iter().partition(|id| found.contains(id));
                back.extend(there);
                missing.extend(gone);
            }
            // A later run asks again.
            Err(error) => {
                let answer = retry::headline(&error.0);
                tracing::warn!(answer, "could not ask whether deleted customers are back");
                break;
            }
        }
    }
    Ok(News { definitions, back, missing })
}

/// Finds out what is new and writes it down: beliefs are taken back, in the ledger as in the plan to be made.
pub(super) async fn take_in(
    ports: Ports<'_>,
    push: &PushConfig,
    run_id: i64,
    listed: &[Attribute],
) -> Result<News, EngineError> {
    let scan = ports.ledger as &dyn LedgerReader;
    let news = look(scan, ports.destination, push, listed).await?;
    let release = async |whose, of, reason: &str| {
        let entries = ports.ledger.release(run_id, whose, of, reason, (ports.now)()).await?;
        Ok::<i64, EngineError>(entries)
    };
    for (id, what) in &news.definitions.changed {
        let released =
            release(attribute(*id), record::News::Changed, &format!("released, since {what}")).await?;
        tracing::warn!(released, "{what}; values of it that were set aside are sent again");
    }
    for (id, notice) in &news.definitions.gone {
        let reason = format!("attribute {id} was deleted from the store");
        let forgotten = release(attribute(*id), record::News::Gone, &reason).await?;
        tracing::warn!(forgotten, "{notice}");
    }
    for id in &news.back {
        let reason = format!("released, since the store has customer {id} again");
        let released = release(customer(*id), record::News::Back, &reason).await?;
        // Whatever the store held for it went with it.
        release(customer(*id), record::News::Gone, &format!("customer {id} was deleted from the store"))
            .await?;
        tracing::info!(
            released,
            customer = id,
            "a customer is back; its values that were set aside are sent again"
        );
    }
    ports.ledger.note_attributes(run_id, &known(listed), (ports.now)()).await?;
    if !news.missing.is_empty() || !news.back.is_empty() {
        ports.ledger.note_customers(run_id, &news.missing, &news.back).await?;
    }
    ask_about_refused(ports, push, run_id, LEFT_UNASKED).await?;
    Ok(news)
}

/// Asks the store about the customers whose values it refused in this run, and notes those that it has no more.
pub(super) async fn look_for_missing(
    ports: Ports<'_>,
    push: &PushConfig,
    run_id: i64,
) -> Result<(), EngineError> {
    // What earlier runs left comes first, so that a run asks about no more customers than it found values refused.
    let rejected = ports.ledger.counts(run_id).await?.rejected;
    ask_about_refused(ports, push, run_id, usize::try_from(rejected).unwrap_or(0)).await
}

/// Asks the store about at most `most` customers of values that this run or an earlier one found to be refused, each once.
async fn ask_about_refused(
    ports: Ports<'_>,
    push: &PushConfig,
    run_id: i64,
    most: usize,
) -> Result<(), EngineError> {
    let mut left = most;
    while left > 0 {
        let limit = left.min(ASKED_AT_ONCE);
        // One more than is asked about tells whether a run is through: what is not noted to be so is looked for again.
        let mut refused = ports.ledger.unasked_customers(limit + 1).await?;
        let next = (refused.len() > limit).then(|| refused.pop()).flatten();
        let Some(last) = refused.last() else { return Ok(()) };
        left -= refused.len();
        let asked: BTreeSet<i64> = refused.iter().map(|refused| refused.customer_id).collect();
        let asked: Vec<i64> = asked.into_iter().collect();
        let found = match read_retry::repeat(push, || ports.destination.customers(&asked)).await {
            Ok(found) => found,
            Err(error) => {
                let answer = retry::headline(&error.0);
                tracing::warn!(
                    answer,
                    "could not ask whether the customers of refused values are still there; the next run asks"
                );
                return Ok(());
            }
        };
        let missing: Vec<i64> = asked.into_iter().filter(|id| !found.contains(id)).collect();
        if !missing.is_empty() {
            tracing::warn!(
                customers = missing.len(),
                "the store has no such customers any more; their values are set aside until they are back"
            );
            ports.ledger.note_customers(run_id, &missing, &[]).await?;
        }
        let more = next.is_some_and(|next| next.run_id == last.run_id);
        let through = more.then_some(last.customer_id);
        ports.ledger.note_asked(run_id, last.run_id, through).await?;
        if next.is_none() {
            return Ok(());
        }
    }
    Ok(())
}

fn known(listed: &[Attribute]) -> Vec<KnownAttribute> {
    let known = |attribute: &Attribute| KnownAttribute {
        id: attribute.id,
        name: attribute.name.clone(),
        kind: attribute.kind.clone(),
        gone: false,
    };
    listed.iter().map(known).collect()
}
