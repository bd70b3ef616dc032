//! What the status site asks the scheduler: the syncs, the metrics, and runs that are triggered.

use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use tokio::sync::mpsc;
use tokio::time::timeout;

use super::board::{Board, Line};
use super::sync_files::SyncFile;
use crate::attention::Timing;
use crate::cli::standing::standing;
use crate::cli::wiring;
use crate::clock::{Clock as _, SystemClock};
use crate::config::ServeConfig;
use crate::ledger::audit::AuditLog;
use crate::metrics::{Metrics, Observed};
use crate::record::{Notified, Trigger};
use crate::scheduler::{Event, Wish};
use crate::web::{
    self, Access, AuditOpener, LiveRun, MetricsText, SyncInfo, Syncs, Triggered, UnusableFile, WebServer,
};

/// How long a trigger waits for its run to be opened.
const OPENED_WITHIN: Duration = Duration::from_secs(10);

/// Starts the site.
///
/// # Errors
/// The address cannot be listened at.
pub(super) async fn start(
    config: &ServeConfig,
    board: Arc<Board>,
    metrics: Arc<Metrics>,
    events: mpsc::Sender<Event>,
) -> Result<WebServer, web::ServerError> {
    let open: AuditOpener = Arc::new(|ledger| async move { AuditLog::open(&ledger).await }.boxed());
    let of_metrics = board.clone();
    let text: MetricsText = Arc::new(move || {
        let (board, metrics) = (of_metrics.clone(), metrics.clone());
        async move { metrics_text(&board, &metrics).await }.boxed()
    });
    let syncs = Arc::new(Served { board, events });
    WebServer::start(config.address, web::router(syncs, open, text, Access::new(config.token.clone()))).await
}

/// The syncs of this process.
struct Served {
    board: Arc<Board>,
    events: mpsc::Sender<Event>,
}

impl Syncs for Served {
    fn list(&self) -> Vec<SyncInfo> {
        self.board.map(info)
    }

    fn unusable(&self) -> Vec<UnusableFile> {
        self.board.unusable()
    }

    fn trigger(&self, name: &str) -> BoxFuture<'_, Option<Triggered>> {
        let name = name.to_owned();
        async move {
            let (is_known, running) = self.board.with(&name, |line| {
                (line.sync.is_some(), line.running.as_ref().map(|running| running.run_id))
            })?;
            if !is_known {
                return None;
            }
            let opened = self.board.next_run(&name);
            let wish = Wish { notified: Notified::Everything, trigger: Trigger::Api };
            if self.events.send(Event::Asked(name.clone(), wish)).await.is_err() {
                return Some(Triggered::Refused("the process is stopping".to_owned()));
            }
            if let Some(after) = running {
                return Some(Triggered::Remembered { after });
            }
            Some(match timeout(OPENED_WITHIN, opened).await {
                Ok(Ok(run_id)) => Triggered::Started(run_id),
                _ => Triggered::Refused(self.reason(&name)),
            })
        }
        .boxed()
    }
}

impl Served {
    /// Why no run was opened in time.
    fn reason(&self, name: &str) -> String {
        let problem = self.board.with(name, |line| line.problem.clone()).flatten();
        let why =
            problem.unwrap_or_else(|| "other syncs run first, or another process holds the store".to_owned());
        format!("no run could be opened yet; it is remembered and follows as soon as it can: {why}")
    }
}

/// Describes a sync; `None` if it is no longer configured.
fn info(line: &Line) -> Option<SyncInfo> {
    let sync = line.sync.as_ref()?;
    let config = &sync.config;
    let running = line.running.as_ref();
    let timing = config.schedule.as_ref().map(|schedule| {
        let claimed = line.claimed.clone().unwrap_or_default();
        let started = running.map(|running| running.started_at);
        Timing::of(schedule, &config.store.name, &claimed, started, SystemClock.now())
    });
    let running = running.map(|running| LiveRun {
        run_id: Some(running.run_id),
        started_at: running.started_at,
        rows_read: running.counts.source_rows,
        wait: running.waits.current().map(|wait| match wait.detail.as_str() {
            "" => wait.reason.to_string(),
            detail => format!("{}: {detail}", wait.reason),
        }),
    });
    Some(SyncInfo {
        name: config.name.clone(),
        store: config.store.name.clone(),
        ledger: config.ledger.clone(),
        timing,
        running,
        waiting: line.is_waiting,
        problem: line.problem.clone(),
    })
}

/// Returns the text of `/metrics`. Each ledger is opened once.
async fn metrics_text(board: &Board, metrics: &Metrics) -> String {
    let syncs: Vec<Arc<SyncFile>> = board.map(|line| line.sync.clone());
    let mut standings = Vec::new();
    let mut ledgers: Vec<(&SyncFile, Option<AuditLog>)> = Vec::new();
    for sync in &syncs {
        let ledger = &sync.config.ledger;
        let at = match ledgers.iter().position(|(first, _)| first.config.ledger == *ledger) {
            Some(at) => at,
            None => {
                ledgers.push((sync, wiring::audit(ledger).await.ok().flatten()));
                ledgers.len() - 1
            }
        };
        standings.push(match &ledgers[at].1 {
            Some(audit) => {
                let (config, now) = (&sync.config, SystemClock.now());
                standing(audit, &config.store.name, config.schedule.as_ref(), now).await.ok()
            }
            None => None,
        });
    }
    let observed = syncs.iter().zip(&standings);
    let observed: Vec<_> = observed
        .map(|(sync, standing)| Observed { sync: &sync.config.name, standing: standing.as_ref() })
        .collect();
    metrics.render(&observed)
}
