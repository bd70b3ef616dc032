//! What a blocked run leaves behind, and what it is compared with.

use attrsync::config::GuardConfig;
use attrsync::engine::Options;
use attrsync::record::{Filter, Outcome, RunStatus, Trigger};

use super::shop::{Customer, Shop, rows_of};

async fn synced(size: usize) -> Shop {
    let shop = Shop::open(size, 3).await;
    assert_eq!(shop.night(rows_of(&shop.customers)).await.status, RunStatus::Succeeded);
    shop.written();
    shop
}

fn with_tier(shop: &Shop, tier: &'static str) -> Vec<Customer> {
    shop.customers.iter().map(|one| Customer { tier, ..one.clone() }).collect()
}

#[tokio::test(start_paused = true)]
async fn a_blocked_run_keeps_its_plan_until_a_later_whole_plan() {
    let shop = synced(300).await;
    let bad = rows_of(&with_tier(&shop, "none"));
    let planned = |run_id| {
        let changes = shop.store.changes(run_id);
        assert!(changes.iter().all(|change| change.outcome == Outcome::Planned));
        changes.len()
    };
    let blocked = shop.night(bad.clone()).await;
    assert_eq!((blocked.status, planned(blocked.run_id)), (RunStatus::Blocked, 300));

    let filter = Filter { customers: [1].into(), ..Filter::default() };
    let options = Options { filter, trigger: Trigger::Change, ..Options::default() };
    let of_one = shop.sync(rows_of(&shop.customers), options).await;
    assert_eq!((of_one.status, planned(blocked.run_id)), (RunStatus::Succeeded, 300));

    let again = shop.night(bad).await;
    assert_eq!(again.status, RunStatus::Blocked);
    assert_eq!(
        (planned(blocked.run_id), planned(again.run_id)),
        (300, 300),
        "the newer plan is complete only now"
    );

    let good = shop.night(rows_of(&shop.customers)).await;
    assert_eq!((good.status, planned(blocked.run_id), planned(again.run_id)), (RunStatus::Succeeded, 0, 300));
    shop.night(rows_of(&shop.customers)).await;
    assert_eq!(planned(again.run_id), 0);
}

#[tokio::test(start_paused = true)]
async fn a_full_sync_sends_every_value_and_is_not_stopped() {
    let shop = synced(300).await;
    let full = || Options { full: true, ..Options::default() };
    let report = shop.sync(rows_of(&shop.customers), full()).await;
    assert_eq!((report.status, report.counts.confirmed), (RunStatus::Succeeded, report.counts.planned));
    assert!(report.counts.planned > 1_500);
    let report = shop.sync(rows_of(&with_tier(&shop, "none")), full()).await;
    assert_eq!(report.status, RunStatus::Blocked, "values that change are updates also in a full sync");
}

#[tokio::test(start_paused = true)]
async fn a_first_sync_after_a_trial_with_one_customer_is_not_stopped() {
    let shop = Shop::open(2_000, 3).await;
    let filter = Filter { customers: [1, 2].into(), ..Filter::default() };
    let rows = rows_of(&shop.customers);
    let trial = shop.sync(rows.clone(), Options { filter, ..Options::default() }).await;
    assert_eq!((trial.status, shop.written().len()), (RunStatus::Succeeded, 2));
    assert_eq!(shop.night(rows).await.status, RunStatus::Succeeded);
}

#[tokio::test(start_paused = true)]
async fn a_run_on_change_is_compared_with_the_whole_store() {
    let shop = synced(2_000).await;
    let customers = || shop.customers.iter().take(500).map(|one| one.id).collect();
    let options = || Options {
        filter: Filter { customers: customers(), ..Filter::default() },
        trigger: Trigger::Change,
        ..Options::default()
    };
    let report = shop.sync(rows_of(&with_tier(&shop, "none")), options()).await;
    assert_eq!((report.status, shop.written().len()), (RunStatus::Succeeded, 500), "500 of 12,000 values");
    let emptied: Vec<Customer> = shop
        .customers
        .iter()
        .map(|one| Customer { tier: "", company: String::new(), ..one.clone() })
        .collect();
    let report = shop.sync(rows_of(&emptied), options()).await;
    assert_eq!((report.status, shop.written().len()), (RunStatus::Blocked, 0));
}

#[tokio::test(start_paused = true)]
async fn an_emptied_table_is_stopped_again_until_it_is_filled() {
    let shop = synced(300).await;
    for _ in 0..3 {
        assert_eq!(shop.night(Vec::new()).await.status, RunStatus::Blocked);
    }
    let report = shop.night(rows_of(&shop.customers)).await;
    assert_eq!((report.status, report.counts.planned), (RunStatus::Succeeded, 0));
}

#[tokio::test(start_paused = true)]
async fn the_proposed_setting_lets_a_night_through() {
    let shop = synced(300).await;
    let rows = rows_of(&with_tier(&shop, "none"));
    let report = shop.night(rows.clone()).await;
    let hint = report.hint.expect("a hint");
    assert!(hint.contains(&format!("attrsync apply {}", report.run_id)), "{hint}");
    assert!(hint.contains("max_updates = \"100%\""), "{hint}");
    let guard =
        GuardConfig { max_updates: attrsync::config::Share::percent(100.0), ..GuardConfig::default() };
    assert_eq!(shop.night_by(rows, guard).await.status, RunStatus::Succeeded);
}
