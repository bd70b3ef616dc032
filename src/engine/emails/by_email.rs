//! The rows of a source that names its customers by e-mail address, with the customers that the ledger knows.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;

use super::known::Known;
use crate::ledger::{EMAILS_AT_ONCE, EmailReader, LedgerError};
use crate::record::{
    AttributeNames, EmailCustomer, EmailState, Filter, SourceDigest, SourcePage, SourceRow, number_digits,
};
use crate::sorted_rows::{RowSorter, SortedRows};
use crate::source::{Addresses, Digested, Source, SourceError, SourcePages};

/// A source whose rows have customers in place of the numbers of addresses. The ledger is not written.
pub struct ByEmail<'a> {
    source: &'a dyn Source,
    /// `None` if there is no ledger yet.
    ledger: Option<&'a dyn EmailReader>,
    /// What was looked up and is not kept in the ledger, by number.
    looked_up: Mutex<BTreeMap<i64, EmailCustomer>>,
}

/// What the number of a row stands for.
enum Resolved {
    /// This customer.
    Customer(i64),
    /// None that a value may be sent to.
    None {
        /// The customer who had the address before: this one has the row, so that the value of this one is not taken for one
        /// whose row has left.
        before: Option<i64>,
        /// Why.
        reason: String,
        /// Whether the store said that no customer has the address.
        is_certain: bool,
    },
}

impl<'a> ByEmail<'a> {
    /// Returns the source with its customers. `None` if it names customers by their ids.
    #[must_use]
    pub fn over(source: &'a dyn Source, ledger: Option<&'a dyn EmailReader>) -> Option<Self> {
        source.addresses()?;
        Some(Self { source, ledger, looked_up: Mutex::default() })
    }

    /// Keeps what was looked up, for this source alone.
    pub(super) fn keep(&self, emails: Vec<EmailCustomer>) {
        self.looked_up().extend(emails.into_iter().map(|email| (email.hash.number(), email)));
    }

    fn looked_up(&self) -> MutexGuard<'_, BTreeMap<i64, EmailCustomer>> {
        self.looked_up.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Returns what is known of the addresses of these numbers.
    pub(super) async fn known(&self, numbers: &BTreeSet<i64>) -> Result<Vec<EmailCustomer>, LedgerError> {
        let (mut known, mut stream) = (Vec::new(), Known::new(self.ledger));
        for number in numbers {
            let looked_up = self.looked_up().get(number).cloned();
            match looked_up {
                Some(email) => known.push(email),
                None => known.extend_from_slice(stream.of(*number).await?),
            }
        }
        Ok(known)
    }

    /// Returns the numbers of customers.
    async fn numbers_of(&self, customers: &BTreeSet<i64>) -> Result<BTreeSet<i64>, LedgerError> {
        let ids: Vec<i64> = customers.iter().copied().collect();
        let mut numbers = BTreeSet::new();
        if let Some(ledger) = self.ledger {
            for ids in ids.chunks(EMAILS_AT_ONCE) {
                numbers.extend(ledger.emails_of(ids).await?.iter().map(|email| email.hash.number()));
            }
        }
        let looked_up = self.looked_up();
        let is_of = |email: &&EmailCustomer| email.customer_id.is_some_and(|id| customers.contains(&id));
        numbers.extend(looked_up.values().filter(is_of).map(|email| email.hash.number()));
        Ok(numbers)
    }

    /// Returns what is known of the addresses of a number.
    async fn resolve(&self, known: &mut Known<'_>, number: i64) -> Result<Resolved, LedgerError> {
        if let Some(email) = self.looked_up().get(&number) {
            return Ok(resolved(number, std::slice::from_ref(email)));
        }
        Ok(resolved(number, known.of(number).await?))
    }

    /// Reads all rows, gives them their customers, and sorts them.
    async fn sorted(&self, mut pages: Box<dyn SourcePages>) -> Result<Box<dyn SourcePages>, SourceError> {
        let (mut sorter, mut known) = (RowSorter::new(), Known::new(self.ledger));
        let (mut current, mut without_customer): (Option<(i64, Resolved)>, i64) = (None, 0);
        while let Some(page) = pages.next().await? {
            for row in (0..page.len()).map(|at| page.row(at)) {
                let Some(number) = row.customer_id else {
                    let row = SourceRow { value: None, problem: Some(NO_ADDRESS), ..row };
                    sorter.push(row).map_err(sorting)?;
                    continue;
                };
                let (_, resolved) = match current.take().filter(|(of, _)| *of == number) {
                    Some(known) => current.insert(known),
                    None => {
                        let resolved = self.resolve(&mut known, number).await.map_err(reading_ledger)?;
                        current.insert((number, resolved))
                    }
                };
                let row = match resolved {
                    Resolved::Customer(id) => SourceRow { customer_id: Some(*id), ..row },
                    Resolved::None { before, reason, is_certain } => {
                        without_customer += i64::from(*is_certain && before.is_none());
                        SourceRow { customer_id: *before, value: None, problem: Some(reason), ..row }
                    }
                };
                sorter.push(row).map_err(sorting)?;
            }
        }
        let (row_security, digest) = (pages.row_security(), pages.digest());
        let rows = sorter.finish().map_err(sorting)?;
        Ok(Box::new(SortedPages { rows, row_security, digest, without_customer }))
    }
}

const NO_ADDRESS: &str = "it has no e-mail address";

fn resolved(number: i64, known: &[EmailCustomer]) -> Resolved {
    let digits = number_digits(number);
    let (before, reason, is_certain) = match known {
        [EmailCustomer { customer_id: Some(id), state: EmailState::Found, .. }] => {
            return Resolved::Customer(*id);
        }
        [EmailCustomer { customer_id, state, .. }] => {
            let reason = match state {
                EmailState::Found | EmailState::Unknown => {
                    format!(
                        "no customer of the store has its e-mail address, whose SHA-256 begins with {digits}"
                    )
                }
                EmailState::Ambiguous => format!(
                    "several customers of the store have its e-mail address, whose SHA-256 begins with {digits}"
                ),
                EmailState::Malformed => format!(
                    "the store cannot be asked for its e-mail address, whose SHA-256 begins with {digits}"
                ),
            };
            (*customer_id, reason, *state != EmailState::Ambiguous)
        }
        [] => {
            let reason = format!(
                "its e-mail address, whose SHA-256 begins with {digits}, was not looked up in the store"
            );
            (None, reason, false)
        }
        _ => (None, format!("several e-mail addresses have a SHA-256 that begins with {digits}"), false),
    };
    Resolved::None { before, reason, is_certain }
}

fn sorting(error: io::Error) -> SourceError {
    SourceError::NotInOrder {
        doing: "failed to write or read the file in which they are sorted",
        source: error.into(),
    }
}

fn reading_ledger(error: LedgerError) -> SourceError {
    SourceError::NotInOrder { doing: "failed to read the customers from the ledger", source: error.into() }
}

#[async_trait]
impl Source for ByEmail<'_> {
    fn give_up_after(&self) -> Duration {
        self.source.give_up_after()
    }

    async fn read(
        &self,
        filter: &Filter,
        names: &AttributeNames,
    ) -> Result<Box<dyn SourcePages>, SourceError> {
        self.read_within(filter, names, self.give_up_after()).await
    }

    async fn read_within(
        &self,
        filter: &Filter,
        names: &AttributeNames,
        lock_wait: Duration,
    ) -> Result<Box<dyn SourcePages>, SourceError> {
        let customers = self.numbers_of(&filter.customers).await.map_err(reading_ledger)?;
        if customers.is_empty() && !filter.customers.is_empty() {
            // None of them has an address. Without a number, the filter would let every row through.
            let rows = RowSorter::new().finish().map_err(sorting)?;
            return Ok(Box::new(SortedPages { rows, row_security: None, digest: None, without_customer: 0 }));
        }
        let filter = Filter { customers, attributes: filter.attributes.clone() };
        let pages = self.source.read_within(&filter, names, lock_wait).await?;
        self.sorted(pages).await
    }

    /// The digest is that of rows with numbers: what the addresses resolve to is looked up by runs that read the rows, once a day
    /// at least.
    async fn digest(&self, names: &AttributeNames) -> Result<Option<Digested>, SourceError> {
        self.source.digest(names).await
    }

    fn addresses(&self) -> Option<&dyn Addresses> {
        self.source.addresses()
    }
}

/// The sorted rows. The snapshot is closed.
struct SortedPages {
    rows: SortedRows,
    row_security: Option<String>,
    digest: Option<SourceDigest>,
    without_customer: i64,
}

#[async_trait]
impl SourcePages for SortedPages {
    async fn next(&mut self) -> Result<Option<SourcePage>, SourceError> {
        self.rows.next_page().map_err(sorting)
    }

    fn row_security(&self) -> Option<String> {
        self.row_security.clone()
    }

    fn digest(&self) -> Option<SourceDigest> {
        self.digest.clone()
    }

    fn without_customer(&self) -> i64 {
        self.without_customer
    }
}
