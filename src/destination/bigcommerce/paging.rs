//! Reading from the store: which addresses to ask, and every page of what they give.
//!
//! A read decides whether a value is there or not, so it is strict where a write's answer is read leniently:
//! a page with an item that cannot be read, or that repeats the page before it, is an error, never less rows.

use std::collections::BTreeSet;

use reqwest::Method;

use super::client::{Client, RawResponse};
use super::pacing::Pacer;
use super::tree::Tree;
use super::wire::{self, Page};
use crate::destination::{Body, HttpResponse, ReadError, Response};
use crate::record::Key;

/// Rows a page: the most that the API is known to give.
const LIMIT: usize = 250;

/// No list that is asked for here has so many pages.
const PAGES_MAX: u64 = 100;

/// How many customers are asked for at once; the API's own limit is not documented.
const CUSTOMERS_MAX: usize = 40;

/// The longest address, below what gateways commonly take.
const ADDRESS_MAX: usize = 2000;

/// Room for `&limit=250&page=100`.
const PAGE_PART_MAX: usize = 24;

/// Reads all pages of the list at `path`, which may have a query already.
///
/// # Errors
/// The first reply that was not a readable 200.
pub(super) async fn all_pages<T: PartialEq>(
    client: &Client,
    pacer: &Pacer,
    path: &str,
    read: impl Fn(&Tree<'_>) -> Option<T>,
) -> Result<Vec<T>, ReadError> {
    let glue = if path.contains('?') { '&' } else { '?' };
    let mut all: Vec<T> = Vec::new();
    let mut previous = 0..0;
    for number in 1..=PAGES_MAX {
        pacer.ready().await;
        let path = format!("{path}{glue}limit={LIMIT}&page={number}");
        let received = client.call(pacer, Method::GET, &path, None).await.map_err(ReadError)?;
        let page = readable(received, &read)?;
        if page.items.is_empty() {
            return Ok(all);
        }
        if page.items == all[previous] {
            return Err(odd(format!("page {number} of the answer repeats the page before it")));
        }
        previous = all.len()..all.len() + page.items.len();
        all.extend(page.items);
        if page.total_pages.is_some_and(|total| total <= number) {
            return Ok(all);
        }
    }
    Err(odd(format!("the answer has more than {PAGES_MAX} pages")))
}

/// A 200 of which every item can be read.
fn readable<T>(received: RawResponse, read: impl Fn(&Tree<'_>) -> Option<T>) -> Result<Page<T>, ReadError> {
    let RawResponse { status, request_id, wait, text } = received;
    let body = if status == 200 {
        match wire::page(&text, read) {
            Some(page) if page.unread == 0 => return Ok(page),
            _ => wire::unreadable(&text),
        }
    } else {
        wire::refusal(&text)
    };
    Err(ReadError(Response::Received(HttpResponse { status, request_id, wait, body })))
}

/// A 200 that cannot be right.
fn odd(text: String) -> ReadError {
    let body = Body::Unreadable(text);
    ReadError(Response::Received(HttpResponse { status: 200, request_id: None, wait: None, body }))
}

/// The paths that together ask for these keys. Each asks for its customers' every attribute that it names, so
/// rows that nobody asked for may come too.
pub(super) fn value_paths(client: &Client, keys: &BTreeSet<Key>) -> Vec<String> {
    let mut paths = Vec::new();
    let (mut customers, mut attributes) = (BTreeSet::new(), BTreeSet::new());
    let mut room = 0;
    for key in keys {
        let costs = |ids: &BTreeSet<i64>, id: i64| {
            if ids.contains(&id) { 0 } else { id.to_string().len() + 1 }
        };
        let cost = costs(&customers, key.customer_id) + costs(&attributes, key.attribute_id);
        let full = customers.len() == CUSTOMERS_MAX && !customers.contains(&key.customer_id);
        if !customers.is_empty() && (full || cost > room) {
            paths.push(value_path(&customers, &attributes));
            customers.clear();
            attributes.clear();
        }
        if customers.is_empty() {
            let fixed = client.address_len(&value_path(&customers, &attributes)) + PAGE_PART_MAX;
            room = ADDRESS_MAX.saturating_sub(fixed);
        }
        room = room.saturating_sub(costs(&customers, key.customer_id) + costs(&attributes, key.attribute_id));
        customers.insert(key.customer_id);
        attributes.insert(key.attribute_id);
    }
    if !customers.is_empty() {
        paths.push(value_path(&customers, &attributes));
    }
    paths
}

fn value_path(customers: &BTreeSet<i64>, attributes: &BTreeSet<i64>) -> String {
    let (customers, attributes) = (list(customers), list(attributes));
    format!("/customers/attribute-values?customer_id:in={customers}&attribute_id:in={attributes}")
}

/// The paths that together ask for these customers.
pub(super) fn customer_paths(ids: &BTreeSet<i64>) -> Vec<String> {
    let ids: Vec<_> = ids.iter().copied().collect();
    ids.chunks(CUSTOMERS_MAX).map(|ids| format!("/customers?id:in={}", list(ids))).collect()
}

fn list<'a>(ids: impl IntoIterator<Item = &'a i64>) -> String {
    ids.into_iter().map(i64::to_string).collect::<Vec<_>>().join(",")
}
