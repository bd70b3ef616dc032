//! Sends notifications and pings beside the runs, one after the other.

use tokio::sync::mpsc;
use tokio::task::JoinHandle;

use super::notification::Notification;
use super::sender::Sender;

/// The most messages that wait. A sync changes its state at most once a run, so more than this are never of use.
const WAITING_MAX: usize = 16;

enum Message {
    Notification(Box<Notification>),
    /// A ping for this sync.
    Ping(String),
}

impl Message {
    /// What it tells and of which sync, for the log.
    fn described(&self) -> (String, String) {
        match self {
            Self::Notification(told) => {
                (told.subject.sync.clone(), format!("the notification \"{}\"", told.event.as_str()))
            }
            Self::Ping(sync) => (sync.clone(), "the ping of a good sync".to_owned()),
        }
    }
}

/// Where notifications and pings are left to be sent. Nothing waits for them.
#[derive(Debug)]
pub struct Outbox {
    waiting: Option<mpsc::Sender<Message>>,
    sending: Option<JoinHandle<()>>,
}

impl Outbox {
    /// Starts sending. Without a sender everything is dropped.
    #[must_use]
    pub fn start(sender: Option<Sender>) -> Self {
        let Some(sender) = sender else { return Self { waiting: None, sending: None } };
        let (waiting, mut messages) = mpsc::channel::<Message>(WAITING_MAX);
        let sending = tokio::spawn(async move {
            while let Some(message) = messages.recv().await {
                let (sync, what) = message.described();
                let sent = match message {
                    Message::Notification(notification) => sender.notify(&notification).await,
                    Message::Ping(_) => sender.ping().await,
                };
                if let Err(error) = sent {
                    tracing::error!(sync, "{what} was not delivered: {error}");
                }
            }
        });
        Self { waiting: Some(waiting), sending: Some(sending) }
    }

    /// Whether anything is sent.
    #[must_use]
    pub const fn is_used(&self) -> bool {
        self.waiting.is_some()
    }

    /// Leaves a notification.
    pub fn notify(&self, notification: Notification) {
        self.put(Message::Notification(Box::new(notification)));
    }

    /// Leaves a ping.
    pub fn ping(&self, sync: &str) {
        self.put(Message::Ping(sync.to_owned()));
    }

    fn put(&self, message: Message) {
        let Some(waiting) = &self.waiting else { return };
        if let Err(error) = waiting.try_send(message) {
            let (sync, what) = error.into_inner().described();
            tracing::error!(sync, "{what} was dropped, because {WAITING_MAX} others wait to be sent");
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
