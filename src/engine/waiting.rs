//! Waiting for one thing beside others.

use std::task::Poll;

use futures_util::future::{BoxFuture, ready};
use futures_util::poll;
use tokio::sync::watch;

/// Returns when the run is asked to stop; never if nobody is left who could.
pub(super) async fn asked_to_stop(stop: &mut watch::Receiver<bool>) {
    if stop.wait_for(|asked| *asked).await.is_err() {
        std::future::pending().await
    }
}

/// What is waited for, or for ever where nothing is.
pub(super) async fn pending_or<T>(waited_for: &mut Option<BoxFuture<'_, T>>) -> T {
    match waited_for {
        Some(waited_for) => waited_for.await,
        None => std::future::pending().await,
    }
}

/// Sets a future off at once, instead of when it is first waited for.
pub(super) async fn set_off<'a, T: Send + 'a>(mut future: BoxFuture<'a, T>) -> BoxFuture<'a, T> {
    match poll!(&mut future) {
        Poll::Ready(result) => Box::pin(ready(result)),
        Poll::Pending => future,
    }
}
