use super::*;
use crate::destination::Body;
use crate::sandbox::{Fault, QuotaRule, SandboxOptions};

const TIMEOUT: Duration = Duration::from_secs(10);

fn rig(options: SandboxOptions) -> (Arc<Mutex<Model>>, SandboxDestination) {
    let model = Arc::new(Mutex::new(Model::new(options)));
    let destination = SandboxDestination::new(Arc::clone(&model), TIMEOUT, 0.2);
    (model, destination)
}

const ITEMS: [Item<'static>; 2] =
    [Item { key: Key::new(1, 1), value: "gold" }, Item { key: Key::new(2, 1), value: "tin" }];

#[tokio::test(start_paused = true)]
async fn every_fault_writes_and_responds_as_documented() {
    for (fault, stored, received) in [
        (Fault::None, 2, true),
        (Fault::Refused, 0, true),
        (Fault::Html, 0, true),
        (Fault::Limited, 0, true),
        (Fault::LimitedBare, 0, true),
        (Fault::Status(507), 0, true),
        (Fault::Lost, 2, true),
        (Fault::Skipped, 1, true),
        (Fault::Ignored, 1, true),
        (Fault::Dropped, 0, false),
        (Fault::Reset, 2, false),
        (Fault::Cut, 2, false),
        (Fault::Silent, 0, false),
        (Fault::Slow, 2, false),
        (Fault::Late, 0, false),
    ] {
        let (model, store) = rig(SandboxOptions::default());
        lock(&model).script.push_back(fault);
        let response = store.upsert(&ITEMS).await;
        assert_eq!(matches!(response, Response::Received(_)), received, "{fault}: {response:?}");
        assert_eq!(lock(&model).values().count(), stored, "{fault}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_late_request_is_applied_within_twice_the_time_out() {
    for seed in 0..50 {
        let (model, store) = rig(SandboxOptions { seed, ..SandboxOptions::default() });
        lock(&model).script.push_back(Fault::Late);
        assert!(matches!(store.upsert(&ITEMS).await, Response::Lost { .. }));
        assert_eq!(lock(&model).values().count(), 0);
        tokio::time::advance(TIMEOUT).await;
        tokio::task::yield_now().await;
        assert_eq!(lock(&model).values().count(), 2);
    }
}

#[tokio::test(start_paused = true)]
async fn distorted_echoes_do_not_change_what_is_stored() {
    for (fault, echoes) in [
        (Fault::Shuffled, 2),
        (Fault::Missing, 1),
        (Fault::Altered, 2),
        (Fault::Stale, 2),
        (Fault::NoIds, 2),
        (Fault::Doubled, 3),
        (Fault::Conflicting, 3),
        (Fault::Misaddressed, 2),
    ] {
        let (model, store) = rig(SandboxOptions::default());
        lock(&model).script.push_back(fault);
        let Response::Received(response) = store.upsert(&ITEMS).await else { panic!("{fault}: no response") };
        let Body::Echoes(rows) = response.body else { panic!("{fault}: no echoes") };
        assert_eq!((response.status, rows.len()), (200, echoes), "{fault}");
        let kept: Vec<_> = lock(&model).values().map(|(_, value)| value.to_owned()).collect();
        assert_eq!(kept, ["gold", "tin"], "{fault}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_client_that_closes_the_connection_frees_its_slot() {
    let (model, store) = rig(SandboxOptions::default());
    lock(&model).script.extend([Fault::Silent, Fault::Silent, Fault::Silent]);
    let silent = tokio::join!(store.upsert(&ITEMS), store.upsert(&ITEMS), store.upsert(&ITEMS));
    assert!(matches!(silent.0, Response::Lost { .. }));
    assert!(matches!(store.upsert(&ITEMS).await, Response::Received(response) if response.status == 200));
    assert_eq!(lock(&model).tally().max_in_flight, 3);
}

#[tokio::test(start_paused = true)]
async fn the_client_leaves_the_reserve_of_the_quota() {
    let quota = QuotaRule { requests: 10, ..QuotaRule::default() };
    let (model, store) = rig(SandboxOptions { quota, ..SandboxOptions::default() });
    let start = tokio::time::Instant::now();
    for _ in 0..20 {
        store.acquire_permit().await;
        store.upsert(&ITEMS).await;
    }
    assert_eq!(lock(&model).tally().limited, 0);
    // Eight of ten in a window: the twentieth is sent in the third window.
    assert_eq!(start.elapsed().as_secs(), 60);
}

#[tokio::test(start_paused = true)]
async fn reads_go_through_all_pages() {
    let options = SandboxOptions { customers: 1_000_000, ..SandboxOptions::default() };
    let (model, store) = rig(options);
    let keys: Vec<_> =
        (1..=300).flat_map(|customer| [Key::new(customer, 1), Key::new(customer, 2)]).collect();
    for &key in &keys {
        lock(&model).set_value(key, Some("x"));
    }
    assert_eq!(store.fetch(&keys[1..]).await.map(|rows| rows.len()), Ok(599));
    assert_eq!(store.attributes().await.map(|list| list.len()), Ok(3));
    lock(&model).delete_customer(5);
    assert_eq!(store.customers(&[4, 5, 1_000_000, 1_000_001]).await, Ok(vec![4, 1_000_000]));
    lock(&model).options.rules.revoked = true;
    assert!(store.attributes().await.is_err());
}
