//! The sandbox behind the engine's port, without a wire: tokio's time, so that hours pass at once where it is paused.
//!
//! It behaves as a careful client of the real service would: it waits for the rate quota, leaves a reserve to others,
//! and gives up on an answer after the time-out, whatever the store goes on doing.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use tokio::time::{Instant, sleep_until, timeout};

use super::model::{Call, Model, Request};
use super::query::Query;
use super::response::{Answer, AttributeRow, Content, Paging, Row};
use super::upsert::PutItem;
use super::visit::{Clock, Delivery, Shared, locked, visit};
use crate::destination::{
    Attribute, Body, Destination, Echo, HttpResponse as Told, Item, ReadError, Response,
};
use crate::record::Key;

/// At most so many customers are named in a read.
const IDS_PER_READ: usize = 40;
const PAGE: usize = 250;

/// A store that is a [`Model`] in the same process.
#[derive(Debug)]
pub struct SandboxDestination {
    model: Shared,
    clock: Clock,
    hash: String,
    token: String,
    request_timeout: Duration,
    quota_reserve: f64,
    pace: Mutex<Option<Pace>>,
}

/// What the last answer said of the quota, less what was taken since.
#[derive(Debug, Clone, Copy)]
struct Pace {
    left: u32,
    quota: u32,
    reset_at: Instant,
}

impl SandboxDestination {
    /// A client of this store with its own token, which waits for an answer as long as `request_timeout` and
    /// leaves `quota_reserve` of the quota to others. To be made within a tokio runtime.
    #[must_use]
    pub fn new(model: Arc<Mutex<Model>>, request_timeout: Duration, quota_reserve: f64) -> Self {
        let clock = Clock::of(&model);
        let (hash, token) = {
            let mut model = locked(&model);
            model.options.client_timeout = request_timeout;
            (model.options.hash.clone(), model.options.token.expose().to_owned())
        };
        Self { model, clock, hash, token, request_timeout, quota_reserve, pace: Mutex::new(None) }
    }

    /// Makes one request; an answer that did not arrive whole is the error.
    async fn send(&self, path: &str, call: Call) -> Result<Answer, Response> {
        let path = format!("/stores/{}/v3/{path}", self.hash);
        let request = Request { hash: self.hash.clone(), token: Some(self.token.clone()), path, call };
        let lost = |reason: String| Err(Response::Lost { reason });
        match timeout(self.request_timeout, visit(&self.model, self.clock, request)).await {
            Ok(Delivery::Whole(answer)) => {
                self.learn(&answer);
                Ok(answer)
            }
            Ok(Delivery::Cut(_)) => lost("the answer's body was cut off".to_owned()),
            Ok(Delivery::Reset | Delivery::Silence) => {
                lost("the connection was reset before the answer".to_owned())
            }
            Err(_) => lost(format!("no answer within {}", humantime::format_duration(self.request_timeout))),
        }
    }

    /// Reads all pages of a list; `take` keeps what a page has, and says where the page stands in the list.
    async fn pages(
        &self,
        path: &str,
        call: impl Fn(usize) -> Call + Send,
        mut take: impl FnMut(&Content) -> Option<Paging> + Send,
    ) -> Result<(), ReadError> {
        let mut page = 1;
        loop {
            self.ready().await;
            let answer = self.send(path, call(page)).await.map_err(ReadError)?;
            let paging = if answer.status == 200 { take(&answer.content) } else { None };
            match paging {
                Some(paging) if page >= paging.pages() => return Ok(()),
                Some(_) => page += 1,
                None => return Err(ReadError(Response::Received(told(answer)))),
            }
        }
    }

    fn learn(&self, answer: &Answer) {
        if let Some(rate) = answer.rate {
            let reset_at = Instant::now() + Duration::from_millis(rate.reset_ms);
            *self.pace() = Some(Pace { left: rate.left, quota: rate.quota, reset_at });
        }
    }

    fn pace(&self) -> MutexGuard<'_, Option<Pace>> {
        self.pace.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes one call from what is left, or says when to ask again.
    fn take_one(&self) -> Result<(), Instant> {
        let mut pace = self.pace();
        let Some(known) = pace.as_mut() else { return Ok(()) };
        if Instant::now() >= known.reset_at {
            // The new window's share is told by its first answer.
            *pace = None;
            return Ok(());
        }
        if f64::from(known.left) <= self.quota_reserve * f64::from(known.quota) {
            return Err(known.reset_at);
        }
        known.left -= 1;
        Ok(())
    }
}

#[async_trait]
impl Destination for SandboxDestination {
    async fn ready(&self) {
        while let Err(reset_at) = self.take_one() {
            sleep_until(reset_at).await;
        }
    }

    async fn upsert(&self, items: &[Item<'_>]) -> Response {
        let items =
            items.iter().map(|item| PutItem { key: item.key, value: item.value.to_owned() }).collect();
        match self.send("customers/attribute-values", Call::PutValues(Ok(items))).await {
            Ok(answer) => Response::Received(told(answer)),
            Err(reply) => reply,
        }
    }

    async fn fetch(&self, keys: &[Key]) -> Result<Vec<Echo>, ReadError> {
        let wanted: BTreeSet<Key> = keys.iter().copied().collect();
        let customers: Vec<i64> =
            wanted.iter().map(|key| key.customer_id).collect::<BTreeSet<_>>().into_iter().collect();
        let attributes = joined(wanted.iter().map(|key| key.attribute_id).collect::<BTreeSet<_>>());
        let mut found = Vec::new();
        for ids in customers.chunks(IDS_PER_READ) {
            let call = |page| {
                let filters = [
                    ("customer_id:in", joined(ids.iter().copied())),
                    ("attribute_id:in", attributes.clone()),
                ];
                Call::GetValues(paged(&filters, page))
            };
            self.pages("customers/attribute-values", call, |content| match content {
                Content::Values(rows, paging) => {
                    found.extend(rows.iter().filter(|row| wanted.contains(&row.key)).map(echo));
                    *paging
                }
                _ => None,
            })
            .await?;
        }
        Ok(found)
    }

    async fn attributes(&self) -> Result<Vec<Attribute>, ReadError> {
        let mut found = Vec::new();
        let call = |page| Call::GetAttributes(paged(&[], page));
        self.pages("customers/attributes", call, |content| match content {
            Content::Attributes(list, paging) => {
                found.extend(list.iter().map(|AttributeRow { spec, .. }| Attribute {
                    id: spec.id,
                    name: spec.name.clone(),
                    kind: spec.kind.clone(),
                }));
                Some(*paging)
            }
            _ => None,
        })
        .await?;
        Ok(found)
    }

    async fn customers(&self, ids: &[i64]) -> Result<Vec<i64>, ReadError> {
        let mut found = Vec::new();
        let call = |page| Call::GetCustomers(paged(&[("id:in", joined(ids.iter().copied()))], page));
        self.pages("customers", call, |content| match content {
            Content::Customers(list, paging) => {
                found.extend(list.iter().map(|customer| customer.id));
                Some(*paging)
            }
            _ => None,
        })
        .await?;
        Ok(found)
    }
}

fn joined(ids: impl IntoIterator<Item = i64>) -> String {
    ids.into_iter().map(|id| id.to_string()).collect::<Vec<_>>().join(",")
}

fn paged(filters: &[(&str, String)], page: usize) -> Query {
    let mut all = filters.to_vec();
    all.push(("page", page.to_string()));
    all.push(("limit", PAGE.to_string()));
    Query::of(&all)
}

fn echo(row: &Row) -> Echo {
    Echo { key: row.key, value: row.value.clone(), value_id: row.id }
}

/// An answer in the port's shape.
fn told(answer: Answer) -> Told {
    // A 429 with something left is about calls in flight: the window's end has nothing to do with it.
    let reset = answer.rate.filter(|rate| rate.left == 0).map(|rate| Duration::from_millis(rate.reset_ms));
    let retry_after = answer.retry_after.map(Duration::from_secs);
    let wait = if answer.status == 429 { reset.max(retry_after) } else { None };
    let body = match answer.content {
        Content::Values(rows, _) => Body::Echoes(rows.iter().map(echo).collect()),
        Content::Problem { title, errors } => Body::Problem { title, errors },
        Content::Detailed { title, detail } => {
            Body::Problem { title: format!("{title}: {detail}"), errors: vec![] }
        }
        Content::Html(text) => Body::Unreadable(text.to_owned()),
        Content::Empty => Body::Unreadable(String::new()),
        Content::Attributes(..) => Body::Unreadable("a list of attributes".to_owned()),
        Content::Customers(..) => Body::Unreadable("a list of customers".to_owned()),
    };
    Told { status: answer.status, request_id: Some(answer.request_id), wait, body }
}
