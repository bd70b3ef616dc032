//! How long a run waits for its database. One whose route was dropped says nothing more, and the kernel gives such a
//! connection up after some 15 minutes, in which the run would hang in an open write, the store's calls long over. One
//! that is merely slow, or locked by somebody, is waited for as long as it takes: another session is asked which it is.

use std::pin::pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use sqlx::PgConnection;
use tokio::time::timeout;

use super::session::{self, failed};
use crate::config::Secret;
use crate::ledger::{LedgerError, Result};

/// How long an answer may take before it is asked what became of it, and how long that question may take. The server ends
/// the session of a client that it does not hear after 25 s, so that of a dead route nothing is left to be found by then.
pub(super) const PATIENCE: Duration = Duration::from_secs(30);

/// The time is counted in these: a process that was stopped, or whose machine slept, has waited for one of them.
const TURN: Duration = Duration::from_secs(1);

/// What a session does, as seen from another: `None` where it is not there, or has long done what it was asked.
const AT_WORK: &str = "
    select concat_ws(', ', wait_event_type || ': ' || wait_event,
        'held up by the sessions ' || nullif(array_to_string(pg_blocking_pids(pid), ', '), ''))
    from pg_stat_activity
    where pid = $1 and (
        state not in ('idle', 'idle in transaction', 'idle in transaction (aborted)')
        or state_change > clock_timestamp() - interval '10 s'
        or state is null
    )";

/// A run's patience with one session. When it is over it is over for good: what was begun was left in the middle.
#[derive(Debug)]
pub(super) struct Patience {
    url: Secret,
    /// The session, as the server calls it.
    pid: i32,
    lost: AtomicBool,
}

impl Patience {
    /// With this session at this address.
    pub(super) async fn with(url: &str, session: &mut PgConnection) -> Result<Self> {
        let pid = sqlx::query_scalar("select pg_backend_pid()").fetch_one(session).await;
        let pid = pid.map_err(failed("ask for its session"))?;
        Ok(Self { url: Secret::new(url), pid, lost: AtomicBool::new(false) })
    }

    /// Waits for the database as long as it is at work, or for half a minute. Afterwards nothing is waited for any more.
    ///
    /// # Errors
    /// No answer came; or what the work failed with.
    pub(super) async fn wait<T>(&self, work: impl Future<Output = Result<T>>) -> Result<T> {
        self.left()?;
        let ended = wait_while(work, || self.at_work()).await;
        ended.unwrap_or_else(|| {
            self.lost.store(true, Ordering::Relaxed);
            Err(silent())
        })
    }

    /// Fails where nothing is waited for any more.
    pub(super) fn left(&self) -> Result<()> {
        if self.lost.load(Ordering::Relaxed) { Err(silent()) } else { Ok(()) }
    }

    /// What the session is doing; `None` where it does nothing, is gone, or nobody can be asked.
    async fn at_work(&self) -> Option<String> {
        let asked = timeout(PATIENCE, async {
            let mut another = session::connect(self.url.expose()).await?;
            let doing = sqlx::query_scalar(AT_WORK).bind(self.pid).fetch_optional(&mut another).await;
            doing.map_err(failed("ask what its session is doing"))
        });
        let doing: String = asked.await.ok()?.ok()??;
        Some(if doing.is_empty() { "at work".to_owned() } else { doing })
    }
}

/// What the work came to; `None` where it was waited for in vain. Whoever has to wait long is told for what.
async fn wait_while<T, Doing: Future<Output = Option<String>>>(
    work: impl Future<Output = Result<T>>,
    at_work: impl Fn() -> Doing,
) -> Option<Result<T>> {
    let mut work = pin!(work);
    let mut waited = Duration::ZERO;
    loop {
        for _ in 0..PATIENCE.as_secs() / TURN.as_secs() {
            if let Ok(done) = timeout(TURN, &mut work).await {
                return Some(done);
            }
        }
        waited += PATIENCE;
        tokio::select! {
            biased;
            done = &mut work => return Some(done),
            doing = at_work() => {
                let (doing, seconds) = (doing?, waited.as_secs());
                tracing::warn!(seconds, doing, "the ledger's database is still at work; waiting for it");
            }
        }
    }
}

pub(super) fn silent() -> LedgerError {
    let problem = format!(
        "no answer came for {} seconds, and its session is not at work any more: is the way to the database cut?",
        PATIENCE.as_secs()
    );
    LedgerError::Database { doing: "reach its database", source: problem.into() }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;
    use std::future::{pending, poll_fn};
    use std::task::Poll;

    use tokio::time::{Instant, advance, sleep};

    use super::*;

    fn patience() -> Patience {
        Patience {
            url: Secret::new("postgres://nobody@127.0.0.1:1/none"),
            pid: 0,
            lost: AtomicBool::new(false),
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_silent_database_is_waited_for_once() {
        let (patience, began) = (patience(), Instant::now());
        let slow = patience.wait(async {
            sleep(PATIENCE - TURN).await;
            Ok(5)
        });
        assert_eq!(slow.await.expect("is waited for"), 5);
        assert_eq!(began.elapsed(), PATIENCE - TURN);

        let began = Instant::now();
        let error = patience.wait(pending::<Result<()>>()).await.expect_err("is given up");
        assert!((PATIENCE..=2 * PATIENCE).contains(&began.elapsed()), "{:?}", began.elapsed());
        let told = crate::causes::with_causes(&error);
        assert!(told.contains("reach its database: no answer came for 30 seconds"), "{told}");
        let began = Instant::now();
        assert!(
            patience.wait(async { Ok(()) }).await.is_err(),
            "what is left in the middle is not gone on with"
        );
        assert_eq!(began.elapsed(), Duration::ZERO, "and not waited for");
    }

    #[tokio::test(start_paused = true)]
    async fn one_that_is_at_work_is_waited_for() {
        let (asked, began) = (Cell::new(0), Instant::now());
        let at_work = || async {
            asked.set(asked.get() + 1);
            sleep(TURN).await;
            (asked.get() < 4).then(|| "Lock: relation".to_owned())
        };
        let slow = async {
            sleep(3 * PATIENCE).await;
            Ok(5)
        };
        assert_eq!(wait_while(slow, &at_work).await.expect("is waited for").expect("works"), 5);
        assert_eq!((began.elapsed(), asked.get()), (3 * PATIENCE, 2));

        let ended = wait_while(pending::<Result<()>>(), &at_work).await;
        assert!(ended.is_none(), "until it does nothing any more");
        assert_eq!(asked.get(), 4);
    }

    #[tokio::test(start_paused = true)]
    async fn a_process_that_was_stopped_has_not_waited() {
        let patience = patience();
        let mut turns = 0;
        // The timer wakes it, ten minutes later; the answer, long there, is seen in the turn after.
        let work = poll_fn(|_| {
            turns += 1;
            if turns < 3 { Poll::Pending } else { Poll::Ready(Ok(())) }
        });
        let (waited, ()) = tokio::join!(patience.wait(work), advance(Duration::from_secs(6_000)));
        waited.expect("it goes on");
    }
}
