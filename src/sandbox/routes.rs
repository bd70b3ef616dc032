//! Finds the operation of a method, a path and a body.

use super::query::Query;
use super::request::{Operation, PutItem, Request};

/// The parts of an HTTP request that matter to the store.
pub(crate) struct Received<'a> {
    pub(crate) method: &'a str,
    pub(crate) path: &'a str,
    pub(crate) query: &'a str,
    pub(crate) token: Option<String>,
    pub(crate) content_type: Option<&'a str>,
    pub(crate) body: &'a [u8],
}

/// Reads a request as the store does.
pub(crate) fn route(received: Received<'_>) -> Request {
    let rest = received.path.strip_prefix("/stores/").unwrap_or_default();
    let (hash, resource) = rest.split_once("/v3/").unwrap_or_default();
    let operation = operation(&received, resource);
    Request { hash: hash.to_owned(), token: received.token, path: received.path.to_owned(), operation }
}

fn operation(received: &Received<'_>, resource: &str) -> Operation {
    let method = known_method(received.method);
    if received.path.ends_with('/') {
        return Operation::TrailingSlash;
    }
    let query = Query::parse(received.query);
    match (resource, method) {
        ("customers/attribute-values", "PUT") if !says_json(received.content_type) => {
            Operation::WrongContentType(method)
        }
        ("customers/attribute-values", "PUT") => Operation::PutValues(PutItem::read(received.body)),
        ("customers/attribute-values", "GET") => Operation::GetValues(query),
        ("customers/attribute-values", "DELETE") => Operation::DeleteValues(query),
        ("customers/attributes", "GET") => Operation::GetAttributes(query),
        ("customers", "GET") => Operation::GetCustomers(query),
        ("customers/attribute-values" | "customers/attributes" | "customers", _) => {
            Operation::WrongMethod(method)
        }
        _ => Operation::UnknownPath(method),
    }
}

fn says_json(content_type: Option<&str>) -> bool {
    let kind = content_type.unwrap_or_default().split(';').next().unwrap_or_default();
    kind.trim().eq_ignore_ascii_case("application/json")
}

fn known_method(method: &str) -> &'static str {
    ["GET", "PUT", "POST", "DELETE"].into_iter().find(|known| *known == method).unwrap_or("other")
}
