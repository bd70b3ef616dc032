//! How long a run waits for its database. One whose route was dropped says nothing more, and the kernel gives such a
//! connection up after some 15 minutes, in which the run would hang in an open write, the store's calls long over. One
//! that is merely slow, or locked by somebody, is waited for as long as it takes: another session is asked which it is.

use std::pin::pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use sqlx::PgConnection;
use tokio::time::{Instant, timeout};

use super::session::{self, failed};
use crate::config::Secret;
use crate::error_chain::with_causes;
use crate::ledger::{LedgerError, Result};

/// How long an answer may take before it is asked what became of it, and how long that question may take. The server ends
/// the session of a client that it does not hear after 25 s, so that of a dead route nothing is left to be found by then.
pub(super) const PATIENCE: Duration = Duration::from_secs(30);

/// The time is counted in these: a process that was stopped, or whose machine slept, has waited for one of them.
const TURN: Duration = Duration::from_secs(1);

/// What a session does, as seen from another. Nothing comes where it is gone, or waits for us: it has done what it was asked,
/// or hears nothing of it. Between two statements it waits for us too, for a moment.
const AT_WORK: &str = "
    select case cardinality(pg_blocking_pids(pid))
        when 0 then coalesce('waits for ' || wait_event_type || ' ' || wait_event, 'is busy')
        else 'waits for a lock that session ' || array_to_string(pg_blocking_pids(pid), ', ') || ' holds' end
    from pg_stat_activity
    where pid = $1
        and (wait_event_type is distinct from 'Client' or state_change > clock_timestamp() - interval '10 s')";

/// How often nobody can be asked, by a server that is there, before it is given up.
const REFUSALS_MAX: u32 = 10;

/// A run's patience with one session. When it is over it is over for good: what was begun was left in the middle.
#[derive(Debug)]
pub(super) struct Patience {
    url: Secret,
    /// The session, as the server calls it.
    pid: i32,
    /// When somebody last asked; the others who wait learn it from what becomes of that one.
    asked_at: Mutex<Option<Instant>>,
    lost: AtomicBool,
}

/// What became of the question.
#[derive(Debug)]
enum Told {
    /// The session is at work, and at what.
    AtWork(String),
    /// The server is there, but lets nobody ask.
    Refused(String),
    /// Nothing is to be hoped for.
    Over(String),
}

impl Patience {
    /// With this session at this address.
    pub(super) async fn with(url: &str, backend: &mut PgConnection) -> Result<Self> {
        let pid = async { sqlx::query_scalar("select pg_backend_pid()").fetch_one(backend).await };
        let pid = session::in_time(async { pid.await.map_err(failed("ask for its session")) }).await?;
        Ok(Self { url: Secret::new(url), pid, asked_at: Mutex::default(), lost: AtomicBool::new(false) })
    }

    /// Waits for the database as long as it is at work, or for half a minute. Afterwards nothing is waited for any more.
    ///
    /// # Errors
    /// No answer came; or what the work failed with.
    pub(super) async fn wait<T>(&self, work: impl Future<Output = Result<T>>) -> Result<T> {
        self.left()?;
        let ended = wait_while(work, || self.ask()).await;
        ended.unwrap_or_else(|why| {
            self.lost.store(true, Ordering::Relaxed);
            Err(silent(&why))
        })
    }

    /// Fails where nothing is waited for any more.
    pub(super) fn left(&self) -> Result<()> {
        if self.lost.load(Ordering::Relaxed) { Err(silent(GIVEN_UP)) } else { Ok(()) }
    }

    /// Asks what the session is doing; `None` where somebody else has just asked.
    async fn ask(&self) -> Option<Told> {
        if self.lost.load(Ordering::Relaxed) {
            return Some(Told::Over(GIVEN_UP.to_owned()));
        }
        let now = Instant::now();
        {
            let mut asked_at = self.asked_at.lock().unwrap_or_else(PoisonError::into_inner);
            if asked_at.is_some_and(|asked_at| now - asked_at < PATIENCE / 2) {
                return None;
            }
            *asked_at = Some(now);
        }
        let asked = timeout(PATIENCE, async {
            let mut another = session::connect(self.url.expose()).await?;
            let doing = sqlx::query_scalar(AT_WORK).bind(self.pid).fetch_optional(&mut another).await;
            doing.map_err(failed("ask what its session is doing"))
        });
        let doing: Option<String> = match asked.await {
            Err(_) => return Some(Told::Over("a new session gets no answer either".to_owned())),
            Ok(Ok(doing)) => doing,
            Ok(Err(error)) => {
                let why = with_causes(&error);
                return Some(if answered(&error) { Told::Refused(why) } else { Told::Over(why) });
            }
        };
        let session = format!("its session {}", self.pid);
        Some(match doing {
            Some(doing) => Told::AtWork(format!("{session} {doing}")),
            None => Told::Over(format!("{session} is gone or hears nothing of us")),
        })
    }
}

const GIVEN_UP: &str = "the session was given up before";

/// Whether it is the server that said so.
fn answered(error: &LedgerError) -> bool {
    let LedgerError::Database { source, .. } = error else { return false };
    source.downcast_ref::<sqlx::Error>().is_some_and(|error| matches!(error, sqlx::Error::Database(_)))
}

/// What the work came to, or why it was waited for in vain. Whoever has to wait long is told for what.
async fn wait_while<T, Asking: Future<Output = Option<Told>>>(
    work: impl Future<Output = Result<T>>,
    ask: impl Fn() -> Asking,
) -> std::result::Result<Result<T>, String> {
    let mut work = pin!(work);
    let (mut waited, mut refusals) = (Duration::ZERO, 0);
    loop {
        for _ in 0..PATIENCE.as_secs() / TURN.as_secs() {
            if let Ok(done) = timeout(TURN, &mut work).await {
                return Ok(done);
            }
        }
        waited += PATIENCE;
        let seconds = waited.as_secs();
        tokio::select! {
            biased;
            done = &mut work => return Ok(done),
            told = ask() => match told {
                None => {}
                Some(Told::AtWork(doing)) => {
                    refusals = 0;
                    tracing::warn!(seconds, "the ledger's database has not answered yet, and is waited for: {doing}");
                }
                Some(Told::Refused(why)) if refusals < REFUSALS_MAX => {
                    refusals += 1;
                    tracing::warn!(
                        seconds,
                        "the ledger's database has not answered yet, and could not be asked why; it is waited for: {why}"
                    );
                }
                Some(Told::Refused(why) | Told::Over(why)) => return Err(why),
            },
        }
    }
}

pub(super) fn silent(why: &str) -> LedgerError {
    let problem = format!("no answer came for {} seconds: {why}", PATIENCE.as_secs());
    LedgerError::Database { doing: "reach its database", source: problem.into() }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;
    use std::future::{pending, poll_fn};
    use std::task::Poll;

    use tokio::time::{advance, sleep};

    use super::*;

    fn patience() -> Patience {
        let url = Secret::new("postgres://nobody@127.0.0.1:1/none");
        Patience { url, pid: 0, asked_at: Mutex::default(), lost: AtomicBool::new(false) }
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
        let told = crate::error_chain::with_causes(&error);
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
        let ask = || async {
            asked.set(asked.get() + 1);
            sleep(TURN).await;
            Some(match asked.get() {
                1..4 => Told::AtWork("its session 7 is busy".to_owned()),
                _ => Told::Over("its session 7 is gone".to_owned()),
            })
        };
        let slow = async {
            sleep(3 * PATIENCE).await;
            Ok(5)
        };
        assert_eq!(wait_while(slow, &ask).await.expect("is waited for").expect("works"), 5);
        assert_eq!((began.elapsed(), asked.get()), (3 * PATIENCE, 2));

        let ended = wait_while(pending::<Result<()>>(), &ask).await;
        assert_eq!(ended.expect_err("until it does nothing any more"), "its session 7 is gone");
        assert_eq!(asked.get(), 4);
    }

    #[tokio::test(start_paused = true)]
    async fn one_that_lets_nobody_ask_is_waited_for_some_minutes() {
        let began = Instant::now();
        let ask = async || Some(Told::Refused("sorry, too many clients already".to_owned()));
        let ended = wait_while(pending::<Result<()>>(), ask).await;
        assert_eq!(ended.expect_err("not for ever"), "sorry, too many clients already");
        assert_eq!(began.elapsed(), PATIENCE * (REFUSALS_MAX + 1));
    }

    #[tokio::test(start_paused = true)]
    async fn of_those_who_wait_one_asks() {
        let (patience, began) = (patience(), Instant::now());
        *patience.asked_at.lock().expect("no panic") = Some(began + PATIENCE - TURN);
        patience.wait(pending::<Result<()>>()).await.expect_err("nobody is there to be asked");
        let took = began.elapsed();
        assert!(
            (2 * PATIENCE..=3 * PATIENCE).contains(&took),
            "it asks when the other has not been heard of: {took:?}"
        );
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
