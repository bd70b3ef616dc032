//! A site over a ledger that is filled through its port, with a scheduler that is simulated.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use attrsync::config::{LedgerConfig, Secret};
use attrsync::ledger::Ledger;
use attrsync::ledger::audit::AuditLog;
use attrsync::ledger::postgres::PostgresLedger;
use attrsync::ledger::sqlite::SqliteLedger;
use attrsync::record::{Counts, InvalidRow, Key, KnownAttribute, RequestOutcome, RunStatus, Verdict};
use attrsync::web::{
    Access, AuditOpener, LiveRun, SyncInfo, Syncs, Triggered, UnusableFile, WebServer, router,
};
use futures_util::future::{BoxFuture, FutureExt as _};
use tempfile::TempDir;

use crate::ledger::contract::fixture::{
    at, change, confirmed, new_run, outcome, request_end, store, unknown,
};
use crate::support::postgres::Postgres;

/// The token of sites that have one.
pub(crate) const TOKEN: &str = "an-example-token-of-the-tests";

/// A text that would be a script if a page did not escape it.
pub(crate) const HOSTILE: &str = "<script>alert(\"1\")</script>&'</td>";

/// The name of the sync, which needs escaping too.
pub(crate) const SYNC: &str = "main & co";

/// Its name in addresses.
pub(crate) const SYNC_PATH: &str = "/syncs/main%20%26%20co";

/// A scheduler that starts nothing.
#[derive(Default)]
pub(crate) struct SimulatedSyncs {
    pub(crate) list: Mutex<Vec<SyncInfo>>,
    pub(crate) unusable: Mutex<Vec<UnusableFile>>,
    /// The names of the syncs that were triggered.
    pub(crate) triggered: Mutex<Vec<String>>,
}

impl Syncs for SimulatedSyncs {
    fn list(&self) -> Vec<SyncInfo> {
        self.list.lock().unwrap().clone()
    }

    fn unusable(&self) -> Vec<UnusableFile> {
        self.unusable.lock().unwrap().clone()
    }

    fn trigger(&self, name: &str) -> BoxFuture<'_, Option<Triggered>> {
        let is_known = self.list().iter().any(|sync| sync.name == name);
        let mut triggered = self.triggered.lock().unwrap();
        triggered.push(name.to_owned());
        let result = match triggered.len() {
            1 => Triggered::Started(41),
            2 => Triggered::Remembered { after: 41 },
            _ => Triggered::Refused("the process is stopping".to_owned()),
        };
        async move { is_known.then_some(result) }.boxed()
    }
}

/// A site that is served.
pub(crate) struct Site {
    pub(crate) syncs: Arc<SimulatedSyncs>,
    pub(crate) address: SocketAddr,
    _server: WebServer,
}

impl Site {
    /// Serves a sync of the store of the fixtures.
    pub(crate) async fn start(ledger: LedgerConfig, token: Option<&str>) -> Self {
        let syncs = Arc::new(SimulatedSyncs::default());
        syncs.list.lock().unwrap().push(sync(SYNC, ledger));
        let open: AuditOpener = Arc::new(|config| async move { AuditLog::open(&config).await }.boxed());
        let metrics = Arc::new(|| async { "attrsync_up 1\n".to_owned() }.boxed());
        let access = Access::new(token.map(Secret::new));
        let site = router(Arc::clone(&syncs) as Arc<dyn Syncs>, open, metrics, access);
        let server = WebServer::start(([127, 0, 0, 1], 0).into(), site).await.expect("listens");
        Self { syncs, address: server.address(), _server: server }
    }
}

/// A sync of the store of the fixtures.
pub(crate) fn sync(name: &str, ledger: LedgerConfig) -> SyncInfo {
    SyncInfo {
        name: name.to_owned(),
        store: store(),
        ledger,
        timing: None,
        running: None,
        waiting: false,
        problem: None,
    }
}

/// A ledger with a run that is closed and a run that is active.
pub(crate) struct Filled {
    pub(crate) config: LedgerConfig,
    /// The run that is closed.
    pub(crate) closed: i64,
    /// The run that is active as long as the ledger is open.
    pub(crate) active: i64,
    _ledger: Box<dyn Ledger>,
    folder: Option<TempDir>,
}

impl Filled {
    pub(crate) async fn sqlite() -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("ledger.db");
        let ledger = SqliteLedger::open(&path, &store()).await.expect("a ledger");
        let filled = Self::of(Box::new(ledger), LedgerConfig::Sqlite(path)).await;
        Self { folder: Some(folder), ..filled }
    }

    pub(crate) async fn postgres() -> Self {
        let url = Postgres::start().database();
        let ledger = PostgresLedger::open(&url, &store()).await.expect("a ledger");
        Self::of(Box::new(ledger), LedgerConfig::Postgres(Secret::new(url))).await
    }

    async fn of(ledger: Box<dyn Ledger>, config: LedgerConfig) -> Self {
        let closed = closed_run(&*ledger).await;
        let active = active_run(&*ledger).await;
        Self { config, closed, active, _ledger: ledger, folder: None }
    }

    /// The folder of a ledger in SQLite.
    pub(crate) fn folder(&self) -> &std::path::Path {
        self.folder.as_ref().expect("a ledger in SQLite").path()
    }

    /// What the scheduler knows of the active run.
    pub(crate) fn live(&self) -> LiveRun {
        let wait = Some(format!("the store {HOSTILE}"));
        LiveRun { run_id: Some(self.active), started_at: at(20), rows_read: 1_234, wait }
    }
}

/// Customers 1 to 4: confirmed, rejected, rejected as a formula, unknown. Two rows are invalid.
async fn closed_run(ledger: &dyn Ledger) -> i64 {
    let run = ledger.open_run(&new_run(0)).await.expect("opens a run");
    let attribute = |id, name: &str| KnownAttribute {
        id,
        name: name.to_owned(),
        kind: "string".to_owned(),
        former_name: None,
        deleted: false,
    };
    let attributes = [attribute(1, "tier"), attribute(2, HOSTILE)];
    ledger.record_attributes(run, &attributes, at(0)).await.expect("records");
    let changes = vec![change(1, 1, "gold"), change(2, 1, HOSTILE), change(3, 2, "=1+1"), change(4, 2, "-5")];
    ledger.save_plan(run, changes.clone(), invalid_rows()).await.expect("saves");
    let counts = Counts { source_rows: 6, planned: 4, invalid: 2, ..Counts::default() };
    ledger.seal_plan(run, &counts, None, at(1)).await.expect("seals");
    let rejected = |reason: &str| Verdict::Rejected { reason: reason.to_owned() };
    let verdicts = [confirmed(), rejected(HOSTILE), rejected("not a number"), unknown(None)];
    let request = new_request(ledger, run, 2, &changes).await;
    let outcomes: Vec<_> =
        changes.iter().zip(verdicts).map(|(change, verdict)| outcome(change.key, verdict)).collect();
    let end = attrsync::record::RequestEnd {
        outcome: RequestOutcome::Refused,
        http_status: Some(422),
        error: Some(HOSTILE.to_owned()),
        ..request_end(3)
    };
    ledger.record_outcome(run, request, &end, &outcomes).await.expect("records");
    ledger.close_run(run, RunStatus::Partial, Some(HOSTILE), at(10)).await.expect("closes");
    run
}

fn invalid_rows() -> Vec<InvalidRow> {
    let row = |customer_id, reason: &str| InvalidRow {
        customer_id,
        attribute_id: Some(2),
        value: Some(HOSTILE.to_owned()),
        reason: reason.to_owned(),
    };
    vec![row(Some(2), HOSTILE), row(None, "the row has no customer id")]
}

/// One of two changes is in flight.
async fn active_run(ledger: &dyn Ledger) -> i64 {
    let run = ledger.open_run(&new_run(20)).await.expect("opens a run");
    let changes = vec![change(1, 1, "platinum"), change(5, 1, "silver")];
    ledger.save_plan(run, changes.clone(), invalid_rows()).await.expect("saves");
    let counts = Counts { source_rows: 6, planned: 2, still_rejected: 2, invalid: 2, ..Counts::default() };
    ledger.seal_plan(run, &counts, None, at(21)).await.expect("seals");
    new_request(ledger, run, 22, &changes[..1]).await;
    run
}

async fn new_request(
    ledger: &dyn Ledger,
    run: i64,
    seconds: i64,
    changes: &[attrsync::record::Change],
) -> i64 {
    let request = attrsync::record::NewRequest {
        method: attrsync::record::RequestMethod::Put,
        parent_id: None,
        attempt: 1,
        at: at(seconds),
        in_doubt_until: at(seconds + 120),
    };
    ledger.record_intent(run, &request, changes).await.expect("records the intent").request_id
}

/// The key of a rejected value in addresses.
pub(crate) fn in_address(key: Key) -> String {
    format!("{}.{}", key.customer_id, key.attribute_id)
}
