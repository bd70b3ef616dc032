//! Nights on which the table is wrong. `docs/guides/guards.md` has the same table for people.

use attrsync::record::{RunStatus, VALUE_MAX_CHARS};
use attrsync::testing::memory_source::MemoryRow;

use super::shop::{COMPANY, Customer, LAST_ORDER, NEWSLETTER, SINCE, SPENT, Shop, TIER, rows_of};

/// The most customers that a bad night may write.
const HARMED_MAX: usize = 100;

/// A bad night: what happened, a limit that it exceeds, and what it makes of the rows.
struct Night {
    what: &'static str,
    limit: &'static str,
    rows: fn(&[Customer]) -> Vec<MemoryRow>,
}

/// Changes the values of one attribute.
fn with(customers: &[Customer], attribute: i64, edit: impl Fn(&str) -> Option<String>) -> Vec<MemoryRow> {
    let mut rows = rows_of(customers);
    for (_, id, value) in &mut rows {
        if *id == Some(attribute) {
            *value = value.as_deref().and_then(&edit);
        }
    }
    rows
}

/// Changes the values of all attributes.
fn with_all(customers: &[Customer], edit: impl Fn(&str) -> Option<String>) -> Vec<MemoryRow> {
    let mut rows = rows_of(customers);
    for (_, _, value) in &mut rows {
        *value = value.as_deref().and_then(&edit);
    }
    rows
}

/// Gives each customer the values of another one.
fn rotated(customers: &[Customer], by: usize) -> Vec<MemoryRow> {
    let mut others = customers.to_vec();
    others.rotate_left(by);
    let ids = customers.iter().map(|customer| customer.id);
    rows_of(&others.into_iter().zip(ids).map(|(other, id)| Customer { id, ..other }).collect::<Vec<_>>())
}

/// UTF-8 that was read as Latin-1.
fn as_latin_1(value: &str) -> String {
    value.bytes().map(char::from).collect()
}

const NIGHTS: &[Night] = &[
    Night { what: "the table is empty", limit: "max_shrink", rows: |_| Vec::new() },
    Night {
        what: "half of the table was loaded",
        limit: "max_shrink",
        rows: |all| rows_of(&all[..all.len() / 2]),
    },
    Night {
        what: "the load ended after three quarters",
        limit: "max_shrink",
        rows: |all| rows_of(&all[..all.len() * 3 / 4]),
    },
    Night {
        what: "a sample of a tenth took the place of the table",
        limit: "max_shrink",
        rows: |all| rows_of(&all.iter().step_by(10).cloned().collect::<Vec<_>>()),
    },
    Night {
        what: "every row is there twice",
        limit: "max_invalid",
        rows: |all| [rows_of(all), rows_of(all)].concat(),
    },
    Night {
        what: "the new rows were added to the old ones",
        limit: "max_invalid",
        rows: |all| [rows_of(all), rows_of(&all[..all.len() / 5])].concat(),
    },
    Night { what: "every value is NULL", limit: "max_shrink", rows: |all| with_all(all, |_| None) },
    Night {
        what: "every value is empty",
        limit: "max_emptied",
        rows: |all| with_all(all, |_| Some(String::new())),
    },
    Night {
        what: "one attribute is empty",
        limit: "max_emptied",
        rows: |all| with(all, TIER, |_| Some(String::new())),
    },
    Night {
        what: "a fifth of the customers have empty values",
        limit: "max_emptied",
        rows: |all| {
            let fifth = all.len() / 5;
            [with_all(&all[..fifth], |_| Some(String::new())), rows_of(&all[fifth..])].concat()
        },
    },
    Night {
        what: "two columns are swapped",
        limit: "max_updates",
        rows: |all| {
            let mut rows = rows_of(all);
            for (_, attribute, _) in &mut rows {
                *attribute = match *attribute {
                    Some(TIER) => Some(COMPANY),
                    Some(COMPANY) => Some(TIER),
                    other => other,
                };
            }
            rows
        },
    },
    Night {
        what: "attribute ids are one too high",
        limit: "max_updates",
        rows: |all| {
            rows_of(all)
                .into_iter()
                .map(|(id, attribute, value)| (id, attribute.map(|a| a + 1), value))
                .collect()
        },
    },
    Night {
        what: "customer ids are one too high",
        limit: "max_updates",
        rows: |all| {
            rows_of(all)
                .into_iter()
                .map(|(id, attribute, value)| (id.map(|id| id + 1), attribute, value))
                .collect()
        },
    },
    Night {
        what: "values are joined to the wrong customers",
        limit: "max_updates",
        rows: |all| rotated(all, 37),
    },
    Night {
        what: "all customers have the values of the first",
        limit: "max_updates",
        rows: |all| {
            rows_of(&all.iter().map(|one| Customer { id: one.id, ..all[0].clone() }).collect::<Vec<_>>())
        },
    },
    Night {
        what: "customer ids are those of another system",
        limit: "max_shrink",
        rows: |all| {
            let moved = |(id, attribute, value): MemoryRow| (id.map(|id| id + 10_000_000), attribute, value);
            rows_of(all).into_iter().map(moved).collect()
        },
    },
    Night {
        what: "amounts are in cents",
        limit: "max_updates",
        rows: |all| {
            with(all, SPENT, |value| Some(value.replace('.', "").trim_start_matches('0').to_owned() + "0"))
        },
    },
    Night {
        what: "amounts have a decimal comma",
        limit: "max_mangled",
        rows: |all| with(all, SPENT, |value| Some(value.replace('.', ","))),
    },
    Night {
        what: "amounts have lost their decimals",
        limit: "max_updates",
        rows: |all| with(all, SPENT, |value| value.split('.').next().map(str::to_owned)),
    },
    Night {
        what: "amounts are in scientific notation",
        limit: "max_updates",
        rows: |all| with(all, SPENT, |value| value.parse::<f64>().ok().map(|amount| format!("{amount:.3e}"))),
    },
    Night {
        what: "times are printed in another time zone",
        limit: "max_updates",
        rows: |all| with(all, SINCE, |value| Some(value.replace(":30:00+00", ":30:00+02"))),
    },
    Night {
        what: "dates are another day",
        limit: "max_updates",
        rows: |all| {
            let earlier =
                |one: &Customer| Customer { last_order: one.last_order.map(|day| day + 1), ..one.clone() };
            rows_of(&all.iter().map(earlier).collect::<Vec<_>>())
        },
    },
    Night {
        what: "dates have another form",
        limit: "max_updates",
        rows: |all| {
            with(all, LAST_ORDER, |value| {
                let parts: Vec<&str> = value.split('-').collect();
                Some(format!("{}/{}/{}", parts[1], parts[2], parts[0]))
            })
        },
    },
    Night {
        what: "text was read in another encoding",
        limit: "max_mangled",
        rows: |all| with_all(all, |value| Some(as_latin_1(value))),
    },
    Night {
        what: "letters with an accent became question marks",
        limit: "max_mangled",
        rows: |all| with_all(all, |value| Some(value.replace(|c: char| !c.is_ascii(), "?"))),
    },
    Night {
        what: "long values are cut",
        limit: "max_mangled",
        rows: |all| with_all(all, |value| Some(value.chars().take(22).collect())),
    },
    Night {
        what: "text is escaped for HTML",
        limit: "max_mangled",
        rows: |all| with_all(all, |value| Some(value.replace('&', "&amp;"))),
    },
    Night {
        what: "values have quotes around them",
        limit: "max_mangled",
        rows: |all| with_all(all, |value| Some(format!("\"{value}\""))),
    },
    Night {
        what: "values are padded with spaces",
        limit: "max_mangled",
        rows: |all| with_all(all, |value| Some(format!("{value:<40}"))),
    },
    Night {
        what: "a missing join gives everyone the default",
        limit: "max_updates",
        rows: |all| with(all, TIER, |_| Some("none".to_owned())),
    },
    Night {
        what: "an export wrote the word NULL",
        limit: "max_updates",
        rows: |all| with(all, LAST_ORDER, |_| Some("NULL".to_owned())),
    },
    Night {
        what: "a flag means the opposite",
        limit: "max_updates",
        rows: |all| with(all, NEWSLETTER, |value| Some((value == "false").to_string())),
    },
    Night {
        what: "a value holds a whole record",
        limit: "max_invalid",
        rows: |all| with(all, COMPANY, |value| Some(value.repeat(VALUE_MAX_CHARS))),
    },
    Night {
        what: "test data took the place of the table",
        limit: "max_updates",
        rows: |all| with_all(all, |_| Some("test".to_owned())),
    },
    Night {
        what: "a snapshot of last year was restored",
        limit: "max_updates",
        rows: |all| {
            let older = |one: &Customer| Customer {
                spent: one.spent / 3,
                last_order: one.last_order.map(|day| day / 2),
                ..one.clone()
            };
            rows_of(&all[..all.len() * 9 / 10].iter().map(older).collect::<Vec<_>>())
        },
    },
    Night {
        what: "it is the table of another store",
        limit: "max_updates",
        rows: |all| {
            let mut random = fastrand::Rng::with_seed(99);
            let other = |one: &Customer| Customer::drawn(one.id * 13 / 10, &mut random);
            rows_of(&all.iter().map(other).collect::<Vec<_>>())
        },
    },
];

/// Lets bad nights happen to a shop of this size, and checks that each of them is stopped in time.
async fn assert_stopped(size: usize, nights: impl Iterator<Item = &'static Night>) {
    let shop = Shop::open(size, 7).await;
    let good = rows_of(&shop.customers);
    let first = shop.night(good.clone()).await;
    assert_eq!(first.status, RunStatus::Succeeded, "a first sync: {:?}", first.message);
    shop.written();
    for Night { what, limit, rows } in nights {
        let report = shop.night(rows(&shop.customers)).await;
        let harmed = shop.written().len();
        assert!(harmed <= HARMED_MAX, "{what}, {size} customers: {harmed} were written");
        if size >= 2_000 {
            assert_eq!((report.status, harmed), (RunStatus::Blocked, 0), "{what}: {:?}", report.message);
        }
        if report.status == RunStatus::Blocked {
            let told: Vec<&str> = report.exceeded.iter().map(|found| found.limit.key()).collect();
            assert!(told.contains(limit), "{what}: {told:?}");
            assert!(report.message.is_some_and(|message| message.contains(told[0])), "{what}");
            let plan = i64::try_from(shop.store.changes(report.run_id).len()).expect("a count");
            assert_eq!((plan, report.counts.deferred), (report.counts.planned, report.counts.planned));
        }
        if harmed > 0 {
            assert_eq!(shop.night(good.clone()).await.counts.deferred, 0);
            shop.written();
        }
    }
    let last = shop.night(good.clone()).await;
    assert_eq!((last.status, last.counts.planned), (RunStatus::Succeeded, 0), "the next good night");
    shop.assert_holds(&good);
}

#[tokio::test(start_paused = true)]
async fn promise_10_bad_nights_are_stopped_before_the_101st_customer() {
    assert!(NIGHTS.len() >= 25);
    for size in [200, 2_000] {
        assert_stopped(size, NIGHTS.iter()).await;
    }
}

#[tokio::test(start_paused = true)]
async fn promise_10_bad_nights_of_a_large_store_are_stopped() {
    // All of them take a minute.
    let every = if std::env::var_os("ATTRSYNC_ALL_NIGHTS").is_some() { 1 } else { 6 };
    assert_stopped(20_000, NIGHTS.iter().step_by(every)).await;
}

#[tokio::test(start_paused = true)]
async fn promise_10_a_store_that_keeps_nothing_is_found_by_the_canary() {
    for size in [200, 2_000] {
        let shop = Shop::open(size, 7).await;
        shop.model().options.rules.forgets = true;
        let report = shop.night(rows_of(&shop.customers)).await;
        assert_eq!(report.status, RunStatus::Failed);
        assert!(report.message.is_some_and(|message| message.contains("does not hold them")));
        assert_eq!(shop.written().len(), HARMED_MAX);
        shop.model().heal();
        let good = rows_of(&shop.customers);
        assert_eq!(shop.night(good.clone()).await.status, RunStatus::Succeeded);
        shop.assert_holds(&good);
    }
}

#[test]
fn the_guide_lists_every_bad_night() {
    let guide = std::fs::read_to_string("docs/guides/guards.md").expect("the guide");
    for Night { what, limit, .. } in NIGHTS {
        let listed = guide.lines().find(|line| line.to_lowercase().contains(&what.to_lowercase()));
        assert!(
            listed.is_some_and(|line| line.contains(limit)),
            "docs/guides/guards.md lacks: {what}, {limit}"
        );
    }
}
