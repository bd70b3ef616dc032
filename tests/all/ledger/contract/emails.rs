//! The customers of e-mail addresses.

use attrsync::ledger::LedgerError;
use attrsync::record::{EmailCustomer, EmailHash, EmailState};

use super::backend::Backend;
use super::fixture::*;

fn email(address: &str, customer_id: Option<i64>, state: EmailState, seconds: i64) -> EmailCustomer {
    EmailCustomer { hash: EmailHash::of(address), customer_id, state, resolved_at: at(seconds) }
}

fn found(address: &str, customer_id: i64, seconds: i64) -> EmailCustomer {
    email(address, Some(customer_id), EmailState::Found, seconds)
}

fn sorted(mut emails: Vec<EmailCustomer>) -> Vec<EmailCustomer> {
    emails.sort_by_key(|email| email.hash);
    emails
}

pub(crate) async fn addresses_are_kept_by_their_hashes(backend: &dyn Backend) {
    let scene = Scene::new(backend).await;
    let ledger = &scene.ledger;
    let run = scene.open_run(0).await;
    assert_eq!(ledger.emails_after("", 9).await.expect("reads"), []);
    let first = sorted(vec![
        found("a@example.com", 1, 1),
        found("b@example.com", 2, 1),
        email("c@example.com", None, EmailState::Unknown, 1),
        email("d@example.com", None, EmailState::Ambiguous, 1),
        email("e", None, EmailState::Malformed, 1),
    ]);
    ledger.keep_emails(run, &[]).await.expect("nothing");
    ledger.keep_emails(run, &first).await.expect("keeps");
    let after = async |after: &str, limit| ledger.emails_after(after, limit).await.expect("reads");
    assert_eq!(after("", 9).await, first);
    assert_eq!(after("", 2).await, first[..2]);
    let second = first[1].hash.to_string();
    assert_eq!(after(&second, 9).await, first[2..]);
    assert_eq!(after(&second[..15], 1).await, first[1..2], "some digits come before the hash");
    let of = async |customers: &[i64]| ledger.emails_of(customers).await.expect("reads");
    assert_eq!(of(&[2, 3]).await, [found("b@example.com", 2, 1)]);
    assert_eq!((of(&[]).await, of(&[3]).await), (vec![], vec![]));
    // What is looked up again takes the place of what was known.
    ledger.keep_emails(run, &[found("c@example.com", 3, 2)]).await.expect("keeps");
    assert_eq!(of(&[3]).await, [found("c@example.com", 3, 2)]);
    assert_eq!(after("", 9).await.len(), 5);
    drop(scene);

    let other = Scene::of(backend, &other_store()).await;
    assert_eq!(other.ledger.emails_after("", 9).await.expect("reads"), []);
    let other_run = other.open_run(3).await;
    other.ledger.keep_emails(other_run, &[found("a@example.com", 9, 3)]).await.expect("keeps");
    drop(other);
    let scene = Scene::new(backend).await;
    assert_eq!(scene.ledger.emails_of(&[1, 9]).await.expect("reads"), [found("a@example.com", 1, 1)]);
}

pub(crate) async fn a_customer_has_one_address(backend: &dyn Backend) {
    let scene = Scene::new(backend).await;
    let ledger = &scene.ledger;
    let run = scene.open_run(0).await;
    let keep = async |emails: &[EmailCustomer]| ledger.keep_emails(run, emails).await.expect("keeps");
    let all = async || ledger.emails_after("", 9).await.expect("reads");
    keep(&[found("old", 1, 1), found("b", 2, 1)]).await;
    // The address is not there any more: whose it was stays known.
    let unknown = email("old", None, EmailState::Unknown, 2);
    keep(std::slice::from_ref(&unknown)).await;
    let was = EmailCustomer { customer_id: Some(1), ..unknown.clone() };
    assert_eq!(all().await, sorted(vec![was, found("b", 2, 1)]));
    // The customer has another one now, which is looked up later.
    keep(&[found("new", 1, 3)]).await;
    assert_eq!(all().await, sorted(vec![unknown, found("b", 2, 1), found("new", 1, 3)]));
    // Both are looked up at once, and two customers exchange their addresses.
    keep(&[found("b", 1, 4), found("new", 2, 4), email("old", None, EmailState::Unknown, 4)]).await;
    let exchanged = vec![found("b", 1, 4), found("new", 2, 4), email("old", None, EmailState::Unknown, 4)];
    assert_eq!(all().await, sorted(exchanged));
    // A customer whose address another address takes over in the same call.
    keep(&[email("b", None, EmailState::Unknown, 5), found("third", 1, 5)]).await;
    let b =
        ledger.emails_after("", 9).await.expect("reads").into_iter().find(|b| b.hash == EmailHash::of("b"));
    assert_eq!(b.expect("the address"), email("b", None, EmailState::Unknown, 5));
}

pub(crate) async fn a_run_that_lost_its_lock_keeps_no_address(backend: &dyn Backend) {
    let scene = Scene::new(backend).await;
    let run = scene.open_run(0).await;
    let newer = scene.open_run(1).await;
    let kept = scene.ledger.keep_emails(run, &[found("a", 1, 1)]).await;
    assert!(matches!(kept, Err(LedgerError::LostLock { run_id }) if run_id == newer), "{kept:?}");
    assert_eq!(scene.ledger.emails_after("", 9).await.expect("reads"), []);
}
