//! Waits until a run is asked to stop.

use tokio::sync::watch;

/// Returns when the run is asked to stop; never, if nothing is left that could ask.
pub(super) async fn asked_to_stop(stop: &mut watch::Receiver<bool>) {
    if stop.wait_for(|asked| *asked).await.is_err() {
        std::future::pending().await
    }
}
