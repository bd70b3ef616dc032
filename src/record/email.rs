//! E-mail addresses by which a source names customers. An address is only known by its SHA-256: it is kept nowhere.

use std::fmt;

use chrono::{DateTime, TimeDelta, Utc};
use sha2::{Digest as _, Sha256};

use super::words::words;

/// How many hexadecimal digits of an address's SHA-256 make its number.
const NUMBER_DIGITS: usize = 15;

/// The longest address that a store has, in characters.
const ADDRESS_MAX: usize = 250;

/// How long the customer of an address is known at least. After that, a share of the addresses is looked up again each
/// night, because a customer may change the address.
const FOUND_FOR: TimeDelta = TimeDelta::days(15);

/// In how many nights all addresses are looked up again.
const SPREAD_DAYS: i64 = 16;

/// How long an address without a customer is not looked up again: less than from one night to the next.
const NOT_FOUND_FOR: TimeDelta = TimeDelta::hours(20);

/// The SHA-256 of an e-mail address in lower case and without blanks around it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct EmailHash([u8; 32]);

impl EmailHash {
    /// Returns that of an address as a person writes it.
    #[must_use]
    pub fn of(address: &str) -> Self {
        Self::of_normalised(&normalised(address))
    }

    /// Returns that of an address that is in lower case and has no blanks around it.
    #[must_use]
    pub fn of_normalised(address: &str) -> Self {
        Self(Sha256::digest(address.as_bytes()).into())
    }

    /// Reads 64 hexadecimal digits.
    #[must_use]
    pub fn from_hex(text: &str) -> Option<Self> {
        let mut bytes = [0; 32];
        if text.len() != 64 || !text.bytes().all(|digit| matches!(digit, b'0'..=b'9' | b'a'..=b'f')) {
            return None;
        }
        for (at, byte) in bytes.iter_mut().enumerate() {
            *byte = u8::from_str_radix(text.get(2 * at..2 * at + 2)?, 16).ok()?;
        }
        Some(Self(bytes))
    }

    /// The number that stands for the address in rows of the source: the first [`NUMBER_DIGITS`] digits. Numbers have the order
    /// of the hashes.
    #[must_use]
    pub fn number(&self) -> i64 {
        let first = self.0.first_chunk().map_or(0, |first| u64::from_be_bytes(*first));
        (first >> 4).cast_signed()
    }
}

impl fmt::Display for EmailHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

/// Returns the digits of a number, with which the hashes of its addresses begin.
#[must_use]
pub fn number_digits(number: i64) -> String {
    format!("{number:0NUMBER_DIGITS$x}")
}

/// Returns an address as it is hashed and compared.
#[must_use]
pub fn normalised(address: &str) -> String {
    address.trim().to_lowercase()
}

/// Returns whether the store can be asked for an address: one with a comma would be a list of two.
#[must_use]
pub fn is_askable(address: &str) -> bool {
    let has_parts = address.split_once('@').is_some_and(|(name, host)| !name.is_empty() && !host.is_empty());
    let is_plain = !address.contains(|c: char| c == ',' || c.is_whitespace() || c.is_control());
    has_parts && is_plain && address.chars().count() <= ADDRESS_MAX
}

words! {
    /// What the store said of an e-mail address when it was last looked up.
    EmailState {
        /// One customer has it.
        Found = "found",
        /// No customer has it.
        Unknown = "unknown",
        /// Several customers have it.
        Ambiguous = "ambiguous",
        /// The store cannot be asked for it, or refused to be.
        Malformed = "malformed",
    }
}

/// The customer of an e-mail address, as far as it is known.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EmailCustomer {
    /// The address.
    pub hash: EmailHash,
    /// The customer; if the address is not `found`, the customer who had it before.
    pub customer_id: Option<i64>,
    /// What the store said.
    pub state: EmailState,
    /// When it was looked up.
    pub resolved_at: DateTime<Utc>,
}

impl EmailCustomer {
    /// Whether it is to be looked up again.
    #[must_use]
    pub fn is_due(&self, now: DateTime<Utc>) -> bool {
        let stands_for = match self.state {
            EmailState::Found => FOUND_FOR + TimeDelta::days(self.hash.number() % SPREAD_DAYS),
            EmailState::Unknown | EmailState::Ambiguous | EmailState::Malformed => NOT_FOUND_FOR,
        };
        // A time after now means that the clock was set back.
        !(TimeDelta::zero()..stands_for).contains(&(now - self.resolved_at))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_has_the_hash_of_its_lower_case() {
        let hash = EmailHash::of(" Jane.Doe@Example.COM ");
        assert_eq!(hash, EmailHash::of_normalised("jane.doe@example.com"));
        // printf %s jane.doe@example.com | sha256sum
        let digits = "86e0b9e56c17cc4d12387e1949b85053fbe73bc3ce5a1188713a9d300cc6133d";
        assert_eq!(hash.to_string(), digits);
        assert_eq!(EmailHash::from_hex(digits), Some(hash));
        assert_eq!(number_digits(hash.number()), digits[..NUMBER_DIGITS]);
        for wrong in
            ["", &digits[1..], &digits.to_uppercase(), &format!("{digits}0"), &digits.replace('8', "é")]
        {
            assert_eq!(EmailHash::from_hex(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn numbers_have_the_order_of_hashes() {
        let mut hashes: Vec<EmailHash> = (0..1_000).map(|n| EmailHash::of(&n.to_string())).collect();
        hashes.sort_unstable();
        assert!(hashes.is_sorted_by_key(EmailHash::number) && hashes.is_sorted_by_key(EmailHash::to_string));
        assert!(hashes.iter().all(|hash| hash.to_string().starts_with(&number_digits(hash.number()))));
    }

    #[test]
    fn an_address_that_is_none_is_not_asked_for() {
        let longest = format!("{}@b", "é".repeat(248));
        for good in ["a@b", "o'neil+tag@example.com", &longest] {
            assert!(is_askable(good), "{good}");
        }
        for bad in ["", "a", "@b", "a@", "a,b@c", "a b@c", "a@b\u{0}", &format!("x{longest}")] {
            assert!(!is_askable(bad), "{bad}");
        }
    }

    #[test]
    fn found_addresses_are_due_on_different_nights_and_others_every_night() {
        let at = DateTime::UNIX_EPOCH;
        let of = |n: i32, state| EmailCustomer {
            hash: EmailHash::of(&n.to_string()),
            customer_id: Some(1),
            state,
            resolved_at: at,
        };
        let due =
            |days, state| (0..1_600).filter(|n| of(*n, state).is_due(at + TimeDelta::days(days))).count();
        assert_eq!((due(0, EmailState::Found), due(14, EmailState::Found)), (0, 0));
        assert!((50..200).contains(&due(15, EmailState::Found)));
        assert_eq!(due(30, EmailState::Found), 1_600);
        assert_eq!((due(1, EmailState::Unknown), due(0, EmailState::Ambiguous)), (1_600, 0));
        assert!(of(1, EmailState::Found).is_due(at - TimeDelta::seconds(1)), "the clock was set back");
    }
}
