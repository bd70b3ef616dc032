//! An attribute counts as deleted only if two lists in a row lack it.

use attrsync::config::PushConfig;
use attrsync::record::RunStatus;
use attrsync::testing::memory_ledger::MemoryStore;
use tokio::sync::watch;

use super::store::{OddStore, sync};
use crate::ledger::postgres::store;

#[tokio::test]
async fn promise_6_one_list_that_lacks_an_attribute_makes_no_value_invalid() {
    for (lists, status, unchanged) in [(1, RunStatus::Succeeded, 2), (2, RunStatus::Partial, 0)] {
        let ledger = MemoryStore::new().lock(&store()).expect("the lock is free");
        let odd = OddStore::new();
        let (_ask, stop) = watch::channel(false);
        let config = PushConfig::default();
        let first = sync(&ledger, &odd, &["gold", "silver"], &config, stop.clone()).await.expect("ends");
        assert_eq!(first.counts.confirmed, 2);
        odd.lacking.lock().expect("no panic").extend(std::iter::repeat_n(1, lists));
        let second = sync(&ledger, &odd, &["gold", "silver"], &config, stop).await.expect("ends");
        assert_eq!((second.status, second.counts.unchanged), (status, unchanged), "{lists} lists");
        assert_eq!(second.counts.invalid, 2 - unchanged);
    }
}
