//! The customers that a person named for a run, by id or by e-mail address.

use std::collections::BTreeSet;

use super::by_email::ByEmail;
use super::look_up::{Kept, LookUp, look_up};
use crate::engine::ports::{EngineError, Options};
use crate::ledger::{EMAILS_AT_ONCE, EmailReader};
use crate::record::{EmailCustomer, EmailHash, Filter, number_digits};
use crate::source::Source;

/// Checks the customers that were named, before a run is opened: a wrong name is no failure of the sync.
///
/// # Errors
/// The source or the ledger does not know a customer as it was named.
pub(crate) async fn require_selected(
    source: &dyn Source,
    ledger: Option<&dyn EmailReader>,
    options: &Options,
) -> Result<(), EngineError> {
    if source.addresses().is_some() {
        return selected_numbers(ledger, options).await.map(drop);
    }
    match options.emails.is_empty() {
        true => Ok(()),
        false => Err(EngineError::Customers {
            problem: "a customer was named by an e-mail address, and the source names customers by their ids"
                .to_owned(),
            hint:
                "name the customer by the store's id; [source.columns] email is for a source with addresses"
                    .to_owned(),
        }),
    }
}

/// Looks up the customers that were named, if any were, and adds those that were named by address to the filter.
///
/// # Errors
/// A customer has no address, or an address no customer; and what could not be read or kept.
pub(crate) async fn select(
    with: LookUp<'_>,
    source: &ByEmail<'_>,
    options: &Options,
    filter: &mut Filter,
    kept: Kept<'_>,
) -> Result<(), EngineError> {
    let ledger = with.ledger.map(|ledger| ledger as &dyn EmailReader);
    let numbers = selected_numbers(ledger, options).await?;
    if numbers.is_empty() {
        return Ok(());
    }
    look_up(with, &numbers, true, kept).await?;
    add_named(filter, options, &source.known(&numbers).await?)
}

/// Returns the numbers of the customers that were named; none if no customer was.
///
/// # Errors
/// The ledger knows no address of a customer: to read none of the rows would look as if they had left the source.
async fn selected_numbers(
    ledger: Option<&dyn EmailReader>,
    options: &Options,
) -> Result<BTreeSet<i64>, EngineError> {
    let mut numbers: BTreeSet<i64> = options.emails.iter().map(EmailHash::number).collect();
    let ids: Vec<i64> = options.filter.customers.iter().copied().collect();
    let mut known = Vec::new();
    if let Some(ledger) = ledger {
        for ids in ids.chunks(EMAILS_AT_ONCE) {
            known.extend(ledger.emails_of(ids).await?);
        }
    }
    let has_address = |id: &i64| known.iter().any(|email| email.customer_id == Some(*id));
    if let Some(id) = ids.iter().find(|id| !has_address(id)) {
        return Err(EngineError::Customers {
            problem: format!("the ledger knows no e-mail address of customer {id}"),
            hint: "name the customer by the e-mail address; a sync of all rows looks up the addresses of all customers"
                .to_owned(),
        });
    }
    numbers.extend(known.iter().map(|email| email.hash.number()));
    Ok(numbers)
}

/// Adds the customers of the addresses that were named. `known` are all that was looked up.
///
/// # Errors
/// An address has no customer: without any, the filter would let all customers through.
fn add_named(filter: &mut Filter, options: &Options, known: &[EmailCustomer]) -> Result<(), EngineError> {
    for hash in &options.emails {
        let found = known.iter().find(|known| known.hash == *hash);
        let digits = number_digits(hash.number());
        match found.map(|found| found.customer_id) {
            Some(Some(id)) => drop(filter.customers.insert(id)),
            Some(None) => {
                return Err(EngineError::Customers {
                    problem: format!(
                        "the store has no customer, or several, with the e-mail address whose SHA-256 begins with {digits}"
                    ),
                    hint: "check the address in the control panel; it is looked up again in each run"
                        .to_owned(),
                });
            }
            None => {
                return Err(EngineError::Customers {
                    problem: format!(
                        "neither the source nor the ledger has the e-mail address whose SHA-256 begins with {digits}"
                    ),
                    hint: "check the address that was named".to_owned(),
                });
            }
        }
    }
    Ok(())
}
