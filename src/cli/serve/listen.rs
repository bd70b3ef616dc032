//! Turns notifications of a sync's source into wishes of the scheduler.

use std::future::pending;
use std::sync::Arc;

use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep_until};

use super::sync_files::SyncFile;
use crate::cli::failure::Failure;
use crate::cli::wiring;
use crate::config::OnChange;
use crate::debounce::Debounce;
use crate::record::{Notified, Trigger};
use crate::scheduler::{Event, Wish};
use crate::source::Heard;
use crate::waits::Waits;

/// A sync's ear. Dropping it ends its session.
pub(super) struct Listening(JoinHandle<()>);

impl Drop for Listening {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// Starts to listen, if the configuration says so.
pub(super) fn start(sync: Arc<SyncFile>, events: mpsc::Sender<Event>) -> Option<Listening> {
    let on_change = sync.config.on_change.clone()?;
    Some(Listening(tokio::spawn(async move { listen(&sync, &on_change, &events).await })))
}

async fn listen(sync: &SyncFile, on_change: &OnChange, events: &mpsc::Sender<Event>) {
    let (config, channel) = (&sync.config, &on_change.channel);
    let name = &config.name;
    let mut heard = match wiring::source(&config.source, &Waits::default()) {
        Ok(source) => source.listen(channel),
        Err(failure) => return tracing::error!(sync = name, "cannot listen: {}", failure.whole()),
    };
    let (start, mut debounce) = (Instant::now(), Debounce::new(on_change.debounce));
    loop {
        let due = async {
            match debounce.due_at() {
                Some(at) => sleep_until(start + at).await,
                None => pending().await,
            }
        };
        tokio::select! {
            next = heard.recv() => match next {
                // The ids of a payload are no customers of a source that names these by e-mail address.
                Some(Heard::Notified(_)) if config.source.columns.by_email() => {
                    debounce.notify(Notified::Everything, start.elapsed());
                }
                Some(Heard::Notified(notified)) => debounce.notify(notified, start.elapsed()),
                Some(Heard::Connected { .. }) => {
                    tracing::info!(sync = name, channel, "listening for changes of the source");
                    // One whole run makes up for what was notified while nothing listened, also before this process
                    // started and while it read its configuration again.
                    debounce.notify(Notified::Everything, start.elapsed());
                }
                Some(Heard::Lost(error)) => {
                    let failure = Failure::from(error);
                    tracing::warn!(sync = name, hint = failure.hint, "changes of the source are not heard now: {}", failure.whole());
                }
                None => return,
            },
            () = due => {}
        }
        if let Some(notified) = debounce.due(start.elapsed()) {
            let wish = Wish { notified, trigger: Trigger::Change };
            if events.send(Event::Asked(name.clone(), wish)).await.is_err() {
                return;
            }
        }
    }
}
