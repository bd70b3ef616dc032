//! The processor time of a Postgres server for each pushed value. Beside it stands a script that keeps the last pushed
//! values in one table and writes them with one statement for each request: no ledger costs less.

use std::time::Duration;

use attrsync::ledger::Ledger;
use attrsync::ledger::postgres::PostgresLedger;
use attrsync::record::StoreName;
use sqlx::{Connection, Executor, PgConnection};

use crate::postgres::Postgres;
use crate::{CUSTOMERS, VALUES, push, sandbox};

/// The script records the values of one request.
const SCRIPT: &str = "
    insert into last_pushed (customer_id, attribute_id, value, pushed_at)
    select customer_id, attribute_id, value, now()
    from unnest($1::bigint[], $2::bigint[], $3::text[]) as v (customer_id, attribute_id, value)
    on conflict (customer_id, attribute_id) do update set value = excluded.value, pushed_at = excluded.pushed_at";

/// Pushes so many values twice, by attrsync and by the script: first as new values, then changed.
pub(crate) async fn compare(values: i64) {
    let customers = values / (CUSTOMERS * VALUES) * CUSTOMERS;
    let values = customers * VALUES;
    println!(
        "processor time of the Postgres server, µs a value: {values} values, 30 a request, 0 ms a request\n"
    );
    println!("{:<34} {:>9} {:>9} {:>11} {:>9}", "case", "planning", "pushing", "checkpoint", "sum");
    let (ours, script) = (attrsync(customers).await, script(customers).await);
    for (case, ours, script) in [("new values", ours[0], script[0]), ("changed values", ours[1], script[1])] {
        line(&format!("attrsync, {case}"), values, ours);
        line(&format!("one last-pushed table, {case}"), values, script);
    }
}

/// The time for planning (which saves the plan), for pushing, and for the checkpoint afterwards.
type Took = [Duration; 3];

async fn attrsync(customers: i64) -> [Took; 2] {
    let url = Postgres::durable().database();
    let (_model, name) = sandbox(customers, Duration::ZERO);
    let ledger = PostgresLedger::open(&url, &name).await.expect("a Postgres ledger");
    let mut server = Server::of(&url).await;
    let mut took = Vec::new();
    for value in ["value", "another value"] {
        took.push(one_run(&ledger, &name, customers, value, &mut server).await);
    }
    took.try_into().expect("two runs")
}

async fn one_run(
    ledger: &dyn Ledger,
    name: &StoreName,
    customers: i64,
    value: &str,
    server: &mut Server,
) -> Took {
    let started = server.time();
    let postmaster = server.postmaster;
    let (planned, pushed) = push(ledger, name, customers, value, || time_of(postmaster)).await;
    server.checkpoint().await;
    [planned - started, pushed - planned, server.time() - pushed]
}

async fn script(customers: i64) -> [Took; 2] {
    let url = Postgres::durable().database();
    let mut session = PgConnection::connect(&url).await.expect("a session");
    let table = "create table last_pushed (customer_id bigint, attribute_id bigint, value text not null,
        pushed_at timestamptz not null, primary key (customer_id, attribute_id))";
    session.execute(table).await.expect("a table");
    let mut server = Server::of(&url).await;
    let mut took = Vec::new();
    for value in ["value", "another value"] {
        let started = server.time();
        for first in (1..=customers).step_by(CUSTOMERS as usize) {
            let keys = (first..first + CUSTOMERS).flat_map(|c| (1..=VALUES).map(move |a| (c, a)));
            let (ids, attributes): (Vec<_>, Vec<_>) = keys.unzip();
            let pushed: Vec<_> = ids.iter().map(|customer| format!("{value} {customer}")).collect();
            let script = sqlx::query(SCRIPT).bind(ids).bind(attributes).bind(pushed);
            script.execute(&mut session).await.expect("an upsert");
        }
        let pushed = server.time();
        server.checkpoint().await;
        took.push([Duration::ZERO, pushed - started, server.time() - pushed]);
    }
    took.try_into().expect("two runs")
}

fn line(case: &str, values: i64, took: Took) {
    let each = |took: Duration| took.as_secs_f64() * 1e6 / values as f64;
    let [planning, pushing, checkpoint] = took.map(each);
    let sum = planning + pushing + checkpoint;
    println!("{case:<34} {planning:>9.1} {pushing:>9.1} {checkpoint:>11.1} {sum:>9.1}");
}

/// A server whose processor time is measured.
struct Server {
    postmaster: u32,
    session: PgConnection,
}

impl Server {
    async fn of(url: &str) -> Self {
        let mut session = PgConnection::connect(url).await.expect("a session");
        let pid: i32 =
            sqlx::query_scalar("select pg_backend_pid()").fetch_one(&mut session).await.expect("a pid");
        let backend = Process::of(pid.unsigned_abs()).expect("this case needs /proc");
        let mut server = Self { postmaster: backend.parent, session };
        server.checkpoint().await;
        server
    }

    /// Writes all dirty pages, so that no case pays for the case before it.
    async fn checkpoint(&mut self) {
        self.session.execute("checkpoint").await.expect("a checkpoint");
    }

    fn time(&self) -> Duration {
        time_of(self.postmaster)
    }
}

/// The processor time of a postmaster, of the processes that it started, and of those of them that have ended.
fn time_of(postmaster: u32) -> Duration {
    let pids = std::fs::read_dir("/proc").expect("this case needs /proc");
    let pids = pids.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse::<u32>().ok());
    let ticks: u64 = pids
        .filter_map(|pid| Some((pid, Process::of(pid)?)))
        .map(|(pid, process)| match process.parent {
            _ if pid == postmaster => process.own_ticks + process.ended_ticks,
            parent if parent == postmaster => process.own_ticks,
            _ => 0,
        })
        .sum();
    Duration::from_millis(ticks * MILLIS_PER_TICK)
}

/// The times in `/proc` are in hundredths of a second on Linux.
const MILLIS_PER_TICK: u64 = 10;

/// A process as `/proc/<pid>/stat` shows it.
struct Process {
    parent: u32,
    own_ticks: u64,
    /// The time of its children that have ended.
    ended_ticks: u64,
}

impl Process {
    /// `None` if the process has ended.
    fn of(pid: u32) -> Option<Self> {
        let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
        // The fields follow the name, which is in brackets and may contain brackets.
        let fields: Vec<&str> = stat.rsplit_once(')')?.1.split_whitespace().collect();
        let ticks = |index: usize| fields.get(index)?.parse::<u64>().ok();
        Some(Self {
            parent: fields.get(1)?.parse().ok()?,
            own_ticks: ticks(11)? + ticks(12)?,
            ended_ticks: ticks(13)? + ticks(14)?,
        })
    }
}
