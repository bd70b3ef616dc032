//! Promise 6 with many values: what it costs to find bad values in a store that does not name them.

use std::collections::{BTreeMap, BTreeSet};

use attrsync::record::Key;
use attrsync::sandbox::{AttributeSpec, Blame};

use super::world::{LedgerKind, World};

/// Bad values: one in a hundred of 2,000.
const BAD: usize = 20;

/// The requests that a store with 2,000 values, `BAD` of them bad, needs.
struct Costs {
    /// Write requests of the run.
    used: usize,
    /// Requests if no value were bad.
    clean: usize,
    /// The least that any method needs with these batches, if the first response to each says only yes or no.
    least: f64,
    /// The requests of plain bisection, which sends every part of a refused batch, down to single values.
    bisection: usize,
}

/// Syncs `customers` × `attributes` values, `BAD` of them bad, drawn from a fixed seed. All good ones land in one run,
/// and the next run sends nothing.
fn costs(customers: i64, attributes: i64, seed: u64) -> Costs {
    let world = World::new(LedgerKind::File);
    {
        let mut store = world.store();
        store.options.rules.blame = Blame::FieldOnly;
        (1001..=customers).for_each(|id| store.add_customer(id));
        (11..11 + attributes)
            .for_each(|id| store.add_attribute(AttributeSpec::new(id, &format!("a{id}"), "string")));
    }
    world.use_long_timeout();
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
    let stored: BTreeSet<Key> = world.store().values().map(|(key, _)| key).collect();
    assert_eq!(stored.len(), good);
    assert!(bad.iter().all(|at| !stored.contains(&key(at))));
    let used = world.writes().len();
    assert_eq!(said.count("requests"), used as i64);
    let next = world.sync().exits(3);
    assert_eq!((next.count("planned"), next.count("still_rejected")), (0, BAD as i64));
    assert_eq!(world.writes().len(), used, "the next run sends nothing");

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

/// The requests of plain bisection after this part was refused.
fn parts_sent(part: &[bool]) -> usize {
    if part.len() == 1 || !part.contains(&true) {
        return 0;
    }
    let (left, right) = part.split_at(part.len() / 2);
    2 + parts_sent(left) + parts_sent(right)
}

#[test]
fn promise_6_of_two_thousand_values_every_good_one_lands_in_the_same_run() {
    // The last figure was measured. A rejection that was only inferred costs one request more, which confirms it.
    for (customers, attributes, measured) in [(2_000, 1, 292), (400, 5, 172)] {
        let Costs { used, clean, least, bisection } = costs(customers, attributes, 20_260_101);
        let figures = format!(
            "{used} requests; {clean} without bad values, least {least:.1}, plain bisection {bisection}"
        );
        assert!(used <= measured, "more than {measured} requests: {figures}");
        assert!(used as f64 >= least, "fewer than possible: {figures}");
        assert!(
            (used - clean) * 4 < (bisection - clean) * 3,
            "not much better than plain bisection: {figures}"
        );
    }
}

/// The requests that one bad value among `n` may cost.
fn promised(n: usize) -> usize {
    (n as f64).log2().ceil() as usize + 2
}

#[test]
fn promise_6_only_the_bad_values_of_a_batch_are_rejected_whatever_the_store_names() {
    for blame in [Blame::Index, Blame::FieldOnly, Blame::WrongIndex] {
        for (report_all, apply_before_bad) in [(false, false), (true, false), (false, true)] {
            let case = format!("{blame:?}, all named: {report_all}, applied before: {apply_before_bad}");
            let world = World::with_customers(LedgerKind::File, 30);
            {
                let rules = &mut world.store().options.rules;
                (rules.blame, rules.report_all, rules.apply_before_bad) =
                    (blame, report_all, apply_before_bad);
            }
            world.use_long_timeout();
            world.change("bad !reject", "1, 13, 14, 17, 30");
            let said = world.sync().exits(3).balances();
            assert_eq!((said.count("confirmed"), said.count("rejected")), (25, 5), "{case}");
            world.assert_landed(25, "first");
            let requests = world.writes().len();
            assert!(requests <= 3 + 5 * promised(10), "{requests} requests, {case}");
            let rejected =
                "select customer_id as id, reason from entries where belief = 'rejected' order by 1";
            let rejected = world.ask(rejected);
            let ids: Vec<_> = rejected.iter().filter_map(|row| row["id"].as_i64()).collect();
            assert_eq!(ids, [1, 13, 14, 17, 30], "{case}");
            let is_explained = |reason: &str| reason.contains("not allowed here");
            assert!(rejected.iter().all(|row| row["reason"].as_str().is_some_and(is_explained)), "{case}");
        }
    }
}
