//! The limits, each at its edge.

use super::*;
use crate::record::{Action, Belief, EntryRow, Key};

/// A plan over `stored` values of attribute 1, of which the first are changed by `change`.
struct Night {
    filter: Filter,
    counts: Counts,
    extents: Extents,
    last: Option<Counts>,
}

fn change(customer_id: i64, old: &str, new: &str) -> Change {
    Change {
        key: Key::new(customer_id, 1),
        action: Action::Update,
        value: Some(new.to_owned()),
        previous_value: Some(old.to_owned()),
        previous_in_doubt: false,
        source_value: None,
        value_id: None,
        in_doubt_until: None,
    }
}

impl Night {
    fn new(stored: i64) -> Self {
        let mut extents = Extents::default();
        (0..stored).for_each(|_| extents.add_stored(1));
        let counts = Counts { source_rows: stored, unchanged: stored, ..Counts::default() };
        Self { filter: Filter::default(), counts, extents, last: Some(counts) }
    }

    /// The same with changes from one value to another.
    fn changing(mut self, count: i64, old: &str, new: &str) -> Self {
        for customer_id in 1..=count {
            let change = change(customer_id, old, new);
            let entry = EntryRow::confirmed(change.key, old, None);
            self.extents.add_change(&change, Some(&entry));
        }
        self
    }

    fn creating(mut self, count: i64) -> Self {
        for customer_id in 1..=count {
            self.extents.add_change(&change(customer_id, "", "new"), None);
        }
        self
    }

    fn exceeded(&self) -> Vec<String> {
        self.exceeded_by(&GuardConfig::default())
    }

    fn exceeded_by(&self, config: &GuardConfig) -> Vec<String> {
        let Self { filter, counts, extents, last } = self;
        let name_of = |_| "tier".to_owned();
        let facts = Facts { filter, counts, extents, last: last.as_ref(), name_of: &name_of };
        let keys = |found: &Exceeded| {
            let of = if found.attribute.is_some() { " of tier" } else { "" };
            format!("{}{of}: {} of {}", found.limit.key(), found.found, found.of)
        };
        exceeded(config, facts).iter().map(keys).collect()
    }
}

#[test]
fn updates_are_limited_for_each_attribute() {
    assert!(Night::new(1_000).changing(300, "a", "b").exceeded().is_empty());
    assert_eq!(Night::new(1_000).changing(301, "a", "b").exceeded(), ["max_updates of tier: 301 of 1000"]);
    let mut night = Night::new(1_000).changing(301, "a", "b");
    (0..1_000).for_each(|_| night.extents.add_stored(2));
    assert_eq!(night.exceeded(), ["max_updates of tier: 301 of 1000"], "of 2000 values it would be 15%");
}

#[test]
fn many_attributes_that_change_a_little_are_limited_together() {
    let mut night = Night::new(0);
    for attribute_id in 1..=4 {
        for customer_id in 1..=100 {
            let change = Change { key: Key::new(customer_id, attribute_id), ..change(customer_id, "a", "b") };
            night.extents.add_stored(attribute_id);
            night.extents.add_change(&change, Some(&EntryRow::confirmed(change.key, "a", None)));
        }
    }
    assert_eq!(night.exceeded(), ["max_updates: 400 of 400"]);
}

#[test]
fn figures_of_many_attributes_are_told_together() {
    let mut night = Night::new(0);
    for attribute_id in 1..=5 {
        for customer_id in 1..=1_000 {
            night.extents.add_stored(attribute_id);
            if customer_id <= 200 * attribute_id {
                let change =
                    Change { key: Key::new(customer_id, attribute_id), ..change(customer_id, "a", "b") };
                night.extents.add_change(&change, Some(&EntryRow::confirmed(change.key, "a", None)));
            }
        }
    }
    assert_eq!(night.exceeded(), ["max_updates: 3000 of 5000"]);
    let facts = Facts {
        filter: &night.filter,
        counts: &night.counts,
        extents: &night.extents,
        last: None,
        name_of: &|_| String::new(),
    };
    let found = exceeded(&GuardConfig::default(), facts);
    assert_eq!(settings(&found), ["max_updates = \"100%\""], "one of the attributes needs as much");
}

#[test]
fn few_values_are_no_share() {
    assert!(Night::new(100).changing(100, "a", "").exceeded().is_empty());
    assert_eq!(Night::new(101).changing(101, "abc", "").exceeded().len(), 2);
    let config = GuardConfig { min_values: 101, ..GuardConfig::default() };
    assert!(Night::new(101).changing(101, "abc", "").exceeded_by(&config).is_empty());
}

#[test]
fn emptied_and_damaged_values_have_a_lower_limit() {
    assert!(Night::new(10_000).changing(500, "gold", "").exceeded().is_empty());
    assert_eq!(
        Night::new(10_000).changing(501, "gold", "").exceeded(),
        ["max_emptied of tier: 501 of 10000"]
    );
    assert!(Night::new(10_000).changing(500, "Müller", "M?ller").exceeded().is_empty());
    assert_eq!(
        Night::new(10_000).changing(501, "Müller", "M?ller").exceeded(),
        ["max_mangled of tier: 501 of 10000"]
    );
}

#[test]
fn deletes_are_limited() {
    let mut night = Night::new(10_000);
    night.counts.deletes = 501;
    for customer_id in 1..=501 {
        let change = Change { action: Action::Delete, value: None, ..change(customer_id, "gold", "") };
        night.extents.add_change(&change, Some(&EntryRow::confirmed(change.key, "gold", None)));
    }
    assert_eq!(night.exceeded(), ["max_deletes of tier: 501 of 10000"]);
    night.counts.deletes = 0;
    assert!(night.exceeded().is_empty(), "the deletes were taken back");
}

#[test]
fn values_that_are_only_sent_again_are_no_updates() {
    let mut night = Night::new(1_000);
    for customer_id in 1..=1_000 {
        let change = change(customer_id, "gold", "gold");
        let entry = EntryRow { belief: Belief::Unconfirmed, ..EntryRow::confirmed(change.key, "gold", None) };
        night.extents.add_change(&change, Some(&entry));
    }
    assert!(night.exceeded().is_empty());
}

#[test]
fn rows_that_cannot_be_sent_are_limited_also_in_a_first_sync() {
    let mut night = Night::new(0);
    night.last = None;
    night.counts = Counts { source_rows: 2_000, invalid: 200, ..Counts::default() };
    assert!(night.exceeded().is_empty());
    night.counts.invalid = 201;
    assert_eq!(night.exceeded(), ["max_invalid: 201 of 2000"]);
}

#[test]
fn a_source_that_shrinks_is_compared_with_the_last_finished_run() {
    let mut night = Night::new(1_000);
    night.counts.source_rows = 800;
    assert!(night.exceeded().is_empty());
    night.counts.source_rows = 799;
    assert_eq!(night.exceeded(), ["max_shrink: 201 of 1000"]);
    night.last = None;
    assert!(night.exceeded().is_empty(), "there is nothing to compare with");
}

#[test]
fn rows_that_moved_to_other_keys_are_noticed_although_their_number_is_the_same() {
    let mut night = Night::new(1_000);
    night.counts.stored_without_row = 201;
    assert_eq!(night.exceeded(), ["max_shrink: 201 of 1000"]);
    if let Some(last) = &mut night.last {
        last.stored_without_row = 150;
    }
    assert!(night.exceeded().is_empty(), "most of them had no row before");
}

#[test]
fn growth_is_compared_with_the_last_finished_run() {
    assert!(Night::new(1_000).creating(1_000).exceeded().is_empty());
    assert_eq!(Night::new(1_000).creating(1_001).exceeded(), ["max_growth: 1001 of 1000"]);
    let first = Night { last: None, ..Night::new(0) };
    assert!(first.creating(50_000).exceeded().is_empty(), "a first sync");
    assert!(Night::new(100).creating(50_000).exceeded().is_empty(), "after a trial with a few values");
}

#[test]
fn a_run_for_some_customers_is_compared_with_the_whole_store() {
    let mut night = Night::new(500).changing(500, "silver", "gold");
    night.filter.customers = [1, 2].into();
    night.last = Some(Counts { source_rows: 10_000, unchanged: 10_000, ..Counts::default() });
    night.counts = Counts { source_rows: 500, invalid: 200, ..Counts::default() };
    assert!(night.exceeded().is_empty());
    let mut night = Night::new(600).changing(600, "silver", "");
    night.filter.customers = [1, 2].into();
    night.last = Some(Counts { source_rows: 10_000, unchanged: 10_000, ..Counts::default() });
    assert_eq!(night.exceeded(), ["max_emptied: 600 of 10000"]);
}

#[test]
fn a_run_for_some_attributes_does_not_compare_the_number_of_rows() {
    let mut night = Night::new(1_000).changing(400, "silver", "gold");
    night.filter.attributes = [1].into();
    night.counts.source_rows = 400;
    assert_eq!(night.exceeded(), ["max_updates of tier: 400 of 1000"]);
}

#[test]
fn a_guard_that_is_off_stops_nothing() {
    assert!(Night::new(1_000).changing(1_000, "gold", "").exceeded_by(&GuardConfig::off()).is_empty());
}

#[test]
fn promise_11_a_message_has_figures_and_no_values() {
    let night = Night::new(1_000).changing(1_000, "a secret", "another");
    let name_of = |_| "tier".to_owned();
    let facts = Facts {
        filter: &night.filter,
        counts: &night.counts,
        extents: &night.extents,
        last: None,
        name_of: &name_of,
    };
    let found = exceeded(&GuardConfig::default(), facts);
    assert_eq!(
        found[0].to_string(),
        "1000 of 1000 values of tier (1) would change (100.0%; max_updates allows 30%)"
    );
    assert_eq!(found[0].sample.len(), 3);
}

#[test]
fn the_proposed_settings_let_all_figures_through() {
    let night = Night::new(1_000).changing(612, "gold", "");
    let name_of = |_| String::new();
    let facts = Facts {
        filter: &night.filter,
        counts: &night.counts,
        extents: &night.extents,
        last: None,
        name_of: &name_of,
    };
    let found = exceeded(&GuardConfig::default(), facts);
    assert_eq!(settings(&found), ["max_emptied = \"65%\"", "max_updates = \"65%\""]);
}
