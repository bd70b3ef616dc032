//! How long a session is waited for. A connection whose route was dropped stays open for some 15 minutes, or without
//! end if only the other side has to send, and no error shows it. A database that is slow, or waits for a lock, is
//! waited for as long as it takes: another session asks the server which of the two it is.

use std::pin::pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use sqlx::{AssertSqlSafe, PgConnection, Row};
use tokio::time::timeout;

use super::Purpose;
use super::address::CONNECT_TIMEOUT;
use super::cancel::Cancellation;
use super::endpoint::Endpoint;
use super::failure::DatabaseError;
use super::identity::Identity;
use super::session::reconnect;
use crate::record::WaitReason;
use crate::waits::Waits;

/// How long a session may be silent before another one asks about it, and how long that may take. The server ends a
/// session of a ledger whose client it cannot reach after 25 s, so nothing is left of a dead route by then.
pub(crate) const SILENCE_MAX: Duration = Duration::from_secs(30);

/// The time is counted in steps, so that a process that was stopped, or whose machine slept, has waited for one step
/// only.
const STEP: Duration = Duration::from_secs(1);

/// When another session is asked first what a session of the source is doing: before a wait of ten seconds is a warning.
const ASKED_FIRST: Duration = Duration::from_secs(8);

/// Distinguishes a slow session from a dead one. A session that was found dead stays so, because its last operation was
/// left unfinished.
#[derive(Debug)]
pub(crate) struct Liveness {
    endpoint: Endpoint,
    identity: Identity,
    dead: AtomicBool,
}

/// Why a session was abandoned.
#[derive(Debug, thiserror::Error)]
#[error("no response for {seconds} seconds: {0}", seconds = SILENCE_MAX.as_secs())]
pub(crate) struct Silent(String);

/// What the other session found.
#[derive(Debug)]
enum Found {
    Busy(String),
    /// A server runs, but the session cannot be asked about.
    Unknown(String),
    Dead(String),
}

impl Liveness {
    /// Watches over a session. Behind a pooler in transaction mode, it must be in a transaction.
    ///
    /// # Errors
    /// The server does not say which of its processes it is.
    pub(crate) async fn of(endpoint: Endpoint, session: &mut PgConnection) -> Result<Self, DatabaseError> {
        let purpose = endpoint.purpose;
        let identity = timeout(CONNECT_TIMEOUT, Identity::of(session))
            .await
            .map_err(|_| DatabaseError::no_response(&endpoint, CONNECT_TIMEOUT))?
            .map_err(|error| DatabaseError::of(purpose, error))?;
        Ok(Self { endpoint, identity, dead: AtomicBool::new(false) })
    }

    /// Waits for an operation of the session as long as the session is alive.
    ///
    /// # Errors
    /// The session is dead; or the error of the operation.
    pub(crate) async fn wait<T, E: From<Silent>>(
        &self,
        operation: impl Future<Output = Result<T, E>>,
    ) -> Result<T, E> {
        self.check()?;
        let purpose = self.endpoint.purpose;
        wait_while_busy(purpose, operation, || Box::pin(self.ask())).await.unwrap_or_else(|why| {
            self.dead.store(true, Ordering::Relaxed);
            Err(Silent(why).into())
        })
    }

    /// Does the same. From the first second on, the run waits for the database of this session, with what another session
    /// says of it. Shorter waits are part of every read.
    ///
    /// # Errors
    /// The session is dead; or the error of the operation.
    pub(crate) async fn wait_noted<T, E: From<Silent>>(
        &self,
        waits: &Waits,
        operation: impl Future<Output = Result<T, E>>,
    ) -> Result<T, E> {
        let operation = pin!(operation);
        self.wait(noted(waits, operation, || Box::pin(self.ask()))).await
    }

    /// Opens one more session with the same server.
    ///
    /// # Errors
    /// The server cannot be reached, or refuses the session.
    pub(crate) async fn another(&self) -> Result<PgConnection, DatabaseError> {
        reconnect(&self.endpoint).await
    }

    /// Returns the request to cancel what the session does. It must be in a transaction.
    pub(crate) fn cancellation(&self) -> Cancellation {
        Cancellation::new(self.endpoint.clone(), self.identity.clone())
    }

    /// Fails if the session was found dead.
    pub(crate) fn check(&self) -> Result<(), Silent> {
        if self.dead.load(Ordering::Relaxed) {
            Err(Silent("the session was found dead before".to_owned()))
        } else {
            Ok(())
        }
    }

    /// Asks another session what this one is doing.
    async fn ask(&self) -> Found {
        let asked = timeout(SILENCE_MAX, async {
            let mut another = reconnect(&self.endpoint).await?;
            let activity = self.activity(&mut another).await;
            activity.map_err(|error| DatabaseError::of(self.endpoint.purpose, error))
        });
        match asked.await {
            Err(_) => Found::Dead("a new session gets no response either".to_owned()),
            Ok(Err(error)) if error.is_from_server() => Found::Unknown(error.to_string()),
            Ok(Err(error)) => Found::Dead(error.to_string()),
            Ok(Ok(found)) => found,
        }
    }

    async fn activity(&self, another: &mut PgConnection) -> sqlx::Result<Found> {
        let Identity { pid, started, address, .. } = &self.identity;
        let other = Identity::of(another).await?;
        if other.started != *started {
            // Several servers may share a name, and a new session may be with another one.
            return Ok(if other.address == *address && !address.is_empty() {
                Found::Dead("its server was started again".to_owned())
            } else {
                Found::Unknown("another server responds at its address".to_owned())
            });
        }
        let rows = sqlx::raw_sql(AssertSqlSafe(activity(*pid))).fetch_all(another).await?;
        Ok(match rows.first() {
            None => Found::Dead(format!("its session {pid} has ended, or cannot reach this client")),
            Some(row) => Found::Busy(format!("its session {pid} {}", row.try_get::<String, _>(0)?)),
        })
    }
}

/// Returns the result of the operation, and notes how long it is waited for.
async fn noted<T, Asked: Future<Output = Found>>(
    waits: &Waits,
    operation: impl Future<Output = T>,
    ask: impl Fn() -> Asked,
) -> T {
    let mut operation = pin!(operation);
    if let Ok(done) = timeout(STEP, &mut operation).await {
        return done;
    }
    let waiting = waits.begin(WaitReason::Source, None, "no response yet");
    let mut pause = ASKED_FIRST;
    loop {
        if let Ok(done) = timeout(pause, &mut operation).await {
            return done;
        }
        pause = SILENCE_MAX;
        let found = tokio::select! {
            biased;
            done = &mut operation => return done,
            found = ask() => found,
        };
        // That the session is dead is for the caller to find out.
        if let Found::Busy(activity) = found {
            waiting.tell(format!("no response yet: {activity}"));
        }
    }
}

/// Asks what a session is doing. No row: it has ended, or it waits for its client and so has done its work, or never
/// got it. Between two statements a busy session waits for its client too, for a moment.
fn activity(pid: i32) -> String {
    format!(
        "select case cardinality(pg_blocking_pids(pid)) \
            when 0 then coalesce('waits for ' || wait_event_type || ' ' || wait_event, 'is busy') \
            else 'waits for a lock that session ' || array_to_string(pg_blocking_pids(pid), ', ') || ' holds' end \
         from pg_stat_activity \
         where pid = {pid} \
            and (wait_event_type is distinct from 'Client' or state_change > clock_timestamp() - interval '10 s')"
    )
}

/// How often nothing may be found out before the session is given up: half an hour for the source, whose query may be
/// slow; some minutes for a ledger, whose lock another run may have taken.
const fn unknown_max(purpose: Purpose) -> u32 {
    match purpose {
        Purpose::Source => 60,
        Purpose::Ledger => 10,
    }
}

/// Returns the result of the operation, or why it was abandoned. Says once what it waits for.
async fn wait_while_busy<T, Asked: Future<Output = Found>>(
    purpose: Purpose,
    operation: impl Future<Output = T>,
    ask: impl Fn() -> Asked,
) -> Result<T, String> {
    let mut operation = pin!(operation);
    let (mut seconds, mut unknown) = (0, 0);
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
                unknown = 0;
                activity
            }
            Found::Unknown(why) => {
                unknown += 1;
                if unknown > unknown_max(purpose) {
                    return Err(why);
                }
                why
            }
        };
        match (seconds == SILENCE_MAX.as_secs(), purpose) {
            (true, Purpose::Ledger) => {
                tracing::warn!(
                    seconds,
                    "waiting for the ledger's database, which has sent no response: {why}"
                );
            }
            _ => tracing::debug!(seconds, "still waiting for {}: {why}", purpose.name()),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;
    use std::future::{pending, poll_fn};
    use std::task::Poll;

    use tokio::time::{Instant, advance, sleep};

    use super::*;
    use crate::database::Address;

    /// Of a session at an address where nothing listens.
    fn liveness() -> Liveness {
        let address = Address::parse("postgres://nobody@127.0.0.1:1/none", &|_| None).expect("an address");
        let identity =
            Identity { pid: 0, started: String::new(), address: String::new(), transaction: String::new() };
        let endpoint = Endpoint::of(&address, &address.hosts()[0], Purpose::Ledger).expect("an endpoint");
        Liveness { endpoint, identity, dead: AtomicBool::new(false) }
    }

    #[tokio::test(start_paused = true)]
    async fn a_dead_session_is_waited_for_once() {
        let (liveness, start) = (liveness(), Instant::now());
        let slow = liveness.wait(async {
            sleep(SILENCE_MAX - STEP).await;
            Ok::<_, Silent>(5)
        });
        assert_eq!(slow.await.expect("a result"), 5);
        assert_eq!(start.elapsed(), SILENCE_MAX - STEP);

        let start = Instant::now();
        let error = liveness.wait(pending::<Result<(), Silent>>()).await.expect_err("is abandoned");
        assert!((SILENCE_MAX..=2 * SILENCE_MAX).contains(&start.elapsed()), "{:?}", start.elapsed());
        assert!(error.to_string().contains("no response for 30 seconds"), "{error}");
        let start = Instant::now();
        let after = liveness.wait(async { Ok::<_, Silent>(()) }).await;
        assert!(after.is_err(), "an unfinished operation is before it");
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
        assert_eq!(wait_while_busy(Purpose::Source, slow, &ask).await, Ok(5));
        assert_eq!((start.elapsed(), asked.get()), (3 * SILENCE_MAX, 2));

        let ended = wait_while_busy(Purpose::Source, pending::<()>(), &ask).await;
        assert_eq!(ended, Err("its session 7 has ended".to_owned()), "until it is not busy any more");
        assert_eq!(asked.get(), 4);
    }

    #[tokio::test(start_paused = true)]
    async fn a_source_that_sends_nothing_is_a_wait_with_what_its_session_does() {
        let waits = Waits::default();
        let ask = async || Found::Busy("its session 7 waits for Timeout PgSleep".to_owned());
        let looked = async {
            sleep(STEP / 2).await;
            assert_eq!(waits.current(), None, "every read waits for moments");
            sleep(9 * STEP).await;
            let wait = waits.current().expect("a wait");
            assert_eq!(wait.reason, WaitReason::Source);
            assert_eq!(wait.detail, "no response yet: its session 7 waits for Timeout PgSleep");
        };
        tokio::join!(noted(&waits, sleep(12 * STEP), ask), looked);
        assert_eq!(waits.current(), None);
        let totals: Vec<_> = waits.totals().iter().map(|total| (total.reason, total.milliseconds)).collect();
        assert_eq!(totals, [(WaitReason::Source, 11_000)], "all but the first second");
    }

    #[tokio::test(start_paused = true)]
    async fn a_session_that_cannot_be_asked_about_is_waited_for_within_bounds() {
        for (purpose, minutes) in [(Purpose::Ledger, 5), (Purpose::Source, 30)] {
            let start = Instant::now();
            let ask = async || Found::Unknown("sorry, too many clients already".to_owned());
            let ended = wait_while_busy(purpose, pending::<()>(), ask).await;
            assert_eq!(ended, Err("sorry, too many clients already".to_owned()), "not for ever");
            assert_eq!(start.elapsed(), Duration::from_secs(minutes * 60) + SILENCE_MAX);
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_process_that_was_stopped_has_not_waited() {
        let liveness = liveness();
        let mut polls = 0;
        // The timer wakes it ten minutes later; the result is seen in the step after.
        let operation = poll_fn(|_| {
            polls += 1;
            if polls < 3 { Poll::Pending } else { Poll::Ready(Ok::<_, Silent>(())) }
        });
        let (waited, ()) = tokio::join!(liveness.wait(operation), advance(Duration::from_secs(6_000)));
        waited.expect("goes on");
    }
}
