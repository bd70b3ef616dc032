//! The BigCommerce client over a real socket, against a server that sends any bytes or none.

mod lists;
mod tls;

use std::fmt::Debug;
use std::net::TcpListener;
use std::time::Duration;

use attrsync::config::Secret;
use attrsync::destination::bigcommerce::{BigCommerce, BigCommerceError, BigCommerceOptions};
use attrsync::destination::{Body, Destination, Echo, HttpResponse, Item, ReadError, Response};
use attrsync::record::{Key, StoreName};
use serde_json::{Value, json};

use crate::support::http::{Act, HttpServer, response};

const TOKEN: &str = "s3cr3t70k3n4ndn0th1ng3ls3";
const VALUES: &str = "/stores/n01g2yx1l4/v3/customers/attribute-values";
const ITEM: [Item<'static>; 1] = [Item { key: Key::new(7, 3), value: "gold" }];
const KEY: [Key; 1] = [Key::new(7, 3)];

/// Names with values: a response's headers, or a problem's errors.
type Pairs<'a> = &'a [(&'a str, &'a str)];

fn options(api_url: &str) -> BigCommerceOptions {
    BigCommerceOptions {
        name: StoreName::new(api_url, "n01g2yx1l4"),
        token: Secret::new(TOKEN),
        request_timeout: Duration::from_secs(30),
        quota_reserve: 0.0,
        workers: 3,
    }
}

fn client(api_url: &str) -> BigCommerce {
    BigCommerce::new(options(api_url)).unwrap()
}

fn impatient(api_url: &str) -> BigCommerce {
    BigCommerce::new(BigCommerceOptions { request_timeout: Duration::from_millis(300), ..options(api_url) })
        .unwrap()
}

/// Sends a write to a server that then does `act`.
async fn upsert_then(act: Act) -> Response {
    let server = HttpServer::start([act]);
    let response = client(&server.url()).upsert(&ITEM).await;
    assert_eq!(server.seen().len(), 1, "a request is sent once");
    response
}

/// Sends a write to a server that then sends this response.
async fn received(status: u16, headers: Pairs<'_>, body: impl AsRef<[u8]>) -> HttpResponse {
    match upsert_then(Act::Respond(response(status, headers, body))).await {
        Response::Received(received) => received,
        other => panic!("not received: {other:?}"),
    }
}

fn lost(response: Response) -> String {
    match response {
        Response::Lost { reason } => reason,
        other => panic!("not lost: {other:?}"),
    }
}

fn ok(body: &Value) -> Act {
    Act::Respond(response(200, &[("Content-Type", "application/json")], body.to_string()))
}

fn row(customer_id: i64, attribute_id: i64, value: &str) -> Value {
    json!({ "id": customer_id * 100 + attribute_id, "customer_id": customer_id,
        "attribute_id": attribute_id, "attribute_value": value })
}

fn echo(customer_id: i64, attribute_id: i64, value: &str) -> Echo {
    let value_id = Some(customer_id * 100 + attribute_id);
    Echo { key: Key::new(customer_id, attribute_id), value: value.to_owned(), value_id }
}

fn list(rows: &[Value], total_pages: u64) -> Value {
    json!({ "data": rows, "meta": { "pagination": { "total_pages": total_pages } } })
}

fn unreadable(error: ReadError) -> String {
    match error.0 {
        Response::Received(HttpResponse { status: 200, body: Body::Unreadable(text), .. }) => text,
        other => panic!("not an unreadable 200: {other:?}"),
    }
}

fn hides_the_token(shown: &(impl Debug + ?Sized)) {
    for text in [format!("{shown:?}"), format!("{shown:#?}")] {
        assert!(!text.contains(&TOKEN[1..12]), "{text}");
    }
}

#[tokio::test]
async fn a_write_is_one_put_of_three_fields_an_item() {
    let server = HttpServer::start([ok(&json!({ "data": [row(7, 3, "gold"), row(8, 3, "")], "meta": {} }))]);
    let items = [ITEM[0], Item { key: Key::new(8, 3), value: "" }];
    // A slash at the end of the configured address is no part of the path.
    let received = client(&format!("{}/", server.url())).upsert(&items).await;
    let body = Body::Echoes(vec![echo(7, 3, "gold"), echo(8, 3, "")]);
    assert_eq!(
        received,
        Response::Received(HttpResponse { status: 200, request_id: None, wait: None, body })
    );

    let seen = server.seen();
    let [request] = seen.as_slice() else { panic!("{seen:?}") };
    assert_eq!((request.method.as_str(), request.path.as_str()), ("PUT", VALUES));
    assert_eq!(
        request.body,
        r#"[{"customer_id":7,"attribute_id":3,"value":"gold"},{"customer_id":8,"attribute_id":3,"value":""}]"#
    );
    assert_eq!(request.header("x-auth-token"), Some(TOKEN));
    assert_eq!(request.header("content-type"), Some("application/json"));
    assert_eq!(request.header("accept"), Some("application/json"));
    assert!(request.header("accept-encoding").is_some_and(|encodings| encodings.contains("gzip")));
    assert!(request.header("user-agent").is_some_and(|agent| agent.starts_with("attrsync/")));
    assert_eq!(request.headers.iter().filter(|(_, value)| value.contains(TOKEN)).count(), 1);
}

#[tokio::test]
async fn consecutive_requests_share_a_connection() {
    let page = list(&[row(7, 3, "gold")], 1);
    let server = HttpServer::start([ok(&page), ok(&page), ok(&page)]);
    let client = client(&server.url());
    for _ in 0..3 {
        client.fetch(&KEY).await.unwrap();
    }
    assert!(server.seen().iter().all(|request| request.connection == 0));
}

#[tokio::test]
async fn a_closed_connection_is_not_used_again() {
    let body = list(&[row(7, 3, "gold")], 1).to_string();
    let last = Act::Cut(response(200, &[("Connection", "close")], &body));
    let server = HttpServer::start([last.clone(), last]);
    let client = client(&server.url());
    for _ in 0..2 {
        assert_eq!(client.fetch(&KEY).await, Ok(vec![echo(7, 3, "gold")]));
    }
    assert_eq!(server.connections(), 2);
}

#[tokio::test]
async fn errors_are_read_in_every_shape() {
    let shapes: &[(&str, &str, Pairs<'_>)] = &[
        (
            r#"{"status":422,"title":"Update failed.","type":"t","instance":"i",
                "errors":{"9.value":"too long","0.customer_id":"invalid customer ID"}}"#,
            "Update failed.",
            &[("9.value", "too long"), ("0.customer_id", "invalid customer ID")],
        ),
        (r#"{"title":"Refused","errors":{}}"#, "Refused", &[]),
        (r#"{"title":"Refused"}"#, "Refused", &[]),
        (r#"{"title":"Input is invalid","detail":"Syntax error"}"#, "Input is invalid: Syntax error", &[]),
        (r#"{"status":422,"title":"","type":"t","errors":{"id":"gone"}}"#, "", &[("id", "gone")]),
        (
            r#"{"title":"Refused","errors":{"1":{"value":["long","odd"]}}}"#,
            "Refused",
            &[("1.value", "long"), ("1.value", "odd")],
        ),
        (r#"{"title":"a\u0000b","errors":{"0.value":"c\u0000d"}}"#, "a b", &[("0.value", "c d")]),
    ];
    for (body, title, errors) in shapes {
        let errors = errors.iter().map(|(field, text)| ((*field).to_owned(), (*text).to_owned())).collect();
        let expected = Body::Problem { title: (*title).to_owned(), errors };
        assert_eq!(received(422, &[], body).await.body, expected, "{body}");
    }
}

#[tokio::test]
async fn the_html_of_a_gateway_is_unreadable() {
    for status in [404, 502] {
        let html = format!("<html><h1>{status}</h1><hr>openresty</html>");
        let got = received(status, &[("Content-Type", "text/html")], &html).await;
        assert_eq!((got.status, got.wait), (status, None));
        assert_eq!(got.body, Body::Unreadable(html));
    }
}

#[tokio::test]
async fn the_html_of_a_gateway_is_cut_to_2_kib() {
    let Body::Unreadable(excerpt) = received(502, &[], "é".repeat(4000)).await.body else { panic!() };
    assert_eq!(excerpt, "é".repeat(1024));
}

#[tokio::test]
async fn a_body_is_read_up_to_2_mib() {
    let body = |spaces| format!("{{\"data\":[{}]}}", " ".repeat(spaces));
    assert_eq!(received(200, &[], body(1 << 20)).await.body, Body::Echoes(vec![]));
    assert!(matches!(received(200, &[], body(2 << 20)).await.body, Body::Unreadable(_)));
}

#[tokio::test]
async fn a_429_says_how_long_to_wait() {
    const RESET: (&str, &str) = ("X-Rate-Limit-Time-Reset-Ms", "15000");
    const NONE_LEFT: (&str, &str) = ("X-Rate-Limit-Requests-Left", "0");
    const SOME_LEFT: (&str, &str) = ("X-Rate-Limit-Requests-Left", "149");
    const AFTER: (&str, &str) = ("X-Retry-After", "20");
    let cases: &[(Pairs<'_>, Option<u64>)] = &[
        (&[], None),
        (&[RESET, NONE_LEFT], Some(15)),
        (&[("x-RATE-limit-TIME-reset-MS", "15000"), ("x-rate-limit-requests-LEFT", "0")], Some(15)),
        (&[RESET, SOME_LEFT], None),
        (&[RESET, SOME_LEFT, AFTER], Some(20)),
        (&[RESET, NONE_LEFT, AFTER], Some(20)),
        (&[RESET, NONE_LEFT, ("X-Retry-After", "2")], Some(15)),
        (&[("X-RETRY-AFTER", "20")], Some(20)),
    ];
    for (headers, seconds) in cases {
        let got = received(429, headers, r#"{"title":"Too many requests","errors":{}}"#).await;
        assert_eq!(got.wait, seconds.map(Duration::from_secs), "{headers:?}");
    }
    let empty = received(429, &[RESET, NONE_LEFT], "").await;
    assert_eq!(empty.wait, Some(Duration::from_secs(15)));
    assert_eq!(empty.body, Body::Unreadable(String::new()));
    // The reset of the quota is about a 429 only.
    assert_eq!(
        received(503, &[RESET, NONE_LEFT, ("Retry-After", "3")], "").await.wait,
        Some(Duration::from_secs(3))
    );
}

#[tokio::test]
async fn the_request_id_is_read_whatever_the_case_of_its_header() {
    for name in ["X-Request-ID", "x-request-id", "X-REQUEST-ID"] {
        assert_eq!(received(500, &[(name, " 0123abcd ")], "").await.request_id.as_deref(), Some("0123abcd"));
    }
}

#[tokio::test]
async fn a_truncated_response_is_lost() {
    let body = json!({ "data": [row(7, 3, "gold")] }).to_string();
    let whole = response(200, &[], &body);
    let short = whole[..whole.len() - 5].to_vec();
    let headless = b"HTTP/1.1 200 OK\r\nContent-".to_vec();
    let chunked = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\n{\"da\r\n".to_vec();
    let zipped = gzip(body.as_bytes());
    let zipped = response(200, &[("Content-Encoding", "gzip")], &zipped[..zipped.len() - 12]);
    let garbage = b"SSH-2.0-OpenSSH_9.2\r\n".to_vec();
    for bytes in [Vec::new(), short, headless, chunked, zipped, garbage] {
        let text = String::from_utf8_lossy(&bytes).into_owned();
        let reason = lost(upsert_then(Act::Cut(bytes)).await);
        assert!(reason.starts_with("the connection failed before the response was complete: "), "{reason}");
        assert!(!reason.contains("gold") && !reason.contains("127.0.0.1"), "{reason} of {text}");
    }
}

#[tokio::test]
async fn after_a_reset_the_request_is_not_sent_again() {
    lost(upsert_then(Act::Reset).await);
    // On a connection that was used before, a client could take the reset for an idle close.
    let page = list(&[row(7, 3, "gold")], 1);
    let server = HttpServer::start([ok(&page), Act::Reset, ok(&page)]);
    let client = client(&server.url());
    client.fetch(&KEY).await.unwrap();
    lost(client.upsert(&ITEM).await);
    assert_eq!(server.seen().len(), 2);
}

#[tokio::test]
async fn a_refused_connection_sent_nothing() {
    let free = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let client = client(&format!("http://{free}"));
    let Response::NotSent { reason, hint, may_pass: true } = client.upsert(&ITEM).await else { panic!() };
    assert!(hint.contains("nothing listens"), "{hint}");
    assert!(reason.starts_with("could not connect to the store: "), "{reason}");
    assert!(matches!(client.fetch(&KEY).await, Err(ReadError(Response::NotSent { .. }))));
}

#[tokio::test]
async fn a_response_that_takes_too_long_is_lost() {
    let whole = response(200, &[], r#"{"data":[]}"#);
    for sent in [0, 20, whole.len() - 1] {
        let server = HttpServer::start([Act::Hang(whole[..sent].to_vec())]);
        let reason = lost(impatient(&server.url()).upsert(&ITEM).await);
        assert_eq!(reason, "no complete response within 300 ms");
    }
}

#[tokio::test]
async fn a_redirect_is_not_followed() {
    let elsewhere = HttpServer::start([]);
    for status in [301, 302, 303, 307, 308] {
        let to = format!("{}/v3/customers?token=x", elsewhere.url());
        let got = received(status, &[("Location", &to)], "").await;
        assert_eq!((got.status, got.body), (status, Body::Redirect { to: elsewhere.url() }));
        let got = received(status, &[("Location", "/login")], "<html>").await;
        assert_eq!(got.body, Body::Redirect { to: "another path".to_owned() });
        assert_eq!(received(status, &[], "").await.body, Body::Unreadable(String::new()));
    }
    assert_eq!(elsewhere.connections(), 0);
}

#[tokio::test]
async fn a_response_may_be_compressed() {
    let body = json!({ "data": [row(7, 3, "gold")] }).to_string();
    let got = received(200, &[("Content-Encoding", "gzip")], gzip(body.as_bytes())).await;
    assert_eq!(got.body, Body::Echoes(vec![echo(7, 3, "gold")]));
}

#[tokio::test]
async fn echoes_are_read_leniently() {
    let body = r#"{"more":{},"data":[
        {"id":5,"attribute_id":3,"attribute_value":"a","customer_id":7,"date_created":"?","new":[1]},
        {"attribute_id":3,"attribute_value":"b","customer_id":8},
        {"id":"6","attribute_id":"3","attribute_value":"c","customer_id":"9"},
        {"id":7,"attribute_id":3,"attribute_value":"x\u0000y","customer_id":10},
        {"id":8,"attribute_id":3,"customer_id":11}]}"#;
    let echo = |customer_id, value: &str, value_id| Echo {
        key: Key::new(customer_id, 3),
        value: value.to_owned(),
        value_id,
    };
    let expected =
        [echo(7, "a", Some(5)), echo(8, "b", None), echo(9, "c", Some(6)), echo(10, "x\u{FFFD}y", Some(7))];
    assert_eq!(received(200, &[], body).await.body, Body::Echoes(expected.to_vec()));
}

#[tokio::test]
async fn a_success_without_data_is_unreadable() {
    for body in ["", "{}", "[]", r#"{"data":null}"#, r#"{"title":"fine"}"#, "<html>"] {
        assert_eq!(received(200, &[], body).await.body, Body::Unreadable(body.to_owned()));
        let server = HttpServer::start([Act::Respond(response(200, &[], body))]);
        assert_eq!(unreadable(client(&server.url()).fetch(&KEY).await.unwrap_err()), body);
    }
}

#[tokio::test]
async fn the_token_shows_nowhere() {
    hides_the_token(&options("http://127.0.0.1:1"));
    let with_password = format!("https://me:{TOKEN}@127.0.0.1");
    let error: BigCommerceError = BigCommerce::new(options(&with_password)).unwrap_err();
    hides_the_token(&error);
    hides_the_token(&error.to_string());
    let broken =
        BigCommerceOptions { token: Secret::new(format!("{TOKEN}\n")), ..options("http://127.0.0.1") };
    let error = BigCommerce::new(broken).unwrap_err();
    hides_the_token(&error);
    hides_the_token(&error.to_string());

    // A gateway may echo its request in any part of the response, and escape it.
    let escaped = TOKEN.replacen('s', "\\u0073", 1);
    let behind = format!("{}{TOKEN}", "p".repeat(85));
    let problem = format!(r#"{{"title":"bad {TOKEN}","detail":"{TOKEN}","errors":{{"{TOKEN}":"{TOKEN}"}}}}"#);
    let html = format!("<pre>X-Auth-Token: {TOKEN}</pre>");
    let zipped = ("Content-Encoding", "gzip");
    let id = ("X-Request-ID", TOKEN);
    let acts = [
        Act::Respond(response(401, &[id], &problem)),
        Act::Respond(response(401, &[], problem.replace(TOKEN, &escaped))),
        Act::Respond(response(500, &[("X-Request-ID", &behind)], "")),
        Act::Respond(response(502, &[id], &html)),
        Act::Respond(response(200, &[id, zipped], gzip(html.as_bytes()))),
        Act::Respond(response(302, &[("Location", &format!("http://127.0.0.1:1/?{TOKEN}"))], "")),
        Act::Cut(format!("HTTP/1.1 {TOKEN}\r\n\r\n").into_bytes()),
        Act::Respond(response(200, &[zipped], TOKEN)),
        Act::Reset,
    ];
    for act in acts {
        let server = HttpServer::start([act.clone(), act]);
        let client = client(&server.url());
        hides_the_token(&client);
        hides_the_token(&client.upsert(&ITEM).await);
        let error = client.fetch(&KEY).await.unwrap_err();
        hides_the_token(&error);
        hides_the_token(&error.to_string());
        assert_eq!(server.seen().len(), 2);
    }
}

/// Writes the bytes as gzip, uncompressed.
fn gzip(bytes: &[u8]) -> Vec<u8> {
    let crc = !bytes.iter().fold(u32::MAX, |crc, byte| {
        (0..8).fold(crc ^ u32::from(*byte), |crc, _| (crc >> 1) ^ (0xEDB8_8320 * (crc & 1)))
    });
    let length = u16::try_from(bytes.len()).expect("one block's worth");
    let mut zipped = vec![0x1F, 0x8B, 8, 0, 0, 0, 0, 0, 0, 0xFF, 1];
    zipped.extend(length.to_le_bytes());
    zipped.extend((!length).to_le_bytes());
    zipped.extend(bytes);
    zipped.extend(crc.to_le_bytes());
    zipped.extend(u32::from(length).to_le_bytes());
    zipped
}
