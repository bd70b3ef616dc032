//! The customers of e-mail addresses in memory.

use async_trait::async_trait;

use super::MemoryLedger;
use crate::ledger::cold_emails::{found_customers, kept};
use crate::ledger::{EmailReader, Emails, Result};
use crate::record::EmailCustomer;

#[async_trait]
impl EmailReader for MemoryLedger {
    async fn emails_after(&self, after: &str, limit: usize) -> Result<Vec<EmailCustomer>> {
        let state = self.database.state();
        let of_store = state.emails.iter().filter(|((of, _), _)| *of == self.store).map(|(_, email)| email);
        Ok(of_store.filter(|email| email.hash.to_string().as_str() > after).take(limit).cloned().collect())
    }

    async fn emails_of(&self, customers: &[i64]) -> Result<Vec<EmailCustomer>> {
        let state = self.database.state();
        let of_store = state.emails.iter().filter(|((of, _), _)| *of == self.store).map(|(_, email)| email);
        let is_of = |email: &&EmailCustomer| email.customer_id.is_some_and(|id| customers.contains(&id));
        Ok(of_store.filter(is_of).cloned().collect())
    }
}

#[async_trait]
impl Emails for MemoryLedger {
    async fn keep_emails(&self, run_id: i64, emails: &[EmailCustomer]) -> Result<()> {
        const DOING: &str = "keep the customers of e-mail addresses";
        let others = self.emails_of(&found_customers(emails)).await?;
        let mut state = self.database.writable(DOING)?;
        state.owned(self.store, run_id, DOING)?;
        let known = emails.iter().filter_map(|email| state.emails.get(&(self.store, email.hash)).cloned());
        let known: Vec<EmailCustomer> = known.collect();
        for (hash, email) in kept(emails, &known, others) {
            state.emails.insert((self.store, hash), email);
        }
        Ok(())
    }
}
