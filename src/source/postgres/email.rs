//! The expressions about customers by e-mail address: the numbers that stand for addresses in rows, and the distinct addresses.

use super::column::Column;
use super::sql::quoted;

/// The address of a row as it is hashed.
pub(super) fn normalised(email: &Column) -> String {
    format!("lower(trim(s.{}::text))", quoted(&email.name))
}

/// The number of an address: the first 15 digits of its SHA-256. `textsend` gives the bytes of the address as they are sent, and
/// fails for no text.
pub(super) fn number_of(address: &str) -> String {
    format!("('x0' || left(encode(sha256(textsend({address})), 'hex'), 15))::bit(64)::int8")
}

/// The subselect of the distinct addresses with the columns customer_id, which is the number, attribute_id and value. An address
/// that is too long for the store is cut, so that it is not transferred.
pub(super) fn rows(relation: &str, email: &Column) -> String {
    let (address, number) = (normalised(email), number_of("a.address"));
    format!(
        "(select {number} as customer_id, 1::int8 as attribute_id, left(a.address, 301) as value \
         from (select distinct {address} as address from {relation} as s) as a where a.address is not null)"
    )
}
