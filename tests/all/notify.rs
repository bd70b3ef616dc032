//! Notifications and pings over HTTP: what is tried again, and what is not.

use std::time::Duration;

use attrsync::attention::Attention;
use attrsync::config::{NotifyConfig, NotifyFormat, Secret};
use attrsync::notify::{Event, Notification, Outbox, Retries, Sender, Subject};
use attrsync::record::StoreName;
use chrono::DateTime;
use serde_json::Value;

use crate::support::http::{Act, HttpServer, response};

/// A part of the address that no error may show.
const PATH: &str = "/services/hook-4f2a9c";

/// Retries without pauses, and a time-out that a busy machine does not reach by itself.
const RETRIES: Retries = Retries { timeout: Duration::from_secs(20), pauses: [Duration::ZERO; 3] };

fn notification() -> Notification {
    Notification {
        event: Event::NeedsAttention,
        subject: Subject { sync: "main".to_owned(), store: StoreName::new("https://api.example.com", "abc") },
        run: None,
        exceeded: None,
        needs: vec![Attention::Rejected(3)],
        at: DateTime::UNIX_EPOCH,
    }
}

fn sender(url: &str, retries: Retries) -> Sender {
    let address = || Some(Secret::new(format!("{url}{PATH}")));
    let config = NotifyConfig { webhook: address(), format: NotifyFormat::Json, ping: address() };
    Sender::new(&config, retries).expect("an address that can be used").expect("something to send to")
}

/// Sends a notification to a server with this script. Returns the error, and how many requests were made.
async fn notify(script: Vec<Act>, retries: Retries) -> (Result<(), String>, usize) {
    let server = HttpServer::start(script);
    let sent =
        sender(&server.url(), retries).notify(&notification()).await.map_err(|error| error.to_string());
    if let Err(error) = &sent {
        assert!(!error.contains("hook-4f2a9c") && error.contains("webhook at 127.0.0.1"), "{error}");
    }
    (sent, server.seen().len())
}

fn act(status: u16) -> Act {
    Act::Respond(response(status, &[], ""))
}

#[tokio::test]
async fn what_may_pass_is_tried_again_and_nothing_else() {
    assert_eq!(notify(vec![act(200)], RETRIES).await, (Ok(()), 1));
    assert_eq!(notify(vec![act(500), act(429), act(503), act(204)], RETRIES).await, (Ok(()), 4));
    let (sent, requests) = notify(vec![act(500), act(502), act(503), act(504), act(200)], RETRIES).await;
    assert!(sent.expect_err("four attempts are all").contains("status 504") && requests == 4);
    for status in [400, 401, 404, 410] {
        let (sent, requests) = notify(vec![act(status), act(200)], RETRIES).await;
        assert!(sent.expect_err("refused").contains(&format!("status {status}")) && requests == 1);
    }
}

#[tokio::test]
async fn a_redirect_is_not_followed() {
    let elsewhere = HttpServer::start([act(200)]);
    let to = format!("{}/take", elsewhere.url());
    let redirect = Act::Respond(response(302, &[("Location", &to)], ""));
    let (sent, requests) = notify(vec![redirect], RETRIES).await;
    assert!(sent.expect_err("a redirect").contains("302 redirects, which is not followed"));
    assert_eq!((requests, elsewhere.seen().len()), (1, 0));
}

#[tokio::test]
async fn a_server_that_hangs_or_is_not_there_is_left_after_four_attempts() {
    let soon = Retries { timeout: Duration::from_millis(100), ..RETRIES };
    let hang = || Act::Hang(Vec::new());
    let (sent, requests) = notify(vec![hang(), hang(), hang(), hang(), act(200)], soon).await;
    assert!(sent.is_err() && requests == 4, "{sent:?}");
    let reset = vec![Act::Reset, Act::Cut(Vec::new()), act(200)];
    assert_eq!(notify(reset, RETRIES).await.0, Ok(()));
    // Nothing listens on port 1.
    let refused = sender("http://127.0.0.1:1", RETRIES).ping().await.expect_err("refused").to_string();
    assert!(refused.contains("[notify] ping at 127.0.0.1") && refused.contains("refused"), "{refused}");
}

#[tokio::test]
async fn a_notification_is_posted_as_json() {
    let server = HttpServer::start([act(200), act(200)]);
    let sender = sender(&server.url(), RETRIES);
    sender.notify(&notification()).await.expect("taken");
    sender.ping().await.expect("taken");
    let seen = server.seen();
    assert_eq!((seen[0].method.as_str(), seen[0].path.as_str()), ("POST", PATH));
    assert_eq!(seen[0].header("content-type"), Some("application/json"));
    let body: Value = serde_json::from_str(&seen[0].body).expect("JSON");
    assert_eq!((&body["event"], &body["needs"][0]["count"]), (&"needs_attention".into(), &3.into()));
    assert_eq!((seen[1].method.as_str(), seen[1].path.as_str(), seen[1].body.as_str()), ("GET", PATH, ""));
}

#[tokio::test]
async fn pings_that_wait_displace_no_notification() {
    let server = HttpServer::start(vec![act(200); 200]);
    let outbox = Outbox::start(Some(sender(&server.url(), RETRIES)));
    // Nothing is sent before the first await.
    (0..100).for_each(|_| outbox.ping("main"));
    outbox.notify(notification());
    outbox.drain().await;
    let methods: Vec<String> = server.seen().into_iter().map(|request| request.method).collect();
    assert_eq!(methods, ["POST", "GET"]);
}
