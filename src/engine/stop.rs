//! How a run learns that it has to end: it is asked to stop, or its time is over.

use std::future::{Future, pending};

use tokio::sync::watch;
use tokio::time::{Instant, sleep_until};

use crate::destination::{ReadError, Response};

/// Returns when the run is asked to stop; never, if nothing is left that could ask.
pub(super) async fn asked_to_stop(stop: &mut watch::Receiver<bool>) {
    if stop.wait_for(|asked| *asked).await.is_err() {
        pending().await
    }
}

/// Tells when a run has to end.
#[derive(Debug, Clone)]
pub(super) struct Ending {
    pub(super) stop: watch::Receiver<bool>,
    /// When the time of the run is over.
    pub(super) deadline: Option<Instant>,
}

impl Ending {
    /// Returns when the run has to end.
    pub(super) async fn reached(&mut self) {
        let deadline = async {
            match self.deadline {
                Some(at) => sleep_until(at).await,
                None => pending().await,
            }
        };
        tokio::select! {
            () = asked_to_stop(&mut self.stop) => {}
            () = deadline => {}
        }
    }

    /// Returns what the read returns, or an error when the run has to end. A read changes nothing, so it is not awaited
    /// then.
    pub(super) async fn unless_reached<T>(
        mut self,
        read: impl Future<Output = Result<T, ReadError>>,
    ) -> Result<T, ReadError> {
        tokio::select! {
            read = read => read,
            () = self.reached() => Err(ReadError(Response::Lost { reason: "the run has to end".to_owned() })),
        }
    }
}
