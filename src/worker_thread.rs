//! Reading beside the run: a future on a thread with a runtime of its own.
//!
//! To decode millions of rows takes a processor. The run goes on with what was read meanwhile, on its own thread, where
//! no answer of the store has to pass from one thread to another.

use std::convert::Infallible;
use std::io;
use std::thread;

use tokio::sync::oneshot;

/// A future that runs aside. Dropping this drops the future, wherever it is.
#[derive(Debug)]
pub(crate) struct Aside<T> {
    ended: oneshot::Receiver<T>,
    _stop: oneshot::Sender<Infallible>,
}

impl<T: Send + 'static> Aside<T> {
    /// Starts a thread of this name for the future that `work` makes there.
    pub(crate) fn start<F: Future<Output = T>>(
        name: &str,
        work: impl FnOnce() -> F + Send + 'static,
    ) -> io::Result<Self> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let (end, ended) = oneshot::channel();
        let (stop, stopped) = oneshot::channel();
        thread::Builder::new().name(name.to_owned()).spawn(move || {
            runtime.block_on(async {
                tokio::select! {
                    result = work() => {
                        // Whoever wanted it may be gone.
                        let _ = end.send(result);
                    }
                    _ = stopped => {}
                }
            });
            // A name that is still being looked up must not keep the thread.
            runtime.shutdown_background();
        })?;
        Ok(Self { ended, _stop: stop })
    }

    /// What the future came to; an error if its thread panicked.
    pub(crate) async fn ended(&mut self) -> Result<T, oneshot::error::RecvError> {
        (&mut self.ended).await
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[tokio::test]
    async fn what_it_came_to_is_told() {
        let mut aside = Aside::start("test", || async { 7 }).expect("a thread");
        assert_eq!(aside.ended().await, Ok(7));
    }

    #[tokio::test]
    async fn a_panic_is_an_error() {
        let mut aside = Aside::start("test", || async { assert_eq!(1, 2) }).expect("a thread");
        assert!(aside.ended().await.is_err());
    }

    #[tokio::test]
    async fn dropping_it_drops_the_future() {
        let (alive, gone) = oneshot::channel::<Infallible>();
        let aside = Aside::start("test", move || async move {
            let _alive = alive;
            std::future::pending::<()>().await;
        });
        drop(aside.expect("a thread"));
        let gone = tokio::time::timeout(Duration::from_secs(30), gone).await;
        assert!(gone.expect("it ends").is_err());
    }
}
