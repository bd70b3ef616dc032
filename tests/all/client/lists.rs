//! Lists of values, attributes and customers: their paths, their pages, and what makes them an error.

use attrsync::destination::{Attribute, Body, Destination, HttpResponse, ReadError, Response};
use attrsync::record::Key;
use serde_json::json;

use super::{KEY, TOKEN, VALUES, client, echo, list, lost, ok, row, unreadable};
use crate::support::http::{Act, HttpServer, Request, response};

/// The query of a request, with `:` and `,` decoded.
fn query(request: &Request) -> String {
    let (_, query) = request.path.split_once('?').unwrap_or_default();
    query.replace("%3A", ":").replace("%2C", ",")
}

fn invalid(error: ReadError) -> String {
    match error.0 {
        Response::Received(HttpResponse { status: 200, body: Body::Invalid(text), .. }) => text,
        other => panic!("not an invalid list: {other:?}"),
    }
}

#[tokio::test]
async fn a_fetch_reads_every_page_of_every_chunk() {
    let server = HttpServer::start([
        ok(&list(&[row(1, 3, "a"), row(2, 3, "b")], 2)),
        ok(&list(&[row(3, 3, "c")], 2)),
        // Without the number of pages, an empty page is the last.
        ok(&json!({ "data": [row(41, 3, "d")] })),
        ok(&json!({ "data": [] })),
    ]);
    let keys: Vec<_> = (1..=42).map(|customer| Key::new(customer, 3)).collect();
    let echoes = client(&server.url()).fetch(&keys).await.unwrap();
    assert_eq!(echoes, [echo(1, 3, "a"), echo(2, 3, "b"), echo(3, 3, "c"), echo(41, 3, "d")]);

    let seen = server.seen();
    let ids = (1..=40).map(|id| id.to_string()).collect::<Vec<_>>().join(",");
    let expected = [(ids.as_str(), 1), (&ids, 2), ("41,42", 1), ("41,42", 2)]
        .map(|(ids, page)| format!("customer_id:in={ids}&attribute_id:in=3&limit=250&page={page}"));
    assert_eq!(seen.iter().map(query).collect::<Vec<_>>(), expected);
    for request in &seen {
        assert_eq!((request.method.as_str(), request.body.as_str()), ("GET", ""));
        assert!(request.path.starts_with(&format!("{VALUES}?")), "{}", request.path);
        assert_eq!(request.header("x-auth-token"), Some(TOKEN));
    }
}

#[tokio::test]
async fn a_fetch_returns_each_row_of_its_keys_and_no_others() {
    let rows =
        [row(7, 3, "a"), row(7, 3, "b"), row(7, 4, "?"), row(8, 3, "?"), row(8, 4, "c"), row(9, 9, "?")];
    let server = HttpServer::start([ok(&list(&rows, 1))]);
    let echoes =
        client(&server.url()).fetch(&[Key::new(8, 4), Key::new(7, 3), Key::new(8, 4)]).await.unwrap();
    assert_eq!(echoes, [echo(7, 3, "a"), echo(7, 3, "b"), echo(8, 4, "c")]);
    assert_eq!(query(&server.seen()[0]), "customer_id:in=7,8&attribute_id:in=3,4&limit=250&page=1");
    assert_eq!(client(&server.url()).fetch(&[]).await, Ok(vec![]));
    assert_eq!(server.seen().len(), 1);
}

#[tokio::test]
async fn a_list_without_an_end_is_an_error() {
    let page = json!({ "data": [row(7, 3, "gold")] });
    let server = HttpServer::start([ok(&page), ok(&page)]);
    let text = invalid(client(&server.url()).fetch(&KEY).await.unwrap_err());
    assert_eq!(text, "page 2 of the list repeats the page before it");
}

#[tokio::test]
async fn a_list_is_bounded() {
    // Two rows of one key: the store has the value twice. More of them are no list of this key.
    let endless = (0..200).map(|page| ok(&json!({ "data": [row(7, 3, &page.to_string())] })));
    let server = HttpServer::start(endless);
    let text = invalid(client(&server.url()).fetch(&KEY).await.unwrap_err());
    assert_eq!((text.as_str(), server.seen().len()), ("the list has more than 2 items", 3));

    let page = |page: i64, rows: i64| {
        let rows: Vec<_> = (0..rows).map(|row| json!({ "id": page * 250 + row, "name": "a" })).collect();
        ok(&list(&rows, 1_000_000))
    };
    let server = HttpServer::start((0..20).map(|number| page(number, 250)));
    let text = invalid(client(&server.url()).attributes().await.unwrap_err());
    assert_eq!((text.as_str(), server.seen().len()), ("the list has more than 2500 items", 11));

    let server = HttpServer::start([page(0, 251)]);
    let text = invalid(client(&server.url()).attributes().await.unwrap_err());
    assert_eq!(text, "page 1 of the list has 251 items; 250 were asked for");
}

#[tokio::test]
async fn a_fetch_fails_rather_than_return_fewer_rows() {
    let invalid = json!({ "data": [row(7, 3, "gold"), { "customer_id": 7 }] });
    let server = HttpServer::start([ok(&invalid)]);
    unreadable(client(&server.url()).fetch(&KEY).await.unwrap_err());

    let first = ok(&list(&[row(7, 3, "gold")], 2));
    let refused = Act::Respond(response(500, &[], r#"{"title":"Oops"}"#));
    let server = HttpServer::start([first.clone(), refused]);
    let error = client(&server.url()).fetch(&KEY).await.unwrap_err();
    assert_eq!(error.to_string(), "500 Oops");

    let server = HttpServer::start([first, Act::Reset]);
    lost(client(&server.url()).fetch(&KEY).await.unwrap_err().0);
}

#[tokio::test]
async fn attributes_are_listed_over_all_pages() {
    let server = HttpServer::start([
        ok(&list(&[json!({ "id": 3, "name": "Tier", "type": "string", "date_created": "?" })], 2)),
        ok(&list(&[json!({ "id": "4", "name": "Age", "type": "number" })], 2)),
    ]);
    let attributes = client(&server.url()).attributes().await.unwrap();
    let of = |id, name: &str, kind: &str| Attribute { id, name: name.to_owned(), kind: kind.to_owned() };
    assert_eq!(attributes, [of(3, "Tier", "string"), of(4, "Age", "number")]);
    assert_eq!(
        server.seen().iter().map(|request| request.path.clone()).collect::<Vec<_>>(),
        [1, 2].map(|page| format!("/stores/n01g2yx1l4/v3/customers/attributes?limit=250&page={page}"))
    );
}

#[tokio::test]
async fn existing_customers_are_returned() {
    let rows = [json!({ "id": 2, "email": "a@b.c" }), json!({ "id": 40 }), json!({ "id": 99 })];
    let server = HttpServer::start([ok(&list(&rows, 1)), ok(&list(&[json!({ "id": 50 })], 1))]);
    let ids: Vec<_> = (1..=50).collect();
    assert_eq!(client(&server.url()).customers(&ids).await, Ok(vec![2, 40, 50]));
    let seen = server.seen();
    assert!(seen.iter().all(|request| request.path.starts_with("/stores/n01g2yx1l4/v3/customers?")));
    assert_eq!(query(&seen[1]), "id:in=41,42,43,44,45,46,47,48,49,50&limit=250&page=1");
}
