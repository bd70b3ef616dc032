//! The faults that strike a run and everything around it.

use std::process::Command;
use std::thread::sleep;
use std::time::Duration;

use attrsync::sandbox::{Fault as Mishap, Faults};

use super::life::{Ended, Life, Run};
use super::proofs;
use crate::end_to_end::world::{LedgerKind, until};

/// The rates of the store's faults on a bad night.
const BAD_NIGHT: &str = "dropped=0.05,html=0.05,lost=0.05,refused=0.05,429-bare=0.03,shuffled=0.05,missing=0.05,\
     skipped=0.03,stale=0.03,doubled=0.05,conflicting=0.03,no-ids=0.05,slow=0.01,silent=0.01,late=0.01,reads=0.1";

/// One kind of fault.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Fault {
    Kill,
    KillAgain,
    KillWithoutResponse,
    KillWhileAnotherWaits,
    Point(&'static str),
    Term,
    TermTwice,
    TwoAtOnce,
    SourceStopped,
    LedgerStopped,
    LedgerSessionEnded,
    StoreRefuses,
    StoreDeaf,
    ConnectionsCut,
    BodiesCut,
    BadNight,
    FileTooLarge,
    FileTooLargeSignal,
    DiskFull,
}

/// Whether a fault struck.
pub(super) enum Struck {
    /// The run ended before the fault struck.
    Missed,
    /// The fault struck. `resent` is the number of requests without a recorded outcome, if only the process died.
    Hit { resent: Option<usize> },
}

impl Fault {
    /// The name in the table.
    pub(super) fn name(self) -> String {
        match self {
            Self::Kill => "SIGKILL at a random moment".to_owned(),
            Self::KillAgain => "SIGKILL again and again".to_owned(),
            Self::KillWithoutResponse => "SIGKILL while requests get no response".to_owned(),
            Self::KillWhileAnotherWaits => "SIGKILL while another run waits".to_owned(),
            Self::Point(name) => format!("fail-point {name}"),
            Self::Term => "SIGTERM".to_owned(),
            Self::TermTwice => "SIGTERM twice".to_owned(),
            Self::TwoAtOnce => "two runs at once".to_owned(),
            Self::SourceStopped => "source Postgres stopped hard".to_owned(),
            Self::LedgerStopped => "ledger Postgres stopped hard".to_owned(),
            Self::LedgerSessionEnded => "ledger session ended".to_owned(),
            Self::StoreRefuses => "store stops accepting".to_owned(),
            Self::StoreDeaf => "store accepts, never responds".to_owned(),
            Self::ConnectionsCut => "live connections reset".to_owned(),
            Self::BodiesCut => "reset before, in and after the body".to_owned(),
            Self::BadNight => "a bad night of the store".to_owned(),
            Self::FileTooLarge => "file size limit, an error".to_owned(),
            Self::FileTooLargeSignal => "file size limit, SIGXFSZ".to_owned(),
            Self::DiskFull => "ledger's disk full".to_owned(),
        }
    }

    /// All faults that can strike a run with this kind of ledger, the fail-points last.
    pub(super) fn all(kind: LedgerKind) -> Vec<Self> {
        let mut all = vec![
            Self::Kill,
            Self::KillAgain,
            Self::KillWithoutResponse,
            Self::KillWhileAnotherWaits,
            Self::Term,
            Self::TermTwice,
            Self::TwoAtOnce,
            Self::SourceStopped,
            Self::StoreRefuses,
            Self::StoreDeaf,
            Self::ConnectionsCut,
            Self::BodiesCut,
            Self::BadNight,
        ];
        all.extend(match kind {
            LedgerKind::File => &[Self::FileTooLarge, Self::FileTooLargeSignal, Self::DiskFull][..],
            LedgerKind::Postgres => &[Self::LedgerStopped, Self::LedgerSessionEnded],
        });
        // A sync saves no plan, and these look up no address.
        let points = points().iter().filter(|name| !["plan-saved", "emails-kept"].contains(name));
        all.extend(points.map(|name| Self::Point(name)));
        all
    }

    /// Whether the fault needs a ledger that does not exist yet.
    pub(super) fn needs_new_ledger(self) -> bool {
        matches!(self, Self::Point("migrating" | "migrated"))
    }

    /// How often every run of this harness reaches the fail-point.
    pub(super) fn arrivals(self) -> u32 {
        const AT_EVERY_REQUEST: [&str; 6] = [
            "intent-not-committed",
            "intent-committed",
            "before-request",
            "response-read",
            "outcome-not-committed",
            "outcome-committed",
        ];
        match self {
            Self::Point("migrating") => 2,
            Self::Point(name) if AT_EVERY_REQUEST.contains(&name) => 12,
            _ => 1,
        }
    }

    /// Whether the fault needs a run of many requests.
    pub(super) fn needs_many_requests(self) -> bool {
        let others = [
            Self::KillWithoutResponse,
            Self::KillWhileAnotherWaits,
            Self::LedgerStopped,
            // Only a long write-ahead log reaches the limit of a file or a disk.
            Self::FileTooLarge,
            Self::FileTooLargeSignal,
            Self::DiskFull,
        ];
        self.arrivals() > 2 || others.contains(&self)
    }

    /// Starts a run and strikes. `arrival` says at which arrival a fail-point strikes.
    pub(super) fn strike(self, life: &mut Life<'_>, arrival: u32) -> Struck {
        let from = life.written();
        life.world.store().options.latency = Duration::from_millis(life.rng.u64(2..25));
        let struck = match self {
            Self::Kill => kill(life),
            Self::KillAgain => (0..life.rng.u8(2..5)).map(|_| kill(life)).fold(false, |any, one| any | one),
            Self::KillWithoutResponse => kill_without_response(life),
            Self::KillWhileAnotherWaits => kill_while_another_waits(life),
            Self::Point(name) => die_at(life, name, arrival),
            Self::Term => terminate(life, 1),
            Self::TermTwice => terminate(life, 2),
            Self::TwoAtOnce => two_at_once(life),
            Self::SourceStopped => stop_source(life),
            Self::LedgerStopped => stop_ledger(life),
            Self::LedgerSessionEnded => end_session(life),
            Self::StoreRefuses => cut_off(life, |life| life.proxy.close()),
            Self::StoreDeaf => cut_off(life, |life| life.proxy.go_deaf()),
            Self::ConnectionsCut => cut_connections(life),
            Self::BodiesCut => suffer(life, "cut=0.15,reset=0.15,dropped=0.1"),
            Self::BadNight => suffer(life, BAD_NIGHT),
            Self::FileTooLarge => limit_files(life, "trap '' XFSZ; "),
            Self::FileTooLargeSignal => limit_files(life, ""),
            Self::DiskFull => fill_disk(life),
        };
        life.note_delayed_requests(from);
        let died = matches!(self, Self::Kill | Self::KillWithoutResponse | Self::Point(_));
        match struck {
            false => Struck::Missed,
            true => Struck::Hit { resent: died.then(|| proofs::without_outcome(life, from)) },
        }
    }
}

#[cfg(feature = "failpoints")]
fn points() -> &'static [&'static str] {
    attrsync::failpoint::NAMES
}

/// A program without the feature has no fail-points.
#[cfg(not(feature = "failpoints"))]
fn points() -> &'static [&'static str] {
    &[]
}

/// Asserts that a run that was not killed ended with one of these codes. After code 0 everything has landed.
#[track_caller]
fn ended_well(life: &Life<'_>, ended: &Ended, codes: &[i32]) {
    assert!(ended.code.is_some_and(|code| codes.contains(&code)), "none of {codes:?}: {ended:#?}");
    if ended.code == Some(0) {
        proofs::landed(life, &life.ledger().expect("a ledger"));
    }
}

/// Kills the run and returns whether it was killed before its end.
#[track_caller]
fn killed(life: &Life<'_>, run: Run) -> bool {
    run.signal("KILL");
    let ended = run.end();
    if ended.signal != Some(9) {
        ended_well(life, &ended, &[0, 3]);
    }
    ended.signal == Some(9)
}

fn kill(life: &mut Life<'_>) -> bool {
    let run = life.sync();
    life.doze();
    killed(life, run)
}

fn kill_without_response(life: &mut Life<'_>) -> bool {
    let others = [Mishap::Slow, Mishap::Late, Mishap::Silent];
    let mut silences = vec![Mishap::Late];
    silences.extend((0..life.rng.usize(..3)).map(|_| others[life.rng.usize(..others.len())]));
    let many = silences.len();
    life.world.script(&silences);
    let from = life.written();
    let mut run = life.sync();
    run.until("requests are in flight", || life.written() >= from + many);
    killed(life, run)
}

fn kill_while_another_waits(life: &mut Life<'_>) -> bool {
    life.world.store().options.latency = Duration::from_millis(150);
    let from = life.written();
    let mut first = life.sync();
    if !first.until("it sends", || life.written() > from) {
        return false;
    }
    let mut second = life.start(life.world.program(&["sync", "--json", "--wait"]));
    until("the second waits", || second.heard().contains("waiting for") || second.has_ended());
    life.world.store().options.latency = Duration::from_millis(10);
    let at = chrono::Utc::now();
    let struck = killed(life, first);
    ended_well(life, &second.end(), &[0, 3]);
    if struck {
        let ledger = life.ledger().expect("a ledger");
        let waited = ledger.runs.last().expect("a run").started_at - at;
        assert!(waited.num_milliseconds() <= 2_000, "promise 5: the next run waited {waited}");
    }
    struck
}

fn die_at(life: &mut Life<'_>, name: &str, arrival: u32) -> bool {
    let args: &[&str] = match name {
        "values-observed" | "drift-edited" => &["reconcile", "--json"],
        "values-adopted" => &["reconcile", "--adopt", "--json"],
        _ => &["sync", "--json"],
    };
    if name == "drift-edited" {
        life.change_in_store();
    }
    let mut command = life.world.program(args);
    command.env("ATTRSYNC_FAILPOINT", format!("{name}:{arrival}"));
    let ended = life.start(command).end();
    if ended.signal == Some(6) {
        return true;
    }
    if args[0] == "sync" {
        ended_well(life, &ended, &[0, 3]);
    } else {
        // A reading that goes on with the pages of a killed one reads none. It sends nothing, so nothing has landed.
        assert_eq!(ended.code, Some(0), "{ended:#?}");
    }
    false
}

fn terminate(life: &mut Life<'_>, times: u32) -> bool {
    let mut run = life.sync();
    life.doze();
    let has_ended = run.has_ended();
    for _ in 0..times {
        run.signal("TERM");
        sleep(Duration::from_millis(life.rng.u64(0..30)));
    }
    let ended = run.end();
    if ended.signal.is_none() {
        ended_well(life, &ended, &[0, 1, 3]);
    }
    // Before the program listens for signals, the first one kills it.
    assert!(matches!(ended.signal, None | Some(15)), "{ended:#?}");
    !has_ended
}

fn two_at_once(life: &mut Life<'_>) -> bool {
    let first = life.sync();
    sleep(Duration::from_millis(life.rng.u64(0..40)));
    let second = life.sync();
    let ends = [first.end(), second.end()];
    ends.iter().for_each(|ended| ended_well(life, ended, &[0, 3, 5]));
    assert!(ends.iter().any(|ended| ended.code != Some(5)), "neither run had the store: {ends:#?}");
    true
}

fn stop_source(life: &mut Life<'_>) -> bool {
    life.configure(true);
    let seen = life.world.store().tally().requests;
    let mut run = life.sync();
    run.until("it plans", || life.world.store().tally().requests > seen);
    sleep(Duration::from_millis(life.rng.u64(0..120)));
    life.servers.source.crash();
    let ended = run.end();
    life.servers.source.recover();
    life.configure(false);
    ended_well(life, &ended, &[1]);
    true
}

fn stop_ledger(life: &mut Life<'_>) -> bool {
    let server = life.servers.ledger.as_ref().expect("a server of its own");
    let from = life.written() + life.rng.usize(0..12);
    let mut run = life.sync();
    run.until("it sends", || life.written() > from);
    let has_ended = run.has_ended();
    server.crash();
    let ended = run.end();
    server.recover();
    ended_well(life, &ended, &[0, 1, 3]);
    !has_ended && ended.code == Some(1)
}

fn end_session(life: &mut Life<'_>) -> bool {
    let from = life.written() + life.rng.usize(0..12);
    let mut run = life.sync();
    run.until("it sends", || life.written() > from);
    let url = life.world.ledger_url.clone();
    life.world.execute_at(
        &url,
        "select pg_terminate_backend(pid) from pg_stat_activity
         where application_name = 'attrsync' and datname = current_database()",
    );
    let ended = run.end();
    ended_well(life, &ended, &[0, 1, 3]);
    ended.code == Some(1)
}

/// Makes the store unreachable for a while, or until the run ends.
fn cut_off(life: &mut Life<'_>, cut: impl Fn(&Life<'_>)) -> bool {
    let mut run = life.sync();
    life.doze();
    let has_ended = run.has_ended();
    cut(life);
    let most = life.rng.u64(50..1_500);
    let began = std::time::Instant::now();
    run.until("the store is reachable again", || began.elapsed() > Duration::from_millis(most));
    life.proxy.open();
    ended_well(life, &run.end(), &[0, 1, 3]);
    !has_ended
}

fn cut_connections(life: &mut Life<'_>) -> bool {
    let mut run = life.sync();
    let mut struck = false;
    for _ in 0..life.rng.u8(1..6) {
        life.doze();
        struck |= !run.has_ended();
        life.proxy.cut();
    }
    ended_well(life, &run.end(), &[0, 1, 3]);
    struck
}

fn suffer(life: &mut Life<'_>, rates: &str) -> bool {
    let before = life.written();
    life.world.store().options.faults = rates.parse::<Faults>().expect("rates");
    let run = life.sync();
    ended_well(life, &run.end(), &[0, 1, 3]);
    life.writes_from(before).iter().any(|write| write.fault.is_some())
}

/// Limits the size of the process's files to a little more than the ledger's size now.
fn limit_files(life: &mut Life<'_>, trap: &str) -> bool {
    let file = life.ledger_file().expect("a file");
    let length = std::fs::metadata(file).map_or(0, |metadata| metadata.len());
    let limit = (length / 1024).max(64) + life.rng.u64(4..200);
    let program = life.world.program(&["sync", "--json"]);
    let mut limited = Command::new("bash");
    limited.arg("-c").arg(format!("{trap}ulimit -f {limit} && exec \"$0\" \"$@\""));
    limited.arg(program.get_program()).args(program.get_args()).current_dir(life.world.path());
    let ended = life.start(limited).end();
    if ended.signal.is_none() {
        ended_well(life, &ended, &[0, 1, 3]);
    }
    assert!(matches!(ended.signal, None | Some(25)), "{ended:#?}");
    ended.code == Some(1) || ended.signal.is_some()
}

fn fill_disk(life: &mut Life<'_>) -> bool {
    let spare = life.rng.u64(4..200);
    let disk = life.disk.as_ref().expect("a disk of its own");
    disk.fill(spare);
    let run = life.sync();
    let ended = run.end();
    ended_well(life, &ended, &[0, 1, 3]);
    ended.code == Some(1)
}
