//! Scans: the entries are read page by page.

use attrsync::ledger::LedgerReader;
use attrsync::ledger::audit::AuditLog;
use attrsync::record::{Belief, Change, ChangeOutcome, Filter, Key};

use super::backend::Backend;
use super::fixture::*;

/// Confirms many entries, in plans of a few thousand changes.
async fn fill(scene: &Scene<'_>, keys: impl Iterator<Item = Key>) {
    let changes: Vec<Change> = keys.map(|key| change(key.customer_id, key.attribute_id, "v")).collect();
    for (seconds, page) in (0..).zip(changes.chunks(5_000)) {
        let run = scene.planned_run(seconds, page.to_vec()).await;
        let request = scene.intent(run, seconds, page).await;
        let confirmed = page.iter().map(|_| confirmed());
        scene.outcome(run, request, seconds, &outcomes(page, confirmed)).await;
        scene.close(run, seconds).await;
    }
}

pub(crate) async fn entries_come_in_key_order_across_pages(backend: &dyn Backend) {
    let scene = Scene::new(backend).await;
    // Each customer has seven values, so that pages end between the values of a customer.
    let keys: Vec<Key> = (0..50_000).map(|n| Key::new(n / 7 + 1, n % 7 + 1)).collect();
    fill(&scene, keys.iter().rev().copied()).await;
    let (rows, sizes) = scene.scan(&Filter::default()).await;
    assert!(rows.iter().map(|(key, ..)| key).eq(&keys), "each key once, in order");
    assert!(sizes.len() > 1 && sizes.iter().all(|size| (1..=10_000).contains(size)), "{sizes:?}");

    let even: Vec<i64> = (1..=6_000).filter(|id| id % 2 == 0).collect();
    // Most customers have one value and some have more, so that pages could end between the values of a customer too.
    let (one, some) = ([3].as_slice(), [1, 4, 7].as_slice());
    for (customers, attributes) in [(even.as_slice(), [].as_slice()), (&[], one), (&[], some), (&even, some)]
    {
        let filter = Filter {
            customers: customers.iter().copied().collect(),
            attributes: attributes.iter().copied().collect(),
        };
        let (rows, sizes) = scene.scan(&filter).await;
        let expected = keys.iter().filter(|key| {
            (customers.is_empty() || filter.customers.contains(&key.customer_id))
                && (attributes.is_empty() || attributes.contains(&key.attribute_id))
        });
        let found = rows.iter().map(|(key, ..)| key);
        assert!(found.eq(expected), "of {} customers, attributes {attributes:?}", customers.len());
        assert!(sizes.len() > 1, "{sizes:?}");
    }
}

pub(crate) async fn entries_are_filtered(backend: &dyn Backend) {
    let scene = Scene::new(backend).await;
    fill(&scene, (1..=4).flat_map(|customer| (1..=3).map(move |attribute| Key::new(customer, attribute))))
        .await;
    let check = async |customers: &[i64], attributes: &[i64], expected: &[(i64, i64)]| {
        let filter = Filter {
            customers: customers.iter().copied().collect(),
            attributes: attributes.iter().copied().collect(),
        };
        let (rows, _) = scene.scan(&filter).await;
        let keys: Vec<_> = rows.iter().map(|(key, ..)| (key.customer_id, key.attribute_id)).collect();
        assert_eq!(keys, expected);
    };
    check(&[4, 2], &[], &[(2, 1), (2, 2), (2, 3), (4, 1), (4, 2), (4, 3)]).await;
    check(&[], &[3], &[(1, 3), (2, 3), (3, 3), (4, 3)]).await;
    check(&[3, 1], &[2, 1], &[(1, 1), (1, 2), (3, 1), (3, 2)]).await;
    check(&[9], &[], &[]).await;
}

pub(crate) async fn an_empty_ledger_has_no_page(backend: &dyn Backend) {
    let scene = Scene::new(backend).await;
    let (rows, sizes) = scene.scan(&Filter::default()).await;
    assert!(rows.is_empty() && sizes.is_empty(), "a page is never empty");
}

/// Sends a value; its first request stays in doubt.
async fn send_in_doubt(scene: &Scene<'_>, seconds: i64, change: Change, verdict: attrsync::record::Verdict) {
    let run = scene.planned_run(seconds, vec![change.clone()]).await;
    let request = scene.intent(run, seconds, std::slice::from_ref(&change)).await;
    let in_doubt_until = Some(at(seconds + 60));
    scene
        .outcome(run, request, seconds + 1, &[ChangeOutcome { key: change.key, verdict, in_doubt_until }])
        .await;
    scene.close(run, seconds + 2).await;
}

pub(crate) async fn a_scan_returns_every_column_that_the_diff_needs(backend: &dyn Backend) {
    let scene = Scene::new(backend).await;
    scene.send(0, change(1, 1, "a "), altered("a")).await;
    scene.send(3, change(2, 1, "b"), rejected()).await;
    scene.send(6, Change { value_id: Some(9), ..change(3, 1, "") }, unknown(Some("ß"))).await;
    send_in_doubt(&scene, 9, change(4, 1, "d"), confirmed()).await;
    send_in_doubt(&scene, 12, change(5, 1, "e"), rejected()).await;
    scene.send(15, change(6, 1, "f"), confirmed()).await;
    scene.send(18, delete(6, 1, None), absent()).await;
    scene.send(21, change(7, 1, "g"), confirmed()).await;
    send_in_doubt(&scene, 24, delete(7, 1, Some(70)), unknown(Some("g"))).await;
    let (rows, _) = scene.scan(&Filter::default()).await;
    let rows: Vec<_> =
        rows.iter().map(|(_, value, belief, in_doubt)| (value.as_deref(), *belief, *in_doubt)).collect();
    let expected = [
        (Some("a "), Belief::Confirmed, false),
        (Some("b"), Belief::Rejected, false),
        (Some(""), Belief::Unconfirmed, false),
        (Some("d"), Belief::Confirmed, true),
        (Some("e"), Belief::Rejected, true),
        (None, Belief::Absent, false),
        (None, Belief::Unconfirmed, true),
    ];
    assert_eq!(rows, expected);

    let mut pages = scene.ledger.entries(&Filter::default()).await.expect("scans");
    let page = pages.next().await.expect("reads").expect("a page");
    assert_eq!(page.row(0).stored_value, Some("a"));
    let unknown = page.row(2);
    assert_eq!((unknown.observed_value, unknown.value_id), (Some("ß"), Some(9)));
    assert_eq!((page.row(3).in_doubt_until, page.row(4).in_doubt_until), (Some(at(69)), Some(at(72))));
    let deleted = page.row(6);
    assert_eq!(
        (deleted.stored_value, deleted.observed_value, deleted.value_id),
        (Some("g"), Some("g"), Some(70))
    );
    assert!(pages.next().await.expect("reads").is_none());
    drop((page, pages));

    scene.send(30, change(4, 1, "e"), confirmed()).await;
    assert_eq!(scene.entry(Key::new(4, 1)).await.in_doubt_until, None);
}

/// Returns every row of a scan with all its columns, as text.
async fn rows(scan: &dyn LedgerReader, filter: &Filter) -> Vec<String> {
    let mut pages = scan.entries(filter).await.expect("scans");
    let mut rows = Vec::new();
    while let Some(page) = pages.next().await.expect("a page") {
        rows.extend((0..page.len()).map(|index| format!("{:?}", page.row(index))));
    }
    rows
}

pub(crate) async fn the_audit_reads_the_same_entries(backend: &dyn Backend) {
    let scene = Scene::new(backend).await;
    scene.send(0, Change { value_id: Some(9), ..change(1, 1, "a ") }, altered("a")).await;
    scene.send(3, change(1, 2, ""), rejected()).await;
    scene.send(6, change(2, 1, "ß"), unknown(Some("SS"))).await;
    send_in_doubt(&scene, 9, change(3, 1, "d"), confirmed()).await;
    scene.send(12, change(4, 1, "e"), confirmed()).await;
    scene.send(15, delete(4, 1, None), absent()).await;
    let Some(config) = backend.config() else { return };

    // The ledger stays open and locked, as during a run.
    let audit = AuditLog::open(&config).await.expect("opens").expect("is there");
    let store_id = audit.store_id(&store()).await.expect("reads").expect("is known");
    let entries = audit.entries_of(store_id);
    let some = Filter { customers: [1, 3].into(), attributes: [1].into() };
    for (filter, count) in [(Filter::default(), 5), (some, 2)] {
        let expected = rows(&*scene.ledger, &filter).await;
        assert_eq!(expected.len(), count);
        assert_eq!(rows(&entries, &filter).await, expected);
    }
    assert!(rows(&audit.entries_of(store_id + 1), &Filter::default()).await.is_empty(), "another store's");
}
