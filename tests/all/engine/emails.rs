//! Customers by e-mail address: what is looked up and when, and what becomes of rows without a customer.

use std::collections::BTreeSet;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use attrsync::config::{MissingConfig, PushConfig};
use attrsync::engine::{self, EngineError, Forecast, ForecastPorts, Options, Ports, Report};
use attrsync::ledger::LedgerReader;
use attrsync::record::{EmailCustomer, EmailHash, EmailState, Key, OnMissing, RunStatus, StoreName};
use attrsync::sandbox::{Fault, Model, QuotaRule, SandboxOptions};
use attrsync::testing::memory_ledger::MemoryStore;
use attrsync::testing::memory_source::{AddressRow, MemorySource};
use attrsync::testing::sandbox_destination::SandboxDestination;
use attrsync::waits::Waits;
use tokio::sync::watch;

use super::live::LaterClock;

/// A store, a table by e-mail address, and a ledger.
struct Shop {
    model: Arc<Mutex<Model>>,
    source: MemorySource,
    ledger: MemoryStore,
    name: StoreName,
    push: PushConfig,
    options: Options,
    clock: LaterClock,
}

fn address(customer: i64) -> String {
    format!("customer{customer}@example.com")
}

fn row(address: &str, value: &str) -> AddressRow {
    (Some(address.to_owned()), Some(1), Some(value.to_owned()))
}

impl Shop {
    /// A store of 1,000 customers, and rows for the first of them.
    fn new(rows: i64) -> Self {
        let options = SandboxOptions {
            customers: 1_000,
            latency: Duration::from_millis(1),
            quota: QuotaRule { requests: 1_000_000, ..QuotaRule::default() },
            ..SandboxOptions::default()
        };
        let rows = (1..=rows).map(|id| row(&format!(" {} ", address(id).to_uppercase()), "gold"));
        let missing = MissingConfig { action: OnMissing::Delete, ..MissingConfig::default() };
        Self {
            model: Arc::new(Mutex::new(Model::new(options))),
            source: MemorySource::by_email(rows.collect()),
            ledger: MemoryStore::new(),
            name: StoreName::new("https://sandbox", "sandbox"),
            push: PushConfig { backoff: Duration::from_millis(10), ..PushConfig::default() },
            options: Options { missing, ..Options::default() },
            clock: LaterClock::default(),
        }
    }

    fn model(&self) -> MutexGuard<'_, Model> {
        self.model.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn try_sync(&self, options: &Options) -> Result<Report, EngineError> {
        let ledger = self.ledger.lock(&self.name).expect("its lock is free");
        let destination = SandboxDestination::new(self.model.clone(), self.push.request_timeout, 0.2);
        let ports = Ports {
            source: &self.source,
            ledger: &ledger,
            destination: &destination,
            clock: &self.clock,
            progress: &|_| {},
            waits: &Waits::default(),
        };
        let (_ask, stop) = watch::channel(false);
        engine::sync(ports, &self.push, options, stop).await
    }

    async fn sync(&self) -> Report {
        self.model().reset_log();
        self.try_sync(&self.options).await.expect("a sync")
    }

    async fn plan(&self) -> Forecast {
        self.model().reset_log();
        let ledger = self.ledger.lock(&self.name).expect("its lock is free");
        let destination = SandboxDestination::new(self.model.clone(), self.push.request_timeout, 0.2);
        let ports = ForecastPorts {
            source: &self.source,
            entries: Some(&ledger as &dyn LedgerReader),
            destination: &destination,
            clock: &self.clock,
            progress: &|_| {},
            waits: &Waits::default(),
        };
        engine::plan(ports, &self.push, &self.options, 20, None).await.expect("a plan")
    }

    /// How often the store was asked for customers.
    fn look_ups(&self) -> usize {
        self.model().requests().filter(|request| request.path.ends_with("/customers")).count()
    }

    fn value(&self, customer: i64) -> Option<String> {
        self.model().value(Key::new(customer, 1)).map(str::to_owned)
    }

    async fn known(&self, address: &str) -> Option<EmailCustomer> {
        use attrsync::ledger::EmailReader as _;
        let ledger = self.ledger.lock(&self.name).expect("its lock is free");
        let known = ledger.emails_after("", usize::MAX).await.expect("reads");
        known.into_iter().find(|known| known.hash == EmailHash::of(address))
    }

    fn pass(&self, hours: i64) {
        self.clock.0.fetch_add(hours * 3_600, Ordering::SeqCst);
    }

    /// The reasons of the invalid rows of the last run.
    fn reasons(&self) -> BTreeSet<String> {
        let run = self.ledger.runs(&self.name).pop().expect("a run");
        self.ledger.invalid_rows(run.id).into_iter().map(|row| row.reason).collect()
    }
}

#[tokio::test(start_paused = true)]
async fn promise_1_the_second_night_looks_nothing_up() {
    let shop = Shop::new(1_000);
    let report = shop.sync().await;
    assert_eq!((report.counts.confirmed, report.counts.invalid), (1_000, 0), "{report:?}");
    assert_eq!(shop.look_ups(), 25, "40 addresses a request");
    assert_eq!(shop.value(7).as_deref(), Some("gold"));
    shop.pass(24);
    let report = shop.sync().await;
    assert_eq!((report.counts.unchanged, report.counts.requests, shop.look_ups()), (1_000, 0, 0));
    assert!(!report.by_digest, "the day is over");
    shop.pass(1);
    assert!(shop.sync().await.by_digest);
    // The rest is spread over the nights of two weeks, so that no night looks all up.
    let mut nights = Vec::new();
    for _ in 0..32 {
        shop.pass(24);
        assert_eq!(shop.sync().await.counts.planned, 0);
        nights.push(shop.look_ups());
    }
    assert!(nights[..12].iter().all(|count| *count == 0), "{nights:?}");
    assert!(nights.iter().all(|count| *count <= 5), "{nights:?}");
    let sum: usize = nights.iter().sum();
    assert!((30..80).contains(&sum), "each once, some twice: {nights:?}");
}

#[tokio::test(start_paused = true)]
async fn an_address_without_a_customer_deletes_nothing_and_is_looked_up_every_night() {
    let shop = Shop::new(100);
    shop.sync().await;
    // Customer 3 changes the address; the row of customer 4 leaves; and a stranger and nonsense come in.
    shop.model().set_email(3, "new@example.com");
    let mut rows: Vec<AddressRow> =
        (1..=100).filter(|id| *id != 4).map(|id| row(&address(id), "gold")).collect();
    rows.extend([row("stranger@example.com", "x"), row("a,b@example.com", "x"), row("no address", "x")]);
    shop.source.replace_addresses(rows);
    let report = shop.sync().await;
    assert_eq!((shop.look_ups(), report.counts.invalid, report.counts.deletes), (1, 3, 1), "{report:?}");
    assert_eq!((shop.value(3).as_deref(), shop.value(4)), (Some("gold"), None), "the other is deleted");
    let reasons = shop.reasons();
    assert_eq!(reasons.len(), 3, "{reasons:?}");
    let digits = &EmailHash::of("stranger@example.com").to_string()[..15];
    let reason =
        format!("no customer of the store has its e-mail address, whose SHA-256 begins with {digits}");
    assert!(reasons.contains(&reason), "{reasons:?}");
    assert!(reasons.iter().all(|reason| !reason.contains('@')), "{reasons:?}");

    // The stale address is due some night, and then it has no customer any more.
    for _ in 0..31 {
        shop.pass(24);
        let report = shop.sync().await;
        assert_eq!((report.counts.deletes, report.counts.orphans), (0, 0), "{report:?}");
        assert!((1..=4).contains(&shop.look_ups()), "the unknown one, and those that are due");
    }
    let known = shop.known(&address(3)).await.expect("known");
    assert_eq!((known.state, known.customer_id), (EmailState::Unknown, Some(3)), "whose it was");
    assert_eq!(
        shop.value(3).as_deref(),
        Some("gold"),
        "promise 14: a row that has no customer did not leave"
    );

    // The source follows.
    let mut rows: Vec<AddressRow> = (1..=100).map(|id| row(&address(id), "gold")).collect();
    rows[2] = row("NEW@example.com", "platinum");
    rows.push(row(&address(3), "stale"));
    shop.source.replace_addresses(rows);
    let report = shop.sync().await;
    assert_eq!(shop.value(3).as_deref(), Some("platinum"), "{report:?}");
    assert_eq!(report.counts.invalid, 1, "the row of the address that the customer had");
}

#[tokio::test(start_paused = true)]
async fn two_customers_with_one_address_are_ambiguous() {
    let shop = Shop::new(10);
    shop.model().set_email(5, "Shared@example.com");
    shop.model().set_email(6, "shared@example.com");
    let mut rows: Vec<AddressRow> = (1..=4).map(|id| row(&address(id), "gold")).collect();
    rows.push(row("shared@example.com", "x"));
    shop.source.replace_addresses(rows.clone());
    let report = shop.sync().await;
    assert_eq!((report.counts.confirmed, report.counts.invalid), (4, 1));
    assert!(
        shop.reasons().iter().all(|reason| reason.starts_with("several customers")),
        "{:?}",
        shop.reasons()
    );
    // Any customer may be the one: nothing is deleted meanwhile.
    rows.remove(0);
    shop.source.replace_addresses(rows);
    let report = shop.sync().await;
    assert_eq!((report.counts.deletes, shop.value(1).as_deref()), (0, Some("gold")));
    assert!(!report.warnings.is_empty(), "it is said");
    shop.model().set_email(6, "other@example.com");
    shop.pass(24);
    let report = shop.sync().await;
    assert_eq!((shop.value(5).as_deref(), shop.value(1), report.counts.invalid), (Some("x"), None, 0));
}

#[tokio::test(start_paused = true)]
async fn an_address_of_another_customer_now_is_sent_to_that_one() {
    let shop = Shop::new(10);
    shop.sync().await;
    shop.model().delete_customer(7);
    shop.model().set_email(700, &address(7));
    shop.source.replace_addresses((1..=10).map(|id| row(&address(id), "silver")).collect());
    let report = shop.sync().await;
    assert_eq!(report.counts.rejected, 1, "the store has customer 7 no more: {report:?}");
    shop.pass(2);
    shop.source.replace_addresses((1..=10).map(|id| row(&address(id), "bronze")).collect());
    let report = shop.sync().await;
    assert_eq!(shop.look_ups(), 2, "the check of the deleted customer, and the address");
    assert_eq!((shop.value(700).as_deref(), report.counts.rejected), (Some("bronze"), 0), "{report:?}");
    let known = shop.known(&address(7)).await.expect("known");
    assert_eq!((known.state, known.customer_id), (EmailState::Found, Some(700)));
}

#[tokio::test(start_paused = true)]
async fn two_addresses_of_one_customer_are_both_invalid_until_one_is_stale() {
    let shop = Shop::new(3);
    shop.sync().await;
    // The ledger knows the old address of customer 2, and the source has both.
    shop.model().set_email(2, "two@example.com");
    let mut rows: Vec<AddressRow> = (1..=3).map(|id| row(&address(id), "silver")).collect();
    rows.push(row("two@example.com", "two"));
    shop.source.replace_addresses(rows);
    let report = shop.sync().await;
    assert_eq!((shop.value(2).as_deref(), report.counts.invalid), (Some("two"), 1), "{report:?}");
    let stale = shop.known(&address(2)).await.expect("known");
    assert_eq!((stale.state, stale.customer_id), (EmailState::Unknown, None));
}

#[tokio::test(start_paused = true)]
async fn reads_are_patient_and_what_was_looked_up_is_kept() {
    let mut shop = Shop::new(1_000);
    shop.model().read_script.extend([Fault::None, Fault::Status(503), Fault::Html, Fault::Limited]);
    assert_eq!(shop.sync().await.counts.confirmed, 1_000);

    let shop_2 = Shop::new(1_000);
    shop = Shop {
        push: PushConfig { max_attempts: 1, give_up_after: Duration::ZERO, workers: 1, ..shop.push.clone() },
        ..shop_2
    };
    shop.model().read_script.extend([Fault::None; 16]);
    shop.model().read_script.push_back(Fault::Status(503));
    let error = shop.try_sync(&shop.options).await.expect_err("the store cannot be read");
    assert!(error.to_string().contains("customers by e-mail address"), "{error}");
    assert_eq!(shop.ledger.runs(&shop.name)[0].status, RunStatus::Failed);
    assert!(shop.ledger.entries(&shop.name).is_empty(), "nothing was sent");
    shop.sync().await;
    assert_eq!(shop.look_ups(), 15, "ten requests are kept, and those after them are made again");
}

#[tokio::test(start_paused = true)]
async fn an_address_that_the_store_refuses_spoils_no_other() {
    let shop = Shop::new(100);
    shop.model().options.rules.refused_email = Some("customer33@example.com".to_owned());
    let report = shop.sync().await;
    assert_eq!((report.counts.confirmed, report.counts.invalid), (99, 1), "{report:?}");
    assert!(shop.look_ups() <= 3 + 12, "it is found by halving: {}", shop.look_ups());
    let known = shop.known(&address(33)).await.expect("known");
    assert_eq!((known.state, known.customer_id), (EmailState::Malformed, None));
}

#[tokio::test(start_paused = true)]
async fn a_plan_looks_up_and_keeps_nothing() {
    let shop = Shop::new(100);
    let forecast = shop.plan().await;
    assert_eq!((forecast.counts.planned, forecast.counts.invalid, shop.look_ups()), (100, 0, 3));
    assert_eq!(shop.plan().await.counts.planned, 100);
    assert_eq!((shop.look_ups(), shop.known(&address(1)).await), (3, None));
    shop.sync().await;
    assert_eq!((shop.plan().await.counts.unchanged, shop.look_ups()), (100, 0));
}

#[tokio::test(start_paused = true)]
async fn a_run_for_some_customers_reads_their_rows_and_no_other() {
    let shop = Shop::new(100);
    let named = |ids: &[i64], addresses: &[&str]| {
        let mut options = shop.options.clone();
        options.filter.customers = ids.iter().copied().collect();
        options.emails = addresses.iter().map(|address| EmailHash::of(address)).collect();
        options
    };
    let first = shop.try_sync(&named(&[], &["Customer5@example.com"])).await.expect("a sync");
    assert_eq!((first.counts.source_rows, first.counts.confirmed, shop.look_ups()), (1, 1, 1));
    assert_eq!(shop.value(5).as_deref(), Some("gold"));
    let error = shop.try_sync(&named(&[6], &[])).await.expect_err("no address is known");
    assert!(error.to_string().contains("no e-mail address of customer 6"), "{error}");
    assert_eq!(shop.ledger.runs(&shop.name).len(), 1, "a wrong name is no failure of the sync");
    let error = shop.try_sync(&named(&[], &["none@example.com"])).await.expect_err("no row");
    assert!(error.to_string().contains("neither the source nor the ledger"), "{error}");
    shop.sync().await;

    // Rows of others are neither changed nor taken for rows that have left.
    shop.source.replace_addresses((5..=100).map(|id| row(&address(id), "silver")).collect());
    let report = shop.try_sync(&named(&[4, 7], &["customer8@example.com"])).await.expect("a sync");
    assert_eq!((report.counts.source_rows, report.counts.deletes, report.counts.planned), (2, 1, 3));
    assert_eq!((shop.value(4), shop.value(8).as_deref()), (None, Some("silver")));
    assert_eq!((shop.value(1).as_deref(), shop.value(9).as_deref()), (Some("gold"), Some("gold")));

    // A source of ids takes no address.
    let ids =
        Shop { source: MemorySource::new(vec![(Some(1), Some(1), Some("x".to_owned()))]), ..Shop::new(0) };
    let error = ids.try_sync(&named(&[], &["customer5@example.com"])).await.expect_err("no addresses");
    assert!(error.to_string().contains("names customers by their ids"), "{error}");
}
