//! The store's rate quota: never overdrawn by a run that is alone, and never a place to get stuck.

use attrsync::sandbox::QuotaRule;

use super::world::{Books, World};

fn windows(world: &World, requests: u32) {
    world.store().options.quota = QuotaRule { requests, window_ms: 1_500, ..QuotaRule::default() };
}

#[test]
fn promise_2_a_store_that_tells_its_quota_never_has_to_refuse() {
    let world = World::with_customers(Books::File, 400);
    windows(&world, 20);
    let said = world.sync().exits(0).balances();
    assert_eq!((said.count("confirmed"), world.writes().len()), (400, 40));
    assert_eq!(world.store().tally().limited, 0);
}

#[test]
fn promise_5_asking_for_deleted_customers_at_the_end_of_a_quota_does_not_stall_the_run() {
    let world = World::new(Books::File);
    world.execute("insert into customer_attribute_values select c, a, 'x' from generate_series(1, 60) c, generate_series(1, 3) a");
    for customer in [5, 15, 25, 35, 45, 55] {
        world.store().delete_customer(customer);
    }
    windows(&world, 12);
    world.configure("max_duration = \"60s\"");
    let said = world.sync().exits(3).balances();
    assert_eq!((said.count("confirmed"), said.count("rejected"), said.count("deferred")), (162, 18, 0));
}

#[test]
fn promise_5_a_pause_that_is_over_at_once_is_not_slept_through() {
    for _ in 0..5 {
        let world = World::with_customers(Books::File, 1);
        world.configure("workers = 1\nmax_duration = \"60s\"");
        world.store().script.push_back("429-bare".parse().expect("a fault"));
        assert_eq!(world.sync().exits(0).count("confirmed"), 1);
    }
}
