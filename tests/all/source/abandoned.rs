//! A read that is abandoned leaves no query running in the database.

use std::time::Duration;

use attrsync::config::Relation;
use attrsync::record::{AttributeNames, Filter};
use attrsync::source::Source;
use tokio::time::timeout;

use super::{Shop, VALUES, source_at};

const RUNNING: &str = "select count(*) from pg_stat_activity \
     where wait_event = 'PgSleep' and datname = current_database()";

/// Waits until so many queries sleep.
async fn until_running(shop: &mut Shop, count: i64) {
    let reached = async {
        while shop.count(RUNNING).await != count {
            tokio::task::yield_now().await;
        }
    };
    timeout(Duration::from_secs(60), reached).await.expect("so many queries run");
}

#[tokio::test]
async fn a_query_is_cancelled_when_its_read_is_abandoned() {
    let mut shop = Shop::new(&format!("{VALUES} insert into v values (1, 1, 'x')")).await;
    let query = "select v.* from v, (select pg_sleep(600)) as slow".to_owned();
    let source = source_at(&shop.url, Relation::Query(query));
    let names = AttributeNames::default();

    let pages = source.read(&Filter::default(), &names).await.expect("a read");
    until_running(&mut shop, 1).await;
    drop(pages);
    source.ended().await;
    until_running(&mut shop, 0).await;

    tokio::select! {
        digest = source.digest(&names) => panic!("the digest is not there for minutes: {digest:?}"),
        () = until_running(&mut shop, 1) => {}
    }
    source.ended().await;
    until_running(&mut shop, 0).await;
}
