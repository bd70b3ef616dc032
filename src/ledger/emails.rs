//! The port to the customers of e-mail addresses.

use async_trait::async_trait;

use super::error::Result;
use crate::record::EmailCustomer;

/// The most addresses that one call of [`Emails::keep_emails`] takes, and the most customers that one of
/// [`EmailReader::emails_of`] takes.
pub const EMAILS_AT_ONCE: usize = 1_000;

/// What is known of e-mail addresses. Reads only, and needs no lock.
#[async_trait]
pub trait EmailReader: Send + Sync {
    /// At most `limit` addresses in the order of their hashes: those whose hexadecimal digits come after `after`, which may
    /// be fewer digits than a hash has.
    async fn emails_after(&self, after: &str, limit: usize) -> Result<Vec<EmailCustomer>>;

    /// The addresses of these customers, in the order of their hashes: also those that the customers had before.
    async fn emails_of(&self, customers: &[i64]) -> Result<Vec<EmailCustomer>>;
}

/// What the write side keeps of e-mail addresses.
#[async_trait]
pub trait Emails: EmailReader {
    /// Keeps what was looked up, in place of what was known of the same addresses. `emails` has each address once. Fenced as
    /// in [`Ledger`](super::Ledger).
    ///
    /// A customer has one address: any other address of a customer who is found becomes unknown, without a customer. An
    /// address that is not found, and has no customer, keeps the customer that it had.
    async fn keep_emails(&self, run_id: i64, emails: &[EmailCustomer]) -> Result<()>;
}
