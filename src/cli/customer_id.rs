//! A customer on the command line: by id, or by e-mail address.

use crate::engine::Options;
use crate::record::EmailHash;

/// A customer as a person names it. The address itself is not kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum CustomerArg {
    /// By the store's id.
    Id(i64),
    /// By e-mail address.
    Email(EmailHash),
}

impl CustomerArg {
    /// Adds the customer to those of a run.
    pub(super) fn select(self, options: &mut Options) {
        match self {
            Self::Id(id) => drop(options.filter.customers.insert(id)),
            Self::Email(hash) => drop(options.emails.insert(hash)),
        }
    }
}

/// Parses an id or an address.
pub(super) fn customer(text: &str) -> Result<CustomerArg, String> {
    match text.contains('@') {
        true => Ok(CustomerArg::Email(EmailHash::of(text))),
        false => customer_id(text).map(CustomerArg::Id),
    }
}

/// Parses the id. The store's ids are positive 32-bit integers.
pub(super) fn customer_id(text: &str) -> Result<i64, String> {
    match text.parse::<i32>() {
        Ok(id) if id > 0 => Ok(i64::from(id)),
        _ => Err(format!("'{text}' is no customer id: write a number from 1 to {}", i32::MAX)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_customer_is_named_by_an_id_of_the_store_or_by_an_address() {
        assert_eq!(customer("2147483647"), Ok(CustomerArg::Id(2_147_483_647)));
        assert_eq!(customer("Jane@example.com"), Ok(CustomerArg::Email(EmailHash::of("jane@example.com"))));
        for wrong in ["abc", "12x", "0", "-1", "", "2147483648"] {
            let message = format!("'{wrong}' is no customer id: write a number from 1 to 2147483647");
            assert_eq!(customer(wrong), Err(message));
        }
    }
}
