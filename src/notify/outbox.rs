//! Sends notifications and pings beside the runs, one after the other.

use tokio::sync::mpsc;
use tokio::task::JoinHandle;

use super::notification::Notification;
use super::sender::{NotDelivered, Sender};

/// The most notifications that wait. A sync changes its state at most once a run, so more than this are never of use.
const WAITING_MAX: usize = 16;

/// One ping that waits says the same as several.
const PINGS_WAITING_MAX: usize = 1;

/// Where notifications and pings are left to be sent. Nothing waits for them.
#[derive(Debug)]
pub struct Outbox {
    waiting: Option<Waiting>,
    sending: Option<JoinHandle<()>>,
}

/// The ends of the queues where messages are left.
#[derive(Debug)]
struct Waiting {
    notifications: mpsc::Sender<Notification>,
    /// The name of the sync for each ping.
    pings: mpsc::Sender<String>,
}

impl Outbox {
    /// Starts sending. Without a sender everything is dropped.
    #[must_use]
    pub fn start(sender: Option<Sender>) -> Self {
        let Some(sender) = sender else { return Self { waiting: None, sending: None } };
        let (notifications, mut left_notifications) = mpsc::channel::<Notification>(WAITING_MAX);
        let (pings, mut left_pings) = mpsc::channel::<String>(PINGS_WAITING_MAX);
        let sending = tokio::spawn(async move {
            loop {
                tokio::select! {
                    // People first.
                    biased;
                    Some(notification) = left_notifications.recv() => notify(&sender, &notification).await,
                    Some(sync) = left_pings.recv() => ping(&sender, &sync).await,
                    else => return,
                }
            }
        });
        Self { waiting: Some(Waiting { notifications, pings }), sending: Some(sending) }
    }

    /// Whether anything is sent.
    #[must_use]
    pub const fn is_used(&self) -> bool {
        self.waiting.is_some()
    }

    /// Leaves a notification.
    pub fn notify(&self, notification: Notification) {
        let Some(waiting) = &self.waiting else { return };
        if let Err(error) = waiting.notifications.try_send(notification) {
            let Notification { subject, event, .. } = error.into_inner();
            tracing::error!(
                sync = subject.sync,
                "the notification \"{}\" was dropped, because {WAITING_MAX} others wait to be sent",
                event.as_str()
            );
        }
    }

    /// Leaves a ping, unless one waits already.
    pub fn ping(&self, sync: &str) {
        if let Some(waiting) = &self.waiting {
            // A full queue has a ping for this sync.
            let _ = waiting.pings.try_send(sync.to_owned());
        }
    }

    /// Waits until everything that was left is sent, or was tried often enough.
    pub async fn drain(mut self) {
        self.waiting = None;
        if let Some(sending) = self.sending.take() {
            // If the task panicked, there is nothing left to wait for.
            let _ = sending.await;
        }
    }
}

async fn notify(sender: &Sender, notification: &Notification) {
    let what = format!("the notification \"{}\"", notification.event.as_str());
    log(&notification.subject.sync, &what, sender.notify(notification).await);
}

async fn ping(sender: &Sender, sync: &str) {
    log(sync, "the ping of a good sync", sender.ping().await);
}

/// Says what was not delivered.
fn log(sync: &str, what: &str, sent: Result<(), NotDelivered>) {
    if let Err(error) = sent {
        tracing::error!(sync, "{what} was not delivered: {error}");
    }
}
