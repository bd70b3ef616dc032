//! The customers of e-mail addresses, once for both databases.

use std::collections::BTreeMap;

use async_trait::async_trait;

use super::Result;
use super::cells::{Cells, unexpected};
use super::cold_readings::{OverSql, rows_of};
use super::emails::{EmailReader, Emails};
use super::row_digest::row_digest;
use super::sql::{Fence, Param, Rows, Statement, statement};
use crate::record::{EmailCustomer, EmailHash, EmailState};

/// The columns of an [`EmailCustomer`].
macro_rules! emails {
    () => {
        "select email_sha256, customer_id, state, resolved_at from email_customers where store_id = $1"
    };
}

const EMAILS_AFTER: &str = concat!(emails!(), " and email_sha256 > $2 order by email_sha256 limit $3");

const INSERT_EMAILS: &str = "
    insert into email_customers (store_id, email_sha256, customer_id, state, resolved_at, row_digest) values";

const REPLACE_EMAILS: &str = "
    on conflict (store_id, email_sha256) do update set
        customer_id = excluded.customer_id, state = excluded.state, resolved_at = excluded.resolved_at,
        row_digest = excluded.row_digest";

const COUNT_EMAILS: &str = "update stores set email_customers = email_customers + $2 where id = $1";

pub(super) async fn emails_after(
    session: &dyn Rows,
    store_id: i64,
    after: &str,
    limit: usize,
) -> Result<Vec<EmailCustomer>> {
    let limit = i64::try_from(limit).unwrap_or(i64::MAX);
    read(session, statement!(EMAILS_AFTER, store_id, after, limit)).await
}

pub(super) async fn emails_of(
    session: &dyn Rows,
    store_id: i64,
    customers: &[i64],
) -> Result<Vec<EmailCustomer>> {
    read_listed(session, store_id, "customer_id", customers.iter().map(|id| Param::from(*id)).collect()).await
}

/// Reads the rows that have one of these values in a column.
async fn read_listed(
    session: &dyn Rows,
    store_id: i64,
    column: &str,
    values: Vec<Param>,
) -> Result<Vec<EmailCustomer>> {
    if values.is_empty() {
        return Ok(Vec::new());
    }
    let numbers: Vec<String> = (2..values.len() + 2).map(|number| format!("${number}")).collect();
    let sql = format!("{} and {column} in ({}) order by email_sha256", emails!(), numbers.join(", "));
    let params = std::iter::once(Param::from(store_id)).chain(values).collect();
    read(session, Statement { sql: sql.into(), params }).await
}

async fn read(session: &dyn Rows, statement: Statement) -> Result<Vec<EmailCustomer>> {
    let rows = session.rows("read the customers of e-mail addresses", statement).await?;
    rows.into_iter().map(|row| email_customer(&mut Cells::of(row))).collect()
}

fn email_customer(row: &mut Cells) -> Result<EmailCustomer> {
    Ok(EmailCustomer {
        hash: EmailHash::from_hex(&row.text()?).ok_or_else(|| unexpected("a SHA-256"))?,
        customer_id: row.maybe_int()?,
        state: EmailState::from_word(&row.text()?).ok_or_else(|| unexpected("a state of an address"))?,
        resolved_at: row.time()?,
    })
}

#[async_trait]
impl<T: OverSql> EmailReader for T {
    async fn emails_after(&self, after: &str, limit: usize) -> Result<Vec<EmailCustomer>> {
        emails_after(self.session(), self.store_id(), after, limit).await
    }

    async fn emails_of(&self, customers: &[i64]) -> Result<Vec<EmailCustomer>> {
        emails_of(self.session(), self.store_id(), customers).await
    }
}

#[async_trait]
impl<T: OverSql> Emails for T {
    async fn keep_emails(&self, run_id: i64, emails: &[EmailCustomer]) -> Result<()> {
        if emails.is_empty() {
            return Ok(());
        }
        let (session, store_id) = (self.session(), self.store_id());
        let hashes = emails.iter().map(|email| Param::from(email.hash.to_string().as_str())).collect();
        let known = read_listed(session, store_id, "email_sha256", hashes).await?;
        let customers = found_customers(emails);
        let others = emails_of(session, store_id, &customers).await?;
        let kept = kept(emails, &known, others);
        let added = i64::try_from(emails.len() - known.len()).unwrap_or(i64::MAX);
        let steps = vec![rows(store_id, kept.values()), statement!(COUNT_EMAILS, store_id, added)];
        let doing = "keep the customers of e-mail addresses";
        session.write(doing, Some(Fence { store_id, run_id }), steps).await.map(drop)
    }
}

/// The customers that were found.
pub(crate) fn found_customers(emails: &[EmailCustomer]) -> Vec<i64> {
    let found = emails.iter().filter(|email| email.state == EmailState::Found);
    found.filter_map(|email| email.customer_id).collect()
}

/// Returns the rows that [`Emails::keep_emails`] writes. `known` are the rows of the same addresses, `others` those of the
/// customers that were found.
pub(crate) fn kept(
    emails: &[EmailCustomer],
    known: &[EmailCustomer],
    others: Vec<EmailCustomer>,
) -> BTreeMap<EmailHash, EmailCustomer> {
    let mut kept: BTreeMap<EmailHash, EmailCustomer> = BTreeMap::new();
    for other in others {
        let unknown = EmailCustomer { customer_id: None, state: EmailState::Unknown, ..other };
        kept.insert(unknown.hash, unknown);
    }
    let found = found_customers(emails);
    for email in emails {
        let before = known.iter().find(|known| known.hash == email.hash).and_then(|known| known.customer_id);
        let before = before.filter(|before| !found.contains(before));
        kept.insert(email.hash, EmailCustomer { customer_id: email.customer_id.or(before), ..email.clone() });
    }
    kept
}

fn rows<'a>(store_id: i64, emails: impl ExactSizeIterator<Item = &'a EmailCustomer>) -> Statement {
    let list = rows_of("$1, ", 1, 5, emails.len());
    let mut params = vec![Param::from(store_id)];
    for EmailCustomer { hash, customer_id, state, resolved_at } in emails {
        let (hash, state) = (hash.to_string(), state.as_str());
        let digest = row_digest!(store_id, hash.as_str(), *customer_id, state, *resolved_at);
        params.extend([Param::from(hash.as_str()), (*customer_id).into(), state.into()]);
        params.extend([Param::from(*resolved_at), digest.as_str().into()]);
    }
    Statement { sql: format!("{INSERT_EMAILS} {list} {REPLACE_EMAILS}").into(), params }
}
