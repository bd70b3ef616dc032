//! How the source is reached: its hosts, and what is said if it cannot be reached.

use std::net::TcpListener;

use attrsync::config::{Secret, SourceConfig};
use attrsync::record::Filter;
use attrsync::source::SourceError;
use attrsync::source::postgres::PostgresSource;

use super::{Shop, VALUES, message, read, row, source_at, table};
use crate::support::postgres::Postgres;

/// A port where nothing listens.
fn closed_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").expect("a port").local_addr().expect("an address").port()
}

#[tokio::test]
async fn hosts_are_tried_in_order() {
    let shop = Shop::new(&format!("{VALUES} insert into v values (1, 1, 'x')")).await;
    let port = Postgres::start().port();
    let two = format!("127.0.0.1:{},127.0.0.1:{port}", closed_port());
    let first = shop.url.replace(&format!("127.0.0.1:{port}"), &two);
    let database = shop.url.rsplit('/').next().expect("a name");
    for url in [
        first.clone(),
        format!("{first}?target_session_attrs=read-write"),
        format!("{first}?target_session_attrs=prefer-standby"),
        format!("host=127.0.0.1 port={port} user=postgres dbname={database}"),
    ] {
        let rows = read(&source_at(&url, table("v")), &Filter::default()).await;
        assert_eq!(rows.expect("rows"), [row(1, 1, "x")], "{url}");
    }
    let standby = source_at(&format!("{}?target_session_attrs=standby", shop.url), table("v"));
    let error = read(&standby, &Filter::default()).await.expect_err("there is none");
    assert!(matches!(&error, SourceError::Unavailable { problem, .. } if problem.contains("not a standby")));
}

#[tokio::test]
async fn every_host_that_fails_is_named() {
    let (one, two) = (closed_port(), closed_port());
    let url = format!("postgres://u:hunter2@127.0.0.1:{one},127.0.0.1:{two}/shop");
    let said = message(read(&source_at(&url, table("v")), &Filter::default()).await);
    assert!(said.contains(&one.to_string()) && said.contains(&two.to_string()), "{said}");
}

#[tokio::test]
async fn what_may_pass_is_distinguished_from_what_cannot() {
    let mut shop = Shop::new(VALUES).await;
    let role = format!("few_{}", std::process::id());
    shop.run(&format!("create role {role} login connection limit 0; grant select on v to {role}")).await;
    let of_role = source_at(&shop.url.replace("postgres@", &format!("{role}@")), table("v"));
    let full = read(&of_role, &Filter::default()).await.expect_err("too many sessions");
    assert!(
        matches!(&full, SourceError::Unavailable { hint, .. } if hint.contains("connection limit")),
        "{full:?}"
    );
    shop.run(&format!("revoke all on v from {role}; drop role {role}")).await;

    let down = source_at(&format!("postgres://u@127.0.0.1:{}/shop", closed_port()), table("v"));
    let down = read(&down, &Filter::default()).await.expect_err("refused");
    assert!(matches!(down, SourceError::Unavailable { .. }), "{down:?}");
    let missing = read(&shop.source(table("nowhere")), &Filter::default()).await.expect_err("no table");
    assert!(matches!(missing, SourceError::Unusable { .. }), "{missing:?}");
}

#[tokio::test]
async fn a_name_in_mixed_case_needs_quotes() {
    let shop = Shop::new(
        "create table \"CustomerAttributes\" (customer_id int, attribute_id int, value text); \
         create table w (\"CustomerId\" int, attribute_id int, value text)",
    )
    .await;
    let said = message(shop.table("CustomerAttributes").await);
    assert!(said.contains("in lower case: write table = '\"CustomerAttributes\"'"), "{said}");
    assert_eq!(shop.table("\"CustomerAttributes\"").await.expect("rows"), []);
    let said = message(shop.query("select CustomerId as customer_id, attribute_id, value from w").await);
    assert!(said.contains("in lower case: write \"CustomerId\" in the query"), "{said}");
    let said = message(shop.query("select customer_id, attribute_id, value from CustomerAttributes").await);
    assert!(said.contains("write \"CustomerAttributes\" in the query"), "{said}");
}

#[test]
fn an_address_with_a_parameter_that_must_not_be_ignored_is_refused() {
    for (parameter, words) in [("sslcrl=/x", "sslcrl"), ("channel_binding=require", "channel_binding")] {
        let url = Secret::new(format!("postgres://u:hunter2@h/shop?{parameter}"));
        let said = message(PostgresSource::new(&SourceConfig::new(url, table("v"))));
        assert!(said.contains(words), "{said}");
    }
}
