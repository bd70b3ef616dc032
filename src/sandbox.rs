//! BigCommerce as plain state: a model, its faults, an in-process destination, an HTTP server.
//!
//! The [`Model`] is the store: customers, attributes, values, quota, slots, and a log of every request that reached
//! it. It does no I/O and reads no clock. [`SandboxDestination`](crate::testing::sandbox_destination::SandboxDestination) puts it behind the port that the engine knows;
//! [`Server`] puts it behind HTTP, so that a store can be rehearsed with before the real one is touched.
//!
//! The server speaks the API's own paths under `/stores/{hash}/v3` (`customers`, `customers/attributes`,
//! `customers/attribute-values`) and, for whoever rehearses, a control surface without a token:
//!
//! | request | does |
//! |---|---|
//! | `GET /_sandbox/state` | values, attributes, counts of requests; `?values=0` leaves the values out |
//! | `POST /_sandbox/faults` | changes faults and switches: `{"lost": 0.1, "script": ["reset", "none", "429"], "revoked": true}`; `{"heal": true}` ends them all |
//! | `POST /_sandbox/reset-log` | forgets the requests seen so far |
//! | `POST /_sandbox/values` | edits values as somebody else: `[{"customer_id": 1, "attribute_id": 2, "value": "x"}]`; `null` removes |
//! | `POST /_sandbox/customers` | `{"delete": [1, 2], "add": [3]}` |
//! | `POST /_sandbox/attributes` | `{"delete": [1], "add": [{"id": 4, "name": "birthday", "type": "date"}]}` |
//!
//! The names of the faults are those of [`Fault`]; the switches are the keys of [`Orders`]. A value that contains
//! `!reject` is refused, one that contains `!poison` makes its whole batch answer 500.

// An answer is the error of a step that ends a request; it is made once a request, and boxing it would only add words.
#![allow(clippy::result_large_err)]

mod options;
mod faults;
mod quota;
mod query;
mod log;
mod response;
mod event_log;
mod model;
mod contents;
mod upsert;
mod listing;
mod fault_effects;
pub(crate) mod visit;
pub(crate) mod wire;
mod routes;
mod control;
mod server;

#[cfg(test)]
mod tests;

pub use control::{OrderError, Orders};
pub use event_log::Event;
pub use faults::{Fault, Faults, FaultsError};
pub use log::{Logged, Tally};
pub use model::{Admission, Call, Model, Request, Ticket};
pub use options::{
    AttributeSpec, Blame, Counting, Keeping, Limits, QuotaRule, RepeatedPair, Rules, SandboxOptions,
    SizeRefusal,
};
pub use query::Query;
pub use quota::Rate;
pub use response::{Answer, AttributeRow, Content, CustomerRow, Paging, Row};
pub(crate) use routes::{Received, route};
pub use server::{Server, ServerError};
pub use upsert::{PutItem, ShapeError};
