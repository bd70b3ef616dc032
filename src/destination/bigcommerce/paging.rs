//! Reads lists from the store: the paths of a list, and all its pages.
//!
//! A list proves which values do not exist, so its pages are read strictly: a page that repeats the page before it, or
//! has an item that cannot be read, is an error and never a shorter list.

use std::collections::BTreeSet;

use reqwest::Method;

use super::mask::Mask;
use super::transport::{PacedTransport, RawResponse};
use super::tree::Tree;
use super::wire::{self, Page};
use super::{problem, write_response};
use crate::destination::{Body, HttpResponse, LISTED_CUSTOMERS_MAX, ReadError, Response, ValueList};
use crate::record::Key;

/// Rows in a page: the API's maximum.
const LIMIT: usize = 250;

/// The most attributes of a store. BigCommerce allows 50, and allowed 100 once.
pub(super) const ATTRIBUTES_MAX: usize = 2_500;

/// Customers in one path. The API's own limit is not documented.
const CUSTOMERS_MAX: usize = LISTED_CUSTOMERS_MAX;

/// The longest path. With the API's address and the page's number, it stays below the limit of common gateways.
const PATH_MAX: usize = 1900;

/// Reads all pages of the list at `path`, which may have a query. The list has at most `most` items.
///
/// # Errors
/// The first response that is not a readable 200, a page of more items than were asked for, and a longer list.
pub(super) async fn all_pages<T: PartialEq>(
    transport: &PacedTransport,
    path: &str,
    most: usize,
    read: impl Fn(&Tree<'_>) -> Option<T>,
) -> Result<Vec<T>, ReadError> {
    let mut all: Vec<T> = Vec::new();
    let mut previous = 0..0;
    for number in 1_u64.. {
        let (items, is_last) = one_page(transport, path, number, &read).await?;
        if items.is_empty() {
            return Ok(all);
        }
        if all.len() + items.len() > most {
            break;
        }
        if items == all[previous] {
            return Err(invalid(format!("page {number} of the list repeats the page before it")));
        }
        previous = all.len()..all.len() + items.len();
        all.extend(items);
        if is_last {
            return Ok(all);
        }
    }
    Err(invalid(format!("the list has more than {most} items")))
}

/// Reads one page of the list at `path`. Returns its items, and whether no page follows. Without a number of pages in the
/// response, the last page is an empty one.
///
/// # Errors
/// The response is not a readable 200, or has more items than were asked for.
pub(super) async fn one_page<T>(
    transport: &PacedTransport,
    path: &str,
    number: u64,
    read: impl Fn(&Tree<'_>) -> Option<T>,
) -> Result<(Vec<T>, bool), ReadError> {
    let separator = if path.contains('?') { '&' } else { '?' };
    transport.acquire_permit().await;
    let path = format!("{path}{separator}limit={LIMIT}&page={number}");
    let received = transport.send(Method::GET, &path, None).await.map_err(ReadError)?;
    let page = readable(received, &transport.mask, &read)?;
    let count = page.items.len();
    if count > LIMIT {
        return Err(invalid(format!("page {number} of the list has {count} items; {LIMIT} were asked for")));
    }
    let is_last = count == 0 || page.total_pages.is_some_and(|total| total <= number);
    Ok((page.items, is_last))
}

/// The path of a list of values.
pub(super) fn list_path(values: &ValueList) -> String {
    let ValueList { filter, modified_since } = values;
    let mut filters = Vec::new();
    if !filter.customers.is_empty() {
        filters.push(format!("customer_id:in={}", list(&filter.customers)));
    }
    if !filter.attributes.is_empty() {
        filters.push(format!("attribute_id:in={}", list(&filter.attributes)));
    }
    filters.extend(
        modified_since.map(|since| format!("date_modified:min={}", since.format("%Y-%m-%dT%H:%M:%SZ"))),
    );
    match filters.as_slice() {
        [] => "/customers/attribute-values".to_owned(),
        filters => format!("/customers/attribute-values?{}", filters.join("&")),
    }
}

/// Reads the page of a 200, if every item can be read and no error is beside them.
fn readable<T>(
    received: RawResponse,
    mask: &Mask,
    read: impl Fn(&Tree<'_>) -> Option<T>,
) -> Result<Page<T>, ReadError> {
    let RawResponse { status, request_id, wait, redirect, text } = received;
    let body = if let Some(to) = redirect {
        Body::Redirect { to }
    } else if status == 200 {
        let errors = write_response::errors_beside_list(&text, mask);
        match wire::page(&text, read) {
            _ if !errors.is_empty() => Body::Problem { title: String::new(), errors },
            Some(page) if page.unread == 0 => return Ok(page),
            _ => problem::unreadable(&text, mask),
        }
    } else {
        problem::error_body(status, &text, mask)
    };
    Err(ReadError(Response::Received(HttpResponse { status, request_id, wait, body })))
}

/// The error for a 200 with a list that cannot be right.
fn invalid(text: String) -> ReadError {
    let body = Body::Invalid(text);
    ReadError(Response::Received(HttpResponse { status: 200, request_id: None, wait: None, body }))
}

/// Returns the paths that together read these keys, each with the largest number of rows of its list. A path reads every
/// named attribute of every named customer, so its list may have rows of other keys. A row may be there twice.
pub(super) fn value_paths(keys: &BTreeSet<Key>) -> Vec<(String, usize)> {
    let mut paths: Vec<(String, usize)> = Vec::new();
    let (mut customers, mut attributes) = (BTreeSet::new(), BTreeSet::new());
    for key in keys {
        customers.insert(key.customer_id);
        attributes.insert(key.attribute_id);
        let path = value_path(&customers, &attributes);
        match paths.last_mut() {
            Some(last) if customers.len() <= CUSTOMERS_MAX && path.0.len() <= PATH_MAX => *last = path,
            _ => {
                (customers, attributes) = ([key.customer_id].into(), [key.attribute_id].into());
                paths.push(value_path(&customers, &attributes));
            }
        }
    }
    paths
}

fn value_path(customers: &BTreeSet<i64>, attributes: &BTreeSet<i64>) -> (String, usize) {
    let most = 2 * customers.len() * attributes.len();
    let (customers, attributes) = (list(customers), list(attributes));
    (format!("/customers/attribute-values?customer_id:in={customers}&attribute_id:in={attributes}"), most)
}

/// Returns the paths that together read these customers, each with the largest number of rows of its list.
pub(super) fn customer_paths(ids: &BTreeSet<i64>) -> Vec<(String, usize)> {
    let ids: Vec<_> = ids.iter().copied().collect();
    ids.chunks(CUSTOMERS_MAX).map(|ids| (format!("/customers?id:in={}", list(ids)), 2 * ids.len())).collect()
}

/// How many customers may have the same address. A store promises one.
const CUSTOMERS_OF_ADDRESS_MAX: usize = 20;

/// Returns the paths that together read the customers with these addresses, each with the largest number of rows of its list.
pub(super) fn email_paths(addresses: &BTreeSet<&str>) -> Vec<(String, usize)> {
    const PATH: &str = "/customers?email:in=";
    let mut paths: Vec<(String, usize)> = Vec::new();
    for address in addresses {
        let encoded: String = url::form_urlencoded::byte_serialize(address.as_bytes()).collect();
        match paths.last_mut() {
            Some((path, most))
                if *most < CUSTOMERS_MAX * CUSTOMERS_OF_ADDRESS_MAX
                    && path.len() + 1 + encoded.len() <= PATH_MAX =>
            {
                *path += &format!(",{encoded}");
                *most += CUSTOMERS_OF_ADDRESS_MAX;
            }
            _ => paths.push((format!("{PATH}{encoded}"), CUSTOMERS_OF_ADDRESS_MAX)),
        }
    }
    paths
}

fn list<'a>(ids: impl IntoIterator<Item = &'a i64>) -> String {
    ids.into_iter().map(i64::to_string).collect::<Vec<_>>().join(",")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_encoded_and_share_requests_of_bounded_length() {
        let paths = |addresses: &[&str]| email_paths(&addresses.iter().copied().collect());
        let path = &paths(&["o'neil+tag&x=1%@example.com", "größe@example.com"])[0].0;
        let expect =
            "/customers?email:in=gr%C3%B6%C3%9Fe%40example.com,o%27neil%2Btag%26x%3D1%25%40example.com";
        assert_eq!(path, expect);
        let short: Vec<String> = (0..81).map(|n| format!("{n}@b.cd")).collect();
        let short: Vec<&str> = short.iter().map(String::as_str).collect();
        assert_eq!(paths(&short).len(), 3, "40 addresses a request");
        let long: Vec<String> = (0..40).map(|n| format!("{}{n}@example.com", "é".repeat(200))).collect();
        let long: Vec<&str> = long.iter().map(String::as_str).collect();
        let paths = paths(&long);
        assert_eq!(paths.len(), 40, "an address of 1,200 bytes alone");
        assert!(paths.iter().all(|(path, _)| path.len() <= PATH_MAX));
    }
}
