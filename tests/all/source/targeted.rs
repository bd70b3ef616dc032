//! A run for some customers reads their rows only.

use std::time::Duration;

use attrsync::record::Filter;

use super::{Shop, VALUES, read, table};

#[tokio::test]
async fn a_thousand_customers_are_read_without_a_scan() {
    let mut shop = Shop::new(&format!(
        "{VALUES} insert into v select 1 + i / 3, i % 3, 'value' from generate_series(0, 299999) i; analyze v"
    ))
    .await;
    let source = shop.source(table("v"));
    for count in [1, 1_000] {
        let customers = (0..count).map(|n| 1 + n * 97).collect();
        let filter = Filter { customers, ..Filter::default() };
        assert_eq!(
            read(&source, &filter).await.expect("rows").len(),
            3 * usize::try_from(count).expect("few")
        );
    }
    // The session that has read reports what it did when it ends, some time after it was closed.
    let fetched =
        "select coalesce(sum(idx_tup_fetch), 0)::bigint from pg_stat_user_tables where relname = 'v'";
    let counted = async {
        while shop.count(fetched).await < 3_003 {
            shop.run("select pg_stat_clear_snapshot(), pg_sleep(0.01)").await;
        }
    };
    tokio::time::timeout(Duration::from_secs(60), counted).await.expect("the reads are counted");
    assert_eq!(shop.count("select seq_tup_read from pg_stat_user_tables where relname = 'v'").await, 0);
}
