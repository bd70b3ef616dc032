//! A future on a thread and a runtime of its own.
//!
//! Decoding millions of rows needs a processor. The run's own thread stays free for the store's responses, which would
//! otherwise have to pass from one thread to another.

use std::convert::Infallible;
use std::io;
use std::thread;

use tokio::sync::oneshot;

/// A future that runs on a thread of its own. Dropping this drops the future, at whichever await it is.
#[derive(Debug)]
pub(crate) struct WorkerThread<T> {
    result: oneshot::Receiver<T>,
    _stop: oneshot::Sender<Infallible>,
}

impl<T: Send + 'static> WorkerThread<T> {
    /// Starts a thread of this name, which makes the future and runs it.
    pub(crate) fn start<F: Future<Output = T>>(
        name: &str,
        make_future: impl FnOnce() -> F + Send + 'static,
    ) -> io::Result<Self> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let (result_sender, result) = oneshot::channel();
        let (stop, stopped) = oneshot::channel();
        thread::Builder::new().name(name.to_owned()).spawn(move || {
            runtime.block_on(async {
                tokio::select! {
                    // The receiver may have been dropped.
                    result = make_future() => drop(result_sender.send(result)),
                    _ = stopped => {}
                }
            });
            // A pending name resolution must not keep the thread alive.
            runtime.shutdown_background();
        })?;
        Ok(Self { result, _stop: stop })
    }

    /// Awaits the future's result; an error if its thread panicked.
    pub(crate) async fn result(&mut self) -> Result<T, oneshot::error::RecvError> {
        (&mut self.result).await
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[tokio::test]
    async fn the_result_is_returned() {
        let mut worker = WorkerThread::start("test", || async { 7 }).expect("a thread");
        assert_eq!(worker.result().await, Ok(7));
    }

    #[tokio::test]
    async fn a_panic_is_an_error() {
        let mut worker = WorkerThread::start("test", || async { assert_eq!(1, 2) }).expect("a thread");
        assert!(worker.result().await.is_err());
    }

    #[tokio::test]
    async fn dropping_it_drops_the_future() {
        let (alive, dropped) = oneshot::channel::<Infallible>();
        let worker = WorkerThread::start("test", move || async move {
            let _alive = alive;
            std::future::pending::<()>().await;
        });
        drop(worker.expect("a thread"));
        let dropped = tokio::time::timeout(Duration::from_secs(30), dropped).await;
        assert!(dropped.expect("the thread ends").is_err());
    }
}
