//! Tells people of a change of state, by a webhook, and a dead man's switch of every good sync, by a ping.
//!
//! What changed follows from the ledger: how the store stood before a run, and after it. So a restart tells nothing twice.
//! No notification has a customer's value.

mod body;
mod notification;
mod outbox;
mod sender;

pub use self::notification::{Event, Notification, Subject};
pub use self::outbox::Outbox;
pub use self::sender::{NotDelivered, NotifyError, Retries, Sender};
