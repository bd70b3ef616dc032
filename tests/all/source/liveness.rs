//! A source that falls silent is noticed; one that works on a slow query is waited for.

use std::time::Duration;

use attrsync::config::Relation;
use attrsync::record::{AttributeNames, Filter};
use attrsync::source::{Source, SourceError};
use tokio::time::{Instant, timeout};

use super::{MANY, Shop, VALUES, row, source_at, table};
use crate::ledger::postgres::liveness::Wire;

/// Longer than a session may be silent before a second session asks about it.
const SLOW: u64 = 33;

// This is one test, because each part waits for most of a minute and all parts can wait at the same time.
#[tokio::test]
async fn a_slow_query_is_waited_for_and_a_silent_session_is_not() {
    tokio::join!(a_slow_query(), a_session_dropped_in_the_query(), a_session_dropped_between_rows());
}

async fn a_slow_query() {
    let shop = Shop::new(&format!("{VALUES} insert into v values (1, 1, 'x')")).await;
    let query = format!("select v.* from v, (select pg_sleep({SLOW})) as slow");
    assert_eq!(shop.query(&query).await.expect("rows"), [row(1, 1, "x")]);
}

/// The server would send rows after six seconds; by then the network has forgotten the session.
async fn a_session_dropped_in_the_query() {
    let (wire, url, through) = Wire::to_a_database();
    let mut shop = Shop::at(url, &format!("{VALUES} insert into v values (1, 1, 'x')")).await;
    let query = "select v.* from v, (select pg_sleep(6)) as slow".to_owned();
    let source = source_at(&through, Relation::Query(query));
    let start = Instant::now();
    let mut pages = source.read(&Filter::default(), &AttributeNames::default()).await.expect("a read");
    let dropping = async {
        let sleeping = "select count(*) from pg_stat_activity \
             where wait_event = 'PgSleep' and datname = current_database()";
        while shop.count(sleeping).await == 0 {
            tokio::task::yield_now().await;
        }
        wire.forget_connections();
    };
    let (ended, ()) = tokio::join!(timeout(Duration::from_secs(300), pages.next()), dropping);
    says_dead(ended.expect("it is noticed").expect_err("it must not look like the end"), start);
}

async fn a_session_dropped_between_rows() {
    let (wire, url, through) = Wire::to_a_database();
    let _shop = Shop::at(url, &format!("{VALUES} {MANY}")).await;
    let start = Instant::now();
    let mut pages = source_at(&through, table("v"))
        .read(&Filter::default(), &AttributeNames::default())
        .await
        .expect("a read");
    pages.next().await.expect("a page");
    wire.forget_connections();
    let ended = loop {
        match timeout(Duration::from_secs(300), pages.next()).await.expect("it is noticed") {
            Ok(Some(_)) => {}
            ended => break ended,
        }
    };
    says_dead(ended.map(|_| ()).expect_err("half a table must not pass for a whole one"), start);
}

fn says_dead(error: SourceError, start: Instant) {
    let SourceError::Unavailable { problem, .. } = error else { panic!("{error:?}") };
    assert!(problem.contains("no response for 30 seconds"), "{problem}");
    assert!(start.elapsed() < Duration::from_secs(100), "{:?}", start.elapsed());
}
