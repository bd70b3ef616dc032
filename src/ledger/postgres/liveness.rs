//! How long a run waits for its database. A connection whose route was dropped stays open for some 15 minutes, and no
//! error shows it. A database that is slow, or waits for a lock, is waited for as long as it takes: another session
//! asks the server which of the two it is.

use std::pin::pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use sqlx::PgConnection;
use tokio::time::timeout;

use super::session::{self, failed};
use crate::config::Secret;
use crate::error_chain::with_causes;
use crate::ledger::{LedgerError, Result};

/// How long a session may be silent before another one asks about it, and how long that may take. The server ends a
/// session whose client it cannot reach after 25 s, so nothing is left of a dead route by then.
pub(super) const SILENCE_MAX: Duration = Duration::from_secs(30);

/// The time is counted in steps, so that a process that was stopped, or whose machine slept, has waited for one step
/// only.
const STEP: Duration = Duration::from_secs(1);

/// How often a server may refuse the other session before the run ends.
const REFUSALS_MAX: u32 = 10;

/// What a session is doing. No row: it has ended, or it waits for its client and so has done its work, or never got it.
/// Between two statements a busy session waits for its client too, for a moment.
const ACTIVITY: &str = "
    select case cardinality(pg_blocking_pids(pid))
        when 0 then coalesce('waits for ' || wait_event_type || ' ' || wait_event, 'is busy')
        else 'waits for a lock that session ' || array_to_string(pg_blocking_pids(pid), ', ') || ' holds' end
    from pg_stat_activity
    where pid = $1
        and (wait_event_type is distinct from 'Client' or state_change > clock_timestamp() - interval '10 s')";

/// Tells a slow session from a dead one. A session that was found dead stays so, because its last operation was left
/// unfinished.
#[derive(Debug)]
pub(super) struct Liveness {
    url: Secret,
    /// The server's process of the session.
    pid: i32,
    dead: AtomicBool,
}

/// What the other session found.
#[derive(Debug)]
enum Found {
    Busy(String),
    /// The server runs, but lets no other session in.
    Refused(String),
    Dead(String),
}

impl Liveness {
    /// Watches over a session at this address.
    pub(super) async fn of(url: &str, session: &mut PgConnection) -> Result<Self> {
        let pid = async { sqlx::query_scalar("select pg_backend_pid()").fetch_one(session).await };
        let pid = session::in_time(async { pid.await.map_err(failed("ask for its session")) }).await?;
        Ok(Self { url: Secret::new(url), pid, dead: AtomicBool::new(false) })
    }

    /// Waits for an operation of the session as long as the session is alive.
    ///
    /// # Errors
    /// The session is dead; or the error of the operation.
    pub(super) async fn wait<T>(&self, operation: impl Future<Output = Result<T>>) -> Result<T> {
        self.check()?;
        wait_while_busy(operation, || self.ask()).await.unwrap_or_else(|why| {
            self.dead.store(true, Ordering::Relaxed);
            Err(silent(&why))
        })
    }

    /// Fails if the session was found dead.
    pub(super) fn check(&self) -> Result<()> {
        if self.dead.load(Ordering::Relaxed) {
            Err(silent("the session was found dead before"))
        } else {
            Ok(())
        }
    }

    /// Asks another session what this one is doing.
    async fn ask(&self) -> Found {
        let asked = timeout(SILENCE_MAX, async {
            let mut another = session::connect(self.url.expose()).await?;
            let activity = sqlx::query_scalar(ACTIVITY).bind(self.pid).fetch_optional(&mut another).await;
            activity.map_err(failed("ask what its session is doing"))
        });
        let pid = self.pid;
        match asked.await {
            Err(_) => Found::Dead("a new session gets no response either".to_owned()),
            Ok(Err(error)) if is_from_server(&error) => Found::Refused(with_causes(&error)),
            Ok(Err(error)) => Found::Dead(with_causes(&error)),
            Ok(Ok(None)) => Found::Dead(format!("its session {pid} has ended, or cannot reach this client")),
            Ok(Ok(Some::<String>(activity))) => Found::Busy(format!("its session {pid} {activity}")),
        }
    }
}

/// Whether the server itself reported the error.
fn is_from_server(error: &LedgerError) -> bool {
    let LedgerError::Database { source, .. } = error else { return false };
    matches!(source.downcast_ref::<sqlx::Error>(), Some(sqlx::Error::Database(_)))
}

/// Returns the result of the operation, or why it was abandoned. Says now and then what it waits for.
async fn wait_while_busy<T, Asked: Future<Output = Found>>(
    operation: impl Future<Output = T>,
    ask: impl Fn() -> Asked,
) -> Result<T, String> {
    let mut operation = pin!(operation);
    let (mut seconds, mut refusals) = (0, 0);
    loop {
        for _ in 0..SILENCE_MAX.as_secs() / STEP.as_secs() {
            if let Ok(done) = timeout(STEP, &mut operation).await {
                return Ok(done);
            }
        }
        seconds += SILENCE_MAX.as_secs();
        let found = tokio::select! {
            biased;
            done = &mut operation => return Ok(done),
            found = ask() => found,
        };
        let why = match found {
            Found::Dead(why) => return Err(why),
            Found::Busy(activity) => {
                refusals = 0;
                activity
            }
            Found::Refused(why) => {
                refusals += 1;
                if refusals > REFUSALS_MAX {
                    return Err(why);
                }
                why
            }
        };
        tracing::warn!(seconds, "waiting for the ledger's database, which has sent no response: {why}");
    }
}

/// The error of a database that sends nothing.
pub(super) fn silent(why: &str) -> LedgerError {
    let problem = format!("no response for {} seconds: {why}", SILENCE_MAX.as_secs());
    LedgerError::Database { doing: "reach its database", source: problem.into() }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;
    use std::future::{pending, poll_fn};
    use std::task::Poll;

    use tokio::time::{Instant, advance, sleep};

    use super::*;

    /// Of a session at an address where nothing listens.
    fn liveness() -> Liveness {
        let url = Secret::new("postgres://nobody@127.0.0.1:1/none");
        Liveness { url, pid: 0, dead: AtomicBool::new(false) }
    }

    #[tokio::test(start_paused = true)]
    async fn a_dead_session_is_waited_for_once() {
        let (liveness, start) = (liveness(), Instant::now());
        let slow = liveness.wait(async {
            sleep(SILENCE_MAX - STEP).await;
            Ok(5)
        });
        assert_eq!(slow.await.expect("a result"), 5);
        assert_eq!(start.elapsed(), SILENCE_MAX - STEP);

        let start = Instant::now();
        let error = liveness.wait(pending::<Result<()>>()).await.expect_err("is abandoned");
        assert!((SILENCE_MAX..=2 * SILENCE_MAX).contains(&start.elapsed()), "{:?}", start.elapsed());
        let text = with_causes(&error);
        assert!(text.contains("reach its database: no response for 30 seconds"), "{text}");
        let start = Instant::now();
        assert!(liveness.wait(async { Ok(()) }).await.is_err(), "an unfinished operation is before it");
        assert_eq!(start.elapsed(), Duration::ZERO, "without waiting");
    }

    #[tokio::test(start_paused = true)]
    async fn a_busy_session_is_waited_for() {
        let (asked, start) = (Cell::new(0), Instant::now());
        let ask = || async {
            asked.set(asked.get() + 1);
            sleep(STEP).await;
            match asked.get() {
                1..4 => Found::Busy("its session 7 is busy".to_owned()),
                _ => Found::Dead("its session 7 has ended".to_owned()),
            }
        };
        let slow = async {
            sleep(3 * SILENCE_MAX).await;
            5
        };
        assert_eq!(wait_while_busy(slow, &ask).await, Ok(5));
        assert_eq!((start.elapsed(), asked.get()), (3 * SILENCE_MAX, 2));

        let ended = wait_while_busy(pending::<()>(), &ask).await;
        assert_eq!(ended, Err("its session 7 has ended".to_owned()), "until it is not busy any more");
        assert_eq!(asked.get(), 4);
    }

    #[tokio::test(start_paused = true)]
    async fn a_server_that_refuses_other_sessions_is_waited_for_some_minutes() {
        let start = Instant::now();
        let ask = async || Found::Refused("sorry, too many clients already".to_owned());
        let ended = wait_while_busy(pending::<()>(), ask).await;
        assert_eq!(ended, Err("sorry, too many clients already".to_owned()), "not for ever");
        assert_eq!(start.elapsed(), SILENCE_MAX * (REFUSALS_MAX + 1));
    }

    #[tokio::test(start_paused = true)]
    async fn a_process_that_was_stopped_has_not_waited() {
        let liveness = liveness();
        let mut polls = 0;
        // The timer wakes it ten minutes later; the result is seen in the step after.
        let operation = poll_fn(|_| {
            polls += 1;
            if polls < 3 { Poll::Pending } else { Poll::Ready(Ok(())) }
        });
        let (waited, ()) = tokio::join!(liveness.wait(operation), advance(Duration::from_secs(6_000)));
        waited.expect("goes on");
    }
}
