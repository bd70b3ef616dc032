//! Notifications of the source: what is heard, and what is said when nothing is.

use std::time::Duration;

use attrsync::record::Notified;
use attrsync::source::Heard;
use tokio::sync::mpsc;
use tokio::time::timeout;

use super::{Shop, VALUES, source_at, table};
use crate::ledger::postgres::liveness::Wire;
use crate::support::postgres::Postgres;

async fn next(heard: &mut mpsc::Receiver<Heard>) -> Heard {
    timeout(Duration::from_secs(120), heard.recv()).await.expect("in time").expect("it listens")
}

async fn connected(heard: &mut mpsc::Receiver<Heard>) -> bool {
    match next(heard).await {
        Heard::Connected { missed_some } => missed_some,
        other => panic!("not connected: {other:?}"),
    }
}

async fn lost(heard: &mut mpsc::Receiver<Heard>) -> String {
    match next(heard).await {
        Heard::Lost(error) => super::message(Err::<(), _>(error)),
        other => panic!("not lost: {other:?}"),
    }
}

/// Joins what is heard until it says this much.
async fn hear(heard: &mut mpsc::Receiver<Heard>, expect: &Notified) {
    let mut all = Notified::NOTHING;
    while all != *expect {
        match next(heard).await {
            Heard::Notified(notified) => all.add(notified),
            other => panic!("{other:?} after {all:?}"),
        }
    }
}

fn customers(ids: &[i64]) -> Notified {
    ids.iter().copied().collect()
}

#[tokio::test]
async fn committed_notifications_are_heard_with_their_customers() {
    let mut shop = Shop::new(VALUES).await;
    let mut heard = shop.source(table("v")).listen("It's");
    assert!(!connected(&mut heard).await, "nothing was missed");
    for statements in [
        "notify \"It's\", '7'",
        "notify other, '1'",
        "begin; notify \"It's\", '8'; rollback",
        "notify \"It's\", '9, 10'",
    ] {
        shop.run(statements).await;
    }
    hear(&mut heard, &customers(&[7, 9, 10])).await;
    shop.run("notify \"It's\", 'customer 7'").await;
    hear(&mut heard, &Notified::Everything).await;
    shop.run("notify \"It's\"").await;
    hear(&mut heard, &Notified::Everything).await;
}

/// Notifications of one transaction arrive at once. Each is a message of its own as long as the receiver takes them.
#[tokio::test]
async fn notifications_that_arrive_at_once_are_told_one_by_one() {
    let mut shop = Shop::new(VALUES).await;
    let mut heard = shop.source(table("v")).listen("c");
    connected(&mut heard).await;
    for _ in 0..20 {
        shop.run("begin; notify c; notify c, '7'; notify c, '8'; commit").await;
        for expect in [Notified::Everything, customers(&[7]), customers(&[8])] {
            match next(&mut heard).await {
                Heard::Notified(notified) => assert_eq!(notified, expect),
                other => panic!("{other:?} instead of {expect:?}"),
            }
        }
    }
}

#[tokio::test]
async fn a_receiver_that_is_slow_misses_nothing() {
    let mut shop = Shop::new(VALUES).await;
    let mut heard = shop.source(table("v")).listen("c");
    connected(&mut heard).await;
    // More than the messages that may wait. The customers stay few enough to be told one by one.
    shop.run("do $$ begin for n in 1..5000 loop perform pg_notify('c', (n % 900) || repeat(' ', n % 7)); end loop; end $$")
        .await;
    shop.run("notify c, '1001'").await;
    let all: Vec<i64> = (0..900).chain([1001]).collect();
    hear(&mut heard, &customers(&all)).await;
}

#[tokio::test]
async fn a_session_that_is_lost_is_made_again_and_says_that_changes_may_be_missed() {
    let mut shop = Shop::new(VALUES).await;
    let mut heard = shop.source(table("v")).listen("c");
    assert!(!connected(&mut heard).await);
    shop.run("select pg_terminate_backend(pid) from pg_stat_activity where query = 'LISTEN \"c\"' and datname = current_database()")
        .await;
    let said = lost(&mut heard).await;
    assert!(said.contains("closed by the other side"), "{said}");
    assert!(connected(&mut heard).await, "something may have been missed");
    shop.run("notify c, '5'").await;
    hear(&mut heard, &customers(&[5])).await;
}

/// The network forgets the session: no byte passes any more, and neither side notices.
#[tokio::test]
async fn a_session_that_falls_silent_is_noticed() {
    let (wire, url, through) = Wire::to_a_database();
    let mut shop = Shop::at(url, VALUES).await;
    let mut heard = source_at(&through, table("v")).listen("c");
    connected(&mut heard).await;
    wire.forget_connections();
    tokio::time::pause();
    let said = lost(&mut heard).await;
    tokio::time::resume();
    assert!(said.contains("is dead: no response for 30 seconds"), "{said}");
    assert!(connected(&mut heard).await, "something may have been missed");
    shop.run("notify c, '5'").await;
    hear(&mut heard, &customers(&[5])).await;
}

#[tokio::test]
async fn a_server_that_is_down_is_told_once_and_tried_again() {
    let server = Postgres::own();
    let url = server.database();
    let mut heard = source_at(&url, table("v")).listen("c");
    assert!(!connected(&mut heard).await);
    server.crash();
    // The reason changes once: first the session is closed, then the server takes none.
    let mut reasons = vec![lost(&mut heard).await];
    reasons.push(lost(&mut heard).await);
    assert!(reasons[1].contains("could not connect to the source"), "{reasons:?}");
    server.recover();
    loop {
        match next(&mut heard).await {
            Heard::Connected { missed_some } => break assert!(missed_some),
            Heard::Lost(error) => reasons.push(super::message(Err::<(), _>(error))),
            Heard::Notified(other) => panic!("{other:?}"),
        }
    }
    let told = reasons.len();
    reasons.dedup();
    assert_eq!(reasons.len(), told, "each reason once: {reasons:?}");
}

#[tokio::test]
async fn listening_ends_with_its_receiver() {
    let mut shop = Shop::new(VALUES).await;
    let mut heard = shop.source(table("v")).listen("c");
    connected(&mut heard).await;
    drop(heard);
    let listeners = "select count(*) from pg_stat_activity \
         where datname = current_database() and application_name = 'attrsync'";
    let ended = async {
        while shop.count(listeners).await > 0 {
            tokio::task::yield_now().await;
        }
    };
    timeout(Duration::from_secs(20), ended).await.expect("the session ends");
}

#[tokio::test]
async fn promise_12_a_standby_that_cannot_listen_is_told() {
    let server = Postgres::own();
    let mut shop = Shop::at(server.database(), VALUES).await;
    let folder: String =
        sqlx::query_scalar("show data_directory").fetch_one(&mut shop.admin).await.expect("a folder");
    shop.run("checkpoint").await;
    server.crash();
    std::fs::write(format!("{folder}/standby.signal"), "").expect("a file in the server's folder");
    server.recover();
    let source = source_at(&shop.url, table("v"));
    let said = super::message(source.check_listening("c").await);
    assert!(said.contains("the source is a standby") && said.contains("primary"), "{said}");
    let said = lost(&mut source.listen("c")).await;
    assert!(said.contains("the source is a standby"), "{said}");
}
