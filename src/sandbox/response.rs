//! An answer before it is put on a wire: what both the in-process destination and the HTTP server deliver.

use chrono::{DateTime, Utc};

use super::options::AttributeSpec;
use super::quota::Rate;
use crate::record::Key;

/// One value as an answer shows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Row {
    /// KeyScope value.
    pub key: Key,
    /// The value in the store's form.
    pub value: String,
    /// The value's id, unless the answer leaves it out.
    pub id: Option<i64>,
    /// When the value was made.
    pub date_created: DateTime<Utc>,
    /// When it was last written.
    pub date_modified: DateTime<Utc>,
}

/// One attribute as an answer shows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AttributeRow {
    /// Its definition.
    pub spec: AttributeSpec,
    /// When it was defined; it never changes.
    pub date_created: DateTime<Utc>,
}

/// One customer as an answer shows it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CustomerRow {
    /// Its id.
    pub id: i64,
    /// Since when the store has it; it never changes.
    pub date_created: DateTime<Utc>,
}

/// Which part of a list a page is.
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

/// What an answer's body has in it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Content {
    /// Attribute values; paged when they were read, not when they were written.
    Values(Vec<Row>, Option<Paging>),
    /// Attribute definitions.
    Attributes(Vec<AttributeRow>, Paging),
    /// Customers, by id.
    Customers(Vec<CustomerRow>, Paging),
    /// An error in the API's shape.
    Problem {
        /// Its title.
        title: String,
        /// Which field is wrong, and how.
        errors: Vec<(String, String)>,
    },
    /// An error that is about no field, told in a sentence.
    Detailed {
        /// Its title.
        title: &'static str,
        /// The sentence.
        detail: &'static str,
    },
    /// A page of a gateway.
    Html(&'static str),
    /// Nothing.
    Empty,
}

/// An answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    /// The HTTP status.
    pub status: u16,
    /// The store's id of the request.
    pub request_id: String,
    /// The rate headers; a gateway's answers have none.
    pub rate: Option<Rate>,
    /// Seconds, in `X-Retry-After`.
    pub retry_after: Option<u64>,
    /// The body.
    pub content: Content,
}

impl Answer {
    /// An answer without headers; those are added where it leaves the model.
    pub(super) fn new(status: u16, content: Content) -> Self {
        Self { status, request_id: String::new(), rate: None, retry_after: None, content }
    }

    pub(super) fn problem(status: u16, title: &str, errors: Vec<(String, String)>) -> Self {
        Self::new(status, Content::Problem { title: title.to_owned(), errors })
    }
}
