//! A request as it reaches the store, and how the body of a write is read.

use serde_json::Value;

use super::query::Query;
use super::response::{Content, StoreResponse};
use crate::record::Key;

/// The operation that a request asks for.
#[derive(Debug, Clone)]
pub enum Operation {
    /// `PUT /customers/attribute-values`, with its items or the error of its body.
    PutValues(Result<Vec<PutItem>, ShapeError>),
    /// `GET /customers/attribute-values`
    GetValues(Query),
    /// `DELETE /customers/attribute-values`
    DeleteValues(Query),
    /// `GET /customers/attributes`
    GetAttributes(Query),
    /// `GET /customers`
    GetCustomers(Query),
    /// A path with a slash at its end.
    TrailingSlash,
    /// A known path with a method that it does not have.
    WrongMethod(&'static str),
    /// A body whose content type is not JSON.
    WrongContentType(&'static str),
    /// An unknown path.
    UnknownPath(&'static str),
}

impl Operation {
    pub(super) fn method(&self) -> &'static str {
        match self {
            Self::PutValues(_) => "PUT",
            Self::DeleteValues(_) => "DELETE",
            Self::GetValues(_) | Self::GetAttributes(_) | Self::GetCustomers(_) | Self::TrailingSlash => {
                "GET"
            }
            Self::WrongMethod(method) | Self::WrongContentType(method) | Self::UnknownPath(method) => method,
        }
    }

    /// Whether it changes values. A write occupies a slot.
    pub(super) const fn is_write(&self) -> bool {
        matches!(self, Self::PutValues(_) | Self::DeleteValues(_))
    }

    pub(super) fn items(&self) -> &[PutItem] {
        match self {
            Self::PutValues(Ok(items)) => items,
            _ => &[],
        }
    }
}

/// A request as it reaches the store.
#[derive(Debug, Clone)]
pub struct Request {
    /// The store's hash, from the path.
    pub hash: String,
    /// The value of `X-Auth-Token`.
    pub token: Option<String>,
    /// The path, for the log.
    pub path: String,
    /// The operation.
    pub operation: Operation,
}

/// One item of a write.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PutItem {
    /// Its customer and attribute.
    pub key: Key,
    /// The value.
    pub value: String,
}

/// A body that is not a list of items.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ShapeError {
    /// It is not JSON.
    #[error("the body is not JSON")]
    Syntax,
    /// A field is missing or of the wrong type. The API names the field, but not the item.
    #[error("{field}: {error}")]
    Field {
        /// The field.
        field: &'static str,
        /// The API's word for the error.
        error: &'static str,
    },
}

impl ShapeError {
    fn field(field: &'static str, error: &'static str) -> Self {
        Self::Field { field, error }
    }

    /// The API's response.
    pub(super) fn response(&self) -> StoreResponse {
        match *self {
            Self::Syntax => StoreResponse::new(
                400,
                Content::Detailed { title: "Input is invalid", detail: "Syntax error" },
            ),
            Self::Field { field, error } => {
                let errors = vec![(field.to_owned(), error.to_owned())];
                StoreResponse::problem(422, "JSON data is missing or invalid", errors)
            }
        }
    }
}

impl PutItem {
    /// Reads the body of a write.
    ///
    /// # Errors
    /// The first error that the API would report.
    pub fn read(body: &[u8]) -> Result<Vec<Self>, ShapeError> {
        let json: Value = serde_json::from_slice(body).map_err(|_| ShapeError::Syntax)?;
        let Value::Array(items) = json else {
            return Err(ShapeError::field("obj", "error.expected.jsarray"));
        };
        items.iter().map(Self::read_item).collect()
    }

    fn read_item(json: &Value) -> Result<Self, ShapeError> {
        let Value::Object(fields) = json else {
            return Err(ShapeError::field("obj", "error.expected.jsobject"));
        };
        let present = |field: &'static str| {
            fields.get(field).ok_or_else(|| ShapeError::field(field, "error.path.missing"))
        };
        let id = |field: &'static str| {
            present(field)?.as_i64().ok_or_else(|| ShapeError::field(field, "error.expected.jsnumber"))
        };
        // A value's own id is accepted. The API's description does not say what it does.
        if fields.contains_key("id") && i32::try_from(id("id")?).is_err() {
            return Err(ShapeError::field("id", "error.expected.int"));
        }
        let key = Key::new(id("customer_id")?, id("attribute_id")?);
        let value = present("value")?.as_str();
        let value = value.ok_or_else(|| ShapeError::field("value", "error.expected.jsstring"))?;
        Ok(Self { key, value: value.to_owned() })
    }
}
