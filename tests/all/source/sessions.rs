//! The source's session: its snapshot, how it is closed, and what remains of it.

use std::time::Duration;

use attrsync::record::{AttributeNames, Filter};
use attrsync::source::{Source, SourceError, SourcePages};
use sqlx::postgres::PgListener;

use super::{MANY, Shop, VALUES, row, table};

#[tokio::test]
async fn promise_9_nothing_of_a_query_remains() {
    let mut shop = Shop::new(VALUES).await;
    // Postgres lets a read-only transaction make a large object, up to version 15.
    let query = "select 1 as customer_id, 1 as attribute_id, lo_from_bytea(0, 'abc')::text as value";
    drop(shop.query(query).await);
    assert_eq!(shop.count("select count(*) from pg_largeobject_metadata").await, 0);
    let mut listener = PgListener::connect(&shop.url).await.expect("a session");
    listener.listen("seen").await.expect("a channel");
    let query =
        "select 1 as customer_id, 1 as attribute_id, pg_notify('seen', 'by the query')::text as value";
    assert_eq!(shop.query(query).await.expect("a row"), [row(1, 1, "")]);
    // Postgres delivers notifications in the order of the commits.
    shop.run("notify seen, 'by the test'").await;
    assert_eq!(listener.recv().await.expect("a notification").payload(), "by the test");
}

#[tokio::test]
async fn changes_during_the_read_are_not_seen() {
    let mut shop = Shop::new(&format!("{VALUES} {MANY}")).await;
    let mut pages =
        shop.source(table("v")).read(&Filter::default(), &AttributeNames::default()).await.expect("a read");
    let mut count = pages.next().await.expect("a page").expect("a page").len();
    shop.run("update v set value = 'changed'; delete from v where customer_id % 2 = 0").await;
    while let Some(page) = pages.next().await.expect("a page") {
        count += page.len();
        assert!((0..page.len()).all(|at| page.row(at).value.is_some_and(|value| value.len() == 200)));
    }
    assert_eq!(count, 200_000);
    assert!(pages.next().await.expect("still the end").is_none());
    assert_eq!(shop.count(SESSIONS).await, 0, "the session is closed before the end is reported");
}

/// Counts open snapshots. A session that was closed may be listed for a moment longer, but not in a transaction.
const SESSIONS: &str = "select count(*) from pg_stat_activity \
     where datname = current_database() and application_name = 'attrsync' and xact_start is not null";

#[tokio::test]
async fn dropping_the_pages_ends_the_session() {
    let mut shop = Shop::new(&format!("{VALUES} {MANY}")).await;
    let mut pages =
        shop.source(table("v")).read(&Filter::default(), &AttributeNames::default()).await.expect("a read");
    pages.next().await.expect("a page");
    assert_eq!(shop.count(SESSIONS).await, 1);
    drop(pages);
    wait_until_closed(&mut shop).await;
}

async fn wait_until_closed(shop: &mut Shop) {
    let closed = async {
        while shop.count(SESSIONS).await > 0 {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(Duration::from_secs(20), closed).await.expect("the session ends");
}

#[tokio::test]
async fn a_session_that_ends_in_the_middle_is_an_error() {
    let mut shop = Shop::new(&format!("{VALUES} {MANY}")).await;
    let mut pages =
        shop.source(table("v")).read(&Filter::default(), &AttributeNames::default()).await.expect("a read");
    pages.next().await.expect("a page");
    shop.run(
        "select pg_terminate_backend(pid) from pg_stat_activity \
         where datname = current_database() and application_name = 'attrsync'",
    )
    .await;
    let error = drain(&mut *pages).await.expect_err("half a table must not pass for a whole one");
    assert!(matches!(error, SourceError::Unavailable { .. }), "it may be read again: {error:?}");
}

/// A read that begins while another session replaces the table has a snapshot without the new rows, and finds none of the
/// old ones.
#[tokio::test]
async fn a_table_that_was_replaced_at_the_beginning_is_read_again() {
    for replace in [
        "truncate v; insert into v values (2, 1, 'new')",
        "create table n as select 2::bigint as customer_id, 1::bigint as attribute_id, 'new' as value; \
         drop table v; alter table n rename to v",
    ] {
        let mut shop = Shop::new(&format!("{VALUES} insert into v values (1, 1, 'old')")).await;
        shop.run("begin").await;
        shop.run(replace).await;
        let source = shop.source(table("v"));
        let mut pages = source.read(&Filter::default(), &AttributeNames::default()).await.expect("a read");
        let committing = async {
            let waiting = "select count(*) from pg_locks where not granted \
                 and database = (select oid from pg_database where datname = current_database())";
            while shop.count(waiting).await == 0 {
                tokio::task::yield_now().await;
            }
            shop.run("commit").await;
        };
        let (read, ()) = tokio::join!(drain(&mut *pages), committing);
        let error = read.expect_err("an emptied table must not pass for the table");
        assert!(matches!(&error, SourceError::Unavailable { .. }), "{replace}: {error:?}");
        let rows = super::read(&source, &Filter::default()).await.expect("rows");
        assert_eq!(rows, [row(2, 1, "new")], "{replace}");
    }
}

#[tokio::test]
async fn promise_12_a_lock_of_another_session_is_named() {
    let mut shop = Shop::new(&format!("{VALUES} insert into v values (1, 1, 'x')")).await;
    let source = shop.source(table("v"));
    shop.run("begin; lock table v in access exclusive mode").await;
    let holder = shop.count("select pg_backend_pid()::bigint").await;
    let filter = Filter::default();
    let read = source.read_within(&filter, &AttributeNames::default(), Duration::from_secs(1)).await;
    let error = drain(&mut *read.expect("a read")).await.expect_err("the table is locked");
    let SourceError::Unavailable { hint, .. } = &error else { panic!("it may be read again: {error:?}") };
    for words in
        [format!("session {holder} of "), "v locked".to_owned(), format!("pg_terminate_backend({holder})")]
    {
        assert!(hint.contains(&words), "{hint}");
    }
}

async fn drain(pages: &mut dyn SourcePages) -> Result<(), SourceError> {
    while pages.next().await?.is_some() {}
    Ok(())
}
