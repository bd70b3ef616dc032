//! Sources that name their customers by e-mail address.
//!
//! `look_up` asks the store for the customers of addresses that the ledger does not know, or not well enough any more, and keeps
//! them in the ledger. Afterwards [`ByEmail`] reads the rows, which have numbers in place of customers, gives them the customers
//! that the ledger knows, and brings them in the order of these. `selection` finds the customers that a person named.

mod by_email;
mod known;
mod look_up;
mod selection;

pub use self::by_email::ByEmail;
pub(super) use self::look_up::{Kept, LookUp, look_up};
pub(super) use self::selection::{require_selected, select};
