//! Promise 6 at size: bad values spread at random, in a store that does not say which, and what finding them costs.

use std::collections::{BTreeMap, BTreeSet};

use attrsync::record::Key;
use attrsync::sandbox::{AttributeSpec, Blame};

use super::world::{Books, World};

/// Bad values: one in a hundred of 2,000.
const BAD: usize = 20;

/// What a store of 2,000 values makes of `BAD` bad ones among them.
struct Costs {
    /// Write calls of the run.
    used: usize,
    /// Calls if nothing were bad.
    clean: usize,
    /// The least that any method needs with batches filled so, given that the first answer of each says only yes or no.
    least: f64,
    /// What plain bisection needs: every part of a refused batch is sent, down to single values.
    bisection: usize,
}

/// `customers` × `attributes` values, `BAD` of them bad, drawn from a fixed seed. All good ones land in one run, and the
/// next makes no call.
fn costs(customers: i64, attributes: i64, seed: u64) -> Costs {
    let world = World::new(Books::File);
    {
        let mut store = world.store();
        store.options.rules.blame = Blame::FieldOnly;
        (1001..=customers).for_each(|id| store.add_customer(id));
        (11..11 + attributes)
            .for_each(|id| store.add_attribute(AttributeSpec::new(id, &format!("a{id}"), "string")));
    }
    world.be_patient();
    world.execute(&format!(
        "insert into customer_attribute_values select c, 10 + a, 'good' \
         from generate_series(1, {customers}) c, generate_series(1, {attributes}) a"
    ));
    let bad = drawn(customers * attributes, seed);
    let key = |at: &i64| Key::new(at / attributes + 1, at % attributes + 11);
    for Key { customer_id, attribute_id } in bad.iter().map(key) {
        world.execute(&format!(
            "update customer_attribute_values set value = 'bad !reject' \
             where customer_id = {customer_id} and attribute_id = {attribute_id}"
        ));
    }

    let said = world.sync().exits(3).balances();
    let good = (customers * attributes) as usize - BAD;
    assert_eq!((said.count("confirmed"), said.count("rejected")), (good as i64, BAD as i64));
    let held: BTreeSet<Key> = world.store().values().map(|(key, _)| key).collect();
    assert_eq!(held.len(), good);
    assert!(bad.iter().all(|at| !held.contains(&key(at))));
    let used = world.writes().len();
    assert_eq!(said.count("requests"), used as i64);
    let next = world.sync().exits(3);
    assert_eq!((next.count("planned"), next.count("still_rejected")), (0, BAD as i64));
    assert_eq!(world.writes().len(), used, "the next run makes no call");

    // Ten customers a batch, in key order.
    let size = (10 * attributes) as usize;
    let clean = (customers * attributes) as usize / size;
    let mut batches: BTreeMap<usize, Vec<bool>> = BTreeMap::new();
    for at in &bad {
        let (batch, place) = (*at as usize / size, *at as usize % size);
        batches.entry(batch).or_insert_with(|| vec![false; size])[place] = true;
    }
    let (mut least, mut bisection) = (clean as f64, clean);
    for batch in batches.values() {
        least += log2_binomial(size, batch.iter().filter(|is_bad| **is_bad).count());
        bisection += parts_sent(batch);
    }
    Costs { used, clean, least, bisection }
}

/// `BAD` different places of `count`, by a small generator that is the same on every machine.
fn drawn(count: i64, mut seed: u64) -> BTreeSet<i64> {
    let mut places = BTreeSet::new();
    while places.len() < BAD {
        seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        places.insert((seed >> 33) as i64 % count);
    }
    places
}

fn log2_binomial(n: usize, k: usize) -> f64 {
    (0..k).map(|i| ((n - i) as f64 / (i + 1) as f64).log2()).sum()
}

/// Calls that plain bisection makes after this part was refused.
fn parts_sent(part: &[bool]) -> usize {
    if part.len() == 1 || !part.contains(&true) {
        return 0;
    }
    let (left, right) = part.split_at(part.len() / 2);
    2 + parts_sent(left) + parts_sent(right)
}

#[test]
fn promise_6_of_two_thousand_values_every_good_one_lands_in_the_same_run() {
    // The figures stand in docs/reliability.md.
    for (customers, attributes, measured) in [(2_000, 1, 283), (400, 5, 165)] {
        let Costs { used, clean, least, bisection } = costs(customers, attributes, 20_260_101);
        let figures =
            format!("{used} calls; none bad {clean}, least {least:.1}, plain bisection {bisection}");
        assert!(used <= measured, "{measured} calls were enough once: {figures}");
        assert!(used as f64 >= least, "less than is possible: {figures}");
        assert!(
            (used - clean) * 4 < (bisection - clean) * 3,
            "not much better than plain bisection: {figures}"
        );
    }
}

/// What one bad value among `n` may cost.
fn promised(n: usize) -> usize {
    (n as f64).log2().ceil() as usize + 2
}

#[test]
fn promise_6_several_bad_values_in_a_batch_cost_no_more_each_whatever_the_store_names() {
    for blame in [Blame::Index, Blame::FieldOnly, Blame::WrongIndex] {
        for report_all in [false, true] {
            let world = World::with_customers(Books::File, 30);
            world.store().options.rules.blame = blame;
            world.store().options.rules.report_all = report_all;
            world.be_patient();
            world.change("bad !reject", "1, 13, 14, 17, 30");
            let said = world.sync().exits(3).balances();
            assert_eq!((said.count("confirmed"), said.count("rejected")), (25, 5), "{blame:?}");
            world.assert_landed(25, "first");
            let calls = world.writes().len();
            assert!(calls <= 3 + 5 * promised(10), "{calls} calls, {blame:?}, all named: {report_all}");
        }
    }
}

#[test]
fn promise_6_a_customer_who_is_gone_costs_three_values_and_a_question() {
    for blame in [Blame::Index, Blame::FieldOnly] {
        let world = World::new(Books::File);
        {
            let mut store = world.store();
            store.options.rules.blame = blame;
            (11..19).for_each(|id| store.add_attribute(AttributeSpec::new(id, &format!("a{id}"), "string")));
            store.delete_customer(5);
        }
        world.be_patient();
        world.execute(
            "insert into customer_attribute_values select c, 10 + a, 'good' \
             from generate_series(1, 20) c, generate_series(1, 8) a",
        );
        let said = world.sync().exits(3).balances();
        assert_eq!((said.count("confirmed"), said.count("rejected")), (19 * 8, 8));
        assert_eq!(world.store().values().count(), 19 * 8);
        let reasons = "select count(*) as n from entries where customer_id = 5 and reason like '%no customer 5 any more%'";
        assert_eq!(world.number(reasons), 5);
        let calls = world.writes().len();
        assert!(calls <= 2 + 3 * promised(80), "{calls} calls, {blame:?}");
    }
}
