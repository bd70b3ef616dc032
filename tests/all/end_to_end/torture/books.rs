//! The ledger, read past the program: what it believes, what its runs came to, which calls it knows of.

use std::collections::BTreeMap;
use std::path::PathBuf;

use attrsync::record::Key;
use chrono::{DateTime, Utc};
use rusqlite::{Connection as File, OpenFlags, types::ValueRef};
use sqlx::{AssertSqlSafe, ConnectOptions, Connection as _, Row as _, ValueRef as _};
use tokio::runtime::Handle;

/// The last change of each key that was sent.
const FOLD: &str = "
    select c.customer_id, c.attribute_id, c.value, c.outcome
    from changes c
    join (
        select customer_id, attribute_id, max(run_id) as run_id from changes where request_id is not null
        group by customer_id, attribute_id
    ) l on l.run_id = c.run_id and l.customer_id = c.customer_id and l.attribute_id = c.attribute_id";

const RUNS: &str = "
    select r.id, r.status, r.started_at, case when r.planned_at is null then 0 else 1 end,
        case when r.finished_at is null then 0 else 1 end,
        r.planned, r.confirmed, r.rejected, r.unknown, r.deferred, r.requests,
        coalesce(n.planned, 0), coalesce(n.confirmed, 0), coalesce(n.rejected, 0), coalesce(n.unknown, 0),
        coalesce(n.deferred, 0), (select count(*) from requests q
            where q.run_id = r.id and (q.answered_at is not null or q.error is null))
    from runs r
    left join (
        select run_id, count(*) as planned,
            sum(case when outcome = 'confirmed' then 1 else 0 end) as confirmed,
            sum(case when outcome = 'rejected' then 1 else 0 end) as rejected,
            sum(case when outcome in ('unknown', 'sending') then 1 else 0 end) as unknown,
            sum(case when outcome in ('deferred', 'planned') then 1 else 0 end) as deferred
        from changes group by run_id
    ) n on n.run_id = r.id
    order by r.id";

const REQUESTS: &str = "
    select q.run_id, q.http_status, q.store_request_id, case when q.answered_at is null then 0 else 1 end,
        coalesce(c.confirmed, 0)
    from requests q
    left join (
        select request_id, count(*) as confirmed from changes where outcome = 'confirmed' group by request_id
    ) c on c.request_id = q.id
    order by q.id";

/// Where the ledger is.
pub(super) enum Shelf {
    File(PathBuf),
    Postgres(String),
}

/// A value with the belief, or the outcome, that goes with it.
pub(super) type Values = BTreeMap<Key, (String, String)>;

/// What a run's books have: planned, confirmed, rejected, unknown, deferred, requests.
pub(super) type Counts = [i64; 6];

pub(super) struct Run {
    pub(super) id: i64,
    pub(super) status: String,
    pub(super) started_at: DateTime<Utc>,
    pub(super) sealed: bool,
    pub(super) finished: bool,
    /// What its row says.
    pub(super) told: Counts,
    /// What its changes and requests add up to.
    pub(super) counted: Counts,
}

pub(super) struct Request {
    pub(super) run_id: i64,
    pub(super) status: Option<u16>,
    pub(super) store_request_id: Option<String>,
    pub(super) answered: bool,
    /// How many changes it confirmed.
    pub(super) confirmed: i64,
}

/// All that is looked at.
pub(super) struct Books {
    pub(super) entries: Values,
    /// What the entries must be, told by the changes.
    pub(super) fold: Values,
    pub(super) runs: Vec<Run>,
    pub(super) requests: Vec<Request>,
}

type Rows = Vec<Vec<Option<String>>>;

impl Shelf {
    /// The books as they stand; `None` while there is no ledger.
    pub(super) fn look(&self, runtime: &Handle) -> Option<Books> {
        let entries = "select customer_id, attribute_id, value, belief from entries";
        let [entries, fold, runs, requests] = self.ask(runtime, [entries, FOLD, RUNS, REQUESTS])?;
        Some(Books {
            entries: values(entries),
            fold: values(fold),
            runs: runs.into_iter().map(run).collect(),
            requests: requests.into_iter().map(request).collect(),
        })
    }

    /// The answers as text; `None` while there is no ledger.
    pub(super) fn ask<const N: usize>(&self, runtime: &Handle, questions: [&str; N]) -> Option<[Rows; N]> {
        match self {
            Self::File(path) => {
                let flags = OpenFlags::SQLITE_OPEN_READ_ONLY;
                let file = File::open_with_flags(path, flags).ok()?;
                let there = "select 1 from sqlite_schema where name = 'runs'";
                from_file(&file, there).first()?;
                Some(questions.map(|sql| from_file(&file, sql)))
            }
            Self::Postgres(url) => runtime.block_on(async {
                let options: sqlx::postgres::PgConnectOptions = url.parse().expect("an address");
                let options = options.options([("search_path", "attrsync"), ("timezone", "UTC")]);
                let mut connection = options.connect().await.expect("the server takes connections");
                let mut answers = Vec::new();
                for sql in ["select 1 where to_regclass('runs') is not null"].into_iter().chain(questions) {
                    answers.push(from_postgres(&mut connection, sql).await);
                    if answers[0].is_empty() {
                        return None;
                    }
                }
                connection.close().await.expect("the connection closes");
                answers.remove(0);
                answers.try_into().ok()
            }),
        }
    }
}

fn from_file(file: &File, sql: &str) -> Rows {
    let mut statement = file.prepare(sql).expect("the SQL is right");
    let columns = statement.column_count();
    let text = |value: ValueRef<'_>| match value {
        ValueRef::Null => None,
        ValueRef::Integer(number) => Some(number.to_string()),
        ValueRef::Real(number) => Some(number.to_string()),
        ValueRef::Text(text) | ValueRef::Blob(text) => Some(String::from_utf8_lossy(text).into_owned()),
    };
    let rows = statement
        .query_map([], |row| (0..columns).map(|at| row.get_ref(at).map(text)).collect())
        .expect("the ledger can be read");
    rows.map(|row| row.expect("a row")).collect()
}

async fn from_postgres(connection: &mut sqlx::PgConnection, sql: &str) -> Rows {
    let rows = sqlx::raw_sql(AssertSqlSafe(sql.to_owned())).fetch_all(connection).await;
    let rows = rows.unwrap_or_else(|error| panic!("{error}: {sql}"));
    let text = |row: &sqlx::postgres::PgRow, at: usize| {
        let value = row.try_get_raw(at).expect("a column");
        (!value.is_null()).then(|| value.as_str().expect("text").to_owned())
    };
    rows.iter().map(|row| (0..row.len()).map(|at| text(row, at)).collect()).collect()
}

fn number(text: &Option<String>) -> i64 {
    text.as_deref().and_then(|text| text.parse().ok()).unwrap_or_else(|| panic!("{text:?} is not a number"))
}

fn values(rows: Rows) -> Values {
    let value = |row: Vec<Option<String>>| {
        let key = Key::new(number(&row[0]), number(&row[1]));
        let mut texts = row.into_iter().skip(2).map(Option::unwrap_or_default);
        (key, (texts.next().unwrap_or_default(), texts.next().unwrap_or_default()))
    };
    rows.into_iter().map(value).collect()
}

fn run(row: Vec<Option<String>>) -> Run {
    let counts = |from: usize| std::array::from_fn(|at| number(&row[from + at]));
    Run {
        id: number(&row[0]),
        status: row[1].clone().unwrap_or_default(),
        started_at: time(row[2].as_deref().unwrap_or_default()),
        sealed: number(&row[3]) == 1,
        finished: number(&row[4]) == 1,
        told: counts(5),
        counted: counts(11),
    }
}

fn request(row: Vec<Option<String>>) -> Request {
    Request {
        run_id: number(&row[0]),
        status: row[1].as_deref().and_then(|status| status.parse().ok()),
        store_request_id: row[2].clone(),
        answered: number(&row[3]) == 1,
        confirmed: number(&row[4]),
    }
}

/// SQLite's text is RFC 3339; Postgres writes a space and a short offset.
fn time(text: &str) -> DateTime<Utc> {
    let time = DateTime::parse_from_rfc3339(text)
        .or_else(|_| DateTime::parse_from_str(text, "%Y-%m-%d %H:%M:%S%.f%#z"));
    time.unwrap_or_else(|error| panic!("{error}: {text:?}")).to_utc()
}
