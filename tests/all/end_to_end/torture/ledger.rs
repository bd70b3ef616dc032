//! The ledger, read with `attrsync sql`: its entries, runs and requests.

use std::collections::BTreeMap;

use attrsync::record::Key;
use chrono::{DateTime, Utc};
use serde_json::Value;

use crate::end_to_end::world::World;

const ENTRIES: &str = "select customer_id, attribute_id, value, belief from entries";

const RUNS: &str = "
    select r.id, r.status, r.started_at, case when r.finished_at is null then 0 else 1 end as finished,
        r.planned, r.confirmed, r.requests, (
            select count(*) from requests q
            where q.run_id = r.id and (q.answered_at is not null or q.error is null)
        ) as sent
    from runs r order by r.id";

const REQUESTS: &str = "
    select q.run_id, q.http_status, q.store_request_id,
        case when q.answered_at is null then 0 else 1 end as responded, coalesce(c.confirmed, 0) as confirmed
    from requests q
    left join (
        select request_id, count(*) as confirmed from changes where outcome = 'confirmed' group by request_id
    ) c on c.request_id = q.id
    order by q.id";

/// What the ledger has recorded.
pub(super) struct Ledger {
    /// Value (none of a delete) and belief of every entry.
    pub(super) entries: BTreeMap<Key, (Option<String>, String)>,
    pub(super) runs: Vec<Run>,
    pub(super) requests: Vec<Request>,
}

pub(super) struct Run {
    pub(super) id: i64,
    pub(super) status: String,
    pub(super) started_at: DateTime<Utc>,
    pub(super) finished: bool,
    pub(super) planned: i64,
    pub(super) confirmed: i64,
    /// The requests that the run counts.
    pub(super) requests: i64,
    /// The rows of its requests that were sent.
    pub(super) sent: i64,
}

pub(super) struct Request {
    pub(super) run_id: i64,
    pub(super) status: Option<u16>,
    pub(super) store_request_id: Option<String>,
    /// Whether its outcome is recorded.
    pub(super) responded: bool,
    /// How many changes it confirmed.
    pub(super) confirmed: i64,
}

/// Reads the ledger; `None` if there is none yet.
pub(super) fn read(world: &World) -> Option<Ledger> {
    let entries = world.run(&["sql", ENTRIES, "--json"]);
    if entries.code == Some(1) && entries.err.contains("there is no ledger yet") {
        return None;
    }
    let entries = entries.exits(0).json();
    Some(Ledger {
        entries: entries.as_array().expect("rows").iter().map(entry).collect(),
        runs: world.ask(RUNS).iter().map(run).collect(),
        requests: world.ask(REQUESTS).iter().map(request).collect(),
    })
}

fn number(row: &Value, name: &str) -> i64 {
    row[name].as_i64().unwrap_or_else(|| panic!("{name} is not a number: {row}"))
}

fn text(row: &Value, name: &str) -> String {
    row[name].as_str().unwrap_or_else(|| panic!("{name} is not text: {row}")).to_owned()
}

fn entry(row: &Value) -> (Key, (Option<String>, String)) {
    let key = Key::new(number(row, "customer_id"), number(row, "attribute_id"));
    (key, (row["value"].as_str().map(str::to_owned), text(row, "belief")))
}

/// Parses a time: SQLite has RFC 3339, Postgres a space and a short offset.
fn time(text: &str) -> DateTime<Utc> {
    let time = DateTime::parse_from_rfc3339(text)
        .or_else(|_| DateTime::parse_from_str(text, "%Y-%m-%d %H:%M:%S%.f%#z"));
    time.unwrap_or_else(|error| panic!("{error}: {text:?}")).to_utc()
}

fn run(row: &Value) -> Run {
    Run {
        id: number(row, "id"),
        status: text(row, "status"),
        started_at: time(&text(row, "started_at")),
        finished: number(row, "finished") == 1,
        planned: number(row, "planned"),
        confirmed: number(row, "confirmed"),
        requests: number(row, "requests"),
        sent: number(row, "sent"),
    }
}

fn request(row: &Value) -> Request {
    Request {
        run_id: number(row, "run_id"),
        status: row["http_status"].as_i64().and_then(|status| u16::try_from(status).ok()),
        store_request_id: row["store_request_id"].as_str().map(str::to_owned),
        responded: number(row, "responded") == 1,
        confirmed: number(row, "confirmed"),
    }
}
