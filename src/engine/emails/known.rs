//! What the ledger knows of addresses, read side by side with numbers in rising order.

use std::collections::VecDeque;

use crate::ledger::{EmailReader, Result};
use crate::record::{EmailCustomer, number_digits};

/// How many addresses are read at once.
const PAGE: usize = 2_000;

/// A stream of what the ledger knows.
pub(super) struct Known<'a> {
    /// `None` if there is no ledger yet.
    ledger: Option<&'a dyn EmailReader>,
    page: VecDeque<EmailCustomer>,
    /// The digits of the last address that was read.
    last: String,
    ended: bool,
    /// The addresses of the number that was looked at last.
    of_number: (i64, Vec<EmailCustomer>),
}

impl<'a> Known<'a> {
    pub(super) fn new(ledger: Option<&'a dyn EmailReader>) -> Self {
        let ended = ledger.is_none();
        Self { ledger, page: VecDeque::new(), last: String::new(), ended, of_number: (-1, Vec::new()) }
    }

    /// Returns the known addresses of a number. Numbers come in rising order.
    pub(super) async fn of(&mut self, number: i64) -> Result<&[EmailCustomer]> {
        if self.of_number.0 != number {
            self.of_number = (number, Vec::new());
            while let Some(next) = self.next_up_to(number).await? {
                if next.hash.number() == number {
                    self.of_number.1.push(next);
                }
            }
        }
        Ok(&self.of_number.1)
    }

    /// Takes the next address whose number is not greater than this one.
    async fn next_up_to(&mut self, number: i64) -> Result<Option<EmailCustomer>> {
        if self.page.is_empty() && !self.ended {
            let after = std::mem::take(&mut self.last).max(number_digits(number));
            if let Some(ledger) = self.ledger {
                self.page = ledger.emails_after(&after, PAGE).await?.into();
            }
            self.ended = self.page.len() < PAGE;
            self.last = self.page.iter().next_back().map_or(after, |last| last.hash.to_string());
        }
        Ok(self.page.pop_front_if(|next| next.hash.number() <= number))
    }
}
