//! The store's rate quota never stalls a run.

use attrsync::sandbox::QuotaRule;

use super::world::{LedgerKind, World};

#[test]
fn promise_5_an_existence_check_at_the_end_of_a_quota_does_not_stall_the_run() {
    let world = World::new(LedgerKind::File);
    world.execute("insert into customer_attribute_values select c, a, 'x' from generate_series(1, 60) c, generate_series(1, 3) a");
    for customer in [5, 15, 25, 35, 45, 55] {
        world.store().delete_customer(customer);
    }
    world.store().options.quota = QuotaRule { requests: 12, window_ms: 1_500, ..QuotaRule::default() };
    world.configure("max_duration = \"60s\"");
    let said = world.sync().exits(3).balances();
    assert_eq!((said.count("confirmed"), said.count("rejected"), said.count("deferred")), (162, 18, 0));
}

#[test]
fn promise_5_a_pause_without_length_does_not_stall_the_run() {
    for _ in 0..5 {
        let world = World::with_customers(LedgerKind::File, 1);
        world.configure("workers = 1\nmax_duration = \"60s\"");
        world.store().script.push_back("429-bare".parse().expect("a fault"));
        assert_eq!(world.sync().exits(0).count("confirmed"), 1);
    }
}
