//! A notification as a webhook takes it.

use chrono::SecondsFormat;
use serde_json::{Value, json};

use super::notification::Notification;
use crate::config::NotifyFormat;

impl Notification {
    /// Returns the notification for a person: what changed, which limits are exceeded, then a line for each thing to look at.
    #[must_use]
    pub fn text(&self) -> String {
        let Self { event, subject, run, exceeded, needs, .. } = self;
        let mut text = format!("attrsync: {} (store {}) {}", subject.sync, subject.store.hash, event.words());
        if let Some(run) = run {
            text += &format!(": run {} {}", run.id, run.status);
        }
        if let Some(exceeded) = exceeded {
            text += &format!("\n{exceeded}");
        }
        for need in needs {
            text += &format!("\n• {need}: {}", need.what_to_do());
        }
        text
    }

    /// Returns the body of the request.
    pub(super) fn body(&self, format: NotifyFormat) -> Value {
        match format {
            NotifyFormat::Json => self.json(),
            NotifyFormat::Slack => json!({ "text": escaped(&self.text()) }),
        }
    }

    /// The notification for programs. Keys are only ever added.
    fn json(&self) -> Value {
        let Self { event, subject, run, exceeded, needs, at } = self;
        let need = |need: &crate::attention::Attention| {
            json!({
                "kind": need.kind(),
                "count": need.count(),
                "text": need.to_string(),
                "what_to_do": need.what_to_do(),
            })
        };
        json!({
            "event": event.as_str(),
            "sync": subject.sync,
            "store": { "api_url": subject.store.api_url, "hash": subject.store.hash },
            "run_id": run.as_ref().map(|run| run.id),
            "status": run.as_ref().map(|run| run.status),
            "exceeded": exceeded,
            "needs": needs.iter().map(need).collect::<Vec<_>>(),
            "text": self.text(),
            "at": at.to_rfc3339_opts(SecondsFormat::Secs, true),
        })
    }
}

/// Escapes the three characters that have a meaning for Slack.
fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

#[cfg(test)]
mod tests {
    use chrono::DateTime;

    use super::*;
    use crate::attention::Attention;
    use crate::notify::{Event, Subject};
    use crate::record::StoreName;

    #[test]
    fn a_notification_says_what_to_do_in_both_forms() {
        let store = StoreName::new("https://api.example.com", "abc");
        let notification = Notification {
            event: Event::NeedsAttention,
            subject: Subject { sync: "main <eu>".to_owned(), store },
            run: None,
            exceeded: Some("900 of 1000 values would change".to_owned()),
            needs: vec![Attention::Rejected(3), Attention::Invalid { run_id: 12, count: 1 }],
            at: DateTime::UNIX_EPOCH,
        };
        let slack = notification.body(NotifyFormat::Slack);
        let text = slack["text"].as_str().expect("a text");
        assert!(
            text.starts_with(
                "attrsync: main &lt;eu&gt; (store abc) needs attention\n900 of 1000 values would change\n• 3 values rejected: "
            ),
            "{text}"
        );
        assert_eq!(text.lines().count(), 4);
        let json = notification.body(NotifyFormat::Json);
        assert_eq!((&json["event"], &json["sync"]), (&"needs_attention".into(), &"main <eu>".into()));
        assert_eq!(json["exceeded"], "900 of 1000 values would change");
        assert_eq!(
            (&json["needs"][1]["kind"], &json["at"]),
            (&"invalid".into(), &"1970-01-01T00:00:00Z".into())
        );
        assert_eq!((&json["store"]["hash"], &json["run_id"]), (&"abc".into(), &Value::Null));
    }
}
