//! One request's way through the model in time: it arrives, takes a while, is served, and leaves.
//!
//! The client may go away at any moment. Its slot is free then, but what the store has begun it goes on with.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::time::{Instant, sleep};

use super::faults::Fault;
use super::model::{Admission, Model, Request, Ticket};
use super::response::Answer;

/// A model that several carriers of requests share.
pub(crate) type Shared = Arc<Mutex<Model>>;

/// What reaches the client.
#[derive(Debug)]
pub(crate) enum Delivery {
    /// The whole answer.
    Whole(Answer),
    /// An answer whose body ends in the middle.
    Cut(Answer),
    /// The end of the connection.
    Reset,
    /// Nothing, ever.
    Silence,
}

/// Milliseconds of the model's clock, told from tokio's, so that paused time works.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Clock {
    start: Instant,
    start_ms: u64,
}

impl Clock {
    /// The model's clock. A new one, which goes on where the last request left it, when there is none yet or
    /// when it belongs to an earlier runtime whose paused time ran ahead.
    pub(crate) fn of(model: &Shared) -> Self {
        let mut model = locked(model);
        match model.clock {
            Some(clock) if clock.now() >= model.now() => clock,
            _ => {
                let clock = Self { start: Instant::now(), start_ms: model.now() };
                model.clock = Some(clock);
                clock
            }
        }
    }

    fn now(self) -> u64 {
        self.start_ms + u64::try_from(self.start.elapsed().as_millis()).unwrap_or(u64::MAX / 2)
    }
}

/// The model, also after a test that panicked with it in hand.
pub(crate) fn locked(model: &Shared) -> MutexGuard<'_, Model> {
    model.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Holds a request's slot until the client has its answer or is gone.
struct Slot {
    model: Shared,
    ticket: Ticket,
}

impl Drop for Slot {
    fn drop(&mut self) {
        locked(&self.model).leave(&self.ticket);
    }
}

/// Carries a request through the model. Dropping the future is the client's going away.
pub(crate) async fn visit(model: &Shared, clock: Clock, request: Request) -> Delivery {
    let ticket = locked(model).arrive(clock.now(), &request);
    if let Admission::Refused(answer) = ticket.admission {
        return Delivery::Whole(answer);
    }
    let slot = Slot { model: Arc::clone(model), ticket: ticket.clone() };
    let serving = tokio::spawn(serve(Arc::clone(model), clock, request, ticket));
    let delivery = serving.await.unwrap_or(Delivery::Reset);
    if matches!(delivery, Delivery::Silence) {
        std::future::pending::<()>().await;
    }
    drop(slot);
    delivery
}

async fn serve(model: Shared, clock: Clock, request: Request, ticket: Ticket) -> Delivery {
    sleep(ticket.latency).await;
    let answer = || locked(&model).serve(clock.now(), &ticket, &request);
    match ticket.fault {
        Fault::Dropped => Delivery::Reset,
        Fault::Silent => Delivery::Silence,
        Fault::Late => {
            sleep(ticket.lateness).await;
            Delivery::Whole(answer())
        }
        Fault::Slow => {
            let answer = answer();
            sleep(ticket.lateness).await;
            Delivery::Whole(answer)
        }
        Fault::Reset => {
            answer();
            Delivery::Reset
        }
        Fault::Cut => Delivery::Cut(answer()),
        _ => Delivery::Whole(answer()),
    }
}
