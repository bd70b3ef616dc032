//! The rows of `requests`: their columns fit together, and the changes that they carried are there.

use std::collections::BTreeMap;

use super::digests;
use super::fields::{int, some_int, some_time, text, time, word};
use super::flaws::Flaws;
use crate::ledger::Result;
use crate::ledger::audit::session::Session;
use crate::ledger::cells::{Cells, Value};
use crate::ledger::sql::statement;
use crate::record::{RequestMethod, RequestOutcome};

/// Each request with its run, its parent, and the changes that name it: how many, and of how many customers.
const REQUESTS: &str = "
    select q.id, q.run_id, q.parent_id, q.method, q.attempt, q.customers, q.items, q.sent_at, q.answered_at,
        q.http_status, q.store_request_id, q.outcome, q.error, r.id, p.run_id, p.attempt,
        coalesce(n.items, 0), coalesce(n.customers, 0), coalesce(n.deletes, 0)
    from requests q
    left join runs r on r.id = q.run_id
    left join requests p on p.id = q.parent_id
    left join (
        select request_id, count(*) as items, count(distinct customer_id) as customers,
            sum(case when action = 'delete' then 1 else 0 end) as deletes
        from changes where request_id is not null group by request_id
    ) n on n.request_id = q.id
    order by q.run_id, q.id";

/// Finds the flaws of all requests.
pub(super) async fn flaws(session: &Session) -> Result<Flaws> {
    let step = |trees: &mut Trees, row: Vec<Value>| {
        let mut cells = Cells::of(row);
        let id = cells.int().unwrap_or_default();
        match request(&mut cells, id) {
            Ok(request) => trees.add(request),
            Err(problem) => trees.flaws.add(format!("request {id}: {problem}")),
        }
    };
    let mut trees = session.fold("read the requests", statement!(REQUESTS), Trees::default(), step).await?;
    trees.end_run();
    trees.flaws.append(digests::flaws(session, &["requests"]).await?);
    Ok(trees.flaws)
}

struct Request {
    id: i64,
    run_id: i64,
    parent_id: Option<i64>,
    customers: i64,
    items: i64,
    /// The changes that name it, and their customers.
    named: i64,
    named_customers: i64,
}

fn request(cells: &mut Cells, id: i64) -> Result<Request, String> {
    let run_id = some_int(cells, "run_id")?;
    let parent_id = int(cells, "parent_id")?;
    let method = word(cells, "method", RequestMethod::from_word)?;
    let attempt = some_int(cells, "attempt")?;
    let (customers, items) = (some_int(cells, "customers")?, some_int(cells, "items")?);
    some_time(cells, "sent_at")?;
    let answered_at = time(cells, "answered_at")?;
    let status = int(cells, "http_status")?;
    if text(cells, "store_request_id")?.is_some() && status.is_none() {
        return Err("it has a store_request_id, and no http_status".to_owned());
    }
    let outcome = word(cells, "outcome", RequestOutcome::from_word)?;
    let has_error = text(cells, "error")?.is_some();
    int(cells, "run")?.ok_or_else(|| format!("its run {run_id} is not there"))?;
    let parent_run = int(cells, "parent's run_id")?;
    let parent_attempt = int(cells, "parent's attempt")?.unwrap_or_default();
    // A part of a batch begins anew, and a request that was not sent is no attempt.
    if ![1, parent_attempt, parent_attempt + 1].contains(&attempt) || attempt < 1 {
        return Err(format!("its attempt is {attempt}, expected 1 or {}", parent_attempt + 1));
    }
    if let Some(parent) = parent_id
        && (parent_run != Some(run_id) || parent >= id)
    {
        return Err(format!("its parent {parent} is not an earlier request of its run"));
    }
    outcome_problem(outcome, answered_at.is_some(), status, has_error).map_or(Ok(()), Err)?;
    let (named, named_customers) = (some_int(cells, "changes")?, some_int(cells, "customers")?);
    let deletes = some_int(cells, "deletes")?;
    if deletes != if method == RequestMethod::Delete { named } else { 0 } {
        return Err(format!("its method is {method}, and {deletes} of its {named} changes delete"));
    }
    Ok(Request { id, run_id, parent_id, customers, items, named, named_customers })
}

/// What contradicts an outcome.
fn outcome_problem(
    outcome: RequestOutcome,
    was_read: bool,
    status: Option<i64>,
    has_error: bool,
) -> Option<String> {
    let fits = match outcome {
        RequestOutcome::Sending | RequestOutcome::NotSent => status.is_none(),
        RequestOutcome::Accepted => status.is_some_and(|status| (200..300).contains(&status)),
        RequestOutcome::Refused => status.is_some_and(|status| (400..500).contains(&status)),
        RequestOutcome::Limited => status == Some(429),
        RequestOutcome::InDoubt => status.is_none_or(|status| (100..1000).contains(&status)),
        RequestOutcome::Fatal => status.is_some_and(|status| !(200..300).contains(&status)),
    };
    let was_sent = !matches!(outcome, RequestOutcome::Sending | RequestOutcome::NotSent);
    let needs_error = was_sent && outcome != RequestOutcome::Accepted;
    if !fits {
        let status = status.map_or("NULL".to_owned(), |status| status.to_string());
        Some(format!("it is {outcome}, and its http_status is {status}"))
    } else if was_sent != was_read {
        Some(format!("it is {outcome}, and has {} answered_at", if was_read { "an" } else { "no" }))
    } else if needs_error && !has_error {
        Some(format!("it is {outcome}, and has no error"))
    } else {
        None
    }
}

/// The requests of the current run. Every change of a request is named by it or by one that came from it, so that the
/// changes of a tree of requests are those of its root.
#[derive(Default)]
struct Trees {
    run_id: i64,
    /// The root of every request that is not one itself.
    roots: BTreeMap<i64, i64>,
    /// Of every root that others came from: its items, and how many of them no change has named yet.
    missing: BTreeMap<i64, (i64, i64)>,
    /// Requests that name fewer changes than they have items, until one that came from them is found.
    incomplete: BTreeMap<i64, (i64, i64)>,
    flaws: Flaws,
}

impl Trees {
    fn add(&mut self, request: Request) {
        if request.run_id != self.run_id {
            self.end_run();
            self.run_id = request.run_id;
        }
        let Request { id, parent_id, customers, items, named, named_customers, .. } = request;
        let is_whole = named == items && named_customers == customers;
        if named > items || named_customers > customers || customers > items || customers < 1 {
            let problem = format!(
                "it has {items} items of {customers} customers, but {named} of {named_customers} name it"
            );
            self.flaws.add(format!("request {id}: {problem}"));
            return;
        }
        match parent_id {
            None if is_whole => {}
            None => drop(self.missing.insert(id, (items, items - named))),
            Some(parent) => {
                let root = self.roots.get(&parent).copied().unwrap_or(parent);
                self.roots.insert(id, root);
                self.incomplete.remove(&parent);
                let (most, missing) = self.missing.entry(root).or_default();
                *missing -= named;
                if items > *most {
                    self.flaws
                        .add(format!("request {id}: its items are {items}, but request {root} had {most}"));
                    return;
                }
                if !is_whole {
                    self.incomplete.insert(id, (items, named));
                }
            }
        }
    }

    fn end_run(&mut self) {
        for (id, (items, missing)) in std::mem::take(&mut self.missing) {
            if missing != 0 {
                let found = items - missing;
                self.flaws
                    .add(format!("request {id}: its items are {items}, but {found} changes were found"));
            }
        }
        for (id, (items, named)) in std::mem::take(&mut self.incomplete) {
            self.flaws.add(format!("request {id}: its items are {items}, but {named} changes name it"));
        }
        self.roots.clear();
    }
}
