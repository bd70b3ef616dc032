//! `attrsync serve`: syncs that start by themselves.

mod board;
mod check;
mod health;
mod listen;
mod look;
mod process;
mod site;
mod start;
mod sync_files;
mod systemd;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;

use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::mpsc;

use self::board::Board;
use self::process::Process;
use self::sync_files::{SyncFile, SyncFiles};
use self::systemd::Systemd;
use super::config_files::ConfigFiles;
use super::context::Context;
use super::exit::Exit;
use super::failure::Failure;
use super::{signals, wiring};
use crate::config::ServeConfig;
use crate::metrics::Metrics;
use crate::traces::Traces;

/// Events that may wait for the loop of the process.
const REQUESTS_WAITING_MAX: usize = 1_024;

/// What `--help` adds.
const EXAMPLES: &str = "\
The times are those of [schedule] in each configuration. --check reads the
configurations and nothing else.

A file of a folder that cannot be used is logged and shown on the status site,
and the other syncs run. SIGHUP reads the configurations again; what a wrong one
said before stays in force. The first Ctrl-C or SIGTERM stops politely: calls in
flight end and are recorded. A second one ends the process at once.

Examples:
  attrsync serve                               the sync of sync.toml, on time
  attrsync serve --config-dir /etc/attrsync    a sync for each file of a folder
  attrsync serve --check                       the next times of sync.toml

Exit codes: 0 stopped politely, or all configurations can be used (--check),
1 failed, 64 a configuration cannot be used (of a folder: none can), or two are
for one store or have one name.";

/// Arguments of `serve`.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct Args {
    #[command(flatten)]
    files: ConfigFiles,
    #[command(flatten)]
    transport: wiring::TransportPolicy,
    /// Print the next ten times of each sync and what is wrong with a configuration, and start nothing
    #[arg(long)]
    check: bool,
    /// Ask the process that serves here whether it lives, for containers
    #[arg(long, conflicts_with = "check")]
    health: bool,
    /// Listen here instead of at [serve] address; port 0 takes a free port
    #[arg(long, value_name = "IP:PORT")]
    address: Option<SocketAddr>,
}

pub(super) async fn run(context: &Context, args: &Args) -> Result<Exit, Failure> {
    if args.check {
        return check::run(&context.console, &args.files.paths(context)?);
    }
    if args.health {
        let SyncFiles { syncs, .. } = SyncFiles::read(&args.files.paths(context)?);
        return health::run(serve_config(args, &syncs)?.address).await;
    }
    let files = read(context, args)?;
    let config = serve_config(args, &files.syncs)?;
    serve(context, args, files, &config).await
}

/// Reads all configurations. Of a folder, those that cannot be used are logged, and the others start. Nothing starts if
/// none can be used, or if one that was named cannot.
fn read(context: &Context, args: &Args) -> Result<SyncFiles, Failure> {
    let files = read_files(args, &args.files.paths(context)?);
    let problems = files.problems();
    if !problems.is_empty() && (files.syncs.is_empty() || !args.files.is_folder()) {
        return Err(Failure::usage(problems.join("\n")));
    }
    for problem in problems {
        tracing::error!("a configuration is not used, and its sync does not run: {}", in_one_line(problem));
    }
    warn_of_waiting(&files);
    Ok(files)
}

/// Reads files, and refuses those whose connections would have to be encrypted.
fn read_files(args: &Args, paths: &[PathBuf]) -> SyncFiles {
    let mut files = SyncFiles::read(paths);
    files.retain(|sync| {
        wiring::require_encryption(&sync.config, args.transport).map_err(|failure| match &failure.hint {
            Some(hint) => format!("{}; {hint}", failure.whole()),
            None => failure.whole(),
        })
    });
    files
}

/// Returns where to listen, and how many syncs may run at once.
fn serve_config(args: &Args, syncs: &[SyncFile]) -> Result<ServeConfig, Failure> {
    let config = SyncFiles::serve_config(syncs).map_err(Failure::usage)?;
    let address = args.address.unwrap_or(config.address);
    if !address.ip().is_loopback() && config.token.is_none() {
        let problem = format!("{address} is reached from other machines, which could read customers' values");
        return Err(Failure::usage(problem).hint("set [serve] token, or listen at 127.0.0.1"));
    }
    Ok(ServeConfig { address, ..config })
}

async fn serve(
    context: &Context,
    args: &Args,
    files: SyncFiles,
    config: &ServeConfig,
) -> Result<Exit, Failure> {
    let stopping = signals::polite_stop_without_hangup(
        &context.console,
        "stopping: calls in flight end and are recorded, nothing new is sent (a second signal ends the process at once)",
    )?;
    let mut hangup = signal(SignalKind::hangup())?;
    let (events, mut requests) = mpsc::channel(REQUESTS_WAITING_MAX);
    let (board, metrics) = (Arc::new(Board::default()), Arc::new(Metrics::new()));
    let web = site::start(config, board.clone(), metrics.clone(), events.clone()).await;
    let web = web.map_err(|error| {
        Failure::caused_by(error)
            .hint("another process listens there, or this user may not: set [serve] address")
    })?;
    let traces = Arc::new(Traces::start());
    let mut process = Process::new(config.max_concurrent_runs, board, metrics, traces, events);
    process.configure(files);
    let mut systemd = Systemd::new();
    systemd.ready();
    let count = process.syncs().len();
    context.console.note(&format!(
        "ready: {count} {}, and the status site at http://{}/",
        if count == 1 { "sync" } else { "syncs" },
        web.address()
    ));
    let mut is_stopping = false;
    while !is_stopping || !process.is_idle() {
        systemd.alive();
        let mut asked = stopping.asked.clone();
        tokio::select! {
            () = process.step(&mut requests) => {}
            _ = asked.wait_for(|stop| *stop), if !is_stopping => {
                is_stopping = true;
                systemd.stopping();
                process.stop();
            }
            _ = hangup.recv() => reload(context, args, config, &mut process),
        }
    }
    process.drain().await;
    web.stop().await;
    Ok(Exit::Done)
}

/// Reads the configurations again. What a file that cannot be used said before stays in force. So does `[serve]`, which is
/// `config`.
fn reload(context: &Context, args: &Args, config: &ServeConfig, process: &mut Process) {
    let paths = match args.files.paths(context) {
        Ok(paths) => paths,
        Err(failure) => {
            return tracing::error!(
                "not reloaded; the old configuration stays in force: {}",
                failure.whole()
            );
        }
    };
    let mut files = read_files(args, &paths);
    let kept = process.syncs().values().filter(|old| {
        paths.contains(&old.path)
            && !files.syncs.iter().any(|new| new.path == old.path || new.conflicts_with(old))
    });
    let kept: Vec<SyncFile> = kept.map(|old| SyncFile::clone(old)).collect();
    for old in &kept {
        files.keep_in_force(old);
    }
    for file in &files.unusable {
        let meanwhile =
            if file.stays_in_force { "what it said before stays in force" } else { "its sync does not run" };
        tracing::error!("a configuration is not used, and {meanwhile}: {}", in_one_line(&file.problem));
    }
    files.syncs.extend(kept);
    warn_of_waiting(&files);
    warn_of_changed_serve(args, config, &files.syncs);
    match files.unusable.len() {
        0 => tracing::info!(syncs = files.syncs.len(), "reloaded"),
        count => {
            let files_with_problems = if count == 1 { "a configuration" } else { "configurations" };
            tracing::warn!(
                syncs = files.syncs.len(),
                "reloaded, but for {files_with_problems} with problems"
            );
        }
    }
    process.configure(files);
}

fn warn_of_waiting(files: &SyncFiles) {
    for waiting in files.waiting_for_each_other() {
        tracing::warn!("{waiting}");
    }
}

/// Says if `[serve]` is not the one that is in force.
fn warn_of_changed_serve(args: &Args, in_force: &ServeConfig, syncs: &[SyncFile]) {
    match serve_config(args, syncs) {
        Ok(config) if config == *in_force => {}
        Ok(_) => tracing::warn!(
            "[serve] has changed, and is read at the start only: restart the process to use it"
        ),
        Err(failure) => tracing::warn!(
            hint = failure.hint,
            "with [serve] as it is now, the process could not start again: {}",
            in_one_line(&failure.whole())
        ),
    }
}

/// A problem of several lines, for the log.
fn in_one_line(problem: &str) -> String {
    problem.replace('\n', ";")
}
