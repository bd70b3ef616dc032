//! A response before it is written as JSON.

use chrono::{DateTime, Utc};

use super::options::AttributeSpec;
use super::quota::Rate;
use crate::record::Key;

/// One value in a response.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Row {
    /// Its customer and attribute.
    pub key: Key,
    /// The value in the store's form.
    pub value: String,
    /// The value's id, unless the response leaves it out.
    pub id: Option<i64>,
    /// When the value was created.
    pub date_created: DateTime<Utc>,
    /// When it was last written.
    pub date_modified: DateTime<Utc>,
}

/// One attribute in a response.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AttributeRow {
    /// Its definition.
    pub spec: AttributeSpec,
    /// When it was defined; it never changes.
    pub date_created: DateTime<Utc>,
}

/// One customer in a response.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CustomerRow {
    /// Its id.
    pub id: i64,
    /// Its e-mail address.
    pub email: String,
    /// When it was created; it never changes.
    pub date_created: DateTime<Utc>,
}

/// The position of a page in its list.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Paging {
    /// Items in the whole list.
    pub total: usize,
    /// Items on this page.
    pub count: usize,
    /// The page's size.
    pub per_page: usize,
    /// The page's number, from 1.
    pub page: usize,
}

impl Paging {
    /// Pages in the whole list.
    #[must_use]
    pub fn pages(&self) -> usize {
        self.total.div_ceil(self.per_page.max(1))
    }
}

/// The content of a response's body.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Content {
    /// Attribute values. The response to a read is paged, the response to a write is not.
    Values(Vec<Row>, Option<Paging>),
    /// Attribute definitions.
    Attributes(Vec<AttributeRow>, Paging),
    /// Customers, by id.
    Customers(Vec<CustomerRow>, Paging),
    /// An error in the API's shape.
    Problem {
        /// Its title.
        title: String,
        /// The fields with their errors.
        errors: Vec<(String, String)>,
    },
    /// An error without fields, described by a sentence.
    Detailed {
        /// Its title.
        title: &'static str,
        /// The sentence.
        detail: &'static str,
    },
    /// A gateway's HTML page.
    Html(&'static str),
    /// Nothing.
    Empty,
}

/// A response of the store.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoreResponse {
    /// The HTTP status.
    pub status: u16,
    /// The store's id of the request.
    pub request_id: String,
    /// The rate headers. A gateway's response has none.
    pub rate: Option<Rate>,
    /// Seconds, in `X-Retry-After`.
    pub retry_after: Option<u64>,
    /// The body.
    pub content: Content,
}

impl StoreResponse {
    /// Makes a response without headers, which the model adds.
    pub(super) fn new(status: u16, content: Content) -> Self {
        Self { status, request_id: String::new(), rate: None, retry_after: None, content }
    }

    /// Makes an error in the API's shape.
    pub(super) fn problem(status: u16, title: &str, errors: Vec<(String, String)>) -> Self {
        Self::new(status, Content::Problem { title: title.to_owned(), errors })
    }
}

/// The result of a write.
pub(super) struct Written {
    /// The values as they are stored now, in the order of the request.
    pub(super) rows: Vec<Row>,
    /// The values that were stored before, in the same order.
    pub(super) before: Vec<Option<String>>,
}
