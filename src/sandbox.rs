//! A simulator of a BigCommerce store.
//!
//! The [`Model`] is the store as plain state: customers, attributes, values, quota, slots, and a log of the requests.
//! It does no I/O and reads no clock. [`Server`] serves it over HTTP. In tests,
//! [`SandboxDestination`](crate::testing::sandbox_destination::SandboxDestination) serves it in the same process.
//!
//! The server has the API's paths under `/stores/{hash}/v3` (`customers`, `customers/attributes`,
//! `customers/attribute-values`) and a control surface that needs no token:
//!
//! | request | effect |
//! |---|---|
//! | `GET /_sandbox/state` | returns values, attributes and counts of requests; `?values=0` leaves the values out |
//! | `POST /_sandbox/faults` | sets faults and switches: `{"lost": 0.1, "script": ["reset", "none", "429"], "revoked": true}`; `{"heal": true}` ends them all |
//! | `POST /_sandbox/reset-log` | forgets the requests seen so far |
//! | `POST /_sandbox/values` | edits values as another app: `[{"customer_id": 1, "attribute_id": 2, "value": "x"}]`; `null` removes |
//! | `POST /_sandbox/emails` | `{"1": "jane@example.com"}`; customer 1 has `customer1@example.com` otherwise |
//! | `POST /_sandbox/customers` | `{"delete": [1, 2], "add": [3]}` |
//! | `POST /_sandbox/attributes` | `{"delete": [1], "add": [{"id": 4, "name": "birthday", "type": "date"}]}` |
//!
//! The names of the faults are those of [`Fault`]; the switches are the fields of [`FaultSettings`]. A value that
//! contains `!reject` is refused. A request with a value that contains `!poison` has a response of 500.

// A response is also the error of a step that ends a request. It is made once a request, so its size does not matter.
#![allow(clippy::result_large_err)]

mod options;
mod faults;
mod quota;
mod query;
mod log;
mod response;
mod request;
mod event_log;
mod clock;
mod model;
mod contents;
mod upsert;
mod delete;
mod listing;
mod fault_effects;
pub(crate) mod exchange;
pub(crate) mod wire;
mod routes;
mod control;
mod server;

#[cfg(test)]
mod tests;

pub use control::{ControlError, FaultSettings};
pub use event_log::Event;
pub use faults::{Fault, Faults, FaultsError};
pub use log::{Logged, Tally};
pub use model::{ActiveRequest, Admission, Model};
pub use options::{
    AttributeSpec, Blame, Counting, Keeping, Limits, QuotaRule, RepeatedPair, Rules, SandboxOptions,
    SizeRefusal,
};
pub use query::Query;
pub use quota::Rate;
pub use request::{Operation, PutItem, Request, ShapeError};
pub use response::{AttributeRow, Content, CustomerRow, Paging, Row, StoreResponse};
pub(crate) use routes::{Received, route};
pub use server::{Server, ServerError};
