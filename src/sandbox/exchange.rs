//! Passes one request through the model: it arrives, takes its latency, is served, and ends.
//!
//! The client may close the connection at any moment. That frees its slot, but the store still serves the request.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::time::sleep;

use super::clock::ModelClock;
use super::faults::Fault;
use super::model::{ActiveRequest, Admission, Model};
use super::request::Request;
use super::response::StoreResponse;

/// A model that several servers and clients share.
pub(crate) type SharedModel = Arc<Mutex<Model>>;

/// What reaches the client.
#[derive(Debug)]
pub(crate) enum Delivery {
    /// The complete response.
    Complete(StoreResponse),
    /// A response whose body ends in the middle.
    Truncated(StoreResponse),
    /// The end of the connection.
    Reset,
    /// Nothing, ever.
    Silent,
}

/// Locks the model, even after a test has panicked while it held the lock.
pub(crate) fn lock(model: &SharedModel) -> MutexGuard<'_, Model> {
    model.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Starts the model's clock with the first client, and returns its time.
///
/// A model can outlive a runtime whose paused time was ahead. In the next runtime its time would go backwards, so a new
/// clock starts at the time of the last request.
pub(crate) fn start_clock(model: &SharedModel) {
    now(&mut lock(model));
}

fn now(model: &mut Model) -> u64 {
    let clock = model.clock.filter(|clock| clock.now() >= model.now());
    model.clock.insert(clock.unwrap_or_else(|| ModelClock::starting_at(model.now()))).now()
}

/// Frees a request's slot once the client has its response or has closed the connection.
struct Slot {
    model: SharedModel,
    active: ActiveRequest,
}

impl Drop for Slot {
    fn drop(&mut self) {
        lock(&self.model).end(&self.active);
    }
}

/// Passes a request to the model. Dropping the future closes the client's connection.
pub(crate) async fn exchange(model: &SharedModel, request: Request) -> Delivery {
    let active = {
        let mut model = lock(model);
        let now = now(&mut model);
        model.arrive(now, &request)
    };
    if let Admission::Refused(response) = active.admission {
        return Delivery::Complete(response);
    }
    let slot = Slot { model: Arc::clone(model), active: active.clone() };
    let serving = tokio::spawn(serve(Arc::clone(model), request, active));
    let delivery = serving.await.unwrap_or(Delivery::Reset);
    if matches!(delivery, Delivery::Silent) {
        std::future::pending::<()>().await;
    }
    drop(slot);
    delivery
}

async fn serve(model: SharedModel, request: Request, active: ActiveRequest) -> Delivery {
    sleep(active.latency).await;
    let respond = || {
        let mut model = lock(&model);
        let now = now(&mut model);
        model.serve(now, &active, &request)
    };
    match active.fault {
        Fault::Dropped => Delivery::Reset,
        Fault::Silent => Delivery::Silent,
        Fault::Late => {
            sleep(active.extra_delay).await;
            Delivery::Complete(respond())
        }
        Fault::Slow => {
            let response = respond();
            sleep(active.extra_delay).await;
            Delivery::Complete(response)
        }
        Fault::Reset => {
            respond();
            Delivery::Reset
        }
        Fault::Cut => Delivery::Truncated(respond()),
        _ => Delivery::Complete(respond()),
    }
}
