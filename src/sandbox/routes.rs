//! From a method, a path and a body to what is asked for.

use super::model::{Call, Request};
use super::query::Query;
use super::upsert::PutItem;

/// The parts of an HTTP request that matter to the store.
pub(crate) struct Received<'a> {
    pub(crate) method: &'a str,
    pub(crate) path: &'a str,
    pub(crate) query: &'a str,
    pub(crate) token: Option<String>,
    pub(crate) content_type: Option<&'a str>,
    pub(crate) body: &'a [u8],
}

/// The request as the store sees it.
pub(crate) fn route(received: Received<'_>) -> Request {
    let rest = received.path.strip_prefix("/stores/").unwrap_or_default();
    let (hash, resource) = rest.split_once("/v3/").unwrap_or_default();
    let call = call(&received, resource);
    Request { hash: hash.to_owned(), token: received.token, path: received.path.to_owned(), call }
}

fn call(received: &Received<'_>, resource: &str) -> Call {
    let method = known_method(received.method);
    if received.path.ends_with('/') {
        return Call::TrailingSlash;
    }
    let query = Query::parse(received.query);
    match (resource, method) {
        ("customers/attribute-values", "PUT") if !says_json(received.content_type) => {
            Call::WrongContentType(method)
        }
        ("customers/attribute-values", "PUT") => Call::PutValues(PutItem::read(received.body)),
        ("customers/attribute-values", "GET") => Call::GetValues(query),
        ("customers/attribute-values", "DELETE") => Call::DeleteValues(query),
        ("customers/attributes", "GET") => Call::GetAttributes(query),
        ("customers", "GET") => Call::GetCustomers(query),
        ("customers/attribute-values" | "customers/attributes" | "customers", _) => Call::WrongMethod(method),
        _ => Call::Nowhere(method),
    }
}

fn says_json(content_type: Option<&str>) -> bool {
    let kind = content_type.unwrap_or_default().split(';').next().unwrap_or_default();
    kind.trim().eq_ignore_ascii_case("application/json")
}

fn known_method(method: &str) -> &'static str {
    ["GET", "PUT", "POST", "DELETE"].into_iter().find(|known| *known == method).unwrap_or("other")
}
